#include <stdlib.h>

#include "gen.h"

/* Pop the arguments of a type into args[1..]. */
static void pop_args(struct fgen *f, const struct functype *ft, LLVMValueRef *args)
{
    for (uint32_t i = ft->param_count; i-- > 0;)
        args[i + 1] = fgen_pop(f);
}

static void push_results(struct fgen *f, const struct functype *ft, LLVMValueRef call)
{
    struct gen *g = f->g;
    if (ft->result_count == 0)
        return;
    fgen_push(f, call);
    fgen_reference(f, ft->results[0]);
    if (ft->result_count < 2)
        return;
    LLVMValueRef multi = gen_load(g, g->t.ptr,
                                  gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, multi))),
                                  ALIAS_BLOCK);
    for (uint32_t i = 1; i < ft->result_count; i++) {
        LLVMValueRef at = gen_at(g, multi, (int64_t)(i - 1) * (int64_t)sizeof(union cell_value));
        fgen_push(f, gen_load(g, gen_valtype(g, ft->results[i]), at, ALIAS_BLOCK));
        fgen_reference(f, ft->results[i]);
    }
}

static void return_call(struct fgen *f, LLVMValueRef call)
{
    if (f->type->result_count)
        LLVMBuildRet(f->g->b, call);
    else
        LLVMBuildRetVoid(f->g->b);
    f->unreachable = true;
}

/* Computes from the operand stack and locals alone, and cannot trap. */
static bool is_pure(uint32_t op)
{
    switch (op) {
    case OP_DROP:
    case OP_SELECT:
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
    case OP_I32_CONST:
    case OP_I64_CONST:
    case OP_F32_CONST:
    case OP_F64_CONST:
        return true;
    case OP_I32_DIV_S:
    case OP_I32_DIV_U:
    case OP_I32_REM_S:
    case OP_I32_REM_U:
    case OP_I64_DIV_S:
    case OP_I64_DIV_U:
    case OP_I64_REM_S:
    case OP_I64_REM_U:
    case OP_I32_TRUNC_F32_S:
    case OP_I32_TRUNC_F32_U:
    case OP_I32_TRUNC_F64_S:
    case OP_I32_TRUNC_F64_U:
    case OP_I64_TRUNC_F32_S:
    case OP_I64_TRUNC_F32_U:
    case OP_I64_TRUNC_F64_S:
    case OP_I64_TRUNC_F64_U:
        return false;
    default:
        return op >= OP_I32_EQZ && op <= OP_I64_EXTEND32_S;
    }
}

/* Is the next thing that anybody can see the return of this function? computes: with pure operations in between. */
static bool returns_next(const struct fgen *f, bool computes)
{
    struct cursor c = *f->rest;
    struct instr in;
    uint32_t frame = f->frame_count;
    while (instr_read(&c, f->g->m->features, &in)) {
        if (in.op == OP_RETURN)
            return true;
        if (in.op == OP_BR)
            return in.index + 1 == frame;
        if (in.op == OP_END) {
            if (--frame == 0)
                return true;
        } else if (!computes || !is_pure(in.op)) {
            return false;
        }
    }
    return false;
}

static bool in_try(const struct fgen *f)
{
    for (uint32_t i = f->frame_count; i-- > 0;)
        if (f->frames[i].kind == FRAME_TRY || f->frames[i].kind == FRAME_TRY_TABLE)
            return true;
    return false;
}

/* An unwinding callee may come back to code that does nothing but return: the caller tests as well. A chain of such
 * calls is as long as the stack, and so is the time without a poll. In a movable image a frame with anything left to
 * do, be it a constant to return, has a record to leave. */
static bool needs_test(const struct fgen *f, const struct functype *ft)
{
    if (in_try(f))
        return true;
    if (f->g->shared->opt->image.movable)
        return ft->result_count != f->type->result_count || !returns_next(f, false);
    return f->type->result_count > 1 || !returns_next(f, true);
}

/* The test behind a call, when the callee may unwind, and what it returned. */
static void after_call(struct fgen *f, const struct functype *ft, struct call_site *site,
                       LLVMValueRef call, bool may_unwind)
{
    if (may_unwind && needs_test(f, ft)) {
        call = capture_call_end(f, site, call);
        strip_note_poll(f);
    }
    push_results(f, ft, call);
}

/* A call to a known function of this module, or through a pointer in the C convention.
 * args[0] is the callee's context, the rest the parameters. */
static LLVMValueRef emit_call(struct fgen *f, const struct functype *ft, LLVMTypeRef type,
                              LLVMValueRef code, LLVMValueRef *args, unsigned conv, bool must_tail)
{
    LLVMValueRef call = LLVMBuildCall2(f->g->b, type, code, args, ft->param_count + 1, "");
    gen_call_guest(f->g, call, conv);
    if (must_tail)
        LLVMSetTailCallKind(call, LLVMTailCallKindMustTail);
    return call;
}

