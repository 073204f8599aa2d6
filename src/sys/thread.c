#include "sys/thread.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

int thread_start(pthread_t *ret_thread, void *(*f)(void *arg), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int code = pthread_create(ret_thread, NULL, f, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int code = pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return code;
}

void thread_give_way(void)
{
    const struct sched_param none = {0};
    /* the kernel knows threads, also where the C library speaks of processes; accesses to the disk go by this, too */
    int ignored = sched_setscheduler(0, SCHED_IDLE, &none);
    (void)ignored;
}
