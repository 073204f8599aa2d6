#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "keys.h"
#include "names.h"
#include "row.h"

static status_t no_upload(struct error *err)
{
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no such upload");
}

status_t upload_find(struct db *db, const struct bucket_ref *bucket, const char *key, uint64_t id,
                     struct buf *attributes, bool *ret_encrypt, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    if (id == 0 || id > INT64_MAX) {
        return no_upload(err);
    }
    status_t st = db_start(db, SQL_UPLOAD_FIND, &statement, err, "iib", id, bucket->id, key,
                           strlen(key));
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && !row) {
        st = no_upload(err);
    }
    if (st == ST_OK && !column_blob(statement, 0, attributes)) {
        st = no_memory(err);
    }
    if (st == ST_OK && ret_encrypt != NULL) {
        *ret_encrypt = db_u64(statement, 1) != 0;
    }
    db_end(statement);
    return st;
}

struct upload_task {
    struct task task;
    const char *bucket;
    const char *key;
    uint64_t id;
    struct buf attributes;
    const struct store_part *parts;
    size_t count;
    bool encrypt;
    const struct store_condition *condition;
    struct store_info info;
};

static status_t begin(struct batch *b, struct task *task, struct error *err)
{
    struct upload_task *t = (struct upload_task *)task;
    struct bucket_ref bucket = {0};
    status_t st = bucket_find(b->db, t->bucket, &bucket, err);
    bool encrypt = t->encrypt || bucket.encrypt || keys_encrypt_all(b->store);
    return st == ST_OK ? db_do(b->db, SQL_UPLOAD_ADD, err, "iibibi", t->id, bucket.id, t->key,
                               strlen(t->key), b->now_ns, t->attributes.data, t->attributes.len,
                               (uint64_t)encrypt)
                       : st;
}

static status_t random_id(uint64_t *ret_id, struct error *err)
{
    uint64_t id = 0;
    while (id == 0) {
        ssize_t n = getrandom(&id, sizeof id, 0);
        if (n < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "random number");
        }
        id = n == (ssize_t)sizeof id ? id & INT64_MAX : 0;
    }
    *ret_id = id;
    return ST_OK;
}

static status_t begin_upload(struct store *s, const char *bucket, const char *key,
                             const struct store_attributes *attributes, bool encrypt,
                             uint64_t *ret_id, struct error *err)
{
    struct upload_task t = {
        .task = {.run = begin}, .bucket = bucket, .key = key, .encrypt = encrypt};
    status_t st = check_key(key, err);
    if (st == ST_OK && encrypt) {
        st = keys_ready(s, err);
    }
    if (st == ST_OK) {
        st = attributes_encode(attributes, &t.attributes, err);
    }
    if (st == ST_OK && (st = random_id(&t.id, err)) == ST_OK) {
        st = store_change(s, &t.task, err);
    }
    if (st == ST_OK) {
        *ret_id = t.id;
    }
    buf_done(&t.attributes);
    return st;
}

status_t store_upload_begin(struct store *s, const char *bucket, const char *key,
                            const struct store_attributes *attributes, uint64_t *ret_id,
                            struct error *err)
{
    return begin_upload(s, bucket, key, attributes, false, ret_id, err);
}

status_t store_upload_begin_encrypted(struct store *s, const char *bucket, const char *key,
                                      const struct store_attributes *attributes, uint64_t *ret_id,
                                      struct error *err)
{
    return begin_upload(s, bucket, key, attributes, true, ret_id, err);
}

/* The layouts of all parts one behind the other. */
static status_t all_layouts(struct batch *b, uint64_t id, struct buf *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(b->db, SQL_PART_LAYOUTS, &statement, err, "i", id);
    while (st == ST_OK && (st = db_next(b->db, statement, &row, err)) == ST_OK && row) {
        if (!column_blob(statement, 0, out)) {
            st = no_memory(err);
        }
    }
    db_end(statement);
    return st;
}

static status_t remove_rows(struct batch *b, uint64_t id, struct error *err)
{
    status_t st = db_do(b->db, SQL_PART_REMOVE_ALL, err, "i", id);
    return st == ST_OK ? db_do(b->db, SQL_UPLOAD_REMOVE, err, "i", id) : st;
}

