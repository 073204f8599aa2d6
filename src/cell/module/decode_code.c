/* The code section: where each body is, and its locals expanded. */
#include <string.h>

#include "decode.h"

struct locals {
    uint64_t count; /* declared, all groups */
    uint32_t groups;
    struct cursor list; /* the groups */
};

/* Step over the groups and add them up. */
static status_t count_locals(const struct decoder *d, struct cursor *c, struct locals *ret_locals)
{
    struct locals l = {0};
    uint64_t off = cursor_offset(c);
    status_t st = decode_count(d, c, UINT32_MAX, "groups of locals", 2, &l.groups);

    if (st != ST_OK)
        return st;
    l.list = *c;
    for (uint32_t i = 0; i < l.groups; i++) {
        valtype_t type;
        uint32_t n = cursor_leb_u32(c);

        if (c->failed)
            return decode_fail(d, c);
        l.count += n;
        st = decode_valtype(d, c, &type);
        if (st != ST_OK)
            return st;
    }
    if (l.count > UINT32_MAX)
        return error_set(d->err, ST_FORMAT, off, "too many locals");
    if (l.count > MODULE_LOCALS_MAX)
        return error_set(d->err, ST_LIMIT, off, "too many locals: %llu, at most %d",
                         (unsigned long long)l.count, MODULE_LOCALS_MAX);
    *ret_locals = l;
    return ST_OK;
}

static status_t read_locals(struct decoder *d, struct cursor *c, struct module_func *f)
{
    struct locals l;
    uint64_t off = cursor_offset(c);
    status_t st = count_locals(d, c, &l);

    if (st != ST_OK)
        return st;
    d->locals_sum += l.count;
    if (d->locals_sum > DECODE_LOCALS_SUM_MAX)
        return error_set(d->err, ST_LIMIT, off, "too many locals in all functions: at most %d",
                         DECODE_LOCALS_SUM_MAX);
    valtype_t *types = decode_grow(d, NULL, 0, (uint32_t)l.count, sizeof(*types));
    if (!types)
        return ST_NOMEM;
    f->locals = types;
    f->local_count = (uint32_t)l.count;
    for (uint32_t i = 0; i < l.groups; i++) {
        uint32_t n = cursor_leb_u32(&l.list);

        memset(types, cursor_u8(&l.list), n);
        types += n;
    }
    return ST_OK;
}

static status_t read_body(struct decoder *d, struct cursor *c, struct module_func *f)
{
    uint64_t off = cursor_offset(c);
    uint32_t len = cursor_leb_u32(c);

    if (c->failed)
        return decode_fail(d, c);
    if (len > cursor_left(c))
        return error_set(d->err, ST_FORMAT, off, "unexpected end of section or function");
    if (len > MODULE_FUNC_BYTES_MAX)
        return error_set(d->err, ST_LIMIT, off, "function of %u bytes, at most %d", len,
                         MODULE_FUNC_BYTES_MAX);
    struct cursor body = cursor_sub(c, len);
    status_t st = read_locals(d, &body, f);
    if (st != ST_OK)
        return st;
    f->body = body.pos;
    f->body_len = (uint32_t)cursor_left(&body);
    f->body_off = cursor_offset(&body);
    return ST_OK;
}

status_t decode_code(struct decoder *d, struct cursor *c)
{
    struct module *m = d->m;
    uint32_t count;

    m->code_off = cursor_offset(c);
    count = cursor_leb_u32(c);
    if (c->failed)
        return decode_fail(d, c);
    if (count != m->func_count - m->func_import_count)
        return error_set(d->err, ST_FORMAT, m->code_off,
                         "function and code section have inconsistent lengths");
    for (uint32_t i = m->func_import_count; i < m->func_count; i++) {
        status_t st = read_body(d, c, &m->funcs[i]);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}
