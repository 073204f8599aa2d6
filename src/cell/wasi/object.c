#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "stat.h"

/* ---- names ---- */

bool object_key(const struct wasi_bucket *b, const char *path, bool folder,
                char ret_key[WASI_KEY_BYTES_MAX + 2])
{
    bool slash = folder && path[0] != '\0';
    int len = snprintf(ret_key, WASI_KEY_BYTES_MAX + 2, "%s%s%s", b->prefix, path,
                       slash ? "/" : "");
    return len >= 0 && len <= WASI_KEY_BYTES_MAX;
}

/* Take the last part off; false: there is none behind base_len. */
static bool cut_part(char *path, size_t base_len)
{
    size_t len = strlen(path);
    if (len <= base_len) {
        return false;
    }
    char *slash = strrchr(path, '/');
    size_t at = slash != NULL ? (size_t)(slash - path) : 0;
    path[at < base_len ? base_len : at] = '\0';
    return true;
}

static enum wasi_errno add_part(char *path, const char *part, size_t part_len)
{
    size_t len = strlen(path);
    if (part_len > WASI_NAME_BYTES_MAX || len + 1 + part_len > WASI_KEY_BYTES_MAX) {
        return WASI_NAMETOOLONG;
    }
    if (len > 0) {
        path[len++] = '/';
    }
    memcpy(path + len, part, part_len);
    path[len + part_len] = '\0';
    return WASI_OK;
}

enum wasi_errno object_name(const struct file *dir, const char *path, struct object_name *ret_name)
{
    size_t base_len = strlen(dir->path);
    enum wasi_errno e = path_check(path);
    *ret_name = (struct object_name){.bucket = dir->object->bucket, .grant = dir->grant};
    memcpy(ret_name->path, dir->path, base_len + 1);
    while (e == WASI_OK && *path != '\0') {
        size_t len = strcspn(path, "/");
        bool dots = len == 2 && memcmp(path, "..", 2) == 0;
        bool nothing = len == 0 || (len == 1 && path[0] == '.');
        if (dots) {
            e = cut_part(ret_name->path, base_len) ? WASI_OK : WASI_NOTCAPABLE;
        } else if (!nothing) {
            e = add_part(ret_name->path, path, len);
        }
        ret_name->folder = dots || nothing || path[len] == '/';
        path += len + (path[len] == '/');
    }
    if (e == WASI_OK && !object_key(ret_name->bucket, ret_name->path, false, ret_name->key)) {
        e = WASI_NAMETOOLONG;
    }
    return e;
}

/* ---- what is read and renamed ---- */

static pthread_mutex_t *window_lock(const struct file *f)
{
    return (pthread_mutex_t *)(uintptr_t)&f->dir_lock;
}

/* Of a file that is only read; with its lock held. */
static const char *read_path(const struct file *f)
{
    return f->object->renamed != NULL ? f->object->renamed : f->path;
}

const char *object_path(const struct file *f)
{
    return f->object->staged != NULL ? f->object->staged->path : read_path(f);
}

struct renaming {
    const char *bucket, *from, *to; /* keys */
};

/* A new key that the file's grant does not have is not kept: there is no path to it. */
static void go_along(void *arg, struct file *f)
{
    const struct renaming *r = arg;
    struct object *o = f->object;
    char key[WASI_KEY_BYTES_MAX + 2], to[2 * WASI_KEY_BYTES_MAX + 4];
    size_t len = strlen(r->from);
    bool folder = r->from[len - 1] == '/';
    if (o == NULL || o->reader == NULL || strcmp(o->bucket->name, r->bucket) != 0) {
        return;
    }
    size_t prefix_len = strlen(o->bucket->prefix);
    pthread_mutex_lock(window_lock(f));
    if (object_key(o->bucket, read_path(f), false, key) && strncmp(key, r->from, len) == 0 &&
        (folder || key[len] == '\0')) {
        snprintf(to, sizeof(to), "%s%s", r->to, key + len);
        bool has = strncmp(to, o->bucket->prefix, prefix_len) == 0;
        char *path = has && strlen(to) <= WASI_KEY_BYTES_MAX ? strdup(to + prefix_len) : NULL;
        if (path != NULL) {
            free(o->renamed);
            o->renamed = path;
        }
    }
    pthread_mutex_unlock(window_lock(f));
}

void object_renamed(struct wasi *w, const struct wasi_bucket *b, const char *from, const char *to)
{
    struct renaming r = {b->name, from, to};
    fdtable_each(&w->files, go_along, &r);
}

