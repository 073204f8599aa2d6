#include "guest.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "stat.h"

enum { WAITERS_ON_STACK = 16, NS_PER_S = 1000000000 };
/* A wait for a time of day looks at the clock this often, since the clock may be set meanwhile. */
#define REALTIME_RECHECK_NS UINT64_C(1000000000)
#define NEVER UINT64_MAX

/* One subscription, as it was copied from the guest. */
struct waiter {
    uint64_t userdata;
    uint64_t deadline_ns; /* clocks: on the host's clock_id */
    struct file_use use;  /* descriptors; file NULL when it failed with error */
    int clock_id;
    uint16_t error;
    uint8_t type; /* EVENT_* */
    bool ready;
};

struct poll_set {
    struct waiter *waiters;
    struct pollfd *fds; /* one for each waiter; fd -1 for clocks and errors */
    uint32_t count;
};

/* ---- subscriptions ---- */

/* wasi_unstable has one more field, in front of the clock's id, and the rest behind it. */
static void take_clock(const struct wasi *w, struct waiter *s, const uint8_t *sub, bool unstable)
{
    const uint8_t *clock = sub + (unstable ? 24 : 16);
    uint32_t id = get_le32(clock);
    uint64_t timeout = get_le64(clock + 8);
    bool absolute = (get_le16(clock + 24) & SUBCLOCK_ABSTIME) != 0;
    if (id != WASI_CLOCK_REALTIME && id != WASI_CLOCK_MONOTONIC) {
        s->error = id <= WASI_CLOCK_THREAD ? WASI_NOTSUP : WASI_INVAL;
        return;
    }
    if (absolute) {
        (void)clock_host_id(id, &s->clock_id);
        s->deadline_ns = id == WASI_CLOCK_MONOTONIC ? clock_host_deadline_ns(w, timeout) : timeout;
        return;
    }
    s->clock_id = CLOCK_MONOTONIC;
    timeout -= timeout < w->progress ? timeout : w->progress;
    uint64_t now = clock_now_ns(CLOCK_MONOTONIC);
    s->deadline_ns = timeout > NEVER - now ? NEVER : now + timeout;
}

static void take_fd(struct wasi *w, struct waiter *s, struct pollfd *p, const uint8_t *sub)
{
    bool read = s->type == EVENT_FD_READ;
    uint64_t rights = RIGHT_POLL_FD_READWRITE | (read ? RIGHT_FD_READ : RIGHT_FD_WRITE);
    s->error = (uint16_t)fdtable_use(&w->files, get_le32(sub + 16), rights, &s->use);
    if (s->error == WASI_OK) {
        p->fd = s->use.file->host_fd;
        p->events = read ? POLLIN : POLLOUT;
    }
}

static enum wasi_errno take_subscription(struct wasi *w, struct poll_set *set, uint32_t i,
                                         const uint8_t *sub, bool unstable)
{
    struct waiter *s = &set->waiters[i];
    *s = (struct waiter){.userdata = get_le64(sub), .type = sub[8], .deadline_ns = NEVER};
    set->fds[i] = (struct pollfd){.fd = -1};
    if (s->type == EVENT_CLOCK) {
        take_clock(w, s, sub, unstable);
    } else if (s->type == EVENT_FD_READ || s->type == EVENT_FD_WRITE) {
        take_fd(w, s, &set->fds[i], sub);
    } else {
        return WASI_INVAL;
    }
    s->ready = s->error != WASI_OK;
    return WASI_OK;
}

static enum wasi_errno take_all(void *ctx, struct wasi *w, uint32_t subs, bool unstable,
                                struct poll_set *set, uint32_t count)
{
    uint32_t size = unstable ? SUBSCRIPTION_UNSTABLE_BYTES : SUBSCRIPTION_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t sub[SUBSCRIPTION_UNSTABLE_BYTES] = {0};
        const void *src = host_range(ctx, subs + i * size, size);
        if (src == NULL) {
            return WASI_FAULT;
        }
        memcpy(sub, src, size);
        enum wasi_errno e = take_subscription(w, set, i, sub, unstable);
        if (e != WASI_OK) {
            return e;
        }
        set->count = i + 1;
    }
    return WASI_OK;
}

