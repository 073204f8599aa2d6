#ifndef LOCALSTATE_CRYPT_H
#define LOCALSTATE_CRYPT_H

#include <limits.h>
#include <stdbool.h>

#include "base/status.h"

/* What a state folder says about encryption: the file `crypt.conf` (0600), lines `master-key PATH`, where another than
 * the folder's own was given, and `encrypt on`. */
struct crypt_conf {
    char master_key[PATH_MAX];
    bool
        has_path; /* it was given, and is absolute; else it is that of the folder, wherever that is now */
    bool encrypt; /* all that is written */
};

/* Without the file: DIR/master.key, and not all. ST_FORMAT: a line is none of these. ST_LIMIT: too long. */
CHECKED status_t crypt_conf_load(const char *state, struct crypt_conf *ret_conf, struct error *err);
CHECKED status_t crypt_conf_save(const char *state, const struct crypt_conf *conf,
                                 struct error *err);

#endif
