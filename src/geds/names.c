#include <stdlib.h>

#include "geds/tiers.h"
#include "names.h"
#include "object.h"
#include "sharing.h"
#include "stream.h"
#include "use.h"

struct name_task {
    struct task task;
    const struct store_name *from;
    uint64_t from_version; /* of a copy */
    const struct store_name *to;
    const struct buf *attributes; /* of the copy; NULL: those of the source */
    const struct store_condition *from_condition;
    const struct store_condition *to_condition;
    struct stream
        *stream;   /* the source's bytes encrypted; NULL: its extents are shared, or go along */
    bool encrypts; /* the new object must be: a source that is not needs the stream */
    const struct buf *seen; /* the source's layout, as it was when they were read */
    bool raced;             /* it is another now; nothing was done */
    struct store_info info;
};

enum { TRIES_MAX = 16, COPY_BYTES = 1024 * 1024 };

static status_t no_object(const char *key, struct error *err)
{
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no object %.100s", key);
}

static status_t find_object(struct batch *b, const struct store_name *name,
                            const struct store_condition *condition, struct bucket_ref *ret_bucket,
                            struct row *ret_row, struct error *err)
{
    status_t st = bucket_find(b->db, name->bucket, ret_bucket, err);
    if (st == ST_OK) {
        st = row_find(b->db, ret_bucket, name->key, ret_row, err);
    }
    return st == ST_OK ? row_check(ret_row, name->key, condition, err) : st;
}

static status_t delete_object(struct batch *b, struct task *task, struct error *err)
{
    struct name_task *t = (struct name_task *)task;
    struct bucket_ref bucket = {0};
    struct store_removal removal = {0};
    struct row row = {0};
    status_t st = find_object(b, t->from, t->from_condition, &bucket, &row, err);
    if (st == ST_OK) {
        st = version_delete_current(b, &bucket, t->from->key, &row, &removal, err);
    }
    row_done(&row);
    return st;
}

status_t store_delete(struct store *s, const char *bucket, const char *key,
                      const struct store_condition *condition, struct error *err)
{
    struct store_name name = {.bucket = bucket, .key = key};
    struct name_task t = {
        .task = {.run = delete_object, .frees = true}, .from = &name, .from_condition = condition};
    status_t st = check_key(key, err);
    return st == ST_OK ? store_change(s, &t.task, err) : st;
}

status_t store_delete_many(struct store *s, const char *bucket, const char *const *keys,
                           size_t count, status_t *ret_results, struct error *err)
{
    struct store_removal *items = calloc(count + 1, sizeof *items);
    if (items == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct store_removal){.key = keys[i], .version = STORE_VERSION_CURRENT};
    }
    status_t st = store_delete_each(s, bucket, items, count, err);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        ret_results[i] = items[i].status;
    }
    free(items);
    return st;
}

/* Both ends of a copy or rename; the source must be there. */
static status_t find_both(struct batch *b, const struct name_task *t,
                          struct bucket_ref ret_buckets[2], struct row *ret_from,
                          struct row *ret_to, struct error *err)
{
    status_t st = find_object(b, t->from, t->from_condition, &ret_buckets[0], ret_from, err);
    if (st == ST_OK && !ret_from->found) {
        st = no_object(t->from->key, err);
    }
    return st == ST_OK ? find_object(b, t->to, t->to_condition, &ret_buckets[1], ret_to, err) : st;
}

static status_t find_source(struct batch *b, const struct name_task *t, struct row *ret_row,
                            struct error *err)
{
    struct bucket_ref bucket = {0};
    bool current = false;
    status_t st = bucket_find(b->db, t->from->bucket, &bucket, err);
    if (st == ST_OK) {
        st = row_find_version(b->db, &bucket, t->from->key, t->from_version, ret_row, &current,
                              err);
    }
    if (st == ST_OK) {
        st = row_check(ret_row, t->from->key, t->from_condition, err);
    }
    return st == ST_OK && (!ret_row->found || ret_row->info.marker) ? no_object(t->from->key, err)
                                                                    : st;
}

/* Is the source not the one whose bytes were encrypted, or which was encrypted when it was looked at? */
static bool is_another(struct name_task *t, const struct row *from)
{
    const struct buf *now = &from->layout;
    if (t->stream != NULL) {
        t->raced = now->len != t->seen->len ||
                   (now->len > 0 && memcmp(now->data, t->seen->data, now->len) != 0);
    } else {
        t->raced = t->encrypts && from->info.size > 0 && !from->info.encrypted;
    }
    return t->raced;
}

