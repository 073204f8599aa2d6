#ifndef GEDS_ROW_H
#define GEDS_ROW_H

#include "layout.h"

/* An object as it is in the database. */
struct row {
    bool found;
    bool newest; /* of the versions and markers of its key */
    struct store_info info;
    struct buf attributes; /* encoded */
    struct buf layout;     /* encoded */
    struct buf parts;      /* encoded */
    uint64_t seq;          /* order among the versions of its key; 0: from before there were any */
    bool named;            /* its version's number is seq; else it is the null version */
};

/* found says whether there is one. ret_row ends with row_done; zeroed and set to what was read. */
CHECKED status_t row_find(struct db *db, const struct bucket_ref *bucket, const char *key,
                          struct row *ret_row, struct error *err);
/* The same of a version: its number, STORE_VERSION_NULL, _CURRENT or _NEWEST. *ret_current: it is the current one. */
CHECKED status_t row_find_version(struct db *db, const struct bucket_ref *bucket, const char *key,
                                  uint64_t version, struct row *ret_row, bool *ret_current,
                                  struct error *err);
void row_done(struct row *row);

/* ST_EXIST, ST_NOTFOUND, ST_CHANGED as struct store_condition says. condition may be NULL. */
CHECKED status_t row_check(const struct row *row, const char *key,
                           const struct store_condition *condition, struct error *err);

/* Give key the object row, whose extents are counted already, instead of old (found or not), whose extents lose a use
 * unless it stays as a version. Sets seq, named and the version in row. */
CHECKED status_t row_set(struct batch *b, const struct bucket_ref *bucket, const char *key,
                         struct row *row, const struct row *old, struct error *err);
/* The current row goes; nothing takes its place. */
CHECKED status_t row_remove(struct batch *b, const struct bucket_ref *bucket, const char *key,
                            const struct row *old, struct error *err);
/* Write the row as the current one, or as another version, and count it. */
CHECKED status_t row_write(struct batch *b, const struct bucket_ref *bucket, const char *key,
                           const struct row *row, bool replaces, uint64_t replaced_bytes,
                           struct error *err);

/* version.c */

/* old, which is current, becomes a version; its row in `object` is the caller's business. */
CHECKED status_t version_keep(struct batch *b, const struct bucket_ref *bucket, const char *key,
                              const struct row *old, struct error *err);
/* The null version goes, if one is behind the current one. */
CHECKED status_t version_drop_null(struct batch *b, const struct bucket_ref *bucket,
                                   const char *key, struct error *err);
/* Larger than that of each version of key. old: the current one, found or not. */
CHECKED status_t version_next_seq(struct batch *b, const struct bucket_ref *bucket, const char *key,
                                  const struct row *old, uint64_t *ret_seq, struct error *err);
/* A delete of a name whose current row is old, found or not. ret_removal: versioned, marker, removed. ST_NOTFOUND. */
CHECKED status_t version_delete_current(struct batch *b, const struct bucket_ref *bucket,
                                        const char *key, const struct row *old,
                                        struct store_removal *ret_removal, struct error *err);

/* One more use, or one less, of each extent of an encoded layout. */
CHECKED status_t layout_use(struct batch *b, const struct buf *layout, struct error *err);
CHECKED status_t layout_drop(struct batch *b, const void *layout, size_t len, struct error *err);

/* ST_NOTFOUND: no such upload. attributes: those of the object that it makes are appended,
 * encoded. *ret_encrypt (may be NULL): its parts. */
CHECKED status_t upload_find(struct db *db, const struct bucket_ref *bucket, const char *key,
                             uint64_t id, struct buf *attributes, bool *ret_encrypt,
                             struct error *err);

/* Remove an upload and its parts. */
CHECKED status_t upload_drop(struct batch *b, uint64_t id, struct error *err);

/* Columns as text and bytes. false: out of memory. */
void column_text(sqlite3_stmt *statement, int column, char *ret_text, size_t size);
CHECKED bool column_blob(sqlite3_stmt *statement, int column, struct buf *out);

/* Lower-case hexadecimal of an MD5 with a final NUL; parts 0: nothing behind it, else '-' and
 * the number. */
void etag_make(const uint8_t md5[MD5_BYTES], uint64_t parts, char ret_etag[STORE_ETAG_BYTES]);

#endif
