#include "gen.h"

enum kind { ATOMIC_LOAD, ATOMIC_STORE, ATOMIC_RMW, ATOMIC_CMPXCHG };

struct rule {
    uint32_t op;
    enum kind kind;
    uint8_t value_bits;
    uint8_t bits;
    LLVMAtomicRMWBinOp rmw;
};

#define RMW_RULES(NAME, OP)                                       \
    {OP_I32_ATOMIC_RMW_##NAME, ATOMIC_RMW, 32, 32, OP},           \
        {OP_I64_ATOMIC_RMW_##NAME, ATOMIC_RMW, 64, 64, OP},       \
        {OP_I32_ATOMIC_RMW8_##NAME##_U, ATOMIC_RMW, 32, 8, OP},   \
        {OP_I32_ATOMIC_RMW16_##NAME##_U, ATOMIC_RMW, 32, 16, OP}, \
        {OP_I64_ATOMIC_RMW8_##NAME##_U, ATOMIC_RMW, 64, 8, OP},   \
        {OP_I64_ATOMIC_RMW16_##NAME##_U, ATOMIC_RMW, 64, 16, OP}, \
    {                                                             \
        OP_I64_ATOMIC_RMW32_##NAME##_U, ATOMIC_RMW, 64, 32, OP    \
    }

static const struct rule rules[] = {
    {OP_I32_ATOMIC_LOAD, ATOMIC_LOAD, 32, 32, 0},
    {OP_I64_ATOMIC_LOAD, ATOMIC_LOAD, 64, 64, 0},
    {OP_I32_ATOMIC_LOAD8_U, ATOMIC_LOAD, 32, 8, 0},
    {OP_I32_ATOMIC_LOAD16_U, ATOMIC_LOAD, 32, 16, 0},
    {OP_I64_ATOMIC_LOAD8_U, ATOMIC_LOAD, 64, 8, 0},
    {OP_I64_ATOMIC_LOAD16_U, ATOMIC_LOAD, 64, 16, 0},
    {OP_I64_ATOMIC_LOAD32_U, ATOMIC_LOAD, 64, 32, 0},
    {OP_I32_ATOMIC_STORE, ATOMIC_STORE, 32, 32, 0},
    {OP_I64_ATOMIC_STORE, ATOMIC_STORE, 64, 64, 0},
    {OP_I32_ATOMIC_STORE8, ATOMIC_STORE, 32, 8, 0},
    {OP_I32_ATOMIC_STORE16, ATOMIC_STORE, 32, 16, 0},
    {OP_I64_ATOMIC_STORE8, ATOMIC_STORE, 64, 8, 0},
    {OP_I64_ATOMIC_STORE16, ATOMIC_STORE, 64, 16, 0},
    {OP_I64_ATOMIC_STORE32, ATOMIC_STORE, 64, 32, 0},
    RMW_RULES(ADD, LLVMAtomicRMWBinOpAdd),
    RMW_RULES(SUB, LLVMAtomicRMWBinOpSub),
    RMW_RULES(AND, LLVMAtomicRMWBinOpAnd),
    RMW_RULES(OR, LLVMAtomicRMWBinOpOr),
    RMW_RULES(XOR, LLVMAtomicRMWBinOpXor),
    RMW_RULES(XCHG, LLVMAtomicRMWBinOpXchg),
    {OP_I32_ATOMIC_RMW_CMPXCHG, ATOMIC_CMPXCHG, 32, 32, 0},
    {OP_I64_ATOMIC_RMW_CMPXCHG, ATOMIC_CMPXCHG, 64, 64, 0},
    {OP_I32_ATOMIC_RMW8_CMPXCHG_U, ATOMIC_CMPXCHG, 32, 8, 0},
    {OP_I32_ATOMIC_RMW16_CMPXCHG_U, ATOMIC_CMPXCHG, 32, 16, 0},
    {OP_I64_ATOMIC_RMW8_CMPXCHG_U, ATOMIC_CMPXCHG, 64, 8, 0},
    {OP_I64_ATOMIC_RMW16_CMPXCHG_U, ATOMIC_CMPXCHG, 64, 16, 0},
    {OP_I64_ATOMIC_RMW32_CMPXCHG_U, ATOMIC_CMPXCHG, 64, 32, 0},
};

/* An aligned address, or a trap. */
static LLVMValueRef atomic_address(struct fgen *f, const struct instr *in, LLVMValueRef addr,
                                   uint32_t bits)
{
    struct gen *g = f->g;
    LLVMValueRef p = gen_address(f, in->mem, addr, in->offset);
    if (bits == 8)
        return p;
    LLVMValueRef low = LLVMBuildAdd(g->b, addr, gen_i32(g, (uint32_t)in->offset), "");
    LLVMValueRef rest = LLVMBuildAnd(g->b, low, gen_i32(g, bits / 8 - 1), "");
    fgen_trap_if(f, LLVMBuildICmp(g->b, LLVMIntNE, rest, gen_i32(g, 0), ""), TRAP_UNALIGNED);
    return p;
}

static LLVMValueRef narrow(struct fgen *f, LLVMValueRef v, LLVMTypeRef t)
{
    return LLVMTypeOf(v) == t ? v : LLVMBuildTrunc(f->g->b, v, t, "");
}

/* An expected value that does not fit the access compares unequal, and nothing is stored. */
static void compare_exchange(struct fgen *f, const struct rule *r, LLVMValueRef p,
                             LLVMValueRef expected, LLVMValueRef with)
{
    struct gen *g = f->g;
    const LLVMAtomicOrdering seq = LLVMAtomicOrderingSequentiallyConsistent;
    LLVMTypeRef t = LLVMTypeOf(expected), mt = LLVMTypeOf(with);
    if (mt == t) {
        LLVMValueRef x = LLVMBuildAtomicCmpXchg(g->b, p, expected, with, seq, seq, 0);
        LLVMSetAlignment(x, r->bits / 8);
        fgen_push(f, LLVMBuildExtractValue(g->b, x, 0, ""));
        return;
    }
    LLVMValueRef low = LLVMBuildTrunc(g->b, expected, mt, "");
    LLVMValueRef fits = LLVMBuildICmp(g->b, LLVMIntEQ, LLVMBuildZExt(g->b, low, t, ""), expected,
                                      "");
    LLVMBasicBlockRef yes = fgen_block(f, ""), no = fgen_block(f, ""), next = fgen_block(f, "");
    LLVMBuildCondBr(g->b, fits, yes, no);
    fgen_position(f, yes);
    LLVMValueRef x = LLVMBuildAtomicCmpXchg(g->b, p, low, with, seq, seq, 0);
    LLVMSetAlignment(x, r->bits / 8);
    LLVMValueRef from_yes = LLVMBuildExtractValue(g->b, x, 0, "");
    LLVMBuildBr(g->b, next);
    fgen_position(f, no);
    LLVMValueRef from_no = gen_load(g, mt, p, ALIAS_MEMORY);
    LLVMSetOrdering(from_no, seq);
    LLVMSetAlignment(from_no, r->bits / 8);
    LLVMBuildBr(g->b, next);
    fgen_position(f, next);
    LLVMValueRef old = LLVMBuildPhi(g->b, mt, "");
    LLVMAddIncoming(old, (LLVMValueRef[]){from_yes, from_no}, (LLVMBasicBlockRef[]){yes, no}, 2);
    fgen_push(f, LLVMBuildZExt(g->b, old, t, ""));
}

static void apply(struct fgen *f, const struct instr *in, const struct rule *r)
{
    struct gen *g = f->g;
    const LLVMAtomicOrdering seq = LLVMAtomicOrderingSequentiallyConsistent;
    LLVMTypeRef t = r->value_bits == 32 ? g->t.i32 : g->t.i64;
    LLVMTypeRef mt = LLVMIntTypeInContext(g->llvm, r->bits);
    LLVMValueRef with = NULL, expected = NULL, old;
    if (r->kind != ATOMIC_LOAD)
        with = narrow(f, fgen_pop(f), mt);
    if (r->kind == ATOMIC_CMPXCHG)
        expected = fgen_pop(f);
    LLVMValueRef p = atomic_address(f, in, fgen_pop(f), r->bits);
    switch (r->kind) {
    case ATOMIC_LOAD:
        old = gen_load(g, mt, p, ALIAS_MEMORY);
        LLVMSetOrdering(old, seq);
        break;
    case ATOMIC_STORE:
        old = gen_store(g, with, p, ALIAS_MEMORY);
        LLVMSetOrdering(old, seq);
        LLVMSetAlignment(old, r->bits / 8);
        return;
    case ATOMIC_RMW:
        old = LLVMBuildAtomicRMW(g->b, r->rmw, p, with, seq, 0);
        break;
    case ATOMIC_CMPXCHG:
    default:
        compare_exchange(f, r, p, expected, with);
        return;
    }
    LLVMSetAlignment(old, r->bits / 8);
    fgen_push(f, mt == t ? old : LLVMBuildZExt(g->b, old, t, ""));
}

/* The whole 64-bit address goes to the host, which checks bounds and alignment. */
static LLVMValueRef wait_address(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef a = LLVMBuildZExt(g->b, fgen_pop(f), g->t.i64, "");
    return LLVMBuildAdd(g->b, a, gen_i64(g, in->offset), "");
}

static void wait_or_notify(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef mem = gen_i32(g, in->mem), v;
    if (in->op == OP_MEMORY_ATOMIC_NOTIFY) {
        LLVMValueRef count = fgen_pop(f);
        LLVMValueRef addr = wait_address(f, in);
        fgen_push(f, GEN_OP(g, f->ctx, atomic_notify, g->t.i32, mem, addr, count));
        return;
    }
    LLVMValueRef timeout = fgen_pop(f), expected = fgen_pop(f);
    LLVMValueRef addr = wait_address(f, in);
    static const valtype_t result[] = {VT_I32};
    struct call_site site;
    capture_call_begin(f, result, 1, &site);
    if (in->op == OP_MEMORY_ATOMIC_WAIT32)
        v = GEN_OP(g, f->ctx, atomic_wait32, g->t.i32, mem, addr, expected, timeout);
    else
        v = GEN_OP(g, f->ctx, atomic_wait64, g->t.i32, mem, addr, expected, timeout);
    v = capture_call_end(f, &site, v);
    strip_note_poll(f);
    fgen_push(f, v);
}

bool gen_atomic(struct fgen *f, const struct instr *in)
{
    if (in->op < 0xfe0000)
        return false;
    switch (in->op) {
    case OP_MEMORY_ATOMIC_NOTIFY:
    case OP_MEMORY_ATOMIC_WAIT32:
    case OP_MEMORY_ATOMIC_WAIT64:
        wait_or_notify(f, in);
        return true;
    case OP_ATOMIC_FENCE:
        LLVMBuildFence(f->g->b, LLVMAtomicOrderingSequentiallyConsistent, 0, "");
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].op == in->op) {
            apply(f, in, &rules[i]);
            return true;
        }
    }
    return false;
}
