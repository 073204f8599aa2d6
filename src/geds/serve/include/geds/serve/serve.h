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

/* What a client may do. Each role may do what those before it may, but for SERVE_NODE: a node is what only it and an
 * admin may be. */
enum serve_role { SERVE_NONE, SERVE_NODE, SERVE_READ, SERVE_WRITE, SERVE_ADMIN };
enum { SERVE_BUCKETS_MAX = 32, SERVE_WHO_MAX = 96 };
struct serve_rights {
    enum serve_role role;
    size_t bucket_count; /* 0: all buckets */
    char buckets[SERVE_BUCKETS_MAX][STORE_BUCKET_MAX + 1];
    char who[SERVE_WHO_MAX]; /* as messages name it */
    int64_t ends_s;          /* since the epoch; 0: not by time */
    bool has_id;             /* of a token, which may be revoked */
    uint8_t id[32];
};

/* Who decides about clients on other machines. Any thread. */
struct serve_access {
    void *ctx;
    /* What may this peer do? ST_PERM: nothing, and err says what is missing. */
    status_t (*admit)(void *ctx, const struct rpc_peer *peer, struct serve_rights *ret_rights,
                      struct error *err);
    /* Before each of its requests: may it still? ST_PERM. */
    status_t (*still)(void *ctx, const struct serve_rights *rights, struct error *err);
};

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
    struct peers *peers;               /* NULL: it takes no nodes */
    struct memory *memory;             /* NULL: nothing is kept in memory */
    struct scrub *scrub;               /* NULL: nothing is compared in the background */
    const struct serve_access *access; /* NULL: this machine's user alone is let in */
};
const struct rpc_handler *serve_handler(void);

#endif
