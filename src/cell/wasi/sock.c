#include "guest.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sockets that the host handed in, and connections accepted from them. */

/* The listening socket never blocks (see wasi_new), so that a connection which another process took
 * between the wait and the accept does not hold the guest. */
static enum wasi_errno accept_one(void *ctx, const struct file_use *u, int *ret_fd)
{
    for (;;) {
        int fd = accept4(u->file->host_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            *ret_fd = fd;
            return WASI_OK;
        }
        if (errno == EMFILE) {
            return WASI_NFILE; /* the process's limit, not the guest's */
        }
        if (errno != EAGAIN && errno != EINTR) {
            return wasi_errno_from_host(errno);
        }
        if (errno == EAGAIN && (u->flags & FDFLAG_NONBLOCK)) {
            return WASI_AGAIN;
        }
        enum wasi_errno e = io_wait(ctx, u->file->host_fd, POLLIN);
        if (e != WASI_OK) {
            return e;
        }
    }
}

static enum wasi_errno accept_file(void *ctx, struct wasi *w, const struct file_use *u,
                                   uint16_t flags, uint32_t *ret_fd)
{
    int host_fd = -1, errnum = 0;
    if (fdtable_is_full(&w->files)) {
        return WASI_MFILE;
    }
    enum wasi_errno e = accept_one(ctx, u, &host_fd);
    if (e != WASI_OK) {
        return e;
    }
    struct file *f = file_new(host_fd, false, &errnum);
    if (f == NULL) {
        close(host_fd);
        return wasi_errno_from_host(errnum);
    }
    f->flags = flags;
    f->rights_base &= u->rights_inheriting;
    e = fdtable_add(&w->files, f, ret_fd);
    if (e != WASI_OK) {
        file_free(f);
    }
    return e;
}

int32_t wasi_sock_accept(void *ctx, void *env, uint32_t fd, uint32_t flags, uint32_t ret_fd)
{
    struct wasi *w = env;
    struct file_use u;
    uint32_t accepted = 0;
    uint8_t *out = host_range(ctx, ret_fd, 4);
    if (out == NULL) {
        return WASI_FAULT;
    }
    if ((flags & ~(uint32_t)FDFLAG_NONBLOCK) != 0) {
        return WASI_INVAL;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, RIGHT_SOCK_ACCEPT, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = accept_file(ctx, w, &u, (uint16_t)flags, &accepted);
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        put_le32(out, accepted);
    }
    return (int32_t)guest_waited(ctx, e);
}

/* As fdtable_use, for calls that only sockets have. */
static enum wasi_errno socket_use(struct wasi *w, uint32_t fd, uint64_t rights,
                                  struct file_use *ret_use)
{
    enum wasi_errno e = fdtable_use(&w->files, fd, 0, ret_use);
    if (e != WASI_OK) {
        return e;
    }
    enum file_kind kind = ret_use->file->kind;
    if (kind != FILE_SOCKET) {
        e = kind == FILE_LISTENER ? WASI_NOTCONN : WASI_NOTSOCK;
    } else if ((rights & ~ret_use->rights_base) != 0) {
        e = WASI_NOTCAPABLE;
    }
    if (e != WASI_OK) {
        file_put(&w->files, ret_use);
    }
    return e;
}

int32_t wasi_sock_recv(void *ctx, void *env, uint32_t fd, uint32_t iovs, uint32_t iovs_len,
                       uint32_t flags, uint32_t ret_len, uint32_t ret_flags)
{
    struct wasi *w = env;
    struct guest_iovs g;
    struct file_use u;
    struct io_request req = {.offset = IO_AT_OFFSET};
    uint32_t done = 0;
    uint8_t *out_len = host_range(ctx, ret_len, 4);
    uint8_t *out_flags = host_range(ctx, ret_flags, 2);
    if (out_len == NULL || out_flags == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = guest_iovs_load(ctx, iovs, iovs_len, &g);
    if (e == WASI_OK && (flags & ~(uint32_t)RIFLAGS_KNOWN) != 0) {
        e = WASI_INVAL;
    }
    if (e == WASI_OK) {
        e = socket_use(w, fd, RIGHT_FD_READ, &u);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    req.recv_flags = ((flags & RIFLAG_PEEK) ? MSG_PEEK : 0) |
                     ((flags & RIFLAG_WAITALL) ? MSG_WAITALL : 0);
    e = io_read(ctx, w, &u, &g, &req, &done);
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        put_le32(out_len, done);
        put_le16(out_flags, req.truncated ? ROFLAG_TRUNCATED : 0);
    }
    return (int32_t)e;
}

int32_t wasi_sock_send(void *ctx, void *env, uint32_t fd, uint32_t iovs, uint32_t iovs_len,
                       uint32_t flags, uint32_t ret_len)
{
    struct wasi *w = env;
    struct guest_iovs g;
    struct file_use u;
    struct io_request req = {.offset = IO_AT_OFFSET};
    uint32_t done = 0;
    uint8_t *out = host_range(ctx, ret_len, 4);
    enum wasi_errno e = out == NULL ? WASI_FAULT : guest_iovs_load(ctx, iovs, iovs_len, &g);
    if (e == WASI_OK && flags != 0) {
        e = WASI_INVAL;
    }
    if (e == WASI_OK) {
        e = socket_use(w, fd, RIGHT_FD_WRITE, &u);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = io_write(ctx, w, &u, &g, &req, &done);
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        put_le32(out, done);
    }
    return (int32_t)e;
}

int32_t wasi_sock_shutdown(void *ctx, void *env, uint32_t fd, uint32_t how)
{
    static const int host_how[] = {
        [SDFLAG_RD] = SHUT_RD, [SDFLAG_WR] = SHUT_WR, [SDFLAG_RD | SDFLAG_WR] = SHUT_RDWR};
    struct wasi *w = env;
    struct file_use u;
    (void)ctx;
    enum wasi_errno e = socket_use(w, fd, RIGHT_SOCK_SHUTDOWN, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    if (how == 0 || how > (SDFLAG_RD | SDFLAG_WR)) {
        e = WASI_INVAL;
    } else if (shutdown(u.file->host_fd, host_how[how]) != 0) {
        e = wasi_errno_from_host(errno);
    }
    file_put(&w->files, &u);
    return (int32_t)e;
}
