#include "keep_loads.h"
#include "demand.h"

#include <stdlib.h>

/* A load is anchored when bytes of its value that matter (demand.h) reach something that has an effect, in its own
 * block or on every way on from there: a store, a call, a branch. What feeds the effect is executed before it, so the
 * load is executed whenever its block is. A phi anchors as well, if it is anchored and the edge to it is taken whenever
 * the block ends; or if it matters, the edge goes back to a loop's header, since nothing is moved onto a back edge, the
 * next iteration does something with it, and all other ways on use the value too. */

enum { FOLLOWING_MAX = 16 }; /* blocks; more are not looked at */

/* Instructions that are anchored, and blocks with their position in the function. */
enum { ANCHORED = 1 };
struct fact {
    LLVMValueRef key;
    uint32_t value;
};
struct facts {
    const struct gen *gen;
    struct fact *slots; /* open addressing */
    uint32_t cap, count;
    struct demand *demand;
    bool nomem;
};

static uint32_t slot_of(const struct facts *f, LLVMValueRef key)
{
    uint64_t h = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15;
    uint32_t i = (uint32_t)(h >> 32) & (f->cap - 1);
    while (f->slots[i].key && f->slots[i].key != key)
        i = (i + 1) & (f->cap - 1);
    return i;
}

static void grow(struct facts *f)
{
    struct facts old = *f;
    f->cap = old.cap ? old.cap * 2 : 1024;
    f->slots = calloc(f->cap, sizeof *f->slots);
    if (!f->slots) {
        *f = old;
        f->nomem = true;
        return;
    }
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.slots[i].key)
            f->slots[slot_of(f, old.slots[i].key)] = old.slots[i];
    free(old.slots);
}

static uint32_t get(const struct facts *f, LLVMValueRef key)
{
    return f->cap ? f->slots[slot_of(f, key)].value : 0;
}

static void set(struct facts *f, LLVMValueRef key, uint32_t value)
{
    if (f->count * 2 >= f->cap)
        grow(f);
    if (f->nomem)
        return;
    struct fact *s = &f->slots[slot_of(f, key)];
    f->count += !s->key;
    *s = (struct fact){key, value};
}

/* The tests behind calls are volatile as well, until all passes are over. */
static bool is_pinned(const struct gen *g, LLVMValueRef i)
{
    return LLVMIsALoadInst(i) && LLVMGetVolatile(i) &&
           LLVMGetMetadata(i, g->md_tbaa) != g->alias[ALIAS_BLOCK];
}

/* ---- which loads are anchored ---- */

/* Of the users of i that are no phis: is one in bb, and anchored? */
static bool used_in(const struct facts *f, LLVMValueRef i, LLVMBasicBlockRef bb)
{
    for (LLVMUseRef u = LLVMGetFirstUse(i); u; u = LLVMGetNextUse(u)) {
        LLVMValueRef user = LLVMGetUser(u);
        if (LLVMGetInstructionParent(user) == bb && !LLVMIsAPHINode(user) &&
            get(f, user) & ANCHORED && demand_use(f->demand, u))
            return true;
    }
    return false;
}

/* Does every way on from the end of bb come to such a user? Ways into a trap do not. */
static bool used_on_all_ways(const struct facts *f, LLVMValueRef i, LLVMBasicBlockRef bb,
                             int *budget)
{
    LLVMValueRef end = LLVMGetBasicBlockTerminator(bb);
    unsigned n = LLVMGetNumSuccessors(end);
    for (unsigned k = 0; k < n; k++) {
        LLVMBasicBlockRef next = LLVMGetSuccessor(end, k);
        if (--*budget < 0 || (!used_in(f, i, next) && !used_on_all_ways(f, i, next, budget)))
            return false;
    }
    return n > 0;
}

