#include "eval.h"
#include "operation.h"
#include "ops.h"

/* Bulk operations on memories and tables: in pieces with a poll between, which ends them early when the
 * guest has to unwind. What is left when it is captured is an operation on the rest of the ranges: from the front, the
 * rest of both; from the end, the same starts with a smaller length. Bounds are checked again then, and hold, since
 * nothing shrinks. */

enum { PIECE_BYTES = 1 << 20, PIECE_ENTRIES = 1 << 16 };

static bool in_bounds(uint64_t at, uint64_t n, uint64_t size)
{
    return at <= size && n <= size - at;
}

static uint64_t mem_bytes(const struct instance *inst, uint32_t mem)
{
    return run_memory_bytes(&inst->mems[mem]->abi);
}

/* A way through [0, n) in pieces, from the end when backward. */
struct pieces {
    uint64_t left;
    uint64_t step;
    uint64_t at; /* of the present piece */
    uint64_t len;
    uint64_t n;
    bool backward;
    bool started;
};

static struct pieces pieces_of(uint64_t n, uint64_t step, bool backward)
{
    return (struct pieces){.left = n, .n = n, .step = step, .backward = backward};
}

/* False: done, or the guest has to unwind; then something is left. ctx NULL: no polls. */
static bool pieces_next(struct pieces *p, void *ctx)
{
    if (p->left == 0 || (p->started && ctx && !run_operation_poll(ctx)))
        return false;
    p->started = true;
    p->len = p->left < p->step ? p->left : p->step;
    p->at = p->backward ? p->left - p->len : p->n - p->left;
    p->left -= p->len;
    return true;
}

/* How far the starts of what is left have moved. */
static uint32_t pieces_moved(const struct pieces *p)
{
    return p->backward ? 0 : (uint32_t)(p->n - p->left);
}

/* Save an operation whose last arguments are two starts and a length. */
static void save_two(void *ctx, const struct pieces *p, enum run_operation op, uint32_t first,
                     uint32_t second, uint32_t d, uint32_t s)
{
    uint32_t moved = pieces_moved(p);
    const union cell_value left[] = {{.u32 = first},
                                     {.u32 = second},
                                     {.u32 = d + moved},
                                     {.u32 = s + moved},
                                     {.u32 = (uint32_t)p->left}};
    if (p->left)
        run_operation_save(ctx, op, left);
}

void run_op_memory_copy_c(void *ctx, uint32_t dst_mem, uint32_t src_mem, uint32_t d, uint32_t s,
                          uint32_t n)
{
    const struct instance *inst = instance_of_ctx(ctx);
    if (!in_bounds(d, n, mem_bytes(inst, dst_mem)) || !in_bounds(s, n, mem_bytes(inst, src_mem))) {
        inst->cell->trap = TRAP_MEMORY_BOUNDS;
        return;
    }
    uint8_t *to = inst->mems[dst_mem]->abi.base + d;
    const uint8_t *from = inst->mems[src_mem]->abi.base + s;
    struct pieces p = pieces_of(n, PIECE_BYTES, (uintptr_t)to > (uintptr_t)from);
    while (pieces_next(&p, ctx))
        memmove(to + p.at, from + p.at, p.len);
    save_two(ctx, &p, OPERATION_MEMORY_COPY, dst_mem, src_mem, d, s);
}

void run_op_memory_fill_c(void *ctx, uint32_t mem, uint32_t d, uint32_t value, uint32_t n)
{
    const struct instance *inst = instance_of_ctx(ctx);
    if (!in_bounds(d, n, mem_bytes(inst, mem))) {
        inst->cell->trap = TRAP_MEMORY_BOUNDS;
        return;
    }
    struct pieces p = pieces_of(n, PIECE_BYTES, false);
    while (pieces_next(&p, ctx))
        memset(inst->mems[mem]->abi.base + d + p.at, (int)(value & 0xff), p.len);
    if (p.left)
        run_operation_save(ctx, OPERATION_MEMORY_FILL,
                           (union cell_value[]){{.u32 = mem},
                                                {.u32 = d + pieces_moved(&p)},
                                                {.u32 = value},
                                                {.u32 = (uint32_t)p.left}});
}

