#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/files.h"

/* Does fd still stand for the file that path names? The holder before us may have removed it. */
static bool is_current(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
}

static int flock_again(int fd, int operation)
{
    int result;
    do {
        result = flock(fd, operation);
    } while (result != 0 && errno == EINTR);
    return result;
}

status_t file_lock(const char *path, bool wait, int *ret_fd, struct error *err)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) {
            return error_set_errno(err, errno, "%s", path);
        }
        if (flock_again(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
            int errnum = errno;
            close(fd);
            return error_set_errno(err, errnum, "%s", path);
        }
        if (is_current(fd, path)) {
            *ret_fd = fd;
            return ST_OK;
        }
        close(fd);
    }
}

void file_lock_release(int fd, const char *path)
{
    if (path != NULL) {
        unlink(path);
    }
    close(fd);
}
