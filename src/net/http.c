#include "net/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept.h"
#include "base/parse.h"
#include "sys/clock.h"
#include "sys/thread.h"

enum {
    CONNECTION_BYTES = 256 << 10,
    READ_BYTES = 256 << 10,
    HOST_BYTES_MAX = 256,
    BACKLOG = 1024,
    SWEEP_MS = 500
};

/* One connection, for the thread that closes those that are too slow. In the list from its start to just before its
 * socket is closed, guarded by the server's m. */
struct link {
    struct link *next;
    struct link **at;
    int fd;
    _Atomic uint64_t deadline_ns; /* 0: none */
};

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    char *target;
    const char *method;
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    void *state;
    struct buf reply_headers; /* name NUL value NUL ... */
    struct MHD_Response *response;
    unsigned code;
    uint64_t drained_bytes;
    uint64_t window_bytes;
    uint64_t received_bytes, sent_bytes; /* of bodies */
    bool whole;                          /* the answer was sent to its end */
    bool begun;
    bool in_worker;
    bool ended;
    bool slow;                 /* its end is to be called again */
    struct body *fetches;      /* a worker is to fetch for it; NULL: to end the request */
    struct http_request *next; /* in a queue of the workers */
};

/* The bytes of an answer. It may outlive the request by a moment, when nothing is read any more. */
struct body {
    struct http_request *rq;
    struct http_reader reader;
};

struct queue {
    struct http_request *first, **last;
};

struct http_server {
    struct http_options o;
    struct MHD_Daemon **daemons; /* one for each event thread */
    unsigned daemon_count;
    struct acceptor *acceptor;
    int listen_fd;
    pthread_mutex_t m;
    pthread_cond_t work;              /* queue or stopping changed */
    pthread_cond_t sweep;             /* swept changed */
    struct link *links;               /* guarded by m */
    unsigned connections;             /* guarded by m */
    uint64_t accepted;                /* guarded by m */
    struct queue quick, slow;         /* guarded by m */
    unsigned slow_running, slow_ends; /* guarded by m */
    bool stopping;                    /* guarded by m: no request goes to the workers any more */
    bool no_sweep;                    /* guarded by m */
    pthread_t *threads;
    unsigned thread_count;
    pthread_t sweeper;
    bool has_sweeper;
};

void http_options_default(struct http_options *o)
{
    *o = (struct http_options){
        .event_threads = 4,
        .workers = 16,
        .connections_max = 4096,
        .idle_ms = 60000,
        .body_window_ms = 30000,
        .body_bytes_min = 30 << 10,
    };
}

/* Deadlines */

static struct link *link_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void set_deadline(struct MHD_Connection *c, unsigned ms)
{
    struct link *l = link_of(c);
    if (l)
        atomic_store(&l->deadline_ns, ms ? clock_monotonic_ns() + ms * UINT64_C(1000000) : 0);
}

static unsigned loop_of(const struct http_server *s, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_DAEMON);
    unsigned loop = 0;
    while (loop + 1 < s->daemon_count && info && s->daemons[loop] != info->daemon)
        loop++;
    return loop;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = arg;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            c, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct link *l = calloc(1, sizeof *l);
        *context = l;
        acceptor_began(s->acceptor, loop_of(s, c));
        if (!l || !info)
            return; /* only its idle time is bounded then */
        l->fd = info->connect_fd;
        l->deadline_ns = clock_monotonic_ns() + s->o.idle_ms * UINT64_C(1000000);
        pthread_mutex_lock(&s->m);
        s->accepted++;
        s->connections++;
        l->next = s->links;
        l->at = &s->links;
        if (l->next)
            l->next->at = &l->next;
        s->links = l;
        pthread_mutex_unlock(&s->m);
        return;
    }
    acceptor_ended(s->acceptor, loop_of(s, c));
    if (*context) {
        struct link *l = *context;
        pthread_mutex_lock(&s->m);
        if (l->at) {
            *l->at = l->next;
            if (l->next)
                l->next->at = l->at;
            s->connections--;
        }
        pthread_mutex_unlock(&s->m);
        free(l);
        *context = NULL;
    }
}

