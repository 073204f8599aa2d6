#include "geds/memory/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/parse.h"
#include "geds/copies.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "sys/thread.h"

#define NS_PER_S 1000000000ULL
enum {
    CHAINS = 16384,      /* a power of two */
    PIECE = 4 << 20,     /* bytes that are locked at a time */
    NOTE_S = 60,         /* between two notes of what is in memory, in seconds */
    LINE_BYTES_MAX = 64, /* of a note */
    EXTENTS_DEFAULT = 32768,
    EXTENTS_MAX = 1 << 20,
    ASK_MS = 200,          /* between two questions whether a wish goes on */
    OTHERS_LOCK = 1 << 20, /* bytes that others in the process may have locked */
};

enum state {
    WAITS,   /* in the list `waits` */
    COMES,   /* the thread brings it */
    IS_HERE, /* in the list `here`, the one that was used last at its end */
    LEAVES,  /* in the list `leaves`, or the thread unmaps it */
};

/* An extent. */
struct item {
    struct item *next; /* of its chain */
    struct item *before, *behind;
    uint64_t id;
    uint64_t bucket; /* whose rule brought it, or that it was last read through */
    uint64_t bytes;  /* of its mapping; 0: not known yet */
    uint64_t wish;   /* number of the last one that it is part of, or 0 */
    void *at;
    enum state state;
    bool unwanted; /* COMES: it is to leave at once */
    bool damaged;
};
struct list {
    struct item *first, *last;
};

/* A thread that waits for an extent. code: 0: it is here; ECANCELED: it was on its way out; else why it does not come.
 */
struct waiter {
    struct waiter *next;
    uint64_t id;
    bool told;
    int code;
};

struct memory {
    struct memory_options o;
    char path[PATH_MAX];
    size_t page;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake, came;
    struct waiter *waiters;
    uint64_t last_wish;
    bool stop;
    bool note_now; /* what was noted is not to come back */
    bool tell;     /* of the limit */
    struct item *chains[CHAINS];
    struct list waits, here, leaves;
    struct memory_status n; /* extents and bytes: also of what comes or leaves */
    uint64_t noted;         /* monotonic; the thread's own, and so is: */
    bool changed;           /* since then */
};

/* ---- lists ---- */

static struct item **link_of(struct memory *m, uint64_t id)
{
    struct item **link = &m->chains[hash_xxh3(&id, sizeof id) % CHAINS];
    while (*link != NULL && (*link)->id != id) {
        link = &(*link)->next;
    }
    return link;
}

static struct list *list_of(struct memory *m, const struct item *x)
{
    return x->state == WAITS     ? &m->waits
           : x->state == IS_HERE ? &m->here
           : x->state == LEAVES  ? &m->leaves
                                 : NULL;
}

static void append(struct list *l, struct item *x)
{
    x->before = l->last;
    x->behind = NULL;
    *(l->last != NULL ? &l->last->behind : &l->first) = x;
    l->last = x;
}

static void take(struct list *l, struct item *x)
{
    *(x->before != NULL ? &x->before->behind : &l->first) = x->behind;
    *(x->behind != NULL ? &x->behind->before : &l->last) = x->before;
    x->before = x->behind = NULL;
}

/* From where it is to where items of that state are. */
static void set_state(struct memory *m, struct item *x, enum state state)
{
    if (list_of(m, x) != NULL) {
        take(list_of(m, x), x);
    }
    x->state = state;
    if (list_of(m, x) != NULL) {
        append(list_of(m, x), x);
    }
}

static void tell_waiters(struct memory *m, uint64_t id, int code)
{
    for (struct waiter *w = m->waiters; w != NULL; w = w->next) {
        if (w->id == id && !w->told) {
            w->told = true;
            w->code = code;
            pthread_cond_broadcast(&m->came);
        }
    }
}

static void forget(struct memory *m, struct item *x)
{
    tell_waiters(m, x->id, ECANCELED);
    struct item **link = link_of(m, x->id);
    *link = x->next;
    free(x);
}

