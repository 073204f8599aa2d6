#include "instance.h"

#include "cell.h"
#include "eval.h"
#include "import.h"
#include "ops.h"

struct abi_func *instance_func(const struct instance *inst, uint32_t func)
{
    int32_t off = inst->prog->layout.func_off[func];
    return off ? instance_at(inst, off) : NULL; /* struct abi_import begins with one */
}

union cell_value *instance_global(const struct instance *inst, uint32_t global)
{
    void *at = instance_at(inst, inst->prog->layout.global_off[global]);
    return inst->module->globals[global].imported ? *(union cell_value **)at : at;
}

struct cell *instance_cell(struct instance *inst)
{
    return inst->cell;
}

struct program *instance_program(struct instance *inst)
{
    return inst->prog;
}

/* The record with its arrays, in one piece. */
static struct instance *instance_alloc(struct cell *c, struct program *prog)
{
    const struct module *m = prog->module;
    uint32_t own = m->table_count - m->table_import_count;
    size_t bytes = sizeof(struct instance) + m->mem_count * sizeof(struct run_memory *) +
                   m->table_count * sizeof(struct run_table *) + own * sizeof(struct run_table) +
                   m->data_count + m->elem_count;
    struct instance *inst = calloc(1, bytes);
    if (!inst)
        return NULL;
    inst->own_tables = (struct run_table *)(inst + 1);
    inst->mems = (struct run_memory **)(inst->own_tables + own);
    inst->tables = (struct run_table **)(inst->mems + m->mem_count);
    inst->data_dropped = (bool *)(inst->tables + m->table_count);
    inst->elem_dropped = inst->data_dropped + m->data_count;
    inst->cell = c;
    inst->prog = program_ref(prog);
    inst->module = m;
    inst->movable = prog->image->options.movable != 0;
    return inst;
}

void instance_free(struct instance *inst)
{
    if (!inst)
        return;
    const struct module *m = inst->module;
    for (uint32_t i = 0; i < m->mem_count; i++) {
        if (i < m->mem_import_count)
            run_memory_unref(inst->mems[i]);
        else
            run_memory_leave(inst->mems[i]);
    }
    for (uint32_t i = 0; i < m->table_count - m->table_import_count; i++)
        run_table_done(&inst->own_tables[i]);
    run_slot_give(&inst->cell->rt->slots, inst->slot);
    if (inst->slot_owner)
        inst->cell->slot = NULL;
    program_unref(inst->prog);
    for (struct former_program *f = inst->former; f; f = f->next)
        program_unref(f->prog);
    free(inst);
}

/* Address space: with the native stack when this is the first instance of the cell. */
static status_t take_slot(struct instance *inst, struct error *err)
{
    struct cell *c = inst->cell;
    bool first = !c->slot;
    bool with_memory = first || inst->prog->layout.mem0_inline;
    uint64_t stack = first ? c->limits.stack_bytes + CELL_HOST_STACK_BYTES : 0;
    status_t st = run_slot_take(&c->rt->slots, inst->prog, stack, with_memory, &inst->slot, err);
    if (st != ST_OK)
        return st;
    inst->base = inst->slot->base;
    inst->slot_owner = first;
    if (first) {
        c->slot = inst->slot;
        run_stack_slot(c);
    }
    return ST_OK;
}

static union cell_value *multi_of(const struct instance *inst)
{
    uint64_t block = ((uint64_t)inst->prog->layout.block_bytes + 15) / 16 * 16;
    return (union cell_value *)(inst->base - block) - MODULE_RESULTS_MAX;
}

static void init_ctx(struct instance *inst)
{
    struct cell *c = inst->cell;
    struct abi_ctx *ctx = instance_ctx(inst);
    if (inst->slot_owner)
        c->multi = multi_of(inst);
    ctx->ops = run_ops();
    ctx->multi = c->multi;
    ctx->host_stack_limit = (uintptr_t)c->stack.low + CELL_HOST_STACK_BYTES;
    ctx->instance = inst;
    ctx->cell = c;
    abi_set_unwind(ctx, UNWIND_NONE);
    abi_set_poll(ctx, 0);
}

