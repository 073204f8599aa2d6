/* What belongs to the thread that runs, and the calls that make no difference in a cell. Starting threads is not
 * here: pthread_create fails with EAGAIN. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>
#include "pthread_impl.h"

_Thread_local struct pthread __wasilibc_pthread_self;
static _Thread_local char name[16];

/* Called by the start of the program, before anything else. */
void __wasi_init_tp(void)
{
    struct pthread *self = &__wasilibc_pthread_self;

    self->self = self;
    self->prev = self;
    self->next = self;
    self->detach_state = DT_JOINABLE;
    self->tid = 1;
    self->locale = &libc.global_locale;
    self->robust_list.head = &self->robust_list.head;
#ifdef _REENTRANT
    libc.need_locks = 1;
    libc.threaded = 1;
#endif
}

static pthread_t self(void)
{
    return __pthread_self();
}
weak_alias(self, pthread_self);
weak_alias(self, thrd_current);

pid_t gettid(void)
{
    return __pthread_self()->tid;
}

_Noreturn void pthread_exit(void *result)
{
    (void)result;
    __pthread_tsd_run_dtors();
    exit(0);
}

_Noreturn void thrd_exit(int result)
{
    pthread_exit((void *)(intptr_t)result);
}

#ifndef _REENTRANT
/* musl's take a plain mutex by a word that the stub of its unlocking does not know. */
int mtx_lock(mtx_t *m)
{
    return mtx_timedlock(m, NULL);
}

int mtx_trylock(mtx_t *m)
{
    int code = pthread_mutex_trylock((pthread_mutex_t *)m);

    return code == 0 ? thrd_success : code == EBUSY ? thrd_busy : thrd_error;
}
#endif

void thrd_yield(void)
{
    sched_yield();
}

int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    (void)prepare;
    (void)parent;
    (void)child;
    return 0;
}

int pthread_setname_np(pthread_t thread, const char *text)
{
    if (strlen(text) >= sizeof name)
        return ERANGE;
    if (thread == pthread_self())
        strcpy(name, text);
    return 0;
}

int pthread_getname_np(pthread_t thread, char *buf, size_t size)
{
    if (size < sizeof name)
        return ERANGE;
    strcpy(buf, thread == pthread_self() ? name : "");
    return 0;
}

int pthread_getcpuclockid(pthread_t thread, clockid_t *ret_clock)
{
    if (thread != pthread_self())
        return ENOSYS;
    *ret_clock = CLOCK_THREAD_CPUTIME_ID;
    return 0;
}

int pthread_getschedparam(pthread_t thread, int *restrict ret_policy, struct sched_param *restrict ret_param)
{
    (void)thread;
    *ret_policy = SCHED_OTHER;
    *ret_param = (struct sched_param){0};
    return 0;
}

int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param)
{
    (void)thread;
    return policy == SCHED_OTHER && param->sched_priority == 0 ? 0 : EPERM;
}

int pthread_setschedprio(pthread_t thread, int priority)
{
    (void)thread;
    return priority == 0 ? 0 : EPERM;
}

int sched_get_priority_max(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR ? 99 : 0;
}

int sched_get_priority_min(int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR ? 1 : 0;
}

int sched_getscheduler(pid_t pid)
{
    (void)pid;
    return SCHED_OTHER;
}

int sched_setscheduler(pid_t pid, int policy, const struct sched_param *param)
{
    (void)pid;
    if (policy == SCHED_OTHER && param->sched_priority == 0)
        return 0;
    errno = EPERM;
    return -1;
}

int sched_getparam(pid_t pid, struct sched_param *ret_param)
{
    (void)pid;
    *ret_param = (struct sched_param){0};
    return 0;
}

/* One processor is what a single thread can use; the number of a team comes from the OpenMP runtime. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *ret_set)
{
    (void)pid;
    memset(ret_set, 0, size);
    CPU_SET_S(0, size, ret_set);
    return 0;
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
    (void)pid;
    (void)size;
    (void)set;
    return 0;
}

int getloadavg(double *ret_load, int n)
{
    (void)ret_load;
    (void)n;
    return -1;
}

#ifndef _REENTRANT
/* Nobody can wait on a condition while the only thread signals it. */
int __private_cond_signal(pthread_cond_t *cond, int n)
{
    (void)cond;
    (void)n;
    return 0;
}
#endif

sem_t *sem_open(const char *path, int flags, ...)
{
    (void)path;
    (void)flags;
    errno = ENOSYS;
    return SEM_FAILED;
}

int sem_close(sem_t *sem)
{
    (void)sem;
    errno = EINVAL;
    return -1;
}

int sem_unlink(const char *path)
{
    (void)path;
    errno = ENOENT;
    return -1;
}
