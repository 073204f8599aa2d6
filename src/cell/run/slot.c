#include "slot.h"

#include <string.h>
#include <sys/mman.h>

#include "program.h"

static const uint64_t huge_bytes = 2ull << 20;
static const uint64_t base_in_huge = (1ull << 20) +
                                     (512ull << 10); /* area and stack end below, memory above */

static uint64_t round_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) / align * align;
}

void run_slot_pool_init(struct run_slot_pool *p, uint32_t kept_max)
{
    *p = (struct run_slot_pool){.kept_max = kept_max};
    pthread_mutex_init(&p->lock, NULL);
    run_pages_init(&p->pages);
}

static void slot_unmap(struct run_slot *s)
{
    munmap(s->map, s->map_bytes);
    free(s);
}

void run_slot_pool_done(struct run_slot_pool *p)
{
    while (p->kept) {
        struct run_slot *s = p->kept;
        p->kept = s->next;
        slot_unmap(s);
    }
    run_pages_done(&p->pages);
    pthread_mutex_destroy(&p->lock);
}

/* Pages below SLOT_HUGE_FROM stay small: one touched word of an idle cell must not cost 2 MiB. Kernels
 * without huge pages refuse the advice, which changes nothing. */
static void stay_small(void *from, uint64_t bytes)
{
    if (bytes > 0)
        (void)!madvise(from, bytes, MADV_NOHUGEPAGE);
}

static status_t slot_map(uint64_t stack_bytes, uint64_t area_bytes, bool with_memory,
                         struct run_slot **ret_slot)
{
    uint64_t area = round_up(area_bytes > SLOT_AREA_BYTES ? area_bytes : SLOT_AREA_BYTES,
                             WASM_PAGE_BYTES);
    uint64_t stack = round_up(stack_bytes, WASM_PAGE_BYTES);
    uint64_t below = area + SLOT_MIDDLE_GUARD_BYTES + (stack ? stack + SLOT_LOW_GUARD_BYTES : 0);
    uint64_t above = with_memory ? SLOT_MEMORY_BYTES : WASM_PAGE_BYTES;
    struct run_slot *s = calloc(1, sizeof(*s));
    if (!s)
        return ST_NOMEM;
    s->map_bytes = below + above + huge_bytes;
    s->map = mmap(NULL, s->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                  0);
    if (s->map == MAP_FAILED) {
        free(s);
        return ST_NOMEM;
    }
    uintptr_t lowest = (uintptr_t)s->map + below;
    s->base = (uint8_t *)(round_up(lowest - base_in_huge, huge_bytes) + base_in_huge);
    s->area_min = s->base - area;
    s->stack_top = s->area_min - SLOT_MIDDLE_GUARD_BYTES;
    s->stack_low = s->stack_top - stack;
    s->with_memory = with_memory;
    s->area = s->base;
    uint8_t *small_end = s->base + (with_memory ? SLOT_HUGE_FROM : 0);
    stay_small(s->map, (uint64_t)(small_end - s->map));
    *ret_slot = s;
    return ST_OK;
}

