#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "impl.h"
#include "net/rpc/local.h"
#include "sys/clock.h"

/* An event thread: connections come, are read, are written to, stand still, and end. */

enum { EVENTS_AT_ONCE = 64, SWEEPS_PER_STALL = 8, SWEEP_MS_MAX = 5000 };

static bool listen_again(struct loop *l, bool on)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = l->server};
    if (on != l->listens && epoll_ctl(l->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
                                      l->server->o.listen_fd, &e) == 0) {
        l->listens = on;
    }
    return l->listens == on;
}

/* Of this user, or of who may do everything anyway. */
static bool is_own(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* Say why, as far as the socket takes it at once, and close it. */
static void turn_away(int fd, status_t st, const char *text)
{
    struct error err;
    struct buf frame = {0}, args = {0};
    uint8_t head[RPC_HEADER_BYTES];
    error_set(&err, st, ERROR_NO_OFFSET, "%s", text);
    rpc_result_encode(st, &err, &args);
    const struct rpc_frame f = {.args_bytes = (uint32_t)args.len,
                                .kind = RPC_HELLO,
                                .flags = RPC_ANSWER,
                                .args_crc = hash_crc32c(0, args.data, args.len),
                                .data_crc = hash_crc32c(0, NULL, 0)};
    rpc_frame_encode(&f, head);
    buf_bytes(&frame, head, sizeof head);
    buf_bytes(&frame, args.data, args.len);
    if (!args.failed && !frame.failed) {
        ssize_t ignored = send(fd, frame.data, frame.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)ignored;
    }
    buf_done(&args);
    buf_done(&frame);
    close(fd);
}

static void add(struct loop *l, int fd)
{
    struct rpc_server *s = l->server;
    struct conn *c = NULL;
    bool room = atomic_fetch_add(&s->conn_count, 1) < RPC_CONNECTIONS_MAX, own = is_own(fd);
    if (!room || !own || (c = conn_new(s, l, fd)) == NULL) {
        atomic_fetch_sub(&s->conn_count, 1);
        turn_away(fd,
                  !own    ? ST_PERM
                  : !room ? ST_LIMIT
                          : ST_NOMEM,
                  !own    ? "the store is another user's"
                  : !room ? "the store has as many connections as it can have"
                          : "out of memory");
        return;
    }
    c->waits_for = EPOLLIN;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
        conn_unref(c);
        return;
    }
    c->next = l->conns;
    c->at = &l->conns;
    if (c->next != NULL) {
        c->next->at = &c->next;
    }
    l->conns = c;
}

static void end(struct conn *c)
{
    *c->at = c->next;
    if (c->next != NULL) {
        c->next->at = c->at;
    }
    conn_end(c);
    conn_unref(c);
}

static void accept_some(struct loop *l)
{
    for (int i = 0; i < EVENTS_AT_ONCE; i++) {
        int fd = accept4(l->server->o.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            add(l, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            listen_again(l, false); /* until the next sweep; epoll would say it at once again */
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static void ready(struct conn *c, uint32_t events)
{
    bool good = true;
    if ((events & EPOLLOUT) != 0) {
        conn_flush(c);
        conn_pump(c);
    }
    if ((events & EPOLLIN) != 0) {
        good = conn_read(c);
    }
    pthread_mutex_lock(&c->m);
    good = good && !c->failed;
    pthread_mutex_unlock(&c->m);
    if (!good || (events & (EPOLLERR | EPOLLHUP)) != 0) {
        end(c);
    }
}

static bool stands_still(struct conn *c, uint64_t stall_ns)
{
    pthread_mutex_lock(&c->m);
    uint64_t now_ns = clock_monotonic_ns(); /* under m: never before what a worker noted */
    bool half = c->head_got > 0 || c->reading != NULL || c->session == NULL;
    bool reads = (c->waits_for & EPOLLIN) != 0;
    bool still = (half && reads && now_ns - c->read_ns > stall_ns) ||
                 (c->out != NULL && now_ns - c->sent_ns > stall_ns);
    pthread_mutex_unlock(&c->m);
    return still;
}

static void sweep(struct loop *l, unsigned period_ms)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns - l->swept_ns < period_ms * 1000000ULL) {
        return;
    }
    l->swept_ns = now_ns;
    for (struct conn *c = l->conns, *next; c != NULL; c = next) {
        next = c->next;
        if (stands_still(c, l->server->o.stall_ms * 1000000ULL)) {
            end(c);
        }
    }
    if (!atomic_load(&l->server->draining)) {
        listen_again(l, true);
    }
}

static void woken(struct loop *l)
{
    uint64_t ignored;
    if (read(l->wake_fd, &ignored, sizeof ignored) < 0) {
        return;
    }
    if (atomic_load(&l->server->draining)) {
        listen_again(l, false);
        for (struct conn *c = l->conns; c != NULL; c = c->next) {
            pthread_mutex_lock(&c->m);
            conn_wait(c);
            pthread_mutex_unlock(&c->m);
        }
    }
}

void *loop_main(void *arg)
{
    struct loop *l = arg;
    struct epoll_event events[EVENTS_AT_ONCE];
    unsigned period_ms = l->server->o.stall_ms / SWEEPS_PER_STALL + 1;
    period_ms = period_ms < SWEEP_MS_MAX ? period_ms : SWEEP_MS_MAX;
    listen_again(l, true);
    while (!atomic_load(&l->server->stopping)) {
        /* nobody there: nothing can stand still */
        int patience = l->conns != NULL || !l->listens ? (int)period_ms : -1;
        int n = epoll_wait(l->epoll_fd, events, EVENTS_AT_ONCE, patience);
        for (int i = 0; i < n; i++) {
            void *what = events[i].data.ptr;
            if (what == l) {
                woken(l);
            } else if (what == l->server) {
                accept_some(l);
            } else {
                ready(what, events[i].events);
            }
        }
        sweep(l, period_ms);
    }
    while (l->conns != NULL) {
        end(l->conns);
    }
    return NULL;
}
