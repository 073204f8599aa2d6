#include "entry.h"

#include <string.h>

#include "base/cursor.h"
#include "db.h"

/* Little-endian: magic (8), version (4), format of the store (4), kind (4), bytes of the payload (4), index (8), term
 * (8), id of the log (16), chain before (32), chain (32), 8 bytes 0; then the payload. */

static const uint8_t magic[8] = {'C', 'S', 'G', 'E', 'D', 'S', 'L', 'G'};
enum { VERSION = 1, ID_BYTES = (SHARED_ID_BYTES - 1) / 2, CHAIN_OFF = 88 };

_Static_assert(CHAIN_OFF + SHARED_CHAIN_BYTES + 8 == ENTRY_HEAD_BYTES, "fields of an entry");

static uint8_t digit(char c)
{
    return (uint8_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

static void chain_of(const uint8_t *head, const void *payload, size_t len,
                     uint8_t ret_chain[SHARED_CHAIN_BYTES])
{
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, head, CHAIN_OFF);
    sha256_update(&s, payload, len);
    sha256_final(&s, ret_chain);
}

void entry_encode(struct entry *e, struct buf *out)
{
    size_t at = out->len;
    buf_bytes(out, magic, sizeof magic);
    buf_le32(out, VERSION);
    buf_le32(out, DB_FORMAT);
    buf_le32(out, e->kind);
    buf_le32(out, (uint32_t)e->len);
    buf_le64(out, e->index);
    buf_le64(out, e->term);
    for (size_t i = 0; i < ID_BYTES; i++) {
        buf_u8(out, (uint8_t)(digit(e->log[2 * i]) << 4 | digit(e->log[2 * i + 1])));
    }
    buf_bytes(out, e->before, sizeof e->before);
    if (out->failed) {
        return;
    }
    chain_of(out->data + at, e->payload, e->len, e->chain);
    buf_bytes(out, e->chain, sizeof e->chain);
    buf_le64(out, 0);
    buf_bytes(out, e->payload, e->len);
}

static status_t decode_head(struct cursor *c, bool any_format, struct entry *e, struct error *err)
{
    const uint8_t *m = cursor_bytes(c, sizeof magic);
    uint32_t version = cursor_le32(c), format = cursor_le32(c);
    if (memcmp(m, magic, sizeof magic) != 0) {
        return error_set(err, ST_FORMAT, 0, "no entry of a log of the store");
    }
    if (version != VERSION || (format != DB_FORMAT && !any_format)) {
        return error_set(err, ST_UNSUPPORTED, sizeof magic,
                         "the log is written by another version of this program (%u, format %u)",
                         version, format);
    }
    uint32_t kind = cursor_le32(c);
    e->kind = kind == ENTRY_TERM ? ENTRY_TERM : ENTRY_CHANGES;
    e->len = cursor_le32(c);
    e->index = cursor_le64(c);
    e->term = cursor_le64(c);
    const uint8_t *id = cursor_bytes(c, ID_BYTES), *before = cursor_bytes(c, SHARED_CHAIN_BYTES);
    const uint8_t *chain = cursor_bytes(c, SHARED_CHAIN_BYTES);
    uint64_t zero = cursor_le64(c);
    if (kind > ENTRY_TERM || zero != 0 || e->index == 0 || e->index > INT64_MAX || e->term == 0 ||
        e->term > SHARED_TERM_MAX || e->len != cursor_left(c) ||
        (kind == ENTRY_TERM && e->len > SHARED_ADDRESS_MAX + 1 + ENTRY_RANDOM_BYTES)) {
        return error_set(err, ST_FORMAT, cursor_offset(c), "a malformed entry of the log");
    }
    for (size_t i = 0; i < ID_BYTES; i++) {
        snprintf(e->log + 2 * i, 3, "%02x", id[i]);
    }
    memcpy(e->before, before, SHARED_CHAIN_BYTES);
    memcpy(e->chain, chain, SHARED_CHAIN_BYTES);
    return ST_OK;
}

static status_t decode(const void *data, size_t len, bool any_format, struct entry *ret_entry,
                       struct error *err)
{
    struct cursor c;
    struct entry e = {0};
    uint8_t chain[SHARED_CHAIN_BYTES];
    if (len < ENTRY_HEAD_BYTES || len > ENTRY_HEAD_BYTES + (size_t)SHARED_PATCH_MAX) {
        return error_set(err, ST_FORMAT, 0, "an entry of %zu bytes", len);
    }
    cursor_init(&c, data, len, 0);
    status_t st = decode_head(&c, any_format, &e, err);
    if (st != ST_OK) {
        return st;
    }
    e.payload = cursor_bytes(&c, e.len);
    chain_of(data, e.payload, e.len, chain);
    if (memcmp(chain, e.chain, sizeof chain) != 0) {
        return error_set(err, ST_CORRUPT, CHAIN_OFF, "entry %llu of the log has a wrong checksum",
                         (unsigned long long)e.index);
    }
    *ret_entry = e;
    return ST_OK;
}

status_t entry_decode(const void *data, size_t len, struct entry *ret_entry, struct error *err)
{
    return decode(data, len, false, ret_entry, err);
}

status_t entry_decode_any(const void *data, size_t len, struct entry *ret_entry, struct error *err)
{
    return decode(data, len, true, ret_entry, err);
}
