/* Descriptors: what WASI preview 1 has no call for. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>
#include <wasi/libc.h>

/* Of mman.c, where the program maps files. */
__attribute__((__weak__)) int __mapping_takes_over(int fd);

int close(int fd)
{
    __wasi_errno_t error;
    int mapped = __mapping_takes_over ? __mapping_takes_over(fd) : 0;

    if (mapped > 0)
        return 0;
    if (mapped < 0) {
        errno = EBADF;
        return -1;
    }

    /* The grants are found by walking the descriptors, which must be done before one is closed. */
    __wasilibc_populate_preopens();
    error = __wasi_fd_close((__wasi_fd_t)fd);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return 0;
}

int dup2(int fd, int to)
{
    struct stat st;

    if (fd == to)
        return fstat(fd, &st) == 0 ? to : -1;
    errno = ENOSYS;
    return -1;
}

int dup3(int fd, int to, int flags)
{
    (void)fd;
    (void)to;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

int pipe(int fds[2])
{
    (void)fds;
    errno = ENOSYS;
    return -1;
}

int pipe2(int fds[2], int flags)
{
    (void)flags;
    return pipe(fds);
}

int fchdir(int fd)
{
    (void)fd;
    errno = ENOSYS;
    return -1;
}

int mknod(const char *path, mode_t mode, dev_t dev)
{
    (void)path;
    (void)mode;
    (void)dev;
    errno = ENOSYS;
    return -1;
}

int mkfifo(const char *path, mode_t mode)
{
    return mknod(path, mode, 0);
}

void sync(void)
{
}

int getdtablesize(void)
{
    return 1024;
}
