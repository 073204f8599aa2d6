#include "sys/signals.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t caught;

static void count(int number)
{
    caught += number == SIGUSR1;
}

static void handler_of(int number, struct sigaction *ret_action)
{
    CHECK_EQ(sigaction(number, NULL, ret_action), 0);
}

static void a_signal_is_caught_once(void)
{
    struct sigaction now;
    caught = 0;
    signal(SIGUSR1, SIG_DFL);
    signal_catch_once(SIGUSR1, count);
    raise(SIGUSR1);
    CHECK_EQ(caught, 1);
    handler_of(SIGUSR1, &now);
    CHECK(now.sa_handler == SIG_DFL);
}

static void an_ignored_signal_stays_ignored(void)
{
    struct sigaction now;
    caught = 0;
    signal(SIGUSR1, SIG_IGN);
    signal_catch_once(SIGUSR1, count);
    raise(SIGUSR1);
    CHECK_EQ(caught, 0);
    handler_of(SIGUSR1, &now);
    CHECK(now.sa_handler == SIG_IGN);
}

/* The signal by which a child ends that is to unlink the file, and then gets number. */
static int end_of_child(const char *path, bool keeps, int number)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(number, SIG_DFL);
        signal_unlinks(path);
        if (keeps) {
            signal_unlinks(NULL);
        }
        raise(number);
        _exit(0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void a_file_goes_before_a_signal_ends_the_program(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char path[] = "/tmp/cloudskin-signals.XXXXXX";
        int fd = mkstemp(path);
        CHECK(fd >= 0);
        close(fd);
        CHECK_EQ(end_of_child(path, true, numbers[i]), numbers[i]);
        CHECK_EQ(access(path, F_OK), 0);
        CHECK_EQ(end_of_child(path, false, numbers[i]), numbers[i]);
        CHECK_EQ(access(path, F_OK), -1);
    }
}

int main(void)
{
    RUN(a_signal_is_caught_once);
    RUN(an_ignored_signal_stays_ignored);
    RUN(a_file_goes_before_a_signal_ends_the_program);
    return CHECK_DONE();
}
