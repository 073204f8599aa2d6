#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "before.h"
#include "object.h"
#include "stat.h"

/* The functions on paths. Those that look at a file open it with O_PATH beneath the directory and act on that
 * descriptor; those that create, remove or move a name open the directory of the name beneath and act
 * there with a name that the kernel does not follow. */

static enum wasi_errno host_result(int result)
{
    return result < 0 ? wasi_errno_from_host(errno) : WASI_OK;
}

/* True when fd is a folder in a bucket, and in use unless *ret_e is an error. Else it is not for these functions. */
static bool use_object(struct wasi *w, uint32_t fd, uint64_t rights, struct file_use *ret_dir,
                       enum wasi_errno *ret_e)
{
    if (w->bucket_count == 0) {
        return false;
    }
    *ret_e = fdtable_use(&w->files, fd, rights, ret_dir);
    if (*ret_e == WASI_OK && ret_dir->file->object == NULL) {
        file_put(&w->files, ret_dir);
        return false;
    }
    return true;
}

/* ---- path_open ---- */

struct open_request {
    uint32_t lookup;
    uint32_t oflags;
    uint64_t base;
    uint64_t inheriting;
    uint32_t fdflags;
};

static bool open_request_valid(const struct open_request *r)
{
    return (r->lookup & ~(uint32_t)LOOKUP_SYMLINK_FOLLOW) == 0 &&
           (r->oflags & ~(uint32_t)OFLAGS_KNOWN) == 0 &&
           (r->fdflags & ~(uint32_t)FDFLAGS_KNOWN) == 0 &&
           (r->oflags & (OFLAG_CREAT | OFLAG_DIRECTORY)) != (OFLAG_CREAT | OFLAG_DIRECTORY);
}

/* What the directory has to grant for this request. */
static enum wasi_errno open_request_check(const struct open_request *r, const struct file_use *dir)
{
    uint64_t need = 0;
    if (((r->base | r->inheriting) & ~dir->rights_inheriting) != 0) {
        return WASI_NOTCAPABLE;
    }
    if (dir->file->read_only) {
        bool writes = (r->base & RIGHTS_WRITE_DATA) != 0 || (r->oflags & OFLAG_TRUNC) != 0;
        return writes ? WASI_ROFS : WASI_OK;
    }
    if (r->oflags & OFLAG_CREAT) {
        need |= RIGHT_PATH_CREATE_FILE;
    }
    if (r->oflags & OFLAG_TRUNC) {
        need |= RIGHT_PATH_FILESTAT_SET_SIZE;
    }
    return (need & ~dir->rights_base) == 0 ? WASI_OK : WASI_NOTCAPABLE;
}

static int open_request_host_flags(const struct open_request *r)
{
    bool read = (r->base & (RIGHT_FD_READ | RIGHT_FD_READDIR)) != 0;
    bool write = (r->base & RIGHTS_WRITE_DATA) != 0;
    int flags = O_NOCTTY | (!write ? O_RDONLY : read ? O_RDWR : O_WRONLY);
    flags |= (r->oflags & OFLAG_CREAT) ? O_CREAT : 0;
    flags |= (r->oflags & OFLAG_EXCL) ? O_EXCL : 0;
    flags |= (r->oflags & OFLAG_TRUNC) ? O_TRUNC : 0;
    flags |= (r->oflags & OFLAG_DIRECTORY) ? O_DIRECTORY : 0;
    flags |= (r->lookup & LOOKUP_SYMLINK_FOLLOW) ? 0 : O_NOFOLLOW;
    flags |= (r->fdflags & FDFLAG_NONBLOCK) ? O_NONBLOCK : 0;
    return flags;
}

/* Opening a pipe waits for its other end, so this may block. */
static enum wasi_errno open_blocking(void *ctx, struct wasi *w, int dir_fd, const char *path,
                                     int flags, int *ret_fd)
{
    enum wasi_errno e;
    do {
        if (!host_wait_begin(ctx)) {
            return guest_waited(ctx, WASI_INTR);
        }
        e = path_open_beneath(w->path_method, dir_fd, path, flags, 0666, ret_fd);
        host_block_end(ctx);
    } while (e == WASI_INTR && host_poll(ctx));
    return e == WASI_MFILE ? WASI_NFILE : e; /* the process's limit, not the guest's */
}

