#ifndef INTEG_CAPTURE_LONG_SEGMENTS_H
#define INTEG_CAPTURE_LONG_SEGMENTS_H

#include "base/buf.h"
#include "cell/module/module.h"

/* A module with passive segments of more than two pieces, made by code since its text would be long:
 *
 *   (memory (export "m") 48) (table 160000 funcref)
 *   (func (export "data") (param i32) (result i32)
 *     (memory.init 0 (local.get 0) (i32.const 5) (i32.const 2900000)) (i32.load (i32.const 2000000)))
 *   (func (export "elem") (param i32) (result i32)
 *     (table.init 0 (local.get 0) (i32.const 5) (i32.const 150000)) (ref.is_null (table.get (i32.const 150001))))
 *   (elem func 1 ...) (data "...")
 */

enum { LONG_SEGMENT_BYTES = 3000000, LONG_SEGMENT_ENTRIES = 155000 };

static inline void long_segments_section(struct buf *out, uint8_t id, struct buf *body)
{
    buf_u8(out, id);
    buf_leb_u32(out, (uint32_t)body->len);
    buf_bytes(out, body->data, body->len);
    body->len = 0;
}

static inline void long_segments_bytes(struct buf *out, uint8_t id, const void *bytes, size_t len)
{
    struct buf body = {0};
    buf_bytes(&body, bytes, len);
    long_segments_section(out, id, &body);
    buf_done(&body);
}

static inline void long_segments_elem(struct buf *out)
{
    static const uint8_t head[] = {1, 1, 0};
    struct buf body = {0};
    buf_bytes(&body, head, sizeof head);
    buf_leb_u32(&body, LONG_SEGMENT_ENTRIES);
    for (uint32_t i = 0; i < LONG_SEGMENT_ENTRIES; i++)
        buf_u8(&body, i & 1);
    long_segments_section(out, 9, &body);
    buf_done(&body);
}

static inline void long_segments_data(struct buf *out)
{
    struct buf body = {0};
    buf_u8(&body, 1);
    buf_u8(&body, 1);
    buf_leb_u32(&body, LONG_SEGMENT_BYTES);
    for (uint32_t i = 0; i < LONG_SEGMENT_BYTES; i++)
        buf_u8(&body, (uint8_t)(i * 2654435761u >> 21));
    long_segments_section(out, 11, &body);
    buf_done(&body);
}

static inline void long_segments_module(struct buf *out)
{
    static const uint8_t magic[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    static const uint8_t types[] = {1, 0x60, 1, 0x7f, 1, 0x7f}, funcs[] = {2, 0, 0};
    static const uint8_t tables[] = {1, 0x70, 0, 0x80, 0xe2, 9}, memories[] = {1, 0, 48};
    static const uint8_t exports[] = {3, 1, 'm', 2,   0,   4,   'd', 'a', 't', 'a',
                                      0, 0, 4,   'e', 'l', 'e', 'm', 0,   1};
    static const uint8_t data_count[] = {1};
    static const uint8_t code[] = {2, /* bodies */
                                   23,   0,    0x20, 0,    0x41, 5,    0x41, 0xa0,
                                   0x80, 0xb1, 1,    0xfc, 8,    0,    0, /* memory.init */
                                   0x41, 0x80, 0x89, 0xfa, 0,    0x28, 2,    0,
                                   0x0b, 21,   0,    0x20, 0,    0x41, 5,    0x41,
                                   0xf0, 0x93, 9,    0xfc, 12,   0,    0, /* table.init */
                                   0x41, 0xf1, 0x93, 9,    0x25, 0,    0xd1, 0x0b};
    buf_bytes(out, magic, sizeof magic);
    long_segments_bytes(out, 1, types, sizeof types);
    long_segments_bytes(out, 3, funcs, sizeof funcs);
    long_segments_bytes(out, 4, tables, sizeof tables);
    long_segments_bytes(out, 5, memories, sizeof memories);
    long_segments_bytes(out, 7, exports, sizeof exports);
    long_segments_elem(out);
    long_segments_bytes(out, 12, data_count, sizeof data_count);
    long_segments_bytes(out, 10, code, sizeof code);
    long_segments_data(out);
}

#endif
