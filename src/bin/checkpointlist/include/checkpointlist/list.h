#ifndef CHECKPOINTLIST_LIST_H
#define CHECKPOINTLIST_LIST_H

#include "base/buf.h"

/* The checkpoints of a folder, as `cloudskin inspect FOLDER` and `cloudskin checkpoint --list` show them. Of snapshots
 * the heads are read only, and of journals too: a running program is not disturbed. */

/* Append the list, or JSON. *ret_damaged: one of them cannot be read, which the list says.
 * ST_NOTFOUND: no such folder, or no checkpoint in it; ST_IO; ST_PERM; ST_NOMEM. */
CHECKED status_t checkpointlist_put(const char *folder, bool json, struct buf *out,
                                    bool *ret_damaged, struct error *err);

#endif
