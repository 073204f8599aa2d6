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
        *s = (struct operand_slot){f->slots[i], type, fgen_entry_alloca(f, type, "operand")};
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

/* ---- the site in the image's constants ---- */

static valtype_t type_of(const struct fgen *f, LLVMTypeRef t, valtype_t ref)
{
    const struct gen_types *k = &f->g->t;
    return t == k->i32   ? VT_I32
           : t == k->i64 ? VT_I64
           : t == k->f32 ? VT_F32
           : t == k->f64 ? VT_F64
           : t == k->ptr ? ref
                         : VT_V128;
}

static LLVMTypeRef operand_type(const struct operand *o)
{
    return o->slot ? o->slot_type : LLVMTypeOf(o->v);
}

/* The operands of a frame: those below, the topmost, the results of its call, exceptions of catch clauses. */
static uint32_t operand_count(const struct fgen *f, const struct site *s)
{
    uint32_t n = s->below + s->top + s->result_count;
    for (uint32_t i = 0; i < s->frames; i++)
        n += f->frames[i].kind == FRAME_CATCH;
    return n;
}

static const struct operand *present_operand(const struct fgen *f, const struct site *s, uint32_t i)
{
    return &f->stack[i < s->below ? i : f->depth - s->top + (i - s->below)];
}

/* What a site says of itself, while it is put together. */
struct site_lists {
    LLVMValueRef *live; /* indexes of locals */
    uint8_t *types;
    uint32_t live_count;
};

static void list_values(struct fgen *f, const struct site *s, uint32_t stack,
                        struct site_lists *lists)
{
    const struct live_site *live = live_at(&f->live, s->off);
    uint32_t n = 0, present = s->below + s->top;
    for (uint32_t i = 0; live && i < f->local_count; i++) {
        if (!live_local(live, i))
            continue;
        lists->live[n] = gen_i32(f->g, i);
        lists->types[n++] = f->local_types[i];
    }
    lists->live_count = n;
    for (uint32_t i = 0; i < stack; i++) {
        const struct operand *o = i < present ? present_operand(f, s, i) : NULL;
        lists->types[n++] = o                               ? type_of(f, operand_type(o), o->vt)
                            : i - present < s->result_count ? s->results[i - present]
                                                            : (valtype_t)VT_EXNREF;
    }
}

static LLVMValueRef site_constant(struct fgen *f, const struct site *s)
{
    struct gen *g = f->g;
    uint32_t stack = operand_count(f, s);
    struct site_lists l = {.live = calloc((size_t)f->local_count + 1, sizeof(LLVMValueRef)),
                           .types = malloc((size_t)f->local_count + stack + 1)};
    LLVMValueRef at = LLVMConstNull(g->t.ptr);
    if (l.live && l.types) {
        list_values(f, s, stack, &l);
        LLVMValueRef fields[] = {
            gen_i32(g, f->index),
            gen_i32(g, (uint32_t)s->off),
            gen_i32(g, f->local_count),
            gen_i32(g, l.live_count),
            gen_i32(g, stack),
            gen_i32(g, s->result_count),
            LLVMConstArray2(g->t.i32, l.live, l.live_count),
            LLVMConstStringInContext2(g->llvm, (const char *)l.types, l.live_count + stack, 1)};
        LLVMValueRef init = LLVMConstStructInContext(g->llvm, fields,
                                                     sizeof fields / sizeof *fields, 0);
        at = LLVMAddGlobal(g->mod, LLVMTypeOf(init), "");
        LLVMSetLinkage(at, LLVMInternalLinkage);
        LLVMSetGlobalConstant(at, 1);
        LLVMSetAlignment(at, 4);
        LLVMSetInitializer(at, init);
    } else {
        f->nomem = true;
    }
    free(l.live);
    free(l.types);
    return at;
}

/* ---- saving ---- */

