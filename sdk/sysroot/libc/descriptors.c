/* The table between the program's descriptors and the host's (descriptors.h).
 *
 * Invariant: a number that the table says nothing about (NULL) is the host's descriptor of the same number, open or
 * not. A host's descriptor that has another number here is never reached by its own one: the table says CLOSED or
 * something else there. Open files are used again, never freed, so that a call on a descriptor that another thread
 * closes meets an open file, if perhaps one of another kind by then: what the call needs of it, it looks up with the
 * lock held. A call that waits for a pipe counts as a reference to its open file, which stays what it is until the
 * call is over, as natively. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <wasi/libc.h>
#include "descriptors.h"
#include "lock.h"

#define CHUNK 256
#ifdef _REENTRANT
/* Another thread may fill a pipe while the host waits for something else: looked for so often. */
#define SLICE_NS 2000000
#endif

/* Of mman.c, where the program maps files. */
__attribute__((__weak__)) int __mapping_uses(int fd);
__attribute__((__weak__)) void __mapping_moves(int fd, int to);
/* Of pipe.c, where the program makes pipes. */
__attribute__((__weak__)) void __pipe_release(struct open_file *f);
__attribute__((__weak__)) int __pipe_ready(struct open_file *f, int to_write, uint64_t *ret_bytes, int *ret_ended);
/* Of folders.c, where the program goes into folders by descriptor. */
__attribute__((__weak__)) void __folder_copied(int fd, int to);

static struct open_file closed;
#define CLOSED (&closed)

/* Guarded by lock; read without it, since chunks stay where they are. */
static struct open_file **chunks[DESCRIPTORS_MAX / CHUNK];
static struct open_file *unused; /* a list by .in */
static int lowest;               /* no number below it is free */
static uint64_t serial;
#ifdef _REENTRANT
static volatile int lock[1];
#endif

void __descriptors_lock(void)
{
    LOCK(lock);
}

void __descriptors_unlock(void)
{
    UNLOCK(lock);
}

static struct open_file *at(int fd)
{
    if (fd < 0 || fd >= DESCRIPTORS_MAX)
        return CLOSED;
    return chunks[fd / CHUNK] ? chunks[fd / CHUNK][fd % CHUNK] : NULL;
}

static int put(int fd, struct open_file *f)
{
    if (!chunks[fd / CHUNK]) {
        struct open_file **chunk = calloc(CHUNK, sizeof *chunk);

        if (!chunk)
            return -1;
        chunks[fd / CHUNK] = chunk;
    }
    chunks[fd / CHUNK][fd % CHUNK] = f;
    return 0;
}

static int host_has(int number)
{
    __wasi_fdstat_t stat;

    return __host_fd_fdstat_get((__wasi_fd_t)(DESCRIPTOR_HOST | number), &stat) == 0;
}

static int host_grants(int number)
{
    __wasi_prestat_t stat;

    return __wasi_fd_prestat_get((__wasi_fd_t)(DESCRIPTOR_HOST | number), &stat) == 0;
}

static struct open_file *open_file_new(const struct open_file *model)
{
    struct open_file *f = unused;

    if (f)
        unused = (struct open_file *)f->in;
    else
        f = malloc(sizeof *f);
    if (!f)
        return NULL;
    *f = *model;
    f->references = 0;
    if (f->kind != OPEN_HOST)
        f->number = ++serial;
    return f;
}

static void open_file_free(struct open_file *f)
{
    f->kind = OPEN_HOST;
    f->host = -1;
    f->in = (struct pipe *)unused;
    unused = f;
}

/* The open file behind a number, NULL: none. One of the host's gets its entry now. */
static struct open_file *find(int fd, int *ret_error)
{
    struct open_file *f = at(fd);

