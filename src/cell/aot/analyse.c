#include "analyse.h"

#include <stdlib.h>
#include <string.h>

#include "cell/module/instr.h"
#include "tables.h"

/* Instructions that run without a test after a call, those of calls included: 10 us or so. */
enum { STRETCH_MAX = 10000 };

/* Call graph in compressed rows. Node func_count stands for "any function a table can hold": it has edges to
 * every function that can be referenced. Behind it is a node for each type, "what table 0 holds of this type"
 * when that is known, else an edge to the first. An indirect call is an edge to one of them. */
struct graph {
    uint32_t *first; /* node_count + 1 */
    uint32_t *edges;
    uint32_t edge_count;
    size_t edge_cap;
    uint32_t node_count;
};

struct entry {
    uint32_t sig, func;
};

struct walk {
    const struct module *m;
    struct arena *arena;
    struct analysis *out;
    struct graph g;
    bool *own_cause; /* per function: unwinds whatever it calls does */
    bool *own_write; /* per function: changes more than its locals itself */
    uint32_t *cost; /* per node: of functions their instructions; STRETCH_MAX + 1: more than that */
    bool table0_written;
    struct label {
        bool loop;
        uint32_t loop_number;
    } *labels;
    uint32_t label_cap;
    bool nomem;
};

static void graph_edge(struct walk *w, uint32_t to)
{
    if (w->g.edge_count == w->g.edge_cap) {
        size_t cap = w->g.edge_cap ? w->g.edge_cap * 2 : 1024;
        uint32_t *e = realloc(w->g.edges, cap * sizeof *e);
        if (!e) {
            w->nomem = true;
            return;
        }
        w->g.edges = e;
        w->g.edge_cap = cap;
    }
    w->g.edges[w->g.edge_count++] = to;
}

/* Instructions whose code calls the host and may come back unwinding. */
static bool is_host_work(uint32_t op)
{
    switch (op) {
    case OP_MEMORY_COPY:
    case OP_MEMORY_FILL:
    case OP_MEMORY_INIT:
    case OP_TABLE_COPY:
    case OP_TABLE_FILL:
    case OP_TABLE_INIT:
    case OP_MEMORY_ATOMIC_WAIT32:
    case OP_MEMORY_ATOMIC_WAIT64:
    case OP_THROW:
    case OP_RETHROW:
    case OP_THROW_REF:
        return true;
    default:
        return false;
    }
}

static bool is_indirect(uint32_t op)
{
    return op == OP_CALL_INDIRECT || op == OP_RETURN_CALL_INDIRECT;
}

static bool is_direct(uint32_t op)
{
    return op == OP_CALL || op == OP_RETURN_CALL;
}

/* Instructions that change what a table holds. */
static bool writes_table0(const struct instr *in)
{
    switch (in->op) {
    case OP_TABLE_SET:
    case OP_TABLE_GROW:
    case OP_TABLE_FILL:
    case OP_TABLE_COPY: /* index: the destination */
        return in->index == 0;
    case OP_TABLE_INIT:
        return in->index2 == 0;
    default:
        return false;
    }
}

/* Other calls of the host that never unwind, but end vectorisation all the same. */
static bool leaves_code(uint32_t op)
{
    switch (op) {
    case OP_MEMORY_GROW:
    case OP_TABLE_GET:
    case OP_TABLE_SET:
    case OP_TABLE_GROW:
    case OP_DATA_DROP:
    case OP_ELEM_DROP:
    case OP_MEMORY_ATOMIC_NOTIFY:
        return true;
    default:
        return is_host_work(op) || is_indirect(op) || is_direct(op);
    }
}

/* Does it change memory, globals or an exception in flight, or let the host do so? Calls are edges. Atomic ones stand
 * for what other threads do, exceptions for what the host keeps. */
static bool is_write(uint32_t op)
{
    const struct instr_info *info = instr_info_find(op);
    bool in_memory = info->imm == IMM_MEMARG || info->imm == IMM_MEMARG_LANE;
    bool stores = in_memory && info->sig[strlen(info->sig) - 1] == ':';
    uint32_t odd = FEATURE_THREADS | FEATURE_EXCEPTIONS | FEATURE_LEGACY_EXCEPTIONS;
    return stores || op == OP_GLOBAL_SET || (info->feature & odd) ||
           (leaves_code(op) && !is_direct(op) && !is_indirect(op));
}

