#ifndef CELL_AOT_GEN_H
#define CELL_AOT_GEN_H

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>

#include "analyse.h"
#include "cell/aot/aot.h"
#include "cell/module/instr.h"
#include "live.h"

/* Code generation: one `struct gen` per part (a run of functions that becomes one LLVM module in its
 * own LLVM context), one `struct fgen` per function inside it. Each belongs to one thread. */

enum { GEN_FUNC_NAME_BYTES = 16 };
enum {
    GEN_C_CC = 0,
    GEN_KEEP_CC = 15,
    GEN_TAIL_CC = 18
}; /* LLVM's numbers; KEEP: preserve_allcc */
#define GEN_AT_FUNCTION ((LLVMAttributeIndex)LLVMAttributeFunctionIndex)

/* What the whole compilation shares; immutable while parts are generated. */
struct gen_shared {
    const struct module *m;
    const struct analysis *analysis;
    const struct abi_layout *layout;
    const struct aot_options *opt;
};

struct gen_types {
    LLVMTypeRef void_, i1, i8, i16, i32, i64, f32, f64, v128, ptr;
    LLVMTypeRef i8x16, i16x8, i32x4, i64x2, f32x4, f64x2;
};

enum gen_alias { ALIAS_MEMORY, ALIAS_BLOCK, ALIAS_COUNT };

struct gen {
    const struct gen_shared *shared;
    const struct module *m;
    LLVMContextRef llvm;
    LLVMModuleRef mod;
    LLVMBuilderRef b;
    LLVMDIBuilderRef di;
    LLVMMetadataRef di_file;
    LLVMMetadataRef di_func_type;
    struct gen_types t;
    bool lean;               /* values stay in memory: what counts is the time to compile */
    bool tail_calls;         /* functions call each other by tailcc, others by wrappers */
    LLVMTypeRef *func_types; /* per wasm type, guest convention */
    LLVMValueRef *funcs;     /* per function index, NULL until first used */
    LLVMValueRef alias[ALIAS_COUNT];
    LLVMValueRef unlikely; /* !prof weights: the true edge is cold */
    LLVMValueRef empty_node;
    unsigned md_tbaa, md_invariant, md_prof;
    LLVMAttributeRef attr_nounwind, attr_noreturn, attr_cold, attr_nomerge, attr_reads,
        attr_noalias, attr_nonnull, attr_context, attr_naked;
    struct image_counts counts;
};

enum frame_kind {
    FRAME_FUNC,
    FRAME_BLOCK,
    FRAME_LOOP,
    FRAME_IF,
    FRAME_ELSE,
    FRAME_TRY,
    FRAME_CATCH,
    FRAME_TRY_TABLE
};

/* A value on the operand stack. raw: a float result whose NaN bits are not canonical yet. */
struct operand {
    LLVMValueRef v;
    LLVMValueRef slot; /* a variable that holds it, in place of v: only in twins, see capture.c */
    LLVMTypeRef slot_type;
    bool raw;
    valtype_t vt; /* of references */
};

/* An assignment to a local inside the innermost loop, for finding its counter. */
struct local_set {
    uint32_t local;
    uint32_t frame_serial; /* of the block it stands in */
    LLVMValueRef value;
};

