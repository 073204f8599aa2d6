#ifndef GEDS_CACHE_H
#define GEDS_CACHE_H

#include "geds/tiers.h"

/* Pieces of extents that were fetched from the tier, in one file without a name. Any thread. */
struct cache;

/* folder_fd: where the file is. ST_NOMEM, ST_IO. */
CHECKED status_t cache_new(int folder_fd, const struct store_tier *tier, struct cache **ret_cache,
                           struct error *err);
void cache_free(struct cache *c); /* takes NULL */

/* Read within one piece: off / STORE_PIECE_BYTES is the piece, which is fetched and compared when it is not there; one
 * thread fetches it for all that wait. off and len as in place_read. *ret_hit: it was there.
 * waits: NULL, or of a reader that must not wait: set to true, with ST_AGAIN, where it would have to. ST_AGAIN,
 * ST_CORRUPT. */
CHECKED status_t cache_read(struct cache *c, const struct store_extent *extent, uint64_t off,
                            void *data, size_t len, bool *ret_hit, bool *waits, struct error *err);
uint64_t cache_bytes(struct cache *c);

#endif
