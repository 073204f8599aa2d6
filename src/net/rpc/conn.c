#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "impl.h"
#include "net/rpc/tcp.h"
#include "sys/clock.h"

/* One connection: frames in, requests to who runs them, answers out. */

enum { READ_AHEAD = 64 * 1024, READS_AT_ONCE = 16 };

bool rpc_request_intact(const struct rpc_request *r)
{
    return hash_crc32c(0, r->data, r->data_bytes) == r->data_crc;
}

void calls_add(struct calls *q, struct call *c)
{
    c->next = NULL;
    *q->last = c;
    q->last = &c->next;
}

struct call *calls_take(struct calls *q)
{
    struct call *c = q->first;
    if (c != NULL && (q->first = c->next) == NULL) {
        q->last = &q->first;
    }
    return c;
}

void call_free(struct call *c)
{
    if (c != NULL) {
        conn_unref(c->conn);
        free(c->bytes);
        free(c);
    }
}

/* NULL: none is in between. */
static const struct rpc_transport *transport_of(const struct conn *c)
{
    return c->tcp ? c->server->o.tcp->transport : NULL;
}

struct conn *conn_new(struct rpc_server *s, struct loop *loop, int fd, bool tcp)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL || pthread_mutex_init(&c->m, NULL) != 0) {
        free(c);
        return NULL;
    }
    c->server = s;
    c->loop = loop;
    c->fd = fd;
    atomic_init(&c->refs, 1);
    calls_init(&c->held);
    c->out_last = &c->out;
    c->read_ns = c->sent_ns = c->opened_ns = clock_monotonic_ns();
    c->tcp = tcp;
    c->peer.local = !tcp;
    const struct rpc_transport *t = transport_of(c);
    c->shaken = t == NULL;
    if (t != NULL && (c->link = t->open(s->o.tcp->ctx, fd)) == NULL) {
        pthread_mutex_destroy(&c->m);
        free(c);
        return NULL;
    }
    return c;
}

void conn_unref(struct conn *c)
{
    if (atomic_fetch_sub(&c->refs, 1) == 1) {
        if (c->session != NULL) {
            c->server->o.handler->session_free(c->session);
        }
        if (c->link != NULL) {
            transport_of(c)->close(c->link);
        }
        close(c->fd);
        pthread_mutex_destroy(&c->m);
        seat_give_back(c->server, c->seat);
        atomic_fetch_sub(c->tcp ? &c->server->tcp_count : &c->server->conn_count, 1);
        atomic_fetch_sub(&c->server->tcp_sessions, c->let_in);
        free(c);
    }
}

/* Caller holds m. Its loop sees the end of the socket. */
static void conn_fail(struct conn *c)
{
    c->failed = true;
    shutdown(c->fd, SHUT_RDWR);
}

void conn_wait(struct conn *c)
{
    bool reads = c->held.first == NULL && !atomic_load(&c->server->draining);
    uint32_t awaited = c->reads_need_room ? EPOLLOUT : EPOLLIN;
    uint32_t events = (reads ? awaited : 0U) | (c->out != NULL ? EPOLLOUT : 0U);
    if (c->ended || events == c->waits_for) {
        return;
    }
    if ((events & EPOLLIN) != 0 && (c->waits_for & EPOLLIN) == 0) {
        c->read_ns = clock_monotonic_ns();
    }
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_MOD, c->fd, &e) != 0) {
        conn_fail(c);
    }
    c->waits_for = events;
}

/* Answers. */

static void out_done(struct out *o)
{
    for (unsigned i = 0; i < o->answer.passed_count; i++) {
        close(o->answer.passed[i]);
    }
    buf_done(&o->answer.args);
    buf_done(&o->answer.data);
}

static void out_free(struct out *o)
{
    out_done(o);
    free(o);
}

static void give_back(struct conn *c, const struct out *o)
{
    if (o->ends_call) {
        c->admitted--;
        c->admitted_bytes -= o->charged_bytes;
        server_done_one(c->server);
    }
}

static size_t part(struct iovec *to, const void *data, size_t len, size_t *skip)
{
    size_t n = *skip < len ? *skip : len;
    *skip -= n;
    *to = (struct iovec){.iov_base = (void *)((uintptr_t)data + n), .iov_len = len - n};
    return len;
}

/* Through a transport: the next bytes in one piece, which are the same if they have to be sent again. Data are sent
 * from where they are, but for what goes with the head. */
