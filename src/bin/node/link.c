#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/hash.h"
#include "net/rpc/list.h"
#include "sys/files.h"

enum { HELLO_MS = 40 * 1000, HELLO_SEVERAL_MS = 5000, STALL_S = 60 };

static status_t send_all(struct link *l, struct iovec *parts, size_t count, struct error *err)
{
    while (count > 0) {
        struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t n = sendmsg(l->fd, &m, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return error_set(err, ST_IO, ERROR_NO_OFFSET, "the connection is lost");
        }
        size_t left = n > 0 ? (size_t)n : 0;
        while (count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return ST_OK;
}

static status_t send_frame(struct link *l, uint16_t kind, const struct buf *args, uint32_t room,
                           const void *data, size_t len, struct error *err)
{
    uint8_t bytes[RPC_HEADER_BYTES];
    struct rpc_frame head = {.args_bytes = (uint32_t)args->len,
                             .data_bytes = (uint32_t)len,
                             .room = room,
                             .kind = kind,
                             .args_crc = hash_crc32c(0, args->data, args->len),
                             .data_crc = hash_crc32c(0, data, len)};
    if (args->failed || args->len > RPC_ARGS_MAX || len > RPC_DATA_MAX) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    pthread_mutex_lock(&l->send_lock);
    head.id = ++l->last_id;
    rpc_frame_encode(&head, bytes);
    struct iovec parts[] = {
        {bytes, sizeof bytes}, {args->data, args->len}, {(void *)(uintptr_t)data, len}};
    status_t st = send_all(l, parts, 3, err);
    pthread_mutex_unlock(&l->send_lock);
    return st;
}

status_t link_send(struct link *l, enum geds_op op, const struct geds_request *r, uint32_t room,
                   const void *data, size_t len, struct error *err)
{
    struct buf args = {0};
    geds_request_encode(op, r, &args);
    status_t st = send_frame(l, (uint16_t)op, &args, room, data, len, err);
    buf_done(&args);
    return st;
}

static status_t read_bytes(struct link *l, void *data, size_t len, struct error *err)
{
    return file_read_all(l->fd, data, len) == 0
               ? ST_OK
               : error_set(err, ST_IO, ERROR_NO_OFFSET, "the connection is lost");
}

status_t link_read(struct link *l, struct frame *ret_frame, struct error *err)
{
    uint8_t bytes[RPC_HEADER_BYTES];
    struct frame f = {.data = l->data};
    status_t st = read_bytes(l, bytes, sizeof bytes, err);
    if (st == ST_OK) {
        st = rpc_frame_decode(bytes, &f.head, err);
    }
    if (st == ST_OK) {
        st = read_bytes(l, l->args, f.head.args_bytes, err);
    }
    if (st == ST_OK) {
        st = read_bytes(l, l->data, f.head.data_bytes, err);
    }
    if (st != ST_OK) {
        return st;
    }
    if (hash_crc32c(0, l->args, f.head.args_bytes) != f.head.args_crc ||
        hash_crc32c(0, l->data, f.head.data_bytes) != f.head.data_crc ||
        (f.head.flags & RPC_ANSWER) == 0) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "what came was damaged on its way");
    }
    cursor_init(&f.args, l->args, f.head.args_bytes, 0);
    f.status = rpc_result_decode(&f.args, err);
    *ret_frame = f;
    return ST_OK;
}

static status_t say_hello(struct link *l, bool local, int patience_ms, struct error *err)
{
    struct buf args = {0};
    struct frame f;
    char token[RPC_TOKEN_MAX + 1] = "";
    status_t st = local ? ST_OK : rpc_token(token, err);
    rpc_hello_encode(RPC_VERSION, RPC_VERSION, &args);
    if (token[0] != '\0') {
        buf_text(&args, token);
    }
    if (st == ST_OK) {
        st = send_frame(l, RPC_HELLO, &args, 0, NULL, 0, err);
        st = st == ST_IO ? ST_OK : st; /* the reason may be there to be read */
    }
    buf_done(&args);
    struct pollfd there = {.fd = l->fd, .events = POLLIN};
    if (st == ST_OK && poll(&there, 1, patience_ms) == 0) {
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the controller does not answer");
    }
    if (st == ST_OK) {
        st = link_read(l, &f, err);
    }
    if (st == ST_OK && f.status != ST_OK) {
        st = f.status;
    }
    return st == ST_OK && cursor_le16(&f.args) != RPC_VERSION
               ? error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                           "the controller speaks another version")
               : st;
}

static status_t open_one(const struct rpc_address *a, int patience_ms, struct link *ret_link,
                         struct error *err)
{
    const struct timeval stall = {.tv_sec = STALL_S};
    struct link l = {.fd = -1, .send_lock = PTHREAD_MUTEX_INITIALIZER};
    status_t st = rpc_connect(a, RPC_QUEUE_MS, &l.fd, err);
    l.args = malloc(RPC_ARGS_MAX);
    l.data = malloc(RPC_DATA_MAX);
    if (st == ST_OK && (l.args == NULL || l.data == NULL)) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st == ST_OK && (setsockopt(l.fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof stall) != 0 ||
                        setsockopt(l.fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof stall) != 0)) {
        st = error_set_errno(err, errno, "socket");
    }
    if (st == ST_OK) {
        st = say_hello(&l, a->scheme == RPC_UNIX, patience_ms, err);
    }
    if (st != ST_OK) {
        link_close(&l);
        return st;
    }
    *ret_link = l;
    return ST_OK;
}

/* The one that leads. Whoever is away may be it later. */
status_t link_open(const char *address, struct link *ret_link, struct error *err)
{
    struct rpc_list list;
    status_t st = rpc_list_parse(address, &list, err);
    if (st != ST_OK) {
        return st;
    }
    bool goes_on = false;
    struct error away = {0};
    for (size_t i = 0; i < list.count; i++) {
        st = open_one(&list.of[i], list.count > 1 ? HELLO_SEVERAL_MS : HELLO_MS, ret_link, err);
        if (st == ST_OK) {
            return ST_OK;
        }
        if (rpc_list_goes_on(st)) {
            goes_on = true;
            away = *err;
        }
    }
    if (goes_on) {
        *err = away;
    }
    return goes_on ? away.code : st;
}

void link_close(struct link *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    free(l->args);
    free(l->data);
    *l = (struct link){.fd = -1};
}
