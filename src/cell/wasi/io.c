#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "before.h"
#include "object.h"

/* Moving bytes between descriptors and guest memory. The flags APPEND, DSYNC, RSYNC, SYNC and NONBLOCK are the
 * guest's own: they are applied to each call and never set on the host's open file, which others may share. */

/* True when one of events is there now. */
static bool is_ready(int host_fd, short events)
{
    struct pollfd p = {.fd = host_fd, .events = events};
    return poll(&p, 1, 0) > 0;
}

enum wasi_errno io_wait(void *ctx, int host_fd, short events)
{
    for (;;) {
        struct pollfd p = {.fd = host_fd, .events = events};
        if (!host_wait_begin(ctx)) {
            return WASI_INTR;
        }
        int n = poll(&p, 1, -1);
        int errnum = errno;
        host_block_end(ctx);
        if (n > 0) {
            return WASI_OK;
        }
        if (n < 0 && errnum != EINTR) {
            return wasi_errno_from_host(errnum);
        }
        if (!host_poll(ctx)) {
            return WASI_INTR;
        }
    }
}

/* ---- one system call; the result is a byte count or a negative errno ---- */

static ssize_t read_plain(const struct file_use *u, const struct piece *p, uint64_t offset)
{
    int fd = u->file->host_fd;
    if (u->file->object != NULL && u->file->object->staged == NULL) {
        return object_read(u->file, p, offset);
    }
    int errnum = u->file->object != NULL ? object_before_read(u->file, offset, p->bytes) : 0;
    if (errnum != 0) {
        return -errnum;
    }
    ssize_t n = offset == IO_AT_OFFSET ? readv(fd, p->iovs, p->count)
                                       : preadv(fd, p->iovs, p->count, (off_t)offset);
    return n < 0 ? -errno : n;
}

/* The same where the kernel (before Linux 4.16) or an emulator knows no flags: what others append in between is
 * overwritten then, but in a file that the host opened for appending. */
static ssize_t write_without_flags(int fd, const struct piece *p, off_t at, int flags)
{
    int host = fcntl(fd, F_GETFL);
    if ((flags & RWF_APPEND) != 0 && (host & O_APPEND) == 0 && lseek(fd, 0, SEEK_END) < 0) {
        return -1;
    }
    ssize_t n = at < 0 ? writev(fd, p->iovs, p->count) : pwritev(fd, p->iovs, p->count, at);
    bool syncs = n >= 0 && (flags & (RWF_DSYNC | RWF_SYNC)) != 0;
    return syncs && ((flags & RWF_SYNC) != 0 ? fsync(fd) : fdatasync(fd)) != 0 ? -1 : n;
}

static ssize_t write_plain(const struct file_use *u, const struct piece *p, uint64_t offset)
{
    int fd = u->file->host_fd;
    int flags = 0;
    int errnum = u->file->object != NULL ? object_before_write(u, offset, p->bytes) : 0;
    if (errnum != 0) {
        return -errnum;
    }
    if (u->flags & FDFLAG_DSYNC) {
        flags |= RWF_DSYNC;
    }
    if (u->flags & (FDFLAG_SYNC | FDFLAG_RSYNC)) {
        flags |= RWF_SYNC;
    }
    /* A write at a given place goes there even with APPEND, as POSIX has it. */
    if (offset == IO_AT_OFFSET && (u->flags & FDFLAG_APPEND)) {
        flags |= RWF_APPEND;
    }
    off_t at = offset == IO_AT_OFFSET ? -1 : (off_t)offset;
    ssize_t n = flags != 0 ? pwritev2(fd, p->iovs, p->count, at, flags)
                : at < 0   ? writev(fd, p->iovs, p->count)
                           : pwritev(fd, p->iovs, p->count, at);
    if (n < 0 && flags != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        n = write_without_flags(fd, p, at, flags);
    }
    return n < 0 ? -errno : n;
}

static ssize_t receive(const struct file_use *u, struct piece *p, struct io_request *req)
{
    struct msghdr msg = {.msg_iov = p->iovs, .msg_iovlen = (size_t)p->count};
    int flags = req->recv_flags | ((u->flags & FDFLAG_NONBLOCK) ? MSG_DONTWAIT : 0);
    ssize_t n = recvmsg(u->file->host_fd, &msg, flags);
    if (n < 0) {
        return -errno;
    }
    req->truncated = (msg.msg_flags & MSG_TRUNC) != 0;
    return n;
}

