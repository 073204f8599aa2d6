#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "cell.h"
#include "context.h"
#include "ops.h"
#include "stop.h"

#define ALT_STACK_BYTES (64ull << 10)
static const size_t alt_stack_enough = 32768; /* widest register state and a handler */

/* The one thread-local of the library, and the one runtime that the handlers serve. */
static _Thread_local struct run_thread self __attribute__((tls_model("initial-exec")));
static struct runtime *_Atomic installed;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void thread_done(void *arg)
{
    struct run_thread *t = arg;
    if (t->signal)
        timer_delete(t->resend);
    if (t->alt_map) {
        sigaltstack(&t->old_alt, NULL);
        munmap(t->alt_map, ALT_STACK_BYTES);
    }
    *t = (struct run_thread){0};
}

static void make_key(void)
{
    pthread_key_create(&key, thread_done);
}

/* A stack that the thread has already is kept when it is large enough. */
static status_t ensure_alt_stack(struct run_thread *t, struct error *err)
{
    stack_t old;
    if (t->alt_map || (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE) &&
                       old.ss_size >= alt_stack_enough))
        return ST_OK;
    void *map = mmap(NULL, ALT_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                     0);
    if (map == MAP_FAILED)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a signal stack");
    stack_t mine = {.ss_sp = map, .ss_size = ALT_STACK_BYTES};
    if (sigaltstack(&mine, &t->old_alt) != 0) {
        int saved = errno;
        munmap(map, ALT_STACK_BYTES);
        return error_set_errno(err, saved, "signal stack");
    }
    t->alt_map = map;
    return ST_OK;
}

status_t run_thread_timer(struct runtime *rt, clockid_t clock, enum run_timer kind, struct cell *c,
                          timer_t *ret_timer, struct error *err)
{
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = rt->interrupt_signal};
    ev.sigev_value.sival_ptr = (void *)((uintptr_t)c | (uintptr_t)kind);
    ev._sigev_un._tid = self.tid;
    if (timer_create(clock, &ev, ret_timer) != 0)
        return error_set_errno(err, errno, "timer");
    return ST_OK;
}

status_t run_thread_setup(struct runtime *rt, struct run_thread **ret_thread, struct error *err)
{
    struct run_thread *t = &self;
    if (t->signal == rt->interrupt_signal) {
        *ret_thread = t;
        return ST_OK;
    }
    pthread_once(&key_once, make_key);
    status_t st = ensure_alt_stack(t, err);
    if (st != ST_OK)
        return st;
    pthread_setspecific(key, t);
    if (t->signal)
        timer_delete(t->resend);
    t->signal = 0;
    t->tid = (int)syscall(SYS_gettid);
    st = run_thread_timer(rt, CLOCK_MONOTONIC, RUN_TIMER_RESEND, NULL, &t->resend, err);
    if (st != ST_OK)
        return st;
    t->signal = rt->interrupt_signal;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, rt->interrupt_signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    *ret_thread = t;
    return ST_OK;
}

static bool in_memory(const struct instance *inst, uintptr_t addr, uint64_t *ret_off)
{
    for (uint32_t i = 0; i < inst->module->mem_count; i++) {
        if (inst->mems[i] && addr - (uintptr_t)inst->mems[i]->abi.base < SLOT_MEMORY_BYTES) {
            *ret_off = addr - (uintptr_t)inst->mems[i]->abi.base;
            return true;
        }
    }
    return false;
}

/* Which trap a fault of guest code at addr is; TRAP_NONE: none that the guest can cause. */
static enum abi_trap classify(struct cell *c, uintptr_t addr)
{
    uintptr_t stack_low = (uintptr_t)c->stack.low;
    if (stack_low - addr - 1 < SLOT_LOW_GUARD_BYTES)
        return TRAP_STACK;
    for (struct instance *i = cell_first_instance(c); i; i = i->next) {
        if (in_memory(i, addr, &c->fault_off))
            return TRAP_MEMORY_BOUNDS;
    }
    return TRAP_NONE;
}

