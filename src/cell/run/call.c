#include "backtrace.h"
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

/* How the guest left, from the contexts' unwind word. */
static status_t report_unwind(struct cell *c, uint32_t unwind, struct error *err)
{
    if (c->host_trap)
        return report_trap(c, TRAP_HOST, err);
    if (unwind == UNWIND_EXCEPTION)
        return error_set(err, ST_EXCEPTION, ERROR_NO_OFFSET, "uncaught exception");
    if (unwind == UNWIND_EXIT)
        return error_set(err, ST_EXIT, ERROR_NO_OFFSET, "exit with code %u", c->exit_code);
    return unwind == UNWIND_NONE ? ST_OK : report_stop(c, err);
}

static status_t call_guest(struct cell *c, const struct instance *inst, const struct abi_func *f,
                           union cell_value *io, struct error *err)
{
    const struct program *p = inst->prog;
    const void *entry = p->code + p->image->type_entry[inst->module->funcs[f->index].type];
    if (run_enter(c, c->slot->stack_top, entry, inst->base, f->code, io) != 0) {
        run_backtrace_take(c);
        cell_unwind_set(c, UNWIND_NONE, NULL);
        return report_trap(c, (enum abi_trap)c->trap, err);
    }
    uint32_t unwind = instance_ctx(inst)->unwind;
    if (unwind == UNWIND_NONE)
        return ST_OK;
    cell_unwind_set(c, UNWIND_NONE, NULL);
    return report_unwind(c, unwind, err);
}

status_t cell_call(struct cell *c, const struct abi_func *f, union cell_value *io,
                   struct error *err)
{
    struct run_thread *t;
    struct run_meter meter;
    if (!f->code || atomic_load(&c->tid) != 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         f->code ? "the cell is running" : "not a guest function");
    const struct instance *inst = instance_of_ctx(f->ctx);
    if (inst->cell != c)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a function of another cell");
    status_t st = run_thread_setup(c->rt, &t, err);
    if (st != ST_OK)
        return st;
    struct cell *outer = t->cell;
    call_reset(c);
    t->cell = c;
    atomic_store(&c->tid, t->tid);
    st = run_meter_start(c, &meter, err);
    if (st == ST_OK) {
        st = atomic_load(&c->stop) != STOP_NONE ? report_stop(c, err)
                                                : call_guest(c, inst, f, io, err);
        run_meter_end(c, &meter);
    }
    run_stop_resend_end(t);
    atomic_store(&c->tid, 0);
    t->cell = outer;
    return st;
}
