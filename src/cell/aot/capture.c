#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"

/* Capture and resume: see docs/internals/capture.md. A site is a call or operation that may come back unwinding, the
 * header of a loop, or a tail call that polls. Hot code has a cold block at each of its tests that saves the frame.
 * A twin is the same function generated once more, entered with a record: it goes through the headers of
 * the loops around the site, so that they stay natural loops, and puts the record's values where the code keeps
 * them. What has to survive the way in is a variable there: locals anyway, operands from each block's start and each
 * site on. */

/* ---- variables for operands ---- */

struct operand_slot {
    struct operand_slot *next;
    LLVMTypeRef type;
    LLVMValueRef at;
};

static LLVMValueRef new_slot(struct fgen *f, uint32_t i, LLVMTypeRef type)
{
    if (!f->in_memory)
        return fgen_entry_alloca(f, type, "operand");
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    fgen_position(f, f->entry);
    LLVMValueRef at = frame_operand_at(f, i);
    fgen_position(f, here);
    return at;
}

static LLVMValueRef operand_slot(struct fgen *f, uint32_t i, LLVMTypeRef type)
{
    while (f->slot_count <= i) {
        if (f->slot_count == f->slot_cap) {
            uint32_t cap = f->slot_cap ? f->slot_cap * 2 : 64;
            struct operand_slot **s = realloc(f->slots, cap * sizeof(*s));
            if (!s) {
                f->nomem = true;
                return NULL;
            }
            f->slots = s;
            f->slot_cap = cap;
        }
        f->slots[f->slot_count++] = NULL;
    }
    struct operand_slot *s = f->slots[i];
    while (s && s->type != type)
        s = s->next;
    if (!s && (s = arena_alloc(&f->arena, 1, sizeof(*s)))) {
        *s = (struct operand_slot){f->slots[i], type, new_slot(f, i, type)};
        f->slots[i] = s;
    }
    if (!s)
        f->nomem = true;
    return s ? s->at : NULL;
}

void capture_keep_operands(struct fgen *f)
{
    for (uint32_t i = 0; f->twin && i < f->depth && !f->nomem; i++) {
        struct operand *o = &f->stack[i];
        if (o->slot)
            continue;
        LLVMValueRef v = o->raw ? fgen_canonical(f, o->v) : o->v;
        LLVMValueRef at = operand_slot(f, i, LLVMTypeOf(v));
        if (at)
            LLVMBuildStore(f->g->b, v, at);
        *o = (struct operand){.slot = at, .slot_type = LLVMTypeOf(v), .vt = o->vt};
    }
}

/* ---- tests and polls ---- */

static LLVMValueRef unwind_word(struct fgen *f)
{
    struct gen *g = f->g;
    LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, unwind)));
    LLVMValueRef unwind = gen_load(g, g->t.i32, at, ALIAS_BLOCK);
    LLVMSetOrdering(
        unwind, LLVMAtomicOrderingMonotonic); /* written by the calls, whatever attributes say */
    LLVMSetAlignment(unwind, 4);
    return gen_without_base(g, f->ctx, unwind);
}

/* Both words, compared with B. A loop's poll is atomic, by which the passes know it (polls.h); the test behind a call
 * stays behind it, whatever the call's attributes say. */
static LLVMValueRef is_requested(struct fgen *f, bool is_atomic)
{
    struct gen *g = f->g;
    LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, unwind)));
    LLVMValueRef words = gen_load(g, g->t.i64, at, ALIAS_BLOCK);
    if (is_atomic) {
        LLVMSetOrdering(words, LLVMAtomicOrderingMonotonic);
        LLVMSetAlignment(words, 8);
    } else {
        LLVMSetVolatile(words, 1);
    }
    LLVMValueRef base = LLVMBuildPtrToInt(g->b, f->ctx, g->t.i64, "");
    return LLVMBuildICmp(g->b, LLVMIntNE, words, base, "");
}

/* Ask the host what to do. The stub keeps all registers, and what it is told it leaves in the unwind word: hot code
 * around this pays for nothing. captured: where a capture goes on, from the block that is returned; NULL: the image
 * cannot be captured. */
