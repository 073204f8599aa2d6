#include "validate.h"

/* One value type as a list, for block types that name it directly. */
static struct type_list single(valtype_t type)
{
    static const valtype_t types[] = {VT_I32,  VT_I64,     VT_F32,       VT_F64,
                                      VT_V128, VT_FUNCREF, VT_EXTERNREF, VT_EXNREF};
    for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
        if (types[k] == type)
            return (struct type_list){&types[k], 1};
    return (struct type_list){0};
}

static struct type_list label_types(const struct frame_ctrl *f)
{
    return f->kind == FRAME_LOOP ? f->params : f->results;
}

/* depth counts from the innermost of the frames that are left when `skip` of them are taken away. */
static status_t find_label(struct validator *v, uint32_t depth, uint32_t skip,
                           const struct frame_ctrl **ret_frame)
{
    uint32_t count = v->frame_count - skip;
    if (depth >= count)
        return validate_unknown(v, "unknown label", depth);
    *ret_frame = &v->frames[count - 1 - depth];
    return ST_OK;
}

/* ---- blocks ---- */

static status_t block_type_lists(struct validator *v, struct type_list *ret_params,
                                 struct type_list *ret_results)
{
    const struct block_type *bt = &v->in.block;
    *ret_params = (struct type_list){0};
    *ret_results = (struct type_list){0};
    switch (bt->kind) {
    case BLOCK_EMPTY:
        break;
    case BLOCK_VALUE:
        *ret_results = single(bt->value);
        break;
    case BLOCK_TYPE:
        if (bt->type >= v->m->type_count)
            return validate_unknown(v, "unknown type", bt->type);
        *ret_params = type_list_params(&v->m->types[bt->type]);
        *ret_results = type_list_results(&v->m->types[bt->type]);
        break;
    }
    return ST_OK;
}

static status_t open_block(struct validator *v, enum frame_kind kind)
{
    struct type_list params = {0}, results = {0};
    status_t st = block_type_lists(v, &params, &results);
    if (st == ST_OK)
        st = validate_pop_list(v, params);
    if (st == ST_OK)
        st = validate_frame_push(v, kind, params, results);
    if (st == ST_OK)
        st = validate_push_list(v, params);
    return st;
}

static status_t open_if(struct validator *v)
{
    status_t st = validate_pop(v, VT_I32);
    return st == ST_OK ? open_block(v, FRAME_IF) : st;
}

/* End one arm of a block and start the next, which begins with these operands. */
static status_t next_arm(struct validator *v, enum frame_kind kind, struct type_list operands)
{
    status_t st = validate_frame_finish(v);
    if (st != ST_OK)
        return st;
    struct frame_ctrl *f = validate_frame(v);
    f->kind = kind;
    f->unreachable = false;
    return validate_push_list(v, operands);
}

static status_t do_else(struct validator *v)
{
    if (validate_frame(v)->kind != FRAME_IF)
        return validate_fail(v, ST_FORMAT, "END opcode expected", ": else outside of an if");
    return next_arm(v, FRAME_ELSE, validate_frame(v)->params);
}

static status_t do_end(struct validator *v)
{
    const struct frame_ctrl *f = validate_frame(v);
    if (f->kind == FRAME_IF && !type_lists_equal(f->params, f->results))
        return validate_fail(v, ST_INVALID, "type mismatch",
                             ": an if without else must give back its parameters");
    status_t st = validate_frame_finish(v);
    if (st != ST_OK)
        return st;
    struct type_list results = f->results;
    v->frame_count--;
    return v->frame_count > 0 ? validate_push_list(v, results) : ST_OK;
}

/* ---- branches ---- */

static status_t do_br(struct validator *v)
{
    const struct frame_ctrl *f = NULL;
    status_t st = find_label(v, v->in.index, 0, &f);
    if (st == ST_OK)
        st = validate_pop_list(v, label_types(f));
    if (st == ST_OK)
        validate_dead(v);
    return st;
}

/* The values of a label that is not taken have the label's types from here on, as the specification pops
 * and pushes them. */
