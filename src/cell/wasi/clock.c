#include "guest.h"

#include <errno.h>

#include "stat.h"

/* The process hosts other cells, whose time is not this guest's: its time is that of its thread. */
static const clockid_t host_clocks[] = {
    [WASI_CLOCK_REALTIME] = CLOCK_REALTIME,
    [WASI_CLOCK_MONOTONIC] = CLOCK_MONOTONIC,
    [WASI_CLOCK_PROCESS] = CLOCK_THREAD_CPUTIME_ID,
    [WASI_CLOCK_THREAD] = CLOCK_THREAD_CPUTIME_ID,
};

bool clock_host_id(uint32_t id, int *ret_host_id)
{
    if (id >= sizeof(host_clocks) / sizeof(host_clocks[0])) {
        return false;
    }
    *ret_host_id = host_clocks[id];
    return true;
}

uint64_t clock_now_ns(int host_id)
{
    struct timespec t = {0};
    (void)clock_gettime(host_id, &t);
    return stat_ns(t);
}

int32_t wasi_clock_res_get(void *ctx, void *env, uint32_t id, uint32_t ret_resolution)
{
    struct timespec t;
    int host_id;
    uint8_t *out = host_range(ctx, ret_resolution, 8);
    (void)env;
    if (out == NULL) {
        return WASI_FAULT;
    }
    if (!clock_host_id(id, &host_id)) {
        return WASI_INVAL;
    }
    if (clock_getres(host_id, &t) != 0) {
        return (int32_t)wasi_errno_from_host(errno);
    }
    put_le64(out, stat_ns(t));
    return WASI_OK;
}

int32_t wasi_clock_time_get(void *ctx, void *env, uint32_t id, uint64_t precision,
                            uint32_t ret_time)
{
    int host_id;
    uint8_t *out = host_range(ctx, ret_time, 8);
    (void)env;
    (void)precision;
    if (out == NULL) {
        return WASI_FAULT;
    }
    if (!clock_host_id(id, &host_id)) {
        return WASI_INVAL;
    }
    put_le64(out, clock_now_ns(host_id));
    return WASI_OK;
}