struct frame {
    enum frame_kind kind;
    uint32_t serial;
    const valtype_t *params, *results;
    uint32_t param_count, result_count;
    uint32_t height;        /* of the operand stack, without the block's parameters */
    LLVMBasicBlockRef end;  /* where br goes (but for loops) */
    LLVMValueRef *end_phis; /* result_count of them */
    bool end_used;
    LLVMBasicBlockRef loop;        /* FRAME_LOOP: back edges go here */
    LLVMValueRef *loop_phis;       /* param_count of them */
    LLVMBasicBlockRef strip_outer; /* strip-mined loop: where a used-up count goes */
    LLVMValueRef strip_var;
    uint32_t strip_k;
    LLVMValueRef
        *loop_entry;       /* FRAME_LOOP: per local, the constant it holds on the way in, or NULL */
    uint32_t loop_sets;    /* FRAME_LOOP: first of f->sets inside it */
    uint64_t inner_cost;   /* FRAME_LOOP: of the short loops inside, in instructions */
    bool long_inside;      /* FRAME_LOOP: a call, or a loop that is not provably short */
    uint64_t cost;         /* FRAME_LOOP: of all iterations; 0: not provably short */
    uint32_t loop_depth;   /* how many loops are open here, itself included */
    uint32_t polled_start; /* f->polled where the block begins */
    uint32_t polled_end;   /* the least f->polled of the branches to its end */
    const struct loop_facts *facts;
    uint64_t off;                   /* of the instruction */
    LLVMValueRef resume_switch;     /* LOOP of a twin: where the way to a place inside divides */
    LLVMBasicBlockRef resume_enter; /* and where it comes in */
    LLVMValueRef exn_slot;          /* CATCH of a twin: exn */
    uint32_t entry_epoch;           /* FRAME_LOOP: epoch of the code before it */
    LLVMBasicBlockRef else_;        /* FRAME_IF */
    LLVMValueRef *else_args;        /* FRAME_IF: the block's parameters */
    LLVMBasicBlockRef
        dispatch; /* TRY, TRY_TABLE: where an unwinding call in the body goes; NULL: not yet needed */
    LLVMBasicBlockRef next_test; /* TRY, CATCH: where the next clause is tested */
    LLVMValueRef exn; /* CATCH: the exception taken; in TRY the pointer loaded in dispatch */
};

struct fgen {
    struct gen *g;
    const struct module_func *func;
    const struct functype *type;
    const struct func_facts *facts;
    uint32_t index;
    LLVMValueRef fn, ctx;
    LLVMBasicBlockRef entry; /* allocas and loads of invariants; its terminator comes last */
    LLVMBasicBlockRef body;
    LLVMBasicBlockRef leave; /* returns while unwinding; NULL until needed */
    LLVMValueRef *locals;    /* allocas */
    valtype_t *local_types;
    uint32_t local_count;
    bool *local_raw;   /* canonical NaN mode: only arithmetic results are put into it */
    bool *local_mixed; /* found out on an earlier try: holds copied bits too */
    bool restart;      /* a local turned out mixed: generate once more */
    LLVMValueRef mem_base[MODULE_MEMS_MAX];
    LLVMMetadataRef di_scope;
    struct operand *stack;
    uint32_t depth, stack_cap;
    struct frame *frames;
    uint32_t frame_count, frame_cap;
    const struct cursor *rest; /* the instructions behind the present one */
    const struct instr *at;    /* the present one */
    bool twin;                 /* the function is entered with a record of its frame */
    bool in_memory; /* of a movable image: locals and operands have their places in these areas */
    LLVMValueRef local_area, operand_area;
    uint32_t local_stride, operand_room;
    struct live live;
    LLVMValueRef record, resume_at, resume_io, resume_ctx, entry_switch;
    LLVMBasicBlockRef resume_start, resume_enter;
    struct frame_way *ways; /* into a twin */
    uint32_t way_count, way_cap;
    struct {
        uint64_t off;
        uint32_t stack;
        LLVMValueRef constant;
    } last_sites[4]; /* that were made */
    uint32_t last_site;
    LLVMBasicBlockRef save; /* with variables in memory: where all saves go */
    LLVMValueRef save_site, save_kind;
    struct operand_slot **slots;
    uint32_t slot_count, slot_cap;
    bool unreachable;
    uint32_t dead_nesting; /* blocks opened in unreachable code */
    uint32_t loop_number;  /* next loop in order of appearance */
    uint32_t frame_serial; /* last one given */
    LLVMValueRef *
        entry_const; /* per local: the constant assigned last, when entry_epoch is the present epoch */
    uint32_t *entry_epoch;
    uint32_t epoch;         /* changes where control flow joins */
    uint32_t polled;        /* of the open loops, the first so many have passed a poll on every way
                               from their start to here */
    struct local_set *sets; /* in all loops so far */
    uint32_t set_count, set_cap;
    struct arena arena;
    bool nomem;
};

