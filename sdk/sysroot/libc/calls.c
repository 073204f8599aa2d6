/* WASI's calls that treat the descriptors of descriptors.h differently from the host's. The calls themselves are
 * wasi-libc's under other names (unpack.sh). */
#include <stdbool.h>
#include "descriptors.h"

int __descriptors_used;

#define WEAK __attribute__((__weak__))
WEAK struct open_file *__descriptor_virtual(int fd);
WEAK __wasi_errno_t __descriptor_close(int fd);
WEAK __wasi_errno_t __descriptor_adopt(__wasi_fd_t *fd);
WEAK __wasi_errno_t __descriptor_move(int fd, int to);
WEAK __wasi_errno_t __descriptor_poll(const __wasi_subscription_t *in, __wasi_event_t *out, size_t n,
                                      __wasi_size_t *ret_n);
WEAK __wasi_errno_t __pipe_read(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size);
WEAK __wasi_errno_t __pipe_write(struct open_file *f, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size);
WEAK __wasi_errno_t __pipe_receive(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_riflags_t how,
                                   __wasi_size_t *ret_size);
WEAK __wasi_errno_t __pipe_shutdown(struct open_file *f, __wasi_sdflags_t how);
WEAK __wasi_errno_t __device_read(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size);
WEAK __wasi_errno_t __device_write(struct open_file *f, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size);
/* Of cwd.c, where the program goes into folders by descriptor. */
WEAK void __folder_opened(int fd, int dir, const char *path);

static struct open_file *virtual(__wasi_fd_t fd)
{
    return __descriptors_used ? __descriptor_virtual((int)fd) : NULL;
}

static __wasi_errno_t virtual_read(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    if (!f->reads)
        return __WASI_ERRNO_BADF;
    return f->kind == OPEN_PIPE ? __pipe_read(f, v, n, ret_size) : __device_read(f, v, n, ret_size);
}

static __wasi_errno_t virtual_write(struct open_file *f, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    if (!f->writes)
        return __WASI_ERRNO_BADF;
    return f->kind == OPEN_PIPE ? __pipe_write(f, v, n, ret_size) : __device_write(f, v, n, ret_size);
}

__wasi_errno_t __host_fd_read(__wasi_fd_t fd, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size);
__wasi_errno_t __wasi_fd_read(__wasi_fd_t fd, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    struct open_file *f = virtual(fd);

    return f ? virtual_read(f, v, n, ret_size) : __host_fd_read(fd, v, n, ret_size);
}

__wasi_errno_t __host_fd_write(__wasi_fd_t fd, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size);
__wasi_errno_t __wasi_fd_write(__wasi_fd_t fd, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    struct open_file *f = virtual(fd);

    return f ? virtual_write(f, v, n, ret_size) : __host_fd_write(fd, v, n, ret_size);
}

__wasi_errno_t __host_fd_pread(__wasi_fd_t fd, const __wasi_iovec_t *v, size_t n, __wasi_filesize_t offset,
                               __wasi_size_t *ret_size);
__wasi_errno_t __wasi_fd_pread(__wasi_fd_t fd, const __wasi_iovec_t *v, size_t n, __wasi_filesize_t offset,
                               __wasi_size_t *ret_size)
{
    struct open_file *f = virtual(fd);

    if (f)
        return f->kind == OPEN_PIPE ? __WASI_ERRNO_SPIPE : virtual_read(f, v, n, ret_size);
    return __host_fd_pread(fd, v, n, offset, ret_size);
}

__wasi_errno_t __host_fd_pwrite(__wasi_fd_t fd, const __wasi_ciovec_t *v, size_t n, __wasi_filesize_t offset,
                                __wasi_size_t *ret_size);
__wasi_errno_t __wasi_fd_pwrite(__wasi_fd_t fd, const __wasi_ciovec_t *v, size_t n, __wasi_filesize_t offset,
                                __wasi_size_t *ret_size)
{
    struct open_file *f = virtual(fd);

    if (f)
        return f->kind == OPEN_PIPE ? __WASI_ERRNO_SPIPE : virtual_write(f, v, n, ret_size);
    return __host_fd_pwrite(fd, v, n, offset, ret_size);
}

