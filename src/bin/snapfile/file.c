#include "snapfile/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/files.h"

static const uint8_t zstd_magic[SNAPSHOT_HEAD_PEEKED] = {0x28, 0xb5, 0x2f, 0xfd};
static const uint8_t plain_magic[SNAPSHOT_HEAD_TOLD] = {0, 's', 'n', 'a', 'p', 'c', 's', 'k'};

bool snapshot_file_told(const void *head, size_t len)
{
    return (len >= sizeof plain_magic && memcmp(head, plain_magic, sizeof plain_magic) == 0) ||
           (len >= sizeof zstd_magic && memcmp(head, zstd_magic, sizeof zstd_magic) == 0);
}

/* Beside a verb's program, or in the folder of verbs beside the command line's. */
static status_t find_helper(char ret_path[PATH_MAX], struct error *err)
{
    static const char *const places[] = {"zstd.helper", "../libexec/cloudskin/zstd.helper"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (process_sibling(places[i], ret_path, err) == ST_OK && access(ret_path, X_OK) == 0) {
            return ST_OK;
        }
    }
    return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                     "what reads and writes compressed snapshots is not installed: %s is missing",
                     ret_path);
}

static status_t start_expander(struct snapshot_file *f, struct error *err)
{
    char path[PATH_MAX];
    char *argv[] = {(char *)"zstd.helper", (char *)"expand", NULL};
    const struct process_options options = {.report_fd = STDOUT_FILENO, .input_fd = f->fd};
    status_t code = find_helper(path, err);
    code = code == ST_OK ? process_start(path, argv, &options, &f->expander, err) : code;
    if (code == ST_OK) {
        close(f->fd);
        f->fd = f->expander.report;
        f->compressed = true;
        f->head_read = f->head_len; /* the helper puts it back */
    }
    return code;
}

/* The first bytes tell; fewer are no snapshot, which its reader finds. */
static void peek(struct snapshot_file *f)
{
    ssize_t got = 1;
    while (f->head_len < sizeof f->head && (got > 0 || (got < 0 && errno == EINTR))) {
        got = read(f->fd, f->head + f->head_len, sizeof f->head - f->head_len);
        f->head_len += got > 0 ? (size_t)got : 0;
    }
}

status_t snapshot_file_open(const char *path, struct snapshot_file *ret_file, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? snapshot_file_begin(fd, ret_file, err)
                   : error_set_errno(err, errno, "%s", path);
}

status_t snapshot_file_begin(int fd, struct snapshot_file *ret_file, struct error *err)
{
    struct stat st;
    struct snapshot_file f = {.fd = fd};
    if (fstat(f.fd, &st) == 0 && S_ISREG(st.st_mode)) {
        f.file_bytes = (uint64_t)st.st_size;
    }
    peek(&f);
    bool is_compressed = f.head_len == sizeof f.head &&
                         memcmp(f.head, zstd_magic, sizeof zstd_magic) == 0;
    status_t code = is_compressed ? start_expander(&f, err) : ST_OK;
    if (code == ST_OK) {
        *ret_file = f;
    } else {
        close(f.fd);
    }
    return code;
}

static bool read_file(void *arg, void *data, size_t len)
{
    struct snapshot_file *f = arg;
    size_t left = f->head_len - f->head_read, n = len < left ? len : left;
    memcpy(data, f->head + f->head_read, n);
    f->head_read += n;
    return file_read_all(f->fd, (uint8_t *)data + n, len - n) == 0;
}

/* Of a plain file, as far as it goes. */
static int file_range(void *arg, size_t len, uint64_t *ret_off)
{
    struct snapshot_file *f = arg;
    off_t at = f->head_read == f->head_len && f->file_bytes > 0 ? lseek(f->fd, 0, SEEK_CUR) : -1;
    if (at < 0 || (uint64_t)at > f->file_bytes || len > f->file_bytes - (uint64_t)at ||
        lseek(f->fd, (off_t)len, SEEK_CUR) < 0) {
        return -1;
    }
    *ret_off = (uint64_t)at;
    return f->fd;
}

struct snapshot_source snapshot_file_source(struct snapshot_file *f)
{
    return (struct snapshot_source){
        .read = read_file, .arg = f, .range = f->compressed ? NULL : file_range};
}

status_t snapshot_file_end(struct snapshot_file *f, struct error *err)
{
    char more;
    int exit_code = 0;
    ssize_t got;
    do {
        got = read(f->fd, &more, sizeof more);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return error_set_errno(err, errno, "snapshot");
    }
    status_t code = ST_OK;
    if (f->compressed) {
        code = process_wait(&f->expander, &exit_code, err);
        f->fd = 0;
        f->compressed = false;
    }
    if (code == ST_OK && (got != 0 || exit_code != 0)) {
        code = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "snapshot: %s",
                         got == 0 ? "its compressed form is damaged"
                                  : "there is more behind its end");
    }
    return code;
}

void snapshot_file_close(struct snapshot_file *f)
{
    int exit_code;
    if (f == NULL || f->fd <= 0) {
        return;
    }
    if (f->compressed) {
        status_t code = process_wait(&f->expander, &exit_code, NULL);
        (void)code; /* it ends when its pipe is closed */
    } else {
        close(f->fd);
    }
    *f = (struct snapshot_file){0};
}

status_t snapshot_compress_start(int out, unsigned level, struct process *ret_process, int *ret_fd,
                                 struct error *err)
{
    char path[PATH_MAX], text[16];
    char *argv[] = {(char *)"zstd.helper", (char *)"compress", text, NULL};
    int ends[2];
    status_t code = find_helper(path, err);
    if (code != ST_OK) {
        return code;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "pipe for %s", path);
    }
    snprintf(text, sizeof text, "%u", level);
    const struct process_options options = {.input_fd = ends[0], .output_fd = out};
    code = process_start(path, argv, &options, ret_process, err);
    close(ends[0]);
    if (code == ST_OK) {
        *ret_fd = ends[1];
    } else {
        close(ends[1]);
    }
    return code;
}

status_t snapshot_compress_end(struct process *p, struct error *err)
{
    int exit_code = 0;
    status_t code = process_wait(p, &exit_code, err);
    if (code == ST_OK && exit_code != 0) {
        code = error_set(err, ST_IO, ERROR_NO_OFFSET, "the snapshot could not be compressed");
    }
    return code;
}
