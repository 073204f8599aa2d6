#ifndef CELL_RUN_BACKTRACE_H
#define CELL_RUN_BACKTRACE_H

#include "cell.h"

/* Fill the cell's frames from where it trapped (op_pc, op_sp, op_fp). The guest's stack is still as it was. */
void run_backtrace_take(struct cell *c);
/* The same from inside a host function, whose frames carry no unwind data: looks for the import trampoline's
 * return address above sp. */
void run_backtrace_take_host(struct cell *c, uintptr_t sp);

#endif
