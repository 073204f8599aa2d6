#include "plan.h"

#include <inttypes.h>

/* Values at which operations change their behaviour, and among them small numbers that are good addresses. */
static const uint32_t words[] = {0,       1,          2,          0x7f,       0x80, 0xffff,
                                 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 31,   8};
static const uint64_t longs[] = {
    0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, 0xffffffff, 0x100000000, 63};
static const float floats[] = {0.0f,  -0.0f,         1.0f,   -1.5f,
                               1e30f, 2147483648.0f, 1e-42f, __builtin_inff()};
static const double doubles[] = {
    0.0, -0.0, 0.5, -3.75, 1e300, 9223372036854775808.0, 5e-324, -__builtin_inf()};

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t argument(valtype_t t, uint64_t *state)
{
    uint64_t r = next_random(state), pick = r >> 40;
    bool special = r & 1;
    union cell_value v = {.u64 = 0};
    switch (t) {
    case VT_I32:
        v.u32 = special ? words[pick % (sizeof words / sizeof *words)]
                        : (uint32_t)(r >> 8) >> (r >> 3 & 31);
        break;
    case VT_I64:
        v.u64 = special ? longs[pick % (sizeof longs / sizeof *longs)] : r >> (r >> 3 & 63);
        break;
    case VT_F32:
        v.f32 = special ? floats[pick % (sizeof floats / sizeof *floats)]
                        : (float)(int32_t)(r >> 8) / 16.0f;
        break;
    case VT_F64:
        v.f64 = special ? doubles[pick % (sizeof doubles / sizeof *doubles)]
                        : (double)(int64_t)r / 1048576.0;
        break;
    default: /* a null reference */
        break;
    }
    return v.u64;
}

char plan_letter(valtype_t t)
{
    switch (t) {
    case VT_I32:
        return 'i';
    case VT_I64:
        return 'I';
    case VT_F32:
        return 'f';
    case VT_F64:
        return 'F';
    case VT_FUNCREF:
        return 'r';
    case VT_EXTERNREF:
        return 'x';
    default:
        return '\0';
    }
}

static bool all_have_letters(const valtype_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!plan_letter(types[i]))
            return false;
    return true;
}

static void add_call(struct plan *p, uint32_t export_index, const struct functype *type,
                     uint64_t *state)
{
    struct plan_call *calls = realloc(p->calls, (p->call_count + 1) * sizeof *calls);
    uint64_t *args = calloc((size_t)type->param_count + 1, sizeof *args);
    if (!calls || !args)
        abort();
    for (uint32_t i = 0; i < type->param_count; i++)
        args[i] = argument(type->params[i], state);
    p->calls = calls;
    p->calls[p->call_count++] = (struct plan_call){export_index, type, args};
}

void plan_make(const struct module *m, struct plan *ret_plan)
{
    struct plan p = {.m = m};
    uint64_t state = m->export_count;
    for (uint32_t i = 0; i < m->export_count; i++) {
        if (m->exports[i].kind != EXTERN_FUNC)
            continue;
        const struct functype *type = module_func_type(m, m->exports[i].index);
        if (!all_have_letters(type->params, type->param_count) ||
            !all_have_letters(type->results, type->result_count))
            continue;
        for (uint32_t round = 0; round < (type->param_count ? 3 : 1); round++)
            add_call(&p, i, type, &state);
    }
    *ret_plan = p;
}

void plan_done(struct plan *p)
{
    for (uint32_t i = 0; i < p->call_count; i++)
        free(p->calls[i].args);
    free(p->calls);
}

static void print_types(const valtype_t *types, uint32_t count, FILE *out)
{
    fputc(' ', out);
    if (count == 0)
        fputc('-', out);
    for (uint32_t i = 0; i < count; i++)
        fputc(plan_letter(types[i]), out);
}

void plan_print(const struct plan *p, FILE *out)
{
    for (uint32_t i = 0; i < p->call_count; i++) {
        const struct plan_call *c = &p->calls[i];
        fprintf(out, "call %" PRIu32, c->export_index);
        print_types(c->type->params, c->type->param_count, out);
        print_types(c->type->results, c->type->result_count, out);
        for (uint32_t k = 0; k < c->type->param_count; k++)
            fprintf(out, " %" PRIx64, c->args[k]);
        fputc('\n', out);
    }
    for (uint32_t i = 0; i < p->m->export_count; i++) {
        const struct module_export *e = &p->m->exports[i];
        char letter = e->kind == EXTERN_GLOBAL ? plan_letter(p->m->globals[e->index].type) : '\0';
        if (letter)
            fprintf(out, "global %" PRIu32 " %c\n", i, letter);
        if (e->kind == EXTERN_MEM)
            fprintf(out, "memory %" PRIu32 "\n", i);
        if (e->kind == EXTERN_TABLE && plan_letter(p->m->tables[e->index].type))
            fprintf(out, "table %" PRIu32 "\n", i);
    }
}
