#include "live.h"

#include <string.h>

#include "cell/module/instr.h"

/* Backwards over the instructions, with the set of live locals; again until no loop's header changes. */

enum {
    EVERYTHING_LIVE_ABOVE = 1 << 26
}; /* instructions times words of a set: then all locals count as live */

struct step {
    struct instr in;
    uint32_t
        opener; /* END, ELSE, CATCH, DELEGATE: the step that opened the block; none for the function's */
    uint64_t *live; /* LOOP: at its header. Sites: behind it */
};

/* A block whose inside is being walked. */
struct frame {
    uint32_t opener;
    bool loop, handles;
    uint64_t *end;      /* live behind it */
    uint64_t *else_;    /* live at the start of its else, once that was passed */
    uint64_t *handlers; /* live where an exception out of it may go */
};

struct walk {
    const struct module *m;
    struct step *steps;
    uint32_t count;
    struct frame *frames;
    uint32_t depth;
    uint32_t words;
    uint64_t *live;
    bool changed;
};

enum { NO_OPENER = UINT32_MAX };

static bool is_call(uint32_t op)
{
    return op == OP_CALL || op == OP_CALL_INDIRECT;
}

bool live_is_site(uint32_t op)
{
    switch (op) {
    case OP_CALL:
    case OP_CALL_INDIRECT:
    case OP_RETURN_CALL:
    case OP_RETURN_CALL_INDIRECT:
    case OP_LOOP:
    case OP_MEMORY_COPY:
    case OP_MEMORY_FILL:
    case OP_MEMORY_INIT:
    case OP_TABLE_COPY:
    case OP_TABLE_FILL:
    case OP_TABLE_INIT:
    case OP_MEMORY_ATOMIC_WAIT32:
    case OP_MEMORY_ATOMIC_WAIT64:
        return true;
    default:
        return false;
    }
}

static bool opens(uint32_t op)
{
    return op == OP_BLOCK || op == OP_LOOP || op == OP_IF || op == OP_TRY || op == OP_TRY_TABLE;
}

static void set_add(struct walk *w, uint64_t *to, const uint64_t *from)
{
    for (uint32_t i = 0; i < w->words; i++)
        to[i] |= from[i];
}

static void set_copy(struct walk *w, uint64_t *to, const uint64_t *from)
{
    memcpy(to, from, w->words * sizeof *to);
}

static void set_clear(struct walk *w, uint64_t *to)
{
    memset(to, 0, w->words * sizeof *to);
}

/* What is live where a branch by `label` out of the innermost `depth` blocks goes. */
static const uint64_t *target(const struct walk *w, uint32_t depth, uint32_t label)
{
    const struct frame *f = &w->frames[depth - 1 - label];
    return f->loop ? w->steps[f->opener].live : f->end;
}

/* An exception may leave here: all handlers around may be where it goes. */
static void add_handlers(struct walk *w)
{
    for (uint32_t i = w->depth; i-- > 0;)
        if (w->frames[i].handles)
            set_add(w, w->live, w->frames[i].handlers);
}

static void open_frame(struct walk *w, const struct step *s)
{
    struct frame *f = &w->frames[w->depth];
    uint32_t op = s->opener == NO_OPENER ? OP_BLOCK : w->steps[s->opener].in.op;
    f->opener = s->opener;
    f->loop = op == OP_LOOP;
    f->handles = op == OP_TRY || op == OP_TRY_TABLE;
    set_copy(w, f->end, w->live);
    set_clear(w, f->handlers);
    set_copy(w, f->else_, w->live); /* without an else: straight to the end */
    if (op == OP_TRY_TABLE) {
        struct instr in = w->steps[s->opener].in;
        struct instr_catch c;
        for (uint32_t i = 0; i < in.count && instr_read_catch(&in.list, &c); i++)
            set_add(w, f->handlers, target(w, w->depth, c.label));
    }
    w->depth++;
}

static void close_frame(struct walk *w, struct step *s)
{
    struct frame *f = &w->frames[w->depth - 1];
    if (s->in.op == OP_IF)
        set_add(w, w->live, f->else_);
    if (s->in.op == OP_LOOP)
        for (uint32_t i = 0; i < w->words; i++) {
            w->changed |= (w->live[i] & ~s->live[i]) != 0;
            s->live[i] |= w->live[i];
        }
    w->depth--;
}

static void branch_table(struct walk *w, struct instr in)
{
    set_clear(w, w->live);
    for (uint32_t i = 0; i <= in.count; i++)
        set_add(w, w->live, target(w, w->depth, cursor_leb_u32(&in.list)));
}

static void local(struct walk *w, uint32_t i, bool read)
{
    uint64_t bit = (uint64_t)1 << (i % 64);
    if (read)
        w->live[i / 64] |= bit;
    else
        w->live[i / 64] &= ~bit;
}

/* A section of a block ends where the one behind it starts: what comes before goes to the block's end. */
static void section(struct walk *w, uint64_t *ret_start)
{
    set_add(w, ret_start, w->live);
    set_copy(w, w->live, w->frames[w->depth - 1].end);
}

