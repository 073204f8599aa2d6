#include "gen.h"

/* Scalar arithmetic. Where one LLVM instruction or intrinsic does the work, a table row says which. */

enum shape {
    BINARY,
    BINARY_F,
    SHIFT,
    ICOMPARE,
    FCOMPARE,
    UNARY_I,
    UNARY_F,
    BIT_F,
    CAST,
    CAST_F,
    TRUNC_SAT
};

struct rule {
    enum shape shape;
    int llvm;         /* opcode, predicate, or a count or flag of the intrinsic; see the shapes */
    const char *name; /* intrinsic */
};

#define INT_RULES(T)                                                                             \
    [OP_##T##_ADD] = {BINARY, LLVMAdd, NULL}, [OP_##T##_SUB] = {BINARY, LLVMSub, NULL},          \
    [OP_##T##_MUL] = {BINARY, LLVMMul, NULL}, [OP_##T##_AND] = {BINARY, LLVMAnd, NULL},          \
    [OP_##T##_OR] = {BINARY, LLVMOr, NULL}, [OP_##T##_XOR] = {BINARY, LLVMXor, NULL},            \
    [OP_##T##_SHL] = {SHIFT, LLVMShl, NULL}, [OP_##T##_SHR_S] = {SHIFT, LLVMAShr, NULL},         \
    [OP_##T##_SHR_U] = {SHIFT, LLVMLShr, NULL}, [OP_##T##_EQ] = {ICOMPARE, LLVMIntEQ, NULL},     \
    [OP_##T##_NE] = {ICOMPARE, LLVMIntNE, NULL}, [OP_##T##_LT_S] = {ICOMPARE, LLVMIntSLT, NULL}, \
    [OP_##T##_LT_U] = {ICOMPARE, LLVMIntULT, NULL},                                              \
    [OP_##T##_GT_S] = {ICOMPARE, LLVMIntSGT, NULL},                                              \
    [OP_##T##_GT_U] = {ICOMPARE, LLVMIntUGT, NULL},                                              \
    [OP_##T##_LE_S] = {ICOMPARE, LLVMIntSLE, NULL},                                              \
    [OP_##T##_LE_U] = {ICOMPARE, LLVMIntULE, NULL},                                              \
    [OP_##T##_GE_S] = {ICOMPARE, LLVMIntSGE, NULL},                                              \
    [OP_##T##_GE_U] = {ICOMPARE, LLVMIntUGE, NULL}, [OP_##T##_CLZ] = {UNARY_I, 1, "llvm.ctlz"},  \
    [OP_##T##_CTZ] = {UNARY_I, 1, "llvm.cttz"}, [OP_##T##_POPCNT] = {UNARY_I, 0, "llvm.ctpop"}

#define FLOAT_RULES(T)                                                                            \
    [OP_##T##_ADD] = {BINARY, LLVMFAdd, NULL}, [OP_##T##_SUB] = {BINARY, LLVMFSub, NULL},         \
    [OP_##T##_MUL] = {BINARY, LLVMFMul, NULL}, [OP_##T##_DIV] = {BINARY, LLVMFDiv, NULL},         \
    [OP_##T##_EQ] = {FCOMPARE, LLVMRealOEQ, NULL}, [OP_##T##_NE] = {FCOMPARE, LLVMRealUNE, NULL}, \
    [OP_##T##_LT] = {FCOMPARE, LLVMRealOLT, NULL}, [OP_##T##_GT] = {FCOMPARE, LLVMRealOGT, NULL}, \
    [OP_##T##_LE] = {FCOMPARE, LLVMRealOLE, NULL}, [OP_##T##_GE] = {FCOMPARE, LLVMRealOGE, NULL}, \
    [OP_##T##_ABS] = {BIT_F, 1, "llvm.fabs"}, [OP_##T##_COPYSIGN] = {BIT_F, 2, "llvm.copysign"},  \
    [OP_##T##_CEIL] = {UNARY_F, 1, "llvm.ceil"}, [OP_##T##_FLOOR] = {UNARY_F, 1, "llvm.floor"},   \
    [OP_##T##_TRUNC] = {UNARY_F, 1, "llvm.trunc"},                                                \
    [OP_##T##_NEAREST] = {UNARY_F, 1, "llvm.roundeven"},                                          \
    [OP_##T##_SQRT] = {UNARY_F, 1, "llvm.sqrt"}, [OP_##T##_MIN] = {BINARY_F, 2, "llvm.minimum"},  \
    [OP_##T##_MAX] = {BINARY_F, 2, "llvm.maximum"}

static const struct rule rules[256] = {
    INT_RULES(I32),
    INT_RULES(I64),
    FLOAT_RULES(F32),
    FLOAT_RULES(F64),
    [OP_I32_WRAP_I64] = {CAST, LLVMTrunc, "i"},
    [OP_I64_EXTEND_I32_S] = {CAST, LLVMSExt, "I"},
    [OP_I64_EXTEND_I32_U] = {CAST, LLVMZExt, "I"},
    [OP_F32_CONVERT_I32_S] = {CAST, LLVMSIToFP, "f"},
    [OP_F32_CONVERT_I32_U] = {CAST, LLVMUIToFP, "f"},
    [OP_F32_CONVERT_I64_S] = {CAST, LLVMSIToFP, "f"},
    [OP_F32_CONVERT_I64_U] = {CAST, LLVMUIToFP, "f"},
    [OP_F64_CONVERT_I32_S] = {CAST, LLVMSIToFP, "F"},
    [OP_F64_CONVERT_I32_U] = {CAST, LLVMUIToFP, "F"},
    [OP_F64_CONVERT_I64_S] = {CAST, LLVMSIToFP, "F"},
    [OP_F64_CONVERT_I64_U] = {CAST, LLVMUIToFP, "F"},
    [OP_F64_PROMOTE_F32] = {CAST_F, LLVMFPExt, "F"},
    [OP_F32_DEMOTE_F64] = {CAST_F, LLVMFPTrunc, "f"},
    [OP_I32_REINTERPRET_F32] = {CAST, LLVMBitCast, "i"},
    [OP_I64_REINTERPRET_F64] = {CAST, LLVMBitCast, "I"},
    [OP_F32_REINTERPRET_I32] = {CAST, LLVMBitCast, "f"},
    [OP_F64_REINTERPRET_I64] = {CAST, LLVMBitCast, "F"},
};

/* 0xfc0000 to 0xfc0007 */
static const struct rule sat_rules[8] = {
    [OP_I32_TRUNC_SAT_F32_S & 7] = {TRUNC_SAT, 0, "i"},
    [OP_I32_TRUNC_SAT_F32_U & 7] = {TRUNC_SAT, 1, "i"},
    [OP_I32_TRUNC_SAT_F64_S & 7] = {TRUNC_SAT, 0, "i"},
    [OP_I32_TRUNC_SAT_F64_U & 7] = {TRUNC_SAT, 1, "i"},
    [OP_I64_TRUNC_SAT_F32_S & 7] = {TRUNC_SAT, 0, "I"},
    [OP_I64_TRUNC_SAT_F32_U & 7] = {TRUNC_SAT, 1, "I"},
    [OP_I64_TRUNC_SAT_F64_S & 7] = {TRUNC_SAT, 0, "I"},
    [OP_I64_TRUNC_SAT_F64_U & 7] = {TRUNC_SAT, 1, "I"},
};

static const struct rule *rule_find(uint32_t op)
{
    if (op >= 0xfc0000 && op <= 0xfc0007)
        return &sat_rules[op & 7];
    return op < 256 && (rules[op].llvm || rules[op].name) ? &rules[op] : NULL;
}

static LLVMTypeRef type_of_letter(const struct gen *g, char c)
{
    return c == 'i' ? g->t.i32 : c == 'I' ? g->t.i64 : c == 'f' ? g->t.f32 : g->t.f64;
}

static bool is_float(const struct gen *g, LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    return t == g->t.f32 || t == g->t.f64;
}

static void push_bool(struct fgen *f, LLVMValueRef b)
{
    fgen_push(f, LLVMBuildZExt(f->g->b, b, f->g->t.i32, ""));
}

static void binary(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMValueRef b = fgen_pop_raw(f), a = fgen_pop_raw(f);
    LLVMValueRef v = LLVMBuildBinOp(g->b, (LLVMOpcode)r->llvm, a, b, "");
    if (is_float(g, a))
        fgen_push_raw(f, v);
    else
        fgen_push(f, v);
}

static void shift(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMValueRef b = fgen_pop(f), a = fgen_pop(f);
    LLVMTypeRef t = LLVMTypeOf(a);
    LLVMValueRef mask = LLVMConstInt(t, t == g->t.i32 ? 31 : 63, 0);
    fgen_push(f, LLVMBuildBinOp(g->b, (LLVMOpcode)r->llvm, a, LLVMBuildAnd(g->b, b, mask, ""), ""));
}

/* The intrinsics with one overload: n float operands, or one integer and perhaps a false flag. */
static LLVMValueRef overloaded(struct fgen *f, const char *name, LLVMValueRef *args, unsigned n)
{
    LLVMTypeRef t = LLVMTypeOf(args[0]);
    return gen_call_intrinsic(f->g, name, &t, 1, args, n);
}

static void unary_int(struct fgen *f, const struct rule *r)
{
    LLVMValueRef args[2] = {fgen_pop(f), LLVMConstInt(f->g->t.i1, 0, 0)};
    fgen_push(f, overloaded(f, r->name, args, r->llvm ? 2 : 1));
}

static void float_intrinsic(struct fgen *f, const struct rule *r)
{
    LLVMValueRef args[2];
    bool bits = r->shape == BIT_F;
    for (int i = r->llvm; i-- > 0;)
        args[i] = bits ? fgen_pop(f) : fgen_pop_raw(f);
    LLVMValueRef v = r->shape == BINARY_F ? gen_quiet_minmax(f->g, r->name, args[0], args[1])
                                          : overloaded(f, r->name, args, (unsigned)r->llvm);
    if (bits)
        fgen_push(f, v);
    else
        fgen_push_raw(f, v);
}

static void cast(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMTypeRef to = type_of_letter(g, r->name[0]);
    if (r->shape != CAST_F) {
        fgen_push(f, LLVMBuildCast(g->b, (LLVMOpcode)r->llvm, fgen_pop(f), to, ""));
        return;
    }
    fgen_push_raw(f, LLVMBuildCast(g->b, (LLVMOpcode)r->llvm, fgen_pop_raw(f), to, ""));
}

static void trunc_sat(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMValueRef v = fgen_pop_raw(f);
    LLVMTypeRef over[2] = {type_of_letter(g, r->name[0]), LLVMTypeOf(v)};
    fgen_push(
        f, gen_call_intrinsic(g, r->llvm ? "llvm.fptoui.sat" : "llvm.fptosi.sat", over, 2, &v, 1));
}

static void apply(struct fgen *f, const struct rule *r)
{
    struct gen *g = f->g;
    LLVMValueRef a, b;
    switch (r->shape) {
    case BINARY:
        binary(f, r);
        return;
    case SHIFT:
        shift(f, r);
        return;
    case ICOMPARE:
        b = fgen_pop(f), a = fgen_pop(f);
        push_bool(f, LLVMBuildICmp(g->b, (LLVMIntPredicate)r->llvm, a, b, ""));
        return;
    case FCOMPARE:
        b = fgen_pop_raw(f), a = fgen_pop_raw(f);
        push_bool(f, LLVMBuildFCmp(g->b, (LLVMRealPredicate)r->llvm, a, b, ""));
        return;
    case UNARY_I:
        unary_int(f, r);
        return;
    case BINARY_F:
    case UNARY_F:
    case BIT_F:
        float_intrinsic(f, r);
        return;
    case CAST:
    case CAST_F:
        cast(f, r);
        return;
    case TRUNC_SAT:
        trunc_sat(f, r);
        return;
    }
}

static void divide(struct fgen *f, uint32_t op)
{
    struct gen *g = f->g;
    LLVMValueRef b = fgen_pop(f), a = fgen_pop(f);
    LLVMTypeRef t = LLVMTypeOf(a);
    bool is_signed = op == OP_I32_DIV_S || op == OP_I64_DIV_S || op == OP_I32_REM_S ||
                     op == OP_I64_REM_S;
    bool rem = op == OP_I32_REM_S || op == OP_I64_REM_S || op == OP_I32_REM_U || op == OP_I64_REM_U;
    fgen_trap_if(f, LLVMBuildICmp(g->b, LLVMIntEQ, b, LLVMConstNull(t), ""), TRAP_INT_DIVIDE);
    if (!is_signed) {
        fgen_push(f, LLVMBuildBinOp(g->b, rem ? LLVMURem : LLVMUDiv, a, b, ""));
        return;
    }
    LLVMValueRef minus1 = LLVMConstAllOnes(t), one = LLVMConstInt(t, 1, 0);
    LLVMValueRef is_m1 = LLVMBuildICmp(g->b, LLVMIntEQ, b, minus1, "");
    if (rem) { /* x rem -1 is 0, where the machine's instruction would fault */
        LLVMValueRef d = LLVMBuildSelect(g->b, is_m1, one, b, "");
        fgen_push(f, LLVMBuildSRem(g->b, a, d, ""));
        return;
    }
    LLVMValueRef min = LLVMConstInt(t, t == g->t.i32 ? 1u << 31 : 1ull << 63, 0);
    LLVMValueRef is_min = LLVMBuildICmp(g->b, LLVMIntEQ, a, min, "");
    fgen_trap_if(f, LLVMBuildAnd(g->b, is_m1, is_min, ""), TRAP_INT_OVERFLOW);
    fgen_push(f, LLVMBuildSDiv(g->b, a, b, ""));
}

struct trunc_rule {
    uint32_t op;
    char to;
    bool is_signed;
    double low, high; /* valid values lie strictly between */
};

/* For f32 operands the lower bounds that are not floats are replaced by the float below them. */
static const struct trunc_rule truncs[] = {
    {OP_I32_TRUNC_F32_S, 'i', true, -2147483904.0, 2147483648.0},
    {OP_I32_TRUNC_F32_U, 'i', false, -1.0, 4294967296.0},
    {OP_I32_TRUNC_F64_S, 'i', true, -2147483649.0, 2147483648.0},
    {OP_I32_TRUNC_F64_U, 'i', false, -1.0, 4294967296.0},
    {OP_I64_TRUNC_F32_S, 'I', true, -9223373136366403584.0, 9223372036854775808.0},
    {OP_I64_TRUNC_F32_U, 'I', false, -1.0, 18446744073709551616.0},
    {OP_I64_TRUNC_F64_S, 'I', true, -9223372036854777856.0, 9223372036854775808.0},
    {OP_I64_TRUNC_F64_U, 'I', false, -1.0, 18446744073709551616.0},
};

static bool trunc_checked(struct fgen *f, uint32_t op)
{
    struct gen *g = f->g;
    const struct trunc_rule *r = NULL;
    for (size_t i = 0; i < sizeof truncs / sizeof *truncs; i++)
        if (truncs[i].op == op)
            r = &truncs[i];
    if (!r)
        return false;
    LLVMValueRef v = fgen_pop_raw(f);
    LLVMTypeRef t = LLVMTypeOf(v);
    fgen_trap_if(f, LLVMBuildFCmp(g->b, LLVMRealUNO, v, v, ""), TRAP_INT_CONVERT);
    LLVMValueRef low = LLVMBuildFCmp(g->b, LLVMRealOLE, v, LLVMConstReal(t, r->low), "");
    LLVMValueRef high = LLVMBuildFCmp(g->b, LLVMRealOGE, v, LLVMConstReal(t, r->high), "");
    fgen_trap_if(f, LLVMBuildOr(g->b, low, high, ""), TRAP_INT_OVERFLOW);
    LLVMTypeRef to = type_of_letter(g, r->to);
    fgen_push(f,
              r->is_signed ? LLVMBuildFPToSI(g->b, v, to, "") : LLVMBuildFPToUI(g->b, v, to, ""));
    return true;
}

static void sign_extend(struct fgen *f, LLVMTypeRef from)
{
    LLVMValueRef v = fgen_pop(f);
    LLVMTypeRef t = LLVMTypeOf(v);
    fgen_push(f, LLVMBuildSExt(f->g->b, LLVMBuildTrunc(f->g->b, v, from, ""), t, ""));
}

static void rotate(struct fgen *f, const char *name)
{
    LLVMValueRef b = fgen_pop(f), a = fgen_pop(f);
    LLVMValueRef args[3] = {a, a, b};
    fgen_push(f, overloaded(f, name, args, 3));
}

static bool constant(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    switch (in->op) {
    case OP_I32_CONST:
        fgen_push(f, gen_i32(g, (uint32_t)in->value));
        return true;
    case OP_I64_CONST:
        fgen_push(f, gen_i64(g, in->value));
        return true;
    case OP_F32_CONST:
        fgen_push(f, LLVMConstBitCast(gen_i32(g, (uint32_t)in->value), g->t.f32));
        return true;
    case OP_F64_CONST:
        fgen_push(f, LLVMConstBitCast(gen_i64(g, in->value), g->t.f64));
        return true;
    default:
        return false;
    }
}

bool gen_numeric(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef v;
    if (constant(f, in))
        return true;
    switch (in->op) {
    case OP_I32_EQZ:
    case OP_I64_EQZ:
        v = fgen_pop(f);
        push_bool(f, LLVMBuildICmp(g->b, LLVMIntEQ, v, LLVMConstNull(LLVMTypeOf(v)), ""));
        return true;
    case OP_I32_DIV_S:
    case OP_I32_DIV_U:
    case OP_I32_REM_S:
    case OP_I32_REM_U:
    case OP_I64_DIV_S:
    case OP_I64_DIV_U:
    case OP_I64_REM_S:
    case OP_I64_REM_U:
        divide(f, in->op);
        return true;
    case OP_I32_ROTL:
    case OP_I64_ROTL:
        rotate(f, "llvm.fshl");
        return true;
    case OP_I32_ROTR:
    case OP_I64_ROTR:
        rotate(f, "llvm.fshr");
        return true;
    case OP_F32_NEG:
    case OP_F64_NEG:
        fgen_push(f, LLVMBuildFNeg(g->b, fgen_pop(f), ""));
        return true;
    case OP_I32_EXTEND8_S:
    case OP_I64_EXTEND8_S:
        sign_extend(f, g->t.i8);
        return true;
    case OP_I32_EXTEND16_S:
    case OP_I64_EXTEND16_S:
        sign_extend(f, g->t.i16);
        return true;
    case OP_I64_EXTEND32_S:
        sign_extend(f, g->t.i32);
        return true;
    default:
        break;
    }
    if (trunc_checked(f, in->op))
        return true;
    const struct rule *r = rule_find(in->op);
    if (r)
        apply(f, r);
    return r != NULL;
}
