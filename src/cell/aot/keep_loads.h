#ifndef CELL_AOT_KEEP_LOADS_H
#define CELL_AOT_KEEP_LOADS_H

#include "gen.h"

/* A load out of bounds traps whether or not its value is used, but LLVM deletes loads whose value is not, and moves
 * others to where it is: past other traps, or into a branch that is not taken. Only volatile loads stay, and those
 * it neither combines nor vectorises. So all loads of guest memory are volatile while a first set of passes finds
 * out what is dead; then those stay volatile which LLVM might delete or move, few in code from an optimising
 * compiler, and the others are freed for the passes that follow. See docs/internals/traps.md. */

/* Before any pass: make the loads of guest memory volatile. */
void keep_loads_pin(struct gen *g);
/* After the first passes. loop_passes: see demand.h. ST_NOMEM: all stay pinned. */
CHECKED status_t keep_loads_release(struct gen *g, bool loop_passes, struct error *err);

/* After the last passes: selection must not make a load shorter, since it can reach out of memory with its last byte
 * alone. What could become shorter is pinned again. */
void keep_loads_finish(struct gen *g);

#endif
