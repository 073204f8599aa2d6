#include "faultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
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

/* A mapping that is changed meanwhile makes it start again. */
int run_faults_fill(int fd, uint8_t *at, const uint8_t *data, size_t page_bytes)
{
    struct uffdio_range range = {.start = (uintptr_t)at, .len = page_bytes};
    for (;;) {
        struct uffdio_copy copy = {.dst = range.start, .src = (uintptr_t)data, .len = range.len};
        struct uffdio_zeropage zeros = {.range = range};
        if (ioctl(fd, data ? UFFDIO_COPY : UFFDIO_ZEROPAGE, data ? (void *)&copy : &zeros) == 0)
            return 0;
        if (errno == EEXIST)
            return ioctl(fd, UFFDIO_WAKE, &range);
        if (errno != EAGAIN)
            return -1;
    }
}

bool run_faults_wait(int fd, int end_fd, uint8_t **ret_at)
{
    for (;;) {
        struct pollfd both[2] = {{.fd = fd, .events = POLLIN}, {.fd = end_fd, .events = POLLIN}};
        struct uffd_msg msg;
        if (poll(both, 2, -1) < 0 && errno != EINTR)
            return false;
        if (both[1].revents)
            return false;
        if (both[0].revents && read(fd, &msg, sizeof(msg)) == (ssize_t)sizeof(msg) &&
            msg.event == UFFD_EVENT_PAGEFAULT) {
            *ret_at = (uint8_t *)(uintptr_t)msg.arg.pagefault.address;
            return true;
        }
    }
}
