#ifndef GEDS_S3_LIFECYCLE_H
#define GEDS_S3_LIFECYCLE_H

#include <stdbool.h>

#include "geds/store.h"
#include "net/uri.h"

/* Rules by which objects, versions and uploads end. */

enum {
    LIFECYCLE_BYTES_MAX = 256 * 1024,
    LIFECYCLE_RULES_MAX = 1000,
    LIFECYCLE_TAGS_MAX = 10,
    LIFECYCLE_DAYS_MAX = INT32_MAX
};

struct lifecycle_rule {
    const char *id;     /* "": none */
    const char *prefix; /* "": all */
    struct {
        const char *key, *value;
    } tags[LIFECYCLE_TAGS_MAX];
    size_t tag_count;
    bool has_larger_than;
    uint64_t larger_than; /* bytes */
    uint64_t smaller_than;
    bool enabled;
    uint64_t days;       /* 0: none */
    uint64_t date_s;     /* since the epoch; 0: none */
    bool lonely_markers; /* markers that hide nothing go */
    uint64_t noncurrent_days;
    uint64_t noncurrent_kept; /* so many of the newest stay all the same */
    uint64_t abort_days;
};
struct lifecycle {
    struct lifecycle_rule *rules;
    size_t count;
};

/* A LifecycleConfiguration. *ret_lifecycle lives in arena. ST_FORMAT no such document; ST_INVALID a
 * value that cannot be; ST_UNSUPPORTED transitions; ST_LIMIT; ST_NOMEM. */
CHECKED status_t lifecycle_read(const void *data, size_t len, struct arena *arena,
                                struct lifecycle **ret_lifecycle, struct error *err);

/* When something that became what it is at from_ns has been so for days: at the first midnight (UTC) from then on. */
uint64_t lifecycle_due_ns(uint64_t from_ns, uint64_t days);
/* Is an object of that name, size and tags (NULL: none) meant by the rule? */
bool lifecycle_matches(const struct lifecycle_rule *r, const char *key, uint64_t size,
                       const struct query *tags);

#endif
