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
        size += bytes;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len > 0 && data[0] % 2 == 0) {
        layout(data + 1, len - 1);
    } else if (len > 0) {
        attributes(data + 1, len - 1);
    }
    return 0;
}
