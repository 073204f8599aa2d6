#ifndef GEDS_ETCD_LINE_H
#define GEDS_ETCD_LINE_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "wire.h"

/* A connection to one of etcd's servers; when it does not answer, the next one is tried. One thread, but line_stop. */

enum { LINE_SERVERS_MAX = 16, LINE_SERVER_BYTES = 280 /* of an address, as a URL */ };

/* Immutable. */
struct line_options {
    char servers[LINE_SERVERS_MAX][LINE_SERVER_BYTES]; /* http://HOST:PORT */
    size_t server_count;
    const char *ca_file, *cert, *key; /* NULL: none */
};
/* endpoints: HOST:PORT, and more of these behind commas; tls: https. ST_INVAL. */
CHECKED status_t line_servers(const char *endpoints, bool tls, struct line_options *o,
                              struct error *err);

struct line {
    const struct line_options *o;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    size_t server; /* the one that is asked */
    unsigned
        patience; /* while bytes of an answer come it may take so many times as long; 0: it may not */
    _Atomic bool stop;
    struct buf answer;
    bool (*enough)(const struct buf *answer); /* NULL: the end */
    unsigned sent; /* of the last request: how often a byte of it may have left */
    _Atomic uint64_t requests, errors, ns; /* but for those that wait for something to happen */
    bool answered;                         /* a server did */
    size_t refused;                        /* times that a certificate was not good */
    char why[CURL_ERROR_SIZE];
};
CHECKED status_t line_open(const struct line_options *o, struct line *ret_line, struct error *err);
void line_close(struct line *l); /* also of a zeroed one */
/* What waits ends with ST_STOPPED, and so does what begins later. Any thread. */
void line_stop(struct line *l);

/* POST. The answer is in l->answer until the next one. enough (may be NULL): it has come as far as is needed; then the
 * rest is not waited for, and that the time is over is no error. ST_AGAIN: no server answered, or as etcd_error_decode;
 * l->sent says how often servers may have got the request, whatever the answer is. ST_PERM also: no server ever
 * answered, nothing was sent, and the certificates of all are not good, or this one's own files. */
CHECKED status_t line_post(struct line *l, const char *path, const struct buf *body, unsigned ms,
                           bool (*enough)(const struct buf *answer), struct error *err);
/* A transaction. */
CHECKED status_t line_txn(struct line *l, const struct etcd_txn *t, unsigned ms,
                          struct arena *arena, struct etcd_answer *ret_answer, struct error *err);

/* A range or a removal alone. Unlike those in transactions it is answered while etcd has no room. */
CHECKED status_t line_alone(struct line *l, const struct etcd_op *op, unsigned ms,
                            struct arena *arena, struct etcd_range *ret_range, struct error *err);

#endif
