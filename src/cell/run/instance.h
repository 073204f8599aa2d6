#ifndef CELL_RUN_INSTANCE_H
#define CELL_RUN_INSTANCE_H

#include "memory.h"
#include "program.h"
#include "table.h"

/* A program whose code the instance has left, kept for what refers to it. In the cell's arena. */
struct former_program {
    struct former_program *next;
    struct program *prog;
};

/* One instance of a program. Lives as long as its cell, whose thread owns it. */
struct instance {
    struct instance *next; /* set before it is in the cell's list */
    struct cell *cell;
    struct program *prog;
    struct former_program *former;
    const struct module *module;
    bool movable;  /* as the program's image, and every former one's */
    uint8_t *base; /* B */
    struct run_slot *slot;
    bool slot_owner;              /* its slot has the cell's native stack */
    struct abi_mem *mem0;         /* memory 0 or NULL */
    struct run_memory **mems;     /* per index; counted */
    struct run_table **tables;    /* per index */
    struct run_table *own_tables; /* defined ones */
    bool *data_dropped;
    bool *elem_dropped;
};

/* The instance whose code calls an op or a host function with ctx. */
static inline struct instance *instance_of_ctx(void *ctx)
{
    return abi_ctx_of(ctx)->instance;
}

static inline struct abi_ctx *instance_ctx(const struct instance *inst)
{
    return abi_ctx_of(inst->base);
}

/* The instance block at a byte offset of abi_layout. */
static inline void *instance_at(const struct instance *inst, int32_t off)
{
    return inst->base + off;
}

/* The abi_func of a function that has one; NULL when it has none. */
struct abi_func *instance_func(const struct instance *inst, uint32_t func);
/* Where the value of a global stands, imported or not. */
union cell_value *instance_global(const struct instance *inst, uint32_t global);

/* Frees the slot as well. NULL is fine. */
void instance_free(struct instance *inst);

#endif
