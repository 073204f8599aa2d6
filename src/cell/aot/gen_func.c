#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"

/* Small functions that begin in the middle of a line of decoded instructions run up to a fifth slower. */
enum { FUNC_ALIGNMENT_BYTES = 64 };

static void add_locals(struct fgen *f)
{
    struct gen *g = f->g;
    uint32_t n = f->type->param_count;
    for (uint32_t i = 0; i < f->local_count; i++)
        f->local_types[i] = i < n ? f->type->params[i] : f->func->locals[i - n];
    const struct image_options *o = &g->shared->opt->image;
    f->in_memory = o->movable && (g->lean || o->opt_level == 0);
    if (f->in_memory)
        frame_areas(f);
    for (uint32_t i = 0; i < f->local_count; i++) {
        LLVMTypeRef t = gen_valtype(g, f->local_types[i]);
        f->locals[i] = f->in_memory ? gen_at(g, f->local_area, (int64_t)i * f->local_stride)
                                    : LLVMBuildAlloca(g->b, t, "");
        bool is_given = i < n && !f->twin;
        if (!f->twin || !f->in_memory) /* there what is live comes from the record */
            LLVMBuildStore(g->b, is_given ? LLVMGetParam(f->fn, i + 1) : LLVMConstNull(t),
                           f->locals[i]);
        /* a parameter may carry any bits; a declared local starts as zero */
        f->local_raw[i] = i >= n && !f->local_mixed[i];
    }
}

/* void or result r(B), in the C convention whatever the module's functions have. It is there already when the body is
 * generated again. */
static LLVMValueRef add_twin(struct gen *g, uint32_t index, const struct functype *ft)
{
    char name[GEN_FUNC_NAME_BYTES];
    snprintf(name, sizeof name, "r%" PRIu32, index);
    LLVMValueRef before = LLVMGetNamedFunction(g->mod, name);
    if (before)
        return before;
    LLVMTypeRef ret = ft->result_count ? gen_valtype(g, ft->results[0]) : g->t.void_;
    LLVMValueRef fn = LLVMAddFunction(g->mod, name, LLVMFunctionType(ret, &g->t.ptr, 1, 0));
    gen_attrs_common(g, fn);
    gen_add_attr(fn, 1, g->attr_nonnull);
    gen_add_attr(fn, 1, g->attr_context);
    return fn;
}

static bool setup(struct fgen *f)
{
    struct gen *g = f->g;
    char name[GEN_FUNC_NAME_BYTES];
    f->local_count = f->type->param_count + f->func->local_count;
    f->locals = arena_alloc(&f->arena, f->local_count, sizeof(LLVMValueRef));
    f->local_types = arena_alloc(&f->arena, f->local_count, sizeof *f->local_types);
    f->local_raw = arena_alloc(&f->arena, f->local_count, sizeof *f->local_raw);
    f->entry_const = arena_alloc(&f->arena, f->local_count, sizeof(LLVMValueRef));
    f->entry_epoch = arena_alloc(&f->arena, f->local_count, sizeof *f->entry_epoch);
    f->epoch = 1;
    if (!f->local_mixed)
        f->local_mixed = arena_alloc(&f->arena, f->local_count, sizeof *f->local_mixed);
    if (!f->entry_const || !f->entry_epoch || !f->locals || !f->local_types || !f->local_raw ||
        !f->local_mixed)
        return false;
    gen_func_name(f->index, name);
    f->fn = f->twin ? add_twin(g, f->index, f->type) : gen_func(g, f->index);
    if (!f->twin)
        LLVMSetAlignment(f->fn, FUNC_ALIGNMENT_BYTES);
    f->ctx = LLVMGetParam(f->fn, 0);
    unsigned line = (unsigned)f->func->body_off; /* what the prologue is attributed to */
    f->di_scope = LLVMDIBuilderCreateFunction(g->di, g->di_file, name, strlen(name), "", 0,
                                              g->di_file, line, g->di_func_type, 0, 1, line,
                                              LLVMDIFlagZero, 1);
    LLVMSetSubprogram(f->fn, f->di_scope);
    f->entry = fgen_block(f, "entry");
    f->body = fgen_block(f, "body");
    fgen_position(f, f->entry);
    add_locals(f);
    capture_begin(f);
    fgen_position(f, f->body);
    return true;
}

static void dispatch_instr(struct fgen *f, const struct instr *in)
{
    (void)(gen_control(f, in) || gen_variable(f, in) || gen_numeric(f, in) || gen_memory(f, in) ||
           gen_call(f, in) || gen_exception(f, in) || gen_table(f, in) || gen_atomic(f, in) ||
           gen_simd(f, in));
}

