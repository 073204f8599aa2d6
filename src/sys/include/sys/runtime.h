#ifndef SYS_RUNTIME_H
#define SYS_RUNTIME_H

#include <limits.h>
#include <stdbool.h>

#include "base/status.h"

/* The private folder of this user's sockets: $XDG_RUNTIME_DIR/cloudskin, else cloudskin-UID in the temporary
 * directory. Made with mode 0700 when make; else one that is not there is as good as an empty one.
 * ST_PERM: it is another user's or open to others. ST_INVAL: the path is too long. Any thread. */
CHECKED status_t runtime_folder(bool make, char ret_path[PATH_MAX], struct error *err);

#endif
