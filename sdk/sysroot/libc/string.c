/* Block copies are single instructions: the native compiler picks the code for the real processor. What has to find
 * a place goes by words of 8 bytes. A word may begin before a string or end after it, but is in one page of the
 * memory (64 KiB) with a byte of the string, so it is never out of bounds. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { WORD = 8, PAGE = 65536 };

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    return __builtin_memcpy(dst, src, n);
}

void *memmove(void *dst, const void *src, size_t n)
{
    return __builtin_memmove(dst, src, n);
}

void *memset(void *dst, int c, size_t n)
{
    return __builtin_memset(dst, c, n);
}

static inline uint64_t word_at(uintptr_t at)
{
    uint64_t word;

    __builtin_memcpy(&word, (const void *)at, sizeof word);
    return word;
}

static inline uint64_t half_at(uintptr_t at)
{
    uint32_t half;

    __builtin_memcpy(&half, (const void *)at, sizeof half);
    return half;
}

static inline uint64_t all_bytes(unsigned char c)
{
    return c * UINT64_C(0x0101010101010101);
}

/* The lowest bit that is set is the highest of the first byte that is zero. */
static inline uint64_t zeros(uint64_t word)
{
    return (word - all_bytes(1)) & ~word & all_bytes(0x80);
}

/* The aligned word with the byte at start: c becomes zero, and bytes before start become something else. */
static inline uint64_t first_word(uintptr_t start, unsigned char c)
{
    return (word_at(start & -WORD) ^ all_bytes(c)) | ((UINT64_C(1) << start % WORD * 8) - 1);
}

/* How the bytes differ that bit (one of that byte) is in. */
static inline int difference(uint64_t a, uint64_t b, uint64_t bits)
{
    int shift = __builtin_ctzll(bits) & 56;

    return (int)(a >> shift & 255) - (int)(b >> shift & 255);
}

int memcmp(const void *left, const void *right, size_t n)
{
    uintptr_t a = (uintptr_t)left, b = (uintptr_t)right;
    uint64_t x, y;

    for (; n >= WORD; n -= WORD, a += WORD, b += WORD) {
        x = word_at(a);
        y = word_at(b);
        if (x != y)
            return difference(x, y, x ^ y);
    }
    if (n >= WORD / 2) {
        x = half_at(a) | half_at(a + n - WORD / 2) << 32;
        y = half_at(b) | half_at(b + n - WORD / 2) << 32;
        return x == y ? 0 : difference(x, y, x ^ y);
    }
    for (; n; n--, a++, b++) {
        int d = *(const unsigned char *)a - *(const unsigned char *)b;
        if (d)
            return d;
    }
    return 0;
}

static inline bool word_in_page(uintptr_t at)
{
    return at % PAGE <= PAGE - WORD;
}

/* limit: SIZE_MAX for none. */
static inline int compare(uintptr_t a, uintptr_t b, size_t limit)
{
    const bool limited = limit != SIZE_MAX;

    for (size_t n = limit; n;) {
        if ((!limited || n >= WORD) && word_in_page(a) && word_in_page(b)) {
            uint64_t x = word_at(a), y = word_at(b), end = (x ^ y) | zeros(x);
            if (end)
                return difference(x, y, end);
            n -= limited ? WORD : 0;
            a += WORD;
            b += WORD;
        } else {
            unsigned char x = *(const unsigned char *)a++, y = *(const unsigned char *)b++;
            if (x != y || !x)
                return x - y;
            n -= limited ? 1 : 0;
        }
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return compare((uintptr_t)a, (uintptr_t)b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
    return compare((uintptr_t)a, (uintptr_t)b, n);
}

size_t strlen(const char *s)
{
    uintptr_t start = (uintptr_t)s, at = start & -WORD;
    uint64_t found = zeros(first_word(start, 0));

    while (!found)
        found = zeros(word_at(at += WORD));
    return at + __builtin_ctzll(found) / 8 - start;
}

void *memchr(const void *s, int c, size_t n)
{
    uintptr_t start = (uintptr_t)s, at = start & -WORD, last;
    uint64_t found;

    if (!n)
        return NULL;
    last = n - 1 <= UINTPTR_MAX - start ? start + n - 1 : UINTPTR_MAX;
    found = zeros(first_word(start, c));
    while (!found) {
        if (last - at < WORD)
            return NULL;
        found = zeros(word_at(at += WORD) ^ all_bytes(c));
    }
    at += __builtin_ctzll(found) / 8;
    return at <= last ? (void *)at : NULL;
}

char *__strchrnul(const char *s, int c)
{
    uintptr_t start = (uintptr_t)s, at = start & -WORD;
    uint64_t found = zeros(first_word(start, 0)) | zeros(first_word(start, c)), word;

    while (!found) {
        word = word_at(at += WORD);
        found = zeros(word) | zeros(word ^ all_bytes(c));
    }
    return (char *)(at + __builtin_ctzll(found) / 8);
}
weak_alias(__strchrnul, strchrnul);
