#ifndef CELL_AOT_QUIET_H
#define CELL_AOT_QUIET_H

#include "gen.h"

/* WebAssembly's arithmetic answers a NaN with a quiet one, as the machine's does. LLVM folds some operations to one of
 * their operands, as x * 1.0 to x, which may be a signalling NaN. See docs/internals/aot.md for the list. */

/* Is there anything in the part that LLVM might fold? */
bool quiet_is_needed(const struct gen *g);
/* Keep the folds of the part from meeting an operand that may be a signalling NaN. Locals are in SSA form, and
 * nothing was folded yet. */
void quiet_arithmetic(struct gen *g);

#endif
