#include <stdlib.h>

#include "gen.h"

/* Strip mining. A poll in a loop that LLVM could vectorise would keep it scalar, so an innermost loop without
 * calls becomes
 *
 *     strip:  k = min(K, iterations left)
 *     loop:   body; if (--k != 0) goto loop
 *             if (condition) { poll; goto strip }
 *
 * when its counter is found: a local that changes by a constant once in each iteration and is compared with
 * something that does not change. The number of iterations then is plain to LLVM, whatever the wasm looked like.
 * A loop without a known counter, or with a sum of floats, polls at its back edge. K times the estimated body stays
 * below 200 us. See docs/internals/polls.md. */

enum { STRIP_BUDGET_NS = 100000, STRIP_K_MIN = 64, STRIP_K_MAX = 65536 };

struct counter {
    LLVMValueRef local; /* alloca of the counter */
    LLVMValueRef start; /* constant that it starts with, or NULL */
    LLVMValueRef bound; /* constant, or the alloca of a local that the loop does not set */
    bool bound_is_local;
    LLVMIntPredicate again; /* NE, ULT, SLT, UGT, SGT of (new value, bound) */
    int64_t step;
};

static uint32_t strip_count(uint32_t instr_count)
{
    uint32_t k = STRIP_K_MAX;
    while (k > STRIP_K_MIN && (uint64_t)k * instr_count > STRIP_BUDGET_NS)
        k /= 2;
    return k;
}

/* The constants that locals hold on the way into the loop are forgotten by its first join, so they are kept. */
static void keep_entry_constants(struct fgen *f, struct frame *fr)
{
    fr->loop_entry = arena_alloc(&f->arena, f->local_count, sizeof(LLVMValueRef));
    if (!fr->loop_entry) {
        f->nomem = true;
        return;
    }
    for (uint32_t i = 0; i < f->local_count; i++)
        fr->loop_entry[i] = f->entry_epoch[i] == fr->entry_epoch ? f->entry_const[i] : NULL;
}

void strip_loop_begin(struct fgen *f, struct frame *fr, const struct loop_facts *facts, bool mine)
{
    struct gen *g = f->g;
    fr->facts = facts;
    fr->loop_sets = f->set_count;
    fr->long_inside = facts->has_call || facts->has_table_branch || facts->back_edges > 1;
    if (!fr->long_inside)
        keep_entry_constants(f, fr);
    if (!mine)
        return;
    fr->strip_k = strip_count(facts->instr_count);
    fr->strip_var = fgen_entry_alloca(f, g->t.i32, "strip");
    fr->strip_outer = fgen_block(f, "strip");
    LLVMBuildBr(g->b, fr->strip_outer);
    fgen_position(f, fr->strip_outer);
    g->counts.strip_mined++;
}

static void note(struct fgen *f, uint32_t local, LLVMValueRef value)
{
    if (f->set_count == f->set_cap) {
        uint32_t cap = f->set_cap ? f->set_cap * 2 : 256;
        struct local_set *sets = realloc(f->sets, cap * sizeof *sets);
        if (!sets) {
            f->nomem = true;
            return;
        }
        f->sets = sets;
        f->set_cap = cap;
    }
    f->sets[f->set_count++] = (struct local_set){
        .local = local, .value = value, .frame_serial = f->frames[f->frame_count - 1].serial};
}

void strip_note_set(struct fgen *f, uint32_t local, LLVMValueRef value)
{
    f->entry_epoch[local] = LLVMIsAConstantInt(value) ? f->epoch : 0;
    f->entry_const[local] = value;
    note(f, local, value);
}

/* ---- which ways pass a poll ---- */

/* What holds of a loop holds of those around it, since every way from their start leads through its start. So one
 * number says it of all open loops; where ways meet it is the least. Nothing on the way can undo a poll but the start
 * of the loop itself, which is not behind it; so a loop begins with what held in front of it, and so does whatever can
 * be reached from anywhere in a block: a catch clause. */

void strip_note_poll(struct fgen *f)
{
    f->polled = f->frames[f->frame_count - 1].loop_depth;
}

void strip_note_branch(const struct fgen *f, struct frame *to)
{
    if (f->polled < to->polled_end)
        to->polled_end = f->polled;
}

void strip_block_end(struct fgen *f, const struct frame *fr)
{
    uint32_t open = fr->loop_depth - (fr->kind == FRAME_LOOP);
    f->polled = fr->polled_end < open ? fr->polled_end : open;
}

bool strip_has_poll(const struct fgen *f, const struct frame *fr)
{
    return f->polled >= fr->loop_depth;
}

