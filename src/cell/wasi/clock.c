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

uint64_t clock_guest_ns(const struct wasi *w)
{
    return clock_now_ns(CLOCK_MONOTONIC) + w->monotonic_shift_ns;
}

uint64_t clock_host_deadline_ns(const struct wasi *w, uint64_t guest_ns)
{
    uint64_t shift = w->monotonic_shift_ns;
    if (shift <= INT64_MAX) {
        return guest_ns > shift ? guest_ns - shift : 0;
    }
    uint64_t back = 0 - shift;
    return guest_ns > UINT64_MAX - back ? UINT64_MAX : guest_ns + back;
}

/* CPU time of this thread, and what the guest had used before a restore. A snapshot may be made by another thread, so
 * the latest time is kept. */
static uint64_t cpu_ns(struct wasi *w, int host_id)
{
    uint64_t now = clock_now_ns(host_id) + w->cpu_shift_ns;
    uint64_t seen = atomic_load_explicit(&w->cpu_seen_ns, memory_order_relaxed);
    while (seen < now && !atomic_compare_exchange_weak(&w->cpu_seen_ns, &seen, now)) {
    }
    return now;
}

void wasi_note_cpu(struct wasi *w)
{
    (void)cpu_ns(w, host_clocks[WASI_CLOCK_THREAD]);
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
    struct wasi *w = env;
    uint64_t now;
    (void)precision;
    if (out == NULL) {
        return WASI_FAULT;
    }
    if (!clock_host_id(id, &host_id)) {
        return WASI_INVAL;
    }
    if (id == WASI_CLOCK_REALTIME) {
        now = clock_now_ns(host_id);
    } else {
        now = id == WASI_CLOCK_MONOTONIC ? clock_guest_ns(w) : cpu_ns(w, host_id);
    }
    put_le64(out, now);
    return WASI_OK;
}
