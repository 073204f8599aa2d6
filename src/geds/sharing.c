#include "sharing.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "patch.h"

enum {
    /* What the session holds of a change may be so many times the bytes that it is in the log: a rename of a prefix is
     * three changes of each row. SQLite has up to four times that in memory besides, to undo it. */
    SESSION_PARTS = 2,
    STEPS_BETWEEN_LOOKS = 1000, /* of SQLite's machine */
};

struct shared {
    struct store_log log;
    struct shared_state state; /* the writer's */
    struct entry entry;        /* of the transaction; index 0: it has none */
    sqlite3_session *session;
    uint64_t change_max; /* of log */
    bool too_much;       /* the transaction has changed more than that */
    bool ahead;          /* entry is in the log, or may be, and the database has it not yet */
    char **leaders;      /* immutable: of each term up to this one; NULL: not known */
};

status_t shared_load(struct db *db, struct shared_state *ret_state, struct error *err)
{
    struct shared_state state = {0};
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_shared_format(db, &row, err);
    if (st == ST_OK && !row) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "the store belongs to no log");
    }
    if (st == ST_OK) {
        st = db_start(db, SQL_SHARED_GET, &statement, err, "");
    }
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK && (!row || sqlite3_column_bytes(statement, 0) != SHARED_ID_BYTES - 1 ||
                        sqlite3_column_bytes(statement, 3) != SHARED_CHAIN_BYTES)) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "what the store knows of its log");
    }
    if (st == ST_OK) {
        snprintf(state.log, sizeof state.log, "%s",
                 (const char *)sqlite3_column_text(statement, 0));
        state.applied = db_u64(statement, 1);
        state.term = db_u64(statement, 2);
        memcpy(state.chain, sqlite3_column_blob(statement, 3), SHARED_CHAIN_BYTES);
        *ret_state = state;
    }
    db_end(statement);
    return st;
}

status_t shared_save(struct db *db, const struct entry *e, struct error *err)
{
    return db_do(db, SQL_SHARED_SET, err, "iib", e->index, e->term, e->chain, sizeof e->chain);
}

static status_t load_leaders(struct store *s, struct error *err)
{
    struct shared *h = s->shared;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    h->leaders = calloc(h->state.term + 1, sizeof *h->leaders);
    status_t st = h->leaders != NULL ? ST_OK : no_memory(err);
    if (st == ST_OK) {
        st = db_start(s->writer_db, SQL_SHARED_LEADERS, &statement, err, "");
    }
    while (st == ST_OK && (st = db_next(s->writer_db, statement, &row, err)) == ST_OK && row) {
        uint64_t term = db_u64(statement, 0);
        const char *address = (const char *)sqlite3_column_text(statement, 1);
        if (term <= h->state.term && h->leaders[term] == NULL && address != NULL &&
            (h->leaders[term] = strdup(address)) == NULL) {
            st = no_memory(err);
        }
    }
    db_end(statement);
    /* before a log and between two, the store was that of who led next */
    for (uint64_t term = h->state.term; term > 0 && st == ST_OK; term--) {
        if (h->leaders[term - 1] == NULL && h->leaders[term] != NULL &&
            (h->leaders[term - 1] = strdup(h->leaders[term])) == NULL) {
            st = no_memory(err);
        }
    }
    return st;
}

static void begin_term(struct store *s, uint64_t term)
{
    uint64_t first = term << SHARED_TERM_SHIFT;
    if (atomic_load(&s->last_extent) < first) {
        atomic_store(&s->last_extent, first);
    }
}

static status_t number_of(struct db *db, enum sql which, uint64_t *ret_number, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(db, which, &statement, err, "");
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    if (st == ST_OK) {
        *ret_number = row ? db_u64(statement, 0) : 0;
    }
    db_end(statement);
    return st;
}

/* It may have been in a log: others gave numbers of their terms, also such of which no row is here. */
static status_t open_alone(struct store *s, struct error *err)
{
    uint64_t was = 0, term = 0;
    status_t st = number_of(s->writer_db, SQL_SHARED_WAS, &was, err);
    if (st == ST_OK && was != 0) {
        st = number_of(s->writer_db, SQL_SHARED_LAST_TERM, &term, err);
    }
    if (st == ST_OK) {
        begin_term(s, term);
    }
    return st;
}

