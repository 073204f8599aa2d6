#include "gen.h"

static bool is_float_type(valtype_t t)
{
    return t == VT_F32 || t == VT_F64;
}

static void local_get(struct fgen *f, uint32_t i)
{
    LLVMValueRef v = LLVMBuildLoad2(f->g->b, gen_valtype(f->g, f->local_types[i]), f->locals[i],
                                    "");
    if (is_float_type(f->local_types[i]) && f->local_raw[i])
        fgen_push_raw(f, v);
    else
        fgen_push(f, v);
    fgen_reference(f, f->local_types[i]);
}

/* Zero and other constants that are no NaN are as good as arithmetic results. */
static bool plain_constant(LLVMValueRef v)
{
    LLVMBool loses;
    if (!v || !LLVMIsAConstantFP(v))
        return false;
    double d = LLVMConstRealGetDouble(v, &loses);
    return d == d; /* not NaN */
}

/* Under canonical NaNs a local that only takes arithmetic results keeps them raw. One that takes copied
 * bits as well must keep those as they are: then results are made canonical on their way in. */
static LLVMValueRef local_value(struct fgen *f, uint32_t i)
{
    const struct operand *o = &f->stack[f->depth - 1];
    if (f->g->shared->opt->image.nan != NAN_CANONICAL || !is_float_type(f->local_types[i]))
        return fgen_pop(f);
    if (!o->raw && !plain_constant(o->v) && f->local_raw[i]) {
        f->local_mixed[i] = true;
        f->restart = true;
    }
    return f->local_raw[i] ? fgen_pop_raw(f) : fgen_pop(f);
}

static void local_set(struct fgen *f, uint32_t i, bool tee)
{
    struct operand before = f->stack[f->depth - 1];
    LLVMValueRef v = local_value(f, i);
    LLVMBuildStore(f->g->b, v, f->locals[i]);
    strip_note_set(f, i, v);
    if (!tee)
        return;
    fgen_push(f, v);
    f->stack[f->depth - 1].raw = before.raw && v == before.v;
    fgen_reference(f, f->local_types[i]);
}

static LLVMValueRef global_at(struct fgen *f, uint32_t i)
{
    struct gen *g = f->g;
    LLVMValueRef at = gen_at(g, f->ctx, g->shared->layout->global_off[i]);
    return g->m->globals[i].imported ? gen_load_invariant(g, g->t.ptr, at) : at;
}

static void select_value(struct fgen *f)
{
    struct gen *g = f->g;
    LLVMValueRef cond = LLVMBuildICmp(g->b, LLVMIntNE, fgen_pop(f), gen_i32(g, 0), "");
    bool raw = f->stack[f->depth - 1].raw && f->stack[f->depth - 2].raw;
    valtype_t vt = f->stack[f->depth - 1].vt;
    LLVMValueRef b = raw ? fgen_pop_raw(f) : fgen_pop(f);
    LLVMValueRef a = raw ? fgen_pop_raw(f) : fgen_pop(f);
    LLVMValueRef v = LLVMBuildSelect(g->b, cond, a, b, "");
    if (raw)
        fgen_push_raw(f, v);
    else
        fgen_push(f, v);
    fgen_reference(f, vt);
}

bool gen_variable(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    switch (in->op) {
    case OP_LOCAL_GET:
        local_get(f, in->index);
        return true;
    case OP_LOCAL_SET:
        local_set(f, in->index, false);
        return true;
    case OP_LOCAL_TEE:
        local_set(f, in->index, true);
        return true;
    case OP_GLOBAL_GET:
        fgen_push(f, gen_load(g, gen_valtype(g, g->m->globals[in->index].type),
                              global_at(f, in->index), ALIAS_BLOCK));
        fgen_reference(f, g->m->globals[in->index].type);
        return true;
    case OP_GLOBAL_SET: {
        LLVMValueRef v = fgen_pop(f);
        gen_store(g, v, global_at(f, in->index), ALIAS_BLOCK);
        return true;
    }
    case OP_DROP:
        fgen_pop_raw(f);
        return true;
    case OP_SELECT:
    case OP_SELECT_T:
        select_value(f);
        return true;
    default:
        return false;
    }
}
