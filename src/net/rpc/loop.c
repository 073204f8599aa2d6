#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "impl.h"
#include "net/rpc/local.h"
#include "net/rpc/tcp.h"
#include "sys/clock.h"

/* An event thread: connections come, are read, are written to, stand still, and end. */

enum { EVENTS_AT_ONCE = 64, SWEEPS_PER_STALL = 8, SWEEP_MS_MAX = 5000 };

static void listen_again(struct loop *l, bool on)
{
    const struct rpc_server_options *o = &l->server->o;
    /* what is in data says which socket it is */
    struct epoll_event local = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = l->server};
    struct epoll_event tcp = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &l->server->loops};
    int what = on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
    if (on == l->listens) {
        return;
    }
    bool good = o->listen_fd < 0 || epoll_ctl(l->epoll_fd, what, o->listen_fd, &local) == 0 ||
                errno == EEXIST;
    if (good && o->tcp != NULL) {
        good = epoll_ctl(l->epoll_fd, what, o->tcp->listen_fd, &tcp) == 0 || errno == EEXIST;
    }
    if (good) {
        l->listens = on;
    }
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
    struct buf frame = {0};
    error_set(&err, st, ERROR_NO_OFFSET, "%s", text);
    rpc_refusal_encode(&err, &frame);
    if (!frame.failed) {
        ssize_t ignored = send(fd, frame.data, frame.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)ignored;
    }
    buf_done(&frame);
    close(fd);
}

static void begin(struct loop *l, struct conn *c)
{
    c->waits_for = EPOLLIN;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0) {
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

/* Who a connection of TCP comes from: an IPv4 address, or the half of an IPv6 one that a network has. */
static uint64_t origin_of(int fd)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof peer;
    uint64_t network = 0;
    uint32_t host = 0;
    if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.ss_family == AF_INET) {
        memcpy(&host, &((const struct sockaddr_in *)&peer)->sin_addr, sizeof host);
    } else if (peer.ss_family == AF_INET6) {
        const struct in6_addr *in = &((const struct sockaddr_in6 *)&peer)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(in)) {
            memcpy(&host, in->s6_addr + 12, sizeof host);
        } else {
            memcpy(&network, in->s6_addr, sizeof network);
        }
    }
    return host != 0 ? host : network;
}

static bool is_stranger(const struct conn *c)
{
    return c->tcp && c->session == NULL && !c->evicted;
}

static unsigned count_strangers(const struct loop *l, const uint64_t *origin)
{
    unsigned count = 0;
    for (const struct conn *c = l->conns; c != NULL; c = c->next) {
        count += is_stranger(c) && (origin == NULL || c->origin == *origin);
    }
    return count;
}

/* Who comes now takes the place of who says nothing for longest, of the address that has the most such places: a flood
 * from one address pushes out itself. */
static void make_place(struct loop *l, uint64_t origin)
{
    struct conn *chosen = NULL;
    unsigned most = 0;
    if (count_strangers(l, NULL) < RPC_STRANGERS_MAX) {
        return;
    }
    for (struct conn *c = l->conns; c != NULL; c = c->next) { /* the newest is first */
        unsigned count = is_stranger(c) ? count_strangers(l, &c->origin) + (c->origin == origin)
                                        : 0;
        if (count > 0 && count >= most) {
            chosen = c;
            most = count;
        }
    }
    struct error err;
    error_set(&err, ST_LIMIT, ERROR_NO_OFFSET, "too many others came before it said who it is");
    conn_tell_refused(chosen, &err);
    chosen->evicted = true; /* an event of it may be in hand, so it is not ended here */
    shutdown(chosen->fd, SHUT_RDWR);
}

static void add_tcp(struct loop *l, int fd)
{
    uint64_t origin = origin_of(fd);
    make_place(l, origin);
    rpc_tcp_prepare(fd);
    atomic_fetch_add(&l->server->tcp_count, 1);
    struct conn *c = conn_new(l->server, l, fd, true);
    if (c == NULL) {
        atomic_fetch_sub(&l->server->tcp_count, 1);
        close(fd);
        return;
    }
    c->origin = origin;
    begin(l, c);
}

static void add(struct loop *l, int fd)
{
    struct rpc_server *s = l->server;
    struct conn *c = NULL;
    bool room = atomic_fetch_add(&s->conn_count, 1) < RPC_CONNECTIONS_MAX, own = is_own(fd);
    if (!room || !own || (c = conn_new(s, l, fd, false)) == NULL) {
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
    begin(l, c);
}

static void accept_some(struct loop *l, bool tcp)
{
    for (int i = 0; i < EVENTS_AT_ONCE; i++) {
        int from = tcp ? l->server->o.tcp->listen_fd : l->server->o.listen_fd;
        int fd = accept4(from, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            (tcp ? add_tcp : add)(l, fd);
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
    if (!c->shaken || c->evicted) {
        if (c->evicted || !conn_shake(c)) {
            end(c);
        }
        return;
    }
    pthread_mutex_lock(&c->m);
    bool reads = (events & (c->reads_need_room ? EPOLLOUT : EPOLLIN)) != 0;
    pthread_mutex_unlock(&c->m);
    if ((events & EPOLLOUT) != 0) {
        conn_flush(c);
        conn_pump(c);
    }
    if (reads) {
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
    if (c->tcp && c->session == NULL) { /* however many bytes it sends */
        struct error err;
        if (clock_monotonic_ns() - c->opened_ns <= c->loop->server->greet_ms * 1000000ULL) {
            return false;
        }
        error_set(&err, ST_AGAIN, ERROR_NO_OFFSET, "it did not say in time who it is");
        conn_tell_refused(c, &err);
        return true;
    }
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
    unsigned shortest_ms = l->server->o.stall_ms;
    if (l->server->o.tcp != NULL && l->server->greet_ms < shortest_ms) {
        shortest_ms = l->server->greet_ms;
    }
    unsigned period_ms = shortest_ms / SWEEPS_PER_STALL + 1;
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
                accept_some(l, false);
            } else if (what == &l->server->loops) {
                accept_some(l, true);
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
