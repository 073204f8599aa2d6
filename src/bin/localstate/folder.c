#include "localstate/folder.h"

#include <stdio.h>
#include <stdlib.h>

status_t state_folder_default(char ret_path[PATH_MAX], struct error *err)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len;
    if (xdg != NULL && *xdg == '/') {
        len = snprintf(ret_path, PATH_MAX, "%s/cloudskin", xdg);
    } else if (home != NULL && *home == '/') {
        len = snprintf(ret_path, PATH_MAX, "%s/.local/state/cloudskin", home);
    } else {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "no HOME: give --state DIR");
    }
    return len < PATH_MAX ? ST_OK : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "HOME is too long");
}
