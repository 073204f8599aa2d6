#ifndef CLOUDSKIN_CONTROL_H
#define CLOUDSKIN_CONTROL_H

#include <stdbool.h>

#include "cell/run/run.h"

/* A named cell's control socket: how `cloudskin ps` and `cloudskin freeze` reach a running one. One thread listens;
 * what needs the cell itself is done by the thread that runs it, between two calls. Protocol: controlpath/control.h. */

struct control;

/* Listen as `name`, before the program is compiled: requests wait for the cell. program: shown by ps; borrowed.
 * ST_EXIST: another cell has the name; ST_INVAL: no name; ST_IO. */
CHECKED status_t control_start(const char *name, const char *program, struct control **ret_control,
                               struct error *err);
/* The cell is there, and its thread is about to run it. program: from now on shown by ps, borrowed; movable: it can be
 * captured. NULL for k is fine. */
void control_attach(struct control *k, struct cell *c, const char *program, bool movable);
/* What a client wants of a captured cell. */
struct control_request {
    bool checkpoint;
    bool embed;      /* with the module; not of a checkpoint */
    int fd;          /* for the snapshot; with checkpoint its folder */
    uint32_t number; /* of a checkpoint */
    uint32_t base;   /* the one that it may be an increment on, 0: none */
};
/* What a snapshot is saved with. Errors are what the client is told. */
struct control_saver {
    status_t (*save)(void *arg, const struct control_request *q, struct error *err);
    /* The cell is not to go on here: its snapshot, the file with this inode number, is about to get its path ("" when
     * that is not known), or it has (leave_end), or went into a stream; or it cannot (leave_not).
     * From any thread, while the cell's waits. */
    status_t (*leave)(void *arg, const char *path, uint64_t inode, struct error *err);
    void (*leave_end)(void *arg);
    void (*leave_not)(void *arg);
    void *arg;
};
/* The cell was captured, and its thread is here: serve the request that asked for it.
 * ST_CAPTURED: it was frozen, and must not go on; ST_OK: it goes on. */
CHECKED status_t control_captured(struct control *k, const struct control_saver *saver);
/* The cell has ended: refuse what waits, remove the socket. NULL is fine. */
void control_end(struct control *k);

#endif
