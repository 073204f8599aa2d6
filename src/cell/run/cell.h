#ifndef CELL_RUN_CELL_H
#define CELL_RUN_CELL_H

#include <stdatomic.h>
#include <stddef.h>

#include "exn.h"
#include "instance.h"
#include "runtime.h"
#include "stack.h"

enum { CELL_TEXT_MAX = 200 };
#define CELL_HOST_STACK_BYTES (256ull << 10) /* beyond the limit, for host functions */

/* A host function made for resolvers: f.code is NULL, since only an importing image has a trampoline. */
struct cell_host_fn {
    struct abi_func f;
    void *fn;
    void *env;
};

/* A global or table made by the host, kept for collection and clean-up. */
struct cell_host_value {
    struct cell_host_value *next;
    valtype_t type;
    union cell_value value;
};
struct cell_host_table {
    struct cell_host_table *next;
    struct run_table table;
};
struct cell_host_mem {
    struct cell_host_mem *next;
    struct run_memory *mem;
};

/* Used by one thread at a time, but for what is atomic: any thread may stop a cell. instances only grows at
 * its head, so another thread may walk it. */
struct cell {
    /* Known to enter_*.S. */
    void *host_sp; /* where a trap leaves to */
    uintptr_t
        op_sp; /* stack pointer, frame pointer and return address of the last call of an op, or of a fault */
    uintptr_t op_fp;
    uintptr_t op_pc;
    uint32_t trap; /* enum abi_trap; an op leaves when it is set */

    bool fault;         /* op_pc is the faulting instruction itself */
    uint64_t fault_off; /* which touched this offset of a memory, when trap is TRAP_MEMORY_BOUNDS */
    uintptr_t fault_lr; /* aarch64: the link register then */
    bool host_trap;     /* host_trap was called; the guest is unwinding */
    struct runtime *rt;
    struct cell_limits limits;
    struct run_slot *slot;       /* of the first instance: has the native stack; NULL before it */
    struct run_stack stack;      /* of the present call */
    struct run_stack kept_stack; /* of an earlier call that went on */
    struct instance *_Atomic instances;
    union cell_value *multi;
    struct arena arena;
    struct cell_host_value *host_values;
    struct cell_host_table *host_tables;
    struct cell_host_mem *host_mems;
    struct run_exns exns;

    atomic_int tid;       /* thread inside, or 0 */
    atomic_uint stop;     /* enum stop_reason asked for */
    atomic_bool blocking; /* between host_block_begin and host_block_end */
    bool restarts;        /* and it was host_wait_begin; the cell's thread */
    _Atomic uint64_t memory_bytes;
    _Atomic uint64_t cpu_ns; /* of calls that ended */
    _Atomic uint64_t polls_taken;
    uint64_t wall_ns;
    uint64_t table_entries;

    const struct abi_func *called;    /* what cell_call was asked for last */
    struct run_room *rooms;           /* where records are */
    struct run_room *spare_room;      /* reserved for the next capture */
    struct run_record *records;       /* of the last capture, from the outermost inwards */
    struct run_record *next_record;   /* while they are rebuilt: the one that comes next */
    const struct run_record *present; /* and the one whose twin was entered last, */
    struct abi_record *record;        /* as it asks for it */
    bool capturing;
    _Atomic uint64_t captures_refused;

    uint32_t exit_code;
    enum abi_trap last_trap;
    enum stop_reason last_stop;
    struct frame *frames; /* BACKTRACE_MAX, allocated by the first trap */
    uint32_t frame_count;
    uint64_t frame_total;
    char text[CELL_TEXT_MAX]; /* of host_trap */
};
_Static_assert(offsetof(struct cell, host_sp) == 0 && offsetof(struct cell, op_sp) == 8 &&
                   offsetof(struct cell, op_fp) == 16 && offsetof(struct cell, op_pc) == 24 &&
                   offsetof(struct cell, trap) == 32,
               "enter_*.S knows it");
_Static_assert(TRAP_STACK == 9, "enter_*.S knows it");
_Static_assert(offsetof(struct abi_ctx, host_stack_limit) == 24 &&
                   offsetof(struct abi_ctx, cell) == 40 && sizeof(struct abi_ctx) == 256,
               "enter_*.S knows it");
_Static_assert(offsetof(struct abi_registers, general) == 16 &&
                   offsetof(struct abi_registers, vector) == 272 &&
                   sizeof(struct abi_registers) == 784,
               "enter_*.S knows it");

static inline struct cell *cell_of_ctx(void *ctx)
{
    return abi_ctx_of(ctx)->cell;
}

static inline struct instance *cell_first_instance(struct cell *c)
{
    return atomic_load_explicit(&c->instances, memory_order_acquire);
}

/* Why all frames of the cell shall return. exn: with UNWIND_EXCEPTION. The contexts of all instances agree. */
void cell_unwind_set(struct cell *c, enum abi_unwind why, struct abi_exn *exn);

/* The program whose text holds pc; NULL for host code. Safe in a signal handler on the cell's thread. */
struct program *cell_program_at(struct cell *c, uintptr_t pc);

/* Trap with a text when the running op returns. */
void cell_trap_text(struct cell *c, const char *text);

#endif