/* ---- finding the counter ---- */

static bool frame_open(const struct fgen *f, uint32_t serial)
{
    for (uint32_t i = f->frame_count; i-- > 0;)
        if (f->frames[i].serial == serial)
            return true;
    return false;
}

static bool local_of(const struct fgen *f, LLVMValueRef v, uint32_t *ret_local)
{
    if (!LLVMIsALoadInst(v))
        return false;
    LLVMValueRef from = LLVMGetOperand(v, 0);
    for (uint32_t i = 0; i < f->local_count; i++) {
        if (f->locals[i] == from) {
            *ret_local = i;
            return true;
        }
    }
    return false;
}

/* The only assignment to a local since the loop began; NULL for none, or several (count tells). */
static const struct local_set *only_set(const struct fgen *f, const struct frame *fr,
                                        uint32_t local, uint32_t *ret_count)
{
    const struct local_set *found = NULL;
    *ret_count = 0;
    for (uint32_t i = fr->loop_sets; i < f->set_count; i++) {
        if (f->sets[i].local == local) {
            found = &f->sets[i];
            ++*ret_count;
        }
    }
    return *ret_count == 1 ? found : NULL;
}

/* value = old + step, where old was read from the local before */
static bool is_step(const struct fgen *f, LLVMValueRef value, uint32_t local, int64_t *ret_step)
{
    uint32_t from;
    if (!LLVMIsABinaryOperator(value) || LLVMGetInstructionOpcode(value) != LLVMAdd)
        return false;
    LLVMValueRef a = LLVMGetOperand(value, 0), b = LLVMGetOperand(value, 1);
    if (!LLVMIsAConstantInt(b) || !local_of(f, a, &from) || from != local)
        return false;
    *ret_step = LLVMConstIntGetSExtValue(b);
    return *ret_step != 0 && *ret_step > -65536 && *ret_step < 65536;
}

/* A read after the assignment gives the new value, one before it the old. */
static bool reads_after(LLVMValueRef load, LLVMValueRef value, LLVMValueRef local)
{
    for (LLVMValueRef i = load; i; i = LLVMGetPreviousInstruction(i))
        if (LLVMIsAStoreInst(i) && LLVMGetOperand(i, 0) == value && LLVMGetOperand(i, 1) == local)
            return true;
    return false;
}

/* Is v the value that a local has at the back edge, after its one step in each iteration? An assignment in a
 * block that is still open here was passed on the way to here. */
static bool find_step(const struct fgen *f, const struct frame *fr, LLVMValueRef v,
                      struct counter *c)
{
    uint32_t local, count;
    const struct local_set *set = NULL;
    if (local_of(f, v, &local)) {
        set = only_set(f, fr, local, &count);
    } else {
        for (uint32_t i = fr->loop_sets; i < f->set_count; i++)
            if (f->sets[i].value == v)
                set = only_set(f, fr, f->sets[i].local, &count);
    }
    if (!set || !frame_open(f, set->frame_serial) || !is_step(f, set->value, set->local, &c->step))
        return false;
    c->local = f->locals[set->local];
    c->start = fr->loop_entry[set->local];
    return v == set->value || reads_after(v, set->value, c->local);
}

static bool find_bound(const struct fgen *f, const struct frame *fr, LLVMValueRef v,
                       struct counter *c)
{
    uint32_t local, count;
    if (LLVMIsAConstantInt(v)) {
        c->bound = v;
        return true;
    }
    if (!local_of(f, v, &local))
        return false;
    only_set(f, fr, local, &count);
    c->bound = f->locals[local];
    c->bound_is_local = true;
    return count == 0;
}

static LLVMIntPredicate inverse(LLVMIntPredicate p)
{
    switch (p) {
    case LLVMIntEQ:
        return LLVMIntNE;
    case LLVMIntUGE:
        return LLVMIntULT;
    case LLVMIntSGE:
        return LLVMIntSLT;
    case LLVMIntULE:
        return LLVMIntUGT;
    case LLVMIntSLE:
        return LLVMIntSGT;
    case LLVMIntNE:
    case LLVMIntUGT:
    case LLVMIntULT:
    case LLVMIntSGT:
    case LLVMIntSLT:
        break;
    }
    return LLVMIntEQ; /* none that is handled */
}

static bool usable(LLVMIntPredicate p, int64_t step)
{
    if (p == LLVMIntNE)
        return true;
    if (p == LLVMIntULT || p == LLVMIntSLT)
        return step > 0;
    return (p == LLVMIntUGT || p == LLVMIntSGT) && step < 0;
}

