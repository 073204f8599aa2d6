#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "xxh3_wide.h"

/* Compiled for wide vectors by their own files: the same sums, of what stands in memory at its speed. */
uint64_t hash_xxh3(const void *data, size_t len)
{
#ifdef __x86_64__
    if (len >= XXH3_WIDE_FROM_BYTES && __builtin_cpu_supports("avx512f"))
        return xxh3_avx512(data, len);
    if (len >= XXH3_WIDE_FROM_BYTES && __builtin_cpu_supports("avx2"))
        return xxh3_avx2(data, len);
#endif
    return XXH3_64bits(data, len);
}
