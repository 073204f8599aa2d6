#ifndef GEDS_S3_CORS_H
#define GEDS_S3_CORS_H

#include <stdbool.h>

#include "base/arena.h"

/* Which pages of other origins may use a bucket from a browser. */

enum { CORS_BYTES_MAX = 64 * 1024, CORS_RULES_MAX = 100, CORS_VALUES_MAX = 100 };

struct cors_rule {
    const char *origins[CORS_VALUES_MAX]; /* each with at most one * */
    const char *methods[CORS_VALUES_MAX];
    const char *headers[CORS_VALUES_MAX]; /* so */
    const char *exposed[CORS_VALUES_MAX];
    size_t origin_count, method_count, header_count, exposed_count;
    const char *max_age_s; /* NULL: not said */
};
struct cors {
    struct cors_rule *rules;
    size_t count;
};

/* A CORSConfiguration. *ret_cors lives in arena. ST_FORMAT no such document; ST_INVALID a value that cannot be;
 * ST_LIMIT; ST_NOMEM. */
CHECKED status_t cors_read(const void *data, size_t len, struct arena *arena,
                           struct cors **ret_cors, struct error *err);
/* The first rule for this origin, method and list of header names (NULL: none); NULL: there is none. *ret_any: its
 * origin is `*`. */
const struct cors_rule *cors_find(const struct cors *c, const char *origin, const char *method,
                                  const char *headers, bool *ret_any);

#endif
