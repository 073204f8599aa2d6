#include <stdlib.h>

#include "object.h"
#include "place.h"

/* What objects and buckets want of their extents. */

struct keep_task {
    struct task task;
    const char *bucket;
    const char *key; /* NULL: of what is written into the bucket */
    enum store_keep keep;
};

static status_t set_layout(struct batch *b, const struct row *row, enum store_keep keep,
                           struct error *err)
{
    struct arena arena = {0};
    struct layout layout = {0};
    status_t st = layout_decode(&arena, row->layout.data, row->layout.len, row->info.size, &layout,
                                err);
    for (size_t i = 0; i < layout.count && st == ST_OK; i++) {
        st = db_do(b->db, SQL_PLACE_KEEP, err, "ii", layout.pieces[i].extent, (uint64_t)keep);
    }
    arena_done(&arena);
    return st;
}

static status_t set_keep(struct batch *b, struct task *task, struct error *err)
{
    struct keep_task *t = (struct keep_task *)task;
    struct bucket_ref bucket = {0};
    struct row row = {0};
    status_t st = bucket_find(b->db, t->bucket, &bucket, err);
    if (st != ST_OK || t->key == NULL) {
        return st == ST_OK ? db_do(b->db, SQL_BUCKET_SPILL, err, "ii", bucket.id, (uint64_t)t->keep)
                           : st;
    }
    st = row_find(b->db, &bucket, t->key, &row, err);
    if (st == ST_OK && !row.found) {
        st = error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no object %s/%.100s", t->bucket, t->key);
    }
    if (st == ST_OK) {
        st = set_layout(b, &row, t->keep, err);
    }
    row_done(&row);
    return st;
}

status_t store_object_keep(struct store *s, const char *bucket, const char *key,
                           enum store_keep keep, struct error *err)
{
    struct keep_task t = {.task = {.run = set_keep}, .bucket = bucket, .key = key, .keep = keep};
    status_t st = check_key(key, err);
    return st == ST_OK ? store_change(s, &t.task, err) : st;
}

status_t store_bucket_set_keep(struct store *s, const char *bucket, enum store_keep keep,
                               struct error *err)
{
    struct keep_task t = {.task = {.run = set_keep}, .bucket = bucket, .keep = keep};
    return store_change(s, &t.task, err);
}

status_t store_bucket_keep(struct store *s, const char *bucket, enum store_keep *ret_keep,
                           struct error *err)
{
    struct bucket_ref ref = {0};
    status_t st = bucket_look(s, bucket, &ref, err);
    if (st == ST_OK) {
        *ret_keep = ref.spill < STORE_KEEP_COUNT ? (enum store_keep)ref.spill
                                                 : STORE_KEEP_UNTIL_FULL;
    }
    return st;
}

status_t store_object_extents(struct store *s, const char *bucket, const char *key,
                              uint64_t **ret_ids, size_t *ret_count, struct error *err)
{
    struct store_object *o = NULL;
    status_t st = store_object_open(s, bucket, key, &o, err);
    if (st != ST_OK) {
        return st;
    }
    const struct layout *layout = object_layout(o);
    size_t count = object_is_inline(o) ? 0 : layout->count;
    uint64_t *ids = malloc((count + 1) * sizeof *ids);
    if (ids == NULL) {
        st = no_memory(err);
    }
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        ids[i] = layout->pieces[i].extent;
    }
    store_object_close(o);
    if (st != ST_OK) {
        return st;
    }
    *ret_ids = ids;
    *ret_count = count;
    return ST_OK;
}
