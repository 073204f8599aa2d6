/* Pipes and pairs of sockets inside the cell: a ring of bytes in memory. Nobody but this program has the other end, so
 * a single thread that would wait for it would wait for ever. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "descriptors.h"
#include "pthread_impl.h"

#define PIPE_BYTES 65536

/* Guarded by the lock of the descriptors. */
struct pipe {
    char *ring; /* PIPE_BYTES */
    size_t start, used;
    int files;            /* open files that have it as in or out; it lives as long as there is one */
    int ended;            /* one of its ends is shut or closed: nothing comes in any more */
    volatile int changes; /* waited on */
};

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t total(const __wasi_iovec_t *v, size_t n)
{
    size_t size = 0;

    for (size_t i = 0; i < n; i++)
        size += v[i].buf_len;
    return size;
}

static void changed(struct pipe *p)
{
    p->changes++;
#ifdef _REENTRANT
    __builtin_wasm_memory_atomic_notify((int *)&p->changes, INT_MAX);
#endif
}

/* Let go of the lock until something changes. Without other threads nothing will: a deadlock, which is a trap. */
static void wait_for_change(struct pipe *p)
{
#ifdef _REENTRANT
    int seen = p->changes;

    __descriptors_unlock();
    __wait(&p->changes, NULL, seen, 1);
    __descriptors_lock();
#else
    __builtin_trap();
#endif
}

static void take(struct pipe *p, size_t from, char *to, size_t size)
{
    size_t start = (p->start + from) % PIPE_BYTES, first = min(size, PIPE_BYTES - start);

    memcpy(to, p->ring + start, first);
    memcpy(to + first, p->ring, size - first);
}

static void give(struct pipe *p, const char *from, size_t size)
{
    size_t end = (p->start + p->used) % PIPE_BYTES, first = min(size, PIPE_BYTES - end);

    memcpy(p->ring + end, from, first);
    memcpy(p->ring, from + first, size - first);
    p->used += size;
    changed(p);
}

/* One piece of a read. Call with the lock held. */
static size_t take_all(struct pipe *p, const __wasi_iovec_t *v, size_t n, size_t skip, int peek)
{
    size_t done = 0, left = p->used;

    for (size_t i = 0; i < n && left > 0; i++) {
        size_t passed = min(skip, v[i].buf_len), size = min(v[i].buf_len - passed, left);

        take(p, done, (char *)v[i].buf + passed, size);
        skip -= passed;
        done += size;
        left -= size;
    }
    if (!peek && done > 0) {
        p->start = (p->start + done) % PIPE_BYTES;
        p->used -= done;
        changed(p);
    }
    return done;
}

/* The pipe behind an end, which lives until __descriptor_release(f), whatever other threads close meanwhile. Call with
 * the lock held. NULL: they closed the descriptor after it was looked up. */
static struct pipe *hold(struct open_file *f, int to_write)
{
    struct pipe *p = f->kind != OPEN_PIPE ? NULL : to_write ? f->out : f->in;

    if (p)
        f->references++;
    return p;
}

/* What is looked at stays where it is, so that it cannot be waited for in pieces: as natively, MSG_WAITALL is nothing
 * there. */
__wasi_errno_t __pipe_receive(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_riflags_t how,
                              __wasi_size_t *ret_size)
{
    int peek = how & __WASI_RIFLAGS_RECV_PEEK, all = !peek && (how & __WASI_RIFLAGS_RECV_WAITALL);
    size_t size = total(v, n), done = 0;
    __wasi_errno_t error = 0;
    struct pipe *p;

    __descriptors_lock();
    p = hold(f, 0);
    if (!p) {
        __descriptors_unlock();
        return __WASI_ERRNO_BADF;
    }
    while (size > 0) {
        done += take_all(p, v, n, done, peek);
        if (done == size || (done > 0 && !all) || p->ended)
            break;
        if (f->flags & __WASI_FDFLAGS_NONBLOCK) {
            error = done ? 0 : __WASI_ERRNO_AGAIN;
            break;
        }
        wait_for_change(p);
    }
    (void)__descriptor_release(f);
    __descriptors_unlock();
    if (error == 0)
        *ret_size = done;
    return error;
}

__wasi_errno_t __pipe_read(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    return __pipe_receive(f, v, n, 0, ret_size);
}

