#ifndef LOCALSTATE_FOLDER_H
#define LOCALSTATE_FOLDER_H

#include <limits.h>

#include "base/status.h"

/* The state folder of what `cloudskin up` starts: $XDG_STATE_HOME/cloudskin, else ~/.local/state/cloudskin.
 * ST_INVAL: there is no home. ST_LIMIT: too long. */
CHECKED status_t state_folder_default(char ret_path[PATH_MAX], struct error *err);

#endif
