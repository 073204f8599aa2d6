#include "geds/scrub/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "geds/copies.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/thread.h"

enum {
    PAGE = 64,       /* extents that are listed at a time */
    PIECE = 1 << 20, /* bytes that are read at a time */
    ALIGNED = 4096,  /* of memory and places, for reads past the page cache */
    NOTE_S = 60,     /* between two notes of the place, in seconds */
    AGAIN_S = 60,    /* behind an error of the store */
    POSITION_BYTES_MAX = 256,
};
#define NS_PER_S 1000000000ULL

/* What the next start needs to know. */
struct position {
    uint64_t after;    /* the last extent that was compared in this pass; 0: none */
    uint64_t next;     /* the one that is being compared, ... */
    uint64_t off;      /* ... which has been up to here */
    uint64_t began_ns; /* realtime; 0: there was no pass yet */
    uint64_t ended_ns; /* of the last one that ended */
    bool under_way;
};

struct scrub {
    struct scrub_options o;
    char path[PATH_MAX];
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop and at */
    pthread_cond_t wake;
    bool stop;
    struct position at; /* written by the thread only */
    _Atomic uint64_t extents, bytes, damaged, without_copy, passes;

    uint8_t *piece; /* the thread's own, and so are: */
    uint64_t due;   /* monotonic: when the next bytes may be read */
    uint64_t noted; /* monotonic */
};

/* ---- the place ---- */

/* Numbers in lines: after, next, off, began, ended; under way is what has no end behind its begin. */
static bool parse_position(char *text, struct position *p)
{
    uint64_t *const numbers[] = {&p->after, &p->next, &p->off, &p->began_ns, &p->ended_ns};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char *end = strchr(text, '\n');
        if (end == NULL) {
            return false;
        }
        *end = '\0';
        if (parse_u64(text, INT64_MAX, numbers[i]) != ST_OK) {
            return false;
        }
        text = end + 1;
    }
    p->under_way = p->began_ns > p->ended_ns;
    return *text == '\0' && p->off % PIECE == 0;
}

static status_t load(struct scrub *s, struct error *err)
{
    struct buf text = {0};
    status_t st = file_read(s->o.path, POSITION_BYTES_MAX, &text, err);
    buf_u8(&text, 0);
    if (st == ST_OK && text.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    } else if (st == ST_OK && !parse_position((char *)text.data, &s->at)) {
        s->at = (struct position){0};
    }
    buf_done(&text);
    return st == ST_NOTFOUND || st == ST_LIMIT ? ST_OK : st;
}

/* Without a sync: what is lost is read once more. */
static void note(struct scrub *s)
{
    char text[POSITION_BYTES_MAX];
    int len = snprintf(text, sizeof text, "%llu\n%llu\n%llu\n%llu\n%llu\n",
                       (unsigned long long)s->at.after, (unsigned long long)s->at.next,
                       (unsigned long long)s->at.off, (unsigned long long)s->at.began_ns,
                       (unsigned long long)s->at.ended_ns);
    status_t ignored = file_write_atomic(s->o.path, text, (size_t)len, 0600, FILE_NO_SYNC, NULL);
    (void)ignored;
    s->noted = clock_monotonic_ns();
}

static void set_position(struct scrub *s, struct position p)
{
    pthread_mutex_lock(&s->lock);
    s->at = p;
    pthread_mutex_unlock(&s->lock);
}

/* ---- waiting ---- */

/* False: it is to stop. */
static bool wait_until(struct scrub *s, uint64_t monotonic_ns)
{
    const struct timespec at = {.tv_sec = (time_t)(monotonic_ns / NS_PER_S),
                                .tv_nsec = (long)(monotonic_ns % NS_PER_S)};
    pthread_mutex_lock(&s->lock);
    while (!s->stop && clock_monotonic_ns() < monotonic_ns) {
        (void)pthread_cond_timedwait(&s->wake, &s->lock, &at);
    }
    bool goes_on = !s->stop;
    pthread_mutex_unlock(&s->lock);
    return goes_on;
}