/* One that is not there is to come. Without memory it comes another time. */
static void want(struct memory *m, uint64_t bucket, uint64_t id, uint64_t bytes)
{
    struct item *x = m->n.waiting < m->o.extents_max && m->n.limit_bytes >= m->page
                         ? calloc(1, sizeof *x)
                         : NULL;
    if (x == NULL) {
        return;
    }
    *x = (struct item){.id = id, .bucket = bucket, .bytes = bytes, .state = WAITS};
    *link_of(m, id) = x;
    append(&m->waits, x);
    m->n.waiting++;
    pthread_cond_signal(&m->wake);
}

/* It leaves, wherever it is. */
static void leave(struct memory *m, struct item *x, bool damaged)
{
    x->damaged |= damaged;
    if (x->state == WAITS) {
        take(&m->waits, x);
        m->n.waiting--;
        forget(m, x);
    } else if (x->state == COMES) {
        x->unwanted = true;
    } else if (x->state == IS_HERE) {
        set_state(m, x, LEAVES);
        m->n.left++;
        pthread_cond_signal(&m->wake);
    }
}

/* ---- hooks of the store ---- */

static void written(void *arg, uint64_t bucket, uint64_t id)
{
    struct memory *m = arg;
    pthread_mutex_lock(&m->lock);
    if (!m->stop && *link_of(m, id) == NULL) {
        want(m, bucket, id, 0);
    }
    pthread_mutex_unlock(&m->lock);
}

static void used(void *arg, uint64_t bucket, uint64_t id, bool reads)
{
    struct memory *m = arg;
    pthread_mutex_lock(&m->lock);
    struct item *x = *link_of(m, id);
    bool is_here = x != NULL && x->state == IS_HERE;
    m->n.memory_reads += reads && is_here;
    m->n.disk_reads += reads && !is_here;
    if (is_here) {
        set_state(m, x, IS_HERE);
        x->bucket = bucket != 0 ? bucket : x->bucket;
    } else if (x == NULL && bucket != 0 && !m->stop) {
        want(m, bucket, id, 0);
    }
    pthread_mutex_unlock(&m->lock);
}

static void gone(void *arg, uint64_t id, bool damaged)
{
    struct memory *m = arg;
    pthread_mutex_lock(&m->lock);
    struct item *x = *link_of(m, id);
    if (x != NULL) {
        leave(m, x, damaged);
    }
    pthread_mutex_unlock(&m->lock);
}

static void unwanted(void *arg, uint64_t bucket)
{
    struct memory *m = arg;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < CHAINS; i++) {
        for (struct item *x = m->chains[i], *next; x != NULL; x = next) {
            next = x->next;
            if (x->bucket == bucket) {
                leave(m, x, false);
            }
        }
    }
    m->note_now = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
}

/* ---- the note ---- */

static void put_lines(const struct list *l, struct buf *text)
{
    for (const struct item *x = l->first; x != NULL; x = x->behind) {
        buf_printf(text, "%llu %llu %llu\n", (unsigned long long)x->id,
                   (unsigned long long)x->bucket, (unsigned long long)x->bytes);
    }
}

/* Lines `EXTENT BUCKET BYTES`, the one that was used last at the end. Without a sync: what is lost comes when it is
 * used. */
static void note(struct memory *m)
{
    struct buf text = {0};
    pthread_mutex_lock(&m->lock);
    put_lines(&m->here, &text);
    put_lines(&m->waits, &text);
    m->note_now = false;
    pthread_mutex_unlock(&m->lock);
    if (!text.failed) {
        status_t ignored = file_write_atomic(m->path, text.len > 0 ? (const void *)text.data : "",
                                             text.len, 0600, FILE_NO_SYNC, NULL);
        (void)ignored;
    }
    buf_done(&text);
    m->noted = clock_monotonic_ns();
    m->changed = false;
}

static bool parse_line(char *line, uint64_t ret_numbers[3])
{
    for (size_t i = 0; i < 3; i++) {
        char *end = i < 2 ? strchr(line, ' ') : NULL;
        if (i < 2 && end == NULL) {
            return false;
        }
        if (end != NULL) {
            *end = '\0';
        }
        if (parse_u64(line, INT64_MAX, &ret_numbers[i]) != ST_OK) {
            return false;
        }
        line = end != NULL ? end + 1 : line;
    }
    return true;
}

