/* The type and import sections, and the types of what both imports and definitions declare. */
#include "decode_types.h"

#include "decode.h"

static status_t read_valtypes(struct decoder *d, struct cursor *c, uint32_t max, const char *what,
                              const valtype_t **ret_types, uint32_t *ret_count)
{
    uint32_t count = 0;
    status_t st = decode_count(d, c, max, what, 1, &count);

    if (st != ST_OK)
        return st;
    valtype_t *types = decode_grow(d, NULL, 0, count, sizeof(*types));
    if (!types)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = decode_valtype(d, c, &types[i]);
        if (st != ST_OK)
            return st;
    }
    *ret_types = types;
    *ret_count = count;
    return ST_OK;
}

static status_t read_functype(struct decoder *d, struct cursor *c, struct functype *ret_type)
{
    uint64_t off = cursor_offset(c);
    uint8_t form = cursor_u8(c);

    if (c->failed)
        return decode_fail(d, c);
    if (form & 0x80)
        return error_set(d->err, ST_FORMAT, off, "integer representation too long");
    if (form != 0x60)
        return error_set(d->err, ST_FORMAT, off, "malformed function type");
    status_t st = read_valtypes(d, c, MODULE_PARAMS_MAX, "parameters", &ret_type->params,
                                &ret_type->param_count);
    if (st != ST_OK)
        return st;
    return read_valtypes(d, c, MODULE_RESULTS_MAX, "results", &ret_type->results,
                         &ret_type->result_count);
}

status_t decode_types(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t count = 0;
    status_t st = decode_count(d, c, MODULE_TYPES_MAX, "types", 3, &count);

    if (st != ST_OK)
        return st;
    m->types = decode_grow(d, NULL, 0, count, sizeof(*m->types));
    if (!m->types)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = read_functype(d, c, &m->types[i]);
        if (st != ST_OK)
            return st;
        m->type_count++;
    }
    return ST_OK;
}

/* The flags are a number of as many bits as there are flags, as the specification's tests have it. */
static status_t read_limits_flags(const struct decoder *d, struct cursor *c, uint8_t max,
                                  uint8_t *ret_flags)
{
    uint64_t off = cursor_offset(c);
    uint8_t flags = cursor_u8(c);

    if (c->failed)
        return decode_fail(d, c);
    if (flags & 0x80)
        return error_set(d->err, ST_FORMAT, off, "integer representation too long");
    if (flags > max)
        return error_set(d->err, ST_FORMAT, off, "integer too large");
    *ret_flags = flags;
    return ST_OK;
}

static status_t read_limits(const struct decoder *d, struct cursor *c, uint8_t flags_max,
                            struct limits *ret_limits)
{
    struct limits l = {0};
    uint8_t flags = 0;
    status_t st = read_limits_flags(d, c, flags_max, &flags);

    if (st != ST_OK)
        return st;
    l.has_max = (flags & 1) != 0;
    l.shared = (flags & 2) != 0;
    l.min = cursor_leb_u32(c);
    if (l.has_max)
        l.max = cursor_leb_u32(c);
    if (c->failed)
        return decode_fail(d, c);
    *ret_limits = l;
    return ST_OK;
}

status_t decode_table_type(const struct decoder *d, struct cursor *c,
                           struct module_table *ret_table)
{
    uint64_t off = cursor_offset(c);
    struct limits *l = &ret_table->limits;
    status_t st = decode_reftype(d, c, &ret_table->type);

    if (st == ST_OK)
        st = read_limits(d, c, 1, l);
    if (st != ST_OK)
        return st;
    if (l->has_max && l->min > l->max)
        return error_set(d->err, ST_INVALID, off, "size minimum must not be greater than maximum");
    if (l->min > MODULE_TABLE_ENTRIES_MAX)
        return error_set(d->err, ST_LIMIT, off, "table of %llu entries, at most %d",
                         (unsigned long long)l->min, MODULE_TABLE_ENTRIES_MAX);
    return ST_OK;
}

