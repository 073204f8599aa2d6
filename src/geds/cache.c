#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "impl.h"
#include "sys/files.h"

enum { CHAINS = 4096, FETCH_TRIES = 2 };

enum state { LOADING, READY, FAILED };

/* A piece of an extent. All of it is guarded by cache.lock; what its slot has stays while refs is not 0. */
struct piece_entry {
    struct piece_entry *chain;         /* of the same hash */
    struct piece_entry *newer, *older; /* READY ones in order of use */
    uint64_t extent, nonce, number;
    size_t len;
    uint32_t slot;
    enum state state;
    unsigned refs;
    struct error err; /* FAILED */
};

struct cache {
    struct store_tier tier; /* immutable, and so is fd */
    int fd;
    pthread_mutex_t lock; /* guards what follows, and the entries */
    pthread_cond_t loaded;
    struct piece_entry *chains[CHAINS];
    struct piece_entry *newest, *oldest;
    struct ids free_slots;
    uint32_t slot_count;
    uint64_t bytes;
};

/* A file without a name, so that a crash leaves nothing. */
static int open_file(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        fd = openat(folder_fd, "cache", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0 && unlinkat(folder_fd, "cache", 0) != 0) {
            close(fd);
            return -1;
        }
    }
    return fd;
}

status_t cache_new(int folder_fd, const struct store_tier *tier, struct cache **ret_cache,
                   struct error *err)
{
    struct cache *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return no_memory(err);
    }
    c->tier = *tier;
    int code = pthread_mutex_init(&c->lock, NULL);
    if (code == 0 && (code = pthread_cond_init(&c->loaded, NULL)) != 0) {
        pthread_mutex_destroy(&c->lock);
    }
    if (code == 0 && (c->fd = open_file(folder_fd)) < 0) {
        code = errno;
        pthread_cond_destroy(&c->loaded);
        pthread_mutex_destroy(&c->lock);
    }
    if (code != 0) {
        free(c);
        return error_set_errno(err, code, "the cache of the tier");
    }
    *ret_cache = c;
    return ST_OK;
}

void cache_free(struct cache *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < CHAINS; i++) {
        while (c->chains[i] != NULL) {
            struct piece_entry *e = c->chains[i];
            c->chains[i] = e->chain;
            free(e);
        }
    }
    ids_done(&c->free_slots);
    pthread_cond_destroy(&c->loaded);
    pthread_mutex_destroy(&c->lock);
    close(c->fd);
    free(c);
}

uint64_t cache_bytes(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t bytes = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return bytes;
}

static struct piece_entry **find(struct cache *c, const struct store_extent *x, uint64_t number)
{
    struct piece_entry **link = &c->chains[(x->id * 31 + number) % CHAINS];
    while (*link != NULL &&
           ((*link)->extent != x->id || (*link)->nonce != x->nonce || (*link)->number != number)) {
        link = &(*link)->chain;
    }
    return link;
}

static void unlink_used(struct cache *c, struct piece_entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void link_newest(struct cache *c, struct piece_entry *e)
{
    e->older = c->newest;
    e->newer = NULL;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void remove_entry(struct cache *c, struct piece_entry *e)
{
    struct piece_entry **link = &c->chains[(e->extent * 31 + e->number) % CHAINS];
    while (*link != e) {
        link = &(*link)->chain;
    }
    *link = e->chain;
    free(e);
}

/* A READY one that nobody reads goes, with its space. */
static void evict(struct cache *c, struct piece_entry *e)
{
    unlink_used(c, e);
    c->bytes -= e->len;
    /* where holes cannot be made, the next piece in this slot takes the space over */
    int ignored = fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)e->slot * STORE_PIECE_BYTES, STORE_PIECE_BYTES);
    (void)ignored;
    bool kept = ids_add(&c->free_slots, e->slot); /* else the number is lost */
    (void)kept;
    remove_entry(c, e);
}