static ssize_t out_send_piece(struct conn *c, const struct iovec parts[3])
{
    uint8_t piece[RPC_RECEIVE_MIN];
    size_t len = 0;
    if (parts[0].iov_len + parts[1].iov_len == 0) {
        len = parts[2].iov_len < sizeof piece ? parts[2].iov_len : sizeof piece;
        return transport_of(c)->send(c->link, parts[2].iov_base, len);
    }
    for (unsigned i = 0; i < 3 && len < sizeof piece; i++) {
        size_t n = sizeof piece - len < parts[i].iov_len ? sizeof piece - len : parts[i].iov_len;
        if (n > 0) {
            memcpy(piece + len, parts[i].iov_base, n);
        }
        len += n;
    }
    return transport_of(c)->send(c->link, piece, len);
}

static ssize_t out_send(struct conn *c, const struct out *o, size_t *ret_total)
{
    union {
        char bytes[CMSG_SPACE(sizeof o->answer.passed)];
        struct cmsghdr align;
    } room = {.bytes = {0}};
    struct iovec parts[3];
    size_t skip = o->sent_bytes;
    *ret_total = part(&parts[0], o->head, sizeof o->head, &skip);
    *ret_total += part(&parts[1], o->answer.args.data, o->answer.args.len, &skip);
    *ret_total += part(&parts[2], o->answer.data.data, o->answer.data.len, &skip);
    if (c->link != NULL) {
        return out_send_piece(c, parts);
    }
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 3};
    if (o->sent_bytes == 0 && o->answer.passed_count > 0) {
        size_t len = o->answer.passed_count * sizeof o->answer.passed[0];
        m.msg_control = room.bytes;
        m.msg_controllen = CMSG_SPACE(len);
        struct cmsghdr *head = CMSG_FIRSTHDR(&m);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(len);
        memcpy(CMSG_DATA(head), o->answer.passed, len);
    }
    return sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Caller holds m. */
static void flush(struct conn *c)
{
    while (c->out != NULL && !c->failed) {
        struct out *o = c->out;
        size_t total;
        ssize_t n = out_send(c, o, &total);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0) {
            conn_fail(c);
            break;
        }
        c->sent_ns = clock_monotonic_ns();
        o->sent_bytes += (size_t)n;
        if (o->sent_bytes == total) {
            if ((c->out = o->next) == NULL) {
                c->out_last = &c->out;
            }
            give_back(c, o);
            out_free(o);
        }
    }
    conn_wait(c);
}

void conn_flush(struct conn *c)
{
    pthread_mutex_lock(&c->m);
    flush(c);
    pthread_mutex_unlock(&c->m);
}

/* Takes what is in the answer. ended: the request that was admitted and ends with it, or NULL. */
static void send_answer(struct conn *c, const struct rpc_frame *asked, struct rpc_answer *answer,
                        uint16_t flags, const struct call *ended)
{
    struct out *o = calloc(1, sizeof *o);
    bool fits = !answer->args.failed && !answer->data.failed && answer->args.len <= RPC_ARGS_MAX &&
                answer->data.len <= RPC_DATA_MAX;
    struct out lost = {.answer = *answer,
                       .ends_call = ended != NULL,
                       .charged_bytes = ended != NULL ? ended->charged_bytes : 0};
    if (o == NULL || !fits) { /* an answer cannot be left out */
        pthread_mutex_lock(&c->m);
        give_back(c, &lost);
        conn_fail(c);
        pthread_mutex_unlock(&c->m);
        out_done(&lost);
        free(o);
        return;
    }
    *o = lost;
    *answer = (struct rpc_answer){0};
    const struct rpc_frame head = {
        .args_bytes = (uint32_t)o->answer.args.len,
        .data_bytes = (uint32_t)o->answer.data.len,
        .id = asked->id,
        .lane = asked->lane,
        .kind = asked->kind,
        .flags = flags,
        .args_crc = hash_crc32c(0, o->answer.args.data, o->answer.args.len),
        .data_crc = hash_crc32c(0, o->answer.data.data, o->answer.data.len)};
    rpc_frame_encode(&head, o->head);
    pthread_mutex_lock(&c->m);
    if (c->ended) {
        give_back(c, o);
        out_free(o);
    } else {
        if (c->out == NULL) {
            c->sent_ns = clock_monotonic_ns();
        }
        *c->out_last = o;
        c->out_last = &o->next;
        flush(c);
    }
    pthread_mutex_unlock(&c->m);
}

struct rpc_reply {
    struct call *call;
};

