#include "net/tls/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "context.h"
#include "net/rpc/tcp.h"
#include "pem.h"
#include "sys/clock.h"

enum {
    WAY_BYTES = 256 * 1024,
    RECORD_BYTES_MAX = 16 * 1024,    /* of plain text */
    NET_BYTES = 128 * 1024,          /* read from the network at a time */
    LOCAL_QUEUE_BYTES = 1024 * 1024, /* that the client has not taken yet */
    NAME_BYTES = RPC_HOST_MAX + 16,
};

struct tls_link {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    char name[NAME_BYTES]; /* HOST:PORT */
};

/* Bytes in one direction. */
struct way {
    size_t at, end;
    uint8_t data[WAY_BYTES];
};

void tls_link_free(struct tls_link *l)
{
    if (l != NULL) {
        SSL_free(l->ssl);
        SSL_CTX_free(l->ctx);
        if (l->fd >= 0) {
            close(l->fd);
        }
        free(l);
    }
}

static int left_ms(uint64_t end_ns)
{
    uint64_t now = clock_monotonic_ns();
    return now < end_ns ? (int)((end_ns - now) / 1000000) + 1 : 0;
}

/* 1: it is ready; 0: the time is over. */
static int wait_for(int fd, short events, uint64_t end_ns)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;
    do {
        n = poll(&p, 1, left_ms(end_ns));
    } while (n < 0 && errno == EINTR);
    return n;
}

/* 0, or an errno. */
static int connect_one(const struct addrinfo *to, uint64_t end_ns, int *ret_fd)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), code = 0;
    socklen_t len = sizeof code;
    if (fd < 0) {
        return errno;
    }
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
        code = errno;
    }
    if (code == EINPROGRESS) {
        code = wait_for(fd, POLLOUT, end_ns) != 1                       ? ETIMEDOUT
               : getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0 ? errno
                                                                        : code;
    }
    if (code != 0) {
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return 0;
}

static status_t connect_any(struct tls_link *l, const struct tls_dial *d, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", d->port);
    int code = getaddrinfo(d->host, port, &hints, &found), last = 0;
    if (code != 0) {
        return error_set(err, code == EAI_AGAIN ? ST_AGAIN : ST_NOTFOUND, ERROR_NO_OFFSET, "%s: %s",
                         d->host, gai_strerror(code));
    }
    uint64_t end_ns = clock_monotonic_ns() + TLS_DIAL_MS * 1000000ULL;
    for (const struct addrinfo *a = found; a != NULL && l->fd < 0; a = a->ai_next) {
        last = connect_one(a, end_ns, &l->fd);
    }
    freeaddrinfo(found);
    if (l->fd < 0) {
        status_t st = last == ECONNREFUSED ? ST_NOTFOUND : last == ETIMEDOUT ? ST_AGAIN : ST_IO;
        return error_set(err, st, ERROR_NO_OFFSET, "%s: %s", l->name, strerror(last));
    }
    rpc_tcp_prepare(l->fd);
    return ST_OK;
}

static bool expect_host(SSL *ssl, const char *host)
{
    uint8_t bytes[16];
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static status_t shake_failed(struct tls_link *l, int code, struct error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    int reason = ERR_GET_REASON(ERR_peek_error());
    status_t st = tls_shake_error(l->ssl, code, &inner);
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_UNSUPPORTED_PROTOCOL ||
        reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "%s does not speak TLS 1.3 (%s)",
                         l->name, inner.text);
    }
    return error_set(err, st, ERROR_NO_OFFSET, "%s: %.150s", l->name, inner.text);
}

static status_t shake(struct tls_link *l, struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + TLS_SHAKE_MS * 1000000ULL;
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int n = SSL_connect(l->ssl), code = SSL_get_error(l->ssl, n);
        if (n == 1) {
            return ST_OK;
        }
        if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE) {
            return shake_failed(l, code, err);
        }
        if (wait_for(l->fd, code == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, end_ns) != 1) {
            return error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                             "%s does not answer; is its process stopped?", l->name);
        }
    }
}

status_t tls_dial(const struct tls_dial *d, struct tls_link **ret_link, struct error *err)
{
    struct tls_link *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    l->fd = -1;
    snprintf(l->name, sizeof l->name, "%s:%u", d->host, d->port);
    status_t st = tls_context_new(TLS_client_method(), d->cert, d->key, d->ca, &l->ctx, err);
    if (st == ST_OK) {
        SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, NULL);
        /* many records with one read; what is left of them inside OpenSSL is taken before the network is waited for */
        SSL_CTX_set_read_ahead(l->ctx, 1);
        SSL_CTX_set_default_read_buffer_len(l->ctx, NET_BYTES);
        SSL_CTX_clear_mode(l->ctx, SSL_MODE_RELEASE_BUFFERS); /* it is one connection */
        st = connect_any(l, d, err);
    }
    if (st == ST_OK && ((l->ssl = SSL_new(l->ctx)) == NULL || SSL_set_fd(l->ssl, l->fd) != 1 ||
                        !expect_host(l->ssl, d->host))) {
        st = tls_error(err, ST_INVAL, l->name);
    }
    if (st == ST_OK) {
        st = shake(l, err);
    }
    if (st != ST_OK) {
        tls_link_free(l);
        return st;
    }
    *ret_link = l;
    return ST_OK;
}

