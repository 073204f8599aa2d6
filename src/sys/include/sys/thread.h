#ifndef SYS_THREAD_H
#define SYS_THREAD_H

#include <pthread.h>

#include "base/status.h"

/* Start f(arg) in a thread that takes no signals: those are for the threads that run cells. 0, or an errno. */
CHECKED int thread_start(pthread_t *ret_thread, void *(*f)(void *arg), void *arg);

#endif