/* The layout of the new row: what was encrypted, or what the source shares. */
static status_t make_layout(struct batch *b, const struct name_task *t, const struct bucket_ref *to,
                            const struct row *from, struct buf *ret_layout, struct error *err)
{
    if (t->stream == NULL) {
        *ret_layout = from->layout;
        return layout_use(b, &from->layout, err);
    }
    struct layout layout = {.pieces = calloc(t->stream->count + 1, sizeof *layout.pieces)};
    if (layout.pieces == NULL) {
        return no_memory(err);
    }
    t->stream->keep = to->spill;
    t->stream->wants = to->replicas - 1;
    t->stream->memory = uses_bucket(to);
    status_t st = stream_place(t->stream, b, layout.pieces, &layout.count, err);
    if (st == ST_OK) {
        layout_encode(&layout, ret_layout);
        st = ret_layout->failed ? no_memory(err) : ST_OK;
    }
    free(layout.pieces);
    return st;
}

static status_t copy(struct batch *b, struct task *task, struct error *err)
{
    struct name_task *t = (struct name_task *)task;
    struct bucket_ref bucket = {0};
    struct row from = {0}, to = {0};
    status_t st = find_source(b, t, &from, err);
    if (st == ST_OK) {
        st = find_object(b, t->to, t->to_condition, &bucket, &to, err);
    }
    if (st == ST_OK && !is_another(t, &from)) {
        struct row row = from;
        row.layout = (struct buf){0};
        row.info.modified_ns = b->now_ns;
        if (t->attributes != NULL) {
            row.attributes = *t->attributes;
        }
        /* first, so that a copy onto itself keeps them */
        st = make_layout(b, t, &bucket, &from, &row.layout, err);
        if (st == ST_OK) {
            st = row_set(b, &bucket, t->to->key, &row, &to, err);
        }
        t->info = row.info;
        if (t->stream != NULL) {
            buf_done(&row.layout);
        }
    }
    row_done(&from);
    row_done(&to);
    return st;
}

static status_t check_names(const struct store_name *from, const struct store_name *to,
                            struct error *err)
{
    status_t st = check_key(from->key, err);
    return st == ST_OK ? check_key(to->key, err) : st;
}

status_t store_copy(struct store *s, const struct store_name *from, const struct store_name *to,
                    const struct store_attributes *attributes,
                    const struct store_condition *from_condition,
                    const struct store_condition *to_condition, struct store_info *ret_info,
                    struct error *err)
{
    return store_copy_version(s, from, STORE_VERSION_CURRENT, to, attributes, from_condition,
                              to_condition, ret_info, err);
}

/* Bytes of an object that is to be encrypted, through a stream. */
static status_t read_into(struct store_object *o, struct stream *w, struct error *err)
{
    uint8_t *bytes = malloc(COPY_BYTES);
    uint64_t size = store_object_info(o)->size;
    status_t st = bytes != NULL ? ST_OK : no_memory(err);
    for (uint64_t off = 0; off < size && st == ST_OK;) {
        size_t got = 0;
        st = store_object_read(o, bytes, COPY_BYTES, off, &got, err);
        if (st == ST_OK) {
            st = stream_write(w, bytes, got, err);
        }
        off += got;
    }
    free(bytes);
    return st;
}

/* As it was when it was opened. */
static status_t encrypt_object(struct store *s, struct store_object *o, struct stream *w,
                               struct error *err)
{
    uint8_t ignored[MD5_BYTES];
    bool waits = store_object_is_away(o);
    status_t st = waits ? store_wait_begin(s, err) : ST_OK;
    if (st != ST_OK) {
        return st;
    }
    st = stream_encrypt(w, err);
    if (st == ST_OK) {
        st = read_into(o, w, err);
    }
    if (st == ST_OK) {
        st = stream_finish(w, true, ignored, err);
    }
    if (waits) {
        store_wait_end(s);
    }
    return st;
}

