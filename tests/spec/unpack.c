#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "spec.h"

extern char **environ;

char *spec_format(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        abort();
    return text;
}

void *spec_read_file(const char *path, size_t *ret_len)
{
    struct stat st;
    uint8_t *data = NULL;
    size_t done = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        goto out;
    data = malloc((size_t)st.st_size + 1);
    while (data && done < (size_t)st.st_size) {
        ssize_t n = read(fd, data + done, (size_t)st.st_size - done);
        if (n <= 0) {
            free(data);
            data = NULL;
            break;
        }
        done += (size_t)n;
    }
    *ret_len = done;
out:
    if (fd >= 0)
        close(fd);
    return data;
}

static status_t run_tar(const char *archive, const char *target, struct error *err)
{
    char *argv[] = {"tar", "-xJf", (char *)archive, "-C", (char *)target, NULL};
    pid_t pid = 0;
    int wstatus = 0;
    int rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (rc != 0)
        return error_set_errno(err, rc, "cannot start tar");
    while (waitpid(pid, &wstatus, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(err, errno, "cannot wait for tar");
    if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0)
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "tar cannot unpack %s", archive);
    return ST_OK;
}

/* The folder appears under its name once it is complete. */
static status_t unpack_to(const char *archive, const char *work_path, const char *path,
                          struct error *err)
{
    char *part = spec_format("%s.part", path);
    char *lock_path = spec_format("%s/lock", work_path);
    status_t st = ST_OK;
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0 || flock(lock, LOCK_EX) < 0) {
        st = error_set_errno(err, errno, "cannot lock %s", lock_path);
        goto out;
    }
    if (access(path, F_OK) == 0)
        goto out;
    if (mkdir(part, 0777) < 0 && errno != EEXIST) {
        st = error_set_errno(err, errno, "cannot make %s", part);
        goto out;
    }
    st = run_tar(archive, part, err);
    if (st == ST_OK && rename(part, path) < 0)
        st = error_set_errno(err, errno, "cannot rename %s", part);
out:
    if (lock >= 0)
        close(lock);
    free(part);
    free(lock_path);
    return st;
}

status_t spec_unpack(const char *archive_path, const char *work_path, char **ret_path,
                     struct error *err)
{
    size_t len = 0;
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    void *data = spec_read_file(archive_path, &len);
    if (!data)
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "there is no %s", archive_path);
    sha256_bytes(data, len, digest);
    sha256_hex(digest, hex);
    free(data);
    if (mkdir(work_path, 0777) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "cannot make %s", work_path);
    char *path = spec_format("%s/%.16s", work_path, hex);
    status_t st = unpack_to(archive_path, work_path, path, err);
    if (st == ST_OK)
        *ret_path = spec_format("%s/wasm-spec", path);
    free(path);
    return st;
}
