#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>

#include "base/status.h"

/* A bounded reader over borrowed bytes. After the first failure every read fails and `failed` stays
 * set, so a decoder may check once for a group of reads. Values read after a failure are 0.
 * One thread. */
struct cursor {
    const uint8_t *start; /* offset 0 */
    const uint8_t *pos;
    const uint8_t *end;
    uint64_t base_off; /* added to offsets in messages: place of start in the whole input */
    bool failed;
    const char *reason; /* static text of the first failure */
    uint64_t fail_off;
};

void cursor_init(struct cursor *c, const void *data, size_t len, uint64_t base_off);

/* Byte offset of pos in the whole input. */
static inline uint64_t cursor_offset(const struct cursor *c)
{
    return c->base_off + (uint64_t)(c->pos - c->start);
}

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->pos);
}

/* Mark as failed at the present offset; keeps the first reason. reason: static text. */
void cursor_fail(struct cursor *c, const char *reason);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_le16(struct cursor *c);
uint32_t cursor_le32(struct cursor *c);
uint64_t cursor_le64(struct cursor *c);

/* LEB128 of the WebAssembly binary format: at most ceil(bits/7) bytes, unused bits must agree with
 * the sign. Reasons: "unexpected end", "integer representation too long", "integer too large". */
uint32_t cursor_leb_u32(struct cursor *c);
uint64_t cursor_leb_u64(struct cursor *c);
int32_t cursor_leb_s32(struct cursor *c);
int64_t cursor_leb_s33(struct cursor *c);
int64_t cursor_leb_s64(struct cursor *c);

/* Borrow len bytes and step over them; NULL after a failure. */
const uint8_t *cursor_bytes(struct cursor *c, size_t len);

/* Borrow a text that buf_text wrote, of at most max bytes, with its NUL; it has no other. NULL after a failure, and
 * when it is absent and may be. */
const char *cursor_text(struct cursor *c, size_t max, bool may_be_absent);

/* A reader over the next len bytes, which are stepped over here. */
struct cursor cursor_sub(struct cursor *c, size_t len);

/* Turn a failure into an error with code; ST_OK when nothing failed. */
status_t cursor_status(const struct cursor *c, status_t code, struct error *err);

#endif
