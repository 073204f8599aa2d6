#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/status.h"

enum { SHA1_BYTES = 20, SHA256_BYTES = 32, SHA256_HEX_BYTES = 65, MD5_BYTES = 16 };

struct sha256 {
    uint32_t state[8];
    uint64_t total_bytes;
    uint8_t block[64];
    size_t fill;
};

/* SHA-256 (FIPS 180-4); uses the CPU's SHA instructions where it has them. One thread per state. */
void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t len);
void sha256_final(struct sha256 *s, uint8_t ret_digest[SHA256_BYTES]);
void sha256_bytes(const void *data, size_t len, uint8_t ret_digest[SHA256_BYTES]);
/* Lower-case hexadecimal with a final NUL. */
void sha256_hex(const uint8_t digest[SHA256_BYTES], char ret_hex[SHA256_HEX_BYTES]);

struct md5 {
    uint32_t state[4];
    uint64_t total_bytes;
    uint8_t block[64];
    size_t fill;
};

/* MD5 (RFC 1321): not against an attacker; S3 names versions of objects by it. One thread per
 * state, which may be copied to look at a digest in between. */
void md5_init(struct md5 *m);
void md5_update(struct md5 *m, const void *data, size_t len);
void md5_final(struct md5 *m, uint8_t ret_digest[MD5_BYTES]);
void md5_bytes(const void *data, size_t len, uint8_t ret_digest[MD5_BYTES]);

struct sha1 {
    uint32_t state[5];
    uint64_t total_bytes;
    uint8_t block[64];
    size_t fill;
};

/* SHA-1 (FIPS 180-4): not against an attacker, unless within HMAC; clients of S3 may send it along. One thread per
 * state. */
void sha1_init(struct sha1 *s);
void sha1_update(struct sha1 *s, const void *data, size_t len);
void sha1_final(struct sha1 *s, uint8_t ret_digest[SHA1_BYTES]);

/* XXH3-64: a checksum against accidents, not against an attacker. */
uint64_t hash_xxh3(const void *data, size_t len);

/* CRC32C of data behind bytes whose CRC32C is crc (0: none): a checksum against accidents that
 * other systems know too. Uses the CPU's instruction on x86-64. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t len);

#endif
