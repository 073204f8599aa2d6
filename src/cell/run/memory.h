#ifndef CELL_RUN_MEMORY_H
#define CELL_RUN_MEMORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "slot.h"

/* Where pages of a memory come from that are not there yet. need: make [at, at + len) of it present, which may take
 * long; false: they will not come. */
struct run_pager {
    bool (*need)(void *arg, const uint8_t *at, uint64_t len);
    void *arg;
};

/* A linear memory behind an abi_mem. An unshared one belongs to the thread of its cell; of a shared one
 * bytes is atomic and growth is guarded by lock. Counted, since cells on other threads may import a shared one. */
struct run_memory {
    struct abi_mem abi; /* first: externs point here */
    atomic_uint refs;
    _Atomic uint64_t
        *used_bytes; /* of the cell that made it, and its limit; NULL when that is gone */
    uint64_t used_max;
    uint8_t *map; /* own reservation; NULL: part of a slot */
    struct run_slot *slot;
    struct limits declared; /* in pages */
    pthread_mutex_t lock;
    const struct run_pager *_Atomic pager; /* NULL: all pages are there */
};

/* A memory with its own reservation and l.min pages. used_bytes: borrowed while the cell lives. ST_NOMEM, ST_LIMIT. */
CHECKED status_t run_memory_new(struct limits l, _Atomic uint64_t *used_bytes, uint64_t used_max,
                                struct run_memory **ret_mem, struct error *err);
/* A memory whose first l.min pages slot has laid out already. */
CHECKED status_t run_memory_new_inline(struct limits l, _Atomic uint64_t *used_bytes,
                                       uint64_t used_max, struct run_slot *slot,
                                       struct run_memory **ret_mem, struct error *err);
void run_memory_ref(struct run_memory *m);
void run_memory_unref(struct run_memory *m);
/* The reference of the cell that made m: other cells may keep it, but it grows no more. NULL is fine. */
void run_memory_leave(struct run_memory *m);

/* Add pages; the former number of pages, or UINT32_MAX when a limit or memory does not allow it. */
uint32_t run_memory_grow(struct run_memory *m, uint32_t pages);

static inline struct run_memory *run_memory_of(struct abi_mem *m)
{
    return (struct run_memory *)m;
}

/* Present size, also while another thread grows it. */
static inline uint64_t run_memory_bytes(const struct abi_mem *m)
{
    return __atomic_load_n(&m->bytes, __ATOMIC_ACQUIRE);
}

#endif
