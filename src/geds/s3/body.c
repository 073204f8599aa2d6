#include <string.h>

#include "base/parse.h"
#include "s3.h"

#define STREAMING "STREAMING-"

static enum s3_code read_length(struct s3_call *c)
{
    const char *decoded = http_header(c->rq, "x-amz-decoded-content-length");
    uint64_t most = c->route->body == S3_BODY_XML ? S3_XML_BODY_BYTES_MAX : S3_PUT_BYTES_MAX;
    c->declared_bytes = http_content_length(c->rq);
    if (c->chunked) {
        if (!decoded)
            return S3_MISSING_LENGTH;
        if (parse_u64(decoded, UINT64_MAX - 1, &c->declared_bytes) != ST_OK)
            return S3_INVALID_ARGUMENT;
    } else if (c->declared_bytes == UINT64_MAX) {
        if (c->route->body == S3_BODY_PUT || c->route->body == S3_BODY_FORM)
            return S3_MISSING_LENGTH;
        if (!http_header(c->rq, "Transfer-Encoding"))
            c->declared_bytes = 0; /* else a document whose end tells its length */
    }
    return c->declared_bytes != UINT64_MAX && c->declared_bytes > most ? S3_ENTITY_TOO_LARGE
                                                                       : S3_OK;
}

static enum s3_code read_sum(struct s3_call *c)
{
    enum s3_algorithm found = S3_SUM_NONE;
    const char *trailer = http_header(c->rq, "x-amz-trailer");
    if (c->route->finish == s3_upload_complete)
        return S3_OK; /* they are about the object, not about this body */
    for (int a = S3_SUM_CRC32; a < S3_SUM_COUNT; a++) {
        const char *given = http_header(c->rq, s3_sum_header((enum s3_algorithm)a));
        if (!given)
            continue;
        if (found != S3_SUM_NONE || !s3_sum_is_text((enum s3_algorithm)a, given))
            return S3_INVALID_REQUEST;
        found = (enum s3_algorithm)a;
        c->sum_given = given;
    }
    if (trailer) {
        enum s3_algorithm a = s3_sum_by_header(trailer);
        if (a == S3_SUM_COUNT || found != S3_SUM_NONE || !c->chunked || !c->decoder.with_trailer)
            return S3_INVALID_REQUEST;
        found = a;
    }
    s3_sum_init(&c->sum, found, &c->s->crc);
    return S3_OK;
}

static bool is_hash(const char *s)
{
    size_t len = strspn(s, "0123456789abcdef");
    return len == SHA256_HEX_BYTES - 1 && s[len] == '\0';
}

enum s3_code s3_body_begin(struct s3_call *c, const char *payload)
{
    const char *md5 = http_header(c->rq, "Content-MD5");
    c->payload_hash = payload;
    if (strncmp(payload, STREAMING, strlen(STREAMING)) == 0) {
        if (aws_chunked_init(&c->decoder, payload, &c->chain) != ST_OK)
            return S3_NOT_IMPLEMENTED;
        c->chunked = true;
    } else if (strcmp(payload, SIGV4_UNSIGNED) != 0) {
        if (!is_hash(payload))
            return S3_INVALID_ARGUMENT;
        c->hashes = true;
        sha256_init(&c->payload_sum);
    }
    if (md5) {
        if (base64_decode(md5, sizeof c->md5, c->md5) != ST_OK)
            return S3_INVALID_DIGEST;
        c->has_md5 = true;
    }
    enum s3_code code = read_sum(c);
    return code == S3_OK ? read_length(c) : code;
}

static status_t sink(void *arg, const uint8_t *data, size_t len)
{
    struct s3_call *c = arg;
    if (len > c->declared_bytes - c->received_bytes)
        return ST_INVALID;
    c->received_bytes += len;
    if (c->hashes)
        sha256_update(&c->payload_sum, data, len);
    s3_sum_update(&c->sum, data, len);
    if (c->post)
        return ST_OK; /* s3_body_take gives it to the form */
    if (c->put)
        return s3_store(c)->put_write(c->put, data, len, &c->err);
    if (c->route->body == S3_BODY_XML) {
        if (len > S3_XML_BODY_BYTES_MAX - c->xml.len)
            return ST_INVALID;
        buf_bytes(&c->xml, data, len);
        return c->xml.failed ? ST_NOMEM : ST_OK;
    }
    return ST_OK; /* an operation without a body: its hash is compared all the same */
}

enum s3_code s3_body_take(struct s3_call *c, const uint8_t *data, size_t len)
{
    status_t st = c->chunked ? aws_chunked_feed(&c->decoder, data, len, sink, c)
                             : sink(c, data, len);
    if (st == ST_OK && c->post)
        return s3_post_take(c, data, len);
    if (st == ST_PERM)
        return S3_SIGNATURE;
    if (st == ST_FORMAT || st == ST_INVALID)
        return S3_INCOMPLETE_BODY;
    return s3_code_of(c, st);
}

static enum s3_code check_sum(struct s3_call *c)
{
    struct buf trailer = {0};
    bool same;
    if (c->sum.algorithm == S3_SUM_NONE)
        return S3_OK;
    s3_sum_final(&c->sum, c->sum_text);
    if (c->sum_own)
        return S3_OK;
    if (c->sum_given) {
        same = strcmp(c->sum_given, c->sum_text) == 0;
    } else {
        if (!aws_chunked_trailer(&c->decoder, s3_sum_header(c->sum.algorithm), &trailer))
            return S3_INVALID_REQUEST;
        buf_u8(&trailer, 0);
        same = !trailer.failed && strcmp((const char *)trailer.data, c->sum_text) == 0;
        buf_done(&trailer);
    }
    return same ? S3_OK : S3_BAD_CHECKSUM;
}

static enum s3_code check_md5(struct s3_call *c)
{
    uint8_t md5[MD5_BYTES];
    if (!c->has_md5 || c->post)
        return S3_OK;
    if (c->put)
        s3_store(c)->put_md5(c->put, md5);
    else
        md5_bytes(c->xml.data ? c->xml.data : (const uint8_t *)"", c->xml.len, md5);
    return memcmp(md5, c->md5, sizeof c->md5) == 0 ? S3_OK : S3_BAD_DIGEST;
}

enum s3_code s3_body_end(struct s3_call *c)
{
    if (c->chunked && !aws_chunked_complete(&c->decoder))
        return S3_INCOMPLETE_BODY;
    if (c->declared_bytes != UINT64_MAX && c->received_bytes != c->declared_bytes)
        return S3_INCOMPLETE_BODY;
    if (c->hashes) {
        uint8_t digest[SHA256_BYTES];
        char hex[SHA256_HEX_BYTES];
        sha256_final(&c->payload_sum, digest);
        sha256_hex(digest, hex);
        if (strcmp(hex, c->payload_hash) != 0)
            return S3_PAYLOAD_HASH;
    }
    enum s3_code code = check_sum(c);
    return code == S3_OK ? check_md5(c) : code;
}