/* In unreachable code only the block structure counts. True when the instruction is to be generated. */
static bool step_dead(struct fgen *f, const struct instr *in)
{
    if (instr_opens_block(in->op)) {
        f->dead_nesting++;
        if (in->op == OP_LOOP)
            f->loop_number++;
        return false;
    }
    if (f->dead_nesting) {
        if (in->op == OP_END || in->op == OP_DELEGATE)
            f->dead_nesting--;
        return false;
    }
    return in->op == OP_END || in->op == OP_ELSE || in->op == OP_CATCH || in->op == OP_CATCH_ALL ||
           in->op == OP_DELEGATE;
}

static void walk_body(struct fgen *f)
{
    struct cursor c;
    struct instr in;
    cursor_init(&c, f->func->body, f->func->body_len, f->func->body_off);
    f->rest = &c;
    while (f->frame_count && !f->nomem && cursor_left(&c) &&
           instr_read(&c, f->g->m->features, &in)) {
        if (f->unreachable && !step_dead(f, &in))
            continue;
        fgen_site(f, &in);
        f->at = &in;
        dispatch_instr(f, &in);
    }
    f->rest = NULL;
    f->at = NULL;
}

static void finish_blocks(struct fgen *f)
{
    struct gen *g = f->g;
    if (f->leave) {
        fgen_position(f, f->leave);
        if (f->type->result_count)
            LLVMBuildRet(g->b, LLVMGetUndef(gen_valtype(g, f->type->results[0])));
        else
            LLVMBuildRetVoid(g->b);
    }
    capture_end(f);
    fgen_position(f, f->entry);
    LLVMBuildBr(g->b, f->twin ? f->resume_start : f->body);
}

static bool generate(struct fgen *f, bool *own_mixed)
{
    struct gen *g = f->g;
    f->local_mixed = own_mixed;
    if (!setup(f))
        return false;
    struct instr site = {.off = f->func->body_off};
    fgen_site(f, &site);
    gen_frame_push(f, FRAME_FUNC, NULL);
    walk_body(f);
    finish_blocks(f);
    LLVMSetCurrentDebugLocation2(g->b, NULL);
    return !f->nomem;
}

static void drop_body(struct fgen *f)
{
    /* Values refer to each other across blocks, so uses go first. */
    for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(f->fn); bb; bb = LLVMGetNextBasicBlock(bb))
        for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
            if (LLVMGetTypeKind(LLVMTypeOf(i)) != LLVMVoidTypeKind)
                LLVMReplaceAllUsesWith(i, LLVMGetUndef(LLVMTypeOf(i)));
    for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(f->fn); bb; bb = LLVMGetNextBasicBlock(bb))
        while (LLVMGetLastInstruction(bb))
            LLVMInstructionEraseFromParent(LLVMGetLastInstruction(bb));
    while (LLVMGetFirstBasicBlock(f->fn))
        LLVMDeleteBasicBlock(LLVMGetFirstBasicBlock(f->fn));
}

/* Generated again while locals turn out to hold copied float bits: each time at least one more is
 * known, and all that one pass can see are found in it. */
static status_t gen_either(struct gen *g, uint32_t index, bool twin, struct error *err)
{
    const struct module_func *fn = &g->m->funcs[index];
    const struct functype *ft = module_func_type(g->m, index);
    uint32_t locals = ft->param_count + fn->local_count;
    bool *mixed = calloc((size_t)locals + 1, sizeof *mixed);
    bool ok = mixed != NULL, again = ok;
    while (ok && again) {
        struct image_counts counts = g->counts;
        struct fgen f = {.g = g,
                         .func = fn,
                         .type = ft,
                         .index = index,
                         .twin = twin,
                         .facts = &g->shared->analysis->funcs[index]};
        ok = generate(&f, mixed);
        again = f.restart;
        if (ok && again)
            drop_body(&f);
        if (again || twin) /* what is counted is the function itself */
            g->counts = counts;
        free(f.stack);
        free(f.frames);
        free(f.sets);
        capture_done(&f);
        arena_done(&f.arena);
    }
    free(mixed);
    return ok ? ST_OK
              : error_set(err, ST_NOMEM, fn->body_off, "no memory to compile function %" PRIu32,
                          index);
}

status_t gen_function(struct gen *g, uint32_t index, struct error *err)
{
    return gen_either(g, index, false, err);
}

status_t gen_twin(struct gen *g, uint32_t index, struct error *err)
{
    return gen_either(g, index, true, err);
}
