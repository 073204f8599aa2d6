#ifndef CELL_RUN_SLOT_H
#define CELL_RUN_SLOT_H

#include <pthread.h>

#include "cell/run/run.h"
#include "pages.h"

/* Address space of one instance, and of the native stack of its cell when it is the first one:
 *
 *     low guard | native stack | middle guard | area: tables, results, instance block | B: memory 0
 *
 * B stands where the touched ends of stack, area and memory share one page of the page table. Kept
 * slots stay laid out for the program that used them last, with all their content discarded; a few written pages
 * are put back to their first content instead, which is cheaper than a fault for each in the next cell.
 * A slot in use belongs to its cell's thread; the pool is guarded by its own lock. */

#define SLOT_LOW_GUARD_BYTES (16ull << 20) /* larger than the frame of any guest function */
#define SLOT_MIDDLE_GUARD_BYTES (1ull << 20)
#define SLOT_AREA_BYTES (256ull << 10)           /* area of a standard slot */
#define SLOT_MEMORY_BYTES ((8ull << 30) + 65536) /* index + offset + width never passes it */
#define SLOT_HUGE_FROM \
    (16ull << 20) /* memory above uses huge pages; below, an idle cell stays small */
#define SLOT_HUGE_GROWTH (4ull << 20) /* so does what grows by as much at once */

enum { SLOT_RESTORE_PAGES = 16 };

struct program;

struct run_slot {
    struct run_slot *next;
    uint8_t *map;
    size_t map_bytes;
    uint8_t *stack_low; /* == stack_top: no stack */
    uint8_t *stack_top;
    uint8_t *area_min; /* lowest address that an area may have */
    uint8_t *base;     /* B */
    bool with_memory;
    const struct program *laid_for; /* while a cell has it; borrowed */
    uint64_t program;               /* serial of the program it is laid out for; 0: none */
    uint8_t *area;                  /* start of what is readable and writable below B */
    uint64_t laid_bytes;            /* of memory 0 at the start */
    uint64_t committed_bytes;       /* of memory 0 now */
};

struct run_slot_pool {
    pthread_mutex_t lock;
    struct run_slot *kept;
    uint32_t kept_count;
    uint32_t kept_max;
    struct run_pages pages;
};

void run_slot_pool_init(struct run_slot_pool *p, uint32_t kept_max);
/* Unmaps the kept slots. */
void run_slot_pool_done(struct run_slot_pool *p);

/* A slot laid out for prog: stack (stack_bytes may be 0), area and the initial content of an inline
 * memory 0 are readable and writable and hold nothing of an earlier cell. with_memory: reserve room for memory 0.
 * Any thread. ST_NOMEM. */
CHECKED status_t run_slot_take(struct run_slot_pool *p, const struct program *prog,
                               uint64_t stack_bytes, bool with_memory, struct run_slot **ret_slot,
                               struct error *err);
/* Discard all content and keep the slot, or unmap it when enough are kept. NULL is fine. Any thread. */
void run_slot_give(struct run_slot_pool *p, struct run_slot *s);

/* Make [from, to) of a memory at base readable and writable; zero where never written. Page-aligned, inside
 * the reservation. Any thread that may grow the memory. ST_NOMEM. */
CHECKED status_t run_slot_commit(uint8_t *base, uint64_t from, uint64_t to);

#endif
