#ifndef TESTS_CELL_MODULE_HEX_H
#define TESTS_CELL_MODULE_HEX_H

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "cell/module/module.h"

/* Modules written as hexadecimal digits; blanks are free. */

static inline int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);

    return at && c ? (int)(at - digits) : -1;
}

static inline void hex_put(struct buf *b, const char *hex)
{
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        buf_u8(b, (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
        hex++;
    }
}

/* The bytes of a module of these sections, header included. */
static inline void hex_module(struct buf *b, const char *sections)
{
    hex_put(b, "0061736d 01000000");
    hex_put(b, sections);
}

/* Append a section. */
static inline void hex_section(struct buf *b, uint8_t id, const struct buf *content)
{
    buf_u8(b, id);
    buf_leb_u32(b, (uint32_t)content->len);
    buf_bytes(b, content->data, content->len);
}

/* Append a custom section. */
static inline void hex_custom(struct buf *b, const char *name, const void *bytes, size_t len)
{
    struct buf content = {0};

    buf_leb_u32(&content, (uint32_t)strlen(name));
    buf_bytes(&content, name, strlen(name));
    buf_bytes(&content, bytes, len);
    hex_section(b, 0, &content);
    buf_done(&content);
}

#endif
