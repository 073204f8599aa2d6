#ifndef CELL_AOT_ANALYSE_H
#define CELL_AOT_ANALYSE_H

#include "base/arena.h"
#include "cell/module/module.h"

/* Facts about a valid module that code generation needs before it starts. */

struct loop_facts {
    uint32_t instr_count;  /* of the body, nested blocks included */
    uint32_t back_edges;   /* br and br_if to it */
    bool has_loop;         /* a loop inside */
    bool has_call;         /* anything that leaves the function's own code */
    bool has_table_branch; /* a br_table goes to it */
};

struct func_facts {
    struct loop_facts *loops; /* in order of appearance */
    uint32_t loop_count;
    uint32_t max_depth; /* of nested blocks */
    bool may_unwind;    /* a caller has to test after the call */
    bool may_write;     /* changes memory, globals or exceptions, or what it calls does */
    bool recursive;     /* part of a cycle of calls */
};

/* Indirect calls of one type through table 0. */
struct sig_facts {
    uint32_t same;  /* the lowest index of an equal type; facts stand there */
    uint32_t sites; /* call_indirect and return_call_indirect instructions */
    bool compact;   /* calls go through a constant array of the image, see tables.h */
    bool may_unwind, may_write;
};

struct analysis {
    struct func_facts *funcs; /* per function index; imports may always unwind */
    bool tail_calls;          /* the module has return_call instructions */
    bool *table_fixed; /* per table: own, neither exported nor grown: its size is its minimum */
    struct sig_facts *sigs; /* per type index */
    uint32_t *
        table0; /* content of table 0 when it is known for good: function or TABLES_NULL; else NULL */
};

/* m: valid. Memory belongs to *a. ST_NOMEM. */
CHECKED status_t analyse_module(const struct module *m, struct arena *a,
                                struct analysis *ret_analysis, struct error *err);

#endif
