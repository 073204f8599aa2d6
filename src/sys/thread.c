#include "sys/thread.h"

#include <sched.h>
#include <signal.h>

int thread_start(pthread_t *ret_thread, void *(*f)(void *arg), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int code = pthread_create(ret_thread, NULL, f, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

void thread_give_way(void)
{
    const struct sched_param none = {0};
    /* the kernel knows threads, also where the C library speaks of processes; accesses to the disk go by this, too */
    int ignored = sched_setscheduler(0, SCHED_IDLE, &none);
    (void)ignored;
}