static status_t try_change(struct store *s, struct name_task *t, bool encrypt, struct error *err)
{
    struct store_object *o = NULL;
    struct stream stream;
    struct buf seen = {0};
    status_t st = encrypt ? store_version_open(s, t->from->bucket, t->from->key, t->from_version,
                                               &o, err)
                          : ST_OK;
    encrypt = st == ST_OK && o != NULL && !store_object_info(o)->encrypted &&
              store_object_info(o)->size > 0;
    if (st == ST_OK && encrypt) {
        st = stream_init(&stream, s, err);
        if (st == ST_OK) {
            st = encrypt_object(s, o, &stream, err);
        }
        layout_encode(object_layout(o), &seen);
        st = st == ST_OK && seen.failed ? no_memory(err) : st;
    }
    t->stream = encrypt ? &stream : NULL;
    t->seen = &seen;
    t->raced = false;
    if (st == ST_OK) {
        st = store_change(s, &t->task, err);
    }
    store_object_close(o);
    if (encrypt) {
        stream_done(&stream, (st == ST_OK && !t->raced) || atomic_load(&s->broken));
    }
    buf_done(&seen);
    return st;
}

/* Bytes that come into a bucket of encrypted ones are encrypted before; a source that changes meanwhile is read
 * again. */
static status_t change_names(struct store *s, struct name_task *t, bool encrypt, struct error *err)
{
    status_t st = ST_OK;
    t->raced = true;
    t->encrypts = encrypt;
    for (unsigned i = 0; i < TRIES_MAX && st == ST_OK && t->raced; i++) {
        st = try_change(s, t, encrypt, err);
    }
    return st == ST_OK && t->raced ? error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                                               "%.100s changes all the time", t->from->key)
                                   : st;
}

/* The change says what is missing. */
static status_t is_encrypting(struct store *s, const char *bucket, bool *ret_is, struct error *err)
{
    status_t st = store_bucket_encrypt(s, bucket, ret_is, err);
    return st == ST_NOTFOUND ? ST_OK : st;
}

static status_t copy_object(struct store *s, struct name_task *t,
                            const struct store_attributes *attributes, bool encrypt,
                            struct store_info *ret_info, struct error *err)
{
    struct buf encoded = {0};
    status_t st = check_names(t->from, t->to, err);
    if (st == ST_OK && attributes != NULL) {
        st = attributes_encode(attributes, &encoded, err);
        t->attributes = &encoded;
    }
    if (st == ST_OK && !encrypt) {
        st = is_encrypting(s, t->to->bucket, &encrypt, err);
    }
    if (st == ST_OK) {
        st = change_names(s, t, encrypt, err);
    }
    if (st == ST_OK && ret_info != NULL) {
        *ret_info = t->info;
    }
    buf_done(&encoded);
    return st;
}

status_t store_copy_version(struct store *s, const struct store_name *from, uint64_t version,
                            const struct store_name *to, const struct store_attributes *attributes,
                            const struct store_condition *from_condition,
                            const struct store_condition *to_condition, struct store_info *ret_info,
                            struct error *err)
{
    struct name_task t = {.task = {.run = copy},
                          .from = from,
                          .from_version = version,
                          .to = to,
                          .from_condition = from_condition,
                          .to_condition = to_condition};
    return copy_object(s, &t, attributes, false, ret_info, err);
}

status_t store_copy_encrypted(struct store *s, const struct store_name *from, uint64_t version,
                              const struct store_name *to,
                              const struct store_attributes *attributes,
                              const struct store_condition *from_condition,
                              const struct store_condition *to_condition,
                              struct store_info *ret_info, struct error *err)
{
    struct name_task t = {.task = {.run = copy},
                          .from = from,
                          .from_version = version,
                          .to = to,
                          .from_condition = from_condition,
                          .to_condition = to_condition};
    return copy_object(s, &t, attributes, true, ret_info, err);
}

/* The name goes, the bytes stay with what has them: a version of it, or the new name. */
static status_t move_row(struct batch *b, const struct name_task *t,
                         const struct bucket_ref buckets[2], struct row *from, const struct row *to,
                         struct error *err)
{
    struct row row = *from;
    status_t st = ST_OK;
    row.layout = (struct buf){0};
    if (t->stream != NULL || buckets[0].versioning != STORE_VERSIONING_OFF) {
        st = make_layout(b, t, &buckets[1], from, &row.layout, err);
    } else {
        row.layout = from->layout; /* the extents go along: none of them loses its use */
    }
    if (st == ST_OK && buckets[0].versioning != STORE_VERSIONING_OFF) {
        struct store_removal removal = {0};
        st = version_delete_current(b, &buckets[0], t->from->key, from, &removal, err);
    } else if (st == ST_OK) {
        struct row bare = *from;
        bare.layout = t->stream != NULL ? from->layout : (struct buf){0};
        st = row_remove(b, &buckets[0], t->from->key, &bare, err);
    }
    if (st == ST_OK) {
        st = row_set(b, &buckets[1], t->to->key, &row, to, err);
    }
    if (t->stream != NULL) {
        buf_done(&row.layout);
    }
    return st;
}

