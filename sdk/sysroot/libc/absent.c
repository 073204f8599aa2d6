/* What POSIX and other systems have and a cell cannot: other processes' queues, segments and semaphores, requests in
 * the background, timers, terminals of its own, tables of networks and users. A program that only mentions one of these
 * is linked; called, it fails with the error that its standard has for "not here". */
#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <link.h>
#include <mqueue.h>
#include <net/if.h>
#include <netdb.h>
#include <pthread.h>
#include <pty.h>
#include <pwd.h>
#include <resolv.h>
#include <sched.h>
#include <shadow.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>
#include <utmp.h>
#include <wordexp.h>

/* A function that sets errno and returns what means failure. Weak, as all here: a program's own one of that name is
 * not in the way when another one is used. */
#define ABSENT(type, failed, error, name, parameters)                                                                  \
    __attribute__((__weak__)) type name parameters                                                                     \
    {                                                                                                                  \
        errno = error;                                                                                                 \
        return failed;                                                                                                 \
    }
/* One that only returns something. */
#define ANSWER(type, value, name, parameters)                                                                          \
    __attribute__((__weak__)) type name parameters                                                                     \
    {                                                                                                                  \
        return value;                                                                                                  \
    }
#define NOTHING(name, parameters)                                                                                      \
    __attribute__((__weak__)) void name parameters                                                                     \
    {                                                                                                                  \
    }

ABSENT(int, -1, ENOSYS, aio_read, (struct aiocb *))
ABSENT(int, -1, ENOSYS, aio_write, (struct aiocb *))
ABSENT(int, -1, ENOSYS, aio_fsync, (int, struct aiocb *))
ABSENT(int, -1, ENOSYS, aio_cancel, (int, struct aiocb *))
ABSENT(int, -1, ENOSYS, aio_suspend, (const struct aiocb *const[], int, const struct timespec *))
ABSENT(int, -1, ENOSYS, lio_listio, (int, struct aiocb *restrict const *restrict, int, struct sigevent *restrict))
ABSENT(ssize_t, -1, EINVAL, aio_return, (struct aiocb *))
ANSWER(int, EINVAL, aio_error, (const struct aiocb *))

ABSENT(mqd_t, -1, ENOSYS, mq_open, (const char *, int, ...))
ABSENT(int, -1, ENOSYS, mq_unlink, (const char *))
ABSENT(int, -1, EBADF, mq_close, (mqd_t))
ABSENT(int, -1, EBADF, mq_getattr, (mqd_t, struct mq_attr *))
ABSENT(int, -1, EBADF, mq_setattr, (mqd_t, const struct mq_attr *restrict, struct mq_attr *restrict))
ABSENT(int, -1, EBADF, mq_notify, (mqd_t, const struct sigevent *))
ABSENT(int, -1, EBADF, mq_send, (mqd_t, const char *, size_t, unsigned))
ABSENT(int, -1, EBADF, mq_timedsend, (mqd_t, const char *, size_t, unsigned, const struct timespec *))
ABSENT(ssize_t, -1, EBADF, mq_receive, (mqd_t, char *, size_t, unsigned *))
ABSENT(ssize_t, -1, EBADF, mq_timedreceive,
       (mqd_t, char *restrict, size_t, unsigned *restrict, const struct timespec *restrict))

ABSENT(int, -1, ENOSYS, msgget, (key_t, int))
ABSENT(int, -1, ENOSYS, msgctl, (int, int, struct msqid_ds *))
ABSENT(int, -1, ENOSYS, msgsnd, (int, const void *, size_t, int))
ABSENT(ssize_t, -1, ENOSYS, msgrcv, (int, void *, size_t, long, int))
ABSENT(int, -1, ENOSYS, semget, (key_t, int, int))
ABSENT(int, -1, ENOSYS, semctl, (int, int, int, ...))
ABSENT(int, -1, ENOSYS, semop, (int, struct sembuf *, size_t))
ABSENT(int, -1, ENOSYS, semtimedop, (int, struct sembuf *, size_t, const struct timespec *))
ABSENT(int, -1, ENOSYS, shmget, (key_t, size_t, int))
ABSENT(int, -1, ENOSYS, shmctl, (int, int, struct shmid_ds *))
ABSENT(int, -1, ENOSYS, shmdt, (const void *))
ABSENT(void *, (void *)-1, ENOSYS, shmat, (int, const void *, int))
ABSENT(int, -1, ENOSYS, memfd_create, (const char *, unsigned))
ABSENT(ssize_t, -1, ENOSYS, copy_file_range, (int, off_t *, int, off_t *, size_t, unsigned))
ABSENT(long, -1, ENOSYS, syscall, (long, ...))

