#include "validate.h"

/* ---- immediates of instructions with a fixed signature ---- */

static status_t check_mem(struct validator *v, uint32_t mem)
{
    return mem < v->m->mem_count ? ST_OK : validate_unknown(v, "unknown memory", mem);
}

static bool is_atomic(uint32_t op)
{
    return op >> 16 == 0xfe;
}

static status_t check_memarg(struct validator *v)
{
    status_t st = check_mem(v, v->in.mem);
    if (st != ST_OK)
        return st;
    if (v->in.align_log2 > v->info->align_log2)
        return validate_fail(v, ST_INVALID, "alignment must not be larger than natural",
                             ": 2^%u, natural is 2^%u", v->in.align_log2, v->info->align_log2);
    if (is_atomic(v->in.op) && v->in.align_log2 != v->info->align_log2)
        return validate_fail(v, ST_INVALID, "atomic alignment must be natural",
                             ": 2^%u, natural is 2^%u", v->in.align_log2, v->info->align_log2);
    return ST_OK;
}

static uint32_t lane_count(const struct validator *v)
{
    switch (v->in.op) {
    case OP_I8X16_EXTRACT_LANE_S:
    case OP_I8X16_EXTRACT_LANE_U:
    case OP_I8X16_REPLACE_LANE:
        return 16;
    case OP_I16X8_EXTRACT_LANE_S:
    case OP_I16X8_EXTRACT_LANE_U:
    case OP_I16X8_REPLACE_LANE:
        return 8;
    case OP_I32X4_EXTRACT_LANE:
    case OP_I32X4_REPLACE_LANE:
    case OP_F32X4_EXTRACT_LANE:
    case OP_F32X4_REPLACE_LANE:
        return 4;
    case OP_I64X2_EXTRACT_LANE:
    case OP_I64X2_REPLACE_LANE:
    case OP_F64X2_EXTRACT_LANE:
    case OP_F64X2_REPLACE_LANE:
        return 2;
    default: /* loads and stores of one lane */
        return 16u >> v->info->align_log2;
    }
}

static status_t check_lane(struct validator *v, uint32_t lane, uint32_t count)
{
    if (lane < count)
        return ST_OK;
    return validate_fail(v, ST_INVALID, "invalid lane index", " %u, there are %u lanes", lane,
                         count);
}

