#include "quiet.h"

#include <string.h>

/* An operation can be folded to its operand x when the other one, c, is a certain constant: now, or once LLVM has
 * taken a phi or a select apart. Where x may be signalling, such constants are hidden from LLVM behind an empty
 * assembly statement in the entry block, which costs no more than a constant in a register. Where the constant
 * would come of a computation, as of an integer in an unrolled loop, x is made quiet by adding such a -0.0. */

enum { VISITED_MAX = 64, HIDDEN_MAX = 16 };

/* Values that one look at an expression has come to. */
struct walk {
    LLVMValueRef seen[VISITED_MAX];
    uint32_t count, next;
    bool overflow;
};

struct hidden {
    LLVMValueRef constant, value;
};

struct quieter {
    struct gen *g;
    LLVMValueRef fn;
    struct hidden hidden[HIDDEN_MAX]; /* of this function */
    uint32_t hidden_count;
};

static void visit(struct walk *w, LLVMValueRef v)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->seen[i] == v)
            return;
    if (w->count == VISITED_MAX)
        w->overflow = true;
    else
        w->seen[w->count++] = v;
}

static LLVMValueRef visit_next(struct walk *w)
{
    return w->next < w->count ? w->seen[w->next++] : NULL;
}

static unsigned intrinsic_of(LLVMValueRef v)
{
    LLVMValueRef callee = LLVMIsACallInst(v) ? LLVMGetCalledValue(v) : NULL;
    return callee && LLVMIsAFunction(callee) ? LLVMGetIntrinsicID(callee) : 0;
}

static bool is_intrinsic(LLVMValueRef v, const char *name)
{
    return intrinsic_of(v) == LLVMLookupIntrinsicID(name, strlen(name));
}

static bool is_sign_op(LLVMValueRef v)
{
    return LLVMIsAUnaryOperator(v) || is_intrinsic(v, "llvm.fabs") ||
           is_intrinsic(v, "llvm.copysign");
}

/* The operands [*ret_first, *ret_end) whose bits v passes on; false: it makes its own. */
static bool passes_on(LLVMValueRef v, unsigned *ret_first, unsigned *ret_end)
{
    *ret_first = 0;
    *ret_end = 1;
    if (!LLVMIsAInstruction(v))
        return false;
    switch ((unsigned)LLVMGetInstructionOpcode(v)) {
    case LLVMPHI:
        *ret_end = LLVMCountIncoming(v);
        return true;
    case LLVMSelect:
        *ret_first = 1;
        *ret_end = 3;
        return true;
    case LLVMInsertElement:
    case LLVMShuffleVector:
        *ret_end = 2;
        return true;
    case LLVMExtractElement:
    case LLVMBitCast:
    case LLVMFreeze:
        return true;
    default:
        return is_sign_op(v);
    }
}

static bool visit_passed_on(struct walk *w, LLVMValueRef v)
{
    unsigned first, end;
    if (!passes_on(v, &first, &end))
        return false;
    for (unsigned i = first; i < end; i++)
        visit(w, LLVMGetOperand(v, i));
    return true;
}

static bool is_float_arithmetic(LLVMValueRef v)
{
    if (!LLVMIsAInstruction(v))
        return false;
    switch ((unsigned)LLVMGetInstructionOpcode(v)) {
    case LLVMFAdd:
    case LLVMFSub:
    case LLVMFMul:
    case LLVMFDiv:
    case LLVMFPExt:
    case LLVMFPTrunc:
    case LLVMSIToFP:
    case LLVMUIToFP:
        return true;
    default:
        return intrinsic_of(v) != 0 && !is_sign_op(v);
    }
}

static bool is_hidden(LLVMValueRef v)
{
    return LLVMIsACallInst(v) && LLVMIsAInlineAsm(LLVMGetCalledValue(v));
}

/* Anything may, but for results of arithmetic, and constants: LLVM quiets those. */
static bool may_signal(LLVMValueRef x)
{
    struct walk w = {.count = 1, .seen = {x}};
    LLVMValueRef v;
    while ((v = visit_next(&w)))
        if (!LLVMIsConstant(v) && !visit_passed_on(&w, v) && !is_float_arithmetic(v) &&
            !is_hidden(v))
            return true;
    return w.overflow;
}

