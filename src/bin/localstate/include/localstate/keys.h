#ifndef LOCALSTATE_KEYS_H
#define LOCALSTATE_KEYS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/status.h"

/* The S3 keys of a state folder: the file `s3-keys` (0600), a line `ACCESS_KEY SECRET [USER]` for
 * each. Without a user it is one of the owner, who may do everything that no policy denies. */

#define KEYS_OWNER "cloudskin" /* policies name the owner so: no user can have the name */
enum { KEYS_MAX = 64, KEY_BYTES_MAX = 128 };

struct keys {
    struct key {
        char access[KEY_BYTES_MAX + 1];
        char secret[KEY_BYTES_MAX + 1];
        char user[KEY_BYTES_MAX + 1]; /* "": the owner */
    } of[KEYS_MAX];
    size_t count;
};

/* Read the keys, or make one when there is no file; ret_made: then. ST_PERM: others can read the file.
 * ST_FORMAT: a line is no key. */
CHECKED status_t keys_load(const char *state, struct keys *ret_keys, bool *ret_made,
                           struct error *err);
/* Forget the file that was made: nobody has seen the key. */
void keys_unmake(const char *state);
/* The same as keys_load, but ST_NOTFOUND when there is no file. */
CHECKED status_t keys_read(const char *state, struct keys *ret_keys, struct error *err);
/* Print the first one as export lines for a shell. */
void keys_print(const struct keys *k, FILE *out);
/* The secret of an access key, or NULL. Any thread. */
const char *keys_secret(const struct keys *k, const char *access);
/* The user of an access key; NULL: the owner, or no key. Any thread. */
const char *keys_user(const struct keys *k, const char *access);

#endif
