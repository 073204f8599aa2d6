#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/status.h"

/* TLS 1.3 only, without tickets and renegotiation; certificates are those of the CA. ret_ctx: the caller's to free.
 * cert and key may be NULL: none is shown. */
CHECKED status_t tls_context_new(const SSL_METHOD *method, const char *cert, const char *key,
                                 const char *ca, SSL_CTX **ret_ctx, struct error *err);
/* Why a handshake failed; code is of SSL_get_error. */
status_t tls_shake_error(SSL *ssl, int code, struct error *err);

#endif
