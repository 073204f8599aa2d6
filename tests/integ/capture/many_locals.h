#ifndef INTEG_CAPTURE_MANY_LOCALS_H
#define INTEG_CAPTURE_MANY_LOCALS_H

#include "base/buf.h"
#include "cell/module/module.h"

/* A function with 300 locals, 60 of each number type, as a module: it sets them all, asks for a capture, and mixes a
 * part of them into its parameter, asking from time to time; twice over, with other parts. */

enum { MANY_LOCALS_EACH = 60, MANY_LOCALS = 5 * MANY_LOCALS_EACH };

static inline void many_locals_op(struct buf *b, uint8_t op, uint32_t index)
{
    buf_u8(b, op);
    buf_leb_u32(b, index);
}

static inline void many_locals_ask(struct buf *b)
{
    many_locals_op(b, 0x20, 0);
    many_locals_op(b, 0x10, 1); /* call id */
    many_locals_op(b, 0x21, 0);
}

/* local = (type)(parameter ^ its index) */
static inline void many_locals_set(struct buf *b, uint32_t local)
{
    static const uint8_t from_i32[][2] = {{0, 0}, {1, 0xac}, {1, 0xb2}, {1, 0xb7}, {2, 0x11}};
    uint32_t type = (local - 1) / MANY_LOCALS_EACH;
    many_locals_op(b, 0x20, 0);
    many_locals_op(b, 0x41, local % 64);
    buf_u8(b, 0x73);
    if (from_i32[type][0] == 2)
        buf_u8(b, 0xfd);
    if (from_i32[type][0])
        buf_u8(b, from_i32[type][1]);
    many_locals_op(b, 0x21, local);
}

/* parameter = parameter * 17 + (i32)local */
static inline void many_locals_get(struct buf *b, uint32_t local)
{
    static const uint8_t to_i32[][3] = {
        {0}, {1, 0xa7}, {2, 0xfc, 0}, {2, 0xfc, 2}, {3, 0xfd, 0x1b}};
    uint32_t type = (local - 1) / MANY_LOCALS_EACH;
    many_locals_op(b, 0x20, 0);
    many_locals_op(b, 0x41, 17);
    buf_u8(b, 0x6c);
    many_locals_op(b, 0x20, local);
    for (uint32_t i = 1; i <= to_i32[type][0] && i < 3; i++)
        buf_u8(b, to_i32[type][i]);
    if (type == 4)
        buf_u8(b, 3); /* lane */
    buf_u8(b, 0x6a);
    many_locals_op(b, 0x21, 0);
}

static inline void many_locals_body(struct buf *b)
{
    static const uint8_t types[] = {0x7f, 0x7e, 0x7d, 0x7c, 0x7b};
    buf_leb_u32(b, 5);
    for (uint32_t t = 0; t < 5; t++) {
        buf_leb_u32(b, MANY_LOCALS_EACH);
        buf_u8(b, types[t]);
    }
    for (uint32_t part = 2; part <= 7; part += 5) {
        for (uint32_t i = 1; i <= MANY_LOCALS; i++)
            many_locals_set(b, i);
        for (uint32_t i = 1; i <= MANY_LOCALS; i++) {
            if (i % 29 == 1)
                many_locals_ask(b);
            if (i % part != 1)
                many_locals_get(b, i);
        }
    }
    many_locals_op(b, 0x20, 0);
    buf_u8(b, 0x0b);
}

static inline void many_locals_module(struct buf *out)
{
    static const uint8_t head[] = {
        0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, /* types: () and (i32) -> i32 */
        0x01, 0x09, 0x02, 0x60, 0x00, 0x00, 0x60, 0x01, 0x7f, 0x01, 0x7f, /* import h.ask */
        0x02, 0x09, 0x01, 0x01, 0x68, 0x03, 0x61, 0x73, 0x6b, 0x00, 0x00, /* two functions */
        0x03, 0x03, 0x02, 0x01, 0x01, 0x05, 0x03, 0x01, 0x00, 0x01, /* one memory; exports m, f */
        0x07, 0x09, 0x02, 0x01, 0x6d, 0x02, 0x00, 0x01, 0x66, 0x00, 0x02};
    static const uint8_t id[] = {0x06, 0x00, 0x10, 0x00, 0x20, 0x00, 0x0b}; /* ask, then local 0 */
    struct buf body = {0}, code = {0};
    many_locals_body(&body);
    buf_u8(&code, 2);
    buf_bytes(&code, id, sizeof id);
    buf_leb_u32(&code, (uint32_t)body.len);
    buf_bytes(&code, body.data, body.len);
    buf_bytes(out, head, sizeof head);
    buf_u8(out, 0x0a);
    buf_leb_u32(out, (uint32_t)code.len);
    buf_bytes(out, code.data, code.len);
    buf_done(&body);
    buf_done(&code);
}

#endif
