#ifndef SYS_THREAD_H
#define SYS_THREAD_H

#include <pthread.h>

#include "base/status.h"

/* Start f(arg) in a thread that takes no signals: those are for the threads that run cells. 0, or an errno. */
CHECKED int thread_start(pthread_t *ret_thread, void *(*f)(void *arg), void *arg);

/* A condition whose timed waits go by CLOCK_MONOTONIC. 0, or an errno. */
CHECKED int thread_cond_init(pthread_cond_t *cond);

/* From now on the calling thread has the CPU time that no other wants, and its disk accesses wait for others' where
 * the disk has an order. Without a privilege there is no way back, and a lock that it holds may be held for long while
 * all CPUs are busy: nobody else should want it. A courtesy: it may fail. */
void thread_give_way(void);

#endif