static ssize_t send_socket(const struct file_use *u, struct piece *p)
{
    struct msghdr msg = {.msg_iov = p->iovs, .msg_iovlen = (size_t)p->count};
    int flags = MSG_NOSIGNAL | ((u->flags & FDFLAG_NONBLOCK) ? MSG_DONTWAIT : 0);
    ssize_t n = sendmsg(u->file->host_fd, &msg, flags);
    return n < 0 ? -errno : n;
}

static ssize_t read_blocking(void *ctx, const struct file_use *u, struct piece *p,
                             struct io_request *req)
{
    if (!host_wait_begin(ctx)) {
        return -ECANCELED;
    }
    ssize_t n = u->file->kind == FILE_SOCKET ? receive(u, p, req) : read_plain(u, p, req->offset);
    host_block_end(ctx);
    return n;
}

static ssize_t write_blocking(void *ctx, const struct file_use *u, struct piece *p,
                              const struct io_request *req)
{
    if (!host_wait_begin(ctx)) {
        return -ECANCELED;
    }
    ssize_t n = u->file->kind == FILE_SOCKET ? send_socket(u, p) : write_plain(u, p, req->offset);
    host_block_end(ctx);
    return n;
}

/* A call on a stream failed: 0 to make it again. */
static enum wasi_errno retry_or_fail(void *ctx, const struct file_use *u, int errnum, short events)
{
    if (errnum == EINTR) {
        return host_poll(ctx) ? WASI_OK : WASI_INTR;
    }
    if (errnum == ECANCELED) { /* not begun */
        return WASI_INTR;
    }
    if (errnum == EAGAIN && !(u->flags & FDFLAG_NONBLOCK)) {
        /* The embedder's descriptor does not block, but the guest wants to. */
        return io_wait(ctx, u->file->host_fd, events);
    }
    return wasi_errno_from_host(errnum);
}

static enum wasi_errno read_piece(void *ctx, const struct file_use *u, struct piece *p,
                                  struct io_request *req, size_t *ret_n)
{
    if (u->file->kind == FILE_STREAM && (u->flags & FDFLAG_NONBLOCK) &&
        !is_ready(u->file->host_fd, POLLIN)) {
        return WASI_AGAIN;
    }
    for (;;) {
        ssize_t n = u->file->kind == FILE_PLAIN ? read_plain(u, p, req->offset)
                                                : read_blocking(ctx, u, p, req);
        if (n >= 0) {
            *ret_n = (size_t)n;
            return WASI_OK;
        }
        enum wasi_errno e = retry_or_fail(ctx, u, (int)-n, POLLIN);
        if (e != WASI_OK) {
            return e;
        }
    }
}

static enum wasi_errno write_piece(void *ctx, const struct file_use *u, struct piece *p,
                                   const struct io_request *req, size_t *ret_n)
{
    if (u->file->kind == FILE_STREAM && (u->flags & FDFLAG_NONBLOCK) &&
        !is_ready(u->file->host_fd, POLLOUT)) {
        return WASI_AGAIN;
    }
    for (;;) {
        ssize_t n = u->file->kind == FILE_PLAIN ? write_plain(u, p, req->offset)
                                                : write_blocking(ctx, u, p, req);
        if (n >= 0) {
            *ret_n = (size_t)n;
            return WASI_OK;
        }
        enum wasi_errno e = retry_or_fail(ctx, u, (int)-n, POLLOUT);
        if (e != WASI_OK) {
            return e;
        }
    }
}

static bool io_offset_ok(const struct io_request *req, const struct guest_iovs *g)
{
    return req->offset == IO_AT_OFFSET || req->offset <= (uint64_t)INT64_MAX - g->left;
}

/* Behind what was moved before a capture, when the call is made again; the number of bytes. */
static uint32_t io_begin(struct wasi *w, struct guest_iovs *g, struct io_request *req)
{
    uint64_t moved = w->progress < g->left ? w->progress : g->left;
    w->progress = 0;
    guest_iovs_advance(g, (size_t)moved);
    if (req->offset != IO_AT_OFFSET) {
        req->offset += moved;
    }
    return (uint32_t)moved;
}

/* stopped: by a request, with something left. */
static enum wasi_errno io_end(void *ctx, struct wasi *w, bool stopped, uint32_t total,
                              enum wasi_errno e)
{
    if (stopped && host_wait_again(ctx)) {
        w->progress = total;
        return WASI_INTR;
    }
    return total > 0 ? WASI_OK : e;
}