static void *sweeper_main(void *arg)
{
    struct http_server *s = arg;
    pthread_mutex_lock(&s->m);
    while (!s->no_sweep) {
        uint64_t now = clock_monotonic_ns();
        for (struct link *l = s->links; l; l = l->next) {
            uint64_t deadline = atomic_load(&l->deadline_ns);
            if (deadline && now > deadline)
                shutdown(l->fd, SHUT_RDWR); /* its event thread sees the end and closes it */
        }
        uint64_t at = now + SWEEP_MS * UINT64_C(1000000);
        struct timespec until = {.tv_sec = (time_t)(at / 1000000000),
                                 .tv_nsec = (long)(at % 1000000000)};
        pthread_cond_timedwait(&s->sweep, &s->m, &until);
    }
    pthread_mutex_unlock(&s->m);
    return NULL;
}

/* What a handler asks */

const char *http_method(const struct http_request *rq)
{
    return rq->method;
}

bool http_is_secure(const struct http_request *rq)
{
    return rq->server->o.cert != NULL;
}

const char *http_target(const struct http_request *rq)
{
    return rq->target;
}

const char *http_header(const struct http_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, name) == 0)
            return rq->headers[i].value;
    }
    return NULL;
}

const struct http_header *http_headers(const struct http_request *rq, size_t *ret_count)
{
    *ret_count = rq->header_count;
    return rq->headers;
}

uint64_t http_content_length(const struct http_request *rq)
{
    const char *text = http_header(rq, "Content-Length");
    uint64_t len;
    return text && parse_u64(text, UINT64_MAX - 1, &len) == ST_OK ? len : UINT64_MAX;
}

void *http_state(const struct http_request *rq)
{
    return rq->state;
}

void http_set_state(struct http_request *rq, void *state)
{
    rq->state = state;
}

void http_end_in_worker(struct http_request *rq)
{
    rq->in_worker = true;
}

bool http_end_slowly(struct http_request *rq)
{
    struct http_server *s = rq->server;
    pthread_mutex_lock(&s->m);
    if (!rq->slow && s->slow_ends < HTTP_SLOW_MAX) {
        s->slow_ends++;
        rq->slow = true;
    }
    pthread_mutex_unlock(&s->m);
    return rq->slow;
}

/* Replies */

void http_reply_header(struct http_request *rq, const char *name, const char *value)
{
    size_t len = strlen(value);
    buf_bytes(&rq->reply_headers, name, strlen(name) + 1);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)value[i];
        buf_u8(&rq->reply_headers, c < ' ' || c == 0x7f ? ' ' : c);
    }
    buf_u8(&rq->reply_headers, 0);
}

bool http_replied(const struct http_request *rq)
{
    return rq->response != NULL;
}

static void set_response(struct http_request *rq, unsigned code, struct MHD_Response *r)
{
    const char *at = (const char *)rq->reply_headers.data;
    const char *end = at + rq->reply_headers.len;
    bool ok = r && !rq->reply_headers.failed;
    while (ok && at < end) {
        const char *value = at + strlen(at) + 1;
        /* the library takes no empty value; a blank before the end of a line is no part of one */
        ok = MHD_add_response_header(r, at, *value == '\0' ? " " : value) == MHD_YES;
        at = value + strlen(value) + 1;
    }
    if (!ok) {
        if (r)
            MHD_destroy_response(r);
        r = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
        code = 500;
    }
    rq->response = r;
    rq->code = code;
    rq->sent_bytes = ok ? rq->sent_bytes : 0;
}

