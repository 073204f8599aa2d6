#ifndef CELL_WASI_WASI_H
#define CELL_WASI_WASI_H

#include "cell/run/run.h"

/* WASI preview 1 for one cell: module wasi_snapshot_preview1, and wasi_unstable with its own layouts
 * and without sock_accept. */

struct wasi;

struct wasi_grant {
    const char *host_path;
    const char *guest_path;
    bool read_only;
};

struct wasi_config {
    const char *const *args; /* args[0]: the program's name */
    uint32_t arg_count;
    const char *const *env; /* "K=V" */
    uint32_t env_count;
    const struct wasi_grant *grants;
    uint32_t grant_count;
    const char *cwd; /* guest path, or NULL: the first grant; handed to the C library as PWD */
    int stdio[3];    /* host descriptors, borrowed */
    const int *
        listen; /* listening sockets, borrowed: guest descriptors behind the grants, in order. They stop blocking. */
    uint32_t listen_count;
    uint32_t open_files_max;   /* default 1024 */
    uint64_t output_bytes_max; /* to standard output and error together; 0: none */
};

/* Copies the configuration and opens the grants. ST_NOTFOUND, ST_PERM, ST_IO name the grant. ST_LIMIT: too many or too
 * long arguments, grants, guest paths or open files; ST_NOMEM. */
CHECKED status_t wasi_new(const struct wasi_config *config, struct wasi **ret_w, struct error *err);
/* The cell must be gone or never run again. Closes the guest's descriptors, not borrowed ones. NULL is fine. */
void wasi_free(struct wasi *w);

/* Host modules to hand to cell_instantiate; belong to w. */
const struct host_module *wasi_host_modules(struct wasi *w, uint32_t *ret_count);

#endif
