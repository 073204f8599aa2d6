#include "cell/module/abi.h"

static const char *const trap_texts[TRAP_COUNT] = {
    [TRAP_NONE] = "no trap",
    [TRAP_UNREACHABLE] = "unreachable",
    [TRAP_MEMORY_BOUNDS] = "out of bounds memory access",
    [TRAP_TABLE_BOUNDS] = "out of bounds table access",
    [TRAP_INDIRECT_NULL] = "uninitialized element",
    [TRAP_INDIRECT_TYPE] = "indirect call type mismatch",
    [TRAP_INT_OVERFLOW] = "integer overflow",
    [TRAP_INT_DIVIDE] = "integer divide by zero",
    [TRAP_INT_CONVERT] = "invalid conversion to integer",
    [TRAP_STACK] = "call stack exhausted",
    [TRAP_UNALIGNED] = "unaligned atomic",
    [TRAP_NULL_REF] = "null exception reference",
    [TRAP_EXPECTED_SHARED] = "expected shared memory",
    [TRAP_RESUME] = "frame record that the program has no place for",
    [TRAP_HOST] = "host function failed",
};

const char *abi_trap_text(enum abi_trap t)
{
    return (unsigned)t < TRAP_COUNT ? trap_texts[t] : "unknown trap";
}

static uint64_t sig_code(valtype_t t)
{
    switch ((enum valtype)t) {
    case VT_I32:
        return 0;
    case VT_I64:
        return 1;
    case VT_F32:
        return 2;
    case VT_F64:
        return 3;
    case VT_V128:
        return 4;
    case VT_FUNCREF:
        return 5;
    case VT_EXTERNREF:
        return 6;
    case VT_EXNREF:
        return 7;
    }
    return 0;
}

/* Bit 0 is set; bits 1..5 and 6..10 are the counts; three bits per value follow, parameters first. */
uint64_t abi_sig(const struct functype *t)
{
    if ((uint64_t)t->param_count + t->result_count > ABI_SIG_INLINE)
        return 0;
    uint64_t sig = 1 | (uint64_t)t->param_count << 1 | (uint64_t)t->result_count << 6;
    unsigned shift = 11;
    for (uint32_t i = 0; i < t->param_count; i++, shift += 3)
        sig |= sig_code(t->params[i]) << shift;
    for (uint32_t i = 0; i < t->result_count; i++, shift += 3)
        sig |= sig_code(t->results[i]) << shift;
    return sig;
}

/* The block is handed out downwards from B. */
struct taker {
    uint64_t used_bytes;
};

/* The offset is wrong once used_bytes passed ABI_BLOCK_MAX, which is tested at the end: the limits of a
 * module keep used_bytes far below 2^64. */
static int32_t take(struct taker *t, uint32_t bytes, uint32_t align)
{
    t->used_bytes = (t->used_bytes + bytes + align - 1) & ~(uint64_t)(align - 1);
    return (int32_t)-(int64_t)t->used_bytes;
}

static status_t alloc_offsets(const struct module *m, struct arena *a, struct abi_layout *l)
{
    l->global_off = arena_alloc(a, m->global_count, sizeof(int32_t));
    l->func_off = arena_alloc(a, m->func_count, sizeof(int32_t));
    l->table_off = arena_alloc(a, m->table_count, sizeof(int32_t));
    l->mem_off = arena_alloc(a, m->mem_count, sizeof(int32_t));
    l->tag_off = arena_alloc(a, m->tag_count, sizeof(int32_t));
    l->sig_off = arena_alloc(a, m->type_count, sizeof(int32_t));
    if (!l->global_off || !l->func_off || !l->table_off || !l->mem_off || !l->tag_off ||
        !l->sig_off)
        return ST_NOMEM;
    return ST_OK;
}

/* What straight-line code reads comes first, so that it shares cache lines with the context. */
static void place_hot(const struct module *m, struct taker *t, struct abi_layout *l)
{
    for (uint32_t i = 0; i < m->mem_count; i++)
        l->mem_off[i] = take(t, 2 * sizeof(void *), 16);
    for (uint32_t i = 0; i < m->table_count; i++)
        l->table_off[i] = take(t, sizeof(void *), 8);
    for (uint32_t i = 0; i < m->global_count; i++) {
        if (m->globals[i].imported)
            l->global_off[i] = take(t, sizeof(void *), 8);
        else
            l->global_off[i] = take(t, sizeof(union cell_value), 16);
    }
    for (uint32_t i = 0; i < m->tag_count; i++)
        l->tag_off[i] = take(t, sizeof(void *), 8);
    for (uint32_t i = 0; i < m->type_count; i++) {
        if (abi_sig(&m->types[i]) == 0)
            l->sig_off[i] = take(t, sizeof(uint64_t), 8);
    }
}

static void place_funcs(const struct module *m, struct taker *t, struct abi_layout *l)
{
    for (uint32_t i = 0; i < m->func_count; i++) {
        const struct module_func *f = &m->funcs[i];
        bool is_start = m->has_start && m->start == i;

        if (f->imported)
            l->func_off[i] = take(t, sizeof(struct abi_import), 16);
        else if (f->ref_declared || f->exported || is_start)
            l->func_off[i] = take(t, sizeof(struct abi_func), 16);
    }
}

status_t abi_layout_make(const struct module *m, struct arena *a, struct abi_layout *ret_layout,
                         struct error *err)
{
    struct abi_layout l = {0};
    struct taker t = {ABI_CTX_BYTES};

    if (alloc_offsets(m, a, &l) != ST_OK)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    l.mem0_inline = m->mem_count > 0 && !m->mems[0].imported && !m->mems[0].limits.shared;
    place_hot(m, &t, &l);
    place_funcs(m, &t, &l);
    if (t.used_bytes > ABI_BLOCK_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "instance block of %llu bytes is over %d",
                         (unsigned long long)t.used_bytes, ABI_BLOCK_MAX);
    l.block_bytes = (uint32_t)t.used_bytes;
    *ret_layout = l;
    return ST_OK;
}