void http_reply(struct http_request *rq, unsigned code, struct buf *body)
{
    struct MHD_Response *r = NULL;
    if (rq->response) {
        if (body)
            buf_done(body);
        return;
    }
    if (!body || body->len == 0) {
        r = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    } else if (!body->failed) {
        rq->sent_bytes = body->len;
        r = MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_FREE);
        if (r)
            *body = (struct buf){0};
    }
    if (body)
        buf_done(body);
    set_response(rq, code, r);
}

void http_reply_file(struct http_request *rq, unsigned code, int fd, uint64_t off, uint64_t len)
{
    if (rq->response || len == 0) {
        close(fd);
        http_reply(rq, code, NULL);
        return;
    }
    struct MHD_Response *r = MHD_create_response_from_fd_at_offset64(len, fd, off);
    if (!r)
        close(fd);
    rq->sent_bytes = len;
    set_response(rq, code, r);
}

void http_reply_reader(struct http_request *rq, unsigned code, uint64_t len,
                       ssize_t (*read)(void *arg, uint64_t at, char *to, size_t max),
                       void (*done)(void *arg), void *arg)
{
    if (rq->response || len == 0) {
        done(arg);
        http_reply(rq, code, NULL);
        return;
    }
    size_t block = len < READ_BYTES ? (size_t)len : READ_BYTES;
    struct MHD_Response *r = MHD_create_response_from_callback(len, block, read, arg, done);
    if (!r)
        done(arg);
    rq->sent_bytes = len;
    set_response(rq, code, r);
}

static bool give_to_worker(struct http_request *rq, struct queue *q);

