#include "gen.h"

/* Copies and fills of a known small length are done in line. */
enum { INLINE_BULK_MAX = 256, IN_CODE_MAX = 65536 };

/* Base of a memory: B itself, or loaded once at the function's entry, since it never moves. */
LLVMValueRef gen_mem_base(struct fgen *f, uint32_t mem)
{
    struct gen *g = f->g;
    if (mem == 0 && g->shared->layout->mem0_inline)
        return f->ctx;
    if (!f->mem_base[mem]) {
        LLVMBasicBlockRef here = LLVMGetInsertBlock(g->b);
        fgen_position(f, f->entry);
        f->mem_base[mem] = gen_load_invariant(g, g->t.ptr,
                                              gen_at(g, f->ctx, g->shared->layout->mem_off[mem]));
        fgen_position(f, here);
    }
    return f->mem_base[mem];
}

/* The sum of a 32-bit address and a 32-bit offset stays inside the reservation: no check here. */
LLVMValueRef gen_address(struct fgen *f, uint32_t mem, LLVMValueRef addr, uint64_t offset)
{
    struct gen *g = f->g;
    LLVMValueRef wide = LLVMBuildZExt(g->b, addr, g->t.i64, "");
    LLVMValueRef p = LLVMBuildInBoundsGEP2(g->b, g->t.i8, gen_mem_base(f, mem), &wide, 1, "");
    return offset ? gen_at(g, p, (int64_t)offset) : p;
}

struct access {
    uint32_t op;
    char value;   /* type letter on the stack */
    uint8_t bits; /* in memory */
    bool is_signed;
    bool store;
};

static const struct access accesses[] = {
    {OP_I32_LOAD, 'i', 32, 0, 0},     {OP_I64_LOAD, 'I', 64, 0, 0},
    {OP_F32_LOAD, 'f', 32, 0, 0},     {OP_F64_LOAD, 'F', 64, 0, 0},
    {OP_I32_LOAD8_S, 'i', 8, 1, 0},   {OP_I32_LOAD8_U, 'i', 8, 0, 0},
    {OP_I32_LOAD16_S, 'i', 16, 1, 0}, {OP_I32_LOAD16_U, 'i', 16, 0, 0},
    {OP_I64_LOAD8_S, 'I', 8, 1, 0},   {OP_I64_LOAD8_U, 'I', 8, 0, 0},
    {OP_I64_LOAD16_S, 'I', 16, 1, 0}, {OP_I64_LOAD16_U, 'I', 16, 0, 0},
    {OP_I64_LOAD32_S, 'I', 32, 1, 0}, {OP_I64_LOAD32_U, 'I', 32, 0, 0},
    {OP_I32_STORE, 'i', 32, 0, 1},    {OP_I64_STORE, 'I', 64, 0, 1},
    {OP_F32_STORE, 'f', 32, 0, 1},    {OP_F64_STORE, 'F', 64, 0, 1},
    {OP_I32_STORE8, 'i', 8, 0, 1},    {OP_I32_STORE16, 'i', 16, 0, 1},
    {OP_I64_STORE8, 'I', 8, 0, 1},    {OP_I64_STORE16, 'I', 16, 0, 1},
    {OP_I64_STORE32, 'I', 32, 0, 1},
};

static LLVMTypeRef value_type(const struct gen *g, char c)
{
    return c == 'i' ? g->t.i32 : c == 'I' ? g->t.i64 : c == 'f' ? g->t.f32 : g->t.f64;
}

static bool is_whole(const struct access *a)
{
    return a->bits == (a->value == 'i' || a->value == 'f' ? 32 : 64);
}

static void load(struct fgen *f, const struct instr *in, const struct access *a)
{
    struct gen *g = f->g;
    LLVMTypeRef t = value_type(g, a->value);
    LLVMTypeRef mt = is_whole(a) ? t : LLVMIntTypeInContext(g->llvm, a->bits);
    LLVMValueRef p = gen_address(f, in->mem, fgen_pop(f), in->offset);
    LLVMValueRef v = gen_load(g, mt, p, ALIAS_MEMORY);
    LLVMSetAlignment(v, 1);
    if (mt != t)
        v = a->is_signed ? LLVMBuildSExt(g->b, v, t, "") : LLVMBuildZExt(g->b, v, t, "");
    fgen_push(f, v);
}

