#include "db.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "geds/shared.h"

enum { APPLICATION_ID = 0x47454453 /* GEDS */ };

/* Of format 1; a new database becomes one of today's by the same steps as an old one. */
static const char schema[] =
    "CREATE TABLE bucket(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " created_ns INTEGER NOT NULL, config TEXT NOT NULL, objects INTEGER NOT NULL DEFAULT 0,"
    " bytes INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE object(bucket INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,"
    " modified_ns INTEGER NOT NULL, etag TEXT NOT NULL, attributes BLOB NOT NULL,"
    " layout BLOB NOT NULL, PRIMARY KEY (bucket, key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE extent(id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, uses INTEGER NOT NULL,"
    " sums BLOB NOT NULL, data BLOB) STRICT;"
    "CREATE INDEX extent_unused ON extent(id) WHERE uses = 0;"
    "CREATE TABLE upload(id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL,"
    " created_ns INTEGER NOT NULL, attributes BLOB NOT NULL) STRICT;"
    "CREATE INDEX upload_key ON upload(bucket, key, id);"
    "CREATE TABLE part(upload INTEGER NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL,"
    " modified_ns INTEGER NOT NULL, md5 BLOB NOT NULL, layout BLOB NOT NULL,"
    " PRIMARY KEY (upload, number)) STRICT, WITHOUT ROWID;";

/* From the format of the index + 1 to the next. Columns are added at the end, which rewrites no row. `extent_file` has
 * `data`, which is NULL in it, so that SQLite answers from the index alone. */
static const char *const upgrades[DB_FORMAT - 1] = {
    "ALTER TABLE bucket ADD COLUMN versioning INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE bucket ADD COLUMN versions INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE bucket ADD COLUMN version_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE object ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE object ADD COLUMN named INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE object ADD COLUMN parts BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE part ADD COLUMN sum BLOB NOT NULL DEFAULT x'';"
    "CREATE TABLE version(bucket INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL,"
    " named INTEGER NOT NULL, marker INTEGER NOT NULL, size INTEGER NOT NULL,"
    " modified_ns INTEGER NOT NULL, etag TEXT NOT NULL, attributes BLOB NOT NULL,"
    " layout BLOB NOT NULL, parts BLOB NOT NULL,"
    " PRIMARY KEY (bucket, key, seq DESC)) STRICT, WITHOUT ROWID;",
    "ALTER TABLE bucket ADD COLUMN spill INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE extent ADD COLUMN place INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE extent ADD COLUMN nonce INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE extent ADD COLUMN keep INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX extent_unused;"
    "CREATE INDEX extent_unused ON extent(place, id) WHERE uses = 0;"
    "CREATE INDEX extent_file ON extent(place, keep, id, bytes, data) WHERE data IS NULL;"
    "CREATE TABLE sending(extent INTEGER PRIMARY KEY, upload TEXT NOT NULL) STRICT;"
    "CREATE TABLE store(one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL) STRICT;"
    "INSERT INTO store VALUES (1, lower(hex(randomblob(16))));",
    "ALTER TABLE extent ADD COLUMN tags BLOB;"
    "ALTER TABLE bucket ADD COLUMN encrypt INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE upload ADD COLUMN encrypt INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE seal(extent INTEGER PRIMARY KEY, master INTEGER NOT NULL,"
    " record BLOB NOT NULL) STRICT;"
    "CREATE TRIGGER extent_seal AFTER DELETE ON extent WHEN old.tags IS NOT NULL"
    " BEGIN DELETE FROM seal WHERE extent = old.id; END;",
    "ALTER TABLE bucket ADD COLUMN replicas INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE extent ADD COLUMN wants INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE extent ADD COLUMN lacks INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX extent_lacks ON extent(id, bytes, place) WHERE lacks > 0;"
    "CREATE TABLE node(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,"
    " name TEXT NOT NULL, joined_ns INTEGER NOT NULL, seen_ns INTEGER NOT NULL,"
    " state INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE copy(node INTEGER NOT NULL, extent INTEGER NOT NULL, nonce INTEGER NOT NULL,"
    " gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (node, extent, nonce)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX copy_extent ON copy(extent, gone);"
    "CREATE INDEX copy_gone ON copy(node) WHERE gone = 1;"
    "CREATE TRIGGER extent_copies AFTER DELETE ON extent WHEN old.data IS NULL"
    " BEGIN UPDATE copy SET gone = 1 WHERE extent = old.id; END;"
    "CREATE TRIGGER extent_buried AFTER UPDATE OF place ON extent WHEN new.place >= 8"
    " BEGIN UPDATE copy SET gone = 1 WHERE extent = old.id; END;",
    "ALTER TABLE bucket ADD COLUMN memory INTEGER NOT NULL DEFAULT 0;",
};

/* Of one database, so that no change of them is in the log. shared_first has the entry with which each term began.
 * The second one stays when the store belongs to no log any more: its terms are in numbers of extents. */
