#include <stdlib.h>

#include "gen.h"

/* A frame as data: what an image's constants say of a site, and the code that saves a frame there. See
 * docs/internals/capture.md. */

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
static uint32_t exn_count(const struct fgen *f, const struct site *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->frames; i++)
        n += f->frames[i].kind == FRAME_CATCH;
    return n;
}

uint32_t frame_operand_count(const struct fgen *f, const struct site *s)
{
    return s->below + s->top + s->result_count + exn_count(f, s);
}

/* Where operand i of a frame stands on the stack of operands. */
static uint32_t stack_index(const struct fgen *f, const struct site *s, uint32_t i)
{
    return i < s->below ? i : f->depth - s->top + (i - s->below);
}

static const struct operand *present_operand(const struct fgen *f, const struct site *s, uint32_t i)
{
    return &f->stack[stack_index(f, s, i)];
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

static LLVMValueRef constant(struct gen *g, LLVMValueRef value)
{
    LLVMValueRef at = LLVMAddGlobal(g->mod, LLVMTypeOf(value), "");
    LLVMSetLinkage(at, LLVMInternalLinkage);
    LLVMSetGlobalConstant(at, 1);
    LLVMSetAlignment(at, 4);
    LLVMSetInitializer(at, value);
    return at;
}

LLVMValueRef frame_site_constant(struct gen *g, const struct abi_site *head,
                                 const LLVMValueRef *live, const valtype_t *types)
{
    LLVMValueRef fields[] = {
        gen_i32(g, head->func),
        gen_i32(g, head->off),
        gen_i32(g, head->locals),
        gen_i32(g, head->live),
        gen_i32(g, head->stack),
        gen_i32(g, head->results),
        gen_i32(g, head->exns),
        LLVMConstArray2(g->t.i32, (LLVMValueRef *)live, head->live),
        LLVMConstStringInContext2(g->llvm, (const char *)types, head->live + head->stack, 1)};
    return constant(g,
                    LLVMConstStructInContext(g->llvm, fields, sizeof fields / sizeof *fields, 0));
}

static LLVMValueRef new_site(struct fgen *f, const struct site *s)
{
    struct gen *g = f->g;
    uint32_t stack = frame_operand_count(f, s);
    struct site_lists l = {.live = calloc((size_t)f->local_count + 1, sizeof(LLVMValueRef)),
                           .types = malloc((size_t)f->local_count + stack + 1)};
    LLVMValueRef at = LLVMConstNull(g->t.ptr);
    if (l.live && l.types) {
        list_values(f, s, stack, &l);
        const struct abi_site head = {.func = f->index,
                                      .off = (uint32_t)s->off,
                                      .locals = f->local_count,
                                      .live = l.live_count,
                                      .stack = stack,
                                      .results = s->result_count,
                                      .exns = exn_count(f, s)};
        at = frame_site_constant(g, &head, l.live, l.types);
    } else {
        f->nomem = true;
    }
    free(l.live);
    free(l.types);
    return at;
}

/* One place has several sites at most: a call with its arguments, and without. */
LLVMValueRef frame_site(struct fgen *f, const struct site *s)
{
    enum { KEPT = sizeof f->last_sites / sizeof *f->last_sites };
    uint32_t stack = frame_operand_count(f, s) * 2 + (s->result_count > 0);
    for (uint32_t i = 0; i < KEPT; i++)
        if (f->last_sites[i].constant && f->last_sites[i].off == s->off &&
            f->last_sites[i].stack == stack)
            return f->last_sites[i].constant;
    LLVMValueRef constant = new_site(f, s);
    uint32_t at = f->last_site++ % KEPT;
    f->last_sites[at].off = s->off;
    f->last_sites[at].stack = stack;
    f->last_sites[at].constant = constant;
    return constant;
}

LLVMValueRef frame_ways(struct gen *g, LLVMValueRef twin, const struct frame_way *ways,
                        uint32_t count)
{
    unsigned n = 1 + 2 * count;
    LLVMValueRef *fields = malloc(n * sizeof *fields);
    LLVMTypeRef type = LLVMArrayType2(g->t.i32, n);
    if (!fields)
        return NULL;
    LLVMValueRef table = constant(g, LLVMConstNull(type));
    LLVMValueRef start = LLVMConstPtrToInt(table, g->t.i64);
    fields[0] = gen_i32(g, count);
    for (uint32_t i = 0; i < count; i++) {
        LLVMValueRef site = LLVMConstPtrToInt(ways[i].site, g->t.i64);
        fields[1 + 2 * i] = LLVMConstTrunc(LLVMConstSub(site, start), g->t.i32);
        fields[2 + 2 * i] = gen_i32(g, ways[i].kind);
    }
    LLVMSetInitializer(table, LLVMConstArray2(g->t.i32, fields, n));
    free(fields);
    LLVMSetPrefixData(twin, LLVMConstSub(start, LLVMConstPtrToInt(twin, g->t.i64)));
    return table;
}

/* ---- saving ---- */

/* May it hold a NaN whose bits are not canonical yet? */
static bool local_is_raw(const struct fgen *f, uint32_t i)
{
    bool is_float = f->local_types[i] == VT_F32 || f->local_types[i] == VT_F64;
    return is_float && f->local_raw[i] && f->g->shared->opt->image.nan == NAN_CANONICAL;
}

static LLVMValueRef local_now(struct fgen *f, uint32_t i)
{
    LLVMValueRef v = LLVMBuildLoad2(f->g->b, gen_valtype(f->g, f->local_types[i]), f->locals[i],
                                    "");
    return local_is_raw(f, i) ? fgen_canonical(f, v) : v;
}

static LLVMValueRef operand_now(struct fgen *f, const struct operand *o)
{
    LLVMValueRef v = fgen_operand(f, o);
    return o->raw ? fgen_canonical(f, v) : v;
}

/* The values that stand in the frame itself, each handed to `put`: locals, operands, the first result, exceptions.
 * Further results are the host's already. */
typedef void put_value(struct fgen *f, LLVMValueRef v, uint32_t at, void *arg);

static bool is_in_place(const struct fgen *f, const struct site *s, uint32_t i)
{
    return f->in_memory && present_operand(f, s, i)->slot && stack_index(f, s, i) == i;
}

static void put_stack(struct fgen *f, const struct site *s, put_value *put, void *arg)
{
    uint32_t present = s->below + s->top, at = present + s->result_count;
    for (uint32_t i = 0; i < present; i++)
        if (!is_in_place(f, s, i))
            put(f, operand_now(f, present_operand(f, s, i)), i, arg);
    if (s->result_count)
        put(f, s->result, present, arg);
    for (uint32_t i = 0; i < s->frames; i++)
        if (f->frames[i].kind == FRAME_CATCH)
            put(f, gen_frame_exn(f, &f->frames[i]), at++, arg);
}

/* Code with its values in registers hands them over as they are: the call says in the image's maps where. */
struct value_list {
    LLVMValueRef *values;
    uint32_t count;
};

static void list_value(struct fgen *f, LLVMValueRef v, uint32_t at, void *arg)
{
    struct value_list *l = arg;
    l->values[l->count++] = v;
    (void)f;
    (void)at;
}

static void call_capture(struct gen *g, LLVMValueRef ctx, const struct value_list *l)
{
    LLVMValueRef stub = gen_capture_stub(g);
    LLVMOperandBundleRef state = LLVMCreateOperandBundle("deopt", 5, l->values, l->count);
    LLVMValueRef call = LLVMBuildCallWithOperandBundles(g->b, LLVMGlobalGetValueType(stub), stub,
                                                        &ctx, 1, &state, 1, "");
    LLVMDisposeOperandBundle(state);
    gen_call_guest(g, call, LLVMGetFunctionCallConv(stub));
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_cold);
    LLVMAddCallSiteAttribute(call, GEN_AT_FUNCTION, g->attr_nomerge);
}

