/* Configurations of buckets: CORS (first byte 0), lifecycle (1), sections (2) and what is set in them. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "geds/s3/config.h"
#include "geds/s3/cors.h"
#include "geds/s3/lifecycle.h"

static void read_cors(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct cors *cors = NULL;
    struct error err = {0};
    bool any;
    status_t st = cors_read(data, len, &arena, &cors, &err);
    FUZZ_CHECK(st == ST_OK ? cors && cors->count > 0 : !cors);
    if (st == ST_OK) {
        cors_find(cors, "https://a.example.com", "GET", "x-amz-date, content-type", &any);
        cors_find(cors, "", "PUT", NULL, &any);
    }
    arena_done(&arena);
}

#define DAY_S UINT64_C(86400)
#define LAST_S (UINT64_MAX / 1000000000)

/* The first midnight that is no earlier, or never where there are no such times. */
static void check_due(uint64_t from_ns, uint64_t days)
{
    uint64_t due = lifecycle_due_ns(from_ns, days);
    uint64_t least_s = from_ns / 1000000000 + days * DAY_S;
    if (due == UINT64_MAX)
        FUZZ_CHECK(least_s + DAY_S > LAST_S);
    else
        FUZZ_CHECK(due % (DAY_S * 1000000000) == 0 && due / 1000000000 >= least_s &&
                   due / 1000000000 - least_s < DAY_S);
}

static void read_lifecycle(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct lifecycle *l = NULL;
    struct error err = {0};
    status_t st = lifecycle_read(data, len, &arena, &l, &err);
    FUZZ_CHECK(st == ST_OK ? l && l->count > 0 : !l && err.text[0] != '\0');
    for (size_t i = 0; l && i < l->count; i++) {
        lifecycle_matches(&l->rules[i], "a/b", 10, NULL);
        FUZZ_CHECK(l->rules[i].date_s % DAY_S == 0 && l->rules[i].date_s <= LAST_S);
        FUZZ_CHECK(l->rules[i].days <= LIFECYCLE_DAYS_MAX);
        check_due(0, l->rules[i].days);
        check_due(UINT64_C(1700000000123456789), l->rules[i].days);
        check_due(UINT64_MAX, l->rules[i].noncurrent_days);
    }
    arena_done(&arena);
}

/* What was set is there, and the rest is as it was. */
static void read_sections(const uint8_t *data, size_t len)
{
    char *config = malloc(len + 1);
    struct buf out = {0};
    const char *text = NULL, *other = NULL, *other_after = NULL;
    size_t text_len = 0, other_len = 0, other_after_len = 0;
    memcpy(config, data, len);
    config[len] = '\0';
    if (config_get(config, "b", &other, &other_len, NULL) == ST_OK) {
        FUZZ_CHECK(config_set(config, "a", "x y\n", 4, &out, NULL) == ST_OK);
        FUZZ_CHECK(config_get((const char *)out.data, "a", &text, &text_len, NULL) == ST_OK);
        FUZZ_CHECK(text_len == 4 && memcmp(text, "x y\n", 4) == 0);
        FUZZ_CHECK(config_get((const char *)out.data, "b", &other_after, &other_after_len, NULL) ==
                   ST_OK);
        FUZZ_CHECK(other_len == other_after_len && !other == !other_after);
        FUZZ_CHECK(!other || memcmp(other, other_after, other_len) == 0);
    }
    buf_done(&out);
    free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    if (data[0] == 0)
        read_cors(data + 1, len - 1);
    else if (data[0] == 1)
        read_lifecycle(data + 1, len - 1);
    else
        read_sections(data + 1, len - 1);
    return 0;
}
