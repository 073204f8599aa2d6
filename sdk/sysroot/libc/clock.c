/* Clocks of the process: CPU time comes from WASI's process clock, so clock(), times() and getrusage()
 * mean what they say. */
#include <common/clock.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

const struct __clockid _CLOCK_PROCESS_CPUTIME_ID = {.id = __WASI_CLOCKID_PROCESS_CPUTIME_ID};
const struct __clockid _CLOCK_THREAD_CPUTIME_ID = {.id = __WASI_CLOCKID_THREAD_CPUTIME_ID};

static __wasi_timestamp_t cpu_ns(__wasi_clockid_t id)
{
    __wasi_timestamp_t now = 0;

    if (__wasi_clock_time_get(id, 0, &now) != 0)
        (void)__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 0, &now);
    return now;
}

clock_t clock(void)
{
    return (clock_t)(cpu_ns(__WASI_CLOCKID_PROCESS_CPUTIME_ID) / (1000000000 / CLOCKS_PER_SEC));
}

/* Ticks are hundredths of a second, as sysconf(_SC_CLK_TCK) says. */
clock_t times(struct tms *buf)
{
    __wasi_timestamp_t now = 0;

    *buf = (struct tms){.tms_utime = (clock_t)(cpu_ns(__WASI_CLOCKID_PROCESS_CPUTIME_ID) / 10000000)};
    (void)__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 0, &now);
    return (clock_t)(now / 10000000);
}

int getrusage(int who, struct rusage *usage)
{
    __wasi_timestamp_t ns;

    memset(usage, 0, sizeof *usage);
    switch (who) {
    case RUSAGE_SELF:
        ns = cpu_ns(__WASI_CLOCKID_PROCESS_CPUTIME_ID);
        break;
    case RUSAGE_THREAD:
        ns = cpu_ns(__WASI_CLOCKID_THREAD_CPUTIME_ID);
        break;
    case RUSAGE_CHILDREN:
        return 0;
    default:
        errno = EINVAL;
        return -1;
    }
    usage->ru_utime.tv_sec = (time_t)(ns / 1000000000);
    usage->ru_utime.tv_usec = (suseconds_t)(ns % 1000000000 / 1000);
    usage->ru_maxrss = (long)(__builtin_wasm_memory_size(0) * 64);
    return 0;
}

int clock_getcpuclockid(pid_t pid, clockid_t *ret_clock)
{
    if (pid != 0 && pid != getpid())
        return ESRCH;
    *ret_clock = CLOCK_PROCESS_CPUTIME_ID;
    return 0;
}

int clock_settime(clockid_t clock, const struct timespec *ts)
{
    (void)clock;
    (void)ts;
    errno = EPERM;
    return -1;
}
