/* LZ77 with a hash of four bytes: compress a text of made-up words, and expand it again. */

#include <string.h>

#include "kernel.h"

enum { HASH_BITS = 14, MATCH_MIN = 4, DISTANCE_MAX = 65535, ROUNDS = 6, WORDS = 4096 };

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t hash(uint32_t v)
{
    return v * 2654435761u >> (32 - HASH_BITS);
}

static uint8_t *put_length(uint8_t *out, size_t n)
{
    while (n >= 255) {
        *out++ = 255;
        n -= 255;
    }
    *out++ = (uint8_t)n;
    return out;
}

static const uint8_t *get_length(const uint8_t *in, size_t *ret_n)
{
    size_t n = 0;
    while (*in == 255) {
        n += *in++;
    }
    *ret_n = n + *in++;
    return in;
}

/* A sequence: count of literals, literals, match length beyond the least, distance (two bytes; 0 ends). */
static uint8_t *put_sequence(uint8_t *out, const uint8_t *literals, size_t literal_count,
                             size_t match, size_t distance)
{
    out = put_length(out, literal_count);
    memcpy(out, literals, literal_count);
    out = put_length(out + literal_count, match);
    *out++ = (uint8_t)distance;
    *out++ = (uint8_t)(distance >> 8);
    return out;
}

static size_t compress(const uint8_t *in, size_t len, uint8_t *out)
{
    static uint32_t table[1 << HASH_BITS];
    memset(table, 0, sizeof table);
    uint8_t *begin = out;
    size_t anchor = 0;
    size_t at = 1;
    while (at + MATCH_MIN < len) {
        uint32_t *entry = &table[hash(load32(in + at))];
        size_t from = *entry;
        *entry = (uint32_t)at;
        if (at - from > DISTANCE_MAX || load32(in + from) != load32(in + at)) {
            at++;
            continue;
        }
        size_t match = MATCH_MIN;
        while (at + match < len && in[from + match] == in[at + match]) {
            match++;
        }
        out = put_sequence(out, in + anchor, at - anchor, match - MATCH_MIN, at - from);
        at += match;
        anchor = at;
    }
    out = put_sequence(out, in + anchor, len - anchor, 0, 0);
    return (size_t)(out - begin);
}

static size_t expand(const uint8_t *in, uint8_t *out)
{
    uint8_t *begin = out;
    for (;;) {
        size_t literals;
        size_t match;
        in = get_length(in, &literals);
        memcpy(out, in, literals);
        out += literals;
        in = get_length(in + literals, &match);
        size_t distance = (size_t)in[0] | (size_t)in[1] << 8;
        in += 2;
        if (distance == 0) {
            return (size_t)(out - begin);
        }
        for (size_t i = 0; i < match + MATCH_MIN; i++) {
            out[i] = out[i - distance];
        }
        out += match + MATCH_MIN;
    }
}

static void make_text(uint8_t *text, size_t len)
{
    static char words[WORDS][8];
    uint64_t seed = KERNEL_SEED;
    for (int w = 0; w < WORDS; w++) {
        int letters = 2 + (int)(kernel_random(&seed) % 6);
        for (int i = 0; i < letters; i++) {
            words[w][i] = (char)('a' + kernel_random(&seed) % 26);
        }
    }
    size_t at = 0;
    while (at < len) {
        uint64_t a = kernel_random(&seed) % WORDS;
        uint64_t b = kernel_random(&seed) % WORDS;
        const char *word = words[a * b / WORDS]; /* some words are frequent */
        for (size_t i = 0; i < 8 && word[i] != '\0' && at < len; i++) {
            text[at++] = (uint8_t)word[i];
        }
        if (at < len) {
            text[at++] = ' ';
        }
    }
}

int main(int argc, char **argv)
{
    int size = kernel_size(argc, argv, 8000000);
    size_t len = (size_t)size;
    uint8_t *text = kernel_array(len, 1);
    uint8_t *packed = kernel_array(2 * len + 1024, 1);
    uint8_t *back = kernel_array(len + 8, 1);
    make_text(text, len);

    size_t packed_len = 0;
    size_t back_len = 0;
    uint64_t start = kernel_clock();
    for (int r = 0; r < ROUNDS; r++) {
        packed_len = compress(text, len, packed);
        back_len = expand(packed, back);
    }
    uint64_t end = kernel_clock();

    if (back_len != len || memcmp(text, back, len) != 0) {
        printf("lz: the text came back changed\n");
        return 1;
    }
    uint64_t sum = kernel_mix_bytes(packed_len, packed, packed_len);
    free(text);
    free(packed);
    free(back);
    return kernel_report("lz", size, sum, start, end);
}
