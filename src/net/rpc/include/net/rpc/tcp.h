#ifndef NET_RPC_TCP_H
#define NET_RPC_TCP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Sockets of TCP: where a controller listens for other machines. */

enum { RPC_HOST_MAX = 253, RPC_TCP_NAME_BYTES = 64 };

/* "HOST:PORT" or "[IPV6]:PORT". ret_host: RPC_HOST_MAX + 1 bytes, without brackets. ST_INVAL. Any thread. */
CHECKED status_t rpc_tcp_split(const char *address, char *ret_host, uint16_t *ret_port,
                               struct error *err);
/* Listen at an IP address, or localhost; without blocking. ret_name: the address with the port that was chosen.
 * ret_loopback: nobody on another machine can connect. ST_INVAL; ST_EXIST: in use; ST_PERM, ST_IO. */
CHECKED status_t rpc_tcp_listen(const char *address, int *ret_fd, char ret_name[RPC_TCP_NAME_BYTES],
                                bool *ret_loopback, struct error *err);
/* Connect to a loopback address (or localhost); a socket that blocks. ST_INVAL: it is none.
 * ST_NOTFOUND: nobody listens. ST_AGAIN: its queue was full for queue_ms, as that of a stopped process may be. */
CHECKED status_t rpc_tcp_connect_loopback(const char *host, uint16_t port, unsigned queue_ms,
                                          int *ret_fd, struct error *err);
/* No delay of small frames; a peer that has gone is noticed within minutes. */
void rpc_tcp_prepare(int fd);
/* Who is connected, as text; "" when that cannot be known. */
void rpc_tcp_peer(int fd, char *ret_text, size_t room);

#endif
