#ifndef GEDS_KEYS_H
#define GEDS_KEYS_H

#include "geds/crypt.h"
#include "impl.h"
#include "seal.h"

/* The keys of a store: master keys in memory, and the data keys in its rows. */

void keys_done(struct store *s);

/* Can something be encrypted? ST_PERM: there is no master key. Any thread. */
CHECKED status_t keys_ready(const struct store *s, struct error *err);
/* Must all be? */
bool keys_encrypt_all(const struct store *s);

/* The row with an extent's key, wrapped by the newest master key. The writer's thread. */
CHECKED status_t keys_put(struct batch *b, const struct sealed_key *k, struct error *err);
/* The key of an extent of so many bytes, and its tags, appended. ST_PERM, ST_CORRUPT. */
CHECKED status_t keys_get(struct store *s, struct db *db, uint64_t extent, uint64_t bytes,
                          struct sealed_key *ret_key, struct buf *tags, struct error *err);
/* Decrypt blocks of an extent in place; off is at a block's beginning. seal: of this extent. ST_CORRUPT: a tag; nothing
 * of data is left. */
CHECKED status_t keys_open_blocks(struct seal *seal, const struct buf *tags, uint64_t extent,
                                  uint64_t off, void *data, size_t len, struct error *err);

#endif
