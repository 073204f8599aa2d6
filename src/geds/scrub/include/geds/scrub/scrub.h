#ifndef GEDS_SCRUB_SCRUB_H
#define GEDS_SCRUB_SCRUB_H

#include "geds/tiers.h"

/* Reads the local files of a store in the background, and finds what does not match its checksums before somebody needs
 * it (docs/internals/geds-scrub.md). Any thread. */

struct scrub;

struct scrub_options {
    struct store *store;  /* borrowed until scrub_stop, as is arg */
    const char *path;     /* a file of its own: how far it came, for the next start; copied */
    uint64_t bytes_per_s; /* at most; not 0 */
    uint64_t every_ns; /* from the begin of one pass to that of the next, if it is over by then */
    /* An extent is damaged at a byte: text says how. has_copy: whoever has the copy repairs it. offset: UINT64_MAX when
     * its file is missing. The scrub's thread. May be NULL. */
    void (*damaged)(void *arg, uint64_t extent, uint64_t offset, bool has_copy, const char *text);
    void *arg;
};
/* ST_IO: the file cannot be read; ST_NOMEM. What it holds may be anything: then the pass begins anew. */
CHECKED status_t scrub_start(const struct scrub_options *o, struct scrub **ret_scrub,
                             struct error *err);
struct scrub_status {
    uint64_t extents, bytes; /* compared, since the start */
    uint64_t damaged;        /* extents, since the start */
    uint64_t without_copy;   /* of these: nobody can repair them */
    uint64_t passes;         /* ended, since the start */
    uint64_t began_ns;       /* this pass, or the last one; since the epoch; 0: none yet */
    uint64_t ended_ns;       /* the last one that did; 0: none yet */
    uint64_t bytes_per_s;    /* at most */
};
void scrub_status(struct scrub *s, struct scrub_status *ret_status);
/* Before store_close. The next start goes on where this one ends. Takes NULL. Returns what it did. */
struct scrub_status scrub_stop(struct scrub *s);

#endif
