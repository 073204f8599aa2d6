#include <stdlib.h>

#include "impl.h"

/* What somebody wants of objects. */

struct move {
    struct tier *t; /* NULL: there is none, and what is to be spilled is refused before */
    struct store *s;
    enum tier_move what;
    const char *bucket;
    enum store_keep unpinned; /* what the bucket says */
    bool (*goes_on)(void *arg, const struct tier_moved *moved);
    void *arg;
    struct tier_moved moved;
};

static status_t spill_extent(struct move *m, uint64_t id, struct error *err)
{
    struct store_extent x = {0};
    size_t dropped = 0;
    status_t st = store_extent_get(m->s, id, &x, err);
    buf_done(&x.sums);
    if (st != ST_OK || (x.place & STORE_PLACE_AWAY) != 0) {
        return st;
    }
    if (x.keep == STORE_KEEP_HERE) {
        m->moved.kept++;
        return ST_OK;
    }
    st = tier_send(m->t, id, false, err);
    if (st == ST_OK) {
        st = store_extents_drop(m->s, &id, 1, false, &dropped, err);
    }
    if (st == ST_OK && dropped > 0) {
        m->moved.extents++;
        m->moved.bytes += x.bytes;
        atomic_fetch_add(&m->t->dropped_count, 1);
        atomic_fetch_add(&m->t->dropped_bytes, x.bytes);
    } else if (st == ST_OK) {
        m->moved.kept++;
    }
    return st;
}

static status_t recall_extent(struct move *m, uint64_t id, struct error *err)
{
    struct store_extent x = {0};
    status_t st = store_extent_get(m->s, id, &x, err);
    buf_done(&x.sums);
    if (st != ST_OK || (x.place & STORE_PLACE_AWAY) == 0) {
        return st;
    }
    st = store_extent_recall(m->s, id, err);
    if (st == ST_OK) {
        m->moved.extents++;
        m->moved.bytes += x.bytes;
    }
    return st;
}

static status_t look_for_end(struct move *m, struct error *err)
{
    return m->goes_on == NULL || m->goes_on(m->arg, &m->moved)
               ? ST_OK
               : error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
}

static status_t move_object(struct move *m, const char *key, struct error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    status_t st = ST_OK;
    if (m->what == TIER_PIN || m->what == TIER_UNPIN) {
        st = store_object_keep(m->s, m->bucket, key,
                               m->what == TIER_PIN ? STORE_KEEP_HERE : m->unpinned, err);
    }
    if (st == ST_OK) {
        st = store_object_extents(m->s, m->bucket, key, &ids, &count, err);
    }
    for (size_t i = 0; i < count && st == ST_OK && m->what != TIER_UNPIN; i++) {
        st = m->what == TIER_SPILL ? spill_extent(m, ids[i], err) : recall_extent(m, ids[i], err);
        if (st == ST_NOTFOUND) { /* the object was replaced */
            st = ST_OK;
        }
        if (st == ST_OK) {
            st = look_for_end(m, err);
        }
    }
    free(ids);
    m->moved.objects += st == ST_OK;
    return st;
}

static status_t move_next(void *arg, const char *key, struct error *err)
{
    struct move *m = arg;
    status_t st = move_object(m, key, err);
    return st == ST_OK ? look_for_end(m, err) : st;
}

static status_t move_all(struct move *m, const char *key, bool is_prefix, struct error *err)
{
    status_t st = store_bucket_keep(m->s, m->bucket, &m->unpinned, err);
    if (st == ST_OK) {
        st = is_prefix ? store_each(m->s, m->bucket, key, move_next, m, err)
                       : move_object(m, key, err);
    }
    return st;
}

status_t tier_move(struct tier *t, enum tier_move what, const char *bucket, const char *key,
                   bool is_prefix, bool (*goes_on)(void *arg, const struct tier_moved *moved),
                   void *arg, struct tier_moved *ret_moved, struct error *err)
{
    struct move m = {
        .t = t, .s = t->o.store, .what = what, .bucket = bucket, .goes_on = goes_on, .arg = arg};
    status_t st = move_all(&m, key, is_prefix, err);
    *ret_moved = m.moved;
    return st;
}

status_t tier_move_without(struct store *s, enum tier_move what, const char *bucket,
                           const char *key, bool is_prefix,
                           bool (*goes_on)(void *arg, const struct tier_moved *moved), void *arg,
                           struct tier_moved *ret_moved, struct error *err)
{
    struct move m = {.s = s, .what = what, .bucket = bucket, .goes_on = goes_on, .arg = arg};
    status_t st = what == TIER_SPILL
                      ? error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                                  "the store has no tier (`cloudskin up --tier` gives it one)")
                      : move_all(&m, key, is_prefix, err);
    *ret_moved = m.moved;
    return st;
}
