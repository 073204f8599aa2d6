#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>

#include "base/status.h"

/* A growing byte buffer. After the first failed allocation `failed` stays set and appends are
 * no-ops, so a writer checks once at its end. One thread. Zeroed memory is a valid empty buffer. */
struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
};

void buf_done(struct buf *b);
void buf_bytes(struct buf *b, const void *data, size_t len);
void buf_fill(struct buf *b, uint8_t value, size_t len);
void buf_u8(struct buf *b, uint8_t v);
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
void buf_leb_u32(struct buf *b, uint32_t v);
void buf_leb_u64(struct buf *b, uint64_t v);
void buf_leb_s64(struct buf *b, int64_t v);
/* A text for cursor_text: 16 bits of length, the bytes, a NUL; NULL: only the length 0xffff. At most 65,534 bytes,
 * else the buffer has failed. */
void buf_text(struct buf *b, const char *text);
/* Zero-fill up to the next multiple of align (a power of two). */
void buf_align(struct buf *b, size_t align);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Overwrite 4 or 8 bytes at off, which must lie inside len. */
void buf_patch_le32(struct buf *b, size_t off, uint32_t v);
void buf_patch_le64(struct buf *b, size_t off, uint64_t v);

#endif