static bool is_something(void *arg, const char *key, bool folder,
                         const struct wasi_object_info *info)
{
    (void)key;
    (void)folder;
    (void)info;
    *(bool *)arg = true;
    return false;
}

int object_folder_there(const struct wasi_bucket *b, const char *path)
{
    char prefix[WASI_KEY_BYTES_MAX + 2];
    bool found = false, more;
    if (path[0] == '\0') {
        return 0;
    }
    if (!object_key(b, path, true, prefix)) {
        return ENOENT; /* nothing can be beneath it */
    }
    const struct wasi_object_query q = {prefix, "", 1, is_something, &found};
    int errnum = b->ops->list(b->bucket, &q, &more);
    return errnum != 0 ? errnum : found ? 0 : ENOENT;
}

/* ---- numbers and attributes ---- */

uint64_t object_device(const struct wasi_bucket *b)
{
    return hash_xxh3(b->name, strlen(b->name));
}

uint64_t object_inode(const struct wasi_bucket *b, const char *path, bool folder)
{
    char key[2 * WASI_KEY_BYTES_MAX + 2];
    int len = snprintf(key, sizeof(key), "%s%s", b->prefix, path);
    uint64_t hash = hash_xxh3(key, (size_t)len) & ~(uint64_t)1;
    return (hash != 0 ? hash : 2) | (folder ? 1 : 0);
}

static void describe(const struct wasi_bucket *b, const char *path, bool folder, uint64_t size,
                     uint64_t modified_ns, struct stat *ret_st)
{
    struct timespec t = {(time_t)(modified_ns / 1000000000), (long)(modified_ns % 1000000000)};
    *ret_st = (struct stat){
        .st_dev = object_device(b),
        .st_ino = object_inode(b, path, folder),
        .st_mode = folder ? S_IFDIR | 0755 : S_IFREG | 0644,
        .st_nlink = 1,
        .st_size = (off_t)size,
        .st_atim = t,
        .st_mtim = t,
        .st_ctim = t,
    };
}

static void describe_staged(struct staged *s, struct stat *ret_st)
{
    pthread_mutex_lock(&s->lock);
    describe(s->bucket, s->path, false, staged_size(s), staged_modified_ns(s), ret_st);
    pthread_mutex_unlock(&s->lock);
}

enum wasi_errno object_stat_file(const struct file *f, struct stat *ret_st)
{
    const struct object *o = f->object;
    if (o->staged != NULL) {
        describe_staged(o->staged, ret_st);
    } else if (f->kind == FILE_DIRECTORY) {
        describe(o->bucket, f->path, true, 0, 0, ret_st);
    } else {
        pthread_mutex_lock(window_lock(f));
        describe(o->bucket, read_path(f), false, o->info.size, o->info.modified_ns, ret_st);
        pthread_mutex_unlock(window_lock(f));
    }
    return WASI_OK;
}

enum wasi_errno object_stat_path(struct wasi *w, const struct file *dir, const char *path,
                                 struct stat *ret_st)
{
    struct object_name n;
    struct wasi_object_info info;
    enum wasi_errno e = object_name(dir, path, &n);
    if (e != WASI_OK) {
        return e;
    }
    int errnum = ENOENT;
    if (n.path[0] != '\0') {
        struct staged *s = staged_find(w, n.bucket, n.key);
        if (s != NULL && !n.folder) {
            describe_staged(s, ret_st);
            staged_put(s);
            return WASI_OK;
        }
        staged_put(s);
        errnum = n.bucket->ops->stat(n.bucket->bucket, n.key, &info);
        if (errnum == 0 && !n.folder) {
            describe(n.bucket, n.path, false, info.size, info.modified_ns, ret_st);
            return WASI_OK;
        }
    }
    bool file = errnum == 0;
    if (file || errnum == ENOENT) {
        errnum = object_folder_there(n.bucket, n.path);
    }
    if (errnum == 0) {
        describe(n.bucket, n.path, true, 0, 0, ret_st);
    }
    return wasi_errno_from_host(errnum == ENOENT && file ? ENOTDIR : errnum);
}

/* ---- open files ---- */

static void free_window(struct wasi *w, struct read_window *win);

void object_free(struct object *o)
{
    if (o == NULL) {
        return;
    }
    if (o->reader != NULL) {
        o->bucket->ops->close(o->reader);
    }
    staged_put(o->staged);
    free_window(o->w, o->window);
    free(o->renamed);
    free(o);
}

