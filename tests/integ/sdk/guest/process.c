// What a cell has not says so, and the program goes on.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name(int error)
{
    switch (error) {
    case 0:
        return "0";
    case ENOSYS:
        return "ENOSYS";
    case ECHILD:
        return "ECHILD";
    case EAGAIN:
        return "EAGAIN";
    default:
        return strerror(error);
    }
}

static void *never(void *arg)
{
    return arg;
}

static pthread_key_t key;

int main(void)
{
    struct utsname uts;
    pthread_t thread;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    int fds[2], status;

    errno = 0;
    printf("fork %d %s\n", (int)fork(), name(errno));
    printf("exec %d %s\n", execl("/bin/sh", "sh", (char *)NULL), name(errno));
    printf("system %d %d %s\n", system(NULL), system("true"), name(errno));
    printf("popen %d %s\n", popen("true", "r") != NULL, name(errno));
    printf("spawn %s\n", name(posix_spawn(NULL, "/bin/sh", NULL, NULL, NULL, NULL)));
    printf("wait %d %s\n", (int)wait(&status), name(errno));
    printf("pipe %d\n", pipe(fds));
    printf("dlopen %d %d\n", dlopen("libm.so", RTLD_NOW) != NULL, dlerror() != NULL);
    printf("socket %d %s\n", socket(AF_INET, SOCK_STREAM, 0), name(errno));
    printf("thread %s\n", name(pthread_create(&thread, NULL, never, NULL)));
    printf("mutex %d %d\n", pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex));
    printf("key %d %d %s %d\n", pthread_key_create(&key, NULL), pthread_setspecific(key, "value"),
           (char *)pthread_getspecific(key), pthread_key_delete(key));
    printf("pid %d uid %d\n", getpid() > 0, getuid() == geteuid());
    printf("uname %d %s\n", uname(&uts), uts.machine);
    printf("user %d\n", getpwuid(getuid()) != NULL);
    printf("pages %d\n", sysconf(_SC_PAGESIZE) >= 4096);
    printf("cwd %s\n", getcwd((char[100]){0}, 100));
    return 0;
}
