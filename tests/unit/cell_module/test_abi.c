#include "cell/module/abi.h"
#include "check.h"
#include "hex.h"
#include "samples.h"

static void traps_have_the_texts_of_the_specification(void)
{
    CHECK_STR(abi_trap_text(TRAP_UNREACHABLE), "unreachable");
    CHECK_STR(abi_trap_text(TRAP_MEMORY_BOUNDS), "out of bounds memory access");
    CHECK_STR(abi_trap_text(TRAP_INDIRECT_NULL), "uninitialized element");
    CHECK_STR(abi_trap_text(TRAP_INT_DIVIDE), "integer divide by zero");
    CHECK_STR(abi_trap_text(TRAP_STACK), "call stack exhausted");
    for (int t = 0; t < TRAP_COUNT; t++)
        CHECK(abi_trap_text((enum abi_trap)t) != NULL);
    CHECK_STR(abi_trap_text((enum abi_trap)4711), "unknown trap");
}

static void signatures_of_different_types_differ(void)
{
    const valtype_t kinds[] = {VT_I32,  VT_I64,     VT_F32,       VT_F64,
                               VT_V128, VT_FUNCREF, VT_EXTERNREF, VT_EXNREF};
    uint64_t seen[8 * 8 * 3 + 1];
    size_t count = 0;
    struct functype empty = {0};

    seen[count++] = abi_sig(&empty);
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 8; k++) {
            valtype_t v[2] = {kinds[i], kinds[k]};
            for (uint32_t params = 0; params <= 2; params++) {
                struct functype t = {v, v + params, params, 2 - params};
                seen[count++] = abi_sig(&t);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(seen[i] & 1);
        for (size_t k = 0; k < i; k++)
            CHECK(seen[i] != seen[k]);
    }
}

static void a_signature_depends_on_content_only(void)
{
    const valtype_t a[] = {VT_F64, VT_I32}, b[] = {VT_F64, VT_I32};
    struct functype x = {a, a, 2, 2}, y = {b, b, 2, 2};

    CHECK_EQ(abi_sig(&x), abi_sig(&y));
}

static void seventeen_values_have_a_signature_and_eighteen_have_none(void)
{
    valtype_t v[18];
    memset(v, VT_EXNREF, sizeof(v));
    struct functype most = {v, v, 16, 1}, last_differs = {v, v + 17, 16, 1};
    struct functype over = {v, v, 17, 1}, wraps = {v, v, UINT32_MAX, 1};

    v[17] = VT_EXTERNREF;
    CHECK(abi_sig(&most) != 0);
    CHECK(abi_sig(&most) != abi_sig(&last_differs));
    CHECK_EQ(abi_sig(&over), 0);
    CHECK_EQ(abi_sig(&wraps), 0);
}

/* ---- layout ---- */

struct place {
    int32_t off;
    int32_t bytes;
};

static struct module *sample(void)
{
    struct module *m = NULL;
    CHECK_EQ(module_decode(sample_all, sizeof(sample_all), FEATURE_ALL, &m, NULL), ST_OK);
    return m;
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->off > y->off) - (x->off < y->off);
}

static size_t collect(const struct module *m, const struct abi_layout *l, struct place *p)
{
    size_t n = 0;

    for (uint32_t i = 0; i < m->mem_count; i++)
        p[n++] = (struct place){l->mem_off[i], 16};
    for (uint32_t i = 0; i < m->table_count; i++)
        p[n++] = (struct place){l->table_off[i], 8};
    for (uint32_t i = 0; i < m->tag_count; i++)
        p[n++] = (struct place){l->tag_off[i], 8};
    for (uint32_t i = 0; i < m->global_count; i++)
        p[n++] = (struct place){l->global_off[i], m->globals[i].imported ? 8 : 16};
    for (uint32_t i = 0; i < m->type_count; i++)
        if (l->sig_off[i])
            p[n++] = (struct place){l->sig_off[i], 8};
    for (uint32_t i = 0; i < m->func_count; i++)
        if (l->func_off[i])
            p[n++] = (struct place){l->func_off[i], m->funcs[i].imported ? 48 : 32};
    return n;
}