static status_t do_br_if(struct validator *v)
{
    const struct frame_ctrl *f = NULL;
    status_t st = validate_pop(v, VT_I32);
    if (st == ST_OK)
        st = find_label(v, v->in.index, 0, &f);
    if (st != ST_OK)
        return st;
    struct type_list types = label_types(f);
    st = validate_pop_list(v, types);
    return st == ST_OK ? validate_push_list(v, types) : st;
}

static status_t do_br_table(struct validator *v)
{
    if (v->in.count > MODULE_BR_TABLE_MAX)
        return validate_fail(v, ST_LIMIT, "too many labels", " (limit %d)", MODULE_BR_TABLE_MAX);
    status_t st = validate_pop(v, VT_I32);
    if (st != ST_OK)
        return st;
    struct type_list last = {0}; /* neighbours mostly share their target: one check is enough */
    bool first = true;
    for (uint32_t n = 0; n <= v->in.count; n++) {
        const struct frame_ctrl *f = NULL;
        st = find_label(v, cursor_leb_u32(&v->in.list), 0, &f);
        if (st != ST_OK)
            return st;
        struct type_list types = label_types(f);
        if (!first && types.types == last.types && types.count == last.count)
            continue;
        if (!first && types.count != last.count)
            return validate_fail(v, ST_INVALID, "type mismatch", ": labels of %u and of %u values",
                                 last.count, types.count);
        st = validate_peek_list(v, types);
        if (st != ST_OK)
            return st;
        first = false;
        last = types;
    }
    validate_dead(v);
    return ST_OK;
}

static status_t do_return(struct validator *v)
{
    status_t st = validate_pop_list(v, type_list_results(v->type));
    if (st == ST_OK)
        validate_dead(v);
    return st;
}

/* ---- calls ---- */

static status_t apply_call(struct validator *v, const struct functype *callee, bool tail)
{
    status_t st = validate_pop_list(v, type_list_params(callee));
    if (st != ST_OK)
        return st;
    if (!tail)
        return validate_push_list(v, type_list_results(callee));
    if (!type_lists_equal(type_list_results(callee), type_list_results(v->type)))
        return validate_fail(v, ST_INVALID, "type mismatch",
                             ": the callee's results are not those of the function");
    validate_dead(v);
    return ST_OK;
}

static status_t do_call(struct validator *v, bool tail)
{
    if (v->in.index >= v->m->func_count)
        return validate_unknown(v, "unknown function", v->in.index);
    return apply_call(v, module_func_type(v->m, v->in.index), tail);
}

static status_t do_call_indirect(struct validator *v, bool tail)
{
    if (v->in.index2 >= v->m->table_count)
        return validate_unknown(v, "unknown table", v->in.index2);
    if (v->m->tables[v->in.index2].type != VT_FUNCREF)
        return validate_fail(v, ST_INVALID, "type mismatch", ": table %u does not hold functions",
                             v->in.index2);
    if (v->in.index >= v->m->type_count)
        return validate_unknown(v, "unknown type", v->in.index);
    status_t st = validate_pop(v, VT_I32);
    return st == ST_OK ? apply_call(v, &v->m->types[v->in.index], tail) : st;
}

/* ---- exceptions ---- */

static status_t find_tag(struct validator *v, uint32_t tag, struct type_list *ret_params)
{
    if (tag >= v->m->tag_count)
        return validate_unknown(v, "unknown tag", tag);
    *ret_params = type_list_params(&v->m->types[v->m->tags[tag].type]);
    return ST_OK;
}

static status_t do_throw(struct validator *v)
{
    struct type_list params = {0};
    status_t st = find_tag(v, v->in.index, &params);
    if (st == ST_OK)
        st = validate_pop_list(v, params);
    if (st == ST_OK)
        validate_dead(v);
    return st;
}

static status_t do_throw_ref(struct validator *v)
{
    status_t st = validate_pop(v, VT_EXNREF);
    if (st == ST_OK)
        validate_dead(v);
    return st;
}

