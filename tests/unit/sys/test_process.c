#include "sys/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

static int run(const char *script, const struct process_options *options, struct process *p)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
    struct error err = {0};
    status_t code = process_start("/bin/sh", argv, options, p, &err);
    CHECK_EQ(code, ST_OK);
    return code == ST_OK;
}

static int wait_for(struct process *p)
{
    int code = -1;
    CHECK_EQ(process_wait(p, &code, NULL), ST_OK);
    return code;
}

static void the_exit_code_comes_back(void)
{
    struct process p;
    if (run("exit 37", NULL, &p)) {
        CHECK_EQ(p.report, -1);
        CHECK_EQ(wait_for(&p), 37);
    }
    if (run("kill -9 $$", NULL, &p)) {
        CHECK_EQ(wait_for(&p), 128 + SIGKILL);
    }
}

static void the_report_pipe_reaches_the_parent(void)
{
    struct process p;
    struct process_options options = {.report_fd = 3};
    if (run("echo hello >&3", &options, &p)) {
        char text[16] = "";
        CHECK_EQ(read(p.report, text, sizeof text), 6);
        CHECK_STR(text, "hello\n");
        CHECK_EQ(read(p.report, text, sizeof text), 0);
        CHECK_EQ(wait_for(&p), 0);
    }
}

static void its_input_and_output_can_be_given(void)
{
    struct process p;
    int in[2], out[2];
    char text[16] = "";
    CHECK_EQ(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    struct process_options options = {.input_fd = in[0], .output_fd = out[1]};
    if (run("read x; echo got $x", &options, &p)) {
        close(in[0]);
        close(out[1]);
        CHECK_EQ(write(in[1], "this\n", 5), 5);
        close(in[1]);
        CHECK_EQ(read(out[0], text, sizeof text), 9);
        CHECK_STR(text, "got this\n");
        CHECK_EQ(read(out[0], text, sizeof text), 0);
        close(out[0]);
        CHECK_EQ(wait_for(&p), 0);
    }
}

static void a_background_program_has_its_own_session_and_no_output(void)
{
    struct process p;
    struct process_options options = {.report_fd = 7, .background = true};
    if (run("echo noise; echo noise >&2; read x; set -- $(cat /proc/$$/stat);"
            " [ $$ = $6 ] && [ \"$(readlink /proc/$$/fd/0)\" = /dev/null ] && echo yes >&7",
            &options, &p)) {
        char text[16] = "";
        CHECK_EQ(read(p.report, text, sizeof text), 4);
        CHECK_STR(text, "yes\n");
        CHECK_EQ(wait_for(&p), 0);
    }
}

static void blocked_and_ignored_signals_are_not_inherited(void)
{
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    signal(SIGTERM, SIG_IGN);
    struct process p;
    if (run("kill -TERM $$; exit 1", NULL, &p)) {
        CHECK_EQ(wait_for(&p), 128 + SIGTERM);
    }
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void a_missing_program_is_named(void)
{
    char *argv[] = {(char *)"x", NULL};
    struct error err = {0};
    struct process p = {.pid = -5};
    CHECK_EQ(process_start("/no/such/program", argv, NULL, &p, &err), ST_NOTFOUND);
    CHECK(strstr(err.text, "/no/such/program") != NULL);
    CHECK_EQ(p.pid, -5);
    char path[PATH_MAX] = "untouched";
    CHECK_EQ(process_find("no-such-program-anywhere", path, &err), ST_NOTFOUND);
    CHECK_STR(path, "untouched");
}

static void programs_are_found_beside_this_one_and_in_path(void)
{
    char path[PATH_MAX], self[PATH_MAX];
    CHECK_EQ(process_find("unit_sys_process", path, NULL), ST_OK);
    CHECK_EQ(process_sibling("unit_sys_process", self, NULL), ST_OK);
    CHECK_STR(path, self);
    CHECK_EQ(access(path, X_OK), 0);
    setenv("PATH", "/nowhere::/bin", 1);
    CHECK_EQ(process_find("sh", path, NULL), ST_OK);
    CHECK_STR(path, "/bin/sh");
    CHECK_EQ(process_sibling("../lib/x", path, NULL), ST_OK);
    CHECK(strstr(path, "/../lib/x") != NULL);
}

static void a_path_that_does_not_fit_is_refused(void)
{
    static char name[PATH_MAX + 10];
    memset(name, 'n', sizeof name - 1);
    char path[PATH_MAX] = "untouched";
    CHECK_EQ(process_sibling(name, path, NULL), ST_LIMIT);
    CHECK_STR(path, "untouched");
}

int main(void)
{
    RUN(the_exit_code_comes_back);
    RUN(the_report_pipe_reaches_the_parent);
    RUN(its_input_and_output_can_be_given);
    RUN(a_background_program_has_its_own_session_and_no_output);
    RUN(blocked_and_ignored_signals_are_not_inherited);
    RUN(a_missing_program_is_named);
    RUN(programs_are_found_beside_this_one_and_in_path);
    RUN(a_path_that_does_not_fit_is_refused);
    return CHECK_DONE();
}
