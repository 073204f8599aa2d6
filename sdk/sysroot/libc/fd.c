/* Descriptors: what WASI preview 1 has no call for. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>
#include <wasi/libc.h>
#include <libc/sys/stat/stat_impl.h>

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

/* WASI has one type for pipes and sockets, but only sockets can be shut down or accept. */
int fstat(int fd, struct stat *ret_stat)
{
    __wasi_filestat_t stat;
    __wasi_fdstat_t rights;
    __wasi_errno_t error = __wasi_fd_filestat_get((__wasi_fd_t)fd, &stat);

    if (error != 0) {
        errno = error;
        return -1;
    }
    to_public_stat(&stat, ret_stat);
    if (stat.filetype == __WASI_FILETYPE_SOCKET_STREAM && __wasi_fd_fdstat_get((__wasi_fd_t)fd, &rights) == 0 &&
        !(rights.fs_rights_base & (__WASI_RIGHTS_SOCK_SHUTDOWN | __WASI_RIGHTS_SOCK_ACCEPT)))
        ret_stat->st_mode = S_IFIFO | 0600;
    return 0;
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
