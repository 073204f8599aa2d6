#include "sys/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_PIECE_BYTES = 1 << 16, COPY_PIECE_BYTES = 1 << 14 };

static status_t open_for_read(const char *path, int flags, int *ret_fd, struct stat *ret_stat,
                              struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        int errnum = S_ISDIR(st.st_mode) ? EISDIR : errno;
        close(fd);
        return error_set_errno(err, errnum, "%s", path);
    }
    *ret_fd = fd;
    *ret_stat = st;
    return ST_OK;
}

static status_t too_large(const char *path, uint64_t max_bytes, struct error *err)
{
    return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: larger than %llu bytes", path,
                     (unsigned long long)max_bytes);
}

/* Append what fd still holds, at most max_bytes. hint: expected length, for one allocation. */
static status_t read_rest(int fd, const char *path, uint64_t max_bytes, size_t hint,
                          struct buf *out, struct error *err)
{
    size_t first = out->len;
    size_t piece = hint + 1; /* one more, so that the end shows without growing again */
    for (;;) {
        size_t at = out->len;
        buf_fill(out, 0, piece);
        if (out->failed) {
            return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "%s: out of memory", path);
        }
        ssize_t got = read(fd, out->data + at, piece);
        out->len = at + (got > 0 ? (size_t)got : 0);
        if (got < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "%s", path);
        }
        if (out->len - first > max_bytes) {
            return too_large(path, max_bytes, err);
        }
        if (got == 0) {
            return ST_OK;
        }
        piece = out->cap > out->len ? out->cap - out->len : READ_PIECE_BYTES;
    }
}

status_t file_read(const char *path, uint64_t max_bytes, struct buf *out, struct error *err)
{
    int fd = -1;
    struct stat st = {0};
    status_t code = open_for_read(path, 0, &fd, &st, err);
    if (code != ST_OK) {
        return code;
    }
    size_t first = out->len;
    bool regular = S_ISREG(st.st_mode) && st.st_size > 0;
    if (regular && (uint64_t)st.st_size > max_bytes) {
        code = too_large(path, max_bytes, err);
    } else {
        code = read_rest(fd, path, max_bytes, regular ? (size_t)st.st_size : READ_PIECE_BYTES, out,
                         err);
    }
    close(fd);
    if (code != ST_OK) {
        out->len = first;
    }
    return code;
}

status_t file_map(const char *path, uint64_t max_bytes, struct file_map *ret_map, struct error *err)
{
    int fd = -1;
    struct stat st = {0};
    status_t code = open_for_read(path, O_NONBLOCK, &fd, &st, err); /* a pipe is refused at once */
    if (code != ST_OK) {
        return code;
    }
    struct file_map map = {0};
    if (!S_ISREG(st.st_mode)) {
        code = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s: not a regular file", path);
    } else if ((uint64_t)st.st_size > max_bytes) {
        code = too_large(path, max_bytes, err);
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            code = error_set_errno(err, errno, "%s", path);
        } else {
            map.data = data;
            map.len = (size_t)st.st_size;
        }
    }
    close(fd);
    if (code == ST_OK) {
        *ret_map = map;
    }
    return code;
}

void file_unmap(struct file_map *map)
{
    if (map->len > 0) {
        munmap((void *)(uintptr_t)map->data, map->len);
    }
    *map = (struct file_map){0};
}

int file_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        ssize_t put = write(fd, at, len);
        if (put < 0 && errno != EINTR) {
            return -1;
        }
        if (put > 0) {
            at += put;
            len -= (size_t)put;
        }
    }
    return 0;
}

int file_write_all_at(int fd, const void *data, size_t len, uint64_t at)
{
    const uint8_t *from = data;
    while (len > 0) {
        ssize_t put = pwrite(fd, from, len, (off_t)at);
        if (put == 0) {
            errno = EIO;
        }
        if (put == 0 || (put < 0 && errno != EINTR)) {
            return -1;
        }
        if (put > 0) {
            from += put;
            at += (uint64_t)put;
            len -= (size_t)put;
        }
    }
    return 0;
}

int file_copy_rest(int from_fd, int to_fd)
{
    uint8_t piece[COPY_PIECE_BYTES];
    ssize_t got;
    while ((got = read(from_fd, piece, sizeof piece)) != 0) {
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got > 0 && file_write_all(to_fd, piece, (size_t)got) != 0) {
            return -1;
        }
    }
    return 0;
}

int file_sync(int fd)
{
    int result;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result;
}

int file_sync_data(int fd)
{
    int result;
    do {
        result = fdatasync(fd);
    } while (result != 0 && errno == EINTR);
    return result;
}

