#include "geds/s3/checksum.h"

#include <endian.h>
#include <string.h>

static const struct {
    const char *name;
    const char *header;
    size_t bytes;
    uint64_t polynomial; /* reflected */
} kinds[S3_SUM_COUNT] = {
    [S3_SUM_NONE] = {"", "", 0, 0},
    [S3_SUM_CRC32] = {"CRC32", "x-amz-checksum-crc32", 4, 0xedb88320},
    [S3_SUM_CRC32C] = {"CRC32C", "x-amz-checksum-crc32c", 4, 0x82f63b78},
    [S3_SUM_CRC64NVME] = {"CRC64NVME", "x-amz-checksum-crc64nvme", 8, 0x9a6c9329ac4bc9b5},
    [S3_SUM_SHA1] = {"SHA1", "x-amz-checksum-sha1", 20, 0},
    [S3_SUM_SHA256] = {"SHA256", "x-amz-checksum-sha256", 32, 0},
};

void s3_crc_tables_init(struct s3_crc_tables *t)
{
    memset(t, 0, sizeof *t);
    for (int a = S3_SUM_CRC32; a <= S3_SUM_CRC64NVME; a++) {
        uint64_t(*of)[256] = t->of[a];
        for (unsigned i = 0; i < 256; i++) {
            uint64_t x = i;
            for (int bit = 0; bit < 8; bit++)
                x = x & 1 ? x >> 1 ^ kinds[a].polynomial : x >> 1;
            of[0][i] = x;
        }
        for (unsigned k = 1; k < S3_CRC_SLICES; k++) {
            for (unsigned i = 0; i < 256; i++)
                of[k][i] = of[k - 1][i] >> 8 ^ of[0][of[k - 1][i] & 255];
        }
    }
}

const char *s3_sum_header(enum s3_algorithm a)
{
    return kinds[a].header;
}

const char *s3_sum_name(enum s3_algorithm a)
{
    return kinds[a].name;
}

enum s3_algorithm s3_sum_by_name(const char *name)
{
    int a = S3_SUM_CRC32;
    while (a < S3_SUM_COUNT && strcasecmp(kinds[a].name, name) != 0)
        a++;
    return (enum s3_algorithm)a;
}

enum s3_algorithm s3_sum_by_header(const char *header)
{
    int a = S3_SUM_CRC32;
    while (a < S3_SUM_COUNT && strcasecmp(kinds[a].header, header) != 0)
        a++;
    return (enum s3_algorithm)a;
}

void s3_sum_init(struct s3_sum *s, enum s3_algorithm a, const struct s3_crc_tables *tables)
{
    *s = (struct s3_sum){.algorithm = a, .tables = tables};
    if (a == S3_SUM_CRC32 || a == S3_SUM_CRC64NVME)
        s->crc = UINT64_MAX;
    sha1_init(&s->sha1);
    sha256_init(&s->sha256);
}

/* Eight bytes at a time; a CRC of 32 bits stands in the lower half. */
static uint64_t crc_update(const uint64_t t[S3_CRC_SLICES][256], uint64_t crc, const uint8_t *p,
                           size_t len)
{
    while (len >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        x = le64toh(x) ^ crc;
        crc = t[7][x & 255] ^ t[6][x >> 8 & 255] ^ t[5][x >> 16 & 255] ^ t[4][x >> 24 & 255] ^
              t[3][x >> 32 & 255] ^ t[2][x >> 40 & 255] ^ t[1][x >> 48 & 255] ^ t[0][x >> 56];
        p += 8;
        len -= 8;
    }
    while (len-- > 0)
        crc = crc >> 8 ^ t[0][(crc ^ *p++) & 255];
    return crc;
}

void s3_sum_update(struct s3_sum *s, const void *data, size_t len)
{
    if (s->algorithm == S3_SUM_SHA1)
        sha1_update(&s->sha1, data, len);
    else if (s->algorithm == S3_SUM_SHA256)
        sha256_update(&s->sha256, data, len);
    else if (s->algorithm == S3_SUM_CRC32C)
        s->crc = hash_crc32c((uint32_t)s->crc, data, len);
    else if (s->algorithm == S3_SUM_CRC32)
        s->crc = crc_update(s->tables->of[S3_SUM_CRC32], s->crc & UINT32_MAX, data, len);
    else if (s->algorithm == S3_SUM_CRC64NVME)
        s->crc = crc_update(s->tables->of[S3_SUM_CRC64NVME], s->crc, data, len);
}

size_t s3_sum_size(enum s3_algorithm a)
{
    return kinds[a].bytes;
}

size_t s3_sum_bytes(struct s3_sum *s, uint8_t *ret_bytes)
{
    size_t len = kinds[s->algorithm].bytes;
    if (s->algorithm == S3_SUM_SHA1) {
        sha1_final(&s->sha1, ret_bytes);
    } else if (s->algorithm == S3_SUM_SHA256) {
        sha256_final(&s->sha256, ret_bytes);
    } else {
        uint64_t crc = s->algorithm == S3_SUM_CRC32C ? s->crc : ~s->crc;
        for (size_t i = 0; i < len; i++)
            ret_bytes[i] = (uint8_t)(crc >> 8 * (len - 1 - i));
    }
    return len;
}

void s3_sum_final(struct s3_sum *s, char ret_text[S3_SUM_TEXT_BYTES])
{
    uint8_t bytes[SHA256_BYTES];
    base64_encode(bytes, s3_sum_bytes(s, bytes), ret_text);
}

/* a * b modulo the polynomial, in reflected order: the highest bit of the width is x to the 0. */
static uint64_t multiply(uint64_t polynomial, uint64_t top, uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (uint64_t bit = top; bit != 0 && a != 0; bit >>= 1) {
        if (a & bit) {
            product ^= b;
            a ^= bit;
        }
        b = b & 1 ? b >> 1 ^ polynomial : b >> 1;
    }
    return product;
}

/* The first CRC goes on over len bytes of zeros, which is a product with x to the 8 len. */
uint64_t s3_crc_combine(enum s3_algorithm a, uint64_t first, uint64_t second, uint64_t len)
{
    uint64_t top = UINT64_C(1) << (8 * kinds[a].bytes - 1), polynomial = kinds[a].polynomial;
    uint64_t power = top, square = top >> 8; /* x to the 0, and to the 8 */
    for (; len > 0; len >>= 1) {
        if (len & 1)
            power = multiply(polynomial, top, power, square);
        square = multiply(polynomial, top, square, square);
    }
    return multiply(polynomial, top, power, first) ^ second;
}

bool s3_sum_is_text(enum s3_algorithm a, const char *text)
{
    uint8_t bytes[64];
    return base64_decode(text, kinds[a].bytes, bytes) == ST_OK;
}