static const char shared_tables[] =
    "CREATE TABLE IF NOT EXISTS shared(one INTEGER PRIMARY KEY CHECK (one = 1), log TEXT NOT NULL,"
    " applied INTEGER NOT NULL, term INTEGER NOT NULL, chain BLOB NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS shared_term(term INTEGER PRIMARY KEY,"
    " address TEXT NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS shared_first(term INTEGER PRIMARY KEY, entry INTEGER NOT NULL,"
    " chain BLOB NOT NULL) STRICT;";

bool db_wrote_nothing(struct db *db)
{
    int code = sqlite3_extended_errcode(db->handle);
    return code == SQLITE_FULL || code == SQLITE_IOERR_WRITE;
}

status_t db_too_much(struct error *err)
{
    return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                     "a change of too much metadata at once: controllers that share a store have "
                     "%d MiB at most",
                     SHARED_PATCH_MAX >> 20);
}

status_t db_error(struct db *db, struct error *err)
{
    int code = sqlite3_extended_errcode(db->handle);
    status_t st = ST_IO;
    if (code == SQLITE_INTERRUPT) {
        return db_too_much(err);
    }
    if (code == SQLITE_FULL) {
        st = ST_LIMIT;
    } else if ((code & 0xff) == SQLITE_NOMEM) {
        st = ST_NOMEM;
    } else if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
        st = ST_CORRUPT;
    } else if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY) {
        st = ST_PERM;
    }
    return error_set(err, st, ERROR_NO_OFFSET, "the store's database: %s (%d)",
                     st == ST_LIMIT ? strerror(ENOSPC) : sqlite3_errmsg(db->handle), code);
}

static status_t exec(struct db *db, const char *text, struct error *err)
{
    return sqlite3_exec(db->handle, text, NULL, NULL, NULL) == SQLITE_OK ? ST_OK
                                                                         : db_error(db, err);
}

static status_t pragma_number(struct db *db, const char *text, int64_t *ret_value,
                              struct error *err)
{
    sqlite3_stmt *statement = NULL;
    status_t st = ST_OK;
    int64_t value = 0;
    if (sqlite3_prepare_v2(db->handle, text, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        st = db_error(db, err);
    } else {
        value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    if (st == ST_OK) {
        *ret_value = value;
    }
    return st;
}

status_t db_bytes(struct db *db, uint64_t *ret_bytes, struct error *err)
{
    int64_t pages = 0, bytes = 0;
    status_t st = pragma_number(db, "PRAGMA page_count", &pages, err);
    if (st == ST_OK) {
        st = pragma_number(db, "PRAGMA page_size", &bytes, err);
    }
    if (st == ST_OK) {
        *ret_bytes = (uint64_t)(pages * bytes);
    }
    return st;
}

status_t db_shared_format(struct db *db, bool *ret_shared, struct error *err)
{
    int64_t version = 0;
    status_t st = pragma_number(db, "PRAGMA user_version", &version, err);
    if (st == ST_OK) {
        *ret_shared = version >= DB_FORMAT_SHARED;
    }
    return st;
}

status_t db_complete_shared(struct db *db, struct error *err)
{
    bool shared = false;
    status_t st = db_shared_format(db, &shared, err);
    return st == ST_OK && shared ? exec(db, shared_tables, err) : st;
}

status_t db_set_shared_format(struct db *db, bool shared, struct error *err)
{
    char text[64];
    status_t st = exec(
        db, shared ? shared_tables : "DROP TABLE shared; DROP TABLE IF EXISTS shared_first;", err);
    snprintf(text, sizeof text, "PRAGMA user_version = %d;",
             DB_FORMAT + (shared ? DB_FORMAT_SHARED : 0));
    return st == ST_OK ? exec(db, text, err) : st;
}

/* All steps in one transaction, so that a crash leaves the old format or the new one. */
static status_t upgrade(struct db *db, int64_t from, bool shared, struct error *err)
{
    status_t st = exec(db, "BEGIN IMMEDIATE", err);
    if (st == ST_OK && from == 0) {
        st = exec(db, schema, err);
        from = 1;
    }
    for (int64_t v = from; v < DB_FORMAT && st == ST_OK; v++) {
        st = exec(db, upgrades[v - 1], err);
    }
    if (st == ST_OK) {
        char text[96];
        snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
                 APPLICATION_ID, DB_FORMAT + (shared ? DB_FORMAT_SHARED : 0));
        st = exec(db, text, err);
    }
    if (st != ST_OK && sqlite3_get_autocommit(db->handle) == 0) {
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
    return st;
}

/* An empty database has both numbers 0. */
static status_t open_format(struct db *db, bool writer, struct error *err)
{
    int64_t application = 0, version = 0, tables = 0;
    status_t st = pragma_number(db, "PRAGMA application_id", &application, err);
    if (st == ST_OK) {
        st = pragma_number(db, "PRAGMA user_version", &version, err);
    }
    if (st == ST_OK) {
        st = pragma_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    }
    if (st != ST_OK) {
        return st;
    }
    bool is_new = application == 0 && version == 0 && tables == 0;
    if (!is_new && application != APPLICATION_ID) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "its database is not that of an object store");
    }
    bool shared = version > DB_FORMAT_SHARED;
    version -= shared ? DB_FORMAT_SHARED : 0;
    if (writer && (is_new || (version >= 1 && version < DB_FORMAT))) {
        return upgrade(db, version, shared, err);
    }
    if (version != DB_FORMAT) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "the store has format %lld, this program knows 1 to %d",
                         (long long)version, DB_FORMAT);
    }
    return ST_OK;
}

