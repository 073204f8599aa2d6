#include <stdlib.h>
#include <string.h>

#include "gen.h"

static void block_types(struct fgen *f, const struct instr *in, struct frame *fr)
{
    const struct module *m = f->g->m;
    if (!in) {
        fr->results = f->type->results;
        fr->result_count = f->type->result_count;
    } else if (in->block.kind == BLOCK_VALUE) {
        valtype_t *t = arena_alloc(&f->arena, 1, sizeof *t);
        if (!t) {
            f->nomem = true;
            return;
        }
        *t = in->block.value;
        fr->results = t;
        fr->result_count = 1;
    } else if (in->block.kind == BLOCK_TYPE) {
        const struct functype *ft = &m->types[in->block.type];
        fr->params = ft->params;
        fr->param_count = ft->param_count;
        fr->results = ft->results;
        fr->result_count = ft->result_count;
    }
}

static LLVMValueRef *make_phis(struct fgen *f, LLVMBasicBlockRef bb, const valtype_t *types,
                               uint32_t n)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    LLVMValueRef *phis = arena_alloc(&f->arena, n, sizeof(LLVMValueRef));
    if (!phis) {
        f->nomem = true;
        return NULL;
    }
    fgen_position(f, bb);
    for (uint32_t i = 0; i < n; i++)
        phis[i] = LLVMBuildPhi(f->g->b, gen_valtype(f->g, types[i]), "");
    fgen_position(f, here);
    return phis;
}

/* Values that several branches take are made canonical before the first of them. */
static void settle(struct fgen *f, uint32_t n)
{
    for (uint32_t i = f->depth - n; i < f->depth; i++) {
        if (!f->stack[i].raw)
            continue;
        f->stack[i].v = fgen_canonical(f, f->stack[i].v);
        f->stack[i].raw = false;
    }
}

void gen_frame_push(struct fgen *f, enum frame_kind kind, const struct instr *in)
{
    if (f->frame_count == f->frame_cap) {
        uint32_t cap = f->frame_cap ? f->frame_cap * 2 : 32;
        struct frame *fr = realloc(f->frames, cap * sizeof *fr);
        if (!fr) {
            f->nomem = true;
            return;
        }
        f->frames = fr;
        f->frame_cap = cap;
    }
    struct frame *fr = &f->frames[f->frame_count++];
    *fr = (struct frame){.kind = kind, .serial = ++f->frame_serial};
    fr->loop_depth = (f->frame_count > 1 ? fr[-1].loop_depth : 0) + (kind == FRAME_LOOP);
    fr->polled_start = f->polled;
    fr->polled_end = UINT32_MAX;
    block_types(f, in, fr);
    fr->height = f->depth - fr->param_count;
    fr->end = fgen_block(f, "end");
    fr->end_phis = make_phis(f, fr->end, fr->results, fr->result_count);
    settle(f, fr->param_count);
    capture_keep_operands(f);
}

/* Add the top n values of the stack as incoming values from the present block; they stay there. */
static void add_incoming(struct fgen *f, LLVMValueRef *phis, uint32_t n)
{
    settle(f, n);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v = fgen_operand(f, &f->stack[f->depth - n + i]);
        LLVMAddIncoming(phis[i], &v, &here, 1);
    }
}

static void branch_to_end(struct fgen *f, struct frame *to)
{
    add_incoming(f, to->end_phis, to->result_count);
    strip_note_branch(f, to);
    to->end_used = true;
}

static uint32_t branch_arity(const struct frame *to)
{
    return to->kind == FRAME_LOOP ? to->param_count : to->result_count;
}

/* Pass the values of a branch to frame `to`; the caller then branches. */
void gen_branch_values(struct fgen *f, struct frame *to)
{
    if (to->kind == FRAME_LOOP) {
        add_incoming(f, to->loop_phis, to->param_count);
        return;
    }
    branch_to_end(f, to);
}

/* ---- loops ---- */

static bool strip_minable(const struct fgen *f, const struct frame *fr, const struct loop_facts *l)
{
    return !f->g->shared->opt->image.no_polls && f->g->shared->opt->image.opt_level >= 2 &&
           !l->has_call && !l->has_loop && !l->has_table_branch && l->back_edges == 1 &&
           fr->param_count == 0;
}

