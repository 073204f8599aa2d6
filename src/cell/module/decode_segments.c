/* Element, data and data count sections. */
#include "decode.h"

/* Bits of an element segment's kind. */
enum {
    ELEM_NOT_ACTIVE = 1,
    ELEM_EXPLICIT = 2, /* active: names its table and type; else: declared only */
    ELEM_EXPRS = 4,
};

static status_t read_elem_entries(struct decoder *d, struct cursor *c, uint32_t item_bytes,
                                  uint32_t *ret_count)
{
    uint64_t off = cursor_offset(c);
    status_t st = decode_count(d, c, MODULE_TABLE_ENTRIES_MAX, "segment elements", item_bytes,
                               ret_count);

    if (st != ST_OK)
        return st;
    d->elem_entries_sum += *ret_count;
    if (d->elem_entries_sum > DECODE_ELEM_ENTRIES_SUM_MAX)
        return error_set(d->err, ST_LIMIT, off, "too many elements in all segments: at most %d",
                         DECODE_ELEM_ENTRIES_SUM_MAX);
    return ST_OK;
}

static status_t read_elem_funcs(struct decoder *d, struct cursor *c, struct module_elem *e)
{
    struct module *m = d->m;
    uint32_t count = 0;
    status_t st = read_elem_entries(d, c, 1, &count);

    if (st != ST_OK)
        return st;
    uint32_t *funcs = decode_grow(d, NULL, 0, count, sizeof(*funcs));
    if (!funcs)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = decode_index(d, c, m->func_count, "function", &funcs[i]);
        if (st != ST_OK)
            return st;
        m->funcs[funcs[i]].ref_declared = true;
    }
    e->funcs = funcs;
    e->count = count;
    return ST_OK;
}

static status_t read_elem_exprs(struct decoder *d, struct cursor *c, struct module_elem *e)
{
    uint32_t count = 0;
    status_t st = read_elem_entries(d, c, 2, &count);

    if (st != ST_OK)
        return st;
    struct const_expr *exprs = decode_grow(d, NULL, 0, count, sizeof(*exprs));
    if (!exprs)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = decode_const_expr(d, c, e->type, &exprs[i]);
        if (st != ST_OK)
            return st;
    }
    e->exprs = exprs;
    e->count = count;
    return ST_OK;
}

/* Table and offset of an active segment. */
static status_t read_elem_place(struct decoder *d, struct cursor *c, uint32_t kind,
                                struct module_elem *e)
{
    struct module *m = d->m;
    uint64_t off = cursor_offset(c);

    if (kind & ELEM_EXPLICIT)
        e->table = cursor_leb_u32(c);
    if (c->failed)
        return decode_fail(d, c);
    if (e->table >= m->table_count)
        return error_set(d->err, ST_INVALID, off, "unknown table %u", e->table);
    return decode_const_expr(d, c, VT_I32, &e->offset);
}

/* The type is written unless the segment is of the short active form. */
static status_t read_elem_type(struct decoder *d, struct cursor *c, uint32_t kind,
                               struct module_elem *e)
{
    e->type = VT_FUNCREF;
    if ((kind & (ELEM_NOT_ACTIVE | ELEM_EXPLICIT)) == 0)
        return ST_OK;
    if (kind & ELEM_EXPRS)
        return decode_reftype(d, c, &e->type);
    uint64_t off = cursor_offset(c);
    uint8_t elem_kind = cursor_u8(c);
    if (c->failed)
        return decode_fail(d, c);
    if (elem_kind != 0)
        return error_set(d->err, ST_FORMAT, off, "malformed element kind");
    return ST_OK;
}

static status_t read_elem(struct decoder *d, struct cursor *c, struct module_elem *e)
{
    uint64_t off = cursor_offset(c);
    uint32_t kind = cursor_leb_u32(c);
    status_t st = ST_OK;

    if (c->failed)
        return decode_fail(d, c);
    if (kind > 7)
        return error_set(d->err, ST_FORMAT, off, "malformed elements segment kind");
    if (kind & ELEM_NOT_ACTIVE) {
        e->mode = kind & ELEM_EXPLICIT ? SEGMENT_DECLARED : SEGMENT_PASSIVE;
    } else {
        e->mode = SEGMENT_ACTIVE;
        st = read_elem_place(d, c, kind, e);
    }
    if (st == ST_OK)
        st = read_elem_type(d, c, kind, e);
    if (st != ST_OK)
        return st;
    if (e->mode == SEGMENT_ACTIVE && d->m->tables[e->table].type != e->type)
        return error_set(d->err, ST_INVALID, off, "type mismatch: segment of %s for a table of %s",
                         valtype_name(e->type), valtype_name(d->m->tables[e->table].type));
    return kind & ELEM_EXPRS ? read_elem_exprs(d, c, e) : read_elem_funcs(d, c, e);
}

status_t decode_elems(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t count = 0;
    status_t st = decode_count(d, c, MODULE_ELEMS_MAX, "element segments", 3, &count);

    if (st != ST_OK)
        return st;
    m->elems = decode_grow(d, NULL, 0, count, sizeof(*m->elems));
    if (!m->elems)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = read_elem(d, c, &m->elems[i]);
        if (st != ST_OK)
            return st;
        m->elem_count++;
    }
    return ST_OK;
}

status_t decode_data_count(struct decoder *d, struct cursor *c)
{
    uint64_t off = cursor_offset(c);

    d->data_count = cursor_leb_u32(c);
    if (c->failed)
        return decode_fail(d, c);
    if (d->data_count > MODULE_DATAS_MAX)
        return error_set(d->err, ST_LIMIT, off, "too many data segments: %u, at most %d",
                         d->data_count, MODULE_DATAS_MAX);
    d->m->has_data_count = true;
    return ST_OK;
}

static status_t read_data(struct decoder *d, struct cursor *c, struct module_data *data)
{
    struct module *m = d->m;
    uint64_t off = cursor_offset(c);
    uint32_t kind = cursor_leb_u32(c);

    if (c->failed)
        return decode_fail(d, c);
    if (kind > 2)
        return error_set(d->err, ST_FORMAT, off, "malformed data segment kind");
    data->mode = kind == 1 ? SEGMENT_PASSIVE : SEGMENT_ACTIVE;
    if (kind == 2)
        data->mem = cursor_leb_u32(c);
    if (c->failed)
        return decode_fail(d, c);
    if (data->mode == SEGMENT_ACTIVE) {
        if (data->mem >= m->mem_count)
            return error_set(d->err, ST_INVALID, off, "unknown memory %u", data->mem);
        status_t st = decode_const_expr(d, c, VT_I32, &data->offset);
        if (st != ST_OK)
            return st;
    }
    data->len = cursor_leb_u32(c);
    data->bytes = cursor_bytes(c, data->len);
    return c->failed ? decode_fail(d, c) : ST_OK;
}

status_t decode_datas(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint64_t off = cursor_offset(c);
    uint32_t count = 0;
    status_t st = decode_count(d, c, MODULE_DATAS_MAX, "data segments", 2, &count);

    if (st != ST_OK)
        return st;
    if (m->has_data_count && d->data_count != count)
        return error_set(d->err, ST_FORMAT, off,
                         "data count and data section have inconsistent lengths");
    m->datas = decode_grow(d, NULL, 0, count, sizeof(*m->datas));
    if (!m->datas)
        return ST_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        st = read_data(d, c, &m->datas[i]);
        if (st != ST_OK)
            return st;
        m->data_count++;
    }
    return ST_OK;
}