/* Takes over host_fd and *o's reader or reference, also on failure. */
static int new_file(struct wasi *w, uint32_t grant, const char *path, int host_fd,
                    const struct object *o, struct file **ret_f)
{
    int errnum = host_fd < 0 ? errno : 0;
    struct object *copy = malloc(sizeof(*copy));
    struct file *f = errnum == 0 && copy != NULL ? file_new(host_fd, false, &errnum) : NULL;
    if (f == NULL) {
        errnum = errnum != 0 ? errnum : ENOMEM;
        if (host_fd >= 0) {
            close(host_fd);
        }
        if (o->reader != NULL) {
            o->bucket->ops->close(o->reader);
        }
        staged_put(o->staged);
        free(copy);
        return errnum;
    }
    *copy = *o;
    copy->w = w;
    copy->bucket = w->grants[grant].bucket;
    f->object = copy;
    f->grant = grant;
    f->read_only = w->grants[grant].read_only;
    f->path = strdup(path);
    if (f->path == NULL) {
        file_free(f);
        return ENOMEM;
    }
    *ret_f = f;
    return 0;
}

int object_new_folder(struct wasi *w, uint32_t grant, const char *path, struct file **ret_f)
{
    const struct object o = {.bucket = w->grants[grant].bucket};
    return new_file(w, grant, path, fcntl(w->void_fd, F_DUPFD_CLOEXEC, 0), &o, ret_f);
}

int object_new_reader(struct wasi *w, uint32_t grant, const char *path, void *reader,
                      const struct wasi_object_info *info, struct file **ret_f)
{
    const struct object o = {.bucket = w->grants[grant].bucket, .reader = reader, .info = *info};
    int fd = memfd_create("object", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)info->size) != 0) {
        int errnum = errno;
        close(fd);
        errno = errnum;
        fd = -1;
    }
    int errnum = new_file(w, grant, path, fd, &o, ret_f);
    if (errnum == 0) {
        (*ret_f)->rights_base &= ~RIGHTS_WRITE_DATA;
    }
    return errnum;
}

int object_new_staged(struct wasi *w, struct staged *s, int flags, struct file **ret_f)
{
    char self[64], path[WASI_KEY_BYTES_MAX + 1];
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    const struct object o = {.bucket = s->bucket, .staged = s, .writes = writes};
    pthread_mutex_lock(&s->lock);
    memcpy(path, s->path, sizeof(path));
    pthread_mutex_unlock(&s->lock);
    snprintf(self, sizeof(self), "/proc/self/fd/%d", s->fd); /* an offset of its own */
    staged_ref(s);
    return new_file(w, s->grant, path, open(self, (flags & O_ACCMODE) | O_CLOEXEC), &o, ret_f);
}

int object_new_grant(struct wasi *w, uint32_t grant, struct file **ret_f)
{
    struct file *f = NULL;
    int errnum = object_new_folder(w, grant, "", &f);
    if (errnum != 0) {
        return errnum;
    }
    f->preopen = strdup(w->grants[grant].guest_path);
    if (f->preopen == NULL) {
        file_free(f);
        return ENOMEM;
    }
    if (f->read_only) {
        f->rights_base &= ~RIGHTS_CHANGE;
    }
    *ret_f = f;
    return 0;
}

/* ---- bytes ---- */

int object_before_read(const struct file *f, uint64_t offset, size_t len)
{
    off_t at = offset == IO_AT_OFFSET ? lseek(f->host_fd, 0, SEEK_CUR) : (off_t)offset;
    return at < 0 ? errno : staged_before_read(f->object->staged, (uint64_t)at, len);
}

int object_before_write(const struct file_use *u, uint64_t offset, size_t len)
{
    struct staged *s = u->file->object->staged;
    off_t at = (off_t)offset;
    if (offset == IO_AT_OFFSET && (u->flags & FDFLAG_APPEND)) {
        at = (off_t)staged_size(s);
    } else if (offset == IO_AT_OFFSET) {
        at = lseek(u->file->host_fd, 0, SEEK_CUR);
    }
    return at < 0 ? errno : staged_before_write(s, (uint64_t)at, len);
}

static struct read_window *new_window(struct wasi *w, size_t cap)
{
    struct read_window *win = wasi_scratch_new(w, sizeof(*win) + cap);
    if (win != NULL) {
        win->cap = cap;
        atomic_fetch_add(&w->window_bytes, cap);
    }
    return win;
}

static void free_window(struct wasi *w, struct read_window *win)
{
    if (win != NULL) {
        atomic_fetch_sub(&w->window_bytes, win->cap);
        wasi_scratch_free(w, win);
    }
}

