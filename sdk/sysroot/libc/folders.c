/* fchdir: WASI does not tell the path of a descriptor, so that of each folder is noted when it is opened, in programs that
 * go into folders by descriptor. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "descriptors.h"
#include "lock.h"

/* Guarded by lock: paths by descriptor, NULL where none is known. Of a closed one the path stays until its number is used
 * again; what a path leads to is looked at before it is used. */
static char **paths;
static int count;
#ifdef _REENTRANT
static volatile int lock[1];
#endif

/* The guest's name of a granted folder; one without a slash in front is below the root. */
static char *granted(int fd)
{
    __wasi_prestat_t stat;
    char *path;

    if (__wasi_fd_prestat_get((__wasi_fd_t)fd, &stat) != 0)
        return NULL;
    path = malloc(stat.u.dir.pr_name_len + 2);
    if (!path)
        return NULL;
    path[0] = '/';
    path[1 + stat.u.dir.pr_name_len] = '\0';
    if (__wasi_fd_prestat_dir_name((__wasi_fd_t)fd, (uint8_t *)path + 1, stat.u.dir.pr_name_len) != 0) {
        free(path);
        return NULL;
    }
    return path;
}

/* Call with the lock held. */
static char *path_of(int fd)
{
    if (!(fd & DESCRIPTOR_HOST) && fd >= 0 && fd < count && paths[fd])
        return strdup(paths[fd]);
    return granted(fd);
}

static int make_room(int fd)
{
    int more = fd + 64;
    char **grown;

    if (fd < count)
        return 0;
    grown = realloc(paths, (size_t)more * sizeof *paths);
    if (!grown)
        return -1;
    memset(grown + count, 0, (size_t)(more - count) * sizeof *grown);
    paths = grown;
    count = more;
    return 0;
}

/* Called by path_open (calls.c). Without memory the path is not known. */
void __folder_opened(int fd, int dir, const char *name)
{
    __wasi_fdstat_t stat;
    char *start, *path = NULL;

    LOCK(lock);
    if (make_room(fd) == 0) {
        if (__wasi_fd_fdstat_get((__wasi_fd_t)fd, &stat) == 0 && stat.fs_filetype == __WASI_FILETYPE_DIRECTORY) {
            start = path_of(dir);
            if (start && asprintf(&path, "%s/%s", start, name) < 0)
                path = NULL;
            free(start);
        }
        free(paths[fd]);
        paths[fd] = path;
    }
    UNLOCK(lock);
}

void __folder_copied(int fd, int to)
{
    LOCK(lock);
    if (make_room(to) == 0) {
        char *path = path_of(fd);

        free(paths[to]);
        paths[to] = path;
    }
    UNLOCK(lock);
}

static int leads_to(const char *path, const struct stat *folder)
{
    struct stat st;

    return path && stat(path, &st) == 0 && st.st_dev == folder->st_dev && st.st_ino == folder->st_ino;
}

int fchdir(int fd)
{
    struct stat st;
    char *path;
    int result;

    if (fstat(fd, &st) != 0)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    LOCK(lock);
    path = path_of(fd);
    UNLOCK(lock);
    if (leads_to(path, &st)) {
        result = chdir(path);
    } else {
        errno = ENOENT;
        result = -1;
    }
    free(path);
    return result;
}
