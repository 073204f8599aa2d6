#ifndef GEDS_NAMES_H
#define GEDS_NAMES_H

#include "impl.h"

/* The first byte string behind all that begin with prefix (of at most STORE_KEY_MAX bytes).
 * false: there is none. ret_end has no final NUL. */
bool prefix_end(const char *prefix, char ret_end[STORE_KEY_MAX + 1], size_t *ret_len);

#endif