status_t shared_open(struct store *s, struct error *err)
{
    struct shared_state state = {0};
    status_t st = shared_load(s->writer_db, &state, err);
    if (st == ST_NOTFOUND && s->options.log == NULL) {
        return open_alone(s, err);
    }
    if (st == ST_OK && s->options.log == NULL) {
        return error_set(
            err, ST_INVAL, ERROR_NO_OFFSET,
            "several controllers share it: it needs --etcd (--etcd none takes it out)");
    }
    if (st != ST_OK) {
        return st;
    }
    s->shared = calloc(1, sizeof *s->shared);
    if (s->shared == NULL) {
        return no_memory(err);
    }
    s->shared->log = *s->options.log;
    s->shared->change_max = s->shared->log.change_max != 0 ? s->shared->log.change_max
                                                           : SHARED_PATCH_MAX;
    s->shared->state = state;
    begin_term(s, state.term);
    return load_leaders(s, err);
}

void shared_close(struct store *s)
{
    struct shared *h = s->shared;
    if (h == NULL) {
        return;
    }
    for (uint64_t i = 0; h->leaders != NULL && i <= h->state.term; i++) {
        free(h->leaders[i]);
    }
    free(h->leaders);
    free(h);
    s->shared = NULL;
}

static int takes_table(void *ignored, const char *table)
{
    (void)ignored;
    return !patch_leaves_out(table);
}

static bool holds_too_much(struct shared *h)
{
    h->too_much = h->too_much || (h->session != NULL &&
                                  (uint64_t)sqlite3session_memory_used(h->session) / SESSION_PARTS >
                                      h->change_max);
    return h->too_much;
}

/* While a statement runs: other than 0 ends it, and its transaction. */
static int look_at_memory(void *arg)
{
    struct shared *h = arg;
    return h->session != NULL && holds_too_much(h);
}

status_t shared_check_size(struct store *s, uint64_t bytes, struct error *err)
{
    struct shared *h = s->shared;
    if (h == NULL || bytes <= h->change_max) {
        return ST_OK;
    }
    h->too_much = true;
    return db_too_much(err);
}

bool shared_is_too_much(const struct store *s)
{
    return s->shared != NULL && s->shared->too_much;
}

status_t shared_begin(struct store *s, struct error *err)
{
    struct shared *h = s->shared;
    if (h == NULL) {
        return ST_OK;
    }
    h->entry = (struct entry){0};
    h->too_much = false;
    sqlite3_progress_handler(s->writer_db->handle, STEPS_BETWEEN_LOOKS, look_at_memory, h);
    if (sqlite3session_create(s->writer_db->handle, "main", &h->session) != SQLITE_OK) {
        h->session = NULL;
        return no_memory(err);
    }
    sqlite3session_table_filter(h->session, takes_table, NULL);
    return sqlite3session_attach(h->session, NULL) == SQLITE_OK ? ST_OK : no_memory(err);
}

void shared_end(struct store *s, bool committed)
{
    struct shared *h = s->shared;
    if (h == NULL) {
        return;
    }
    if (h->session != NULL) {
        sqlite3session_delete(h->session);
        h->session = NULL;
    }
    if (committed && h->entry.index != 0) {
        h->state.applied = h->entry.index;
        memcpy(h->state.chain, h->entry.chain, sizeof h->state.chain);
        h->ahead = false;
    }
    h->entry = (struct entry){0};
}

bool shared_is_ahead(const struct store *s)
{
    return s->shared != NULL && s->shared->ahead;
}

void shared_failed(const struct store *s)
{
    if (s->shared != NULL) {
        s->shared->log.failed(s->shared->log.arg);
    }
}

static status_t append(struct store *s, const void *patch, size_t len, struct error *err)
{
    struct shared *h = s->shared;
    struct buf bytes = {0};
    struct entry e = {.kind = ENTRY_CHANGES,
                      .index = h->state.applied + 1,
                      .term = h->state.term,
                      .payload = patch,
                      .len = len};
    memcpy(e.log, h->state.log, sizeof e.log);
    memcpy(e.before, h->state.chain, sizeof e.before);
    entry_encode(&e, &bytes);
    status_t st = bytes.failed ? no_memory(err) : shared_save(s->writer_db, &e, err);
    if (st == ST_OK) {
        st = h->log.append(h->log.arg, e.index, bytes.data, bytes.len, err);
        h->ahead = st == ST_OK || st == ST_IO;
        if (st == ST_IO || st == ST_MOVED) {
            shared_failed(s);
        }
    }
    if (st == ST_OK) {
        e.payload = NULL;
        h->entry = e;
    }
    buf_done(&bytes);
    return st;
}