ABSENT(int, -1, EINVAL, timer_delete, (timer_t))
ABSENT(int, -1, EINVAL, timer_gettime, (timer_t, struct itimerspec *))
ABSENT(int, -1, EINVAL, timer_getoverrun, (timer_t))
ABSENT(int, -1, EINVAL, timer_settime,
       (timer_t, int, const struct itimerspec *restrict, struct itimerspec *restrict))
ABSENT(int, -1, EPERM, stime, (const time_t *))
ABSENT(int, -1, EPERM, adjtime, (const struct timeval *, struct timeval *))
ABSENT(int, -1, ENOSYS, sigpause, (int))
ABSENT(int, -1, ENOSYS, sched_setparam, (pid_t, const struct sched_param *))
ABSENT(int, -1, ENOSYS, sched_rr_get_interval, (pid_t, struct timespec *))
ANSWER(unsigned, 0, ualarm, (unsigned, unsigned))

ABSENT(int, -1, ENOSYS, posix_openpt, (int))
ABSENT(int, -1, ENOTTY, grantpt, (int))
ABSENT(int, -1, ENOTTY, unlockpt, (int))
ABSENT(char *, NULL, ENOTTY, ptsname, (int))
ANSWER(int, ENOTTY, ptsname_r, (int, char *, size_t))
ABSENT(int, -1, ENOSYS, openpty, (int *, int *, char *, const struct termios *, const struct winsize *))
ABSENT(pid_t, -1, ENOSYS, forkpty, (int *, char *, const struct termios *, const struct winsize *))
ABSENT(int, -1, ENOTTY, login_tty, (int))
ABSENT(int, -1, ENOTTY, tcflow, (int, int))
ABSENT(int, -1, ENOTTY, tcsendbreak, (int, int))
ABSENT(pid_t, -1, ENOTTY, tcgetsid, (int))
ABSENT(int, -1, ENOTTY, tcgetwinsize, (int, struct winsize *))
ABSENT(int, -1, ENOTTY, tcsetwinsize, (int, const struct winsize *))

ABSENT(char *, NULL, ENXIO, if_indextoname, (unsigned, char *))
ABSENT(struct if_nameindex *, NULL, ENOSYS, if_nameindex, (void))
NOTHING(if_freenameindex, (struct if_nameindex *))
ABSENT(int, -1, ENOSYS, getifaddrs, (struct ifaddrs **))
NOTHING(freeifaddrs, (struct ifaddrs *))
ANSWER(int, -1, res_init, (void))
ANSWER(int, -1, res_query, (const char *, int, int, unsigned char *, int))
ANSWER(int, -1, res_querydomain, (const char *, const char *, int, int, unsigned char *, int))
ANSWER(int, -1, res_search, (const char *, int, int, unsigned char *, int))
ANSWER(int, -1, res_send, (const unsigned char *, int, unsigned char *, int))
ANSWER(int, -1, res_mkquery,
       (int, const char *, int, int, const unsigned char *, int, const unsigned char *, unsigned char *, int))
ANSWER(struct hostent *, NULL, gethostbyname2, (const char *, int))

ANSWER(struct spwd *, NULL, getspnam, (const char *))
ANSWER(struct spwd *, NULL, getspent, (void))
NOTHING(setspent, (void))
NOTHING(endspent, (void))
ABSENT(int, -1, EPERM, chroot, (const char *))
ABSENT(int, -1, EPERM, acct, (const char *))