/* Of what does not fit any more, what was used last comes. text: len bytes and a NUL. */
static void want_noted(struct memory *m, char *text, size_t len)
{
    uint64_t bytes = 0, numbers[3];
    while (len > 0 && text[len - 1] == '\n' && m->n.waiting < m->o.extents_max) {
        text[len - 1] = '\0';
        const char *before = memrchr(text, '\n', len - 1);
        len = before != NULL ? (size_t)(before - text) + 1 : 0;
        if (!parse_line(text + len, numbers) || numbers[2] > m->o.budget_bytes - bytes) {
            break;
        }
        bytes += numbers[2];
        if (*link_of(m, numbers[0]) == NULL) {
            want(m, numbers[1], numbers[0], numbers[2]);
        }
    }
    /* they were put in the list the other way round */
    struct list turned = {0};
    for (struct item *x; (x = m->waits.last) != NULL;) {
        take(&m->waits, x);
        append(&turned, x);
    }
    m->waits = turned;
}

static status_t load(struct memory *m, struct error *err)
{
    struct buf text = {0};
    status_t st = file_read(m->path, m->o.extents_max * LINE_BYTES_MAX, &text, err);
    buf_u8(&text, 0);
    if (st == ST_OK && text.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    } else if (st == ST_OK) {
        want_noted(m, (char *)text.data, text.len - 1);
    }
    buf_done(&text);
    return st == ST_NOTFOUND || st == ST_LIMIT ? ST_OK : st;
}

/* ---- the thread ---- */

/* The disk may have better bytes than memory: readers are to get these. */
static void drop_pages(struct memory *m, uint64_t id)
{
    struct store_extent x = {0};
    int fd = -1;
    if (store_copy_hold(m->o.store, id, &x, &fd, NULL) == ST_OK) {
        int ignored = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)ignored;
        close(fd);
        buf_done(&x.sums);
        store_extent_release(m->o.store, id);
    }
}

/* In no list. counted: it is one of n.extents. With the lock, which it gives up in between. */
static void unmap(struct memory *m, struct item *x, bool counted)
{
    pthread_mutex_unlock(&m->lock);
    if (x->at != NULL) {
        munmap(x->at, x->bytes);
    }
    pthread_mutex_lock(&m->lock);
    bool damaged = x->damaged;
    uint64_t id = x->id;
    m->n.extents -= counted;
    m->n.bytes -= counted ? x->bytes : 0;
    m->changed = true;
    forget(m, x);
    if (damaged) {
        pthread_mutex_unlock(&m->lock);
        drop_pages(m, id);
        pthread_mutex_lock(&m->lock);
    }
}

static void unmap_leaving(struct memory *m)
{
    for (struct item *x; (x = m->leaves.first) != NULL;) {
        take(&m->leaves, x);
        unmap(m, x, true);
    }
}

/* So that so much more fits. False: it never does. With the lock, which it gives up in between. */
static bool make_room(struct memory *m, uint64_t bytes)
{
    while (bytes <= m->n.limit_bytes &&
           (m->n.bytes > m->n.limit_bytes - bytes || m->n.extents >= m->o.extents_max)) {
        struct item *x = m->leaves.first == NULL ? m->here.first : NULL;
        if (x != NULL) {
            m->n.evicted++;
            m->n.evicted_bytes += x->bytes;
            set_state(m, x, LEAVES);
        } else if (m->leaves.first == NULL) {
            return false;
        }
        unmap_leaving(m);
    }
    return bytes <= m->n.limit_bytes;
}

/* The system did not lock all of the last one, which has so many bytes; code: why. The limit only falls. With the lock.
 * An ENOMEM that is not the limit's is a page that cannot be read. */
