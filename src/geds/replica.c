#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replica.h"
#include "sys/files.h"

/* A recall that was interrupted. Its bytes are in the tier; here another controller may have given the row a local file
 * meanwhile, for which it would be taken. */
static status_t remove_recalled(void *arg, const char *name, struct error *err)
{
    const struct store *s = arg;
    return name[0] != 'r' || unlinkat(s->new_fd, name, 0) == 0
               ? ST_OK
               : error_set_errno(err, errno, "%s/new/%s", s->path, name);
}

status_t replica_open(const char *path, const struct store_options *options,
                      struct replica **ret_replica, struct error *err)
{
    struct replica *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return no_memory(err);
    }
    status_t st = store_open_files(path, options, &r->store, err);
    if (st == ST_OK) {
        st = folder_each(r->store->new_fd, path, remove_recalled, r->store, err);
    }
    if (st == ST_OK) {
        /* what triggers did is in the entries */
        sqlite3_db_config(r->store->writer_db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
        st = patch_schema_load(r->store->writer_db, &r->schema, err);
    }
    if (st == ST_OK) {
        st = db_complete_shared(r->store->writer_db, err);
    }
    if (st != ST_OK) {
        replica_close(r);
        return st;
    }
    *ret_replica = r;
    return ST_OK;
}

void replica_close(struct replica *r)
{
    if (r != NULL) {
        store_close(r->store);
        free(r);
    }
}

static status_t is_empty(struct db *db, bool *ret_empty, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    status_t st = db_start(db, SQL_BUCKET_LIST, &statement, err, "");
    if (st == ST_OK) {
        st = db_next(db, statement, &row, err);
    }
    db_end(statement);
    *ret_empty = st == ST_OK && !row;
    return st;
}

static status_t state_of(struct db *db, struct shared_state *ret_state, struct error *err)
{
    struct shared_state state = {0};
    status_t st = shared_load(db, &state, err);
    if (st == ST_OK || st == ST_NOTFOUND) {
        st = is_empty(db, &state.empty, err);
    }
    if (st == ST_OK) {
        *ret_state = state;
    }
    return st;
}

status_t replica_state(struct replica *r, struct shared_state *ret_state, struct error *err)
{
    return state_of(r->store->writer_db, ret_state, err);
}

/* End what store_begin began for a database that is not in a log, or not led. */
static status_t end(struct store *s, status_t st, struct error *err)
{
    if (st == ST_OK) {
        st = db_do(s->writer_db, SQL_COMMIT, err, "");
    }
    if (st != ST_OK) {
        store_rollback(s);
    }
    return st;
}

status_t replica_begin(struct replica *r, const char *log, struct error *err)
{
    struct store *s = r->store;
    struct shared_state state = {0};
    status_t st = replica_state(r, &state, err);
    if (st == ST_OK && state.applied > 0) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "the store belongs to the log %s",
                         state.log);
    }
    if (st == ST_OK && strlen(log) != SHARED_ID_BYTES - 1) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "\"%.40s\" is no id of a log", log);
    }
    if (st == ST_OK && (st = db_do(s->writer_db, SQL_BEGIN_WRITE, err, "")) == ST_OK) {
        st = db_set_shared_format(s->writer_db, true, err);
        if (st == ST_OK) {
            st = db_do(s->writer_db, SQL_SHARED_BEGIN, err, "t", log);
        }
        st = end(s, st, err);
    }
    return st;
}

status_t replica_term(struct replica *r, const char *address, struct buf *ret_entry,
                      struct error *err)
{
    struct shared_state state;
    status_t st = shared_load(r->store->writer_db, &state, err);
    if (st != ST_OK) {
        return st;
    }
    if (state.term >= SHARED_TERM_MAX || strlen(address) > SHARED_ADDRESS_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "term %llu, address %.80s",
                         (unsigned long long)state.term, address);
    }
    uint8_t payload[SHARED_ADDRESS_MAX + 1 + ENTRY_RANDOM_BYTES];
    size_t len = strlen(address) + 1;
    memcpy(payload, address, len);
    if (getrandom(payload + len, ENTRY_RANDOM_BYTES, 0) != ENTRY_RANDOM_BYTES) {
        return error_set_errno(err, errno, "random number");
    }
    struct entry e = {.kind = ENTRY_TERM,
                      .index = state.applied + 1,
                      .term = state.term + 1,
                      .payload = payload,
                      .len = len + ENTRY_RANDOM_BYTES};
    memcpy(e.log, state.log, sizeof e.log);
    memcpy(e.before, state.chain, sizeof e.before);
    entry_encode(&e, ret_entry);
    return ret_entry->failed ? no_memory(err) : ST_OK;
}

/* Any difference between this database and that of who wrote it is one too many. */
static int on_conflict(void *ignored, int what, sqlite3_changeset_iter *at)
{
    (void)ignored, (void)what, (void)at;
    return SQLITE_CHANGESET_ABORT;
}

status_t replica_other_history(const struct store *s, status_t code, uint64_t index,
                               struct error *err)
{
    return error_set(err, code, ERROR_NO_OFFSET,
                     "entry %llu here is of another history than the log's (was etcd restored?). "
                     "Nothing is replaced. To give up what only this store has: mv %.60s/meta.db* "
                     "away; to go on with it: --etcd none",
                     (unsigned long long)index, s->path);
}

