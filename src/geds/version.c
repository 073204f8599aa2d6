#include <stdlib.h>

#include "row.h"

/* Versions of an object are rows of `object` (the current one) and of `version` (the others, and markers). Those in
 * `version` are older than the current one; without a current one the newest of them is a marker. */

static status_t count(struct batch *b, uint64_t bucket, bool added, uint64_t bytes,
                      struct error *err)
{
    return db_do(b->db, SQL_BUCKET_VERSION_COUNT, err, "iiiii", bucket, (uint64_t)added,
                 (uint64_t)!added, added ? bytes : (uint64_t)0, added ? (uint64_t)0 : bytes);
}

static status_t add(struct batch *b, const struct bucket_ref *bucket, const char *key,
                    const struct row *row, struct error *err)
{
    status_t st = db_do(b->db, SQL_VERSION_ADD, err, "ibiiiiitbbb", bucket->id, key, strlen(key),
                        row->seq, (uint64_t)row->named, (uint64_t)row->info.marker, row->info.size,
                        row->info.modified_ns, row->info.etag, row->attributes.data,
                        row->attributes.len, row->layout.data, row->layout.len, row->parts.data,
                        row->parts.len);
    return st == ST_OK ? count(b, bucket->id, true, row->info.size, err) : st;
}

/* The row only: its extents keep their uses. */
static status_t take_out(struct batch *b, const struct bucket_ref *bucket, const char *key,
                         const struct row *row, struct error *err)
{
    status_t st = db_do(b->db, SQL_VERSION_REMOVE, err, "ibi", bucket->id, key, strlen(key),
                        row->seq);
    return st == ST_OK ? count(b, bucket->id, false, row->info.size, err) : st;
}

static status_t drop(struct batch *b, const struct bucket_ref *bucket, const char *key,
                     const struct row *row, struct error *err)
{
    status_t st = take_out(b, bucket, key, row, err);
    return st == ST_OK ? layout_drop(b, row->layout.data, row->layout.len, err) : st;
}

status_t version_keep(struct batch *b, const struct bucket_ref *bucket, const char *key,
                      const struct row *old, struct error *err)
{
    return add(b, bucket, key, old, err);
}

static status_t find(struct batch *b, const struct bucket_ref *bucket, const char *key,
                     uint64_t version, struct row *ret_row, bool *ret_current, struct error *err)
{
    return row_find_version(b->db, bucket, key, version, ret_row, ret_current, err);
}

status_t version_drop_null(struct batch *b, const struct bucket_ref *bucket, const char *key,
                           struct error *err)
{
    struct row row = {0};
    bool current = false;
    status_t st = find(b, bucket, key, STORE_VERSION_NULL, &row, &current, err);
    if (st == ST_OK && row.found && !current) {
        st = drop(b, bucket, key, &row, err);
    }
    row_done(&row);
    return st;
}

/* The clock, so that numbers are not used again when the newest version is deleted; a clock that went back does not
 * break the order. */
status_t version_next_seq(struct batch *b, const struct bucket_ref *bucket, const char *key,
                          const struct row *old, uint64_t *ret_seq, struct error *err)
{
    struct row row = {0};
    bool current = false;
    uint64_t seq = old->seq;
    status_t st = ST_OK;
    if (!old->found) {
        st = find(b, bucket, key, STORE_VERSION_NEWEST, &row, &current, err);
        seq = st == ST_OK && row.found ? row.seq : 0;
        row_done(&row);
    }
    *ret_seq = b->now_ns > seq ? b->now_ns : seq + 1;
    return st;
}

static status_t add_marker(struct batch *b, const struct bucket_ref *bucket, const char *key,
                           uint64_t seq, struct store_removal *ret_removal, struct error *err)
{
    struct row row = {.info = {.modified_ns = b->now_ns, .marker = true},
                      .seq = seq,
                      .named = bucket->versioning == STORE_VERSIONING_ON};
    status_t st = attributes_encode(NULL, &row.attributes, err);
    if (st == ST_OK) {
        st = add(b, bucket, key, &row, err);
    }
    ret_removal->marker = true;
    ret_removal->removed = row.named ? seq : STORE_VERSION_NULL;
    row_done(&row);
    return st;
}