/* A call that does not write changes nothing that code outside of it reads (several results count as writing), but for
 * the words of the context; the test behind it is volatile. */
static void note_effects(struct fgen *f, bool may_write, LLVMValueRef call)
{
    if (!may_write)
        LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, f->g->attr_reads);
}

static void direct(struct fgen *f, const struct instr *in, bool tail)
{
    struct gen *g = f->g;
    const struct module_func *callee = &g->m->funcs[in->index];
    const struct functype *ft = module_func_type(g->m, in->index);
    LLVMTypeRef type = g->func_types[callee->type];
    LLVMValueRef args[MODULE_PARAMS_MAX + 1];
    if (tail && g->shared->analysis->funcs[in->index].recursive)
        capture_poll_tail_call(f, in);
    struct call_site site;
    pop_args(f, ft, args);
    capture_call_begin(f, ft->results, ft->result_count, &site);
    args[0] = f->ctx;
    LLVMValueRef code;
    if (callee->imported) {
        LLVMValueRef slot = gen_at(g, f->ctx, g->shared->layout->func_off[in->index]);
        code = gen_load_invariant(g, g->t.ptr, gen_at(g, slot, offsetof(struct abi_func, code)));
        args[0] = gen_load_invariant(g, g->t.ptr, gen_at(g, slot, offsetof(struct abi_func, ctx)));
        g->counts.import_calls++;
    } else {
        code = gen_func(g, in->index);
    }
    unsigned conv = gen_call_conv(g, in->index);
    LLVMValueRef call = emit_call(f, ft, type, code, args, conv,
                                  tail && conv == GEN_TAIL_CC && !f->twin);
    note_effects(f, g->shared->analysis->funcs[in->index].may_write, call);
    if (tail) {
        return_call(f, call);
        return;
    }
    after_call(f, ft, &site, call, g->shared->analysis->funcs[in->index].may_unwind);
}

static LLVMValueRef expected_sig(struct fgen *f, uint32_t type)
{
    struct gen *g = f->g;
    uint64_t sig = abi_sig(&g->m->types[type]);
    if (sig)
        return gen_i64(g, sig);
    return gen_load_invariant(g, g->t.i64, gen_at(g, f->ctx, g->shared->layout->sig_off[type]));
}

static void table_of(struct fgen *f, uint32_t table, LLVMValueRef *ret_entries,
                     LLVMValueRef *ret_count)
{
    struct gen *g = f->g;
    LLVMValueRef t = gen_load_invariant(g, g->t.ptr,
                                        gen_at(g, f->ctx, g->shared->layout->table_off[table]));
    *ret_entries = gen_load_invariant(g, g->t.ptr,
                                      gen_at(g, t, offsetof(struct abi_table, entries)));
    if (g->shared->analysis->table_fixed[table])
        *ret_count = gen_i64(g, g->m->tables[table].limits.min);
    else
        *ret_count = gen_load(g, g->t.i64, gen_at(g, t, offsetof(struct abi_table, count)),
                              ALIAS_BLOCK);
}

/* The cold side of the type test says which of the two it was. It reads the type once more, so that the test
 * itself needs no register for it. */
static void trap_wrong_type(struct fgen *f, LLVMValueRef entry)
{
    struct gen *g = f->g;
    LLVMValueRef sig = gen_load(g, g->t.i64, gen_at(g, entry, offsetof(struct abi_entry, sig)),
                                ALIAS_BLOCK);
    LLVMSetOrdering(sig, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(sig, 8);
    LLVMValueRef null = LLVMBuildICmp(g->b, LLVMIntEQ, sig, gen_i64(g, 0), "");
    LLVMValueRef which = LLVMBuildSelect(g->b, null, gen_i32(g, TRAP_INDIRECT_NULL),
                                         gen_i32(g, TRAP_INDIRECT_TYPE), "");
    LLVMValueRef call = GEN_OP(g, f->ctx, trap, g->t.void_, which);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_noreturn);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_cold);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_nomerge);
    LLVMBuildUnreachable(g->b);
}

/* A function of this instance has its tail-calling form at the distance that stands before its wrapper. */
static void indirect_tail(struct fgen *f, const struct functype *ft, LLVMTypeRef type,
                          LLVMValueRef code, LLVMValueRef *args)
{
    struct gen *g = f->g;
    LLVMBasicBlockRef own = fgen_block(f, "own"), go = fgen_block(f, "tail"),
                      other = fgen_block(f, "other");
    LLVMBuildCondBr(g->b, LLVMBuildICmp(g->b, LLVMIntEQ, args[0], f->ctx, ""), own, other);
    fgen_position(f, own);
    LLVMValueRef delta = gen_load_invariant(g, g->t.i64, gen_at(g, code, -8));
    LLVMBuildCondBr(g->b, LLVMBuildICmp(g->b, LLVMIntNE, delta, gen_i64(g, 0), ""), go, other);
    fgen_position(f, go);
    LLVMValueRef to = LLVMBuildInBoundsGEP2(g->b, g->t.i8, code, &delta, 1, "");
    return_call(f, emit_call(f, ft, type, to, args, GEN_TAIL_CC, true));
    f->unreachable = false;
    fgen_position(f, other);
}

