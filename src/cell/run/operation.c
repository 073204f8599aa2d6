#include "operation.h"

#include <string.h>

#include "cell/run/state.h"
#include "ops.h"
#include "stop.h"

/* Arguments: i and I as in the wasm binary format, m a memory, t a table, d and e segments (all i32), r a reference of
 * the type of the table before it. */
static const char *const signatures[OPERATION_COUNT] = {
    [OPERATION_MEMORY_COPY] = "mmiii", [OPERATION_MEMORY_FILL] = "miii",
    [OPERATION_MEMORY_INIT] = "mdiii", [OPERATION_TABLE_COPY] = "ttiii",
    [OPERATION_TABLE_FILL] = "tiri",   [OPERATION_TABLE_INIT] = "teiii",
    [OPERATION_WAIT32] = "mIiI",       [OPERATION_WAIT64] = "mIII",
};

const char *cell_operation_name(uint32_t number)
{
    static const char *const names[OPERATION_COUNT] = {
        [OPERATION_MEMORY_COPY] = "memory.copy",     [OPERATION_MEMORY_FILL] = "memory.fill",
        [OPERATION_MEMORY_INIT] = "memory.init",     [OPERATION_TABLE_COPY] = "table.copy",
        [OPERATION_TABLE_FILL] = "table.fill",       [OPERATION_TABLE_INIT] = "table.init",
        [OPERATION_WAIT32] = "memory.atomic.wait32", [OPERATION_WAIT64] = "memory.atomic.wait64",
    };
    return number < OPERATION_COUNT ? names[number] : NULL;
}

static valtype_t type_of(const struct instance *inst, char c, uint32_t table)
{
    return c == 'I' ? VT_I64 : c == 'r' ? inst->module->tables[table].type : (valtype_t)VT_I32;
}

bool run_operation_poll(void *ctx)
{
    struct abi_ctx *x = abi_ctx_of(ctx);
    if (abi_is_polled(x))
        run_stop_poll(x->cell, true);
    return abi_unwind(x) == UNWIND_NONE;
}

void run_operation_save(void *ctx, enum run_operation op, const union cell_value *values)
{
    struct cell *c = cell_of_ctx(ctx);
    const struct instance *inst = instance_of_ctx(ctx);
    const char *sig = signatures[op];
    uint8_t types[OPERATION_VALUES_MAX];
    uint32_t n = (uint32_t)strlen(sig);
    if (abi_unwind(abi_ctx_of(ctx)) != UNWIND_CAPTURE)
        return;
    for (uint32_t i = 0; i < n; i++)
        types[i] = type_of(inst, sig[i], values[0].u32);
    run_capture_begin(c);
    struct run_record *r = run_record_push_operation(c, instance_of_ctx(ctx), op, n, types);
    if (r)
        memcpy(r->values, values, n * sizeof(*values));
    else
        cell_trap_text(c, "no memory to save the call stack");
}

static bool value_is_sound(const struct run_record *r, uint32_t i)
{
    const struct module *m = r->inst->module;
    uint32_t index = r->values[i].u32;
    switch (signatures[r->site->func][i]) {
    case 'm':
        return index < m->mem_count;
    case 't':
        return index < m->table_count;
    case 'd':
        return index < m->data_count;
    case 'e':
        return index < m->elem_count;
    default:
        return true;
    }
}

/* Entries of one type are copied into tables of the same only, as validation has it for the instruction. */
static bool tables_agree(const struct run_record *r)
{
    const struct module *m = r->inst->module;
    const union cell_value *v = r->values;
    switch (r->site->func) {
    case OPERATION_TABLE_COPY:
        return m->tables[v[0].u32].type == m->tables[v[1].u32].type;
    case OPERATION_TABLE_INIT:
        return m->tables[v[0].u32].type == m->elems[v[1].u32].type;
    default:
        return true;
    }
}

bool run_operation_is_sound(const struct run_record *r)
{
    const struct abi_site *s = r->site;
    const char *sig = s->func < OPERATION_COUNT ? signatures[s->func] : NULL;
    if (!sig || s->off || s->locals || s->live || s->results || s->stack != strlen(sig))
        return false;
    for (uint32_t i = 0; i < s->stack; i++)
        if (!value_is_sound(r, i) ||
            abi_site_types(s)[i] != type_of(r->inst, sig[i], r->values[0].u32))
            return false;
    return tables_agree(r);
}

void run_operation_go_on(const struct run_record *r, union cell_value *ret_io)
{
    const union cell_value *v = r->values;
    void *ctx = r->inst->base;
    *ret_io = (union cell_value){.u64 = 0};
    switch ((enum run_operation)r->site->func) {
    case OPERATION_MEMORY_COPY:
        run_op_memory_copy_c(ctx, v[0].u32, v[1].u32, v[2].u32, v[3].u32, v[4].u32);
        break;
    case OPERATION_MEMORY_FILL:
        run_op_memory_fill_c(ctx, v[0].u32, v[1].u32, v[2].u32, v[3].u32);
        break;
    case OPERATION_MEMORY_INIT:
        run_op_memory_init_c(ctx, v[0].u32, v[1].u32, v[2].u32, v[3].u32, v[4].u32);
        break;
    case OPERATION_TABLE_COPY:
        run_op_table_copy_c(ctx, v[0].u32, v[1].u32, v[2].u32, v[3].u32, v[4].u32);
        break;
    case OPERATION_TABLE_FILL:
        run_op_table_fill_c(ctx, v[0].u32, v[1].u32, v[2].ref, v[3].u32);
        break;
    case OPERATION_TABLE_INIT:
        run_op_table_init_c(ctx, v[0].u32, v[1].u32, v[2].u32, v[3].u32, v[4].u32);
        break;
    case OPERATION_WAIT32:
        ret_io->u32 = run_op_atomic_wait32_c(ctx, v[0].u32, v[1].u64, v[2].u32, v[3].i64);
        break;
    case OPERATION_WAIT64:
        ret_io->u32 = run_op_atomic_wait64_c(ctx, v[0].u32, v[1].u64, v[2].u64, v[3].i64);
        break;
    case OPERATION_COUNT:
        break;
    }
}
