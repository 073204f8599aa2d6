#ifndef GEDS_USE_H
#define GEDS_USE_H

#include "impl.h"

/* What struct store_uses says, to who wants to know. */
void uses_note(struct store *s, uint64_t bucket, uint64_t extent, bool reads);
void uses_gone(struct store *s, uint64_t extent, bool damaged);
/* The writer, behind a commit. */
void uses_written(struct batch *b);

/* The writer: a new extent of a bucket. Without memory for the note, it gets there when it is used. */
void uses_add(struct batch *b, uint64_t bucket, uint64_t extent);

/* What hooks take for a bucket. */
uint64_t uses_bucket(const struct bucket_ref *bucket);

#endif
