#ifndef DIFFERENTIAL_PLAN_H
#define DIFFERENTIAL_PLAN_H

#include <stdio.h>

#include "cell/module/module.h"
#include "cell/run/run.h"

/* What is done with a module: every engine makes the same calls and looks at the same state afterwards. The plan
 * depends on the module's exports alone. As text, one line for each step:
 *
 *     call EXPORT PARAMS RESULTS ARGUMENT...    EXPORT counts exports; letters of types, "-" for none;
 *                                               arguments as hexadecimal bits, 0 for a null reference
 *     global EXPORT LETTER | memory EXPORT | table EXPORT
 *
 * Letters: i I f F for numbers, r for a funcref, x for an externref. Functions and globals with other types are
 * left out: they cannot pass through JavaScript. */

struct plan_call {
    uint32_t export_index;
    const struct functype *type;
    uint64_t *args;
};

struct plan {
    const struct module *m;
    struct plan_call *calls;
    uint32_t call_count;
};

/* '\0' for a type that has no letter. */
char plan_letter(valtype_t t);
void plan_make(const struct module *m, struct plan *ret_plan);
void plan_done(struct plan *p);
void plan_print(const struct plan *p, FILE *out);

#endif
