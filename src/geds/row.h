#ifndef GEDS_ROW_H
#define GEDS_ROW_H

#include "layout.h"

/* An object as it is in the database. */
struct row {
    bool found;
    struct store_info info;
    struct buf attributes; /* encoded */
    struct buf layout;     /* encoded */
};

/* found says whether there is one. ret_row ends with row_done; zeroed and set to what was read. */
CHECKED status_t row_find(struct db *db, uint64_t bucket, const char *key, struct row *ret_row,
                          struct error *err);
void row_done(struct row *row);

/* ST_EXIST, ST_NOTFOUND, ST_CHANGED as struct store_condition says. condition may be NULL. */
CHECKED status_t row_check(const struct row *row, const char *key,
                           const struct store_condition *condition, struct error *err);

/* Give key the object row, whose extents are counted already, instead of old (found or not),
 * whose extents lose a use. */
CHECKED status_t row_set(struct batch *b, uint64_t bucket, const char *key, const struct row *row,
                         const struct row *old, struct error *err);
CHECKED status_t row_remove(struct batch *b, uint64_t bucket, const char *key,
                            const struct row *old, struct error *err);

/* One more use, or one less, of each extent of an encoded layout. */
CHECKED status_t layout_use(struct batch *b, const struct buf *layout, struct error *err);
CHECKED status_t layout_drop(struct batch *b, const void *layout, size_t len, struct error *err);

/* ST_NOTFOUND: no such upload. attributes: those of the object that it makes are appended,
 * encoded. */
CHECKED status_t upload_find(struct db *db, uint64_t bucket, const char *key, uint64_t id,
                             struct buf *attributes, struct error *err);

/* Remove an upload and its parts. */
CHECKED status_t upload_drop(struct batch *b, uint64_t id, struct error *err);

/* Columns as text and bytes. false: out of memory. */
void column_text(sqlite3_stmt *statement, int column, char *ret_text, size_t size);
CHECKED bool column_blob(sqlite3_stmt *statement, int column, struct buf *out);

/* Lower-case hexadecimal of an MD5 with a final NUL; parts 0: nothing behind it, else '-' and
 * the number. */
void etag_make(const uint8_t md5[MD5_BYTES], uint64_t parts, char ret_etag[STORE_ETAG_BYTES]);

#endif