static ssize_t read_body(void *arg, uint64_t at, char *to, size_t max)
{
    struct body *b = arg;
    ssize_t n = b->reader.read(b->reader.arg, at, to, max);
    if (n != HTTP_LATER) {
        b->rq->sent_bytes += n > 0 ? (uint64_t)n : 0;
        return n;
    }
    b->rq->fetches = b;
    return give_to_worker(b->rq, &b->rq->server->slow) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void end_body(void *arg)
{
    struct body *b = arg;
    b->reader.done(b->reader.arg);
    free(b);
}

void http_reply_fetcher(struct http_request *rq, unsigned code, uint64_t len,
                        const struct http_reader *reader)
{
    struct body *b = malloc(sizeof *b);
    if (!b || rq->response || len == 0) {
        bool failed = !b;
        free(b);
        reader->done(reader->arg);
        http_reply(rq, failed ? 500 : code, NULL);
        return;
    }
    *b = (struct body){.rq = rq, .reader = *reader};
    http_reply_reader(rq, code, len, read_body, end_body, b);
    rq->sent_bytes = 0; /* from here on what is read counts */
}

static ssize_t no_content(void *arg, uint64_t at, char *to, size_t max)
{
    (void)arg, (void)at, (void)to, (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

void http_reply_length(struct http_request *rq, unsigned code, uint64_t len)
{
    if (rq->response)
        return;
    if (len == 0)
        http_reply(rq, code, NULL);
    else
        set_response(rq, code,
                     MHD_create_response_from_callback(len, 1024, no_content, NULL, NULL));
}

struct http_outcome http_outcome(const struct http_request *rq)
{
    return (struct http_outcome){.code = rq->code,
                                 .whole = rq->whole,
                                 .received_bytes = rq->received_bytes,
                                 .sent_bytes = rq->sent_bytes};
}

/* The life of a request */

static void *on_target(void *arg, const char *target, struct MHD_Connection *c)
{
    struct http_request *rq = calloc(1, sizeof *rq);
    if (!rq)
        return NULL;
    rq->server = arg;
    rq->connection = c;
    rq->target = strdup(target);
    return rq;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode why)
{
    struct http_server *s = arg;
    struct http_request *rq = *context;
    set_deadline(c, s->o.idle_ms);
    if (!rq)
        return;
    rq->whole = why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (rq->begun)
        s->o.handler->done(s->o.ctx, rq);
    if (rq->response)
        MHD_destroy_response(rq->response);
    buf_done(&rq->reply_headers);
    free(rq->target);
    free(rq);
    *context = NULL;
}

static enum MHD_Result collect_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                      const char *value)
{
    struct http_request *rq = arg;
    (void)kind;
    if (rq->header_count < HTTP_HEADERS_MAX)
        rq->headers[rq->header_count] = (struct http_header){name, value ? value : ""};
    rq->header_count++;
    return MHD_YES;
}

static enum MHD_Result send_reply(struct http_request *rq)
{
    if (!rq->response)
        http_reply(rq, 500, NULL);
    if (!rq->response)
        return MHD_NO;
    set_deadline(rq->connection, 0); /* from here on only standing still is too slow */
    return MHD_queue_response(rq->connection, rq->code, rq->response);
}

/* Refuse before the body where the client waits for that or the body is long: the connection ends with the answer.
 * A body that is not too long is read first: many clients look for an answer only when they have sent it all. */
static bool refuses_body(const struct http_request *rq)
{
    uint64_t len = http_content_length(rq);
    return rq->response && (http_header(rq, "Expect") || len > HTTP_DRAIN_BYTES_MAX);
}

static enum MHD_Result begin(struct http_request *rq, const char *method)
{
    struct http_server *s = rq->server;
    rq->begun = true;
    rq->method = method;
    MHD_get_connection_values(rq->connection, MHD_HEADER_KIND, collect_header, rq);
    set_deadline(rq->connection, s->o.body_window_ms);
    if (rq->header_count > HTTP_HEADERS_MAX) {
        rq->header_count = HTTP_HEADERS_MAX;
        http_reply(rq, 431, NULL);
    } else if (strlen(rq->target) > HTTP_TARGET_BYTES_MAX) {
        http_reply(rq, 414, NULL);
    } else {
        s->o.handler->begin(s->o.ctx, rq);
    }
    return refuses_body(rq) ? send_reply(rq) : MHD_YES;
}

static enum MHD_Result take_body(struct http_request *rq, const char *data, size_t len)
{
    struct http_server *s = rq->server;
    rq->received_bytes += len;
    rq->window_bytes += len;
    if (rq->window_bytes >= s->o.body_bytes_min) {
        rq->window_bytes = 0;
        set_deadline(rq->connection, s->o.body_window_ms);
    }
    if (!rq->response) {
        s->o.handler->body(s->o.ctx, rq, (const uint8_t *)data, len);
        return MHD_YES;
    }
    /* the library can answer before a body or after it: what is left of it is read, to a limit */
    rq->drained_bytes += len;
    return rq->drained_bytes > HTTP_DRAIN_BYTES_MAX ? MHD_NO : MHD_YES;
}

/* False when no worker may be had any more. */
static bool give_to_worker(struct http_request *rq, struct queue *q)
{
    struct http_server *s = rq->server;
    bool given = false;
    pthread_mutex_lock(&s->m);
    if (!s->stopping) {
        MHD_suspend_connection(rq->connection);
        rq->next = NULL;
        *q->last = rq;
        q->last = &rq->next;
        given = true;
    }
    pthread_mutex_unlock(&s->m);
    if (given) /* without the lock that who wakes takes first */
        pthread_cond_signal(&s->work);
    return given;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *len, void **context)
{
    struct http_server *s = arg;
    struct http_request *rq = *context;
    (void)c, (void)url, (void)version;
    if (!rq || !rq->target)
        return MHD_NO;
    if (!rq->begun)
        return begin(rq, method);
    if (*len > 0) {
        size_t got = *len;
        *len = 0;
        return take_body(rq, data, got);
    }
    if (rq->response || rq->ended)
        return send_reply(rq);
    set_deadline(c, 0);
    rq->ended = true;
    if (rq->in_worker && give_to_worker(rq, &s->quick))
        return MHD_YES;
    s->o.handler->end(s->o.ctx, rq);
    if (rq->slow && give_to_worker(rq, &s->slow))
        return MHD_YES;
    return send_reply(rq);
}

static struct http_request *take(struct queue *q)
{
    struct http_request *rq = q->first;
    if (rq) {
        q->first = rq->next;
        if (!q->first)
            q->last = &q->first;
    }
    return rq;
}

/* What waits for another machine leaves half of the workers to the others. Caller holds m. */
static struct http_request *take_any(struct http_server *s, bool *ret_slow)
{
    unsigned slow_max = s->o.workers > 1 ? s->o.workers / 2 : 1;
    struct http_request *rq = s->slow_running < slow_max ? take(&s->slow) : NULL;
    *ret_slow = rq != NULL;
    return rq ? rq : take(&s->quick);
}

/* *ret_ends: it was an end that had to be slow. */
static void run(struct http_request *rq, bool *ret_ends)
{
    struct body *b = rq->fetches;
    *ret_ends = !b && rq->slow;
    rq->fetches = NULL;
    if (b)
        b->reader.fetch(b->reader.arg);
    else
        rq->server->o.handler->end(rq->server->o.ctx, rq);
    MHD_resume_connection(rq->connection); /* it may be gone from here on */
}

static void *worker_main(void *arg)
{
    struct http_server *s = arg;
    pthread_mutex_lock(&s->m);
    for (;;) {
        bool slow = false, ends = false;
        struct http_request *rq = take_any(s, &slow);
        if (!rq && s->stopping)
            break;
        if (!rq) {
            pthread_cond_wait(&s->work, &s->m);
            continue;
        }
        s->slow_running += slow;
        pthread_mutex_unlock(&s->m);
        run(rq, &ends);
        pthread_mutex_lock(&s->m);
        s->slow_running -= slow;
        s->slow_ends -= ends;
    }
    pthread_mutex_unlock(&s->m);
    return NULL;
}

/* Start and end */

static status_t split_address(const char *address, char host[HOST_BYTES_MAX], const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    uint64_t port;
    if (!colon || parse_u64(colon + 1, 65535, &port) != ST_OK)
        return ST_INVAL;
    const char *from = address;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_BYTES_MAX)
        return ST_INVAL;
    memcpy(host, from, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return ST_OK;
}

static status_t listen_at(const char *address, int *ret_fd, struct error *err)
{
    char host[HOST_BYTES_MAX];
    const char *port;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int one = 1;
    if (split_address(address, host, &port) != ST_OK)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "\"%s\" is not HOST:PORT", address);
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s: %s", address, gai_strerror(code));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    status_t st = ST_OK;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int e = errno;
        st = error_set_errno(err, e, "cannot listen at %s", address);
        if (e == EADDRINUSE)
            st = error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%s is in use", address);
        if (fd >= 0)
            close(fd);
    } else {
        *ret_fd = fd;
    }
    freeaddrinfo(found);
    return st;
}

