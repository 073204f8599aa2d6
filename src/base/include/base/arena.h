#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/status.h"

/* Allocations that end together. Memory is zeroed and 16-byte aligned. One thread.
 * Zeroed memory is a valid empty arena. */
struct arena {
    struct arena_block *head;
    size_t used_bytes;
    size_t limit_bytes; /* 0: none */
};

/* NULL when memory or the limit ran out, or count * size overflows; count 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t count, size_t size);
/* A NUL-terminated copy of len bytes. */
char *arena_strndup(struct arena *a, const char *s, size_t len);
void arena_done(struct arena *a);

#endif