    *ret_error = EBADF;
    if (f || !host_has(fd))
        return f == CLOSED ? NULL : f;
    *ret_error = ENOMEM;
    f = open_file_new(&(struct open_file){.kind = OPEN_HOST, .host = fd, .kept = host_grants(fd)});
    if (!f)
        return NULL;
    if (put(fd, f) != 0) {
        open_file_free(f);
        return NULL;
    }
    f->references = 1;
    return f;
}

/* The lowest free number from `least` on, -1: none. `own`: what the host opened just now, for which no number is
 * chosen yet. */
static int lowest_free(int least, int own)
{
    int fd, error;

    for (fd = least > lowest ? least : lowest; fd < DESCRIPTORS_MAX; fd++) {
        struct open_file *f = at(fd);

        if (f == CLOSED || (!f && (fd == own || !find(fd, &error))))
            break;
    }
    if (least <= lowest)
        lowest = fd;
    return fd < DESCRIPTORS_MAX ? fd : -1;
}

static void use(void)
{
    __wasilibc_populate_preopens();
    __descriptors_used = 1;
}

int __descriptor_host(int fd)
{
    struct open_file *f = at(fd);

    if (!f)
        return fd;
    return f != CLOSED && f->kind == OPEN_HOST ? f->host : -1;
}

struct open_file *__descriptor_virtual(int fd)
{
    struct open_file *f;

    if (fd & DESCRIPTOR_HOST)
        return NULL;
    f = at(fd);
    return f && f != CLOSED && f->kind != OPEN_HOST ? f : NULL;
}

int __descriptor_is_open(int fd)
{
    struct open_file *f = at(fd);

    return f ? f != CLOSED : host_has(fd);
}

__wasi_errno_t __descriptor_release(struct open_file *f)
{
    __wasi_errno_t error = 0;

    if (--f->references > 0)
        return 0;
    if (f->kind == OPEN_HOST && !f->kept)
        error = __host_fd_close((__wasi_fd_t)(DESCRIPTOR_HOST | f->host));
    else if (f->kind == OPEN_PIPE)
        __pipe_release(f);
    open_file_free(f);
    return error;
}

static __wasi_errno_t close_locked(int fd)
{
    struct open_file *f = at(fd);
    __wasi_errno_t error = 0;

    if (f == CLOSED)
        return __WASI_ERRNO_BADF;
    if (f) {
        put(fd, CLOSED);
        error = __descriptor_release(f);
    } else if (!host_grants(fd)) {
        error = __host_fd_close((__wasi_fd_t)(DESCRIPTOR_HOST | fd));
    } else if (put(fd, CLOSED) != 0) {
        return __WASI_ERRNO_NOMEM;
    }
    if (fd < lowest && error != __WASI_ERRNO_BADF)
        lowest = fd;
    return error;
}

__wasi_errno_t __descriptor_close(int fd)
{
    __wasi_errno_t error;

    LOCK(lock);
    error = close_locked(fd);
    UNLOCK(lock);
    return error;
}

__wasi_errno_t __descriptor_adopt(__wasi_fd_t *fd)
{
    int host = (int)*fd, number;
    struct open_file *f = NULL;

    LOCK(lock);
    number = lowest_free(0, host);
    if (number == host && !at(host)) {
        UNLOCK(lock);
        return 0;
    }
    if (number >= 0)
        f = open_file_new(&(struct open_file){.kind = OPEN_HOST, .host = host});
    if (!f || put(number, f) != 0 || (host < DESCRIPTORS_MAX && !at(host) && put(host, CLOSED) != 0)) {
        __host_fd_close((__wasi_fd_t)(DESCRIPTOR_HOST | host));
        UNLOCK(lock);
        return number < 0 ? __WASI_ERRNO_MFILE : __WASI_ERRNO_NOMEM;
    }
    f->references = 1;
    *fd = (__wasi_fd_t)number;
    UNLOCK(lock);
    return 0;
}