static LLVMBasicBlockRef serve_request(struct fgen *f, LLVMBasicBlockRef next,
                                       LLVMBasicBlockRef captured)
{
    struct gen *g = f->g;
    LLVMValueRef stub = gen_poll_stub(g);
    LLVMValueRef call = LLVMBuildCall2(g->b, LLVMGlobalGetValueType(stub), stub, &f->ctx, 1, "");
    gen_call_guest(g, call, GEN_KEEP_CC);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_reads);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_cold);
    LLVMBasicBlockRef unwinds = captured ? fgen_block(f, "unwinds") : fgen_handler(f);
    LLVMValueRef unwind = unwind_word(f);
    LLVMBuildCondBr(g->b, LLVMBuildICmp(g->b, LLVMIntNE, unwind, gen_i32(g, 0), ""), unwinds, next);
    if (!captured)
        return NULL;
    fgen_position(f, unwinds);
    LLVMValueRef is_capture = LLVMBuildICmp(g->b, LLVMIntEQ, unwind, gen_i32(g, UNWIND_CAPTURE),
                                            "");
    LLVMBuildCondBr(g->b, is_capture, captured, fgen_handler(f));
    return unwinds;
}

/* The cold side of a test behind a call: did the callee unwind for a capture already? */
static void serve_after_call(struct fgen *f, const struct site *s, LLVMBasicBlockRef next)
{
    struct gen *g = f->g;
    if (!g->shared->opt->image.movable) {
        serve_request(f, next, NULL);
        return;
    }
    LLVMBasicBlockRef here = LLVMGetInsertBlock(g->b), ask = fgen_block(f, "ask"),
                      keep = fgen_block(f, "save");
    LLVMValueRef is_capture = LLVMBuildICmp(g->b, LLVMIntEQ, unwind_word(f),
                                            gen_i32(g, UNWIND_CAPTURE), "");
    LLVMBuildCondBr(g->b, is_capture, keep, ask);
    fgen_position(f, ask);
    LLVMBasicBlockRef from[] = {here, serve_request(f, next, keep)};
    fgen_position(f, keep);
    LLVMValueRef kind = LLVMBuildPhi(g->b, g->t.i32, "");
    LLVMAddIncoming(kind, (LLVMValueRef[]){gen_i32(g, SITE_PENDING), gen_i32(g, SITE_RETURNED)},
                    from, 2);
    frame_save(f, s, kind);
}

/* The unwind word and the poll word are neighbours: one test of both makes each call a poll, so recursion
 * needs no other and loops with calls need none. */
static void test_words(struct fgen *f, const struct site *s)
{
    struct gen *g = f->g;
    if (g->shared->opt->image.no_polls && !f->g->m->tag_count)
        return;
    LLVMBasicBlockRef cold = fgen_cold_if(f, is_requested(f, false), "request");
    LLVMBasicBlockRef next = LLVMGetInsertBlock(g->b);
    fgen_position(f, cold);
    serve_after_call(f, s, next);
    fgen_position(f, next);
    g->counts.unwind_tests++;
}

/* One load and a never-taken branch; the request is served in a cold block. */
static void poll_at(struct fgen *f, const struct site *s)
{
    struct gen *g = f->g;
    if (g->shared->opt->image.no_polls)
        return;
    LLVMBasicBlockRef cold = fgen_cold_if(f, is_requested(f, true), "poll");
    LLVMBasicBlockRef next = LLVMGetInsertBlock(g->b);
    fgen_position(f, cold);
    if (g->shared->opt->image.movable) {
        LLVMBasicBlockRef keep = fgen_block(f, "save");
        serve_request(f, next, keep);
        fgen_position(f, keep);
        frame_save(f, s, gen_i32(g, SITE_AT));
    } else {
        serve_request(f, next, NULL);
    }
    fgen_position(f, next);
}

void capture_poll_loop(struct fgen *f, const struct frame *loop)
{
    uint32_t frames = (uint32_t)(loop - f->frames);
    poll_at(f, &(struct site){.off = loop->off,
                              .below = loop->height,
                              .top = loop->param_count,
                              .frames = frames});
}

