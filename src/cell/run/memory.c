#include "memory.h"

#include <sys/mman.h>

/* Add bytes to *used; false when that would pass max. */
static bool account(_Atomic uint64_t *used, uint64_t max, uint64_t bytes)
{
    uint64_t now = atomic_load(used);
    do {
        if (bytes > max || now > max - bytes)
            return false;
    } while (!atomic_compare_exchange_weak(used, &now, now + bytes));
    return true;
}

static status_t memory_make(struct limits l, _Atomic uint64_t *used_bytes, uint64_t used_max,
                            struct run_memory **ret_mem, struct error *err)
{
    uint64_t bytes = l.min * WASM_PAGE_BYTES;
    uint64_t cap = l.min > WASM_PAGES_CAP ? WASM_PAGES_MAX : WASM_PAGES_CAP;
    uint64_t max = l.has_max && l.max < cap ? l.max : cap;
    if (l.min > WASM_PAGES_MAX || !account(used_bytes, used_max, bytes))
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                         "memory of %llu bytes passes the limit of %llu bytes (--memory)",
                         (unsigned long long)bytes, (unsigned long long)used_max);
    struct run_memory *m = calloc(1, sizeof(*m));
    if (!m) {
        atomic_fetch_sub(used_bytes, bytes);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a memory's record");
    }
    atomic_init(&m->refs, 1);
    m->used_bytes = used_bytes;
    m->used_max = used_max;
    m->declared = l;
    m->abi.bytes = bytes;
    m->abi.max_bytes = max * WASM_PAGE_BYTES;
    m->abi.shared = l.shared;
    pthread_mutex_init(&m->lock, NULL);
    *ret_mem = m;
    return ST_OK;
}

status_t run_memory_new(struct limits l, _Atomic uint64_t *used_bytes, uint64_t used_max,
                        struct run_memory **ret_mem, struct error *err)
{
    struct run_memory *m;
    status_t st = memory_make(l, used_bytes, used_max, &m, err);
    if (st != ST_OK)
        return st;
    size_t map_bytes = SLOT_MEMORY_BYTES + WASM_PAGE_BYTES;
    uint8_t *map = mmap(NULL, map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                        0);
    if (map == MAP_FAILED) {
        run_memory_unref(m);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no address space for a memory");
    }
    m->map = map;
    uintptr_t at = ((uintptr_t)map + WASM_PAGE_BYTES - 1) & ~(uintptr_t)(WASM_PAGE_BYTES - 1);
    m->abi.base = (uint8_t *)at;
    if (run_slot_commit(m->abi.base, 0, m->abi.bytes) != ST_OK) {
        run_memory_unref(m);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a memory of %llu bytes",
                         (unsigned long long)(l.min * WASM_PAGE_BYTES));
    }
    *ret_mem = m;
    return ST_OK;
}

status_t run_memory_new_inline(struct limits l, _Atomic uint64_t *used_bytes, uint64_t used_max,
                               struct run_slot *slot, struct run_memory **ret_mem,
                               struct error *err)
{
    struct run_memory *m;
    status_t st = memory_make(l, used_bytes, used_max, &m, err);
    if (st != ST_OK)
        return st;
    m->slot = slot;
    m->abi.base = slot->base;
    *ret_mem = m;
    return ST_OK;
}

void run_memory_ref(struct run_memory *m)
{
    atomic_fetch_add(&m->refs, 1);
}

void run_memory_unref(struct run_memory *m)
{
    if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    if (m->used_bytes)
        atomic_fetch_sub(m->used_bytes, m->abi.bytes);
    if (m->map)
        munmap(m->map, SLOT_MEMORY_BYTES + WASM_PAGE_BYTES);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void run_memory_leave(struct run_memory *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    atomic_fetch_sub(m->used_bytes, m->abi.bytes);
    m->used_bytes = NULL;
    pthread_mutex_unlock(&m->lock);
    run_memory_unref(m);
}

uint32_t run_memory_grow(struct run_memory *m, uint32_t pages)
{
    uint32_t result = UINT32_MAX;
    uint64_t add = (uint64_t)pages * WASM_PAGE_BYTES;
    pthread_mutex_lock(&m->lock);
    uint64_t old = m->abi.bytes;
    if (m->used_bytes && add <= m->abi.max_bytes - old &&
        account(m->used_bytes, m->used_max, add)) {
        if (run_slot_commit(m->abi.base, old, old + add) == ST_OK) {
            __atomic_store_n(&m->abi.bytes, old + add, __ATOMIC_RELEASE);
            if (m->slot)
                m->slot->committed_bytes = old + add;
            result = (uint32_t)(old / WASM_PAGE_BYTES);
        } else {
            atomic_fetch_sub(m->used_bytes, add);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return result;
}
