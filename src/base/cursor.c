#include "base/cursor.h"

/* A failure moves pos to end: every later read then fails by the one bounds check that it does
 * anyway, and loops over what is left come to their end. */

static const char unexpected_end[] = "unexpected end";

void cursor_init(struct cursor *c, const void *data, size_t len, uint64_t base_off)
{
    static const uint8_t nothing[1];
    const uint8_t *start = len > 0 ? data : nothing;
    *c = (struct cursor){.start = start, .pos = start, .end = start + len, .base_off = base_off};
}

void cursor_fail(struct cursor *c, const char *reason)
{
    if (!c->failed) {
        c->failed = true;
        c->reason = reason;
        c->fail_off = cursor_offset(c);
        c->pos = c->end;
    }
}

uint8_t cursor_u8(struct cursor *c)
{
    if (c->pos == c->end) {
        cursor_fail(c, unexpected_end);
        return 0;
    }
    return *c->pos++;
}

static uint64_t read_le(struct cursor *c, size_t len)
{
    if (cursor_left(c) < len) {
        cursor_fail(c, unexpected_end);
        return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        v |= (uint64_t)c->pos[i] << (8 * i);
    }
    c->pos += len;
    return v;
}

uint16_t cursor_le16(struct cursor *c)
{
    return (uint16_t)read_le(c, 2);
}

uint32_t cursor_le32(struct cursor *c)
{
    return (uint32_t)read_le(c, 4);
}

uint64_t cursor_le64(struct cursor *c)
{
    return read_le(c, 8);
}

/* Both readers fail at the first byte that breaks the rule. Of a number of `bits` bits the last
 * byte allowed holds bits - 7 * (n - 1) of them; a continuation bit there is one byte too many, and
 * what lies above has to be zero (unsigned) or copies of the sign. */

static uint64_t leb_unsigned(struct cursor *c, unsigned bits)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (c->pos == c->end) {
            cursor_fail(c, unexpected_end);
            return 0;
        }
        uint8_t b = *c->pos;
        if (bits - shift < 7 || shift + 7 == bits) {
            if ((b & 0x80) != 0) {
                cursor_fail(c, "integer representation too long");
                return 0;
            }
            if (bits - shift < 7 && b >> (bits - shift) != 0) {
                cursor_fail(c, "integer too large");
                return 0;
            }
        }
        c->pos++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0) {
            return v;
        }
    }
}

static int64_t leb_signed(struct cursor *c, unsigned bits)
{
    uint64_t v = 0;
    unsigned shift = 0;
    uint8_t b;
    do {
        if (c->pos == c->end) {
            cursor_fail(c, unexpected_end);
            return 0;
        }
        b = *c->pos;
        if (bits - shift <= 7) {
            if ((b & 0x80) != 0) {
                cursor_fail(c, "integer representation too long");
                return 0;
            }
            unsigned top = b >> (bits - shift - 1); /* sign bit and what is above it */
            if (top != 0 && top != 0x7fU >> (bits - shift - 1)) {
                cursor_fail(c, "integer too large");
                return 0;
            }
        }
        c->pos++;
        v |= (uint64_t)(b & 0x7f) << shift;
        shift += 7;
    } while ((b & 0x80) != 0);
    if (shift < 64 && (b & 0x40) != 0) {
        v |= UINT64_MAX << shift;
    }
    return (int64_t)v;
}

uint32_t cursor_leb_u32(struct cursor *c)
{
    if (c->pos != c->end && *c->pos < 0x80) {
        return *c->pos++; /* most numbers of a module are small */
    }
    return (uint32_t)leb_unsigned(c, 32);
}

uint64_t cursor_leb_u64(struct cursor *c)
{
    return leb_unsigned(c, 64);
}

int32_t cursor_leb_s32(struct cursor *c)
{
    return (int32_t)leb_signed(c, 32);
}

int64_t cursor_leb_s33(struct cursor *c)
{
    return leb_signed(c, 33);
}

int64_t cursor_leb_s64(struct cursor *c)
{
    return leb_signed(c, 64);
}

const uint8_t *cursor_bytes(struct cursor *c, size_t len)
{
    if (c->failed || cursor_left(c) < len) {
        cursor_fail(c, unexpected_end);
        return NULL;
    }
    const uint8_t *bytes = c->pos;
    c->pos += len;
    return bytes;
}

struct cursor cursor_sub(struct cursor *c, size_t len)
{
    uint64_t off = cursor_offset(c);
    const uint8_t *bytes = cursor_bytes(c, len);
    struct cursor sub;
    cursor_init(&sub, bytes, bytes != NULL ? len : 0, off);
    if (bytes == NULL) {
        sub.failed = true;
        sub.reason = c->reason;
        sub.fail_off = c->fail_off;
    }
    return sub;
}

status_t cursor_status(const struct cursor *c, status_t code, struct error *err)
{
    return c->failed ? error_set(err, code, c->fail_off, "%s", c->reason) : ST_OK;
}

enum { TEXT_ABSENT = 0xffff };

const char *cursor_text(struct cursor *c, size_t max, bool may_be_absent)
{
    uint16_t len = cursor_le16(c);
    if (len == TEXT_ABSENT && may_be_absent) {
        return NULL;
    }
    if (len == TEXT_ABSENT || len > max) {
        cursor_fail(c, "a text is too long, or missing");
        return NULL;
    }
    const char *text = (const char *)cursor_bytes(c, (size_t)len + 1);
    if (text != NULL && strnlen(text, (size_t)len + 1) != len) {
        cursor_fail(c, "a text has a NUL in it, or none at its end");
        return NULL;
    }
    return text;
}
