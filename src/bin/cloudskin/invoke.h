#ifndef CLOUDSKIN_INVOKE_H
#define CLOUDSKIN_INVOKE_H

#include "base/buf.h"
#include "cell/run/run.h"

/* Arguments and results of `--invoke` as text. i32 and i64: decimal, signed or unsigned, or 0x hexadecimal.
 * f32 and f64: decimal, hexadecimal, inf or nan; printed with the fewest digits that read back the same. */

/* Append the value as one line. */
void invoke_print(struct buf *out, valtype_t t, const union cell_value *v);

/* Read the arguments by the function's type into a new array that also has room for the results; free() it.
 * ST_INVAL says what was expected; ST_UNSUPPORTED: vectors and references; ST_NOMEM. */
CHECKED status_t invoke_arguments(const char *func, const struct functype *type,
                                  const char *const *texts, uint32_t count,
                                  union cell_value **ret_io, struct error *err);

/* ST_NOTFOUND: there is no exported function of that name; it says some that there are. err may be NULL. */
CHECKED status_t invoke_no_function(const struct module *m, const char *name, struct error *err);

#endif