bool run_memory_init(struct instance *inst, uint32_t mem, uint32_t data, uint32_t d, uint32_t s,
                     uint32_t n, void *poll)
{
    const struct module_data *seg = &inst->module->datas[data];
    uint64_t len = inst->data_dropped[data] ? 0 : seg->len;
    if (!in_bounds(s, n, len) || !in_bounds(d, n, mem_bytes(inst, mem)))
        return false;
    struct pieces p = pieces_of(n, PIECE_BYTES, false);
    while (pieces_next(&p, poll))
        memcpy(inst->mems[mem]->abi.base + d + p.at, seg->bytes + s + p.at, p.len);
    save_two(poll, &p, OPERATION_MEMORY_INIT, mem, data, d, s);
    return true;
}

void run_op_memory_init_c(void *ctx, uint32_t mem, uint32_t data, uint32_t d, uint32_t s,
                          uint32_t n)
{
    struct instance *inst = instance_of_ctx(ctx);
    if (!run_memory_init(inst, mem, data, d, s, n, ctx))
        inst->cell->trap = TRAP_MEMORY_BOUNDS;
}

/* New entries are null already; a grow is not cut short, since it cannot be half done. */
uint32_t run_op_table_grow_c(void *ctx, uint32_t table, void *init, uint32_t n)
{
    struct run_table *t = instance_of_ctx(ctx)->tables[table];
    uint32_t old = run_table_grow(t, n);
    for (uint32_t i = 0; old != UINT32_MAX && init && i < n; i++)
        run_table_set(t, (uint64_t)old + i, init);
    return old;
}

void run_op_table_fill_c(void *ctx, uint32_t table, uint32_t i, void *ref, uint32_t n)
{
    const struct instance *inst = instance_of_ctx(ctx);
    if (!in_bounds(i, n, inst->tables[table]->abi.count)) {
        inst->cell->trap = TRAP_TABLE_BOUNDS;
        return;
    }
    struct pieces p = pieces_of(n, PIECE_ENTRIES, false);
    while (pieces_next(&p, ctx)) {
        for (uint64_t k = 0; k < p.len; k++)
            run_table_set(inst->tables[table], i + p.at + k, ref);
    }
    if (p.left)
        run_operation_save(ctx, OPERATION_TABLE_FILL,
                           (union cell_value[]){{.u32 = table},
                                                {.u32 = i + pieces_moved(&p)},
                                                {.ref = ref},
                                                {.u32 = (uint32_t)p.left}});
}

void run_op_table_copy_c(void *ctx, uint32_t dst, uint32_t src, uint32_t d, uint32_t s, uint32_t n)
{
    const struct instance *inst = instance_of_ctx(ctx);
    const struct abi_table *to = &inst->tables[dst]->abi, *from = &inst->tables[src]->abi;
    if (!in_bounds(d, n, to->count) || !in_bounds(s, n, from->count)) {
        inst->cell->trap = TRAP_TABLE_BOUNDS;
        return;
    }
    struct pieces p = pieces_of(n, PIECE_ENTRIES,
                                (uintptr_t)(to->entries + d) > (uintptr_t)(from->entries + s));
    while (pieces_next(&p, ctx))
        memmove(to->entries + d + p.at, from->entries + s + p.at, p.len * sizeof(struct abi_entry));
    save_two(ctx, &p, OPERATION_TABLE_COPY, dst, src, d, s);
}

static void *elem_ref(const struct instance *inst, const struct module_elem *e, uint64_t i)
{
    union cell_value v = {.ref = NULL};
    if (e->funcs)
        return instance_func(inst, e->funcs[i]);
    return run_eval(inst, &e->exprs[i], &v) == ST_OK ? v.ref : NULL;
}

bool run_table_init_from(struct instance *inst, uint32_t table, uint32_t elem, uint32_t d,
                         uint32_t s, uint32_t n, void *poll)
{
    const struct module_elem *e = &inst->module->elems[elem];
    struct run_table *t = inst->tables[table];
    uint64_t len = inst->elem_dropped[elem] ? 0 : e->count;
    if (!in_bounds(s, n, len) || !in_bounds(d, n, t->abi.count))
        return false;
    struct pieces p = pieces_of(n, PIECE_ENTRIES, false);
    while (pieces_next(&p, poll)) {
        for (uint64_t i = 0; i < p.len; i++)
            run_table_set(t, d + p.at + i, elem_ref(inst, e, s + p.at + i));
    }
    save_two(poll, &p, OPERATION_TABLE_INIT, table, elem, d, s);
    return true;
}

void run_op_table_init_c(void *ctx, uint32_t table, uint32_t elem, uint32_t d, uint32_t s,
                         uint32_t n)
{
    struct instance *inst = instance_of_ctx(ctx);
    if (!run_table_init_from(inst, table, elem, d, s, n, ctx))
        inst->cell->trap = TRAP_TABLE_BOUNDS;
}