static void note_branch(struct walk *w, struct func_facts *f, uint32_t depth, uint32_t label,
                        bool table)
{
    if (label >= depth || !w->labels[depth - 1 - label].loop)
        return;
    struct loop_facts *l = &f->loops[w->labels[depth - 1 - label].loop_number];
    if (table)
        l->has_table_branch = true;
    else
        l->back_edges++;
}

static void note_table_branches(struct walk *w, struct func_facts *f, uint32_t depth,
                                struct instr *in)
{
    for (uint32_t i = 0; i <= in->count; i++)
        note_branch(w, f, depth, cursor_leb_u32(&in->list), true);
}

static void note_catches(struct walk *w, struct func_facts *f, uint32_t depth, struct instr *in)
{
    struct instr_catch c;
    for (uint32_t i = 0; i < in->count && instr_read_catch(&in->list, &c); i++)
        note_branch(w, f, depth, c.label, true);
}

static bool label_push(struct walk *w, uint32_t depth, bool loop, uint32_t number)
{
    if (depth == w->label_cap) {
        uint32_t cap = w->label_cap ? w->label_cap * 2 : 64;
        struct label *l = realloc(w->labels, cap * sizeof *l);
        if (!l)
            return false;
        w->labels = l;
        w->label_cap = cap;
    }
    w->labels[depth] = (struct label){.loop = loop, .loop_number = number};
    return true;
}

static uint32_t count_loops(const struct module *m, const struct module_func *fn)
{
    struct cursor c;
    struct instr in;
    uint32_t n = 0;
    cursor_init(&c, fn->body, fn->body_len, fn->body_off);
    while (cursor_left(&c) && instr_read(&c, m->features, &in))
        n += in.op == OP_LOOP;
    return n;
}

/* Mark every open loop; the innermost is the last one marked, so all of them are walked. */
static void note_in_loops(struct walk *w, struct func_facts *f, uint32_t depth, bool call,
                          bool loop)
{
    for (uint32_t i = depth; i-- > 0;) {
        if (!w->labels[i].loop)
            continue;
        struct loop_facts *l = &f->loops[w->labels[i].loop_number];
        if ((l->has_call || !call) && (l->has_loop || !loop))
            break; /* the outer ones know */
        l->has_call |= call;
        l->has_loop |= loop;
    }
}

static void note_indirect(struct walk *w, const struct instr *in)
{
    uint32_t sig = w->out->sigs[in->index].same;
    if (in->index2 == 0) {
        w->out->sigs[sig].sites++;
        graph_edge(w, w->m->func_count + 1 + sig);
    } else {
        graph_edge(w, w->m->func_count);
    }
}

static void note_instr(struct walk *w, struct func_facts *f, uint32_t depth, struct instr *in,
                       bool *cause)
{
    if (leaves_code(in->op))
        note_in_loops(w, f, depth, true, false);
    if (is_host_work(in->op))
        *cause = true;
    w->out->tail_calls |= in->op == OP_RETURN_CALL || in->op == OP_RETURN_CALL_INDIRECT;
    w->table0_written |= writes_table0(in);
    if (is_indirect(in->op))
        note_indirect(w, in);
    else if (is_direct(in->op))
        graph_edge(w, in->index);
    else if (in->op == OP_BR || in->op == OP_BR_IF)
        note_branch(w, f, depth, in->index, false);
    else if (in->op == OP_BR_TABLE)
        note_table_branches(w, f, depth, in);
    else if (in->op == OP_TRY_TABLE)
        note_catches(w, f, depth, in);
    else if (in->op == OP_TABLE_GROW)
        w->out->table_fixed[in->index] = false;
}

