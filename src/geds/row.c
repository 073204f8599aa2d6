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

status_t row_find(struct db *db, uint64_t bucket, const char *key, struct row *ret_row,
                  struct error *err)
{
    sqlite3_stmt *statement = NULL;
    struct row row = {0};
    bool is_row = false;
    status_t st = db_start(db, SQL_OBJECT_FIND, &statement, err, "ib", bucket, key, strlen(key));
    if (st == ST_OK) {
        st = db_next(db, statement, &is_row, err);
    }
    if (st == ST_OK && is_row) {
        row.found = true;
        row.info.size = db_u64(statement, 0);
        row.info.modified_ns = db_u64(statement, 1);
        column_text(statement, 2, row.info.etag, sizeof row.info.etag);
        if (!column_blob(statement, 3, &row.attributes) ||
            !column_blob(statement, 4, &row.layout)) {
            st = no_memory(err);
        }
    }
    db_end(statement);
    if (st != ST_OK) {
        row_done(&row);
        return st;
    }
    *ret_row = row;
    return ST_OK;
}

void row_done(struct row *row)
{
    buf_done(&row->attributes);
    buf_done(&row->layout);
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
    return ST_OK;
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

status_t row_set(struct batch *b, uint64_t bucket, const char *key, const struct row *row,
                 const struct row *old, struct error *err)
{
    status_t st = layout_drop(b, old->layout.data, old->layout.len, err);
    if (st == ST_OK) {
        st = db_do(b->db, SQL_OBJECT_SET, err, "ibiitbb", bucket, key, strlen(key), row->info.size,
                   row->info.modified_ns, row->info.etag, row->attributes.data, row->attributes.len,
                   row->layout.data, row->layout.len);
    }
    if (st == ST_OK) {
        st = db_do(b->db, SQL_BUCKET_COUNT, err, "iiiii", bucket, (uint64_t)1, (uint64_t)old->found,
                   row->info.size, old->found ? old->info.size : (uint64_t)0);
    }
    return st;
}

status_t row_remove(struct batch *b, uint64_t bucket, const char *key, const struct row *old,
                    struct error *err)
{
    status_t st = layout_drop(b, old->layout.data, old->layout.len, err);
    if (st == ST_OK) {
        st = db_do(b->db, SQL_OBJECT_REMOVE, err, "ib", bucket, key, strlen(key));
    }
    if (st == ST_OK) {
        st = db_do(b->db, SQL_BUCKET_COUNT, err, "iiiii", bucket, (uint64_t)0, (uint64_t)1,
                   (uint64_t)0, old->info.size);
    }
    return st;
}