/* gen_module.c: the part as a whole. Everything made here belongs to g->llvm and ends with gen_done. */
/* An empty part of that name. shared: borrowed. ST_NOMEM; gen_done is needed either way. */
CHECKED status_t gen_init(struct gen *g, const struct gen_shared *shared, const char *name,
                          struct error *err);
void gen_done(struct gen *g);
/* References are pointers. */
LLVMTypeRef gen_valtype(const struct gen *g, valtype_t t);
/* A function of the module, declared on first use. */
LLVMValueRef gen_func(struct gen *g, uint32_t index);
/* Its symbol, from which pack.c knows the index again. */
void gen_func_name(uint32_t index, char ret_name[GEN_FUNC_NAME_BYTES]);
/* What every function of an image is: hidden, with unwind rows, touching each page of its frame. */
void gen_attrs_common(struct gen *g, LLVMValueRef fn);
/* tailcc inside modules with tail calls, else the C convention. */
unsigned gen_call_conv(const struct gen *g, uint32_t index);
unsigned gen_own_conv(const struct gen *g); /* of functions that are defined here */
/* The C-convention form of a function in a module with tail calls. */
void gen_wrapper(struct gen *g, uint32_t index);
/* Parameters behind the context, the first result; the others go through the context's multi array. host: as host
 * functions have it. */
LLVMTypeRef gen_func_type(struct gen *g, const struct functype *ft, bool host);
/* A word in front of what others call: the way to the function itself, for indirect tail calls; fn NULL: 0, for import
 * trampolines. */
void gen_prefix(struct gen *g, LLVMValueRef wrapper, LLVMValueRef fn);
LLVMMetadataRef gen_md_string(struct gen *g, const char *s);
LLVMValueRef gen_md_value(struct gen *g, LLVMMetadataRef *parts, size_t n);
/* Return what a call of this type returned. */
void gen_return_call(struct gen *g, const struct functype *ft, LLVMValueRef call);
/* Make a call one in the guest convention: the first argument is the context. */
void gen_call_guest(struct gen *g, LLVMValueRef call, unsigned conv);
/* The stub for the cold side of polls, which keeps all registers. */
LLVMValueRef gen_poll_stub(struct gen *g);
/* The stub that keeps all registers while the host reads the values of a frame from them. */
LLVMValueRef gen_capture_stub(struct gen *g);
/* Trampolines of all types and imports. */
CHECKED status_t gen_trampolines(struct gen *g, struct error *err);
/* One function. ST_NOMEM, ST_LIMIT. */
CHECKED status_t gen_function(struct gen *g, uint32_t index, struct error *err);

/* The twin of a function, which is entered with a record of its frame. ST_NOMEM, ST_LIMIT. */
CHECKED status_t gen_twin(struct gen *g, uint32_t index, struct error *err);

/* gen_import.c: the trampoline of an import, and its twin in a movable image. False: no memory. */
bool gen_import(struct gen *g, uint32_t index);

/* gen_compact.c: constant arrays in the place of table 0, see tables.h. */
/* Facts about the calls of an indirect call's type; NULL when its table is not known. */
const struct sig_facts *gen_compact_sig(const struct gen *g, const struct instr *in);
/* The array of a type: 32-bit distances from its start by table index. */
LLVMValueRef gen_compact_array(struct gen *g, uint32_t sig);
/* All arrays and what they refer to. ST_NOMEM. */
CHECKED status_t gen_compact_define(struct gen *g, struct error *err);

