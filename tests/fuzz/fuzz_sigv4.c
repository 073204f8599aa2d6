/* Requests from anywhere: the target, headers, a signature in them, and a body in aws-chunked. The first byte says what
 * kind of body; lines up to an empty one are the request. */
#include <string.h>

#include "fuzz.h"
#include "net/aws_chunked.h"

enum { HEADERS_MAX = 16 };

struct taken {
    uint64_t bytes;
};

static status_t take(void *arg, const uint8_t *data, size_t len)
{
    struct taken *t = arg;
    FUZZ_CHECK(data != NULL && len > 0);
    t->bytes += len;
    return ST_OK;
}

static void check_body(const uint8_t *data, size_t len, const char *payload,
                       const struct sigv4_chain *chain)
{
    struct aws_chunked whole, pieces;
    struct taken a = {0}, b = {0};
    struct buf trailer = {0};
    FUZZ_CHECK(aws_chunked_init(&whole, payload, chain) == ST_OK);
    FUZZ_CHECK(aws_chunked_init(&pieces, payload, chain) == ST_OK);
    status_t st = aws_chunked_feed(&whole, data, len, take, &a), last = ST_OK;
    for (size_t i = 0; i < len && last == ST_OK; i++)
        last = aws_chunked_feed(&pieces, data + i, 1, take, &b);
    FUZZ_CHECK(st == last && a.bytes == b.bytes); /* how it is cut decides nothing */
    FUZZ_CHECK(a.bytes <= len);
    FUZZ_CHECK(aws_chunked_complete(&whole) == aws_chunked_complete(&pieces));
    if (st == ST_OK && aws_chunked_trailer(&whole, "x-amz-checksum-crc32", &trailer))
        FUZZ_CHECK(trailer.len < AWS_CHUNK_TRAILERS_BYTES_MAX);
    buf_done(&trailer);
}

/* The next line, cut out of text; NULL at an empty one or the end. */
static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    if (*line == '\0' || *line == '\n')
        return NULL;
    *at = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const payloads[] = {SIGV4_CHUNKS, SIGV4_CHUNKS_TRAILER,
                                           SIGV4_UNSIGNED_TRAILER};
    struct http_header headers[HEADERS_MAX];
    struct sigv4_chain chain = {.scope = "s", .time = "t"};
    struct sigv4_auth auth;
    struct query q;
    struct buf path = {0};
    size_t count = 0;
    if (len < 2)
        return 0;
    char *text = calloc(1, len), *at = text;
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 1, len - 1);
    char *target = next_line(&at), *line;
    while (count < HEADERS_MAX && (line = next_line(&at))) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        headers[count++] = (struct http_header){line, colon + 1};
    }
    char *question = target ? strchr(target, '?') : NULL;
    if (target && query_parse(question ? question + 1 : NULL, &q) == ST_OK) {
        size_t target_len = question ? (size_t)(question - target) : strlen(target);
        if (uri_decode(&path, target, target_len, URI_PLUS_IS_PLUS) == ST_OK) {
            buf_u8(&path, 0);
            const struct sigv4_request rq = {"GET", (const char *)path.data,      &q, headers,
                                             count, data[0] & 128 ? NULL : target};
            if (sigv4_read(&rq, &auth) == SIGV4_OK) {
                FUZZ_CHECK(strlen(auth.signature) == (auth.version2 ? 28 : SHA256_HEX_BYTES - 1));
                FUZZ_CHECK(auth.payload != NULL);
                enum sigv4_result r = sigv4_verify(&rq, &auth, "secret", auth.time_s, NULL);
                FUZZ_CHECK(r != SIGV4_SKEWED && r != SIGV4_EXPIRED);
            }
        }
        query_done(&q);
    }
    size_t used = (size_t)(at - text);
    check_body(data + 1 + used, len - 1 - used, payloads[data[0] % 3], &chain);
    buf_done(&path);
    free(text);
    return 0;
}
