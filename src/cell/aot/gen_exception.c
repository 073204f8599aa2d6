#include "gen.h"

/* Exceptions travel as an unwind word and a pointer in the context. A call in the body of a try that comes
 * back unwinding goes to the frame's dispatch block, which tests the clauses in order; what is no
 * exception (exit, stop) and what no clause takes goes on to the next handler outside. */

static LLVMValueRef tag_identity(struct fgen *f, uint32_t tag)
{
    struct gen *g = f->g;
    return gen_load_invariant(g, g->t.ptr, gen_at(g, f->ctx, g->shared->layout->tag_off[tag]));
}

static LLVMValueRef exn_value_at(struct gen *g, LLVMValueRef exn, uint32_t i)
{
    return gen_at(g, exn, (int64_t)(sizeof(struct abi_exn) + i * sizeof(union cell_value)));
}

static void leave_by_handler(struct fgen *f)
{
    LLVMBuildBr(f->g->b, fgen_handler(f));
    f->unreachable = true;
}

static void throw(struct fgen * f, uint32_t tag)
{
    struct gen *g = f->g;
    const struct functype *ft = &g->m->types[g->m->tags[tag].type];
    LLVMValueRef exn = GEN_OP(g, f->ctx, exn_new, g->t.ptr, tag_identity(f, tag),
                              gen_i32(g, ft->param_count));
    for (uint32_t i = ft->param_count; i-- > 0;)
        LLVMSetAlignment(gen_store(g, fgen_pop(f), exn_value_at(g, exn, i), ALIAS_BLOCK), 8);
    GEN_OP(g, f->ctx, throw_exn, g->t.void_, exn);
    leave_by_handler(f);
}

static void throw_ref(struct fgen *f, LLVMValueRef exn)
{
    struct gen *g = f->g;
    fgen_trap_if(f, LLVMBuildIsNull(g->b, exn, ""), TRAP_NULL_REF);
    GEN_OP(g, f->ctx, throw_exn, g->t.void_, exn);
    leave_by_handler(f);
}

/* Begin a frame's dispatch: what is not an exception goes to the handler outside. Leaves the builder where
 * the exception is known and its pointer loaded into fr->exn. */
static void begin_dispatch(struct fgen *f, uint32_t frame)
{
    struct gen *g = f->g;
    if (!f->frames[frame].dispatch)
        f->frames[frame].dispatch = fgen_block(f, "dispatch");
    fgen_position(f, f->frames[frame].dispatch);
    LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, unwind)));
    LLVMValueRef unwind = gen_without_base(g, f->ctx, gen_load(g, g->t.i32, at, ALIAS_BLOCK));
    LLVMValueRef other = LLVMBuildICmp(g->b, LLVMIntNE, unwind, gen_i32(g, UNWIND_EXCEPTION), "");
    LLVMBasicBlockRef outside = fgen_handler_below(f, frame), mine = fgen_block(f, "exception");
    LLVMBuildCondBr(g->b, other, outside, mine);
    fgen_position(f, mine);
    at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, exn)));
    f->frames[frame].exn = gen_load(g, g->t.ptr, at, ALIAS_BLOCK);
}

/* Go on in a new block when the exception carries the tag; the builder ends there, and the return value is
 * where the next clause is tested. */
static LLVMBasicBlockRef test_tag(struct fgen *f, LLVMValueRef exn, uint32_t tag)
{
    struct gen *g = f->g;
    LLVMValueRef has = gen_load(g, g->t.ptr, exn, ALIAS_BLOCK);
    LLVMValueRef same = LLVMBuildICmp(g->b, LLVMIntEQ, has, tag_identity(f, tag), "");
    LLVMBasicBlockRef body = fgen_block(f, "catch"), next = fgen_block(f, "");
    LLVMBuildCondBr(g->b, same, body, next);
    fgen_position(f, body);
    return next;
}

LLVMValueRef gen_frame_exn(struct fgen *f, const struct frame *fr)
{
    return fr->exn_slot ? LLVMBuildLoad2(f->g->b, f->g->t.ptr, fr->exn_slot, "") : fr->exn;
}

static void push_payload(struct fgen *f, LLVMValueRef exn, uint32_t tag)
{
    struct gen *g = f->g;
    const struct functype *ft = &g->m->types[g->m->tags[tag].type];
    for (uint32_t i = 0; i < ft->param_count; i++) {
        LLVMValueRef v = gen_load(g, gen_valtype(g, ft->params[i]), exn_value_at(g, exn, i),
                                  ALIAS_BLOCK);
        LLVMSetAlignment(v, 8);
        fgen_push(f, v);
        fgen_reference(f, ft->params[i]);
    }
}

static void taken(struct fgen *f)
{
    gen_call_op(f->g, f->ctx, offsetof(struct abi_ops, caught), f->g->t.void_, NULL, 0);
}

