#include <string.h>

#include "gen.h"

/* 128-bit vectors. A v128 lives as <2 x i64>; each instruction looks at it in its own lanes. Relaxed
 * instructions have the one result that docs/internals/relaxed.md lists, on every CPU. */

enum lane { B16, H8, W4, D2, S4, F2 };

enum shape {
    NONE,
    BIN,
    FBIN,
    INTR2,
    FINTR2,
    INTR1,
    FINTR1,
    ABS,
    NEG,
    FABS,
    FNEG,
    ICMP,
    FCMP,
    SHIFT,
    SPLAT,
    EXTRACT,
    REPLACE,
    ALL_TRUE,
    BITMASK,
    NARROW,
    EXTEND,
    EXTMUL,
    EXTADD,
    AVGR,
    PMINMAX,
    MADD
};

/* llvm: opcode, predicate or a flag word of the shape. */
enum { HIGH = 1, SIGNED = 2, NEGATE = 4 };

struct rule {
    enum shape shape;
    enum lane lane;
    int llvm;
    const char *name;
};

#define R(op) [OP_##op & 0x1ff]
#define ICMPS(T, L)                                                                 \
    R(T##_EQ) = {ICMP, L, LLVMIntEQ, 0}, R(T##_NE) = {ICMP, L, LLVMIntNE, 0},       \
    R(T##_LT_S) = {ICMP, L, LLVMIntSLT, 0}, R(T##_GT_S) = {ICMP, L, LLVMIntSGT, 0}, \
    R(T##_LE_S) = {ICMP, L, LLVMIntSLE, 0}, R(T##_GE_S) = {ICMP, L, LLVMIntSGE, 0}
#define ICMPU(T, L)                                                                 \
    R(T##_LT_U) = {ICMP, L, LLVMIntULT, 0}, R(T##_GT_U) = {ICMP, L, LLVMIntUGT, 0}, \
    R(T##_LE_U) = {ICMP, L, LLVMIntULE, 0}, R(T##_GE_U) = {ICMP, L, LLVMIntUGE, 0}
#define INTS(T, L)                                                                              \
    ICMPS(T, L), R(T##_ADD) = {BIN, L, LLVMAdd, 0}, R(T##_SUB) = {BIN, L, LLVMSub, 0},          \
                 R(T##_NEG) = {NEG, L, 0, 0}, R(T##_ABS) = {ABS, L, 0, 0},                      \
                 R(T##_SHL) = {SHIFT, L, LLVMShl, 0}, R(T##_SHR_S) = {SHIFT, L, LLVMAShr, 0},   \
                 R(T##_SHR_U) = {SHIFT, L, LLVMLShr, 0}, R(T##_ALL_TRUE) = {ALL_TRUE, L, 0, 0}, \
                 R(T##_BITMASK) = {BITMASK, L, 0, 0}, R(T##_SPLAT) = {SPLAT, L, 0, 0},          \
                 R(T##_REPLACE_LANE) = {REPLACE, L, 0, 0}
#define MINMAX(T, L)                                                                      \
    R(T##_MIN_S) = {INTR2, L, 0, "llvm.smin"}, R(T##_MIN_U) = {INTR2, L, 0, "llvm.umin"}, \
    R(T##_MAX_S) = {INTR2, L, 0, "llvm.smax"}, R(T##_MAX_U) = {INTR2, L, 0, "llvm.umax"}
#define SATURATING(T, L)                               \
    R(T##_ADD_SAT_S) = {INTR2, L, 0, "llvm.sadd.sat"}, \
    R(T##_ADD_SAT_U) = {INTR2, L, 0, "llvm.uadd.sat"}, \
    R(T##_SUB_SAT_S) = {INTR2, L, 0, "llvm.ssub.sat"}, \
    R(T##_SUB_SAT_U) = {INTR2, L, 0, "llvm.usub.sat"}, R(T##_AVGR_U) = {AVGR, L, 0, 0}
#define WIDER(T, FROM, L)                                          \
    R(T##_EXTEND_LOW_##FROM##_S) = {EXTEND, L, SIGNED, 0},         \
    R(T##_EXTEND_HIGH_##FROM##_S) = {EXTEND, L, SIGNED | HIGH, 0}, \
    R(T##_EXTEND_LOW_##FROM##_U) = {EXTEND, L, 0, 0},              \
    R(T##_EXTEND_HIGH_##FROM##_U) = {EXTEND, L, HIGH, 0},          \
    R(T##_EXTMUL_LOW_##FROM##_S) = {EXTMUL, L, SIGNED, 0},         \
    R(T##_EXTMUL_HIGH_##FROM##_S) = {EXTMUL, L, SIGNED | HIGH, 0}, \
    R(T##_EXTMUL_LOW_##FROM##_U) = {EXTMUL, L, 0, 0},              \
    R(T##_EXTMUL_HIGH_##FROM##_U) = {EXTMUL, L, HIGH, 0}
#define FLOATS(T, L)                                                                              \
    R(T##_ADD) = {FBIN, L, LLVMFAdd, 0}, R(T##_SUB) = {FBIN, L, LLVMFSub, 0},                     \
    R(T##_MUL) = {FBIN, L, LLVMFMul, 0}, R(T##_DIV) = {FBIN, L, LLVMFDiv, 0},                     \
    R(T##_EQ) = {FCMP, L, LLVMRealOEQ, 0}, R(T##_NE) = {FCMP, L, LLVMRealUNE, 0},                 \
    R(T##_LT) = {FCMP, L, LLVMRealOLT, 0}, R(T##_GT) = {FCMP, L, LLVMRealOGT, 0},                 \
    R(T##_LE) = {FCMP, L, LLVMRealOLE, 0}, R(T##_GE) = {FCMP, L, LLVMRealOGE, 0},                 \
    R(T##_ABS) = {FABS, L, 0, "llvm.fabs"}, R(T##_NEG) = {FNEG, L, 0, 0},                         \
    R(T##_CEIL) = {FINTR1, L, 0, "llvm.ceil"}, R(T##_FLOOR) = {FINTR1, L, 0, "llvm.floor"},       \
    R(T##_TRUNC) = {FINTR1, L, 0, "llvm.trunc"},                                                  \
    R(T##_NEAREST) = {FINTR1, L, 0, "llvm.roundeven"}, R(T##_SQRT) = {FINTR1, L, 0, "llvm.sqrt"}, \
    R(T##_MIN) = {FINTR2, L, 0, "llvm.minimum"}, R(T##_MAX) = {FINTR2, L, 0, "llvm.maximum"},     \
    R(T##_RELAXED_MIN) = {FINTR2, L, 0, "llvm.minimum"},                                          \
    R(T##_RELAXED_MAX) = {FINTR2, L, 0, "llvm.maximum"}, R(T##_PMIN) = {PMINMAX, L, 0, 0},        \
    R(T##_PMAX) = {PMINMAX, L, HIGH, 0}, R(T##_RELAXED_MADD) = {MADD, L, 0, 0},                   \
    R(T##_RELAXED_NMADD) = {MADD, L, NEGATE, 0}, R(T##_SPLAT) = {SPLAT, L, 0, 0},                 \
    R(T##_REPLACE_LANE) = {REPLACE, L, 0, 0}, R(T##_EXTRACT_LANE) = {EXTRACT, L, 0, 0}

static const struct rule rules[512] = {
    INTS(I8X16, B16),
    INTS(I16X8, H8),
    INTS(I32X4, W4),
    INTS(I64X2, D2),
    ICMPU(I8X16, B16),
    ICMPU(I16X8, H8),
    ICMPU(I32X4, W4),
    MINMAX(I8X16, B16),
    MINMAX(I16X8, H8),
    MINMAX(I32X4, W4),
    SATURATING(I8X16, B16),
    SATURATING(I16X8, H8),
    WIDER(I16X8, I8X16, H8),
    WIDER(I32X4, I16X8, W4),
    WIDER(I64X2, I32X4, D2),
    FLOATS(F32X4, S4),
    FLOATS(F64X2, F2),
    R(I16X8_MUL) = {BIN, H8, LLVMMul, 0},
    R(I32X4_MUL) = {BIN, W4, LLVMMul, 0},
    R(I64X2_MUL) = {BIN, D2, LLVMMul, 0},
    R(V128_AND) = {BIN, D2, LLVMAnd, 0},
    R(V128_OR) = {BIN, D2, LLVMOr, 0},
    R(V128_XOR) = {BIN, D2, LLVMXor, 0},
    R(I8X16_POPCNT) = {INTR1, B16, 0, "llvm.ctpop"},
    R(I8X16_EXTRACT_LANE_S) = {EXTRACT, B16, SIGNED, 0},
    R(I8X16_EXTRACT_LANE_U) = {EXTRACT, B16, 0, 0},
    R(I16X8_EXTRACT_LANE_S) = {EXTRACT, H8, SIGNED, 0},
    R(I16X8_EXTRACT_LANE_U) = {EXTRACT, H8, 0, 0},
    R(I32X4_EXTRACT_LANE) = {EXTRACT, W4, 0, 0},
    R(I64X2_EXTRACT_LANE) = {EXTRACT, D2, 0, 0},
    R(I8X16_NARROW_I16X8_S) = {NARROW, H8, SIGNED, 0},
    R(I8X16_NARROW_I16X8_U) = {NARROW, H8, 0, 0},
    R(I16X8_NARROW_I32X4_S) = {NARROW, W4, SIGNED, 0},
    R(I16X8_NARROW_I32X4_U) = {NARROW, W4, 0, 0},
    R(I16X8_EXTADD_PAIRWISE_I8X16_S) = {EXTADD, H8, SIGNED, 0},
    R(I16X8_EXTADD_PAIRWISE_I8X16_U) = {EXTADD, H8, 0, 0},
    R(I32X4_EXTADD_PAIRWISE_I16X8_S) = {EXTADD, W4, SIGNED, 0},
    R(I32X4_EXTADD_PAIRWISE_I16X8_U) = {EXTADD, W4, 0, 0},
};

static LLVMTypeRef lane_vector(const struct gen *g, enum lane l)
{
    const LLVMTypeRef types[] = {g->t.i8x16, g->t.i16x8, g->t.i32x4,
                                 g->t.i64x2, g->t.f32x4, g->t.f64x2};
    return types[l];
}

static unsigned lane_count(enum lane l)
{
    static const unsigned counts[] = {16, 8, 4, 2, 4, 2};
    return counts[l];
}

static LLVMValueRef vpop(struct fgen *f, LLVMTypeRef t)
{
    return LLVMBuildBitCast(f->g->b, fgen_pop(f), t, "");
}

static void vpush(struct fgen *f, LLVMValueRef v)
{
    fgen_push(f, LLVMBuildBitCast(f->g->b, v, f->g->t.v128, ""));
}

/* Results of float arithmetic: in canonical mode NaN lanes are fixed at once. */
static void fpush(struct fgen *f, LLVMValueRef v)
{
    vpush(f, f->g->shared->opt->image.nan == NAN_CANONICAL ? fgen_canonical(f, v) : v);
}

static LLVMValueRef splat(struct gen *g, LLVMTypeRef t, LLVMValueRef v)
{
    LLVMValueRef one = LLVMBuildInsertElement(g->b, LLVMGetUndef(t), v, gen_i32(g, 0), "");
    LLVMTypeRef mask = LLVMVectorType(g->t.i32, LLVMGetVectorSize(t));
    return LLVMBuildShuffleVector(g->b, one, LLVMGetUndef(t), LLVMConstNull(mask), "");
}

static LLVMValueRef splat_const(LLVMTypeRef t, uint64_t v)
{
    LLVMValueRef lanes[16], c = LLVMConstInt(LLVMGetElementType(t), v, 1);
    for (unsigned i = 0; i < LLVMGetVectorSize(t); i++)
        lanes[i] = c;
    return LLVMConstVector(lanes, LLVMGetVectorSize(t));
}

/* Lanes start, start + step, ... (count of them) of a and b in a row. */
static LLVMValueRef pick(struct gen *g, LLVMValueRef a, LLVMValueRef b, unsigned start,
                         unsigned step, unsigned count)
{
    LLVMValueRef mask[32];
    for (unsigned i = 0; i < count; i++)
        mask[i] = gen_i32(g, start + i * step);
    return LLVMBuildShuffleVector(g->b, a, b, LLVMConstVector(mask, count), "");
}

static LLVMTypeRef int_vector(struct gen *g, unsigned bits, unsigned count)
{
    return LLVMVectorType(LLVMIntTypeInContext(g->llvm, bits), count);
}

static LLVMValueRef extend(struct gen *g, LLVMValueRef v, LLVMTypeRef t, bool is_signed)
{
    return is_signed ? LLVMBuildSExt(g->b, v, t, "") : LLVMBuildZExt(g->b, v, t, "");
}

/* The low or high half of a vector of narrower lanes, widened to lanes of l. */
static LLVMValueRef widen_half(struct fgen *f, enum lane l, int flags)
{
    struct gen *g = f->g;
    LLVMValueRef v = vpop(f, lane_vector(g, l - 1));
    unsigned n = lane_count(l);
    LLVMValueRef half = pick(g, v, v, flags & HIGH ? n : 0, 1, n);
    return extend(g, half, lane_vector(g, l), flags & SIGNED);
}

static LLVMValueRef intr(struct fgen *f, const char *name, LLVMValueRef *args, unsigned n)
{
    LLVMTypeRef t = LLVMTypeOf(args[0]);
    return gen_call_intrinsic(f->g, name, &t, 1, args, n);
}

static void compare(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    LLVMValueRef b = vpop(f, t), a = vpop(f, t), m;
    if (r->shape == ICMP)
        m = LLVMBuildICmp(g->b, (LLVMIntPredicate)r->llvm, a, b, "");
    else
        m = LLVMBuildFCmp(g->b, (LLVMRealPredicate)r->llvm, a, b, "");
    enum lane as = r->lane == S4 ? W4 : r->lane == F2 ? D2 : r->lane;
    vpush(f, LLVMBuildSExt(g->b, m, lane_vector(g, as), ""));
}

static void shift(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane), lt = LLVMGetElementType(t);
    LLVMValueRef n = fgen_pop(f), v = vpop(f, t);
    n = LLVMBuildAnd(g->b, n, gen_i32(g, 128 / lane_count(r->lane) - 1), "");
    n = lt == g->t.i64 ? LLVMBuildZExt(g->b, n, lt, "") : LLVMBuildTrunc(g->b, n, lt, "");
    vpush(f, LLVMBuildBinOp(g->b, (LLVMOpcode)r->llvm, v, splat(g, t, n), ""));
}

static LLVMValueRef to_lane(struct fgen *f, LLVMValueRef v, enum lane l)
{
    if (l == B16 || l == H8)
        return LLVMBuildTrunc(f->g->b, v, l == B16 ? f->g->t.i8 : f->g->t.i16, "");
    return v;
}

static void lane_access(struct fgen *f, const struct instr *in, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    LLVMValueRef v;
    if (r->shape == SPLAT) {
        vpush(f, splat(g, t, to_lane(f, fgen_pop(f), r->lane)));
    } else if (r->shape == REPLACE) {
        LLVMValueRef x = to_lane(f, fgen_pop(f), r->lane);
        v = vpop(f, t);
        vpush(f, LLVMBuildInsertElement(g->b, v, x, gen_i32(g, in->lane), ""));
    } else {
        v = LLVMBuildExtractElement(g->b, vpop(f, t), gen_i32(g, in->lane), "");
        fgen_push(f, r->lane <= H8 ? extend(g, v, g->t.i32, r->llvm & SIGNED) : v);
    }
}

static void mask_of(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    LLVMValueRef v = vpop(f, t);
    LLVMIntPredicate p = r->shape == BITMASK ? LLVMIntSLT : LLVMIntNE;
    LLVMValueRef m = LLVMBuildICmp(g->b, p, v, LLVMConstNull(t), "");
    LLVMTypeRef bits = LLVMIntTypeInContext(g->llvm, lane_count(r->lane));
    m = LLVMBuildBitCast(g->b, m, bits, "");
    if (r->shape == ALL_TRUE)
        m = LLVMBuildICmp(g->b, LLVMIntEQ, m, LLVMConstAllOnes(bits), "");
    fgen_push(f, LLVMBuildZExt(g->b, m, g->t.i32, ""));
}

static void narrow(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    unsigned n = lane_count(r->lane), bits = 128 / n / 2;
    LLVMValueRef b = vpop(f, t), a = vpop(f, t);
    LLVMValueRef both = pick(g, a, b, 0, 1, 2 * n);
    LLVMTypeRef wide = LLVMTypeOf(both);
    bool s = r->llvm & SIGNED;
    uint64_t max = s ? (1u << (bits - 1)) - 1 : (1u << bits) - 1;
    uint64_t min = s ? ~(uint64_t)0 << (bits - 1) : 0;
    LLVMValueRef lo[2] = {both, splat_const(wide, min)};
    LLVMValueRef hi[2] = {intr(f, "llvm.smax", lo, 2), splat_const(wide, max)};
    vpush(f, LLVMBuildTrunc(g->b, intr(f, "llvm.smin", hi, 2), int_vector(g, bits, 2 * n), ""));
}

static LLVMValueRef pairwise(struct fgen *f, LLVMValueRef v, LLVMTypeRef t, bool is_signed)
{
    struct gen *g = f->g;
    unsigned n = LLVMGetVectorSize(t);
    LLVMValueRef even = extend(g, pick(g, v, v, 0, 2, n), t, is_signed);
    return LLVMBuildAdd(g->b, even, extend(g, pick(g, v, v, 1, 2, n), t, is_signed), "");
}

static void average(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    unsigned n = lane_count(r->lane);
    LLVMTypeRef wide = int_vector(g, 2 * 128 / n, n);
    LLVMValueRef b = LLVMBuildZExt(g->b, vpop(f, t), wide, "");
    LLVMValueRef a = LLVMBuildZExt(g->b, vpop(f, t), wide, "");
    LLVMValueRef sum = LLVMBuildAdd(g->b, LLVMBuildAdd(g->b, a, b, ""), splat_const(wide, 1), "");
    vpush(f, LLVMBuildTrunc(g->b, LLVMBuildLShr(g->b, sum, splat_const(wide, 1), ""), t, ""));
}

static void pseudo_minmax(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    LLVMValueRef b = vpop(f, t), a = vpop(f, t);
    bool max = r->llvm & HIGH;
    LLVMValueRef take_b = LLVMBuildFCmp(g->b, LLVMRealOLT, max ? a : b, max ? b : a, "");
    vpush(f, LLVMBuildSelect(g->b, take_b, b, a, ""));
}

static void multiply_add(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    LLVMValueRef c = vpop(f, t), b = vpop(f, t), a = vpop(f, t);
    LLVMValueRef ab = LLVMBuildFMul(g->b, a, b, "");
    fpush(f, r->llvm & NEGATE ? LLVMBuildFSub(g->b, c, ab, "") : LLVMBuildFAdd(g->b, ab, c, ""));
}

static void simple(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, r->lane);
    LLVMValueRef args[2];
    bool two = r->shape == BIN || r->shape == FBIN || r->shape == INTR2 || r->shape == FINTR2;
    if (two)
        args[1] = vpop(f, t);
    args[0] = vpop(f, t);
    switch ((int)r->shape) {
    case BIN:
        vpush(f, LLVMBuildBinOp(g->b, (LLVMOpcode)r->llvm, args[0], args[1], ""));
        break;
    case FBIN:
        fpush(f, LLVMBuildBinOp(g->b, (LLVMOpcode)r->llvm, args[0], args[1], ""));
        break;
    case INTR1:
    case INTR2:
    case FABS:
        vpush(f, intr(f, r->name, args, two ? 2 : 1));
        break;
    case FINTR1:
        fpush(f, intr(f, r->name, args, 1));
        break;
    case FINTR2:
        fpush(f, gen_quiet_minmax(g, r->name, args[0], args[1]));
        break;
    case ABS:
        args[1] = LLVMConstInt(g->t.i1, 0, 0);
        vpush(f, intr(f, "llvm.abs", args, 2));
        break;
    case NEG:
        vpush(f, LLVMBuildNeg(g->b, args[0], ""));
        break;
    case FNEG:
        vpush(f, LLVMBuildFNeg(g->b, args[0], ""));
        break;
    default:
        break;
    }
}

static bool by_rule(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    const struct rule *r = &rules[in->op & 0x1ff];
    switch (r->shape) {
    case NONE:
        return false;
    case ICMP:
    case FCMP:
        compare(f, r);
        return true;
    case SHIFT:
        shift(f, r);
        return true;
    case SPLAT:
    case EXTRACT:
    case REPLACE:
        lane_access(f, in, r);
        return true;
    case ALL_TRUE:
    case BITMASK:
        mask_of(f, r);
        return true;
    case NARROW:
        narrow(f, r);
        return true;
    case EXTEND:
        vpush(f, widen_half(f, r->lane, r->llvm));
        return true;
    case EXTMUL: {
        LLVMValueRef b = widen_half(f, r->lane, r->llvm), a = widen_half(f, r->lane, r->llvm);
        vpush(f, LLVMBuildMul(g->b, a, b, ""));
        return true;
    }
    case EXTADD:
        vpush(f, pairwise(f, vpop(f, lane_vector(g, r->lane - 1)), lane_vector(g, r->lane),
                          r->llvm & SIGNED));
        return true;
    case AVGR:
        average(f, r);
        return true;
    case PMINMAX:
        pseudo_minmax(f, r);
        return true;
    case MADD:
        multiply_add(f, r);
        return true;
    case BIN:
    case FBIN:
    case INTR2:
    case FINTR2:
    case INTR1:
    case FINTR1:
    case ABS:
    case NEG:
    case FABS:
    case FNEG:
        simple(f, r);
        return true;
    }
    return false;
}

/* ---- instructions of their own ---- */

static void shuffle(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef mask[16], b = vpop(f, g->t.i8x16), a = vpop(f, g->t.i8x16);
    for (int i = 0; i < 16; i++)
        mask[i] = gen_i32(g, in->bytes[i]);
    vpush(f, LLVMBuildShuffleVector(g->b, a, b, LLVMConstVector(mask, 16), ""));
}

static void swizzle(struct fgen *f)
{
    struct gen *g = f->g;
    LLVMValueRef s = vpop(f, g->t.i8x16), v = vpop(f, g->t.i8x16);
    LLVMValueRef args[2] = {v, s};
    if (image_level_arch(g->shared->opt->image.level) == ARCH_AARCH64) {
        vpush(f, intr(f, "llvm.aarch64.neon.tbl1", args, 2));
        return;
    }
    /* pshufb answers 0 where bit 7 is set: indexes from 16 on saturate past 0x80 */
    LLVMValueRef sat[2] = {s, splat_const(g->t.i8x16, 0x70)};
    args[1] = intr(f, "llvm.uadd.sat", sat, 2);
    vpush(f, gen_call_intrinsic(g, "llvm.x86.ssse3.pshuf.b.128", NULL, 0, args, 2));
}

static void bitselect(struct fgen *f)
{
    struct gen *g = f->g;
    LLVMValueRef m = fgen_pop(f), b = fgen_pop(f), a = fgen_pop(f);
    LLVMValueRef x = LLVMBuildAnd(g->b, a, m, ""),
                 y = LLVMBuildAnd(g->b, b, LLVMBuildNot(g->b, m, ""), "");
    fgen_push(f, LLVMBuildOr(g->b, x, y, ""));
}

/* Lanes of l converted with saturation; two results get two zero lanes behind them. */
static void trunc_sat(struct fgen *f, enum lane l, bool is_signed)
{
    struct gen *g = f->g;
    LLVMValueRef v = vpop(f, lane_vector(g, l));
    LLVMTypeRef over[2] = {int_vector(g, 32, lane_count(l)), LLVMTypeOf(v)};
    v = gen_call_intrinsic(g, is_signed ? "llvm.fptosi.sat" : "llvm.fptoui.sat", over, 2, &v, 1);
    if (l == F2)
        v = pick(g, v, LLVMConstNull(over[0]), 0, 1, 4);
    vpush(f, v);
}

static void convert(struct fgen *f, enum lane to, bool is_signed)
{
    struct gen *g = f->g;
    LLVMValueRef v = vpop(f, g->t.i32x4);
    LLVMTypeRef t = lane_vector(g, to);
    if (to == F2)
        v = pick(g, v, v, 0, 1, 2);
    vpush(f, is_signed ? LLVMBuildSIToFP(g->b, v, t, "") : LLVMBuildUIToFP(g->b, v, t, ""));
}

static void demote(struct fgen *f)
{
    struct gen *g = f->g;
    LLVMTypeRef half = LLVMVectorType(g->t.f32, 2);
    LLVMValueRef v = LLVMBuildFPTrunc(g->b, vpop(f, g->t.f64x2), half, "");
    fpush(f, pick(g, v, LLVMConstNull(half), 0, 1, 4));
}

static void q15mulr(struct fgen *f)
{
    struct gen *g = f->g;
    LLVMTypeRef wide = int_vector(g, 32, 8);
    LLVMValueRef b = LLVMBuildSExt(g->b, vpop(f, g->t.i16x8), wide, "");
    LLVMValueRef a = LLVMBuildSExt(g->b, vpop(f, g->t.i16x8), wide, "");
    LLVMValueRef v = LLVMBuildAdd(g->b, LLVMBuildMul(g->b, a, b, ""), splat_const(wide, 0x4000),
                                  "");
    LLVMValueRef args[2] = {LLVMBuildAShr(g->b, v, splat_const(wide, 15), ""),
                            splat_const(wide, 0x7fff)};
    vpush(f, LLVMBuildTrunc(g->b, intr(f, "llvm.smin", args, 2), g->t.i16x8, ""));
}

/* Products of neighbouring lanes, added in pairs, in lanes of t. */
static LLVMValueRef dot(struct fgen *f, LLVMValueRef a, LLVMValueRef b, LLVMTypeRef t)
{
    struct gen *g = f->g;
    unsigned n = LLVMGetVectorSize(t);
    LLVMTypeRef wide = LLVMVectorType(LLVMGetElementType(t), 2 * n);
    LLVMValueRef p = LLVMBuildMul(g->b, LLVMBuildSExt(g->b, a, wide, ""),
                                  LLVMBuildSExt(g->b, b, wide, ""), "");
    return LLVMBuildAdd(g->b, pick(g, p, p, 0, 2, n), pick(g, p, p, 1, 2, n), "");
}

static void dots(struct fgen *f, uint32_t op)
{
    struct gen *g = f->g;
    LLVMTypeRef from = op == OP_I32X4_DOT_I16X8_S ? g->t.i16x8 : g->t.i8x16;
    LLVMValueRef c = op == OP_I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S ? vpop(f, g->t.i32x4) : NULL;
    LLVMValueRef b = vpop(f, from), a = vpop(f, from);
    LLVMValueRef v = dot(f, a, b, from == g->t.i16x8 ? g->t.i32x4 : g->t.i16x8);
    if (c)
        v = LLVMBuildAdd(g->b, pairwise(f, v, g->t.i32x4, true), c, "");
    vpush(f, v);
}

static void constant(struct fgen *f, const struct instr *in)
{
    LLVMValueRef lanes[2];
    for (int h = 0; h < 2; h++) {
        uint64_t v = 0;
        for (int i = 0; i < 8; i++)
            v |= (uint64_t)in->bytes[h * 8 + i] << (8 * i);
        lanes[h] = gen_i64(f->g, v);
    }
    fgen_push(f, LLVMConstVector(lanes, 2));
}

/* ---- memory ---- */

static LLVMValueRef vload(struct fgen *f, const struct instr *in, LLVMTypeRef t)
{
    LLVMValueRef v = gen_load(f->g, t, gen_address(f, in->mem, fgen_pop(f), in->offset),
                              ALIAS_MEMORY);
    LLVMSetAlignment(v, 1);
    return v;
}

static void load_extend(struct fgen *f, const struct instr *in, enum lane to, bool is_signed)
{
    struct gen *g = f->g;
    unsigned n = lane_count(to);
    vpush(f, extend(g, vload(f, in, int_vector(g, 64 / n, n)), lane_vector(g, to), is_signed));
}

static void load_splat(struct fgen *f, const struct instr *in, enum lane l)
{
    LLVMTypeRef t = lane_vector(f->g, l);
    vpush(f, splat(f->g, t, vload(f, in, LLVMGetElementType(t))));
}

static void load_zero(struct fgen *f, const struct instr *in, enum lane l)
{
    LLVMTypeRef t = lane_vector(f->g, l);
    LLVMValueRef v = vload(f, in, LLVMGetElementType(t));
    vpush(f, LLVMBuildInsertElement(f->g->b, LLVMConstNull(t), v, gen_i32(f->g, 0), ""));
}

static void memory_lane(struct fgen *f, const struct instr *in, enum lane l, bool store)
{
    struct gen *g = f->g;
    LLVMTypeRef t = lane_vector(g, l);
    LLVMValueRef v = vpop(f, t), lane = gen_i32(g, in->lane);
    if (!store) {
        LLVMValueRef x = vload(f, in, LLVMGetElementType(t));
        vpush(f, LLVMBuildInsertElement(g->b, v, x, lane, ""));
        return;
    }
    LLVMValueRef x = LLVMBuildExtractElement(g->b, v, lane, "");
    LLVMValueRef p = gen_address(f, in->mem, fgen_pop(f), in->offset);
    LLVMSetAlignment(gen_store(g, x, p, ALIAS_MEMORY), 1);
}

static bool memory(struct fgen *f, const struct instr *in)
{
    uint32_t n = in->op - OP_V128_LOAD;
    if (in->op == OP_V128_LOAD) {
        fgen_push(f, vload(f, in, f->g->t.v128));
    } else if (in->op == OP_V128_STORE) {
        LLVMValueRef v = fgen_pop(f);
        LLVMValueRef p = gen_address(f, in->mem, fgen_pop(f), in->offset);
        LLVMSetAlignment(gen_store(f->g, v, p, ALIAS_MEMORY), 1);
    } else if (n >= 1 && n <= 6) {
        load_extend(f, in, (enum lane)(H8 + (n - 1) / 2), n & 1);
    } else if (n >= 7 && n <= 10) {
        load_splat(f, in, (enum lane)(n - 7));
    } else if (in->op == OP_V128_LOAD32_ZERO || in->op == OP_V128_LOAD64_ZERO) {
        load_zero(f, in, in->op == OP_V128_LOAD32_ZERO ? W4 : D2);
    } else if (in->op >= OP_V128_LOAD8_LANE && in->op <= OP_V128_STORE64_LANE) {
        n = in->op - OP_V128_LOAD8_LANE;
        memory_lane(f, in, (enum lane)(n & 3), n >= 4);
    } else {
        return false;
    }
    return true;
}

static bool conversions(struct fgen *f, uint32_t op)
{
    struct gen *g = f->g;
    LLVMValueRef v;
    switch (op) {
    case OP_I32X4_TRUNC_SAT_F32X4_S:
    case OP_I32X4_RELAXED_TRUNC_F32X4_S:
        trunc_sat(f, S4, true);
        return true;
    case OP_I32X4_TRUNC_SAT_F32X4_U:
    case OP_I32X4_RELAXED_TRUNC_F32X4_U:
        trunc_sat(f, S4, false);
        return true;
    case OP_I32X4_TRUNC_SAT_F64X2_S_ZERO:
    case OP_I32X4_RELAXED_TRUNC_F64X2_S_ZERO:
        trunc_sat(f, F2, true);
        return true;
    case OP_I32X4_TRUNC_SAT_F64X2_U_ZERO:
    case OP_I32X4_RELAXED_TRUNC_F64X2_U_ZERO:
        trunc_sat(f, F2, false);
        return true;
    case OP_F32X4_CONVERT_I32X4_S:
    case OP_F32X4_CONVERT_I32X4_U:
        convert(f, S4, op == OP_F32X4_CONVERT_I32X4_S);
        return true;
    case OP_F64X2_CONVERT_LOW_I32X4_S:
    case OP_F64X2_CONVERT_LOW_I32X4_U:
        convert(f, F2, op == OP_F64X2_CONVERT_LOW_I32X4_S);
        return true;
    case OP_F32X4_DEMOTE_F64X2_ZERO:
        demote(f);
        return true;
    case OP_F64X2_PROMOTE_LOW_F32X4:
        v = vpop(f, g->t.f32x4);
        fpush(f, LLVMBuildFPExt(g->b, pick(g, v, v, 0, 1, 2), g->t.f64x2, ""));
        return true;
    default:
        return false;
    }
}

static bool bitwise(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef a, b;
    switch (in->op) {
    case OP_V128_NOT:
        fgen_push(f, LLVMBuildNot(g->b, fgen_pop(f), ""));
        return true;
    case OP_V128_ANDNOT:
        b = fgen_pop(f), a = fgen_pop(f);
        fgen_push(f, LLVMBuildAnd(g->b, a, LLVMBuildNot(g->b, b, ""), ""));
        return true;
    case OP_V128_ANY_TRUE: {
        LLVMTypeRef t = LLVMIntTypeInContext(g->llvm, 128);
        a = LLVMBuildBitCast(g->b, fgen_pop(f), t, "");
        a = LLVMBuildICmp(g->b, LLVMIntNE, a, LLVMConstNull(t), "");
        fgen_push(f, LLVMBuildZExt(g->b, a, g->t.i32, ""));
        return true;
    }
    case OP_V128_BITSELECT:
    case OP_I8X16_RELAXED_LANESELECT:
    case OP_I16X8_RELAXED_LANESELECT:
    case OP_I32X4_RELAXED_LANESELECT:
    case OP_I64X2_RELAXED_LANESELECT:
        bitselect(f);
        return true;
    case OP_V128_CONST:
        constant(f, in);
        return true;
    case OP_I8X16_SHUFFLE:
        shuffle(f, in);
        return true;
    case OP_I8X16_SWIZZLE:
    case OP_I8X16_RELAXED_SWIZZLE:
        swizzle(f);
        return true;
    default:
        return false;
    }
}

bool gen_simd(struct fgen *f, const struct instr *in)
{
    if (in->op < 0xfd0000 || in->op >= 0xfe0000)
        return false;
    if (memory(f, in) || bitwise(f, in) || conversions(f, in->op) || by_rule(f, in))
        return true;
    switch (in->op) {
    case OP_I16X8_Q15MULR_SAT_S:
    case OP_I16X8_RELAXED_Q15MULR_S:
        q15mulr(f);
        return true;
    case OP_I32X4_DOT_I16X8_S:
    case OP_I16X8_RELAXED_DOT_I8X16_I7X16_S:
    case OP_I32X4_RELAXED_DOT_I8X16_I7X16_ADD_S:
        dots(f, in->op);
        return true;
    default:
        return false;
    }
}
