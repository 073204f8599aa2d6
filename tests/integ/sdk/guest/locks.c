// Locks of one thread: which of them may be taken twice, and what is left when they are given back.
#include <pthread.h>
#include <errno.h>
#include <stdio.h>
#include <threads.h>

static void again(const char *name, int type)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t m;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, type);
    pthread_mutex_init(&m, &attr);
    printf("%s: %d", name, pthread_mutex_lock(&m) == 0);
    if (type != PTHREAD_MUTEX_NORMAL) {
        int code = pthread_mutex_lock(&m);

        printf(" %s", code == 0 ? "again" : code == EDEADLK ? "EDEADLK" : "?");
        if (code == 0)
            pthread_mutex_unlock(&m);
    }
    printf(" %s", pthread_mutex_trylock(&m) == EBUSY ? "busy" : "free");
    printf(" %d", pthread_mutex_unlock(&m) == 0);
    if (type == PTHREAD_MUTEX_RECURSIVE)
        printf(" %d", pthread_mutex_unlock(&m) == 0);
    printf(" %d\n", pthread_mutex_trylock(&m) == 0);
}

static void standard(const char *name, int type)
{
    mtx_t m;

    printf("%s: %d", name, mtx_init(&m, type) == thrd_success);
    for (int i = 0; i < 3; i++) {
        printf(" %d", mtx_lock(&m) == thrd_success);
        if (type & mtx_recursive)
            printf(" %d %d", mtx_lock(&m) == thrd_success, mtx_unlock(&m) == thrd_success);
        else
            printf(" %d", mtx_trylock(&m) == thrd_busy);
        printf(" %d", mtx_unlock(&m) == thrd_success);
        printf(" %d %d", mtx_trylock(&m) == thrd_success, mtx_unlock(&m) == thrd_success);
    }
    printf("\n");
    mtx_destroy(&m);
}

int main(void)
{
    again("normal", PTHREAD_MUTEX_NORMAL);
    again("recursive", PTHREAD_MUTEX_RECURSIVE);
    again("error-checking", PTHREAD_MUTEX_ERRORCHECK);
    standard("plain", mtx_plain);
    standard("recursive", mtx_plain | mtx_recursive);
    standard("timed", mtx_timed);
    return 0;
}
