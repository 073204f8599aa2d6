#include "check.h"
#include "master.h"
#include "seal.h"

#include <sys/stat.h>
#include <unistd.h>

/* The ciphers against vectors of others, and what is refused. */

static void bytes_of(const char *hex, uint8_t *to)
{
    for (; *hex != '\0'; hex += 2) {
        unsigned byte = 0;
        CHECK_EQ(sscanf(hex, "%2x", &byte), 1);
        *to++ = (uint8_t)byte;
    }
}

/* Made by the AESGCM class of the Python package `cryptography` 38: key 00 01 ... 1f, extent 0x0123456789abcdef, block
 * 5, bytes "attack at dawn". */
static void a_block_is_as_others_make_it(void)
{
    static const char text[] = "attack at dawn";
    uint8_t key[SEAL_KEY_BYTES], sealed[32], tag[SEAL_TAG_BYTES], want[32],
        want_tag[SEAL_TAG_BYTES];
    struct seal *s = NULL;
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)i;
    }
    bytes_of("871fd9a050cc73b8c0aa39657e10", want);
    bytes_of("4418c3a0c5be048caea8481a19187e0d", want_tag);
    CHECK_EQ(seal_new(&s, NULL), ST_OK);
    CHECK_EQ(seal_use(s, 0x0123456789abcdef, key, true, NULL), ST_OK);
    CHECK_EQ(seal_block(s, 5, text, sizeof text - 1, sealed, tag, NULL), ST_OK);
    CHECK(memcmp(sealed, want, sizeof text - 1) == 0);
    CHECK(memcmp(tag, want_tag, sizeof tag) == 0);
    CHECK_EQ(seal_use(s, 0x0123456789abcdef, key, false, NULL), ST_OK);
    CHECK_EQ(seal_open(s, 5, sealed, sizeof text - 1, tag, NULL), ST_OK);
    CHECK(memcmp(sealed, text, sizeof text - 1) == 0);
    seal_free(s);
}

/* Each bit of bytes and tag, number, length, extent and key. */
static void another_block_is_refused_and_wiped(void)
{
    uint8_t key[SEAL_KEY_BYTES] = {1}, other[SEAL_KEY_BYTES] = {2}, tag[SEAL_TAG_BYTES];
    uint8_t text[40], sealed[40], block[40];
    static const uint8_t nothing[40];
    struct seal *s = NULL;
    memset(text, 'x', sizeof text);
    CHECK_EQ(seal_new(&s, NULL), ST_OK);
    CHECK_EQ(seal_use(s, 7, key, true, NULL), ST_OK);
    CHECK_EQ(seal_block(s, 3, text, sizeof text, sealed, tag, NULL), ST_OK);
    CHECK_EQ(seal_use(s, 7, key, false, NULL), ST_OK);
    for (size_t bit = 0; bit < 8 * (sizeof sealed + sizeof tag); bit++) {
        uint8_t bad_tag[SEAL_TAG_BYTES];
        memcpy(block, sealed, sizeof block);
        memcpy(bad_tag, tag, sizeof tag);
        uint8_t *at = bit < 8 * sizeof sealed ? block + bit / 8 : bad_tag + bit / 8 - sizeof sealed;
        *at ^= (uint8_t)(1 << bit % 8);
        CHECK_EQ(seal_open(s, 3, block, sizeof block, bad_tag, NULL), ST_CORRUPT);
        CHECK(memcmp(block, nothing, sizeof block) == 0);
    }
    memcpy(block, sealed, sizeof block);
    CHECK_EQ(seal_open(s, 4, block, sizeof block, tag, NULL), ST_CORRUPT);
    memcpy(block, sealed, sizeof block);
    CHECK_EQ(seal_open(s, 3, block, sizeof block - 1, tag, NULL), ST_CORRUPT);
    CHECK_EQ(seal_use(s, 8, key, false, NULL), ST_OK);
    memcpy(block, sealed, sizeof block);
    CHECK_EQ(seal_open(s, 3, block, sizeof block, tag, NULL), ST_CORRUPT);
    CHECK_EQ(seal_use(s, 7, other, false, NULL), ST_OK);
    memcpy(block, sealed, sizeof block);
    CHECK_EQ(seal_open(s, 3, block, sizeof block, tag, NULL), ST_CORRUPT);
    CHECK_EQ(seal_use(s, 7, key, false, NULL), ST_OK);
    memcpy(block, sealed, sizeof block);
    CHECK_EQ(seal_open(s, 3, block, sizeof block, tag, NULL), ST_OK);
    CHECK(memcmp(block, text, sizeof block) == 0);
    seal_free(s);
}

/* Made by aes_key_wrap of the same package: master key 00 01 ... 1f, data key 20 21 ... 3f, extent 7, 65537 bytes. */
static void a_key_is_wrapped_as_others_do(void)
{
    uint8_t master[SEAL_KEY_BYTES], record[SEAL_RECORD_BYTES], want[SEAL_RECORD_BYTES] = {1};
    struct sealed_key k = {.extent = 7, .bytes = 65537}, back = {0};
    for (size_t i = 0; i < sizeof master; i++) {
        master[i] = (uint8_t)i;
        k.key[i] = (uint8_t)(0x20 + i);
    }
    bytes_of("068283c3b4f17eaee3f4c93a0d33ce70f35e3ecb48604d65405997729fa8e25fe8d950df9a6e4bc32d073"
             "502d141dfc87f6e147acd2ca8cf",
             want + 1);
    CHECK_EQ(seal_wrap(master, &k, record, NULL), ST_OK);
    CHECK(memcmp(record, want, sizeof record) == 0);
    CHECK_EQ(seal_unwrap(master, record, sizeof record, &back, NULL), ST_OK);
    CHECK_EQ(back.extent, 7);
    CHECK_EQ(back.bytes, 65537);
    CHECK(memcmp(back.key, k.key, sizeof k.key) == 0);
}

