#ifndef CELL_RUN_RUN_H
#define CELL_RUN_RUN_H

#include "cell/module/image.h"

/* Cells as objects that a daemon embeds. A runtime holds the process's signal handlers and the pool of
 * address space; a program is a mapped image, shared by all its cells; a cell is one sandbox: its
 * instances, limits, native stack and way out. One thread at a time may use a cell, but for
 * cell_stop and cell_stats. */

struct runtime;
struct program;
struct cell;
struct instance;

/* ---- runtime ---- */

struct runtime_config {
    uint32_t slots_kept;  /* address-space slots kept mapped for reuse; 0: none */
    int interrupt_signal; /* real-time signal that interrupts blocking host calls; 0: SIGRTMIN+1 */
};
/* Install the SIGSEGV and SIGBUS handlers and the interrupt signal's. One runtime per process:
 * ST_EXIST for a second. config may be NULL: 64 slots, SIGRTMIN+1. Faults outside image code and cells' memory go
 * to the handler that was there before. ST_NOMEM; ST_IO. */
CHECKED status_t runtime_new(const struct runtime_config *config, struct runtime **ret_rt,
                             struct error *err);
/* All cells and programs must be gone. Puts the former handlers back. NULL is fine. */
void runtime_free(struct runtime *rt);
/* Copy to off of a writable mapping of a file, which begins at a page. ST_IO: somebody cut the file meanwhile, by which
 * a process that copies by itself ends; the mapping is of no file any more. ST_UNSUPPORTED: there is no runtime. Any
 * thread. */
CHECKED status_t runtime_copy(uint8_t *map, size_t map_bytes, size_t off, const void *from,
                              size_t len);

/* ---- program: a mapped image ---- */

/* Check and map an image file; the file may be renamed or deleted afterwards. Counted: one reference.
 * Errors of image_decode; ST_UNSUPPORTED when this CPU cannot run its level; ST_NOTFOUND, ST_PERM,
 * ST_NOMEM, ST_IO. Any thread. */
CHECKED status_t program_open(struct runtime *rt, const char *path, struct program **ret_prog,
                              struct error *err);
/* The same from bytes, which are copied (into an anonymous file). Any thread. */
CHECKED status_t program_load(struct runtime *rt, const void *data, size_t len,
                              struct program **ret_prog, struct error *err);
/* Any thread. Returns p. */
struct program *program_ref(struct program *p);
/* Unmaps the image with the last reference; a cell holds one for each instance. NULL is fine. Any thread. */
void program_unref(struct program *p);
/* What was decoded; lives as long as p. */
const struct image *program_image(const struct program *p);

/* ---- cell ---- */

struct cell_limits {
    uint64_t memory_bytes;  /* all memories together; default: what MODULE_MEMS_MAX of 4 GiB have */
    uint64_t stack_bytes;   /* native stack; default 8 MiB, 64 KiB to 64 GiB */
    uint64_t table_entries; /* all tables together; default MODULE_TABLE_ENTRIES_MAX */
    uint64_t cpu_ns;        /* 0: none */
    uint64_t wall_ns;       /* 0: none */
    uint32_t threads;       /* default 1024; for a later version, in which cells start threads */
};
/* The limits that cell_new takes for NULL. */
void cell_limits_default(struct cell_limits *l);

/* limits may be NULL; otherwise every field counts as it stands, so start from cell_limits_default. Any thread.
 * ST_INVAL for a stack out of bounds; ST_NOMEM. */
CHECKED status_t cell_new(struct runtime *rt, const struct cell_limits *limits,
                          struct cell **ret_cell, struct error *err);
/* Must not be running. Frees its instances. NULL is fine. */
void cell_free(struct cell *c);

/* ---- linking ---- */

/* A host function: void/value fn(void *ctx, void *env, parameters...) in the C convention with the types of sig
 * ("iiII:i"; i I f F as in instr.def, r for a reference). v128 is not allowed. It runs on the cell's stack,
 * holds no lock and no allocation when it calls anything that may not return, and leaves by returning:
 * host_exit, host_trap and unwinding set a flag that the guest sees. */
