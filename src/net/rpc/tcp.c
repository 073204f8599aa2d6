#include "net/rpc/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/parse.h"

enum { BACKLOG = 128, IDLE_S = 60, PROBE_S = 10, PROBES = 6, UNSENT_MS = 60 * 1000 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

status_t rpc_tcp_split(const char *address, char *ret_host, uint16_t *ret_port, struct error *err)
{
    const char *colon = strrchr(address, ':'), *from = address;
    size_t len = colon != NULL ? (size_t)(colon - address) : 0;
    uint64_t port = 0;
    bool brackets = len >= 2 && address[0] == '[' && address[len - 1] == ']';
    if (brackets) {
        from++;
        len -= 2;
    }
    if (len == 0 || len > RPC_HOST_MAX || parse_u64(colon + 1, UINT16_MAX, &port) != ST_OK ||
        (!brackets && memchr(from, ':', len) != NULL)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "\"%.100s\" is not HOST:PORT or "
                         "[IPV6]:PORT",
                         address);
    }
    memcpy(ret_host, from, len);
    ret_host[len] = '\0';
    *ret_port = (uint16_t)port;
    return ST_OK;
}

static bool parse_ip(const char *host, uint16_t port, union address *ret_address,
                     socklen_t *ret_len)
{
    union address a = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    }
    *ret_len = sizeof a.v6;
    if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1) {
        a = (union address){.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
        *ret_len = sizeof a.v4;
        if (inet_pton(AF_INET, host, &a.v4.sin_addr) != 1) {
            return false;
        }
    }
    *ret_address = a;
    return true;
}

static bool is_loopback(const union address *a)
{
    return a->any.sa_family == AF_INET ? ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
                                       : IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static void name_of(const union address *a, char *ret_text, size_t room)
{
    char ip[INET6_ADDRSTRLEN] = "";
    bool v4 = a->any.sa_family == AF_INET;
    inet_ntop(a->any.sa_family, v4 ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr, ip,
              sizeof ip);
    snprintf(ret_text, room, v4 ? "%s:%u" : "[%s]:%u", ip,
             ntohs(v4 ? a->v4.sin_port : a->v6.sin6_port));
}

status_t rpc_tcp_listen(const char *address, int *ret_fd, char ret_name[RPC_TCP_NAME_BYTES],
                        bool *ret_loopback, struct error *err)
{
    char host[RPC_HOST_MAX + 1];
    uint16_t port = 0;
    union address at;
    socklen_t len = 0;
    const int one = 1;
    status_t st = rpc_tcp_split(address, host, &port, err);
    if (st == ST_OK && !parse_ip(host, port, &at, &len)) {
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                       "\"%.100s\": not an IP address of this machine, such as 0.0.0.0 or [::]",
                       host);
    }
    if (st != ST_OK) {
        return st;
    }
    int fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, &at.any, len) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &at.any, &len) != 0) {
        st = errno == EADDRINUSE ? error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                                             "%s is in use by another program", address)
                                 : error_set_errno(err, errno, "cannot listen at %s", address);
        if (fd >= 0) {
            close(fd);
        }
        return st;
    }
    name_of(&at, ret_name, RPC_TCP_NAME_BYTES);
    *ret_loopback = is_loopback(&at);
    *ret_fd = fd;
    return ST_OK;
}

status_t rpc_tcp_connect_loopback(const char *host, uint16_t port, unsigned queue_ms, int *ret_fd,
                                  struct error *err)
{
    const struct timeval patience = {.tv_sec = queue_ms / 1000,
                                     .tv_usec = (suseconds_t)(queue_ms % 1000) * 1000},
                         none = {0};
    union address to;
    socklen_t len = 0;
    if (!parse_ip(host, port, &to, &len) || !is_loopback(&to)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "tcp:// is for 127.0.0.1, [::1] and localhost only: another machine is "
                         "tls://%.100s:%u",
                         host, port);
    }
    int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(err, errno, "socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, &to.any, len) != 0) {
        int saved = errno;
        close(fd);
        if (saved == EINPROGRESS) {
            return error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                             "%s:%u takes no connections; is its process stopped?", host, port);
        }
        return saved == ECONNREFUSED
                   ? error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                               "nobody listens at %s:%u (`cloudskin up --listen` does)", host, port)
                   : error_set_errno(err, saved, "%s:%u", host, port);
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    rpc_tcp_prepare(fd);
    *ret_fd = fd;
    return ST_OK;
}

void rpc_tcp_prepare(int fd)
{
    const int one = 1, idle = IDLE_S, probe = PROBE_S, probes = PROBES, unsent = UNSENT_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe, sizeof probe);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent, sizeof unsent);
}

void rpc_tcp_peer(int fd, char *ret_text, size_t room)
{
    union address a;
    socklen_t len = sizeof a;
    ret_text[0] = '\0';
    if (getpeername(fd, &a.any, &len) == 0 &&
        (a.any.sa_family == AF_INET || a.any.sa_family == AF_INET6)) {
        name_of(&a, ret_text, room);
    }
}
