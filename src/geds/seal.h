#ifndef GEDS_SEAL_H
#define GEDS_SEAL_H

#include <stdbool.h>

#include "base/status.h"

/* The ciphers of docs/internals/geds-encryption.md: blocks of extents, and keys that are wrapped. */

enum {
    SEAL_KEY_BYTES = 32,
    SEAL_TAG_BYTES = 16,
    SEAL_RECORD_BYTES = 57, /* a version, and 56 wrapped bytes */
};

/* Encrypts or decrypts blocks of one extent after the other. One thread at a time. */
struct seal;
CHECKED status_t seal_new(struct seal **ret_seal, struct error *err);
void seal_free(struct seal *s); /* takes NULL */

/* What comes is of this extent. encrypts: seal_block, else seal_open. A key encrypts one extent, and each block of it
 * once. */
CHECKED status_t seal_use(struct seal *s, uint64_t extent, const uint8_t key[SEAL_KEY_BYTES],
                          bool encrypts, struct error *err);
/* Until the next seal_use: how often the blocks that come were encrypted before with this key, which makes other
 * nonces. What rows name has 0. */
void seal_set_generation(struct seal *s, uint32_t generation);
/* Encrypt a block of len bytes; `to` may be `data`. */
CHECKED status_t seal_block(struct seal *s, uint64_t number, const void *data, size_t len, void *to,
                            uint8_t ret_tag[SEAL_TAG_BYTES], struct error *err);
/* Decrypt one in place. ST_CORRUPT: its tag says that it is another; it is wiped. */
CHECKED status_t seal_open(struct seal *s, uint64_t number, void *data, size_t len,
                           const uint8_t tag[SEAL_TAG_BYTES], struct error *err);

CHECKED status_t seal_random_key(uint8_t ret_key[SEAL_KEY_BYTES], struct error *err);

/* What a data key is for. */
struct sealed_key {
    uint64_t extent;
    uint64_t bytes; /* of it */
    uint8_t key[SEAL_KEY_BYTES];
};
void sealed_key_wipe(struct sealed_key *k);
CHECKED status_t seal_wrap(const uint8_t master[SEAL_KEY_BYTES], const struct sealed_key *k,
                           uint8_t ret_record[SEAL_RECORD_BYTES], struct error *err);
/* ST_UNSUPPORTED: a record of a later version. ST_CORRUPT: it was not made with this master key, or is damaged. */
CHECKED status_t seal_unwrap(const uint8_t master[SEAL_KEY_BYTES], const void *record, size_t len,
                             struct sealed_key *ret_key, struct error *err);

#endif