/* The thread of the request waits for a slow client: what it has to say has no bound. */
static bool wait_until_sent(struct conn *c)
{
    for (;;) {
        pthread_mutex_lock(&c->m);
        flush(c);
        bool failed = c->failed || c->ended, empty = c->out == NULL;
        pthread_mutex_unlock(&c->m);
        if (failed || empty) {
            return !failed;
        }
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        if (poll(&p, 1, (int)c->server->o.stall_ms) == 0) {
            pthread_mutex_lock(&c->m);
            conn_fail(c);
            pthread_mutex_unlock(&c->m);
        }
    }
}

status_t rpc_reply_more(struct rpc_reply *reply, struct rpc_answer *answer)
{
    struct call *call = reply->call;
    if (!wait_until_sent(call->conn)) {
        return ST_IO;
    }
    send_answer(call->conn, &call->frame, answer, RPC_ANSWER | RPC_MORE, NULL);
    /* what was sent here may have been all that a held request waits for */
    conn_pump(call->conn);
    return ST_OK;
}

bool rpc_reply_is_wanted(const struct rpc_reply *reply)
{
    struct conn *c = reply->call->conn;
    pthread_mutex_lock(&c->m);
    bool wanted = !c->failed && !c->ended && !atomic_load(&c->server->draining);
    pthread_mutex_unlock(&c->m);
    return wanted;
}

void call_run(struct call *call)
{
    struct conn *c = call->conn;
    struct rpc_answer answer = {0};
    struct rpc_reply reply = {.call = call};
    c->server->o.handler->run(c->session, &call->request, &reply, &answer);
    if (answer.later && call->request.quick) {
        struct out dropped = {.answer = answer};
        out_done(&dropped);
        call->request.quick = false;
        server_enqueue(c->server, call);
        return;
    }
    uint32_t number = call->frame.lane;
    if (number != 0) {
        struct call *next = NULL;
        pthread_mutex_lock(&c->m);
        struct lane **at = &c->lanes;
        while ((*at)->number != number) {
            at = &(*at)->next;
        }
        struct lane *lane = *at;
        next = calls_take(&lane->waiting);
        if (next == NULL) {
            *at = lane->next;
            free(lane);
        }
        pthread_mutex_unlock(&c->m);
        if (next != NULL) {
            server_enqueue(c->server, next);
        }
    }
    send_answer(c, &call->frame, &answer, RPC_ANSWER, call);
    call_free(call);
}

/* Requests. */

/* Caller holds m. False: it waits for its lane, or memory ran out. */
static bool enter_lane(struct conn *c, struct call *call)
{
    if (call->frame.lane == 0) {
        return true;
    }
    for (struct lane *l = c->lanes; l != NULL; l = l->next) {
        if (l->number == call->frame.lane) {
            calls_add(&l->waiting, call);
            return false;
        }
    }
    struct lane *l = calloc(1, sizeof *l);
    if (l == NULL) {
        conn_fail(c);
        c->admitted--;
        c->admitted_bytes -= call->charged_bytes;
        server_done_one(c->server);
        call_free(call);
        return false;
    }
    *l = (struct lane){.next = c->lanes, .number = call->frame.lane};
    calls_init(&l->waiting);
    c->lanes = l;
    return true;
}

/* The next one that may be run. */
static struct call *admit(struct conn *c)
{
    struct call *call = NULL;
    pthread_mutex_lock(&c->m);
    while (call == NULL && c->held.first != NULL && !c->ended) {
        size_t bytes = c->held.first->charged_bytes;
        if (c->admitted > 0 &&
            (c->admitted >= RPC_REQUESTS_MAX || c->admitted_bytes + bytes > RPC_ADMITTED_MAX)) {
            break;
        }
        struct call *first = calls_take(&c->held);
        c->admitted++;
        c->admitted_bytes += bytes;
        atomic_fetch_add(&c->server->requests, 1);
        atomic_fetch_add(&c->server->running, 1);
        call = enter_lane(c, first) ? first : NULL;
    }
    conn_wait(c);
    pthread_mutex_unlock(&c->m);
    return call;
}

void conn_pump(struct conn *c)
{
    for (struct call *call; (call = admit(c)) != NULL;) {
        call->request.quick = c->server->o.handler->is_quick(c->session, &call->request);
        if (call->request.quick) {
            call_run(call);
        } else {
            server_enqueue(c->server, call);
        }
    }
}

/* Reading. */

