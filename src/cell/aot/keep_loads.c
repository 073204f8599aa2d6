#include "keep_loads.h"

#include <stdlib.h>

/* A load is anchored when its value reaches, in its own block or on every way on from there, something that has an
 * effect: a store, a call, a branch. What feeds the effect is executed before it, so the load is executed whenever
 * its block is. A phi anchors as well, if it is live itself, when the edge to it is taken whenever the block ends, or
 * goes back to a loop's header: nothing is moved onto a back edge. */

enum { FOLLOWING_MAX = 16 }; /* blocks; more are not looked at */

/* What is known about a value; blocks have their position in the function. */
enum { LIVE = 1, ANCHORED = 2 };
struct fact {
    LLVMValueRef key;
    uint32_t value;
};
struct facts {
    struct fact *slots; /* open addressing */
    uint32_t cap, count;
    LLVMValueRef *work; /* live instructions whose operands were not looked at */
    uint32_t work_cap, work_count;
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

static bool is_pinned(LLVMValueRef i)
{
    return LLVMIsALoadInst(i) && LLVMGetVolatile(i);
}

/* LLVM neither deletes nor moves it to another block. */
static bool has_effect(LLVMValueRef i)
{
    if (LLVMIsATerminatorInst(i))
        return true;
    switch ((unsigned)LLVMGetInstructionOpcode(i)) {
    case LLVMStore:
    case LLVMFence:
    case LLVMAtomicRMW:
    case LLVMAtomicCmpXchg:
        return true;
    case LLVMLoad:
        return LLVMGetOrdering(i) != LLVMAtomicOrderingNotAtomic;
    case LLVMCall: {
        LLVMValueRef callee = LLVMGetCalledValue(i);
        bool is_pure = LLVMIsAInlineAsm(callee) ||
                       (LLVMIsAFunction(callee) && LLVMGetIntrinsicID(callee));
        return !is_pure || LLVMGetTypeKind(LLVMTypeOf(i)) == LLVMVoidTypeKind;
    }
    default:
        return false;
    }
}

/* ---- which instructions are live ---- */

static void mark_live(struct facts *f, LLVMValueRef i)
{
    if (!LLVMIsAInstruction(i) || get(f, i) & LIVE)
        return;
    if (f->work_count == f->work_cap) {
        uint32_t cap = f->work_cap ? f->work_cap * 2 : 1024;
        LLVMValueRef *work = realloc(f->work, cap * sizeof *work);
        if (!work) {
            f->nomem = true;
            return;
        }
        f->work = work;
        f->work_cap = cap;
    }
    set(f, i, LIVE);
    f->work[f->work_count++] = i;
}

static void mark_operands(struct facts *f, LLVMValueRef i)
{
    int n = LLVMGetNumOperands(i);
    for (int k = 0; k < n; k++)
        mark_live(f, LLVMGetOperand(i, (unsigned)k));
}

static void find_live(struct facts *f, LLVMValueRef fn)
{
    for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
        for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
            if (has_effect(i))
                mark_live(f, i);
    while (f->work_count && !f->nomem)
        mark_operands(f, f->work[--f->work_count]);
}

/* ---- which loads are anchored ---- */

/* Does the phi take i over an edge from bb that anchors? */
static bool phi_anchors(const struct facts *f, LLVMValueRef phi, LLVMValueRef i,
                        LLVMBasicBlockRef bb)
{
    if (!(get(f, phi) & LIVE))
        return false;
    uint32_t from = get(f, LLVMBasicBlockAsValue(bb));
    uint32_t to = get(f, LLVMBasicBlockAsValue(LLVMGetInstructionParent(phi)));
    if (LLVMGetNumSuccessors(LLVMGetBasicBlockTerminator(bb)) != 1 && to > from)
        return false;
    for (unsigned k = 0; k < LLVMCountIncoming(phi); k++)
        if (LLVMGetIncomingBlock(phi, k) == bb && LLVMGetIncomingValue(phi, k) == i)
            return true;
    return false;
}

/* Of the users of i that are no phis: is one in bb, and anchored? */
static bool used_in(const struct facts *f, LLVMValueRef i, LLVMBasicBlockRef bb)
{
    for (LLVMUseRef u = LLVMGetFirstUse(i); u; u = LLVMGetNextUse(u)) {
        LLVMValueRef user = LLVMGetUser(u);
        if (LLVMGetInstructionParent(user) == bb && !LLVMIsAPHINode(user) &&
            get(f, user) & ANCHORED)
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

static bool is_anchored(const struct facts *f, LLVMValueRef i, LLVMBasicBlockRef bb)
{
    bool outside = false;
    if (has_effect(i) || used_in(f, i, bb))
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

/* From its end, so that users come before what they use. */
static void release_block(struct facts *f, LLVMBasicBlockRef bb)
{
    for (LLVMValueRef i = LLVMGetLastInstruction(bb); i; i = LLVMGetPreviousInstruction(i)) {
        bool pinned = is_pinned(i), anchored = is_anchored(f, i, bb);
        if (pinned && anchored)
            LLVMSetVolatile(i, 0);
        if (pinned || anchored) /* either way it stays, and anchors what its address is made of */
            set(f, i, get(f, i) | ANCHORED);
    }
}

static bool any_pinned(LLVMValueRef fn)
{
    for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
        for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
            if (is_pinned(i))
                return true;
    return false;
}

static bool release(LLVMValueRef fn)
{
    struct facts f = {0};
    uint32_t position = 0;
    if (!any_pinned(fn))
        return true;
    for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
        set(&f, LLVMBasicBlockAsValue(bb), ++position);
    find_live(&f, fn);
    /* likewise from the last block */
    for (LLVMBasicBlockRef bb = LLVMGetLastBasicBlock(fn); bb && !f.nomem;
         bb = LLVMGetPreviousBasicBlock(bb))
        release_block(&f, bb);
    free(f.slots);
    free(f.work);
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

status_t keep_loads_release(struct gen *g, struct error *err)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn))
        if (!release(fn))
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to find dead loads");
    return ST_OK;
}
