#ifndef CELL_MODULE_ABI_H
#define CELL_MODULE_ABI_H

#include <assert.h>
#include <stddef.h>

#include "cell/module/module.h"

/* The contract between generated code (cell/aot writes it) and the host (cell/run serves it). Any
 * change here changes ABI_VERSION, and images of another version are refused.
 *
 * Address space of an instance (B is 64 KiB aligned):
 *
 *     guard | native stack | guard | ... instance block ... struct abi_ctx | B: memory 0, 8 GiB reserved
 *                                                                       ^ the context pointer is B
 *
 * Generated code gets B in a register that all calls keep: r13, x20 (docs/internals/calls.md). With
 * memory 0 defined by the module and not shared
 * (abi_layout.mem0_inline) B also is the base of memory 0; else bases come from the block.
 * The context struct ends at B: field F stands at B - ABI_CTX_BYTES + offsetof(F). */
enum { ABI_VERSION = 6, ABI_CTX_BYTES = 256 };
/* More than an architecture has of a kind. */
enum { ABI_GENERAL_COUNT = 32, ABI_VECTOR_COUNT = 32 };

/* A value in a calling or result array. v128 is little-endian bytes. A null reference is NULL. */
union cell_value {
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
    uint8_t v128[16];
    void *ref; /* struct abi_func *, struct abi_exn *, or the host's own for externref */
} __attribute__((aligned(16)));

/* Why a function returned early. Tested, together with the poll word beside it, after each call
 * that can get here; results are then undefined. */
enum abi_unwind {
    UNWIND_NONE = 0,
    UNWIND_EXCEPTION = 1, /* ctx->exn is on its way to a handler */
    UNWIND_EXIT = 2,      /* the guest asked to end: proc_exit */
    UNWIND_STOP = 3,      /* stop, time or CPU limit */
    UNWIND_CAPTURE = 4,   /* frames save themselves while they return */
};

enum abi_trap {
    TRAP_NONE = 0,
    TRAP_UNREACHABLE,
    TRAP_MEMORY_BOUNDS,
    TRAP_TABLE_BOUNDS,
    TRAP_INDIRECT_NULL, /* uninitialized element */
    TRAP_INDIRECT_TYPE, /* indirect call type mismatch */
    TRAP_INT_OVERFLOW,
    TRAP_INT_DIVIDE,
    TRAP_INT_CONVERT,     /* invalid conversion to integer */
    TRAP_STACK,           /* call stack exhausted */
    TRAP_UNALIGNED,       /* unaligned atomic */
    TRAP_NULL_REF,        /* throw_ref of null */
    TRAP_EXPECTED_SHARED, /* wait on unshared memory */
    TRAP_RESUME,          /* a frame record names a place that the function does not have */
    TRAP_HOST,            /* a host function refused; text in the cell */
    TRAP_COUNT
};

/* The text of the specification's tests: "integer divide by zero", ... */
const char *abi_trap_text(enum abi_trap t);

struct abi_ctx;

/* A function as a first-class value; a funcref points at one, which lives as long as its cell.
 * code follows the guest convention, see docs/internals/calls.md: only the image's entry trampolines call it. */
struct abi_func {
    void *code;
    struct abi_ctx *ctx; /* B of the instance that runs it */
    uint64_t sig;        /* abi_sig of its type; never 0 */
    uint32_t index;      /* function index in the module of ctx */
    uint32_t reserved;
};

/* An element of a funcref table keeps what a call needs beside the reference. All zero is null.
 * In tables of other types only ref is used. */
struct abi_entry {
    void *code;
    struct abi_ctx *ctx;
    uint64_t sig;
    void *ref;
};

/* A table. Grows in place: entries never moves. */
struct abi_table {
    struct abi_entry *entries;
    uint64_t count;
    uint64_t max;      /* entries reserved or allowed */
    uint64_t reserved; /* run's own */
};

/* A linear memory. base never moves; bytes is read and written atomically when shared. */
struct abi_mem {
    uint8_t *base;
    uint64_t bytes;
    uint64_t max_bytes;
    uint64_t shared;
};

/* An imported function. f is what calls go through: a guest function of another instance as it is,
 * or this image's trampoline for this import, which calls host_fn(B, host_env, parameters...) in the
 * C convention. */
struct abi_import {
    struct abi_func f;
    void *host_fn;
    void *host_env;
};

/* An exception in flight or held by an exnref. Values stand in order of the tag's parameters. */
struct abi_exn {
    const void *tag; /* identity: address of the defining instance's tag slot */
    uint32_t count;
    uint32_t mark; /* run's own: of a collection, or the number while it is saved; else 0 */
    union cell_value values[];
};

/* Where in a function a saved frame goes on, see docs/internals/capture.md. */
enum abi_site_kind {
    SITE_PENDING = 0,  /* inside the call (or operation) that has not returned */
    SITE_RETURNED = 1, /* behind it; its results are the top of the operand stack */
    SITE_AT = 2,       /* in front of the instruction */
    SITE_OPERATION =
        3, /* no frame, but what is left of an operation of the host: run's own, innermost */
};

