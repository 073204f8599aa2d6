#ifndef CELL_SNAPSHOT_POSTCOPY_H
#define CELL_SNAPSHOT_POSTCOPY_H

#include "cell/snapshot/precopy.h"

/* A cell that goes on at once, and whose pages come afterwards: docs/internals/precopy.md. The sender begins as
 * precopy.h has it, with rounds or without, then
 *
 *     precopy_offer    state, and which pages are left     the cell does not run here any more
 *     precopy_serve    these pages: what is asked for first, the rest meanwhile
 *
 * and the receiver, in place of snapshot_read,
 *
 *     postcopy_begin   state; from here on pages come
 *     postcopy_resume  the cell runs, and waits for pages that it needs
 *     postcopy_end
 *
 * From precopy_offer on, a lost connection is the end of the cell: that is what going on at once costs. */

/* Both directions between sender and receiver. shut: make all reads and writes of both sides end, at once and for ever
 * (shutdown(2) of a socket); called when something failed, from any thread. write and read are called by one thread
 * each at a time. */
struct postcopy_link {
    struct snapshot_sink sink;
    struct snapshot_source source;
    void (*shut)(void *arg);
    void *arg;
};

/* As precopy_finish, but pages that are left are named instead of sent. */
CHECKED status_t precopy_offer(struct precopy *p, const void *host_state, size_t host_len,
                               struct snapshot_sizes *ret_sizes, struct error *err);
/* Send them until the receiver has all; link's sink replaces that of precopy_start. Its source is read by a thread of
 * this call's. ST_IO: the connection is lost; ST_CORRUPT: requests that make no sense; ST_STOPPED: progress said no;
 * ST_NOMEM. */
CHECKED status_t precopy_serve(struct precopy *p, const struct postcopy_link *link,
                               struct error *err);

struct postcopy;
/* Take the state into c, a new cell of the program or the one that took the rounds. link: for answers and requests, its
 * source must be the one that r reads; borrowed, like r and c, until postcopy_end. Where the kernel has no userfaultfd
 * all pages are taken before it returns. Errors of snapshot_read; c is only good for cell_free then. */
CHECKED status_t postcopy_begin(struct snapshot_reader *r, struct cell *c,
                                const struct postcopy_link *link, struct postcopy **ret_p,
                                struct error *err);
/* cell_resume. When pages do not come the call ends, and this is ST_IO or ST_CORRUPT with the reason, whatever the cell
 * made of it. Later calls of the cell may be made when postcopy_wait has said ST_OK. */
CHECKED status_t postcopy_resume(struct postcopy *p, union cell_value *io, struct error *err);
/* Wait until all pages are there. ST_OK, or why they will never be. Any thread. */
CHECKED status_t postcopy_wait(struct postcopy *p, struct error *err);
/* Number of pages that are still to come. Any thread. */
uint64_t postcopy_owed(struct postcopy *p);
/* When the cell does not run. If pages are still to come, they are given up. NULL is fine. */
void postcopy_end(struct postcopy *p);

#endif
