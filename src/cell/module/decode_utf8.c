#include "utf8.h"

struct lead {
    size_t tail;  /* bytes that follow */
    uint8_t low;  /* range of the first of them, which excludes long forms, */
    uint8_t high; /* surrogates and what is above U+10FFFF */
};

static bool lead_read(uint8_t b, struct lead *ret_lead)
{
    struct lead l = {0, 0x80, 0xbf};

    if (b < 0xc2)
        return false;
    if (b < 0xe0) {
        l.tail = 1;
    } else if (b < 0xf0) {
        l.tail = 2;
        if (b == 0xe0)
            l.low = 0xa0;
        if (b == 0xed)
            l.high = 0x9f;
    } else if (b < 0xf5) {
        l.tail = 3;
        if (b == 0xf0)
            l.low = 0x90;
        if (b == 0xf4)
            l.high = 0x8f;
    } else {
        return false;
    }
    *ret_lead = l;
    return true;
}

bool utf8_valid(const uint8_t *bytes, size_t len)
{
    size_t i = 0;

    while (i < len) {
        uint8_t b = bytes[i++];
        struct lead l;

        if (b < 0x80)
            continue;
        if (!lead_read(b, &l) || len - i < l.tail || bytes[i] < l.low || bytes[i] > l.high)
            return false;
        for (size_t k = 1; k < l.tail; k++) {
            if ((bytes[i + k] & 0xc0) != 0x80)
                return false;
        }
        i += l.tail;
    }
    return true;
}
