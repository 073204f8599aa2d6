#include "tables.h"

#include <stdlib.h>
#include <string.h>

#include "cell/module/instr.h"

/* ---- equal types ---- */

struct numbered_type {
    const struct functype *type;
    uint32_t index;
};

static int by_types(const valtype_t *a, uint32_t a_count, const valtype_t *b, uint32_t b_count)
{
    if (a_count != b_count)
        return a_count < b_count ? -1 : 1;
    return a_count ? memcmp(a, b, a_count * sizeof *a) : 0;
}

static int by_type(const void *a, const void *b)
{
    const struct numbered_type *x = a, *y = b;
    int order = by_types(x->type->params, x->type->param_count, y->type->params,
                         y->type->param_count);
    if (!order)
        order = by_types(x->type->results, x->type->result_count, y->type->results,
                         y->type->result_count);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

bool tables_same_types(const struct module *m, struct sig_facts *sigs)
{
    struct numbered_type *list = calloc((size_t)m->type_count + 1, sizeof *list);
    if (!list)
        return false;
    for (uint32_t i = 0; i < m->type_count; i++)
        list[i] = (struct numbered_type){&m->types[i], i};
    qsort(list, m->type_count, sizeof *list, by_type);
    for (uint32_t i = 0; i < m->type_count; i++) {
        bool same = i > 0 && functype_equal(list[i - 1].type, list[i].type);
        sigs[list[i].index].same = same ? sigs[list[i - 1].index].same : list[i].index;
    }
    free(list);
    return true;
}

/* ---- content ---- */

static bool constant_ref(const struct module *m, const struct const_expr *e, uint32_t *ret_func)
{
    struct cursor c;
    struct instr in;
    cursor_init(&c, e->bytes, e->len, e->off);
    if (!instr_read(&c, m->features, &in) || (in.op != OP_REF_FUNC && in.op != OP_REF_NULL))
        return false;
    uint32_t func = in.op == OP_REF_FUNC ? in.index : TABLES_NULL;
    if (!instr_read(&c, m->features, &in) || in.op != OP_END)
        return false;
    *ret_func = func;
    return true;
}

/* A segment that does not fit traps before anything runs; that is the runner's business. */
static bool apply_segment(const struct module *m, const struct module_elem *e, uint32_t *funcs)
{
    uint32_t off;
    if (!module_const_i32(m, &e->offset, &off) ||
        (uint64_t)off + e->count > m->tables[0].limits.min)
        return false;
    for (uint32_t i = 0; i < e->count; i++) {
        if (e->funcs)
            funcs[off + i] = e->funcs[i];
        else if (!constant_ref(m, &e->exprs[i], &funcs[off + i]))
            return false;
    }
    return true;
}

bool tables_content(const struct module *m, struct arena *a, uint32_t **ret_funcs)
{
    if (!m->table_count)
        return true;
    const struct module_table *t = &m->tables[0];
    if (t->imported || t->exported || t->type != VT_FUNCREF || t->limits.min > TABLES_ENTRIES_MAX)
        return true;
    uint32_t *funcs = arena_alloc(a, (size_t)t->limits.min, sizeof *funcs);
    if (!funcs)
        return false;
    for (uint64_t i = 0; i < t->limits.min; i++)
        funcs[i] = TABLES_NULL;
    for (uint32_t i = 0; i < m->elem_count; i++) {
        const struct module_elem *e = &m->elems[i];
        if (e->mode == SEGMENT_ACTIVE && e->table == 0 && !apply_segment(m, e, funcs))
            return true;
    }
    *ret_funcs = funcs;
    return true;
}

/* ---- choice ---- */

enum { CHOICE_FREE_BYTES = 64 * 1024, CHOICE_CODE_SHARE = 4 };

struct choice {
    uint32_t sig, sites;
};

static int by_sites(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;
    if (x->sites != y->sites)
        return x->sites > y->sites ? -1 : 1;
    return x->sig < y->sig ? -1 : x->sig > y->sig;
}

bool tables_choose(const struct module *m, struct analysis *analysis)
{
    uint64_t room = CHOICE_FREE_BYTES, bytes = m->tables[0].limits.min * sizeof(int32_t);
    struct choice *list = calloc((size_t)m->type_count + 1, sizeof *list);
    if (!list)
        return false;
    for (uint32_t i = m->func_import_count; i < m->func_count; i++)
        room += m->funcs[i].body_len / CHOICE_CODE_SHARE;
    for (uint32_t i = 0; i < m->type_count; i++)
        list[i] = (struct choice){i, analysis->sigs[i].sites};
    qsort(list, m->type_count, sizeof *list, by_sites);
    for (uint32_t i = 0; i < m->type_count && list[i].sites && bytes <= room; i++) {
        analysis->sigs[list[i].sig].compact = true;
        room -= bytes;
    }
    free(list);
    return true;
}
