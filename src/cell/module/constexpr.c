#include "constexpr.h"

#include "cell/module/instr.h"

/* All operators of constant expressions take and give one type, so every value on the stack of a valid
 * expression has the type of the first: a depth and a type stand for the whole stack. */
struct const_stack {
    valtype_t type;
    uint32_t depth;
};

static status_t push(struct const_stack *s, valtype_t type, uint64_t off, struct error *err)
{
    if (s->depth > 0 && s->type != type)
        return error_set(err, ST_INVALID, off,
                         "type mismatch: constant expression has both %s and %s",
                         valtype_name(s->type), valtype_name(type));
    if (s->depth == MODULE_CONST_DEPTH_MAX)
        return error_set(err, ST_LIMIT, off, "constant expression is deeper than %d values",
                         MODULE_CONST_DEPTH_MAX);
    s->type = type;
    s->depth++;
    return ST_OK;
}

static status_t push_global(const struct module *m, const struct instr *i, uint32_t globals_visible,
                            struct const_stack *s, struct error *err)
{
    if (i->index >= globals_visible || i->index >= m->global_count)
        return error_set(err, ST_INVALID, i->off, "unknown global %u in a constant expression",
                         i->index);
    if (m->globals[i->index].mutable_)
        return error_set(err, ST_INVALID, i->off,
                         "constant expression required: global %u is mutable", i->index);
    return push(s, m->globals[i->index].type, i->off, err);
}

static status_t push_func(struct module *m, const struct instr *i, struct const_stack *s,
                          struct error *err)
{
    if (i->index >= m->func_count)
        return error_set(err, ST_INVALID, i->off, "unknown function %u in a constant expression",
                         i->index);
    m->funcs[i->index].ref_declared = true;
    return push(s, VT_FUNCREF, i->off, err);
}

static status_t not_constant(const struct instr *i, struct error *err)
{
    return error_set(err, ST_INVALID, i->off, "constant expression required: found %s",
                     instr_info_find(i->op)->text);
}

static status_t binary(struct module *m, const struct instr *i, valtype_t type,
                       struct const_stack *s, struct error *err)
{
    if (!(m->features & FEATURE_EXTENDED_CONST))
        return not_constant(i, err);
    if (s->depth < 2 || s->type != type)
        return error_set(err, ST_INVALID, i->off,
                         "type mismatch: %s in a constant expression needs two values of type %s",
                         instr_info_find(i->op)->text, valtype_name(type));
    m->features_used |= FEATURE_EXTENDED_CONST;
    s->depth--;
    return ST_OK;
}

static status_t step(struct module *m, const struct instr *i, uint32_t globals_visible,
                     struct const_stack *s, struct error *err)
{
    switch (i->op) {
    case OP_I32_CONST:
        return push(s, VT_I32, i->off, err);
    case OP_I64_CONST:
        return push(s, VT_I64, i->off, err);
    case OP_F32_CONST:
        return push(s, VT_F32, i->off, err);
    case OP_F64_CONST:
        return push(s, VT_F64, i->off, err);
    case OP_V128_CONST:
        return push(s, VT_V128, i->off, err);
    case OP_REF_NULL:
        return push(s, i->type, i->off, err);
    case OP_REF_FUNC:
        return push_func(m, i, s, err);
    case OP_GLOBAL_GET:
        return push_global(m, i, globals_visible, s, err);
    case OP_I32_ADD:
    case OP_I32_SUB:
    case OP_I32_MUL:
        return binary(m, i, VT_I32, s, err);
    case OP_I64_ADD:
    case OP_I64_SUB:
    case OP_I64_MUL:
        return binary(m, i, VT_I64, s, err);
    default:
        return not_constant(i, err);
    }
}

status_t constexpr_validate(struct module *m, struct cursor *c, valtype_t expected,
                            uint32_t globals_visible, struct const_expr *ret, struct error *err)
{
    const uint8_t *first = c->pos;
    uint64_t off = cursor_offset(c);
    struct const_stack s = {0};
    struct instr i;

    for (;;) {
        if (!instr_read(c, m->features, &i))
            return cursor_status(c, ST_FORMAT, err);
        if (i.op == OP_END)
            break;
        status_t st = step(m, &i, globals_visible, &s, err);
        if (st != ST_OK)
            return st;
    }
    if (s.depth != 1)
        return error_set(err, ST_INVALID, i.off,
                         "type mismatch: constant expression has %u values, expected one %s",
                         s.depth, valtype_name(expected));
    if (s.type != expected)
        return error_set(err, ST_INVALID, i.off,
                         "type mismatch: constant expression expected %s, found %s",
                         valtype_name(expected), valtype_name(s.type));
    *ret = (struct const_expr){.bytes = first, .len = (uint32_t)(c->pos - first), .off = off};
    return ST_OK;
}

bool module_const_i32(const struct module *m, const struct const_expr *e, uint32_t *ret_value)
{
    struct cursor c;
    struct instr value, end;
    cursor_init(&c, e->bytes, e->len, e->off);
    if (!instr_read(&c, m->features, &value) || value.op != OP_I32_CONST ||
        !instr_read(&c, m->features, &end) || end.op != OP_END)
        return false;
    *ret_value = (uint32_t)value.value;
    return true;
}