static status_t make_memories(struct instance *inst, struct error *err)
{
    const struct module *m = inst->module;
    struct cell *c = inst->cell;
    status_t st = ST_OK;
    for (uint32_t i = m->mem_import_count; st == ST_OK && i < m->mem_count; i++) {
        struct run_memory **at = &inst->mems[i];
        if (i == 0 && inst->prog->layout.mem0_inline) {
            st = run_memory_new_inline(m->mems[i].limits, &c->memory_bytes, c->limits.memory_bytes,
                                       inst->slot, at, err);
            continue;
        }
        st = run_memory_new(m->mems[i].limits, &c->memory_bytes, c->limits.memory_bytes, at, err);
        if (st == ST_OK && program_map_runs(inst->prog, i, (*at)->abi.base) != ST_OK)
            st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the content of memory %u",
                           i);
    }
    return st;
}

static status_t make_tables(struct instance *inst, struct error *err)
{
    const struct module *m = inst->module;
    struct cell *c = inst->cell;
    struct abi_entry *room = (struct abi_entry *)multi_of(inst);
    status_t st = ST_OK;
    for (uint32_t i = m->table_import_count; st == ST_OK && i < m->table_count; i++) {
        uint32_t own = i - m->table_import_count;
        uint64_t entries = inst->prog->table_entries[own];
        room -= entries;
        st = run_table_init(&inst->own_tables[own], m->tables[i].type, m->tables[i].limits,
                            entries ? room : NULL, &c->table_entries, c->limits.table_entries, err);
        inst->tables[i] = &inst->own_tables[own];
    }
    return st;
}

static void link_func(struct instance *inst, uint32_t index, const struct run_import *imp)
{
    struct abi_import *slot = instance_at(inst, inst->prog->layout.func_off[index]);
    if (!imp->host_fn) {
        slot->f = *(const struct abi_func *)imp->val.ptr;
        return;
    }
    slot->f = (struct abi_func){
        .code = (void *)(inst->prog->code + inst->prog->image->func_code[index]),
        .ctx = (struct abi_ctx *)inst->base,
        .sig = inst->prog->sigs[inst->module->funcs[index].type],
        .index = index};
    slot->host_fn = imp->host_fn;
    slot->host_env = imp->host_env;
}

/* Imports into the block and the instance's arrays. */
static void link_import(struct instance *inst, const struct module_import *mi,
                        const struct run_import *imp)
{
    const struct abi_layout *l = &inst->prog->layout;
    switch (mi->kind) {
    case EXTERN_FUNC:
        link_func(inst, mi->index, imp);
        break;
    case EXTERN_TABLE:
        inst->tables[mi->index] = run_table_of(imp->val.ptr);
        break;
    case EXTERN_MEM:
        inst->mems[mi->index] = run_memory_of(imp->val.ptr);
        run_memory_ref(inst->mems[mi->index]);
        break;
    case EXTERN_GLOBAL:
        *(void **)instance_at(inst, l->global_off[mi->index]) = imp->val.ptr;
        break;
    case EXTERN_TAG:
        *(void **)instance_at(inst, l->tag_off[mi->index]) = imp->val.ptr;
        break;
    }
}

/* All of the block but the values of globals. */
static void fill_block(struct instance *inst)
{
    const struct module *m = inst->module;
    const struct program *p = inst->prog;
    for (uint32_t i = 0; i < p->func_count; i++) {
        uint32_t index = p->funcs[i].index;
        *(struct abi_func *)instance_at(inst, p->funcs[i].off) = (struct abi_func){
            .code = (void *)(p->code + p->image->func_code[index]),
            .ctx = (struct abi_ctx *)inst->base,
            .sig = p->sigs[m->funcs[index].type],
            .index = index};
    }
    for (uint32_t i = 0; i < m->table_count; i++)
        *(struct abi_table **)instance_at(inst, p->layout.table_off[i]) = &inst->tables[i]->abi;
    for (uint32_t i = 0; i < m->mem_count; i++) {
        void **at = instance_at(inst, p->layout.mem_off[i]);
        at[0] = inst->mems[i]->abi.base;
        at[1] = &inst->mems[i]->abi;
    }
    for (uint32_t i = m->tag_import_count; i < m->tag_count; i++) {
        void **at = instance_at(inst, p->layout.tag_off[i]);
        *at = at;
    }
    for (uint32_t i = 0; i < m->type_count; i++) {
        if (p->layout.sig_off[i])
            *(uint64_t *)instance_at(inst, p->layout.sig_off[i]) = p->sigs[i];
    }
    if (m->mem_count > 0)
        inst->mem0 = &inst->mems[0]->abi;
}