/* Might LLVM find out that x is not -0.0? Then it folds x + 0.0 as well. */
static bool may_lack_sign(LLVMValueRef x)
{
    struct walk w = {.count = 1, .seen = {x}};
    LLVMValueRef v;
    while ((v = visit_next(&w))) {
        if (LLVMIsConstant(v))
            continue;
        if (is_sign_op(v) || (LLVMIsABitCastInst(v) && LLVMIsAInstruction(LLVMGetOperand(v, 0))))
            return true;
        for (LLVMUseRef u = LLVMGetFirstUse(v); u; u = LLVMGetNextUse(u))
            if (LLVMIsAFCmpInst(LLVMGetUser(u)))
                return true;
        visit_passed_on(&w, v);
    }
    return w.overflow;
}

static unsigned float_bits(const struct gen *g, LLVMTypeRef t)
{
    if (LLVMGetTypeKind(t) == LLVMVectorTypeKind)
        t = LLVMGetElementType(t);
    return t == g->t.f32 ? 32 : t == g->t.f64 ? 64 : 0;
}

/* What an operand c must be for the operation to be folded to the other one. */
struct hazard {
    bool one; /* 1.0 or -1.0 */
    bool zero, negative_zero;
    unsigned bits; /* of a lane */
};

static bool lane_is_hazard(const struct hazard *h, uint64_t lane)
{
    uint64_t sign = (uint64_t)1 << (h->bits - 1), magnitude = lane & (sign - 1);
    if (magnitude == 0)
        return lane & sign ? h->negative_zero : h->zero;
    return h->one && magnitude == (h->bits == 32 ? 0x3f800000u : 0x3ff0000000000000u);
}

static bool element_is_hazard(struct gen *g, const struct hazard *h, LLVMValueRef c)
{
    unsigned bits = float_bits(g, LLVMTypeOf(c));
    if (bits)
        c = LLVMConstBitCast(c, LLVMIntTypeInContext(g->llvm, bits));
    if (!LLVMIsAConstantInt(c) || LLVMGetIntTypeWidth(LLVMTypeOf(c)) > 64)
        return false;
    bits = LLVMGetIntTypeWidth(LLVMTypeOf(c));
    uint64_t v = LLVMConstIntGetZExtValue(c);
    if (bits == 2 * h->bits)
        return lane_is_hazard(h, v & UINT32_MAX) || lane_is_hazard(h, v >> 32);
    return bits == h->bits && lane_is_hazard(h, v);
}

/* Of a vector one lane is enough: LLVM takes vectors apart. */
static bool constant_is_hazard(struct gen *g, const struct hazard *h, LLVMValueRef c)
{
    while (LLVMIsAConstantExpr(c) && LLVMGetConstOpcode(c) == LLVMBitCast)
        c = LLVMGetOperand(c, 0);
    if (LLVMIsUndef(c))
        return false;
    if (LLVMGetTypeKind(LLVMTypeOf(c)) != LLVMVectorTypeKind)
        return element_is_hazard(g, h, c);
    for (unsigned i = 0; i < LLVMGetVectorSize(LLVMTypeOf(c)); i++) {
        LLVMValueRef v = LLVMGetAggregateElement(c, i);
        if (v && element_is_hazard(g, h, v))
            return true;
    }
    return false;
}

/* Has the machine registers of just this size? */
static bool fits_register(LLVMTypeRef t)
{
    if (LLVMGetTypeKind(t) != LLVMVectorTypeKind)
        return true;
    LLVMTypeRef of = LLVMGetElementType(t);
    unsigned bits = LLVMGetTypeKind(of) == LLVMIntegerTypeKind  ? LLVMGetIntTypeWidth(of)
                    : LLVMGetTypeKind(of) == LLVMDoubleTypeKind ? 64
                                                                : 32;
    return bits * LLVMGetVectorSize(t) == 128;
}

