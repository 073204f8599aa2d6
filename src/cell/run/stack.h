#ifndef CELL_RUN_STACK_H
#define CELL_RUN_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct cell;
struct run_record;

/* The native stack that a call runs on: that of the cell's slot, or, while a captured call goes on, one of its own that
 * has room for the rebuilt frames and below them as much as the cell's limit allows. How large a rebuilt frame is
 * only shows when it is there: another image's may be many times as large. So address space is reserved for many
 * times what the records hold, becomes usable while frames are added, and ends below the innermost one at the limit.
 * Of the cell's thread. */

struct run_stack {
    uint8_t *low; /* usable from here; a guard below */
    uint8_t *top;
    uint8_t *map; /* own reservation; NULL: the slot's */
    size_t map_bytes;
};

/* Take the slot's; another one is kept, unless it is large. */
void run_stack_slot(struct cell *c);
/* Take one for the cell's records. ST_NOMEM: the slot's stays. */
CHECKED status_t run_stack_for_records(struct cell *c, struct error *err);
/* A frame has been entered, with the stack pointer sp: room for the next one. NULL: none follows. False: the
 * reservation is used up. */
bool run_stack_entered(struct cell *c, uintptr_t sp, const struct run_record *next);
/* Unmap what is kept for the next call that goes on. */
void run_stack_done(struct cell *c);

#endif
