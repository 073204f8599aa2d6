#include "sys/thread.h"

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