struct carrying {
    struct tls_link *link;
    struct pollfd net, local; /* what is waited for */
    bool up_ended, told_end;  /* nothing more comes from here; the server knows */
    bool received;            /* bytes from the server */
    bool over;
    status_t status; /* why, when nothing was received */
    struct error why;
    struct way up, down;
};

static bool is_empty(const struct way *w)
{
    return w->at == w->end;
}

/* What came of a call of the link. True: bytes moved. */
static bool moved(struct carrying *c, int n, size_t *at)
{
    if (n > 0) {
        *at += (size_t)n;
        return true;
    }
    int code = SSL_get_error(c->link->ssl, n);
    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
        c->net.events |= code == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        return false;
    }
    c->over = true;
    if (!c->received) {
        struct error inner = {.offset = ERROR_NO_OFFSET};
        status_t st = tls_shake_error(c->link->ssl, code, &inner);
        c->status = error_set(&c->why, st == ST_FORMAT ? ST_PERM : st, ERROR_NO_OFFSET,
                              "%s refused this client: %.150s", c->link->name, inner.text);
    }
    return false;
}

/* From here to the server. True: bytes moved. */
static bool carry_up(struct carrying *c)
{
    struct way *w = &c->up;
    if (is_empty(w) && !c->up_ended) {
        ssize_t n = read(c->local.fd, w->data, sizeof w->data);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            c->local.events |= POLLIN;
            return false;
        }
        w->at = 0;
        w->end = n > 0 ? (size_t)n : 0;
        c->up_ended = n <= 0;
    }
    ERR_clear_error();
    errno = 0;
    if (!is_empty(w)) {
        int n = SSL_write(c->link->ssl, w->data + w->at, (int)(w->end - w->at));
        if (n <= 0 && SSL_get_error(c->link->ssl, n) == SSL_ERROR_SYSCALL) {
            /* it is gone; why, it may have said before, which is there to be read */
            c->up_ended = c->told_end = true;
            w->at = w->end;
            return false;
        }
        return moved(c, n, &w->at);
    }
    if (!c->told_end) {
        c->told_end = true;
        SSL_shutdown(c->link->ssl); /* a courtesy */
    }
    return false;
}

/* Records that came along with the first one, so that the client is woken once for all. An end or an error comes again
 * in the next call. */
static void take_more(SSL *ssl, struct way *w)
{
    while (sizeof w->data - w->end >= RECORD_BYTES_MAX && SSL_has_pending(ssl) == 1) {
        int n = SSL_read(ssl, w->data + w->end, RECORD_BYTES_MAX);
        if (n <= 0) {
            ERR_clear_error();
            return;
        }
        w->end += (size_t)n;
    }
}

static bool carry_down(struct carrying *c)
{
    struct way *w = &c->down;
    if (is_empty(w)) {
        w->at = w->end = 0;
        ERR_clear_error();
        errno = 0;
        if (!moved(c, SSL_read(c->link->ssl, w->data, sizeof w->data), &w->end)) {
            return false;
        }
        c->received = true;
        take_more(c->link->ssl, w);
    }
    ssize_t n = send(c->local.fd, w->data + w->at, w->end - w->at, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        c->local.events |= POLLOUT;
        return false;
    }
    c->over = n < 0;
    w->at += n > 0 ? (size_t)n : 0;
    return n > 0;
}

status_t tls_carry(struct tls_link *l, int socket, struct error *err)
{
    struct carrying *c = calloc(1, sizeof *c);
    const int queue = LOCAL_QUEUE_BYTES;
    int flags = fcntl(socket, F_GETFL);
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &queue,
               sizeof queue); /* or less, as the system allows */
    if (c == NULL || flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0) {
        free(c);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    c->link = l;
    c->net.fd = l->fd;
    c->local.fd = socket;
    while (!c->over) {
        c->net.events = c->local.events = 0;
        bool up = carry_up(c), down = !c->over && carry_down(c);
        struct pollfd p[2] = {c->net, c->local};
        if (!up && !down && !c->over && poll(p, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        /* the other side is closed, not only done with writing */
        c->over = c->over || (!up && !down && (p[1].revents & POLLHUP) != 0);
    }
    status_t st = c->status;
    if (st != ST_OK && err != NULL) {
        *err = c->why;
    }
    free(c);
    return st;
}
