/* The current directory: a string of the cell, PWD at the start, which paths are put behind before they are
 * matched with the granted directories. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/libc-find-relpath.h>
#include "libc.h"
#include "lock.h"

static char *cwd; /* absolute, without a slash at its end but for the root; guarded by lock */
#ifdef _REENTRANT
static volatile int lock[1];
#endif

/* Take "." and ".." out of an absolute path, in place. ".." of the root stays: a grant may be named so. */
static void normalise(char *path)
{
    char *out = path;
    const char *in = path;

    while (*in) {
        size_t len;

        while (*in == '/')
            in++;
        len = strcspn(in, "/");
        if (len == 0)
            break;
        if (len == 1 && in[0] == '.') {
            in += len;
            continue;
        }
        if (len == 2 && in[0] == '.' && in[1] == '.' && out != path &&
            !(out - path >= 3 && memcmp(out - 3, "/..", 3) == 0)) {
            while (*--out != '/')
                ;
            in += len;
            continue;
        }
        *out++ = '/';
        memmove(out, in, len);
        out += len;
        in += len;
    }
    if (out == path)
        *out++ = '/';
    *out = '\0';
}

/* The current directory, found at first use. A grant may have a relative name, which is one below the root.
 * Call with the lock held. */
static const char *cwd_locked(void)
{
    const char *pwd;
    size_t n;

    if (cwd)
        return cwd;
    pwd = getenv("PWD");
    n = pwd ? strlen(pwd) : 0;
    if (n == 0 || n >= PATH_MAX)
        return "/";
    cwd = malloc(n + 2);
    if (!cwd)
        return "/";
    cwd[0] = '/';
    memcpy(cwd + 1, pwd, n + 1);
    normalise(cwd);
    return cwd;
}

static char *absolute(const char *path)
{
    const char *dir;
    char *out;
    size_t n;

    if (path[0] == '/')
        return strdup(path);
    while (path[0] == '.' && (path[1] == '/' || path[1] == '\0')) {
        path += path[1] ? 2 : 1;
        while (*path == '/')
            path++;
    }
    LOCK(lock);
    dir = cwd_locked();
    n = strlen(dir);
    out = malloc(n + strlen(path) + 2);
    if (out) {
        memcpy(out, dir, n);
        if (n > 1 && path[0])
            out[n++] = '/';
        strcpy(out + n, path);
    }
    UNLOCK(lock);
    return out;
}

/* Does a path below a grant step out of it? By its text alone: a symbolic link on the way is taken for a folder. */
static int leaves(const char *rel)
{
    long depth = 0;

    while (*rel) {
        size_t len = strcspn(rel, "/");

        if (len == 2 && rel[0] == '.' && rel[1] == '.') {
            if (--depth < 0)
                return 1;
        } else if (len > 0 && !(len == 1 && rel[0] == '.')) {
            depth++;
        }
        rel += len;
        rel += strspn(rel, "/");
    }
    return 0;
}

/* Split a path into a granted directory and what is below it. ".." is taken out here where it starts the path, since
 * it means the current directory, and where the path steps out of the grant that it names first: the host would
 * refuse that, although another grant may hold what is meant. */
int __wasilibc_find_relpath_alloc(const char *path, const char **ret_prefix, char **relative,
                                  size_t *relative_len, int can_realloc)
{
    const char *rel;
    char *abs;
    size_t n;
    int fd;

    if (path[0] == '\0') {
        errno = ENOENT;
        return -1;
    }
    abs = absolute(path);
    if (!abs) {
        errno = ENOMEM;
        return -1;
    }
    if (path[0] == '.' && path[1] == '.')
        normalise(abs);
    fd = __wasilibc_find_abspath(abs, ret_prefix, &rel);
    if (fd == -1 || leaves(rel)) {
        normalise(abs);
        fd = __wasilibc_find_abspath(abs, ret_prefix, &rel);
    }
    if (fd == -1) {
        free(abs);
        return -1;
    }
    n = strlen(rel) + 1;
    if (*relative_len < n) {
        char *grown = can_realloc ? realloc(*relative, n) : NULL;

        if (!grown) {
            free(abs);
            errno = can_realloc ? ENOMEM : ERANGE;
            return -1;
        }
        *relative = grown;
        *relative_len = n;
    }
    memcpy(*relative, rel, n);
    free(abs);
    return fd;
}

char *getcwd(char *buf, size_t size)
{
    const char *dir;
    size_t n;

    if (buf && size == 0) {
        errno = EINVAL;
        return NULL;
    }
    LOCK(lock);
    dir = cwd_locked();
    n = strlen(dir) + 1;
    if (!buf) {
        buf = strdup(dir);
        if (!buf)
            errno = ENOMEM;
    } else if (size < n) {
        errno = ERANGE;
        buf = NULL;
    } else {
        memcpy(buf, dir, n);
    }
    UNLOCK(lock);
    return buf;
}

int chdir(const char *path)
{
    struct stat st;
    char *next, *old;

    if (path[0] == '\0') {
        errno = ENOENT;
        return -1;
    }
    if (stat(path, &st) != 0)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    next = absolute(path);
    if (!next) {
        errno = ENOMEM;
        return -1;
    }
    normalise(next);
    LOCK(lock);
    old = cwd;
    cwd = next;
    UNLOCK(lock);
    free(old);
    return 0;
}

char *get_current_dir_name(void)
{
    return getcwd(NULL, 0);
}
