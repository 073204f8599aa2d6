#include "cell/run/state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "operation.h"
#include "state_parts.h"

bool cell_is_captured(const struct cell *c)
{
    return c->records != NULL;
}

uint32_t cell_called(const struct cell *c)
{
    return c->called ? c->called->index : UINT32_MAX;
}

struct program *cell_program(const struct cell *c)
{
    const struct instance *inst = atomic_load(&c->instances);
    return inst ? inst->prog : NULL;
}

/* ---- saving ---- */

struct saver {
    struct cell *c;
    struct instance *inst;
    struct buf *out;
    struct abi_exn **exns; /* found so far, by number */
    uint32_t exn_count;
    uint32_t exn_cap;
    bool nomem;
    const char *cannot; /* what cannot travel */
};

/* Nothing is collected while a cell is saved: until save_exns is done, the mark is the number. */
static uint64_t exn_number(struct saver *s, struct abi_exn *exn)
{
    if (exn->mark != 0)
        return exn->mark;
    if (s->exn_count == s->exn_cap) {
        uint32_t cap = s->exn_cap ? s->exn_cap * 2 : 16;
        struct abi_exn **grown = realloc(s->exns, cap * sizeof(*grown));
        if (!grown) {
            s->nomem = true;
            return 0;
        }
        s->exns = grown;
        s->exn_cap = cap;
    }
    s->exns[s->exn_count++] = exn;
    exn->mark = s->exn_count;
    return exn->mark;
}

static void save_ref(struct saver *s, valtype_t type, void *ref)
{
    uint64_t number = 0;
    const struct abi_func *f = ref;
    if (ref && type == VT_FUNCREF && f->ctx == (void *)s->inst->base)
        number = (uint64_t)f->index + 1;
    else if (ref && type == VT_EXNREF)
        number = exn_number(s, ref);
    else if (ref)
        s->cannot = type == VT_FUNCREF ? "a reference to another instance's function"
                                       : "a reference of the host";
    buf_le64(s->out, number);
}

static void save_value(struct saver *s, valtype_t type, const union cell_value *v)
{
    switch ((enum valtype)type) {
    case VT_I32:
    case VT_F32:
        buf_le32(s->out, v->u32);
        break;
    case VT_I64:
    case VT_F64:
        buf_le64(s->out, v->u64);
        break;
    case VT_V128:
        buf_bytes(s->out, v->v128, sizeof(v->v128));
        break;
    case VT_FUNCREF:
    case VT_EXTERNREF:
    case VT_EXNREF:
        save_ref(s, type, v->ref);
        break;
    }
}

static void save_frame(struct saver *s, const struct run_record *r)
{
    const struct abi_site *site = r->site;
    const uint8_t *types = abi_site_types(site);
    buf_le32(s->out, site->func);
    buf_le32(s->out, site->off);
    buf_le32(s->out, r->kind);
    buf_le32(s->out, site->locals);
    buf_le32(s->out, site->live);
    buf_le32(s->out, site->stack);
    buf_le32(s->out, site->results);
    for (uint32_t i = 0; i < site->live; i++)
        buf_le32(s->out, site->live_locals[i]);
    buf_bytes(s->out, types, (size_t)site->live + site->stack);
    for (uint32_t i = 0; i < site->live + site->stack; i++)
        save_value(s, types[i], &r->values[i]);
}

static void save_frames(struct saver *s)
{
    uint32_t n = 0;
    for (const struct run_record *r = s->c->records; r; r = r->inner)
        n++;
    buf_le32(s->out, cell_called(s->c));
    buf_le32(s->out, n);
    for (const struct run_record *r = s->c->records; r; r = r->inner)
        save_frame(s, r);
}

static void save_memories(struct saver *s)
{
    const struct module *m = s->inst->module;
    buf_le32(s->out, m->mem_count);
    for (uint32_t i = 0; i < m->mem_count; i++) {
        if (m->mems[i].imported)
            s->cannot = "an imported memory";
        else if (atomic_load(&s->inst->mems[i]->refs) > 1)
            s->cannot = "a memory that other cells share";
        else if (atomic_load(&s->inst->mems[i]->pager))
            s->cannot = "a memory whose pages are still on their way";
        buf_le64(s->out, run_memory_bytes(&s->inst->mems[i]->abi));
    }
}

static void save_globals(struct saver *s)
{
    const struct module *m = s->inst->module;
    buf_le32(s->out, m->global_count);
    for (uint32_t i = 0; i < m->global_count; i++) {
        if (m->globals[i].imported)
            s->cannot = "an imported global";
        buf_u8(s->out, m->globals[i].type);
        save_value(s, m->globals[i].type, instance_global(s->inst, i));
    }
}

static void save_tables(struct saver *s)
{
    const struct module *m = s->inst->module;
    buf_le32(s->out, m->table_count);
    for (uint32_t i = 0; i < m->table_count; i++) {
        const struct abi_table *t = &s->inst->tables[i]->abi;
        if (m->tables[i].imported)
            s->cannot = "an imported table";
        buf_u8(s->out, m->tables[i].type);
        buf_le64(s->out, t->count);
        for (uint64_t k = 0; k < t->count; k++)
            save_ref(s, m->tables[i].type, t->entries[k].ref);
    }
}

