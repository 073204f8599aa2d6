#ifndef GEDS_SERVE_SERVE_H
#define GEDS_SERVE_SERVE_H

#include "geds/store.h"
#include "net/metrics/metrics.h"
#include "net/rpc/server.h"

/* The operations of the store's own protocol, for an rpc_server (docs/internals/geds-wire.md). */

enum { SERVE_HANDLES_MAX = 256 }; /* puts and open objects of one connection */

/* Counts cloudskin_rpc_*. ST_NOMEM. ST_EXIST: another one counts there. */
struct serve_meter;
CHECKED status_t serve_meter_new(struct metrics *metrics, struct serve_meter **ret_meter,
                                 struct error *err);
void serve_meter_free(struct serve_meter *m); /* after the server; takes NULL */

/* The ctx of the handler; outlives the server. */
struct serve_context {
    struct store *store;
    const char *version;
    const char *state;         /* folder */
    const char *s3;            /* address */
    const char *metrics;       /* address; "": none, as with NULL */
    struct serve_meter *meter; /* NULL: nobody counts */
    struct tier *tier;         /* NULL: none */
    const char *tier_name, *tier_endpoint;
};
const struct rpc_handler *serve_handler(void);

#endif
