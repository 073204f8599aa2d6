#ifndef GEDS_REMOTE_IMPL_H
#define GEDS_REMOTE_IMPL_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "answer.h"
#include "base/hash.h"
#include "net/sigv4.h"

enum {
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    PIECE_BYTES = 256 << 10,     /* of a source that is hashed; of curl's own buffers */
    HEADER_BYTES_MAX = 64 << 10, /* of one answer */
    ERROR_BODY_MAX = 64 << 10,   /* more of an error's text is not read */
    SMALL_BODY_MAX = 64 << 10,   /* of an answer that has an id or a tag */
    TRANSFER_HEADERS = REMOTE_HEADERS_MAX + 8,
    URL_TEXT_BYTES = 88 /* of an address in messages */
};

/* Connections of one call at a time. */
struct session {
    CURLM *multi;
    uint8_t *piece; /* while a call needs it */
    uint64_t random;
    struct session *next;
};

struct remote {
    struct arena arena; /* of the strings in o and below */
    struct remote_options o;
    struct remote_credentials credentials;
    bool signs;
    const char *origin; /* http://host:port */
    const char *host;   /* what the header says */
    const char *base;   /* of decoded paths: "/bucket", or "" */
    atomic_bool bucket_seen;
    pthread_mutex_t lock; /* of the idle sessions */
    struct session *idle;
    unsigned idle_count;
};

/* A call in progress, in its thread. */
struct call {
    struct remote *r;
    struct session *s;
    struct remote_call how;
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint64_t bytes;            /* for progress */
    struct call *next, **link; /* in the list of its token */
};
CHECKED status_t call_begin(struct call *c, struct remote *r, const struct remote_call *how,
                            struct error *err);
void call_end(struct call *c);
bool call_cancelled(const struct call *c);
void session_free(struct session *s);
/* PIECE_BYTES for the call's own use, or NULL. */
uint8_t *session_piece(struct session *s);
uint64_t session_random(struct session *s);

/* One request, with all its tries. Zeroed, then filled by its maker. */
struct transfer {
    const char *method;
    const char *key; /* without the client's prefix; NULL: the bucket */
    struct query query;
    struct http_header headers[TRANSFER_HEADERS];
    size_t header_count;
    /* The body that is sent; NULL: none. */
    const struct remote_source *source;
    uint64_t source_off, source_len;
    bool send_crc32c;
    bool send_md5; /* Content-MD5, for requests that must have it */
    /* Where the body of a good answer goes; NULL: into body, body_max bytes at most. */
    const struct remote_sink *sink;
    uint64_t sink_off;
    bool ranged;
    uint64_t want_off, want_len; /* want_len is cut where the object ends */
    const char *if_match;
    bool with_md5; /* of what comes */
    size_t body_max;
    void (*header)(void *arg, const char *name, const char *value);
    void *header_arg;
    /* Called when all of a good answer is there. ST_CORRUPT and ST_AGAIN: try again, from the
     * start. */
    status_t (*accept)(struct transfer *t, struct error *err);
    void *arg; /* of the maker */

    /* Of the body that is sent, made before the first try. */
    bool hashed;
    char payload[SHA256_HEX_BYTES];
    uint32_t sent_crc32c;
    uint8_t sent_md5[MD5_BYTES];

    /* The answer to the last try. */
    struct answer_head head;
    struct answer_error error;
    struct buf body;
    size_t header_bytes;
    bool headed; /* the header is complete */
    bool to_sink;
    uint64_t got; /* bytes that the sink has, over all tries */
    uint32_t crc32c;
    struct md5 md5;

    /* The tries. */
    struct call *call;
    CURL *easy;
    struct curl_slist *lines;
    char *line; /* HEADER_BYTES_MAX + 1, for header lines */
    struct buf url;
    char if_match_line[REMOTE_TAG_BYTES + 2];
    char pinned[REMOTE_TAG_BYTES]; /* of the object of which the sink has a part */
    char curl_text[CURL_ERROR_SIZE];
    bool running;
    unsigned sends; /* of the request in this try, see on_send */
    bool heard;     /* something came, or went, in this try */
    unsigned tries;
    bool unknown;      /* a try that failed may have had its effect */
    uint64_t sent;     /* bytes of the body given to this try */
    uint64_t ready_ns; /* not before */
    uint64_t heard_ns; /* when */
    status_t own_st;   /* of a source, a sink or a limit: ended this try */
    struct error own;
};
/* Make the request ready for a try, and set up its handle. ST_NOMEM, ST_INVAL; or what the
 * source answers. */
CHECKED status_t transfer_prepare(struct transfer *t, struct call *c, struct error *err);
/* "PUT http://host/bucket/key", cut. */
void transfer_name(const struct transfer *t, char *ret_text, size_t size);
void transfer_done(struct transfer *t);

/* request.c */
CHECKED status_t request_build(struct transfer *t, const struct remote *r, uint64_t now_s,
                               struct error *err);
/* ST_INVAL: empty, too long with the client's prefix, not UTF-8 or with a NUL. */
CHECKED status_t request_check_key(const struct remote *r, const char *key, struct error *err);
CHECKED status_t request_check_headers(const struct http_header *headers, size_t count,
                                       struct error *err);
void transfer_query(struct transfer *t, const char *name, const char *value);
void transfer_header(struct transfer *t, const char *name, const char *value);

/* Several requests of a call. Both are called in its thread. */
struct feed {
    /* The next one, or NULL: no more before one that runs is done. *ret_transfer stays the
     * maker's. */
    status_t (*next)(void *arg, struct transfer **ret_transfer, struct error *err);
    /* It has worked. */
    status_t (*done)(void *arg, struct transfer *t, struct error *err);
    void *arg;
};
/* Run requests until all are done or one fails for good; then none runs any more. */
CHECKED status_t exchange_run(struct call *c, const struct feed *feed, unsigned parallel,
                              struct error *err);
CHECKED status_t exchange_one(struct call *c, struct transfer *t, struct error *err);

/* object.c */
/* What a header says; size is for the caller to set. */
void info_of(const struct answer_head *head, struct remote_info *ret_info);
/* accept of a PUT: does the answer say that the server has what was sent? */
CHECKED status_t object_check_sent(struct transfer *t, struct error *err);
/* A request about an object failed with st. A 404 of which nobody says that it means the object
 * is ST_INVAL where it is the bucket, or the server, that is missing. */
CHECKED status_t object_failed(struct call *c, const struct transfer *t, status_t st,
                               struct error *err);
/* HEAD. header and if_match may be NULL; t is for transfer_done, whatever is returned. */
CHECKED status_t object_head(struct call *c, struct transfer *t, const char *key,
                             const char *if_match, struct error *err);
/* Is size too much for one request? */
bool upload_needed(const struct remote *r, uint64_t size);
CHECKED status_t upload_whole(struct call *c, const char *key, const struct remote_source *source,
                              const struct remote_put_options *options,
                              struct remote_info *ret_info, struct error *err);

#endif
