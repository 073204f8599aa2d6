#ifndef CELL_MODULE_UTF8_H
#define CELL_MODULE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Are these bytes well-formed UTF-8: shortest forms only, no surrogates, at most U+10FFFF? Any thread. */
bool utf8_valid(const uint8_t *bytes, size_t len);

#endif
