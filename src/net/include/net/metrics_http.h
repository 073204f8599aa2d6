#ifndef NET_METRICS_HTTP_H
#define NET_METRICS_HTTP_H

#include "net/http.h"
#include "net/metrics/metrics.h"

/* GET /metrics, and GET /healthz: a server of its own, so that it answers while others are busy, and can be at an
 * address that clients do not reach. */

enum {
    METRICS_HTTP_CONNECTIONS_MAX = 32,
    METRICS_HTTP_IDLE_MS = 10000,
};

struct metrics_http;

struct metrics_http_options {
    const char *address;           /* as in http_options */
    const struct metrics *metrics; /* outlives the server */
    /* Does what is watched do what it is there for? ret_why: if not, one line. One thread at a time. */
    bool (*healthy)(void *ctx, struct error *ret_why);
    void *ctx;
};
/* Errors as of http_server_start. */
CHECKED status_t metrics_http_start(const struct metrics_http_options *o,
                                    struct metrics_http **ret_server, struct error *err);
void metrics_http_stop(struct metrics_http *s); /* takes NULL */
unsigned metrics_http_port(const struct metrics_http *s);

/* What a header Accept (NULL: none) prefers. */
enum metrics_format metrics_http_format(const char *accept);

#endif
