#include "geds/shelf/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "impl.h"
#include "sys/files.h"

/* Opening, and what is there then. */

static status_t folder_at(const struct shelf *s, const char *name, int *ret_fd, struct error *err)
{
    if (mkdirat(s->fd, name, 0700) != 0 && errno != EEXIST) {
        return error_set_errno(err, errno, "%s/%s", s->o.path, name);
    }
    int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s/%s", s->o.path, name);
    }
    *ret_fd = fd;
    return ST_OK;
}

/* A folder and what it looks at. */
struct scan {
    struct shelf *shelf;
    int fd;
};

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static status_t remove_new(void *arg, const char *name, struct error *err)
{
    const struct scan *scan = arg;
    return is_dot(name) || unlinkat(scan->fd, name, 0) == 0
               ? ST_OK
               : error_set_errno(err, errno, "new/%s", name);
}

/* Is it a whole copy, as far as its size and its end tell? */
/* *ret_bytes of the copy; 0: the file is none. ST_OK, or it cannot be told. */
static status_t look_at(int fd, const struct shelf_name *name, uint64_t *ret_bytes,
                        struct error *err)
{
    struct stat info;
    uint8_t bytes[TAIL_BYTES];
    struct tail tail;
    *ret_bytes = 0;
    if (fstat(fd, &info) != 0) {
        return error_set_errno(err, errno, "a copy");
    }
    if (info.st_size <= TAIL_BYTES) {
        return ST_OK;
    }
    ssize_t got = pread(fd, bytes, sizeof bytes, info.st_size - TAIL_BYTES);
    if (got < 0) {
        return error_set_errno(err, errno, "a copy");
    }
    if (got == TAIL_BYTES && tail_decode(bytes, &tail, NULL) == ST_OK &&
        tail.extent == name->extent && file_bytes(tail.bytes) == (uint64_t)info.st_size) {
        *ret_bytes = tail.bytes;
    }
    return ST_OK;
}

static status_t take_file(void *arg, const char *name, struct error *err)
{
    const struct scan *scan = arg;
    struct shelf_copy copy = {.bytes = 0};
    if (is_dot(name)) {
        return ST_OK;
    }
    if (name_parse(name, &copy.name)) {
        int fd = openat(scan->fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            return error_set_errno(err, errno, "%s", name);
        }
        status_t st = look_at(fd, &copy.name, &copy.bytes, err);
        close(fd);
        if (st != ST_OK) {
            return st;
        }
    }
    if (copy.bytes > 0) {
        return index_add(scan->shelf, &copy, err);
    }
    return unlinkat(scan->fd, name, 0) == 0 ? ST_OK : error_set_errno(err, errno, "%s", name);
}

static status_t scan_all(struct shelf *s, struct error *err)
{
    struct scan scan = {.shelf = s, .fd = s->new_fd};
    status_t st = folder_each(s->new_fd, "new", remove_new, &scan, err);
    for (unsigned i = 0; i < 256 && st == ST_OK; i++) {
        char name[4];
        snprintf(name, sizeof name, "%02x", i);
        st = folder_at(s, name, &scan.fd, err);
        if (st == ST_OK) {
            st = folder_each(scan.fd, name, take_file, &scan, err);
            close(scan.fd);
        }
    }
    return st == ST_OK && file_sync(s->fd) != 0
               ? error_set_errno(err, errno, "sync of %s", s->o.path)
               : st;
}