static void begin_loop(struct fgen *f, const struct instr *in)
{
    const struct loop_facts *l = &f->facts->loops[f->loop_number++];
    gen_frame_push(f, FRAME_LOOP, in);
    if (f->nomem)
        return;
    struct frame *fr = &f->frames[f->frame_count - 1];
    fr->off = in->off;
    f->frame_count--; /* the header is a place in front of the loop */
    capture_site_at(f, in->off);
    f->frame_count++;
    fr->entry_epoch = f->epoch++;
    fr->loop = fgen_block(f, "loop");
    fr->loop_phis = make_phis(f, fr->loop, fr->params, fr->param_count);
    bool mine = strip_minable(f, fr, l);
    strip_loop_begin(f, fr, l, mine);
    if (!mine) {
        add_incoming(f, fr->loop_phis, fr->param_count);
        LLVMBuildBr(f->g->b, fr->loop);
    }
    fgen_position(f, fr->loop);
    for (uint32_t i = 0; i < fr->param_count; i++)
        f->stack[fr->height + i] = (struct operand){.v = fr->loop_phis[i], .vt = fr->params[i]};
    capture_loop_header(f, fr);
}

/* A back edge; cond (operand != 0) NULL: always. Leaves the builder where the loop is not repeated. */
static void back_edge(struct fgen *f, struct frame *fr, LLVMValueRef cond, LLVMValueRef operand)
{
    struct gen *g = f->g;
    if (fr->strip_outer) {
        strip_back_edge(f, fr, cond, operand);
        return;
    }
    LLVMBasicBlockRef out = NULL;
    bool is_short = strip_has_poll(f, fr) || (cond && strip_is_short(f, fr, operand));
    settle(f, fr->param_count);
    if (cond) {
        LLVMBasicBlockRef again = fgen_block(f, "again");
        out = fgen_block(f, "");
        LLVMBuildCondBr(g->b, cond, again, out);
        fgen_position(f, again);
    }
    if (!is_short) {
        capture_poll_loop(f, fr);
        g->counts.loop_polls += !g->shared->opt->image.no_polls;
    }
    gen_branch_values(f, fr);
    LLVMBuildBr(g->b, fr->loop);
    if (out)
        fgen_position(f, out);
}

/* ---- branches ---- */

void gen_return(struct fgen *f)
{
    struct gen *g = f->g;
    uint32_t n = f->type->result_count;
    if (n == 0) {
        LLVMBuildRetVoid(g->b);
        return;
    }
    if (n > 1) {
        LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, multi)));
        LLVMValueRef multi = gen_load(g, g->t.ptr, at, ALIAS_BLOCK);
        for (uint32_t i = n; i-- > 1;) {
            LLVMValueRef to = gen_at(g, multi,
                                     (int64_t)(i - 1) * (int64_t)sizeof(union cell_value));
            gen_store(g, fgen_pop(f), to, ALIAS_BLOCK);
        }
    }
    LLVMBuildRet(g->b, fgen_pop(f));
}

static struct frame *target(struct fgen *f, uint32_t depth)
{
    return &f->frames[f->frame_count - 1 - depth];
}

void gen_branch(struct fgen *f, uint32_t depth)
{
    struct frame *to = target(f, depth);
    if (to->kind == FRAME_LOOP) {
        back_edge(f, to, NULL, NULL);
        return;
    }
    gen_branch_values(f, to);
    LLVMBuildBr(f->g->b, to->end);
}

static LLVMValueRef condition(struct fgen *f, LLVMValueRef v)
{
    return LLVMBuildICmp(f->g->b, LLVMIntNE, v, gen_i32(f->g, 0), "");
}

static void branch_if(struct fgen *f, uint32_t depth)
{
    struct gen *g = f->g;
    LLVMValueRef operand = fgen_pop(f), cond = condition(f, operand);
    struct frame *to = target(f, depth);
    if (to->kind == FRAME_LOOP) {
        back_edge(f, to, cond, operand);
        return;
    }
    gen_branch_values(f, to); /* may add canonicalisation, before the branch */
    LLVMBasicBlockRef next = fgen_block(f, "");
    LLVMBuildCondBr(g->b, cond, to->end, next);
    fgen_position(f, next);
}

/* One case: straight to a block's end, or through a block of its own to a loop's back edge. */
static LLVMBasicBlockRef table_case(struct fgen *f, uint32_t depth)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b), bb = fgen_block(f, "case");
    fgen_position(f, bb);
    uint32_t before = f->depth;
    gen_branch(f, depth);
    f->depth = before;
    fgen_position(f, here);
    return bb;
}