static status_t init_globals(struct instance *inst, struct error *err)
{
    const struct module *m = inst->module;
    for (uint32_t i = m->global_import_count; i < m->global_count; i++) {
        if (run_eval(inst, &m->globals[i].init, instance_global(inst, i)) != ST_OK)
            return error_set(err, ST_CORRUPT, m->globals[i].init.off, "initialiser of global %u",
                             i);
    }
    return ST_OK;
}

static status_t segment_trap(struct instance *inst, enum abi_trap trap, const char *what,
                             uint32_t index, struct error *err)
{
    inst->cell->last_trap = trap;
    inst->cell->frame_count = 0;
    inst->cell->frame_total = 0;
    return error_set(err, ST_TRAP, ERROR_NO_OFFSET, "%s: %s segment %u", abi_trap_text(trap), what,
                     index);
}

static status_t apply_elems(struct instance *inst, struct error *err)
{
    const struct module *m = inst->module;
    for (uint32_t i = 0; i < m->elem_count; i++) {
        const struct module_elem *e = &m->elems[i];
        union cell_value at = {.u64 = 0};
        if (e->mode == SEGMENT_PASSIVE)
            continue;
        if (e->mode == SEGMENT_ACTIVE) {
            if (run_eval(inst, &e->offset, &at) != ST_OK)
                return error_set(err, ST_CORRUPT, e->offset.off, "offset of element segment %u", i);
            if (!run_table_init_from(inst, e->table, i, at.u32, 0, e->count, NULL))
                return segment_trap(inst, TRAP_TABLE_BOUNDS, "element", i, err);
        }
        inst->elem_dropped[i] = true;
    }
    return ST_OK;
}

static status_t apply_datas(struct instance *inst, struct error *err)
{
    const struct module *m = inst->module;
    for (uint32_t i = 0; i < m->data_count; i++) {
        const struct module_data *d = &m->datas[i];
        union cell_value at = {.u64 = 0};
        if (d->mode != SEGMENT_ACTIVE)
            continue;
        if (!inst->prog->image->datas_applied) {
            if (run_eval(inst, &d->offset, &at) != ST_OK)
                return error_set(err, ST_CORRUPT, d->offset.off, "offset of data segment %u", i);
            if (!run_memory_init(inst, d->mem, i, at.u32, 0, d->len, NULL))
                return segment_trap(inst, TRAP_MEMORY_BOUNDS, "data", i, err);
        }
        inst->data_dropped[i] = true;
    }
    return ST_OK;
}

/* In the cell's list, where a stop finds it: one that came before is taken over. */
static void publish(struct instance *inst)
{
    struct cell *c = inst->cell;
    inst->next = cell_first_instance(c);
    atomic_store(&c->instances, inst);
    if (atomic_load(&c->stop) != STOP_NONE)
        abi_set_poll(instance_ctx(inst), 1);
}

static status_t resolve_imports(const struct run_import_source *src, const struct module *m,
                                struct run_import **ret_imports, struct error *err)
{
    struct run_import *imports = calloc(m->import_count + 1, sizeof(*imports));
    if (!imports)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for imports");
    for (uint32_t i = 0; i < m->import_count; i++) {
        status_t st = run_import_find(src, m, &m->imports[i], &imports[i], err);
        if (st != ST_OK) {
            free(imports);
            return st;
        }
    }
    *ret_imports = imports;
    return ST_OK;
}

/* The imported function that the import is, with a host function behind it; NULL. */
static struct abi_import *host_import(const struct instance *inst, const struct module_import *mi)
{
    struct abi_import *slot = mi->kind == EXTERN_FUNC
                                  ? instance_at(inst, inst->prog->layout.func_off[mi->index])
                                  : NULL;
    return slot && slot->host_fn ? slot : NULL;
}