static bool scan_func(struct walk *w, uint32_t index)
{
    const struct module *m = w->m;
    const struct module_func *fn = &m->funcs[index];
    struct func_facts *f = &w->out->funcs[index];
    f->loop_count = count_loops(m, fn);
    f->loops = arena_alloc(w->arena, f->loop_count, sizeof *f->loops);
    if (!f->loops)
        return false;
    bool cause = f->loop_count > 0;
    bool write = module_func_type(m, index)->result_count > 1; /* they are left in memory */
    struct cursor c;
    struct instr in;
    uint32_t depth = 0, loop = 0, count = 0;
    cursor_init(&c, fn->body, fn->body_len, fn->body_off);
    while (cursor_left(&c) && instr_read(&c, m->features, &in)) {
        count++;
        write |= is_write(in.op);
        if (in.op == OP_LOOP)
            note_in_loops(w, f, depth, false, true);
        note_instr(w, f, depth, &in, &cause);
        if (instr_opens_block(in.op)) {
            if (!label_push(w, depth, in.op == OP_LOOP, loop))
                return false;
            if (in.op == OP_LOOP)
                f->loops[loop++].instr_count = count;
            depth++;
            if (depth > f->max_depth)
                f->max_depth = depth;
        } else if ((in.op == OP_END || in.op == OP_DELEGATE) && depth > 0) {
            depth--;
            if (w->labels[depth].loop) {
                struct loop_facts *l = &f->loops[w->labels[depth].loop_number];
                l->instr_count = count - l->instr_count;
            }
        }
    }
    w->own_cause[index] = cause;
    w->own_write[index] = write;
    w->cost[index] = count <= STRETCH_MAX ? count : STRETCH_MAX + 1;
    return !w->nomem;
}

/* Tarjan's strongly connected components, with an explicit stack: marks functions in cycles, and adds to the cost of
 * the others that of what they call, which is closed before them. */
struct scc {
    uint32_t *number, *low, *stack, *frame_node, *frame_edge;
    bool *on_stack, *cyclic;
    uint32_t *cost;
    uint32_t next, stack_len, func_count;
};

static void add_cost(const struct graph *g, struct scc *s, uint32_t v)
{
    uint32_t sum = s->cost[v], most = 0;
    for (uint32_t e = g->first[v]; e < g->first[v + 1]; e++) {
        uint32_t callee = s->cost[g->edges[e]];
        sum = sum + callee <= STRETCH_MAX ? sum + callee : STRETCH_MAX + 1;
        most = callee > most ? callee : most;
    }
    s->cost[v] = v < s->func_count ? sum : most;
}

static void scc_close(const struct graph *g, struct scc *s, uint32_t v)
{
    uint32_t members = 0, w;
    bool self = false;
    for (uint32_t e = g->first[v]; e < g->first[v + 1]; e++)
        self |= g->edges[e] == v;
    for (uint32_t i = s->stack_len; i-- > 0;) {
        members++;
        if (s->stack[i] == v)
            break;
    }
    do {
        w = s->stack[--s->stack_len];
        s->on_stack[w] = false;
        s->cyclic[w] = members > 1 || self;
    } while (w != v);
    if (!s->cyclic[v])
        add_cost(g, s, v);
}

static void scc_open(struct scc *s, const struct graph *g, uint32_t v, uint32_t *depth)
{
    s->number[v] = s->low[v] = ++s->next;
    s->stack[s->stack_len++] = v;
    s->on_stack[v] = true;
    s->frame_node[*depth] = v;
    s->frame_edge[(*depth)++] = g->first[v];
}

static void scc_visit(const struct graph *g, struct scc *s, uint32_t root)
{
    uint32_t depth = 0;
    scc_open(s, g, root, &depth);
    while (depth) {
        uint32_t v = s->frame_node[depth - 1];
        if (s->frame_edge[depth - 1] < g->first[v + 1]) {
            uint32_t w = g->edges[s->frame_edge[depth - 1]++];
            if (!s->number[w])
                scc_open(s, g, w, &depth);
            else if (s->on_stack[w] && s->number[w] < s->low[v])
                s->low[v] = s->number[w];
            continue;
        }
        if (s->low[v] == s->number[v])
            scc_close(g, s, v);
        if (--depth && s->low[v] < s->low[s->frame_node[depth - 1]])
            s->low[s->frame_node[depth - 1]] = s->low[v];
    }
}