static bool takes(const struct facts *f, LLVMValueRef phi, LLVMValueRef i, LLVMBasicBlockRef bb)
{
    for (unsigned k = 0; k < LLVMCountIncoming(phi); k++)
        if (LLVMGetIncomingBlock(phi, k) == bb && LLVMGetIncomingValue(phi, k) == i)
            return demand_any(f->demand, phi) && demand_next_iteration(f->demand, phi, bb);
    return false;
}

static bool taken_in(const struct facts *f, LLVMValueRef i, LLVMBasicBlockRef bb,
                     LLVMBasicBlockRef next)
{
    for (LLVMUseRef u = LLVMGetFirstUse(i); u; u = LLVMGetNextUse(u)) {
        LLVMValueRef user = LLVMGetUser(u);
        if (LLVMIsAPHINode(user) && LLVMGetInstructionParent(user) == next && takes(f, user, i, bb))
            return true;
    }
    return false;
}

/* Does the phi take i over an edge from bb that anchors? Where a loop ends in bb, the way out must use i as well: in a
 * copy of the body that is known to be the last one, there is no other. */
static bool phi_anchors(const struct facts *f, LLVMValueRef phi, LLVMValueRef i,
                        LLVMBasicBlockRef bb)
{
    LLVMBasicBlockRef to = LLVMGetInstructionParent(phi);
    LLVMValueRef end = LLVMGetBasicBlockTerminator(bb);
    unsigned n = LLVMGetNumSuccessors(end);
    if (!takes(f, phi, i, bb))
        return false;
    bool onward = get(f, LLVMBasicBlockAsValue(to)) > get(f, LLVMBasicBlockAsValue(bb));
    if (onward && (n != 1 || !(get(f, phi) & ANCHORED)))
        return false;
    int budget = FOLLOWING_MAX;
    for (unsigned k = 0; k < n; k++) {
        LLVMBasicBlockRef next = LLVMGetSuccessor(end, k);
        if (next != to && !taken_in(f, i, bb, next) && !used_in(f, i, next) &&
            !used_on_all_ways(f, i, next, &budget))
            return false;
    }
    return true;
}

static bool is_anchored(const struct facts *f, LLVMValueRef i, LLVMBasicBlockRef bb)
{
    bool outside = false;
    if (demand_has_effect(i) || used_in(f, i, bb))
        return true;
    for (LLVMUseRef u = LLVMGetFirstUse(i); u; u = LLVMGetNextUse(u)) {
        LLVMValueRef user = LLVMGetUser(u);
        if (LLVMIsAPHINode(user) && phi_anchors(f, user, i, bb))
            return true;
        outside |= get(f, user) & ANCHORED && LLVMGetInstructionParent(user) != bb;
    }
    int budget = FOLLOWING_MAX;
    return outside && used_on_all_ways(f, i, bb, &budget);
}

/* The passes take a vector apart when few of its lanes are used. */
static bool may_shrink(const struct facts *f, LLVMValueRef load)
{
    return LLVMGetTypeKind(LLVMTypeOf(load)) == LLVMVectorTypeKind &&
           !demand_last_byte(f->demand, load);
}

/* From its end, so that users come before what they use. */
static void release_block(struct facts *f, LLVMBasicBlockRef bb)
{
    for (LLVMValueRef i = LLVMGetLastInstruction(bb); i; i = LLVMGetPreviousInstruction(i)) {
        bool pinned = is_pinned(f->gen, i), anchored = is_anchored(f, i, bb);
        if (pinned && anchored && !may_shrink(f, i))
            LLVMSetVolatile(i, 0);
        if (pinned || anchored) /* either way it stays, and anchors what its address is made of */
            set(f, i, get(f, i) | ANCHORED);
    }
}

static bool any_pinned(const struct gen *g, LLVMValueRef fn)
{
    for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
        for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
            if (is_pinned(g, i))
                return true;
    return false;
}

