#include "cell/run/track.h"

#include <errno.h>
#include <unistd.h>

#include "cell.h"
#include "faultfd.h"

struct track {
    struct instance *inst;
    int faults; /* the userfaultfd: memories are registered as long as it is open */
    struct run_pages pages;
    bool armed; /* once, as a whole */
    uint64_t registered_bytes[PAGE_SET_MEMORIES];
};

/* Where the pages of one memory are collected. */
struct collector {
    struct page_set *set;
    uint32_t mem;
    uint8_t *base;
};

static status_t collect(void *arg, uint8_t *from, uint8_t *to)
{
    struct collector *c = arg;
    return page_set_add(c->set, c->mem, (uint64_t)(from - c->base), (uint64_t)(to - from));
}

static status_t explain(status_t st, struct error *err)
{
    if (st == ST_UNSUPPORTED)
        return error_set(err, st, ERROR_NO_OFFSET,
                         "this kernel does not tell which pages were written (Linux 6.7 does)");
    if (st == ST_NOMEM)
        return error_set(err, st, ERROR_NO_OFFSET, "no memory for a set of pages");
    return st == ST_OK ? st : error_set_errno(err, errno, "looking for written pages");
}

static status_t visit(struct run_pages *p, const struct run_memory *m, uint32_t index,
                      uint64_t bytes, enum run_pages_kind kind, struct page_set *set)
{
    struct collector c = {.set = set, .mem = index, .base = m->abi.base};
    const struct run_pages_visitor v = {collect, &c};
    return run_pages_visit(p, c.base, c.base + bytes, kind, &v);
}

status_t track_written(struct cell *c, struct page_set *set, struct error *err)
{
    const struct instance *inst = cell_first_instance(c);
    struct run_pages pages;
    status_t st = ST_OK;
    run_pages_init(&pages);
    for (uint32_t i = 0; inst && i < inst->module->mem_count && st == ST_OK; i++)
        st = visit(&pages, inst->mems[i], i, run_memory_bytes(&inst->mems[i]->abi), RUN_PAGES_OWN,
                   set);
    st = explain(st, err);
    run_pages_done(&pages);
    return st;
}

/* What was grown is registered before it is looked at, so that no write falls between. */
static status_t register_grown(struct track *t, uint32_t index, uint64_t bytes, struct error *err)
{
    uint64_t from = t->registered_bytes[index];
    if (bytes <= from)
        return ST_OK;
    uint8_t *base = t->inst->mems[index]->abi.base;
    if (run_faults_register(t->faults, base + from, bytes - from, RUN_FAULTS_PROTECT) != 0)
        return error_set_errno(err, errno, "following writes to a memory");
    t->registered_bytes[index] = bytes;
    return ST_OK;
}

status_t track_start(struct cell *c, struct track **ret_track, struct error *err)
{
    struct instance *inst = cell_first_instance(c);
    if (!inst || inst->next)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "only a cell with one instance can be followed");
    struct track *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to follow a cell");
    *t = (struct track){.inst = inst, .faults = run_faults_open(RUN_FAULTS_PROTECT)};
    run_pages_init(&t->pages);
    status_t st = ST_OK;
    if (t->faults < 0)
        st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                       "this kernel cannot follow writes (userfaultfd of Linux 6.7 can)");
    for (uint32_t i = 0; st == ST_OK && i < inst->module->mem_count; i++)
        st = register_grown(t, i, run_memory_bytes(&inst->mems[i]->abi), err);
    if (st == ST_OK)
        *ret_track = t;
    else
        track_stop(t);
    return st;
}

status_t track_harvest(struct track *t, struct page_set *set, struct error *err)
{
    status_t st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < t->inst->module->mem_count; i++) {
        uint64_t bytes = run_memory_bytes(&t->inst->mems[i]->abi);
        st = register_grown(t, i, bytes, err);
        if (st == ST_OK)
            st = explain(visit(&t->pages, t->inst->mems[i], i, bytes,
                               t->armed ? RUN_PAGES_REARM : RUN_PAGES_ARM, set),
                         err);
    }
    t->armed |= st == ST_OK;
    return st;
}

void track_stop(struct track *t)
{
    if (!t)
        return;
    if (t->faults >= 0)
        close(t->faults);
    run_pages_done(&t->pages);
    free(t);
}
