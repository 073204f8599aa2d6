#ifndef NET_RPC_ADDRESS_H
#define NET_RPC_ADDRESS_H

#include <stdbool.h>

#include "net/rpc/frame.h"
#include "net/rpc/local.h"
#include "net/rpc/tcp.h"

/* How a controller is reached. */

enum rpc_scheme { RPC_UNIX, RPC_TCP, RPC_TLS };
struct rpc_address {
    enum rpc_scheme scheme;
    char path[RPC_PATH_MAX];     /* RPC_UNIX */
    char host[RPC_HOST_MAX + 1]; /* else */
    uint16_t port;
};

enum { RPC_PORT = 7700 };

/* address: "unix:/PATH", "tcp://HOST[:PORT]", "tls://HOST[:PORT]"; NULL: as rpc_local_path. ST_INVAL. Any thread. */
CHECKED status_t rpc_address_parse(const char *address, struct rpc_address *ret_address,
                                   struct error *err);
/* A connected socket, which blocks. TLS is done by libexec/cloudskin/tls.helper, which is at its other side:
 * when it fails, the answer to the hello says why. ST_NOTFOUND: nobody listens, or there is no such program.
 * ST_AGAIN: its queue of connections was full for queue_ms. */
CHECKED status_t rpc_connect(const struct rpc_address *a, unsigned queue_ms, int *ret_fd,
                             struct error *err);
/* The token of $CLOUDSKIN_TOKEN, or in the file of $CLOUDSKIN_TOKEN_FILE; "": neither is set.
 * ST_PERM: others can read the file. ST_INVAL, or as file_read. Any thread. */
CHECKED status_t rpc_token(char ret_token[RPC_TOKEN_MAX + 1], struct error *err);

#endif
