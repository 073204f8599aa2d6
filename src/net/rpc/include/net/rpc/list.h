#ifndef NET_RPC_LIST_H
#define NET_RPC_LIST_H

#include "net/rpc/address.h"

/* Addresses of several controllers, with commas between them: one of them leads. */

enum { RPC_LIST_MAX = 8 };
struct rpc_list {
    struct rpc_address of[RPC_LIST_MAX];
    size_t count;
};
/* As rpc_address_parse; address NULL: $CLOUDSKIN_CONTROLLER, else as there. ST_INVAL: also too many. */
CHECKED status_t rpc_list_parse(const char *address, struct rpc_list *ret_list, struct error *err);
/* May another controller of the list do what one answered so? */
bool rpc_list_goes_on(status_t st);

#endif
