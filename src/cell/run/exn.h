#ifndef CELL_RUN_EXN_H
#define CELL_RUN_EXN_H

#include "cell/run/run.h"

/* The exceptions of one cell. Nothing says when the guest lets go of one, so they are collected: what no
 * word of the native stack, of a register, an exnref global or table or of a live exception points into is freed. */

#define EXN_BYTES_MAX (16ull << 20)    /* of live exceptions in a cell */
#define EXN_COLLECT_BYTES (1ull << 20) /* allocated since the last collection before the next one */

struct run_exns {
    struct abi_exn **items;
    uint32_t count;
    uint32_t cap;
    uint64_t bytes;
    uint64_t collect_at_bytes;
    uint32_t reached; /* during a collection: head of those whose values are not looked at yet */
};

/* Memory that may hold references to exceptions: words at word-aligned addresses. */
struct run_exn_roots {
    void (*visit)(void *arg, struct run_exns *x);
    void *arg;
};

/* A new exception with count values, or NULL when EXN_BYTES_MAX live ones or no memory is left. Collects
 * now and then; the registers of the caller are roots by themselves. */
struct abi_exn *run_exn_new(struct run_exns *x, const void *tag, uint32_t count,
                            const struct run_exn_roots *roots);
/* For visit: mark what the words in [low, high) point into. */
void run_exn_mark_words(struct run_exns *x, const void *low, const void *high);
void run_exn_collect(struct run_exns *x, const struct run_exn_roots *roots);
void run_exns_done(struct run_exns *x);

#endif
