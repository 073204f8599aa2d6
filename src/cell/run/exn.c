#include "exn.h"

static uint64_t exn_bytes(uint32_t count)
{
    return sizeof(struct abi_exn) + (uint64_t)count * sizeof(union cell_value);
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)*(struct abi_exn *const *)a,
              y = (uintptr_t)*(struct abi_exn *const *)b;
    return (x > y) - (x < y);
}

/* Index of the exception that word points into, its end included: the compiler may keep only a pointer past
 * the last value. UINT32_MAX: none. items are sorted. */
static uint32_t exn_at(const struct run_exns *x, uintptr_t word)
{
    uint32_t low = 0, high = x->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if ((uintptr_t)x->items[mid] <= word)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return UINT32_MAX;
    const struct abi_exn *e = x->items[low - 1];
    return word <= (uintptr_t)e + exn_bytes(e->count) ? low - 1 : UINT32_MAX;
}

/* abi_exn.mark during a collection: not reached, or the next one of the list of reached exceptions, as its index
 * plus 2. So a chain of any length needs no memory and no second look. */
enum { MARK_NONE = 0, MARK_END = 1, MARK_INDEX = 2 };

/* Reads whole stacks, which hold other functions' red zones. */
__attribute__((no_sanitize("address"), noinline)) void run_exn_mark_words(struct run_exns *x,
                                                                          const void *low,
                                                                          const void *high)
{
    if (x->count == 0)
        return;
    uintptr_t first = (uintptr_t)x->items[0];
    struct abi_exn *final = x->items[x->count - 1];
    uintptr_t last = (uintptr_t) final + exn_bytes(final->count);
    uintptr_t at = ((uintptr_t)low + sizeof(uintptr_t) - 1) & ~(sizeof(uintptr_t) - 1);
    for (; at + sizeof(uintptr_t) <= (uintptr_t)high; at += sizeof(uintptr_t)) {
        uintptr_t word = *(const uintptr_t *)at;
        if (word < first || word > last)
            continue;
        uint32_t i = exn_at(x, word);
        if (i == UINT32_MAX || x->items[i]->mark != MARK_NONE)
            continue;
        x->items[i]->mark = x->reached;
        x->reached = i + MARK_INDEX;
    }
}

/* Values of live exceptions may hold references in turn. */
static void mark_values(struct run_exns *x)
{
    while (x->reached != MARK_END) {
        struct abi_exn *e = x->items[x->reached - MARK_INDEX];
        x->reached = e->mark;
        e->mark = MARK_END;
        run_exn_mark_words(x, e->values, e->values + e->count);
    }
}

static void sweep(struct run_exns *x)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < x->count; i++) {
        struct abi_exn *e = x->items[i];
        if (e->mark == MARK_NONE) {
            x->bytes -= exn_bytes(e->count);
            free(e);
        } else {
            e->mark = MARK_NONE;
            x->items[kept++] = e;
        }
    }
    x->count = kept;
}

void run_exn_collect(struct run_exns *x, const struct run_exn_roots *roots)
{
    /* Callee-saved registers go to this frame, which lies in the scanned part of the stack. */
    __builtin_unwind_init();
    if (x->count > 1)
        qsort(x->items, x->count, sizeof(struct abi_exn *), by_address);
    x->reached = MARK_END;
    roots->visit(roots->arg, x);
    mark_values(x);
    sweep(x);
    /* Twice the live ones: so the work of collections stays in proportion to that of allocations. */
    x->collect_at_bytes = x->bytes + (x->bytes > EXN_COLLECT_BYTES ? x->bytes : EXN_COLLECT_BYTES);
}

struct abi_exn *run_exn_new(struct run_exns *x, const void *tag, uint32_t count,
                            const struct run_exn_roots *roots)
{
    uint64_t bytes = exn_bytes(count);
    uint64_t at = x->collect_at_bytes ? x->collect_at_bytes : EXN_COLLECT_BYTES;
    if (x->bytes + bytes > (at < EXN_BYTES_MAX ? at : EXN_BYTES_MAX))
        run_exn_collect(x, roots);
    if (x->bytes + bytes > EXN_BYTES_MAX)
        return NULL;
    if (x->count == x->cap) {
        uint32_t cap = x->cap ? x->cap * 2 : 64;
        struct abi_exn **items = realloc(x->items, cap * sizeof(*items));
        if (!items)
            return NULL;
        x->items = items;
        x->cap = cap;
    }
    struct abi_exn *e = calloc(1, bytes);
    if (!e)
        return NULL;
    e->tag = tag;
    e->count = count;
    x->items[x->count++] = e;
    x->bytes += bytes;
    return e;
}

void run_exns_done(struct run_exns *x)
{
    for (uint32_t i = 0; i < x->count; i++)
        free(x->items[i]);
    free(x->items);
    *x = (struct run_exns){0};
}
