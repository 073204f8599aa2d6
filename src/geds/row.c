#include "row.h"

#include "base/cursor.h"

void column_text(sqlite3_stmt *statement, int column, char *ret_text, size_t size)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    snprintf(ret_text, size, "%s", text != NULL ? (const char *)text : "");
}

bool column_blob(sqlite3_stmt *statement, int column, struct buf *out)
{
    const void *data = sqlite3_column_blob(statement, column); /* NULL: empty, or no memory */
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    if (len > 0 && data != NULL) {
        buf_bytes(out, data, len);
    }
    return !out->failed && (len == 0 || data != NULL);
}

void etag_make(const uint8_t md5[MD5_BYTES], uint64_t parts, char ret_etag[STORE_ETAG_BYTES])
{
    size_t at = 0;
    for (size_t i = 0; i < MD5_BYTES; i++) {
        at += (size_t)snprintf(ret_etag + at, STORE_ETAG_BYTES - at, "%02x", md5[i]);
    }
    if (parts > 0) {
        snprintf(ret_etag + at, STORE_ETAG_BYTES - at, "-%llu", (unsigned long long)parts);
    }
}

/* The columns of SQL_OBJECT_FIND and of those that find versions; ret_row->found stays false where there is no row. */
static status_t read_row(struct db *db, sqlite3_stmt *statement, const struct bucket_ref *bucket,
                         struct row *ret_row, struct error *err)
{
    struct row row = {0};
    status_t st = db_next(db, statement, &row.found, err);
    if (st == ST_OK && row.found) {
        row.info.size = db_u64(statement, 0);
        row.info.modified_ns = db_u64(statement, 1);
        column_text(statement, 2, row.info.etag, sizeof row.info.etag);
        row.seq = db_u64(statement, 5);
        row.named = db_u64(statement, 6) != 0;
        row.info.version = row.named ? row.seq : STORE_VERSION_NULL;
        row.info.versioned = bucket->versioning != STORE_VERSIONING_OFF;
        row.info.marker = db_u64(statement, 8) != 0;
        if (!column_blob(statement, 3, &row.attributes) ||
            !column_blob(statement, 4, &row.layout) || !column_blob(statement, 7, &row.parts)) {
            st = no_memory(err);
        }
        row.info.encrypted = layout_is_sealed(&row.layout);
    }
    if (st != ST_OK) {
        row_done(&row);
        return st;
    }
    *ret_row = row;
    return ST_OK;
}

status_t row_find(struct db *db, const struct bucket_ref *bucket, const char *key,
                  struct row *ret_row, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    status_t st = db_start(db, SQL_OBJECT_FIND, &statement, err, "ib", bucket->id, key,
                           strlen(key));
    if (st == ST_OK) {
        st = read_row(db, statement, bucket, ret_row, err);
    }
    db_end(statement);
    ret_row->newest = st == ST_OK && ret_row->found;
    return st;
}

static status_t find_behind(struct db *db, const struct bucket_ref *bucket, const char *key,
                            uint64_t version, struct row *ret_row, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    status_t st;
    if (version == STORE_VERSION_NEWEST || version == STORE_VERSION_NULL) {
        st = db_start(db, version == STORE_VERSION_NULL ? SQL_VERSION_NULL : SQL_VERSION_NEWEST,
                      &statement, err, "ib", bucket->id, key, strlen(key));
    } else {
        st = db_start(db, SQL_VERSION_FIND, &statement, err, "ibi", bucket->id, key, strlen(key),
                      version);
    }
    if (st == ST_OK) {
        st = read_row(db, statement, bucket, ret_row, err);
    }
    db_end(statement);
    return st;
}

/* With no current one, one of those behind is the newest. */
static status_t is_newest(struct db *db, const struct bucket_ref *bucket, const char *key,
                          struct row *row, struct error *err)
{
    struct row newest = {0};
    status_t st = find_behind(db, bucket, key, STORE_VERSION_NEWEST, &newest, err);
    row->newest = st == ST_OK && newest.found && newest.seq == row->seq;
    row_done(&newest);
    return st;
}