static bool find_recursion(struct walk *w)
{
    uint32_t n = w->g.node_count;
    struct arena a = {0};
    struct scc s = {.cost = w->cost, .func_count = w->m->func_count};
    s.number = arena_alloc(&a, n, sizeof(uint32_t));
    s.low = arena_alloc(&a, n, sizeof(uint32_t));
    s.stack = arena_alloc(&a, n, sizeof(uint32_t));
    s.frame_node = arena_alloc(&a, n, sizeof(uint32_t));
    s.frame_edge = arena_alloc(&a, n, sizeof(uint32_t));
    s.on_stack = arena_alloc(&a, n, sizeof(bool));
    s.cyclic = arena_alloc(&a, n, sizeof(bool));
    bool ok = s.number && s.low && s.stack && s.frame_node && s.frame_edge && s.on_stack &&
              s.cyclic;
    if (ok) {
        for (uint32_t v = 0; v < n; v++)
            if (!s.number[v])
                scc_visit(&w->g, &s, v);
        for (uint32_t i = w->m->func_import_count; i < w->m->func_count; i++) {
            w->out->funcs[i].recursive = s.cyclic[i];
            w->own_cause[i] |= w->cost[i] > STRETCH_MAX;
        }
    }
    arena_done(&a);
    return ok;
}

/* The edges of the graph the other way: those to v stand from first[v + 1] to first[v + 2] - 1 while they are filled
 * in, behind that from first[v] on. */
struct callers {
    uint32_t *first, *from, *work;
};

static bool turn_round(const struct graph *g, struct arena *a, struct callers *ret)
{
    uint32_t n = g->node_count;
    struct callers c = {.first = arena_alloc(a, (size_t)n + 2, sizeof *c.first),
                        .from = arena_alloc(a, g->edge_count, sizeof *c.from),
                        .work = arena_alloc(a, n, sizeof *c.work)};
    if (!c.first || !c.from || !c.work)
        return false;
    for (uint32_t e = 0; e < g->edge_count; e++)
        c.first[g->edges[e] + 2]++;
    for (uint32_t v = 0; v < n; v++)
        c.first[v + 2] += c.first[v + 1];
    for (uint32_t v = 0; v < n; v++)
        for (uint32_t e = g->first[v]; e < g->first[v + 1]; e++)
            c.from[c.first[g->edges[e] + 1]++] = v;
    *ret = c;
    return true;
}

/* What is so of a node is so of all that call it: a fixed point. */
static void spread(const struct callers *c, uint32_t node_count, bool *marks)
{
    uint32_t len = 0;
    for (uint32_t v = 0; v < node_count; v++)
        if (marks[v])
            c->work[len++] = v;
    while (len) {
        uint32_t v = c->work[--len];
        for (uint32_t e = c->first[v]; e < c->first[v + 1]; e++) {
            if (marks[c->from[e]])
                continue;
            marks[c->from[e]] = true;
            c->work[len++] = c->from[e];
        }
    }
}

/* may_unwind: has a cause of its own, or calls a function that may. Each cycle has a cause: the functions in it are
 * recursive. may_write likewise. Of what is not known, everything is so. */
static bool spread_facts(struct walk *w)
{
    uint32_t n = w->g.node_count, funcs = w->m->func_count, imports = w->m->func_import_count;
    struct arena a = {0};
    struct callers c;
    bool *unwinds = arena_alloc(&a, n, sizeof *unwinds);
    bool *writes = arena_alloc(&a, n, sizeof *writes);
    bool ok = unwinds && writes && turn_round(&w->g, &a, &c);
    for (uint32_t i = 0; ok && i <= funcs; i++) {
        bool unknown = i == funcs || i < imports;
        unwinds[i] = unknown || w->own_cause[i] || w->out->funcs[i].recursive;
        writes[i] = unknown || w->own_write[i];
    }
    if (ok) {
        spread(&c, n, unwinds);
        spread(&c, n, writes);
    }
    for (uint32_t i = 0; ok && i < funcs; i++) {
        w->out->funcs[i].may_unwind = unwinds[i];
        w->out->funcs[i].may_write = writes[i];
    }
    for (uint32_t i = 0; ok && i < w->m->type_count; i++) {
        w->out->sigs[i].may_unwind = unwinds[funcs + 1 + i];
        w->out->sigs[i].may_write = writes[funcs + 1 + i];
    }
    arena_done(&a);
    return ok;
}