/* Make everything from the area on inaccessible and empty. */
static status_t slot_clear(struct run_slot *s)
{
    uint64_t bytes = (uint64_t)(s->base - s->area) + s->committed_bytes;
    if (bytes > 0) {
        void *p = mmap(s->area, bytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        if (p == MAP_FAILED)
            return ST_NOMEM;
        uint64_t small = (uint64_t)(s->base - s->area) + SLOT_HUGE_FROM;
        stay_small(s->area, bytes < small ? bytes : small);
    }
    s->area = s->base;
    s->committed_bytes = s->laid_bytes = 0;
    s->program = 0;
    return ST_OK;
}

status_t run_slot_commit(uint8_t *base, uint64_t from, uint64_t to)
{
    uint64_t huge_from = to - from >= SLOT_HUGE_GROWTH ? from : SLOT_HUGE_FROM;
    uint64_t small_to = to < huge_from ? to : huge_from;
    if (from < small_to && mprotect(base + from, small_to - from, PROT_READ | PROT_WRITE) != 0)
        return ST_NOMEM;
    if (from < huge_from)
        from = huge_from;
    if (from >= to)
        return ST_OK;
    void *p = mmap(base + from, to - from, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED)
        return ST_NOMEM;
    (void)!madvise(p, to - from, MADV_HUGEPAGE); /* refused where the kernel has none */
    return ST_OK;
}

static status_t slot_lay(struct run_slot *s, const struct program *prog)
{
    uint64_t stack = (uint64_t)(s->stack_top - s->stack_low);
    uint64_t mem = s->with_memory ? prog->mem0_bytes : 0;
    uint64_t small = mem < SLOT_HUGE_FROM ? mem : SLOT_HUGE_FROM;
    if (slot_clear(s) != ST_OK)
        return ST_NOMEM;
    if (stack && mprotect(s->stack_low, stack, PROT_READ | PROT_WRITE) != 0)
        return ST_NOMEM;
    s->area = s->base - prog->area_bytes;
    s->committed_bytes = mem;
    if (mprotect(s->area, prog->area_bytes + small, PROT_READ | PROT_WRITE) != 0 ||
        run_slot_commit(s->base, small, mem) != ST_OK)
        return ST_NOMEM;
    if (mem && program_map_runs(prog, 0, s->base) != ST_OK)
        return ST_NOMEM;
    s->laid_bytes = mem;
    s->program = prog->serial;
    return ST_OK;
}

/* Take a kept slot of the right shape out of the list, best one that is laid out for prog. */
static struct run_slot *pool_pick(struct run_slot_pool *p, const struct program *prog,
                                  uint64_t stack_bytes, bool with_memory)
{
    struct run_slot **found = NULL;
    for (struct run_slot **at = &p->kept; *at; at = &(*at)->next) {
        struct run_slot *s = *at;
        if ((uint64_t)(s->stack_top - s->stack_low) != round_up(stack_bytes, WASM_PAGE_BYTES) ||
            s->with_memory != with_memory || (uint64_t)(s->base - s->area_min) < prog->area_bytes)
            continue;
        found = at;
        if (s->program == prog->serial)
            break;
    }
    if (!found)
        return NULL;
    struct run_slot *s = *found;
    *found = s->next;
    s->next = NULL;
    p->kept_count--;
    return s;
}

status_t run_slot_take(struct run_slot_pool *p, const struct program *prog, uint64_t stack_bytes,
                       bool with_memory, struct run_slot **ret_slot, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    struct run_slot *s = pool_pick(p, prog, stack_bytes, with_memory);
    pthread_mutex_unlock(&p->lock);
    if (!s && slot_map(stack_bytes, prog->area_bytes, with_memory, &s) != ST_OK)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no address space for a cell");
    if (s->program != prog->serial && slot_lay(s, prog) != ST_OK) {
        slot_unmap(s);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a cell");
    }
    s->laid_for = prog;
    *ret_slot = s;
    return ST_OK;
}

/* The page as it was laid out. */
static void restore_page(const struct run_slot *s, uint8_t *at)
{
    const struct image *img = s->laid_for->image;
    uint64_t off = (uint64_t)(at - s->base);
    for (uint32_t i = 0; at >= s->base && i < img->run_count; i++) {
        const struct image_memory_run *r = &img->runs[i];
        if (r->mem == 0 && off >= r->guest_off && off - r->guest_off < r->len) {
            memcpy(at, r->bytes + (off - r->guest_off), RUN_PAGE_BYTES);
            return;
        }
    }
    memset(at, 0, RUN_PAGE_BYTES);
}

/* A cell that wrote a few pages leaves them in place, with their first content: the next one takes no faults. */
static bool slot_restore(struct run_slot_pool *p, const struct run_slot *s, uint8_t *low,
                         uint8_t *end)
{
    uint8_t *pages[SLOT_RESTORE_PAGES];
    uint32_t count;
    if (!s->laid_for || !run_pages_written(&p->pages, low, end, pages, SLOT_RESTORE_PAGES, &count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        restore_page(s, pages[i]);
    return true;
}

/* Content goes, mappings of the initial layout stay: private file pages come back as they are in the file. */
static status_t slot_discard(struct run_slot_pool *p, struct run_slot *s)
{
    uint8_t *low = s->stack_low < s->stack_top ? s->stack_low : s->area;
    uint8_t *end = s->base + s->laid_bytes;
    if (low < end && !slot_restore(p, s, low, end) &&
        madvise(low, (size_t)(end - low), MADV_DONTNEED) != 0)
        return ST_NOMEM;
    s->laid_for = NULL;
    if (s->committed_bytes == s->laid_bytes)
        return ST_OK;
    uint8_t *grown = s->base + s->laid_bytes;
    uint64_t bytes = s->committed_bytes - s->laid_bytes;
    void *at = mmap(grown, bytes, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (at == MAP_FAILED)
        return ST_NOMEM;
    if (s->laid_bytes < SLOT_HUGE_FROM) {
        uint64_t small = SLOT_HUGE_FROM - s->laid_bytes;
        stay_small(grown, bytes < small ? bytes : small);
    }
    s->committed_bytes = s->laid_bytes;
    return ST_OK;
}

void run_slot_give(struct run_slot_pool *p, struct run_slot *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&p->lock);
    bool keep = p->kept_count < p->kept_max;
    pthread_mutex_unlock(&p->lock);
    if (!keep || slot_discard(p, s) != ST_OK) {
        slot_unmap(s);
        return;
    }
    pthread_mutex_lock(&p->lock);
    keep = p->kept_count < p->kept_max; /* another thread may have given one meanwhile */
    if (keep) {
        s->next = p->kept;
        p->kept = s;
        p->kept_count++;
    }
    pthread_mutex_unlock(&p->lock);
    if (!keep)
        slot_unmap(s);
}