status_t decode_mem_type(const struct decoder *d, struct cursor *c, struct module_mem *ret_mem)
{
    uint64_t off = cursor_offset(c);
    struct limits *l = &ret_mem->limits;
    bool threads = (d->m->features & FEATURE_THREADS) != 0;
    status_t st = read_limits(d, c, threads ? 3 : 1, l);

    if (st != ST_OK)
        return st;
    if (l->min > WASM_PAGES_MAX || (l->has_max && l->max > WASM_PAGES_MAX))
        return error_set(d->err, ST_INVALID, off, "memory size must be at most 65536 pages (4GiB)");
    if (l->has_max && l->min > l->max)
        return error_set(d->err, ST_INVALID, off, "size minimum must not be greater than maximum");
    if (l->shared && !l->has_max)
        return error_set(d->err, ST_INVALID, off, "shared memory must have maximum");
    if (l->shared)
        d->m->features_used |= FEATURE_THREADS;
    return ST_OK;
}

status_t decode_global_type(const struct decoder *d, struct cursor *c,
                            struct module_global *ret_global)
{
    status_t st = decode_valtype(d, c, &ret_global->type);

    if (st != ST_OK)
        return st;
    uint64_t off = cursor_offset(c);
    uint8_t mutable_ = cursor_u8(c);
    if (c->failed)
        return decode_fail(d, c);
    if (mutable_ > 1)
        return error_set(d->err, ST_FORMAT, off, "malformed mutability");
    ret_global->mutable_ = mutable_ == 1;
    return ST_OK;
}

status_t decode_tag_type(const struct decoder *d, struct cursor *c, struct module_tag *ret_tag)
{
    struct module *m = d->m;
    uint64_t off = cursor_offset(c);
    uint8_t attribute = cursor_u8(c);

    if (c->failed)
        return decode_fail(d, c);
    if (attribute != 0)
        return error_set(d->err, ST_FORMAT, off, "malformed tag attribute");
    status_t st = decode_index(d, c, m->type_count, "type", &ret_tag->type);
    if (st != ST_OK)
        return st;
    if (m->types[ret_tag->type].result_count != 0)
        return error_set(d->err, ST_INVALID, off, "non-empty tag result type");
    decode_note_tags(m);
    return ST_OK;
}

void decode_note_tags(struct module *m)
{
    m->features_used |= m->features & FEATURE_EXCEPTIONS ? FEATURE_EXCEPTIONS
                                                         : FEATURE_LEGACY_EXCEPTIONS;
}

/* ---- imports ---- */

/* Make room for one more item of an index space whose array now has count items. */
static void *grow_space(struct decoder *d, enum extern_kind kind, void *items, uint32_t count,
                        size_t item_bytes)
{
    uint32_t *cap = &d->space_cap[kind];

    if (count < *cap)
        return items;
    uint32_t new_cap = *cap == 0 ? 8 : *cap * 2;
    void *grown = decode_grow(d, items, count, new_cap, item_bytes);
    if (grown)
        *cap = new_cap;
    return grown;
}

static status_t import_func(struct decoder *d, struct cursor *c, uint32_t *ret_index)
{
    struct module *m = d->m;
    struct module_func *funcs = grow_space(d, EXTERN_FUNC, m->funcs, m->func_count,
                                           sizeof(*m->funcs));

    if (!funcs)
        return ST_NOMEM;
    m->funcs = funcs;
    struct module_func *f = &funcs[m->func_count];
    status_t st = decode_index(d, c, m->type_count, "type", &f->type);
    if (st != ST_OK)
        return st;
    f->imported = true;
    *ret_index = m->func_count++;
    m->func_import_count++;
    return ST_OK;
}