/* gen_util.c: small steps that all parts of a function share */
LLVMValueRef gen_i32(const struct gen *g, uint32_t v);
LLVMValueRef gen_i64(const struct gen *g, uint64_t v);
/* base + off bytes. */
LLVMValueRef gen_at(struct gen *g, LLVMValueRef base, int64_t off);
/* Plain accesses; alias says which of the two kinds of memory. */
LLVMValueRef gen_load(struct gen *g, LLVMTypeRef t, LLVMValueRef ptr, enum gen_alias alias);
LLVMValueRef gen_store(struct gen *g, LLVMValueRef v, LLVMValueRef ptr, enum gen_alias alias);
/* From the block, of something that never changes while the instance lives. */
LLVMValueRef gen_load_invariant(struct gen *g, LLVMTypeRef t, LLVMValueRef ptr);
/* name: "llvm.smin", without the n overloaded types. */
LLVMValueRef gen_call_intrinsic(struct gen *g, const char *name, LLVMTypeRef *overloads, unsigned n,
                                LLVMValueRef *args, unsigned arg_count);
/* Call an entry of the context's operations: op_off = offsetof(struct abi_ops, ...). */
LLVMValueRef gen_call_op(struct gen *g, LLVMValueRef ctx, size_t op_off, LLVMTypeRef ret,
                         LLVMValueRef *args, unsigned arg_count);
/* Offset from B of a field of the context. */
int64_t gen_ctx_field(size_t field_off);
/* The unwind word, as it was loaded, without the bits of B. */
LLVMValueRef gen_without_base(struct gen *g, LLVMValueRef ctx, LLVMValueRef unwind);
#define GEN_OP(g, ctx, op, ret, ...)                                                      \
    gen_call_op(g, ctx, offsetof(struct abi_ops, op), ret, (LLVMValueRef[]){__VA_ARGS__}, \
                sizeof((LLVMValueRef[]){__VA_ARGS__}) / sizeof(LLVMValueRef))
void gen_add_attr(LLVMValueRef fn, LLVMAttributeIndex at, LLVMAttributeRef attr);

/* The operand stack; raw: a float result whose NaN bits are not canonical yet. */
void fgen_push(struct fgen *f, LLVMValueRef v);
void fgen_push_raw(struct fgen *f, LLVMValueRef v);
/* llvm.minimum or llvm.maximum with quiet NaN results: LLVM 19 hands a signalling operand through on x86. */
LLVMValueRef gen_quiet_minmax(struct gen *g, const char *name, LLVMValueRef a, LLVMValueRef b);

/* What an operand holds, raw or not. */
LLVMValueRef fgen_operand(struct fgen *f, const struct operand *o);
/* The type of the reference on top. */
void fgen_reference(struct fgen *f, valtype_t vt);
/* The top value, with canonical NaN bits under --nan canonical. */
LLVMValueRef fgen_pop(struct fgen *f);
/* For arithmetic consumers: bits of a NaN may be anything. */
LLVMValueRef fgen_pop_raw(struct fgen *f);
/* v, or the positive quiet NaN in each lane that is a NaN. */
LLVMValueRef fgen_canonical(struct fgen *f, LLVMValueRef v);
/* A new block; the builder stays where it is. */
LLVMBasicBlockRef fgen_block(struct fgen *f, const char *name);
/* The builder goes to the end of bb. */
void fgen_position(struct fgen *f, LLVMBasicBlockRef bb);
/* Branch to a cold block when cond holds; position at the other one. */
LLVMBasicBlockRef fgen_cold_if(struct fgen *f, LLVMValueRef cond, const char *name);
void fgen_trap(struct fgen *f, enum abi_trap trap); /* at the present position; ends the block */
/* Trap when cond holds; position behind it. */
void fgen_trap_if(struct fgen *f, LLVMValueRef cond, enum abi_trap trap);
void fgen_site(struct fgen *f, const struct instr *in); /* debug location for what follows */
/* Where an unwinding call goes: the dispatch of the try around it, else the block that returns. Of the present
 * position, or of code inside the outermost frame_count frames. */