static status_t rename_object(struct batch *b, struct task *task, struct error *err)
{
    struct name_task *t = (struct name_task *)task;
    struct bucket_ref buckets[2] = {0};
    struct row from = {0}, to = {0};
    status_t st = find_both(b, t, buckets, &from, &to, err);
    bool same = buckets[0].id == buckets[1].id && strcmp(t->from->key, t->to->key) == 0;
    size_t mark = b->changes.count;
    if (st == ST_OK && !same && !is_another(t, &from)) {
        st = move_row(b, t, buckets, &from, &to, err);
        if (st == ST_OK) { /* one change for both names */
            changes_join(b, mark);
            struct store_event *e = changes_last(b);
            e->kind = STORE_RENAMED;
            e->from_bucket = t->from->bucket;
            e->from_key = t->from->key;
        }
    }
    row_done(&from);
    row_done(&to);
    return st;
}

status_t store_rename(struct store *s, const struct store_name *from, const struct store_name *to,
                      const struct store_condition *to_condition, struct error *err)
{
    struct name_task t = {.task = {.run = rename_object},
                          .from = from,
                          .from_version = STORE_VERSION_CURRENT,
                          .to = to,
                          .to_condition = to_condition};
    bool encrypt = false;
    status_t st = check_names(from, to, err);
    /* within a bucket, what is there stays as it is */
    if (st == ST_OK && strcmp(from->bucket, to->bucket) != 0) {
        st = is_encrypting(s, to->bucket, &encrypt, err);
    }
    return st == ST_OK ? change_names(s, &t, encrypt, err) : st;
}

size_t common_len(const char *prefix, const char *delimiter, const char *key, size_t len)
{
    size_t prefix_len = strlen(prefix), delimiter_len = strlen(delimiter);
    if (delimiter_len == 0 || len < prefix_len + delimiter_len) {
        return 0;
    }
    const char *found = memmem(key + prefix_len, len - prefix_len, delimiter, delimiter_len);
    return found == NULL ? 0 : (size_t)(found - key) + delimiter_len;
}

bool prefix_end(const char *prefix, char ret_end[STORE_KEY_MAX + 1], size_t *ret_len)
{
    size_t len = strnlen(prefix, STORE_KEY_MAX);
    memcpy(ret_end, prefix, len);
    while (len > 0 && (uint8_t)ret_end[len - 1] == 0xff) {
        len--;
    }
    if (len == 0) {
        return false;
    }
    ret_end[len - 1] = (char)((uint8_t)ret_end[len - 1] + 1);
    *ret_len = len;
    return true;
}

struct prefix_task {
    struct task task;
    const char *bucket;
    const char *from;
    const char *to;
    uint64_t count;
};

static status_t start_range(struct db *db, enum sql which, sqlite3_stmt **ret_statement,
                            uint64_t bucket, const char *from, const char *end, size_t end_len,
                            const char *to, struct error *err)
{
    const char *fmt = end != NULL ? "ibb" : "ibn";
    if (to == NULL) {
        return db_start(db, which, ret_statement, err, fmt, bucket, from, strlen(from), end,
                        end_len);
    }
    if (end == NULL) {
        return db_start(db, which, ret_statement, err, "ibnb", bucket, from, strlen(from), to,
                        strlen(to));
    }
    return db_start(db, which, ret_statement, err, "ibbb", bucket, from, strlen(from), end, end_len,
                    to, strlen(to));
}