static void note_limit(struct memory *m, uint64_t bytes, int code)
{
    struct rlimit lock = {.rlim_cur = RLIM_INFINITY};
    uint64_t left = m->n.bytes - bytes;
    enum memory_limit why = MEMORY_NONE_FREE;
    bool finite = getrlimit(RLIMIT_MEMLOCK, &lock) == 0 && lock.rlim_cur != RLIM_INFINITY;
    if (finite && (code == EPERM || (code == ENOMEM && m->n.bytes + OTHERS_LOCK > lock.rlim_cur))) {
        why = MEMORY_LOCK_LIMIT;
        left = m->n.bytes > lock.rlim_cur ? lock.rlim_cur / m->page * m->page : left;
    } else if (code != EAGAIN) {
        return;
    }
    m->n.limit_bytes = left < m->n.limit_bytes ? left : m->n.limit_bytes;
    if (m->n.limit == MEMORY_NOT_LIMITED) {
        m->n.limit = why;
        m->tell = true;
    }
}

/* While one comes, others leave. */
static bool is_wanted(struct memory *m, const struct item *x)
{
    pthread_mutex_lock(&m->lock);
    unmap_leaving(m);
    bool wanted = !m->stop && !x->unwanted;
    pthread_mutex_unlock(&m->lock);
    return wanted;
}

/* Map its file. It is held for that moment only, so that it can be removed or spilled. 0, or errno. */
static int map_file(struct memory *m, struct item *x)
{
    struct store_extent extent = {0};
    struct stat info;
    int fd = -1, code = ENOENT;
    if (store_copy_hold(m->o.store, x->id, &extent, &fd, NULL) != ST_OK) {
        return code;
    }
    buf_done(&extent.sums);
    if (extent.bytes > 0 && fstat(fd, &info) == 0 && (uint64_t)info.st_size >= extent.bytes) {
        x->bytes = (extent.bytes + m->page - 1) / m->page * m->page;
        void *at = mmap(NULL, x->bytes, PROT_READ, MAP_SHARED, fd, 0);
        code = at != MAP_FAILED ? 0 : errno == ENOMEM ? EAGAIN : errno;
        x->at = at != MAP_FAILED ? at : NULL;
    }
    close(fd);
    store_extent_release(m->o.store, x->id);
    return code;
}

/* Piece by piece. Not mlock(): sanitizers make that do nothing. 0, or errno; ECANCELED: it is not wanted any more. */
static int lock_pages(struct memory *m, struct item *x)
{
    for (uint64_t off = 0; off < x->bytes; off += PIECE) {
        uint8_t *at = (uint8_t *)x->at + off;
        size_t n = x->bytes - off < PIECE ? (size_t)(x->bytes - off) : PIECE;
        if (!is_wanted(m, x)) {
            return ECANCELED;
        }
        int ignored = madvise(at, n, MADV_WILLNEED);
        (void)ignored;
        if (mlock2(at, n, 0) != 0) {
            return errno;
        }
    }
    return 0;
}

/* x is in no list, and COMES. With the lock, which it gives up in between. */
static void bring(struct memory *m, struct item *x)
{
    pthread_mutex_unlock(&m->lock);
    int code = map_file(m, x);
    pthread_mutex_lock(&m->lock);
    bool counted = code == 0 && !x->unwanted && make_room(m, x->bytes);
    if (counted) {
        m->n.extents++;
        m->n.bytes += x->bytes;
        pthread_mutex_unlock(&m->lock);
        code = lock_pages(m, x);
        pthread_mutex_lock(&m->lock);
    }
    if (counted && code == 0 && !x->unwanted) {
        set_state(m, x, IS_HERE);
        m->n.promoted++;
        m->n.promoted_bytes += x->bytes;
        m->changed = true;
        tell_waiters(m, x->id, 0);
        return;
    }
    if (code != 0) {
        note_limit(m, counted ? x->bytes : 0, code);
    }
    tell_waiters(m, x->id, x->unwanted ? ECANCELED : code != 0 ? code : ENOSPC);
    unmap(m, x, counted);
}

static void tell_limit(struct memory *m)
{
    enum memory_limit why = m->n.limit;
    uint64_t bytes = m->n.limit_bytes;
    m->tell = false;
    pthread_mutex_unlock(&m->lock);
    if (m->o.limited != NULL) {
        m->o.limited(m->o.arg, why, bytes);
    }
    pthread_mutex_lock(&m->lock);
}

