#ifndef CELL_AOT_LIVE_H
#define CELL_AOT_LIVE_H

#include "base/arena.h"
#include "cell/module/module.h"

/* Which locals are live where a function can be captured: a local is live at a place when some way on from there
 * reads it before it is assigned. A fact of the wasm code alone, so every compiler finds the same.
 * See docs/internals/capture.md. */

/* A place where a frame can stand: behind a call, at a loop's header, in long work of the host, in front of a tail
 * call. */
struct live_site {
    uint64_t off;           /* of the instruction in the module */
    const uint64_t *locals; /* a bit per local that is live behind it (at the header, for a loop) */
};

struct live {
    struct live_site *sites; /* in order of off */
    uint32_t site_count;
    uint32_t local_count; /* with parameters */
};

/* fn: valid and not imported. Memory belongs to *a. ST_NOMEM. Any thread. */
CHECKED status_t live_analyse(const struct module *m, uint32_t func, struct arena *a,
                              struct live *ret);
/* NULL when no site has that offset. */
const struct live_site *live_at(const struct live *l, uint64_t off);
static inline bool live_local(const struct live_site *s, uint32_t local)
{
    return s->locals[local / 64] >> (local % 64) & 1;
}
/* Is the instruction one that live_analyse makes a site for? */
bool live_is_site(uint32_t op);

#endif
