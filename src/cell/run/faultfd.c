#include "faultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian's headers are older than many kernels they are used with. */
enum {
    USER_MODE_ONLY = 1,
    FEATURE_WP_UNPOPULATED = 1 << 13,
    FEATURE_WP_ASYNC = 1 << 15,
};

int run_faults_open(enum run_faults_mode mode)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
    struct uffdio_api api = {
        .api = UFFD_API,
        .features = mode == RUN_FAULTS_PROTECT ? FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC : 0};
    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

int run_faults_register(int fd, void *at, size_t len, enum run_faults_mode mode)
{
    struct uffdio_register r = {.range = {.start = (uintptr_t)at, .len = len},
                                .mode = mode == RUN_FAULTS_PROTECT ? UFFDIO_REGISTER_MODE_WP
                                                                   : UFFDIO_REGISTER_MODE_MISSING};
    return ioctl(fd, UFFDIO_REGISTER, &r);
}
