#ifndef GEDS_NAMES_H
#define GEDS_NAMES_H

#include "impl.h"

/* The first byte string behind all that begin with prefix (of at most STORE_KEY_MAX bytes).
 * false: there is none. ret_end has no final NUL. */
bool prefix_end(const char *prefix, char ret_end[STORE_KEY_MAX + 1], size_t *ret_len);

/* Length of the common beginning, up to the first delimiter ("": none) behind the prefix, that a key of a list belongs
 * to; 0: it stands for itself. key begins with prefix. */
size_t common_len(const char *prefix, const char *delimiter, const char *key, size_t len);

#endif
