/* Clocks, sleeping, polling; standard input is a pipe that holds "hello". */
#include <poll.h>
#include <stdlib.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static double now(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(void)
{
    struct timespec t, pause = {.tv_nsec = 20000000};
    double start = now(CLOCK_MONOTONIC);
    say("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL));
    say("slept", now(CLOCK_MONOTONIC) - start >= 0.02);
    start = now(CLOCK_REALTIME);
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 10000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    say("clock_nanosleep", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL));
    say("slept", now(CLOCK_REALTIME) - start >= 0.0099);
    say("getres", clock_getres(CLOCK_MONOTONIC, &t));
    say("fine", t.tv_sec == 0 && t.tv_nsec > 0);
    say("year", now(CLOCK_REALTIME) > 1.6e9);

    clock_t used = clock();
    volatile unsigned sum = 0;
    for (unsigned i = 0; i < 20000000; i++) {
        sum += i;
    }
    say("CPU time moves", clock() > used);

    struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLOUT}};
    say("poll both", poll(fds, 2, 1000));
    say("readable", (fds[0].revents & POLLIN) != 0);
    say("writable", (fds[1].revents & POLLOUT) != 0);
    char text[16];
    say("read", read(0, text, sizeof(text)));
    start = now(CLOCK_MONOTONIC);
    say("poll the empty pipe", poll(fds, 1, 30));
    say("waited", now(CLOCK_MONOTONIC) - start >= 0.03);
    say("poll at once", poll(fds, 1, 0));
    fd_set set;
    struct timeval limit = {.tv_usec = 10000};
    FD_ZERO(&set);
    FD_SET(0, &set);
    say("select", select(1, &set, NULL, NULL, &limit));
    return 0;
}