static status_t import_table(struct decoder *d, struct cursor *c, uint32_t *ret_index)
{
    struct module *m = d->m;
    struct module_table *tables = grow_space(d, EXTERN_TABLE, m->tables, m->table_count,
                                             sizeof(*m->tables));

    if (!tables)
        return ST_NOMEM;
    m->tables = tables;
    struct module_table *t = &tables[m->table_count];
    status_t st = decode_table_type(d, c, t);
    if (st != ST_OK)
        return st;
    t->imported = true;
    *ret_index = m->table_count++;
    m->table_import_count++;
    return decode_tables_check(d, c);
}

static status_t import_mem(struct decoder *d, struct cursor *c, uint32_t *ret_index)
{
    struct module *m = d->m;
    struct module_mem *mems = grow_space(d, EXTERN_MEM, m->mems, m->mem_count, sizeof(*m->mems));

    if (!mems)
        return ST_NOMEM;
    m->mems = mems;
    struct module_mem *mem = &mems[m->mem_count];
    status_t st = decode_mem_type(d, c, mem);
    if (st != ST_OK)
        return st;
    mem->imported = true;
    *ret_index = m->mem_count++;
    m->mem_import_count++;
    return decode_mems_check(d, c);
}

static status_t import_global(struct decoder *d, struct cursor *c, uint32_t *ret_index)
{
    struct module *m = d->m;
    struct module_global *globals = grow_space(d, EXTERN_GLOBAL, m->globals, m->global_count,
                                               sizeof(*m->globals));

    if (!globals)
        return ST_NOMEM;
    m->globals = globals;
    struct module_global *g = &globals[m->global_count];
    status_t st = decode_global_type(d, c, g);
    if (st != ST_OK)
        return st;
    g->imported = true;
    *ret_index = m->global_count++;
    m->global_import_count++;
    return ST_OK;
}

static status_t import_tag(struct decoder *d, struct cursor *c, uint32_t *ret_index)
{
    struct module *m = d->m;
    struct module_tag *tags = grow_space(d, EXTERN_TAG, m->tags, m->tag_count, sizeof(*m->tags));

    if (!tags)
        return ST_NOMEM;
    m->tags = tags;
    struct module_tag *t = &tags[m->tag_count];
    status_t st = decode_tag_type(d, c, t);
    if (st != ST_OK)
        return st;
    t->imported = true;
    *ret_index = m->tag_count++;
    m->tag_import_count++;
    return ST_OK;
}

static status_t read_import(struct decoder *d, struct cursor *c, struct module_import *imp)
{
    status_t st = decode_name(d, c, &imp->module);

    if (st == ST_OK)
        st = decode_name(d, c, &imp->field);
    if (st != ST_OK)
        return st;
    uint64_t off = cursor_offset(c);
    uint8_t kind = cursor_u8(c);
    if (c->failed)
        return decode_fail(d, c);
    imp->kind = (enum extern_kind)kind;
    switch (kind) {
    case EXTERN_FUNC:
        return import_func(d, c, &imp->index);
    case EXTERN_TABLE:
        return import_table(d, c, &imp->index);
    case EXTERN_MEM:
        return import_mem(d, c, &imp->index);
    case EXTERN_GLOBAL:
        return import_global(d, c, &imp->index);
    case EXTERN_TAG:
        if (d->m->features & (FEATURE_EXCEPTIONS | FEATURE_LEGACY_EXCEPTIONS))
            return import_tag(d, c, &imp->index);
        break;
    default:
        break;
    }
    return error_set(d->err, ST_FORMAT, off, "malformed import kind");
}

status_t decode_imports(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t count = 0;
    status_t st = decode_count(d, c, MODULE_IMPORTS_MAX, "imports", 3, &count);

    if (st != ST_OK)
        return st;
    m->imports = decode_grow(d, NULL, 0, count, sizeof(*m->imports));
    if (!m->imports)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = read_import(d, c, &m->imports[i]);
        if (st != ST_OK)
            return st;
        m->import_count++;
    }
    return ST_OK;
}
