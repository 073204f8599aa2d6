#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

/* An HTTP/1.1 server. Connections belong to a few event threads; a request whose end may wait for a disk asks for a
 * worker, so that other connections of its thread go on. Bodies arrive in pieces and are read no faster than they
 * are taken. */

enum {
    HTTP_TARGET_BYTES_MAX = 16384, /* of a request's first line; longer is answered by 414 or 431 */
    HTTP_HEADERS_MAX = 128,        /* more are answered by 431 */
    HTTP_DRAIN_BYTES_MAX = 16 << 20, /* what is read of the body of a request that is refused */
    HTTP_SLOW_MAX = 64               /* ends that wait for another machine, or for their turn to */
};

struct http_server;
struct http_request;

struct http_header {
    const char *name; /* as the client wrote it; compared without regard to case */
    const char *value;
};

/* Called in this order, for one request never by two threads at the same time. Each request gets one http_reply_*
 * call, the latest in end; what comes after a reply is ignored, and body and end are not called any more. */
struct http_handler {
    /* The headers are in, no byte of the body is. */
    void (*begin)(void *ctx, struct http_request *rq);
    /* The next len > 0 bytes of the body. */
    void (*body)(void *ctx, struct http_request *rq, const uint8_t *data, size_t len);
    /* The body is complete. */
    void (*end)(void *ctx, struct http_request *rq);
    /* The request is over, answered or broken off: drop what http_set_state kept. */
    void (*done)(void *ctx, struct http_request *rq);
};

struct http_options {
    const char *address; /* HOST:PORT or [IPV6]:PORT; port 0 lets the system choose */
    unsigned event_threads;
    unsigned workers;
    unsigned connections_max;
    unsigned
        idle_ms; /* from a connection's start, or its last answer, to the end of the next header */
    unsigned body_window_ms; /* in each such window, which ends early when it has them, ... */
    uint64_t body_bytes_min; /* ... so many bytes of a body have to come */
    const char *cert, *key;  /* PEM texts: TLS 1.2 or 1.3 with these; NULL: none */
    const struct http_handler *handler;
    void *ctx;
};

/* Defaults but for address, handler and ctx. */
void http_options_default(struct http_options *o);

/* Listen and serve until http_server_stop. ST_INVAL address; ST_EXIST it is in use; ST_PERM; ST_IO; ST_NOMEM. */
CHECKED status_t http_server_start(const struct http_options *o, struct http_server **ret_server,
                                   struct error *err);
/* Accept nothing more, wait for workers that run, close all connections. NULL is fine. */
void http_server_stop(struct http_server *s);
struct http_server_counters {
    unsigned connections; /* now */
    uint64_t accepted;    /* since the start */
};
void http_server_counters(struct http_server *s, struct http_server_counters *ret_counters);
/* The TCP port it listens on. */
unsigned http_server_port(const struct http_server *s);

/* What the client sent; strings live as long as the request. */
const char *http_method(const struct http_request *rq);
/* Did it come through TLS? */
bool http_is_secure(const struct http_request *rq);
/* The target of the first line as it came: nothing is decoded. */
const char *http_target(const struct http_request *rq);
/* The first header of that name, or NULL. */
const char *http_header(const struct http_request *rq, const char *name);
const struct http_header *http_headers(const struct http_request *rq, size_t *ret_count);
/* Of Content-Length; UINT64_MAX where there is none (or it is no number). */
uint64_t http_content_length(const struct http_request *rq);

void *http_state(const struct http_request *rq);
void http_set_state(struct http_request *rq, void *state);
/* In begin: let a worker call end. */
void http_end_in_worker(struct http_request *rq);
/* In end, when an event thread calls it, instead of a reply: end is called once more, by a worker, and may wait for
 * another machine there. At most half of the workers do such at a time. False: too many want that already. */
CHECKED bool http_end_slowly(struct http_request *rq);

/* Add a header to the answer, before http_reply_*. Control characters in the value become blanks. Without memory the
 * answer becomes 500. */
void http_reply_header(struct http_request *rq, const char *name, const char *value);
/* Answer with bytes that are taken over from body (NULL: none); it is left empty. */
void http_reply(struct http_request *rq, unsigned code, struct buf *body);
/* Answer with len bytes of a file from off on. Takes over fd. */
void http_reply_file(struct http_request *rq, unsigned code, int fd, uint64_t off, uint64_t len);
/* Answer with len bytes that read gives: up to max bytes at offset `at` of the answer, more than 0, or -1, which breaks
 * the connection off. done is called once, with the answer's end whatever that is; both by an event thread. */
void http_reply_reader(struct http_request *rq, unsigned code, uint64_t len,
                       ssize_t (*read)(void *arg, uint64_t at, char *to, size_t max),
                       void (*done)(void *arg), void *arg);

#define HTTP_LATER 0
/* Bytes of an answer that may have to be waited for. */
struct http_reader {
    /* As above; HTTP_LATER: it would wait. Then fetch is called, and read once more. */
    ssize_t (*read)(void *arg, uint64_t at, char *to, size_t max);
    /* By one of the workers that http_end_slowly has; may wait. */
    void (*fetch)(void *arg);
    void (*done)(void *arg);
    void *arg;
};
void http_reply_fetcher(struct http_request *rq, unsigned code, uint64_t len,
                        const struct http_reader *reader);
/* The answer to HEAD: a Content-Length without content. */
void http_reply_length(struct http_request *rq, unsigned code, uint64_t len);
bool http_replied(const struct http_request *rq);

/* How a request went. In done. */
struct http_outcome {
    unsigned code; /* of the answer; 0: there was none */
    bool whole;    /* the answer was sent to its end */
    uint64_t received_bytes,
        sent_bytes; /* of bodies, as on the line; of an answer that broke off at most so many */
};
struct http_outcome http_outcome(const struct http_request *rq);

#endif
