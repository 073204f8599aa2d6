#include "layout.h"

#include <stdlib.h>

#include "base/cursor.h"

#define SEALED_BIT (UINT64_C(1) << 63)

static struct piece decode_piece(struct cursor *c)
{
    uint64_t extent = cursor_le64(c), bytes = cursor_le64(c);
    return (struct piece){
        .extent = extent, .bytes = bytes & ~SEALED_BIT, .sealed = (bytes & SEALED_BIT) != 0};
}

status_t layout_decode(struct arena *arena, const void *data, size_t len, uint64_t size,
                       struct layout *ret_layout, struct error *err)
{
    size_t count = len / PIECE_BYTES;
    if (len % PIECE_BYTES != 0 || count > STORE_PIECES_MAX) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "a list of extents of %zu bytes", len);
    }
    struct piece *pieces = arena_alloc(arena, count, sizeof *pieces);
    if (pieces == NULL) {
        return no_memory(err);
    }
    struct cursor c;
    cursor_init(&c, data, len, 0);
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        pieces[i] = decode_piece(&c);
        if (pieces[i].bytes == 0 || pieces[i].bytes > EXTENT_BYTES_MAX) {
            return error_set(err, ST_CORRUPT, i * PIECE_BYTES, "an extent of %llu bytes in a list",
                             (unsigned long long)pieces[i].bytes);
        }
        sum += pieces[i].bytes;
    }
    if (sum != size) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "extents of %llu bytes make an object of %llu", (unsigned long long)sum,
                         (unsigned long long)size);
    }
    *ret_layout = (struct layout){.pieces = pieces, .count = count};
    return ST_OK;
}

void layout_encode(const struct layout *layout, struct buf *out)
{
    for (size_t i = 0; i < layout->count; i++) {
        buf_le64(out, layout->pieces[i].extent);
        buf_le64(out, layout->pieces[i].bytes | (layout->pieces[i].sealed ? SEALED_BIT : 0));
    }
}

struct piece layout_last(const struct buf *layout)
{
    struct cursor c;
    if (layout->len < PIECE_BYTES) {
        return (struct piece){0};
    }
    cursor_init(&c, layout->data + layout->len - PIECE_BYTES, PIECE_BYTES, 0);
    return decode_piece(&c);
}

bool layout_is_sealed(const struct buf *layout)
{
    struct cursor c;
    bool sealed = layout->len >= PIECE_BYTES;
    cursor_init(&c, layout->data, layout->len, 0);
    while (sealed && cursor_left(&c) >= PIECE_BYTES) {
        sealed = decode_piece(&c).sealed;
    }
    return sealed;
}

enum { NO_TEXT = 0xffff };

static const char *decode_text(struct arena *arena, struct cursor *c, bool may_be_none)
{
    uint16_t len = cursor_le16(c);
    if (len == NO_TEXT && may_be_none) {
        return NULL;
    }
    const uint8_t *bytes = cursor_bytes(c, len);
    if (bytes != NULL && memchr(bytes, '\0', len) != NULL) {
        cursor_fail(c, "an attribute with a NUL");
    }
    char *text = arena_strndup(arena, bytes != NULL ? (const char *)bytes : "",
                               c->failed ? 0 : len);
    if (text == NULL) {
        cursor_fail(c, "out of memory");
    }
    return text;
}

status_t attributes_decode(struct arena *arena, const void *data, size_t len,
                           struct store_attributes *ret_attributes, struct error *err)
{
    struct cursor c;
    cursor_init(&c, data, len, 0);
    struct store_attribute *pairs = arena_alloc(
        arena, STORE_ATTRIBUTE_COUNT_MAX < len ? STORE_ATTRIBUTE_COUNT_MAX : len, sizeof *pairs);
    if (pairs == NULL) {
        return no_memory(err);
    }
    size_t count = 0;
    const char *type = decode_text(arena, &c, true);
    while (!c.failed && cursor_left(&c) > 0) {
        if (count == STORE_ATTRIBUTE_COUNT_MAX) {
            cursor_fail(&c, "too many attributes");
            break;
        }
        const char *name = decode_text(arena, &c, false);
        pairs[count++] = (struct store_attribute){.name = name,
                                                  .value = decode_text(arena, &c, false)};
    }
    status_t st = cursor_status(&c, ST_CORRUPT, err);
    if (st == ST_OK) {
        *ret_attributes = (struct store_attributes){
            .content_type = type, .pairs = pairs, .count = count};
    }
    return st;
}