status_t shelf_open(const struct shelf_options *o, struct shelf **ret_shelf, struct error *err)
{
    struct shelf *s = calloc(1, sizeof *s);
    char *lock = NULL;
    if (s == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    *s = (struct shelf){.o = *o, .fd = -1, .new_fd = -1, .lock_fd = -1};
    pthread_mutex_init(&s->lock, NULL);
    status_t st = file_make_dirs_durable(o->path, 0700, err);
    if (st == ST_OK && asprintf(&lock, "%s/lock", o->path) < 0) {
        lock = NULL;
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st == ST_OK && (st = file_lock(lock, false, &s->lock_fd, err)) == ST_AGAIN) {
        error_set(err, st, ERROR_NO_OFFSET, "%s: another process has it open", o->path);
    }
    free(lock);
    if (st == ST_OK && (s->fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        st = error_set_errno(err, errno, "%s", o->path);
    }
    if (st == ST_OK) {
        st = folder_at(s, "new", &s->new_fd, err);
    }
    if (st == ST_OK) {
        st = scan_all(s, err);
    }
    if (st != ST_OK) {
        shelf_close(s);
        return st;
    }
    s->o.path = NULL; /* it was the caller's */
    *ret_shelf = s;
    return ST_OK;
}

void shelf_close(struct shelf *s)
{
    if (s == NULL) {
        return;
    }
    shelf_forget_writes(s);
    const int fds[] = {s->fd, s->new_fd, s->lock_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    pthread_mutex_destroy(&s->lock);
    free(s->copies);
    free(s);
}

/* Reading, removing. */

static status_t read_exactly(int fd, void *data, size_t len, uint64_t off, struct error *err)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(fd, (uint8_t *)data + got, len - got, (off_t)(off + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return error_set(err, ST_CORRUPT, off + got, "byte %llu: %s",
                             (unsigned long long)(off + got),
                             n < 0 ? strerror(errno) : "it ends there");
        }
        got += (size_t)n;
    }
    return ST_OK;
}

/* len bytes at off, whose checksums are in the file. */
static status_t compare(int fd, uint64_t bytes, uint64_t off, const uint8_t *data, size_t len,
                        struct error *err)
{
    uint8_t sums[SHELF_PIECE_BYTES / SHELF_BLOCK_BYTES * 4];
    size_t count = (len + SHELF_BLOCK_BYTES - 1) / SHELF_BLOCK_BYTES;
    status_t st = read_exactly(fd, sums, 4 * count, bytes + off / SHELF_BLOCK_BYTES * 4, err);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        size_t at = i * SHELF_BLOCK_BYTES, n = len - at;
        uint32_t crc = hash_crc32c(0, data + at, n < SHELF_BLOCK_BYTES ? n : SHELF_BLOCK_BYTES);
        const uint8_t *sum = sums + 4 * i;
        if (crc != ((uint32_t)sum[0] | (uint32_t)sum[1] << 8 | (uint32_t)sum[2] << 16 |
                    (uint32_t)sum[3] << 24)) {
            st = error_set(err, ST_CORRUPT, off + at, "a block at byte %llu does not match",
                           (unsigned long long)(off + at));
        }
    }
    return st;
}

static status_t open_copy(struct shelf *s, const struct shelf_name *name, uint64_t *ret_bytes,
                          int *ret_fd, struct error *err)
{
    char text[NAME_BYTES];
    name_text(name, text);
    pthread_mutex_lock(&s->lock);
    const struct shelf_copy *copy = index_find(s, name);
    uint64_t bytes = copy != NULL ? copy->bytes : 0;
    pthread_mutex_unlock(&s->lock);
    if (bytes == 0) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no copy %s", text);
    }
    int fd = openat(s->fd, text, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "%s: no file", text)
                               : error_set_errno(err, errno, "copy %s", text);
    }
    *ret_bytes = bytes;
    *ret_fd = fd;
    return ST_OK;
}

status_t shelf_read(struct shelf *s, const struct shelf_name *name, uint64_t off, void *data,
                    size_t len, struct error *err)
{
    uint64_t bytes = 0;
    int fd = -1;
    status_t st = open_copy(s, name, &bytes, &fd, err);
    if (st == ST_OK &&
        (off % SHELF_BLOCK_BYTES != 0 || len == 0 || len > SHELF_PIECE_BYTES || off > bytes ||
         len > bytes - off || (len % SHELF_BLOCK_BYTES != 0 && off + len != bytes))) {
        st = error_set(err, ST_INVAL, off, "no blocks of the copy: %zu bytes", len);
    }
    if (st == ST_OK && (st = read_exactly(fd, data, len, off, err)) == ST_OK) {
        st = compare(fd, bytes, off, data, len, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (st == ST_CORRUPT) {
        pthread_mutex_lock(&s->lock);
        s->bad++;
        pthread_mutex_unlock(&s->lock);
    }
    return st;
}

status_t shelf_remove_all(struct shelf *s, struct error *err)
{
    struct shelf_copy copy = {.bytes = 0};
    status_t st = ST_OK;
    shelf_forget_writes(s);
    while (st == ST_OK && shelf_list(s, &copy.name, 1, &copy) == 1) {
        st = shelf_remove(s, &copy.name, err);
    }
    return st;
}
