#include "base/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *data, size_t len, char *ret_text)
{
    const uint8_t *p = data;
    char *to = ret_text;
    for (; len > 0; p += 3) {
        size_t n = len < 3 ? len : 3;
        uint32_t x = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        *to++ = digits[x >> 18];
        *to++ = digits[x >> 12 & 63];
        *to++ = n > 1 ? digits[x >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[x & 63] : '=';
        len -= n;
    }
    *to = '\0';
}

status_t base64_decode(const char *text, size_t len, void *ret_data)
{
    uint8_t *to = ret_data;
    if (strlen(text) != (len + 2) / 3 * 4)
        return ST_FORMAT;
    for (size_t done = 0; done < len; text += 4) {
        uint32_t x = 0;
        size_t n = len - done < 3 ? len - done : 3;
        for (size_t i = 0; i < 4; i++) {
            const char *digit = i <= n ? strchr(digits, text[i]) : NULL;
            if (i <= n ? !digit || *digit == '\0' : text[i] != '=')
                return ST_FORMAT;
            x = x << 6 | (digit ? (uint32_t)(digit - digits) : 0);
        }
        for (size_t i = 0; i < n; i++)
            to[done + i] = (uint8_t)(x >> (16 - 8 * i));
        done += n;
    }
    return ST_OK;
}