static status_t instance_rebind(struct instance *inst, const struct run_import_source *src,
                                bool change, struct error *err)
{
    const struct module *m = inst->module;
    for (uint32_t i = 0; i < m->import_count; i++) {
        struct abi_import *slot = host_import(inst, &m->imports[i]);
        struct run_import found;
        status_t st = slot ? run_import_find(src, m, &m->imports[i], &found, err) : ST_OK;
        if (st != ST_OK)
            return st;
        if (slot && change) {
            slot->host_fn = found.host_fn;
            slot->host_env = found.host_env;
        }
    }
    return ST_OK;
}

status_t cell_rebind(struct cell *c, const struct host_module *hosts, uint32_t host_count,
                     struct error *err)
{
    const struct run_import_source src = {.cell = c, .hosts = hosts, .host_count = host_count};
    status_t st = ST_OK;
    for (int change = 0; change < 2 && st == ST_OK; change++)
        for (struct instance *i = cell_first_instance(c); i && st == ST_OK; i = i->next)
            st = instance_rebind(i, &src, change, err);
    return st;
}

static status_t instance_make(struct cell *c, struct program *prog,
                              const struct run_import *imports, struct instance **ret_inst,
                              struct error *err)
{
    struct instance *inst = instance_alloc(c, prog);
    if (!inst)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for an instance");
    status_t st = take_slot(inst, err);
    if (st == ST_OK) {
        init_ctx(inst);
        st = make_memories(inst, err);
    }
    if (st == ST_OK)
        st = make_tables(inst, err);
    if (st != ST_OK) {
        instance_free(inst);
        return st;
    }
    for (uint32_t i = 0; i < inst->module->import_count; i++)
        link_import(inst, &inst->module->imports[i], &imports[i]);
    fill_block(inst);
    *ret_inst = inst;
    return ST_OK;
}

status_t cell_instantiate(struct cell *c, struct program *prog, const struct host_module *hosts,
                          uint32_t host_count, const struct import_resolver *resolver,
                          struct instance **ret_inst, struct error *err)
{
    struct run_import_source src = {c, hosts, host_count, resolver};
    struct run_import *imports = NULL;
    struct instance *inst = NULL;
    status_t st = resolve_imports(&src, prog->module, &imports, err);
    if (st != ST_OK)
        return st;
    st = instance_make(c, prog, imports, &inst, err);
    free(imports);
    if (st != ST_OK)
        return st;
    /* From here on the instance stays, even when a segment traps: imported tables may hold its functions. */
    publish(inst);
    st = init_globals(inst, err);
    if (st == ST_OK)
        st = apply_elems(inst, err);
    if (st == ST_OK)
        st = apply_datas(inst, err);
    if (st == ST_OK)
        *ret_inst = inst;
    return st;
}

status_t instance_start(struct instance *inst, struct error *err)
{
    union cell_value io = {.u64 = 0};
    if (!inst->module->has_start)
        return ST_OK;
    return cell_call(inst->cell, instance_func(inst, inst->module->start), &io, err);
}

static struct extern_val extern_of(struct instance *inst, const struct module_export *e)
{
    const struct module *m = inst->module;
    struct extern_val v = {.kind = e->kind};
    switch (e->kind) {
    case EXTERN_FUNC:
        v.ptr = instance_func(inst, e->index);
        v.func_type = module_func_type(m, e->index);
        break;
    case EXTERN_TABLE:
        v.ptr = &inst->tables[e->index]->abi;
        v.type = m->tables[e->index].type;
        v.limits = inst->tables[e->index]->declared;
        break;
    case EXTERN_MEM:
        v.ptr = &inst->mems[e->index]->abi;
        v.limits = inst->mems[e->index]->declared;
        break;
    case EXTERN_GLOBAL:
        v.ptr = instance_global(inst, e->index);
        v.type = m->globals[e->index].type;
        v.mutable_ = m->globals[e->index].mutable_;
        break;
    case EXTERN_TAG:
        v.ptr = *(void **)instance_at(inst, inst->prog->layout.tag_off[e->index]);
        v.func_type = &m->types[m->tags[e->index].type];
        break;
    }
    return v;
}

status_t instance_export(struct instance *inst, const char *name, size_t name_len,
                         struct extern_val *ret_val)
{
    const struct module *m = inst->module;
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct module_export *e = &m->exports[i];
        if (e->field.len != name_len || memcmp(e->field.bytes, name, name_len) != 0)
            continue;
        *ret_val = extern_of(inst, e);
        return ST_OK;
    }
    return ST_NOTFOUND;
}
