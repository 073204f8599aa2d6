#include "net/aws_chunked.h"

#include <string.h>

#include "base/parse.h"

#define CHUNK_BYTES_MAX (UINT64_C(1) << 40)
#define SIGNATURE_NAME "chunk-signature="
#define TRAILER_SIGNATURE "x-amz-trailer-signature:"

status_t aws_chunked_init(struct aws_chunked *c, const char *payload,
                          const struct sigv4_chain *chain)
{
    memset(c, 0, sizeof *c);
    if (strcmp(payload, SIGV4_CHUNKS) == 0)
        c->with_signatures = true;
    else if (strcmp(payload, SIGV4_CHUNKS_TRAILER) == 0)
        c->with_signatures = c->with_trailer = true;
    else if (strcmp(payload, SIGV4_UNSIGNED_TRAILER) == 0)
        c->with_trailer = true;
    else
        return ST_UNSUPPORTED;
    if (c->with_signatures)
        c->chain = *chain;
    sha256_init(&c->hash);
    return ST_OK;
}

/* SIZE or SIZE;chunk-signature=HEX, without the line's end */
static status_t chunk_header(struct aws_chunked *c)
{
    char *semicolon = strchr(c->line, ';');
    c->signature[0] = '\0';
    if (semicolon) {
        *semicolon++ = '\0';
        size_t name = strlen(SIGNATURE_NAME);
        if (strncmp(semicolon, SIGNATURE_NAME, name) != 0 ||
            strlen(semicolon + name) != SHA256_HEX_BYTES - 1)
            return ST_FORMAT;
        memcpy(c->signature, semicolon + name, SHA256_HEX_BYTES);
    }
    if (c->with_signatures != (semicolon != NULL) ||
        parse_hex(c->line, CHUNK_BYTES_MAX, &c->left) != ST_OK)
        return ST_FORMAT;
    c->last = c->left == 0;
    if (!c->last) {
        c->state = AWS_CHUNK_DATA;
        return ST_OK;
    }
    uint8_t digest[SHA256_BYTES];
    sha256_bytes("", 0, digest);
    if (c->with_signatures && !sigv4_chunk(&c->chain, digest, c->signature))
        return ST_PERM;
    c->state = c->with_trailer ? AWS_CHUNK_TRAILER : AWS_CHUNK_DATA_END;
    return ST_OK;
}

static status_t chunk_end(struct aws_chunked *c)
{
    uint8_t digest[SHA256_BYTES];
    if (c->line_len != 0)
        return ST_FORMAT;
    c->state = c->last ? AWS_CHUNK_DONE : AWS_CHUNK_HEADER;
    if (c->last || !c->with_signatures)
        return ST_OK;
    sha256_final(&c->hash, digest);
    sha256_init(&c->hash);
    return sigv4_chunk(&c->chain, digest, c->signature) ? ST_OK : ST_PERM;
}

/* name:value, or the empty line at the end. Blanks around the value are no part of it. */
static status_t trailer_line(struct aws_chunked *c)
{
    if (c->line_len == 0) {
        c->state = AWS_CHUNK_DONE;
        return c->with_signatures && !c->trailers_signed ? ST_PERM : ST_OK;
    }
    size_t prefix = strlen(TRAILER_SIGNATURE);
    if (strncasecmp(c->line, TRAILER_SIGNATURE, prefix) == 0) {
        const char *signature = c->line + prefix + strspn(c->line + prefix, " ");
        if (!c->with_signatures || c->trailers_signed)
            return ST_FORMAT;
        c->trailers_signed = sigv4_trailer(&c->chain, c->trailers, c->trailers_len, signature);
        return c->trailers_signed ? ST_OK : ST_PERM;
    }
    size_t name = strcspn(c->line, ":");
    if (c->line[name] != ':' || name == 0 || c->trailers_signed)
        return ST_FORMAT;
    const char *value = c->line + name + 1;
    value += strspn(value, " \t");
    size_t len = strlen(value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    if (c->trailers_len + name + len + 2 > sizeof c->trailers)
        return ST_FORMAT;
    char *to = c->trailers + c->trailers_len;
    for (size_t i = 0; i < name; i++) {
        char x = c->line[i];
        to[i] = (char)(x >= 'A' && x <= 'Z' ? x + ('a' - 'A') : x);
    }
    to[name] = ':';
    memcpy(to + name + 1, value, len);
    to[name + 1 + len] = '\n';
    c->trailers_len += name + len + 2;
    return ST_OK;
}

static status_t line_done(struct aws_chunked *c)
{
    status_t st = ST_FORMAT;
    if (c->line_len == 0 || c->line[c->line_len - 1] != '\r') {
        /* some clients end trailing headers with a bare newline before the \r\n of the next line */
        if (c->state != AWS_CHUNK_TRAILER || c->line_len == 0)
            return ST_FORMAT;
    } else {
        c->line_len--;
    }
    c->line[c->line_len] = '\0';
    if (strlen(c->line) != c->line_len)
        return ST_FORMAT;
    if (c->state == AWS_CHUNK_HEADER)
        st = chunk_header(c);
    else if (c->state == AWS_CHUNK_DATA_END)
        st = chunk_end(c);
    else if (c->state == AWS_CHUNK_TRAILER)
        st = trailer_line(c);
    c->line_len = 0;
    return st;
}

status_t aws_chunked_feed(struct aws_chunked *c, const uint8_t *data, size_t len,
                          status_t (*sink)(void *arg, const uint8_t *data, size_t len), void *arg)
{
    status_t st = ST_OK;
    while (len > 0 && st == ST_OK) {
        if (c->state == AWS_CHUNK_DONE)
            return ST_FORMAT;
        if (c->state == AWS_CHUNK_DATA) {
            size_t n = len < c->left ? len : (size_t)c->left;
            if (c->with_signatures)
                sha256_update(&c->hash, data, n);
            st = sink(arg, data, n);
            data += n;
            len -= n;
            c->left -= n;
            if (c->left == 0)
                c->state = AWS_CHUNK_DATA_END;
            continue;
        }
        char x = (char)*data++;
        len--;
        if (x == '\n')
            st = line_done(c);
        else if (c->line_len < sizeof c->line - 1)
            c->line[c->line_len++] = x;
        else
            st = ST_FORMAT;
    }
    return st;
}

bool aws_chunked_complete(const struct aws_chunked *c)
{
    return c->state == AWS_CHUNK_DONE;
}

bool aws_chunked_trailer(const struct aws_chunked *c, const char *name, struct buf *out)
{
    size_t name_len = strlen(name);
    const char *s = c->trailers, *end = s + c->trailers_len;
    while (s < end) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        size_t len = (size_t)(newline - s);
        if (len > name_len && s[name_len] == ':' && strncasecmp(s, name, name_len) == 0) {
            buf_bytes(out, s + name_len + 1, len - name_len - 1);
            return true;
        }
        s = newline + 1;
    }
    return false;
}
