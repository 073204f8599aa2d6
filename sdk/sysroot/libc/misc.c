/* Terminals, logs, message catalogues: what programs call in passing, and what has no counterpart in a cell. Messages
 * are those of the program. */
#include <errno.h>
#include <fcntl.h>
#include <libintl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <syslog.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int refused(int error)
{
    errno = error;
    return -1;
}

int tcgetattr(int fd, struct termios *ret_state)
{
    (void)fd;
    (void)ret_state;
    return refused(ENOTTY);
}

int tcsetattr(int fd, int when, const struct termios *state)
{
    (void)fd;
    (void)when;
    (void)state;
    return refused(ENOTTY);
}

int tcflush(int fd, int queue)
{
    (void)fd;
    (void)queue;
    return refused(ENOTTY);
}

int tcdrain(int fd)
{
    (void)fd;
    return refused(ENOTTY);
}

char *ttyname(int fd)
{
    (void)fd;
    errno = ENOTTY;
    return NULL;
}

int ttyname_r(int fd, char *buf, size_t size)
{
    (void)fd;
    (void)buf;
    (void)size;
    return ENOTTY;
}

void openlog(const char *name, int options, int facility)
{
    (void)name;
    (void)options;
    (void)facility;
}

void closelog(void)
{
}

int setlogmask(int mask)
{
    (void)mask;
    return 0xff;
}

void vsyslog(int priority, const char *format, va_list args)
{
    (void)priority;
    (void)format;
    (void)args;
}

void syslog(int priority, const char *format, ...)
{
    (void)priority;
    (void)format;
}

char *dcngettext(const char *domain, const char *one, const char *many, unsigned long n, int category)
{
    (void)domain;
    (void)category;
    return (char *)(n == 1 ? one : many);
}

char *dngettext(const char *domain, const char *one, const char *many, unsigned long n)
{
    return dcngettext(domain, one, many, n, 0);
}

char *ngettext(const char *one, const char *many, unsigned long n)
{
    return dcngettext(NULL, one, many, n, 0);
}

char *dcgettext(const char *domain, const char *text, int category)
{
    return dcngettext(domain, text, text, 1, category);
}

char *dgettext(const char *domain, const char *text)
{
    return dcngettext(domain, text, text, 1, 0);
}

char *gettext(const char *text)
{
    return dcngettext(NULL, text, text, 1, 0);
}

char *textdomain(const char *domain)
{
    return (char *)(domain ? domain : "messages");
}

char *bindtextdomain(const char *domain, const char *dir)
{
    (void)domain;
    return (char *)dir;
}

char *bind_textdomain_codeset(const char *domain, const char *codeset)
{
    (void)domain;
    (void)codeset;
    return NULL;
}

int settimeofday(const struct timeval *tv, const struct timezone *zone)
{
    (void)tv;
    (void)zone;
    return refused(EPERM);
}

int timer_create(clockid_t clock, struct sigevent *restrict event, timer_t *restrict ret_timer)
{
    (void)clock;
    (void)event;
    (void)ret_timer;
    return refused(ENOSYS);
}

int sched_getcpu(void)
{
    return 0;
}

int pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *ret_set)
{
    (void)thread;
    return sched_getaffinity(0, size, ret_set) == 0 ? 0 : errno;
}

int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *set)
{
    (void)thread;
    return sched_setaffinity(0, size, set) == 0 ? 0 : errno;
}

/* The memory of a cell is what it can ever have. */
int sysinfo(struct sysinfo *ret_info)
{
    memset(ret_info, 0, sizeof *ret_info);
    ret_info->totalram = 65535;
    ret_info->freeram = 65535 - __builtin_wasm_memory_size(0);
    ret_info->mem_unit = 65536;
    ret_info->procs = 1;
    return 0;
}

int prlimit(pid_t pid, int resource, const struct rlimit *new, struct rlimit *ret_old)
{
    if (pid != 0 && pid != getpid())
        return refused(ESRCH);
    if (ret_old && getrlimit(resource, ret_old) != 0)
        return -1;
    return new ? setrlimit(resource, new) : 0;
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

void *valloc(size_t size)
{
    return aligned_alloc(4096, size);
}

/* A copy through the cell: WASI has no call that moves bytes between descriptors. */
ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
    char buf[16384];
    ssize_t got, put = 0, n;

    if (size > sizeof buf)
        size = sizeof buf;
    got = offset ? pread(in, buf, size, *offset) : read(in, buf, size);
    if (got <= 0)
        return got;
    while (put < got) {
        n = write(out, buf + put, (size_t)(got - put));
        if (n < 0)
            break;
        put += n;
    }
    if (offset)
        *offset += put;
    else if (put < got)
        (void)lseek(in, put - got, SEEK_CUR);
    return put > 0 ? put : -1;
}

int euidaccess(const char *path, int mode)
{
    return access(path, mode);
}

int eaccess(const char *path, int mode)
{
    return access(path, mode);
}

int mknodat(int dir, const char *path, mode_t mode, dev_t dev)
{
    (void)dir;
    (void)path;
    (void)mode;
    (void)dev;
    return refused(ENOSYS);
}

int mkfifoat(int dir, const char *path, mode_t mode)
{
    return mknodat(dir, path, mode, 0);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    int error;

    if (mode != 0)
        return refused(EOPNOTSUPP);
    error = posix_fallocate(fd, offset, size);
    return error ? refused(error) : 0;
}

#ifndef _REENTRANT
void flockfile(FILE *f)
{
    (void)f;
}

int ftrylockfile(FILE *f)
{
    (void)f;
    return 0;
}

void funlockfile(FILE *f)
{
    (void)f;
}
#endif