static void release_all(struct wasi *w, struct poll_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        file_put(&w->files, &set->waiters[i].use);
    }
}

/* ---- waiting ---- */

/* Mark what is due; true when anything is. *ret_wait_ns: until the next deadline, or NEVER. */
static bool mark_clocks(struct poll_set *set, uint64_t *ret_wait_ns)
{
    uint64_t monotonic = clock_now_ns(CLOCK_MONOTONIC);
    uint64_t realtime = clock_now_ns(CLOCK_REALTIME);
    bool any = false;
    *ret_wait_ns = NEVER;
    for (uint32_t i = 0; i < set->count; i++) {
        struct waiter *s = &set->waiters[i];
        if (s->type == EVENT_CLOCK && s->error == WASI_OK && s->deadline_ns != NEVER) {
            bool is_realtime = s->clock_id == CLOCK_REALTIME;
            uint64_t now = is_realtime ? realtime : monotonic;
            uint64_t left = s->deadline_ns > now ? s->deadline_ns - now : 0;
            s->ready = left == 0;
            if (is_realtime && left > REALTIME_RECHECK_NS) {
                left = REALTIME_RECHECK_NS;
            }
            *ret_wait_ns = left < *ret_wait_ns ? left : *ret_wait_ns;
        }
        any = any || s->ready;
    }
    return any;
}

static void mark_fds(struct poll_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->fds[i].fd >= 0 && set->fds[i].revents != 0) {
            set->waiters[i].ready = true;
        }
    }
}

/* One wait of at most wait_ns. */
static enum wasi_errno wait_once(void *ctx, struct poll_set *set, uint64_t wait_ns)
{
    struct timespec t;
    struct timespec *timeout = NULL;
    if (wait_ns != NEVER) {
        t = (struct timespec){.tv_sec = (time_t)(wait_ns / NS_PER_S),
                              .tv_nsec = (long)(wait_ns % NS_PER_S)};
        timeout = &t;
    }
    if (!host_wait_begin(ctx)) {
        return WASI_INTR;
    }
    int n = ppoll(set->fds, set->count, timeout, NULL);
    int errnum = errno;
    host_block_end(ctx);
    if (n < 0 && errnum != EINTR) {
        return wasi_errno_from_host(errnum);
    }
    if (n < 0) {
        for (uint32_t i = 0; i < set->count; i++) {
            set->fds[i].revents = 0;
        }
    }
    return host_poll(ctx) ? WASI_OK : WASI_INTR;
}

/* Until at least one waiter is ready. */
static enum wasi_errno wait_for_any(void *ctx, struct poll_set *set)
{
    for (;;) {
        uint64_t wait_ns;
        bool any = mark_clocks(set, &wait_ns);
        enum wasi_errno e = wait_once(ctx, set, any ? 0 : wait_ns);
        if (e != WASI_OK) {
            return e;
        }
        mark_fds(set);
        (void)mark_clocks(set, &wait_ns);
        for (uint32_t i = 0; i < set->count; i++) {
            if (set->waiters[i].ready) {
                return WASI_OK;
            }
        }
    }
}

/* ---- events ---- */

