#ifndef BASE_XXH3_WIDE_H
#define BASE_XXH3_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* XXH3-64 by the wide vectors of this CPU. False: there are none, or there is too little data to ask. */
static inline bool xxh3_wide(const void *data, size_t len, uint64_t *ret_sum);

#ifdef __x86_64__

enum { XXH3_WIDE_FROM_BYTES = 1024 };

/* For CPUs that have these; compiled for them by their own files. */
uint64_t xxh3_avx2(const void *data, size_t len);
uint64_t xxh3_avx512(const void *data, size_t len);

static inline bool xxh3_wide(const void *data, size_t len, uint64_t *ret_sum)
{
    if (len < XXH3_WIDE_FROM_BYTES || !__builtin_cpu_supports("avx2"))
        return false;
    *ret_sum = __builtin_cpu_supports("avx512f") ? xxh3_avx512(data, len) : xxh3_avx2(data, len);
    return true;
}

#else

static inline bool xxh3_wide(const void *data, size_t len, uint64_t *ret_sum)
{
    (void)data, (void)len, (void)ret_sum;
    return false;
}

#endif

#endif