/* Table 0 never changes: the code's place comes from the image's own array, and its context is this one. */
static void compact(struct fgen *f, const struct instr *in, LLVMValueRef index, LLVMValueRef *args,
                    struct call_site *site, bool tail)
{
    struct gen *g = f->g;
    const struct functype *ft = &g->m->types[in->index];
    const struct sig_facts *facts = gen_compact_sig(g, in);
    LLVMValueRef count = gen_i64(g, g->m->tables[0].limits.min);
    fgen_trap_if(f, LLVMBuildICmp(g->b, LLVMIntUGE, index, count, ""), TRAP_TABLE_BOUNDS);
    LLVMValueRef array = gen_compact_array(g, facts->same);
    LLVMValueRef at = LLVMBuildInBoundsGEP2(g->b, g->t.i32, array, &index, 1, "");
    LLVMValueRef distance = LLVMBuildSExt(g->b, gen_load_invariant(g, g->t.i32, at), g->t.i64, "");
    LLVMValueRef code = LLVMBuildInBoundsGEP2(g->b, g->t.i8, array, &distance, 1, "");
    unsigned conv = gen_own_conv(g);
    args[0] = f->ctx;
    LLVMValueRef call = emit_call(f, ft, g->func_types[in->index], code, args, conv,
                                  tail && conv == GEN_TAIL_CC && !f->twin);
    note_effects(f, facts->may_write, call);
    if (tail) {
        return_call(f, call);
        return;
    }
    after_call(f, ft, site, call, facts->may_unwind);
}

static void indirect(struct fgen *f, const struct instr *in, bool tail)
{
    struct gen *g = f->g;
    const struct functype *ft = &g->m->types[in->index];
    LLVMValueRef args[MODULE_PARAMS_MAX + 1];
    LLVMValueRef entries, count;
    if (tail && f->facts->may_unwind) /* no test behind it: a loop of such calls polls here */
        capture_poll_tail_call(f, in);
    struct call_site site;
    LLVMValueRef index = LLVMBuildZExt(g->b, fgen_pop(f), g->t.i64, "");
    pop_args(f, ft, args);
    capture_call_begin(f, ft->results, ft->result_count, &site);
    const struct sig_facts *sig_facts = gen_compact_sig(g, in);
    if (sig_facts && sig_facts->compact) {
        compact(f, in, index, args, &site, tail);
        return;
    }
    table_of(f, in->index2, &entries, &count);
    fgen_trap_if(f, LLVMBuildICmp(g->b, LLVMIntUGE, index, count, ""), TRAP_TABLE_BOUNDS);
    LLVMValueRef off = LLVMBuildMul(g->b, index, gen_i64(g, sizeof(struct abi_entry)), "");
    LLVMValueRef entry = LLVMBuildInBoundsGEP2(g->b, g->t.i8, entries, &off, 1, "");
    LLVMValueRef sig = gen_load(g, g->t.i64, gen_at(g, entry, offsetof(struct abi_entry, sig)),
                                ALIAS_BLOCK);
    LLVMValueRef wrong = LLVMBuildICmp(g->b, LLVMIntNE, sig, expected_sig(f, in->index), "");
    LLVMBasicBlockRef cold = fgen_cold_if(f, wrong, "type");
    LLVMBasicBlockRef next = LLVMGetInsertBlock(g->b);
    fgen_position(f, cold);
    trap_wrong_type(f, entry);
    fgen_position(f, next);
    LLVMValueRef code = gen_load(g, g->t.ptr, gen_at(g, entry, offsetof(struct abi_entry, code)),
                                 ALIAS_BLOCK);
    args[0] = gen_load(g, g->t.ptr, gen_at(g, entry, offsetof(struct abi_entry, ctx)), ALIAS_BLOCK);
    LLVMTypeRef type = g->func_types[in->index];
    if (tail && !f->twin)
        indirect_tail(f, ft, type, code, args);
    LLVMValueRef call = emit_call(f, ft, type, code, args, GEN_C_CC, false);
    if (tail) { /* another instance's function, or a host's: an ordinary call */
        return_call(f, call);
        return;
    }
    after_call(f, ft, &site, call, !sig_facts || sig_facts->may_unwind);
}

bool gen_call(struct fgen *f, const struct instr *in)
{
    switch (in->op) {
    case OP_CALL:
        direct(f, in, false);
        return true;
    case OP_RETURN_CALL:
        direct(f, in, true);
        return true;
    case OP_CALL_INDIRECT:
        indirect(f, in, false);
        return true;
    case OP_RETURN_CALL_INDIRECT:
        indirect(f, in, true);
        return true;
    default:
        return false;
    }
}