struct host_func {
    const char *name;
    const char *sig;
    void *fn;
};
struct host_module {
    const char *name;
    const struct host_func *funcs; /* ends with a NULL name */
    void *env;
};

/* What an import resolves to, for hosts that need more than functions (test runners). */
struct extern_val {
    enum extern_kind kind;
    /* struct abi_func *, struct abi_table *, struct abi_mem *, union cell_value * (global), or a tag's
     * identity */
    void *ptr;
    const struct functype *func_type; /* functions and tags */
    valtype_t type;                   /* table, global */
    bool mutable_;
    struct limits limits; /* table, memory: as declared; the present size stands behind ptr */
};
struct import_resolver {
    /* ST_NOTFOUND to try the host modules next. */
    status_t (*resolve)(void *arg, const struct module_import *imp, struct extern_val *ret_val);
    void *arg;
};

/* Make an instance of prog in c: link, evaluate initialisers, apply segments; does not call start or
 * _start (see instance_start). hosts: array of host_count, borrowed for the cell's life. resolver may be NULL.
 * ST_LINK names the import and both types; ST_LIMIT; ST_NOMEM; ST_TRAP for a segment out of bounds
 * (cell_trap tells; earlier segments stay applied, as the specification has it). */
CHECKED status_t cell_instantiate(struct cell *c, struct program *prog,
                                  const struct host_module *hosts, uint32_t host_count,
                                  const struct import_resolver *resolver,
                                  struct instance **ret_inst, struct error *err);
/* Look the imported functions that host modules provide up again, in others, which are borrowed from now on instead of
 * the former: for a cell that was made before the state of its host was known. Between calls. ST_LINK: one is missing
 * or has another type; none is changed then. ST_NOMEM. */
CHECKED status_t cell_rebind(struct cell *c, const struct host_module *hosts, uint32_t host_count,
                             struct error *err);
/* Call the module's start function if it has one. As cell_call. */
CHECKED status_t instance_start(struct instance *inst, struct error *err);

/* Find an export by its name, which need not end with a NUL. What ret_val points at lives as long as the cell.
 * ST_NOTFOUND. */
CHECKED status_t instance_export(struct instance *inst, const char *name, size_t name_len,
                                 struct extern_val *ret_val);
/* Borrowed: both live as long as the instance. */
struct cell *instance_cell(struct instance *inst);
struct program *instance_program(struct instance *inst);

/* Make host-owned externs for resolvers; they live as long as the cell. type is copied, fn and env are borrowed.
 * ST_NOMEM; ST_LIMIT for a table or memory beyond the cell's limits. */
CHECKED status_t cell_host_func(struct cell *c, const struct functype *type, void *fn, void *env,
                                struct extern_val *ret_val);
CHECKED status_t cell_host_global(struct cell *c, valtype_t type, bool mutable_, union cell_value v,
                                  struct extern_val *ret_val);
CHECKED status_t cell_host_table(struct cell *c, valtype_t type, struct limits l,
                                 struct extern_val *ret_val);
CHECKED status_t cell_host_mem(struct cell *c, struct limits l, struct extern_val *ret_val);
CHECKED status_t cell_host_tag(struct cell *c, const struct functype *type,
                               struct extern_val *ret_val);

/* ---- running ---- */

/* Call a guest function on the cell's stack and wait until it leaves.
 * io: parameters in, results out; at least max(parameters, results) slots. Not from inside a host function.
 * ST_OK; ST_TRAP (cell_trap, cell_backtrace); ST_EXIT (cell_exit_code); ST_EXCEPTION; ST_STOPPED (cell_stop_reason).
 * Without running anything: ST_INVAL when c runs already or f is not a guest function of c; ST_NOMEM or ST_IO when
 * the thread or a timer cannot be set up. */
CHECKED status_t cell_call(struct cell *c, const struct abi_func *f, union cell_value *io,
                           struct error *err);