ABSENT(int, -1, ENOTSUP, setxattr, (const char *, const char *, const void *, size_t, int))
ABSENT(int, -1, ENOTSUP, lsetxattr, (const char *, const char *, const void *, size_t, int))
ABSENT(int, -1, ENOTSUP, fsetxattr, (int, const char *, const void *, size_t, int))
ABSENT(ssize_t, -1, ENOTSUP, getxattr, (const char *, const char *, void *, size_t))
ABSENT(ssize_t, -1, ENOTSUP, lgetxattr, (const char *, const char *, void *, size_t))
ABSENT(ssize_t, -1, ENOTSUP, fgetxattr, (int, const char *, void *, size_t))
ABSENT(ssize_t, -1, ENOTSUP, listxattr, (const char *, char *, size_t))
ABSENT(ssize_t, -1, ENOTSUP, llistxattr, (const char *, char *, size_t))
ABSENT(ssize_t, -1, ENOTSUP, flistxattr, (int, char *, size_t))
ABSENT(int, -1, ENOTSUP, removexattr, (const char *, const char *))
ABSENT(int, -1, ENOTSUP, lremovexattr, (const char *, const char *))
ABSENT(int, -1, ENOTSUP, fremovexattr, (int, const char *))
ABSENT(int, -1, ENOSYS, statfs, (const char *, struct statfs *))
ABSENT(int, -1, ENOSYS, fstatfs, (int, struct statfs *))
ABSENT(unsigned long, 0, ENOENT, getauxval, (unsigned long))

/* Linux's own. Programs that have other ways try these first. */
ABSENT(ssize_t, -1, ENOSYS, splice, (int, off_t *, int, off_t *, size_t, unsigned))
ABSENT(ssize_t, -1, ENOSYS, vmsplice, (int, const struct iovec *, size_t, unsigned))
ABSENT(ssize_t, -1, ENOSYS, tee, (int, int, size_t, unsigned))
ABSENT(ssize_t, -1, ENOSYS, readahead, (int, off_t, size_t))
ABSENT(int, -1, ENOSYS, sync_file_range, (int, off_t, off_t, unsigned))
ABSENT(int, -1, ENOSYS, syncfs, (int))
ABSENT(int, -1, ENOSYS, statx, (int, const char *restrict, int, unsigned, struct statx *restrict))
ABSENT(int, -1, ENOSYS, getdents, (int, struct dirent *, size_t))
ABSENT(int, -1, ENOSYS, mincore, (void *, size_t, unsigned char *))
ABSENT(int, -1, ENOSYS, mlock2, (const void *, size_t, unsigned))
ABSENT(int, -1, ENOSYS, epoll_create, (int))
ABSENT(int, -1, ENOSYS, epoll_create1, (int))
ABSENT(int, -1, ENOSYS, epoll_ctl, (int, int, int, struct epoll_event *))
ABSENT(int, -1, ENOSYS, epoll_wait, (int, struct epoll_event *, int, int))
ABSENT(int, -1, ENOSYS, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))
ABSENT(int, -1, ENOSYS, eventfd, (unsigned, int))
ABSENT(int, -1, EBADF, eventfd_read, (int, eventfd_t *))
ABSENT(int, -1, EBADF, eventfd_write, (int, eventfd_t))
ABSENT(int, -1, ENOSYS, inotify_init, (void))
ABSENT(int, -1, ENOSYS, inotify_init1, (int))
ABSENT(int, -1, EBADF, inotify_add_watch, (int, const char *, uint32_t))
ABSENT(int, -1, EBADF, inotify_rm_watch, (int, int))
ABSENT(int, -1, ENOSYS, signalfd, (int, const sigset_t *, int))
ABSENT(int, -1, ENOSYS, timerfd_create, (int, int))
ABSENT(int, -1, EBADF, timerfd_settime, (int, int, const struct itimerspec *, struct itimerspec *))
ABSENT(int, -1, EBADF, timerfd_gettime, (int, struct itimerspec *))
ABSENT(int, -1, ENOSYS, recvmmsg, (int, struct mmsghdr *, unsigned, unsigned, struct timespec *))
ABSENT(int, -1, ENOSYS, sendmmsg, (int, struct mmsghdr *, unsigned, unsigned))
ABSENT(int, -1, ENOSYS, clone, (int (*)(void *), void *, int, void *, ...))
ABSENT(int, -1, EPERM, unshare, (int))
ABSENT(int, -1, EPERM, setns, (int, int))
ABSENT(int, -1, EPERM, mount, (const char *, const char *, const char *, unsigned long, const void *))
ABSENT(int, -1, EPERM, umount, (const char *))
ABSENT(int, -1, EPERM, umount2, (const char *, int))
ABSENT(int, -1, EPERM, reboot, (int))
ABSENT(int, -1, EPERM, sethostname, (const char *, size_t))
ABSENT(int, -1, EPERM, setdomainname, (const char *, size_t))
ABSENT(int, -1, EPERM, adjtimex, (struct timex *))
ABSENT(int, -1, EPERM, clock_adjtime, (clockid_t, struct timex *))
ABSENT(int, -1, ENOSYS, personality, (unsigned long))
ABSENT(int, -1, ENOSYS, membarrier, (int, int))