static void parts_of_the_block_are_aligned_and_do_not_overlap(void)
{
    struct module *m = sample();
    struct arena a = {0};
    struct abi_layout l;
    struct place p[64];

    CHECK_EQ(abi_layout_make(m, &a, &l, NULL), ST_OK);
    size_t n = collect(m, &l, p);
    CHECK(n > 10);
    qsort(p, n, sizeof(*p), compare_places);
    CHECK_EQ(-p[0].off, l.block_bytes);
    for (size_t i = 0; i < n; i++) {
        int32_t next = i + 1 < n ? p[i + 1].off : -ABI_CTX_BYTES;

        CHECK(p[i].off + p[i].bytes <= next);
        CHECK_EQ(p[i].off % (p[i].bytes % 16 == 0 ? 16 : 8), 0);
    }
    arena_done(&a);
    module_free(m);
}

static void functions_that_nobody_can_name_have_no_place(void)
{
    struct module *m = sample();
    struct arena a = {0};
    struct abi_layout l;

    CHECK_EQ(abi_layout_make(m, &a, &l, NULL), ST_OK);
    for (uint32_t i = 0; i < m->func_count; i++) {
        const struct module_func *f = &m->funcs[i];
        bool named = f->imported || f->exported || f->ref_declared || m->start == i;

        CHECK_EQ(l.func_off[i] != 0, named);
    }
    CHECK_EQ(l.func_off[8], 0); /* "catches" */
    arena_done(&a);
    module_free(m);
}

static void the_layout_is_the_same_each_time(void)
{
    struct module *m = sample(), *again = sample();
    struct arena a = {0};
    struct abi_layout x, y;

    CHECK_EQ(abi_layout_make(m, &a, &x, NULL), ST_OK);
    CHECK_EQ(abi_layout_make(again, &a, &y, NULL), ST_OK);
    CHECK_EQ(x.block_bytes, y.block_bytes);
    CHECK(memcmp(x.func_off, y.func_off, m->func_count * sizeof(int32_t)) == 0);
    CHECK(memcmp(x.global_off, y.global_off, m->global_count * sizeof(int32_t)) == 0);
    arena_done(&a);
    module_free(m);
    module_free(again);
}

static void check_inline(const char *sections, bool expected)
{
    struct buf b = {0};
    struct module *m = NULL;
    struct arena a = {0};
    struct abi_layout l;

    hex_module(&b, sections);
    CHECK_EQ(module_decode(b.data, b.len, FEATURE_ALL, &m, NULL), ST_OK);
    CHECK_EQ(abi_layout_make(m, &a, &l, NULL), ST_OK);
    CHECK_EQ(l.mem0_inline, expected);
    arena_done(&a);
    module_free(m);
    buf_done(&b);
}

static void only_an_own_unshared_first_memory_is_inline(void)
{
    check_inline("0503010001", true);
    check_inline("050401030101", false);        /* shared */
    check_inline("02060100 00 02 0001", false); /* imported */
    check_inline("", false);
}

static void long_types_get_a_slot_for_the_number_of_the_host(void)
{
    struct buf b = {0};
    struct module *m = NULL;
    struct arena a = {0};
    struct abi_layout l;

    hex_module(&b, "011a02 600000 6012 7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f 017f");
    CHECK_EQ(module_decode(b.data, b.len, 0, &m, NULL), ST_OK);
    CHECK_EQ(abi_layout_make(m, &a, &l, NULL), ST_OK);
    CHECK_EQ(l.sig_off[0], 0);
    CHECK_EQ(l.sig_off[1], -ABI_CTX_BYTES - 8);
    arena_done(&a);
    module_free(m);
    buf_done(&b);
}

static void a_layout_without_memory_is_refused(void)
{
    struct module *m = sample();
    struct arena a = {.limit_bytes = 64};
    struct abi_layout l = {.block_bytes = 7};
    struct error err = {0};

    CHECK_EQ(abi_layout_make(m, &a, &l, &err), ST_NOMEM);
    CHECK_EQ(err.code, ST_NOMEM);
    CHECK_EQ(l.block_bytes, 7);
    arena_done(&a);
    module_free(m);
}

int main(void)
{
    RUN(traps_have_the_texts_of_the_specification);
    RUN(signatures_of_different_types_differ);
    RUN(a_signature_depends_on_content_only);
    RUN(seventeen_values_have_a_signature_and_eighteen_have_none);
    RUN(parts_of_the_block_are_aligned_and_do_not_overlap);
    RUN(functions_that_nobody_can_name_have_no_place);
    RUN(the_layout_is_the_same_each_time);
    RUN(only_an_own_unshared_first_memory_is_inline);
    RUN(a_layout_without_memory_is_refused);
    RUN(long_types_get_a_slot_for_the_number_of_the_host);
    return CHECK_DONE();
}
