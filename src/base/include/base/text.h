#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>

/* Put '?' in the place of what would end a line or be a command to a terminal, in text that others chose: ASCII's
 * control characters, and those that UTF-8 writes as 0xc2 and a byte below 0xa0. Any thread; the text is the
 * caller's. */
void text_hide_controls(char *text);

/* Is it well-formed UTF-8? Any thread. */
bool text_is_utf8(const char *s);

#endif