enum stop_reason {
    STOP_NONE = 0,
    STOP_REQUEST,
    STOP_CPU_LIMIT,
    STOP_WALL_LIMIT,
    STOP_OUTPUT_LIMIT,
    STOP_INTERRUPT,
    STOP_CAPTURE /* not to end: cell_resume goes on; without effect unless all images are movable, and when no memory is
                  * left for the call stack: the cell runs on, cell_stats counts it */
};

/* Ask a running cell to leave at its next poll; interrupts a blocking host call. Any thread; async-signal-safe.
 * A cell that is not running leaves at once when it is next called. */
void cell_stop(struct cell *c, enum stop_reason reason);

/* Go on with a call that ended with ST_CAPTURED, after cell_stop(c, STOP_CAPTURE): its frames were saved, and are
 * rebuilt. io: the call's. Results as cell_call; what was saved ends with any other call, and is forgotten when this
 * one ends. ST_INVAL when nothing was captured. ST_UNSUPPORTED for an image without polls. ST_NOMEM: nothing has run,
 * and it can be resumed later. */
CHECKED status_t cell_resume(struct cell *c, union cell_value *io, struct error *err);

/* How the last call ended: each is 0 when it did not end that way. */
enum abi_trap cell_trap(const struct cell *c);
/* Behind TRAP_MEMORY_BOUNDS of a load or store: the offset in its memory that it touched. False: none is known. */
bool cell_trap_offset(const struct cell *c, uint64_t *ret_off);
uint32_t cell_exit_code(const struct cell *c);
enum stop_reason cell_stop_reason(const struct cell *c);

struct frame {
    struct program *program; /* borrowed; NULL: a host function, name is its import's */
    uint32_t func;
    uint32_t wasm_off; /* 0: unknown */
    struct name name;  /* may be empty */
    struct name file;  /* may be empty */
    uint32_t line;
};
enum { BACKTRACE_MAX = 128 };
/* The frames of the last trap, innermost first; valid until the next call. ret_total counts also what was cut off. */
uint32_t cell_backtrace(const struct cell *c, const struct frame **ret_frames, uint64_t *ret_total);

struct cell_stats {
    uint64_t memory_bytes; /* present size of all memories */
    uint64_t cpu_ns;       /* of calls that ended; counted where limits.cpu_ns is not 0 */
    uint64_t polls_taken;
    uint64_t
        captures_refused; /* requests that were dropped since memory ran out; the cell went on */
};
/* Any thread, also while the cell runs. */
void cell_stats(const struct cell *c, struct cell_stats *ret_stats);

/* ---- for host functions (ctx is their first argument) ---- */

/* A range of the default memory (index 0), or NULL when it is out of bounds. len 0 gives a valid pointer within
 * bounds. The pointer stays valid while the cell lives; another thread may change the bytes at any time. */
void *host_range(void *ctx, uint32_t addr, uint64_t len);
/* The cell that calls. */
struct cell *host_cell(void *ctx);
/* End the program: the guest unwinds once the host function returned. */
void host_exit(void *ctx, uint32_t code);
/* Trap with a text; the guest leaves at once after the host function returned. */
void host_trap(void *ctx, const char *text);
/* To be called around each blocking system call: false when the cell was asked to stop, and the host function
 * has to return at once. The interrupt signal makes the system call fail with EINTR. */
bool host_block_begin(void *ctx);
void host_block_end(void *ctx);
/* The same in a function whose call can be made again from its start: false as well when the cell is to be captured.
 * When nothing was done yet, or what was done is remembered, the function then calls host_wait_again. True: it is to
 * return, whatever its result, and is called again with the same arguments when the cell goes on, perhaps in another
 * process. */
bool host_wait_begin(void *ctx);
bool host_wait_again(void *ctx);
/* host_poll in such a function: false as well when the cell is to be captured. */
bool host_wait_poll(void *ctx);
/* Between pieces of long work: handles requests; false when the guest has to unwind. */
bool host_poll(void *ctx);

#endif