/* The constant as a value of the entry block that LLVM cannot see through. NULL: too many of them, or no register. */
static LLVMValueRef hide(struct quieter *q, LLVMValueRef c)
{
    struct gen *g = q->g;
    for (uint32_t i = 0; i < q->hidden_count; i++)
        if (q->hidden[i].constant == c)
            return q->hidden[i].value;
    if (q->hidden_count == HIDDEN_MAX || !fits_register(LLVMTypeOf(c)))
        return NULL;
    LLVMTypeRef t = LLVMTypeOf(c), type = LLVMFunctionType(t, &t, 1, 0);
    bool arm = image_level_arch(g->shared->opt->image.level) == ARCH_AARCH64;
    const char *constraint = LLVMGetTypeKind(t) == LLVMIntegerTypeKind ? "=r,0"
                             : arm                                     ? "=w,0"
                                                                       : "=x,0";
    LLVMValueRef code = LLVMGetInlineAsm(type, "", 0, constraint, 4, 0, 0, LLVMInlineAsmDialectATT,
                                         0);
    LLVMPositionBuilderBefore(g->b, LLVMGetFirstInstruction(LLVMGetEntryBasicBlock(q->fn)));
    LLVMValueRef v = LLVMBuildCall2(g->b, type, code, &c, 1, "");
    q->hidden[q->hidden_count++] = (struct hidden){c, v};
    return v;
}

/* A hidden -0.0 in each lane of t, where the builder stands. NULL: no room. */
static LLVMValueRef negative_zero(struct quieter *q, LLVMTypeRef t, LLVMValueRef before)
{
    struct gen *g = q->g;
    bool is_vector = LLVMGetTypeKind(t) == LLVMVectorTypeKind;
    LLVMValueRef zero = hide(q, LLVMConstReal(is_vector ? LLVMGetElementType(t) : t, -0.0));
    LLVMPositionBuilderBefore(g->b, before);
    if (!zero || !is_vector)
        return zero;
    zero = LLVMBuildInsertElement(g->b, LLVMGetPoison(t), zero, gen_i32(g, 0), "");
    LLVMTypeRef mask = LLVMVectorType(g->t.i32, LLVMGetVectorSize(t));
    return LLVMBuildShuffleVector(g->b, zero, LLVMGetPoison(t), LLVMConstNull(mask), "");
}

/* Put x + -0.0, which is x but for signalling NaNs, into the place of x. */
static void quiet_operand(struct quieter *q, LLVMValueRef user, unsigned operand)
{
    LLVMValueRef x = LLVMGetOperand(user, operand);
    LLVMValueRef zero = negative_zero(q, LLVMTypeOf(x), user);
    if (zero)
        LLVMSetOperand(user, operand, LLVMBuildFAdd(q->g->b, x, zero, ""));
}

/* Hide the operands [first, end) of v that are dangerous constants; visit the others. */
static bool hide_operands(struct quieter *q, struct walk *w, const struct hazard *h, LLVMValueRef v,
                          unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        LLVMValueRef c = LLVMGetOperand(v, i);
        if (!LLVMIsConstant(c)) {
            visit(w, c);
        } else if (constant_is_hazard(q->g, h, c)) {
            c = hide(q, c);
            if (!c)
                return false;
            LLVMSetOperand(v, i, c);
        }
    }
    return !w->overflow;
}

/* Hide the dangerous constants that the operand may be. False: there are too many. */
static bool hide_constants(struct quieter *q, struct hazard h, LLVMValueRef user, unsigned operand)
{
    struct walk w = {0};
    LLVMValueRef v;
    unsigned first, end;
    bool ok = hide_operands(q, &w, &h, user, operand, operand + 1);
    while (ok && (v = visit_next(&w))) {
        if (is_sign_op(v))
            h.zero = h.negative_zero = h.zero || h.negative_zero;
        if (passes_on(v, &first, &end))
            ok = hide_operands(q, &w, &h, v, first, end);
    }
    return ok;
}

