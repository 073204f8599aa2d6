#include "base/text.h"

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
