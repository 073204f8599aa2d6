#include "base/buf.h"
#include "cell/aot/live.h"
#include "cell/module/instr.h"
#include "check.h"

/* Random structured code, with its control flow as an explicit graph that is made with it: a local is live at a site
 * when a search along the graph finds a read of it before an assignment. Exceptions have two kinds of edges: those that
 * can be taken, and what may be assumed on top, all handlers around. What live.c finds lies between; without
 * exceptions the two are the same. */

enum { POINTS_MAX = 4096, EDGES_MAX = 16384, FRAMES_MAX = 16, SITES_MAX = 512, ROUNDS = 3000 };
static const uint32_t locals[] = {0, 1, 2, 63, 64, 69};
enum { LOCAL_COUNT = 70, NO_LOCAL = UINT32_MAX };

struct point {
    uint32_t read, written;
};
struct edge {
    uint32_t from, to;
    bool assumed;
};
struct frame {
    uint32_t target; /* of a branch */
    uint32_t handlers[3];
    uint32_t handler_count;
    bool catches_all, in_body, in_clause;
    uint32_t delegate; /* in_body: exceptions skip so many frames around; UINT32_MAX: no delegate */
};
struct known_site {
    size_t pos;
    uint32_t point;
};

struct code {
    struct buf body;
    uint64_t seed;
    struct point points[POINTS_MAX];
    struct edge edges[EDGES_MAX];
    struct frame frames[FRAMES_MAX];
    struct known_site sites[SITES_MAX];
    uint32_t point_count, edge_count, depth, site_count;
    uint32_t here;
    bool exceptions, newer;
};

static uint32_t pick(struct code *c, uint32_t n)
{
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 7;
    c->seed ^= c->seed << 17;
    return (uint32_t)(c->seed >> 20) % n;
}

static uint32_t new_point(struct code *c)
{
    c->points[c->point_count] = (struct point){NO_LOCAL, NO_LOCAL};
    return c->point_count++;
}

static void connect(struct code *c, uint32_t from, uint32_t to, bool assumed)
{
    c->edges[c->edge_count++] = (struct edge){from, to, assumed};
}

static void go_to(struct code *c, uint32_t point)
{
    connect(c, c->here, point, false);
    c->here = point;
}

static uint32_t step(struct code *c)
{
    go_to(c, new_point(c));
    return c->here;
}

static void op(struct code *c, uint32_t opcode)
{
    buf_u8(&c->body, (uint8_t)opcode);
}

static void site(struct code *c, uint32_t point)
{
    c->sites[c->site_count++] = (struct known_site){c->body.len, point};
}

static void read_local(struct code *c)
{
    uint32_t i = locals[pick(c, sizeof locals / sizeof *locals)];
    c->points[step(c)].read = i;
    op(c, OP_LOCAL_GET);
    buf_leb_u32(&c->body, i);
}

static void write_local(struct code *c)
{
    uint32_t i = locals[pick(c, sizeof locals / sizeof *locals)];
    bool tee = pick(c, 3) == 0;
    c->points[step(c)].written = i;
    op(c, OP_I32_CONST);
    op(c, 0);
    op(c, tee ? OP_LOCAL_TEE : OP_LOCAL_SET);
    buf_leb_u32(&c->body, i);
    if (tee)
        op(c, OP_DROP);
}

/* An exception leaves from here. */
static void connect_handlers(struct code *c)
{
    bool taken = true;
    uint32_t skip = 0;
    for (uint32_t i = c->depth; i-- > 0;) {
        const struct frame *f = &c->frames[i];
        bool can = taken && !skip && f->in_body;
        skip -= skip > 0;
        for (uint32_t k = 0; k < f->handler_count; k++)
            connect(c, c->here, f->handlers[k], !can);
        if (can && f->catches_all)
            taken = false;
        if (can && f->delegate != UINT32_MAX)
            skip = f->delegate;
    }
}

/* What follows is not reached from here. */
static void leave(struct code *c)
{
    c->here = new_point(c);
}

static void call(struct code *c)
{
    bool tail = pick(c, 6) == 0;
    step(c);
    if (tail) { /* the frame is gone before anything is thrown */
        site(c, new_point(c));
        for (uint32_t i = 0; i < c->depth; i++)
            for (uint32_t k = 0; k < c->frames[i].handler_count; k++)
                connect(c, c->here, c->frames[i].handlers[k], true);
    } else {
        site(c, c->here);
        connect_handlers(c);
    }
    op(c, tail ? OP_RETURN_CALL : OP_CALL);
    op(c, 0);
    if (tail)
        leave(c);
}

