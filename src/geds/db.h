#ifndef GEDS_DB_H
#define GEDS_DB_H

#include <stdbool.h>

/* as Debian builds it: what a transaction changed can be asked for */
#define SQLITE_ENABLE_SESSION 1
#define SQLITE_ENABLE_PREUPDATE_HOOK 1
#include <sqlite3.h>

#include "geds/store.h"

enum {
    DB_WAIT_MS = 10000, /* for a lock that another program holds */
    DB_FORMAT = 6,
    DB_FORMAT_SHARED =
        1000, /* is added to the number of one that belongs to a log (sharing.h), so that programs which
                                do not know it leave it alone */
};

/* Statements of the store; their texts are in db_sql.c. */
enum sql {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_SAVE,
    SQL_SAVE_UNDO,
    SQL_SAVE_END,
    SQL_BUCKET_FIND,
    SQL_BUCKET_STAT,
    SQL_BUCKET_LIST,
    SQL_BUCKET_ADD,
    SQL_BUCKET_REMOVE,
    SQL_BUCKET_CONFIG,
    SQL_BUCKET_COUNT,
    SQL_BUCKET_VERSIONING,
    SQL_BUCKET_VERSION_COUNT,
    SQL_COUNTERS,
    SQL_OBJECT_FIND,
    SQL_OBJECT_SET,
    SQL_OBJECT_REMOVE,
    SQL_OBJECT_LIST,
    SQL_OBJECT_LAYOUTS,
    SQL_OBJECT_TOTALS,
    SQL_OBJECT_ATTRIBUTES,
    SQL_VERSION_ADD,
    SQL_VERSION_FIND,
    SQL_VERSION_NULL,
    SQL_VERSION_NEWEST,
    SQL_VERSION_REMOVE,
    SQL_VERSION_ATTRIBUTES,
    SQL_VERSION_LIST,
    SQL_VERSION_LAYOUTS,
    SQL_VERSION_TOTALS,
    SQL_VERSION_WRONG,
    SQL_PREFIX_LIMITS,
    SQL_PREFIX_ASIDE,
    SQL_PREFIX_TAKEN,
    SQL_PREFIX_BACK,
    SQL_EXTENT_ADD,
    SQL_EXTENT_GET,
    SQL_EXTENT_USE,
    SQL_EXTENT_DROP_INLINE,
    SQL_EXTENT_DROP,
    SQL_EXTENT_FORGET,
    SQL_EXTENT_BURY,
    SQL_EXTENT_UNUSED,
    SQL_EXTENT_LAST,
    SQL_EXTENT_LIST,
    SQL_EXTENT_HERE,
    SQL_EXTENT_SET_USES,
    SQL_SEAL_SET,
    SQL_SEAL_GET,
    SQL_SEAL_COUNTS,
    SQL_SEAL_OTHERS,
    SQL_SEAL_NEEDS,
    SQL_PLACE_GET,
    SQL_PLACE_TOTALS,
    SQL_PLACE_LIST,
    SQL_PLACE_NAME,
    SQL_PLACE_SENT,
    SQL_PLACE_UNSENT,
    SQL_PLACE_DROP,
    SQL_PLACE_DROPPING,
    SQL_PLACE_DROPPED,
    SQL_PLACE_BACK,
    SQL_PLACE_KEEP,
    SQL_PLACE_GONE,
    SQL_PLACE_DELETED,
    SQL_SENDING_SET,
    SQL_SENDING_GET,
    SQL_SENDING_END,
    SQL_STORE_ID,
    SQL_BUCKET_SPILL,
    SQL_BUCKET_MEMORY,
    SQL_BUCKET_REPLICAS,
    SQL_NODE_JOIN,
    SQL_NODE_FIND,
    SQL_NODE_NAMED,
    SQL_NODE_LIST,
    SQL_NODE_SEEN,
    SQL_NODE_STATE,
    SQL_NODE_COPIES,
    SQL_NODE_FORGET_COPIES,
    SQL_NODE_FORGET,
    SQL_COPY_ADD,
    SQL_COPY_GONE,
    SQL_COPY_COUNT,
    SQL_COPY_SURPLUS,
    SQL_COPY_EXTRA,
    SQL_COPY_TRIM,
    SQL_COPY_MANY,
    SQL_COPY_OF,
    SQL_COPY_ANY,
    SQL_COPY_TO_REMOVE,
    SQL_COPY_REMOVED,
    SQL_COPY_LACKING,
    SQL_COPY_TOTALS,
    SQL_COPY_WANT,
    SQL_COPY_LAYOUTS,
    SQL_BUCKET_ENCRYPT,
    SQL_UPLOAD_ADD,
    SQL_UPLOAD_FIND,
    SQL_UPLOAD_REMOVE,
    SQL_UPLOAD_LIST,
    SQL_UPLOAD_FIRST,
    SQL_PART_FIND,
    SQL_PART_SET,
    SQL_PART_LIST,
    SQL_PART_LAYOUTS,
    SQL_PART_REMOVE_ALL,
    SQL_PART_ALL_LAYOUTS,
    SQL_CHECK,
    SQL_SCHEMA_TABLES,
    SQL_SCHEMA_COLUMNS,
    SQL_SHARED_GET,
    SQL_SHARED_SET,
    SQL_SHARED_BEGIN,
    SQL_SHARED_ADD_TERM,
    SQL_SHARED_ADD_FIRST,
    SQL_SHARED_FIRSTS,
    SQL_SHARED_LEADERS,
    SQL_SHARED_WAS,
    SQL_SHARED_LAST_TERM,
    SQL_COUNT
};
extern const char *const db_sql[SQL_COUNT];