LLVMBasicBlockRef fgen_handler(struct fgen *f);
LLVMBasicBlockRef fgen_handler_below(struct fgen *f, uint32_t frame_count);
/* A variable of the whole function. */
LLVMValueRef fgen_entry_alloca(struct fgen *f, LLVMTypeRef t, const char *name);

/* Families of instructions; false: not of this family. */
bool gen_control(struct fgen *f, const struct instr *in);
bool gen_exception(struct fgen *f, const struct instr *in);
bool gen_call(struct fgen *f, const struct instr *in);
bool gen_variable(struct fgen *f, const struct instr *in);
bool gen_memory(struct fgen *f, const struct instr *in);
bool gen_atomic(struct fgen *f, const struct instr *in);
bool gen_numeric(struct fgen *f, const struct instr *in);
bool gen_simd(struct fgen *f, const struct instr *in);
bool gen_table(struct fgen *f, const struct instr *in);

/* capture.c: polls and tests, and how a frame is saved and entered again. */
struct operand_slot;
/* A place where a frame can stand. */
struct site {
    uint64_t off;        /* of the instruction */
    uint32_t below, top; /* operands that are kept: the lowest and the topmost */
    const valtype_t *results;
    uint32_t result_count; /* of the call; the first one is result */
    LLVMValueRef result;
    uint32_t frames; /* blocks around it */
};
struct call_site {
    const valtype_t *results;
    uint32_t result_count;
    LLVMValueRef result; /* in twins: a variable */
};
/* Prepare a function; in a twin also the way in. */
void capture_begin(struct fgen *f);
/* Its end, when all ways in are known; the builder is moved. */
void capture_end(struct fgen *f);
void capture_done(struct fgen *f);
/* frame.c: what a site's record holds. */
/* The site among the image's constants. */
LLVMValueRef frame_site(struct fgen *f, const struct site *s);
/* Values behind the locals: operands, results of the call, exceptions of catch clauses. */
uint32_t frame_operand_count(const struct fgen *f, const struct site *s);
/* A site among the image's constants. live: indexes, types: of all values, as head counts them. */
LLVMValueRef frame_site_constant(struct gen *g, const struct abi_site *head,
                                 const LLVMValueRef *live, const valtype_t *types);
/* A way into a twin. */
struct frame_way {
    LLVMValueRef site; /* among the constants */
    enum abi_site_kind kind;
};
/* The twin's struct abi_ways among the constants, and the word in front of it that leads there. NULL: no memory. */
LLVMValueRef frame_ways(struct gen *g, LLVMValueRef twin, const struct frame_way *ways,
                        uint32_t count);
/* Save the frame and leave. kind: what ops->frame takes; the builder's block is ended. */
void frame_save(struct fgen *f, const struct site *s, LLVMValueRef kind);
/* The areas of a function with its variables in memory; the builder stands in its entry. */
void frame_areas(struct fgen *f);
/* Make room for so many values of the stack. */
void frame_operand_room(struct fgen *f, uint32_t count);
/* Place of value i of the stack there; the builder stands anywhere. */
LLVMValueRef frame_operand_at(struct fgen *f, uint32_t i);

/* In a twin: put the operands into variables, since code that follows is reached by several ways. */
void capture_keep_operands(struct fgen *f);
/* Around a call or operation that may come back unwinding. begin: its operands are popped, and no block is begun before
 * end. end: the test behind it, which is a poll as well: go to the handler, or save the frame. call: the first
 * result, or NULL; returns it as code behind the test sees it. results: borrowed. */
void capture_call_begin(struct fgen *f, const valtype_t *results, uint32_t result_count,
                        struct call_site *ret_site);