static LLVMValueRef slot_at(struct gen *g, LLVMValueRef values, uint32_t i)
{
    return gen_at(g, values, (int64_t)i * (int64_t)sizeof(union cell_value));
}

static void save_value(struct gen *g, LLVMValueRef v, LLVMValueRef values, uint32_t i)
{
    gen_store(g, v, slot_at(g, values, i), ALIAS_BLOCK);
}

static LLVMValueRef local_now(struct fgen *f, uint32_t i)
{
    LLVMValueRef v = LLVMBuildLoad2(f->g->b, gen_valtype(f->g, f->local_types[i]), f->locals[i],
                                    "");
    bool is_float = f->local_types[i] == VT_F32 || f->local_types[i] == VT_F64;
    bool raw = is_float && f->local_raw[i] && f->g->shared->opt->image.nan == NAN_CANONICAL;
    return raw ? fgen_canonical(f, v) : v;
}

static LLVMValueRef multi_result(struct fgen *f, uint32_t i)
{
    struct gen *g = f->g;
    LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, multi)));
    return slot_at(g, gen_load(g, g->t.ptr, at, ALIAS_BLOCK), i - 1);
}

/* Results of a call that has not returned are nothing yet: zero. */
static void save_results(struct fgen *f, const struct site *s, LLVMValueRef kind,
                         LLVMValueRef values, uint32_t first)
{
    struct gen *g = f->g;
    LLVMValueRef is_there = LLVMBuildICmp(g->b, LLVMIntEQ, kind, gen_i32(g, SITE_RETURNED), "");
    for (uint32_t i = 0; i < s->result_count; i++) {
        LLVMTypeRef t = gen_valtype(g, s->results[i]);
        LLVMValueRef v = i ? gen_load(g, t, multi_result(f, i), ALIAS_BLOCK) : s->result;
        save_value(g, LLVMBuildSelect(g->b, is_there, v, LLVMConstNull(t), ""), values, first + i);
    }
}

static void save(struct fgen *f, const struct site *s, LLVMValueRef kind)
{
    struct gen *g = f->g;
    const struct live_site *live = live_at(&f->live, s->off);
    uint32_t present = s->below + s->top, n = 0;
    LLVMValueRef values = GEN_OP(g, f->ctx, frame, g->t.ptr, site_constant(f, s), kind);
    for (uint32_t i = 0; live && i < f->local_count; i++)
        if (live_local(live, i))
            save_value(g, local_now(f, i), values, n++);
    for (uint32_t i = 0; i < present; i++) {
        const struct operand *o = present_operand(f, s, i);
        LLVMValueRef v = fgen_operand(f, o);
        save_value(g, o->raw ? fgen_canonical(f, v) : v, values, n + i);
    }
    save_results(f, s, kind, values, n + present);
    uint32_t at = n + present + s->result_count;
    for (uint32_t i = 0; i < s->frames; i++)
        if (f->frames[i].kind == FRAME_CATCH)
            save_value(g, gen_frame_exn(f, &f->frames[i]), values, at++);
    if (!f->leave)
        f->leave = fgen_block(f, "leave");
    LLVMBuildBr(g->b, f->leave);
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
    return unwind;
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
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_poll_memory);
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

/* A host function that waits may have asked for its call to be made again: then the record has the arguments. What it
 * called may as well be another instance's, whose frames have records of their own; ops->frame knows. */
static void save_restart(struct fgen *f, const struct site *s, uint32_t args)
{
    struct site inside = *s;
    inside.below += args;
    inside.result_count = 0;
    save(f, &inside, gen_i32(f->g, SITE_PENDING));
}