/* So many bytes have been read. What was not used of the rate is not made up for. */
static void spend(struct scrub *s, size_t len)
{
    uint64_t now = clock_monotonic_ns();
    uint64_t from = s->due > now ? s->due : now;
    s->due = from + (uint64_t)((double)len * (double)NS_PER_S / (double)s->o.bytes_per_s);
}

/* ---- one extent ---- */

static void tell(struct scrub *s, uint64_t id, uint64_t offset, const char *text)
{
    bool has_copy = store_extent_damaged(s->o.store, id);
    atomic_fetch_add(&s->without_copy, !has_copy);
    atomic_fetch_add(&s->damaged, 1);
    if (s->o.damaged != NULL) {
        s->o.damaged(s->o.arg, id, offset, has_copy, text);
    }
}

/* All len bytes, or how many there are; -1. */
static ssize_t read_piece(int fd, uint8_t *data, size_t len, uint64_t off)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, data + done, len - done, (off_t)(off + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? (ssize_t)done : -1;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* From the disk, not from memory, and without filling that: another descriptor of the file. -1: there is none. */
static int open_direct(int fd)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return open(link, O_RDONLY | O_DIRECT | O_CLOEXEC);
}

/* ret_err: what is wrong with these bytes. A read past the cache asks for whole blocks of the disk, beyond the end. */
static bool is_good(struct scrub *s, const struct store_extent *x, int fd, uint64_t off, size_t len,
                    struct error *ret_err)
{
    int direct_fd = open_direct(fd);
    ssize_t got = -1;
    if (direct_fd >= 0) {
        got = read_piece(direct_fd, s->piece, (len + ALIGNED - 1) / ALIGNED * ALIGNED, off);
        close(direct_fd);
    }
    if (got < (ssize_t)len) {
        got = read_piece(fd, s->piece, len, off);
    }
    if (got < 0) {
        *ret_err = (struct error){.offset = off};
        ret_err->code = error_set_errno(ret_err, errno, "it cannot be read");
        return false;
    }
    if (got < (ssize_t)len) {
        ret_err->code = error_set(ret_err, ST_CORRUPT, off + (size_t)got, "its file ends");
        return false;
    }
    return store_extent_compare(x, off, s->piece, len, ret_err) == ST_OK;
}

/* One piece, while which the file is held. What was removed or went to the tier meanwhile is nobody's concern.
 * *ret_len: 0: there are no more. False: it is damaged. */
static bool compare_piece(struct scrub *s, uint64_t id, uint64_t off, size_t *ret_len)
{
    struct store_extent x = {0};
    struct error why = {.offset = ERROR_NO_OFFSET};
    int fd = -1;
    *ret_len = 0;
    status_t st = store_copy_hold(s->o.store, id, &x, &fd, &why);
    if (st == ST_CORRUPT && store_settle(s->o.store, NULL) == ST_OK &&
        (st = store_copy_hold(s->o.store, id, &x, &fd, &why)) == ST_CORRUPT) {
        tell(s, id, UINT64_MAX, why.text);
        return false;
    }
    if (st != ST_OK) {
        return true;
    }
    bool good = true;
    if (off < x.bytes) {
        *ret_len = x.bytes - off < PIECE ? (size_t)(x.bytes - off) : PIECE;
        /* once more, before it is said */
        good = is_good(s, &x, fd, off, *ret_len, &why) || is_good(s, &x, fd, off, *ret_len, &why);
    }
    close(fd);
    buf_done(&x.sums);
    store_extent_release(s->o.store, id);
    if (!good) {
        tell(s, id, why.offset, why.text);
    }
    return good;
}

/* False: it is to stop. */
static bool scrub_extent(struct scrub *s, uint64_t id)
{
    struct position p = s->at;
    p.off = p.next == id ? p.off : 0;
    p.next = id;
    size_t len = PIECE;
    while (len == PIECE) {
        set_position(s, p);
        if (!wait_until(s, s->due)) {
            return false;
        }
        bool good = compare_piece(s, id, p.off, &len);
        spend(s, len);
        atomic_fetch_add(&s->bytes, len);
        p.off += len;
        if (!good) {
            break;
        }
    }
    atomic_fetch_add(&s->extents, 1);
    p.after = id;
    p.off = 0;
    set_position(s, p);
    return true;
}

