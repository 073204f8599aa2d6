/* Engines: cell. What programs name without using it, and constants that #if reads: all of it compiles and is linked, and
 * what a cell does not have says so. */
#define _GNU_SOURCE
#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <wordexp.h>

#if !(O_NONBLOCK && O_APPEND && O_CREAT && O_NONBLOCK != O_APPEND && O_CREAT != O_EXCL)
#error "flags of open are no numbers"
#endif
#if EAGAIN != EWOULDBLOCK || ENOTSUP != EOPNOTSUPP || SHUT_RD == SHUT_WR || !POLLIN || POLLPRI == POLLIN
#error "constants are no numbers"
#endif

/* gnulib's, of which the C library had another one. */
DIR *opendirat(int dir, const char *path, int flags, int *ret_fd)
{
    return dir < 0 || !path || flags || ret_fd ? NULL : opendir(path);
}

/* A program's own function takes the place of the library's. */
int personality(unsigned long what)
{
    return (int)what;
}

static void fails(const char *name, int result, int error)
{
    printf("%s: %s\n", name, result != -1 ? "worked" : errno == error ? "refused" : strerror(errno));
}

static void processes(void)
{
    struct aiocb request = {0};
    struct sembuf operation = {0};

    fails("aio_read", aio_read(&request), ENOSYS);
    fails("mq_open", (int)mq_open("/queue", O_RDONLY), ENOSYS);
    fails("msgget", msgget(1, 0), ENOSYS);
    fails("semop", semop(1, &operation, 1), ENOSYS);
    fails("shmget", shmget(1, 1, 0), ENOSYS);
    fails("shmat", shmat(1, NULL, 0) == (void *)-1 ? -1 : 0, ENOSYS);
    fails("epoll_create1", epoll_create1(0), ENOSYS);
    fails("copy_file_range", (int)copy_file_range(0, NULL, 1, NULL, 1, 0), ENOSYS);
    fails("getxattr", (int)getxattr("file", "user.x", NULL, 0), ENOTSUP);
    fails("syscall", (int)syscall(1), ENOSYS);
    fails("timer_delete", timer_delete(0), EINVAL);
    printf("prctl: %d\n", prctl(PR_SET_NAME, "name"));
}

static void terminals(void)
{
    struct winsize size;

    fails("posix_openpt", posix_openpt(O_RDWR), ENOSYS);
    fails("tcflow", tcflow(1, 0), ENOTTY);
    printf("window: %d\n", ioctl(1, TIOCGWINSZ, &size));
}

static void tables(void)
{
    struct hostent host, *found = &host;
    char buf[100];
    int error = 0, count = 1;
    gid_t group = 1;
    cpu_set_t cpus;
    wordexp_t words;
    Dl_info info;

    printf("protocol: %d\n", getprotobyname("tcp")->p_proto);
    printf("host: %d", gethostbyname("nowhere") == NULL);
    printf(" %d", h_errno == HOST_NOT_FOUND);
    printf(" %d", gethostbyname_r("nowhere", &host, buf, sizeof buf, &found, &error));
    printf(" %d %d\n", found == NULL, error == HOST_NOT_FOUND);
    printf("service: %d\n", getservent() == NULL);
    printf("groups: %d", getgrouplist("root", 0, &group, &count));
    printf(" %d %u\n", count, (unsigned)group);
    CPU_ZERO(&cpus);
    CPU_SET(3, &cpus);
    printf("cpus: %d\n", CPU_COUNT(&cpus));
    printf("words: %d\n", wordexp("a b", &words, 0) != 0);
    printf("object: %d\n", dladdr("", &info));
}

static void signals(void)
{
    sigset_t set;
    siginfo_t info;
    struct timespec now = {0};

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fails("sigtimedwait", sigtimedwait(&set, &info, &now), EAGAIN);
    raise(SIGUSR1);
    printf("signal: %d\n", sigwaitinfo(&set, &info) == SIGUSR1 && info.si_signo == SIGUSR1);
}

int main(void)
{
    DIR *dir = opendirat(0, ".", 0, NULL);

    printf("folder: %d\n", dir != NULL);
    closedir(dir);
    printf("own: %d\n", personality(7));
    processes();
    terminals();
    tables();
    signals();
    printf("name: %d %d\n", strcmp(program_invocation_short_name, "names.wasm"),
           strlen(program_invocation_name) < strlen("names.wasm"));
    fflush(stdout);
    return 0;
}