/* catch and catch_all of the older encoding. */
static void clause(struct fgen *f, const struct instr *in)
{
    gen_end_reached(f);
    uint32_t frame = f->frame_count - 1;
    if (f->frames[frame].kind == FRAME_TRY) {
        begin_dispatch(f, frame);
        f->frames[frame].kind = FRAME_CATCH;
        if (f->twin) {
            f->frames[frame].exn_slot = fgen_entry_alloca(f, f->g->t.ptr, "exn");
            LLVMBuildStore(f->g->b, f->frames[frame].exn, f->frames[frame].exn_slot);
        }
    } else {
        fgen_position(f, f->frames[frame].next_test);
    }
    struct frame *fr = &f->frames[frame];
    f->depth = fr->height;
    f->epoch++;
    fr->serial = ++f->frame_serial; /* what stands in the body was not passed */
    f->polled = fr->polled_start;
    f->unreachable = false;
    if (in->op == OP_CATCH_ALL) {
        fr->next_test = NULL;
        taken(f);
        return;
    }
    fr->next_test = test_tag(f, fr->exn, in->index);
    taken(f);
    push_payload(f, fr->exn, in->index);
}

/* The exception that no clause took. */
static void end_clauses(struct fgen *f)
{
    struct frame *fr = &f->frames[f->frame_count - 1];
    if (!fr->next_test)
        return;
    fgen_position(f, fr->next_test);
    LLVMBuildBr(f->g->b, fgen_handler_below(f, f->frame_count - 1));
}

/* A try without clauses, or one that delegates: everything goes to the handler that the frames_below
 * outermost frames have. */
static void pass_on(struct fgen *f, uint32_t frames_below)
{
    struct frame *fr = &f->frames[f->frame_count - 1];
    if (!fr->dispatch)
        return;
    fgen_position(f, fr->dispatch);
    LLVMBuildBr(f->g->b, fgen_handler_below(f, frames_below));
}

static void end_delegate(struct fgen *f, uint32_t depth)
{
    gen_end_reached(f);
    struct frame *fr = &f->frames[f->frame_count - 1];
    /* label 0 is the block around this try */
    pass_on(f, f->frame_count - 1 - depth);
    f->frame_count--;
    f->epoch++;
    f->depth = fr->height;
    f->unreachable = !fr->end_used;
    strip_block_end(f, fr);
    fgen_position(f, fr->end);
    if (f->unreachable) {
        LLVMBuildUnreachable(f->g->b);
        return;
    }
    gen_push_values(f, fr->end_phis, fr->results, fr->result_count);
}

/* ---- try_table ---- */

static void table_clause(struct fgen *f, uint32_t frame, const struct instr_catch *c)
{
    LLVMBasicBlockRef next = NULL;
    LLVMValueRef exn = f->frames[frame].exn;
    bool has_tag = c->kind == CATCH_TAG || c->kind == CATCH_TAG_REF;
    if (has_tag)
        next = test_tag(f, exn, c->tag);
    uint32_t depth = f->depth;
    taken(f);
    if (has_tag)
        push_payload(f, exn, c->tag);
    if (c->kind == CATCH_TAG_REF || c->kind == CATCH_ALL_REF) {
        fgen_push(f, exn);
        fgen_reference(f, VT_EXNREF);
    }
    gen_branch(f, c->label);
    f->depth = depth;
    if (next)
        fgen_position(f, next);
    else
        f->unreachable = true;
}

/* The dispatch of a try_table is generated before its body: the clauses are known then. */
static void begin_try_table(struct fgen *f, const struct instr *in)
{
    struct cursor list = in->list;
    struct instr_catch c;
    gen_frame_push(f, FRAME_TRY_TABLE, in);
    if (f->nomem)
        return;
    uint32_t frame = f->frame_count - 1, frames = f->frame_count;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    begin_dispatch(f, frame);
    for (uint32_t i = 0; i < in->count && !f->unreachable && instr_read_catch(&list, &c); i++) {
        f->frame_count = frame; /* labels count from outside the try_table */
        table_clause(f, frame, &c);
        f->frame_count = frames;
    }
    if (!f->unreachable)
        LLVMBuildBr(f->g->b, fgen_handler_below(f, frame));
    f->unreachable = false;
    fgen_position(f, here);
}

bool gen_exception(struct fgen *f, const struct instr *in)
{
    struct frame *fr;
    switch (in->op) {
    case OP_TRY:
        gen_frame_push(f, FRAME_TRY, in);
        return true;
    case OP_TRY_TABLE:
        begin_try_table(f, in);
        return true;
    case OP_CATCH:
    case OP_CATCH_ALL:
        clause(f, in);
        return true;
    case OP_DELEGATE:
        end_delegate(f, in->index);
        return true;
    case OP_THROW:
        throw(f, in->index);
        return true;
    case OP_RETHROW:
        fr = &f->frames[f->frame_count - 1 - in->index];
        throw_ref(f, gen_frame_exn(f, fr));
        return true;
    case OP_THROW_REF:
        throw_ref(f, fgen_pop(f));
        return true;
    case OP_END: /* of a try, called by gen_control */
        fr = &f->frames[f->frame_count - 1];
        if (fr->kind == FRAME_TRY)
            pass_on(f, f->frame_count - 1);
        else if (fr->kind == FRAME_CATCH)
            end_clauses(f);
        return true;
    default:
        return false;
    }
}
