/* Sockets come from the host, already listening (accept, recv, send, shutdown are WASI's); making one, and asking for
 * names, is not possible. */
#include <errno.h>
#include <netdb.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wasi/api.h>

static int refused(int error)
{
    errno = error;
    return -1;
}

int socket(int domain, int type, int protocol)
{
    (void)domain;
    (void)type;
    (void)protocol;
    return refused(ENOSYS);
}

/* The peer's address is not known. */
int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict size, int flags)
{
    __wasi_fd_t made;
    __wasi_errno_t error;

    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return refused(EINVAL);
    error = __wasi_sock_accept((__wasi_fd_t)fd, flags & SOCK_NONBLOCK ? __WASI_FDFLAGS_NONBLOCK : 0, &made);
    if (error)
        return refused(error);
    if (addr && size) {
        memset(addr, 0, *size);
        if (*size > sizeof *addr)
            *size = sizeof *addr;
    }
    return (int)made;
}

int accept(int fd, struct sockaddr *restrict addr, socklen_t *restrict size)
{
    return accept4(fd, addr, size, 0);
}

int bind(int fd, const struct sockaddr *addr, socklen_t size)
{
    (void)fd;
    (void)addr;
    (void)size;
    return refused(ENOSYS);
}

int listen(int fd, int backlog)
{
    (void)fd;
    (void)backlog;
    return refused(ENOSYS);
}

int connect(int fd, const struct sockaddr *addr, socklen_t size)
{
    (void)fd;
    (void)addr;
    (void)size;
    return refused(ENOSYS);
}

int getsockname(int fd, struct sockaddr *restrict addr, socklen_t *restrict size)
{
    (void)fd;
    (void)addr;
    (void)size;
    return refused(ENOSYS);
}

int getpeername(int fd, struct sockaddr *restrict addr, socklen_t *restrict size)
{
    (void)fd;
    (void)addr;
    (void)size;
    return refused(ENOSYS);
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    (void)fd;
    (void)level;
    (void)option;
    (void)value;
    (void)size;
    return refused(ENOPROTOOPT);
}

int sockatmark(int fd)
{
    (void)fd;
    return refused(ENOSYS);
}

ssize_t sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to, socklen_t to_size)
{
    (void)to_size;
    return to ? refused(ENOSYS) : send(fd, buf, size, flags);
}

ssize_t recvfrom(int fd, void *restrict buf, size_t size, int flags, struct sockaddr *restrict from,
                 socklen_t *restrict from_size)
{
    if (from && from_size)
        *from_size = 0;
    return recv(fd, buf, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    (void)flags;
    return msg->msg_name || msg->msg_controllen ? refused(ENOSYS) : writev(fd, msg->msg_iov, (int)msg->msg_iovlen);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    (void)flags;
    msg->msg_namelen = 0;
    msg->msg_controllen = 0;
    msg->msg_flags = 0;
    return readv(fd, msg->msg_iov, (int)msg->msg_iovlen);
}

static _Thread_local int no_host;

int *__h_errno_location(void)
{
    no_host = HOST_NOT_FOUND;
    return &no_host;
}

int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hint,
                struct addrinfo **restrict ret_list)
{
    (void)host;
    (void)service;
    (void)hint;
    (void)ret_list;
    return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

int getnameinfo(const struct sockaddr *restrict addr, socklen_t size, char *restrict host, socklen_t host_size,
                char *restrict service, socklen_t service_size, int flags)
{
    (void)addr;
    (void)size;
    (void)host;
    (void)host_size;
    (void)service;
    (void)service_size;
    (void)flags;
    return EAI_FAIL;
}

struct hostent *gethostbyname(const char *name)
{
    (void)name;
    return NULL;
}

struct hostent *gethostbyaddr(const void *addr, socklen_t size, int type)
{
    (void)addr;
    (void)size;
    (void)type;
    return NULL;
}

struct servent *getservbyname(const char *name, const char *protocol)
{
    (void)name;
    (void)protocol;
    return NULL;
}

struct servent *getservbyport(int port, const char *protocol)
{
    (void)port;
    (void)protocol;
    return NULL;
}

unsigned if_nametoindex(const char *name)
{
    (void)name;
    errno = ENODEV;
    return 0;
}
