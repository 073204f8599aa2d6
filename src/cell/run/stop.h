#ifndef CELL_RUN_STOP_H
#define CELL_RUN_STOP_H

#include "cell.h"
#include "thread.h"

/* Record the request and set the poll words, without a signal. Async-signal-safe, any thread. */
void run_stop_mark(struct cell *c, enum stop_reason reason);
/* Handle requests at a poll: the contexts say UNWIND_STOP when the cell has to leave, and UNWIND_CAPTURE when its
 * frames are to be saved, unless the poll stands in the middle of the host's work: may_capture. Then the request
 * waits. */
void run_stop_poll(struct cell *c, bool may_capture);
/* Forget the request that ended a call. */
void run_stop_clear(struct cell *c);
/* Forget a capture's request; one to end that came meanwhile waits for the next call. */
void run_stop_clear_capture(struct cell *c);
/* In the interrupt handler: while the thread may be about to block, send the signal again soon. */
void run_stop_resend(struct cell *c, struct run_thread *t);
/* At the end of a call: no more signals from the timer. */
void run_stop_resend_end(struct run_thread *t);

/* The clocks and timers of one call. */
struct run_meter {
    uint64_t cpu_start_ns;
    uint64_t wall_start_ns;
    timer_t cpu_timer;
    timer_t wall_timer;
    bool cpu_armed;
    bool wall_armed;
};
/* Start measuring, and arm what is left of the limits; marks the cell stopped when nothing is left. ST_IO. */
CHECKED status_t run_meter_start(struct cell *c, struct run_meter *m, struct error *err);
void run_meter_end(struct cell *c, struct run_meter *m);

#endif
