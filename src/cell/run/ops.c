#include "ops.h"

#include "operation.h"
#include "park.h"
#include "stop.h"
#include "sys/clock.h"

static void trap(const struct instance *inst, enum abi_trap t)
{
    inst->cell->trap = t;
}

uint32_t run_op_poll_c(void *ctx)
{
    if (!abi_unwind(abi_ctx_of(ctx)))
        run_stop_poll(cell_of_ctx(ctx), true);
    return abi_unwind(abi_ctx_of(ctx));
}

uint32_t run_op_memory_grow_c(void *ctx, uint32_t mem, uint32_t delta_pages)
{
    return run_memory_grow(instance_of_ctx(ctx)->mems[mem], delta_pages);
}

void run_op_data_drop_c(void *ctx, uint32_t data)
{
    instance_of_ctx(ctx)->data_dropped[data] = true;
}

void run_op_elem_drop_c(void *ctx, uint32_t elem)
{
    instance_of_ctx(ctx)->elem_dropped[elem] = true;
}

void *run_op_table_get_c(void *ctx, uint32_t table, uint32_t i)
{
    const struct instance *inst = instance_of_ctx(ctx);
    const struct abi_table *t = &inst->tables[table]->abi;
    if (i < t->count)
        return t->entries[i].ref;
    trap(inst, TRAP_TABLE_BOUNDS);
    return NULL;
}

void run_op_table_set_c(void *ctx, uint32_t table, uint32_t i, void *ref)
{
    const struct instance *inst = instance_of_ctx(ctx);
    if (i < inst->tables[table]->abi.count)
        run_table_set(inst->tables[table], i, ref);
    else
        trap(inst, TRAP_TABLE_BOUNDS);
}

static void visit_instance(struct instance *inst, struct run_exns *x)
{
    const struct module *m = inst->module;
    for (uint32_t i = m->global_import_count; i < m->global_count; i++) {
        const union cell_value *v = instance_global(inst, i);
        if (m->globals[i].type == VT_EXNREF)
            run_exn_mark_words(x, v, v + 1);
    }
    for (uint32_t i = m->table_import_count; i < m->table_count; i++) {
        const struct abi_table *t = &inst->tables[i]->abi;
        if (m->tables[i].type == VT_EXNREF)
            run_exn_mark_words(x, t->entries, t->entries + t->count);
    }
    struct abi_exn *const *flying = &instance_ctx(inst)->exn;
    run_exn_mark_words(x, flying, flying + 1);
}

/* Everything that can hold a reference to an exception of the cell while one of its ops runs. */
static void visit_cell(void *arg, struct run_exns *x)
{
    struct cell *c = arg;
    run_exn_mark_words(x, __builtin_frame_address(0), c->stack.top);
    run_exn_mark_words(x, c->multi, c->multi + MODULE_RESULTS_MAX);
    for (struct instance *i = cell_first_instance(c); i; i = i->next)
        visit_instance(i, x);
    for (struct cell_host_value *v = c->host_values; v; v = v->next)
        run_exn_mark_words(x, &v->value, &v->value + 1);
    for (struct cell_host_table *t = c->host_tables; t; t = t->next) {
        if (t->table.type == VT_EXNREF)
            run_exn_mark_words(x, t->table.abi.entries, t->table.abi.entries + t->table.abi.count);
    }
}

struct abi_exn *run_op_exn_new_c(void *ctx, const void *tag, uint32_t count)
{
    struct cell *c = cell_of_ctx(ctx);
    struct run_exn_roots roots = {visit_cell, c};
    struct abi_exn *e = run_exn_new(&c->exns, tag, count, &roots);
    if (!e)
        cell_trap_text(c, "out of memory: too many live exceptions");
    return e;
}

void run_op_throw_exn_c(void *ctx, struct abi_exn *exn)
{
    cell_unwind_set(cell_of_ctx(ctx), UNWIND_EXCEPTION, exn);
}

void run_op_caught_c(void *ctx)
{
    cell_unwind_set(cell_of_ctx(ctx), UNWIND_NONE, NULL);
}

/* The address of an atomic wait or notify; NULL after a trap. */
static void *atomic_addr(const struct instance *inst, uint32_t mem, uint64_t addr,
                         uint32_t width_bytes)
{
    const struct abi_mem *m = &inst->mems[mem]->abi;
    uint64_t bytes = run_memory_bytes(m);
    if (addr > bytes || width_bytes > bytes - addr) {
        trap(inst, TRAP_MEMORY_BOUNDS);
        return NULL;
    }
    if (addr % width_bytes != 0) {
        trap(inst, TRAP_UNALIGNED);
        return NULL;
    }
    return m->base + addr;
}

/* Captured while it waits: the wait is to be done again with the time that is left. One that has none left is over. */
static uint32_t wait_interrupted(void *ctx, uint32_t mem, uint64_t addr, uint32_t width_bytes,
                                 uint64_t expected, int64_t timeout_ns, uint64_t began_ns)
{
    int64_t left = timeout_ns;
    if (timeout_ns >= 0) {
        uint64_t waited = clock_monotonic_ns() - began_ns;
        if (waited >= (uint64_t)timeout_ns)
            return PARK_TIMED_OUT;
        left = timeout_ns - (int64_t)waited;
    }
    host_wait_again(ctx);
    run_operation_save(
        ctx, width_bytes == 8 ? OPERATION_WAIT64 : OPERATION_WAIT32,
        (union cell_value[]){{.u32 = mem}, {.u64 = addr}, {.u64 = expected}, {.i64 = left}});
    return PARK_STOPPED;
}

static uint32_t atomic_wait(void *ctx, uint32_t mem, uint64_t addr, uint32_t width_bytes,
                            uint64_t expected, int64_t timeout_ns)
{
    const struct instance *inst = instance_of_ctx(ctx);
    void *at = atomic_addr(inst, mem, addr, width_bytes);
    if (!at)
        return 0;
    if (!inst->mems[mem]->abi.shared) {
        trap(inst, TRAP_EXPECTED_SHARED);
        return 0;
    }
    struct run_park_guard guard = {host_wait_begin, host_block_end, ctx};
    uint64_t began_ns = clock_monotonic_ns();
    enum run_park_result result = run_park_wait(&inst->cell->rt->park, at, width_bytes, expected,
                                                timeout_ns, &guard);
    return result == PARK_STOPPED
               ? wait_interrupted(ctx, mem, addr, width_bytes, expected, timeout_ns, began_ns)
               : (uint32_t)result;
}

uint32_t run_op_atomic_wait32_c(void *ctx, uint32_t mem, uint64_t addr, uint32_t expected,
                                int64_t timeout_ns)
{
    return atomic_wait(ctx, mem, addr, 4, expected, timeout_ns);
}

uint32_t run_op_atomic_wait64_c(void *ctx, uint32_t mem, uint64_t addr, uint64_t expected,
                                int64_t timeout_ns)
{
    return atomic_wait(ctx, mem, addr, 8, expected, timeout_ns);
}

uint32_t run_op_atomic_notify_c(void *ctx, uint32_t mem, uint64_t addr, uint32_t count)
{
    const struct instance *inst = instance_of_ctx(ctx);
    void *at = atomic_addr(inst, mem, addr, 4);
    if (!at || !inst->mems[mem]->abi.shared)
        return 0;
    return run_park_notify(&inst->cell->rt->park, at, count);
}
