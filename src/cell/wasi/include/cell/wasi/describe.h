#ifndef CELL_WASI_DESCRIBE_H
#define CELL_WASI_DESCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* What a state that wasi_save wrote says, for tools: nothing of the host is looked at. */

enum wasi_saved_origin {
    WASI_SAVED_PATH,  /* beneath a grant */
    WASI_SAVED_STDIO, /* index: 0 input, 1 output, 2 error */
    WASI_SAVED_LISTEN,
    WASI_SAVED_LOST /* not found at an earlier thaw with stale files */
};

enum wasi_saved_kind {
    WASI_SAVED_FILE,
    WASI_SAVED_FOLDER,
    WASI_SAVED_DEVICE, /* a terminal, /dev/null */
    WASI_SAVED_PIPE,
    WASI_SAVED_SOCKET,
    WASI_SAVED_LISTENER
};

struct wasi_saved_grant {
    const char *guest_path;
    const char *place; /* geds://BUCKET/PREFIX; NULL: a folder of the host */
    bool read_only;    /* as far as an open descriptor of it says */
    bool needed;       /* a descriptor is beneath it: wasi_restore wants it */
};

struct wasi_saved_file {
    uint32_t fd;
    enum wasi_saved_origin origin;
    enum wasi_saved_kind kind;
    uint32_t index;   /* of the grant, standard descriptor or listening socket, from 0 */
    const char *path; /* as the guest calls it; "" where it has none */
    bool is_grant;    /* the descriptor of a grant itself */
    bool reads, writes, appends, nonblocking, read_only;
    uint64_t offset, size; /* of WASI_SAVED_FILE, bytes */
};

struct wasi_saved {
    uint64_t cpu_ns;       /* CPU time so far */
    uint64_t output_bytes; /* to standard output and error so far */
    const char *const *args;
    uint32_t arg_count;
    const char *const *env; /* "K=V" */
    uint32_t env_count;
    const struct wasi_saved_grant *grants;
    uint32_t grant_count;
    const struct wasi_saved_file *files; /* by descriptor, as they were saved */
    uint32_t file_count;
    uint32_t listen_needed; /* listening sockets that wasi_restore wants */
    struct arena arena;     /* holds all of it */
};

/* Read a whole state. Nothing of data is borrowed. Destroy with wasi_saved_done.
 * ST_CORRUPT says what is wrong, at which byte; ST_UNSUPPORTED: a newer version; ST_NOMEM. */
CHECKED status_t wasi_describe(const void *data, size_t len, struct wasi_saved *ret_saved,
                               struct error *err);
void wasi_saved_done(struct wasi_saved *s);

#endif