/* What a saved frame says of its place; stands among the image's constants. A frame's values are the locals that are
 * live there, in order, then the operands from the lowest, the results of the call with them, then the exceptions
 * of the catch clauses around. */
struct abi_site {
    uint32_t func;
    uint32_t off;     /* of the instruction in the module */
    uint32_t locals;  /* of the function, with parameters */
    uint32_t live;    /* of them */
    uint32_t stack;   /* values behind the locals */
    uint32_t results; /* of the call, among these */
    uint32_t exns;    /* of catch clauses, the last of these; 0 when it comes from a snapshot */
    uint32_t live_locals[]; /* their indexes; then valtype_t of each value, a byte each */
};
static inline const uint8_t *abi_site_types(const struct abi_site *s)
{
    return (const uint8_t *)(s->live_locals + s->live);
}

/* Registers of generated code that asks for a capture, as the host's stub keeps them. Numbers are DWARF's; those of
 * vector registers count from their first. */
struct abi_registers {
    uint64_t pc; /* behind the call: the key of its row in the image's maps */
    uint64_t sp; /* there */
    uint64_t general[ABI_GENERAL_COUNT];
    uint8_t vector[ABI_VECTOR_COUNT][16];
};

/* The ways into a twin: no record of another site may be given to it. The signed word in front of a twin's code is the
 * distance from that code to them. */
struct abi_way {
    int32_t site;  /* distance from the struct abi_ways to the struct abi_site */
    uint32_t kind; /* enum abi_site_kind */
};
struct abi_ways {
    uint32_t count;
    struct abi_way ways[];
};

/* A frame as its twin takes it: value i is local i, value locals + i is value i of the stack. */
struct abi_record {
    uint64_t reserved[2];
    union cell_value values[];
};

/* What generated code asks of the host. Guest addresses come as the wasm operands; every function
 * checks bounds and traps by itself. `ctx` is B. Those marked U may return with the unwind word set. */
struct abi_ops {
    void (*trap)(void *ctx, uint32_t trap) __attribute__((noreturn));
    uint32_t (*poll)(void *ctx); /* one of the two words was not 0; not 0: unwind. Generated code
                                    takes it for a function that reads guest memory but never writes it. */
    uint32_t (*memory_grow)(void *ctx, uint32_t mem, uint32_t delta_pages); /* 2^32-1: refused */
    void (*memory_copy)(void *ctx, uint32_t dst_mem, uint32_t src_mem, uint32_t d, uint32_t s,
                        uint32_t n);                                                      /* U */
    void (*memory_fill)(void *ctx, uint32_t mem, uint32_t d, uint32_t value, uint32_t n); /* U */
    void (*memory_init)(void *ctx, uint32_t mem, uint32_t data, uint32_t d, uint32_t s,
                        uint32_t n); /* U */
    void (*data_drop)(void *ctx, uint32_t data);
    void *(*table_get)(void *ctx, uint32_t table, uint32_t i);
    void (*table_set)(void *ctx, uint32_t table, uint32_t i, void *ref);
    uint32_t (*table_grow)(void *ctx, uint32_t table, void *init, uint32_t n);
    void (*table_fill)(void *ctx, uint32_t table, uint32_t i, void *ref, uint32_t n); /* U */
    void (*table_copy)(void *ctx, uint32_t dst, uint32_t src, uint32_t d, uint32_t s,
                       uint32_t n); /* U */
    void (*table_init)(void *ctx, uint32_t table, uint32_t elem, uint32_t d, uint32_t s,
                       uint32_t n); /* U */
    void (*elem_drop)(void *ctx, uint32_t elem);
    struct abi_exn *(*exn_new)(void *ctx, const void *tag, uint32_t count);
    uint32_t (*atomic_wait32)(void *ctx, uint32_t mem, uint64_t addr, uint32_t expected,
                              int64_t timeout_ns); /* U */
    uint32_t (*atomic_wait64)(void *ctx, uint32_t mem, uint64_t addr, uint64_t expected,
                              int64_t timeout_ns); /* U */
    uint32_t (*atomic_notify)(void *ctx, uint32_t mem, uint64_t addr, uint32_t count);
    /* Frames of several instances may be interleaved, so an exception on its way stands in the contexts of
     * all instances of the cell. throw_exn sets exn and UNWIND_EXCEPTION in them; the thrower then returns.
     * caught clears unwind in them, once a handler has taken exn. */
    void (*throw_exn)(void *ctx, struct abi_exn *exn);
    void (*caught)(void *ctx);
    /* While unwind is UNWIND_CAPTURE: save the frame of the caller, which then returns. capture is called with ctx in
     * the register of generated code, and keeps all registers; where the values are, the image's maps say. frame is
     * for code that keeps its variables in memory: local i at locals + i * stride, values of the stack at operands. */
    void (*capture)(void);
    void (*frame)(void *ctx, const struct abi_site *site, uint32_t kind, const uint8_t *locals,
                  uint32_t stride, const union cell_value *operands);
    /* The record that a resume twin was entered for. */
    const struct abi_record *(*record)(void *ctx);
    /* Which of the twin's ways it goes, from 1 on. With variables in memory, see frame, its values are put there; else
     * locals is NULL. */
    uint32_t (*enter)(void *ctx, const struct abi_ways *ways, uint8_t *locals, uint32_t stride,
                      union cell_value *operands);
    /* In a call that was pending: the twin of the next frame, to be called as `result twin(*ret_ctx)`; NULL when
     * an operation of the host was pending: it is done then, and io has its result. U */
    void *(*resume)(void *ctx, union cell_value *io, void **ret_ctx);
};