/* ---- twins: the way in ---- */

/* Where the way to a place inside goes when it comes to the loop. */
static LLVMBasicBlockRef way_into(struct fgen *f, struct frame *loop)
{
    if (loop->resume_enter)
        return loop->resume_enter;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    loop->resume_enter = fgen_block(f, "enter");
    fgen_position(f, loop->resume_enter);
    LLVMBuildBr(f->g->b, loop->loop);
    for (uint32_t i = 0; i < loop->param_count; i++) {
        LLVMValueRef none = LLVMGetUndef(gen_valtype(f->g, loop->params[i]));
        LLVMAddIncoming(loop->loop_phis[i], &none, &loop->resume_enter, 1);
    }
    fgen_position(f, here);
    return loop->resume_enter;
}

/* Ways are numbered from 1 on. */
static uint32_t add_way(struct fgen *f, const struct site *s, enum abi_site_kind kind)
{
    if (f->way_count == f->way_cap) {
        uint32_t cap = f->way_cap ? f->way_cap * 2 : 64;
        struct frame_way *ways = realloc(f->ways, cap * sizeof *ways);
        if (!ways) {
            f->nomem = true;
            return 0;
        }
        f->ways = ways;
        f->way_cap = cap;
    }
    f->ways[f->way_count++] = (struct frame_way){frame_site(f, s), kind};
    if (f->in_memory)
        frame_operand_room(f, frame_operand_count(f, s));
    return f->way_count;
}

/* A block that is reached when the record names this place; the builder stands in it. */
static void begin_resume(struct fgen *f, const struct site *s, enum abi_site_kind kind)
{
    struct gen *g = f->g;
    LLVMBasicBlockRef block = fgen_block(f, "resume"), to = block;
    uint32_t number = add_way(f, s, kind);
    for (uint32_t i = f->frame_count; i-- > 0;) {
        struct frame *fr = &f->frames[i];
        if (!fr->resume_switch)
            continue;
        LLVMAddCase(fr->resume_switch, gen_i32(g, number), to);
        to = way_into(f, fr);
    }
    LLVMAddCase(f->entry_switch, gen_i32(g, number), to);
    fgen_position(f, block);
    LLVMBuildStore(g->b, gen_i32(g, 0), f->resume_at);
}

static LLVMValueRef value_at(struct gen *g, LLVMValueRef values, uint32_t i)
{
    return gen_at(g, values, (int64_t)i * (int64_t)sizeof(union cell_value));
}

static LLVMValueRef recorded(struct fgen *f, LLVMTypeRef t, uint32_t i)
{
    struct gen *g = f->g;
    LLVMValueRef values = gen_at(g, f->record, (int64_t)sizeof(struct abi_record));
    return gen_load(g, t, value_at(g, values, i), ALIAS_BLOCK);
}

/* Value i of the stack. */
static LLVMValueRef recorded_operand(struct fgen *f, LLVMTypeRef t, uint32_t i)
{
    if (f->in_memory)
        return LLVMBuildLoad2(f->g->b, t, frame_operand_at(f, i), "");
    return recorded(f, t, f->local_count + i);
}

/* Locals and the operands that are there now, all of them in variables. */
static void restore_variables(struct fgen *f, uint64_t off)
{
    struct gen *g = f->g;
    const struct live_site *live = live_at(&f->live, off);
    for (uint32_t i = 0; live && i < f->local_count; i++)
        if (live_local(live, i))
            LLVMBuildStore(g->b, recorded(f, gen_valtype(g, f->local_types[i]), i), f->locals[i]);
    for (uint32_t i = 0; i < f->depth; i++) {
        const struct operand *o = &f->stack[i];
        LLVMBuildStore(g->b, recorded_operand(f, o->slot_type, i), o->slot);
    }
}

