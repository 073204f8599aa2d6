#ifndef LOCALSTATE_TOKENS_H
#define LOCALSTATE_TOKENS_H

#include <stdbool.h>

#include "base/hash.h"
#include "base/status.h"

/* The tokens of a state folder: the file `tokens` (0600), which has the hash of each but not the token itself, a line
 * `NAME ROLE CREATED ENDS HASH [BUCKET]...`. Times are seconds since the epoch, ENDS 0: never. */

enum {
    TOKENS_MAX = 256,
    TOKEN_NAME_MAX = 64,
    TOKEN_ROLE_MAX = 15,
    TOKEN_BUCKETS_MAX = 32,
    TOKEN_BUCKET_MAX = 63,
    TOKEN_TEXT_BYTES = 48, /* of a token, with NUL */
};

struct token {
    char name[TOKEN_NAME_MAX + 1];
    char role[TOKEN_ROLE_MAX + 1]; /* read, write, admin */
    uint64_t created_s, ends_s;
    uint8_t hash[SHA256_BYTES]; /* of the token */
    size_t bucket_count;        /* 0: for all */
    char buckets[TOKEN_BUCKETS_MAX][TOKEN_BUCKET_MAX + 1];
};

struct tokens {
    size_t count;
    struct token of[TOKENS_MAX];
};

bool token_role_is_good(const char *role);

/* ST_NOTFOUND: there is no file. ST_PERM: others can read it. ST_FORMAT: a line is no token. ret_tokens is written to
 * whatever the result is. */
CHECKED status_t tokens_read(const char *state, struct tokens *ret_tokens, struct error *err);
/* Add one: name, role, ends_s and buckets of *what are given, the rest is made. ret_text: the token, which nobody is
 * told again. ST_EXIST: the name is in use. ST_LIMIT. ST_INVAL: a name, role or bucket. */
CHECKED status_t tokens_create(const char *state, const struct token *what,
                               char ret_text[TOKEN_TEXT_BYTES], struct error *err);
/* ST_NOTFOUND: there is none of that name. */
CHECKED status_t tokens_revoke(const char *state, const char *name, struct error *err);
/* When there is no file `tokens` yet: make one with the token `admin`, in the file `admin-token` (0600). */
CHECKED status_t tokens_prepare(const char *state, struct error *err);

void token_hash(const char *text, uint8_t ret_hash[SHA256_BYTES]);
/* The token of this hash, or NULL; takes the same time whichever it is. */
const struct token *tokens_find(const struct tokens *t, const uint8_t hash[SHA256_BYTES]);

#endif
