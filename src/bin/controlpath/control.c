#include "controlpath/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/parse.h"
#include "sys/runtime.h"

enum { CONNECT_SECONDS_MAX = 2 };

status_t control_name_check(const char *name, struct error *err)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= CONTROL_NAME_MAX && name[0] != '.' && name[0] != '-' &&
                strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                    len;
    return good ? ST_OK
                : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                            "'%s' is no name for a cell: letters, digits, '.', '_' and '-', at "
                            "most %d, beginning with none of '.' and '-'",
                            name, CONTROL_NAME_MAX);
}

const char *control_name_of(const char *text)
{
    static const char local[] = "local/";
    return strncmp(text, local, sizeof local - 1) == 0 ? text + sizeof local - 1 : text;
}

status_t control_connect(const char *name, int *ret_fd, struct error *err)
{
    char folder[PATH_MAX];
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    status_t code = control_name_check(name, err);
    code = code != ST_OK ? code : runtime_folder(false, folder, err);
    if (code != ST_OK) {
        return code;
    }
    int len = snprintf(to.sun_path, sizeof to.sun_path, "%s/%s.sock", folder, name);
    if (len < 0 || (size_t)len >= sizeof to.sun_path) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "path of the control socket is too long");
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(err, errno, "control socket");
    }
    /* the queue of a stopped process may be full */
    const struct timeval patience = {.tv_sec = CONNECT_SECONDS_MAX};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        int saved = errno;
        close(fd);
        if (saved == EAGAIN) {
            return error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                             "the cell '%s' does not answer; is its process stopped?", name);
        }
        if (saved == ENOENT || saved == ECONNREFUSED) {
            return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no running cell '%s'", name);
        }
        return error_set_errno(err, saved, "%s", to.sun_path);
    }
    *ret_fd = fd;
    return ST_OK;
}

status_t control_send(int fd, const char *line, int pass, struct error *err)
{
    size_t len = strlen(line);
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } room = {.bytes = {0}};
    while (len > 0) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)line, .iov_len = len};
        struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
        if (pass >= 0) {
            m.msg_control = room.bytes;
            m.msg_controllen = sizeof room.bytes;
            struct cmsghdr *head = CMSG_FIRSTHDR(&m);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof pass);
            memcpy(CMSG_DATA(head), &pass, sizeof pass);
        }
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return error_set_errno(err, n < 0 ? errno : EPIPE, "control socket");
        }
        pass = -1;
        line += n;
        len -= (size_t)n;
    }
    return ST_OK;
}

static int passed_descriptor(struct msghdr *m)
{
    int fd = -1;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS &&
            h->cmsg_len == CMSG_LEN(sizeof fd)) {
            memcpy(&fd, CMSG_DATA(h), sizeof fd);
        }
    }
    return fd;
}

/* As much of the line as is there, so that nothing behind it is taken; negative: EAGAIN, or the other side is gone. */
static ssize_t peek_line(int fd, char *ret_bytes, size_t max)
{
    ssize_t n;
    do {
        n = recv(fd, ret_bytes, max, MSG_PEEK);
    } while (n < 0 && errno == EINTR);
    const char *end = n > 0 ? memchr(ret_bytes, '\n', (size_t)n) : NULL;
    if (n == 0) {
        errno = 0;
    }
    return n <= 0 ? -1 : end != NULL ? end - ret_bytes + 1 : n;
}

status_t control_receive(int fd, char ret_line[CONTROL_LINE_MAX], int *ret_passed,
                         struct error *err)
{
    int passed = -1;
    bool late = false;
    for (size_t len = 0; len < CONTROL_LINE_MAX;) {
        union {
            char bytes[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } room;
        ssize_t n = peek_line(fd, ret_line + len, CONTROL_LINE_MAX - len);
        if (n < 0) {
            late = errno == EAGAIN;
            break;
        }
        struct iovec part = {.iov_base = ret_line + len, .iov_len = (size_t)n};
        struct msghdr m = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = room.bytes,
                           .msg_controllen = sizeof room.bytes};
        do {
            n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        } while (n < 0 && errno == EINTR);
        if (n <= 0) {
            break;
        }
        int got = passed_descriptor(&m);
        if (got >= 0) {
            if (passed >= 0) {
                close(passed);
            }
            passed = got;
        }
        len += (size_t)n;
        if (ret_line[len - 1] == '\n') {
            ret_line[len - 1] = '\0';
            if (ret_passed != NULL) {
                *ret_passed = passed;
            } else if (passed >= 0) {
                close(passed);
            }
            return ST_OK;
        }
    }
    if (passed >= 0) {
        close(passed);
    }
    return late ? error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "no answer")
                : error_set(err, ST_IO, ERROR_NO_OFFSET,
                            "the other side of the control socket is gone");
}

uint64_t control_number(const char **line)
{
    char digits[24];
    size_t len = strspn(*line, "0123456789");
    uint64_t v = 0;
    if (len < sizeof digits) {
        memcpy(digits, *line, len);
        digits[len] = '\0';
        if (parse_u64(digits, UINT64_MAX, &v) != ST_OK) {
            v = 0;
        }
    }
    *line += len + ((*line)[len] == ' ');
    return v;
}
