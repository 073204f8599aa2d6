#ifndef GEDS_MEMORY_MEMORY_H
#define GEDS_MEMORY_MEMORY_H

#include "geds/uses.h"

/* The memory tier: local files of extents that are kept in memory, locked, as far as a budget goes
 * (docs/internals/geds-memory.md). They are copies: the files stay as they are. Any thread. */

struct memory;

/* Why less than the budget can be locked. */
enum memory_limit {
    MEMORY_NOT_LIMITED,
    MEMORY_LOCK_LIMIT, /* RLIMIT_MEMLOCK */
    MEMORY_NONE_FREE,  /* the system has no more */
};

struct memory_options {
    struct store *store;   /* borrowed until memory_free, as is arg */
    const char *path;      /* a file of its own: what is in memory, for the next start; copied */
    uint64_t budget_bytes; /* whole pages count; not 0 */
    size_t extents_max;    /* 0: half of the mappings that the system lets a process have */
    /* From now on no more than bytes go to memory. Told once. The memory's thread. May be NULL. */
    void (*limited)(void *arg, enum memory_limit why, uint64_t bytes);
    void *arg;
};
/* After store_open, before other threads use the store; sets its hooks (store_set_uses). What was in memory when an
 * earlier process noted it comes back, by and by. ST_IO: the file cannot be read; ST_NOMEM. What it holds may be
 * anything. */
CHECKED status_t memory_start(const struct memory_options *o, struct memory **ret_memory,
                              struct error *err);

struct memory_status {
    uint64_t budget_bytes;
    uint64_t limit_bytes; /* what can be locked of it */
    enum memory_limit limit;
    uint64_t extents, bytes; /* in memory now; whole pages */
    uint64_t waiting;        /* extents that are to come */
    /* since the start: */
    uint64_t promoted, promoted_bytes;
    uint64_t evicted, evicted_bytes; /* for others that were used later */
    uint64_t left;                   /* removed, replaced, damaged, or not wanted any more */
    uint64_t memory_reads;           /* pieces of local files that were read, and were in memory */
    uint64_t disk_reads;             /* and that were not, as far as this knows */
};
void memory_status(struct memory *m, struct memory_status *ret_status);

/* Extents that are to be in memory together, whatever the rules of their buckets are. */
struct memory_wish {
    uint64_t number;            /* of each another one; 0: not begun */
    uint64_t extents, bytes;    /* so far */
    bool (*goes_on)(void *arg); /* called now and then while it is waited for; false: ST_STOPPED */
    void *arg;
};
/* Have one of them in memory when this returns; bytes: its length, bucket: the number of a bucket, whose end of the
 * rule ends this too. *ret_came: it was not there before; set on success only. One thread for each wish.
 * ST_LIMIT: those of the wish do not fit together, or the system does not lock so much. ST_NOTFOUND: it has no local
 * file (any more). ST_IO: it cannot be read. ST_STOPPED, ST_NOMEM. */
CHECKED status_t memory_bring(struct memory *m, struct memory_wish *wish, uint64_t bucket,
                              uint64_t extent, uint64_t bytes, bool *ret_came, struct error *err);
/* It leaves, and comes back when it is used through a bucket with the rule. */
void memory_send_away(struct memory *m, uint64_t extent);

/* Nothing is in memory any more; what was, is noted. Before store_close. Takes NULL. */
void memory_stop(struct memory *m);
/* After memory_stop and store_close. Takes NULL. */
void memory_free(struct memory *m);

#endif