static status_t other_history(const struct replica *r, uint64_t index, struct error *err)
{
    return replica_other_history(r->store, ST_CORRUPT, index, err);
}

static status_t apply_changes(struct replica *r, const struct entry *e, struct ids *removed,
                              struct error *err)
{
    status_t st = patch_check(&r->schema, e->payload, e->len, removed, err);
    if (st != ST_OK) {
        return st;
    }
    int code = sqlite3changeset_apply(r->store->writer_db->handle, (int)e->len,
                                      (void *)(uintptr_t)e->payload, NULL, on_conflict, NULL);
    if (code == SQLITE_ABORT || (code & 0xff) == SQLITE_CONSTRAINT ||
        (code & 0xff) == SQLITE_CORRUPT) {
        return other_history(r, e->index, err);
    }
    return code == SQLITE_OK ? ST_OK : db_error(r->store->writer_db, err);
}

static status_t apply_term(struct replica *r, const struct entry *e, struct error *err)
{
    char address[SHARED_ADDRESS_MAX + 1];
    size_t len = strnlen((const char *)e->payload, e->len), random = e->len - len;
    bool good = len <= SHARED_ADDRESS_MAX && (random == 0 || random == 1 + ENTRY_RANDOM_BYTES);
    for (size_t i = 0; i < len && good; i++) {
        good = e->payload[i] > ' ' && e->payload[i] <= '~';
    }
    if (!good) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "no address of a controller");
    }
    memcpy(address, e->payload, len);
    address[len] = '\0';
    status_t st = db_do(r->store->writer_db, SQL_SHARED_ADD_TERM, err, "it", e->term, address);
    return st == ST_OK ? db_do(r->store->writer_db, SQL_SHARED_ADD_FIRST, err, "iib", e->term,
                               e->index, e->chain, sizeof e->chain)
                       : st;
}

static status_t apply_one(struct replica *r, struct shared_state *state,
                          const struct shared_bytes *bytes, struct ids *removed, struct error *err)
{
    struct entry e;
    status_t st = entry_decode(bytes->data, bytes->len, &e, err);
    if (st != ST_OK || (e.index <= state->applied && strcmp(e.log, state->log) == 0)) {
        return st;
    }
    if (strcmp(e.log, state->log) != 0 || e.index != state->applied + 1 ||
        memcmp(e.before, state->chain, sizeof e.before) != 0 ||
        e.term != state->term + (e.kind == ENTRY_TERM)) {
        return other_history(r, e.index, err);
    }
    st = e.kind == ENTRY_TERM ? apply_term(r, &e, err) : apply_changes(r, &e, removed, err);
    if (st == ST_OK) {
        state->applied = e.index;
        state->term = e.term;
        memcpy(state->chain, e.chain, sizeof state->chain);
        st = shared_save(r->store->writer_db, &e, err);
    }
    return st;
}

/* What came back in the same transaction stays. A file that is left costs space only, until the next sweep
 * (orphan.h). */
static void remove_files(struct store *s, const struct ids *removed)
{
    for (size_t i = 0; i < removed->count; i++) {
        bool local = false;
        status_t st = extent_is_local(s->writer_db, removed->ids[i], &local, NULL);
        if (st == ST_OK && !local) {
            st = extent_remove(s, removed->ids[i], NULL);
        }
        (void)st;
    }
}

status_t replica_apply(struct replica *r, const struct shared_bytes *entries, size_t count,
                       struct error *err)
{
    struct store *s = r->store;
    struct shared_state state;
    struct ids removed = {0};
    status_t st = shared_load(s->writer_db, &state, err);
    if (st == ST_OK && (st = db_do(s->writer_db, SQL_BEGIN_WRITE, err, "")) == ST_OK) {
        for (size_t i = 0; i < count && st == ST_OK; i++) {
            st = apply_one(r, &state, &entries[i], &removed, err);
        }
        st = end(s, st, err);
    }
    if (st == ST_OK) {
        remove_files(s, &removed);
    }
    ids_done(&removed);
    return st;
}

status_t replica_compare(struct replica *r, const void *entry, size_t len, struct error *err)
{
    struct entry e;
    struct shared_state state;
    status_t st = shared_load(r->store->writer_db, &state, err);
    if (st == ST_OK) {
        st = entry_decode_any(entry, len, &e, err);
    }
    return st == ST_OK && (strcmp(e.log, state.log) != 0 || e.index != state.applied ||
                           memcmp(e.chain, state.chain, sizeof e.chain) != 0)
               ? other_history(r, e.index, err)
               : st;
}

status_t replica_leave(const char *path, struct error *err)
{
    struct replica *r = NULL;
    struct shared_state state;
    status_t st = replica_open(path, NULL, &r, err);
    if (st == ST_OK) {
        st = shared_load(r->store->writer_db, &state, err);
    }
    if (st == ST_OK && (st = db_do(r->store->writer_db, SQL_BEGIN_WRITE, err, "")) == ST_OK) {
        /* a term of its own, of nobody's address */
        st = db_do(r->store->writer_db, SQL_SHARED_ADD_TERM, err, "it", state.term + 1, "");
        if (st == ST_OK) {
            st = db_set_shared_format(r->store->writer_db, false, err);
        }
        st = end(r->store, st, err);
    }
    replica_close(r);
    return st;
}
