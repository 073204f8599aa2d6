#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"

enum { BACKLOG = 128 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* host: the text before the last colon, brackets removed. */
static bool parse_host(const char *host, uint16_t port, union address *a, socklen_t *ret_len)
{
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        *ret_len = sizeof a->v6;
        return true;
    }
    const char *v4 = host[0] == '\0' ? "0.0.0.0" : host;
    v4 = strcmp(host, "localhost") == 0 ? "127.0.0.1" : v4;
    a->v4.sin_family = AF_INET;
    a->v4.sin_port = htons(port);
    *ret_len = sizeof a->v4;
    return inet_pton(AF_INET, v4, &a->v4.sin_addr) == 1;
}

static bool parse_address(const char *text, union address *a, socklen_t *ret_len)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (colon == NULL || (size_t)(colon - text) >= sizeof host ||
        parse_u64(colon + 1, UINT16_MAX, &port) != ST_OK) {
        return false;
    }
    size_t len = (size_t)(colon - text);
    bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (memchr(text, ':', len) != NULL && !brackets) {
        return false; /* [::1]:80, since ::1:80 is an address by itself */
    }
    memcpy(host, brackets ? text + 1 : text, brackets ? len - 2 : len);
    host[brackets ? len - 2 : len] = '\0';
    return parse_host(host, (uint16_t)port, a, ret_len);
}

static void print_address(const union address *a, char ret_address[LISTEN_ADDRESS_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    bool v6 = a->any.sa_family == AF_INET6;
    inet_ntop(a->any.sa_family, v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr,
              host, sizeof host);
    snprintf(ret_address, LISTEN_ADDRESS_MAX, v6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)ntohs(v6 ? a->v6.sin6_port : a->v4.sin_port));
}

static status_t read_address(const char *text, union address *a, socklen_t *ret_len,
                             struct error *err)
{
    return parse_address(text, a, ret_len)
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                           "--listen '%s': expected ADDR:PORT, such as 127.0.0.1:8080 or "
                           "[::1]:8080",
                           text);
}

status_t listen_check(const char *text, struct error *err)
{
    union address a;
    socklen_t len;
    return read_address(text, &a, &len, err);
}

status_t listen_open(const char *text, int *ret_fd, char ret_address[LISTEN_ADDRESS_MAX],
                     struct error *err)
{
    union address a;
    socklen_t len;
    status_t code = read_address(text, &a, &len, err);
    if (code != ST_OK) {
        return code;
    }
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(err, errno, "--listen %s", text);
    }
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, &a.any, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &a.any, &len) != 0) {
        int errnum = errno;
        close(fd);
        return error_set_errno(err, errnum, "--listen %s", text);
    }
    print_address(&a, ret_address);
    *ret_fd = fd;
    return ST_OK;
}
