#ifndef GEDS_CRYPT_H
#define GEDS_CRYPT_H

#include "geds/store.h"

/* Encryption of what a store keeps (docs/internals/geds-encryption.md). Any thread; errors as in geds/store.h. What
 * needs a master key that is not there is ST_PERM, and the error names the key. */

enum {
    STORE_MASTER_KEYS_MAX = 64,
    STORE_KEY_ID_BYTES = 17, /* 16 hexadecimal digits and a NUL */
};

struct store_keys_options {
    const char *path; /* of the file with the master keys */
    bool always;      /* all that is written is encrypted */
    bool make_none;   /* the file is left as it is, or is not there */
};
/* After store_open, before other threads use the store; once. Makes the file with a first key when it is not there and
 * nothing is encrypted; where something is and the file is not there, the store goes on without keys. ST_PERM: others
 * may read the file. ST_FORMAT: it is damaged. */
CHECKED status_t store_set_keys(struct store *s, const struct store_keys_options *options,
                                struct error *err);

struct store_key {
    uint64_t id;
    uint64_t extents; /* that need it */
    bool is_there;    /* in the file */
    bool is_newest;   /* it is the one that is used for what is written */
};
/* Those in the file, in order, then those that are missing. *ret_keys: for free; NULL where there are none. */
CHECKED status_t store_keys(struct store *s, struct store_key **ret_keys, size_t *ret_count,
                            struct error *err);
void store_key_text(uint64_t id, char ret_text[STORE_KEY_ID_BYTES]);

/* A new master key, which is on the disk and used from now on; former ones stay for what needs them, and so do those
 * that are in the file only, which are taken in. ST_LIMIT: there are STORE_MASTER_KEYS_MAX. ST_PERM: there is none,
 * and extents need some. */
CHECKED status_t store_keys_rotate(struct store *s, uint64_t *ret_id, struct error *err);
struct store_rewrap {
    uint64_t done;    /* extents that need the newest key now */
    uint64_t missing; /* extents whose key is not there: they stay as they are */
};
/* Have all extents need the newest key only. goes_on (may be NULL) is asked, and told, between transactions; false ends
 * it with ST_STOPPED, and it may be begun again. */
CHECKED status_t store_keys_rewrap(struct store *s,
                                   bool (*goes_on)(void *arg, const struct store_rewrap *so_far),
                                   void *arg, struct store_rewrap *ret_rewrap, struct error *err);
/* Remove a master key from the file. ST_NOTFOUND. ST_EXIST: extents need it, or it is the newest. */
CHECKED status_t store_keys_drop(struct store *s, uint64_t id, struct error *err);

/* The rule of a bucket: is what is put into it from now on encrypted? With `always` that of all. ST_NOTFOUND. */
CHECKED status_t store_bucket_set_encrypt(struct store *s, const char *bucket, bool encrypt,
                                          struct error *err);
CHECKED status_t store_bucket_encrypt(struct store *s, const char *bucket, bool *ret_encrypt,
                                      struct error *err);
/* Before the first write of a put: encrypt it, whatever the bucket's rule. ST_INVAL: there was one. */
CHECKED status_t store_put_encrypt(struct store_put *p, struct error *err);
/* Will it be, or is it? */
bool store_put_is_encrypted(const struct store_put *p);
/* store_upload_begin, and parts are encrypted. */
CHECKED status_t store_upload_begin_encrypted(struct store *s, const char *bucket, const char *key,
                                              const struct store_attributes *attributes,
                                              uint64_t *ret_id, struct error *err);
/* Are there the keys of its bytes? For who must know before he begins to answer; of many extents only the first
 * ones are looked at. ST_PERM, ST_CORRUPT. */
CHECKED status_t store_object_unlock(struct store_object *o, struct error *err);
/* store_copy_version, and the copy is encrypted: bytes that are not are read and written. */
CHECKED status_t store_copy_encrypted(struct store *s, const struct store_name *from,
                                      uint64_t version, const struct store_name *to,
                                      const struct store_attributes *attributes,
                                      const struct store_condition *from_condition,
                                      const struct store_condition *to_condition,
                                      struct store_info *ret_info, struct error *err);

#endif