__wasi_errno_t __host_fd_seek(__wasi_fd_t fd, __wasi_filedelta_t offset, __wasi_whence_t whence,
                              __wasi_filesize_t *ret_offset);
__wasi_errno_t __wasi_fd_seek(__wasi_fd_t fd, __wasi_filedelta_t offset, __wasi_whence_t whence,
                              __wasi_filesize_t *ret_offset)
{
    struct open_file *f = virtual(fd);

    if (!f)
        return __host_fd_seek(fd, offset, whence, ret_offset);
    if (f->kind == OPEN_PIPE)
        return __WASI_ERRNO_SPIPE;
    *ret_offset = 0;
    return 0;
}

__wasi_errno_t __host_fd_tell(__wasi_fd_t fd, __wasi_filesize_t *ret_offset);
__wasi_errno_t __wasi_fd_tell(__wasi_fd_t fd, __wasi_filesize_t *ret_offset)
{
    return virtual(fd) ? __wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, ret_offset) : __host_fd_tell(fd, ret_offset);
}

__wasi_errno_t __wasi_fd_close(__wasi_fd_t fd)
{
    return __descriptors_used && !(fd & DESCRIPTOR_HOST) ? __descriptor_close((int)fd) : __host_fd_close(fd);
}

/* A character device that can be seeked is no terminal. */
__wasi_errno_t __wasi_fd_fdstat_get(__wasi_fd_t fd, __wasi_fdstat_t *ret_stat)
{
    struct open_file *f = virtual(fd);

    if (!f)
        return __host_fd_fdstat_get(fd, ret_stat);
    *ret_stat = (__wasi_fdstat_t){
        .fs_filetype = f->kind == OPEN_PIPE ? __WASI_FILETYPE_SOCKET_STREAM : __WASI_FILETYPE_CHARACTER_DEVICE,
        .fs_flags = f->flags,
        .fs_rights_base = (f->reads ? __WASI_RIGHTS_FD_READ : 0) | (f->writes ? __WASI_RIGHTS_FD_WRITE : 0) |
                          (f->socket ? __WASI_RIGHTS_SOCK_SHUTDOWN : 0) |
                          (f->kind == OPEN_PIPE ? 0 : __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL),
    };
    return 0;
}

__wasi_errno_t __host_fd_fdstat_set_flags(__wasi_fd_t fd, __wasi_fdflags_t flags);
__wasi_errno_t __wasi_fd_fdstat_set_flags(__wasi_fd_t fd, __wasi_fdflags_t flags)
{
    struct open_file *f = virtual(fd);

    if (!f)
        return __host_fd_fdstat_set_flags(fd, flags);
    f->flags = flags;
    return 0;
}

__wasi_errno_t __host_fd_filestat_get(__wasi_fd_t fd, __wasi_filestat_t *ret_stat);
__wasi_errno_t __wasi_fd_filestat_get(__wasi_fd_t fd, __wasi_filestat_t *ret_stat)
{
    struct open_file *f = virtual(fd);

    if (!f)
        return __host_fd_filestat_get(fd, ret_stat);
    *ret_stat = (__wasi_filestat_t){
        .dev = f->kind == OPEN_PIPE ? UINT64_MAX : UINT64_MAX - 1,
        .ino = f->kind == OPEN_PIPE ? f->number : f->kind,
        .filetype = f->kind == OPEN_PIPE ? __WASI_FILETYPE_SOCKET_STREAM : __WASI_FILETYPE_CHARACTER_DEVICE,
        .nlink = 1,
    };
    return 0;
}

__wasi_errno_t __host_fd_sync(__wasi_fd_t fd);
__wasi_errno_t __wasi_fd_sync(__wasi_fd_t fd)
{
    return virtual(fd) ? __WASI_ERRNO_INVAL : __host_fd_sync(fd);
}

__wasi_errno_t __host_fd_datasync(__wasi_fd_t fd);
__wasi_errno_t __wasi_fd_datasync(__wasi_fd_t fd)
{
    return virtual(fd) ? __WASI_ERRNO_INVAL : __host_fd_datasync(fd);
}

__wasi_errno_t __host_fd_filestat_set_size(__wasi_fd_t fd, __wasi_filesize_t size);
__wasi_errno_t __wasi_fd_filestat_set_size(__wasi_fd_t fd, __wasi_filesize_t size)
{
    return virtual(fd) ? __WASI_ERRNO_INVAL : __host_fd_filestat_set_size(fd, size);
}

