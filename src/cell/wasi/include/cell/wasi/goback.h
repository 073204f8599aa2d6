#ifndef CELL_WASI_GOBACK_H
#define CELL_WASI_GOBACK_H

#include "base/status.h"

/* Which checkpoints of a folder can be gone back to, for tools: what wasi_undo_restore would say, as far as the heads
 * of the journals tell. Changes nothing, and takes no lock: the program may run. docs/internals/checkpoint.md. */

struct wasi_goback {
    uint32_t *numbers; /* that can be gone back to, falling; malloc'd */
    uint32_t count;
    uint32_t begun;           /* a way back to this one was begun and has not ended; 0: none */
    char why[ERROR_TEXT_MAX]; /* not to any other that has a journal; "": nothing is wrong */
};

/* folder_fd: borrowed. Destroy with wasi_goback_done. ST_IO; ST_NOMEM. */
CHECKED status_t wasi_goback_find(int folder_fd, struct wasi_goback *ret_found, struct error *err);
/* NULL when checkpoint `number` can be gone back to, else why not. */
const char *wasi_goback_why_not(const struct wasi_goback *g, uint32_t number);
void wasi_goback_done(struct wasi_goback *g);

#endif
