#ifndef BIN_INSPECT_SNAPSHOT_H
#define BIN_INSPECT_SNAPSHOT_H

#include <stdbool.h>

#include "base/buf.h"

struct inspect_options {
    bool json;
    const char *name; /* as it was given */
    bool all;         /* the whole call stack as text; JSON always has it */
};

/* Does the file begin like a snapshot? False as well when it cannot be read. */
bool snapshot_is_one(const char *path);
/* Describe it. Errors of snapshot_open and snapshot_describe, or of opening the file. */
CHECKED status_t snapshot_put(const char *path, const struct inspect_options *options,
                              struct buf *out, struct error *err);

#endif