status_t upload_drop(struct batch *b, uint64_t id, struct error *err)
{
    struct buf layouts = {0};
    status_t st = all_layouts(b, id, &layouts, err);
    if (st == ST_OK) {
        st = layout_drop(b, layouts.data, layouts.len, err);
    }
    buf_done(&layouts);
    return st == ST_OK ? remove_rows(b, id, err) : st;
}

static status_t find_upload(struct batch *b, struct upload_task *t, struct bucket_ref *ret_bucket,
                            struct buf *attributes, struct error *err)
{
    status_t st = bucket_find(b->db, t->bucket, ret_bucket, err);
    return st == ST_OK ? upload_find(b->db, ret_bucket, t->key, t->id, attributes, NULL, err) : st;
}

static status_t abort_upload(struct batch *b, struct task *task, struct error *err)
{
    struct upload_task *t = (struct upload_task *)task;
    struct bucket_ref bucket = {0};
    struct buf attributes = {0};
    status_t st = find_upload(b, t, &bucket, &attributes, err);
    buf_done(&attributes);
    return st == ST_OK ? upload_drop(b, t->id, err) : st;
}

status_t store_upload_abort(struct store *s, const char *bucket, const char *key, uint64_t id,
                            struct error *err)
{
    struct upload_task t = {
        .task = {.run = abort_upload, .frees = true}, .bucket = bucket, .key = key, .id = id};
    return store_change(s, &t.task, err);
}

status_t store_upload_attributes(struct store *s, const char *bucket, const char *key, uint64_t id,
                                 struct arena *arena, struct store_attributes *ret_attributes,
                                 struct error *err)
{
    struct db *db = NULL;
    struct bucket_ref ref = {0};
    struct buf attributes = {0};
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = bucket_find(db, bucket, &ref, err);
    if (st == ST_OK) {
        st = upload_find(db, &ref, key, id, &attributes, NULL, err);
    }
    store_reader_back(s, db);
    if (st == ST_OK) {
        st = attributes_decode(arena, attributes.data, attributes.len, ret_attributes, err);
    }
    buf_done(&attributes);
    return st;
}

/* One part of the new object: its layout goes to row, its MD5 into the MD5 of all. */
static status_t take_part(struct batch *b, struct upload_task *t, size_t i, struct row *row,
                          struct md5 *md5, struct error *err)
{
    const struct store_part *part = &t->parts[i];
    sqlite3_stmt *statement = NULL;
    bool found = false;
    status_t st = db_start(b->db, SQL_PART_FIND, &statement, err, "ii", t->id,
                           (uint64_t)part->number);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &found, err);
    }
    char etag[STORE_ETAG_BYTES] = "";
    uint64_t size = 0;
    if (st == ST_OK && found && sqlite3_column_bytes(statement, 1) == MD5_BYTES) {
        const uint8_t *sum = sqlite3_column_blob(statement, 1);
        size = db_u64(statement, 0);
        etag_make(sum, 0, etag);
        md5_update(md5, sum, MD5_BYTES);
        parts_add(&row->parts, size, sqlite3_column_blob(statement, 3),
                  (size_t)sqlite3_column_bytes(statement, 3));
        st = column_blob(statement, 2, &row->layout) && !row->parts.failed ? ST_OK : no_memory(err);
    }
    db_end(statement);
    if (st == ST_OK && (!found || strcmp(etag, part->info.etag) != 0)) {
        return error_set(err, ST_CHANGED, ERROR_NO_OFFSET, "part %u is not there with this etag",
                         part->number);
    }
    if (st == ST_OK && size < b->store->options.part_min_bytes && i + 1 < t->count) {
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                         "part %u has %llu bytes: at least %llu, except the last", part->number,
                         (unsigned long long)size,
                         (unsigned long long)b->store->options.part_min_bytes);
    }
    row->info.size += size;
    return st;
}

