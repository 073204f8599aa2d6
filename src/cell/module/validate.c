#include "validate.h"

static valtype_t sig_type(char letter)
{
    switch (letter) {
    case 'i':
        return VT_I32;
    case 'I':
        return VT_I64;
    case 'f':
        return VT_F32;
    case 'F':
        return VT_F64;
    default:
        return VT_V128;
    }
}

/* Pop the parameters from the last to the first, push the results. */
static status_t apply_sig(struct validator *v, const char *sig)
{
    status_t st = ST_OK;
    uint32_t n = 0;
    while (sig[n] != ':')
        n++;
    for (uint32_t k = n; k > 0 && st == ST_OK; k--)
        st = validate_pop(v, sig_type(sig[k - 1]));
    for (const char *p = sig + n + 1; *p && st == ST_OK; p++)
        st = validate_push(v, sig_type(*p));
    return st;
}

static status_t validate_instr(struct validator *v)
{
    v->info = instr_info_find(v->in.op);
    uint32_t feature = v->info->feature;
    if ((feature & (feature - 1)) == 0) /* with several bits it does not tell which one was meant */
        v->m->features_used |= feature;
    if (v->in.multi_memory)
        v->m->features_used |= FEATURE_MULTI_MEMORY;
    if (!v->info->sig)
        return validate_control(v);
    if (v->info->imm != IMM_NONE) {
        status_t st = validate_immediates(v);
        if (st != ST_OK)
            return st;
    }
    return apply_sig(v, v->info->sig);
}

static status_t truncated(struct validator *v)
{
    v->in.off = cursor_offset(&v->c);
    v->info = NULL;
    return validate_fail(v, ST_FORMAT, "unexpected end of section or function",
                         ": END opcode expected for %u blocks", v->frame_count);
}

static status_t validate_body(struct validator *v)
{
    status_t st = validate_frame_push(v, FRAME_FUNC, (struct type_list){0},
                                      type_list_results(v->type));
    while (st == ST_OK && v->frame_count > 0) {
        if (v->c.pos == v->c.end)
            return truncated(v);
        if (!instr_read(&v->c, v->m->features, &v->in))
            return cursor_status(&v->c, ST_FORMAT, v->err);
        st = validate_instr(v);
    }
    if (st == ST_OK && v->c.pos != v->c.end)
        st = validate_fail(v, ST_FORMAT, "section size mismatch",
                           ": instructions behind the function's end");
    return st;
}

static status_t validate_func(struct validator *v, uint32_t index)
{
    v->func_index = index;
    v->func = &v->m->funcs[index];
    v->type = module_func_type(v->m, index);
    v->info = NULL;
    v->in.off = v->func->body_off;
    v->operand_count = 0;
    v->frame_count = 0;
    cursor_init(&v->c, v->func->body, v->func->body_len, v->func->body_off);
    return validate_body(v);
}

status_t module_validate(struct module *m, struct error *err)
{
    struct validator v = {.m = m, .err = err};
    status_t st = ST_OK;
    for (uint32_t i = m->func_import_count; i < m->func_count && st == ST_OK; i++)
        st = validate_func(&v, i);
    free(v.operands);
    free(v.frames);
    return st;
}
