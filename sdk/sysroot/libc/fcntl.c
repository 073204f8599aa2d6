/* fcntl and file locks. WASI has no locks: a lock is always granted, which is right inside one cell; cells that
 * share a directory have to agree by other means (docs/user/compile.md). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>
#include "descriptors.h"

static int get_flags(int fd)
{
    __wasi_fdstat_t stat;
    __wasi_errno_t error = __wasi_fd_fdstat_get((__wasi_fd_t)fd, &stat);
    int flags;

    if (error != 0) {
        errno = error;
        return -1;
    }
    flags = stat.fs_flags;
    if (stat.fs_rights_base & (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR))
        flags |= stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE ? O_RDWR : O_RDONLY;
    else
        flags |= stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE ? O_WRONLY : O_SEARCH;
    return flags;
}

static int is_open(int fd)
{
    __wasi_fdstat_t stat;
    __wasi_errno_t error = __wasi_fd_fdstat_get((__wasi_fd_t)fd, &stat);

    if (error == 0)
        return 1;
    errno = error;
    return 0;
}

int dup(int fd)
{
    return __descriptor_copy(fd, 0);
}

int dup2(int fd, int to)
{
    return __descriptor_copy_to(fd, to);
}

int dup3(int fd, int to, int flags)
{
    if (fd == to || (flags & ~O_CLOEXEC)) {
        errno = EINVAL;
        return -1;
    }
    return dup2(fd, to);
}

int fcntl(int fd, int cmd, ...)
{
    va_list ap;
    struct flock *lock = NULL;
    int flags = 0;

    va_start(ap, cmd);
    if (cmd == F_GETLK || cmd == F_SETLK || cmd == F_SETLKW)
        lock = va_arg(ap, struct flock *);
    else if (cmd == F_SETFL || cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
        flags = va_arg(ap, int);
    va_end(ap);
    switch (cmd) {
    case F_GETFD:
        return is_open(fd) ? FD_CLOEXEC : -1;
    case F_SETFD:
        return is_open(fd) ? 0 : -1;
    case F_GETFL:
        return get_flags(fd);
    case F_SETFL: {
        __wasi_errno_t error = __wasi_fd_fdstat_set_flags((__wasi_fd_t)fd, (__wasi_fdflags_t)(flags & 0xfff));

        if (error == 0)
            return 0;
        errno = error;
        return -1;
    }
    case F_GETLK:
        if (!is_open(fd))
            return -1;
        lock->l_type = F_UNLCK;
        return 0;
    case F_SETLK:
    case F_SETLKW:
        return is_open(fd) ? 0 : -1;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (flags < 0 || flags >= DESCRIPTORS_MAX) {
            errno = EINVAL;
            return -1;
        }
        return __descriptor_copy(fd, flags);
    default:
        errno = EINVAL;
        return -1;
    }
}

int flock(int fd, int operation)
{
    (void)operation;
    return is_open(fd) ? 0 : -1;
}

int lockf(int fd, int operation, off_t size)
{
    (void)operation;
    (void)size;
    return is_open(fd) ? 0 : -1;
}
