#ifndef BIN_INSPECT_HOST_H
#define BIN_INSPECT_HOST_H

#include "base/json.h"
#include "cell/wasi/describe.h"

/* What a frozen program had of the host. Values of its environment are not shown: they may be secrets. */
void host_put_text(const struct wasi_saved *w, struct buf *out);
/* Members of the object that is open. */
void host_put_json(const struct wasi_saved *w, struct json *j);
/* The command that goes on with the snapshot at path, as far as the snapshot can tell. */
void host_put_thaw(const struct wasi_saved *w, const char *path, struct buf *out);

#endif
