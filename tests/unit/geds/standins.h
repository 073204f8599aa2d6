#ifndef TEST_STANDINS_H
#define TEST_STANDINS_H

#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Calls that stand in for libc's, for SQLite as well. Each asks first whether this one fails, with errno set. */
static bool is_fault(void);

/* 0: what only the end of a process is to show needs no disk. */
#ifndef STANDINS_SYNC
#define STANDINS_SYNC 1
#endif

#define STANDS_IN __attribute__((visibility("default")))

STANDS_IN int fsync(int fd)
{
    return is_fault() ? -1 : STANDINS_SYNC ? (int)syscall(SYS_fsync, fd) : 0;
}

STANDS_IN int fdatasync(int fd)
{
    return is_fault() ? -1 : STANDINS_SYNC ? (int)syscall(SYS_fdatasync, fd) : 0;
}

STANDS_IN ssize_t pwrite(int fd, const void *data, size_t len, off_t off)
{
    return is_fault() ? -1 : syscall(SYS_pwrite64, fd, data, len, off);
}

STANDS_IN ssize_t pwrite64(int fd, const void *data, size_t len, off64_t off)
{
    return is_fault() ? -1 : syscall(SYS_pwrite64, fd, data, len, off);
}

STANDS_IN int ftruncate(int fd, off_t len)
{
    return is_fault() ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

STANDS_IN int ftruncate64(int fd, off64_t len)
{
    return is_fault() ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

STANDS_IN int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return is_fault() ? -1 : (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

STANDS_IN int unlinkat(int fd, const char *name, int flags)
{
    return is_fault() ? -1 : (int)syscall(SYS_unlinkat, fd, name, flags);
}

#endif
