#ifndef GEDS_LEASES_H
#define GEDS_LEASES_H

#include "changes.h"
#include "proto/lease.h"

/* The counters of names that clients look at (docs/internals/geds-leases.md). Zeroed memory is closed. */
struct leases {
    lease_word *table; /* NULL: there is none, clients ask for everything */
    int table_fd;      /* immutable while it is open, and so are: */
    int page_fd;       /* for reading, to be passed */
    int end_fd;        /* the same file for writing */
    int folder_fd; /* where its name is: another store may have the path of a folder that was moved */
};

/* End the leases that another process gave on this store, and make a table. path: the store's folder, whose lock the
 * caller has. That a table cannot be made is no error. ST_IO, ST_NOMEM: an old one could not be ended. */
CHECKED status_t leases_open(struct leases *l, const char *path, struct error *err);
/* Ends them. Also closed ones. */
void leases_close(struct leases *l);
/* Wake who waits for events; count: whatever is another one than before. */
void leases_wake(struct leases *l, uint64_t count);
/* Around the commit of changes. The writer's thread only. */
void leases_begin(struct leases *l, const struct changes *changes);
void leases_end(struct leases *l, const struct changes *changes);

#endif