static void save_dropped(struct saver *s)
{
    const struct module *m = s->inst->module;
    buf_le32(s->out, m->data_count);
    for (uint32_t i = 0; i < m->data_count; i++)
        buf_u8(s->out, s->inst->data_dropped[i]);
    buf_le32(s->out, m->elem_count);
    for (uint32_t i = 0; i < m->elem_count; i++)
        buf_u8(s->out, s->inst->elem_dropped[i]);
}

/* Exceptions may refer to others, which are found while the former are written. */
static void save_exns(struct saver *s)
{
    const struct module *m = s->inst->module;
    size_t count_at = s->out->len;
    buf_le32(s->out, 0);
    for (uint32_t i = 0; i < s->exn_count; i++) {
        const struct abi_exn *e = s->exns[i];
        uint32_t tag = 0;
        while (tag < m->tag_count && state_tag_identity(s->inst, tag) != e->tag)
            tag++;
        if (tag == m->tag_count) {
            s->cannot = "an exception with a tag of another instance";
            return;
        }
        const struct functype *ft = &m->types[m->tags[tag].type];
        buf_le32(s->out, tag);
        for (uint32_t k = 0; k < ft->param_count; k++)
            save_value(s, ft->params[k], &e->values[k]);
    }
    if (!s->out->failed)
        buf_patch_le32(s->out, count_at, s->exn_count);
}

static void forget_exns(struct saver *s)
{
    for (uint32_t i = 0; i < s->exn_count; i++)
        s->exns[i]->mark = 0;
    free(s->exns);
}

status_t cell_state_save(struct cell *c, struct buf *out, struct error *err)
{
    struct instance *inst = cell_first_instance(c);
    if (!inst || inst->next)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "%s cannot travel",
                         inst ? "a cell of several instances" : "a cell without a program");
    struct saver s = {.c = c, .inst = inst, .out = out};
    buf_le32(out, STATE_VERSION);
    save_frames(&s);
    save_memories(&s);
    save_globals(&s);
    save_tables(&s);
    save_dropped(&s);
    save_exns(&s);
    forget_exns(&s);
    if (s.cannot)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "%s cannot travel", s.cannot);
    if (s.nomem || out->failed)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to save a cell");
    return ST_OK;
}

/* ---- memories, frames ---- */

status_t cell_memory(struct cell *c, uint32_t index, struct cell_memory *ret_memory)
{
    const struct instance *inst = cell_first_instance(c);
    if (!inst || index >= inst->module->mem_count)
        return ST_NOTFOUND;
    const struct abi_mem *m = &inst->mems[index]->abi;
    *ret_memory = (struct cell_memory){.base = m->base,
                                       .bytes = run_memory_bytes(m),
                                       .complete = inst->prog->image->datas_applied};
    return ST_OK;
}

status_t cell_memory_extend(struct cell *c, uint32_t index, uint64_t bytes)
{
    const struct instance *inst = cell_first_instance(c);
    if (!inst || index >= inst->module->mem_count)
        return ST_NOTFOUND;
    struct run_memory *m = inst->mems[index];
    uint64_t now = run_memory_bytes(&m->abi);
    if (bytes <= now)
        return ST_OK;
    if (bytes % WASM_PAGE_BYTES || bytes > m->abi.max_bytes)
        return ST_LIMIT;
    uint32_t pages = (uint32_t)((bytes - now) / WASM_PAGE_BYTES);
    return run_memory_grow(m, pages) == UINT32_MAX ? ST_NOMEM : ST_OK;
}

status_t cell_memory_prepare(struct cell *c, uint32_t index, uint64_t bytes)
{
    status_t st = cell_memory_extend(c, index, bytes);
    if (st != ST_OK)
        return st;
    const struct abi_mem *m = &cell_first_instance(c)->mems[index]->abi;
    uint64_t now = run_memory_bytes(m);
    /* Where the kernel cannot, or will not for these pages, they come when they are touched. */
    return now && madvise(m->base, now, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM ? ST_NOMEM
                                                                                     : ST_OK;
}

const uint8_t *cell_memory_initial(struct cell *c, uint32_t index, uint64_t at)
{
    const struct image *img = cell_first_instance(c)->prog->image;
    for (uint32_t i = 0; i < img->run_count; i++) {
        const struct image_memory_run *r = &img->runs[i];
        if (r->mem == index && at >= r->guest_off && at - r->guest_off < r->len)
            return r->bytes + (at - r->guest_off);
    }
    return NULL;
}

uint32_t cell_captured_frames(const struct cell *c, struct cell_frame *ret_frames, uint32_t max)
{
    uint32_t n = 0, at = 0;
    for (const struct run_record *r = c->records; r; r = r->inner)
        n += r->kind != SITE_OPERATION;
    for (const struct run_record *r = c->records; r && at < n; r = r->inner) {
        uint32_t from_inside = n - 1 - at++;
        if (from_inside < max)
            ret_frames[from_inside] = (struct cell_frame){r->site->func, r->site->off};
    }
    return n;
}