static status_t take_parts(struct batch *b, struct upload_task *t, struct row *row,
                           struct error *err)
{
    uint8_t sum[MD5_BYTES];
    struct md5 md5;
    status_t st = ST_OK;
    md5_init(&md5);
    for (size_t i = 0; i < t->count && st == ST_OK; i++) {
        st = take_part(b, t, i, row, &md5, err);
    }
    if (st != ST_OK) {
        return st;
    }
    if (row->layout.len / PIECE_BYTES > STORE_PIECES_MAX || row->info.size > STORE_OBJECT_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "the parts make an object of %llu bytes in %zu extents",
                         (unsigned long long)row->info.size, row->layout.len / PIECE_BYTES);
    }
    row->info.modified_ns = b->now_ns;
    md5_final(&md5, sum);
    etag_make(sum, t->count, row->info.etag);
    return ST_OK;
}

static status_t complete(struct batch *b, struct task *task, struct error *err)
{
    struct upload_task *t = (struct upload_task *)task;
    struct bucket_ref bucket = {0};
    struct row row = {0}, old = {0};
    status_t st = find_upload(b, t, &bucket, &row.attributes, err);
    if (st == ST_OK) {
        st = row_find(b->db, &bucket, t->key, &old, err);
    }
    if (st == ST_OK) {
        st = row_check(&old, t->key, t->condition, err);
    }
    if (st == ST_OK && t->attributes.len > 0) {
        row.attributes.len = 0;
        buf_bytes(&row.attributes, t->attributes.data, t->attributes.len);
        st = row.attributes.failed ? no_memory(err) : ST_OK;
    }
    if (st == ST_OK) {
        st = take_parts(b, t, &row, err);
    }
    if (st == ST_OK) { /* before the parts that are left out go with the upload */
        st = layout_use(b, &row.layout, err);
    }
    if (st == ST_OK) {
        st = upload_drop(b, t->id, err);
    }
    if (st == ST_OK) {
        st = row_set(b, &bucket, t->key, &row, &old, err);
    }
    t->info = row.info;
    row_done(&row);
    row_done(&old);
    return st;
}

static status_t check_parts(const struct store_part *parts, size_t count, struct error *err)
{
    if (count == 0 || count > STORE_PART_NUMBER_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%zu parts: 1 to %d", count,
                         STORE_PART_NUMBER_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && parts[i].number <= parts[i - 1].number) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "part %u behind part %u",
                             parts[i].number, parts[i - 1].number);
        }
    }
    return ST_OK;
}

status_t store_upload_complete(struct store *s, const char *bucket, const char *key, uint64_t id,
                               const struct store_part *parts, size_t count,
                               const struct store_attributes *attributes,
                               const struct store_condition *condition, struct store_info *ret_info,
                               struct error *err)
{
    struct upload_task t = {.task = {.run = complete},
                            .bucket = bucket,
                            .key = key,
                            .id = id,
                            .parts = parts,
                            .count = count,
                            .condition = condition};
    status_t st = check_parts(parts, count, err);
    if (st == ST_OK && attributes != NULL) {
        st = attributes_encode(attributes, &t.attributes, err);
    }
    if (st == ST_OK) {
        st = store_change(s, &t.task, err);
    }
    buf_done(&t.attributes);
    if (st == ST_OK && ret_info != NULL) {
        *ret_info = t.info;
    }
    return st;
}

static status_t list_parts(struct db *db, uint64_t id, unsigned after, size_t max,
                           struct store_part *parts, size_t *ret_count, bool *ret_more,
                           struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    status_t st = db_start(db, SQL_PART_LIST, &statement, err, "iii", id, (uint64_t)after,
                           (uint64_t)max + 1);
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row && count < max) {
        struct store_part *part = &parts[count++];
        *part = (struct store_part){
            .number = (unsigned)db_u64(statement, 0),
            .info = {.size = db_u64(statement, 1), .modified_ns = db_u64(statement, 2)}};
        if (sqlite3_column_bytes(statement, 3) == MD5_BYTES) {
            etag_make(sqlite3_column_blob(statement, 3), 0, part->info.etag);
        }
        size_t sum_len = (size_t)sqlite3_column_bytes(statement, 4);
        if (sum_len > 0 && sum_len <= STORE_PART_SUM_MAX) {
            memcpy(part->sum, sqlite3_column_blob(statement, 4), sum_len);
            part->sum_len = sum_len;
        }
    }
    db_end(statement);
    *ret_count = count;
    *ret_more = row;
    return st;
}