/* The cold side of a test behind a call: did the callee unwind for a capture already? */
static void serve_after_call(struct fgen *f, const struct site *s, const struct call_site *c,
                             LLVMBasicBlockRef next)
{
    struct gen *g = f->g;
    if (!g->shared->opt->image.movable) {
        serve_request(f, next, NULL);
        return;
    }
    LLVMBasicBlockRef here = LLVMGetInsertBlock(g->b), ask = fgen_block(f, "ask"),
                      keep = fgen_block(f, "save");
    LLVMBasicBlockRef inside = c->restarts ? fgen_block(f, "inside") : keep;
    LLVMValueRef is_capture = LLVMBuildICmp(g->b, LLVMIntEQ, unwind_word(f),
                                            gen_i32(g, UNWIND_CAPTURE), "");
    LLVMBuildCondBr(g->b, is_capture, inside, ask);
    fgen_position(f, ask);
    LLVMBasicBlockRef from[] = {here, serve_request(f, next, keep)};
    if (c->restarts) {
        fgen_position(f, inside);
        save_restart(f, s, c->args);
        fgen_position(f, keep);
        save(f, s, gen_i32(g, SITE_RETURNED));
        return;
    }
    fgen_position(f, keep);
    LLVMValueRef kind = LLVMBuildPhi(g->b, g->t.i32, "");
    LLVMAddIncoming(kind, (LLVMValueRef[]){gen_i32(g, SITE_PENDING), gen_i32(g, SITE_RETURNED)},
                    from, 2);
    save(f, s, kind);
}

/* The unwind word and the poll word are neighbours: one test of both makes each call a poll, so recursion
 * needs no other and loops with calls need none. */
static void test_words(struct fgen *f, const struct site *s, const struct call_site *c)
{
    struct gen *g = f->g;
    if (g->shared->opt->image.no_polls && !f->g->m->tag_count)
        return;
    LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, unwind)));
    LLVMValueRef words = gen_load(g, g->t.i64, at, ALIAS_BLOCK);
    LLVMValueRef set = LLVMBuildICmp(g->b, LLVMIntNE, words, gen_i64(g, 0), "");
    LLVMBasicBlockRef cold = fgen_cold_if(f, set, "request");
    LLVMBasicBlockRef next = LLVMGetInsertBlock(g->b);
    fgen_position(f, cold);
    serve_after_call(f, s, c, next);
    fgen_position(f, next);
    g->counts.unwind_tests++;
}

