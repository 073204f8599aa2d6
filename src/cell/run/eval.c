#include "eval.h"

#include "cell/module/instr.h"

struct eval {
    const struct instance *inst;
    union cell_value *stack;
    uint32_t depth;
};

static bool push(struct eval *e, union cell_value v)
{
    if (e->depth == MODULE_CONST_DEPTH_MAX)
        return false;
    e->stack[e->depth++] = v;
    return true;
}

static bool binary(struct eval *e, uint32_t op)
{
    if (e->depth < 2)
        return false;
    union cell_value *a = &e->stack[e->depth - 2], b = e->stack[e->depth - 1];
    union cell_value r = {.u64 = 0};
    if (op == OP_I32_ADD)
        r.u32 = a->u32 + b.u32;
    else if (op == OP_I32_SUB)
        r.u32 = a->u32 - b.u32;
    else if (op == OP_I32_MUL)
        r.u32 = a->u32 * b.u32;
    else if (op == OP_I64_ADD)
        r.u64 = a->u64 + b.u64;
    else if (op == OP_I64_SUB)
        r.u64 = a->u64 - b.u64;
    else if (op == OP_I64_MUL)
        r.u64 = a->u64 * b.u64;
    else
        return false;
    *a = r;
    e->depth--;
    return true;
}

static bool step(struct eval *e, const struct instr *in)
{
    union cell_value v = {.u64 = 0};
    if (in->op == OP_I32_CONST || in->op == OP_F32_CONST) {
        v.u32 = (uint32_t)in->value;
    } else if (in->op == OP_I64_CONST || in->op == OP_F64_CONST) {
        v.u64 = in->value;
    } else if (in->op == OP_V128_CONST) {
        memcpy(v.v128, in->bytes, sizeof(v.v128));
    } else if (in->op == OP_REF_NULL) {
        v.ref = NULL;
    } else if (in->op == OP_REF_FUNC) {
        if (in->index >= e->inst->module->func_count)
            return false;
        v.ref = instance_func(e->inst, in->index);
        if (!v.ref)
            return false;
    } else if (in->op == OP_GLOBAL_GET) {
        if (in->index >= e->inst->module->global_count)
            return false;
        v = *instance_global(e->inst, in->index);
    } else {
        return binary(e, in->op);
    }
    return push(e, v);
}

/* Almost every expression is one constant; validation allows no deeper ones than fit here. */
status_t run_eval(const struct instance *inst, const struct const_expr *expr,
                  union cell_value *ret_value)
{
    union cell_value stack[MODULE_CONST_DEPTH_MAX];
    struct eval e = {.inst = inst, .stack = stack};
    struct cursor c;
    cursor_init(&c, expr->bytes, expr->len, expr->off);
    while (cursor_left(&c) > 0) {
        struct instr in;
        if (!instr_read(&c, inst->module->features, &in))
            return ST_CORRUPT;
        if (in.op == OP_END) {
            if (e.depth != 1)
                return ST_CORRUPT;
            *ret_value = stack[0];
            return ST_OK;
        }
        if (!step(&e, &in))
            return ST_CORRUPT;
    }
    return ST_CORRUPT;
}