status_t store_upload_parts(struct store *s, const char *bucket, const char *key, uint64_t id,
                            unsigned after, size_t max, struct store_part **ret_parts,
                            size_t *ret_count, bool *ret_more, struct error *err)
{
    struct db *db = NULL;
    struct buf attributes = {0};
    struct bucket_ref ref = {0};
    size_t room = max < STORE_PART_NUMBER_MAX ? max : STORE_PART_NUMBER_MAX, count = 0;
    bool more = false;
    struct store_part *parts = calloc(room + 1, sizeof *parts);
    if (parts == NULL) {
        return no_memory(err);
    }
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK) {
        st = bucket_find(db, bucket, &ref, err);
        if (st == ST_OK) {
            st = upload_find(db, &ref, key, id, &attributes, NULL, err);
        }
        if (st == ST_OK) {
            st = list_parts(db, id, after, room, parts, &count, &more, err);
        }
        store_reader_back(s, db);
    }
    buf_done(&attributes);
    if (st != ST_OK) {
        free(parts);
        return st;
    }
    *ret_parts = parts;
    *ret_count = count;
    *ret_more = more;
    return ST_OK;
}

struct uploads {
    struct store_uploads uploads; /* first, so that a pointer to it is one to the whole */
    struct arena arena;
};

void store_uploads_free(struct store_uploads *uploads)
{
    if (uploads != NULL) {
        struct uploads *u = (struct uploads *)uploads;
        arena_done(&u->arena);
        free(u->uploads.entries);
        free(u);
    }
}

struct upload_range {
    const char *prefix;
    const char *after_key;
    uint64_t after_id;
    size_t max;
};

static status_t list_uploads(struct db *db, uint64_t bucket, const struct upload_range *range,
                             struct uploads *u, struct error *err)
{
    char end[STORE_KEY_MAX + 1];
    size_t end_len = 0;
    uint64_t limit = range->max + 1;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st;
    if (prefix_end(range->prefix, end, &end_len)) {
        st = db_start(db, SQL_UPLOAD_LIST, &statement, err, "ibibbi", bucket, range->after_key,
                      strlen(range->after_key), range->after_id, range->prefix,
                      strlen(range->prefix), end, end_len, limit);
    } else {
        st = db_start(db, SQL_UPLOAD_LIST, &statement, err, "ibibni", bucket, range->after_key,
                      strlen(range->after_key), range->after_id, range->prefix,
                      strlen(range->prefix), limit);
    }
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row &&
           u->uploads.count < range->max) {
        const char *key = sqlite3_column_blob(statement, 1);
        struct store_upload *entry = &u->uploads.entries[u->uploads.count++];
        entry->id = db_u64(statement, 0);
        entry->created_ns = db_u64(statement, 2);
        entry->key = arena_strndup(&u->arena, key != NULL ? key : "",
                                   (size_t)sqlite3_column_bytes(statement, 1));
        if (entry->key == NULL) {
            st = no_memory(err);
        }
    }
    u->uploads.more = row;
    db_end(statement);
    return st;
}

status_t store_upload_list(struct store *s, const char *bucket, const char *prefix,
                           const char *after_key, uint64_t after_id, size_t max,
                           struct store_uploads **ret_uploads, struct error *err)
{
    struct upload_range range = {.prefix = prefix != NULL ? prefix : "",
                                 .after_key = after_key != NULL ? after_key : "",
                                 .after_id = after_id < INT64_MAX ? after_id : INT64_MAX,
                                 .max = max < STORE_LIST_MAX ? max : STORE_LIST_MAX};
    if (strlen(range.prefix) > STORE_KEY_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a prefix of more than %d bytes",
                         STORE_KEY_MAX);
    }
    struct uploads *u = calloc(1, sizeof *u);
    struct db *db = NULL;
    struct bucket_ref ref = {0};
    if (u == NULL ||
        (u->uploads.entries = calloc(range.max + 1, sizeof *u->uploads.entries)) == NULL) {
        free(u);
        return no_memory(err);
    }
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK) {
        st = bucket_find(db, bucket, &ref, err);
        if (st == ST_OK) {
            st = list_uploads(db, ref.id, &range, u, err);
        }
        store_reader_back(s, db);
    }
    if (st != ST_OK) {
        store_uploads_free(&u->uploads);
        return st;
    }
    *ret_uploads = &u->uploads;
    return ST_OK;
}