static void step_back(struct walk *w, struct step *s)
{
    struct frame *f = w->depth ? &w->frames[w->depth - 1] : NULL;
    bool leaves = s->in.op == OP_RETURN_CALL || s->in.op == OP_RETURN_CALL_INDIRECT;
    if (is_call(s->in.op)) /* while it is pending, it may still throw */
        add_handlers(w);
    if (live_is_site(s->in.op) && s->in.op != OP_LOOP && !leaves)
        set_copy(w, s->live, w->live);
    switch (s->in.op) {
    case OP_END:
    case OP_DELEGATE: /* what it delegates to lies around it, and counts anyway */
        open_frame(w, s);
        return;
    case OP_ELSE:
        set_clear(w, f->else_);
        section(w, f->else_);
        return;
    case OP_CATCH:
    case OP_CATCH_ALL:
        section(w, f->handlers);
        return;
    case OP_BR:
        set_copy(w, w->live, target(w, w->depth, s->in.index));
        return;
    case OP_BR_IF:
        set_add(w, w->live, target(w, w->depth, s->in.index));
        return;
    case OP_BR_TABLE:
        branch_table(w, s->in);
        return;
    case OP_RETURN:
    case OP_UNREACHABLE:
        set_clear(w, w->live);
        return;
    case OP_RETURN_CALL:
    case OP_RETURN_CALL_INDIRECT:
    case OP_THROW:
    case OP_RETHROW:
    case OP_THROW_REF:
        set_clear(w, w->live);
        add_handlers(w);
        return;
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
        local(w, s->in.index, s->in.op == OP_LOCAL_GET);
        return;
    default:
        if (opens(s->in.op))
            close_frame(w, s);
    }
}

/* All instructions with their blocks. */
static status_t read_steps(struct walk *w, const struct module_func *fn, struct arena *a,
                           struct live *ret)
{
    struct cursor c;
    struct instr in;
    uint32_t depth = 0, depth_max = 0;
    cursor_init(&c, fn->body, fn->body_len, fn->body_off);
    for (; cursor_left(&c) && instr_read(&c, w->m->features, &in); w->count++) {
        depth += opens(in.op);
        depth_max = depth > depth_max ? depth : depth_max;
        depth -= depth && (in.op == OP_END || in.op == OP_DELEGATE);
        ret->site_count += live_is_site(in.op);
    }
    w->steps = arena_alloc(a, w->count, sizeof *w->steps);
    w->frames = arena_alloc(a, (size_t)depth_max + 2, sizeof *w->frames);
    ret->sites = arena_alloc(a, ret->site_count, sizeof *ret->sites);
    uint32_t *open = arena_alloc(a, (size_t)depth_max + 1, sizeof *open);
    if (!w->steps || !w->frames || !ret->sites || !open)
        return ST_NOMEM;
    cursor_init(&c, fn->body, fn->body_len, fn->body_off);
    depth = 0;
    for (uint32_t i = 0; i < w->count && instr_read(&c, w->m->features, &w->steps[i].in); i++) {
        uint32_t op = w->steps[i].in.op;
        w->steps[i].opener = depth ? open[depth - 1] : NO_OPENER;
        if (opens(op))
            open[depth++] = i;
        else if (depth && (op == OP_END || op == OP_DELEGATE))
            depth--;
    }
    for (uint32_t i = 0; i < depth_max + 2; i++) {
        struct frame *f = &w->frames[i];
        f->end = arena_alloc(a, w->words, sizeof(uint64_t));
        f->else_ = arena_alloc(a, w->words, sizeof(uint64_t));
        f->handlers = arena_alloc(a, w->words, sizeof(uint64_t));
        if (!f->end || !f->else_ || !f->handlers)
            return ST_NOMEM;
    }
    return ST_OK;
}

static status_t make_sites(struct walk *w, struct arena *a, struct live *ret)
{
    uint32_t n = 0;
    bool all = (uint64_t)w->count * w->words > EVERYTHING_LIVE_ABOVE;
    uint64_t *everything = arena_alloc(a, w->words, sizeof *everything);
    if (!everything)
        return ST_NOMEM;
    memset(everything, 0xff, w->words * sizeof *everything);
    for (uint32_t i = 0; i < w->count; i++) {
        struct step *s = &w->steps[i];
        if (!live_is_site(s->in.op))
            continue;
        s->live = all ? everything : arena_alloc(a, w->words, sizeof *s->live);
        if (!s->live)
            return ST_NOMEM;
        ret->sites[n++] = (struct live_site){s->in.off, s->live};
    }
    w->changed = !all;
    return ST_OK;
}

status_t live_analyse(const struct module *m, uint32_t func, struct arena *a, struct live *ret)
{
    const struct module_func *fn = &m->funcs[func];
    struct live l = {.local_count = module_func_type(m, func)->param_count + fn->local_count};
    struct walk w = {.m = m, .words = l.local_count / 64 + 1};
    status_t st = read_steps(&w, fn, a, &l);
    if (st == ST_OK)
        st = make_sites(&w, a, &l);
    w.live = arena_alloc(a, w.words, sizeof *w.live);
    if (st != ST_OK || !w.live)
        return ST_NOMEM;
    while (w.changed) {
        w.changed = false;
        w.depth = 0;
        set_clear(&w, w.live);
        for (uint32_t i = w.count; i-- > 0;)
            step_back(&w, &w.steps[i]);
    }
    *ret = l;
    return ST_OK;
}

const struct live_site *live_at(const struct live *l, uint64_t off)
{
    uint32_t from = 0, to = l->site_count;
    while (from < to) {
        uint32_t mid = from + (to - from) / 2;
        if (l->sites[mid].off == off)
            return &l->sites[mid];
        if (l->sites[mid].off < off)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}
