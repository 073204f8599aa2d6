#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history.h"
#include "orphan.h"
#include "replica.h"
#include "sys/files.h"

/* The database of another controller takes the place of this one's. */

static const char database_name[] = "meta.db", former_name[] = "former.db";

/* All that is in it is in the file itself then. */
static status_t end_log(struct db *db, struct error *err)
{
    return sqlite3_exec(db->handle, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) == SQLITE_OK
               ? ST_OK
               : db_error(db, err);
}

static status_t check_pages(struct db *db, const char *copy, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(db, SQL_CHECK, &statement, err, "");
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && row && strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "%s: a damaged copy", copy);
    }
    db_end(statement);
    return st;
}

/* It belongs to the log, and is a database of this version. */
static status_t open_copy(const char *copy, const char *log, struct db **ret_db, struct error *err)
{
    struct db *db = NULL;
    struct shared_state state = {0};
    status_t st = db_open(copy, true, STORE_SYNC_FULL, &db, err);
    if (st == ST_OK) {
        st = shared_load(db, &state, err);
    }
    if (st == ST_NOTFOUND || (st == ST_OK && strcmp(state.log, log) != 0)) {
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s: a copy of another store", copy);
    }
    if (st == ST_OK) {
        st = check_pages(db, copy, err);
    }
    if (st == ST_OK) {
        st = db_complete_shared(db, err);
    }
    if (st != ST_OK) {
        db_close(db);
        return st;
    }
    *ret_db = db;
    return ST_OK;
}

/* Would somebody miss what the store has? ST_EXIST. */
static status_t look_for_loss(struct replica *r, struct db *copy, const char *log,
                              struct shared_state *ret_state, struct error *err)
{
    bool goes_on = true;
    status_t st = replica_state(r, ret_state, err);
    bool other_log = st == ST_OK && strcmp(ret_state->log, log) != 0;
    if (other_log && !ret_state->empty) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "%s has buckets that are not of the store which the controllers share: "
                         "start with an empty state folder",
                         r->store->path);
    }
    if (st == ST_OK && !other_log) {
        st = history_goes_on(r->store->writer_db, copy, &goes_on, err);
    }
    return st == ST_OK && !goes_on
               ? replica_other_history(r->store, ST_EXIST, ret_state->applied, err)
               : st;
}

static status_t sync_copy(const char *copy, struct error *err)
{
    int fd = open(copy, O_RDONLY | O_CLOEXEC);
    bool synced = fd >= 0 && file_sync(fd) == 0;
    status_t st = synced ? ST_OK : error_set_errno(err, errno, "sync of %s", copy);
    if (fd >= 0) {
        close(fd);
    }
    return st;
}

static int unlink_if_there(int folder, const char *name)
{
    return unlinkat(folder, name, 0) == 0 || errno == ENOENT ? 0 : -1;
}

/* The former one goes first: what is left of its log must never be taken for the new one's. Who is interrupted in
 * between has none, and gets a copy again; the empty one that it makes then is not kept. */
static status_t put_in_place(const char *path, const char *copy, bool keep, struct error *err)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    int code = keep ? renameat(folder, database_name, folder, former_name)
                    : unlink_if_there(folder, database_name);
    bool good = code == 0 && unlink_if_there(folder, "meta.db-wal") == 0 &&
                unlink_if_there(folder, "meta.db-shm") == 0 && file_sync(folder) == 0 &&
                renameat(AT_FDCWD, copy, folder, database_name) == 0 && file_sync(folder) == 0;
    status_t st = good ? ST_OK : error_set_errno(err, errno, "%s/%s", path, database_name);
    close(folder);
    return st;
}

/* What others removed while this one was away. Some may stay: whoever leads looks again. */
static void sweep(struct replica *r)
{
    char path[PATH_MAX];
    struct db *db = NULL;
    snprintf(path, sizeof path, "%s/%s", r->store->path, database_name);
    status_t st = db_open(path, true, STORE_SYNC_FULL, &db, NULL);
    if (st == ST_OK) {
        st = orphans_remove(r->store, db, NULL, NULL, NULL);
    }
    db_close(db);
    (void)st;
}

/* The lock stays until the new one is there. */
static status_t replace(struct replica *r, struct db *copy_db, const char *copy, const char *log,
                        struct error *err)
{
    struct shared_state state = {0};
    status_t st = look_for_loss(r, copy_db, log, &state, err);
    if (st == ST_OK) {
        st = end_log(copy_db, err);
    }
    if (st == ST_OK) {
        st = end_log(r->store->writer_db, err);
    }
    db_close(copy_db);
    if (st == ST_OK) {
        st = sync_copy(copy, err);
    }
    if (st == ST_OK) {
        db_close(r->store->writer_db);
        r->store->writer_db = NULL;
        st = put_in_place(r->store->path, copy, state.applied > 0 || !state.empty, err);
    }
    if (st == ST_OK) {
        sweep(r);
    }
    return st;
}

status_t replica_replace(const char *path, const char *copy, const char *log, struct error *err)
{
    struct replica *r = NULL;
    struct db *copy_db = NULL;
    status_t st = open_copy(copy, log, &copy_db, err);
    if (st == ST_OK && (st = replica_open(path, NULL, &r, err)) != ST_OK) {
        db_close(copy_db);
        return st;
    }
    if (st == ST_OK) {
        st = replace(r, copy_db, copy, log, err);
    }
    replica_close(r);
    return st;
}