/* The name that an open with these flags would make: the last one of a chain of links, unless they are not followed. */
static enum wasi_errno open_parent(struct wasi *w, int dir_fd, const char *path, int flags,
                                   struct path_parent *ret_parent)
{
    char copy[WASI_PATH_BYTES_MAX + 1];
    if (!(flags & (O_NOFOLLOW | O_EXCL))) {
        return path_parent_open_follow(dir_fd, path, ret_parent);
    }
    memcpy(copy, path, strlen(path) + 1);
    return path_parent_open(w->path_method, dir_fd, copy, ret_parent);
}

static enum wasi_errno create_kept(void *ctx, struct wasi *w, const struct file_use *dir,
                                   const char *path, int flags, int *ret_fd)
{
    struct path_parent p;
    int dir_fd = dir->file->host_fd;
    enum wasi_errno e = open_parent(w, dir_fd, path, flags, &p);
    bool named = e == WASI_OK;
    if (named) {
        before_create(w, dir->file->grant, p.fd, p.name, false);
    }
    e = open_blocking(ctx, w, dir_fd, path, flags & ~O_TRUNC, ret_fd);
    if (named) {
        if (e == WASI_OK) {
            before_created(w, p.fd, p.name);
        }
        path_parent_close(&p);
    }
    return e;
}

/* An open that may make or cut a file, with before-images of both. */
static enum wasi_errno open_kept(void *ctx, struct wasi *w, const struct file_use *dir,
                                 const char *path, int flags, int *ret_fd)
{
    struct stat st;
    int dir_fd = dir->file->host_fd;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
        return create_kept(ctx, w, dir, path, flags, ret_fd);
    }
    enum wasi_errno e = open_blocking(ctx, w, dir_fd, path, flags & ~(O_CREAT | O_TRUNC), ret_fd);
    if (e == WASI_NOENT && (flags & O_CREAT)) {
        return create_kept(ctx, w, dir, path, flags, ret_fd);
    }
    if (e != WASI_OK || !(flags & O_TRUNC) || fstat(*ret_fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return e;
    }
    e = before_resize_fd(ctx, w, dir->file->grant, *ret_fd, 0);
    close(*ret_fd);
    return e == WASI_OK ? open_blocking(ctx, w, dir_fd, path, flags & ~O_CREAT, ret_fd)
                        : guest_waited(ctx, e);
}

/* O_CREAT on a read-only grant opens what is there, as on a read-only file system. */
static enum wasi_errno open_read_only_create(void *ctx, struct wasi *w, int dir_fd,
                                             const char *path, int flags, int *ret_fd)
{
    enum wasi_errno e = open_blocking(ctx, w, dir_fd, path, flags & ~(O_CREAT | O_EXCL), ret_fd);
    if (e == WASI_NOENT) {
        return WASI_ROFS;
    }
    if (e == WASI_OK && (flags & O_EXCL)) {
        close(*ret_fd);
        return WASI_EXIST;
    }
    return e;
}

/* Give the guest's file a number with what was asked for. Takes it over also on failure. */
static enum wasi_errno number(struct wasi *w, const struct file_use *dir,
                              const struct open_request *r, struct file *f, uint32_t *ret_fd)
{
    /* the C library asks for the right to sync data only with that to write, and offers both calls */
    uint64_t implied = (r->base & RIGHT_FD_SYNC) != 0 ? RIGHT_FD_DATASYNC : 0;
    f->rights_base &= r->base | implied;
    f->rights_inheriting &= r->inheriting;
    f->flags = (uint16_t)r->fdflags;
    f->read_only = dir->file->read_only;
    if (f->read_only) {
        f->rights_base &= ~RIGHTS_CHANGE;
    }
    if (f->object == NULL) {
        f->grant = dir->file->grant; /* that of a staged file is the one it was first opened in */
    }
    enum wasi_errno e = fdtable_add(&w->files, f, ret_fd);
    if (e != WASI_OK) {
        file_free(f);
    }
    return e;
}

