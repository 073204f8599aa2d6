#ifndef NET_AWS_CHUNKED_H
#define NET_AWS_CHUNKED_H

#include "net/sigv4.h"

/* The content encoding aws-chunked: chunks with a signature each, or without, and trailing headers. */

enum { AWS_CHUNK_LINE_BYTES_MAX = 512, AWS_CHUNK_TRAILERS_BYTES_MAX = 2048 };

enum aws_chunk_state {
    AWS_CHUNK_HEADER,
    AWS_CHUNK_DATA,
    AWS_CHUNK_DATA_END,
    AWS_CHUNK_TRAILER,
    AWS_CHUNK_DONE
};

/* A decoder that takes its input in pieces of any length. One thread. */
struct aws_chunked {
    bool with_signatures;
    bool with_trailer;
    struct sigv4_chain chain;
    enum aws_chunk_state state;
    char line[AWS_CHUNK_LINE_BYTES_MAX];
    size_t line_len;
    uint64_t left; /* of the chunk's data */
    bool last;     /* it is the empty one */
    struct sha256 hash;
    char signature[SHA256_HEX_BYTES];
    char trailers[AWS_CHUNK_TRAILERS_BYTES_MAX]; /* `name:value\n` lines */
    size_t trailers_len;
    bool trailers_signed;
};

/* payload: one of the STREAMING names of net/sigv4.h. chain: where signatures go on from; may be NULL for
 * SIGV4_UNSIGNED_TRAILER. ST_UNSUPPORTED another name. */
CHECKED status_t aws_chunked_init(struct aws_chunked *c, const char *payload,
                                  const struct sigv4_chain *chain);
/* Decode the next len bytes; what of them is payload goes to sink, before its chunk's signature is verified.
 * ST_FORMAT not this encoding, or bytes after its end; ST_PERM a signature is wrong; or what sink answers. */
CHECKED status_t aws_chunked_feed(struct aws_chunked *c, const uint8_t *data, size_t len,
                                  status_t (*sink)(void *arg, const uint8_t *data, size_t len),
                                  void *arg);
/* Has the end come, with all that is signed being right? */
bool aws_chunked_complete(const struct aws_chunked *c);
/* The value of a trailing header. Appends to out; false where there is none. */
bool aws_chunked_trailer(const struct aws_chunked *c, const char *name, struct buf *out);

#endif