static void store(struct fgen *f, const struct instr *in, const struct access *a)
{
    struct gen *g = f->g;
    LLVMValueRef v = fgen_pop(f);
    LLVMValueRef p = gen_address(f, in->mem, fgen_pop(f), in->offset);
    if (!is_whole(a))
        v = LLVMBuildTrunc(g->b, v, LLVMIntTypeInContext(g->llvm, a->bits), "");
    LLVMSetAlignment(gen_store(g, v, p, ALIAS_MEMORY), 1);
}

static const struct access *access_find(uint32_t op)
{
    if (op < OP_I32_LOAD || op > OP_I64_STORE32)
        return NULL;
    for (size_t i = 0; i < sizeof accesses / sizeof *accesses; i++)
        if (accesses[i].op == op)
            return &accesses[i];
    return NULL;
}

/* Present size of a memory in bytes. */
static LLVMValueRef mem_bytes(struct fgen *f, uint32_t mem)
{
    struct gen *g = f->g;
    int64_t off = g->shared->layout->mem_off[mem] + (int64_t)sizeof(void *);
    LLVMValueRef m = gen_load_invariant(g, g->t.ptr, gen_at(g, f->ctx, off));
    LLVMValueRef v = gen_load(g, g->t.i64, gen_at(g, m, offsetof(struct abi_mem, bytes)),
                              ALIAS_BLOCK);
    if (g->m->mems[mem].limits.shared) {
        LLVMSetOrdering(v, LLVMAtomicOrderingSequentiallyConsistent);
        LLVMSetAlignment(v, 8);
    }
    return v;
}

/* Trap when a range of known length is not in bounds: its last byte is read for that, unless there is none. */
static void check_range(struct fgen *f, uint32_t mem, LLVMValueRef addr, uint64_t n)
{
    struct gen *g = f->g;
    if (n == 0) {
        LLVMValueRef at = LLVMBuildZExt(g->b, addr, g->t.i64, "");
        fgen_trap_if(f, LLVMBuildICmp(g->b, LLVMIntUGT, at, mem_bytes(f, mem), ""),
                     TRAP_MEMORY_BOUNDS);
        return;
    }
    LLVMValueRef last = gen_load(g, g->t.i8, gen_address(f, mem, addr, n - 1), ALIAS_MEMORY);
    LLVMSetVolatile(last, 1);
}

static bool small_constant(LLVMValueRef n, uint64_t *ret)
{
    if (!LLVMIsAConstantInt(n) || LLVMConstIntGetZExtValue(n) > INLINE_BULK_MAX)
        return false;
    *ret = LLVMConstIntGetZExtValue(n);
    return true;
}

/* A length that is not known: up to IN_CODE_MAX bytes in bounds are moved by the image's own routines; what is
 * longer, or traps, is the host's. Leaves the builder in the block of the former. */
struct bulk_paths {
    LLVMBasicBlockRef host, next;
};

static struct bulk_paths split_paths(struct fgen *f, LLVMValueRef n, LLVMValueRef bad)
{
    struct gen *g = f->g;
    struct bulk_paths p = {fgen_block(f, "host"), fgen_block(f, "")};
    LLVMBasicBlockRef here = fgen_block(f, "here");
    LLVMValueRef is_long = LLVMBuildICmp(g->b, LLVMIntUGT, n, gen_i32(g, IN_CODE_MAX), "");
    LLVMBuildCondBr(g->b, LLVMBuildOr(g->b, is_long, bad, ""), p.host, here);
    fgen_position(f, here);
    return p;
}

static LLVMValueRef out_of_bounds_n(struct fgen *f, uint32_t mem, LLVMValueRef addr, LLVMValueRef n)
{
    struct gen *g = f->g;
    LLVMValueRef a = LLVMBuildZExt(g->b, addr, g->t.i64, ""),
                 len = LLVMBuildZExt(g->b, n, g->t.i64, "");
    return LLVMBuildICmp(g->b, LLVMIntUGT, LLVMBuildAdd(g->b, a, len, ""), mem_bytes(f, mem), "");
}