status_t shared_append(struct store *s, struct error *err)
{
    struct shared *h = s->shared;
    int len = 0;
    void *patch = NULL;
    if (h == NULL) {
        return ST_OK;
    }
    if (holds_too_much(h)) {
        return db_too_much(err);
    }
    if (sqlite3session_patchset(h->session, &len, &patch) != SQLITE_OK) {
        return no_memory(err);
    }
    status_t st = ST_OK;
    if ((uint64_t)len > h->change_max) {
        h->too_much = true;
        st = db_too_much(err);
    } else if (len > 0) {
        st = append(s, patch, (size_t)len, err);
    } else { /* what is refused is told by what the database has, too */
        st = shared_leads(s, err);
    }
    sqlite3_free(patch);
    return st;
}

status_t shared_leads(const struct store *s, struct error *err)
{
    char leader[SHARED_ADDRESS_MAX + 1] = "";
    const struct store_log *log = s->options.log;
    if (log == NULL || log->leads(log->arg)) {
        return ST_OK;
    }
    log->leader(log->arg, leader);
    return leader[0] == '\0'
               ? error_set(err, ST_MOVED, ERROR_NO_OFFSET,
                           "this controller does not lead any more, and does not know who does")
               : error_set(err, ST_MOVED, ERROR_NO_OFFSET, "not the leader, it is %s", leader);
}

const char *shared_elsewhere(const struct store *s, uint64_t extent)
{
    const struct shared *h = s->shared;
    uint64_t term = extent >> SHARED_TERM_SHIFT;
    if (h == NULL || term > h->state.term || h->leaders[term] == NULL) {
        return NULL;
    }
    const char *own = h->leaders[h->state.term];
    return own != NULL && strcmp(own, h->leaders[term]) == 0 ? NULL : h->leaders[term];
}

status_t store_shared_state(struct store *s, struct shared_state *ret_state, struct error *err)
{
    struct db *db = NULL;
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK) {
        st = shared_load(db, ret_state, err);
        store_reader_back(s, db);
    }
    return st;
}

/* Before it is made: a disk that is full stops all changes. */
static status_t look_for_space(struct db *db, const char *to, struct error *err)
{
    char folder[PATH_MAX];
    struct statvfs fs;
    uint64_t bytes = 0;
    const char *end = strrchr(to, '/');
    snprintf(folder, sizeof folder, "%.*s", end != NULL ? (int)(end - to) : 1,
             end != NULL ? to : ".");
    status_t st = db_bytes(db, &bytes, err);
    if (st == ST_OK && statvfs(folder, &fs) != 0) {
        return error_set_errno(err, errno, "%s", folder);
    }
    uint64_t left = st == ST_OK ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
    return st == ST_OK && left < bytes + STORE_FREE_ENOUGH
               ? error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                           "no space for a copy of the store's database: %llu bytes and %llu that "
                           "stay free are needed, the disk has %llu",
                           (unsigned long long)bytes, (unsigned long long)STORE_FREE_ENOUGH,
                           (unsigned long long)left)
               : st;
}

static status_t make_copy(struct db *db, const char *to, struct error *err)
{
    sqlite3 *file = NULL;
    sqlite3_backup *backup = NULL;
    if (sqlite3_open_v2(to, &file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK) {
        backup = sqlite3_backup_init(file, "main", db->handle, "main");
    }
    /* all in one step, so that it is of one moment; who writes goes on meanwhile */
    int code = backup != NULL ? sqlite3_backup_step(backup, -1) : SQLITE_CANTOPEN;
    int ended = backup != NULL ? sqlite3_backup_finish(backup) : SQLITE_OK;
    sqlite3_close(file);
    return code == SQLITE_DONE && ended == SQLITE_OK
               ? ST_OK
               : error_set(err, code == SQLITE_FULL ? ST_LIMIT : ST_IO, ERROR_NO_OFFSET,
                           "a copy of the store's database: %s", sqlite3_errstr(code));
}

status_t store_copy_state(struct store *s, const char *to, struct error *err)
{
    struct db *db = NULL;
    if (atomic_exchange(&s->copied, true)) {
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                         "another controller gets a copy of the store's database just now");
    }
    int ignored = unlink(to);
    status_t st = store_reader(s, &db, err);
    if (st == ST_OK && (st = look_for_space(db, to, err)) == ST_OK &&
        (st = make_copy(db, to, err)) != ST_OK) {
        ignored = unlink(to);
    }
    (void)ignored;
    if (db != NULL) {
        store_reader_back(s, db);
    }
    if (st != ST_OK) {
        store_copied(s);
    }
    return st;
}

void store_copied(struct store *s)
{
    atomic_store(&s->copied, false);
}
