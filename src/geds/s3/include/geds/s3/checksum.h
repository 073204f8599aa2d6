#ifndef GEDS_S3_CHECKSUM_H
#define GEDS_S3_CHECKSUM_H

#include <stdbool.h>

#include "base/base64.h"
#include "base/hash.h"

/* The checksums that clients send along with bodies. */

enum s3_algorithm {
    S3_SUM_NONE,
    S3_SUM_CRC32,
    S3_SUM_CRC32C,
    S3_SUM_CRC64NVME,
    S3_SUM_SHA1,
    S3_SUM_SHA256,
    S3_SUM_COUNT
};
enum { S3_SUM_TEXT_BYTES = 48, S3_SUM_BYTES_MAX = 32, S3_CRC_SLICES = 8 };

/* Tables of CRC32 and CRC64NVME; immutable after s3_crc_tables_init. */
struct s3_crc_tables {
    uint64_t of[S3_SUM_CRC64NVME + 1][S3_CRC_SLICES][256];
};
void s3_crc_tables_init(struct s3_crc_tables *t);

/* A checksum in progress. One thread. Zeroed memory is one of nothing. */
struct s3_sum {
    enum s3_algorithm algorithm;
    const struct s3_crc_tables *tables;
    uint64_t crc;
    struct sha1 sha1;
    struct sha256 sha256;
};
/* "x-amz-checksum-crc32" and the like; lower case, immutable. */
const char *s3_sum_header(enum s3_algorithm a);
/* "CRC32" and the like. */
const char *s3_sum_name(enum s3_algorithm a);
/* By name, without regard to case; S3_SUM_COUNT: there is none of that name. */
enum s3_algorithm s3_sum_by_name(const char *name);
enum s3_algorithm s3_sum_by_header(const char *header);
/* tables: borrowed. */
void s3_sum_init(struct s3_sum *s, enum s3_algorithm a, const struct s3_crc_tables *tables);
void s3_sum_update(struct s3_sum *s, const void *data, size_t len);
/* In base64, as clients write it. Ends the sum. */
void s3_sum_final(struct s3_sum *s, char ret_text[S3_SUM_TEXT_BYTES]);

/* In bytes as they are in base64; ret_bytes: S3_SUM_BYTES_MAX. The count of them. */
size_t s3_sum_bytes(struct s3_sum *s, uint8_t *ret_bytes);
size_t s3_sum_size(enum s3_algorithm a);
/* The CRC of two pieces one behind the other, of whose CRCs these are and of which the second has len bytes.
 * a: a CRC. */
uint64_t s3_crc_combine(enum s3_algorithm a, uint64_t first, uint64_t second, uint64_t len);

/* Has text the form of such a checksum? */
bool s3_sum_is_text(enum s3_algorithm a, const char *text);

#endif
