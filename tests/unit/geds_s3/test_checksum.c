#include "geds/s3/checksum.h"

#include "check.h"

static struct s3_crc_tables tables;

static void sums_of_the_check_string(void)
{
    static const char *const want[S3_SUM_COUNT] = {
        [S3_SUM_CRC32] = "y/Q5Jg==",
        [S3_SUM_CRC32C] = "4waSgw==",
        [S3_SUM_CRC64NVME] = "rosUhgp5mIg=",
        [S3_SUM_SHA1] = "98O8HYCOBHMq32eZZczDTKeuNEE=",
        [S3_SUM_SHA256] = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="};
    static const char digits[] = "123456789";
    for (int a = S3_SUM_CRC32; a < S3_SUM_COUNT; a++) {
        for (size_t cut = 0; cut <= 9; cut++) {
            struct s3_sum s;
            char text[S3_SUM_TEXT_BYTES];
            s3_sum_init(&s, (enum s3_algorithm)a, &tables);
            s3_sum_update(&s, digits, cut);
            s3_sum_update(&s, &digits[cut], 9 - cut);
            s3_sum_final(&s, text);
            CHECK_STR(text, want[a]);
            CHECK(s3_sum_is_text((enum s3_algorithm)a, text));
        }
    }
}

static uint64_t crc_of(enum s3_algorithm a, const char *data, size_t len)
{
    struct s3_sum s;
    uint8_t bytes[S3_SUM_BYTES_MAX];
    uint64_t crc = 0;
    s3_sum_init(&s, a, &tables);
    s3_sum_update(&s, data, len);
    size_t n = s3_sum_bytes(&s, bytes);
    CHECK_EQ(n, s3_sum_size(a));
    for (size_t i = 0; i < n; i++)
        crc = crc << 8 | bytes[i];
    return crc;
}

static void crcs_of_pieces_make_that_of_the_whole(void)
{
    static char data[5000];
    static const size_t cuts[] = {0, 1, 7, 8, 2500, 4999, 5000};
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * i >> 3);
    for (int a = S3_SUM_CRC32; a <= S3_SUM_CRC64NVME; a++) {
        enum s3_algorithm algorithm = (enum s3_algorithm)a;
        for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
            uint64_t first = crc_of(algorithm, data, cuts[i]);
            uint64_t second = crc_of(algorithm, data + cuts[i], sizeof data - cuts[i]);
            CHECK_EQ(s3_crc_combine(algorithm, first, second, sizeof data - cuts[i]),
                     crc_of(algorithm, data, sizeof data));
        }
    }
}

static void names_are_found(void)
{
    CHECK_EQ(s3_sum_by_name("crc64nvme"), S3_SUM_CRC64NVME);
    CHECK_EQ(s3_sum_by_name("md5"), S3_SUM_COUNT);
    CHECK_EQ(s3_sum_by_header("X-Amz-Checksum-Sha1"), S3_SUM_SHA1);
}

static void base64_is_strict(void)
{
    uint8_t bytes[8];
    char text[16];
    base64_encode("a", 1, text);
    CHECK_STR(text, "YQ==");
    base64_encode("abcd", 4, text);
    CHECK_STR(text, "YWJjZA==");
    CHECK_EQ(base64_decode("YWJjZA==", 4, bytes), ST_OK);
    CHECK(memcmp(bytes, "abcd", 4) == 0);
    static const char *const bad[] = {"",         "YWJjZA=",  "YWJj",     "YWJjZAAA",
                                      "YWJ=ZA==", "YWJj!A==", "YWJjZ===", "YWJjZA==="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(base64_decode(bad[i], 4, bytes), ST_FORMAT);
}

int main(void)
{
    s3_crc_tables_init(&tables);
    RUN(sums_of_the_check_string);
    RUN(crcs_of_pieces_make_that_of_the_whole);
    RUN(names_are_found);
    RUN(base64_is_strict);
    return CHECK_DONE();
}
