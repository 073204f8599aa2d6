#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include <stdint.h>

#include "base/status.h"

/* A connection of TLS 1.3 to a controller, as plain bytes at a socket of this machine. One thread. */

enum { TLS_DIAL_MS = 15 * 1000, TLS_SHAKE_MS = 15 * 1000 };

struct tls_dial {
    const char *host; /* that the server's certificate has to have */
    uint16_t port;
    const char *ca;         /* file */
    const char *cert, *key; /* files; NULL: none is shown */
};

struct tls_link;
/* ST_NOTFOUND: no such host, or nobody listens. ST_AGAIN: no answer in time. ST_PERM: a certificate is refused.
 * ST_UNSUPPORTED: it does not speak TLS 1.3. Else as for the files. */
CHECKED status_t tls_dial(const struct tls_dial *d, struct tls_link **ret_link, struct error *err);
/* Carry bytes between a socket, which blocks no more then, and the link until one of them ends.
 * ST_OK: bytes came from the server before. Else err says why none did. */
CHECKED status_t tls_carry(struct tls_link *l, int socket, struct error *err);
/* Takes NULL. */
void tls_link_free(struct tls_link *l);

#endif