/* The loop goes on while operand is not 0 (or is 0, with invert). */
static bool find_counter(const struct fgen *f, const struct frame *fr, LLVMValueRef operand,
                         bool invert, struct counter *c)
{
    if (LLVMTypeOf(operand) != f->g->t.i32)
        return false;
    if (!LLVMIsAZExtInst(operand) || !LLVMIsAICmpInst(LLVMGetOperand(operand, 0))) {
        c->again = LLVMIntNE;
        c->bound = gen_i32(f->g, 0);
        return !invert && find_step(f, fr, operand, c);
    }
    LLVMValueRef cmp = LLVMGetOperand(operand, 0);
    LLVMValueRef a = LLVMGetOperand(cmp, 0), b = LLVMGetOperand(cmp, 1);
    LLVMIntPredicate p = LLVMGetICmpPredicate(cmp);
    if (p == LLVMIntEQ && LLVMIsAZExtInst(a) && LLVMIsNull(b))
        return find_counter(f, fr, a, !invert, c);
    c->again = invert ? inverse(p) : p;
    if (LLVMTypeOf(a) != f->g->t.i32)
        return false;
    if (find_step(f, fr, a, c) && find_bound(f, fr, b, c))
        return usable(c->again, c->step);
    return c->again == LLVMIntNE && find_step(f, fr, b, c) && find_bound(f, fr, a, c);
}

/* ---- the number of iterations ---- */

static LLVMValueRef umin(struct gen *g, LLVMValueRef a, LLVMValueRef b)
{
    LLVMTypeRef t = LLVMTypeOf(a);
    return gen_call_intrinsic(g, "llvm.umin", &t, 1, (LLVMValueRef[]){a, b}, 2);
}

/* In the strip block: how often the body runs at least, if the condition is as found; 1 when that is
 * not certain (a distance that is no multiple of the step, or none at all). */
static LLVMValueRef iterations(struct gen *g, const struct counter *c, uint32_t k)
{
    LLVMBuilderRef b = g->b;
    LLVMValueRef now = LLVMBuildLoad2(b, g->t.i32, c->local, "");
    LLVMValueRef end = c->bound_is_local ? LLVMBuildLoad2(b, g->t.i32, c->bound, "") : c->bound;
    LLVMValueRef distance = c->step > 0 ? LLVMBuildSub(b, end, now, "")
                                        : LLVMBuildSub(b, now, end, "");
    LLVMValueRef step = gen_i32(g, (uint32_t)(c->step > 0 ? c->step : -c->step));
    LLVMValueRef n, sure;
    if (c->again == LLVMIntNE && (c->step == 1 || c->step == -1)) { /* no distance: 2^32 times */
        n = umin(g, LLVMBuildSub(b, distance, gen_i32(g, 1), ""), gen_i32(g, k - 1));
        return LLVMBuildAdd(b, n, gen_i32(g, 1), "");
    }
    if (c->again == LLVMIntNE) {
        LLVMValueRef rest = LLVMBuildURem(b, distance, step, "");
        LLVMValueRef exact = LLVMBuildICmp(b, LLVMIntEQ, rest, gen_i32(g, 0), "");
        n = LLVMBuildUDiv(b, distance, step, "");
        sure = LLVMBuildAnd(b, exact, LLVMBuildICmp(b, LLVMIntNE, n, gen_i32(g, 0), ""), "");
    } else { /* until the bound is reached or passed, rounded up */
        LLVMValueRef less = LLVMBuildSub(b, distance, gen_i32(g, 1), "");
        n = LLVMBuildAdd(b, LLVMBuildUDiv(b, less, step, ""), gen_i32(g, 1), "");
        sure = LLVMBuildICmp(b, c->again, now, end, "");
    }
    return LLVMBuildSelect(b, sure, umin(g, n, gen_i32(g, k)), gen_i32(g, 1), "");
}

/* How often a loop from a constant to a constant runs; 0: unknown. */
static uint64_t constant_count(const struct counter *c)
{
    if (!c->start || c->bound_is_local)
        return 0;
    int64_t now = LLVMConstIntGetSExtValue(c->start), end = LLVMConstIntGetSExtValue(c->bound);
    int64_t distance = c->step > 0 ? end - now : now - end, step = c->step > 0 ? c->step : -c->step;
    bool is_unsigned = c->again == LLVMIntULT || c->again == LLVMIntUGT;
    if (distance <= 0 || (is_unsigned && (now < 0 || end < 0)))
        return 0;
    if (c->again == LLVMIntNE && distance % step)
        return 0;
    return (uint64_t)((distance + step - 1) / step);
}