static void a_changed_record_is_refused(void)
{
    uint8_t master[SEAL_KEY_BYTES] = {1}, other[SEAL_KEY_BYTES] = {2}, record[SEAL_RECORD_BYTES];
    struct sealed_key k = {.extent = 1, .bytes = 2}, back = {.extent = 99};
    CHECK_EQ(seal_wrap(master, &k, record, NULL), ST_OK);
    for (size_t bit = 8; bit < 8 * sizeof record; bit++) {
        record[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_EQ(seal_unwrap(master, record, sizeof record, &back, NULL), ST_CORRUPT);
        record[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_EQ(seal_unwrap(other, record, sizeof record, &back, NULL), ST_CORRUPT);
    CHECK_EQ(seal_unwrap(master, record, sizeof record - 1, &back, NULL), ST_CORRUPT);
    CHECK_EQ(seal_unwrap(master, record, 0, &back, NULL), ST_CORRUPT);
    record[0] = 2;
    CHECK_EQ(seal_unwrap(master, record, sizeof record, &back, NULL), ST_UNSUPPORTED);
    CHECK_EQ(back.extent, 99);
}

static char path[64];

static void master_keys_come_back_from_their_file(void)
{
    struct masters m = {0}, again = {0};
    struct stat info;
    CHECK_EQ(masters_init(&m, NULL), ST_OK);
    CHECK_EQ(masters_init(&again, NULL), ST_OK);
    CHECK_EQ(masters_read(&again, path, NULL), ST_NOTFOUND);
    for (size_t i = 0; i < STORE_MASTER_KEYS_MAX; i++) {
        CHECK_EQ(masters_add(&m, NULL), ST_OK);
    }
    CHECK_EQ(masters_add(&m, NULL), ST_LIMIT);
    CHECK_EQ(masters_write(&m, path, NULL), ST_OK);
    CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    CHECK_EQ(masters_read(&again, path, NULL), ST_OK);
    CHECK_EQ(again.count, STORE_MASTER_KEYS_MAX);
    CHECK(memcmp(again.ids, m.ids, sizeof m.ids) == 0);
    CHECK(memcmp(again.keys, m.keys, sizeof *m.keys * STORE_MASTER_KEYS_MAX) == 0);
    uint64_t gone = m.ids[5], behind = m.ids[6];
    masters_remove(&m, gone);
    CHECK(masters_find(&m, gone) == NULL);
    CHECK(memcmp(masters_find(&m, behind), masters_find(&again, behind), SEAL_KEY_BYTES) == 0);
    CHECK_EQ(m.count, STORE_MASTER_KEYS_MAX - 1);
    again.count = 0;
    CHECK_EQ(chmod(path, 0640), 0);
    CHECK_EQ(masters_read(&again, path, NULL), ST_PERM);
    masters_done(&m);
    masters_done(&again);
}

/* The id is the first 63 bits of SHA-256("CloudSkin master key" and 32 bytes of 0), by Python's hashlib. */
#define KEY "0000000000000000000000000000000000000000000000000000000000000000"
#define ID "7aa1774e6e6836b9"

static void a_file_of_something_else_is_refused(void)
{
    static const struct {
        const char *text;
        status_t status;
    } cases[] = {{ID " " KEY "\n", ST_OK},
                 {"# why\n\n" ID " " KEY, ST_OK},
                 {"", ST_FORMAT},
                 {"# none\n", ST_FORMAT},
                 {ID " " KEY "\n" ID " " KEY "\n", ST_FORMAT},
                 {ID " " KEY "0\n", ST_FORMAT},
                 {ID KEY " \n", ST_FORMAT},
                 {"0000000000000001 " KEY "\n", ST_FORMAT},
                 {"8000000000000001 " KEY "\n", ST_FORMAT},
                 {ID " g" KEY "\n", ST_FORMAT}};
    struct masters m = {0};
    CHECK_EQ(masters_init(&m, NULL), ST_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        m.count = 0;
        CHECK_EQ(masters_parse(&m, cases[i].text, strlen(cases[i].text), NULL), cases[i].status);
        CHECK_EQ(m.count, cases[i].status == ST_OK);
    }
    masters_done(&m);
}

int main(void)
{
    char folder[] = "/tmp/geds-seal-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/key", folder);
    RUN(a_block_is_as_others_make_it);
    RUN(another_block_is_refused_and_wiped);
    RUN(a_key_is_wrapped_as_others_do);
    RUN(a_changed_record_is_refused);
    RUN(master_keys_come_back_from_their_file);
    RUN(a_file_of_something_else_is_refused);
    unlink(path);
    rmdir(folder);
    return CHECK_DONE();
}
