#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "impl.h"
#include "sys/thread.h"

enum { DROP_AT = 8, DROP_AT_BYTES = 64 << 20 };

/* The file of an extent on its way, compared with its checksums as it is read. */
struct source {
    struct store_extent x;
    int fd;
    bool is_bad; /* they do not match */
};

static status_t read_file(struct source *s, uint64_t off, void *data, size_t len, struct error *err)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(s->fd, (uint8_t *)data + got, len - got, (off_t)(off + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            s->is_bad = true;
            return error_set(err, ST_CORRUPT, off + got, "extent %016llx: byte %llu: %s",
                             (unsigned long long)s->x.id, (unsigned long long)(off + got),
                             n < 0 ? strerror(errno) : "it ends there");
        }
        got += (size_t)n;
    }
    status_t st = store_extent_compare(&s->x, off, data, len, err);
    s->is_bad |= st != ST_OK;
    return st;
}

/* Sums are of whole blocks. */
static status_t read_source(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
    struct source *s = arg;
    uint64_t from = off / STORE_BLOCK_BYTES * STORE_BLOCK_BYTES;
    uint64_t to = (off + len + STORE_BLOCK_BYTES - 1) / STORE_BLOCK_BYTES * STORE_BLOCK_BYTES;
    to = to < s->x.bytes ? to : s->x.bytes;
    if (from == off && to == off + len) {
        return read_file(s, off, data, len, err);
    }
    uint8_t *blocks = malloc((size_t)(to - from));
    if (blocks == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t st = read_file(s, from, blocks, (size_t)(to - from), err);
    if (st == ST_OK) {
        memcpy(data, blocks + (off - from), len);
    }
    free(blocks);
    return st;
}

struct begun {
    struct tier *t;
    uint64_t id;
};

static status_t note_upload(void *arg, const char *upload, struct error *err)
{
    const struct begun *b = arg;
    return store_extent_set_upload(b->t->o.store, b->id, upload, err);
}

static status_t send_bytes(struct tier *t, struct source *s, const char *name, const char *upload,
                           bool gently, struct error *err)
{
    struct begun begun = {.t = t, .id = s->x.id};
    const struct tier_source source = {.size = s->x.bytes, .read = read_source, .arg = s};
    const struct tier_begun note = {.note = note_upload, .arg = &begun};
    char last[STORE_UPLOAD_TEXT_MAX + 1];
    status_t st = ST_OK;
    if (gently && !tier_is_pressed(t) &&
        tier_send_gently(t, name, &source, upload, &note, &st, err)) {
        return st;
    }
    s->is_bad = false;
    st = store_extent_upload(t->o.store, s->x.id, last, err); /* it may have begun one */
    return st == ST_OK
               ? t->remote.send(t->remote.arg, name, &source, last, note_upload, &begun, err)
               : st;
}

/* Put it there, and ask what the tier has got. */
static status_t put(struct tier *t, struct source *s, bool gently, struct error *err)
{
    char name[TIER_NAME_BYTES], upload[STORE_UPLOAD_TEXT_MAX + 1];
    uint64_t size = 0;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    tier_name(t, s->x.id, s->x.nonce, name);
    status_t st = store_extent_upload(t->o.store, s->x.id, upload, err);
    if (st != ST_OK) {
        return st;
    }
    st = send_bytes(t, s, name, upload, gently, &inner);
    if (st == ST_OK) {
        st = t->remote.size(t->remote.arg, name, &size, &inner);
        if (st == ST_NOTFOUND || (st == ST_OK && size != s->x.bytes)) {
            st = error_set(&inner, ST_IO, ERROR_NO_OFFSET,
                           "the tier took extent %016llx of %llu bytes, and has %llu",
                           (unsigned long long)s->x.id, (unsigned long long)s->x.bytes,
                           (unsigned long long)size);
        }
    }
    if (st == ST_CORRUPT && !s->is_bad) { /* on the way, or there: the local bytes are good */
        st = inner.code = ST_IO;
    }
    tier_note(t, st, &inner);
    return st == ST_OK ? ST_OK : error_set(err, st, inner.offset, "%s", inner.text);
}

/* Is the copy that the row tells of still there? It may have been deleted by somebody, or the tier is another one. */
static status_t look_at_copy(struct tier *t, const struct store_extent *x, bool *ret_there,
                             struct error *err)
{
    char name[TIER_NAME_BYTES];
    uint64_t size = 0;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    tier_name(t, x->id, x->nonce, name);
    status_t st = t->remote.size(t->remote.arg, name, &size, &inner);
    tier_note(t, st, &inner);
    *ret_there = st == ST_OK && size == x->bytes;
    if (st != ST_OK && st != ST_NOTFOUND) {
        return error_set(err, st, inner.offset, "%s", inner.text);
    }
    return *ret_there ? ST_OK : store_extent_unsent(t->o.store, x, err);
}

static status_t send_held(struct tier *t, uint64_t id, bool gently, struct error *err)
{
    struct source s = {.fd = -1};
    status_t st = store_extent_hold(t->o.store, id, &s.x, &s.fd, err);
    if (st != ST_OK) {
        return st;
    }
    bool there = false;
    if ((s.x.place & STORE_PLACE_REMOTE) != 0) {
        st = look_at_copy(t, &s.x, &there, err);
    }
    bool needed = !there;
    if (st == ST_OK && needed) {
        st = put(t, &s, gently, err);
    }
    if (st == ST_OK && needed) {
        st = store_extent_sent(t->o.store, &s.x, err);
    }
    if (st == ST_OK && needed) {
        atomic_fetch_add(&t->sent_count, 1);
        atomic_fetch_add(&t->sent_bytes, s.x.bytes);
    }
    close(s.fd);
    buf_done(&s.x.sums);
    store_extent_release(t->o.store, id);
    return st;
}

status_t tier_send(struct tier *t, uint64_t id, bool gently, struct error *err)
{
    /* one at a time sends an extent, or its multipart upload would be two */
    pthread_mutex_lock(&t->lock);
    while (numbers_have(&t->busy, id) || t->busy.count == BUSY_MAX) {
        pthread_cond_wait(&t->unbusy, &t->lock);
    }
    numbers_add(&t->busy, BUSY_MAX, id);
    pthread_mutex_unlock(&t->lock);
    status_t st = send_held(t, id, gently, err);
    pthread_mutex_lock(&t->lock);
    numbers_take(&t->busy, id);
    bool is_bad = st == ST_CORRUPT && many_add(&t->bad, id);
    pthread_cond_broadcast(&t->unbusy);
    pthread_mutex_unlock(&t->lock);
    if (is_bad && t->o.event != NULL) {
        t->o.event(t->o.arg, "tier.bad", id, err != NULL ? err->text : "");
    }
    return st;
}

/* Some extents, by some threads. */
struct batch {
    struct tier *t;
    const struct store_candidate *list;
    size_t count;
    _Atomic size_t next;
    _Atomic bool failed; /* the tier did */
    bool drop;
    size_t copied;        /* so many at the begin have a copy */
    pthread_mutex_t lock; /* guards the rest */
    uint64_t sent[DROP_AT];
    uint64_t sent_bytes;
    size_t sent_count;
    uint64_t dropped_bytes;
};

/* Some in one change, so that few of them cost a sync each. */
static void drop_some(struct batch *b, const uint64_t *ids, size_t count)
{
    struct tier *t = b->t;
    uint64_t bytes = 0;
    size_t dropped = 0;
    if (count == 0 || store_extents_drop(t->o.store, ids, count, false, &dropped, NULL) != ST_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct store_extent x = {0};
        if (store_extent_get(t->o.store, ids[i], &x, NULL) == ST_OK &&
            (x.place & STORE_PLACE_AWAY) != 0) {
            bytes += x.bytes;
        }
        buf_done(&x.sums);
    }
    atomic_fetch_add(&t->dropped_count, dropped);
    atomic_fetch_add(&t->dropped_bytes, bytes);
    pthread_mutex_lock(&b->lock);
    b->dropped_bytes += bytes;
    pthread_mutex_unlock(&b->lock);
}

/* one: one more, or NULL. Those that wait go when they are several, or large, or all is wanted: a full disk does not
 * wait for the last one of the batch. */
static void drop_waiting(struct batch *b, const struct store_candidate *one, bool all)
{
    uint64_t ids[DROP_AT];
    size_t count = 0;
    pthread_mutex_lock(&b->lock);
    if (one != NULL) {
        b->sent[b->sent_count++] = one->id;
        b->sent_bytes += one->bytes;
    }
    if (all || b->sent_count == DROP_AT || b->sent_bytes >= DROP_AT_BYTES) {
        count = b->sent_count;
        memcpy(ids, b->sent, count * sizeof ids[0]);
        b->sent_count = 0;
        b->sent_bytes = 0;
    }
    pthread_mutex_unlock(&b->lock);
    drop_some(b, ids, count);
}

static void *send_some(void *arg)
{
    struct batch *b = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&b->next, 1);
        struct error err = {.offset = ERROR_NO_OFFSET};
        if (i >= b->count || atomic_load(&b->failed) || atomic_load(&b->t->stopping)) {
            return NULL;
        }
        if (i == b->copied) { /* the first that may take long */
            drop_waiting(b, NULL, true);
        }
        status_t st = tier_send(b->t, b->list[i].id, b->drop, &err);
        if (st == ST_OK && b->drop) {
            drop_waiting(b, &b->list[i], false);
        }
        if (st != ST_OK && st != ST_NOTFOUND && st != ST_CORRUPT) {
            atomic_store(&b->failed, true);
        }
    }
}

