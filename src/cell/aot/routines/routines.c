/* The library routines that LLVM may call from generated code. Compiled to LLVM bitcode when CloudSkin
 * is built, and from there for the CPU of each image: an image refers to nothing outside itself.
 * Built with -fno-builtin, so that the loops here do not become calls to themselves. */

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
int bcmp(const void *a, const void *b, size_t n);

typedef uint8_t v16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t u64 __attribute__((aligned(1), may_alias));
typedef uint32_t u32 __attribute__((aligned(1), may_alias));
typedef uint16_t u16 __attribute__((aligned(1), may_alias));

/* Up to 16 bytes: everything is read before anything is written, so overlap is no matter. */
static inline void move_small(uint8_t *d, const uint8_t *s, size_t n)
{
    if (n >= 8) {
        uint64_t a = *(const u64 *)s, b = *(const u64 *)(s + n - 8);
        *(u64 *)d = a;
        *(u64 *)(d + n - 8) = b;
    } else if (n >= 4) {
        uint32_t a = *(const u32 *)s, b = *(const u32 *)(s + n - 4);
        *(u32 *)d = a;
        *(u32 *)(d + n - 4) = b;
    } else if (n >= 2) {
        uint16_t a = *(const u16 *)s, b = *(const u16 *)(s + n - 2);
        *(u16 *)d = a;
        *(u16 *)(d + n - 2) = b;
    } else if (n) {
        *d = *s;
    }
}

static inline void copy_up(uint8_t *d, const uint8_t *s, size_t n)
{
    v16 last = *(const v16 *)(s + n - 16);
    uint8_t *end = d + n - 16;
    for (; n > 64; n -= 64, d += 64, s += 64) {
        v16 a = ((const v16 *)s)[0], b = ((const v16 *)s)[1];
        v16 c = ((const v16 *)s)[2], e = ((const v16 *)s)[3];
        ((v16 *)d)[0] = a;
        ((v16 *)d)[1] = b;
        ((v16 *)d)[2] = c;
        ((v16 *)d)[3] = e;
    }
    for (; n > 16; n -= 16, d += 16, s += 16)
        *(v16 *)d = *(const v16 *)s;
    *(v16 *)end = last;
}

static inline void copy_down(uint8_t *d, const uint8_t *s, size_t n)
{
    v16 first = *(const v16 *)s;
    uint8_t *begin = d;
    for (; n > 16; n -= 16)
        *(v16 *)(d + n - 16) = *(const v16 *)(s + n - 16);
    *(v16 *)begin = first;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    if (n <= 16) {
        move_small(dst, src, n);
        return dst;
    }
#if defined(__x86_64__)
    if (n >= 2048) {
        void *d = dst;
        const void *s = src;
        __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
        return dst;
    }
#endif
    copy_up(dst, src, n);
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    if (n <= 16)
        move_small(dst, src, n);
    else if ((uintptr_t)dst - (uintptr_t)src >= n)
        memcpy(dst, src, n);
    else
        copy_down(dst, src, n);
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    uint8_t *d = dst;
    uint64_t word = 0x0101010101010101ull * (uint8_t)c;
    if (n < 16) {
        if (n >= 8) {
            *(u64 *)d = word;
            *(u64 *)(d + n - 8) = word;
        } else if (n >= 4) {
            *(u32 *)d = (uint32_t)word;
            *(u32 *)(d + n - 4) = (uint32_t)word;
        } else {
            for (size_t i = 0; i < n; i++)
                d[i] = (uint8_t)c;
        }
        return dst;
    }
#if defined(__x86_64__)
    if (n >= 2048) {
        void *at = dst;
        __asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
        return dst;
    }
#endif
    typedef uint64_t w2 __attribute__((vector_size(16), aligned(1), may_alias));
    w2 v = {word, word};
    uint8_t *end = d + n - 16;
    for (; n > 16; n -= 16, d += 16)
        *(w2 *)d = v;
    *(w2 *)end = v;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    for (; n >= 8; n -= 8, x += 8, y += 8) {
        uint64_t p = *(const u64 *)x, q = *(const u64 *)y;
        if (p == q)
            continue;
        p = __builtin_bswap64(p);
        q = __builtin_bswap64(q);
        return p < q ? -1 : 1;
    }
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}

int bcmp(const void *a, const void *b, size_t n)
{
    return memcmp(a, b, n);
}