/* Up to PIPE_BUF bytes go in at once or not at all. */
__wasi_errno_t __pipe_write(struct open_file *f, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    size_t size = total((const __wasi_iovec_t *)v, n), done = 0, i = 0, passed = 0;
    __wasi_errno_t error = 0;
    struct pipe *p;
    int socket;

    __descriptors_lock();
    p = hold(f, 1);
    if (!p) {
        __descriptors_unlock();
        return __WASI_ERRNO_BADF;
    }
    socket = f->socket;
    while (done < size) {
        size_t room = PIPE_BYTES - p->used;

        if (p->ended) {
            error = done ? 0 : __WASI_ERRNO_PIPE;
            break;
        }
        if (size <= PIPE_BUF && room < size)
            room = 0;
        while (room > 0 && i < n) {
            size_t piece = min(v[i].buf_len - passed, room);

            give(p, (const char *)v[i].buf + passed, piece);
            room -= piece;
            done += piece;
            passed += piece;
            if (passed == v[i].buf_len) {
                i++;
                passed = 0;
            }
        }
        if (done == size)
            break;
        if (f->flags & __WASI_FDFLAGS_NONBLOCK) {
            error = done ? 0 : __WASI_ERRNO_AGAIN;
            break;
        }
        wait_for_change(p);
    }
    (void)__descriptor_release(f);
    __descriptors_unlock();
    /* MSG_NOSIGNAL is nothing here, so sockets never raise it. */
    if (error == __WASI_ERRNO_PIPE && !socket)
        raise(SIGPIPE);
    else if (error == 0)
        *ret_size = done;
    return error;
}

int __pipe_ready(struct open_file *f, int to_write, uint64_t *ret_bytes, int *ret_ended)
{
    struct pipe *p = to_write ? f->out : f->in;

    if (!p)
        return 0;
    *ret_bytes = to_write ? PIPE_BYTES - p->used : p->used;
    *ret_ended = p->files < 2;
    return p->ended || *ret_bytes >= (to_write ? PIPE_BUF : 1);
}

static void end(struct pipe *p)
{
    p->ended = 1;
    changed(p);
}

static void pipe_free(struct pipe *p)
{
    if (p)
        free(p->ring);
    free(p);
}

static void leave(struct pipe *p)
{
    end(p);
    if (--p->files == 0)
        pipe_free(p);
}

void __pipe_release(struct open_file *f)
{
    if (f->in)
        leave(f->in);
    if (f->out)
        leave(f->out);
}

/* The open file keeps a side that is shut: what came in before can still be read, and poll asks about it. */
__wasi_errno_t __pipe_shutdown(struct open_file *f, __wasi_sdflags_t how)
{
    __wasi_errno_t error = 0;

    __descriptors_lock();
    if (f->kind != OPEN_PIPE) {
        error = __WASI_ERRNO_BADF;
    } else {
        if ((how & __WASI_SDFLAGS_WR) && f->out)
            end(f->out);
        if ((how & __WASI_SDFLAGS_RD) && f->in)
            end(f->in);
    }
    __descriptors_unlock();
    return error;
}

static struct pipe *pipe_new(void)
{
    struct pipe *p = calloc(1, sizeof *p);

    if (p)
        p->ring = malloc(PIPE_BYTES);
    if (p && !p->ring) {
        free(p);
        p = NULL;
    }
    if (!p)
        errno = ENOMEM;
    return p;
}

static int both(const struct open_file *one, const struct open_file *other, int fds[2])
{
    int first = __descriptor_new(one), second, error;

    if (first < 0)
        return -1;
    second = __descriptor_new(other);
    if (second < 0) {
        error = errno;
        /* The caller frees what the two share: it counts the other one still. */
        close(first);
        errno = error;
        return -1;
    }
    fds[0] = first;
    fds[1] = second;
    return 0;
}

int pipe2(int fds[2], int flags)
{
    struct pipe *p;
    struct open_file from = {.kind = OPEN_PIPE, .reads = 1}, to = {.kind = OPEN_PIPE, .writes = 1};

    if (flags & ~(O_CLOEXEC | O_NONBLOCK)) {
        errno = EINVAL;
        return -1;
    }
    p = pipe_new();
    if (!p)
        return -1;
    p->files = 2;
    from.in = to.out = p;
    from.flags = to.flags = flags & O_NONBLOCK ? __WASI_FDFLAGS_NONBLOCK : 0;
    if (both(&from, &to, fds) == 0)
        return 0;
    pipe_free(p);
    return -1;
}

int pipe(int fds[2])
{
    return pipe2(fds, 0);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
    struct open_file one = {.kind = OPEN_PIPE, .reads = 1, .writes = 1, .socket = 1}, other;

    if (domain != AF_UNIX || protocol != 0 || (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != SOCK_STREAM) {
        errno = domain == AF_UNIX ? EPROTONOSUPPORT : EAFNOSUPPORT;
        return -1;
    }
    one.in = pipe_new();
    one.out = one.in ? pipe_new() : NULL;
    if (one.out) {
        one.in->files = one.out->files = 2;
        one.flags = type & SOCK_NONBLOCK ? __WASI_FDFLAGS_NONBLOCK : 0;
        other = one;
        other.in = one.out;
        other.out = one.in;
        if (both(&one, &other, fds) == 0)
            return 0;
    }
    pipe_free(one.in);
    pipe_free(one.out);
    return -1;
}
