#include "stack.h"

#include <sys/mman.h>

#include "capture.h"

/* Reserved for a frame. Unoptimised code keeps each value in dozens of places. */
#define FRAME_BYTES (4ull << 10)
#define FRAME_VALUE_BYTES (1ull << 10)
#define KEPT_BYTES_MAX \
    (64ull << 20) /* of a reservation that waits for the next call that goes on */

static uint64_t round_up(uint64_t v)
{
    return (v + WASM_PAGE_BYTES - 1) / WASM_PAGE_BYTES * WASM_PAGE_BYTES;
}

static uint64_t frame_bytes(const struct run_record *r)
{
    return FRAME_BYTES + FRAME_VALUE_BYTES * ((uint64_t)r->site->live + r->site->stack);
}

static void use(struct cell *c, struct run_stack s)
{
    c->stack = s;
    for (struct instance *i = cell_first_instance(c); i; i = i->next)
        instance_ctx(i)->host_stack_limit = (uintptr_t)s.low + CELL_HOST_STACK_BYTES;
}

void run_stack_done(struct cell *c)
{
    if (c->kept_stack.map)
        munmap(c->kept_stack.map, c->kept_stack.map_bytes);
    c->kept_stack = (struct run_stack){0};
}

void run_stack_slot(struct cell *c)
{
    if (c->stack.map) {
        run_stack_done(c);
        c->kept_stack = c->stack;
        if (c->stack.map_bytes > c->limits.stack_bytes + KEPT_BYTES_MAX)
            run_stack_done(c);
    }
    use(c, (struct run_stack){.low = c->slot->stack_low, .top = c->slot->stack_top});
}

/* Make the stack end at low. False: that is not inside the reservation, or memory ran out. */
static bool set_low(struct cell *c, uintptr_t low)
{
    struct run_stack s = c->stack;
    uint8_t *to = s.top - round_up((uintptr_t)s.top - low);
    if ((uintptr_t)s.top - low > s.map_bytes - SLOT_LOW_GUARD_BYTES - WASM_PAGE_BYTES)
        return false;
    if (to < s.low && mprotect(to, (size_t)(s.low - to), PROT_READ | PROT_WRITE) != 0)
        return false;
    if (to > s.low && mprotect(s.low, (size_t)(to - s.low), PROT_NONE) != 0)
        return false;
    s.low = to;
    use(c, s);
    return true;
}

/* The one of an earlier call, when it is large enough, or a new one. */
static status_t reserve(struct cell *c, uint64_t bytes, struct error *err)
{
    if (c->kept_stack.map_bytes >= bytes) {
        use(c, c->kept_stack);
        c->kept_stack = (struct run_stack){0};
        return ST_OK;
    }
    run_stack_done(c);
    uint8_t *map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no address space for %llu MiB of stack",
                         (unsigned long long)(bytes >> 20));
    (void)!madvise(map, bytes, MADV_NOHUGEPAGE); /* refused where the kernel has none */
    uint8_t *top = map + bytes;
    use(c, (struct run_stack){.low = top, .top = top, .map = map, .map_bytes = bytes});
    return ST_OK;
}

status_t run_stack_for_records(struct cell *c, struct error *err)
{
    uint64_t room = c->limits.stack_bytes + CELL_HOST_STACK_BYTES;
    uint64_t bytes = room + CELL_HOST_STACK_BYTES + SLOT_LOW_GUARD_BYTES;
    uint64_t first = frame_bytes(c->records) + CELL_HOST_STACK_BYTES;
    for (const struct run_record *r = c->records; r; r = r->inner)
        bytes += frame_bytes(r);
    status_t st = reserve(c, round_up(bytes) + 2 * WASM_PAGE_BYTES, err);
    if (st != ST_OK)
        return st;
    uintptr_t top = (uintptr_t)c->stack.top;
    room = room > first ? room : first;
    if (top - (uintptr_t)c->stack.low < room && !set_low(c, top - room)) {
        run_stack_slot(c);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a stack");
    }
    return ST_OK;
}

bool run_stack_entered(struct cell *c, uintptr_t sp, const struct run_record *next)
{
    if (!c->stack.map)
        return true;
    if (!next || next->kind == SITE_OPERATION)
        return set_low(c, sp - c->limits.stack_bytes - CELL_HOST_STACK_BYTES);
    uint64_t need = frame_bytes(next) + CELL_HOST_STACK_BYTES;
    if (sp - (uintptr_t)c->stack.low >= need)
        return true;
    return set_low(c, sp - c->limits.stack_bytes - need);
}
