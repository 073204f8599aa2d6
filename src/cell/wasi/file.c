#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "before.h"
#include "object.h"
#include "stat.h"

/* The functions on one descriptor: data, offsets, sizes, times, flags, rights and numbers. */

static int32_t fd_transfer(void *ctx, struct wasi *w, uint32_t fd, uint32_t iovs, uint32_t iovs_len,
                           uint64_t offset, bool write, uint32_t ret_bytes)
{
    struct guest_iovs g;
    struct file_use u;
    struct io_request req = {.offset = offset};
    uint32_t done = 0;
    uint64_t rights = write ? RIGHT_FD_WRITE : RIGHT_FD_READ;
    uint8_t *out = host_range(ctx, ret_bytes, 4);
    enum wasi_errno e = out == NULL ? WASI_FAULT : guest_iovs_load(ctx, iovs, iovs_len, &g);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    if (offset != IO_AT_OFFSET) {
        rights |= RIGHT_FD_SEEK;
    }
    e = fdtable_use(&w->files, fd, rights, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = write ? io_write(ctx, w, &u, &g, &req, &done) : io_read(ctx, w, &u, &g, &req, &done);
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        put_le32(out, done);
    }
    return (int32_t)e;
}

int32_t wasi_fd_read(void *ctx, void *env, uint32_t fd, uint32_t iovs, uint32_t iovs_len,
                     uint32_t ret_nread)
{
    return fd_transfer(ctx, env, fd, iovs, iovs_len, IO_AT_OFFSET, false, ret_nread);
}

int32_t wasi_fd_write(void *ctx, void *env, uint32_t fd, uint32_t iovs, uint32_t iovs_len,
                      uint32_t ret_nwritten)
{
    return fd_transfer(ctx, env, fd, iovs, iovs_len, IO_AT_OFFSET, true, ret_nwritten);
}

int32_t wasi_fd_pread(void *ctx, void *env, uint32_t fd, uint32_t iovs, uint32_t iovs_len,
                      uint64_t offset, uint32_t ret_nread)
{
    if (offset > INT64_MAX) {
        return WASI_INVAL;
    }
    return fd_transfer(ctx, env, fd, iovs, iovs_len, offset, false, ret_nread);
}

int32_t wasi_fd_pwrite(void *ctx, void *env, uint32_t fd, uint32_t iovs, uint32_t iovs_len,
                       uint64_t offset, uint32_t ret_nwritten)
{
    if (offset > INT64_MAX) {
        return WASI_INVAL;
    }
    return fd_transfer(ctx, env, fd, iovs, iovs_len, offset, true, ret_nwritten);
}

static int32_t seek_to(void *ctx, struct wasi *w, uint32_t fd, int64_t offset, int whence,
                       uint64_t rights, uint32_t ret_offset)
{
    struct file_use u;
    uint8_t *out = host_range(ctx, ret_offset, 8);
    if (out == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, rights, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    off_t at = lseek(u.file->host_fd, offset, whence);
    e = at < 0 ? wasi_errno_from_host(errno) : WASI_OK;
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        put_le64(out, (uint64_t)at);
    }
    return (int32_t)e;
}

static int32_t seek(void *ctx, struct wasi *w, uint32_t fd, uint64_t offset, int whence,
                    uint32_t ret_offset)
{
    /* Asking for the place is allowed to whoever may only tell it. */
    uint64_t rights = offset == 0 && whence == SEEK_CUR ? RIGHT_FD_TELL : RIGHT_FD_SEEK;
    return seek_to(ctx, w, fd, (int64_t)offset, whence, rights, ret_offset);
}

int32_t wasi_fd_seek(void *ctx, void *env, uint32_t fd, uint64_t offset, uint32_t whence,
                     uint32_t ret_offset)
{
    static const int host[WHENCE_COUNT] = {
        [WHENCE_SET] = SEEK_SET, [WHENCE_CUR] = SEEK_CUR, [WHENCE_END] = SEEK_END};
    if (whence >= WHENCE_COUNT) {
        return WASI_INVAL;
    }
    return seek(ctx, env, fd, offset, host[whence], ret_offset);
}

int32_t wasi_unstable_fd_seek(void *ctx, void *env, uint32_t fd, uint64_t offset, uint32_t whence,
                              uint32_t ret_offset)
{
    static const int host[WHENCE_COUNT] = {SEEK_CUR, SEEK_END, SEEK_SET};
    if (whence >= WHENCE_COUNT) {
        return WASI_INVAL;
    }
    return seek(ctx, env, fd, offset, host[whence], ret_offset);
}

