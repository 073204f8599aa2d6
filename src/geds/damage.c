#include "copy.h"
#include "place.h"
#include "use.h"

/* Local files of extents: which there are, and what becomes of those that are damaged. */

status_t store_extents_here(struct store *s, uint64_t after, size_t max, uint64_t *ret_ids,
                            size_t *ret_count, struct error *err)
{
    struct db *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    size_t count = 0;
    status_t st = store_reader(s, &db, err);
    if (st != ST_OK) {
        return st;
    }
    st = db_start(db, SQL_EXTENT_HERE, &statement, err, "ii", after, (uint64_t)max);
    while (st == ST_OK && count < max && (st = db_next(db, statement, &row, err)) == ST_OK && row) {
        ret_ids[count++] = db_u64(statement, 0);
    }
    db_end(statement);
    store_reader_back(s, db);
    *ret_count = count;
    return st;
}

bool store_extent_damaged(struct store *s, uint64_t id)
{
    struct store_extent x = {0};
    uses_gone(s, id, true);
    if (store_extent_get(s, id, &x, NULL) != ST_OK) {
        return false;
    }
    buf_done(&x.sums);
    if ((x.place & STORE_PLACE_REMOTE) != 0 && s->placing != NULL) {
        place_damaged(s, id);
        return true;
    }
    if (!copies_have(s, id)) {
        return false;
    }
    copies_damaged(s, id);
    return true;
}
