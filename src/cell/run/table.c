#include "table.h"

#include <sys/mman.h>

uint64_t run_table_reserve(struct limits l, uint64_t used_max)
{
    uint64_t max = l.has_max && l.max < MODULE_TABLE_ENTRIES_MAX ? l.max : MODULE_TABLE_ENTRIES_MAX;
    return max < used_max ? max : used_max;
}

status_t run_table_init(struct run_table *t, valtype_t type, struct limits l,
                        struct abi_entry *entries, uint64_t *used_entries, uint64_t used_max,
                        struct error *err)
{
    uint64_t max = run_table_reserve(l, used_max);
    if (l.min > max || l.min > used_max - *used_entries)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                         "table of %llu entries passes the limit of %llu",
                         (unsigned long long)l.min, (unsigned long long)used_max);
    *t = (struct run_table){
        .used_entries = used_entries, .used_max = used_max, .type = type, .declared = l};
    if (!entries && max > 0) {
        t->map_bytes = max * sizeof(struct abi_entry);
        t->map = mmap(NULL, t->map_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (t->map == MAP_FAILED) {
            t->map = NULL;
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a table");
        }
        entries = t->map;
    }
    t->abi = (struct abi_table){.entries = entries, .count = l.min, .max = max};
    *used_entries += l.min;
    return ST_OK;
}

void run_table_done(struct run_table *t)
{
    if (t->used_entries)
        *t->used_entries -= t->abi.count;
    if (t->map)
        munmap(t->map, t->map_bytes);
    *t = (struct run_table){0};
}

void run_table_set(struct run_table *t, uint64_t i, void *ref)
{
    struct abi_entry *e = &t->abi.entries[i];
    *e = (struct abi_entry){.ref = ref};
    if (t->type == VT_FUNCREF && ref) {
        const struct abi_func *f = ref;
        e->code = f->code;
        e->ctx = f->ctx;
        e->sig = f->sig;
    }
}

uint32_t run_table_grow(struct run_table *t, uint32_t n)
{
    uint64_t old = t->abi.count;
    if (n > t->abi.max - old || n > t->used_max - *t->used_entries)
        return UINT32_MAX;
    t->abi.count = old + n;
    *t->used_entries += n;
    return (uint32_t)old;
}