static void save_registers(struct fgen *f, const struct site *s, LLVMValueRef kind)
{
    struct gen *g = f->g;
    const struct live_site *live = live_at(&f->live, s->off);
    size_t most = (size_t)f->local_count + frame_operand_count(f, s) + 2;
    struct value_list l = {.values = malloc(most * sizeof *l.values)};
    if (!l.values) {
        f->nomem = true;
        return;
    }
    l.values[l.count++] = LLVMConstPtrToInt(frame_site(f, s), g->t.i64);
    l.values[l.count++] = kind;
    for (uint32_t i = 0; live && i < f->local_count; i++)
        if (live_local(live, i))
            l.values[l.count++] = local_now(f, i);
    put_stack(f, s, list_value, &l);
    call_capture(g, f->ctx, &l);
    free(l.values);
}

/* Code with its variables in memory says where they stand. Operands move down at most: none is overwritten before it
 * was read. */
static void store_value(struct fgen *f, LLVMValueRef v, uint32_t at, void *arg)
{
    LLVMBuildStore(f->g->b, v, frame_operand_at(f, at));
    (void)arg;
}

static void begin_save_block(struct fgen *f)
{
    struct gen *g = f->g;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(g->b);
    f->save = fgen_block(f, "save");
    fgen_position(f, f->save);
    f->save_site = LLVMBuildPhi(g->b, g->t.ptr, "");
    f->save_kind = LLVMBuildPhi(g->b, g->t.i32, "");
    GEN_OP(g, f->ctx, frame, g->t.void_, f->save_site, f->save_kind, f->local_area,
           gen_i32(g, f->local_stride), f->operand_area);
    LLVMBuildBr(g->b, f->leave);
    fgen_position(f, here);
}