static bool release(const struct gen *g, LLVMValueRef fn, bool loop_passes)
{
    struct facts f = {.gen = g};
    LLVMBasicBlockRef bb;
    uint32_t count = 0;
    if (!any_pinned(g, fn))
        return true;
    f.demand = demand_new(fn, loop_passes);
    while ((bb = demand_block(f.demand, count)))
        set(&f, LLVMBasicBlockAsValue(bb), ++count);
    /* likewise from the last block */
    while (count > 0 && !f.nomem)
        release_block(&f, demand_block(f.demand, --count));
    free(f.slots);
    demand_free(f.demand);
    return !f.nomem;
}

/* ---- the module ---- */

void keep_loads_pin(struct gen *g)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn))
        for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
            for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
                if (LLVMIsALoadInst(i) && LLVMGetMetadata(i, g->md_tbaa) == g->alias[ALIAS_MEMORY])
                    LLVMSetVolatile(i, 1);
}

status_t keep_loads_release(struct gen *g, bool loop_passes, struct error *err)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn))
        if (!release(g, fn, loop_passes))
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to find dead loads");
    return ST_OK;
}

/* Its metadata can be gone when passes made one load of another. */
static bool may_be_guest_load(const struct gen *g, LLVMValueRef i)
{
    return LLVMIsALoadInst(i) && LLVMGetOrdering(i) == LLVMAtomicOrderingNotAtomic &&
           LLVMGetMetadata(i, g->md_tbaa) != g->alias[ALIAS_BLOCK];
}

/* Selection folds vector loads, also volatile ones, into instructions that read only the lanes they need; but not
 * through a freeze, which becomes a copy. */
static void pin_again(struct gen *g, LLVMValueRef load)
{
    LLVMSetVolatile(load, 1);
    if (LLVMGetTypeKind(LLVMTypeOf(load)) != LLVMVectorTypeKind || !LLVMGetFirstUse(load))
        return;
    LLVMPositionBuilderBefore(g->b, LLVMGetNextInstruction(load));
    LLVMValueRef frozen = LLVMBuildFreeze(g->b, load, "");
    LLVMReplaceAllUsesWith(load, frozen);
    LLVMSetOperand(frozen, 0, load);
}

/* The passes that would move a poll, or a test behind a call, are over, and those on machine instructions take no load
 * out of a loop that calls, as the cold side of a poll does. Only unordered loads become operands of comparisons. */
static void release_request(const struct gen *g, LLVMValueRef i)
{
    if (!LLVMIsALoadInst(i) || LLVMTypeOf(i) != g->t.i64 ||
        LLVMGetMetadata(i, g->md_tbaa) != g->alias[ALIAS_BLOCK])
        return;
    if (LLVMGetOrdering(i) == LLVMAtomicOrderingMonotonic)
        LLVMSetOrdering(i, LLVMAtomicOrderingUnordered);
    LLVMSetVolatile(i, 0);
}

static LLVMValueRef under_casts(LLVMValueRef v)
{
    while (LLVMIsABitCastInst(v))
        v = LLVMGetOperand(v, 0);
    return v;
}

/* Of a choice between two loads selection makes one load, from the place that is chosen. */
static void pin_choice(struct gen *g, LLVMValueRef i)
{
    if (!LLVMIsASelectInst(i))
        return;
    LLVMValueRef a = under_casts(LLVMGetOperand(i, 1)), b = under_casts(LLVMGetOperand(i, 2));
    if (LLVMIsALoadInst(a) && LLVMIsALoadInst(b))
        LLVMSetVolatile(may_be_guest_load(g, a) ? a : b, 1);
}

static void finish(struct gen *g, LLVMValueRef fn)
{
    struct demand *demand = demand_new(fn, false);
    for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
        for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i)) {
            if (may_be_guest_load(g, i) && !demand_last_byte(demand, i))
                pin_again(g, i);
            else
                release_request(g, i);
            pin_choice(g, i);
        }
    demand_free(demand);
}

void keep_loads_finish(struct gen *g)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn))
        if (!LLVMIsDeclaration(fn))
            finish(g, fn);
}
