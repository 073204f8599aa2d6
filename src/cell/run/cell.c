#include "cell.h"

#include "capture.h"

#define CELL_STACK_BYTES (8ull << 20)
#define CELL_STACK_MIN_BYTES (64ull << 10)
#define CELL_STACK_MAX_BYTES (64ull << 30)

void cell_limits_default(struct cell_limits *l)
{
    *l = (struct cell_limits){
        .memory_bytes = (uint64_t)MODULE_MEMS_MAX * WASM_PAGES_MAX * WASM_PAGE_BYTES,
        .stack_bytes = CELL_STACK_BYTES,
        .table_entries = MODULE_TABLE_ENTRIES_MAX,
        .threads = 1024,
    };
}

status_t cell_new(struct runtime *rt, const struct cell_limits *limits, struct cell **ret_cell,
                  struct error *err)
{
    if (limits &&
        (limits->stack_bytes < CELL_STACK_MIN_BYTES || limits->stack_bytes > CELL_STACK_MAX_BYTES))
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "a native stack of %llu bytes is not allowed",
                         (unsigned long long)limits->stack_bytes);
    struct cell *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a cell");
    c->rt = rt;
    if (limits)
        c->limits = *limits;
    else
        cell_limits_default(&c->limits);
    run_runtime_join(rt);
    *ret_cell = c;
    return ST_OK;
}

/* Instances of imported tables and memories come before those that define them, and the one with the native
 * stack is the last of the list. */
void cell_free(struct cell *c)
{
    if (!c)
        return;
    struct instance *inst = cell_first_instance(c);
    while (inst) {
        struct instance *next = inst->next;
        instance_free(inst);
        inst = next;
    }
    for (struct cell_host_table *t = c->host_tables; t; t = t->next)
        run_table_done(&t->table);
    for (struct cell_host_mem *m = c->host_mems; m; m = m->next)
        run_memory_leave(m->mem);
    run_capture_done(c);
    run_exns_done(&c->exns);
    arena_done(&c->arena);
    free(c->frames);
    run_runtime_part(c->rt);
    free(c);
}

status_t cell_host_func(struct cell *c, const struct functype *type, void *fn, void *env,
                        struct extern_val *ret_val)
{
    struct functype *copy = run_functype_copy(&c->arena, type);
    struct cell_host_fn *h = arena_alloc(&c->arena, 1, sizeof(*h));
    if (!copy || !h)
        return ST_NOMEM;
    h->fn = fn;
    h->env = env;
    *ret_val = (struct extern_val){.kind = EXTERN_FUNC, .ptr = &h->f, .func_type = copy};
    return ST_OK;
}

status_t cell_host_global(struct cell *c, valtype_t type, bool mutable_, union cell_value v,
                          struct extern_val *ret_val)
{
    struct cell_host_value *g = arena_alloc(&c->arena, 1, sizeof(*g));
    if (!g)
        return ST_NOMEM;
    g->type = type;
    g->value = v;
    g->next = c->host_values;
    c->host_values = g;
    *ret_val = (struct extern_val){
        .kind = EXTERN_GLOBAL, .ptr = &g->value, .type = type, .mutable_ = mutable_};
    return ST_OK;
}

status_t cell_host_table(struct cell *c, valtype_t type, struct limits l,
                         struct extern_val *ret_val)
{
    struct cell_host_table *t = arena_alloc(&c->arena, 1, sizeof(*t));
    if (!t)
        return ST_NOMEM;
    status_t st = run_table_init(&t->table, type, l, NULL, &c->table_entries,
                                 c->limits.table_entries, NULL);
    if (st != ST_OK)
        return st;
    t->next = c->host_tables;
    c->host_tables = t;
    *ret_val = (struct extern_val){
        .kind = EXTERN_TABLE, .ptr = &t->table.abi, .type = type, .limits = l};
    return ST_OK;
}

status_t cell_host_mem(struct cell *c, struct limits l, struct extern_val *ret_val)
{
    struct cell_host_mem *m = arena_alloc(&c->arena, 1, sizeof(*m));
    if (!m)
        return ST_NOMEM;
    status_t st = run_memory_new(l, &c->memory_bytes, c->limits.memory_bytes, &m->mem, NULL);
    if (st != ST_OK)
        return st;
    m->next = c->host_mems;
    c->host_mems = m;
    *ret_val = (struct extern_val){.kind = EXTERN_MEM, .ptr = &m->mem->abi, .limits = l};
    return ST_OK;
}

status_t cell_host_tag(struct cell *c, const struct functype *type, struct extern_val *ret_val)
{
    struct functype *copy = run_functype_copy(&c->arena, type);
    if (!copy)
        return ST_NOMEM;
    *ret_val = (struct extern_val){.kind = EXTERN_TAG, .ptr = copy, .func_type = copy};
    return ST_OK;
}

enum abi_trap cell_trap(const struct cell *c)
{
    return c->last_trap;
}

bool cell_trap_offset(const struct cell *c, uint64_t *ret_off)
{
    if (c->last_trap != TRAP_MEMORY_BOUNDS || !c->fault)
        return false;
    *ret_off = c->fault_off;
    return true;
}

uint32_t cell_exit_code(const struct cell *c)
{
    return c->exit_code;
}

enum stop_reason cell_stop_reason(const struct cell *c)
{
    return c->last_stop;
}

uint32_t cell_backtrace(const struct cell *c, const struct frame **ret_frames, uint64_t *ret_total)
{
    *ret_frames = c->frames;
    *ret_total = c->frame_total;
    return c->frame_count;
}

void cell_stats(const struct cell *c, struct cell_stats *ret_stats)
{
    *ret_stats = (struct cell_stats){.memory_bytes = atomic_load(&c->memory_bytes),
                                     .cpu_ns = atomic_load(&c->cpu_ns),
                                     .polls_taken = atomic_load(&c->polls_taken),
                                     .captures_refused = atomic_load(&c->captures_refused)};
}

void cell_unwind_set(struct cell *c, enum abi_unwind why, struct abi_exn *exn)
{
    for (struct instance *i = cell_first_instance(c); i; i = i->next) {
        struct abi_ctx *ctx = instance_ctx(i);
        ctx->exn = exn;
        abi_set_unwind(ctx, why);
    }
}

struct program *cell_program_at(struct cell *c, uintptr_t pc)
{
    for (struct instance *i = cell_first_instance(c); i; i = i->next) {
        if (program_has_pc(i->prog, pc))
            return i->prog;
    }
    return NULL;
}

void cell_trap_text(struct cell *c, const char *text)
{
    snprintf(c->text, sizeof(c->text), "%s", text);
    c->trap = TRAP_HOST;
}