/* With the lock. */
static void wait_for_work(struct memory *m)
{
    uint64_t until = m->noted + NOTE_S * NS_PER_S;
    const struct timespec at = {.tv_sec = (time_t)(until / NS_PER_S),
                                .tv_nsec = (long)(until % NS_PER_S)};
    if (m->changed) {
        (void)pthread_cond_timedwait(&m->wake, &m->lock, &at);
    } else {
        pthread_cond_wait(&m->wake, &m->lock);
    }
}

/* With the lock, which it gives up in between. */
static void work(struct memory *m)
{
    bool note_due = m->changed && clock_monotonic_ns() - m->noted >= NOTE_S * NS_PER_S;
    struct item *x = NULL;
    unmap_leaving(m);
    if (m->stop) {
        return;
    }
    if (m->note_now || note_due) {
        pthread_mutex_unlock(&m->lock);
        note(m);
        pthread_mutex_lock(&m->lock);
    } else if ((x = m->waits.first) != NULL) {
        m->n.waiting--;
        set_state(m, x, COMES);
        bring(m, x);
    } else {
        wait_for_work(m);
    }
}

static void *run(void *arg)
{
    struct memory *m = arg;
    struct item *x = NULL;
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        work(m);
        if (m->tell) {
            tell_limit(m);
        }
    }
    pthread_mutex_unlock(&m->lock);
    note(m);
    pthread_mutex_lock(&m->lock);
    while ((x = m->waits.first) != NULL) {
        leave(m, x, false);
    }
    while ((x = m->here.first) != NULL) {
        set_state(m, x, LEAVES);
    }
    unmap_leaving(m);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- wishes ---- */

static status_t no_room(const struct memory *m, struct error *err)
{
    return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                     "these do not fit into memory together: it takes %llu bytes, %zu files",
                     (unsigned long long)m->n.limit_bytes, m->o.extents_max);
}

/* One more of a wish, which is counted once. With the lock. */
static status_t take_part(struct memory *m, struct memory_wish *w, struct item *x, uint64_t bytes,
                          struct error *err)
{
    if (x->wish == w->number) {
        return ST_OK;
    }
    uint64_t whole = (bytes + m->page - 1) / m->page * m->page;
    if (whole > m->n.limit_bytes - (w->bytes < m->n.limit_bytes ? w->bytes : m->n.limit_bytes) ||
        w->extents >= m->o.extents_max) {
        return no_room(m, err);
    }
    x->wish = w->number;
    w->extents++;
    w->bytes += whole;
    return ST_OK;
}

/* Until the thread tells of it. With the lock, which it gives up in between. */
static status_t wait_until_told(struct memory *m, const struct memory_wish *wish, uint64_t id,
                                int *ret_code, struct error *err)
{
    struct waiter w = {.next = m->waiters, .id = id};
    bool goes_on = true;
    m->waiters = &w;
    while (!w.told && goes_on && !m->stop) {
        uint64_t until = clock_monotonic_ns() + ASK_MS * (NS_PER_S / 1000);
        const struct timespec at = {.tv_sec = (time_t)(until / NS_PER_S),
                                    .tv_nsec = (long)(until % NS_PER_S)};
        if (pthread_cond_timedwait(&m->came, &m->lock, &at) == ETIMEDOUT) {
            pthread_mutex_unlock(&m->lock);
            goes_on = wish->goes_on == NULL || wish->goes_on(wish->arg);
            pthread_mutex_lock(&m->lock);
        }
    }
    struct waiter **at = &m->waiters;
    while (*at != &w) {
        at = &(*at)->next;
    }
    *at = w.next;
    *ret_code = w.code;
    return w.told ? ST_OK : error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
}

static status_t why_not(struct memory *m, uint64_t id, int code, struct error *err)
{
    switch (code) {
    case 0:
    case ECANCELED:
        return ST_OK;
    case ENOENT:
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "extent %016llx has no local file",
                         (unsigned long long)id);
    case ENOSPC:
    case EPERM:
    case ENOMEM:
    case EAGAIN:
        return no_room(m, err);
    default:
        return error_set_errno(err, code, "extent %016llx", (unsigned long long)id);
    }
}

