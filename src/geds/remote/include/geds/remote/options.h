#ifndef GEDS_REMOTE_OPTIONS_H
#define GEDS_REMOTE_OPTIONS_H

#include <stdbool.h>

#include "base/status.h"

/* How to reach a bucket of an S3 server. */

enum {
    REMOTE_ACCESS_BYTES_MAX = 128,
    REMOTE_SECRET_BYTES_MAX = 256,
    REMOTE_TOKEN_BYTES_MAX = 4096,
    REMOTE_PARALLEL_MAX = 64
};

/* Access to the server. Zeroed memory is valid: no credentials. Never to be printed. */
struct remote_credentials {
    char access_key[REMOTE_ACCESS_BYTES_MAX + 1];
    char secret[REMOTE_SECRET_BYTES_MAX + 1];
    char token[REMOTE_TOKEN_BYTES_MAX + 1]; /* of temporary credentials; "" is none */
};

/* Read them from the first line of a file that is neither empty nor a comment (#): ACCESS_KEY
 * SECRET [TOKEN]. path NULL: from the environment, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 * AWS_SESSION_TOKEN. Any thread. ST_PERM: others may use the file. ST_NOTFOUND: no file, no
 * variable. ST_FORMAT: not of that form. ST_IO, ST_NOMEM. Errors do not show what the file has. */
CHECKED status_t remote_credentials_load(const char *path,
                                         struct remote_credentials *ret_credentials,
                                         struct error *err);
/* Wipe them. */
void remote_credentials_done(struct remote_credentials *c);

enum remote_addressing {
    REMOTE_PATH_STYLE,  /* http://host/bucket/key */
    REMOTE_VIRTUAL_HOST /* http://bucket.host/key */
};

/* All strings are borrowed for remote_open. */
struct remote_options {
    const char *endpoint; /* http://HOST[:PORT] or https://HOST[:PORT], nothing behind it */
    const char *region;
    const char *bucket;
    const char *prefix; /* before every key, which calls neither give nor get; "" is none */
    enum remote_addressing addressing;
    const struct remote_credentials *credentials; /* copied; NULL: requests are not signed */
    const char *ca_file; /* certificates to trust, PEM; NULL: those of the system */
    const char *proxy;   /* URL of an HTTP proxy; NULL: none, whatever the environment says */

    uint64_t part_bytes; /* of a multipart upload, and of each range of a long GET */
    unsigned parallel;   /* requests in flight for one call, 1..REMOTE_PARALLEL_MAX */
    unsigned idle_max;   /* sessions with open connections that are kept */
    bool check_tags;     /* compare entity tags that look like MD5 with the bytes */

    unsigned connect_ms;     /* until a connection, TLS included, stands */
    unsigned stall_ms;       /* without a byte in either direction */
    unsigned tries_max;      /* of one request, 1 or more */
    unsigned backoff_ms;     /* the first wait; doubles with each try ... */
    unsigned backoff_max_ms; /* ... up to this */
    uint64_t deadline_ms;    /* of a call that gives none itself: over all tries and waits */
};

/* Path style, region us-east-1, 16 MiB parts, 4 in parallel, 8 sessions, tags are compared, 10 s
 * to connect, 30 s without a byte, 8 tries, waits of 100 ms to 20 s, 10 minutes. The other
 * fields are NULL. */
void remote_options_default(struct remote_options *o);

#endif
