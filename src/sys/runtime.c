#include "sys/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static status_t check_folder(const char *path, struct error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        return error_set(err, ST_PERM, ERROR_NO_OFFSET, "%s: not a private folder of this user",
                         path);
    }
    return ST_OK;
}

status_t runtime_folder(bool make, char ret_path[PATH_MAX], struct error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"), *tmp = getenv("TMPDIR");
    bool has_runtime = runtime != NULL && runtime[0] == '/';
    int len = has_runtime
                  ? snprintf(ret_path, PATH_MAX, "%s/cloudskin", runtime)
                  : snprintf(ret_path, PATH_MAX, "%s/cloudskin-%u",
                             tmp != NULL && tmp[0] == '/' ? tmp : "/tmp", (unsigned)geteuid());
    if (len < 0 || len >= PATH_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "path of the folder of sockets is too long");
    }
    if (make && mkdir(ret_path, 0700) != 0 && errno != EEXIST) {
        return error_set_errno(err, errno, "%s", ret_path);
    }
    struct stat st;
    bool none = !make && lstat(ret_path, &st) != 0 && errno == ENOENT; /* as if it were empty */
    return none ? ST_OK : check_folder(ret_path, err);
}
