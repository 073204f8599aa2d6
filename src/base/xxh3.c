#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "xxh3_wide.h"

uint64_t hash_xxh3(const void *data, size_t len)
{
    uint64_t sum;
    return xxh3_wide(data, len, &sum) ? sum : XXH3_64bits(data, len);
}