status_t version_delete_current(struct batch *b, const struct bucket_ref *bucket, const char *key,
                                const struct row *old, struct store_removal *ret_removal,
                                struct error *err)
{
    uint64_t seq = 0;
    ret_removal->versioned = bucket->versioning != STORE_VERSIONING_OFF;
    if (!ret_removal->versioned) {
        return old->found ? row_remove(b, bucket, key, old, err)
                          : error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no object %.100s", key);
    }
    struct row bare = *old; /* what is kept keeps its extents */
    bool keep = bucket->versioning == STORE_VERSIONING_ON || old->named;
    status_t st = version_next_seq(b, bucket, key, old, &seq, err);
    if (st == ST_OK && bucket->versioning == STORE_VERSIONING_SUSPENDED) {
        st = version_drop_null(b, bucket, key, err);
    }
    if (keep) {
        bare.layout = (struct buf){0};
    }
    if (st == ST_OK && old->found && keep) {
        st = version_keep(b, bucket, key, old, err);
    }
    if (st == ST_OK && old->found) {
        st = row_remove(b, bucket, key, &bare, err);
    }
    return st == ST_OK ? add_marker(b, bucket, key, seq, ret_removal, err) : st;
}

/* With no current version the newest one is, unless it is a marker. */
static status_t uncover(struct batch *b, const struct bucket_ref *bucket, const char *key,
                        struct error *err)
{
    struct row row = {0};
    bool current = false;
    status_t st = find(b, bucket, key, STORE_VERSION_NEWEST, &row, &current, err);
    if (st == ST_OK && row.found && !current && !row.info.marker) {
        st = take_out(b, bucket, key, &row, err);
        if (st == ST_OK) {
            st = row_write(b, bucket, key, &row, false, 0, err);
        }
    }
    row_done(&row);
    return st;
}

static status_t remove_version(struct batch *b, const struct bucket_ref *bucket,
                               struct store_removal *item, struct error *err)
{
    struct row row = {0};
    bool current = false;
    size_t mark = b->changes.count;
    status_t st = find(b, bucket, item->key, item->version, &row, &current, err);
    item->versioned = bucket->versioning != STORE_VERSIONING_OFF;
    item->removed = row.info.version;
    item->marker = row.info.marker;
    if (st == ST_OK) {
        item->status = row_check(&row, item->key, item->condition, err);
        if (item->status == ST_OK && !row.found) {
            item->status = ST_NOTFOUND;
        }
    }
    if (st == ST_OK && item->status == ST_OK) {
        st = current ? row_remove(b, bucket, item->key, &row, err)
                     : drop(b, bucket, item->key, &row, err);
        if (st == ST_OK) {
            st = uncover(b, bucket, item->key, err);
        }
        if (st == ST_OK && b->changes.count == mark + 2) { /* gone, and another one is there */
            changes_join(b, mark);
            changes_last(b)->kind = STORE_OVERWRITTEN;
        }
    }
    row_done(&row);
    return st;
}

static status_t remove_name(struct batch *b, const struct bucket_ref *bucket,
                            struct store_removal *item, struct error *err)
{
    struct row row = {0};
    status_t st = row_find(b->db, bucket, item->key, &row, err);
    if (st == ST_OK) {
        item->status = row_check(&row, item->key, item->condition, err);
        if (item->status == ST_OK) {
            st = version_delete_current(b, bucket, item->key, &row, item, err);
            item->status = st == ST_NOTFOUND ? st : ST_OK;
            st = st == ST_NOTFOUND ? ST_OK : st;
        }
    }
    row_done(&row);
    return st;
}

struct removal_task {
    struct task task;
    const char *bucket;
    struct store_removal *items;
    size_t count;
};

/* The conditions' refusals are answers of items; row_check fails otherwise with damaged attributes or without memory
 * only, before anything of its item was changed. */
static status_t remove_items(struct batch *b, struct task *task, struct error *err)
{
    struct removal_task *t = (struct removal_task *)task;
    struct bucket_ref bucket = {0};
    status_t st = bucket_find(b->db, t->bucket, &bucket, err);
    for (size_t i = 0; i < t->count && st == ST_OK; i++) {
        struct store_removal *item = &t->items[i];
        item->versioned = item->marker = false;
        item->removed = STORE_VERSION_NULL;
        item->status = check_key(item->key, NULL);
        if (item->status == ST_OK) {
            size_t mark = b->changes.count;
            st = item->version == STORE_VERSION_CURRENT ? remove_name(b, &bucket, item, err)
                                                        : remove_version(b, &bucket, item, err);
            if (item->expired && b->changes.count > mark &&
                changes_last(b)->kind == STORE_DELETED) {
                changes_last(b)->kind = STORE_EXPIRED;
            }
        }
    }
    return st;
}

