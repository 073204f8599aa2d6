#ifndef GEDS_S3_POLICY_H
#define GEDS_S3_POLICY_H

#include <stdbool.h>

#include "base/arena.h"

/* Bucket policies: JSON documents of statements that allow or deny actions. */

enum {
    POLICY_BYTES_MAX = 20 * 1024,
    POLICY_STATEMENTS_MAX = 256,
    POLICY_VALUES_MAX = 1024,  /* in one list */
    POLICY_CONDITIONS_MAX = 32 /* of one statement */
};
#define POLICY_OWNER "cloudskin" /* the user that `root` means */

struct policy;

/* What is asked. */
struct policy_request {
    const char *user;   /* NULL: nobody has signed */
    const char *action; /* "s3:GetObject" */
    const char *bucket;
    const char *key; /* "": the bucket itself */
    /* The value of a condition's key, or NULL. */
    const char *(*value_of)(void *arg, const char *name);
    void *arg;
};
enum policy_decision { POLICY_SILENT, POLICY_ALLOWS, POLICY_DENIES };

/* Read the policy of a bucket. *ret_policy lives in arena. err->text says what is wrong. ST_FORMAT no
 * JSON; ST_INVALID no policy, or of another bucket; ST_UNSUPPORTED a condition or principal that is
 * not honoured; ST_LIMIT; ST_NOMEM. */
CHECKED status_t policy_read(const char *text, size_t len, const char *bucket, struct arena *arena,
                             struct policy **ret_policy, struct error *err);
/* A statement that denies outweighs those that allow. */
enum policy_decision policy_decide(const struct policy *p, const struct policy_request *rq);

/* Does text have the form of pattern, where * is any text and ? any byte? */
bool wildcard_match(const char *pattern, const char *text, bool any_case);

#endif
