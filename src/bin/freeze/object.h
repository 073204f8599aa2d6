#ifndef BIN_FREEZE_OBJECT_H
#define BIN_FREEZE_OBJECT_H

#include <stdbool.h>

#include "controlpath/control.h"

/* A snapshot on its way into an object. It is written under another key, and the cell itself gives it its name. One
 * thread but for the one that is in here. */

struct object_output;

/* *ret_fd: a pipe for the snapshot, the caller's. place: geds://BUCKET/KEY. ST_INVAL: no name for a snapshot;
 * ST_NOTFOUND: nothing is up, or no such bucket. */
CHECKED status_t object_output_open(const char *place, struct object_output **ret_o, int *ret_fd,
                                    struct error *err);
/* All ends of the pipe are closed: wait until the store has what went into it. */
CHECKED status_t object_output_end(struct object_output *o, struct error *err);
/* Make it durable; the cell at control is asked to wait. */
CHECKED status_t object_output_seal(struct object_output *o, int control, struct error *err);
/* What the cell is asked for. ST_LIMIT: the key is too long for that. */
CHECKED status_t object_output_line(const struct object_output *o, char ret_line[CONTROL_LINE_MAX],
                                    struct error *err);
/* The cell has not answered: did it give the object its name? */
bool object_output_named(struct object_output *o);
/* Removes what has not got its name. NULL is fine. */
void object_output_close(struct object_output *o);

#endif
