#include "net/rpc/frame.h"

#include <string.h>

#include "base/hash.h"

static void put32(uint8_t *to, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v >> 8 * i);
    }
}

void rpc_frame_encode(const struct rpc_frame *f, uint8_t ret_head[RPC_HEADER_BYTES])
{
    put32(ret_head + 4, f->args_bytes);
    put32(ret_head + 8, f->data_bytes);
    put32(ret_head + 12, f->id);
    put32(ret_head + 16, f->lane);
    put32(ret_head + 20, f->room);
    put32(ret_head + 24, f->kind | (uint32_t)f->flags << 16);
    put32(ret_head + 28, f->args_crc);
    put32(ret_head + 32, f->data_crc);
    put32(ret_head, hash_crc32c(0, ret_head + 4, RPC_HEADER_BYTES - 4));
}

status_t rpc_frame_decode(const uint8_t head[RPC_HEADER_BYTES], struct rpc_frame *ret_frame,
                          struct error *err)
{
    struct cursor c;
    cursor_init(&c, head, RPC_HEADER_BYTES, 0);
    if (cursor_le32(&c) != hash_crc32c(0, head + 4, RPC_HEADER_BYTES - 4)) {
        return error_set(err, ST_CORRUPT, 0, "the header of a frame has a wrong checksum");
    }
    struct rpc_frame f;
    f.args_bytes = cursor_le32(&c);
    f.data_bytes = cursor_le32(&c);
    f.id = cursor_le32(&c);
    f.lane = cursor_le32(&c);
    f.room = cursor_le32(&c);
    f.kind = cursor_le16(&c);
    f.flags = cursor_le16(&c);
    f.args_crc = cursor_le32(&c);
    f.data_crc = cursor_le32(&c);
    if (f.args_bytes > RPC_ARGS_MAX || f.data_bytes > RPC_DATA_MAX || f.room > RPC_DATA_MAX ||
        f.flags > (RPC_ANSWER | RPC_MORE)) {
        return error_set(err, ST_INVALID, 4, "a frame against the limits");
    }
    *ret_frame = f;
    return ST_OK;
}

static const char hello_magic[8] = {'C', 'S', 'G', 'E', 'D', 'S', 'R', 'P'};

void rpc_hello_encode(uint16_t lowest, uint16_t highest, struct buf *out)
{
    buf_bytes(out, hello_magic, sizeof hello_magic);
    buf_le16(out, lowest);
    buf_le16(out, highest);
}

status_t rpc_hello_decode(const void *args, size_t len, uint16_t *ret_lowest, uint16_t *ret_highest,
                          struct error *err)
{
    struct cursor c;
    cursor_init(&c, args, len, 0);
    const uint8_t *magic = cursor_bytes(&c, sizeof hello_magic);
    if (magic != NULL && memcmp(magic, hello_magic, sizeof hello_magic) != 0) {
        cursor_fail(&c, "no hello of this protocol");
    }
    uint16_t lowest = cursor_le16(&c), highest = cursor_le16(&c);
    status_t st = cursor_status(&c, ST_FORMAT, err); /* what is behind it is of later versions */
    if (st == ST_OK) {
        *ret_lowest = lowest;
        *ret_highest = highest;
    }
    return st;
}

status_t rpc_hello_token(const void *args, size_t len, const char **ret_token, struct error *err)
{
    struct cursor c;
    cursor_init(&c, args, len, 0);
    cursor_bytes(&c, sizeof hello_magic + 4);
    const char *token = cursor_left(&c) > 0 ? cursor_text(&c, RPC_TOKEN_MAX, true) : NULL;
    status_t st = cursor_status(&c, ST_FORMAT, err);
    if (st == ST_OK) {
        *ret_token = token;
    }
    return st;
}

/* The place in the table is the number on the wire. */
static const status_t codes[] = {
    ST_OK,      ST_INVAL,  ST_NOMEM,   ST_LIMIT,       ST_IO,    ST_NOTFOUND, ST_EXIST,   ST_PERM,
    ST_CORRUPT, ST_FORMAT, ST_INVALID, ST_UNSUPPORTED, ST_AGAIN, ST_CHANGED,  ST_STOPPED, ST_MOVED};

uint16_t rpc_code_of(status_t st)
{
    for (uint16_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == st) {
            return i;
        }
    }
    return rpc_code_of(ST_IO);
}

status_t rpc_status_of(uint16_t code)
{
    return code < sizeof codes / sizeof codes[0] ? codes[code] : ST_IO;
}

void rpc_result_encode(status_t st, const struct error *err, struct buf *out)
{
    buf_le16(out, rpc_code_of(st));
    if (st != ST_OK) {
        buf_le64(out, err->offset);
        buf_text(out, err->text);
    }
}

void rpc_refusal_encode(const struct error *err, struct buf *out)
{
    struct buf args = {0};
    uint8_t head[RPC_HEADER_BYTES];
    rpc_result_encode(err->code, err, &args);
    const struct rpc_frame f = {.args_bytes = (uint32_t)args.len,
                                .kind = RPC_HELLO,
                                .flags = RPC_ANSWER,
                                .args_crc = hash_crc32c(0, args.data, args.len),
                                .data_crc = hash_crc32c(0, NULL, 0)};
    rpc_frame_encode(&f, head);
    buf_bytes(out, head, sizeof head);
    buf_bytes(out, args.data, args.len);
    out->failed = out->failed || args.failed;
    buf_done(&args);
}

status_t rpc_result_decode(struct cursor *c, struct error *err)
{
    uint16_t code = cursor_le16(c);
    if (code == 0) {
        return cursor_status(c, ST_CORRUPT, err);
    }
    uint64_t offset = cursor_le64(c);
    const char *text = cursor_text(c, ERROR_TEXT_MAX - 1, false);
    status_t st = cursor_status(c, ST_CORRUPT, err);
    return st != ST_OK ? st : error_set(err, rpc_status_of(code), offset, "%s", text);
}