static status_t check_shuffle(struct validator *v)
{
    for (size_t k = 0; k < sizeof(v->in.bytes); k++) {
        status_t st = check_lane(v, v->in.bytes[k], 32);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* Bodies are read before the data section: the count has to be announced. */
static status_t check_data(struct validator *v, uint32_t data)
{
    if (!v->m->has_data_count)
        return validate_fail(v, ST_FORMAT, "data count section required", "%s", "");
    return data < v->m->data_count ? ST_OK : validate_unknown(v, "unknown data segment", data);
}

static status_t check_elem(struct validator *v, uint32_t elem)
{
    return elem < v->m->elem_count ? ST_OK : validate_unknown(v, "unknown elem segment", elem);
}

static status_t check_table(struct validator *v, uint32_t table)
{
    return table < v->m->table_count ? ST_OK : validate_unknown(v, "unknown table", table);
}

static status_t check_table_takes(struct validator *v, uint32_t table, valtype_t type)
{
    valtype_t expected = v->m->tables[table].type;
    if (expected == type)
        return ST_OK;
    return validate_fail(v, ST_INVALID, "type mismatch", ": table %u holds %s, not %s", table,
                         valtype_name(expected), valtype_name(type));
}

static status_t check_table_init(struct validator *v)
{
    status_t st = check_table(v, v->in.index2);
    if (st == ST_OK)
        st = check_elem(v, v->in.index);
    return st == ST_OK ? check_table_takes(v, v->in.index2, v->m->elems[v->in.index].type) : st;
}

static status_t check_table_copy(struct validator *v)
{
    status_t st = check_table(v, v->in.index);
    if (st == ST_OK)
        st = check_table(v, v->in.index2);
    return st == ST_OK ? check_table_takes(v, v->in.index, v->m->tables[v->in.index2].type) : st;
}

static status_t check_mems(struct validator *v)
{
    status_t st = check_mem(v, v->in.index);
    return st == ST_OK ? check_mem(v, v->in.index2) : st;
}

static status_t check_data_mem(struct validator *v)
{
    status_t st = check_mem(v, v->in.index2);
    return st == ST_OK ? check_data(v, v->in.index) : st;
}

static status_t check_memarg_lane(struct validator *v)
{
    status_t st = check_memarg(v);
    return st == ST_OK ? check_lane(v, v->in.lane, lane_count(v)) : st;
}

status_t validate_immediates(struct validator *v)
{
    switch ((uint32_t)v->info->imm) {
    case IMM_MEMARG:
        return check_memarg(v);
    case IMM_MEMARG_LANE:
        return check_memarg_lane(v);
    case IMM_LANE:
        return check_lane(v, v->in.lane, lane_count(v));
    case IMM_LANES16:
        return check_shuffle(v);
    case IMM_MEM:
        return check_mem(v, v->in.index);
    case IMM_MEM_MEM:
        return check_mems(v);
    case IMM_DATA_MEM:
        return check_data_mem(v);
    case IMM_DATA:
        return check_data(v, v->in.index);
    case IMM_ELEM:
        return check_elem(v, v->in.index);
    case IMM_TABLE:
        return check_table(v, v->in.index);
    case IMM_ELEM_TABLE:
        return check_table_init(v);
    case IMM_TABLE_TABLE:
        return check_table_copy(v);
    default:
        return ST_OK;
    }
}

/* ---- instructions whose types depend on the module or the stack ---- */

static status_t do_select(struct validator *v)
{
    valtype_t a = VT_ANY, b = VT_ANY;
    status_t st = validate_pop(v, VT_I32);
    if (st == ST_OK)
        st = validate_pop_any(v, &b);
    if (st == ST_OK)
        st = validate_pop_any(v, &a);
    if (st != ST_OK)
        return st;
    if (valtype_is_ref(a) || valtype_is_ref(b))
        return validate_fail(v, ST_INVALID, "type mismatch",
                             ": select of references needs their type");
    if (a != b && a != VT_ANY && b != VT_ANY)
        return validate_fail(v, ST_INVALID, "type mismatch", ": operands are %s and %s",
                             valtype_name(a), valtype_name(b));
    return validate_push(v, a == VT_ANY ? b : a);
}

static status_t do_select_t(struct validator *v)
{
    if (v->in.count != 1)
        return validate_fail(v, ST_INVALID, "invalid result arity", ": %u types", v->in.count);
    valtype_t type = *v->in.list.pos;
    status_t st = validate_pop(v, VT_I32);
    if (st == ST_OK)
        st = validate_pop(v, type);
    if (st == ST_OK)
        st = validate_pop(v, type);
    return st == ST_OK ? validate_push(v, type) : st;
}

static status_t do_local(struct validator *v)
{
    uint32_t index = v->in.index;
    valtype_t type = VT_ANY;
    if (index < v->type->param_count)
        type = v->type->params[index];
    else if (index - v->type->param_count < v->func->local_count)
        type = v->func->locals[index - v->type->param_count];
    else
        return validate_unknown(v, "unknown local", index);
    if (v->in.op == OP_LOCAL_GET)
        return validate_push(v, type);
    status_t st = validate_pop(v, type);
    return st == ST_OK && v->in.op == OP_LOCAL_TEE ? validate_push(v, type) : st;
}

static status_t do_global(struct validator *v)
{
    if (v->in.index >= v->m->global_count)
        return validate_unknown(v, "unknown global", v->in.index);
    const struct module_global *g = &v->m->globals[v->in.index];
    if (v->in.op == OP_GLOBAL_GET)
        return validate_push(v, g->type);
    if (!g->mutable_)
        return validate_fail(v, ST_INVALID, "global is immutable", ": global %u", v->in.index);
    return validate_pop(v, g->type);
}

/* table.get [i32] -> [t], set [i32 t] -> [], grow [t i32] -> [i32], fill [i32 t i32] -> [] */
static status_t do_table(struct validator *v)
{
    status_t st = check_table(v, v->in.index);
    if (st != ST_OK)
        return st;
    valtype_t t = v->m->tables[v->in.index].type;
    const valtype_t operands[] = {VT_I32, t, VT_I32};
    switch (v->in.op) {
    case OP_TABLE_GET:
        st = validate_pop(v, VT_I32);
        return st == ST_OK ? validate_push(v, t) : st;
    case OP_TABLE_SET:
        return validate_pop_list(v, (struct type_list){operands, 2});
    case OP_TABLE_GROW:
        st = validate_pop_list(v, (struct type_list){operands + 1, 2});
        return st == ST_OK ? validate_push(v, VT_I32) : st;
    default:
        return validate_pop_list(v, (struct type_list){operands, 3});
    }
}

static status_t do_ref_is_null(struct validator *v)
{
    valtype_t type = VT_ANY;
    status_t st = validate_pop_any(v, &type);
    if (st != ST_OK)
        return st;
    if (type != VT_ANY && !valtype_is_ref(type))
        return validate_fail(v, ST_INVALID, "type mismatch", ": expected a reference, found %s",
                             valtype_name(type));
    return validate_push(v, VT_I32);
}

static status_t do_ref_func(struct validator *v)
{
    if (v->in.index >= v->m->func_count)
        return validate_unknown(v, "unknown function", v->in.index);
    if (!v->m->funcs[v->in.index].ref_declared)
        return validate_fail(v, ST_INVALID, "undeclared function reference", " %u", v->in.index);
    return validate_push(v, VT_FUNCREF);
}

status_t validate_untyped(struct validator *v)
{
    valtype_t any = VT_ANY;
    switch (v->in.op) {
    case OP_DROP:
        return validate_pop_any(v, &any);
    case OP_SELECT:
        return do_select(v);
    case OP_SELECT_T:
        return do_select_t(v);
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
        return do_local(v);
    case OP_GLOBAL_GET:
    case OP_GLOBAL_SET:
        return do_global(v);
    case OP_TABLE_GET:
    case OP_TABLE_SET:
    case OP_TABLE_GROW:
    case OP_TABLE_FILL:
        return do_table(v);
    case OP_REF_NULL:
        return validate_push(v, v->in.type);
    case OP_REF_IS_NULL:
        return do_ref_is_null(v);
    case OP_REF_FUNC:
        return do_ref_func(v);
    default:
        return validate_fail(v, ST_FORMAT, "illegal opcode", " %#x", v->in.op);
    }
}