/* Make the guest's file of a host descriptor, which it takes over also on failure. */
static enum wasi_errno adopt(struct wasi *w, const struct file_use *dir,
                             const struct open_request *r, const char *path, int host_fd,
                             uint32_t *ret_fd)
{
    int errnum = 0;
    if (r->fdflags & FDFLAG_NONBLOCK) {
        int flags = fcntl(host_fd, F_GETFL);
        (void)fcntl(host_fd, F_SETFL, flags & ~O_NONBLOCK);
    }
    struct file *f = file_new(host_fd, false, &errnum);
    if (f == NULL) {
        close(host_fd);
        return wasi_errno_from_host(errnum);
    }
    f->path = file_path_join(dir->file->path, path);
    return number(w, dir, r, f, ret_fd);
}

static enum wasi_errno open_in(void *ctx, struct wasi *w, const struct file_use *dir,
                               const struct open_request *r, const char *path, uint32_t *ret_fd)
{
    int host_fd = -1;
    enum wasi_errno e = open_request_check(r, dir);
    if (e == WASI_OK && fdtable_is_full(&w->files)) {
        e = WASI_MFILE;
    }
    if (e != WASI_OK) {
        return e;
    }
    int flags = open_request_host_flags(r);
    if (dir->file->object != NULL) {
        struct file *f = NULL;
        e = object_open(w, dir->file, path, flags, &f);
        return e == WASI_OK ? number(w, dir, r, f, ret_fd) : e;
    }
    if (dir->file->read_only && (flags & O_CREAT)) {
        e = open_read_only_create(ctx, w, dir->file->host_fd, path, flags, &host_fd);
    } else if (before_is_on(w) && (flags & (O_CREAT | O_TRUNC))) {
        e = open_kept(ctx, w, dir, path, flags, &host_fd);
    } else {
        e = open_blocking(ctx, w, dir->file->host_fd, path, flags, &host_fd);
    }
    return e == WASI_OK ? adopt(w, dir, r, path, host_fd, ret_fd) : e;
}

