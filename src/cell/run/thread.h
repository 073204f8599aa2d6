#ifndef CELL_RUN_THREAD_H
#define CELL_RUN_THREAD_H

#include <signal.h>
#include <time.h>

#include "cell/run/run.h"

/* What a thread needs to run cells: an alternate signal stack, the interrupt signal unblocked, a timer that
 * sends it again, and the cell it is in. */
struct run_thread {
    struct cell *cell; /* read by the signal handlers of this thread */
    int signal;        /* interrupt signal that the timer sends; 0: not set up */
    timer_t resend;
    volatile sig_atomic_t resend_armed; /* since the last call ended */
    void *alt_map;                      /* NULL: the thread had a stack of its own */
    stack_t old_alt;
    int tid;
    /* runtime_copy is writing to this mapping of a file. */
    uint8_t *volatile copy_map;
    volatile size_t copy_map_bytes;
    volatile sig_atomic_t copy_failed;
};

/* What a timer stands for: it sends the address of its cell with this in the low bits. */
enum run_timer { RUN_TIMER_RESEND = 0, RUN_TIMER_CPU = 1, RUN_TIMER_WALL = 2, RUN_TIMER_MASK = 3 };

/* Prepare this thread once; freed when the thread ends. ST_NOMEM, ST_IO. */
CHECKED status_t run_thread_setup(struct runtime *rt, struct run_thread **ret_thread,
                                  struct error *err);
/* A timer of this thread that sends rt's interrupt signal. c: NULL for RUN_TIMER_RESEND, else borrowed until
 * the timer is deleted. ST_IO. */
CHECKED status_t run_thread_timer(struct runtime *rt, clockid_t clock, enum run_timer kind,
                                  struct cell *c, timer_t *ret_timer, struct error *err);

/* Install and remove the process's handlers. */
CHECKED status_t run_signals_install(struct runtime *rt, struct error *err);
void run_signals_remove(struct runtime *rt);

#endif