int file_cut(int fd, uint64_t size)
{
    int result;
    do {
        result = ftruncate(fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result;
}

int file_read_all(int fd, void *data, size_t len)
{
    uint8_t *at = data;
    while (len > 0) {
        ssize_t got = read(fd, at, len);
        if (got == 0) {
            errno = 0;
        }
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return -1;
        }
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
    return 0;
}

/* The name is durable only when its folder is. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    snprintf(folder, sizeof folder, "%.*s", (int)len, slash == NULL ? "" : path);
    int fd = open(len > 0 ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    int result = file_sync(fd);
    int errnum = errno;
    close(fd);
    errno = errnum;
    return result;
}

/* As much of a name as leaves room for what temporary ones have besides, in whole characters. */
static int temporary_part(const char *name)
{
    enum { ADDED_BYTES = 2 + 12 };
    size_t len = strlen(name);
    if (len > NAME_MAX - ADDED_BYTES && len <= NAME_MAX) { /* longer ones are no names at all */
        len = NAME_MAX - ADDED_BYTES;
        while (len > 1 && ((unsigned char)name[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    return (int)len;
}

/* Not mkostemp, since its files ignore mode and umask. */
status_t file_open_temporary(const char *path, unsigned mode, char ret_name[PATH_MAX], int *ret_fd,
                             struct error *err)
{
    const char *slash = strrchr(path, '/');
    int folder_len = slash == NULL ? 0 : (int)(slash - path) + 1;
    for (;;) {
        uint64_t tag;
        if (getrandom(&tag, sizeof tag, 0) != sizeof tag) {
            return error_set_errno(err, errno, "%s", path);
        }
        int need = snprintf(ret_name, PATH_MAX, "%.*s.%.*s.%012llx", folder_len, path,
                            temporary_part(path + folder_len), path + folder_len,
                            (unsigned long long)tag >> 16);
        if (need < 0 || need >= PATH_MAX) {
            return error_set_errno(err, ENAMETOOLONG, "%s", path);
        }
        int fd = open(ret_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd >= 0) {
            *ret_fd = fd;
            return ST_OK;
        }
        if (errno != EEXIST) {
            return error_set_errno(err, errno, "%s", path);
        }
    }
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

status_t file_write_atomic(const char *path, const void *data, size_t len, unsigned mode,
                           enum file_sync sync, struct error *err)
{
    char temporary[PATH_MAX];
    int fd = -1;
    status_t code = file_open_temporary(path, mode, temporary, &fd, err);
    if (code != ST_OK) {
        return code;
    }
    bool good = file_write_all(fd, data, len) == 0 && (sync == FILE_NO_SYNC || file_sync(fd) == 0);
    int errnum = errno;
    if (close(fd) != 0 && good) {
        good = false;
        errnum = errno;
    }
    if (good && rename(temporary, path) != 0) {
        good = false;
        errnum = errno;
        if (is_folder(path)) {
            errnum = EISDIR; /* "." is said to be busy */
        }
    }
    if (!good) {
        unlink(temporary);
        return error_set_errno(err, errnum, "%s", path);
    }
    if (sync == FILE_SYNC && sync_folder_of(path) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    return ST_OK;
}

static status_t write_into(const char *path, const void *data, size_t len, unsigned mode,
                           struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, mode);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    bool good = file_write_all(fd, data, len) == 0;
    int errnum = errno;
    if (close(fd) != 0 && good) {
        good = false;
        errnum = errno;
    }
    return good ? ST_OK : error_set_errno(err, errnum, "%s", path);
}

status_t file_write_output(const char *path, const void *data, size_t len, unsigned mode,
                           struct error *err)
{
    char target[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
        return file_write_atomic(path, data, len, mode, FILE_NO_SYNC, err);
    }
    if (S_ISLNK(st.st_mode) && realpath(path, target) != NULL && stat(target, &st) == 0 &&
        S_ISREG(st.st_mode)) {
        return file_write_atomic(target, data, len, mode, FILE_NO_SYNC, err);
    }
    return write_into(path, data, len, mode, err);
}

status_t file_make_dirs(const char *path, unsigned mode, struct error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part) {
        return error_set_errno(err, len == 0 ? ENOENT : ENAMETOOLONG, "%s", path);
    }
    if (is_folder(path)) {
        return ST_OK;
    }
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        part[i] = '\0';
        int errnum = mkdir(part, mode) != 0 ? errno : 0;
        if (errnum != 0 && !is_folder(part)) {
            return error_set_errno(err, errnum, "%s", part);
        }
        part[i] = path[i];
    }
    return ST_OK;
}

/* Each one is made when the name of the one above is durable, so of those that were there only the last one may be
 * without: who made it was killed. Nobody else's folder has to let us in for that. */
static status_t make_durable(char *path, unsigned mode, struct error *err)
{
    bool was = is_folder(path);
    char *slash = strrchr(path, '/');
    status_t st = ST_OK;
    if (!was && slash != NULL && slash != path) {
        *slash = '\0';
        st = make_durable(path, mode, err);
        *slash = '/';
    }
    if (st == ST_OK && !was && mkdir(path, mode) != 0) {
        int errnum = errno;
        st = is_folder(path) ? ST_OK : error_set_errno(err, errnum, "%s", path);
    }
    if (st == ST_OK && sync_folder_of(path) != 0 && !(was && errno == EACCES)) {
        st = error_set_errno(err, errno, "sync of the folder of %s", path);
    }
    return st;
}

status_t file_make_dirs_durable(const char *path, unsigned mode, struct error *err)
{
    char copy[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof copy) {
        return error_set_errno(err, len == 0 ? ENOENT : ENAMETOOLONG, "%s", path);
    }
    memcpy(copy, path, len + 1);
    while (len > 1 && copy[len - 1] == '/') {
        copy[--len] = '\0';
    }
    return make_durable(copy, mode, err);
}

status_t folder_each(int folder_fd, const char *what,
                     status_t (*f)(void *arg, const char *name, struct error *err), void *arg,
                     struct error *err)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    status_t st = ST_OK;
    if (dir == NULL) {
        st = error_set_errno(err, errno, "%s", what);
        if (fd >= 0) {
            close(fd);
        }
        return st;
    }
    for (struct dirent *e; st == ST_OK && (e = readdir(dir)) != NULL;) {
        st = f(arg, e->d_name, err);
    }
    closedir(dir);
    return st;
}
