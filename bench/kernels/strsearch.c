/* Counting words in a text: Horspool's and Knuth, Morris and Pratt's algorithms. */

#include <string.h>

#include "kernel.h"

enum { PATTERNS = 12, PATTERN_MAX = 32, ROUNDS = 3 };

static int horspool(const char *text, int n, const char *pattern, int m)
{
    int skip[256];
    for (int c = 0; c < 256; c++) {
        skip[c] = m;
    }
    for (int i = 0; i < m - 1; i++) {
        skip[(unsigned char)pattern[i]] = m - 1 - i;
    }
    int found = 0;
    int at = 0;
    while (at <= n - m) {
        int i = m - 1;
        while (i >= 0 && text[at + i] == pattern[i]) {
            i--;
        }
        found += i < 0;
        at += skip[(unsigned char)text[at + m - 1]];
    }
    return found;
}

static int knuth_morris_pratt(const char *text, int n, const char *pattern, int m)
{
    int fail[PATTERN_MAX + 1];
    fail[0] = -1;
    for (int i = 0; i < m; i++) {
        int k = fail[i];
        while (k >= 0 && pattern[k] != pattern[i]) {
            k = fail[k];
        }
        fail[i + 1] = k + 1;
    }
    int found = 0;
    int state = 0;
    for (int i = 0; i < n; i++) {
        while (state >= 0 && pattern[state] != text[i]) {
            state = fail[state];
        }
        state++;
        if (state == m) {
            found++;
            state = fail[state];
        }
    }
    return found;
}

static void make_text(char *text, int n)
{
    static const char *const syllable[16] = {"ka", "lo", "mi",  "ten", "ra",  "su", "no", "vel",
                                             "di", "po", "qua", "sh",  "tri", "e",  "an", " "};
    uint64_t seed = KERNEL_SEED;
    int at = 0;
    while (at < n) {
        const char *s = syllable[kernel_random(&seed) % 16];
        while (*s != '\0' && at < n) {
            text[at++] = *s++;
        }
    }
}

int main(int argc, char **argv)
{
    static const char *const pattern[PATTERNS] = {
        "kalo",     "mitenra", "velvet",   "no such word", "tri", "anan",
        "quadrica", "sunodi",  "lololomi", "shesh an",     "po ", "raventriankalomivel",
    };
    int n = kernel_size(argc, argv, 4000000);
    char *text = kernel_array((size_t)n + 1, 1);
    make_text(text, n);

    uint64_t sum = 0;
    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        for (int p = 0; p < PATTERNS; p++) {
            int m = (int)strlen(pattern[p]);
            sum = kernel_mix(sum, (uint64_t)horspool(text, n, pattern[p], m));
            sum = kernel_mix(sum, (uint64_t)knuth_morris_pratt(text, n, pattern[p], m));
        }
    }
    uint64_t end = kernel_clock();

    free(text);
    return kernel_report("strsearch", n, sum, start, end);
}
