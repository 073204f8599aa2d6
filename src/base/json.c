#include "base/json.h"

#include <string.h>

/* Length of the well-formed UTF-8 sequence at s, 0: none. */
static size_t utf8_len(const uint8_t *s, size_t len)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = s[0];
    size_t n = first < 0x80         ? 1
               : (first >> 5) == 6  ? 2
               : (first >> 4) == 14 ? 3
               : (first >> 3) == 30 ? 4
                                    : 0;
    if (n == 0 || n > len)
        return 0;
    uint32_t code = n == 1 ? first : first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < least[n] || code > 0x10ffff || surrogate ? 0 : n;
}

static void put_quoted(struct buf *out, const char *s, size_t len)
{
    const uint8_t *at = (const uint8_t *)s, *end = at + len;
    buf_u8(out, '"');
    while (at < end) {
        size_t n = utf8_len(at, (size_t)(end - at));
        if (n == 0) {
            buf_bytes(out, "\\ufffd", 6);
            n = 1;
        } else if (*at == '"' || *at == '\\') {
            buf_u8(out, '\\');
            buf_u8(out, *at);
        } else if (*at < 0x20 || *at == 0x7f) {
            buf_printf(out, "\\u%04x", *at);
        } else {
            buf_bytes(out, at, n);
        }
        at += n;
    }
    buf_u8(out, '"');
}

static void new_line(struct json *j)
{
    buf_u8(j->out, '\n');
    buf_fill(j->out, ' ', 2u * j->depth);
}

/* What stands before a value. */
static void put_key(struct json *j, const char *key)
{
    if (j->filled)
        buf_u8(j->out, ',');
    if (j->depth > 0)
        new_line(j);
    if (key) {
        put_quoted(j->out, key, strlen(key));
        buf_bytes(j->out, ": ", 2);
    }
    j->filled = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
    put_key(j, key);
    buf_u8(j->out, (uint8_t)bracket);
    j->depth++;
    j->filled = false;
}

void json_close(struct json *j, char bracket)
{
    j->depth--;
    if (j->filled)
        new_line(j);
    buf_u8(j->out, (uint8_t)bracket);
    if (j->depth == 0)
        buf_u8(j->out, '\n');
    j->filled = true;
}

void json_string(struct json *j, const char *key, const char *s, size_t len)
{
    put_key(j, key);
    put_quoted(j->out, s, len);
}

void json_text(struct json *j, const char *key, const char *s)
{
    json_string(j, key, s, strlen(s));
}

void json_u64(struct json *j, const char *key, uint64_t v)
{
    put_key(j, key);
    buf_printf(j->out, "%llu", (unsigned long long)v);
}

void json_bool(struct json *j, const char *key, bool v)
{
    put_key(j, key);
    buf_printf(j->out, "%s", v ? "true" : "false");
}

void json_number(struct json *j, const char *key, double v)
{
    put_key(j, key);
    buf_printf(j->out, "%.3f", v);
}
