// Comparing and searching, at every alignment and length, up to the last byte of the memory.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned failures;
static volatile size_t anywhere = SIZE_MAX;

static void same(const char *what, long got, long want, size_t a, size_t n)
{
    if (got != want && failures++ < 20)
        printf("%s at %zu, length %zu: %ld, not %ld\n", what, a, n, got, want);
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static int bytes_differ(const volatile unsigned char *a, const volatile unsigned char *b, size_t n, int strings)
{
    for (; n--; a++, b++)
        if (*a != *b || (strings && *a == 0))
            return sign(*a - *b);
    return 0;
}

static long find(const volatile unsigned char *s, int c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == (unsigned char)c)
            return (long)i;
    return -1;
}

static long offset(const void *found, const void *s)
{
    return found ? (const char *)found - (const char *)s : -1;
}

/* Two strings of length n, the second at the same bytes or with one changed. */
static void pair(unsigned char *s, unsigned char *t, size_t a, size_t n, unsigned char change)
{
    for (size_t i = 0; i < n; i++)
        s[i] = t[i] = (unsigned char)(1 + (i * 37 + n) % 255);
    s[n] = t[n] = 0;
    for (size_t at = 0; at <= n; at += 1 + n / 9) {
        unsigned char was = t[at];

        t[at] = at == n ? 0 : change;
        same("memcmp", sign(memcmp(s, t, n + 1)), bytes_differ(s, t, n + 1, 0), a, n);
        same("memcmp", sign(memcmp(t, s, at)), 0, a, at);
        same("strcmp", sign(strcmp((char *)s, (char *)t)), bytes_differ(s, t, n + 1, 1), a, n);
        same("strcmp", sign(strcmp((char *)t, (char *)s)), bytes_differ(t, s, n + 1, 1), a, n);
        for (size_t m = at < 2 ? 0 : at - 2; m < at + 3; m++)
            same("strncmp", sign(strncmp((char *)s, (char *)t, m)), bytes_differ(s, t, m <= n ? m : n + 1, 1), a, m);
        t[at] = was;
    }
}

static void search(unsigned char *s, size_t a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s[i] = (unsigned char)(1 + (i * 37 + n) % 255);
    s[n] = 0;
    same("strlen", (long)strlen((char *)s), find(s, 0, n + 1), a, n);
    for (int c = 0; c < 256; c += c < 2 ? 1 : 41) {
        long at = find(s, c, n + 1);

        same("memchr", offset(memchr(s, c, n + 1), s), at, a, n);
        if (at >= 0) {
            same("memchr to its place", offset(memchr(s, c, (size_t)at), s), -1, a, n);
            same("memchr anywhere", offset(memchr(s, c, anywhere), s), at, a, n);
        }
        same("strchr", offset(strchr((char *)s, c), s), at, a, n);
        same("strchrnul", offset(strchrnul((char *)s, c), s), at >= 0 ? at : (long)strlen((char *)s), a, n);
    }
}

int main(void)
{
    enum { ROOM = 65536, LENGTH = 70 };
    unsigned char *low = malloc(2 * LENGTH), *end = (unsigned char *)sbrk(ROOM) + ROOM;
    unsigned char changes[] = {0, 1, 127, 128, 255};

    for (size_t n = 0; n < LENGTH - 16; n++) {
        for (size_t a = 0; a < 16; a++) {
            for (size_t c = 0; c < sizeof changes; c++) {
                pair(low + a, end - n - 1, a, n, changes[c]);
                pair(end - n - 1 - a, low + n % 8, a, n, changes[c]);
            }
            search(low + a, a, n);
            search(end - n - 1, a, n);
            search(end - n - 1 - a, a, n);
        }
    }
    printf("%u failures\n", failures);
    return 0;
}