static void save_memory(struct fgen *f, const struct site *s, LLVMValueRef kind)
{
    struct gen *g = f->g;
    const struct live_site *live = live_at(&f->live, s->off);
    for (uint32_t i = 0; live && i < f->local_count; i++)
        if (live_local(live, i) && local_is_raw(f, i))
            LLVMBuildStore(g->b, local_now(f, i), f->locals[i]);
    put_stack(f, s, store_value, NULL);
    if (!f->save)
        begin_save_block(f);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(g->b);
    LLVMValueRef site = frame_site(f, s);
    LLVMAddIncoming(f->save_site, &site, &here, 1);
    LLVMAddIncoming(f->save_kind, &kind, &here, 1);
    LLVMBuildBr(g->b, f->save);
}

void frame_save(struct fgen *f, const struct site *s, LLVMValueRef kind)
{
    if (!f->leave)
        f->leave = fgen_block(f, "leave");
    if (f->in_memory) {
        save_memory(f, s, kind);
        return;
    }
    save_registers(f, s, kind);
    LLVMBuildBr(f->g->b, f->leave);
}

/* ---- variables in memory ---- */

/* Locals one behind the other: what is entered again at a hundred places would otherwise have code for each local at
 * each of them. */
void frame_areas(struct fgen *f)
{
    struct gen *g = f->g;
    f->local_stride = sizeof(uint64_t);
    for (uint32_t i = 0; i < f->local_count; i++)
        if (f->local_types[i] == VT_V128)
            f->local_stride = sizeof(union cell_value);
    uint32_t units = f->local_count * f->local_stride / (uint32_t)sizeof(union cell_value) + 1;
    f->local_area = LLVMBuildArrayAlloca(g->b, g->t.v128, gen_i32(g, units), "locals");
    f->operand_area = LLVMBuildArrayAlloca(g->b, g->t.v128, gen_i32(g, 1), "operands");
    f->operand_room = 1;
}

void frame_operand_room(struct fgen *f, uint32_t count)
{
    if (count <= f->operand_room)
        return;
    f->operand_room = count;
    LLVMSetOperand(f->operand_area, 0, gen_i32(f->g, count));
}

LLVMValueRef frame_operand_at(struct fgen *f, uint32_t i)
{
    struct gen *g = f->g;
    frame_operand_room(f, i + 1);
    return gen_at(g, f->operand_area, (int64_t)i * (int64_t)sizeof(union cell_value));
}
