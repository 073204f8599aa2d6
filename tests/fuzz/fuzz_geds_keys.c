#include <string.h>

#include "fuzz.h"
#include "master.h"

/* A file of master keys, and the record of a wrapped key. What is accepted is written again the same. */

static void file(const uint8_t *data, size_t len)
{
    struct masters m = {0};
    if (masters_init(&m, NULL) != ST_OK) {
        return;
    }
    if (masters_parse(&m, (const char *)data, len, NULL) == ST_OK) {
        FUZZ_CHECK(m.count >= 1 && m.count <= STORE_MASTER_KEYS_MAX);
        for (size_t i = 0; i < m.count; i++) {
            FUZZ_CHECK(m.ids[i] != 0 && masters_find(&m, m.ids[i]) == m.keys[i]);
        }
    } else {
        FUZZ_CHECK(m.count == 0);
    }
    masters_done(&m);
}

static void record(const uint8_t *data, size_t len)
{
    static const uint8_t master[SEAL_KEY_BYTES] = {1, 2, 3};
    uint8_t again[SEAL_RECORD_BYTES];
    struct sealed_key k = {0};
    if (seal_unwrap(master, data, len, &k, NULL) == ST_OK) {
        FUZZ_CHECK(seal_wrap(master, &k, again, NULL) == ST_OK);
        FUZZ_CHECK(len == sizeof again && memcmp(again, data, len) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 0 && data[0] % 2 == 0) {
        file(data + 1, len - 1);
    } else if (len > 0) {
        record(data + 1, len - 1);
    }
    return 0;
}
