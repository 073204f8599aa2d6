#ifndef GEDS_PLACE_H
#define GEDS_PLACE_H

#include "cache.h"
#include "geds/tiers.h"
#include "impl.h"

/* What a store with a tier has beside its database. */
struct placing {
    struct store_tier tier;
    struct cache *cache;
    struct last_use *used;
    _Atomic bool any_away; /* some extent is, or was since the start */
    _Atomic uint64_t clock;
    _Atomic uint64_t local_reads, cache_hits, cache_misses, fetched_bytes;
    _Atomic uint64_t recalled_count, recalled_bytes, damaged;
    _Atomic unsigned waiters;
};

/* Somebody uses the extent now. */
void place_used(struct store *s, uint64_t id);

/* Bytes of an extent without local ones, compared: off is at a block's beginning, and len whole blocks or up to the
 * extent's end. waits: as of cache_read. ST_AGAIN, ST_CORRUPT. */
CHECKED status_t place_read(struct store *s, const struct store_extent *extent, uint64_t off,
                            void *data, size_t len, bool *waits, struct error *err);
/* Has it no local bytes? Quick where nothing is away. */
bool place_is_away(struct store *s, uint64_t id);
/* Its local bytes do not match; they are in the tier as well. */
void place_damaged(struct store *s, uint64_t id);

/* The writer: rows whose files were removed since; removal of the files of a committed batch; and no removal after all,
 * since the file comes back in the same batch. */
CHECKED status_t place_settle(struct batch *b, struct error *err);
void place_evict(struct batch *b);

/* What is committed is on the disk, also without syncs. The writer's thread. */
bool place_rows_are_safe(struct batch *b);

/* At a start, before the writer runs: files of extents that have been dropped. */
CHECKED status_t place_recover(struct store *s, struct error *err);
void place_done(struct store *s);

#endif
