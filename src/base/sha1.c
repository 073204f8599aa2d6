#include "base/hash.h"

#include <endian.h>
#include <string.h>

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static void take_block(uint32_t state[5], const uint8_t *block)
{
    uint32_t w[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    memcpy(w, block, 64);
    for (unsigned i = 0; i < 16; i++) {
        w[i] = be32toh(w[i]);
    }
    for (unsigned i = 16; i < 80; i++) {
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    for (unsigned i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t t = rotate(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = t;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1_init(struct sha1 *s)
{
    *s = (struct sha1){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
}

void sha1_update(struct sha1 *s, const void *data, size_t len)
{
    const uint8_t *p = data;
    s->total_bytes += len;
    while (len > 0) {
        if (s->fill == 0 && len >= sizeof s->block) {
            take_block(s->state, p);
            p += sizeof s->block;
            len -= sizeof s->block;
            continue;
        }
        size_t n = sizeof s->block - s->fill;
        n = n < len ? n : len;
        memcpy(s->block + s->fill, p, n);
        s->fill += n;
        p += n;
        len -= n;
        if (s->fill == sizeof s->block) {
            take_block(s->state, s->block);
            s->fill = 0;
        }
    }
}

void sha1_final(struct sha1 *s, uint8_t ret_digest[SHA1_BYTES])
{
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = htobe64(s->total_bytes * 8);
    sha1_update(s, padding, 1 + (119 - s->total_bytes % 64) % 64);
    sha1_update(s, &bits, sizeof bits);
    for (unsigned i = 0; i < 5; i++) {
        uint32_t word = htobe32(s->state[i]);
        memcpy(ret_digest + 4 * i, &word, 4);
    }
}
