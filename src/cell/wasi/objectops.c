#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "object.h"

/* The calls on paths beneath a bucket. */

static int stat_object(const struct object_name *n, struct wasi_object_info *ret_info)
{
    return n->path[0] == '\0' ? ENOENT : n->bucket->ops->stat(n->bucket->bucket, n->key, ret_info);
}

/* The path of the folder that it is in. */
static void parent_of(const char *path, char ret_parent[WASI_KEY_BYTES_MAX + 1])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    memcpy(ret_parent, path, len);
    ret_parent[len] = '\0';
}

/* Nothing is made beneath what is a file and no folder. */
static int check_parent(const struct object_name *n)
{
    struct wasi_object_info info;
    char parent[WASI_KEY_BYTES_MAX + 1], key[WASI_KEY_BYTES_MAX + 2];
    parent_of(n->path, parent);
    if (parent[0] == '\0' || !object_key(n->bucket, parent, false, key)) {
        return 0;
    }
    int errnum = n->bucket->ops->stat(n->bucket->bucket, key, &info);
    if (errnum != 0) {
        return errnum == ENOENT ? 0 : errnum;
    }
    errnum = object_folder_there(n->bucket, parent);
    return errnum == ENOENT ? ENOTDIR : errnum;
}

static int put_marker(const struct wasi_bucket *b, const char *path)
{
    static const struct wasi_object_condition any;
    struct wasi_object_info info;
    char key[WASI_KEY_BYTES_MAX + 2];
    void *writer = NULL;
    if (!object_key(b, path, true, key)) {
        return ENAMETOOLONG;
    }
    int errnum = b->ops->create(b->bucket, key, &writer);
    return errnum != 0 ? errnum : b->ops->seal(writer, &any, &info);
}

/* A folder stays when its last file goes. Where that fails it is as with S3 clients: it is gone. */
static void keep_parent(const struct object_name *n)
{
    char parent[WASI_KEY_BYTES_MAX + 1];
    parent_of(n->path, parent);
    if (parent[0] != '\0' && object_folder_there(n->bucket, parent) == ENOENT) {
        int errnum = put_marker(n->bucket, parent);
        (void)errnum;
    }
}

/* ---- opening ---- */

static int open_folder(struct wasi *w, const struct object_name *n, int flags, struct file **ret_f)
{
    struct wasi_object_info info;
    int errnum = object_folder_there(n->bucket, n->path);
    if (errnum == ENOENT && stat_object(n, &info) == 0) {
        errnum = ENOTDIR;
    }
    if (errnum == 0 && ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_CREAT)) != 0)) {
        errnum = EISDIR;
    }
    return errnum != 0 ? errnum : object_new_folder(w, n->grant, n->path, ret_f);
}

/* What another descriptor of this cell writes. */
static int open_shared(struct wasi *w, struct staged *s, int flags, struct file **ret_f)
{
    int errnum = 0;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
        errnum = EEXIST;
    } else if (flags & O_TRUNC) {
        errnum = staged_resize(s, 0);
    }
    return errnum != 0 ? errnum : object_new_staged(w, s, flags, ret_f);
}

static int stage(struct wasi *w, const struct object_name *n, int flags, void *base,
                 const struct wasi_object_info *info, struct file **ret_f)
{
    struct staged *s = NULL;
    bool there = info->etag[0] != '\0', cut = (flags & O_TRUNC) != 0;
    int errnum = staged_new(w, n->grant, n->path, base, info, &s);
    if (errnum != 0) {
        return errnum;
    }
    s->dirty = !there || cut;
    s->only_new = !there && (flags & O_EXCL) != 0;
    s->only_same = there && !cut;
    errnum = object_new_staged(w, s, flags, ret_f);
    staged_put(s);
    return errnum;
}

/* It may be written: opened as it is, cut or made. */
static int open_written(struct wasi *w, const struct object_name *n, int flags, struct file **ret_f)
{
    struct wasi_object_info info = {0};
    void *base = NULL;
    int errnum = (flags & (O_TRUNC | O_EXCL))
                     ? stat_object(n, &info)
                     : n->bucket->ops->open(n->bucket->bucket, n->key, &base, &info);
    if (errnum == 0) {
        bool exists = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
        return exists ? EEXIST : stage(w, n, flags, base, &info, ret_f);
    }
    if (errnum != ENOENT) {
        return errnum;
    }
    errnum = object_folder_there(n->bucket, n->path);
    if (errnum == 0) {
        return (flags & O_EXCL) ? EEXIST : EISDIR;
    }
    if (errnum != ENOENT || !(flags & O_CREAT)) {
        return errnum;
    }
    errnum = check_parent(n);
    return errnum != 0 ? errnum : stage(w, n, flags, NULL, &(struct wasi_object_info){0}, ret_f);
}

