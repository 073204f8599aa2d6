#include "backtrace.h"
#include "capture.h"
#include "stop.h"

void *host_range(void *ctx, uint32_t addr, uint64_t len)
{
    const struct instance *inst = instance_of_ctx(ctx);
    if (!inst->mem0)
        return NULL;
    uint64_t bytes = run_memory_bytes(inst->mem0);
    if (addr > bytes || len > bytes - addr)
        return NULL;
    uint8_t *at = inst->mem0->base + addr;
    const struct run_pager *pager = atomic_load_explicit(&run_memory_of(inst->mem0)->pager,
                                                         memory_order_acquire);
    return !pager || pager->need(pager->arg, at, len) ? at : NULL;
}

struct cell *host_cell(void *ctx)
{
    return cell_of_ctx(ctx);
}

void host_exit(void *ctx, uint32_t code)
{
    struct cell *c = cell_of_ctx(ctx);
    c->exit_code = code;
    cell_unwind_set(c, UNWIND_EXIT, NULL);
}

void host_trap(void *ctx, const char *text)
{
    struct cell *c = cell_of_ctx(ctx);
    snprintf(c->text, sizeof(c->text), "%s", text);
    c->host_trap = true;
    run_backtrace_take_host(c, (uintptr_t)__builtin_frame_address(0));
    cell_unwind_set(c, UNWIND_STOP, NULL);
}

/* blocking first, then the look at the request: whoever asks later finds blocking set, and his signal is
 * sent again until host_block_end, however short before the system call it came. */
static bool block_begin(struct cell *c, bool restarts)
{
    c->restarts = restarts;
    atomic_store(&c->blocking, true);
    unsigned stop = atomic_load(&c->stop);
    if (stop == STOP_CAPTURE && restarts && !run_capture_reserve(c))
        stop = atomic_load(&c->stop);
    if (stop == STOP_NONE || (stop == STOP_CAPTURE && !restarts))
        return true;
    atomic_store(&c->blocking, false);
    run_stop_poll(c, false);
    return false;
}

bool host_block_begin(void *ctx)
{
    return block_begin(cell_of_ctx(ctx), false);
}

bool host_wait_begin(void *ctx)
{
    return block_begin(cell_of_ctx(ctx), true);
}

bool host_wait_again(void *ctx)
{
    struct cell *c = cell_of_ctx(ctx);
    if (atomic_load(&c->stop) == STOP_CAPTURE && abi_unwind(abi_ctx_of(ctx)) == UNWIND_NONE)
        run_stop_poll(c, true);
    return abi_unwind(abi_ctx_of(ctx)) == UNWIND_CAPTURE;
}

bool host_wait_poll(void *ctx)
{
    struct cell *c = cell_of_ctx(ctx);
    return host_poll(ctx) &&
           (atomic_load(&c->stop) != STOP_CAPTURE || (!run_capture_reserve(c) && host_poll(ctx)));
}

void host_block_end(void *ctx)
{
    atomic_store(&cell_of_ctx(ctx)->blocking, false);
}

bool host_poll(void *ctx)
{
    struct abi_ctx *x = abi_ctx_of(ctx);
    if (abi_is_polled(x))
        run_stop_poll(x->cell, false);
    return abi_unwind(x) == UNWIND_NONE;
}