static bool refuse(struct conn *c, status_t st, const char *text)
{
    struct error err;
    struct rpc_answer answer = {0};
    error_set(&err, st, ERROR_NO_OFFSET, "%s", text);
    rpc_result_encode(st, &err, &answer.args);
    send_answer(c, &(struct rpc_frame){.kind = RPC_HELLO}, &answer, RPC_ANSWER, NULL);
    return false;
}

void conn_tell_refused(struct conn *c, const struct error *err)
{
    char address[INET6_ADDRSTRLEN + 16] = "";
    if (c->tcp && c->server->o.tcp->refused != NULL) {
        rpc_tcp_peer(c->fd, address, sizeof address);
        c->server->o.tcp->refused(c->server->o.tcp->refused_ctx, address, err);
    }
}

/* Nobody is to have all places: with a certificate or token that many use, or that was stolen, others get in still. */
static bool take_seat(struct conn *c, struct error *err)
{
    bool known = c->peer.token != NULL || c->peer.name[0] != '\0';
    if (!known || seat_take(c->server, &c->peer, &c->seat)) {
        return true; /* a stranger is told what is missing */
    }
    if (c->peer.token != NULL) {
        error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                  "this token has %d connections already, as many as one token can have",
                  RPC_CONNECTIONS_OF_ONE_MAX);
    } else {
        error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                  "the certificate \"%s\" has %d connections already, as many as one can have",
                  c->peer.name, RPC_CONNECTIONS_OF_ONE_MAX);
    }
    return false;
}

/* It may do something here. */
static bool let_in(struct conn *c, struct error *err)
{
    if (c->tcp) {
        c->let_in = true;
        if (atomic_fetch_add(&c->server->tcp_sessions, 1) >= RPC_CONNECTIONS_MAX) {
            error_set(err, ST_LIMIT, ERROR_NO_OFFSET,
                      "the store has as many connections as it can have");
            return false;
        }
        if (!take_seat(c, err)) {
            return false;
        }
    }
    c->session = c->server->o.handler->session_new(c->server->o.ctx, &c->peer, err);
    c->peer.token = NULL;
    return c->session != NULL;
}

static bool hello(struct conn *c, const struct call *call)
{
    uint16_t lowest, highest;
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct rpc_answer answer = {0};
    if (call->frame.kind != RPC_HELLO ||
        rpc_hello_decode(call->bytes, call->frame.args_bytes, &lowest, &highest, &err) != ST_OK ||
        rpc_hello_token(call->bytes, call->frame.args_bytes, &c->peer.token, &err) != ST_OK) {
        return refuse(c, ST_FORMAT, "a connection begins with a hello of this protocol");
    }
    if (lowest > RPC_VERSION || highest < RPC_VERSION) {
        return refuse(c, ST_UNSUPPORTED, "this server speaks version 1 only");
    }
    if (!let_in(c, &err)) {
        conn_tell_refused(c, &err);
        return refuse(c, err.code, err.text);
    }
    rpc_result_encode(ST_OK, NULL, &answer.args);
    buf_le16(&answer.args, RPC_VERSION);
    send_answer(c, &call->frame, &answer, RPC_ANSWER, NULL);
    return true;
}

/* A frame is whole. */
static bool take(struct conn *c, struct call *call)
{
    struct rpc_frame *f = &call->frame;
    if (hash_crc32c(0, call->bytes, f->args_bytes) != f->args_crc || (f->flags & RPC_ANSWER) != 0) {
        call_free(call);
        return refuse(c, ST_CORRUPT, "the arguments of a frame have a wrong checksum");
    }
    if (c->session == NULL) {
        bool good = hello(c, call);
        call_free(call);
        return good;
    }
    call->request = (struct rpc_request){.lane = f->lane,
                                         .room = f->room,
                                         .kind = f->kind,
                                         .args = call->bytes,
                                         .args_bytes = f->args_bytes,
                                         .data = call->bytes + f->args_bytes,
                                         .data_bytes = f->data_bytes,
                                         .data_crc = f->data_crc};
    call->charged_bytes = sizeof *call + f->args_bytes + f->data_bytes + f->room;
    pthread_mutex_lock(&c->m);
    calls_add(&c->held, call);
    pthread_mutex_unlock(&c->m);
    return true;
}