static void forward(const struct sigaction *old, int sig, siginfo_t *info, void *uc)
{
    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(sig, info, uc);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(sig);
    } else {
        /* The default action, when the instruction faults again. */
        struct sigaction dfl = {.sa_handler = SIG_DFL};
        sigaction(sig, &dfl, NULL);
    }
}

/* The file of a runtime_copy was cut: let it go on in memory of no file. */
static bool is_cut_copy(uintptr_t addr)
{
    if (addr - (uintptr_t)self.copy_map >= self.copy_map_bytes)
        return false;
    void *p = mmap(self.copy_map, self.copy_map_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
    self.copy_failed = p != MAP_FAILED;
    return self.copy_failed;
}

status_t runtime_copy(uint8_t *map, size_t map_bytes, size_t off, const void *from, size_t len)
{
    sigset_t bus, before;
    if (!atomic_load(&installed))
        return ST_UNSUPPORTED;
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &bus, &before);
    self.copy_map = map;
    self.copy_map_bytes = map_bytes;
    self.copy_failed = false;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(map + off, from, len);
    atomic_signal_fence(memory_order_seq_cst);
    self.copy_map_bytes = 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return self.copy_failed ? ST_IO : ST_OK;
}

static void on_fault(int sig, siginfo_t *info, void *uc)
{
    struct cell *c = self.cell;
    if (sig == SIGBUS && info->si_code > 0 && is_cut_copy((uintptr_t)info->si_addr))
        return;
    struct run_regs r = run_context_regs(uc);
    if (c && info->si_code > 0 && cell_program_at(c, r.pc)) {
        enum abi_trap trap = classify(c, (uintptr_t)info->si_addr);
        if (trap != TRAP_NONE) {
            c->trap = trap;
            c->fault = true;
            c->op_pc = r.pc;
            c->op_sp = r.sp;
            c->op_fp = r.fp;
            c->fault_lr = r.lr;
            run_context_redirect(uc, (uintptr_t)run_leave, (uintptr_t)c, (uintptr_t)c->host_sp);
            return;
        }
    }
    struct runtime *rt = atomic_load(&installed);
    if (rt)
        forward(sig == SIGBUS ? &rt->old_bus : &rt->old_segv, sig, info, uc);
}

/* Its delivery interrupts a system call; what it means stands in the cell. */
static void on_interrupt(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    (void)uc;
    int saved = errno;
    if (info->si_code == SI_TIMER) {
        uintptr_t value = (uintptr_t)info->si_value.sival_ptr, kind = value & RUN_TIMER_MASK;
        struct cell *limited =
            (struct cell *)(value - kind); /* lives: its call has not deleted the timer */
        if (limited)
            run_stop_mark(limited, kind == RUN_TIMER_CPU ? STOP_CPU_LIMIT : STOP_WALL_LIMIT);
    }
    if (self.cell)
        run_stop_resend(self.cell, &self);
    errno = saved;
}

status_t run_signals_install(struct runtime *rt, struct error *err)
{
    struct runtime *none = NULL;
    if (!atomic_compare_exchange_strong(&installed, &none, rt))
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "this process has a runtime already");
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction interrupt = {.sa_sigaction = on_interrupt,
                                  .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&fault.sa_mask);
    sigemptyset(&interrupt.sa_mask);
    if (sigaction(rt->interrupt_signal, &interrupt, &rt->old_interrupt) != 0) {
        int saved = errno;
        atomic_store(&installed, NULL);
        return error_set_errno(err, saved, "interrupt signal %d", rt->interrupt_signal);
    }
    sigaction(SIGSEGV, &fault, &rt->old_segv);
    sigaction(SIGBUS, &fault, &rt->old_bus);
    return ST_OK;
}

void run_signals_remove(struct runtime *rt)
{
    if (atomic_load(&installed) != rt)
        return;
    sigaction(SIGSEGV, &rt->old_segv, NULL);
    sigaction(SIGBUS, &rt->old_bus, NULL);
    sigaction(rt->interrupt_signal, &rt->old_interrupt, NULL);
    atomic_store(&installed, NULL);
}
