#ifndef NET_URI_H
#define NET_URI_H

#include <stdbool.h>

#include "base/buf.h"

enum { QUERY_PAIRS_MAX = 128 };

enum uri_plus { URI_PLUS_IS_PLUS, URI_PLUS_IS_BLANK };
enum uri_slash { URI_SLASH_ENCODED, URI_SLASH_KEPT };

/* Append s without its percent encoding. ST_FORMAT a broken escape or a NUL byte; out has a part then. */
CHECKED status_t uri_decode(struct buf *out, const char *s, size_t len, enum uri_plus plus);
/* Append s in the encoding of AWS: all but A-Z a-z 0-9 - . _ ~ as %XX. */
void uri_encode(struct buf *out, const char *s, size_t len, enum uri_slash slash);

/* A decoded query string. Zeroed memory is a valid empty one. Strings live until query_done. */
struct query_pair {
    char *name;
    char *value; /* "" where there is no = */
};
struct query {
    struct query_pair pairs[QUERY_PAIRS_MAX];
    size_t count;
    char *text;
};

/* raw: what follows the ?, or NULL. ST_FORMAT, ST_LIMIT too many pairs, ST_NOMEM; *ret_query is empty then. */
CHECKED status_t query_parse(const char *raw, struct query *ret_query);
void query_done(struct query *q);
/* The value of the first pair of that name, or NULL. */
const char *query_get(const struct query *q, const char *name);

#endif
