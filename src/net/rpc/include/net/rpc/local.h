#ifndef NET_RPC_LOCAL_H
#define NET_RPC_LOCAL_H

#include <sys/types.h>

#include "base/status.h"

/* Where the controller of this machine is found: a Unix socket of this user. */

enum {
    RPC_PATH_MAX = 108,  /* bytes of sockaddr_un, with NUL */
    RPC_QUEUE_MS = 2000, /* that who is not in a hurry waits for room in the queue of a process */
};

/* The path of the socket. address: "unix:PATH"; NULL: $CLOUDSKIN_CONTROLLER, else controller.socket in the folder
 * of sys/runtime.h. ST_INVAL: not such an address, or too long. ST_PERM: the folder is not private. Any thread. */
CHECKED status_t rpc_local_path(const char *address, char ret_path[RPC_PATH_MAX],
                                struct error *err);

/* Listen there, without blocking; the default's folder is made. What a killed process left is replaced.
 * ST_EXIST: somebody listens; the text has its process. ST_PERM, ST_IO. */
CHECKED status_t rpc_local_listen(const char *path, int *ret_fd, struct error *err);
/* Remove the name and close. Takes -1. */
void rpc_local_unlisten(const char *path, int fd);

/* A connected socket, which blocks. ST_NOTFOUND: nobody listens. ST_AGAIN: it takes no connections; is it stopped? */
CHECKED status_t rpc_local_connect(const char *path, int *ret_fd, struct error *err);
/* The same; its queue may be full for queue_ms, as that of a stopped process may be for long. */
CHECKED status_t rpc_local_connect_within(const char *path, unsigned queue_ms, int *ret_fd,
                                          struct error *err);
/* The process that listens at the other side of a connected socket, -1 when it cannot be known. */
pid_t rpc_local_peer(int fd);

#endif
