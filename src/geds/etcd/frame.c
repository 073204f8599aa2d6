#include "frame.h"

#include "base/cursor.h"
#include "base/parse.h"

unsigned etcd_chunks_of(size_t bytes)
{
    return bytes == 0 ? 1 : (unsigned)((bytes - 1) / CHUNK_BYTES + 1);
}

status_t etcd_frame_decode(const void *value, size_t len, struct etcd_frame *ret_frame,
                           struct error *err)
{
    struct cursor c;
    cursor_init(&c, value, len, 0);
    struct etcd_frame f = {.bytes = cursor_le64(&c), .chunks = cursor_le32(&c)};
    f.first_len = cursor_left(&c);
    f.first = cursor_bytes(&c, f.first_len);
    if (c.failed || f.chunks == 0 || f.chunks > CHUNKS_MAX ||
        f.bytes > (uint64_t)f.chunks * CHUNK_BYTES || etcd_chunks_of((size_t)f.bytes) != f.chunks ||
        f.first_len != (f.bytes < CHUNK_BYTES ? f.bytes : CHUNK_BYTES)) {
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "a malformed entry in etcd");
    }
    *ret_frame = f;
    return ST_OK;
}

bool etcd_head_of(const struct etcd_range *head, uint64_t *ret_index)
{
    *ret_index = 0;
    return head->count == 0 ||
           parse_u64((const char *)head->kvs[0].value, INT64_MAX, ret_index) == ST_OK;
}
