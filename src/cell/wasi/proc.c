#include "guest.h"

#include <errno.h>
#include <sched.h>
#include <sys/random.h>

/* Arguments, environment, random bytes, the end of the program. */

static int32_t strings_get(void *ctx, const struct strings *s, uint32_t ptrs_addr,
                           uint32_t buf_addr)
{
    uint8_t *ptrs = host_range(ctx, ptrs_addr, (uint64_t)s->count * 4);
    uint8_t *buf = host_range(ctx, buf_addr, s->bytes);
    if (ptrs == NULL || buf == NULL) {
        return WASI_FAULT;
    }
    uint32_t off = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        size_t len = strlen(s->items[i]) + 1;
        put_le32(ptrs + (size_t)i * 4, buf_addr + off);
        memcpy(buf + off, s->items[i], len);
        off += (uint32_t)len;
    }
    return WASI_OK;
}

static int32_t strings_sizes_get(void *ctx, const struct strings *s, uint32_t ret_count,
                                 uint32_t ret_bytes)
{
    uint8_t *count = host_range(ctx, ret_count, 4);
    uint8_t *bytes = host_range(ctx, ret_bytes, 4);
    if (count == NULL || bytes == NULL) {
        return WASI_FAULT;
    }
    put_le32(count, s->count);
    put_le32(bytes, s->bytes);
    return WASI_OK;
}

int32_t wasi_args_get(void *ctx, void *env, uint32_t argv, uint32_t argv_buf)
{
    const struct wasi *w = env;
    return strings_get(ctx, &w->args, argv, argv_buf);
}

int32_t wasi_args_sizes_get(void *ctx, void *env, uint32_t ret_argc, uint32_t ret_buf_size)
{
    const struct wasi *w = env;
    return strings_sizes_get(ctx, &w->args, ret_argc, ret_buf_size);
}

int32_t wasi_environ_get(void *ctx, void *env, uint32_t environ_ptrs, uint32_t environ_buf)
{
    const struct wasi *w = env;
    return strings_get(ctx, &w->env, environ_ptrs, environ_buf);
}

int32_t wasi_environ_sizes_get(void *ctx, void *env, uint32_t ret_count, uint32_t ret_buf_size)
{
    const struct wasi *w = env;
    return strings_sizes_get(ctx, &w->env, ret_count, ret_buf_size);
}

int32_t wasi_random_get(void *ctx, void *env, uint32_t buf, uint32_t buf_len)
{
    struct wasi *w = env;
    uint8_t *out = host_range(ctx, buf, buf_len);
    if (out == NULL) {
        return WASI_FAULT;
    }
    size_t done = w->progress < buf_len ? (size_t)w->progress : buf_len;
    size_t left = buf_len - done;
    w->progress = 0;
    out += done;
    while (left > 0) {
        size_t want = left < WASI_PIECE_BYTES_MAX ? left : WASI_PIECE_BYTES_MAX;
        ssize_t n = getrandom(out, want, 0);
        if (n < 0 && errno != EINTR) {
            return (int32_t)wasi_errno_from_host(errno);
        }
        if (n > 0) {
            out += n;
            left -= (size_t)n;
        }
        if (left > 0 && !host_wait_poll(ctx)) {
            w->progress = host_wait_again(ctx) ? buf_len - left : 0;
            return WASI_INTR;
        }
    }
    return WASI_OK;
}

int32_t wasi_sched_yield(void *ctx, void *env)
{
    (void)ctx;
    (void)env;
    (void)sched_yield();
    return WASI_OK;
}

void wasi_proc_exit(void *ctx, void *env, uint32_t code)
{
    (void)env;
    host_exit(ctx, code);
}

/* What a signal does that the program did not catch itself: the host's number of one that ends the program,
 * so that the exit code is what a shell shows for it; SIGNAL_IGNORED; SIGNAL_STOPS cannot be done. */
enum { SIGNAL_IGNORED = 0, SIGNAL_STOPS = -1 };
static const int8_t signal_effects[] = {
    [0] = SIGNAL_IGNORED,
    [1] = 1,               /* HUP */
    [2] = 2,               /* INT */
    [3] = 3,               /* QUIT */
    [4] = 4,               /* ILL */
    [5] = 5,               /* TRAP */
    [6] = 6,               /* ABRT */
    [7] = 7,               /* BUS */
    [8] = 8,               /* FPE */
    [9] = 9,               /* KILL */
    [10] = 10,             /* USR1 */
    [11] = 11,             /* SEGV */
    [12] = 12,             /* USR2 */
    [13] = 13,             /* PIPE */
    [14] = 14,             /* ALRM */
    [15] = 15,             /* TERM */
    [16] = SIGNAL_IGNORED, /* CHLD */
    [17] = SIGNAL_IGNORED, /* CONT */
    [18] = SIGNAL_STOPS,   /* STOP */
    [19] = SIGNAL_STOPS,   /* TSTP */
    [20] = SIGNAL_STOPS,   /* TTIN */
    [21] = SIGNAL_STOPS,   /* TTOU */
    [22] = SIGNAL_IGNORED, /* URG */
    [23] = 24,             /* XCPU */
    [24] = 25,             /* XFSZ */
    [25] = 26,             /* VTALRM */
    [26] = 27,             /* PROF */
    [27] = SIGNAL_IGNORED, /* WINCH */
    [28] = 29,             /* POLL */
    [29] = 30,             /* PWR */
    [30] = 31,             /* SYS */
};

int32_t wasi_proc_raise(void *ctx, void *env, uint32_t sig)
{
    (void)env;
    if (sig >= sizeof(signal_effects)) {
        return WASI_INVAL;
    }
    int effect = signal_effects[sig];
    if (effect == SIGNAL_STOPS) {
        return WASI_NOTSUP;
    }
    if (effect != SIGNAL_IGNORED) {
        host_exit(ctx, 128 + (uint32_t)effect);
    }
    return WASI_OK;
}