/* A loop whose iterations all together stay within the budget needs no polls; nor does one around such loops. */
static bool provably_short(struct frame *fr, const struct counter *c)
{
    uint64_t n = constant_count(c), body = fr->facts->instr_count + fr->inner_cost;
    if (n == 0 || fr->long_inside || n > STRIP_BUDGET_NS || n * body > STRIP_BUDGET_NS)
        return false;
    fr->cost = n * body;
    return true;
}

bool strip_is_short(struct fgen *f, struct frame *fr, LLVMValueRef operand)
{
    struct counter c = {0};
    return fr->loop_entry && !fr->long_inside && find_counter(f, fr, operand, false, &c) &&
           provably_short(fr, &c);
}

/* ---- the back edge ---- */

/* v, in a way that LLVM cannot know to be v. */
static LLVMValueRef opaque(struct gen *g, LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v), type = LLVMFunctionType(t, &t, 1, 0);
    LLVMValueRef code = LLVMGetInlineAsm(type, "", 0, "=r,0", 4, 0, 0, LLVMInlineAsmDialectATT, 0);
    return LLVMBuildCall2(g->b, type, code, &v, 1, "");
}

/* The branch operand v != 0 (or == 0), computed once more behind the loop. Uses of the comparison itself outside
 * would keep LLVM from vectorising the loop; uses of an induction variable do not, and the opaque step keeps the
 * two comparisons from being merged again. */
static LLVMValueRef condition_again(struct gen *g, LLVMValueRef v, bool is_true)
{
    if (LLVMIsAZExtInst(v) && LLVMIsAICmpInst(LLVMGetOperand(v, 0))) {
        LLVMValueRef c = LLVMGetOperand(v, 0), a = LLVMGetOperand(c, 0), b = LLVMGetOperand(c, 1);
        LLVMIntPredicate p = LLVMGetICmpPredicate(c);
        if (p == LLVMIntEQ && LLVMIsAZExtInst(a) && LLVMIsNull(b))
            return condition_again(g, a, !is_true);
        if (LLVMTypeOf(a) == g->t.i32 || LLVMTypeOf(a) == g->t.i64) {
            LLVMValueRef again = LLVMBuildICmp(g->b, p, opaque(g, a), b, "");
            return is_true ? again : LLVMBuildNot(g->b, again, "");
        }
    }
    return LLVMBuildICmp(g->b, is_true ? LLVMIntNE : LLVMIntEQ, opaque(g, v),
                         LLVMConstNull(LLVMTypeOf(v)), "");
}

static LLVMValueRef count_down(struct fgen *f, struct frame *fr)
{
    LLVMValueRef k = LLVMBuildLoad2(f->g->b, f->g->t.i32, fr->strip_var, "");
    LLVMValueRef next = LLVMBuildSub(f->g->b, k, gen_i32(f->g, 1), "");
    LLVMBuildStore(f->g->b, next, fr->strip_var);
    return next;
}

static LLVMValueRef not_zero(struct gen *g, LLVMValueRef v)
{
    return LLVMBuildICmp(g->b, LLVMIntNE, v, gen_i32(g, 0), "");
}

/* Fill the strip block, which comes before all of this: k = count, and into the loop. */
static void fill_strip(struct fgen *f, struct frame *fr, const struct counter *c)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    fgen_position(f, fr->strip_outer);
    LLVMBuildStore(f->g->b, iterations(f->g, c, fr->strip_k), fr->strip_var);
    LLVMBuildBr(f->g->b, fr->loop);
    fgen_position(f, here);
}

/* Not in strips after all. */
static void no_strips(struct fgen *f, struct frame *fr)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(f->g->b);
    fgen_position(f, fr->strip_outer);
    LLVMBuildBr(f->g->b, fr->loop);
    fgen_position(f, here);
    f->g->counts.strip_mined--;
}

/* What a loop costs the loop around it; the back edge may have been in unreachable code. */
void strip_loop_end(struct fgen *f, struct frame *fr)
{
    if (fr->strip_outer && !LLVMGetBasicBlockTerminator(fr->strip_outer))
        no_strips(f, fr);
    uint32_t i = f->frame_count - 1;
    while (i-- > 0 && f->frames[i].kind != FRAME_LOOP)
        continue;
    if (i == UINT32_MAX)
        return;
    if (fr->cost)
        f->frames[i].inner_cost += fr->cost;
    else
        f->frames[i].long_inside = true;
}