/* Owned by the thread that runs the instance, but for poll. */
struct abi_ctx {
    const struct abi_ops *ops;
    struct abi_exn *exn; /* valid while unwind is UNWIND_EXCEPTION */
    union cell_value
        *multi; /* results 1.. of a function with several; MODULE_RESULTS_MAX slots, one per cell */
    uintptr_t host_stack_limit; /* import trampolines trap when the stack pointer is below */
    void *instance;             /* run's struct instance */
    void *cell;                 /* run's struct cell */
    uint64_t reserved[25];
    /* Both stand here with the bits of B changed, the lower half of B and the upper one: together they are B while both
     * are 0, and a comparison with the register that holds B, which is one operation with its branch, tests them. */
    uint32_t unwind; /* enum abi_unwind */
    uint32_t poll;   /* atomic; not 0: call ops->poll at the next poll */
};
static_assert(sizeof(struct abi_ctx) == ABI_CTX_BYTES, "generated code knows the size");
static_assert(sizeof(struct abi_func) == 32 && sizeof(struct abi_entry) == 32,
              "generated code knows it");
static_assert(sizeof(struct abi_import) == 48 && sizeof(struct abi_exn) == 16 &&
                  sizeof(struct abi_record) == 16 && sizeof(struct abi_site) == 28 &&
                  sizeof(struct abi_registers) == 16 + 256 + 512,
              "generated code knows it");

/* The context struct of an instance. */
static inline struct abi_ctx *abi_ctx_of(void *ctx)
{
    return (struct abi_ctx *)((uint8_t *)ctx - ABI_CTX_BYTES);
}

static inline uint32_t abi_unwind(const struct abi_ctx *x)
{
    return x->unwind ^ (uint32_t)(uintptr_t)(x + 1);
}

static inline void abi_set_unwind(struct abi_ctx *x, uint32_t why)
{
    x->unwind = why ^ (uint32_t)(uintptr_t)(x + 1);
}

static inline bool abi_is_polled(const struct abi_ctx *x)
{
    return __atomic_load_n(&x->poll, __ATOMIC_RELAXED) != (uint32_t)((uintptr_t)(x + 1) >> 32);
}

/* Any thread; async-signal-safe. */
static inline void abi_set_poll(struct abi_ctx *x, uint32_t wanted)
{
    __atomic_store_n(&x->poll, wanted ^ (uint32_t)((uintptr_t)(x + 1) >> 32), __ATOMIC_SEQ_CST);
}

/* A number that is equal for equal function types and different for others, across modules.
 * Up to ABI_SIG_INLINE values in parameters and results it is an exact code with bit 0 set; longer ones give 0
 * here and are numbered by the host when it links (their slot is in the block, see sig_off). */
enum { ABI_SIG_INLINE = 17 };
uint64_t abi_sig(const struct functype *t);

/* Byte offsets from B (all negative) of the parts of an instance block; a function of the module
 * alone, so aot and run agree. Arrays have one entry per index of their index space. */
struct abi_layout {
    bool mem0_inline;
    uint32_t block_bytes; /* whole block with the context, not rounded */
    int32_t *global_off;  /* defined: its value, 16-byte slot; imported: a pointer to the value */
    int32_t
        *func_off; /* imported: struct abi_import; defined and ref_declared or exported or start:
                             struct abi_func; else 0 */
    int32_t *table_off; /* pointer to struct abi_table */
    int32_t *mem_off;   /* struct { uint8_t *base; struct abi_mem *mem; } */
    int32_t *tag_off;   /* pointer: the tag's identity */
    int32_t *sig_off; /* per type: uint64_t number given at link time, where abi_sig is 0; else 0 */
};
/* ST_LIMIT when the block would pass ABI_BLOCK_MAX. Memory belongs to *a. Any thread. */
enum { ABI_BLOCK_MAX = 1 << 30 };
CHECKED status_t abi_layout_make(const struct module *m, struct arena *a,
                                 struct abi_layout *ret_layout, struct error *err);

#endif
