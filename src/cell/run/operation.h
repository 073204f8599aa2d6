#ifndef CELL_RUN_OPERATION_H
#define CELL_RUN_OPERATION_H

#include "capture.h"

/* Operations of the host that can be captured in the middle: the innermost record of a captured cell then says
 * which one it is and what is left of it, see docs/internals/capture.md. All belong to the cell's thread. */

/* The func of a record of kind SITE_OPERATION. These numbers stand in snapshots. */
enum run_operation {
    OPERATION_MEMORY_COPY = 1,
    OPERATION_MEMORY_FILL,
    OPERATION_MEMORY_INIT,
    OPERATION_TABLE_COPY,
    OPERATION_TABLE_FILL,
    OPERATION_TABLE_INIT,
    OPERATION_WAIT32,
    OPERATION_WAIT64,
    OPERATION_COUNT
};
enum { OPERATION_VALUES_MAX = 5 };

/* A poll inside an operation: false when the guest has to unwind. Then run_operation_save, if anything is left. */
bool run_operation_poll(void *ctx);
/* Keep what is left when the cell is being captured; values are the operation's arguments in the order of abi_ops.
 * Traps when memory ran out. */
void run_operation_save(void *ctx, enum run_operation op, const union cell_value *values);
/* Is a record of this kind, that came from outside, one of its instance? */
bool run_operation_is_sound(const struct run_record *r);
/* Do what is left. io: the result. May trap, and may be captured again. */
void run_operation_go_on(const struct run_record *r, union cell_value *ret_io);

#endif
