#ifndef NET_TLS_SERVER_H
#define NET_TLS_SERVER_H

#include "net/rpc/server.h"

/* TLS 1.3 between the frames and the sockets of a server (docs/internals/net-tls.md). */

struct tls_files {
    const char *cert; /* PEM: the server's certificate, and those between it and the CA */
    const char *key;  /* PEM */
    const char *ca;   /* PEM: whose certificates of clients are believed */
};

struct tls_server;
/* ST_NOTFOUND, ST_PERM, ST_FORMAT: a file. ST_INVALID: the key is of another certificate. */
CHECKED status_t tls_server_new(const struct tls_files *files, struct tls_server **ret_server,
                                struct error *err);
/* After the rpc_server is stopped. Takes NULL. */
void tls_server_free(struct tls_server *s);
/* Read the files again, for connections from now on; those that stand go on as they are. After a failure it is as
 * before. Any thread. */
CHECKED status_t tls_server_reload(struct tls_server *s, const struct tls_files *files,
                                   struct error *err);
/* Its ctx is the tls_server. */
const struct rpc_transport *tls_server_transport(void);

#endif
