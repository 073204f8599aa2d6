#include "stack.h"

#include <sys/mman.h>

#include "capture.h"

#define NEXT_FRAME_BYTES SLOT_LOW_GUARD_BYTES /* larger than the frame of any guest function */
/* Reserved for a frame. Unoptimised code keeps each value in dozens of places. */
#define FRAME_BYTES (4ull << 10)
#define FRAME_VALUE_BYTES (1ull << 10)

static uint64_t round_up(uint64_t v)
{
    return (v + WASM_PAGE_BYTES - 1) / WASM_PAGE_BYTES * WASM_PAGE_BYTES;
}

static void use(struct cell *c, struct run_stack s)
{
    c->stack = s;
    for (struct instance *i = cell_first_instance(c); i; i = i->next)
        instance_ctx(i)->host_stack_limit = (uintptr_t)s.low + CELL_HOST_STACK_BYTES;
}

void run_stack_slot(struct cell *c)
{
    if (c->stack.map)
        munmap(c->stack.map, c->stack.map_bytes);
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

status_t run_stack_for_records(struct cell *c, struct error *err)
{
    uint64_t bytes = c->limits.stack_bytes + CELL_HOST_STACK_BYTES + 2 * NEXT_FRAME_BYTES +
                     SLOT_LOW_GUARD_BYTES;
    for (const struct run_record *r = c->records; r; r = r->inner)
        bytes += FRAME_BYTES + FRAME_VALUE_BYTES * ((uint64_t)r->site->live + r->site->stack);
    bytes = round_up(bytes) + WASM_PAGE_BYTES;
    uint8_t *map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no address space for %llu MiB of stack",
                         (unsigned long long)(bytes >> 20));
    (void)!madvise(map, bytes, MADV_NOHUGEPAGE); /* refused where the kernel has none */
    uint8_t *top = map + bytes;
    use(c, (struct run_stack){.low = top, .top = top, .map = map, .map_bytes = bytes});
    if (!set_low(c, (uintptr_t)top - 2 * NEXT_FRAME_BYTES)) {
        run_stack_slot(c);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a stack");
    }
    return ST_OK;
}

bool run_stack_entered(struct cell *c, uintptr_t sp, bool last)
{
    if (!c->stack.map)
        return true;
    if (last)
        return set_low(c, sp - c->limits.stack_bytes - CELL_HOST_STACK_BYTES);
    if (sp - (uintptr_t)c->stack.low >= NEXT_FRAME_BYTES + CELL_HOST_STACK_BYTES)
        return true;
    return set_low(c, sp - 2 * NEXT_FRAME_BYTES);
}
