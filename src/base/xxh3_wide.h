#ifndef BASE_XXH3_WIDE_H
#define BASE_XXH3_WIDE_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 for CPUs that have these vectors. Shorter input is not worth the question. */
enum { XXH3_WIDE_FROM_BYTES = 1024 };
uint64_t xxh3_avx2(const void *data, size_t len);
uint64_t xxh3_avx512(const void *data, size_t len);

#endif
