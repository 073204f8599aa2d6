#include "net/rpc/list.h"

#include <stdlib.h>
#include <string.h>

enum { ADDRESS_BYTES = RPC_HOST_MAX + 32 };

status_t rpc_list_parse(const char *address, struct rpc_list *ret_list, struct error *err)
{
    struct rpc_list list = {.count = 0};
    const char *environment = getenv("CLOUDSKIN_CONTROLLER");
    status_t st = ST_OK;
    if (address == NULL && environment != NULL && environment[0] != '\0') {
        address = environment;
    }
    if (address == NULL || strchr(address, ',') == NULL) {
        list.count = 1;
        st = rpc_address_parse(address, &list.of[0], err);
        address = NULL;
    }
    while (address != NULL && st == ST_OK) {
        char one[ADDRESS_BYTES];
        const char *comma = strchr(address, ',');
        size_t len = comma != NULL ? (size_t)(comma - address) : strlen(address);
        if (len == 0 || len >= sizeof one || list.count == RPC_LIST_MAX) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "controllers \"%.100s\": at most %d addresses, none of them empty",
                             address, RPC_LIST_MAX);
        }
        memcpy(one, address, len);
        one[len] = '\0';
        st = rpc_address_parse(one, &list.of[list.count++], err);
        address = comma != NULL ? comma + 1 : NULL;
    }
    if (st == ST_OK) {
        *ret_list = list;
    }
    return st;
}

bool rpc_list_goes_on(status_t st)
{
    return st == ST_MOVED || st == ST_NOTFOUND || st == ST_AGAIN || st == ST_IO;
}
