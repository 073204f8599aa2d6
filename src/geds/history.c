#include "history.h"

#include <string.h>

struct first {
    uint64_t term, entry;
    uint8_t chain[SHARED_CHAIN_BYTES];
};
/* Of one term and the next that is known. */
struct firsts {
    struct first own, next; /* term 0: not known */
    uint64_t oldest;        /* term that is known at all; 0: none */
};

static status_t take_first(sqlite3_stmt *statement, struct first *ret_first, struct error *err)
{
    if (sqlite3_column_bytes(statement, 2) != SHARED_CHAIN_BYTES) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "what the store knows of its terms");
    }
    ret_first->term = db_u64(statement, 0);
    ret_first->entry = db_u64(statement, 1);
    memcpy(ret_first->chain, sqlite3_column_blob(statement, 2), SHARED_CHAIN_BYTES);
    return ST_OK;
}

static status_t load_firsts(struct db *db, uint64_t term, struct firsts *ret_firsts,
                            struct error *err)
{
    struct firsts f = {0};
    struct first one = {0};
    sqlite3_stmt *statement = NULL;
    bool row = true;
    status_t st = db_start(db, SQL_SHARED_FIRSTS, &statement, err, "i", term);
    while (st == ST_OK && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        st = take_first(statement, &one, err);
        f.oldest = db_u64(statement, 3);
        if (one.term == term) {
            f.own = one;
        } else if (f.next.term == 0) {
            f.next = one;
        }
    }
    db_end(statement);
    if (st == ST_OK) {
        *ret_firsts = f;
    }
    return st;
}

static bool goes_on(const struct shared_state *from, const struct first *own,
                    const struct shared_state *to, const struct firsts *theirs)
{
    const struct first *begun = &theirs->own;
    if (from->applied == 0) { /* what the log began with */
        return true;
    }
    if (to->applied < from->applied || to->term < from->term) {
        return false;
    }
    if (to->applied == from->applied) {
        return memcmp(to->chain, from->chain, sizeof to->chain) == 0;
    }
    if (begun->term != 0 && own->term != 0 &&
        (begun->entry != own->entry || memcmp(begun->chain, own->chain, sizeof own->chain) != 0)) {
        return false; /* another controller's term */
    }
    if (begun->term == 0 && theirs->oldest != 0 && theirs->oldest < from->term) {
        return false; /* it has terms before and behind, and never this one */
    }
    return begun->entry <= from->applied &&
           (theirs->next.term == 0 || theirs->next.entry > from->applied);
}

status_t history_goes_on(struct db *from, struct db *to, bool *ret_goes_on, struct error *err)
{
    struct shared_state state = {0}, other = {0};
    struct firsts own = {0}, theirs = {0};
    status_t st = shared_load(from, &state, err);
    if (st == ST_OK) {
        st = shared_load(to, &other, err);
    }
    if (st == ST_OK) {
        st = load_firsts(from, state.term, &own, err);
    }
    if (st == ST_OK) {
        st = load_firsts(to, state.term, &theirs, err);
    }
    if (st == ST_OK) {
        *ret_goes_on = goes_on(&state, &own.own, &other, &theirs);
    }
    return st;
}
