#include <stdarg.h>

#include "validate.h"

status_t validate_fail(struct validator *v, status_t code, const char *reason, const char *fmt, ...)
{
    char details[ERROR_TEXT_MAX] = "";
    va_list args;
    va_start(args, fmt);
    vsnprintf(details, sizeof(details), fmt, args);
    va_end(args);
    return error_set(v->err, code, v->in.off, "%s%s: function %u, %s", reason, details,
                     v->func_index, v->info ? v->info->text : "body");
}

status_t validate_unknown(struct validator *v, const char *what, uint32_t index)
{
    return validate_fail(v, ST_INVALID, what, " %u", index);
}

static const char *type_text(valtype_t t)
{
    return t == VT_ANY ? "any type" : valtype_name(t);
}

static status_t operands_grow(struct validator *v, uint32_t more)
{
    if (more > VALIDATE_OPERANDS_MAX - v->operand_count)
        return validate_fail(v, ST_LIMIT, "too many operands", " (limit %d)",
                             VALIDATE_OPERANDS_MAX);
    uint32_t cap = v->operand_cap ? v->operand_cap : 256;
    while (cap < v->operand_count + more)
        cap *= 2;
    valtype_t *operands = realloc(v->operands, cap);
    if (!operands)
        return error_set(v->err, ST_NOMEM, v->in.off, "no memory for %u operands", cap);
    v->operands = operands;
    v->operand_cap = cap;
    return ST_OK;
}

status_t validate_push(struct validator *v, valtype_t type)
{
    if (v->operand_count == v->operand_cap) {
        status_t st = operands_grow(v, 1);
        if (st != ST_OK)
            return st;
    }
    v->operands[v->operand_count++] = type;
    return ST_OK;
}

status_t validate_push_list(struct validator *v, struct type_list list)
{
    if (list.count == 0)
        return ST_OK;
    if (list.count > v->operand_cap - v->operand_count) {
        status_t st = operands_grow(v, list.count);
        if (st != ST_OK)
            return st;
    }
    memcpy(v->operands + v->operand_count, list.types, list.count);
    v->operand_count += list.count;
    return ST_OK;
}

static status_t missing(struct validator *v, valtype_t expected)
{
    return validate_fail(v, ST_INVALID, "type mismatch", ": expected %s, found an empty stack",
                         type_text(expected));
}

static status_t mismatch(struct validator *v, valtype_t expected, valtype_t found)
{
    return validate_fail(v, ST_INVALID, "type mismatch", ": expected %s, found %s",
                         type_text(expected), type_text(found));
}

status_t validate_pop_any(struct validator *v, valtype_t *ret_type)
{
    const struct frame_ctrl *f = validate_frame(v);
    if (v->operand_count > f->height) {
        *ret_type = v->operands[--v->operand_count];
        return ST_OK;
    }
    if (!f->unreachable)
        return missing(v, VT_ANY);
    *ret_type = VT_ANY;
    return ST_OK;
}

status_t validate_pop(struct validator *v, valtype_t expected)
{
    const struct frame_ctrl *f = validate_frame(v);
    if (v->operand_count > f->height) {
        valtype_t found = v->operands[v->operand_count - 1];
        if (found != expected && found != VT_ANY && expected != VT_ANY)
            return mismatch(v, expected, found);
        v->operand_count--;
        return ST_OK;
    }
    return f->unreachable ? ST_OK : missing(v, expected);
}

/* The top n values have these types. */
static status_t check_top(struct validator *v, const valtype_t *expected, uint32_t n)
{
    const valtype_t *found = v->operands + (v->operand_count - n);
    if (memcmp(found, expected, n) == 0)
        return ST_OK;
    for (uint32_t k = n; k > 0; k--)
        if (found[k - 1] != expected[k - 1] && found[k - 1] != VT_ANY)
            return mismatch(v, expected[k - 1], found[k - 1]);
    return ST_OK;
}

status_t validate_peek_list(struct validator *v, struct type_list list)
{
    const struct frame_ctrl *f = validate_frame(v);
    uint32_t held = v->operand_count - f->height;
    uint32_t n = list.count < held ? list.count : held;
    status_t st = n > 0 ? check_top(v, list.types + (list.count - n), n) : ST_OK;
    if (st == ST_OK && n < list.count && !f->unreachable)
        st = missing(v, list.types[list.count - n - 1]);
    return st;
}

status_t validate_pop_list(struct validator *v, struct type_list list)
{
    status_t st = validate_peek_list(v, list);
    if (st != ST_OK)
        return st;
    uint32_t held = v->operand_count - validate_frame(v)->height;
    v->operand_count -= list.count < held ? list.count : held;
    return ST_OK;
}

status_t validate_frame_push(struct validator *v, enum frame_kind kind, struct type_list params,
                             struct type_list results)
{
    if (v->frame_count == v->frame_cap) {
        if (v->frame_cap >= MODULE_NESTING_MAX)
            return validate_fail(v, ST_LIMIT, "blocks are nested too deeply", " (limit %d)",
                                 MODULE_NESTING_MAX);
        uint32_t cap = v->frame_cap ? v->frame_cap * 2 : 64;
        struct frame_ctrl *frames = realloc(v->frames, cap * sizeof(*frames));
        if (!frames)
            return error_set(v->err, ST_NOMEM, v->in.off, "no memory for %u nested blocks", cap);
        v->frames = frames;
        v->frame_cap = cap;
    }
    v->frames[v->frame_count++] = (struct frame_ctrl){
        .kind = kind, .height = v->operand_count, .params = params, .results = results};
    return ST_OK;
}

status_t validate_frame_finish(struct validator *v)
{
    const struct frame_ctrl *f = validate_frame(v);
    status_t st = validate_pop_list(v, f->results);
    if (st != ST_OK)
        return st;
    if (v->operand_count != f->height)
        return validate_fail(v, ST_INVALID, "type mismatch",
                             ": %u values too many at the end of the block, the last %s",
                             v->operand_count - f->height,
                             type_text(v->operands[v->operand_count - 1]));
    return ST_OK;
}

void validate_dead(struct validator *v)
{
    struct frame_ctrl *f = validate_frame(v);
    v->operand_count = f->height;
    f->unreachable = true;
}
