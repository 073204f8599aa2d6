#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

/* Room for len more bytes and their place, or NULL: no memory, or nothing to place. */
static uint8_t *extend(struct buf *b, size_t len)
{
    if (b->failed || len == 0) {
        return NULL;
    }
    if (len > b->cap - b->len) {
        size_t need;
        size_t cap = b->cap < 64 ? 64 : b->cap;
        if (__builtin_add_overflow(b->len, len, &need) || need > PTRDIFF_MAX) {
            b->failed = true;
            return NULL;
        }
        while (cap < need) {
            cap *= 2;
        }
        uint8_t *data = realloc(b->data, cap);
        if (data == NULL) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    uint8_t *place = b->data + b->len;
    b->len += len;
    return place;
}

void buf_bytes(struct buf *b, const void *data, size_t len)
{
    uint8_t *place = extend(b, len);
    if (place != NULL) {
        memcpy(place, data, len);
    }
}

void buf_fill(struct buf *b, uint8_t value, size_t len)
{
    uint8_t *place = extend(b, len);
    if (place != NULL) {
        memset(place, value, len);
    }
}

void buf_u8(struct buf *b, uint8_t v)
{
    uint8_t *place = extend(b, 1);
    if (place != NULL) {
        *place = v;
    }
}

static void store_le(uint8_t *place, uint64_t v, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        place[i] = (uint8_t)(v >> (8 * i));
    }
}

static void append_le(struct buf *b, uint64_t v, size_t len)
{
    uint8_t *place = extend(b, len);
    if (place != NULL) {
        store_le(place, v, len);
    }
}

void buf_le16(struct buf *b, uint16_t v)
{
    append_le(b, v, 2);
}

void buf_le32(struct buf *b, uint32_t v)
{
    append_le(b, v, 4);
}

void buf_le64(struct buf *b, uint64_t v)
{
    append_le(b, v, 8);
}

void buf_leb_u32(struct buf *b, uint32_t v)
{
    buf_leb_u64(b, v);
}

void buf_leb_u64(struct buf *b, uint64_t v)
{
    while (v >= 0x80) {
        buf_u8(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    buf_u8(b, (uint8_t)v);
}

void buf_leb_s64(struct buf *b, int64_t v)
{
    while (v < -64 || v > 63) {
        buf_u8(b, (uint8_t)((v & 0x7f) | 0x80));
        v >>= 7; /* arithmetic with gcc and clang */
    }
    buf_u8(b, (uint8_t)(v & 0x7f));
}

void buf_align(struct buf *b, size_t align)
{
    assert(align > 0 && (align & (align - 1)) == 0);
    buf_fill(b, 0, (align - b->len % align) % align);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    /* one byte more for the NUL that vsnprintf writes, given back at once */
    uint8_t *place = len < 0 ? NULL : extend(b, (size_t)len + 1);
    if (place != NULL) {
        vsnprintf((char *)place, (size_t)len + 1, fmt, again);
        b->len--;
    } else {
        b->failed = true;
    }
    va_end(again);
}

void buf_patch_le32(struct buf *b, size_t off, uint32_t v)
{
    if (!b->failed) {
        assert(off <= b->len && b->len - off >= 4);
        store_le(b->data + off, v, 4);
    }
}

void buf_patch_le64(struct buf *b, size_t off, uint64_t v)
{
    if (!b->failed) {
        assert(off <= b->len && b->len - off >= 8);
        store_le(b->data + off, v, 8);
    }
}

enum { TEXT_ABSENT = 0xffff };

void buf_text(struct buf *b, const char *text)
{
    size_t len = text != NULL ? strlen(text) : TEXT_ABSENT;
    if (text != NULL && len >= TEXT_ABSENT) {
        b->failed = true;
        return;
    }
    buf_le16(b, (uint16_t)len);
    if (text != NULL) {
        buf_bytes(b, text, len + 1);
    }
}