static void ignore_log(void *arg, const char *format, va_list args)
{
    (void)arg, (void)format, (void)args;
}

static size_t keep_escapes(void *arg, struct MHD_Connection *c, char *s)
{
    (void)arg, (void)c;
    return strlen(s);
}

/* Some S3 clients do not know TLS 1.3 yet. */
static const char tls_versions[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

static struct MHD_OptionItem pem_option(enum MHD_OPTION option, const char *text)
{
    return (struct MHD_OptionItem){option, 0, (void *)(uintptr_t)text};
}

static struct MHD_Daemon *start_daemon(struct http_server *s)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem more[4];
    size_t count = 0;
    if (s->o.cert) {
        flags |= MHD_USE_TLS;
        more[count++] = pem_option(MHD_OPTION_HTTPS_MEM_CERT, s->o.cert);
        more[count++] = pem_option(MHD_OPTION_HTTPS_MEM_KEY, s->o.key);
        more[count++] = pem_option(MHD_OPTION_HTTPS_PRIORITIES, tls_versions);
    }
    more[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
        MHD_OPTION_CONNECTION_LIMIT, s->o.connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        (size_t)(CONNECTION_BYTES / 4), MHD_OPTION_CONNECTION_TIMEOUT, (s->o.idle_ms + 999) / 1000,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static void hand(void *arg, unsigned loop, int fd, const struct sockaddr *peer, socklen_t peer_len)
{
    struct http_server *s = arg;
    /* it closes fd when it fails */
    (void)MHD_add_connection(s->daemons[loop], fd, peer, peer_len);
}

static status_t start_event_threads(struct http_server *s, struct error *err)
{
    const struct acceptor_options o = {.listen_fd = s->listen_fd,
                                       .loops = s->o.event_threads,
                                       .connections_max = s->o.connections_max,
                                       .hand = hand,
                                       .ctx = s};
    s->daemons = calloc(s->o.event_threads, sizeof *s->daemons);
    while (s->daemons && s->daemon_count < s->o.event_threads) {
        if (!(s->daemons[s->daemon_count] = start_daemon(s)))
            break;
        s->daemon_count++;
    }
    if (s->daemon_count < s->o.event_threads)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "cannot start an HTTP server");
    return acceptor_start(&o, &s->acceptor, err);
}

static bool start_threads(struct http_server *s)
{
    s->threads = calloc(s->o.workers, sizeof *s->threads);
    if (!s->threads)
        return false;
    while (s->thread_count < s->o.workers) {
        if (thread_start(&s->threads[s->thread_count], worker_main, s) != 0)
            return false;
        s->thread_count++;
    }
    s->has_sweeper = thread_start(&s->sweeper, sweeper_main, s) == 0;
    return s->has_sweeper;
}

status_t http_server_start(const struct http_options *o, struct http_server **ret_server,
                           struct error *err)
{
    pthread_condattr_t monotonic;
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a server");
    s->o = *o;
    s->listen_fd = -1;
    s->quick.last = &s->quick.first;
    s->slow.last = &s->slow.first;
    pthread_mutex_init(&s->m, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->sweep, &monotonic);
    pthread_condattr_destroy(&monotonic);
    status_t st = listen_at(o->address, &s->listen_fd, err);
    if (st == ST_OK) {
        sigset_t all, before; /* signals are for the program's own threads */
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        st = start_threads(s)
                 ? start_event_threads(s, err)
                 : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "cannot start an HTTP server");
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (st == ST_OK)
        *ret_server = s;
    else
        http_server_stop(s);
    return st;
}

unsigned http_server_port(const struct http_server *s)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (getsockname(s->listen_fd, (struct sockaddr *)&at, &len) != 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

void http_server_counters(struct http_server *s, struct http_server_counters *ret_counters)
{
    pthread_mutex_lock(&s->m);
    *ret_counters = (struct http_server_counters){.connections = s->connections,
                                                  .accepted = s->accepted};
    pthread_mutex_unlock(&s->m);
}

void http_server_stop(struct http_server *s)
{
    if (!s)
        return;
    acceptor_stop(s->acceptor);
    pthread_mutex_lock(&s->m);
    s->stopping = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->m);
    /* the workers end when the queue is empty: then no connection is suspended, as the library wants it */
    for (unsigned i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    for (unsigned i = 0; i < s->daemon_count; i++)
        MHD_stop_daemon(s->daemons[i]);
    if (s->has_sweeper) {
        pthread_mutex_lock(&s->m);
        s->no_sweep = true;
        pthread_cond_signal(&s->sweep);
        pthread_mutex_unlock(&s->m);
        pthread_join(s->sweeper, NULL);
    }
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->sweep);
    pthread_mutex_destroy(&s->m);
    acceptor_free(s->acceptor);
    free(s->daemons);
    free(s->threads);
    free(s);
}
