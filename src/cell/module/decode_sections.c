/* The sections that define functions, tables, memories, tags and globals, and that export them. */
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "decode_types.h"

/* The limits of index spaces are for imports and definitions together. */
static status_t read_space_count(const struct decoder *d, struct cursor *c, uint32_t imported,
                                 uint32_t max, const char *what, uint32_t item_bytes,
                                 uint32_t *ret_total)
{
    uint32_t count = 0;
    uint64_t off = cursor_offset(c);
    status_t st = decode_count(d, c, max, what, item_bytes, &count);

    if (st != ST_OK)
        return st;
    if (imported > max || count > max - imported)
        return error_set(d->err, ST_LIMIT, off, "too many %s: %llu, at most %u", what,
                         (unsigned long long)count + imported, max);
    *ret_total = imported + count;
    return ST_OK;
}

status_t decode_funcs(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t total = 0;
    status_t st = read_space_count(d, c, m->func_count, MODULE_FUNCS_MAX, "functions", 1, &total);

    if (st != ST_OK)
        return st;
    struct module_func *funcs = decode_grow(d, m->funcs, m->func_count, total, sizeof(*funcs));
    if (!funcs)
        return ST_NOMEM;
    m->funcs = funcs;
    while (m->func_count < total) {
        st = decode_index(d, c, m->type_count, "type", &funcs[m->func_count].type);
        if (st != ST_OK)
            return st;
        m->func_count++;
    }
    return ST_OK;
}

status_t decode_tables_check(const struct decoder *d, const struct cursor *c)
{
    if (d->m->table_count > MODULE_TABLES_MAX)
        return error_set(d->err, ST_LIMIT, cursor_offset(c), "too many tables: at most %d",
                         MODULE_TABLES_MAX);
    return ST_OK;
}

status_t decode_tables(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t total = 0;
    status_t st = read_space_count(d, c, m->table_count, MODULE_TABLES_MAX, "tables", 2, &total);

    if (st != ST_OK)
        return st;
    struct module_table *tables = decode_grow(d, m->tables, m->table_count, total, sizeof(*tables));
    if (!tables)
        return ST_NOMEM;
    m->tables = tables;
    while (m->table_count < total) {
        st = decode_table_type(d, c, &tables[m->table_count]);
        if (st != ST_OK)
            return st;
        m->table_count++;
    }
    return ST_OK;
}

status_t decode_mems_check(const struct decoder *d, const struct cursor *c)
{
    struct module *m = d->m;

    if (m->mem_count > 1 && !(m->features & FEATURE_MULTI_MEMORY))
        return error_set(d->err, ST_INVALID, cursor_offset(c), "multiple memories");
    if (m->mem_count > MODULE_MEMS_MAX)
        return error_set(d->err, ST_LIMIT, cursor_offset(c), "too many memories: at most %d",
                         MODULE_MEMS_MAX);
    if (m->mem_count > 1)
        m->features_used |= FEATURE_MULTI_MEMORY;
    return ST_OK;
}

status_t decode_mems(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t total = 0;
    status_t st = read_space_count(d, c, m->mem_count, MODULE_MEMS_MAX, "memories", 1, &total);

    if (st != ST_OK)
        return st;
    struct module_mem *mems = decode_grow(d, m->mems, m->mem_count, total, sizeof(*mems));
    if (!mems)
        return ST_NOMEM;
    m->mems = mems;
    while (m->mem_count < total) {
        st = decode_mem_type(d, c, &mems[m->mem_count]);
        if (st != ST_OK)
            return st;
        m->mem_count++;
    }
    return decode_mems_check(d, c);
}

status_t decode_tags(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t total = 0;
    status_t st = read_space_count(d, c, m->tag_count, MODULE_TAGS_MAX, "tags", 2, &total);

    if (st != ST_OK)
        return st;
    struct module_tag *tags = decode_grow(d, m->tags, m->tag_count, total, sizeof(*tags));
    if (!tags)
        return ST_NOMEM;
    m->tags = tags;
    while (m->tag_count < total) {
        st = decode_tag_type(d, c, &tags[m->tag_count]);
        if (st != ST_OK)
            return st;
        m->tag_count++;
    }
    return ST_OK;
}

