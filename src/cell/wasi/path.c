#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPENAT2_TRIES = 64, DIR_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* ---- resolution by the kernel ---- */

static int openat2_beneath(int dir_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
}

enum path_method path_method_probe(void)
{
    int fd = openat2_beneath(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0);
    if (fd < 0) {
        return PATH_WALK;
    }
    close(fd);
    return PATH_OPENAT2;
}

/* ---- resolution by the walk ---- */

struct walk {
    int root;                           /* borrowed */
    int cur;                            /* the directory reached: root, or owned */
    char done[WASI_PATH_BYTES_MAX + 1]; /* how cur was reached: names of directories only */
    size_t done_len;
    char rest[WASI_PATH_BYTES_MAX + 1]; /* still to be resolved, at the end of the array */
    char *next;
    uint32_t links;
    uint32_t steps;
};

static enum wasi_errno walk_init(struct walk *w, int root, const char *path)
{
    size_t len = strlen(path);
    if (len > WASI_PATH_BYTES_MAX) {
        return WASI_NAMETOOLONG;
    }
    w->root = root;
    w->cur = root;
    w->done_len = 0;
    w->next = w->rest + sizeof(w->rest) - len - 1;
    w->links = 0;
    w->steps = 0;
    memcpy(w->next, path, len + 1);
    return WASI_OK;
}

static void walk_done(struct walk *w)
{
    if (w->cur != w->root) {
        close(w->cur);
    }
    w->cur = w->root;
}

/* Take the next part. Empty at the end of the path. */
static enum wasi_errno walk_take(struct walk *w, char name[WASI_NAME_BYTES_MAX + 1])
{
    w->next += strspn(w->next, "/");
    size_t len = strcspn(w->next, "/");
    if (len > WASI_NAME_BYTES_MAX) {
        return WASI_NAMETOOLONG;
    }
    memcpy(name, w->next, len);
    name[len] = '\0';
    w->next += len;
    return WASI_OK;
}

/* Step from cur into the directory name, which is no link. */
static enum wasi_errno walk_step(struct walk *w, const char *name)
{
    if (++w->steps > WASI_WALK_STEPS_MAX) {
        return WASI_LOOP;
    }
    int fd = openat(w->cur, name, DIR_FLAGS);
    if (fd < 0) {
        return wasi_errno_from_host(errno);
    }
    walk_done(w);
    w->cur = fd;
    return WASI_OK;
}

static enum wasi_errno walk_enter(struct walk *w, const char *name)
{
    size_t len = strlen(name);
    if (w->done_len + len + 1 >= sizeof(w->done)) {
        return WASI_NAMETOOLONG;
    }
    enum wasi_errno e = walk_step(w, name);
    if (e == WASI_OK) {
        memcpy(w->done + w->done_len, name, len + 1);
        w->done_len += len + 1;
    }
    return e;
}

/* "..": walk again from the root to the parent, since the present parent of cur may lie outside by now.
 * done holds the names one behind the other, each with its NUL. */
static enum wasi_errno walk_up(struct walk *w)
{
    if (w->done_len == 0) {
        return WASI_NOTCAPABLE;
    }
    size_t len = w->done_len - 1;
    while (len > 0 && w->done[len - 1] != '\0') {
        len--;
    }
    w->done_len = len;
    walk_done(w);
    for (size_t off = 0; off < len; off += strlen(w->done + off) + 1) {
        enum wasi_errno e = walk_step(w, w->done + off);
        if (e != WASI_OK) {
            return e;
        }
    }
    return WASI_OK;
}

/* If name in cur is a symbolic link, put its target in front of the rest. */
static enum wasi_errno walk_link(struct walk *w, const char *name, bool *ret_is_link)
{
    size_t room = (size_t)(w->next - w->rest);
    ssize_t len = readlinkat(w->cur, name, w->rest, room);
    *ret_is_link = len >= 0;
    if (len < 0) {
        /* Not a link or not there: whoever opens the name finds out. */
        return errno == EINVAL || errno == ENOENT ? WASI_OK : wasi_errno_from_host(errno);
    }
    if (++w->links > WASI_SYMLINKS_MAX) {
        return WASI_LOOP;
    }
    if ((size_t)len >= room) {
        return WASI_NAMETOOLONG;
    }
    if (len == 0) {
        return WASI_NOENT;
    }
    if (w->rest[0] == '/') {
        return WASI_NOTCAPABLE;
    }
    w->next -= len;
    memmove(w->next, w->rest, (size_t)len);
    return WASI_OK;
}

