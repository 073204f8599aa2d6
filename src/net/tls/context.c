#include "context.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "pem.h"

static status_t use_pair(SSL_CTX *ctx, const char *cert, const char *key, struct error *err)
{
    EVP_PKEY *k = NULL;
    X509 *c = NULL;
    status_t st = tls_read_key(key, &k, err);
    if (st == ST_OK) {
        st = tls_read_cert(cert, &c, err); /* for its errors */
    }
    if (st == ST_OK &&
        (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
         SSL_CTX_use_PrivateKey(ctx, k) != 1 || SSL_CTX_check_private_key(ctx) != 1)) {
        st = tls_error(err, ST_INVALID, "the key is not that of the certificate");
    }
    EVP_PKEY_free(k);
    X509_free(c);
    return st;
}

static status_t believe(SSL_CTX *ctx, const char *ca, struct error *err)
{
    X509 *c = NULL;
    status_t st = tls_read_cert(ca, &c, err); /* for its errors */
    if (st == ST_OK && SSL_CTX_load_verify_file(ctx, ca) != 1) {
        st = tls_error(err, ST_FORMAT, ca);
    }
    X509_free(c);
    return st;
}

status_t tls_context_new(const SSL_METHOD *method, const char *cert, const char *key,
                         const char *ca, SSL_CTX **ret_ctx, struct error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1) {
        SSL_CTX_free(ctx);
        return tls_error(err, ST_NOMEM, "TLS");
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    /* else one call takes as many key updates as come */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    status_t st = believe(ctx, ca, err);
    if (st == ST_OK && cert != NULL) {
        st = use_pair(ctx, cert, key, err);
    }
    if (st != ST_OK) {
        SSL_CTX_free(ctx);
        return st;
    }
    *ret_ctx = ctx;
    return ST_OK;
}

status_t tls_shake_error(SSL *ssl, int code, struct error *err)
{
    int saved = errno;
    long verified = SSL_get_verify_result(ssl);
    unsigned long reason = ERR_peek_error();
    if (verified != X509_V_OK) {
        ERR_clear_error();
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "its certificate is refused: %s",
                         X509_verify_cert_error_string(verified));
    }
    if (reason == 0 && (code == SSL_ERROR_ZERO_RETURN || code == SSL_ERROR_SYSCALL)) {
        return saved != 0 && code == SSL_ERROR_SYSCALL
                   ? error_set_errno(err, saved, "TLS handshake")
                   : error_set(err, ST_IO, ERROR_NO_OFFSET, "it ended the TLS handshake");
    }
    return tls_error(err, ST_FORMAT, "TLS handshake");
}
