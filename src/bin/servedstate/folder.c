#include "servedstate/folder.h"

#include <stdio.h>

#include "cloudskin/geds.h"
#include "localstate/folder.h"
#include "net/rpc/list.h"

status_t served_state_folder(char ret_path[PATH_MAX], struct error *err)
{
    static struct geds_status status;
    struct rpc_list list;
    struct geds *store = NULL;
    status_t st = rpc_list_parse(NULL, &list, err);
    if (st != ST_OK) {
        return st;
    }
    if (list.of[0].scheme != RPC_UNIX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "CLOUDSKIN_CONTROLLER is a store of another machine, whose state folder "
                         "is not here: name one with --state, or unset it");
    }
    if (geds_connect(NULL, &store, NULL) == GEDS_OK) {
        enum geds_code code = geds_status(store, &status, NULL);
        geds_disconnect(store);
        if (code == GEDS_OK) {
            snprintf(ret_path, PATH_MAX, "%s", status.state);
            return ST_OK;
        }
    }
    return state_folder_default(ret_path, err);
}
