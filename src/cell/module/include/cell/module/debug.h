#ifndef CELL_MODULE_DEBUG_H
#define CELL_MODULE_DEBUG_H

#include "base/buf.h"
#include "cell/module/module.h"

/* Function names of the "name" section: ret_names[i] for i < m->func_count, empty where unnamed. Falls
 * back to export and import names. A malformed name section is ignored from the fault on, as
 * the specification asks. The array belongs to *a. ST_NOMEM only. */
CHECKED status_t module_func_names(const struct module *m, struct arena *a,
                                   struct name **ret_names);

/* One row of the line table: code bytes from off (module offset) up to the next row's. */
struct line_row {
    uint64_t off;
    uint32_t file; /* index into files */
    uint32_t line; /* 0: no line */
};

struct line_table {
    struct name *files; /* paths as DWARF gives them, directory joined */
    uint32_t file_count;
    struct line_row *rows; /* ascending off; a row with line 0 ends a range */
    uint32_t row_count;
};

/* Decode .debug_line (versions 2 to 5; with .debug_line_str and .debug_str). A module without it, or with a
 * broken one, yields an empty table; memory belongs to *a. ST_NOMEM only. */
CHECKED status_t module_line_table(const struct module *m, struct arena *a,
                                   struct line_table *ret_table);

#endif
