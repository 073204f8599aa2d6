/* Descriptors that WASI has no call for: copies (dup), pipes inside the cell, /dev/null and its kind. They are kept in
 * memory, so that a frozen cell takes them along and no host has to know them.
 *
 * A program's numbers are the host's until it makes such a descriptor. From then on a table stands between the two
 * (descriptors.c), which every call of WASI asks (calls.c and what unpack.sh puts into wasi-libc's own calls). */
#ifndef CLOUDSKIN_DESCRIPTORS_H
#define CLOUDSKIN_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>
#include <wasi/api.h>

/* In a descriptor: the rest is a number of the host's, whatever the table says. So are granted folders known to
 * libc, since the program may give their numbers to something else. */
#define DESCRIPTOR_HOST 0x40000000

#define DESCRIPTORS_MAX 65536

enum open_kind { OPEN_HOST, OPEN_PIPE, OPEN_NULL, OPEN_ZERO, OPEN_FULL, OPEN_RANDOM };

/* What descriptors stand for: one offset, one set of flags, however many numbers. Guarded by the table's lock. */
struct open_file {
    enum open_kind kind;
    int references;    /* numbers, and calls that wait */
    int host;          /* OPEN_HOST: number there */
    int kept;          /* OPEN_HOST: a granted folder, which libc goes on using */
    int reads, writes; /* others: for what it was opened */
    int socket;        /* OPEN_PIPE: one of a pair */
    uint16_t flags;    /* others: __WASI_FDFLAGS_* */
    uint64_t number;   /* others: as inode number */
    struct pipe *in;   /* OPEN_PIPE: read from, or NULL */
    struct pipe *out;  /* OPEN_PIPE: written to, or NULL */
};

/* 0: no table yet; a program's numbers are the host's. */
extern int __descriptors_used;

/* Of descriptors.c. All are weak where they are called from: a program that makes none of these descriptors does not
 * have them. */
int __descriptor_host(int fd);                     /* number of the host; -1: none */
struct open_file *__descriptor_virtual(int fd);    /* NULL: the host's, or not open */
__wasi_errno_t __descriptor_close(int fd);
__wasi_errno_t __descriptor_adopt(__wasi_fd_t *fd); /* what the host opened gets the lowest free number */
__wasi_errno_t __descriptor_move(int fd, int to);
int __descriptor_is_open(int fd);
int __descriptor_copy(int fd, int least);           /* errno; EMFILE: no number is free */
int __descriptor_copy_to(int fd, int to);           /* errno */
int __descriptor_new(const struct open_file *model); /* errno; the model is copied */
__wasi_errno_t __descriptor_release(struct open_file *f); /* one reference less; with the lock held */

/* Of pipe.c and devices.c, for an open file of their kinds. */
__wasi_errno_t __pipe_read(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size);
__wasi_errno_t __pipe_receive(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_riflags_t how,
                              __wasi_size_t *ret_size);
__wasi_errno_t __pipe_write(struct open_file *f, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size);
void __pipe_release(struct open_file *f); /* with the lock held */
/* Can it be read (or written)? ret_bytes: how many; ret_ended: nobody has the other end. With the lock
 * held. */
int __pipe_ready(struct open_file *f, int to_write, uint64_t *ret_bytes, int *ret_ended);
__wasi_errno_t __pipe_shutdown(struct open_file *f, __wasi_sdflags_t how);
__wasi_errno_t __device_read(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size);
__wasi_errno_t __device_write(struct open_file *f, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size);
__wasi_errno_t __descriptor_poll(const __wasi_subscription_t *in, __wasi_event_t *out, size_t n, __wasi_size_t *ret_n);

void __descriptors_lock(void);
void __descriptors_unlock(void);

/* WASI's calls themselves, on DESCRIPTOR_HOST | number. */
__wasi_errno_t __host_fd_close(__wasi_fd_t fd);
__wasi_errno_t __host_fd_fdstat_get(__wasi_fd_t fd, __wasi_fdstat_t *ret_stat);
__wasi_errno_t __host_fd_renumber(__wasi_fd_t fd, __wasi_fd_t to);
__wasi_errno_t __host_poll_oneoff(const __wasi_subscription_t *in, __wasi_event_t *out, size_t n,
                                  __wasi_size_t *ret_n);

__attribute__((__weak__)) int __descriptor_host(int fd);

/* What a call gives to the host for a descriptor of the program. */
static inline int32_t __host_fd(__wasi_fd_t fd)
{
    if (fd & DESCRIPTOR_HOST)
        return (int32_t)fd < 0 ? -1 : (int32_t)(fd & ~(__wasi_fd_t)DESCRIPTOR_HOST);
    return __descriptors_used ? __descriptor_host((int)fd) : (int32_t)fd;
}

#endif
