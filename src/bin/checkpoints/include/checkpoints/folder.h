#ifndef CHECKPOINTS_FOLDER_H
#define CHECKPOINTS_FOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Folders of checkpoints, as `cloudskin checkpoint` fills and `cloudskin thaw` reads them: NNNNNN.snap snapshots,
 * NNNNNN.undo before-images, NNNNNN.M.kept files that were removed, NNNNNN.part a snapshot that is being written.
 * docs/internals/checkpoint.md. */

enum { CHECKPOINT_NUMBER_MAX = 999999, CHECKPOINT_FILE_BYTES = 32 };

/* $XDG_STATE_HOME/cloudskin/checkpoints/NAME, else the same beneath ~/.local/state. ST_INVAL: no name for a cell;
 * ST_NOTFOUND: neither XDG_STATE_HOME nor HOME. */
CHECKED status_t checkpoints_folder(const char *name, char ret_path[PATH_MAX], struct error *err);

/* "000012.snap" */
void checkpoints_file(uint32_t number, const char *suffix, char ret_name[CHECKPOINT_FILE_BYTES]);
/* The number and suffix ("snap", "undo", "kept", "part") of a file's name; false: it is none of a checkpoint. */
bool checkpoints_parse(const char *name, uint32_t *ret_number, const char **ret_suffix);

struct checkpoint_list {
    uint32_t *numbers; /* of snapshots, rising; malloc'd */
    uint32_t count;
    uint32_t highest; /* number of any file of a checkpoint, 0: there is none */
};
/* ST_IO, ST_NOMEM. */
CHECKED status_t checkpoints_list(int folder_fd, struct checkpoint_list *ret_list,
                                  struct error *err);
void checkpoints_list_done(struct checkpoint_list *l);

/* Call f for each file of a checkpoint until it fails. */
CHECKED status_t checkpoints_each(int folder_fd,
                                  status_t (*f)(void *arg, const char *name, uint32_t number,
                                                const char *suffix, struct error *err),
                                  void *arg, struct error *err);

#endif
