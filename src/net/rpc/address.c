#include "net/rpc/address.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/files.h"
#include "sys/process.h"

static const char helper_name[] = "tls.helper";

/* Behind the scheme: HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. */
static status_t parse_host(const char *text, struct rpc_address *a, struct error *err)
{
    char whole[RPC_HOST_MAX + 16];
    size_t len = strlen(text);
    bool bare = len > 0 && (text[0] == '[' ? text[len - 1] == ']' : strchr(text, ':') == NULL);
    int n = snprintf(whole, sizeof whole, bare ? "%s:%d" : "%s", text, RPC_PORT);
    return n < (int)sizeof whole ? rpc_tcp_split(whole, a->host, &a->port, err)
                                 : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                                             "a host has %d bytes at most", RPC_HOST_MAX);
}

status_t rpc_address_parse(const char *address, struct rpc_address *ret_address, struct error *err)
{
    struct rpc_address a = {.scheme = RPC_UNIX};
    const char *environment = getenv("CLOUDSKIN_CONTROLLER");
    status_t st;
    if (address == NULL && environment != NULL && environment[0] != '\0') {
        address = environment;
    }
    if (address != NULL && strncmp(address, "tls://", 6) == 0) {
        a.scheme = RPC_TLS;
        st = parse_host(address + 6, &a, err);
    } else if (address != NULL && strncmp(address, "tcp://", 6) == 0) {
        a.scheme = RPC_TCP;
        st = parse_host(address + 6, &a, err);
    } else {
        st = rpc_local_path(address, a.path, err);
    }
    if (st == ST_OK) {
        *ret_address = a;
    }
    return st;
}

static bool is_program(const char *folder, size_t len, const char *behind, char ret_path[PATH_MAX])
{
    return snprintf(ret_path, PATH_MAX, "%.*s/%s%s", (int)len, folder, behind, helper_name) <
               PATH_MAX &&
           access(ret_path, X_OK) == 0;
}

/* Beside a file of an installation: in its folder, or in libexec of where that is. */
static bool find_beside(const char *file, char ret_path[PATH_MAX])
{
    const char *slash = strrchr(file, '/');
    return slash != NULL &&
           (is_program(file, (size_t)(slash - file), "", ret_path) ||
            is_program(file, (size_t)(slash - file), "../libexec/cloudskin/", ret_path));
}

/* Beside this library, this program, or the program `cloudskin` of PATH. */
static status_t find_helper(char ret_path[PATH_MAX], struct error *err)
{
    static const char anchor;
    char path[PATH_MAX];
    Dl_info info;
    const char *given = getenv("CLOUDSKIN_TLS_HELPER");
    if (given != NULL && given[0] == '/' && strlen(given) < PATH_MAX) {
        memcpy(ret_path, given, strlen(given) + 1);
        return ST_OK;
    }
    if (dladdr(&anchor, &info) != 0 && info.dli_fname != NULL &&
        realpath(info.dli_fname, path) != NULL && find_beside(path, ret_path)) {
        return ST_OK;
    }
    if (process_sibling("x", path, NULL) == ST_OK && find_beside(path, ret_path)) {
        return ST_OK;
    }
    char found[PATH_MAX];
    if (process_find("cloudskin", found, NULL) == ST_OK && realpath(found, path) != NULL &&
        find_beside(path, ret_path)) {
        return ST_OK;
    }
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                     "%s: no such program beside cloudskin: tls:// needs it (CLOUDSKIN_TLS_HELPER "
                     "can name it)",
                     helper_name);
}

/* It makes itself independent at once, so that nobody has to wait for its end: that is why it is waited for here. */
static status_t start_helper(const char *path, const struct rpc_address *a, int its_end,
                             struct error *err)
{
    char port[8], host[RPC_HOST_MAX + 1];
    char *argv[] = {(char *)(uintptr_t)helper_name, host, port, NULL};
    const struct process_options options = {.input_fd = its_end};
    struct process p;
    int code = 0;
    snprintf(port, sizeof port, "%u", a->port);
    snprintf(host, sizeof host, "%s", a->host);
    status_t st = process_start(path, argv, &options, &p, err);
    if (st != ST_OK) {
        return st;
    }
    st = process_wait(&p, &code,
                      NULL); /* it may be somebody else of this process who gets to know its end */
    return st == ST_OK && code != 0
               ? error_set(err, ST_IO, ERROR_NO_OFFSET, "%s: exit code %d", path, code)
               : ST_OK;
}

static status_t connect_tls(const struct rpc_address *a, int *ret_fd, struct error *err)
{
    char path[PATH_MAX];
    int ends[2];
    status_t st = find_helper(path, err);
    if (st != ST_OK) {
        return st;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return error_set_errno(err, errno, "socketpair");
    }
    st = start_helper(path, a, ends[1], err);
    close(ends[1]);
    if (st != ST_OK) {
        close(ends[0]);
        return st;
    }
    *ret_fd = ends[0];
    return ST_OK;
}

status_t rpc_connect(const struct rpc_address *a, unsigned queue_ms, int *ret_fd, struct error *err)
{
    switch (a->scheme) {
    case RPC_UNIX:
        return rpc_local_connect_within(a->path, queue_ms, ret_fd, err);
    case RPC_TCP:
        return rpc_tcp_connect_loopback(a->host, a->port, queue_ms, ret_fd, err);
    case RPC_TLS:
        break;
    }
    return connect_tls(a, ret_fd, err);
}

static status_t take_token(const char *text, size_t len, char ret_token[RPC_TOKEN_MAX + 1],
                           struct error *err)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' ')) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "what should be a token is none");
        }
    }
    if (len == 0 || len > RPC_TOKEN_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a token has 1 to %d characters",
                         RPC_TOKEN_MAX);
    }
    memcpy(ret_token, text, len);
    ret_token[len] = '\0';
    return ST_OK;
}

status_t rpc_token(char ret_token[RPC_TOKEN_MAX + 1], struct error *err)
{
    const char *token = getenv("CLOUDSKIN_TOKEN"), *path = getenv("CLOUDSKIN_TOKEN_FILE");
    struct stat info;
    struct buf text = {0};
    if (token != NULL && token[0] != '\0') {
        return take_token(token, strlen(token), ret_token, err);
    }
    if (path == NULL || path[0] == '\0') {
        ret_token[0] = '\0';
        return ST_OK;
    }
    if (stat(path, &info) == 0 && (info.st_mode & 077) != 0) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s: others may use it (chmod 600 it)",
                         path);
    }
    status_t st = file_read(path, RPC_TOKEN_MAX + 2, &text, err);
    if (st == ST_OK) {
        st = take_token((const char *)text.data, text.len, ret_token, err);
    }
    buf_done(&text);
    return st;
}
