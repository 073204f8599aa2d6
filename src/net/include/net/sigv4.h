#ifndef NET_SIGV4_H
#define NET_SIGV4_H

#include "base/hash.h"
#include "net/http.h"
#include "net/uri.h"

/* AWS Signature Version 4, in the form that S3 uses: the path is encoded once and not normalised; and URLs that are
 * signed by version 2. */

enum {
    SIGV4_ACCESS_KEY_BYTES_MAX = 128,
    SIGV4_SIGNED_HEADERS_BYTES_MAX = 4096,
    SIGV4_SKEW_S = 15 * 60,
    SIGV4_EXPIRES_S_MAX = 7 * 24 * 3600
};

/* Payload names of x-amz-content-sha256. */
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_CHUNKS "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define SIGV4_CHUNKS_TRAILER "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
#define SIGV4_UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

/* What is signed. All borrowed. */
struct sigv4_request {
    const char *method;
    const char *path; /* decoded, with its leading slash */
    const struct query *query;
    const struct http_header *headers;
    size_t header_count;
    const char
        *target; /* as it came, of which version 2 signs the path; NULL: path encoded is the same */
};

enum sigv4_result {
    SIGV4_OK,
    SIGV4_ANONYMOUS,     /* no signature at all */
    SIGV4_MALFORMED,     /* of a header signature */
    SIGV4_MALFORMED_URL, /* of a presigned URL */
    SIGV4_ALGORITHM,     /* another kind of signature, or version 2 in a header */
    SIGV4_NO_PAYLOAD,    /* x-amz-content-sha256 is missing */
    SIGV4_SKEWED,        /* the clocks differ by more than SIGV4_SKEW_S */
    SIGV4_NOT_YET,       /* a presigned URL of the future */
    SIGV4_EXPIRED,       /* a presigned URL whose time is over */
    SIGV4_NOT_SIGNED,    /* host or an x-amz- header is not among the signed ones */
    SIGV4_MISMATCH       /* another key, or something was changed */
};

/* A signature as it stands in a request; nothing in it is true before sigv4_verify. */
struct sigv4_auth {
    bool in_query;
    bool
        version2; /* only access_key, service, expires_s since the epoch, signature in base64, and payload count */
    char access_key[SIGV4_ACCESS_KEY_BYTES_MAX + 1];
    char scope[160]; /* date/region/service/aws4_request */
    char service[32];
    char region[64];
    char day[9];
    char time[17];
    uint64_t time_s;
    uint64_t expires_s;
    char signed_headers[SIGV4_SIGNED_HEADERS_BYTES_MAX];
    char signature[SHA256_HEX_BYTES];
    const char *payload; /* borrowed from the request, or static */
};

/* A verified signature that chunks of the body go on from. */
struct sigv4_chain {
    uint8_t key[SHA256_BYTES];
    char scope[160];
    char time[17];
    char previous[SHA256_HEX_BYTES];
};

/* Read what the request says. SIGV4_OK, or why not; *ret_auth is undefined then. */
enum sigv4_result sigv4_read(const struct sigv4_request *rq, struct sigv4_auth *ret_auth);
/* Is it signed with secret? now_s: seconds since the epoch. ret_chain: may be NULL. Takes the same time wherever
 * signatures differ. SIGV4_MALFORMED also where memory ran out. */
enum sigv4_result sigv4_verify(const struct sigv4_request *rq, const struct sigv4_auth *auth,
                               const char *secret, uint64_t now_s, struct sigv4_chain *ret_chain);

/* Is signature that of text, as of the policy of a form? credential: ACCESS_KEY/DAY/REGION/SERVICE/aws4_request. time:
 * of its day. SIGV4_MALFORMED, SIGV4_MISMATCH. */
enum sigv4_result sigv4_verify_text(const char *credential, const char *time, const char *secret,
                                    const char *text, const char *signature);

/* The same by version 2: signature is the HMAC-SHA1 of text, in base64. */
enum sigv4_result sigv2_verify_text(const char *secret, const char *text, const char *signature);

struct sigv4_identity {
    const char *access_key;
    const char *secret;
    const char *region;
    const char *service;
};
/* Append the value of the Authorization header of a request all of whose headers are signed; they must have host and
 * x-amz-date. payload: hex SHA-256 of the body, or one of the names above. ST_INVAL no date; ST_NOMEM. */
CHECKED status_t sigv4_sign(const struct sigv4_request *rq, const struct sigv4_identity *who,
                            const char *payload, struct buf *out);

/* Is this the signature of the next chunk, whose bytes have that digest? Steps on if so. */
bool sigv4_chunk(struct sigv4_chain *c, const uint8_t digest[SHA256_BYTES], const char *signature);
/* The same for the trailing headers, as `name:value\n` lines. */
bool sigv4_trailer(struct sigv4_chain *c, const char *lines, size_t len, const char *signature);

#endif