int32_t wasi_path_open(void *ctx, void *env, uint32_t fd, uint32_t lookup, uint32_t path_addr,
                       uint32_t path_len, uint32_t oflags, uint64_t base, uint64_t inheriting,
                       uint32_t fdflags, uint32_t ret_fd)
{
    struct wasi *w = env;
    struct file_use dir;
    struct open_request r = {lookup, oflags, base & RIGHTS_KNOWN, inheriting & RIGHTS_KNOWN,
                             fdflags};
    char path[WASI_PATH_BYTES_MAX + 1];
    uint32_t opened = 0;
    uint8_t *out = host_range(ctx, ret_fd, 4);
    enum wasi_errno e = out == NULL ? WASI_FAULT : guest_path(ctx, path_addr, path_len, path);
    if (e == WASI_OK && !open_request_valid(&r)) {
        e = WASI_INVAL;
    }
    if (e == WASI_OK) {
        e = fdtable_use(&w->files, fd, RIGHT_PATH_OPEN, &dir);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = open_in(ctx, w, &dir, &r, path, &opened);
    file_put(&w->files, &dir);
    if (e == WASI_OK) {
        put_le32(out, opened);
    }
    return (int32_t)e;
}

/* ---- looking at files ---- */

/* A descriptor that only names the file of a path. */
static enum wasi_errno look_up(struct wasi *w, uint32_t fd, uint64_t rights, uint32_t lookup,
                               const char *path, int *ret_fd)
{
    struct file_use dir;
    if ((lookup & ~(uint32_t)LOOKUP_SYMLINK_FOLLOW) != 0) {
        return WASI_INVAL;
    }
    enum wasi_errno e = fdtable_use(&w->files, fd, rights, &dir);
    if (e != WASI_OK) {
        return e;
    }
    int flags = O_PATH | ((lookup & LOOKUP_SYMLINK_FOLLOW) ? 0 : O_NOFOLLOW);
    e = path_open_beneath(w->path_method, dir.file->host_fd, path, flags, 0, ret_fd);
    file_put(&w->files, &dir);
    return e;
}

static int32_t object_path_stat(struct wasi *w, struct file_use *dir, const char *path,
                                bool unstable, uint8_t *out)
{
    struct stat st;
    enum wasi_errno e = object_stat_path(w, dir->file, path, &st);
    file_put(&w->files, dir);
    if (e == WASI_OK) {
        stat_encode(NULL, &st, filetype_from_mode(st.st_mode), unstable, out);
    }
    return (int32_t)e;
}

/* What there is not beneath a bucket: the error for a path that is there. */
static enum wasi_errno object_refuse(struct wasi *w, struct file_use *dir, const char *path,
                                     enum wasi_errno refusal)
{
    struct stat st;
    enum wasi_errno e = object_stat_path(w, dir->file, path, &st);
    file_put(&w->files, dir);
    return e == WASI_OK ? refusal : e;
}

static int32_t path_stat(void *ctx, struct wasi *w, uint32_t fd, uint32_t lookup,
                         uint32_t path_addr, uint32_t path_len, bool unstable, uint32_t ret_stat)
{
    char path[WASI_PATH_BYTES_MAX + 1];
    struct stat st;
    int host_fd = -1;
    uint8_t *out = host_range(ctx, ret_stat, unstable ? FILESTAT_UNSTABLE_BYTES : FILESTAT_BYTES);
    enum wasi_errno e = out == NULL ? WASI_FAULT : guest_path(ctx, path_addr, path_len, path);
    struct file_use dir;
    if (e == WASI_OK && use_object(w, fd, RIGHT_PATH_FILESTAT_GET, &dir, &e)) {
        return e == WASI_OK ? object_path_stat(w, &dir, path, unstable, out) : (int32_t)e;
    }
    if (e == WASI_OK) {
        e = look_up(w, fd, RIGHT_PATH_FILESTAT_GET, lookup, path, &host_fd);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = host_result(fstat(host_fd, &st));
    close(host_fd);
    if (e == WASI_OK && before_is_on(w)) {
        before_hide_links(w, &st);
    }
    if (e == WASI_OK) {
        stat_encode(&w->ids, &st, filetype_from_mode(st.st_mode), unstable, out);
    }
    return (int32_t)e;
}

int32_t wasi_path_filestat_get(void *ctx, void *env, uint32_t fd, uint32_t lookup, uint32_t path,
                               uint32_t path_len, uint32_t ret_stat)
{
    return path_stat(ctx, env, fd, lookup, path, path_len, false, ret_stat);
}

int32_t wasi_unstable_path_filestat_get(void *ctx, void *env, uint32_t fd, uint32_t lookup,
                                        uint32_t path, uint32_t path_len, uint32_t ret_stat)
{
    return path_stat(ctx, env, fd, lookup, path, path_len, true, ret_stat);
}

static void keep_times(struct wasi *w, uint32_t dir_fd, int host_fd)
{
    struct file_use dir;
    if (before_is_on(w) && fdtable_use(&w->files, dir_fd, 0, &dir) == WASI_OK) {
        before_touch(w, dir.file->grant, host_fd);
        file_put(&w->files, &dir);
    }
}

int32_t wasi_path_filestat_set_times(void *ctx, void *env, uint32_t fd, uint32_t lookup,
                                     uint32_t path_addr, uint32_t path_len, uint64_t atim,
                                     uint64_t mtim, uint32_t flags)
{
    char path[WASI_PATH_BYTES_MAX + 1];
    struct timespec times[2];
    int host_fd = -1;
    enum wasi_errno e = guest_path(ctx, path_addr, path_len, path);
    if (e == WASI_OK) {
        e = stat_times(atim, mtim, flags, times);
    }
    struct file_use dir;
    if (e == WASI_OK && use_object(env, fd, RIGHT_PATH_FILESTAT_SET_TIMES, &dir, &e)) {
        return (int32_t)(e == WASI_OK ? object_refuse(env, &dir, path, WASI_NOTSUP) : e);
    }
    if (e == WASI_OK) {
        e = look_up(env, fd, RIGHT_PATH_FILESTAT_SET_TIMES, lookup, path, &host_fd);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    keep_times(env, fd, host_fd);
    e = host_result(utimensat(host_fd, "", times, AT_EMPTY_PATH));
    close(host_fd);
    return (int32_t)e;
}

static enum wasi_errno read_link(int host_fd, char *buf, size_t cap, size_t *ret_len)
{
    struct stat st;
    if (fstat(host_fd, &st) != 0) {
        return wasi_errno_from_host(errno);
    }
    if (!S_ISLNK(st.st_mode)) {
        return WASI_INVAL;
    }
    ssize_t n = readlinkat(host_fd, "", buf, cap);
    if (n < 0) {
        return wasi_errno_from_host(errno);
    }
    *ret_len = (size_t)n;
    return WASI_OK;
}

int32_t wasi_path_readlink(void *ctx, void *env, uint32_t fd, uint32_t path_addr, uint32_t path_len,
                           uint32_t buf, uint32_t buf_len, uint32_t ret_used)
{
    char path[WASI_PATH_BYTES_MAX + 1]; /* then the link's text */
    size_t len = 0;
    int host_fd = -1;
    uint8_t *out = host_range(ctx, ret_used, 4);
    char *dst = host_range(ctx, buf, buf_len);
    if (out == NULL || dst == NULL) {
        return WASI_FAULT;
    }
    enum wasi_errno e = guest_path(ctx, path_addr, path_len, path);
    struct file_use dir;
    if (e == WASI_OK && use_object(env, fd, RIGHT_PATH_READLINK, &dir, &e)) {
        return (int32_t)(e == WASI_OK ? object_refuse(env, &dir, path, WASI_INVAL) : e);
    }
    if (e == WASI_OK) {
        e = look_up(env, fd, RIGHT_PATH_READLINK, 0, path, &host_fd);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = read_link(host_fd, path, sizeof(path), &len);
    close(host_fd);
    if (e == WASI_OK) {
        len = len < buf_len ? len : buf_len;
        memcpy(dst, path, len);
        put_le32(out, (uint32_t)len);
    }
    return (int32_t)e;
}

/* ---- names in directories ---- */

struct name_at {
    struct file_use dir;
    struct path_parent parent;
};

static enum wasi_errno name_at_open(struct wasi *w, uint32_t fd, uint64_t rights, char *path,
                                    struct name_at *ret_at)
{
    enum wasi_errno e = fdtable_use(&w->files, fd, rights, &ret_at->dir);
    if (e != WASI_OK) {
        return e;
    }
    e = path_parent_open(w->path_method, ret_at->dir.file->host_fd, path, &ret_at->parent);
    if (e != WASI_OK) {
        file_put(&w->files, &ret_at->dir);
    }
    return e;
}

static void name_at_close(struct wasi *w, struct name_at *at)
{
    path_parent_close(&at->parent);
    file_put(&w->files, &at->dir);
}

enum name_change { NAME_MADE, NAME_REMOVED };

struct name_call {
    uint64_t rights;
    int (*run)(int dir_fd, const char *name);
    enum wasi_errno (*run_object)(struct wasi *w, const struct file *dir, const char *path);
    enum name_change change;
};

/* A directory when directory, else a link. */
static void keep_no_name(struct wasi *w, const struct name_at *at, bool directory)
{
    if (before_is_on(w)) {
        before_create(w, at->dir.file->grant, at->parent.fd, at->parent.name, directory);
    }
}

static int32_t run_on_name(void *ctx, struct wasi *w, uint32_t fd, uint32_t path_addr,
                           uint32_t path_len, const struct name_call *call)
{
    char path[WASI_PATH_BYTES_MAX + 1];
    struct name_at at;
    struct file_use dir;
    enum wasi_errno e = guest_path(ctx, path_addr, path_len, path);
    if (e == WASI_OK && use_object(w, fd, call->rights, &dir, &e)) {
        if (e == WASI_OK) {
            e = call->run_object(w, dir.file, path);
            file_put(&w->files, &dir);
        }
        return (int32_t)e;
    }
    if (e == WASI_OK) {
        e = name_at_open(w, fd, call->rights, path, &at);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    if (call->change == NAME_MADE) {
        keep_no_name(w, &at, true);
    } else if (before_is_on(w)) {
        before_remove(w, at.dir.file->grant, at.parent.fd, at.parent.name);
    }
    e = host_result(call->run(at.parent.fd, at.parent.name));
    name_at_close(w, &at);
    return (int32_t)e;
}

static int run_mkdir(int dir_fd, const char *name)
{
    return mkdirat(dir_fd, name, 0777);
}

static int run_rmdir(int dir_fd, const char *name)
{
    return unlinkat(dir_fd, name, AT_REMOVEDIR);
}

static int run_unlink(int dir_fd, const char *name)
{
    return unlinkat(dir_fd, name, 0);
}

static enum wasi_errno mkdir_object(struct wasi *w, const struct file *dir, const char *path)
{
    (void)w;
    return object_make_folder(dir, path);
}

static enum wasi_errno rmdir_object(struct wasi *w, const struct file *dir, const char *path)
{
    (void)w;
    return object_remove_folder(dir, path);
}

int32_t wasi_path_create_directory(void *ctx, void *env, uint32_t fd, uint32_t path,
                                   uint32_t path_len)
{
    static const struct name_call call = {RIGHT_PATH_CREATE_DIRECTORY, run_mkdir, mkdir_object,
                                          NAME_MADE};
    return run_on_name(ctx, env, fd, path, path_len, &call);
}

int32_t wasi_path_remove_directory(void *ctx, void *env, uint32_t fd, uint32_t path,
                                   uint32_t path_len)
{
    static const struct name_call call = {RIGHT_PATH_REMOVE_DIRECTORY, run_rmdir, rmdir_object,
                                          NAME_REMOVED};
    return run_on_name(ctx, env, fd, path, path_len, &call);
}

int32_t wasi_path_unlink_file(void *ctx, void *env, uint32_t fd, uint32_t path, uint32_t path_len)
{
    static const struct name_call call = {RIGHT_PATH_UNLINK_FILE, run_unlink, object_unlink,
                                          NAME_REMOVED};
    return run_on_name(ctx, env, fd, path, path_len, &call);
}

int32_t wasi_path_symlink(void *ctx, void *env, uint32_t target_addr, uint32_t target_len,
                          uint32_t fd, uint32_t path_addr, uint32_t path_len)
{
    struct wasi *w = env;
    char target[WASI_PATH_BYTES_MAX + 1];
    char path[WASI_PATH_BYTES_MAX + 1];
    struct name_at at;
    enum wasi_errno e = guest_path(ctx, target_addr, target_len, target);
    if (e == WASI_OK) {
        e = guest_path(ctx, path_addr, path_len, path);
    }
    if (e == WASI_OK) {
        e = path_check(target); /* an absolute link could never be followed again */
    }
    struct file_use dir;
    if (e == WASI_OK && use_object(w, fd, RIGHT_PATH_SYMLINK, &dir, &e)) {
        if (e == WASI_OK) {
            file_put(&w->files, &dir);
        }
        return (int32_t)(e == WASI_OK ? WASI_NOTSUP : e);
    }
    if (e == WASI_OK) {
        e = name_at_open(w, fd, RIGHT_PATH_SYMLINK, path, &at);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    keep_no_name(w, &at, false);
    e = host_result(symlinkat(target, at.parent.fd, at.parent.name));
    name_at_close(w, &at);
    return (int32_t)e;
}

/* True when one of the two is beneath a bucket: *ret_e is the result. */
static bool rename_object(struct wasi *w, uint32_t old_fd, const char *old_path, uint32_t new_fd,
                          const char *new_path, enum wasi_errno *ret_e)
{
    struct file_use from, to;
    if (w->bucket_count == 0) {
        return false;
    }
    *ret_e = fdtable_use(&w->files, old_fd, RIGHT_PATH_RENAME_SOURCE, &from);
    if (*ret_e != WASI_OK) {
        return true;
    }
    *ret_e = fdtable_use(&w->files, new_fd, RIGHT_PATH_RENAME_TARGET, &to);
    bool ours = *ret_e != WASI_OK || from.file->object != NULL || to.file->object != NULL;
    if (*ret_e == WASI_OK) {
        if (ours) {
            *ret_e = object_rename(w, from.file, old_path, to.file, new_path);
        }
        file_put(&w->files, &to);
    }
    file_put(&w->files, &from);
    return ours;
}

int32_t wasi_path_rename(void *ctx, void *env, uint32_t old_fd, uint32_t old_addr, uint32_t old_len,
                         uint32_t new_fd, uint32_t new_addr, uint32_t new_len)
{
    struct wasi *w = env;
    char old_path[WASI_PATH_BYTES_MAX + 1];
    char new_path[WASI_PATH_BYTES_MAX + 1];
    struct name_at from, to;
    enum wasi_errno e = guest_path(ctx, old_addr, old_len, old_path);
    if (e == WASI_OK) {
        e = guest_path(ctx, new_addr, new_len, new_path);
    }
    if (e == WASI_OK && rename_object(w, old_fd, old_path, new_fd, new_path, &e)) {
        return (int32_t)e;
    }
    if (e == WASI_OK) {
        e = name_at_open(w, old_fd, RIGHT_PATH_RENAME_SOURCE, old_path, &from);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = name_at_open(w, new_fd, RIGHT_PATH_RENAME_TARGET, new_path, &to);
    if (e == WASI_OK) {
        if (before_is_on(w)) {
            before_rename(w, from.dir.file->grant, from.parent.fd, from.parent.name,
                          to.dir.file->grant, to.parent.fd, to.parent.name);
        }
        e = host_result(renameat(from.parent.fd, from.parent.name, to.parent.fd, to.parent.name));
        name_at_close(w, &to);
    }
    name_at_close(w, &from);
    return (int32_t)e;
}

/* Where the link's source is. linkat would follow "..", and a link in a name with a slash behind it, out of
 * the directory; both can only name directories, which have no further hard links. */
static enum wasi_errno link_source(struct wasi *w, uint32_t fd, uint32_t lookup, char *path,
                                   struct name_at *ret_at)
{
    enum wasi_errno e;
    if ((lookup & ~(uint32_t)LOOKUP_SYMLINK_FOLLOW) != 0) {
        return WASI_INVAL;
    }
    if (path[0] != '\0' && path[strlen(path) - 1] == '/') {
        int host_fd = -1;
        e = look_up(w, fd, RIGHT_PATH_LINK_SOURCE, LOOKUP_SYMLINK_FOLLOW, path, &host_fd);
        if (e == WASI_OK) {
            close(host_fd);
        }
        return e == WASI_OK ? WASI_PERM : e;
    }
    if (lookup & LOOKUP_SYMLINK_FOLLOW) {
        e = fdtable_use(&w->files, fd, RIGHT_PATH_LINK_SOURCE, &ret_at->dir);
        if (e == WASI_OK) {
            e = path_parent_open_follow(ret_at->dir.file->host_fd, path, &ret_at->parent);
            if (e != WASI_OK) {
                file_put(&w->files, &ret_at->dir);
            }
        }
    } else {
        e = name_at_open(w, fd, RIGHT_PATH_LINK_SOURCE, path, ret_at);
    }
    if (e != WASI_OK) {
        return e;
    }
    const char *name = ret_at->parent.name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/') != NULL) {
        name_at_close(w, ret_at);
        return WASI_PERM;
    }
    return WASI_OK;
}

int32_t wasi_path_link(void *ctx, void *env, uint32_t old_fd, uint32_t lookup, uint32_t old_addr,
                       uint32_t old_len, uint32_t new_fd, uint32_t new_addr, uint32_t new_len)
{
    struct wasi *w = env;
    char old_path[WASI_PATH_BYTES_MAX + 1];
    char new_path[WASI_PATH_BYTES_MAX + 1];
    struct name_at from, to;
    enum wasi_errno e = guest_path(ctx, old_addr, old_len, old_path);
    if (e == WASI_OK) {
        e = guest_path(ctx, new_addr, new_len, new_path);
    }
    struct file_use dir;
    if (e == WASI_OK && use_object(w, old_fd, RIGHT_PATH_LINK_SOURCE, &dir, &e)) {
        return (int32_t)(e == WASI_OK ? object_refuse(w, &dir, old_path, WASI_NOTSUP) : e);
    }
    if (e == WASI_OK && use_object(w, new_fd, RIGHT_PATH_LINK_TARGET, &dir, &e)) {
        if (e == WASI_OK) {
            file_put(&w->files, &dir);
        }
        return (int32_t)(e == WASI_OK ? WASI_XDEV : e);
    }
    if (e == WASI_OK) {
        e = link_source(w, old_fd, lookup, old_path, &from);
    }
    if (e != WASI_OK) {
        return (int32_t)e;
    }
    e = name_at_open(w, new_fd, RIGHT_PATH_LINK_TARGET, new_path, &to);
    if (e == WASI_OK) {
        keep_no_name(w, &to, false);
        e = host_result(linkat(from.parent.fd, from.parent.name, to.parent.fd, to.parent.name, 0));
        name_at_close(w, &to);
    }
    name_at_close(w, &from);
    return (int32_t)e;
}
