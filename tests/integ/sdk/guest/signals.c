// Signals that a program raises itself.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t seen;

static void simple(int sig)
{
    seen = sig;
}

static void with_info(int sig, siginfo_t *info, void *context)
{
    (void)context;
    seen = sig == info->si_signo ? sig : -1;
}

static volatile int calls, inside, nested;
/* The signal that is being handled is blocked: it comes when the handler returns. */
static void again(int sig)
{
    if (inside++)
        nested++;
    if (++calls < 3)
        raise(sig);
    inside--;
}

int main(void)
{
    struct sigaction sa, old;
    sigset_t set;

    printf("%d\n", signal(SIGUSR1, simple) == SIG_DFL);
    printf("%d %d\n", raise(SIGUSR1), seen == SIGUSR1);
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = with_info;
    sa.sa_flags = SA_SIGINFO;
    printf("%d %d\n", sigaction(SIGUSR2, &sa, &old), old.sa_handler == SIG_DFL);
    printf("%d %d\n", kill(getpid(), SIGUSR2), seen == SIGUSR2);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    printf("%d\n", seen == SIGUSR2);
    sigpending(&set);
    printf("%d\n", sigismember(&set, SIGUSR1));
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    printf("%d\n", seen == SIGUSR1);
    signal(SIGTERM, SIG_IGN);
    printf("%d\n", raise(SIGTERM));
    sa.sa_handler = simple;
    sa.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGHUP, &sa, NULL);
    raise(SIGHUP);
    sigaction(SIGHUP, NULL, &old);
    printf("%d %d\n", seen == SIGHUP, old.sa_handler == SIG_DFL);
    printf("%d\n", sigaction(SIGKILL, &sa, NULL));
    signal(SIGUSR1, again);
    raise(SIGUSR1);
    printf("%d %d\n", calls, nested);
    return 0;
}
