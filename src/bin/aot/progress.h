#ifndef BIN_AOT_PROGRESS_H
#define BIN_AOT_PROGRESS_H

#include <pthread.h>

#include "options.h"

/* How far a compile has got, for people on standard error after its first second, and for programs on a
 * descriptor. Guarded by lock: compiler threads report. */
struct progress {
    pthread_mutex_t lock;
    const struct options *options;
    uint64_t start_ns;
    uint64_t shown_ns; /* last line for people; 0: none */
    uint32_t done;
    bool terminal;
};

void progress_init(struct progress *p, const struct options *o);
/* From now on the process ends with exit code 71 when o->progress_fd is a pipe and its reader goes away.
 * o: borrowed for the life of the process. */
void progress_watch(const struct options *o);
/* For aot_options.progress; arg: the struct progress. Any thread. */
void progress_report(void *arg, uint32_t done, uint32_t total);
/* Take the line for people away again. Returns the seconds since progress_init. */
double progress_done(struct progress *p);

#endif