/* Is c computed from constants and counters alone? */
static bool may_become_constant(LLVMValueRef c, bool *ret_integer)
{
    struct walk w = {.count = 1, .seen = {c}};
    LLVMValueRef v;
    bool computed = false;
    *ret_integer = LLVMIsASIToFPInst(c) || LLVMIsAUIToFPInst(c);
    while ((v = visit_next(&w))) {
        if (LLVMIsConstant(v))
            continue;
        if (!LLVMIsAInstruction(v) || LLVMIsALoadInst(v) || LLVMIsAAllocaInst(v) ||
            (LLVMIsACallInst(v) && !intrinsic_of(v)) || LLVMIsAAtomicRMWInst(v) ||
            LLVMIsAAtomicCmpXchgInst(v))
            return false;
        unsigned first, end;
        computed |= !passes_on(v, &first, &end);
        for (int i = 0; i < LLVMGetNumOperands(v); i++)
            if (!LLVMIsABasicBlock(LLVMGetOperand(v, (unsigned)i)))
                visit(&w, LLVMGetOperand(v, (unsigned)i));
    }
    return computed;
}

/* The operation may be folded to its operand number `operand` because of the other one. */
static void keep_from_fold(struct quieter *q, LLVMValueRef i, unsigned operand, struct hazard h)
{
    LLVMValueRef x = LLVMGetOperand(i, operand), c = LLVMGetOperand(i, !operand);
    bool integer;
    if (LLVMIsConstant(x) || !may_signal(x))
        return;
    if (!(h.zero && h.negative_zero) && !h.one && may_lack_sign(x))
        h.zero = h.negative_zero = true;
    bool hidden = hide_constants(q, h, i, !operand);
    bool computed = may_become_constant(c, &integer) && (!integer || h.zero || h.one);
    if (!hidden || computed)
        quiet_operand(q, i, operand);
}

/* demote(promote x) is folded to x, also when a sign operation or a select stands between. */
static void keep_demotion(struct quieter *q, LLVMValueRef i)
{
    struct walk w = {.count = 1, .seen = {LLVMGetOperand(i, 0)}};
    LLVMValueRef v;
    bool folds = false;
    while ((v = visit_next(&w))) {
        if (LLVMIsAFPExtInst(v))
            folds |= may_signal(LLVMGetOperand(v, 0));
        else
            visit_passed_on(&w, v);
    }
    LLVMValueRef zero = folds ? negative_zero(q, LLVMTypeOf(i), LLVMGetNextInstruction(i)) : NULL;
    if (!zero)
        return;
    LLVMValueRef sum = LLVMBuildFAdd(q->g->b, i, zero, "");
    LLVMReplaceAllUsesWith(i, sum);
    LLVMSetOperand(sum, 0, i);
}

static void instruction(struct quieter *q, LLVMValueRef i)
{
    unsigned bits = float_bits(q->g, LLVMTypeOf(i));
    struct hazard one = {.one = true, .bits = bits}, zero = {.zero = true, .bits = bits},
                  negative = {.negative_zero = true, .bits = bits};
    switch ((unsigned)LLVMGetInstructionOpcode(i)) {
    case LLVMFMul:
        keep_from_fold(q, i, 0, one);
        keep_from_fold(q, i, 1, one);
        break;
    case LLVMFDiv:
        keep_from_fold(q, i, 0, one);
        break;
    case LLVMFAdd:
        keep_from_fold(q, i, 0, negative);
        keep_from_fold(q, i, 1, negative);
        break;
    case LLVMFSub:
        keep_from_fold(q, i, 0, zero);
        keep_from_fold(q, i, 1, negative);
        break;
    case LLVMFPTrunc:
        keep_demotion(q, i);
        break;
    default:
        break;
    }
}

bool quiet_is_needed(const struct gen *g)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn))
        for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
            for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
                if (float_bits(g, LLVMTypeOf(i)) && is_float_arithmetic(i))
                    return true;
    return false;
}

void quiet_arithmetic(struct gen *g)
{
    for (LLVMValueRef fn = LLVMGetFirstFunction(g->mod); fn; fn = LLVMGetNextFunction(fn)) {
        struct quieter q = {.g = g, .fn = fn};
        for (LLVMBasicBlockRef bb = LLVMGetFirstBasicBlock(fn); bb; bb = LLVMGetNextBasicBlock(bb))
            for (LLVMValueRef i = LLVMGetFirstInstruction(bb); i; i = LLVMGetNextInstruction(i))
                instruction(&q, i);
    }
}
