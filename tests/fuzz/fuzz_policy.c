/* Policies of buckets from anywhere; what was read decides about requests. */
#include <string.h>

#include "fuzz.h"
#include "geds/s3/policy.h"

static const char *value_of(void *arg, const char *name)
{
    (void)arg;
    return strcasecmp(name, "s3:prefix") == 0 ? "a/b" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const users[] = {NULL, "cloudskin", "alice"};
    static const char *const actions[] = {"s3:GetObject", "s3:ListBucket", "s3:PutObject"};
    struct arena arena = {0};
    struct policy *policy = NULL;
    struct error err = {0};
    status_t st = policy_read((const char *)data, len, "box", &arena, &policy, &err);
    FUZZ_CHECK(st == ST_OK ? policy != NULL : policy == NULL && err.text[0] != '\0');
    for (size_t i = 0; i < 9 && st == ST_OK; i++) {
        const struct policy_request rq = {.user = users[i % 3],
                                          .action = actions[i / 3],
                                          .bucket = "box",
                                          .key = i % 2 ? "a/b" : "",
                                          .value_of = value_of};
        enum policy_decision d = policy_decide(policy, &rq);
        FUZZ_CHECK(d == POLICY_SILENT || d == POLICY_ALLOWS || d == POLICY_DENIES);
    }
    arena_done(&arena);
    return 0;
}