/* A connection with its prepared statements. One thread at a time. */
struct db {
    sqlite3 *handle;
    struct db *next; /* in a list of idle ones */
    sqlite3_stmt *statements[SQL_COUNT];
};

/* file: path of the database. The writer makes it and its tables. ST_UNSUPPORTED, ST_CORRUPT. */
CHECKED status_t db_open(const char *file, bool writer, enum store_sync sync, struct db **ret_db,
                         struct error *err);
void db_close(struct db *db); /* takes NULL */

/* Does it belong to a log? */
CHECKED status_t db_shared_format(struct db *db, bool *ret_shared, struct error *err);
/* What one that belongs to a log, and was made by a former program, has not yet. */
CHECKED status_t db_complete_shared(struct db *db, struct error *err);
/* Make what a database has that belongs to a log, or remove it; inside a transaction. */
CHECKED status_t db_set_shared_format(struct db *db, bool shared, struct error *err);

/* Turn the connection's last failure into an error. */
status_t db_error(struct db *db, struct error *err);

/* A transaction changes more than a log takes: a statement was ended for that. ST_LIMIT. */
status_t db_too_much(struct error *err);
/* Of the whole database. */
CHECKED status_t db_bytes(struct db *db, uint64_t *ret_bytes, struct error *err);

/* After a COMMIT that failed: is it certain that nothing of the transaction is in the log? A write
 * that was refused left no whole commit record there; after a failed sync, or one of the log's
 * index, which is written behind it, nobody knows. */
bool db_wrote_nothing(struct db *db);

/* Start a statement. fmt has one letter for each parameter: i (uint64_t), t (text; const char
 * *), b (blob: const void *, size_t), n (NULL). Texts and blobs are borrowed until db_end. */
CHECKED status_t db_start(struct db *db, enum sql which, sqlite3_stmt **ret_statement,
                          struct error *err, const char *fmt, ...);
/* *ret_row: is there a row? */
CHECKED status_t db_next(struct db *db, sqlite3_stmt *statement, bool *ret_row, struct error *err);
void db_end(sqlite3_stmt *statement); /* takes NULL */
/* A statement without rows, or whose rows do not matter. */
CHECKED status_t db_do(struct db *db, enum sql which, struct error *err, const char *fmt, ...);
/* Columns. Negative numbers, which the store never writes, are read as 0. */
uint64_t db_u64(sqlite3_stmt *statement, int column);

#endif
