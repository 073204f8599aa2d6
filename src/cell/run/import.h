#ifndef CELL_RUN_IMPORT_H
#define CELL_RUN_IMPORT_H

#include "cell.h"

/* What the imports of one instance are resolved with. */
struct run_import_source {
    const struct cell *cell;
    const struct host_module *hosts;
    uint32_t host_count;
    const struct import_resolver *resolver;
};

/* What one import resolved to. */
struct run_import {
    struct extern_val val;
    void *host_fn; /* a host function, with its env; val is not used then */
    void *host_env;
};

/* Find and check one import of m. ST_LINK names the import and both types; or the resolver's own error. */
CHECKED status_t run_import_find(const struct run_import_source *src, const struct module *m,
                                 const struct module_import *imp, struct run_import *ret_import,
                                 struct error *err);

#endif