__wasi_errno_t __wasi_fd_renumber(__wasi_fd_t fd, __wasi_fd_t to)
{
    return __descriptors_used ? __descriptor_move((int)fd, (int)to) : __host_fd_renumber(fd, to);
}

__wasi_errno_t __host_path_open(__wasi_fd_t fd, __wasi_lookupflags_t lookup, const char *path, __wasi_oflags_t how,
                                __wasi_rights_t rights, __wasi_rights_t inheriting, __wasi_fdflags_t flags,
                                __wasi_fd_t *ret_fd);
__wasi_errno_t __wasi_path_open(__wasi_fd_t fd, __wasi_lookupflags_t lookup, const char *path, __wasi_oflags_t how,
                                __wasi_rights_t rights, __wasi_rights_t inheriting, __wasi_fdflags_t flags,
                                __wasi_fd_t *ret_fd)
{
    __wasi_errno_t error = __host_path_open(fd, lookup, path, how, rights, inheriting, flags, ret_fd);

    if (error == 0 && __descriptors_used)
        error = __descriptor_adopt(ret_fd);
    if (error == 0 && __folder_opened)
        __folder_opened((int)*ret_fd, (int)fd, path);
    return error;
}

__wasi_errno_t __host_sock_accept(__wasi_fd_t fd, __wasi_fdflags_t flags, __wasi_fd_t *ret_fd);
__wasi_errno_t __wasi_sock_accept(__wasi_fd_t fd, __wasi_fdflags_t flags, __wasi_fd_t *ret_fd)
{
    __wasi_errno_t error = virtual(fd) ? __WASI_ERRNO_INVAL : __host_sock_accept(fd, flags, ret_fd);

    return error == 0 && __descriptors_used ? __descriptor_adopt(ret_fd) : error;
}

__wasi_errno_t __host_sock_recv(__wasi_fd_t fd, const __wasi_iovec_t *v, size_t n, __wasi_riflags_t how,
                                __wasi_size_t *ret_size, __wasi_roflags_t *ret_flags);
__wasi_errno_t __wasi_sock_recv(__wasi_fd_t fd, const __wasi_iovec_t *v, size_t n, __wasi_riflags_t how,
                                __wasi_size_t *ret_size, __wasi_roflags_t *ret_flags)
{
    struct open_file *f = virtual(fd);

    if (!f)
        return __host_sock_recv(fd, v, n, how, ret_size, ret_flags);
    if (!f->in || !f->socket)
        return __WASI_ERRNO_NOTSOCK;
    *ret_flags = 0;
    return __pipe_receive(f, v, n, how, ret_size);
}

__wasi_errno_t __host_sock_send(__wasi_fd_t fd, const __wasi_ciovec_t *v, size_t n, __wasi_siflags_t how,
                                __wasi_size_t *ret_size);
__wasi_errno_t __wasi_sock_send(__wasi_fd_t fd, const __wasi_ciovec_t *v, size_t n, __wasi_siflags_t how,
                                __wasi_size_t *ret_size)
{
    struct open_file *f = virtual(fd);

    if (!f)
        return __host_sock_send(fd, v, n, how, ret_size);
    return f->socket ? __pipe_write(f, v, n, ret_size) : __WASI_ERRNO_NOTSOCK;
}

__wasi_errno_t __host_sock_shutdown(__wasi_fd_t fd, __wasi_sdflags_t how);
__wasi_errno_t __wasi_sock_shutdown(__wasi_fd_t fd, __wasi_sdflags_t how)
{
    struct open_file *f = virtual(fd);

    if (!f)
        return __host_sock_shutdown(fd, how);
    return f->socket ? __pipe_shutdown(f, how) : __WASI_ERRNO_NOTSOCK;
}

__wasi_errno_t __wasi_poll_oneoff(const __wasi_subscription_t *in, __wasi_event_t *out, size_t n,
                                  __wasi_size_t *ret_n)
{
    return __descriptors_used ? __descriptor_poll(in, out, n, ret_n) : __host_poll_oneoff(in, out, n, ret_n);
}