static int open_read(struct wasi *w, const struct object_name *n, int flags, struct file **ret_f)
{
    struct wasi_object_info info;
    void *reader = NULL;
    int errnum = n->bucket->ops->open(n->bucket->bucket, n->key, &reader, &info);
    if (errnum == 0) {
        return object_new_reader(w, n->grant, n->path, reader, &info, ret_f);
    }
    return errnum == ENOENT ? open_folder(w, n, flags, ret_f) : errnum;
}

static int open_name(struct wasi *w, const struct object_name *n, int flags, struct file **ret_f)
{
    if (n->folder || n->path[0] == '\0' || (flags & O_DIRECTORY)) {
        return open_folder(w, n, flags, ret_f);
    }
    struct staged *s = staged_find(w, n->bucket, n->key);
    if (s != NULL) {
        int errnum = open_shared(w, s, flags, ret_f);
        staged_put(s);
        return errnum;
    }
    if ((flags & O_ACCMODE) == O_RDONLY && !(flags & (O_TRUNC | O_EXCL))) {
        int errnum = open_read(w, n, flags & ~O_CREAT, ret_f);
        if (errnum != ENOENT || !(flags & O_CREAT)) {
            return errnum;
        }
    }
    return open_written(w, n, flags, ret_f);
}

enum wasi_errno object_open(struct wasi *w, const struct file *dir, const char *path, int flags,
                            struct file **ret_f)
{
    struct object_name n;
    enum wasi_errno e = object_name(dir, path, &n);
    if (e != WASI_OK) {
        return e;
    }
    if (!(flags & O_CREAT)) {
        flags &= ~O_EXCL; /* it means nothing alone, as on the host */
    }
    if (!dir->read_only || !(flags & O_CREAT)) {
        return wasi_errno_from_host(open_name(w, &n, flags, ret_f));
    }
    /* As on a read-only file system. */
    int errnum = open_name(w, &n, flags & ~(O_CREAT | O_EXCL), ret_f);
    if (errnum == 0 && (flags & O_EXCL)) {
        file_free(*ret_f);
        errnum = EEXIST;
    }
    return wasi_errno_from_host(errnum == ENOENT ? EROFS : errnum);
}

/* ---- folders ---- */

enum wasi_errno object_make_folder(const struct file *dir, const char *path)
{
    struct object_name n;
    struct wasi_object_info info;
    enum wasi_errno e = object_name(dir, path, &n);
    if (e != WASI_OK) {
        return e;
    }
    int errnum = stat_object(&n, &info);
    errnum = errnum == ENOENT ? object_folder_there(n.bucket, n.path) : errnum;
    if (errnum == 0) {
        return WASI_EXIST;
    }
    errnum = errnum == ENOENT ? check_parent(&n) : errnum;
    return wasi_errno_from_host(errnum != 0 ? errnum : put_marker(n.bucket, n.path));
}

struct beneath {
    const char *marker;
    bool marked; /* the marker itself is there */
    bool more;   /* something else is */
};

static bool see_beneath(void *arg, const char *key, bool folder,
                        const struct wasi_object_info *info)
{
    struct beneath *b = arg;
    if (!folder && strcmp(key, b->marker) == 0 && info->size == 0) {
        b->marked = true;
    } else {
        b->more = true;
    }
    return true;
}

/* What is in a folder: 0, ENOENT for nothing, ENOTEMPTY, ENOTDIR for a file. ret_marker: the key of its marker. */
static int folder_empty(const struct object_name *n, char ret_marker[WASI_KEY_BYTES_MAX + 2])
{
    struct wasi_object_info info;
    struct beneath b = {.marker = ret_marker};
    bool more;
    if (n->path[0] == '\0') {
        return EBUSY;
    }
    if (!object_key(n->bucket, n->path, true, ret_marker)) {
        return ENOENT;
    }
    const struct wasi_object_query q = {ret_marker, "", 2, see_beneath, &b};
    int errnum = n->bucket->ops->list(n->bucket->bucket, &q, &more);
    if (errnum != 0 || b.more) {
        return errnum != 0 ? errnum : ENOTEMPTY;
    }
    if (b.marked) {
        return 0;
    }
    errnum = stat_object(n, &info);
    return errnum == 0 ? ENOTDIR : errnum;
}

enum wasi_errno object_remove_folder(const struct file *dir, const char *path)
{
    struct object_name n;
    char marker[WASI_KEY_BYTES_MAX + 2];
    enum wasi_errno e = object_name(dir, path, &n);
    if (e != WASI_OK) {
        return e;
    }
    int errnum = folder_empty(&n, marker);
    errnum = errnum != 0 ? errnum : n.bucket->ops->remove(n.bucket->bucket, marker);
    if (errnum == 0) {
        keep_parent(&n);
    }
    return wasi_errno_from_host(errnum);
}

/* ---- names of files ---- */

