#include "base/hash.h"

#include <string.h>

#include "sha256_blocks.h"

static void compress(uint32_t state[8], const uint8_t *data, size_t count)
{
    if (sha256_native_usable()) {
        sha256_blocks_native(state, data, count);
    } else {
        sha256_blocks_portable(state, data, count);
    }
}

void sha256_init(struct sha256 *s)
{
    *s = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                   0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_update(struct sha256 *s, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    if (len == 0) {
        return;
    }
    s->total_bytes += len;
    if (s->fill > 0) {
        size_t piece = sizeof s->block - s->fill;
        piece = piece < len ? piece : len;
        memcpy(s->block + s->fill, bytes, piece);
        s->fill += piece;
        bytes += piece;
        len -= piece;
        if (s->fill < sizeof s->block) {
            return;
        }
        compress(s->state, s->block, 1);
        s->fill = 0;
    }
    if (len >= sizeof s->block) {
        compress(s->state, bytes, len / sizeof s->block);
        bytes += len & ~(sizeof s->block - 1);
        len %= sizeof s->block;
    }
    memcpy(s->block, bytes, len);
    s->fill = len;
}

void sha256_final(struct sha256 *s, uint8_t ret_digest[SHA256_BYTES])
{
    uint64_t bits = s->total_bytes * 8;
    uint8_t tail[128] = {0};
    memcpy(tail, s->block, s->fill);
    tail[s->fill] = 0x80;
    size_t len = s->fill < 56 ? 64 : 128;
    for (size_t i = 0; i < 8; i++) {
        tail[len - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    compress(s->state, tail, len / 64);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret_digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}

void sha256_bytes(const void *data, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, data, len);
    sha256_final(&s, ret_digest);
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char ret_hex[SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret_hex[2 * i] = digits[digest[i] >> 4];
        ret_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_hex[SHA256_HEX_BYTES - 1] = '\0';
}