/* A clause branches with the tag's values, and behind them the exception where it is asked for. */
static status_t check_catch(struct validator *v, const struct instr_catch *clause)
{
    struct type_list values = {0};
    const struct frame_ctrl *f = NULL;
    status_t st = ST_OK;
    if (clause->kind == CATCH_TAG || clause->kind == CATCH_TAG_REF)
        st = find_tag(v, clause->tag, &values);
    if (st == ST_OK)
        st = find_label(v, clause->label, 0, &f);
    if (st != ST_OK)
        return st;
    struct type_list label = label_types(f);
    bool matches = true;
    if (clause->kind == CATCH_TAG_REF || clause->kind == CATCH_ALL_REF) {
        matches = label.count > 0 && label.types[label.count - 1] == VT_EXNREF;
        label.count -= matches;
    }
    if (!matches || !type_lists_equal(values, label))
        return validate_fail(v, ST_INVALID, "type mismatch",
                             ": the label of a catch clause has other values");
    return ST_OK;
}

static status_t open_try_table(struct validator *v)
{
    struct cursor list = v->in.list;
    struct instr_catch clause;
    for (uint32_t n = 0; n < v->in.count && instr_read_catch(&list, &clause); n++) {
        status_t st = check_catch(v, &clause);
        if (st != ST_OK)
            return st;
    }
    return open_block(v, FRAME_TRY_TABLE);
}

static status_t do_catch(struct validator *v)
{
    enum frame_kind kind = validate_frame(v)->kind;
    struct type_list params = {0};
    if (kind != FRAME_TRY && kind != FRAME_CATCH)
        return validate_fail(v, ST_FORMAT, "END opcode expected", ": catch outside of a try");
    status_t st = find_tag(v, v->in.index, &params);
    return st == ST_OK ? next_arm(v, FRAME_CATCH, params) : st;
}

static status_t do_catch_all(struct validator *v)
{
    enum frame_kind kind = validate_frame(v)->kind;
    if (kind != FRAME_TRY && kind != FRAME_CATCH)
        return validate_fail(v, ST_FORMAT, "END opcode expected", ": catch_all outside of a try");
    return next_arm(v, FRAME_CATCH_ALL, (struct type_list){0});
}

static status_t do_rethrow(struct validator *v)
{
    const struct frame_ctrl *f = NULL;
    status_t st = find_label(v, v->in.index, 0, &f);
    if (st != ST_OK)
        return st;
    if (f->kind != FRAME_CATCH && f->kind != FRAME_CATCH_ALL)
        return validate_fail(v, ST_INVALID, "invalid rethrow label", ": label %u is not a catch",
                             v->in.index);
    validate_dead(v);
    return ST_OK;
}

/* Ends a try without catches; the label counts from outside of it. */
static status_t do_delegate(struct validator *v)
{
    const struct frame_ctrl *f = NULL;
    if (validate_frame(v)->kind != FRAME_TRY)
        return validate_fail(v, ST_FORMAT, "END opcode expected", ": delegate outside of a try");
    status_t st = find_label(v, v->in.index, 1, &f);
    return st == ST_OK ? do_end(v) : st;
}

status_t validate_control(struct validator *v)
{
    switch (v->in.op) {
    case OP_UNREACHABLE:
        validate_dead(v);
        return ST_OK;
    case OP_BLOCK:
        return open_block(v, FRAME_BLOCK);
    case OP_LOOP:
        return open_block(v, FRAME_LOOP);
    case OP_IF:
        return open_if(v);
    case OP_ELSE:
        return do_else(v);
    case OP_END:
        return do_end(v);
    case OP_BR:
        return do_br(v);
    case OP_BR_IF:
        return do_br_if(v);
    case OP_BR_TABLE:
        return do_br_table(v);
    case OP_RETURN:
        return do_return(v);
    case OP_CALL:
    case OP_RETURN_CALL:
        return do_call(v, v->in.op == OP_RETURN_CALL);
    case OP_CALL_INDIRECT:
    case OP_RETURN_CALL_INDIRECT:
        return do_call_indirect(v, v->in.op == OP_RETURN_CALL_INDIRECT);
    case OP_TRY_TABLE:
        return open_try_table(v);
    case OP_TRY:
        return open_block(v, FRAME_TRY);
    case OP_CATCH:
        return do_catch(v);
    case OP_CATCH_ALL:
        return do_catch_all(v);
    case OP_DELEGATE:
        return do_delegate(v);
    case OP_THROW:
        return do_throw(v);
    case OP_THROW_REF:
        return do_throw_ref(v);
    case OP_RETHROW:
        return do_rethrow(v);
    default:
        return validate_untyped(v);
    }
}