status_t decode_globals(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t total = 0;
    status_t st = read_space_count(d, c, m->global_count, MODULE_GLOBALS_MAX, "globals", 3, &total);

    if (st != ST_OK)
        return st;
    struct module_global *globals = decode_grow(d, m->globals, m->global_count, total,
                                                sizeof(*globals));
    if (!globals)
        return ST_NOMEM;
    m->globals = globals;
    while (m->global_count < total) {
        struct module_global *g = &globals[m->global_count];

        st = decode_global_type(d, c, g);
        if (st == ST_OK)
            st = decode_const_expr(d, c, g->type, &g->init);
        if (st != ST_OK)
            return st;
        m->global_count++;
    }
    return ST_OK;
}

/* ---- exports ---- */

static status_t read_export(struct decoder *d, struct cursor *c, struct module_export *e)
{
    struct module *m = d->m;
    status_t st = decode_name(d, c, &e->field);

    if (st != ST_OK)
        return st;
    uint64_t off = cursor_offset(c);
    uint8_t kind = cursor_u8(c);
    if (c->failed)
        return decode_fail(d, c);
    e->kind = (enum extern_kind)kind;
    switch (kind) {
    case EXTERN_FUNC:
        st = decode_index(d, c, m->func_count, "function", &e->index);
        if (st == ST_OK)
            m->funcs[e->index].exported = m->funcs[e->index].ref_declared = true;
        return st;
    case EXTERN_TABLE:
        st = decode_index(d, c, m->table_count, "table", &e->index);
        if (st == ST_OK)
            m->tables[e->index].exported = true;
        return st;
    case EXTERN_MEM:
        st = decode_index(d, c, m->mem_count, "memory", &e->index);
        if (st == ST_OK)
            m->mems[e->index].exported = true;
        return st;
    case EXTERN_GLOBAL:
        st = decode_index(d, c, m->global_count, "global", &e->index);
        if (st == ST_OK)
            m->globals[e->index].exported = true;
        return st;
    case EXTERN_TAG:
        if (!(m->features & (FEATURE_EXCEPTIONS | FEATURE_LEGACY_EXCEPTIONS)))
            break;
        st = decode_index(d, c, m->tag_count, "tag", &e->index);
        if (st == ST_OK)
            m->tags[e->index].exported = true;
        return st;
    default:
        break;
    }
    return error_set(d->err, ST_FORMAT, off, "malformed export kind");
}

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a, *y = b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return memcmp(x->bytes, y->bytes, x->len);
}

/* By sorting: a hash table's worst case could be provoked. */
static status_t check_export_names(const struct decoder *d, const struct cursor *c)
{
    struct module *m = d->m;
    struct name *names = malloc((m->export_count + 1) * sizeof(*names));
    status_t st = ST_OK;

    if (!names)
        return error_set(d->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    for (uint32_t i = 0; i < m->export_count; i++)
        names[i] = m->exports[i].field;
    qsort(names, m->export_count, sizeof(*names), compare_names);
    for (uint32_t i = 1; i < m->export_count && st == ST_OK; i++) {
        if (compare_names(&names[i - 1], &names[i]) == 0)
            st = error_set(d->err, ST_INVALID, cursor_offset(c), "duplicate export name");
    }
    free(names);
    return st;
}

status_t decode_exports(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t count = 0;
    status_t st = decode_count(d, c, MODULE_EXPORTS_MAX, "exports", 3, &count);

    if (st != ST_OK)
        return st;
    m->exports = decode_grow(d, NULL, 0, count, sizeof(*m->exports));
    if (!m->exports)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = read_export(d, c, &m->exports[i]);
        if (st != ST_OK)
            return st;
        m->export_count++;
    }
    return check_export_names(d, c);
}

status_t decode_start(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint64_t off = cursor_offset(c);
    status_t st = decode_index(d, c, m->func_count, "function", &m->start);

    if (st != ST_OK)
        return st;
    const struct functype *t = module_func_type(m, m->start);
    if (t->param_count != 0 || t->result_count != 0)
        return error_set(d->err, ST_INVALID, off, "start function");
    m->has_start = true;
    return ST_OK;
}
