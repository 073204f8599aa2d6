#ifndef SERVEDSTATE_FOLDER_H
#define SERVEDSTATE_FOLDER_H

#include <limits.h>

#include "base/status.h"

/* The state folder of the store that is up on this machine, else the default one. */
CHECKED status_t served_state_folder(char ret_path[PATH_MAX], struct error *err);

#endif