status_t row_find_version(struct db *db, const struct bucket_ref *bucket, const char *key,
                          uint64_t version, struct row *ret_row, bool *ret_current,
                          struct error *err)
{
    struct row row = {0};
    status_t st = row_find(db, bucket, key, &row, err);
    *ret_current = st == ST_OK && row.found &&
                   (version == STORE_VERSION_CURRENT || version == STORE_VERSION_NEWEST ||
                    version == row.info.version);
    if (st == ST_OK && !*ret_current && version != STORE_VERSION_CURRENT) {
        bool covered = row.found;
        row_done(&row);
        row = (struct row){0};
        if (version <= INT64_MAX || version == STORE_VERSION_NEWEST) {
            st = find_behind(db, bucket, key, version, &row, err);
        }
        if (st == ST_OK && row.found && !covered) {
            st = is_newest(db, bucket, key, &row, err);
        }
    }
    if (st == ST_OK) {
        *ret_row = row;
    } else {
        row_done(&row);
    }
    return st;
}

void row_done(struct row *row)
{
    buf_done(&row->attributes);
    buf_done(&row->layout);
    buf_done(&row->parts);
}

static status_t ask(const struct row *row, const char *key, const struct store_condition *condition,
                    struct error *err)
{
    struct arena arena = {0};
    struct store_attributes a = {0};
    status_t st = attributes_decode(&arena, row->attributes.data, row->attributes.len, &a, err);
    if (st == ST_OK && !condition->may(condition->arg, &row->info, &a, row->newest)) {
        st = error_set(err, ST_CHANGED, ERROR_NO_OFFSET, "%.100s may not be changed", key);
    }
    arena_done(&arena);
    return st;
}

status_t row_check(const struct row *row, const char *key, const struct store_condition *condition,
                   struct error *err)
{
    if (condition == NULL) {
        return ST_OK;
    }
    if (condition->if_none && row->found) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%.100s exists already", key);
    }
    if (condition->if_match != NULL && !row->found) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no object %.100s", key);
    }
    if (condition->if_match != NULL && strcmp(condition->if_match, "*") != 0 &&
        strcmp(condition->if_match, row->info.etag) != 0) {
        return error_set(err, ST_CHANGED, ERROR_NO_OFFSET, "%.100s has the etag %s", key,
                         row->info.etag);
    }
    return condition->may != NULL && row->found ? ask(row, key, condition, err) : ST_OK;
}

static status_t missing_extent(uint64_t id, struct error *err)
{
    return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "an object names extent %016llx, not there",
                     (unsigned long long)id);
}

status_t layout_use(struct batch *b, const struct buf *layout, struct error *err)
{
    struct cursor c;
    cursor_init(&c, layout->data, layout->len, 0);
    while (cursor_left(&c) >= PIECE_BYTES) {
        uint64_t id = cursor_le64(&c);
        cursor_le64(&c);
        status_t st = db_do(b->db, SQL_EXTENT_USE, err, "i", id);
        if (st != ST_OK) {
            return st;
        }
        if (sqlite3_changes64(b->db->handle) != 1) {
            return missing_extent(id, err);
        }
    }
    return ST_OK;
}

/* The bytes of an inline extent go with its last name: who opened the object has them already. */
static status_t drop_extent(struct batch *b, uint64_t id, struct error *err)
{
    status_t st = db_do(b->db, SQL_EXTENT_DROP_INLINE, err, "i", id);
    if (st != ST_OK || sqlite3_changes64(b->db->handle) == 1) {
        return st;
    }
    sqlite3_stmt *statement = NULL;
    bool row = false, unused = false;
    st = db_start(b->db, SQL_EXTENT_DROP, &statement, err, "i", id);
    if (st == ST_OK) {
        st = db_next(b->db, statement, &row, err);
    }
    if (st == ST_OK && row) {
        unused = db_u64(statement, 0) == 0;
        bool more = false;
        st = db_next(b->db, statement, &more, err);
    }
    db_end(statement);
    if (st == ST_OK && !row) {
        return missing_extent(id, err);
    }
    return st == ST_OK && unused && !ids_add(&b->dropped, id) ? no_memory(err) : st;
}