static struct read_window *take_window(const struct file *f)
{
    struct object *o = f->object;
    pthread_mutex_lock(window_lock(f));
    struct read_window *win = o->window;
    o->window = NULL;
    pthread_mutex_unlock(window_lock(f));
    return win != NULL ? win : new_window(o->w, READ_WINDOW_MIN);
}

static void give_window(const struct file *f, struct read_window *win)
{
    struct object *o = f->object;
    pthread_mutex_lock(window_lock(f));
    struct read_window *other = o->window;
    o->window = win;
    pthread_mutex_unlock(window_lock(f));
    free_window(o->w, other);
}

/* A larger one in the place of *win, if there is room for it. What was in it has been used up. */
static void grow_window(struct wasi *w, struct read_window **win, size_t cap)
{
    cap = cap < READ_WINDOW_MAX ? cap : READ_WINDOW_MAX;
    struct read_window *larger = cap > (*win)->cap && atomic_load(&w->window_bytes) + cap <=
                                                          READ_WINDOWS_BYTES_MAX
                                     ? new_window(w, cap)
                                     : NULL;
    if (larger != NULL) {
        free_window(w, *win);
        *win = larger;
    }
}

/* Have the byte at `at` in the window, and as many behind it as seem useful; want: asked for. */
static int look(const struct object *o, struct read_window **win, uint64_t at, size_t want)
{
    const struct read_window *old = *win;
    if (at >= old->offset && at - old->offset < old->len) {
        return 0;
    }
    bool follows = old->len > 0 && at == old->offset + old->len;
    size_t len = follows ? old->len * 2 : READ_WINDOW_MIN;
    len = len < want ? want : len;
    grow_window(o->w, win, len);
    (*win)->len = 0;
    (*win)->offset = at;
    len = len < (*win)->cap ? len : (*win)->cap;
    return o->bucket->ops->read(o->reader, (*win)->data, len, at, &(*win)->len);
}

/* Nothing of the store, and no lock, is held when guest memory is touched; a window that a trap leaves behind is ended
 * with the cell's scratch memory. */
ssize_t object_read(const struct file *f, const struct piece *p, uint64_t offset)
{
    const struct object *o = f->object;
    off_t start = offset == IO_AT_OFFSET ? lseek(f->host_fd, 0, SEEK_CUR) : (off_t)offset;
    uint64_t at = (uint64_t)start;
    int errnum = start < 0 ? errno : 0;
    struct read_window *win = errnum == 0 ? take_window(f) : NULL;
    if (win == NULL) {
        return errnum != 0 ? -errnum : -ENOMEM;
    }
    size_t done = 0, total = p->bytes;
    for (int i = 0; i < p->count && errnum == 0; i++) {
        uint8_t *dst = p->iovs[i].iov_base;
        size_t left = p->iovs[i].iov_len;
        while (left > 0 && at < o->info.size && errnum == 0) {
            errnum = look(o, &win, at, total - done);
            size_t have = errnum == 0 ? win->len - (size_t)(at - win->offset) : 0;
            size_t n = left < have ? left : have;
            if (errnum == 0 && have == 0) {
                errnum = EIO; /* shorter than it was said to be */
            } else if (n > 0) {
                memcpy(dst, win->data + (at - win->offset), n);
            }
            dst += n;
            left -= n;
            at += n;
            done += n;
        }
    }
    give_window(f, win);
    if (errnum != 0 && done == 0) {
        return -errnum;
    }
    if (offset == IO_AT_OFFSET && done > 0) {
        (void)lseek(f->host_fd, (off_t)at, SEEK_SET);
    }
    return (ssize_t)done;
}

static bool go_on(void *ctx)
{
    return host_wait_poll(ctx);
}

enum wasi_errno object_publish(void *ctx, const struct file *f)
{
    struct staged *s = f->object->staged;
    /* Who only reads leaves it to who writes, if there is one: O_CREAT and O_TRUNC need no right to write. */
    if (s == NULL || (!f->object->writes && !staged_is_last(s))) {
        return WASI_OK;
    }
    int errnum = staged_publish(s, go_on, ctx);
    return errnum == ECANCELED ? guest_waited(ctx, WASI_INTR) : wasi_errno_from_host(errnum);
}

enum wasi_errno object_set_size(const struct file *f, uint64_t size)
{
    return wasi_errno_from_host(staged_resize(f->object->staged, size));
}

enum wasi_errno object_allocate(const struct file *f, uint64_t offset, uint64_t len)
{
    return wasi_errno_from_host(staged_reserve(f->object->staged, offset, len));
}