static void branch_table(struct fgen *f, const struct instr *in)
{
    LLVMValueRef index = fgen_pop(f);
    struct cursor list = in->list;
    /* one block for each distinct label */
    LLVMBasicBlockRef *cases = calloc(f->frame_count, sizeof(LLVMBasicBlockRef));
    uint32_t *labels = malloc(((size_t)in->count + 1) * sizeof *labels);
    if (!cases || !labels) {
        f->nomem = true;
        goto out;
    }
    for (uint32_t i = 0; i <= in->count; i++) {
        labels[i] = cursor_leb_u32(&list);
        if (i == 0) /* labels agree in number; what is below may be reached by other ways as well */
            settle(f, branch_arity(target(f, labels[i])));
        if (!cases[labels[i]])
            cases[labels[i]] = table_case(f, labels[i]);
    }
    LLVMValueRef sw = LLVMBuildSwitch(f->g->b, index, cases[labels[in->count]], in->count);
    for (uint32_t i = 0; i < in->count; i++)
        LLVMAddCase(sw, gen_i32(f->g, i), cases[labels[i]]);
out:
    free(cases);
    free(labels);
    f->unreachable = true;
}

/* ---- if, else, end ---- */

void gen_push_values(struct fgen *f, const LLVMValueRef *values, const valtype_t *types, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        fgen_push(f, values[i]);
        fgen_reference(f, types[i]);
    }
}

static void begin_if(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef cond = condition(f, fgen_pop(f));
    gen_frame_push(f, FRAME_IF, in);
    if (f->nomem)
        return;
    struct frame *fr = &f->frames[f->frame_count - 1];
    fr->else_args = arena_alloc(&f->arena, fr->param_count, sizeof(LLVMValueRef));
    if (!fr->else_args) {
        f->nomem = true;
        return;
    }
    for (uint32_t i = 0; i < fr->param_count; i++)
        fr->else_args[i] = fgen_operand(f, &f->stack[fr->height + i]);
    fr->else_ = fgen_block(f, "else");
    LLVMBasicBlockRef then = fgen_block(f, "then");
    LLVMBuildCondBr(g->b, cond, then, fr->else_);
    fgen_position(f, then);
}

/* The body of a block falls out of its end. */
void gen_end_reached(struct fgen *f)
{
    struct frame *fr = &f->frames[f->frame_count - 1];
    if (f->unreachable)
        return;
    branch_to_end(f, fr); /* out of a loop as well: falling out is no back edge */
    LLVMBuildBr(f->g->b, fr->end);
}

static void begin_else(struct fgen *f)
{
    gen_end_reached(f);
    struct frame *fr = &f->frames[f->frame_count - 1];
    fr->kind = FRAME_ELSE;
    f->epoch++;
    fr->serial = ++f->frame_serial;
    f->depth = fr->height;
    f->unreachable = false;
    f->polled = fr->polled_start;
    fgen_position(f, fr->else_);
    gen_push_values(f, fr->else_args, fr->params, fr->param_count);
}

static void end_if_without_else(struct fgen *f)
{
    gen_end_reached(f);
    struct frame *fr = &f->frames[f->frame_count - 1];
    fgen_position(f, fr->else_);
    f->depth = fr->height;
    f->unreachable = false;
    f->polled = fr->polled_start;
    gen_push_values(f, fr->else_args, fr->params, fr->param_count);
    gen_end_reached(f);
    f->unreachable = true;
}

static void end_block(struct fgen *f)
{
    struct frame *fr = &f->frames[f->frame_count - 1];
    if (fr->kind == FRAME_IF)
        end_if_without_else(f);
    else
        gen_end_reached(f);
    fr = &f->frames[f->frame_count - 1];
    if (fr->kind == FRAME_LOOP)
        strip_loop_end(f, fr);
    if (fr->kind == FRAME_TRY || fr->kind == FRAME_CATCH || fr->kind == FRAME_TRY_TABLE) {
        struct instr in = {.op = OP_END};
        gen_exception(f, &in);
        fr = &f->frames[f->frame_count - 1];
    }
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
    if (fr->kind == FRAME_FUNC)
        gen_return(f);
}

bool gen_control(struct fgen *f, const struct instr *in)
{
    switch (in->op) {
    case OP_UNREACHABLE:
        fgen_trap(f, TRAP_UNREACHABLE);
        f->unreachable = true;
        return true;
    case OP_NOP:
        return true;
    case OP_BLOCK:
        gen_frame_push(f, FRAME_BLOCK, in);
        return true;
    case OP_LOOP:
        begin_loop(f, in);
        return true;
    case OP_IF:
        begin_if(f, in);
        return true;
    case OP_ELSE:
        begin_else(f);
        return true;
    case OP_END:
        end_block(f);
        return true;
    case OP_BR:
        gen_branch(f, in->index);
        f->unreachable = true;
        return true;
    case OP_BR_IF:
        branch_if(f, in->index);
        return true;
    case OP_BR_TABLE:
        branch_table(f, in);
        return true;
    case OP_RETURN:
        gen_return(f);
        f->unreachable = true;
        return true;
    default:
        return false;
    }
}
