#ifndef BIN_INSPECT_SNAPSHOT_H
#define BIN_INSPECT_SNAPSHOT_H

#include <stdbool.h>

#include "base/buf.h"

/* Does the file begin like a snapshot? False as well when it cannot be read. */
bool snapshot_is_one(const char *path);
/* Describe it. Errors of snapshot_open and snapshot_describe, or of opening the file. */
CHECKED status_t snapshot_put(const char *path, bool json, struct buf *out, struct error *err);

#endif
