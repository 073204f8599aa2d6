#include "net/tls/server.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "context.h"
#include "pem.h"

struct tls_server {
    pthread_mutex_t m;
    SSL_CTX *ctx; /* guarded by m; connections have references of their own */
};

static status_t make_context(const struct tls_files *f, SSL_CTX **ret_ctx, struct error *err)
{
    SSL_CTX *ctx = NULL;
    status_t st = tls_context_new(TLS_server_method(), f->cert, f->key, f->ca, &ctx, err);
    if (st != ST_OK) {
        return st;
    }
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(f->ca);
    if (names == NULL) {
        SSL_CTX_free(ctx);
        return tls_error(err, ST_FORMAT, f->ca);
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    /* who shows none needs a token: that is said in an answer to its hello */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    *ret_ctx = ctx;
    return ST_OK;
}

status_t tls_server_new(const struct tls_files *files, struct tls_server **ret_server,
                        struct error *err)
{
    struct tls_server *s = calloc(1, sizeof *s);
    if (s == NULL || pthread_mutex_init(&s->m, NULL) != 0) {
        free(s);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t st = make_context(files, &s->ctx, err);
    if (st != ST_OK) {
        tls_server_free(s);
        return st;
    }
    *ret_server = s;
    return ST_OK;
}

void tls_server_free(struct tls_server *s)
{
    if (s != NULL) {
        SSL_CTX_free(s->ctx);
        pthread_mutex_destroy(&s->m);
        free(s);
    }
}

status_t tls_server_reload(struct tls_server *s, const struct tls_files *files, struct error *err)
{
    SSL_CTX *ctx = NULL;
    status_t st = make_context(files, &ctx, err);
    if (st == ST_OK) {
        pthread_mutex_lock(&s->m);
        SSL_CTX *former = s->ctx;
        s->ctx = ctx;
        pthread_mutex_unlock(&s->m);
        SSL_CTX_free(former);
    }
    return st;
}

static void *link_open(void *ctx, int fd)
{
    struct tls_server *s = ctx;
    pthread_mutex_lock(&s->m);
    SSL *ssl = SSL_new(s->ctx);
    pthread_mutex_unlock(&s->m);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(ssl);
    return ssl;
}

static void link_close(void *link)
{
    SSL_free(link);
}

static int64_t end_of(const X509 *cert)
{
    struct tm parts;
    return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &parts) == 1 ? (int64_t)timegm(&parts) : 1;
}

static status_t link_shake(void *link, bool *ret_room, struct rpc_peer *ret_peer, struct error *err)
{
    SSL *ssl = link;
    ERR_clear_error();
    errno = 0;
    int n = SSL_do_handshake(ssl), code = SSL_get_error(ssl, n);
    if (n != 1) {
        *ret_room = code == SSL_ERROR_WANT_WRITE;
        return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE
                   ? ST_AGAIN
                   : tls_shake_error(ssl, code, err);
    }
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert != NULL) {
        tls_identity(cert, ret_peer->name, ret_peer->role);
        ret_peer->ends_s = end_of(cert);
    }
    return ST_OK;
}

/* As recv and send say it. */
static ssize_t result(SSL *ssl, int n, bool *ret_room)
{
    if (n > 0) {
        return n;
    }
    int code = SSL_get_error(ssl, n), saved = errno;
    ERR_clear_error();
    if (code == SSL_ERROR_ZERO_RETURN || (code == SSL_ERROR_SYSCALL && saved == 0)) {
        return 0;
    }
    bool waits = code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE;
    *ret_room = code == SSL_ERROR_WANT_WRITE;
    errno = waits ? EAGAIN : code == SSL_ERROR_SYSCALL ? saved : EPROTO;
    return -1;
}

static ssize_t link_receive(void *link, void *data, size_t len, bool *ret_room)
{
    int most = len < 1 << 30 ? (int)len : 1 << 30;
    *ret_room = false;
    ERR_clear_error();
    errno = 0;
    /* a record has RPC_RECEIVE_MIN bytes at most, so nothing of it stays behind */
    return result(link, SSL_read(link, data, most), ret_room);
}

static ssize_t link_send(void *link, const void *data, size_t len)
{
    bool ignored;
    ERR_clear_error();
    errno = 0;
    ssize_t n = result(link, SSL_write(link, data, (int)len), &ignored);
    if (n == 0) {
        errno = EPIPE;
        return -1;
    }
    return n;
}

const struct rpc_transport *tls_server_transport(void)
{
    static const struct rpc_transport transport = {.open = link_open,
                                                   .close = link_close,
                                                   .shake = link_shake,
                                                   .receive = link_receive,
                                                   .send = link_send};
    return &transport;
}
