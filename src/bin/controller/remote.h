#ifndef BIN_CONTROLLER_REMOTE_H
#define BIN_CONTROLLER_REMOTE_H

#include <limits.h>
#include <stdatomic.h>

#include "access.h"
#include "net/rpc/tcp.h"
#include "net/tls/server.h"

/* How other machines reach the store: where it listens, with which certificates. */

/* NULL: not given. */
struct remote_given {
    const char *listen;          /* HOST:PORT */
    const char *cert, *key, *ca; /* files; all or none */
    bool s3_tls;                 /* S3 through TLS too */
};

struct remote_running {
    char cert[PATH_MAX], key[PATH_MAX], ca[PATH_MAX]; /* "": no TLS */
    int listen_fd;
    char name[RPC_TCP_NAME_BYTES];
    struct tls_server *tls; /* NULL: none */
    struct access *access;
    struct rpc_tcp tcp;
    _Atomic uint64_t second; /* of the last log of a refused client */
    _Atomic unsigned told;   /* in that second */
    _Atomic unsigned untold; /* since then */
};

/* Listen, when that is asked for. Certificates that are not given are those of `cloudskin ca init` in the state folder,
 * if they are there. ST_INVAL: without certificates on an address that other machines reach; and as for the files. */
CHECKED status_t controller_remote_open(const struct remote_given *given, const char *state,
                                        struct remote_running *r, struct error *err);
/* After the server is stopped. */
void controller_remote_close(struct remote_running *r);
/* Read the certificates again, and log what came of it. */
void controller_remote_reload(struct remote_running *r);
/* Log when the certificate ends soon. */
void controller_remote_warn(const struct remote_running *r);

#endif
