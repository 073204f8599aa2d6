#include "embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MODULE_BYTES_MAX ((uint64_t)4 << 30)

/* Above what children take for themselves; they inherit it. */
enum { FD_FROM = 64 };

status_t embedded_open(const void *data, size_t len, int *ret_fd,
                       char ret_path[EMBEDDED_PATH_BYTES], struct error *err)
{
    int low = memfd_create("module", MFD_CLOEXEC);
    int fd = low >= 0 ? fcntl(low, F_DUPFD, FD_FROM) : -1;
    bool good = fd >= 0 && file_write_all(fd, data, len) == 0;
    int errnum = errno;
    if (low >= 0) {
        close(low);
    }
    if (!good) {
        if (fd >= 0) {
            close(fd);
        }
        return error_set_errno(err, errnum, "the embedded module");
    }
    snprintf(ret_path, EMBEDDED_PATH_BYTES, "/proc/self/fd/%d", fd);
    *ret_fd = fd;
    return ST_OK;
}

status_t embedded_find(const char *const *paths, size_t count, const uint8_t hash[SHA256_BYTES],
                       struct file_map *ret_map, struct error *err)
{
    const char *last = "";
    for (size_t i = 0; i < count; i++) {
        struct file_map map;
        uint8_t digest[SHA256_BYTES];
        last = paths[i] != NULL ? paths[i] : last;
        if (paths[i] == NULL || file_map(paths[i], MODULE_BYTES_MAX, &map, NULL) != ST_OK) {
            continue;
        }
        sha256_bytes(map.data, map.len, digest);
        if (memcmp(digest, hash, SHA256_BYTES) == 0) {
            *ret_map = map;
            return ST_OK;
        }
        file_unmap(&map);
    }
    return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                     "there is no module to embed: %s is not there any more, or another file",
                     last);
}
