#ifndef BENCH_EMBED_H
#define BENCH_EMBED_H

/* What the benches that embed cells share. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "cell/run/run.h"
#include "sys/clock.h"

/* End the program with the error's text unless st is ST_OK. */
static inline void embed_check(status_t st, const char *what, const struct error *err)
{
    if (st != ST_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, status_name(st), err->text);
        exit(1);
    }
}

/* The exported function; ends the program when there is none. */
static inline const struct abi_func *embed_func(struct instance *inst, const char *name)
{
    struct extern_val v;
    struct error err = {0};
    embed_check(instance_export(inst, name, strlen(name), &v), name, &err);
    if (v.kind != EXTERN_FUNC) {
        fprintf(stderr, "%s is not a function\n", name);
        exit(1);
    }
    return v.ptr;
}

#endif