status_t memory_bring(struct memory *m, struct memory_wish *wish, uint64_t bucket, uint64_t id,
                      uint64_t bytes, bool *ret_came, struct error *err)
{
    status_t st = ST_OK;
    bool came = false;
    int code = ECANCELED;
    pthread_mutex_lock(&m->lock);
    wish->number = wish->number != 0 ? wish->number : ++m->last_wish;
    while (st == ST_OK && code != 0) {
        struct item *x = m->stop ? NULL : *link_of(m, id);
        if (x == NULL && !m->stop) {
            want(m, bucket, id, 0);
            x = *link_of(m, id);
        }
        if (x == NULL) {
            st = m->stop ? error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped") : no_room(m, err);
        } else if ((st = take_part(m, wish, x, bytes, err)) == ST_OK && x->state == IS_HERE) {
            set_state(m, x, IS_HERE);
            x->bucket = bucket;
            code = 0;
        } else if (st == ST_OK) {
            came = true;
            st = wait_until_told(m, wish, id, &code, err);
            st = st == ST_OK ? why_not(m, id, code, err) : st;
        }
    }
    pthread_mutex_unlock(&m->lock);
    if (st == ST_OK) {
        *ret_came = came;
    }
    return st;
}

void memory_send_away(struct memory *m, uint64_t id)
{
    gone(m, id, false);
}

/* ---- life ---- */

/* Each extent is a mapping: half of those that a process may have, for the rest of it has some too. */
static size_t extents_max(void)
{
    struct buf text = {0};
    uint64_t n = 0;
    status_t st = file_read("/proc/sys/vm/max_map_count", LINE_BYTES_MAX, &text, NULL);
    if (st == ST_OK && text.len > 0 && text.data[text.len - 1] == '\n') {
        text.data[text.len - 1] = '\0';
        st = parse_u64((const char *)text.data, INT64_MAX, &n);
    }
    buf_done(&text);
    if (st != ST_OK || n < 2) {
        return EXTENTS_DEFAULT;
    }
    return n / 2 < EXTENTS_MAX ? (size_t)(n / 2) : EXTENTS_MAX;
}

void memory_free(struct memory *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < CHAINS; i++) {
        for (struct item *x = m->chains[i], *next; x != NULL; x = next) {
            next = x->next;
            free(x);
        }
    }
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->wake);
    pthread_cond_destroy(&m->came);
    free(m);
}

status_t memory_start(const struct memory_options *o, struct memory **ret_memory, struct error *err)
{
    struct memory *m = calloc(1, sizeof *m);
    if (m == NULL || thread_cond_init(&m->wake) != 0) {
        free(m);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (thread_cond_init(&m->came) != 0) {
        pthread_cond_destroy(&m->wake);
        free(m);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    pthread_mutex_init(&m->lock, NULL);
    m->o = *o;
    m->o.path = m->path;
    m->o.extents_max = o->extents_max != 0 ? o->extents_max : extents_max();
    m->page = (size_t)sysconf(_SC_PAGESIZE);
    m->n.budget_bytes = m->n.limit_bytes = o->budget_bytes;
    m->noted = clock_monotonic_ns();
    status_t st = snprintf(m->path, sizeof m->path, "%s", o->path) < (int)sizeof m->path
                      ? load(m, err)
                      : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", o->path);
    if (st != ST_OK) {
        memory_free(m);
        return st;
    }
    const struct store_uses uses = {
        .written = written, .used = used, .gone = gone, .unwanted = unwanted, .arg = m};
    store_set_uses(o->store, &uses);
    int code = thread_start(&m->thread, run, m);
    if (code != 0) {
        store_set_uses(o->store, &(struct store_uses){.arg = NULL});
        memory_free(m);
        return error_set_errno(err, code, "thread");
    }
    *ret_memory = m;
    return ST_OK;
}

void memory_status(struct memory *m, struct memory_status *ret_status)
{
    pthread_mutex_lock(&m->lock);
    *ret_status = m->n;
    pthread_mutex_unlock(&m->lock);
}

void memory_stop(struct memory *m)
{
    if (m == NULL) {
        return;
    }
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_cond_broadcast(&m->came);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
}