static bool begin_body(struct conn *c)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return false;
    }
    call->conn = c;
    atomic_fetch_add(&c->refs, 1);
    c->reading = call;
    c->body_got = 0;
    c->head_got = 0;
    struct error err;
    status_t st = rpc_frame_decode(c->head, &call->frame, &err);
    if (st != ST_OK) {
        return refuse(c, st, err.text);
    }
    if (c->session == NULL && c->tcp &&
        (call->frame.args_bytes > RPC_HELLO_MAX || call->frame.data_bytes > 0)) {
        return refuse(c, ST_FORMAT, "a connection begins with a hello of this protocol");
    }
    call->bytes = malloc((size_t)call->frame.args_bytes + call->frame.data_bytes + 1);
    return call->bytes != NULL;
}

static size_t body_left(const struct conn *c)
{
    return (size_t)c->reading->frame.args_bytes + c->reading->frame.data_bytes - c->body_got;
}

static bool end_body(struct conn *c)
{
    struct call *call = c->reading;
    c->reading = NULL;
    return take(c, call);
}

/* Take bytes apart. */
static bool feed(struct conn *c, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t want = c->reading != NULL ? body_left(c) : RPC_HEADER_BYTES - c->head_got;
        size_t n = len < want ? len : want;
        if (c->reading != NULL) {
            memcpy(c->reading->bytes + c->body_got, data, n);
            c->body_got += n;
        } else {
            memcpy(c->head + c->head_got, data, n);
            c->head_got += n;
            if (c->head_got == RPC_HEADER_BYTES && !begin_body(c)) {
                return false;
            }
        }
        if (c->reading != NULL && body_left(c) == 0 && !end_body(c)) {
            return false;
        }
        data += n;
        len -= n;
    }
    return true;
}

/* A long body goes where it belongs, small frames many at a time. */
static ssize_t receive(struct conn *c, uint8_t *scratch, bool *ret_direct)
{
    *ret_direct = c->reading != NULL && body_left(c) >= READ_AHEAD / 2;
    uint8_t *to = *ret_direct ? c->reading->bytes + c->body_got : scratch;
    size_t room = *ret_direct ? body_left(c) : READ_AHEAD;
    if (c->link == NULL) {
        return recv(c->fd, to, room, MSG_DONTWAIT);
    }
    pthread_mutex_lock(&c->m);
    ssize_t n = transport_of(c)->receive(c->link, to, room, &c->reads_need_room);
    pthread_mutex_unlock(&c->m);
    return n;
}

bool conn_shake(struct conn *c)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    pthread_mutex_lock(&c->m);
    status_t st = transport_of(c)->shake(c->link, &c->reads_need_room, &c->peer, &err);
    c->shaken = st == ST_OK;
    if (c->shaken) {
        c->reads_need_room = false;
    }
    conn_wait(c);
    pthread_mutex_unlock(&c->m);
    if (st != ST_OK && st != ST_AGAIN) {
        conn_tell_refused(c, &err);
    }
    return st == ST_OK || st == ST_AGAIN;
}

bool conn_read(struct conn *c)
{
    uint8_t scratch[READ_AHEAD];
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        bool direct, good = true;
        pthread_mutex_lock(&c->m);
        bool may = c->held.first == NULL && !c->failed;
        pthread_mutex_unlock(&c->m);
        if (!may || atomic_load(&c->server->draining)) {
            break;
        }
        ssize_t n = receive(c, scratch, &direct);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            conn_pump(c); /* for conn_wait: the transport may wait for something else now */
            break;
        }
        if (n <= 0) {
            return false;
        }
        pthread_mutex_lock(&c->m);
        c->read_ns = clock_monotonic_ns();
        pthread_mutex_unlock(&c->m);
        if (direct) {
            c->body_got += (size_t)n;
            good = body_left(c) > 0 || end_body(c);
        } else {
            good = feed(c, scratch, (size_t)n);
        }
        conn_pump(c);
        if (!good) {
            return false;
        }
        if (c->link == NULL && !direct && n < READ_AHEAD) {
            break; /* epoll says when there is more */
        }
    }
    return true;
}

void conn_end(struct conn *c)
{
    pthread_mutex_lock(&c->m);
    epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    shutdown(c->fd, SHUT_RDWR);
    c->failed = true;
    c->ended = true;
    struct out *out = c->out;
    c->out = NULL;
    c->out_last = &c->out;
    for (struct out *o = out; o != NULL; o = o->next) {
        give_back(c, o);
    }
    struct call *held = c->held.first;
    calls_init(&c->held);
    pthread_mutex_unlock(&c->m);
    while (out != NULL) {
        struct out *next = out->next;
        out_free(out);
        out = next;
    }
    while (held != NULL) {
        struct call *next = held->next;
        call_free(held);
        held = next;
    }
    call_free(c->reading);
    c->reading = NULL;
}
