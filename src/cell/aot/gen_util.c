#include <stdlib.h>
#include <string.h>

#include "gen.h"

LLVMValueRef gen_i32(const struct gen *g, uint32_t v)
{
    return LLVMConstInt(g->t.i32, v, 0);
}

LLVMValueRef gen_i64(const struct gen *g, uint64_t v)
{
    return LLVMConstInt(g->t.i64, v, 0);
}

LLVMValueRef gen_at(struct gen *g, LLVMValueRef base, int64_t off)
{
    LLVMValueRef idx = gen_i64(g, (uint64_t)off);
    return LLVMBuildInBoundsGEP2(g->b, g->t.i8, base, &idx, 1, "");
}

static void tag_alias(struct gen *g, LLVMValueRef access, enum gen_alias alias)
{
    LLVMSetMetadata(access, g->md_tbaa, g->alias[alias]);
}

LLVMValueRef gen_load(struct gen *g, LLVMTypeRef t, LLVMValueRef ptr, enum gen_alias alias)
{
    LLVMValueRef v = LLVMBuildLoad2(g->b, t, ptr, "");
    tag_alias(g, v, alias);
    return v;
}

LLVMValueRef gen_store(struct gen *g, LLVMValueRef v, LLVMValueRef ptr, enum gen_alias alias)
{
    LLVMValueRef st = LLVMBuildStore(g->b, v, ptr);
    tag_alias(g, st, alias);
    return st;
}

LLVMValueRef gen_load_invariant(struct gen *g, LLVMTypeRef t, LLVMValueRef ptr)
{
    LLVMValueRef v = gen_load(g, t, ptr, ALIAS_BLOCK);
    LLVMSetMetadata(v, g->md_invariant, g->empty_node);
    return v;
}

LLVMValueRef gen_call_intrinsic(struct gen *g, const char *name, LLVMTypeRef *overloads, unsigned n,
                                LLVMValueRef *args, unsigned arg_count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(g->mod, id, overloads, n);
    LLVMTypeRef type = LLVMIntrinsicGetType(g->llvm, id, overloads, n);
    return LLVMBuildCall2(g->b, type, fn, args, arg_count, "");
}

int64_t gen_ctx_field(size_t field_off)
{
    return (int64_t)field_off - ABI_CTX_BYTES;
}

LLVMValueRef gen_without_base(struct gen *g, LLVMValueRef ctx, LLVMValueRef unwind)
{
    return LLVMBuildXor(g->b, unwind, LLVMBuildPtrToInt(g->b, ctx, g->t.i32, ""), "");
}

LLVMValueRef gen_call_op(struct gen *g, LLVMValueRef ctx, size_t op_off, LLVMTypeRef ret,
                         LLVMValueRef *args, unsigned arg_count)
{
    LLVMTypeRef params[10];
    LLVMValueRef all[10];
    params[0] = g->t.ptr;
    all[0] = ctx;
    for (unsigned i = 0; i < arg_count; i++) {
        params[i + 1] = LLVMTypeOf(args[i]);
        all[i + 1] = args[i];
    }
    LLVMTypeRef type = LLVMFunctionType(ret, params, arg_count + 1, 0);
    LLVMValueRef ops = gen_load_invariant(
        g, g->t.ptr, gen_at(g, ctx, gen_ctx_field(offsetof(struct abi_ctx, ops))));
    LLVMValueRef fn = gen_load_invariant(g, g->t.ptr, gen_at(g, ops, (int64_t)op_off));
    LLVMValueRef call = LLVMBuildCall2(g->b, type, fn, all, arg_count + 1, "");
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_nounwind);
    return call;
}

void gen_add_attr(LLVMValueRef fn, LLVMAttributeIndex at, LLVMAttributeRef attr)
{
    LLVMAddAttributeAtIndex(fn, at, attr);
}

void fgen_push(struct fgen *f, LLVMValueRef v)
{
    if (f->depth == f->stack_cap) {
        uint32_t cap = f->stack_cap ? f->stack_cap * 2 : 64;
        struct operand *s = realloc(f->stack, cap * sizeof *s);
        if (!s) {
            f->nomem = true;
            return;
        }
        f->stack = s;
        f->stack_cap = cap;
    }
    f->stack[f->depth++] = (struct operand){.v = v};
}

void fgen_push_raw(struct fgen *f, LLVMValueRef v)
{
    fgen_push(f, v);
    if (!f->nomem && f->g->shared->opt->image.nan == NAN_CANONICAL)
        f->stack[f->depth - 1].raw = true;
}

LLVMValueRef fgen_operand(struct fgen *f, const struct operand *o)
{
    return o->slot ? LLVMBuildLoad2(f->g->b, o->slot_type, o->slot, "") : o->v;
}

void fgen_reference(struct fgen *f, valtype_t vt)
{
    if (!f->nomem)
        f->stack[f->depth - 1].vt = vt;
}

LLVMValueRef fgen_pop_raw(struct fgen *f)
{
    return fgen_operand(f, &f->stack[--f->depth]);
}