static void branch(struct code *c)
{
    uint32_t kind = pick(c, 4), n = c->depth;
    if (kind == 0) {
        step(c);
        op(c, pick(c, 2) ? OP_RETURN : OP_UNREACHABLE);
        leave(c);
        return;
    }
    if (kind != 1)
        read_local(c);
    step(c);
    op(c, kind == 1 ? OP_BR : kind == 2 ? OP_BR_IF : OP_BR_TABLE);
    uint32_t count = kind == 3 ? pick(c, 3) : 0;
    if (kind == 3)
        buf_leb_u32(&c->body, count);
    for (uint32_t i = 0; i <= count; i++) {
        uint32_t label = pick(c, n);
        buf_leb_u32(&c->body, label);
        connect(c, c->here, c->frames[n - 1 - label].target, false);
    }
    if (kind != 2)
        leave(c);
}

static void throw(struct code * c)
{
    uint32_t label = 0;
    while (label < c->depth && !c->frames[c->depth - 1 - label].in_clause)
        label++;
    step(c);
    if (label < c->depth && pick(c, 2)) {
        op(c, OP_RETHROW);
        buf_leb_u32(&c->body, label);
    } else {
        op(c, OP_THROW);
        op(c, 0);
    }
    connect_handlers(c);
    leave(c);
}

static void statements(struct code *c);

static struct frame *open(struct code *c, uint32_t opcode, uint32_t target)
{
    struct frame *f = &c->frames[c->depth++];
    *f = (struct frame){.target = target, .delegate = UINT32_MAX};
    op(c, opcode);
    op(c, 0x40);
    return f;
}

static void loop(struct code *c)
{
    uint32_t header = step(c);
    site(c, header);
    open(c, OP_LOOP, header);
    statements(c);
    c->depth--;
    op(c, OP_END);
}

static void block(struct code *c)
{
    uint32_t end = new_point(c);
    bool is_if = pick(c, 2);
    if (is_if)
        read_local(c);
    uint32_t start = step(c);
    open(c, is_if ? OP_IF : OP_BLOCK, end);
    statements(c);
    go_to(c, end);
    if (is_if && pick(c, 2)) {
        op(c, OP_ELSE);
        c->here = start;
        step(c);
        statements(c);
        go_to(c, end);
    } else if (is_if) {
        connect(c, start, end, false);
    }
    c->depth--;
    op(c, OP_END);
}

static void clauses(struct code *c, uint32_t end)
{
    struct frame *f = &c->frames[c->depth - 1];
    f->in_body = false;
    f->in_clause = true;
    for (uint32_t k = 0; k < f->handler_count; k++) {
        bool all = f->catches_all && k + 1 == f->handler_count;
        op(c, all ? OP_CATCH_ALL : OP_CATCH);
        if (!all)
            op(c, 0);
        c->here = f->handlers[k];
        statements(c);
        go_to(c, end);
    }
}

static void older_try(struct code *c)
{
    uint32_t end = new_point(c);
    step(c);
    struct frame *f = open(c, OP_TRY, end);
    f->in_body = true;
    if (pick(c, 4) == 0)
        f->delegate = pick(c, c->depth - 1);
    f->handler_count = f->delegate == UINT32_MAX ? pick(c, 4) : 0;
    f->catches_all = f->handler_count && pick(c, 2);
    for (uint32_t k = 0; k < f->handler_count; k++)
        f->handlers[k] = new_point(c);
    statements(c);
    go_to(c, end);
    clauses(c, end);
    if (f->delegate != UINT32_MAX) {
        op(c, OP_DELEGATE);
        buf_leb_u32(&c->body, f->delegate);
    } else {
        op(c, OP_END);
    }
    c->depth--;
}

static void newer_try(struct code *c)
{
    uint32_t end = new_point(c), outside = c->depth;
    step(c);
    struct frame *f = open(c, OP_TRY_TABLE, end);
    f->in_body = true;
    f->handler_count = pick(c, 4);
    buf_leb_u32(&c->body, f->handler_count);
    for (uint32_t k = 0; k < f->handler_count; k++) {
        bool all = k + 1 == f->handler_count && pick(c, 2);
        uint32_t label = pick(c, outside);
        f->catches_all |= all;
        f->handlers[k] = c->frames[outside - 1 - label].target;
        op(c, all ? CATCH_ALL : CATCH_TAG);
        if (!all)
            op(c, 0);
        buf_leb_u32(&c->body, label);
    }
    statements(c);
    go_to(c, end);
    c->depth--;
    op(c, OP_END);
}

static void statement(struct code *c)
{
    uint32_t kind = pick(c, c->exceptions ? 13 : 10);
    bool nests = c->depth < FRAMES_MAX && c->point_count < POINTS_MAX / 8;
    if (kind < 3) {
        read_local(c);
        op(c, OP_DROP);
    } else if (kind < 6) {
        write_local(c);
    } else if (kind == 6 || (kind >= 8 && !nests)) {
        call(c);
    } else if (kind == 7) {
        branch(c);
    } else if (kind == 8) {
        loop(c);
    } else if (kind == 9) {
        block(c);
    } else if (kind == 10) {
        throw(c);
    } else if (c->newer) {
        newer_try(c);
    } else {
        older_try(c);
    }
}

