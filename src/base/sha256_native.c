#include "sha256_blocks.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

/* Four rounds with the schedule words w, whose constants begin at k. */
SHA_TARGET static inline void four_rounds(__m128i *abef, __m128i *cdgh, __m128i w, unsigned k)
{
    const __m128i *constants = (const __m128i *)(const void *)&sha256_round_constants[k];
    __m128i wk = _mm_add_epi32(w, _mm_load_si128(constants));
    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, wk);
    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

/* The next four schedule words from the last sixteen, oldest first. */
SHA_TARGET static inline __m128i next_words(const __m128i w[4])
{
    __m128i mid = _mm_alignr_epi8(w[3], w[2], 4);
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]), mid);
    return _mm_sha256msg2_epu32(sum, w[3]);
}

SHA_TARGET static void one_block(__m128i *abef, __m128i *cdgh, const uint8_t *data)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i *in = (const __m128i *)(const void *)data;
    __m128i first_abef = *abef, first_cdgh = *cdgh;
    __m128i w[4];
    for (unsigned i = 0; i < 4; i++) {
        w[i] = _mm_shuffle_epi8(_mm_loadu_si128(in + i), swap);
        four_rounds(abef, cdgh, w[i], 4 * i);
    }
    for (unsigned i = 4; i < 16; i++) {
        __m128i next = next_words(w);
        w[0] = w[1];
        w[1] = w[2];
        w[2] = w[3];
        w[3] = next;
        four_rounds(abef, cdgh, next, 4 * i);
    }
    *abef = _mm_add_epi32(*abef, first_abef);
    *cdgh = _mm_add_epi32(*cdgh, first_cdgh);
}

SHA_TARGET void sha256_blocks_native(uint32_t state[8], const uint8_t *data, size_t count)
{
    __m128i *words = (__m128i *)(void *)state;
    __m128i abcd = _mm_loadu_si128(words), efgh = _mm_loadu_si128(words + 1);
    /* the instructions want the words as ABEF and CDGH, highest first */
    __m128i cdab = _mm_shuffle_epi32(abcd, 0xb1), hgfe = _mm_shuffle_epi32(efgh, 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, cdab, 0xf0);
    for (; count > 0; count--, data += 64) {
        one_block(&abef, &cdgh, data);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

static bool cpu_has_sha(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_SSE4_1) == 0 || (c & bit_SSSE3) == 0) {
        return false;
    }
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA) != 0;
}

bool sha256_native_usable(void)
{
    static atomic_int known; /* 0: not asked, else 1 + answer; cpuid is slow under a hypervisor */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == 0) {
        answer = 1 + cpu_has_sha();
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == 2;
}

#else

void sha256_blocks_native(uint32_t state[8], const uint8_t *data, size_t count)
{
    sha256_blocks_portable(state, data, count);
}

bool sha256_native_usable(void)
{
    return false;
}

#endif
