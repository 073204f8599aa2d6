#ifndef CELL_WASI_STATE_H
#define CELL_WASI_STATE_H

#include <stdatomic.h>

#include "base/arena.h"
#include "cell/wasi/wasi.h"
#include "fdtable.h"
#include "ids.h"
#include "path.h"

/* Arguments or environment as the guest gets them. Immutable. */
struct strings {
    const char **items;
    uint32_t count;
    uint32_t bytes; /* with each NUL */
};

/* Memory for one call that is too large for the stack. It is listed here and not only in the call's frame, so
 * that it is found again when a fault in guest memory ends the call midway. */
struct scratch {
    struct scratch *next;
    struct scratch **link;
    max_align_t data[];
};

struct before;
struct staged;

/* What a restore has still to do to the embedder's descriptors; -1: nothing. */
struct outside {
    int input_fd; /* to be moved to input_offset */
    uint64_t input_offset;
    int output_fd; /* to be cut to output_size and moved to output_offset */
    uint64_t output_offset, output_size;
};

struct wasi {
    struct arena arena;
    struct strings args;
    struct strings env;
    struct wasi_grant *grants; /* copies, in the arena */
    uint32_t grant_count;
    enum path_method path_method;
    struct fdtable files;
    struct ids ids; /* immutable while the guest runs */
    /* Of a call that is to be made again: nanoseconds that a poll_oneoff has waited, bytes that another has
     * moved. Of the cell's thread. */
    uint64_t progress;
    uint64_t output_bytes_max;     /* 0: none */
    _Atomic uint64_t output_bytes; /* written or about to be */
    uint64_t monotonic_shift_ns;   /* guest's minus host's monotonic time, modulo 2^64 */
    uint64_t cpu_shift_ns;         /* CPU time used before a restore */
    _Atomic uint64_t cpu_seen_ns;  /* the latest CPU time that the guest was given, or had */
    pthread_mutex_t scratch_lock;
    struct scratch *scratches; /* guarded by scratch_lock */
    struct before *before;     /* before-images for the present checkpoint; NULL: none */
    struct outside outside;
    uint32_t bucket_count; /* grants that are buckets; 0: nothing of bucket.h is ever called */
    const char *staging;
    int void_fd; /* an empty folder without a name: the host descriptor of folders in buckets; -1: none */
    _Atomic size_t window_bytes; /* of windows over objects that are being read */
    struct staged *staged; /* files that are being written to buckets; guarded by staged_lock */
    pthread_mutex_t staged_lock;
    struct host_module modules[2];
};

enum {
    WASI_FUNCTION_COUNT = 46,
    WASI_STDIO_COUNT = 3,
    WASI_STRINGS_MAX = 1 << 20, /* arguments, and as many of the environment */
    WASI_STRINGS_BYTES_MAX = 1 << 28,
    WASI_GRANTS_MAX = 1024
};

/* The tables of both modules, see functions.def. */
extern const struct host_func wasi_preview1_funcs[];
extern const struct host_func wasi_unstable_funcs[];

/* size bytes, zeroed, until wasi_scratch_free or the end of w. NULL when memory ran out. Any thread. */
void *wasi_scratch_new(struct wasi *w, size_t size);
/* NULL is fine. */
void wasi_scratch_free(struct wasi *w, void *data);

/* ---- what wasi_new and wasi_restore are made of; one thread ---- */

/* No arguments, environment or descriptors yet; the grants are copied but not opened. ST_LIMIT, ST_NOMEM. */
CHECKED status_t wasi_begin(const struct wasi_config *config, struct wasi **ret_w,
                            struct error *err);
/* Room for count strings, then each of them with wasi_strings_add, which copies. ST_LIMIT, ST_NOMEM. */
CHECKED status_t wasi_strings_room(struct wasi *w, struct strings *s, uint32_t count,
                                   struct error *err);
CHECKED status_t wasi_strings_add(struct wasi *w, struct strings *s, const char *text, size_t len,
                                  struct error *err);
/* Files for the table, to be added or freed by the caller: the null device; a standard descriptor, or the null device
 * where the host has it closed, so that later files do not slip under its number; a grant; a listening socket, which
 * stops blocking. Statuses of the failed system call. */
CHECKED status_t wasi_open_null(bool output, struct file **ret_f, struct error *err);
CHECKED status_t wasi_open_stdio(const struct wasi_config *config, uint32_t index,
                                 struct file **ret_f, struct error *err);
CHECKED status_t wasi_open_grant(struct wasi *w, uint32_t index, struct file **ret_f,
                                 struct error *err);
CHECKED status_t wasi_open_listener(const struct wasi_config *config, uint32_t index,
                                    struct file **ret_f, struct error *err);

#endif
