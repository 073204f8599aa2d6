#include "base/text.h"

#include <stdint.h>

void text_hide_controls(char *text)
{
    unsigned char before = 0;
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0)) {
            *text = '?';
        }
        before = c;
    }
}

bool text_is_utf8(const char *s)
{
    const uint8_t *p = (const uint8_t *)s;
    while (*p != 0) {
        unsigned more = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
        uint32_t u = *p & (more == 0 ? 0x7fU : 0x3fU >> more);
        if (*p > 0xf4 || (*p >= 0x80 && *p < 0xc2)) {
            return false;
        }
        for (unsigned i = 0; i < more; i++) {
            if ((*++p & 0xc0) != 0x80) {
                return false;
            }
            u = u << 6 | (*p & 0x3fU);
        }
        if ((more == 2 && u < 0x800) || (more == 3 && (u < 0x10000 || u > 0x10ffff)) ||
            (u >= 0xd800 && u < 0xe000)) {
            return false;
        }
        p++;
    }
    return true;
}
