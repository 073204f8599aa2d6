#ifndef GEDS_USES_H
#define GEDS_USES_H

#include "geds/store.h"

/* Which extents are used, for who keeps some of them in memory (docs/internals/geds-memory.md), and which buckets want
 * that. Any thread; errors as in geds/store.h. */

/* Functions of who keeps them; each is called from any thread, and is to be quick: they take no lock of the store and
 * call nothing of it. bucket: the number of a bucket whose rule wants its extents in memory; 0: no such bucket. */
struct store_uses {
    /* A new extent has its file. The writer's thread. */
    void (*written)(void *arg, uint64_t bucket, uint64_t extent);
    /* Its local file is going to be read (reads), or is given to somebody who maps it. */
    void (*used)(void *arg, uint64_t bucket, uint64_t extent, bool reads);
    /* Its file is removed or replaced, or what was read of it does not match (damaged). */
    void (*gone)(void *arg, uint64_t extent, bool damaged);
    /* The bucket wants it no more. */
    void (*unwanted)(void *arg, uint64_t bucket);
    void *arg;
};
/* After store_open, before other threads use the store; once. The functions are called until store_close. */
void store_set_uses(struct store *s, const struct store_uses *uses);

/* Does what is written into and read from a bucket go to memory, from now on? ST_NOTFOUND. */
CHECKED status_t store_bucket_set_memory(struct store *s, const char *bucket, bool memory,
                                         struct error *err);
CHECKED status_t store_bucket_memory(struct store *s, const char *bucket, bool *ret_memory,
                                     struct error *err);

/* The number of a bucket, as the functions above have it. ST_NOTFOUND. */
CHECKED status_t store_bucket_number(struct store *s, const char *bucket, uint64_t *ret_number,
                                     struct error *err);

#endif
