#include "stop.h"

#include "capture.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/clock.h"

static const long resend_ns = 1000000;

/* Code that saves no frames would only unwind. */
static bool is_movable(struct cell *c)
{
    for (struct instance *i = cell_first_instance(c); i; i = i->next) {
        if (!i->movable)
            return false;
    }
    return true;
}

void run_stop_mark(struct cell *c, enum stop_reason reason)
{
    unsigned now = STOP_NONE;
    if (reason == STOP_CAPTURE && !is_movable(c))
        return;
    while (!atomic_compare_exchange_weak(&c->stop, &now, (unsigned)reason))
        if (now != STOP_NONE && (now != STOP_CAPTURE || reason == STOP_CAPTURE))
            return;
    for (struct instance *i = cell_first_instance(c); i; i = i->next)
        abi_set_poll(instance_ctx(i), 1);
}

/* The thread may have left the cell meanwhile, and its number may be another thread's by now: that thread
 * gets an interrupt signal that means nothing to it. */
void cell_stop(struct cell *c, enum stop_reason reason)
{
    int saved = errno;
    run_stop_mark(c, reason);
    int tid = atomic_load(&c->tid);
    if (tid)
        syscall(SYS_tgkill, getpid(), tid, c->rt->interrupt_signal);
    errno = saved;
}

void run_stop_resend(struct cell *c, struct run_thread *t)
{
    unsigned stop = atomic_load(&c->stop);
    if (!atomic_load(&c->blocking) || stop == STOP_NONE || (stop == STOP_CAPTURE && !c->restarts))
        return;
    struct itimerspec soon = {.it_value = {.tv_nsec = resend_ns}};
    t->resend_armed = 1;
    timer_settime(t->resend, 0, &soon, NULL);
}

/* What it has sent already is delivered before the system call returns: nothing comes later, when another handler
 * may be installed. */
void run_stop_resend_end(struct run_thread *t)
{
    struct itimerspec never = {.it_value = {.tv_nsec = 0}};
    if (!t->resend_armed)
        return;
    timer_settime(t->resend, 0, &never, NULL);
    t->resend_armed = 0;
}

/* First the words, then the request: a request that comes between sets the words again. */
void run_stop_poll(struct cell *c, bool may_capture)
{
    if (!may_capture && atomic_load(&c->stop) == STOP_CAPTURE)
        return;
    atomic_fetch_add_explicit(&c->polls_taken, 1, memory_order_relaxed);
    for (struct instance *i = cell_first_instance(c); i; i = i->next)
        abi_set_poll(instance_ctx(i), 0);
    unsigned stop = atomic_load(&c->stop);
    if (stop == STOP_CAPTURE && !run_capture_reserve(c))
        stop = atomic_load(&c->stop); /* one to end may have come meanwhile */
    if (stop != STOP_NONE)
        cell_unwind_set(c, stop == STOP_CAPTURE ? UNWIND_CAPTURE : UNWIND_STOP, NULL);
}

static void clear_words(struct cell *c)
{
    cell_unwind_set(c, UNWIND_NONE, NULL);
    for (struct instance *i = cell_first_instance(c); i; i = i->next)
        abi_set_poll(instance_ctx(i), 0);
}

void run_stop_clear(struct cell *c)
{
    clear_words(c);
    atomic_store(&c->stop, STOP_NONE);
}

void run_stop_clear_capture(struct cell *c)
{
    unsigned capture = STOP_CAPTURE;
    clear_words(c);
    atomic_compare_exchange_strong(&c->stop, &capture, STOP_NONE);
}

static status_t arm(struct cell *c, clockid_t clock, enum run_timer kind, uint64_t left_ns,
                    timer_t *ret_timer, struct error *err)
{
    status_t st = run_thread_timer(c->rt, clock, kind, c, ret_timer, err);
    if (st != ST_OK)
        return st;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(left_ns / 1000000000u),
                                         .tv_nsec = (long)(left_ns % 1000000000u)}};
    timer_settime(*ret_timer, 0, &at, NULL);
    return ST_OK;
}

status_t run_meter_start(struct cell *c, struct run_meter *m, struct error *err)
{
    const struct cell_limits *l = &c->limits;
    status_t st = ST_OK;
    /* The clock of a thread's CPU time is a system call, dearer than a whole start: only where there is a limit. */
    *m = (struct run_meter){.cpu_start_ns = l->cpu_ns ? clock_thread_cpu_ns() : 0,
                            .wall_start_ns = l->wall_ns ? clock_monotonic_ns() : 0};
    uint64_t cpu_ns = atomic_load(&c->cpu_ns);
    if (l->cpu_ns && cpu_ns >= l->cpu_ns) {
        run_stop_mark(c, STOP_CPU_LIMIT);
    } else if (l->cpu_ns) {
        st = arm(c, CLOCK_THREAD_CPUTIME_ID, RUN_TIMER_CPU, l->cpu_ns - cpu_ns, &m->cpu_timer, err);
        m->cpu_armed = st == ST_OK;
    }
    if (l->wall_ns && c->wall_ns >= l->wall_ns) {
        run_stop_mark(c, STOP_WALL_LIMIT);
    } else if (l->wall_ns && st == ST_OK) {
        st = arm(c, CLOCK_MONOTONIC, RUN_TIMER_WALL, l->wall_ns - c->wall_ns, &m->wall_timer, err);
        m->wall_armed = st == ST_OK;
    }
    if (st != ST_OK)
        run_meter_end(c, m);
    return st;
}

void run_meter_end(struct cell *c, struct run_meter *m)
{
    if (m->cpu_armed)
        timer_delete(m->cpu_timer);
    if (m->wall_armed)
        timer_delete(m->wall_timer);
    if (c->limits.cpu_ns)
        atomic_fetch_add(&c->cpu_ns, clock_thread_cpu_ns() - m->cpu_start_ns);
    if (c->limits.wall_ns)
        c->wall_ns += clock_monotonic_ns() - m->wall_start_ns;
}