int __descriptor_new(const struct open_file *model)
{
    struct open_file *f = NULL;
    int number;

    use();
    LOCK(lock);
    number = lowest_free(0, -1);
    if (number >= 0)
        f = open_file_new(model);
    if (f && put(number, f) != 0) {
        open_file_free(f);
        f = NULL;
    }
    if (f)
        f->references = 1;
    UNLOCK(lock);
    if (f)
        return number;
    errno = number < 0 ? EMFILE : ENOMEM;
    return -1;
}

int __descriptor_copy(int fd, int least)
{
    struct open_file *f;
    int number = -1, error;

    use();
    LOCK(lock);
    f = find(fd, &error);
    if (f) {
        error = EMFILE;
        number = lowest_free(least, -1);
    }
    if (number >= 0) {
        error = ENOMEM;
        if (put(number, f) != 0)
            number = -1;
        else
            f->references++;
    }
    UNLOCK(lock);
    if (number < 0)
        errno = error;
    else if (__folder_copied)
        __folder_copied(fd, number);
    return number;
}

int __descriptor_copy_to(int fd, int to)
{
    struct open_file *f;
    int error, kept;

    use();
    if (to < 0 || to >= DESCRIPTORS_MAX) {
        errno = EBADF;
        return -1;
    }
    /* A mapping that writes back through `to` goes on with another number. */
    if (fd != to && __mapping_uses && __mapping_uses(to)) {
        kept = __descriptor_copy(to, 3);
        if (kept < 0)
            return -1;
        __mapping_moves(to, kept);
    }
    LOCK(lock);
    f = find(fd, &error);
    if (f && fd != to) {
        f->references++;
        (void)close_locked(to);
        if (put(to, f) != 0) {
            (void)__descriptor_release(f);
            error = ENOMEM;
            f = NULL;
        }
    }
    UNLOCK(lock);
    if (!f) {
        errno = error;
        return -1;
    }
    if (fd != to && __folder_copied)
        __folder_copied(fd, to);
    return to;
}

__wasi_errno_t __descriptor_move(int fd, int to)
{
    if (!__descriptor_is_open(to))
        return __WASI_ERRNO_BADF;
    if (__descriptor_copy_to(fd, to) < 0)
        return (__wasi_errno_t)errno;
    return fd == to ? 0 : __descriptor_close(fd);
}

/* ---- poll_oneoff: the host waits for what it has, what is in memory is looked at. ---- */

struct waiting {
    __wasi_subscription_t *host; /* for the host, with room for one more */
    size_t host_count;
    int has_virtual;
};

static int on_descriptor(const __wasi_subscription_t *s)
{
    return s->u.tag == __WASI_EVENTTYPE_FD_READ || s->u.tag == __WASI_EVENTTYPE_FD_WRITE;
}

static int ready(const __wasi_subscription_t *s, struct open_file *f, __wasi_event_t *ret_event)
{
    int to_write = s->u.tag == __WASI_EVENTTYPE_FD_WRITE, ended = 0, is_ready = 1;
    uint64_t bytes = 1;

    if (f->kind == OPEN_PIPE)
        is_ready = __pipe_ready(f, to_write, &bytes, &ended);
    if (is_ready)
        *ret_event = (__wasi_event_t){
            .userdata = s->userdata,
            .type = s->u.tag,
            .fd_readwrite = {.nbytes = bytes, .flags = ended ? __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP : 0},
        };
    return is_ready;
}

/* Events of what is in memory; the rest goes to w. */
static size_t look(const __wasi_subscription_t *in, size_t n, __wasi_event_t *out, struct waiting *w)
{
    size_t events = 0;

    w->host_count = 0;
    w->has_virtual = 0;
    __descriptors_lock();
    for (size_t i = 0; i < n; i++) {
        __wasi_subscription_t s = in[i];

        if (on_descriptor(&s)) {
            struct open_file *f = __descriptor_virtual((int)s.u.u.fd_read.file_descriptor);

            if (f) {
                w->has_virtual = 1;
                events += (size_t)ready(&s, f, &out[events]);
                continue;
            }
            s.u.u.fd_read.file_descriptor = (__wasi_fd_t)__host_fd(s.u.u.fd_read.file_descriptor);
        }
        w->host[w->host_count++] = s;
    }
    __descriptors_unlock();
    return events;
}

