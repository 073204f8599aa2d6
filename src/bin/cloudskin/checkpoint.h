#ifndef CLOUDSKIN_CHECKPOINT_H
#define CLOUDSKIN_CHECKPOINT_H

#include <limits.h>
#include <sys/types.h>

#include "cell/snapshot/snapshot.h"
#include "cell/wasi/undo.h"

/* The runner's part of checkpoints: docs/internals/checkpoint.md. */

/* What a cell's checkpoints have in common. Zeroed memory is a valid one. The cell's thread. */
struct checkpointer {
    struct track *track;   /* NULL: not begun */
    bool untracked;        /* this kernel cannot: every checkpoint is a full one */
    struct page_set pages; /* written since the last checkpoint */
    uint32_t last;         /* number of it, 0: there was none */
    dev_t last_dev;        /* the folder that it is in */
    ino_t last_ino;
    uint8_t last_id[SNAPSHOT_ID_BYTES];
};
struct checkpoint_made {
    struct snapshot_sizes sizes;
    uint32_t base; /* 0: a full one */
};

/* Write the stopped cell to NNNNNN.part in the folder, an increment on checkpoint `base` when that was the last one
 * and is in the same folder; from then on its before-images are kept. info: as for snapshot_write. On errors the one
 * before stays the last, and nothing is left in the folder. */
CHECKED status_t checkpoint_write(struct checkpointer *p, struct cell *c, struct wasi *w,
                                  struct snapshot_info *info, int folder_fd, uint32_t number,
                                  uint32_t base, struct checkpoint_made *ret_made,
                                  struct error *err);
void checkpointer_done(struct checkpointer *p);

/* ---- going back ---- */

/* A checkpoint that was chosen, with its folder locked. */
struct checkpoint_place {
    char folder[PATH_MAX];
    int folder_fd;
    uint32_t number;
    uint32_t before; /* the next older one, or 0 */
    uint32_t newest;
};
/* path: a folder, a snapshot in one, or NULL: the folder of the cell `name`. at: 0 for the newest, or the one that an
 * interrupted restore went back to. *ret_is false: path is a snapshot by itself.
 * ST_NOTFOUND: no such folder or checkpoint; ST_AGAIN: its program is still running; ST_INVAL; ST_IO; ST_NOMEM. */
CHECKED status_t checkpoint_find(const char *path, const char *name, uint32_t at, bool *ret_is,
                                 struct checkpoint_place *ret_place, struct error *err);

#endif