int32_t wasi_fd_tell(void *ctx, void *env, uint32_t fd, uint32_t ret_offset)
{
    return seek_to(ctx, env, fd, 0, SEEK_CUR, RIGHT_FD_TELL, ret_offset);
}

/* What was written to a bucket gets its name. False: fd is nothing beneath a bucket; right: that it needs. */
static bool publish(void *ctx, struct wasi *w, uint32_t fd, uint64_t right, enum wasi_errno *ret_e)
{
    struct file_use u;
    *ret_e = WASI_OK;
    if (w->bucket_count == 0) {
        return false;
    }
    *ret_e = fdtable_use(&w->files, fd, right, &u);
    if (*ret_e != WASI_OK) {
        return true;
    }
    bool ours = u.file->object != NULL;
    *ret_e = ours ? object_publish(ctx, u.file) : WASI_OK;
    file_put(&w->files, &u);
    return ours;
}

/* A descriptor is closed whatever becomes of its bytes, but not when the call is made again. */
int32_t wasi_fd_close(void *ctx, void *env, uint32_t fd)
{
    struct wasi *w = env;
    enum wasi_errno e;
    if (publish(ctx, w, fd, 0, &e) && e == WASI_INTR) {
        return (int32_t)e;
    }
    enum wasi_errno closed = fdtable_close(&w->files, fd);
    return (int32_t)(closed == WASI_OK ? e : closed);
}

int32_t wasi_fd_renumber(void *ctx, void *env, uint32_t from, uint32_t to)
{
    struct wasi *w = env;
    enum wasi_errno e = WASI_OK;
    if (from != to && publish(ctx, w, to, 0, &e) && e == WASI_INTR) {
        return (int32_t)e;
    }
    enum wasi_errno done = fdtable_renumber(&w->files, from, to);
    return (int32_t)(done == WASI_OK && e != WASI_BADF ? e : done);
}

/* ---- calls that act on the host descriptor alone ---- */

struct fd_call {
    uint64_t rights;
    int (*run)(int host_fd, uint64_t a, uint64_t b, uint32_t c); /* 0 or an errno value */
};