/* Room for len bytes more, and a slot. */
static uint32_t take_slot(struct cache *c, size_t len)
{
    for (struct piece_entry *e = c->oldest, *newer;
         e != NULL && c->bytes + len > c->tier.cache_bytes; e = newer) {
        newer = e->newer;
        if (e->refs == 0) {
            evict(c, e);
        }
    }
    c->bytes += len;
    return c->free_slots.count > 0 ? (uint32_t)c->free_slots.ids[--c->free_slots.count]
                                   : c->slot_count++;
}

static size_t piece_len(const struct store_extent *x, uint64_t number)
{
    uint64_t left = x->bytes - number * STORE_PIECE_BYTES;
    return left < STORE_PIECE_BYTES ? (size_t)left : STORE_PIECE_BYTES;
}

/* Compared before anybody sees it; once more where bytes were damaged on their way. */
static status_t fetch(struct cache *c, const struct store_extent *x, uint64_t number, uint8_t *data,
                      size_t len, struct error *err)
{
    status_t st = ST_CORRUPT;
    for (int i = 0; i < FETCH_TRIES && st == ST_CORRUPT; i++) {
        st = c->tier.read(c->tier.arg, x, number * STORE_PIECE_BYTES, data, len, err);
        if (st == ST_OK) {
            st = store_extent_compare(x, number * STORE_PIECE_BYTES, data, len, err);
        }
    }
    if (st == ST_CORRUPT && err != NULL) {
        struct error inner = *err;
        error_set(err, st, inner.offset, "in the tier: %s", inner.text);
    }
    if (st == ST_NOTFOUND) {
        st = error_set(err, ST_CORRUPT, number * STORE_PIECE_BYTES,
                       "in the tier: extent %016llx is not there", (unsigned long long)x->id);
    }
    return st;
}

/* Fetch the piece of e, which is LOADING and this thread's, into data. What cannot be kept is handed out
 * nevertheless. */
