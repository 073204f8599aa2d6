/* Waiting on a word of memory, under musl's locks. In the plain variant nobody can wake the only thread: a wait
 * without a time limit is a deadlock and traps. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include "pthread_impl.h"

#define FOREVER (-1LL)

#ifdef _REENTRANT
int __wasilibc_futex_wait(volatile void *addr, int op, int val, int64_t ns)
{
    (void)op;
    switch (__builtin_wasm_memory_atomic_wait32((int *)addr, val, ns)) {
    case 0:
        return 0;
    case 1:
        return -EWOULDBLOCK;
    default:
        return -ETIMEDOUT;
    }
}
#else
int __wasilibc_futex_wait(volatile void *addr, int op, int val, int64_t ns)
{
    struct timespec ts;

    (void)op;
    if (*(volatile int *)addr != val)
        return -EWOULDBLOCK;
    if (ns == FOREVER)
        __builtin_trap();
    ts.tv_sec = ns / 1000000000;
    ts.tv_nsec = (long)(ns % 1000000000);
    nanosleep(&ts, NULL);
    return -ETIMEDOUT;
}
#endif

void __wait(volatile int *addr, volatile int *waiters, int val, int priv)
{
    int spins = 100;

    (void)priv;
    while (spins-- && (!waiters || !*waiters)) {
        if (*addr != val)
            return;
    }
    if (waiters)
        a_inc(waiters);
    while (*addr == val)
        __wasilibc_futex_wait(addr, 0, val, FOREVER);
    if (waiters)
        a_dec(waiters);
}

/* Condition variables keep the number of their clock where others pass the clock itself. */
static clockid_t clock_of(clockid_t clock)
{
    switch ((uintptr_t)clock) {
    case 0:
        return CLOCK_REALTIME;
    case 1:
        return CLOCK_MONOTONIC;
    default:
        return clock;
    }
}

int __timedwait_cp(volatile int *addr, int val, clockid_t clock, const struct timespec *until, int priv)
{
    int64_t ns = FOREVER;
    struct timespec now;
    int result;

    (void)priv;
    if (until) {
        if (until->tv_nsec < 0 || until->tv_nsec >= 1000000000 || clock_gettime(clock_of(clock), &now) != 0)
            return EINVAL;
        if (until->tv_sec - now.tv_sec > INT64_MAX / 2000000000)
            ns = INT64_MAX;
        else
            ns = (until->tv_sec - now.tv_sec) * 1000000000LL + (until->tv_nsec - now.tv_nsec);
        if (ns <= 0)
            return ETIMEDOUT;
    }
    result = -__wasilibc_futex_wait(addr, 0, val, ns);
    return result == ETIMEDOUT ? ETIMEDOUT : 0;
}

int __timedwait(volatile int *addr, int val, clockid_t clock, const struct timespec *until, int priv)
{
    return __timedwait_cp(addr, val, clock, until, priv);
}
