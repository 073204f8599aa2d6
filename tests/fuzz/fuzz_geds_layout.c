#include <string.h>

#include "fuzz.h"
#include "layout.h"

/* What the store reads from its rows: a list of extents, or attributes. What is accepted is written again the same. */

static void layout(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct layout decoded = {0};
    uint64_t size = 0;
    struct buf again = {0};
    for (size_t i = 8; i + 8 <= len; i += 16) {
        uint64_t bytes = 0;
        memcpy(&bytes, data + i, sizeof bytes);
        size += bytes & INT64_MAX; /* the highest bit: encrypted */
    }
    if (layout_decode(&arena, data, len, size, &decoded, NULL) == ST_OK) {
        layout_encode(&decoded, &again);
        if (!again.failed &&
            (again.len != len || (len > 0 && memcmp(again.data, data, len) != 0))) {
            abort();
        }
    }
    buf_done(&again);
    arena_done(&arena);
}

static void attributes(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct store_attributes decoded = {0};
    struct buf again = {0};
    /* what breaks a rule for callers (two of one name) is read, and cannot be written */
    if (attributes_decode(&arena, data, len, &decoded, NULL) == ST_OK &&
        attributes_encode(&decoded, &again, NULL) == ST_OK) {
        FUZZ_CHECK(again.len == len && memcmp(again.data, data, len) == 0);
    }
    buf_done(&again);
    arena_done(&arena);
}

static void parts(const uint8_t *data, size_t len)
{
    struct store_part *decoded = NULL;
    struct buf again = {0};
    size_t count = 0;
    uint64_t size = 0;
    for (size_t i = 0; i < 8 && i < len; i++) {
        size = size << 8 | data[i];
    }
    size_t used = len < 8 ? len : 8;
    if (parts_decode(data + used, len - used, size, &decoded, &count, NULL) == ST_OK) {
        FUZZ_CHECK(count <= STORE_PART_NUMBER_MAX);
        for (size_t i = 0; i < count; i++) {
            FUZZ_CHECK(decoded[i].number == i + 1);
            parts_add(&again, decoded[i].info.size, decoded[i].sum, decoded[i].sum_len);
        }
        FUZZ_CHECK(again.len == len - used &&
                   (again.len == 0 || memcmp(again.data, data + used, again.len) == 0));
    }
    free(decoded);
    buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 0 && data[0] % 4 == 2) {
        parts(data + 1, len - 1);
    } else if (len > 0 && data[0] % 2 == 0) {
        layout(data + 1, len - 1);
    } else if (len > 0) {
        attributes(data + 1, len - 1);
    }
    return 0;
}