static int by_sig(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->sig != y->sig)
        return x->sig < y->sig ? -1 : 1;
    return x->func < y->func ? -1 : x->func > y->func;
}

/* What the functions of each type in table 0 are: a sorted list of pairs, each once. */
static bool list_entries(struct walk *w, struct arena *a, struct entry **ret_list,
                         uint32_t *ret_count)
{
    const struct module *m = w->m;
    uint64_t n = w->out->table0 ? m->tables[0].limits.min : 0;
    struct entry *list = arena_alloc(a, (size_t)n, sizeof *list);
    uint32_t count = 0;
    if (!list)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t func = w->out->table0[i];
        if (func != TABLES_NULL)
            list[count++] = (struct entry){w->out->sigs[m->funcs[func].type].same, func};
    }
    qsort(list, count, sizeof *list, by_sig);
    *ret_list = list;
    *ret_count = count;
    return true;
}

static bool sig_edges(struct walk *w)
{
    const struct module *m = w->m;
    struct arena a = {0};
    struct entry *list = NULL;
    uint32_t count = 0, at = 0;
    bool ok = w->table0_written || tables_content(m, w->arena, &w->out->table0);
    ok = ok && list_entries(w, &a, &list, &count);
    for (uint32_t sig = 0; ok && sig < m->type_count; sig++) {
        w->g.first[m->func_count + 1 + sig] = w->g.edge_count;
        if (!w->out->table0)
            graph_edge(w, m->func_count);
        for (; at < count && list[at].sig == sig; at++)
            if (at == 0 || by_sig(&list[at - 1], &list[at]))
                graph_edge(w, list[at].func);
    }
    w->g.first[w->g.node_count] = w->g.edge_count;
    arena_done(&a);
    return ok && !w->nomem;
}

static bool scan_all(struct walk *w)
{
    const struct module *m = w->m;
    for (uint32_t i = 0; i < m->func_count; i++) {
        w->g.first[i] = w->g.edge_count;
        if (!m->funcs[i].imported && !scan_func(w, i))
            return false;
    }
    w->g.first[m->func_count] = w->g.edge_count;
    for (uint32_t i = 0; i < m->func_count; i++)
        if (m->funcs[i].ref_declared || m->funcs[i].exported)
            graph_edge(w, i);
    return !w->nomem && sig_edges(w) && find_recursion(w) && spread_facts(w);
}

status_t analyse_module(const struct module *m, struct arena *a, struct analysis *ret_analysis,
                        struct error *err)
{
    struct analysis out = {0};
    struct walk w = {.m = m, .arena = a, .out = &out};
    struct arena scratch = {0};
    out.funcs = arena_alloc(a, m->func_count, sizeof *out.funcs);
    out.table_fixed = arena_alloc(a, m->table_count, sizeof *out.table_fixed);
    out.sigs = arena_alloc(a, m->type_count, sizeof *out.sigs);
    w.own_cause = arena_alloc(&scratch, m->func_count, sizeof *w.own_cause);
    w.g.node_count = m->func_count + 1 + m->type_count;
    w.cost = arena_alloc(&scratch, w.g.node_count, sizeof *w.cost);
    w.g.first = arena_alloc(&scratch, (size_t)w.g.node_count + 1, sizeof *w.g.first);
    w.own_write = arena_alloc(&scratch, m->func_count, sizeof *w.own_write);
    bool ok = out.funcs && out.table_fixed && out.sigs && w.own_cause && w.cost && w.g.first &&
              w.own_write;
    ok = ok && tables_same_types(m, out.sigs);
    for (uint32_t i = 0; ok && i < m->table_count; i++)
        out.table_fixed[i] = !m->tables[i].imported && !m->tables[i].exported;
    ok = ok && scan_all(&w);
    ok = ok && (!out.table0 || tables_choose(m, &out));
    free(w.g.edges);
    free(w.labels);
    arena_done(&scratch);
    if (!ok)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to analyse the module");
    *ret_analysis = out;
    return ST_OK;
}