static status_t load(struct cache *c, struct piece_entry *e, const struct store_extent *x,
                     uint8_t *data, struct error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = fetch(c, x, e->number, data, e->len, &inner);
    bool kept = false;
    pthread_mutex_lock(&c->lock);
    if (st == ST_OK) {
        e->slot = take_slot(c, e->len);
        pthread_mutex_unlock(&c->lock);
        kept = file_write_all_at(c->fd, data, e->len, (uint64_t)e->slot * STORE_PIECE_BYTES) == 0;
        pthread_mutex_lock(&c->lock);
        link_newest(c, e);
        e->state = READY;
        e->refs--;
        if (!kept) {
            e->state = FAILED;
            e->err = (struct error){0}; /* who waits fetches it itself */
        }
    } else {
        e->state = FAILED;
        e->err = inner;
        e->err.code = st;
        e->refs--;
    }
    pthread_cond_broadcast(&c->loaded);
    if (e->state == FAILED && e->refs == 0) {
        if (st == ST_OK) {
            evict(c, e);
        } else {
            remove_entry(c, e);
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (st != ST_OK && err != NULL) {
        *err = inner;
    }
    return st;
}

/* A reference of one that is not LOADING any more ends. */
static void drop(struct cache *c, struct piece_entry *e)
{
    if (--e->refs == 0 && e->state == FAILED) {
        if (e->err.code == ST_OK) {
            evict(c, e);
        } else {
            remove_entry(c, e);
        }
    }
}

/* Read from the file what is READY; anything wrong with it makes it go. */
static status_t read_ready(struct cache *c, struct piece_entry *e, const struct store_extent *x,
                           uint64_t off, void *data, size_t len)
{
    uint64_t at = (uint64_t)e->slot * STORE_PIECE_BYTES + off % STORE_PIECE_BYTES;
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(c->fd, (uint8_t *)data + got, len - got, (off_t)(at + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return ST_IO;
        }
        got += (size_t)n;
    }
    return store_extent_compare(x, off, data, len, NULL);
}

/* *ret_mine: this thread has to load it. The entry has one more reference. NULL: out of memory. */
static struct piece_entry *enter(struct cache *c, const struct store_extent *x, uint64_t number,
                                 bool *ret_mine)
{
    struct piece_entry **link = find(c, x, number), *e = *link;
    *ret_mine = e == NULL;
    if (e == NULL) {
        e = calloc(1, sizeof *e);
        if (e == NULL) {
            return NULL;
        }
        *e = (struct piece_entry){.extent = x->id,
                                  .nonce = x->nonce,
                                  .number = number,
                                  .len = piece_len(x, number),
                                  .state = LOADING};
        *link = e;
    }
    e->refs++;
    return e;
}

static status_t load_and_copy(struct cache *c, struct piece_entry *e, const struct store_extent *x,
                              uint64_t off, void *data, size_t len, struct error *err)
{
    /* e may be another's as soon as it is loaded */
    size_t inside = (size_t)(off % STORE_PIECE_BYTES);
    bool whole = inside == 0 && len == e->len;
    uint8_t *piece = whole ? data : malloc(e->len);
    if (piece == NULL) {
        pthread_mutex_lock(&c->lock);
        e->state = FAILED;
        error_set(&e->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        pthread_cond_broadcast(&c->loaded);
        drop(c, e);
        pthread_mutex_unlock(&c->lock);
        return no_memory(err);
    }
    status_t st = load(c, e, x, piece, err);
    if (st == ST_OK && !whole) {
        memcpy(data, piece + inside, len);
    }
    if (!whole) {
        free(piece);
    }
    return st;
}

static status_t would_wait(bool *waits, uint64_t off, struct error *err)
{
    *waits = true;
    return error_set(err, ST_AGAIN, off, "these bytes have to be waited for");
}

static status_t try_read(struct cache *c, const struct store_extent *x, uint64_t off, void *data,
                         size_t len, bool *ret_hit, bool *ret_again, bool *waits, struct error *err)
{
    bool mine = false;
    status_t st = ST_OK;
    *ret_again = false;
    pthread_mutex_lock(&c->lock);
    if (waits != NULL) {
        const struct piece_entry *there = *find(c, x, off / STORE_PIECE_BYTES);
        if (there == NULL || there->state == LOADING) {
            pthread_mutex_unlock(&c->lock);
            return would_wait(waits, off, err);
        }
    }
    struct piece_entry *e = enter(c, x, off / STORE_PIECE_BYTES, &mine);
    if (e == NULL || mine) {
        pthread_mutex_unlock(&c->lock);
        return e == NULL ? no_memory(err) : load_and_copy(c, e, x, off, data, len, err);
    }
    *ret_hit = e->state == READY;
    while (e->state == LOADING) {
        pthread_cond_wait(&c->loaded, &c->lock);
    }
    if (e->state == READY) {
        unlink_used(c, e);
        link_newest(c, e);
        pthread_mutex_unlock(&c->lock);
        st = read_ready(c, e, x, off, data, len);
        pthread_mutex_lock(&c->lock);
        if (st != ST_OK && e->state == READY) {
            e->state = FAILED; /* it leaves with its last reader */
            e->err = (struct error){0};
        }
        *ret_again = st != ST_OK;
    } else if (e->err.code == ST_OK) {
        *ret_again = true;
    } else {
        st = e->err.code;
        if (err != NULL) {
            *err = e->err;
        }
    }
    drop(c, e);
    pthread_mutex_unlock(&c->lock);
    return st;
}

status_t cache_read(struct cache *c, const struct store_extent *extent, uint64_t off, void *data,
                    size_t len, bool *ret_hit, bool *waits, struct error *err)
{
    bool again = false;
    *ret_hit = false;
    status_t st = try_read(c, extent, off, data, len, ret_hit, &again, waits, err);
    if (!again) {
        return st;
    }
    if (waits != NULL) {
        return would_wait(waits, off, err);
    }
    /* what is in the file is no good: past it */
    *ret_hit = false;
    uint8_t *piece = malloc(STORE_PIECE_BYTES);
    if (piece == NULL) {
        return no_memory(err);
    }
    uint64_t number = off / STORE_PIECE_BYTES;
    st = fetch(c, extent, number, piece, piece_len(extent, number), err);
    if (st == ST_OK) {
        memcpy(data, piece + off % STORE_PIECE_BYTES, len);
    }
    free(piece);
    return st;
}
