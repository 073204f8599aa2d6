#ifndef CELL_AOT_TABLES_H
#define CELL_AOT_TABLES_H

#include "analyse.h"

/* Compact tables. When nothing can ever change table 0, an indirect call needs no table at run time: for each
 * type that calls use, the image holds an array with the distance to each entry's code, or to a stub that traps
 * where the entry is null or of another type. See docs/internals/calls.md. */

enum { TABLES_NULL = UINT32_MAX };
enum { TABLES_ENTRIES_MAX = 1 << 18 };

/* Fill in sigs[].same, for types that are equal. False: no memory. */
CHECKED bool tables_same_types(const struct module *m, struct sig_facts *sigs);

/* What table 0 holds, when it is the module's own and nobody else sees it; no instruction may write to it.
 * *ret_funcs stays NULL when that is not known. Memory belongs to *a. False: no memory. */
CHECKED bool tables_content(const struct module *m, struct arena *a, uint32_t **ret_funcs);

/* Decide which types get an array: those with most calls, while they stay small beside the code. False: no
 * memory. */
CHECKED bool tables_choose(const struct module *m, struct analysis *analysis);

#endif
