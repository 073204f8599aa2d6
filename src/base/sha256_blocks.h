#ifndef BASE_SHA256_BLOCKS_H
#define BASE_SHA256_BLOCKS_H

#include <stdbool.h>

#include "base/hash.h"

/* The compression function over count blocks of 64 bytes; one implementation per instruction set.
 * Any thread. */
typedef void sha256_blocks_fn(uint32_t state[8], const uint8_t *data, size_t count);

sha256_blocks_fn sha256_blocks_portable;
/* Only on a CPU for which sha256_native_usable() is true. */
sha256_blocks_fn sha256_blocks_native;
bool sha256_native_usable(void);

extern const uint32_t sha256_round_constants[64];

#endif
