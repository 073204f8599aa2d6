#ifndef CELL_RUN_CONTEXT_H
#define CELL_RUN_CONTEXT_H

#include <stdint.h>
#include <ucontext.h>

/* The registers of an interrupted instruction, by architecture. */
struct run_regs {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp;
    uintptr_t lr; /* 0 where return addresses are on the stack only */
};

#if defined(__x86_64__)

static inline struct run_regs run_context_regs(const void *uc)
{
    const greg_t *g = ((const ucontext_t *)uc)->uc_mcontext.gregs;
    return (struct run_regs){(uintptr_t)g[REG_RIP], (uintptr_t)g[REG_RSP], (uintptr_t)g[REG_RBP],
                             0};
}

/* Continue at target(arg) on the stack sp when the handler returns. */
static inline void run_context_redirect(void *uc, uintptr_t target, uintptr_t arg, uintptr_t sp)
{
    greg_t *g = ((ucontext_t *)uc)->uc_mcontext.gregs;
    g[REG_RIP] = (greg_t)target;
    g[REG_RDI] = (greg_t)arg;
    g[REG_RSP] = (greg_t)sp;
}

#elif defined(__aarch64__)

static inline struct run_regs run_context_regs(const void *uc)
{
    const mcontext_t *m = &((const ucontext_t *)uc)->uc_mcontext;
    return (struct run_regs){m->pc, m->sp, m->regs[29], m->regs[30]};
}

static inline void run_context_redirect(void *uc, uintptr_t target, uintptr_t arg, uintptr_t sp)
{
    mcontext_t *m = &((ucontext_t *)uc)->uc_mcontext;
    m->pc = target;
    m->regs[0] = arg;
    m->sp = sp;
}

#else
#error "cells run on x86-64 and aarch64"
#endif

#endif