/* One load and a never-taken branch; the request is served in a cold block. */
static void poll_at(struct fgen *f, const struct site *s)
{
    struct gen *g = f->g;
    if (g->shared->opt->image.no_polls)
        return;
    LLVMValueRef at = gen_at(g, f->ctx, gen_ctx_field(offsetof(struct abi_ctx, poll)));
    LLVMValueRef word = gen_load(g, g->t.i32, at, ALIAS_BLOCK);
    LLVMSetOrdering(word, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(word, 4);
    LLVMValueRef set = LLVMBuildICmp(g->b, LLVMIntNE, word, gen_i32(g, 0), "");
    LLVMBasicBlockRef cold = fgen_cold_if(f, set, "poll");
    LLVMBasicBlockRef next = LLVMGetInsertBlock(g->b);
    fgen_position(f, cold);
    if (g->shared->opt->image.movable) {
        LLVMBasicBlockRef keep = fgen_block(f, "save");
        serve_request(f, next, keep);
        fgen_position(f, keep);
        save(f, s, gen_i32(g, SITE_AT));
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

static void add_case(struct fgen *f, LLVMValueRef at, uint64_t value, LLVMBasicBlockRef to)
{
    LLVMTypeRef t = LLVMTypeOf(LLVMGetOperand(at, 0));
    LLVMAddCase(at, LLVMConstInt(t, value, 0), to);
    (void)f;
}

/* A block that is reached when the record names this place; the builder stands in it. */
static void begin_resume(struct fgen *f, uint64_t off, enum abi_site_kind kind)
{
    struct gen *g = f->g;
    LLVMBasicBlockRef start = fgen_block(f, "start"), block = fgen_block(f, "resume");
    LLVMBasicBlockRef to = block;
    uint32_t number = ++f->site_number;
    for (uint32_t i = f->frame_count; i-- > 0;) {
        struct frame *fr = &f->frames[i];
        if (!fr->resume_switch)
            continue;
        add_case(f, fr->resume_switch, number, to);
        to = way_into(f, fr);
    }
    add_case(f, f->entry_switch, off * 4 + kind, start);
    fgen_position(f, start);
    LLVMBuildStore(g->b, gen_i32(g, number), f->resume_at);
    LLVMBuildBr(g->b, to);
    fgen_position(f, block);
    LLVMBuildStore(g->b, gen_i32(g, 0), f->resume_at);
}

static LLVMValueRef recorded(struct fgen *f, LLVMTypeRef t, uint32_t i)
{
    struct gen *g = f->g;
    LLVMValueRef values = gen_at(g, f->record, (int64_t)sizeof(struct abi_record));
    return gen_load(g, t, slot_at(g, values, i), ALIAS_BLOCK);
}

/* Locals and the operands that are there now, all of them in variables. results: how many stand between operands and
 * exceptions. */
static void restore(struct fgen *f, uint64_t off, uint32_t results)
{
    struct gen *g = f->g;
    const struct live_site *live = live_at(&f->live, off);
    for (uint32_t i = 0; live && i < f->local_count; i++)
        if (live_local(live, i))
            LLVMBuildStore(g->b, recorded(f, gen_valtype(g, f->local_types[i]), i), f->locals[i]);
    for (uint32_t i = 0; i < f->depth; i++) {
        const struct operand *o = &f->stack[i];
        LLVMBuildStore(g->b, recorded(f, o->slot_type, f->local_count + i), o->slot);
    }
    uint32_t at = f->local_count + f->depth + results;
    for (uint32_t i = 0; i < f->frame_count; i++)
        if (f->frames[i].kind == FRAME_CATCH)
            LLVMBuildStore(g->b, recorded(f, g->t.ptr, at++), f->frames[i].exn_slot);
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
    begin_resume(f, off, SITE_AT);
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
static void resume_pending(struct fgen *f, const struct call_site *c, uint64_t off,
                           LLVMBasicBlockRef after)
{
    struct gen *g = f->g;
    begin_resume(f, off, SITE_PENDING);
    restore(f, off, c->restarts ? c->args : c->result_count);
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

static void resume_returned(struct fgen *f, const struct call_site *c, uint64_t off,
                            LLVMBasicBlockRef next)
{
    struct gen *g = f->g;
    begin_resume(f, off, SITE_RETURNED);
    restore(f, off, c->result_count);
    for (uint32_t i = 0; i < c->result_count; i++) {
        LLVMValueRef v = recorded(f, gen_valtype(g, c->results[i]), f->local_count + f->depth + i);
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
        test_words(f, &s, c);
        return call;
    }
    LLVMTypeRef t = c->result_count ? gen_valtype(g, c->results[0]) : NULL;
    LLVMBasicBlockRef after = fgen_block(f, "after"), next = fgen_block(f, "next");
    if (t)
        LLVMBuildStore(g->b, call, c->result);
    LLVMBuildBr(g->b, after);
    resume_pending(f, c, s.off, after);
    fgen_position(f, after);
    s.result = t ? LLVMBuildLoad2(g->b, t, c->result, "") : NULL;
    test_words(f, &s, c);
    LLVMBuildBr(g->b, next);
    resume_returned(f, c, s.off, next);
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
    LLVMBasicBlockRef unknown = fgen_block(f, "unknown");
    fgen_position(f, f->resume_start);
    f->record = gen_call_op(g, f->ctx, offsetof(struct abi_ops, record), g->t.ptr, NULL, 0);
    LLVMValueRef key = gen_load(g, g->t.i64, f->record, ALIAS_BLOCK);
    f->entry_switch = LLVMBuildSwitch(g->b, key, unknown, 16);
    fgen_position(f, unknown);
    fgen_trap(f, TRAP_RESUME);
}

void capture_done(struct fgen *f)
{
    free(f->slots);
}