/* What the new keys would be, before anything is changed. */
static status_t check_prefix(struct batch *b, struct prefix_task *t, uint64_t bucket,
                             const char *end, size_t end_len, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    uint64_t shortest = 0, longest = 0, bytes = 0;
    status_t st = start_range(b->db, SQL_PREFIX_LIMITS, &statement, bucket, t->from, end, end_len,
                              NULL, err);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &row, err);
    }
    if (st == ST_OK) {
        t->count = db_u64(statement, 0);
        shortest = db_u64(statement, 1);
        longest = db_u64(statement, 2);
        bytes = db_u64(statement, 3);
    }
    db_end(statement);
    if (st == ST_OK && t->count == 0) {
        st = error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no object begins with %.100s", t->from);
    }
    size_t from_len = strlen(t->from), to_len = strlen(t->to);
    if (st == ST_OK &&
        (shortest - from_len + to_len == 0 || longest - from_len + to_len > STORE_KEY_MAX)) {
        st = error_set(
            err, ST_INVAL, ERROR_NO_OFFSET, "a key would have %llu bytes: 1 to %d",
            (unsigned long long)((shortest - from_len + to_len == 0 ? shortest : longest) -
                                 from_len + to_len),
            STORE_KEY_MAX);
    }
    /* both names of each are in the log; SQLite notes all old ones before it changes any */
    return st == ST_OK ? shared_check_size(b->store,
                                           2 * bytes - t->count * from_len + t->count * to_len, err)
                       : st;
}

static status_t is_taken(struct batch *b, uint64_t bucket, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(b->db, SQL_PREFIX_TAKEN, &statement, err, "i", bucket);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &row, err);
    }
    if (st == ST_OK && row) {
        st = error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%.*s exists already",
                       sqlite3_column_bytes(statement, 0),
                       (const char *)sqlite3_column_blob(statement, 0));
    }
    db_end(statement);
    return st;
}

static status_t move_prefix(struct batch *b, struct prefix_task *t, uint64_t bucket,
                            const char *end, size_t end_len, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = start_range(b->db, SQL_PREFIX_ASIDE, &statement, bucket, t->from, end, end_len,
                              t->to, err);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &row, err);
    }
    db_end(statement);
    if (st == ST_OK) {
        st = is_taken(b, bucket, err);
    }
    return st == ST_OK ? db_do(b->db, SQL_PREFIX_BACK, err, "i", bucket) : st;
}

static status_t rename_prefix(struct batch *b, struct task *task, struct error *err)
{
    struct prefix_task *t = (struct prefix_task *)task;
    struct bucket_ref ref = {0};
    char end[STORE_KEY_MAX + 1];
    size_t end_len = 0;
    const char *limit = prefix_end(t->from, end, &end_len) ? end : NULL;
    status_t st = bucket_find(b->db, t->bucket, &ref, err);
    if (st == ST_OK && ref.versioning != STORE_VERSIONING_OFF) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                       "bucket %s has versions: its prefixes cannot be renamed", t->bucket);
    }
    if (st == ST_OK) {
        st = check_prefix(b, t, ref.id, limit, end_len, err);
    }
    if (st == ST_OK) {
        st = db_do(b->db, SQL_SAVE, err, "");
    }
    if (st != ST_OK) {
        return st;
    }
    st = move_prefix(b, t, ref.id, limit, end_len, err);
    if (st == ST_EXIST) { /* a refusal must leave the batch as it was */
        status_t undone = db_do(b->db, SQL_SAVE_UNDO, err, "");
        if (undone != ST_OK) {
            return undone;
        }
    }
    status_t ended = db_do(b->db, SQL_SAVE_END, st == ST_OK ? err : NULL, "");
    st = st == ST_OK ? ended : st;
    if (st == ST_OK &&
        (st = change_note(b, STORE_RENAMED_PREFIX, &ref, t->to, NULL, err)) == ST_OK) {
        changes_last(b)->from_bucket = t->bucket;
        changes_last(b)->from_key = t->from;
    }
    return st;
}

status_t store_rename_prefix(struct store *s, const char *bucket, const char *from, const char *to,
                             uint64_t *ret_count, struct error *err)
{
    struct prefix_task t = {
        .task = {.run = rename_prefix}, .bucket = bucket, .from = from, .to = to};
    if (strlen(from) > STORE_KEY_MAX || strlen(to) > STORE_KEY_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a prefix of more than %d bytes",
                         STORE_KEY_MAX);
    }
    status_t st = store_change(s, &t.task, err);
    if (st == ST_OK) {
        *ret_count = t.count;
    }
    return st;
}