/* Where the walk ended: a name in cur, "." for cur itself. */
struct walk_last {
    char name[WASI_NAME_BYTES_MAX + 1];
    bool want_dir; /* the path had a slash behind it */
};

/* A part in the middle of the path: a directory, or a link to be resolved. */
static enum wasi_errno walk_through(struct walk *w, const char *name)
{
    enum wasi_errno e = walk_enter(w, name);
    if (e != WASI_NOTDIR && e != WASI_LOOP) {
        return e;
    }
    bool is_link;
    enum wasi_errno link_e = walk_link(w, name, &is_link);
    return link_e != WASI_OK || is_link ? link_e : e;
}

static enum wasi_errno walk_to_last(struct walk *w, bool follow, struct walk_last *ret_last)
{
    for (;;) {
        enum wasi_errno e = walk_take(w, ret_last->name);
        if (e != WASI_OK) {
            return e;
        }
        bool last = w->next[strspn(w->next, "/")] == '\0';
        ret_last->want_dir = last && *w->next == '/';
        bool up = strcmp(ret_last->name, "..") == 0;
        if (up && (e = walk_up(w)) != WASI_OK) {
            return e;
        }
        if (up || ret_last->name[0] == '\0' || strcmp(ret_last->name, ".") == 0) {
            if (last) {
                memcpy(ret_last->name, ".", 2);
                return WASI_OK;
            }
            continue;
        }
        if (!last) {
            e = walk_through(w, ret_last->name);
            if (e != WASI_OK) {
                return e;
            }
            continue;
        }
        bool is_link = false;
        if (follow || ret_last->want_dir) {
            e = walk_link(w, ret_last->name, &is_link);
        }
        if (e != WASI_OK || !is_link) {
            return e;
        }
    }
}

static bool is_symlink(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISLNK(st.st_mode);
}

/* Open the last part, never following; *ret_raced: it has become a link meanwhile. */
static enum wasi_errno walk_open_last(struct walk *w, const struct walk_last *last, bool follow,
                                      int flags, mode_t mode, int *ret_fd, bool *ret_raced)
{
    if (last->want_dir) {
        flags |= O_DIRECTORY;
    }
    int fd = openat(w->cur, last->name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        int errnum = errno;
        *ret_raced = follow && (errnum == ELOOP || errnum == ENOTDIR);
        return wasi_errno_from_host(errnum);
    }
    if (follow && (flags & O_PATH) && is_symlink(fd)) {
        close(fd);
        *ret_raced = true;
        return WASI_LOOP;
    }
    *ret_raced = false;
    *ret_fd = fd;
    return WASI_OK;
}

static enum wasi_errno walk_open(struct walk *w, int flags, mode_t mode, int *ret_fd)
{
    bool exclusive = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
    for (;;) {
        struct walk_last last;
        bool follow = !(flags & O_NOFOLLOW) && !exclusive;
        enum wasi_errno e = walk_to_last(w, follow, &last);
        if (e != WASI_OK) {
            return e;
        }
        if (last.want_dir && (flags & O_CREAT)) {
            return WASI_ISDIR;
        }
        bool raced;
        e = walk_open_last(w, &last, follow || last.want_dir, flags, mode, ret_fd, &raced);
        if (!raced) {
            return e;
        }
        bool is_link;
        enum wasi_errno link_e = walk_link(w, last.name, &is_link);
        if (link_e != WASI_OK || !is_link) {
            return link_e != WASI_OK ? link_e : e;
        }
    }
}

static enum wasi_errno open_by_walk(int dir_fd, const char *path, int flags, mode_t mode,
                                    int *ret_fd)
{
    struct walk w;
    enum wasi_errno e = walk_init(&w, dir_fd, path);
    if (e == WASI_OK) {
        e = walk_open(&w, flags, mode, ret_fd);
        walk_done(&w);
    }
    return e;
}