static void short_back_edge(struct fgen *f, struct frame *fr, LLVMValueRef cond)
{
    LLVMBasicBlockRef out = fgen_block(f, "");
    LLVMBuildCondBr(f->g->b, cond, fr->loop, out);
    no_strips(f, fr);
    fgen_position(f, out);
}

/* A poll costs less here than counting: LLVM knows the count by itself, and cuts the loop (poll_runs.h), or cannot know
 * it, and does not vectorise it. Small ones of those are unrolled later, with one poll for several iterations
 * (rare_polls.h). */
static void polled_back_edge(struct fgen *f, struct frame *fr, LLVMValueRef cond)
{
    LLVMBasicBlockRef out = fgen_block(f, "");
    if (cond) {
        LLVMBasicBlockRef again = fgen_block(f, "again");
        LLVMBuildCondBr(f->g->b, cond, again, out);
        fgen_position(f, again);
    }
    capture_poll_loop(f, fr);
    LLVMBuildBr(f->g->b, fr->loop);
    no_strips(f, fr);
    f->g->counts.loop_polls++;
    fgen_position(f, out);
    if (!cond)
        LLVMBuildUnreachable(f->g->b);
}

/* Instructions of a loop; longer ones are in strips if they can be, and those of twins. */
enum { BODY_MAX = 128 };

static bool left_to_llvm(const struct fgen *f, const struct frame *fr, const struct counter *c)
{
    return !f->twin && f->g->shared->opt->image.opt_level >= 3 && (c->step == 1 || c->step == -1) &&
           fr->facts->instr_count <= BODY_MAX;
}

static bool is_float_arithmetic(LLVMValueRef v)
{
    LLVMOpcode op = LLVMIsABinaryOperator(v) ? LLVMGetInstructionOpcode(v) : 0;
    return op == LLVMFAdd || op == LLVMFSub || op == LLVMFMul || op == LLVMFDiv;
}

/* Is v computed by float arithmetic from what a local held before? */
static bool follows_from(const struct fgen *f, LLVMValueRef v, uint32_t local, unsigned depth)
{
    if (!is_float_arithmetic(v))
        return LLVMIsALoadInst(v) && LLVMGetOperand(v, 0) == f->locals[local];
    return depth > 0 && (follows_from(f, LLVMGetOperand(v, 0), local, depth - 1) ||
                         follows_from(f, LLVMGetOperand(v, 1), local, depth - 1));
}

/* Does an iteration wait for a float of the one before, as in a sum? The order of such operations is fixed, so LLVM
 * does not vectorise them on x86-64, and a poll costs less than what counting takes in front of the loop. Only short
 * bodies are looked at: long ones are not unrolled either way. */
static bool carries_float(const struct fgen *f, const struct frame *fr)
{
    enum { CHAIN_MAX = 4 };
    if (image_level_arch(f->g->shared->opt->image.level) == ARCH_AARCH64 ||
        fr->facts->instr_count > BODY_MAX)
        return false;
    for (uint32_t i = fr->loop_sets; i < f->set_count; i++) {
        const struct local_set *set = &f->sets[i];
        uint32_t count;
        if (is_float_arithmetic(set->value) && only_set(f, fr, set->local, &count) &&
            follows_from(f, set->value, set->local, CHAIN_MAX))
            return true;
    }
    return false;
}

void strip_back_edge(struct fgen *f, struct frame *fr, LLVMValueRef cond, LLVMValueRef operand)
{
    struct gen *g = f->g;
    struct counter c = {0};
    bool counted = cond && find_counter(f, fr, operand, false, &c);
    if (counted && provably_short(fr, &c)) {
        short_back_edge(f, fr, cond);
        return;
    }
    if (!counted || left_to_llvm(f, fr, &c) || carries_float(f, fr)) {
        polled_back_edge(f, fr, cond);
        return;
    }
    LLVMBasicBlockRef end = fgen_block(f, "strip_end"), poll = fgen_block(f, "strip_poll");
    LLVMBasicBlockRef out = fgen_block(f, "");
    LLVMBuildCondBr(g->b, not_zero(g, count_down(f, fr)), fr->loop, end);
    fill_strip(f, fr, &c);
    fgen_position(f, end);
    LLVMValueRef br = LLVMBuildCondBr(g->b, condition_again(g, operand, true), poll, out);
    LLVMSetMetadata(br, g->md_prof, g->unlikely);
    fgen_position(f, poll);
    capture_poll_loop(f, fr);
    LLVMBuildBr(g->b, fr->strip_outer);
    g->counts.loop_polls++;
    fgen_position(f, out);
}
