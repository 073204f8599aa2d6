#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "cell/run/state.h"

/* A cell goes over to another image of its module: whatever is code of the old one is replaced. */

static bool same_runs(const struct image *a, const struct image *b)
{
    bool same = a->run_count == b->run_count && a->datas_applied == b->datas_applied;
    for (uint32_t i = 0; same && i < a->run_count; i++)
        same = a->runs[i].mem == b->runs[i].mem && a->runs[i].guest_off == b->runs[i].guest_off &&
               a->runs[i].len == b->runs[i].len;
    return same;
}

/* Initial content stays mapped from the old image, so what the new one says of it has to be the same; one compiler
 * makes it so. */
static status_t check_program(const struct instance *inst, const struct program *prog,
                              struct error *err)
{
    const struct image *a = inst->prog->image, *b = prog->image;
    if (memcmp(a->module_hash, b->module_hash, sizeof a->module_hash) != 0)
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET, "an image of another module");
    if (!a->options.movable || !b->options.movable || a->options.nan != b->options.nan ||
        strcmp(a->compiler, b->compiler) != 0 || !same_runs(a, b))
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "an image made with other options or by another compiler");
    for (uint32_t i = 0; i < inst->module->import_count; i++) {
        const struct module_import *imp = &inst->module->imports[i];
        const struct abi_import *f = imp->kind == EXTERN_FUNC
                                         ? instance_at(inst, prog->layout.func_off[imp->index])
                                         : NULL;
        if (!f || !f->host_fn) /* others may hold code of this image */
            return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                             "a cell that imports more than functions of the host");
    }
    return ST_OK;
}

static bool same_site(const struct abi_site *a, const struct abi_site *b)
{
    return a->locals == b->locals && a->live == b->live && a->stack == b->stack &&
           a->results == b->results && a->exns == b->exns &&
           memcmp(a->live_locals, b->live_locals, a->live * sizeof a->live_locals[0]) == 0 &&
           memcmp(abi_site_types(a), abi_site_types(b), (size_t)a->live + a->stack) == 0;
}

/* The same place in the other image. NULL: it has none, or other values there. */
static const struct abi_site *site_in(const struct program *prog, const struct run_record *r)
{
    const struct abi_ways *ways = run_ways(prog, r->site->func);
    for (uint32_t i = 0; ways && i < ways->count; i++) {
        const struct abi_site *s = run_way_site(ways, i);
        if (ways->ways[i].kind == r->kind && s->off == r->site->off)
            return same_site(s, r->site) ? s : NULL;
    }
    return NULL;
}

/* All of them are found before one is changed. */
static status_t find_sites(const struct cell *c, const struct program *prog,
                           const struct abi_site ***ret_sites, struct error *err)
{
    size_t count = 0, i = 0;
    for (const struct run_record *r = c->records; r; r = r->inner)
        count++;
    const struct abi_site **sites = calloc(count + 1, sizeof(*sites));
    if (!sites)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a call stack");
    for (const struct run_record *r = c->records; r; r = r->inner, i++) {
        sites[i] = r->kind == SITE_OPERATION ? r->site : site_in(prog, r);
        if (!sites[i]) {
            free(sites);
            return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                             "function %u cannot go on in this image", r->site->func);
        }
    }
    *ret_sites = sites;
    return ST_OK;
}

static void change_records(struct cell *c, const struct abi_site *const *sites)
{
    for (struct run_record *r = c->records; r; r = r->inner)
        r->site = *sites++;
}

static void change_code(struct instance *inst)
{
    const struct program *p = inst->prog;
    const struct module *m = inst->module;
    for (uint32_t i = 0; i < m->func_count; i++) {
        struct abi_func *f = instance_func(inst, i);
        if (f)
            f->code = (void *)(p->code + p->image->func_code[i]);
    }
    for (uint32_t t = 0; t < m->table_count; t++)
        for (uint64_t i = 0; i < inst->tables[t]->abi.count; i++)
            run_table_set(inst->tables[t], i, inst->tables[t]->abi.entries[i].ref);
}

/* What instance_export gave out, and the slot, refer to the old one. */
static status_t keep_program(struct instance *inst, struct error *err)
{
    struct former_program *f = arena_alloc(&inst->cell->arena, 1, sizeof(*f));
    if (!f)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a program");
    *f = (struct former_program){.next = inst->former, .prog = inst->prog};
    inst->former = f;
    return ST_OK;
}

status_t cell_change_program(struct cell *c, struct program *prog, struct error *err)
{
    struct instance *inst = cell_first_instance(c);
    const struct abi_site **sites = NULL;
    if (!inst || inst->next || atomic_load(&c->tid) != 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "not a cell with one instance that does not run");
    status_t st = check_program(inst, prog, err);
    st = st == ST_OK ? find_sites(c, prog, &sites, err) : st;
    if (st != ST_OK)
        return st;
    st = keep_program(inst, err);
    if (st == ST_OK) {
        inst->prog = program_ref(prog);
        inst->module = prog->module;
        change_records(c, sites);
        change_code(inst);
    }
    free(sites);
    return st;
}
