#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

#include "base/status.h"

/* Base64 with padding. ret_text: 4 bytes for each 3 of data, and a NUL. */
void base64_encode(const void *data, size_t len, char *ret_text);
/* Exactly len bytes. ST_FORMAT. */
CHECKED status_t base64_decode(const char *text, size_t len, void *ret_data);

#endif