static void encode_text(struct buf *out, const char *text)
{
    size_t len = text != NULL ? strlen(text) : NO_TEXT;
    buf_le16(out, (uint16_t)(len < NO_TEXT ? len : NO_TEXT));
    if (len < NO_TEXT) {
        buf_bytes(out, text, len);
    }
}

status_t attributes_encode(const struct store_attributes *attributes, struct buf *out,
                           struct error *err)
{
    static const struct store_attributes none;
    const struct store_attributes *a = attributes != NULL ? attributes : &none;
    size_t bytes = a->content_type != NULL ? strlen(a->content_type) : 0;
    bool ok = a->count <= STORE_ATTRIBUTE_COUNT_MAX && bytes <= STORE_ATTRIBUTES_MAX;
    for (size_t i = 0; i < a->count && ok; i++) {
        bytes += strlen(a->pairs[i].name) + strlen(a->pairs[i].value);
        ok = a->pairs[i].name[0] != '\0' && bytes <= STORE_ATTRIBUTES_MAX;
        for (size_t j = 0; j < i && ok; j++) {
            ok = strcmp(a->pairs[i].name, a->pairs[j].name) != 0;
        }
    }
    if (!ok) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "attributes: at most %d of %d bytes together, each with a name of its own",
                         STORE_ATTRIBUTE_COUNT_MAX, STORE_ATTRIBUTES_MAX);
    }
    encode_text(out, a->content_type);
    for (size_t i = 0; i < a->count; i++) {
        encode_text(out, a->pairs[i].name);
        encode_text(out, a->pairs[i].value);
    }
    return out->failed ? no_memory(err) : ST_OK;
}

void parts_add(struct buf *out, uint64_t size, const void *sum, size_t sum_len)
{
    buf_le64(out, size);
    buf_u8(out, (uint8_t)sum_len);
    buf_bytes(out, sum, sum_len);
}

status_t parts_decode(const void *data, size_t len, uint64_t size, struct store_part **ret_parts,
                      size_t *ret_count, struct error *err)
{
    struct cursor c;
    struct store_part *parts = NULL;
    size_t count = 0, room = len / 9 < STORE_PART_NUMBER_MAX ? len / 9 : STORE_PART_NUMBER_MAX;
    uint64_t sum = 0;
    cursor_init(&c, data, len, 0);
    if (room > 0 && (parts = calloc(room, sizeof *parts)) == NULL) {
        return no_memory(err);
    }
    while (!c.failed && cursor_left(&c) > 0) {
        uint64_t bytes = cursor_le64(&c);
        uint8_t sum_len = cursor_u8(&c);
        const uint8_t *p = cursor_bytes(&c, sum_len);
        if (c.failed || count == room || sum_len > STORE_PART_SUM_MAX || bytes > size - sum) {
            cursor_fail(&c, "a list of parts that cannot be");
            break;
        }
        sum += bytes;
        parts[count].info.size = bytes;
        parts[count].sum_len = sum_len;
        if (sum_len > 0) {
            memcpy(parts[count].sum, p, sum_len);
        }
        count++;
        parts[count - 1].number = (unsigned)count;
    }
    if (!c.failed && count > 0 && sum != size) {
        cursor_fail(&c, "parts of another size than their object");
    }
    status_t st = cursor_status(&c, ST_CORRUPT, err);
    if (st != ST_OK) {
        free(parts);
        return st;
    }
    *ret_parts = parts;
    *ret_count = count;
    return ST_OK;
}
