#ifndef GEDS_REMOTE_REMOTE_H
#define GEDS_REMOTE_REMOTE_H

#include "base/arena.h"
#include "geds/remote/options.h"
#include "geds/remote/stream.h"
#include "net/http.h"

/* A client of one bucket of an S3 server.
 *
 * Calls block, and make requests again as long as that may help. Any number of threads may call
 * at the same time; what a call is given is used in its thread only. The program ignores SIGPIPE.
 *
 * Every call may fail with
 * ST_AGAIN      the server is away or busy: after all tries, or the deadline; try later
 * ST_STOPPED    cancelled
 * ST_PERM       credentials, rights or the server's certificate
 * ST_INVAL      an argument; or the configuration: no such bucket, another endpoint
 * ST_FORMAT     the server broke the protocol
 * ST_UNSUPPORTED the server does not know the operation
 * ST_LIMIT      the server is full, or a named limit of this client was reached
 * ST_NOMEM, ST_IO
 * Errors name the request, the server's code and message, and its request id. Keys: 1 to
 * REMOTE_KEY_MAX bytes of UTF-8, the prefix included. */

enum {
    REMOTE_KEY_MAX = 1024,
    REMOTE_TAG_BYTES = 132, /* of an entity tag without quotes, with its NUL */
    REMOTE_LIST_MAX = 1000,
    REMOTE_HEADERS_MAX = 32, /* given along with a PUT */
    REMOTE_CONTENT_TYPE_BYTES = 256,
    REMOTE_CURSOR_BYTES_MAX = 4096
};

struct remote;
struct remote_cancel;

/* No request is made yet. ST_INVAL names the wrong option; ST_NOMEM. */
CHECKED status_t remote_open(const struct remote_options *options, struct remote **ret_remote,
                             struct error *err);
/* After the last call. Takes NULL. */
void remote_close(struct remote *r);

/* Ends calls from another thread. ST_NOMEM. */
CHECKED status_t remote_cancel_new(struct remote_cancel **ret_cancel);
/* All calls that have it end with ST_STOPPED, also those that start later. Any thread, not a
 * signal handler. */
void remote_cancel_now(struct remote_cancel *c);
/* After the last call with it. Takes NULL. */
void remote_cancel_free(struct remote_cancel *c);

/* How one call is made. NULL or zeroed: as the options say. */
struct remote_call {
    struct remote_cancel *cancel; /* borrowed for the call; NULL: none */
    uint64_t deadline_ms;         /* from now, over all tries; 0: that of the options */
    /* Bytes of the body that were sent or came so far; those of a try that failed are taken
     * back. May be NULL. */
    void (*progress)(void *arg, uint64_t bytes);
    void *arg;
};

struct remote_info {
    uint64_t size;
    uint64_t modified_s;         /* since the epoch; 0: not known */
    char etag[REMOTE_TAG_BYTES]; /* without quotes; "" where the server gave none */
    char content_type[REMOTE_CONTENT_TYPE_BYTES];
    bool has_crc32c; /* of the whole object, as the server keeps it, or of what a GET got */
    uint32_t crc32c;
};

struct remote_put_options {
    bool if_none;         /* only if there is no such object: else ST_EXIST */
    const char *if_match; /* only if it has this tag: else ST_CHANGED, ST_NOTFOUND */
    /* Content-Type, x-amz-meta-... and the like; REMOTE_HEADERS_MAX at most. */
    const struct http_header *headers;
    size_t header_count;
};

/* Put an object, in parts if it has more bytes than one. It is there whole or not at all; after
 * ST_AGAIN and ST_STOPPED it may be either, or still become it. Without a condition a second try
 * may replace what somebody else put after the first. options, call and ret_info may be NULL.
 * ST_CORRUPT: the server has got other bytes, or the source gave others in a second pass; or
 * what the source answers. */
CHECKED status_t remote_put(struct remote *r, const char *key, const struct remote_source *source,
                            const struct remote_put_options *options,
                            const struct remote_call *call, struct remote_info *ret_info,
                            struct error *err);

struct remote_get_options {
    uint64_t off;         /* first byte, 0: the start */
    uint64_t len;         /* 0: up to the end */
    const char *if_match; /* NULL: whatever is there when the first byte comes */
    bool has_crc32c;      /* of these bytes, as the caller knows it */
    uint32_t crc32c;
    /* Gets each header of the first range's answer, and of those of its further tries. May be
     * NULL. */
    void (*header)(void *arg, const char *name, const char *value);
    void *arg;
};

/* Read an object or a range of it. The sink gets each byte at its place behind the first, in any
 * order, perhaps more than once; after an error it may have any of them. options, call and
 * ret_info may be NULL; info tells the size of the whole object. ST_NOTFOUND. ST_CHANGED:
 * another tag than if_match, or the object was replaced meanwhile. ST_INVAL: the range starts
 * behind the end, or ends there where its length was given. ST_CORRUPT: a checksum is wrong; or
 * what the sink answers. */
CHECKED status_t remote_get(struct remote *r, const char *key, const struct remote_sink *sink,
                            const struct remote_get_options *options,
                            const struct remote_call *call, struct remote_info *ret_info,
                            struct error *err);

/* What is known about an object. header as in remote_get_options, may be NULL. ST_NOTFOUND. */
CHECKED status_t remote_head(struct remote *r, const char *key,
                             void (*header)(void *arg, const char *name, const char *value),
                             void *arg, const struct remote_call *call,
                             struct remote_info *ret_info, struct error *err);

/* One that is not there is fine. */
CHECKED status_t remote_delete(struct remote *r, const char *key, const struct remote_call *call,
                               struct error *err);

/* Delete count keys, 1,000 a request. ret_results: what happened to each; those of a request
 * that was not made, or not answered, have the status that is returned. ST_OK: the server said
 * something about each. */
CHECKED status_t remote_delete_many(struct remote *r, const char *const *keys, size_t count,
                                    const struct remote_call *call, status_t *ret_results,
                                    struct error *err);

struct remote_list_query {
    const char *prefix;    /* behind that of the options; NULL: all */
    const char *delimiter; /* NULL: none */
    const char *after;     /* keys behind this one; NULL: from the first */
    const char *cursor;    /* of the page before, instead of `after`; NULL: the first page */
    size_t max;            /* 1..REMOTE_LIST_MAX; 0: REMOTE_LIST_MAX */
};
struct remote_entry {
    const char *key;
    uint64_t size;
    uint64_t modified_s;
    const char *etag; /* without quotes; "" for a prefix */
    bool is_prefix;   /* key ends with the delimiter, and stands for all that begin so */
};
struct remote_page {
    struct arena arena;
    struct remote_entry *entries;
    size_t count;
    const char *cursor; /* for the next page; NULL: this is the last one */
};
/* A page of the keys, in the server's order. call may be NULL. *ret_page ends with
 * remote_page_done. */
CHECKED status_t remote_list(struct remote *r, const struct remote_list_query *query,
                             const struct remote_call *call, struct remote_page *ret_page,
                             struct error *err);
/* Takes zeroed memory. */
void remote_page_done(struct remote_page *page);

#endif
