#include "sys/signals.h"

#include <signal.h>

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

int main(void)
{
    RUN(a_signal_is_caught_once);
    RUN(an_ignored_signal_stays_ignored);
    return CHECK_DONE();
}
