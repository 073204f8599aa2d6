#include "net/rpc/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/files.h"
#include "sys/runtime.h"

enum { BACKLOG = 128 };

static const char scheme[] = "unix:";

status_t rpc_local_path(const char *address, char ret_path[RPC_PATH_MAX], struct error *err)
{
    char folder[PATH_MAX];
    const char *environment = getenv("CLOUDSKIN_CONTROLLER");
    int len;
    if (address == NULL && environment != NULL && environment[0] != '\0') {
        address = environment;
    }
    if (address != NULL) {
        size_t skip = sizeof scheme - 1;
        if (strncmp(address, scheme, skip) != 0 || address[skip] != '/') {
            return error_set(
                err, ST_INVAL, ERROR_NO_OFFSET, "controller \"%.100s\": expected %s", address,
                strstr(address, "://") != NULL ? "unix:/PATH: this is for the store of this machine"
                                               : "unix:/PATH or tls://HOST:PORT");
        }
        len = snprintf(ret_path, RPC_PATH_MAX, "%s", address + skip);
    } else {
        status_t st = runtime_folder(false, folder, err);
        if (st != ST_OK) {
            return st;
        }
        len = snprintf(ret_path, RPC_PATH_MAX, "%.*s/controller.socket", RPC_PATH_MAX, folder);
    }
    return len < RPC_PATH_MAX ? ST_OK
                              : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                                          "the path of the controller's socket is too long");
}

static void address_of(const char *path, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%s", path);
}

pid_t rpc_local_peer(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0 ? peer.pid
                                                                                     : -1;
}

status_t rpc_local_connect(const char *path, int *ret_fd, struct error *err)
{
    return rpc_local_connect_within(path, RPC_QUEUE_MS, ret_fd, err);
}

status_t rpc_local_connect_within(const char *path, unsigned queue_ms, int *ret_fd,
                                  struct error *err)
{
    struct sockaddr_un to;
    const struct timeval patience = {.tv_sec = queue_ms / 1000,
                                     .tv_usec = (suseconds_t)(queue_ms % 1000) * 1000},
                         none = {0};
    address_of(path, &to);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set_errno(err, errno, "socket");
    }
    /* the queue of a stopped process may be full */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        int saved = errno;
        close(fd);
        if (saved == ENOENT || saved == ECONNREFUSED || saved == ENOTDIR) {
            return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                             "nothing is up (`cloudskin up` starts it)");
        }
        return saved == EAGAIN ? error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                                           "the controller takes no connections; is it stopped?")
                               : error_set_errno(err, saved, "%s", path);
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    *ret_fd = fd;
    return ST_OK;
}

/* Nobody else binds meanwhile. */
static status_t bind_locked(const char *path, int fd, struct error *err)
{
    struct sockaddr_un at;
    struct stat info;
    int other = -1;
    address_of(path, &at);
    status_t st = rpc_local_connect(path, &other, err);
    if (st == ST_OK) {
        long pid = (long)rpc_local_peer(other);
        close(other);
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "already up, as process %ld (`cloudskin down` stops it)", pid);
    }
    if (st != ST_NOTFOUND) {
        return st == ST_AGAIN ? error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                                          "already up, but its process does not answer")
                              : st;
    }
    if (lstat(path, &info) == 0 && (!S_ISSOCK(info.st_mode) || unlink(path) != 0)) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "%s: in the way", path);
    }
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || chmod(path, 0600) != 0 ||
        listen(fd, BACKLOG) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    return ST_OK;
}

status_t rpc_local_listen(const char *path, int *ret_fd, struct error *err)
{
    char folder[PATH_MAX], lock_path[RPC_PATH_MAX + 8];
    int lock = -1;
    size_t len = 0;
    status_t st = runtime_folder(false, folder, err);
    if (st != ST_OK) {
        return st;
    }
    len = strlen(folder);
    if (strncmp(path, folder, len) == 0 && path[len] == '/') {
        st = runtime_folder(true, folder, err);
    }
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    if (st == ST_OK) {
        st = file_lock(lock_path, true, &lock, err);
    }
    if (st != ST_OK) {
        return st;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    st = fd < 0 ? error_set_errno(err, errno, "socket") : bind_locked(path, fd, err);
    file_lock_release(lock, lock_path);
    if (st != ST_OK) {
        if (fd >= 0) {
            close(fd);
        }
        return st;
    }
    *ret_fd = fd;
    return ST_OK;
}

void rpc_local_unlisten(const char *path, int fd)
{
    if (fd >= 0) {
        unlink(path);
        close(fd);
    }
}
