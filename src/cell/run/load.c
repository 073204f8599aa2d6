#include <string.h>

#include "base/cursor.h"
#include "cell/run/state.h"
#include "operation.h"
#include "state_parts.h"

/* A saved state into a new instance: docs/internals/snapshot-format.md. It comes from anywhere, see
 * docs/internals/capture.md. */

/* Exceptions stand behind all that refers to them, so references are filled in at the end. */
struct fixup {
    union cell_value *at;
    struct run_table *table; /* or entry `index` of a table */
    uint64_t index;
    uint64_t number;
};

enum { SITES_FOUND_MAX = 64 };
struct site_found {
    const struct abi_site *site;
    uint32_t kind;
};

struct loader {
    struct cell *c;
    struct instance *inst;
    struct cursor in;
    struct buf fixups; /* struct fixup */
    struct site_found found[SITES_FOUND_MAX];
    bool nomem;
    const char
        *limited; /* what there is more of than this cell may have; nomem is then set as well */
    uint64_t wanted, allowed;
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

/* The site of the image where the frame says it is. The same few come again and again in a deep stack. */
static const struct abi_site *find_site(struct loader *l, const struct frame_head *h)
{
    struct site_found *found = &l->found[(h->func * 31 + h->off * 3 + h->kind) % SITES_FOUND_MAX];
    if (found->site && found->site->func == h->func && found->site->off == h->off &&
        found->kind == h->kind)
        return found->site;
    const struct abi_ways *ways = h->func < l->inst->module->func_count
                                      ? run_ways(l->inst->prog, h->func)
                                      : NULL;
    for (uint32_t i = 0; ways && i < ways->count; i++) {
        const struct abi_site *s = run_way_site(ways, i);
        if (ways->ways[i].kind == h->kind && s->off == h->off) {
            *found = (struct site_found){s, h->kind};
            return s;
        }
    }
    return NULL;
}

/* A twin reads just what the image says of the site. */
static const struct abi_site *check_head(struct loader *l, const struct frame_head *h)
{
    const struct abi_site *s = find_site(l, h);
    if (!s)
        bad(l, "frame at a place where its function cannot go on");
    else if (h->locals != s->locals || h->live > h->locals || h->live < s->live ||
             h->stack != s->stack || h->results != s->results)
        bad(l, "frame with other values than its function has there");
    return l->in.failed ? NULL : s;
}

/* A local that the image finds dead is read over. */
static void skip_value(struct loader *l, valtype_t type)
{
    union cell_value ignored;
    if (type == VT_EXNREF)
        cursor_le64(&l->in);
    else
        load_value(l, type, &ignored);
}

/* Locals stand in order, those that the image wants among them: another compiler may find more of them live. */
static void load_locals(struct loader *l, const struct abi_site *s, const struct frame_head *h,
                        struct cursor *indexes, const uint8_t *types, union cell_value *values)
{
    uint32_t wanted = 0;
    for (uint32_t i = 0, least = 0; i < h->live && !l->in.failed; i++) {
        uint32_t local = cursor_le32(indexes);
        if (local < least || local >= h->locals)
            bad(l, "frame with locals that are not in order");
        least = local + 1;
        if (wanted == s->live || s->live_locals[wanted] != local) {
            skip_value(l, types[i]);
            continue;
        }
        if (types[i] != abi_site_types(s)[wanted])
            bad(l, "frame with a local of another type");
        load_value(l, types[i], &values[wanted++]);
    }
    if (!l->in.failed && wanted < s->live)
        bad(l, "frame without a local that its function needs");
}

/* Exceptions of catch clauses, the last ones, are always there. */
static void load_stack(struct loader *l, const struct abi_site *s, const uint8_t *types,
                       union cell_value *values)
{
    for (uint32_t i = 0; i < s->stack && !l->in.failed; i++) {
        struct cursor before = l->in;
        if (types[i] != abi_site_types(s)[s->live + i])
            bad(l, "frame with an operand of another type");
        else if (i >= s->stack - s->exns && cursor_le64(&before) == 0)
            bad(l, "frame in a handler of no exception");
        else
            load_value(l, types[i], &values[s->live + i]);
    }
}

static void load_operation(struct loader *l, const struct frame_head *h)
{
    uint8_t types[OPERATION_VALUES_MAX] = {0};
    if (h->live || h->locals || h->results || h->stack > OPERATION_VALUES_MAX) {
        bad(l, "operation of the host");
        return;
    }
    const uint8_t *given = cursor_bytes(&l->in, h->stack);
    if (given)
        memcpy(types, given, h->stack);
    struct run_record *r = given
                               ? run_record_push_operation(l->c, l->inst, h->func, h->stack, types)
                               : NULL;
    if (!r) {
        l->nomem |= !l->in.failed;
        return;
    }
    for (uint32_t i = 0; i < h->stack; i++)
        load_value(l, types[i], &r->values[i]);
    if (!l->in.failed && !run_operation_is_sound(r))
        bad(l, "operation of the host");
}

static void load_frame(struct loader *l)
{
    struct frame_head h = {0};
    uint32_t *fields[] = {&h.func, &h.off, &h.kind, &h.locals, &h.live, &h.stack, &h.results};
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        *fields[i] = cursor_le32(&l->in);
    if (!l->in.failed && h.kind == SITE_OPERATION) {
        load_operation(l, &h);
        return;
    }
    const struct abi_site *s = l->in.failed ? NULL : check_head(l, &h);
    if (!s)
        return;
    struct cursor indexes;
    const uint8_t *locals = cursor_bytes(&l->in, (size_t)h.live * 4);
    const uint8_t *types = cursor_bytes(&l->in, (size_t)h.live + h.stack);
    struct run_record *r = types ? run_record_push(l->c, l->inst, s, h.kind) : NULL;
    if (!r) {
        l->nomem |= !l->in.failed;
        return;
    }
    cursor_init(&indexes, locals, (size_t)h.live * 4, 0);
    load_locals(l, s, &h, &indexes, types, r->values);
    load_stack(l, s, types + h.live, r->values);
}

/* What the program may have, but not this cell. */
static void limit(struct loader *l, const char *what, uint64_t wanted, uint64_t allowed)
{
    l->limited = what;
    l->wanted = wanted;
    l->allowed = allowed;
    l->nomem = true;
}

static bool returns(const struct loader *l, uint32_t func, const uint8_t *wants, uint32_t count)
{
    const struct functype *ft = module_func_type(l->inst->module, func);
    return ft->result_count == count && (count == 0 || memcmp(ft->results, wants, count) == 0);
}

/* Does what is inside return what the call in the frame waits for? Operations return nothing or an i32. */
static bool returns_to(const struct loader *l, const struct run_record *r)
{
    const struct abi_site *s = r->site;
    const uint8_t *wants = abi_site_types(s) + s->live + s->stack - s->exns - s->results;
    if (r->inner->kind == SITE_OPERATION)
        return s->results == 0 || (s->results == 1 && wants[0] == VT_I32);
    return returns(l, r->inner->site->func, wants, s->results);
}

/* Each frame is inside a call that the one outside of it waits for, and the innermost one waits for none. */
static void check_chain(struct loader *l)
{
    const struct run_record *r = l->c->records;
    const struct functype *ft = r ? module_func_type(l->inst->module, l->c->called->index) : NULL;
    if (r &&
        (r->kind == SITE_OPERATION || !returns(l, r->site->func, ft->results, ft->result_count)))
        bad(l, "frame of another call");
    for (; r && !l->in.failed; r = r->inner) {
        if ((r->kind == SITE_PENDING) != (r->inner != NULL))
            bad(l, r->inner ? "frame that is not inside a call" : "call without its frame");
        else if (r->inner && !returns_to(l, r))
            bad(l, "frame inside another function's call");
    }
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
    if (!l->in.failed && !l->nomem)
        check_chain(l);
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
        uint64_t used = atomic_load(mem->used_bytes);
        if (bytes < now || bytes % WASM_PAGE_BYTES || bytes > mem->abi.max_bytes)
            bad(l, "size of a memory");
        else if (bytes - now > mem->used_max - used)
            limit(l, "bytes of memory", used + (bytes - now), mem->used_max);
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

static void grow_table(struct loader *l, struct run_table *t, uint64_t count)
{
    uint64_t used = *t->used_entries + (count - t->abi.count);
    if (run_table_grow(t, (uint32_t)(count - t->abi.count)) != UINT32_MAX)
        return;
    if (t->used_max < MODULE_TABLE_ENTRIES_MAX)
        limit(l, "entries of tables", used, t->used_max);
    else
        bad(l, "size of a table");
}

static void load_table(struct loader *l, uint32_t index)
{
    struct run_table *t = l->inst->tables[index];
    uint64_t count;
    if (cursor_u8(&l->in) != t->type)
        bad(l, "type of a table");
    count = cursor_le64(&l->in);
    if (!l->in.failed && (count < t->abi.count || count > cursor_left(&l->in) / 8 ||
                          count > run_table_reserve(t->declared, UINT64_MAX)))
        bad(l, "size of a table");
    if (!l->in.failed)
        grow_table(l, t, count);
    for (uint64_t i = 0; i < count && !l->in.failed && !l->nomem; i++)
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
    x->collect_at_bytes = EXN_BYTES_MAX;
    if (x->bytes + sizeof(struct abi_exn) + ft->param_count * sizeof(union cell_value) >
        EXN_BYTES_MAX) {
        bad(l, "more exceptions than a program can have");
        return NULL;
    }
    struct abi_exn *e = run_exn_new(x, state_tag_identity(l->inst, tag), ft->param_count, NULL);
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
    if (l.limited)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%llu %s pass the limit of %llu",
                         (unsigned long long)l.wanted, l.limited, (unsigned long long)l.allowed);
    if (l.nomem)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the state of a cell");
    return cursor_status(&l.in, ST_CORRUPT, err);
}