status_t store_delete_each(struct store *s, const char *bucket, struct store_removal *items,
                           size_t item_count, struct error *err)
{
    struct removal_task t = {.task = {.run = remove_items, .frees = true},
                             .bucket = bucket,
                             .items = items,
                             .count = item_count};
    return store_change(s, &t.task, err);
}

struct attributes_task {
    struct task task;
    const struct store_name *name;
    uint64_t version;
    const struct store_attribute *pairs;
    size_t count;
    const struct store_condition *condition;
    struct store_info info;
};

/* The old ones without those of the same names, then the new ones that have values. */
static status_t merge(const struct attributes_task *t, const struct row *row, struct buf *out,
                      struct error *err)
{
    struct arena arena = {0};
    struct store_attributes old = {0};
    status_t st = attributes_decode(&arena, row->attributes.data, row->attributes.len, &old, err);
    struct store_attribute *pairs = calloc(old.count + t->count + 1, sizeof *pairs);
    struct store_attributes merged = {.content_type = old.content_type, .pairs = pairs};
    if (pairs == NULL) {
        st = no_memory(err);
    }
    for (size_t i = 0; i < old.count && st == ST_OK; i++) {
        bool replaced = false;
        for (size_t k = 0; k < t->count; k++) {
            replaced = replaced || strcmp(old.pairs[i].name, t->pairs[k].name) == 0;
        }
        if (!replaced) {
            pairs[merged.count++] = old.pairs[i];
        }
    }
    for (size_t k = 0; k < t->count && st == ST_OK; k++) {
        if (t->pairs[k].value != NULL) {
            pairs[merged.count++] = t->pairs[k];
        }
    }
    if (st == ST_OK) {
        st = attributes_encode(&merged, out, err);
    }
    free(pairs);
    arena_done(&arena);
    return st;
}

static status_t change_attributes(struct batch *b, struct task *task, struct error *err)
{
    struct attributes_task *t = (struct attributes_task *)task;
    struct bucket_ref bucket = {0};
    struct row row = {0};
    struct buf attributes = {0};
    const char *key = t->name->key;
    bool current = false;
    status_t st = bucket_find(b->db, t->name->bucket, &bucket, err);
    if (st == ST_OK) {
        st = find(b, &bucket, key, t->version, &row, &current, err);
    }
    if (st == ST_OK && (!row.found || row.info.marker)) {
        st = error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no such version of %.100s", key);
    }
    if (st == ST_OK) {
        st = row_check(&row, key, t->condition, err);
    }
    if (st == ST_OK) {
        st = merge(t, &row, &attributes, err);
    }
    if (st == ST_OK && current) {
        st = db_do(b->db, SQL_OBJECT_ATTRIBUTES, err, "ibb", bucket.id, key, strlen(key),
                   attributes.data, attributes.len);
        if (st == ST_OK) {
            st = change_note(b, STORE_ATTRIBUTES, &bucket, key, &row.info, err);
        }
    } else if (st == ST_OK) {
        st = db_do(b->db, SQL_VERSION_ATTRIBUTES, err, "ibib", bucket.id, key, strlen(key), row.seq,
                   attributes.data, attributes.len);
    }
    t->info = row.info;
    buf_done(&attributes);
    row_done(&row);
    return st;
}

status_t store_change_attributes(struct store *s, const char *bucket, const char *key,
                                 uint64_t version, const struct store_attribute *pairs,
                                 size_t pair_count, const struct store_condition *condition,
                                 struct store_info *ret_info, struct error *err)
{
    struct store_name name = {.bucket = bucket, .key = key};
    struct attributes_task t = {.task = {.run = change_attributes},
                                .name = &name,
                                .version = version,
                                .pairs = pairs,
                                .count = pair_count,
                                .condition = condition};
    status_t st = check_key(key, err);
    if (st == ST_OK) {
        st = store_change(s, &t.task, err);
    }
    if (st == ST_OK && ret_info != NULL) {
        *ret_info = t.info;
    }
    return st;
}
