#include "net/uri.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

status_t uri_decode(struct buf *out, const char *s, size_t len, enum uri_plus plus)
{
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '%') {
            if (len - i < 3 || hex_digit(s[i + 1]) < 0 || hex_digit(s[i + 2]) < 0)
                return ST_FORMAT;
            c = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
            i += 2;
        } else if (c == '+' && plus == URI_PLUS_IS_BLANK) {
            c = ' ';
        }
        if (c == '\0')
            return ST_FORMAT;
        buf_u8(out, (uint8_t)c);
    }
    return out->failed ? ST_NOMEM : ST_OK;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void uri_encode(struct buf *out, const char *s, size_t len, enum uri_slash slash)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(s[i]) || (s[i] == '/' && slash == URI_SLASH_KEPT)) {
            buf_u8(out, (uint8_t)s[i]);
        } else {
            uint8_t escape[3] = {'%', (uint8_t)digits[(uint8_t)s[i] >> 4],
                                 (uint8_t)digits[s[i] & 15]};
            buf_bytes(out, escape, sizeof escape);
        }
    }
}

/* Each name and value ends with a NUL in text; the pairs' places are known when it has its final address. */
static status_t parse_pair(const char *s, size_t len, struct buf *text)
{
    const char *equals = memchr(s, '=', len);
    size_t name_len = equals ? (size_t)(equals - s) : len;
    status_t st = uri_decode(text, s, name_len, URI_PLUS_IS_BLANK);
    buf_u8(text, 0);
    if (st == ST_OK && equals)
        st = uri_decode(text, equals + 1, len - name_len - 1, URI_PLUS_IS_BLANK);
    buf_u8(text, 0);
    return st == ST_OK && text->failed ? ST_NOMEM : st;
}

status_t query_parse(const char *raw, struct query *ret_query)
{
    struct buf text = {0};
    size_t count = 0;
    status_t st = ST_OK;
    memset(ret_query, 0, sizeof *ret_query);
    for (const char *s = raw; s && *s != '\0' && st == ST_OK;) {
        size_t len = strcspn(s, "&");
        if (len > 0) {
            st = count < QUERY_PAIRS_MAX ? parse_pair(s, len, &text) : ST_LIMIT;
            count++;
        }
        s += len + (s[len] == '&');
    }
    if (st != ST_OK) {
        buf_done(&text);
        return st;
    }
    char *at = (char *)text.data;
    for (size_t i = 0; i < count; i++) {
        ret_query->pairs[i].name = at;
        at += strlen(at) + 1;
        ret_query->pairs[i].value = at;
        at += strlen(at) + 1;
    }
    ret_query->count = count;
    ret_query->text = (char *)text.data;
    return ST_OK;
}

void query_done(struct query *q)
{
    free(q->text);
    memset(q, 0, sizeof *q);
}

const char *query_get(const struct query *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++) {
        if (strcmp(q->pairs[i].name, name) == 0)
            return q->pairs[i].value;
    }
    return NULL;
}
