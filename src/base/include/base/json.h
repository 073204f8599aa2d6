#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>

#include "base/buf.h"

/* Writes one JSON text, indented, into a buffer that reports failed allocations. One thread.
 * Start: struct json j = {.out = &buf}. key: name of the member, NULL inside arrays and at the top. */
struct json {
    struct buf *out;
    unsigned depth;
    bool filled; /* the innermost object or array has a member */
};

/* bracket: '{' or '['; closed with '}' or ']'. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);
/* len bytes; what is not UTF-8 becomes U+FFFD. */
void json_string(struct json *j, const char *key, const char *s, size_t len);
void json_text(struct json *j, const char *key, const char *s); /* the same up to a NUL */
void json_u64(struct json *j, const char *key, uint64_t v);
void json_bool(struct json *j, const char *key, bool v);
/* With three digits behind the point; finite. */
void json_number(struct json *j, const char *key, double v);

#endif