/* results: how many stand between operands and exceptions. */
static void restore(struct fgen *f, uint64_t off, uint32_t results)
{
    if (!f->in_memory) /* else the host did it, see check_record */
        restore_variables(f, off);
    uint32_t at = f->depth + results;
    for (uint32_t i = 0; i < f->frame_count; i++)
        if (f->frames[i].kind == FRAME_CATCH)
            LLVMBuildStore(f->g->b, recorded_operand(f, f->g->t.ptr, at++), f->frames[i].exn_slot);
}

void capture_site_at(struct fgen *f, uint64_t off)
{
    if (!f->twin)
        return;
    capture_keep_operands(f);
    if (f->nomem)
        return;
    LLVMBasicBlockRef join = fgen_block(f, "at");
    LLVMBuildBr(f->g->b, join);
    struct site s = {.off = off, .below = f->depth, .frames = f->frame_count};
    begin_resume(f, &s, SITE_AT);
    restore(f, off, 0);
    LLVMBuildBr(f->g->b, join);
    fgen_position(f, join);
    f->epoch++;
}

void capture_loop_header(struct fgen *f, struct frame *loop)
{
    struct gen *g = f->g;
    if (!f->twin || loop->strip_outer)
        return;
    LLVMBasicBlockRef body = fgen_block(f, "");
    LLVMValueRef at = LLVMBuildLoad2(g->b, g->t.i32, f->resume_at, "");
    loop->resume_switch = LLVMBuildSwitch(g->b, at, body, 4);
    fgen_position(f, body);
}

/* The way in comes behind the poll: a frame that is entered again gets on, whatever request waits already. */
void capture_poll_tail_call(struct fgen *f, const struct instr *in)
{
    poll_at(f, &(struct site){.off = in->off, .below = f->depth, .frames = f->frame_count});
    capture_site_at(f, in->off);
}

/* ---- around calls ---- */

void capture_call_begin(struct fgen *f, const valtype_t *results, uint32_t result_count,
                        struct call_site *ret_site)
{
    *ret_site = (struct call_site){.results = results, .result_count = result_count};
    if (!f->twin)
        return;
    capture_keep_operands(f);
    if (result_count) /* where it will stand on the stack */
        ret_site->result = operand_slot(f, f->depth, gen_valtype(f->g, results[0]));
}

static LLVMTypeRef twin_type(struct gen *g, const struct call_site *c)
{
    LLVMTypeRef ret = c->result_count ? gen_valtype(g, c->results[0]) : g->t.void_;
    return LLVMFunctionType(ret, &g->t.ptr, 1, 0);
}

/* The call was pending: the frame that it led to is rebuilt, or the host's operation done. */
static void resume_pending(struct fgen *f, const struct call_site *c, const struct site *s,
                           LLVMBasicBlockRef after)
{
    struct gen *g = f->g;
    begin_resume(f, s, SITE_PENDING);
    restore(f, s->off, c->result_count);
    LLVMBasicBlockRef guest = fgen_block(f, "guest"), host = fgen_block(f, "host");
    LLVMValueRef code = GEN_OP(g, f->ctx, resume, g->t.ptr, f->resume_io, f->resume_ctx);
    LLVMBuildCondBr(g->b, LLVMBuildIsNull(g->b, code, ""), host, guest);
    fgen_position(f, guest);
    LLVMValueRef ctx = LLVMBuildLoad2(g->b, g->t.ptr, f->resume_ctx, "");
    LLVMValueRef call = LLVMBuildCall2(g->b, twin_type(g, c), code, &ctx, 1, "");
    gen_call_guest(g, call, GEN_C_CC);
    if (c->result_count)
        LLVMBuildStore(g->b, call, c->result);
    LLVMBuildBr(g->b, after);
    fgen_position(f, host);
    if (c->result_count) {
        LLVMTypeRef t = gen_valtype(g, c->results[0]);
        LLVMBuildStore(g->b, LLVMBuildLoad2(g->b, t, f->resume_io, ""), c->result);
    }
    LLVMBuildBr(g->b, after);
}

static LLVMValueRef multi_result(struct fgen *f, uint32_t i)
{
    struct gen *g = f->g;
    LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, multi)));
    return value_at(g, gen_load(g, g->t.ptr, at, ALIAS_BLOCK), i - 1);
}