static uint64_t bytes_readable(const struct file *f)
{
    struct stat st;
    int n = 0;
    if (f->kind == FILE_LISTENER) {
        return 1;
    }
    if (f->kind == FILE_PLAIN) {
        off_t at = lseek(f->host_fd, 0, SEEK_CUR);
        return at >= 0 && fstat(f->host_fd, &st) == 0 && st.st_size > at
                   ? (uint64_t)(st.st_size - at)
                   : 0;
    }
    return ioctl(f->host_fd, FIONREAD, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

static void encode_event(const struct waiter *s, short revents, uint8_t out[EVENT_BYTES])
{
    uint16_t error = s->error;
    memset(out, 0, EVENT_BYTES);
    put_le64(out, s->userdata);
    out[10] = s->type;
    if (s->type != EVENT_CLOCK && error == WASI_OK) {
        if (revents & POLLNVAL) {
            error = WASI_BADF;
        } else {
            /* What a pipe that can be written to takes without blocking. */
            put_le64(out + 16, s->type == EVENT_FD_READ ? bytes_readable(s->use.file) : PIPE_BUF);
            put_le16(out + 24, (revents & POLLHUP) ? EVENTRW_HANGUP : 0);
        }
    }
    put_le16(out + 8, error);
}

static uint32_t write_events(const struct poll_set *set, uint8_t *out)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->waiters[i].ready) {
            uint8_t event[EVENT_BYTES];
            encode_event(&set->waiters[i], set->fds[i].revents, event);
            memcpy(out + (size_t)n * EVENT_BYTES, event, EVENT_BYTES);
            n++;
        }
    }
    return n;
}

static int32_t poll_set_run(void *ctx, struct wasi *w, struct poll_set *set, uint32_t subs,
                            uint32_t count, bool unstable, uint8_t *events, uint8_t *ret_count)
{
    uint32_t n = 0;
    uint64_t began = clock_now_ns(CLOCK_MONOTONIC);
    enum wasi_errno e = take_all(ctx, w, subs, unstable, set, count);
    if (e == WASI_OK) {
        e = wait_for_any(ctx, set);
    }
    if (e == WASI_OK) {
        n = write_events(set, events);
    }
    release_all(w, set);
    if (e == WASI_OK) {
        put_le32(ret_count, n);
    }
    w->progress = e == WASI_INTR ? w->progress + clock_now_ns(CLOCK_MONOTONIC) - began : 0;
    return (int32_t)guest_waited(ctx, e);
}

static int32_t poll_oneoff(void *ctx, struct wasi *w, uint32_t subs, uint32_t events_addr,
                           uint32_t count, bool unstable, uint32_t ret_count)
{
    uint32_t size = unstable ? SUBSCRIPTION_UNSTABLE_BYTES : SUBSCRIPTION_BYTES;
    if (count == 0 || count > WASI_SUBSCRIPTIONS_MAX) {
        return WASI_INVAL;
    }
    uint8_t *events = host_range(ctx, events_addr, (uint64_t)count * EVENT_BYTES);
    uint8_t *out = host_range(ctx, ret_count, 4);
    if (events == NULL || out == NULL || host_range(ctx, subs, (uint64_t)count * size) == NULL) {
        return WASI_FAULT;
    }
    if (count <= WAITERS_ON_STACK) {
        struct waiter waiters[WAITERS_ON_STACK];
        struct pollfd fds[WAITERS_ON_STACK];
        struct poll_set set = {.waiters = waiters, .fds = fds};
        return poll_set_run(ctx, w, &set, subs, count, unstable, events, out);
    }
    struct waiter *waiters = wasi_scratch_new(w,
                                              count * (sizeof(*waiters) + sizeof(struct pollfd)));
    if (waiters == NULL) {
        return WASI_NOMEM;
    }
    struct poll_set set = {.waiters = waiters, .fds = (struct pollfd *)(void *)(waiters + count)};
    int32_t result = poll_set_run(ctx, w, &set, subs, count, unstable, events, out);
    wasi_scratch_free(w, waiters);
    return result;
}

int32_t wasi_poll_oneoff(void *ctx, void *env, uint32_t subs, uint32_t events, uint32_t count,
                         uint32_t ret_count)
{
    return poll_oneoff(ctx, env, subs, events, count, false, ret_count);
}

int32_t wasi_unstable_poll_oneoff(void *ctx, void *env, uint32_t subs, uint32_t events,
                                  uint32_t count, uint32_t ret_count)
{
    return poll_oneoff(ctx, env, subs, events, count, true, ret_count);
}