enum wasi_errno object_unlink(struct wasi *w, const struct file *dir, const char *path)
{
    struct object_name n;
    enum wasi_errno e = object_name(dir, path, &n);
    if (e != WASI_OK) {
        return e;
    }
    if (n.folder || n.path[0] == '\0') {
        struct wasi_object_info info;
        int there = stat_object(&n, &info);
        there = there == ENOENT ? object_folder_there(n.bucket, n.path)
                : there == 0    ? ENOTDIR
                                : there;
        return wasi_errno_from_host(there == 0 ? EISDIR : there);
    }
    struct staged *s = staged_find(w, n.bucket, n.key);
    int errnum = n.bucket->ops->remove(n.bucket->bucket, n.key);
    if (errnum == ENOENT && s == NULL) {
        errnum = object_folder_there(n.bucket, n.path) == 0 ? EISDIR : ENOENT;
    } else if (errnum == ENOENT) {
        errnum = 0; /* it had no name yet but in this cell */
    }
    if (errnum == 0 && s != NULL) {
        staged_forget_name(s);
    }
    staged_put(s);
    if (errnum == 0) {
        keep_parent(&n);
    }
    return wasi_errno_from_host(errnum);
}

static int rename_folder(struct wasi *w, const struct object_name *from,
                         const struct object_name *to)
{
    char from_key[WASI_KEY_BYTES_MAX + 2], to_key[WASI_KEY_BYTES_MAX + 2];
    size_t len = strlen(from->path);
    int errnum = object_folder_there(from->bucket, from->path);
    if (errnum != 0) {
        return errnum;
    }
    if (from->path[0] == '\0' || to->path[0] == '\0') {
        return EBUSY;
    }
    if (strcmp(from->path, to->path) == 0) {
        return 0;
    }
    if (strncmp(from->path, to->path, len) == 0 && to->path[len] == '/') {
        return EINVAL;
    }
    errnum = folder_empty(to, to_key);
    if (errnum == 0) {
        errnum = to->bucket->ops->remove(to->bucket->bucket, to_key);
    }
    if (errnum != 0 && errnum != ENOENT) {
        return errnum;
    }
    if (!object_key(from->bucket, from->path, true, from_key) ||
        !object_key(to->bucket, to->path, true, to_key)) {
        return ENAMETOOLONG;
    }
    errnum = from->bucket->ops->rename_all(from->bucket->bucket, from_key, to_key);
    if (errnum == 0) {
        staged_rename_folder(w, from->grant, from->path, to->path);
        object_renamed(w, from->bucket, from_key, to_key);
    }
    return errnum == EEXIST ? ENOTEMPTY : errnum;
}

/* The file of `from`, which is an object, is being written by this cell, or both. */
static int rename_file(struct wasi *w, const struct object_name *from, bool there,
                       const struct object_name *to)
{
    struct wasi_object_info info;
    int errnum = 0;
    if (to->folder || to->path[0] == '\0') {
        return ENOTDIR;
    }
    if (strcmp(from->path, to->path) == 0) {
        return 0;
    }
    if (stat_object(to, &info) == ENOENT && object_folder_there(to->bucket, to->path) == 0) {
        return EISDIR;
    }
    errnum = check_parent(to);
    if (errnum == 0 && there) {
        errnum = from->bucket->ops->rename(from->bucket->bucket, from->key, to->key);
    }
    if (errnum != 0) {
        return errnum;
    }
    object_renamed(w, from->bucket, from->key, to->key);
    struct staged *moved = staged_find(w, from->bucket, from->key);
    struct staged *replaced = staged_find(w, to->bucket, to->key);
    if (replaced != NULL) {
        staged_forget_name(replaced);
    }
    if (moved != NULL) {
        staged_rename(moved, to->path);
    }
    staged_put(moved);
    staged_put(replaced);
    return 0;
}

enum wasi_errno object_rename(struct wasi *w, const struct file *from_dir, const char *from_path,
                              const struct file *to_dir, const char *to_path)
{
    struct object_name from, to;
    struct wasi_object_info info;
    if (from_dir->object == NULL || to_dir->object == NULL || from_dir->grant != to_dir->grant) {
        return WASI_XDEV;
    }
    enum wasi_errno e = object_name(from_dir, from_path, &from);
    e = e == WASI_OK ? object_name(to_dir, to_path, &to) : e;
    if (e != WASI_OK) {
        return e;
    }
    struct staged *s = from.folder ? NULL : staged_find(w, from.bucket, from.key);
    int errnum = stat_object(&from, &info);
    bool file = errnum == 0 || s != NULL;
    staged_put(s);
    if (errnum != 0 && errnum != ENOENT) {
        return wasi_errno_from_host(errnum);
    }
    if (file && from.folder && object_folder_there(from.bucket, from.path) != 0) {
        return WASI_NOTDIR;
    }
    errnum = file && !from.folder ? rename_file(w, &from, errnum == 0, &to)
                                  : rename_folder(w, &from, &to);
    if (errnum == 0) {
        keep_parent(&from);
    }
    return wasi_errno_from_host(errnum);
}
