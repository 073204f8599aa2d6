#ifndef GEDS_SERVE_SERVE_H
#define GEDS_SERVE_SERVE_H

#include "geds/store.h"
#include "net/rpc/server.h"

/* The operations of the store's own protocol, for an rpc_server (docs/internals/geds-wire.md). */

enum { SERVE_HANDLES_MAX = 256 }; /* puts and open objects of one connection */

/* The ctx of the handler; outlives the server. */
struct serve_context {
    struct store *store;
    const char *version;
    const char *state; /* folder */
    const char *s3;    /* address */
    struct tier *tier; /* NULL: none */
    const char *tier_name, *tier_endpoint;
};
const struct rpc_handler *serve_handler(void);

#endif
