#ifndef INTEG_CAPTURE_TRAVEL_H
#define INTEG_CAPTURE_TRAVEL_H

#include "../run/guest.h"
#include "cell/run/state.h"

/* What freeze and thaw do, without a file: the state of a captured cell as bytes, and a new cell from them. */

static inline void travel_memories(struct cell *from, struct cell *to)
{
    struct cell_memory a, b;
    for (uint32_t i = 0; cell_memory(from, i, &a) == ST_OK; i++) {
        CHECK_EQ(cell_memory(to, i, &b), ST_OK);
        CHECK_EQ(a.bytes, b.bytes);
        memcpy(b.base, a.base, a.bytes);
    }
}

/* Go on in a cell of `to`, an image of the same module. False: the state holds what cannot travel, and the cell stays
 * as it is. */
static inline bool travel_limited(struct guest *g, struct program *to,
                                  const struct host_module *host, const struct cell_limits *limits)
{
    struct buf state = {0};
    struct guest next;
    status_t st = cell_state_save(g->cell, &state, &g->err);
    if (st == ST_OK) {
        guest_start(&next, g->rt, to, host, limits);
        guest_need(cell_state_load(next.cell, state.data, state.len, &next.err), "load a state",
                   &next.err);
        travel_memories(g->cell, next.cell);
        cell_free(g->cell);
        *g = next;
    } else {
        CHECK_EQ(st, ST_UNSUPPORTED);
    }
    buf_done(&state);
    return st == ST_OK;
}

static inline bool travel(struct guest *g, struct program *to, const struct host_module *host)
{
    return travel_limited(g, to, host, NULL);
}

#endif
