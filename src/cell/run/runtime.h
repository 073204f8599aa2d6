#ifndef CELL_RUN_RUNTIME_H
#define CELL_RUN_RUNTIME_H

#include <signal.h>

#include "park.h"
#include "slot.h"

/* Lock order: runtime.lock before slots.lock; a parking bucket's lock and a memory's lock are taken alone. */
struct runtime {
    int interrupt_signal;
    struct sigaction old_segv;
    struct sigaction old_bus;
    struct sigaction old_interrupt;
    struct run_slot_pool slots;
    struct run_park park;
    pthread_mutex_t lock; /* guards what follows */
    struct arena long_arena;
    const struct functype **long_types; /* types without an exact abi_sig, by number */
    uint32_t long_count;
    uint32_t long_cap;
    uint64_t next_serial;
    uint32_t users; /* programs and cells */
};

/* The number of a type across modules: abi_sig, or one given here (then even) to a type that is too long. Any
 * thread. ST_NOMEM. */
CHECKED status_t run_sig_number(struct runtime *rt, const struct functype *t, uint64_t *ret_sig);

/* A copy in *a; NULL when memory ran out. */
struct functype *run_functype_copy(struct arena *a, const struct functype *t);

/* Count a program or cell in and out; the serial number is never reused. */
uint64_t run_runtime_join(struct runtime *rt);
void run_runtime_part(struct runtime *rt);

#endif
