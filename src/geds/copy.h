#ifndef GEDS_COPY_H
#define GEDS_COPY_H

#include "geds/copies.h"
#include "impl.h"

/* Does the extent have a copy on a node? Without copies at all it is quick to say no. */
bool copies_have(struct store *s, uint64_t id);
/* Bytes of an extent from a copy, compared. waits: as of cache_read. ST_AGAIN, ST_CORRUPT. */
CHECKED status_t copies_read(struct store *s, const struct store_extent *extent, uint64_t off,
                             void *data, size_t len, bool *waits, struct error *err);
/* Its local bytes do not match, or are missing. */
void copies_damaged(struct store *s, uint64_t id);
/* Rows of these were committed. */
void copies_written(struct store *s, const uint64_t *ids, size_t count);

#endif