/* ---- both ---- */

enum wasi_errno path_check(const char *path)
{
    if (path[0] == '\0') {
        return WASI_NOENT;
    }
    return path[0] == '/' ? WASI_NOTCAPABLE : WASI_OK;
}

enum wasi_errno path_open_beneath(enum path_method method, int dir_fd, const char *path, int flags,
                                  mode_t mode, int *ret_fd)
{
    enum wasi_errno e = path_check(path);
    if (e != WASI_OK) {
        return e;
    }
    /* EAGAIN: something was renamed while the kernel went through a "..". The walk cannot be disturbed so. */
    for (int i = 0; method == PATH_OPENAT2 && i < OPENAT2_TRIES; i++) {
        int fd = openat2_beneath(dir_fd, path, flags, mode);
        if (fd >= 0) {
            *ret_fd = fd;
            return WASI_OK;
        }
        if (errno != EAGAIN) {
            return errno == EXDEV ? WASI_NOTCAPABLE : wasi_errno_from_host(errno);
        }
    }
    return open_by_walk(dir_fd, path, flags, mode, ret_fd);
}

enum wasi_errno path_parent_open(enum path_method method, int dir_fd, char *path,
                                 struct path_parent *ret_parent)
{
    enum wasi_errno e = path_check(path);
    if (e != WASI_OK) {
        return e;
    }
    size_t end = strlen(path);
    bool slash = false;
    while (path[end - 1] == '/') {
        slash = true;
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    size_t len = end - start;
    if (len > WASI_NAME_BYTES_MAX) {
        return WASI_NAMETOOLONG;
    }
    memcpy(ret_parent->name, path + start, len);
    if (slash) {
        ret_parent->name[len++] = '/';
    }
    ret_parent->name[len] = '\0';
    ret_parent->fd = dir_fd;
    ret_parent->owned = false;
    if (start == 0) {
        return WASI_OK;
    }
    path[start] = '\0';
    e = path_open_beneath(method, dir_fd, path, O_PATH | O_DIRECTORY, 0, &ret_parent->fd);
    ret_parent->owned = e == WASI_OK;
    return e;
}

enum wasi_errno path_parent_open_follow(int dir_fd, const char *path,
                                        struct path_parent *ret_parent)
{
    struct walk w;
    struct walk_last last;
    enum wasi_errno e = path_check(path);
    if (e == WASI_OK) {
        e = walk_init(&w, dir_fd, path);
    }
    if (e != WASI_OK) {
        return e;
    }
    e = walk_to_last(&w, true, &last);
    if (e != WASI_OK) {
        walk_done(&w);
        return e;
    }
    size_t len = strlen(last.name);
    memcpy(ret_parent->name, last.name, len);
    if (last.want_dir) {
        ret_parent->name[len++] = '/';
    }
    ret_parent->name[len] = '\0';
    ret_parent->fd = w.cur;
    ret_parent->owned = w.cur != dir_fd;
    return WASI_OK;
}

void path_parent_close(struct path_parent *p)
{
    if (p->owned) {
        close(p->fd);
    }
    p->owned = false;
}

bool path_of_fd(int fd, char ret_path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, ret_path, PATH_MAX - 1);
    if (n <= 0 || ret_path[0] != '/') {
        return false;
    }
    ret_path[n] = '\0';
    return true;
}

bool path_of_fd_beneath(int dir_fd, int fd, char ret_path[WASI_PATH_BYTES_MAX + 1])
{
    char dir[PATH_MAX], file[PATH_MAX];
    if (!path_of_fd(dir_fd, dir) || !path_of_fd(fd, file)) {
        return false;
    }
    size_t len = strlen(dir);
    len -= dir[len - 1] == '/'; /* the root */
    if (strncmp(dir, file, len) != 0 || (file[len] != '/' && file[len] != '\0')) {
        return false;
    }
    const char *rest = file + len + (file[len] == '/');
    memcpy(ret_path, rest, strlen(rest) + 1);
    return true;
}
