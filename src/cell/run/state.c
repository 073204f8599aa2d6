#include "cell/run/state.h"

#include <string.h>

#include "base/cursor.h"
#include "operation.h"

enum { STATE_VERSION = 1 };

bool cell_is_captured(const struct cell *c)
{
    return c->records != NULL;
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

static uint64_t exn_number(struct saver *s, struct abi_exn *exn)
{
    for (uint32_t i = 0; i < s->exn_count; i++) {
        if (s->exns[i] == exn)
            return (uint64_t)i + 1;
    }
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
    return s->exn_count;
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
    buf_le32(s->out, s->c->called ? s->c->called->index : UINT32_MAX);
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

static const void *tag_identity(const struct instance *inst, uint32_t tag)
{
    return *(const void *const *)instance_at(inst, inst->prog->layout.tag_off[tag]);
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
        while (tag < m->tag_count && tag_identity(s->inst, tag) != e->tag)
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
    free(s.exns);
    if (s.cannot)
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "%s cannot travel", s.cannot);
    if (s.nomem || out->failed)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to save a cell");
    return ST_OK;
}

/* ---- loading ---- */

/* Exceptions stand behind all that refers to them, so references are filled in at the end. */
struct fixup {
    union cell_value *at;
    struct run_table *table; /* or entry `index` of a table */
    uint64_t index;
    uint64_t number;
};

struct loader {
    struct cell *c;
    struct instance *inst;
    struct cursor in;
    struct buf fixups; /* struct fixup */
    bool nomem;
};

static void bad(struct loader *l, const char *what)
{
    cursor_fail(&l->in, what);
}

/* Exceptions are known by number until they are there. */
static void *load_ref(struct loader *l, valtype_t type, struct fixup fix)
{
    uint64_t number = cursor_le64(&l->in);
    if (number == 0 || l->in.failed)
        return NULL;
    if (type == VT_EXNREF) {
        fix.number = number;
        buf_bytes(&l->fixups, &fix, sizeof(fix));
        return NULL;
    }
    struct abi_func *f = NULL;
    if (type == VT_FUNCREF && number <= l->inst->module->func_count)
        f = instance_func(l->inst, (uint32_t)(number - 1));
    if (!f)
        bad(l, "reference to no function");
    return f;
}

static void load_value(struct loader *l, valtype_t type, union cell_value *ret_v)
{
    const uint8_t *bytes;
    switch ((enum valtype)type) {
    case VT_I32:
    case VT_F32:
        ret_v->u32 = cursor_le32(&l->in);
        return;
    case VT_I64:
    case VT_F64:
        ret_v->u64 = cursor_le64(&l->in);
        return;
    case VT_V128:
        bytes = cursor_bytes(&l->in, sizeof(ret_v->v128));
        if (bytes)
            memcpy(ret_v->v128, bytes, sizeof(ret_v->v128));
        return;
    case VT_FUNCREF:
    case VT_EXTERNREF:
    case VT_EXNREF:
        ret_v->ref = load_ref(l, type, (struct fixup){.at = ret_v});
        return;
    }
    bad(l, "unknown type of value");
}

/* The fixed part of a frame as it stands in the file. */
struct frame_head {
    uint32_t func, off, kind, locals, live, stack, results;
};

static bool head_is_sound(const struct loader *l, const struct frame_head *h)
{
    const struct module *m = l->inst->module;
    uint64_t values = (uint64_t)h->live + h->stack;
    bool exists = h->kind == SITE_OPERATION || (h->kind <= SITE_AT && h->func < m->func_count);
    return exists && h->locals <= MODULE_LOCALS_MAX + MODULE_PARAMS_MAX && h->live <= h->locals &&
           h->results <= h->stack && values <= cursor_left(&l->in);
}

static struct abi_site *load_site(struct loader *l, const struct frame_head *h)
{
    size_t values = (size_t)h->live + h->stack;
    struct abi_site *s = arena_alloc(&l->c->arena, 1,
                                     sizeof(*s) + h->live * sizeof(s->live_locals[0]) + values);
    if (!s) {
        l->nomem = true;
        return NULL;
    }
    *s = (struct abi_site){h->func, h->off, h->locals, h->live, h->stack, h->results, 0};
    for (uint32_t i = 0; i < h->live; i++) {
        s->live_locals[i] = cursor_le32(&l->in);
        if (s->live_locals[i] >= h->locals)
            bad(l, "local out of range");
    }
    const uint8_t *types = cursor_bytes(&l->in, values);
    if (types && values)
        memcpy(s->live_locals + h->live, types, values);
    return s;
}

static void load_frame(struct loader *l)
{
    struct frame_head h = {0};
    uint32_t *fields[] = {&h.func, &h.off, &h.kind, &h.locals, &h.live, &h.stack, &h.results};
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        *fields[i] = cursor_le32(&l->in);
    if (l->in.failed)
        return;
    if (!head_is_sound(l, &h)) {
        bad(l, "frame of no function");
        return;
    }
    const struct abi_site *s = load_site(l, &h);
    struct run_record *r = s && !l->in.failed ? run_record_push(l->c, l->inst, s, h.kind) : NULL;
    if (!r) {
        l->nomem |= !l->in.failed;
        return;
    }
    for (uint32_t i = 0; i < h.live + h.stack; i++)
        load_value(l, abi_site_types(s)[i], &r->values[i]);
    if (h.kind == SITE_OPERATION && !l->in.failed && !run_operation_is_sound(r))
        bad(l, "operation of the host");
}

/* Nothing is inside an operation, and it is inside a call that waits for it. */
static void check_operations(struct loader *l)
{
    for (const struct run_record *r = l->c->records, *outer = NULL; r; outer = r, r = r->inner)
        if (r->kind == SITE_OPERATION && (r->inner || !outer || outer->kind != SITE_PENDING))
            bad(l, "operation of the host");
}

/* They come outermost first, and are pushed in that order: the list is turned round. */
static void load_frames(struct loader *l)
{
    uint32_t called = cursor_le32(&l->in), n = cursor_le32(&l->in);
    if (!l->in.failed && called != UINT32_MAX) {
        l->c->called = called < l->inst->module->func_count ? instance_func(l->inst, called) : NULL;
        if (!l->c->called)
            bad(l, "call of no function");
    }
    if (n && !l->c->called)
        bad(l, "frames of no call");
    for (uint32_t i = 0; i < n && !l->in.failed && !l->nomem; i++)
        load_frame(l);
    struct run_record *outer = NULL;
    while (l->c->records) {
        struct run_record *r = l->c->records;
        l->c->records = r->inner;
        r->inner = outer;
        outer = r;
    }
    l->c->records = outer;
    check_operations(l);
}

static bool count_fits(struct loader *l, uint32_t expected, const char *what)
{
    if (cursor_le32(&l->in) != expected)
        bad(l, what);
    return !l->in.failed;
}

static void load_memories(struct loader *l)
{
    const struct module *m = l->inst->module;
    if (!count_fits(l, m->mem_count, "other memories than the program's"))
        return;
    for (uint32_t i = 0; i < m->mem_count && !l->in.failed; i++) {
        struct run_memory *mem = l->inst->mems[i];
        uint64_t bytes = cursor_le64(&l->in), now = run_memory_bytes(&mem->abi);
        if (bytes < now || bytes % WASM_PAGE_BYTES || bytes > mem->abi.max_bytes)
            bad(l, "size of a memory");
        else if (bytes > now &&
                 run_memory_grow(mem, (uint32_t)((bytes - now) / WASM_PAGE_BYTES)) == UINT32_MAX)
            l->nomem = true;
    }
}

static void load_globals(struct loader *l)
{
    const struct module *m = l->inst->module;
    if (!count_fits(l, m->global_count, "other globals than the program's"))
        return;
    for (uint32_t i = 0; i < m->global_count && !l->in.failed; i++) {
        if (cursor_u8(&l->in) != m->globals[i].type)
            bad(l, "type of a global");
        else
            load_value(l, m->globals[i].type, instance_global(l->inst, i));
    }
}

static void load_table(struct loader *l, uint32_t index)
{
    struct run_table *t = l->inst->tables[index];
    uint64_t count;
    if (cursor_u8(&l->in) != t->type)
        bad(l, "type of a table");
    count = cursor_le64(&l->in);
    if (!l->in.failed && (count < t->abi.count || count > cursor_left(&l->in) / 8))
        bad(l, "size of a table");
    if (l->in.failed)
        return;
    if (run_table_grow(t, (uint32_t)(count - t->abi.count)) == UINT32_MAX) {
        l->nomem = true;
        return;
    }
    for (uint64_t i = 0; i < count && !l->in.failed; i++)
        run_table_set(t, i, load_ref(l, t->type, (struct fixup){.table = t, .index = i}));
}

static void load_tables(struct loader *l)
{
    const struct module *m = l->inst->module;
    if (!count_fits(l, m->table_count, "other tables than the program's"))
        return;
    for (uint32_t i = 0; i < m->table_count && !l->in.failed && !l->nomem; i++)
        load_table(l, i);
}

static void load_dropped(struct loader *l)
{
    const struct module *m = l->inst->module;
    if (!count_fits(l, m->data_count, "other data segments than the program's"))
        return;
    for (uint32_t i = 0; i < m->data_count; i++)
        l->inst->data_dropped[i] = cursor_u8(&l->in) != 0;
    if (!count_fits(l, m->elem_count, "other element segments than the program's"))
        return;
    for (uint32_t i = 0; i < m->elem_count; i++)
        l->inst->elem_dropped[i] = cursor_u8(&l->in) != 0;
}

/* Nothing is collected meanwhile: all of them together fit below the limit that made them. */
static struct abi_exn *load_exn(struct loader *l)
{
    const struct module *m = l->inst->module;
    uint32_t tag = cursor_le32(&l->in);
    if (tag >= m->tag_count) {
        bad(l, "exception without a tag");
        return NULL;
    }
    const struct functype *ft = &m->types[m->tags[tag].type];
    struct run_exns *x = &l->c->exns;
    struct abi_exn *e = NULL;
    x->collect_at_bytes = EXN_BYTES_MAX;
    if (x->bytes + sizeof(*e) + ft->param_count * sizeof(e->values[0]) <= EXN_BYTES_MAX)
        e = run_exn_new(x, tag_identity(l->inst, tag), ft->param_count, NULL);
    if (!e) {
        l->nomem = true;
        return NULL;
    }
    for (uint32_t i = 0; i < ft->param_count; i++)
        load_value(l, ft->params[i], &e->values[i]);
    return e;
}

static void apply_fixups(struct loader *l, struct abi_exn *const *exns, uint32_t count)
{
    const struct fixup *f = (const struct fixup *)(const void *)l->fixups.data;
    for (size_t i = 0; i < l->fixups.len / sizeof(*f) && !l->in.failed; i++) {
        if (f[i].number > count)
            bad(l, "reference to no exception");
        else if (f[i].table)
            run_table_set(f[i].table, f[i].index, exns[f[i].number - 1]);
        else
            f[i].at->ref = exns[f[i].number - 1];
    }
}

static void load_exns(struct loader *l)
{
    uint32_t n = cursor_le32(&l->in);
    if (l->in.failed || n > cursor_left(&l->in) / 4) {
        bad(l, "number of exceptions");
        return;
    }
    struct abi_exn **exns = calloc((size_t)n + 1, sizeof(*exns));
    l->nomem |= !exns;
    for (uint32_t i = 0; i < n && !l->in.failed && !l->nomem; i++)
        exns[i] = load_exn(l);
    l->nomem |= l->fixups.failed;
    if (!l->in.failed && !l->nomem)
        apply_fixups(l, exns, n);
    free(exns);
}

status_t cell_state_load(struct cell *c, const void *data, size_t len, struct error *err)
{
    struct loader l = {.c = c, .inst = cell_first_instance(c)};
    if (!l.inst || l.inst->next || c->records)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "not a new cell");
    cursor_init(&l.in, data, len, 0);
    if (cursor_le32(&l.in) != STATE_VERSION)
        bad(&l, "unknown version");
    void (*const steps[])(struct loader *) = {load_frames, load_memories, load_globals,
                                              load_tables, load_dropped,  load_exns};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && !l.in.failed && !l.nomem; i++)
        steps[i](&l);
    if (!l.in.failed && !l.nomem && cursor_left(&l.in))
        bad(&l, "more than there should be");
    buf_done(&l.fixups);
    if (l.nomem)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the state of a cell");
    return cursor_status(&l.in, ST_CORRUPT, err);
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
