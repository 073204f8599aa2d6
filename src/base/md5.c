#include "base/hash.h"

#include <string.h>

static const uint32_t constants[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static inline uint32_t rotate(uint32_t v, unsigned bits)
{
    return v << bits | v >> (32 - bits);
}

static inline uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* One step: word number w of the block, constant i, a rotation. */
#define STEP(f, a, b, c, d, w, i, bits) \
    (a) = (b) + rotate((a) + f((b), (c), (d)) + words[w] + constants[i], bits)
#define F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define G(x, y, z) (((x) & (z)) + ((y) & ~(z)))
#define H(x, y, z) ((x) ^ (y) ^ (z))
#define I(x, y, z) ((y) ^ ((x) | ~(z)))
/* Four steps, whose words are at a distance of `by`. */
#define FOUR(f, i, first, by, r0, r1, r2, r3)                    \
    STEP(f, a, b, c, d, (first) & 15, i, r0);                    \
    STEP(f, d, a, b, c, ((first) + (by)) & 15, (i) + 1, r1);     \
    STEP(f, c, d, a, b, ((first) + 2 * (by)) & 15, (i) + 2, r2); \
    STEP(f, b, c, d, a, ((first) + 3 * (by)) & 15, (i) + 3, r3)
#define SIXTEEN(f, i, first, by, r0, r1, r2, r3)              \
    FOUR(f, i, first, by, r0, r1, r2, r3);                    \
    FOUR(f, (i) + 4, (first) + 4 * (by), by, r0, r1, r2, r3); \
    FOUR(f, (i) + 8, (first) + 8 * (by), by, r0, r1, r2, r3); \
    FOUR(f, (i) + 12, (first) + 12 * (by), by, r0, r1, r2, r3)

static void compress(uint32_t state[4], const uint8_t *data, size_t count)
{
    for (; count > 0; count--, data += 64) {
        uint32_t words[16], a = state[0], b = state[1], c = state[2], d = state[3];
        for (unsigned i = 0; i < 16; i++) {
            words[i] = load_le32(data + (size_t)4 * i);
        }
        SIXTEEN(F, 0, 0, 1, 7, 12, 17, 22);
        SIXTEEN(G, 16, 1, 5, 5, 9, 14, 20);
        SIXTEEN(H, 32, 5, 3, 4, 11, 16, 23);
        SIXTEEN(I, 48, 0, 7, 6, 10, 15, 21);
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
    }
}

void md5_init(struct md5 *m)
{
    *m = (struct md5){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

void md5_update(struct md5 *m, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    if (len == 0) {
        return;
    }
    m->total_bytes += len;
    if (m->fill > 0) {
        size_t piece = sizeof m->block - m->fill;
        piece = piece < len ? piece : len;
        memcpy(m->block + m->fill, bytes, piece);
        m->fill += piece;
        bytes += piece;
        len -= piece;
        if (m->fill < sizeof m->block) {
            return;
        }
        compress(m->state, m->block, 1);
        m->fill = 0;
    }
    compress(m->state, bytes, len / sizeof m->block);
    bytes += len & ~(sizeof m->block - 1);
    m->fill = len % sizeof m->block;
    memcpy(m->block, bytes, m->fill);
}

void md5_final(struct md5 *m, uint8_t ret_digest[MD5_BYTES])
{
    uint64_t bits = m->total_bytes * 8;
    uint8_t tail[128] = {0};
    memcpy(tail, m->block, m->fill);
    tail[m->fill] = 0x80;
    size_t len = m->fill < 56 ? 64 : 128;
    for (size_t i = 0; i < 8; i++) {
        tail[len - 8 + i] = (uint8_t)(bits >> (8 * i));
    }
    compress(m->state, tail, len / 64);
    for (size_t i = 0; i < MD5_BYTES; i++) {
        ret_digest[i] = (uint8_t)(m->state[i / 4] >> (8 * (i % 4)));
    }
}

void md5_bytes(const void *data, size_t len, uint8_t ret_digest[MD5_BYTES])
{
    struct md5 m;
    md5_init(&m);
    md5_update(&m, data, len);
    md5_final(&m, ret_digest);
}