enum wasi_errno io_read(void *ctx, struct wasi *w, const struct file_use *u, struct guest_iovs *g,
                        struct io_request *req, uint32_t *ret_bytes)
{
    /* A look at what is there (MSG_PEEK) would see the same bytes again. */
    bool whole = u->file->kind == FILE_PLAIN ||
                 (req->recv_flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;
    enum wasi_errno e = WASI_OK;
    bool stopped = false;
    if (!io_offset_ok(req, g)) {
        return WASI_INVAL;
    }
    uint32_t total = io_begin(w, g, req);
    do {
        struct piece p;
        size_t n = 0;
        e = guest_iovs_piece(ctx, g, WASI_PIECE_BYTES_MAX, &p);
        if (e == WASI_OK) {
            e = read_piece(ctx, u, &p, req, &n);
        }
        if (e != WASI_OK) {
            break;
        }
        guest_iovs_advance(g, n);
        total += (uint32_t)n;
        if (req->offset != IO_AT_OFFSET) {
            req->offset += n;
        }
        if (n < p.bytes) {
            break;
        }
        stopped = whole && g->left > 0 && !host_wait_poll(ctx);
    } while (whole && g->left > 0 && !stopped);
    *ret_bytes = total;
    return io_end(ctx, w, stopped || e == WASI_INTR, total, e);
}

/* How much of bytes may still be written to the outputs; it counts as written until given back. */
static size_t output_take(struct wasi *w, const struct file_use *u, size_t bytes)
{
    if (!u->file->counts_output || w->output_bytes_max == 0) {
        return bytes;
    }
    uint64_t before = atomic_load(&w->output_bytes);
    uint64_t allowed;
    do {
        uint64_t room = before < w->output_bytes_max ? w->output_bytes_max - before : 0;
        allowed = bytes < room ? bytes : room;
    } while (!atomic_compare_exchange_weak(&w->output_bytes, &before, before + allowed));
    return (size_t)allowed;
}

static void output_give_back(struct wasi *w, const struct file_use *u, size_t bytes)
{
    if (u->file->counts_output && w->output_bytes_max != 0) {
        atomic_fetch_sub(&w->output_bytes, bytes);
    }
}

/* Write the next piece. *ret_n 0 without an error: the limit on output was reached and the cell is stopped. */
static enum wasi_errno write_next(void *ctx, struct wasi *w, const struct file_use *u,
                                  const struct guest_iovs *g, const struct io_request *req,
                                  size_t *ret_n, size_t *ret_asked)
{
    struct piece p;
    /* A pipe that polls as writable takes PIPE_BUF bytes without blocking. */
    bool small = u->file->kind == FILE_STREAM && (u->flags & FDFLAG_NONBLOCK);
    size_t want = g->left < WASI_PIECE_BYTES_MAX ? (size_t)g->left : WASI_PIECE_BYTES_MAX;
    size_t bytes_max = output_take(w, u, small && want > PIPE_BUF ? PIPE_BUF : want);
    *ret_n = 0;
    *ret_asked = 0;
    if (want > 0 && bytes_max == 0) {
        cell_stop(host_cell(ctx), STOP_OUTPUT_LIMIT);
        return WASI_INTR;
    }
    enum wasi_errno e = guest_iovs_piece(ctx, g, bytes_max, &p);
    if (e == WASI_OK) {
        *ret_asked = p.bytes;
        if (before_is_on(w) && u->file->kind == FILE_PLAIN && u->file->object == NULL) {
            before_write(w, u, req->offset, p.bytes);
        }
        e = write_piece(ctx, u, &p, req, ret_n);
    }
    output_give_back(w, u, bytes_max - *ret_n);
    return e;
}

enum wasi_errno io_write(void *ctx, struct wasi *w, const struct file_use *u, struct guest_iovs *g,
                         struct io_request *req, uint32_t *ret_bytes)
{
    enum wasi_errno e = WASI_OK;
    bool stopped = false;
    if (!io_offset_ok(req, g)) {
        return WASI_INVAL;
    }
    uint32_t total = io_begin(w, g, req);
    do {
        size_t n, asked;
        e = write_next(ctx, w, u, g, req, &n, &asked);
        if (e != WASI_OK) {
            break;
        }
        guest_iovs_advance(g, n);
        total += (uint32_t)n;
        if (req->offset != IO_AT_OFFSET) {
            req->offset += n;
        }
        if (n == 0 || (n < asked && u->file->kind == FILE_PLAIN)) {
            break;
        }
        stopped = g->left > 0 && !host_wait_poll(ctx);
    } while (g->left > 0 && !stopped);
    *ret_bytes = total;
    return io_end(ctx, w, stopped || e == WASI_INTR, total, e);
}