static void resume_returned(struct fgen *f, const struct call_site *c, const struct site *s,
                            LLVMBasicBlockRef next)
{
    struct gen *g = f->g;
    begin_resume(f, s, SITE_RETURNED);
    restore(f, s->off, c->result_count);
    for (uint32_t i = 0; i < c->result_count; i++) {
        LLVMValueRef v = recorded_operand(f, gen_valtype(g, c->results[i]), f->depth + i);
        if (i == 0)
            LLVMBuildStore(g->b, v, c->result);
        else
            gen_store(g, v, multi_result(f, i), ALIAS_BLOCK);
    }
    LLVMBuildBr(g->b, next);
}

LLVMValueRef capture_call_end(struct fgen *f, struct call_site *c, LLVMValueRef call)
{
    struct gen *g = f->g;
    struct site s = {.off = f->at->off,
                     .below = f->depth,
                     .results = c->results,
                     .result_count = c->result_count,
                     .result = call,
                     .frames = f->frame_count};
    if (!f->twin || f->nomem) {
        test_words(f, &s);
        return call;
    }
    LLVMTypeRef t = c->result_count ? gen_valtype(g, c->results[0]) : NULL;
    LLVMBasicBlockRef after = fgen_block(f, "after"), next = fgen_block(f, "next");
    if (t)
        LLVMBuildStore(g->b, call, c->result);
    LLVMBuildBr(g->b, after);
    resume_pending(f, c, &s, after);
    fgen_position(f, after);
    s.result = t ? LLVMBuildLoad2(g->b, t, c->result, "") : NULL;
    test_words(f, &s);
    LLVMBuildBr(g->b, next);
    resume_returned(f, c, &s, next);
    fgen_position(f, next);
    f->epoch++;
    return t ? LLVMBuildLoad2(g->b, t, c->result, "") : NULL;
}

/* ---- a function ---- */

void capture_begin(struct fgen *f)
{
    struct gen *g = f->g;
    if (!g->shared->opt->image.movable)
        return;
    if (live_analyse(g->m, f->index, &f->arena, &f->live) != ST_OK)
        f->nomem = true;
    if (!f->twin)
        return;
    f->resume_at = fgen_entry_alloca(f, g->t.i32, "resume_at");
    f->resume_io = fgen_entry_alloca(f, g->t.v128, "io");
    f->resume_ctx = fgen_entry_alloca(f, g->t.ptr, "ctx");
    f->resume_start = fgen_block(f, "record");
    fgen_position(f, f->resume_start);
    if (!f->in_memory)
        f->record = gen_call_op(g, f->ctx, offsetof(struct abi_ops, record), g->t.ptr, NULL, 0);
    LLVMBasicBlockRef unknown = fgen_block(f, "unknown");
    f->resume_enter = fgen_block(f, "enter");
    fgen_position(f, f->resume_enter);
    f->entry_switch = LLVMBuildSwitch(g->b, gen_i32(g, 0), unknown, 16);
    fgen_position(f, unknown);
    LLVMBuildUnreachable(g->b);
}

/* The host finds the way that the record goes, and fills variables in memory. */
void capture_end(struct fgen *f)
{
    struct gen *g = f->g;
    if (!f->twin)
        return;
    LLVMValueRef none = LLVMConstNull(g->t.ptr);
    LLVMValueRef ways = frame_ways(g, f->fn, f->ways, f->way_count);
    if (!ways) {
        f->nomem = true;
        return;
    }
    fgen_position(f, f->resume_start);
    LLVMValueRef way = GEN_OP(g, f->ctx, enter, g->t.i32, ways, f->in_memory ? f->local_area : none,
                              gen_i32(g, f->local_stride), f->in_memory ? f->operand_area : none);
    LLVMBuildStore(g->b, way, f->resume_at);
    LLVMSetOperand(f->entry_switch, 0, way);
    LLVMBuildBr(g->b, f->resume_enter);
}

void capture_done(struct fgen *f)
{
    free(f->slots);
    free(f->ways);
}
