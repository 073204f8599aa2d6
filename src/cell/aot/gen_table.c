#include "gen.h"

static void ref_func(struct fgen *f, uint32_t index)
{
    struct gen *g = f->g;
    fgen_push(f, gen_at(g, f->ctx, g->shared->layout->func_off[index]));
    fgen_reference(f, VT_FUNCREF);
}

static void table_bulk(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef c = fgen_pop(f), b = fgen_pop(f), a = fgen_pop(f);
    LLVMValueRef first = gen_i32(g, in->index), second = gen_i32(g, in->index2);
    struct call_site site;
    capture_call_begin(f, NULL, 0, &site);
    if (in->op == OP_TABLE_FILL)
        GEN_OP(g, f->ctx, table_fill, g->t.void_, first, a, b, c);
    else if (in->op == OP_TABLE_COPY)
        GEN_OP(g, f->ctx, table_copy, g->t.void_, first, second, a, b, c);
    else /* table.init: index names the segment, index2 the table */
        GEN_OP(g, f->ctx, table_init, g->t.void_, second, first, a, b, c);
    capture_call_end(f, &site, NULL);
    strip_note_poll(f);
}

static void table_size(struct fgen *f, uint32_t table)
{
    struct gen *g = f->g;
    LLVMValueRef t = gen_load_invariant(g, g->t.ptr,
                                        gen_at(g, f->ctx, g->shared->layout->table_off[table]));
    LLVMValueRef n = gen_load(g, g->t.i64, gen_at(g, t, offsetof(struct abi_table, count)),
                              ALIAS_BLOCK);
    fgen_push(f, LLVMBuildTrunc(g->b, n, g->t.i32, ""));
}

static bool table_access(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef table = gen_i32(g, in->index), a, b;
    switch (in->op) {
    case OP_TABLE_GET:
        a = fgen_pop(f);
        fgen_push(f, GEN_OP(g, f->ctx, table_get, g->t.ptr, table, a));
        fgen_reference(f, g->m->tables[in->index].type);
        return true;
    case OP_TABLE_SET:
        b = fgen_pop(f), a = fgen_pop(f);
        GEN_OP(g, f->ctx, table_set, g->t.void_, table, a, b);
        return true;
    case OP_TABLE_GROW:
        b = fgen_pop(f), a = fgen_pop(f);
        fgen_push(f, GEN_OP(g, f->ctx, table_grow, g->t.i32, table, a, b));
        return true;
    case OP_TABLE_SIZE:
        table_size(f, in->index);
        return true;
    default:
        return false;
    }
}

bool gen_table(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef v;
    switch (in->op) {
    case OP_REF_NULL:
        fgen_push(f, LLVMConstNull(g->t.ptr));
        fgen_reference(f, in->type);
        return true;
    case OP_REF_IS_NULL:
        v = LLVMBuildIsNull(g->b, fgen_pop(f), "");
        fgen_push(f, LLVMBuildZExt(g->b, v, g->t.i32, ""));
        return true;
    case OP_REF_FUNC:
        ref_func(f, in->index);
        return true;
    case OP_TABLE_FILL:
    case OP_TABLE_COPY:
    case OP_TABLE_INIT:
        table_bulk(f, in);
        return true;
    case OP_ELEM_DROP:
        GEN_OP(g, f->ctx, elem_drop, g->t.void_, gen_i32(g, in->index));
        return true;
    default:
        return table_access(f, in);
    }
}
