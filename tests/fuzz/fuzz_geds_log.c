#include <string.h>

#include "entry.h"
#include "fuzz.h"
#include "patch.h"
#include "wire.h"

/* What a controller reads of a log that it shares with others: entries, what transactions changed, and etcd's answers.
 * Entries that are accepted are written again the same. */

static void entry(const uint8_t *data, size_t len)
{
    struct entry e;
    struct buf again = {0};
    if (entry_decode(data, len, &e, NULL) == ST_OK) {
        entry_encode(&e, &again);
        FUZZ_CHECK(again.failed || (again.len == len && memcmp(again.data, data, len) == 0));
    }
    buf_done(&again);
}

static void patch(const uint8_t *data, size_t len)
{
    static const struct patch_schema schema = {
        .of = {{"bucket", 3, 1}, {"extent", 4, 1}, {"copy", 3, 7}}, .count = 3};
    struct ids removed = {0};
    status_t st = patch_check(&schema, data, len, &removed, NULL);
    FUZZ_CHECK(st == ST_OK || st == ST_FORMAT);
    FUZZ_CHECK(removed.count <= len);
    ids_done(&removed);
}

static void answer(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct etcd_answer a;
    uint64_t id = 0, ttl_s = 0;
    if (etcd_txn_decode(data, len, &arena, &a, NULL) == ST_OK) {
        FUZZ_CHECK(a.count <= ETCD_OPS_MAX);
        for (size_t i = 0; i < a.count; i++) {
            for (size_t k = 0; k < a.ranges[i].count; k++) {
                FUZZ_CHECK(strlen(a.ranges[i].kvs[k].key) <= ETCD_KEY_MAX + 2);
                FUZZ_CHECK(a.ranges[i].kvs[k].len <= len);
            }
        }
    }
    arena_done(&arena);
    if (etcd_lease_decode(data, len, len % 2 == 0, &id, &ttl_s, NULL) == ST_OK) {
        FUZZ_CHECK(id > 0);
    }
    FUZZ_CHECK(etcd_error_decode(503, data, len, NULL) != ST_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    if (data[0] % 3 == 0) {
        entry(data + 1, len - 1);
    } else if (data[0] % 3 == 1) {
        patch(data + 1, len - 1);
    } else {
        answer(data + 1, len - 1);
    }
    return 0;
}
