#ifndef GEDS_TIER_REMOTE_H
#define GEDS_TIER_REMOTE_H

#include <stdbool.h>

#include "base/status.h"

/* A tier, as what moves extents uses it. Names are relative to the tier; bytes of a name never change. Any thread, many
 * calls at a time. ST_AGAIN: away or busy, after the tries that make sense for one call; ST_STOPPED: after stop. */

struct tier_source {
    uint64_t size;
    /* Exactly len bytes at off, the same each time. */
    status_t (*read)(void *arg, uint64_t off, void *data, size_t len, struct error *err);
    void *arg;
};

struct tier_remote {
    /* Put bytes under a name: whole, or not there. upload: the id of an earlier call that was cut off; "": none.
     * begun is called with an id before the bytes of a long upload are sent; an error of it ends the call. */
    status_t (*send)(void *arg, const char *name, const struct tier_source *source,
                     const char *upload,
                     status_t (*begun)(void *begun_arg, const char *upload, struct error *err),
                     void *begun_arg, struct error *err);
    /* What the tier has under a name. ST_NOTFOUND. */
    status_t (*size)(void *arg, const char *name, uint64_t *ret_size, struct error *err);
    /* ST_NOTFOUND; ST_CORRUPT: it has fewer bytes. */
    status_t (*read)(void *arg, const char *name, uint64_t off, void *data, size_t len,
                     struct error *err);
    /* One that is not there is fine. ret_results of each, when ST_OK is returned. */
    status_t (*remove)(void *arg, const char *const *names, size_t count, status_t *ret_results,
                       struct error *err);
    /* An upload of size bytes under a name that was begun is not wanted any more. */
    status_t (*forget)(void *arg, const char *name, uint64_t size, const char *upload,
                       struct error *err);
    /* Call found for each name that begins with prefix. */
    status_t (*list)(void *arg, const char *prefix,
                     status_t (*found)(void *found_arg, const char *name, uint64_t size,
                                       struct error *err),
                     void *found_arg, struct error *err);
    /* All calls end with ST_STOPPED, now and later. */
    void (*stop)(void *arg);
    void *arg;
};

#endif
