#ifndef CHECKPOINTS_FOLDER_H
#define CHECKPOINTS_FOLDER_H

#include <limits.h>
#include <stdint.h>

#include "cell/wasi/undo_files.h"

/* Folders of checkpoints, as `cloudskin checkpoint` fills and `cloudskin thaw` reads them. */

enum { CHECKPOINT_FILE_BYTES = 32 };

/* $XDG_STATE_HOME/cloudskin/checkpoints/NAME, else the same beneath ~/.local/state. ST_INVAL: no name for a cell;
 * ST_NOTFOUND: neither XDG_STATE_HOME nor HOME. */
CHECKED status_t checkpoints_folder(const char *name, char ret_path[PATH_MAX], struct error *err);

/* "000012.snap" */
void checkpoints_file(uint32_t number, const char *suffix, char ret_name[CHECKPOINT_FILE_BYTES]);

struct checkpoint_list {
    uint32_t *numbers; /* of snapshots that are files, rising; malloc'd */
    uint32_t count;
    uint32_t highest; /* number of any file of a checkpoint, 0: there is none */
};
/* ST_IO, ST_NOMEM. */
CHECKED status_t checkpoints_list(int folder_fd, struct checkpoint_list *ret_list,
                                  struct error *err);
bool checkpoints_list_has(const struct checkpoint_list *l, uint32_t number);
void checkpoints_list_done(struct checkpoint_list *l);

#endif