status_t layout_drop(struct batch *b, const void *layout, size_t len, struct error *err)
{
    struct cursor c;
    cursor_init(&c, layout, len, 0);
    while (cursor_left(&c) >= PIECE_BYTES) {
        uint64_t id = cursor_le64(&c);
        cursor_le64(&c);
        status_t st = drop_extent(b, id, err);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

status_t row_write(struct batch *b, const struct bucket_ref *bucket, const char *key,
                   const struct row *row, bool replaces, uint64_t replaced_bytes, struct error *err)
{
    status_t st = db_do(b->db, SQL_OBJECT_SET, err, "ibiitbbiib", bucket->id, key, strlen(key),
                        row->info.size, row->info.modified_ns, row->info.etag, row->attributes.data,
                        row->attributes.len, row->layout.data, row->layout.len, row->seq,
                        (uint64_t)row->named, row->parts.data, row->parts.len);
    if (st == ST_OK) {
        st = db_do(b->db, SQL_BUCKET_COUNT, err, "iiiii", bucket->id, (uint64_t)1,
                   (uint64_t)replaces, row->info.size, replaced_bytes);
    }
    return st == ST_OK ? change_note(b, replaces ? STORE_OVERWRITTEN : STORE_CREATED, bucket, key,
                                     &row->info, err)
                       : st;
}

status_t row_set(struct batch *b, const struct bucket_ref *bucket, const char *key, struct row *row,
                 const struct row *old, struct error *err)
{
    enum store_versioning versioning = bucket->versioning;
    bool keep = versioning == STORE_VERSIONING_ON ||
                (versioning == STORE_VERSIONING_SUSPENDED && old->named);
    status_t st = ST_OK;
    row->seq = 0;
    row->named = versioning == STORE_VERSIONING_ON;
    if (versioning != STORE_VERSIONING_OFF) {
        st = version_next_seq(b, bucket, key, old, &row->seq, err);
    }
    if (st == ST_OK && versioning == STORE_VERSIONING_SUSPENDED) {
        st = version_drop_null(b, bucket, key, err);
    }
    if (st == ST_OK && keep && old->found) {
        st = version_keep(b, bucket, key, old, err);
    } else if (st == ST_OK) {
        st = layout_drop(b, old->layout.data, old->layout.len, err);
    }
    row->info.version = row->named ? row->seq : STORE_VERSION_NULL;
    row->info.versioned = versioning != STORE_VERSIONING_OFF;
    row->info.encrypted = layout_is_sealed(&row->layout);
    return st == ST_OK ? row_write(b, bucket, key, row, old->found,
                                   old->found ? old->info.size : (uint64_t)0, err)
                       : st;
}

status_t row_remove(struct batch *b, const struct bucket_ref *bucket, const char *key,
                    const struct row *old, struct error *err)
{
    status_t st = layout_drop(b, old->layout.data, old->layout.len, err);
    if (st == ST_OK) {
        st = db_do(b->db, SQL_OBJECT_REMOVE, err, "ib", bucket->id, key, strlen(key));
    }
    if (st == ST_OK) {
        st = db_do(b->db, SQL_BUCKET_COUNT, err, "iiiii", bucket->id, (uint64_t)0, (uint64_t)1,
                   (uint64_t)0, old->info.size);
    }
    return st == ST_OK ? change_note(b, STORE_DELETED, bucket, key, NULL, err) : st;
}