/* Those that have a copy first: they only have to go. How many they are. */
static size_t copied_first(struct tier *t, const struct store_candidate *list, size_t count,
                           struct store_candidate ret_list[ROUND_MAX])
{
    bool copied[ROUND_MAX];
    size_t to = 0, copied_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct store_extent x = {0};
        copied[i] = store_extent_get(t->o.store, list[i].id, &x, NULL) == ST_OK &&
                    (x.place & STORE_PLACE_REMOTE) != 0;
        copied_count += copied[i];
        buf_done(&x.sums);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            if (copied[i] == (pass == 0)) {
                ret_list[to++] = list[i];
            }
        }
    }
    return copied_count;
}

status_t tier_send_all(struct tier *t, const struct store_candidate *list, size_t count, bool drop,
                       uint64_t *ret_dropped_bytes)
{
    struct store_candidate ordered[ROUND_MAX];
    struct batch b = {.t = t,
                      .list = list,
                      .count = count < ROUND_MAX ? count : ROUND_MAX,
                      .drop = drop,
                      .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[SENDERS];
    size_t started = 0;
    if (drop) {
        b.copied = copied_first(t, list, b.count, ordered);
        b.list = ordered;
    }
    while (started + 1 < SENDERS && started + 1 < b.count &&
           thread_start(&threads[started], send_some, &b) == 0) {
        started++;
    }
    send_some(&b);
    for (size_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    drop_waiting(&b, NULL, true);
    *ret_dropped_bytes = b.dropped_bytes;
    pthread_mutex_destroy(&b.lock);
    return atomic_load(&b.failed) ? ST_AGAIN : ST_OK;
}

status_t tier_verify(struct tier *t, const struct store_extent *x, struct error *err)
{
    char name[TIER_NAME_BYTES];
    uint8_t *piece = malloc(STORE_PIECE_BYTES);
    status_t st = piece != NULL ? ST_OK
                                : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    tier_name(t, x->id, x->nonce, name);
    for (uint64_t off = 0; off < x->bytes && st == ST_OK; off += STORE_PIECE_BYTES) {
        size_t n = x->bytes - off < STORE_PIECE_BYTES ? (size_t)(x->bytes - off)
                                                      : STORE_PIECE_BYTES;
        struct error inner = {.offset = ERROR_NO_OFFSET};
        st = t->remote.read(t->remote.arg, name, off, piece, n, &inner);
        tier_note(t, st, &inner);
        if (st != ST_OK) {
            st = error_set(err, st, inner.offset, "%s", inner.text);
        }
        if (st == ST_OK) {
            st = store_extent_compare(x, off, piece, n, err);
        }
    }
    free(piece);
    return st;
}