/* ---- all of them ---- */

/* False: it is to stop. */
static bool pass(struct scrub *s)
{
    uint64_t ids[PAGE];
    size_t count = PAGE;
    if (!s->at.under_way) {
        set_position(s, (struct position){.began_ns = clock_realtime_ns(),
                                          .ended_ns = s->at.ended_ns,
                                          .under_way = true});
        note(s);
    }
    while (count == PAGE) {
        if (store_extents_here(s->o.store, s->at.after, PAGE, ids, &count, NULL) != ST_OK) {
            count = PAGE;
            if (!wait_until(s, clock_monotonic_ns() + AGAIN_S * NS_PER_S)) {
                return false;
            }
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (!scrub_extent(s, ids[i])) {
                return false;
            }
            if (clock_monotonic_ns() - s->noted >= NOTE_S * NS_PER_S) {
                note(s);
            }
        }
        if (!wait_until(s, 0)) {
            return false;
        }
    }
    uint64_t now = clock_realtime_ns(), began = s->at.began_ns;
    set_position(s, (struct position){.began_ns = began, .ended_ns = now > began ? now : began});
    note(s);
    atomic_fetch_add(&s->passes, 1);
    return true;
}

/* A clock that was set back must not keep it for years. */
static uint64_t time_to_next(const struct scrub *s)
{
    uint64_t now = clock_realtime_ns(), age = now - s->at.began_ns;
    return s->at.under_way || s->at.began_ns == 0 || now < s->at.began_ns || age > s->o.every_ns
               ? 0
               : s->o.every_ns - age;
}

static void *run(void *arg)
{
    struct scrub *s = arg;
    while (wait_until(s, clock_monotonic_ns() + time_to_next(s)) && pass(s)) {
    }
    note(s);
    return NULL;
}

/* ---- life ---- */

static void scrub_free(struct scrub *s)
{
    free(s->piece);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s);
}

status_t scrub_start(const struct scrub_options *o, struct scrub **ret_scrub, struct error *err)
{
    struct scrub *s = calloc(1, sizeof *s);
    if (s == NULL || thread_cond_init(&s->wake) != 0) {
        free(s);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    pthread_mutex_init(&s->lock, NULL);
    s->o = *o;
    s->o.path = s->path;
    s->piece = aligned_alloc(ALIGNED, PIECE);
    s->noted = clock_monotonic_ns();
    status_t st = ST_OK;
    if (s->piece == NULL) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    } else if (snprintf(s->path, sizeof s->path, "%s", o->path) >= (int)sizeof s->path) {
        st = error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", o->path);
    }
    st = st == ST_OK ? load(s, err) : st;
    int code = st == ST_OK ? thread_start(&s->thread, run, s) : 0;
    if (code != 0) {
        st = error_set_errno(err, code, "thread");
    }
    if (st != ST_OK) {
        scrub_free(s);
        return st;
    }
    *ret_scrub = s;
    return ST_OK;
}

void scrub_status(struct scrub *s, struct scrub_status *ret_status)
{
    pthread_mutex_lock(&s->lock);
    *ret_status = (struct scrub_status){
        .began_ns = s->at.began_ns, .ended_ns = s->at.ended_ns, .bytes_per_s = s->o.bytes_per_s};
    pthread_mutex_unlock(&s->lock);
    ret_status->extents = atomic_load(&s->extents);
    ret_status->bytes = atomic_load(&s->bytes);
    ret_status->damaged = atomic_load(&s->damaged);
    ret_status->without_copy = atomic_load(&s->without_copy);
    ret_status->passes = atomic_load(&s->passes);
}

struct scrub_status scrub_stop(struct scrub *s)
{
    struct scrub_status did = {.extents = 0};
    if (s == NULL) {
        return did;
    }
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    scrub_status(s, &did);
    scrub_free(s);
    return did;
}
