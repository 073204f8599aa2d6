#ifndef CELL_RUN_EVAL_H
#define CELL_RUN_EVAL_H

#include "instance.h"

/* The value of a validated constant expression. Globals it reads are initialised already.
 * ST_CORRUPT when it is none, which a checked image does not hold. */
CHECKED status_t run_eval(const struct instance *inst, const struct const_expr *expr,
                          union cell_value *ret_value);

#endif