LLVMValueRef fgen_pop(struct fgen *f)
{
    struct operand *o = &f->stack[--f->depth];
    return o->raw ? fgen_canonical(f, o->v) : fgen_operand(f, o);
}

/* The positive quiet NaN of a float or vector-of-floats type. */
static LLVMValueRef canonical_nan(struct gen *g, LLVMTypeRef t)
{
    if (t == g->t.f32)
        return LLVMConstBitCast(gen_i32(g, 0x7fc00000), t);
    if (t == g->t.f64)
        return LLVMConstBitCast(gen_i64(g, 0x7ff8000000000000), t);
    LLVMValueRef lanes[4];
    bool f32 = t == g->t.f32x4;
    for (int i = 0; i < 4; i++)
        lanes[i] = canonical_nan(g, f32 ? g->t.f32 : g->t.f64);
    return LLVMConstVector(lanes, f32 ? 4 : 2);
}

LLVMValueRef fgen_canonical(struct fgen *f, LLVMValueRef v)
{
    struct gen *g = f->g;
    LLVMTypeRef t = LLVMTypeOf(v);
    LLVMValueRef nan = LLVMBuildFCmp(g->b, LLVMRealUNO, v, v, "");
    return LLVMBuildSelect(g->b, nan, canonical_nan(g, t), v, "");
}

LLVMBasicBlockRef fgen_block(struct fgen *f, const char *name)
{
    return LLVMAppendBasicBlockInContext(f->g->llvm, f->fn, name);
}

void fgen_position(struct fgen *f, LLVMBasicBlockRef bb)
{
    LLVMPositionBuilderAtEnd(f->g->b, bb);
}

static void cold_branch(struct fgen *f, LLVMValueRef cond, LLVMBasicBlockRef cold,
                        LLVMBasicBlockRef next)
{
    LLVMValueRef br = LLVMBuildCondBr(f->g->b, cond, cold, next);
    LLVMSetMetadata(br, f->g->md_prof, f->g->unlikely);
}

LLVMBasicBlockRef fgen_cold_if(struct fgen *f, LLVMValueRef cond, const char *name)
{
    LLVMBasicBlockRef cold = fgen_block(f, name), next = fgen_block(f, "");
    cold_branch(f, cond, cold, next);
    fgen_position(f, next);
    return cold;
}

void fgen_trap(struct fgen *f, enum abi_trap trap)
{
    struct gen *g = f->g;
    LLVMValueRef call = GEN_OP(g, f->ctx, trap, g->t.void_, gen_i32(g, (uint32_t)trap));
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_noreturn);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_cold);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_nomerge);
    LLVMBuildUnreachable(g->b);
}

void fgen_trap_if(struct fgen *f, LLVMValueRef cond, enum abi_trap trap)
{
    if (LLVMIsConstant(cond) && LLVMIsAConstantInt(cond) && LLVMConstIntGetZExtValue(cond) == 0)
        return;
    LLVMBasicBlockRef cold = fgen_cold_if(f, cond, "trap");
    LLVMBasicBlockRef next = LLVMGetInsertBlock(f->g->b);
    fgen_position(f, cold);
    fgen_trap(f, trap);
    fgen_position(f, next);
}

void fgen_site(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMMetadataRef loc = LLVMDIBuilderCreateDebugLocation(g->llvm, (unsigned)in->off, 0,
                                                           f->di_scope, NULL);
    LLVMSetCurrentDebugLocation2(g->b, loc);
}

/* The handler for code inside frames [0, frame_count). */
LLVMBasicBlockRef fgen_handler_below(struct fgen *f, uint32_t frame_count)
{
    for (uint32_t i = frame_count; i-- > 0;) {
        struct frame *fr = &f->frames[i];
        if (fr->kind != FRAME_TRY && fr->kind != FRAME_TRY_TABLE)
            continue;
        if (!fr->dispatch)
            fr->dispatch = fgen_block(f, "dispatch");
        return fr->dispatch;
    }
    if (!f->leave)
        f->leave = fgen_block(f, "leave");
    return f->leave;
}

LLVMBasicBlockRef fgen_handler(struct fgen *f)
{
    return fgen_handler_below(f, f->frame_count);
}

LLVMValueRef fgen_entry_alloca(struct fgen *f, LLVMTypeRef t, const char *name)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    fgen_position(f, f->entry);
    LLVMValueRef v = LLVMBuildAlloca(f->g->b, t, name);
    fgen_position(f, here);
    return v;
}

LLVMValueRef gen_quiet_minmax(struct gen *g, const char *name, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef t = LLVMTypeOf(a);
    LLVMValueRef args[2] = {a, b};
    LLVMValueRef v = gen_call_intrinsic(g, name, &t, 1, args, 2);
    LLVMValueRef is_nan = LLVMBuildFCmp(g->b, LLVMRealUNO, a, b, "");
    return LLVMBuildSelect(g->b, is_nan, LLVMBuildFAdd(g->b, a, b, ""), v, "");
}