/* The log is written back at 8 MiB: it is read at once at the next start, and its index needs no
 * more than the 32 KiB that it has from the start, so that a commit on a full disk does not fail
 * behind the point of no return. What is deleted is overwritten: plain bytes of small objects, and
 * keys. Temporary tables are in memory: nothing of the store is ever
 * outside its folder. */
static const char *setup(bool writer, enum store_sync sync)
{
    if (!writer) {
        return "PRAGMA query_only = 1; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;";
    }
    return sync == STORE_SYNC_OFF
               ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;"
                 "PRAGMA secure_delete = ON;"
                 "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 2000;"
               : "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;"
                 "PRAGMA secure_delete = ON;"
                 "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 2000;";
}

status_t db_open(const char *file, bool writer, enum store_sync sync, struct db **ret_db,
                 struct error *err)
{
    struct db *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_CREATE : 0);
    status_t st = ST_OK;
    if (sqlite3_open_v2(file, &db->handle, flags, NULL) != SQLITE_OK) {
        st = db->handle != NULL ? db_error(db, err)
                                : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    } else {
        sqlite3_extended_result_codes(db->handle, 1);
        sqlite3_busy_timeout(db->handle, DB_WAIT_MS);
        st = exec(db, setup(writer, sync), err);
        if (st == ST_OK) {
            st = open_format(db, writer, err);
        }
    }
    if (st != ST_OK) {
        db_close(db);
        return st;
    }
    *ret_db = db;
    return ST_OK;
}

void db_close(struct db *db)
{
    if (db == NULL) {
        return;
    }
    for (size_t i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
    }
    sqlite3_close(db->handle);
    free(db);
}

static int bind_one(sqlite3_stmt *statement, int at, char type, va_list *args)
{
    if (type == 'i') {
        return sqlite3_bind_int64(statement, at, (sqlite3_int64)va_arg(*args, uint64_t));
    }
    if (type == 't') {
        return sqlite3_bind_text(statement, at, va_arg(*args, const char *), -1, SQLITE_STATIC);
    }
    if (type == 'b') {
        const void *data = va_arg(*args, const void *);
        size_t len = va_arg(*args, size_t);
        return sqlite3_bind_blob64(statement, at, data != NULL ? data : "", len, SQLITE_STATIC);
    }
    return sqlite3_bind_null(statement, at);
}

static status_t start(struct db *db, enum sql which, sqlite3_stmt **ret_statement,
                      struct error *err, const char *fmt, va_list *args)
{
    sqlite3_stmt **slot = &db->statements[which];
    if (*slot == NULL && sqlite3_prepare_v3(db->handle, db_sql[which], -1,
                                            SQLITE_PREPARE_PERSISTENT, slot, NULL) != SQLITE_OK) {
        return db_error(db, err);
    }
    for (int i = 0; fmt[i] != '\0'; i++) {
        if (bind_one(*slot, i + 1, fmt[i], args) != SQLITE_OK) {
            return db_error(db, err);
        }
    }
    *ret_statement = *slot;
    return ST_OK;
}

status_t db_start(struct db *db, enum sql which, sqlite3_stmt **ret_statement, struct error *err,
                  const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    status_t st = start(db, which, ret_statement, err, fmt, &args);
    va_end(args);
    return st;
}

status_t db_next(struct db *db, sqlite3_stmt *statement, bool *ret_row, struct error *err)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return db_error(db, err);
    }
    *ret_row = code == SQLITE_ROW;
    return ST_OK;
}

void db_end(sqlite3_stmt *statement)
{
    if (statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
}

status_t db_do(struct db *db, enum sql which, struct error *err, const char *fmt, ...)
{
    sqlite3_stmt *statement = NULL;
    va_list args;
    va_start(args, fmt);
    status_t st = start(db, which, &statement, err, fmt, &args);
    va_end(args);
    bool row = true;
    while (st == ST_OK && row) {
        st = db_next(db, statement, &row, err);
    }
    db_end(statement);
    return st;
}

uint64_t db_u64(sqlite3_stmt *statement, int column)
{
    sqlite3_int64 value = sqlite3_column_int64(statement, column);
    return value > 0 ? (uint64_t)value : 0;
}
