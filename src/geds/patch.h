#ifndef GEDS_PATCH_H
#define GEDS_PATCH_H

#include "impl.h"

/* What one transaction changed, as SQLite's session extension writes it (a patchset). It comes from another controller
 * by way of a log that others may write to, so it is looked through before SQLite gets it, which also would leave out
 * tables that it does not know instead of failing. */

enum { PATCH_TABLES_MAX = 32, PATCH_COLUMNS_MAX = 32, PATCH_NAME_BYTES = 32 };

struct patch_table {
    char name[PATCH_NAME_BYTES];
    unsigned columns;
    uint32_t keys;  /* bit N: column N belongs to the primary key */
    unsigned place; /* the column that says where an extent's bytes are; 0: it has none */
};
/* Immutable once it is loaded. */
struct patch_schema {
    struct patch_table of[PATCH_TABLES_MAX];
    size_t count;
};

/* Is it a table whose rows are this database's own? Patches have none of these. */
bool patch_leaves_out(const char *table);

/* Tables of a database that patches may be about. ST_UNSUPPORTED: more than the limits above. */
CHECKED status_t patch_schema_load(struct db *db, struct patch_schema *ret_schema,
                                   struct error *err);

/* Is it whole, and about tables of this schema only? ret_removed (may be NULL) gets numbers of extents whose rows it
 * removes, or whose bytes are on no disk from then on; also after an error it may have some. ST_FORMAT, ST_NOMEM. */
CHECKED status_t patch_check(const struct patch_schema *schema, const void *data, size_t len,
                             struct ids *ret_removed, struct error *err);

#endif
