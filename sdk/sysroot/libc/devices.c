/* /dev/null, zero, full, random, urandom, stdin, stdout, stderr and fd/N, which programs expect everywhere, where no granted
 * folder has them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/libc.h>
#include "descriptors.h"

static const struct device {
    const char *name;
    enum open_kind kind;
} devices[] = {
    {"null", OPEN_NULL},   {"zero", OPEN_ZERO},      {"full", OPEN_FULL},
    {"random", OPEN_RANDOM}, {"urandom", OPEN_RANDOM},
};

/* 1: a device, in ret_kind; 2: an open descriptor, in ret_fd; 0: neither. */
static int look_up(const char *path, enum open_kind *ret_kind, int *ret_fd)
{
    static const char *const standard[] = {"stdin", "stdout", "stderr"};
    const char *name = path + 5, *digits;
    char *end;
    long fd;

    if (strncmp(path, "/dev/", 5) != 0)
        return 0;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (strcmp(name, devices[i].name) == 0) {
            *ret_kind = devices[i].kind;
            return 1;
        }
    for (int i = 0; i < 3; i++)
        if (strcmp(name, standard[i]) == 0) {
            *ret_fd = i;
            return 2;
        }
    digits = name + 3;
    if (strncmp(name, "fd/", 3) != 0 || digits[0] < '0' || digits[0] > '9')
        return 0;
    fd = strtol(digits, &end, 10);
    *ret_fd = fd < DESCRIPTORS_MAX ? (int)fd : -1;
    return *end == '\0' ? 2 : 0;
}

static int device_open(enum open_kind kind, int flags)
{
    int mode = flags & O_ACCMODE;

    if ((flags & O_CREAT) && (flags & O_EXCL)) {
        errno = EEXIST;
        return -1;
    }
    if (flags & O_DIRECTORY) {
        errno = ENOTDIR;
        return -1;
    }
    return __descriptor_new(&(struct open_file){
        .kind = kind,
        .reads = mode == 0 || mode == O_RDONLY || mode == O_RDWR,
        .writes = mode == O_WRONLY || mode == O_RDWR,
        .flags = (uint16_t)(flags & 0xfff),
    });
}

int __granted_open(const char *path, int flags);
int __wasilibc_open_nomode(const char *path, int flags)
{
    int fd = __granted_open(path, flags), other;
    enum open_kind kind;

    if (fd >= 0 || errno != ENOENT)
        return fd;
    switch (look_up(path, &kind, &other)) {
    case 1:
        return device_open(kind, flags);
    case 2:
        return dup(other);
    default:
        errno = ENOENT;
        return -1;
    }
}

static int granted_or_device(int result, const char *path, struct stat *ret_stat)
{
    enum open_kind kind;
    int fd;

    if (result == 0 || errno != ENOENT)
        return result;
    switch (look_up(path, &kind, &fd)) {
    case 1:
        *ret_stat = (struct stat){
            .st_dev = UINT64_MAX - 1, .st_ino = kind, .st_nlink = 1, .st_mode = S_IFCHR | 0666, .st_blksize = 4096};
        return 0;
    case 2:
        return fstat(fd, ret_stat);
    default:
        errno = ENOENT;
        return -1;
    }
}

int __granted_stat(const char *restrict path, struct stat *restrict ret_stat);
int stat(const char *restrict path, struct stat *restrict ret_stat)
{
    return granted_or_device(__granted_stat(path, ret_stat), path, ret_stat);
}

int __granted_lstat(const char *restrict path, struct stat *restrict ret_stat);
int lstat(const char *restrict path, struct stat *restrict ret_stat)
{
    return granted_or_device(__granted_lstat(path, ret_stat), path, ret_stat);
}

int __granted_access(const char *path, int mode);
int access(const char *path, int mode)
{
    struct stat st;
    int result = __granted_access(path, mode);

    return result == 0 || (mode & X_OK) ? result : granted_or_device(result, path, &st);
}

__wasi_errno_t __device_read(struct open_file *f, const __wasi_iovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    size_t done = 0;

    for (size_t i = 0; i < n && f->kind != OPEN_NULL; i++) {
        if (f->kind == OPEN_RANDOM) {
            __wasi_errno_t error = __wasi_random_get(v[i].buf, v[i].buf_len);

            if (error)
                return error;
        } else {
            memset(v[i].buf, 0, v[i].buf_len);
        }
        done += v[i].buf_len;
    }
    *ret_size = done;
    return 0;
}

__wasi_errno_t __device_write(struct open_file *f, const __wasi_ciovec_t *v, size_t n, __wasi_size_t *ret_size)
{
    size_t done = 0;

    for (size_t i = 0; i < n; i++)
        done += v[i].buf_len;
    if (f->kind == OPEN_FULL && done > 0)
        return __WASI_ERRNO_NOSPC;
    *ret_size = done;
    return 0;
}
