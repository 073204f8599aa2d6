#ifndef CELL_WASI_STATE_H
#define CELL_WASI_STATE_H

#include <stdatomic.h>

#include "base/arena.h"
#include "cell/wasi/wasi.h"
#include "fdtable.h"
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

struct wasi {
    struct arena arena;
    struct strings args;
    struct strings env;
    struct wasi_grant *grants; /* copies, in the arena */
    uint32_t grant_count;
    enum path_method path_method;
    struct fdtable files;
    uint64_t output_bytes_max;     /* 0: none */
    _Atomic uint64_t output_bytes; /* written or about to be */
    pthread_mutex_t scratch_lock;
    struct scratch *scratches; /* guarded by scratch_lock */
    struct host_module modules[2];
};

enum { WASI_FUNCTION_COUNT = 46 };

/* The tables of both modules, see functions.def. */
extern const struct host_func wasi_preview1_funcs[];
extern const struct host_func wasi_unstable_funcs[];

/* size bytes, zeroed, until wasi_scratch_free or the end of w. NULL when memory ran out. Any thread. */
void *wasi_scratch_new(struct wasi *w, size_t size);
/* NULL is fine. */
void wasi_scratch_free(struct wasi *w, void *data);

#endif
