#include <string.h>

#include "entry.h"
#include "frame.h"
#include "fuzz.h"
#include "patch.h"

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
        .of = {{"bucket", 3, 1, 0}, {"extent", 4, 1, 2}, {"copy", 3, 7, 0}}, .count = 3};
    struct ids removed = {0};
    status_t st = patch_check(&schema, data, len, &removed, NULL);
    FUZZ_CHECK(st == ST_OK || st == ST_FORMAT);
    FUZZ_CHECK(removed.count <= len);
    ids_done(&removed);
}

/* The value of an entry's first key. */
static void frame(const uint8_t *data, size_t len)
{
    struct etcd_frame f;
    if (etcd_frame_decode(data, len, &f, NULL) == ST_OK) {
        FUZZ_CHECK(f.chunks >= 1 && f.chunks <= CHUNKS_MAX && f.first_len <= CHUNK_BYTES);
        FUZZ_CHECK(f.first >= data && f.first + f.first_len == data + len);
        FUZZ_CHECK(f.bytes <= (uint64_t)f.chunks * CHUNK_BYTES && f.first_len <= f.bytes);
    }
}

static void values(const struct etcd_range *range, size_t len)
{
    uint64_t index = 0;
    for (size_t k = 0; k < range->count; k++) {
        FUZZ_CHECK(strlen(range->kvs[k].key) <= ETCD_KEY_MAX + 2);
        FUZZ_CHECK(range->kvs[k].len <= len);
        frame(range->kvs[k].value, range->kvs[k].len);
    }
    FUZZ_CHECK(!etcd_head_of(range, &index) || index <= INT64_MAX);
}

static void answer(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct etcd_answer a;
    struct etcd_range range;
    uint64_t id = 0, ttl_s = 0;
    if (etcd_txn_decode(data, len, &arena, &a, NULL) == ST_OK) {
        FUZZ_CHECK(a.count <= ETCD_OPS_MAX);
        for (size_t i = 0; i < a.count; i++) {
            values(&a.ranges[i], len);
        }
    }
    if (etcd_range_decode(data, len, &arena, &range, NULL) == ST_OK) {
        values(&range, len);
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
    frame(data + 1, len - 1);
    if (data[0] % 3 == 0) {
        entry(data + 1, len - 1);
    } else if (data[0] % 3 == 1) {
        patch(data + 1, len - 1);
    } else {
        answer(data + 1, len - 1);
    }
    return 0;
}