static const char added; /* its address tells the clock that is added */

static void add_clock(struct waiting *w, __wasi_timestamp_t ns)
{
    w->host[w->host_count++] = (__wasi_subscription_t){
        .userdata = (uintptr_t)&added,
        .u.tag = __WASI_EVENTTYPE_CLOCK,
        .u.u.clock = {.id = __WASI_CLOCKID_MONOTONIC, .timeout = ns},
    };
}

/* The host's events behind `events` of ours; the clock that was added is no event. */
static __wasi_errno_t ask_host(struct waiting *w, __wasi_timestamp_t ns, __wasi_event_t *out, size_t events,
                               __wasi_size_t *ret_n)
{
    size_t count = w->host_count;
    __wasi_event_t *found;
    __wasi_size_t got = 0;
    __wasi_errno_t error;

    add_clock(w, ns);
    found = malloc((count + 1) * sizeof *found);
    if (!found)
        return __WASI_ERRNO_NOMEM;
    error = __host_poll_oneoff(w->host, found, count + 1, &got);
    for (size_t i = 0; error == 0 && i < got; i++)
        if (found[i].userdata != (uintptr_t)&added)
            out[events++] = found[i];
    free(found);
    *ret_n = events;
    return error;
}

#ifdef _REENTRANT
/* A time that is waited for in slices has to be one that does not move. */
static void make_absolute(__wasi_subscription_t *subs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        __wasi_subscription_clock_t *clock = &subs[i].u.u.clock;
        __wasi_timestamp_t now;

        if (subs[i].u.tag != __WASI_EVENTTYPE_CLOCK ||
            (clock->flags & __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) ||
            __wasi_clock_time_get(clock->id, 0, &now) != 0)
            continue;
        clock->timeout = now + clock->timeout < now ? UINT64_MAX : now + clock->timeout;
        clock->flags |= __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME;
    }
}

static __wasi_errno_t wait_for(__wasi_subscription_t *subs, size_t n, struct waiting *w, __wasi_event_t *out,
                               __wasi_size_t *ret_n)
{
    __wasi_errno_t error = 0;
    size_t events;

    make_absolute(subs, n);
    do {
        events = look(subs, n, out, w);
        error = ask_host(w, events ? 0 : SLICE_NS, out, events, ret_n);
    } while (error == 0 && *ret_n == 0);
    return error;
}
#else
/* Nothing in memory changes while the only thread waits. */
static __wasi_errno_t wait_for(__wasi_subscription_t *subs, size_t n, struct waiting *w, __wasi_event_t *out,
                               __wasi_size_t *ret_n)
{
    if (w->host_count == 0)
        __builtin_trap();
    return __host_poll_oneoff(w->host, out, w->host_count, ret_n);
}
#endif

__wasi_errno_t __descriptor_poll(const __wasi_subscription_t *in, __wasi_event_t *out, size_t n, __wasi_size_t *ret_n)
{
    struct waiting w = {.host = malloc((n + 1) * sizeof *w.host)};
    __wasi_subscription_t *subs = malloc((n + 1) * sizeof *subs);
    __wasi_errno_t error = __WASI_ERRNO_NOMEM;
    size_t events;

    if (w.host && subs) {
        __builtin_memcpy(subs, in, n * sizeof *subs);
        events = look(subs, n, out, &w);
        if (!w.has_virtual)
            error = __host_poll_oneoff(w.host, out, w.host_count, ret_n);
        else if (events > 0)
            error = ask_host(&w, 0, out, events, ret_n);
        else
            error = wait_for(subs, n, &w, out, ret_n);
    }
    free(w.host);
    free(subs);
    return error;
}
