#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"
#include "check.h"
#include "sha256_blocks.h"
#include "xxh3_wide.h"

static const char *hex_of(const void *data, size_t len)
{
    static char hex[SHA256_HEX_BYTES];
    uint8_t digest[SHA256_BYTES];
    sha256_bytes(data, len, digest);
    sha256_hex(digest, hex);
    return hex;
}

/* The byte at i of the long inputs; sha256sum.inc was made with sha256sum from
 * python3 -c 'import sys; sys.stdout.buffer.write(bytes((i * 7 + i // 251) % 256
 *             for i in range(LEN)))' | sha256sum */
static uint8_t *long_input(size_t len)
{
    uint8_t *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 7 + i / 251);
    }
    return data;
}

static void known_digests_come_out(void)
{
    CHECK_STR(hex_of("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK_STR(hex_of("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    CHECK_STR(hex_of(two, strlen(two)),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    uint8_t *million = malloc(1000000);
    memset(million, 'a', 1000000);
    CHECK_STR(hex_of(million, 1000000),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

static void digests_agree_with_sha256sum(void)
{
    static const struct {
        size_t len;
        const char *hex;
    } rows[] = {
#include "sha256sum.inc"
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t *data = long_input(rows[i].len);
        CHECK_STR(hex_of(data, rows[i].len), rows[i].hex);
        free(data);
    }
}

static void pieces_give_the_digest_of_the_whole(void)
{
    enum { LEN = 1000 };
    uint8_t *data = long_input(LEN);
    uint8_t whole[SHA256_BYTES], pieces[SHA256_BYTES];
    sha256_bytes(data, LEN, whole);
    for (size_t piece = 1; piece < 200; piece++) {
        struct sha256 s;
        sha256_init(&s);
        for (size_t at = 0; at < LEN; at += piece) {
            sha256_update(&s, data + at, piece < LEN - at ? piece : LEN - at);
        }
        sha256_final(&s, pieces);
        CHECK(memcmp(whole, pieces, sizeof whole) == 0);
    }
    free(data);
}

static void both_implementations_agree(void)
{
    enum { BLOCKS = 200 };
    if (!sha256_native_usable()) {
        printf("this CPU has no SHA instructions: the portable code alone was tested\n");
    }
    uint8_t *data = long_input(64 * BLOCKS + 1);
    sha256_blocks_fn *fast = sha256_native_usable() ? sha256_blocks_native : sha256_blocks_portable;
    for (size_t blocks = 0; blocks <= BLOCKS; blocks += 1 + blocks / 3) {
        for (size_t misaligned = 0; misaligned < 2; misaligned++) {
            uint32_t a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, b[8] = {1, 2, 3, 4, 5, 6, 7, 8};
            sha256_blocks_portable(a, data + misaligned, blocks);
            fast(b, data + misaligned, blocks);
            CHECK(memcmp(a, b, sizeof a) == 0);
        }
    }
    free(data);
}

static void the_portable_code_knows_abc(void)
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t block[64] = {'a', 'b', 'c', 0x80, [63] = 24};
    sha256_blocks_portable(state, block, 1);
    CHECK_EQ(state[0], 0xba7816bf);
    CHECK_EQ(state[7], 0xf20015ad);
}

#ifdef __x86_64__
static void check_wide(const uint8_t *data, size_t len)
{
    const uint64_t sum = XXH3_64bits(data, len);
    CHECK(!__builtin_cpu_supports("avx2") || xxh3_avx2(data, len) == sum);
    CHECK(!__builtin_cpu_supports("avx512f") || xxh3_avx512(data, len) == sum);
}
#else
static void check_wide(const uint8_t *data, size_t len)
{
    (void)data, (void)len;
}
#endif

static void xxh3_gives_its_published_values(void)
{
    CHECK(hash_xxh3("", 0) == 0x2d06800538d394c2);
    uint8_t *data = long_input(100000);
    CHECK(hash_xxh3(data, 100000) == hash_xxh3(data, 100000));
    CHECK(hash_xxh3(data, 100000) != hash_xxh3(data, 99999));
    for (size_t len = 0; len <= 100000; len = len * 9 / 8 + 1) {
        const size_t off = len % 64; /* wherever it begins */
        CHECK(hash_xxh3(data + off, len - len / 100) == XXH3_64bits(data + off, len - len / 100));
    }
    check_wide(data, 90000);
    free(data);
}

/* RFC 3720, B.4, and the usual check value. */
static void crc32c_matches_published_values(void)
{
    uint8_t bytes[32] = {0};
    CHECK_EQ(hash_crc32c(0, "", 0), 0);
    CHECK_EQ(hash_crc32c(0, "123456789", 9), 0xe3069283);
    CHECK_EQ(hash_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    CHECK_EQ(hash_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
}

static void crc32c_of_pieces_is_that_of_the_whole(void)
{
    static const char text[] = "it is the same wherever the bytes are cut";
    uint32_t whole = hash_crc32c(0, text, sizeof text);
    for (size_t i = 0; i <= sizeof text; i++) {
        CHECK_EQ(hash_crc32c(hash_crc32c(0, text, i), text + i, sizeof text - i), whole);
    }
}

/* Byte by byte it takes no way but the one for what is left over. */
static void crc32c_of_many_bytes_is_that_of_one_after_the_other(void)
{
    enum { MANY = 20000 };
    static uint8_t bytes[MANY];
    for (size_t i = 0; i < MANY; i++) {
        bytes[i] = (uint8_t)(i * i * 2654435761U >> 13);
    }
    uint32_t one_by_one = 0;
    for (size_t len = 0; len < MANY; len++) {
        if (len % 64 < 9 || len % 3072 < 9) {
            CHECK_EQ(hash_crc32c(0, bytes, len), one_by_one);
        }
        one_by_one = hash_crc32c(one_by_one, bytes + len, 1);
    }
    CHECK_EQ(hash_crc32c(0x12345678, bytes + 1, MANY - 1),
             hash_crc32c(hash_crc32c(0x12345678, bytes + 1, 7777), bytes + 7778, MANY - 7778));
}

static void check_md5(const char *text, const char *expected)
{
    uint8_t digest[MD5_BYTES];
    char hex[2 * MD5_BYTES + 1];
    md5_bytes(text, strlen(text), digest);
    for (size_t i = 0; i < MD5_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    CHECK_STR(hex, expected);
}

static void md5_matches_rfc_1321(void)
{
    check_md5("", "d41d8cd98f00b204e9800998ecf8427e");
    check_md5("a", "0cc175b9c0f1b6a831c399e269772661");
    check_md5("message digest", "f96b697d7cb7938d525a2f31aaf161d0");
    check_md5("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
              "d174ab98d277d9f5a5611c2c9f419d9f");
    check_md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890",
              "57edf4a22be3c955ac49da2e2107b67a");
}

static void md5_of_pieces_is_that_of_the_whole(void)
{
    uint8_t bytes[300], whole[MD5_BYTES], pieces[MD5_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (size_t len = 0; len <= sizeof bytes; len++) {
        struct md5 m;
        md5_bytes(bytes, len, whole);
        md5_init(&m);
        for (size_t at = 0, piece = 1; at < len; at += piece, piece = piece % 90 + 1) {
            piece = piece < len - at ? piece : len - at;
            md5_update(&m, bytes + at, piece);
        }
        md5_final(&m, pieces);
        CHECK(memcmp(whole, pieces, MD5_BYTES) == 0);
    }
}

int main(void)
{
    RUN(known_digests_come_out);
    RUN(digests_agree_with_sha256sum);
    RUN(pieces_give_the_digest_of_the_whole);
    RUN(both_implementations_agree);
    RUN(the_portable_code_knows_abc);
    RUN(xxh3_gives_its_published_values);
    RUN(crc32c_matches_published_values);
    RUN(crc32c_of_pieces_is_that_of_the_whole);
    RUN(crc32c_of_many_bytes_is_that_of_one_after_the_other);
    RUN(md5_matches_rfc_1321);
    RUN(md5_of_pieces_is_that_of_the_whole);
    return CHECK_DONE();
}
