#include "backtrace.h"
#include "capture.h"
#include "ops.h"
#include "stop.h"

/* What a call left behind does not reach the next one. */
static void call_reset(struct cell *c)
{
    c->trap = TRAP_NONE;
    c->fault = false;
    c->host_trap = false;
    c->last_trap = TRAP_NONE;
    c->last_stop = STOP_NONE;
    c->frame_count = 0;
    c->frame_total = 0;
    c->exit_code = 0;
}

static status_t report_trap(struct cell *c, enum abi_trap trap, struct error *err)
{
    c->last_trap = trap;
    return error_set(err, ST_TRAP, ERROR_NO_OFFSET, "%s",
                     trap == TRAP_HOST && c->text[0] ? c->text : abi_trap_text(trap));
}

static const char *stop_text(enum stop_reason reason)
{
    switch (reason) {
    case STOP_CPU_LIMIT:
        return "CPU time limit reached";
    case STOP_WALL_LIMIT:
        return "time limit reached";
    case STOP_OUTPUT_LIMIT:
        return "output limit reached";
    case STOP_INTERRUPT:
        return "interrupted";
    case STOP_NONE:
    case STOP_REQUEST:
    case STOP_CAPTURE:
        break;
    }
    return "stopped on request";
}

static status_t report_stop(struct cell *c, struct error *err)
{
    c->last_stop = (enum stop_reason)atomic_load(&c->stop);
    run_stop_clear(c);
    return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "%s", stop_text(c->last_stop));
}

static status_t report_capture(struct cell *c, struct error *err)
{
    run_stop_clear_capture(c);
    c->capturing = false;
    return error_set(err, ST_CAPTURED, ERROR_NO_OFFSET, "captured");
}

/* How the guest left, from the contexts' unwind word. */
static status_t report_unwind(struct cell *c, uint32_t unwind, struct error *err)
{
    if (c->host_trap)
        return report_trap(c, TRAP_HOST, err);
    if (unwind == UNWIND_EXCEPTION)
        return error_set(err, ST_EXCEPTION, ERROR_NO_OFFSET, "uncaught exception");
    if (unwind == UNWIND_CAPTURE)
        return report_capture(c, err);
    if (unwind == UNWIND_EXIT)
        return error_set(err, ST_EXIT, ERROR_NO_OFFSET, "exit with code %u", c->exit_code);
    return unwind == UNWIND_NONE ? ST_OK : report_stop(c, err);
}

/* Where a call enters the guest. */
struct entrance {
    const void *trampoline;
    void *base;
    const void *code;
};

static status_t enter_guest(struct cell *c, const struct entrance *e, union cell_value *io,
                            struct error *err)
{
    const struct instance *inst = instance_of_ctx(e->base);
    if (run_enter(c, c->stack.top, e->trampoline, e->base, e->code, io) != 0) {
        run_backtrace_take(c);
        c->capturing = false;
        cell_unwind_set(c, UNWIND_NONE, NULL);
        return report_trap(c, (enum abi_trap)c->trap, err);
    }
    uint32_t unwind = abi_unwind(instance_ctx(inst));
    if (unwind == UNWIND_NONE)
        return ST_OK;
    cell_unwind_set(c, UNWIND_NONE, NULL);
    return report_unwind(c, unwind, err);
}

static status_t run_guest(struct cell *c, const struct entrance *e, union cell_value *io,
                          struct error *err)
{
    struct run_thread *t;
    struct run_meter meter;
    bool entered = false;
    status_t st = run_thread_setup(c->rt, &t, err);
    if (st != ST_OK)
        return st;
    struct cell *outer = t->cell;
    call_reset(c);
    t->cell = c;
    atomic_store(&c->tid, t->tid);
    st = run_meter_start(c, &meter, err);
    if (st == ST_OK) {
        entered = true;
        unsigned stop = atomic_load(&c->stop);
        st = stop != STOP_NONE && stop != STOP_CAPTURE ? report_stop(c, err)
                                                       : enter_guest(c, e, io, err);
        run_meter_end(c, &meter);
    }
    run_stop_resend_end(t);
    atomic_store(&c->tid, 0);
    t->cell = outer;
    if (entered && st != ST_CAPTURED)
        run_records_free(c);
    return st;
}

static const void *trampoline_of(const struct abi_func *f)
{
    const struct instance *inst = instance_of_ctx(f->ctx);
    const struct program *p = inst->prog;
    return p->code + p->image->type_entry[inst->module->funcs[f->index].type];
}

status_t cell_call(struct cell *c, const struct abi_func *f, union cell_value *io,
                   struct error *err)
{
    if (!f->code || atomic_load(&c->tid) != 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         f->code ? "the cell is running" : "not a guest function");
    if (instance_of_ctx(f->ctx)->cell != c)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a function of another cell");
    struct entrance e = {trampoline_of(f), f->ctx, f->code};
    run_records_free(c);
    c->called = f;
    return run_guest(c, &e, io, err);
}

status_t cell_resume(struct cell *c, union cell_value *io, struct error *err)
{
    struct entrance e = {0};
    if (!c->records || atomic_load(&c->tid) != 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         c->records ? "the cell is running" : "the cell was not captured");
    status_t st = run_resume_begin(c, &e.code, &e.base, err);
    if (st == ST_OK)
        st = run_stack_for_records(c, err);
    if (st != ST_OK)
        return st;
    e.trampoline = trampoline_of(c->called);
    st = run_guest(c, &e, io, err);
    run_stack_slot(c);
    return st;
}