/* No object is loaded but the program, and nobody can look at its frames. */
ANSWER(int, 0, dladdr, (const void *, Dl_info *))
ANSWER(int, -1, dlinfo, (void *, int, void *))
ANSWER(int, 0, dl_iterate_phdr, (int (*)(struct dl_phdr_info *, size_t, void *), void *))
ANSWER(_Unwind_Reason_Code, _URC_END_OF_STACK, _Unwind_Backtrace, (_Unwind_Trace_Fn, void *))

ANSWER(int, WRDE_NOSYS, wordexp, (const char *restrict, wordexp_t *restrict, int))
NOTHING(wordfree, (wordexp_t *))

ANSWER(int, ENOSYS, pthread_mutexattr_setprioceiling, (pthread_mutexattr_t *, int))
ANSWER(int, ENOSYS, pthread_mutexattr_getprioceiling, (const pthread_mutexattr_t *restrict, int *restrict))

int sigtimedwait(const sigset_t *restrict set, siginfo_t *restrict ret_info, const struct timespec *restrict limit)
{
    int sig, error = sigwait(set, &sig);

    if (error) {
        errno = limit ? EAGAIN : error;
        return -1;
    }
    if (ret_info)
        *ret_info = (siginfo_t){.si_signo = sig};
    return sig;
}

int sigwaitinfo(const sigset_t *restrict set, siginfo_t *restrict ret_info)
{
    return sigtimedwait(set, ret_info, NULL);
}

/* Names of threads are accepted, as by pthread_setname_np. */
int prctl(int option, ...)
{
    if (option == PR_SET_NAME)
        return 0;
    errno = EINVAL;
    return -1;
}

int lchmod(const char *path, mode_t mode)
{
    return fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
}

int getgrouplist(const char *name, gid_t id, gid_t *ret_ids, int *count)
{
    int room = *count;

    *count = 1;
    if (room < 1)
        return -1;
    ret_ids[0] = id;
    return 1;
}

int gethostbyname_r(const char *name, struct hostent *ret_host, char *buf, size_t size, struct hostent **ret_found,
                    int *ret_error)
{
    *ret_found = NULL;
    *ret_error = HOST_NOT_FOUND;
    return 0;
}

int gethostbyname2_r(const char *name, int family, struct hostent *ret_host, char *buf, size_t size,
                     struct hostent **ret_found, int *ret_error)
{
    return gethostbyname_r(name, ret_host, buf, size, ret_found, ret_error);
}

int gethostbyaddr_r(const void *address, socklen_t length, int family, struct hostent *ret_host, char *buf, size_t size,
                    struct hostent **ret_found, int *ret_error)
{
    return gethostbyname_r(NULL, ret_host, buf, size, ret_found, ret_error);
}

int getservbyname_r(const char *name, const char *protocol, struct servent *ret_service, char *buf, size_t size,
                    struct servent **ret_found)
{
    *ret_found = NULL;
    return ENOENT;
}

int getservbyport_r(int port, const char *protocol, struct servent *ret_service, char *buf, size_t size,
                    struct servent **ret_found)
{
    *ret_found = NULL;
    return ENOENT;
}

int getspnam_r(const char *name, struct spwd *ret_user, char *buf, size_t size, struct spwd **ret_found)
{
    *ret_found = NULL;
    return 0;
}

int pthread_attr_getinheritsched(const pthread_attr_t *restrict attributes, int *restrict ret_inherit)
{
    *ret_inherit = PTHREAD_INHERIT_SCHED;
    return 0;
}

int pthread_attr_getschedpolicy(const pthread_attr_t *restrict attributes, int *restrict ret_policy)
{
    *ret_policy = SCHED_OTHER;
    return 0;
}

int pthread_attr_getscope(const pthread_attr_t *restrict attributes, int *restrict ret_scope)
{
    *ret_scope = PTHREAD_SCOPE_SYSTEM;
    return 0;
}
