#ifndef CELL_WASI_UNDO_FILES_H
#define CELL_WASI_UNDO_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* The files of checkpoint NNNNNN in its folder: NNNNNN.snap the snapshot, NNNNNN.undo before-images, NNNNNN.M.kept
 * files that were removed, NNNNNN.part a snapshot that is being written. docs/internals/checkpoint.md. */

enum { UNDO_NUMBER_MAX = 999999 };

/* The number, from 1 on, and suffix of a file's name; false: it is none of a checkpoint. ret_suffix: a part of name. */
bool undo_file_parse(const char *name, uint32_t *ret_number, const char **ret_suffix);

/* Call f for each file of a checkpoint until it fails; its status is returned. folder_fd: borrowed. ST_IO, ST_NOMEM. */
CHECKED status_t undo_files_each(int folder_fd,
                                 status_t (*f)(void *arg, const char *name, uint32_t number,
                                               const char *suffix, struct error *err),
                                 void *arg, struct error *err);

#endif