LLVMValueRef capture_call_end(struct fgen *f, struct call_site *c, LLVMValueRef call);
/* A frame can be entered in front of the instruction at off, with the operands as they are. */
void capture_site_at(struct fgen *f, uint64_t off);
/* At the start of a loop's body. */
void capture_loop_header(struct fgen *f, struct frame *loop);
/* A poll on the way back to a loop's header; the builder ends behind it. */
void capture_poll_loop(struct fgen *f, const struct frame *loop);
/* A poll in front of a tail call, whose operands are still there. */
void capture_poll_tail_call(struct fgen *f, const struct instr *in);

/* strip.c: which loops poll, and how. Innermost loops without calls that have a counter, and no sum of floats, run in
 * strips of K iterations between polls; loops that are provably short do not poll at all. */
/* A loop is opened; mine: in strips. The builder stands in front of it, then in the strip block. */
void strip_loop_begin(struct fgen *f, struct frame *fr, const struct loop_facts *facts, bool mine);
/* A strip-mined loop's back edge; cond is operand != 0, both NULL: always. Leaves the builder behind the loop. */
void strip_back_edge(struct fgen *f, struct frame *fr, LLVMValueRef cond, LLVMValueRef operand);
/* Any other loop's back edge: true when it needs no poll. */
bool strip_is_short(struct fgen *f, struct frame *fr, LLVMValueRef operand);
/* Its end, when what it costs is known to the loop around it. */
void strip_loop_end(struct fgen *f, struct frame *fr);
/* A poll stands here: a loop that passes it in each iteration needs no other. */
void strip_note_poll(struct fgen *f);
/* A branch to the end of a block is generated here. */
void strip_note_branch(const struct fgen *f, struct frame *to);
/* The builder stands behind the end of a block that is closed now. */
void strip_block_end(struct fgen *f, const struct frame *fr);
/* Did every way to the present back edge pass a poll? */
bool strip_has_poll(const struct fgen *f, const struct frame *fr);
/* A local is assigned. */
void strip_note_set(struct fgen *f, uint32_t local, LLVMValueRef value);

/* Between families. */
/* Push n values of these types. */
void gen_push_values(struct fgen *f, const LLVMValueRef *values, const valtype_t *types,
                     uint32_t n);
/* The exception of a catch clause. */
LLVMValueRef gen_frame_exn(struct fgen *f, const struct frame *fr);
/* br to a label; ends the block. */
void gen_branch(struct fgen *f, uint32_t depth);
/* Pass on the values of a branch, which stay on the operand stack; the caller branches. */
void gen_branch_values(struct fgen *f, struct frame *to);
/* Open a block; in: its type, NULL for the function's own. */
void gen_frame_push(struct fgen *f, enum frame_kind kind, const struct instr *in);
/* The present position falls through to the end of the innermost block, if it can be reached. */
void gen_end_reached(struct fgen *f);
/* Return the values on the operand stack. */
void gen_return(struct fgen *f);
/* Where an access of memory mem goes, and the memory's base; there is no bounds check. */
LLVMValueRef gen_address(struct fgen *f, uint32_t mem, LLVMValueRef addr, uint64_t offset);
LLVMValueRef gen_mem_base(struct fgen *f, uint32_t mem);

/* backend.c: LLVM's target and passes; one per thread */
struct backend;
/* opt: borrowed. ST_UNSUPPORTED a level that LLVM lacks; ST_NOMEM. */
CHECKED status_t backend_new(const struct aot_options *opt, struct backend **ret_be,
                             struct error *err);
void backend_free(struct backend *be);
/* Optimise and emit an ELF object; takes the module's target from be. */
CHECKED status_t backend_emit(struct backend *be, struct gen *g, const char *part, struct buf *out,
                              struct error *err);
/* The library routines that LLVM may call, as an object for this target. */
CHECKED status_t backend_emit_routines(struct backend *be, struct buf *out, struct error *err);
/* Give a module the target's triple and data layout. */
void backend_target(struct backend *be, LLVMModuleRef mod);

#endif
