#include "copy.h"
#include "place.h"
#include "use.h"

/* Local files of extents: which there are, and what becomes of those that are damaged. */

status_t store_extents_here(struct store *s, uint64_t after, size_t max, uint64_t *ret_ids,
                            size_t *ret_count, struct error *err)
{
    return store_rows(s, SQL_EXTENT_HERE, after, max, store_take_id, ret_ids, ret_count, err);
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
