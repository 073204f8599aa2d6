#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "impl.h"

static const char magic[8] = {'C', 'S', 'C', 'O', 'P', 'Y', '0', '1'};

size_t sums_bytes(uint64_t bytes)
{
    return (size_t)((bytes + SHELF_BLOCK_BYTES - 1) / SHELF_BLOCK_BYTES * 4);
}

uint64_t file_bytes(uint64_t bytes)
{
    return bytes + sums_bytes(bytes) + TAIL_BYTES;
}

static void put(uint8_t *to, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(value >> 8 * i);
    }
}

void tail_encode(const struct tail *t, uint8_t ret_tail[TAIL_BYTES])
{
    memcpy(ret_tail, magic, sizeof magic);
    put(ret_tail + 8, t->extent, 8);
    put(ret_tail + 16, t->bytes, 8);
    put(ret_tail + 24, t->sums_crc, 4);
    put(ret_tail + 28, hash_crc32c(0, ret_tail, 28), 4);
}

status_t tail_decode(const uint8_t tail[TAIL_BYTES], struct tail *ret_tail, struct error *err)
{
    struct cursor c;
    cursor_init(&c, tail, TAIL_BYTES, 0);
    const uint8_t *start = cursor_bytes(&c, sizeof magic);
    struct tail t = {.extent = cursor_le64(&c)};
    t.bytes = cursor_le64(&c);
    t.sums_crc = cursor_le32(&c);
    uint32_t crc = cursor_le32(&c);
    if (start == NULL || memcmp(start, magic, sizeof magic) != 0 ||
        crc != hash_crc32c(0, tail, 28) || t.bytes == 0 || t.bytes > SHELF_COPY_MAX) {
        return error_set(err, ST_CORRUPT, 0, "it does not end as a copy does");
    }
    *ret_tail = t;
    return ST_OK;
}