/* They may take long but move no guest memory; an interruption is retried unless the guest has to unwind. */
static int32_t fd_run(void *ctx, struct wasi *w, uint32_t fd, const struct fd_call *call,
                      uint64_t a, uint64_t b, uint32_t c)
{
    struct file_use u;
    enum wasi_errno e = fdtable_use(&w->files, fd, call->rights, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    int errnum;
    do {
        if (!host_wait_begin(ctx)) {
            errnum = EINTR;
            break;
        }
        errnum = call->run(u.file->host_fd, a, b, c);
        host_block_end(ctx);
    } while (errnum == EINTR && host_poll(ctx));
    file_put(&w->files, &u);
    return (int32_t)guest_waited(ctx, wasi_errno_from_host(errnum));
}

static int run_sync(int host_fd, uint64_t a, uint64_t b, uint32_t c)
{
    (void)a;
    (void)b;
    (void)c;
    return fsync(host_fd) == 0 ? 0 : errno;
}

static int run_datasync(int host_fd, uint64_t a, uint64_t b, uint32_t c)
{
    (void)a;
    (void)b;
    (void)c;
    return fdatasync(host_fd) == 0 ? 0 : errno;
}

static int run_allocate(int host_fd, uint64_t offset, uint64_t len, uint32_t c)
{
    (void)c;
    return fallocate(host_fd, 0, (off_t)offset, (off_t)len) == 0 ? 0 : errno;
}

static int run_advise(int host_fd, uint64_t offset, uint64_t len, uint32_t advice)
{
    return posix_fadvise(host_fd, (off_t)offset, (off_t)len, (int)advice);
}

static int run_set_size(int host_fd, uint64_t size, uint64_t b, uint32_t c)
{
    (void)b;
    (void)c;
    return ftruncate(host_fd, (off_t)size) == 0 ? 0 : errno;
}

/* The before-image of a file that is about to get another size, or be at least size long. */
static enum wasi_errno keep_size(void *ctx, struct wasi *w, uint32_t fd, uint64_t right,
                                 uint64_t size)
{
    struct file_use u;
    enum wasi_errno e = WASI_OK;
    if (before_is_on(w) && fdtable_use(&w->files, fd, right, &u) == WASI_OK) {
        e = u.file->object == NULL ? before_resize(ctx, w, u.file, size) : WASI_OK;
        file_put(&w->files, &u);
    }
    return guest_waited(ctx, e);
}

/* The same beneath a bucket: another size, or room. */
struct object_change {
    bool allocates;
    uint64_t offset, len;
    enum wasi_errno result;
};

/* False: it is a file of the host. */
static bool change_object(struct wasi *w, uint32_t fd, uint64_t right, struct object_change *c)
{
    struct file_use u;
    if (w->bucket_count == 0) {
        return false;
    }
    c->result = fdtable_use(&w->files, fd, right, &u);
    if (c->result != WASI_OK) {
        return true;
    }
    bool ours = u.file->object != NULL && u.file->object->staged != NULL;
    if (ours) {
        c->result = c->allocates ? object_allocate(u.file, c->offset, c->len)
                                 : object_set_size(u.file, c->len);
    }
    file_put(&w->files, &u);
    return ours;
}

int32_t wasi_fd_sync(void *ctx, void *env, uint32_t fd)
{
    static const struct fd_call call = {RIGHT_FD_SYNC, run_sync};
    enum wasi_errno e;
    return publish(ctx, env, fd, RIGHT_FD_SYNC, &e) ? (int32_t)e
                                                    : fd_run(ctx, env, fd, &call, 0, 0, 0);
}

int32_t wasi_fd_datasync(void *ctx, void *env, uint32_t fd)
{
    static const struct fd_call call = {RIGHT_FD_DATASYNC, run_datasync};
    enum wasi_errno e;
    return publish(ctx, env, fd, RIGHT_FD_DATASYNC, &e) ? (int32_t)e
                                                        : fd_run(ctx, env, fd, &call, 0, 0, 0);
}

int32_t wasi_fd_allocate(void *ctx, void *env, uint32_t fd, uint64_t offset, uint64_t len)
{
    static const struct fd_call call = {RIGHT_FD_ALLOCATE, run_allocate};
    if (offset > INT64_MAX || len > INT64_MAX - offset) {
        return WASI_FBIG;
    }
    struct object_change change = {.allocates = true, .offset = offset, .len = len};
    if (change_object(env, fd, RIGHT_FD_ALLOCATE, &change)) {
        return (int32_t)change.result;
    }
    enum wasi_errno e = keep_size(ctx, env, fd, RIGHT_FD_ALLOCATE, offset + len);
    return e == WASI_OK ? fd_run(ctx, env, fd, &call, offset, len, 0) : (int32_t)e;
}

int32_t wasi_fd_advise(void *ctx, void *env, uint32_t fd, uint64_t offset, uint64_t len,
                       uint32_t advice)
{
    static const struct fd_call call = {RIGHT_FD_ADVISE, run_advise};
    static const uint32_t host[] = {
        POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
        POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE,
    };
    if (advice >= sizeof(host) / sizeof(host[0]) || offset > INT64_MAX || len > INT64_MAX) {
        return WASI_INVAL;
    }
    return fd_run(ctx, env, fd, &call, offset, len, host[advice]);
}

int32_t wasi_fd_filestat_set_size(void *ctx, void *env, uint32_t fd, uint64_t size)
{
    static const struct fd_call call = {RIGHT_FD_FILESTAT_SET_SIZE, run_set_size};
    if (size > INT64_MAX) {
        return WASI_INVAL;
    }
    struct object_change change = {.len = size};
    if (change_object(env, fd, RIGHT_FD_FILESTAT_SET_SIZE, &change)) {
        return (int32_t)change.result;
    }
    enum wasi_errno e = keep_size(ctx, env, fd, RIGHT_FD_FILESTAT_SET_SIZE, size);
    return e == WASI_OK ? fd_run(ctx, env, fd, &call, size, 0, 0) : (int32_t)e;
}

/* ---- attributes ---- */

static int32_t filestat_get(void *ctx, struct wasi *w, uint32_t fd, bool unstable,
                            uint32_t ret_stat)
{
    struct file_use u;
    struct stat st;
    uint8_t type = 0;
    uint8_t *out = host_range(ctx, ret_stat, unstable ? FILESTAT_UNSTABLE_BYTES : FILESTAT_BYTES);
    if (out == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, RIGHT_FD_FILESTAT_GET, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    bool ours = u.file->object != NULL;
    if (ours) {
        e = object_stat_file(u.file, &st);
    } else {
        e = fstat(u.file->host_fd, &st) != 0 ? wasi_errno_from_host(errno) : WASI_OK;
    }
    type = u.file->filetype;
    file_put(&w->files, &u);
    if (e == WASI_OK && !ours && before_is_on(w)) {
        before_hide_links(w, &st);
    }
    if (e == WASI_OK) {
        stat_encode(ours ? NULL : &w->ids, &st, type, unstable, out);
    }
    return (int32_t)e;
}

int32_t wasi_fd_filestat_get(void *ctx, void *env, uint32_t fd, uint32_t ret_stat)
{
    return filestat_get(ctx, env, fd, false, ret_stat);
}

int32_t wasi_unstable_fd_filestat_get(void *ctx, void *env, uint32_t fd, uint32_t ret_stat)
{
    return filestat_get(ctx, env, fd, true, ret_stat);
}

int32_t wasi_fd_filestat_set_times(void *ctx, void *env, uint32_t fd, uint64_t atim, uint64_t mtim,
                                   uint32_t flags)
{
    struct wasi *w = env;
    struct file_use u;
    struct timespec times[2];
    (void)ctx;
    enum wasi_errno e = stat_times(atim, mtim, flags, times);
    if (e == WASI_OK) {
        e = fdtable_use(&w->files, fd, RIGHT_FD_FILESTAT_SET_TIMES, &u);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    if (u.file->object != NULL) {
        file_put(&w->files, &u);
        return WASI_NOTSUP;
    }
    if (before_is_on(w)) {
        before_touch(w, u.file->grant, u.file->host_fd);
    }
    e = futimens(u.file->host_fd, times) != 0 ? wasi_errno_from_host(errno) : WASI_OK;
    file_put(&w->files, &u);
    return (int32_t)e;
}

int32_t wasi_fd_fdstat_get(void *ctx, void *env, uint32_t fd, uint32_t ret_stat)
{
    struct wasi *w = env;
    struct file_use u;
    uint8_t *out = host_range(ctx, ret_stat, FDSTAT_BYTES);
    if (out == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, 0, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    uint8_t type = u.file->filetype;
    file_put(&w->files, &u);
    memset(out, 0, FDSTAT_BYTES);
    out[0] = type;
    put_le16(out + 2, u.flags);
    put_le64(out + 8, u.rights_base);
    put_le64(out + 16, u.rights_inheriting);
    return WASI_OK;
}

int32_t wasi_fd_fdstat_set_flags(void *ctx, void *env, uint32_t fd, uint32_t flags)
{
    struct wasi *w = env;
    (void)ctx;
    return (int32_t)(flags > UINT16_MAX ? WASI_INVAL
                                        : fdtable_set_flags(&w->files, fd, (uint16_t)flags));
}

int32_t wasi_fd_fdstat_set_rights(void *ctx, void *env, uint32_t fd, uint64_t base,
                                  uint64_t inheriting)
{
    struct wasi *w = env;
    (void)ctx;
    return (int32_t)fdtable_set_rights(&w->files, fd, base, inheriting);
}

int32_t wasi_fd_prestat_get(void *ctx, void *env, uint32_t fd, uint32_t ret_prestat)
{
    struct wasi *w = env;
    struct file_use u;
    uint8_t *out = host_range(ctx, ret_prestat, PRESTAT_BYTES);
    if (out == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, 0, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    const char *name = u.file->preopen;
    uint32_t len = name == NULL ? 0 : (uint32_t)strlen(name);
    file_put(&w->files, &u);
    if (name == NULL) {
        return WASI_BADF; /* the C library looks for grants until it gets this */
    }
    put_le32(out, 0); /* tag: directory */
    put_le32(out + 4, len);
    return WASI_OK;
}

int32_t wasi_fd_prestat_dir_name(void *ctx, void *env, uint32_t fd, uint32_t path,
                                 uint32_t path_len)
{
    struct wasi *w = env;
    struct file_use u;
    char name[WASI_PATH_BYTES_MAX + 1];
    char *out = host_range(ctx, path, path_len);
    if (out == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, 0, &u);
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    size_t len = 0;
    if (u.file->preopen == NULL) {
        e = WASI_BADF;
    } else if ((len = strlen(u.file->preopen)) > path_len) {
        e = WASI_NAMETOOLONG;
    } else {
        memcpy(name, u.file->preopen, len);
    }
    file_put(&w->files, &u);
    if (e == WASI_OK) {
        memcpy(out, name, len);
    }
    return (int32_t)e;
}