static void statements(struct code *c)
{
    for (uint32_t n = pick(c, c->depth < 6 ? 6 : 3); n-- > 0;)
        statement(c);
}

static void make_code(struct code *c, uint64_t seed)
{
    *c = (struct code){.seed = (seed + 1) * 0x9e3779b97f4a7c15u, .body = {0}};
    c->exceptions = seed % 3 != 0;
    c->newer = seed % 3 == 1;
    uint32_t end = new_point(c);
    c->here = new_point(c);
    c->frames[c->depth++] = (struct frame){.target = end, .delegate = UINT32_MAX};
    statements(c);
    statements(c);
    op(c, OP_END);
}

/* Import 0 is called, function 1 has the code, tag 0 is thrown; all have no parameters and no results. */
static struct module *make_module(const struct code *c, struct buf *wasm)
{
    static const uint8_t head[] = {0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04, 0x01,
                                   0x60, 0x00, 0x00, 0x02, 0x07, 0x01, 0x01, 0x68, 0x01, 0x66, 0x00,
                                   0x00, 0x03, 0x02, 0x01, 0x00, 0x0d, 0x03, 0x01, 0x00, 0x00};
    struct buf func = {0}, code = {0};
    struct module *m = NULL;
    struct error err = {0};
    buf_u8(&func, 1);
    buf_leb_u32(&func, LOCAL_COUNT);
    buf_u8(&func, 0x7f);
    buf_bytes(&func, c->body.data, c->body.len);
    buf_u8(&code, 1);
    buf_leb_u32(&code, (uint32_t)func.len);
    buf_bytes(&code, func.data, func.len);
    buf_bytes(wasm, head, sizeof head);
    buf_u8(wasm, 0x0a);
    buf_leb_u32(wasm, (uint32_t)code.len);
    buf_bytes(wasm, code.data, code.len);
    status_t st = module_decode(wasm->data, wasm->len, FEATURE_ALL, &m, &err);
    if (st == ST_OK)
        st = module_validate(m, &err);
    if (st != ST_OK)
        fprintf(stderr, "%s\n", err.text);
    CHECK_EQ(st, ST_OK);
    buf_done(&func);
    buf_done(&code);
    return m;
}

/* Is the local read on some way from the point before it is assigned? */
static bool search(const struct code *c, uint32_t from, uint32_t local, bool assumed)
{
    static uint32_t todo[POINTS_MAX];
    static bool seen[POINTS_MAX];
    uint32_t n = 0;
    memset(seen, 0, sizeof seen);
    todo[n++] = from;
    seen[from] = true;
    while (n) {
        uint32_t at = todo[--n];
        if (c->points[at].read == local)
            return true;
        if (c->points[at].written == local)
            continue;
        for (uint32_t i = 0; i < c->edge_count; i++) {
            const struct edge *e = &c->edges[i];
            if (e->from != at || (e->assumed && !assumed) || seen[e->to])
                continue;
            seen[e->to] = true;
            todo[n++] = e->to;
        }
    }
    return false;
}

static void compare_site(const struct code *c, const struct known_site *s,
                         const struct live_site *found, uint64_t seed)
{
    for (uint32_t k = 0; k < sizeof locals / sizeof *locals; k++) {
        bool is = live_local(found, locals[k]);
        bool right = is ? search(c, s->point, locals[k], true)
                        : !search(c, s->point, locals[k], false);
        if (!right)
            fprintf(stderr, "seed %llu: local %u at %zu is %s\n", (unsigned long long)seed,
                    locals[k], s->pos, is ? "not live" : "live");
        CHECK(right);
    }
}

static void compare(struct code *c, uint64_t seed)
{
    struct buf wasm = {0};
    struct arena a = {0};
    struct live live = {0};
    make_code(c, seed);
    struct module *m = make_module(c, &wasm);
    if (m) {
        CHECK_EQ(live_analyse(m, 1, &a, &live), ST_OK);
        CHECK_EQ(live.site_count, c->site_count);
        CHECK_EQ(live.local_count, LOCAL_COUNT);
        for (uint32_t i = 0; i < c->site_count; i++) {
            const struct live_site *found = live_at(&live, m->funcs[1].body_off + c->sites[i].pos);
            CHECK(found);
            if (found)
                compare_site(c, &c->sites[i], found, seed);
        }
    }
    module_free(m);
    arena_done(&a);
    buf_done(&wasm);
    buf_done(&c->body);
}

static void what_is_live_is_what_a_search_finds(void)
{
    static struct code c;
    for (uint64_t seed = 0; seed < ROUNDS && check_failures < 10; seed++)
        compare(&c, seed);
}

int main(void)
{
    RUN(what_is_live_is_what_a_search_finds);
    return CHECK_DONE();
}
