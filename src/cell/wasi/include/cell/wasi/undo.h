#ifndef CELL_WASI_UNDO_H
#define CELL_WASI_UNDO_H

#include "cell/wasi/undo_files.h"
#include "cell/wasi/wasi.h"

/* Before-images: what a program changes in files after a checkpoint can be undone, so that the checkpoint can be gone
 * back to. docs/internals/checkpoint.md explains journals and the names of files in a folder of checkpoints. */

/* From here on keep before-images for checkpoint `number` in the folder, in place of those for the one before: the
 * state that was just saved is what they lead back to. The folder is locked against other programs until w is
 * freed. number: 1..UNDO_NUMBER_MAX, not yet used there. folder_fd is borrowed. No thread may be inside a call of w.
 * ST_EXIST: another program keeps its before-images there, or the number is taken; ST_IO, ST_LIMIT (no space),
 * ST_NOMEM. After an error those for the checkpoint before go on. */
CHECKED status_t wasi_undo_begin(struct wasi *w, int folder_fd, uint32_t number, struct error *err);
/* The same behind a wasi_undo_restore of `number` with a lock that it took: its journal begins anew. Takes over
 * folder_fd, also on failure. */
CHECKED status_t wasi_undo_resume(struct wasi *w, int folder_fd, uint32_t number,
                                  struct error *err);
/* Why the before-images of the present checkpoint are of no use, or NULL: none were asked for, or they are good. */
const char *wasi_undo_lost(const struct wasi *w);
/* Keep none from here on, and have the checkpoints up to now refused with this reason (a line of text). */
void wasi_undo_give_up(struct wasi *w, const char *why);
/* The saved program is about to go on elsewhere: the file with this inode number gets the name path, which is absolute.
 * From here on a restore is refused when it has that name, and good when it has not. A path longer than the journal has
 * room for is passed over. Not while a thread is inside a call of w.
 * ST_IO, ST_LIMIT (no space), ST_NOMEM: nothing changed. */
CHECKED status_t wasi_undo_leaving(struct wasi *w, const char *path, uint64_t inode,
                                   struct error *err);
/* It did not get that name: the program goes on here. */
void wasi_undo_stays(struct wasi *w);

/* Open a folder and lock it: close the descriptor to let go. ST_AGAIN: a running program keeps its checkpoints there;
 * ST_NOTFOUND; ST_IO. */
CHECKED status_t wasi_undo_lock(const char *path, int *ret_fd, struct error *err);

struct wasi_undo_report {
    uint32_t journals; /* undone */
    uint64_t records;
    uint64_t bytes;   /* written back */
    uint64_t left;    /* bytes that were overwritten in another standard output, and stay so */
    uint32_t removed; /* later snapshots, which are of no use then */
};
/* Can all files beneath config's grants be brought back to what they were at checkpoint `number`, and does standard
 * output, if it is output_named, come back with them? Checks all journals, changes nothing. With output_path it says
 * whether a new file by that name would be good, which is better made behind this: by a name that something comes back
 * to it would be taken for that.
 * folder_fd: from wasi_undo_lock; borrowed.
 * ST_NOTFOUND: a file, a folder or a journal that is needed is not there; ST_PERM: a folder is read-only here, a
 * file somebody else's, or one of them may not be written to; ST_INVAL: before-images of a file are missing, or the
 * checkpoint is of an earlier run; ST_INVALID: standard output is neither the file that it went to nor a copy, was
 * cut, has other bytes than it got, or a name that goes, that something comes back to, or that it had before it was
 * renamed back; ST_CORRUPT names the journal; ST_IO, ST_LIMIT, ST_NOMEM. */
CHECKED status_t wasi_undo_check(const struct wasi_config *config, int folder_fd, uint32_t number,
                                 bool *ret_output, struct error *err);
/* Bring them back, standard output if `output`: after wasi_undo_check with the same arguments said so, with the file of
 * output_path made, and the folder locked since. When it ends midway, for whatever reason, both calls again go on with
 * it, and later checkpoints are refused; when it succeeds they are gone.
 * Errors as above. */
CHECKED status_t wasi_undo_restore(const struct wasi_config *config, int folder_fd, uint32_t number,
                                   bool output, struct wasi_undo_report *ret_report,
                                   struct error *err);
/* The checkpoint that an interrupted wasi_undo_restore was on the way to, 0: none. ST_CORRUPT; ST_IO. */
CHECKED status_t wasi_undo_begun(int folder_fd, uint32_t *ret_number, struct error *err);
/* Go on without bringing files back: have all checkpoints in the folder refused from here on with this reason. */
CHECKED status_t wasi_undo_disown(int folder_fd, const char *why, struct error *err);

#endif
