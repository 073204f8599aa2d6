#ifndef BIN_CONTROLLER_METRICS_H
#define BIN_CONTROLLER_METRICS_H

#include <stdatomic.h>

#include "geds/memory/memory.h"
#include "geds/peer/peers.h"
#include "geds/scrub/scrub.h"
#include "geds/tier/tier.h"
#include "net/http.h"
#include "net/metrics/metrics.h"
#include "net/rpc/server.h"
#include "share.h"

/* What a controller tells about its store, its tier and its nodes, read when somebody looks. */

/* All outlives the collector. */
struct metrics_sources {
    struct store *store;
    struct tier *tier; /* NULL: none */
    struct peers *peers;
    struct scrub *scrub;   /* NULL: none */
    struct memory *memory; /* NULL: none */
    struct http_server *s3;
    struct share *share;            /* NULL: it shares its store with none */
    struct rpc_server *_Atomic rpc; /* NULL: none, or not yet */
    /* the collector's own: what was counted, and when, on the monotonic clock; 0: not yet */
    _Atomic uint64_t missing_keys, locked_extents, keys_counted_ns;
};
CHECKED status_t controller_metrics_add(struct metrics *m, struct metrics_sources *sources,
                                        struct error *err);

/* Of one that stands by: no more than that, and the process. share outlives the collector. */
CHECKED status_t controller_metrics_add_standing_by(struct metrics *m, struct share *share,
                                                    struct error *err);

/* Does the store take changes? arg: struct metrics_sources. ret_why: why not. */
bool controller_healthy(void *arg, struct error *ret_why);

#endif