static void memory_copy(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef n = fgen_pop(f), s = fgen_pop(f), d = fgen_pop(f);
    uint64_t len;
    if (small_constant(n, &len)) {
        check_range(f, in->index2, s, len);
        check_range(f, in->index, d, len);
        LLVMBuildMemMove(g->b, gen_address(f, in->index, d, 0), 1, gen_address(f, in->index2, s, 0),
                         1, gen_i64(g, len));
        return;
    }
    LLVMValueRef bad = LLVMBuildOr(g->b, out_of_bounds_n(f, in->index2, s, n),
                                   out_of_bounds_n(f, in->index, d, n), "");
    struct call_site site;
    capture_call_begin(f, NULL, 0, &site);
    struct bulk_paths p = split_paths(f, n, bad);
    LLVMBuildMemMove(g->b, gen_address(f, in->index, d, 0), 1, gen_address(f, in->index2, s, 0), 1,
                     LLVMBuildZExt(g->b, n, g->t.i64, ""));
    LLVMBuildBr(g->b, p.next);
    fgen_position(f, p.host);
    GEN_OP(g, f->ctx, memory_copy, g->t.void_, gen_i32(g, in->index), gen_i32(g, in->index2), d, s,
           n);
    capture_call_end(f, &site, NULL);
    LLVMBuildBr(g->b, p.next);
    fgen_position(f, p.next);
}

static void memory_fill(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef n = fgen_pop(f), v = fgen_pop(f), d = fgen_pop(f);
    LLVMValueRef byte = LLVMBuildTrunc(g->b, v, g->t.i8, "");
    uint64_t len;
    if (small_constant(n, &len)) {
        check_range(f, in->index, d, len);
        LLVMBuildMemSet(g->b, gen_address(f, in->index, d, 0), byte, gen_i64(g, len), 1);
        return;
    }
    struct call_site site;
    capture_call_begin(f, NULL, 0, &site);
    struct bulk_paths p = split_paths(f, n, out_of_bounds_n(f, in->index, d, n));
    LLVMBuildMemSet(g->b, gen_address(f, in->index, d, 0), byte,
                    LLVMBuildZExt(g->b, n, g->t.i64, ""), 1);
    LLVMBuildBr(g->b, p.next);
    fgen_position(f, p.host);
    GEN_OP(g, f->ctx, memory_fill, g->t.void_, gen_i32(g, in->index), d, v, n);
    capture_call_end(f, &site, NULL);
    LLVMBuildBr(g->b, p.next);
    fgen_position(f, p.next);
}

static void memory_init(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    LLVMValueRef n = fgen_pop(f), s = fgen_pop(f), d = fgen_pop(f);
    struct call_site site;
    capture_call_begin(f, NULL, 0, &site);
    GEN_OP(g, f->ctx, memory_init, g->t.void_, gen_i32(g, in->index2), gen_i32(g, in->index), d, s,
           n);
    capture_call_end(f, &site, NULL);
    strip_note_poll(f);
}

bool gen_memory(struct fgen *f, const struct instr *in)
{
    struct gen *g = f->g;
    const struct access *a = access_find(in->op);
    if (a) {
        if (a->store)
            store(f, in, a);
        else
            load(f, in, a);
        return true;
    }
    switch (in->op) {
    case OP_MEMORY_SIZE: {
        LLVMValueRef pages = LLVMBuildLShr(g->b, mem_bytes(f, in->index), gen_i64(g, 16), "");
        fgen_push(f, LLVMBuildTrunc(g->b, pages, g->t.i32, ""));
        return true;
    }
    case OP_MEMORY_GROW: {
        LLVMValueRef n = fgen_pop(f);
        fgen_push(f, GEN_OP(g, f->ctx, memory_grow, g->t.i32, gen_i32(g, in->index), n));
        return true;
    }
    case OP_MEMORY_COPY:
        memory_copy(f, in);
        return true;
    case OP_MEMORY_FILL:
        memory_fill(f, in);
        return true;
    case OP_MEMORY_INIT:
        memory_init(f, in);
        return true;
    case OP_DATA_DROP:
        GEN_OP(g, f->ctx, data_drop, g->t.void_, gen_i32(g, in->index));
        return true;
    default:
        return false;
    }
}
