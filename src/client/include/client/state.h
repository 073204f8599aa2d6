#ifndef CLIENT_STATE_H
#define CLIENT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Who sends may stand still for ever. goes_on is asked some times in a second, by a thread of its own, from when the
 * copy is asked for until it is there or failed; bytes: that have come. False ends it. */
struct state_watch {
    bool (*goes_on)(void *arg, uint64_t bytes);
    void *arg;
};

/* For controllers that share a store: have the one at this address (as geds_connect takes it) send its database, and
 * append it to an open file. ST_MOVED: it does not lead. ST_UNSUPPORTED: it shares nothing. ST_PERM; ST_CORRUPT: what
 * came is not what was sent; ST_IO, ST_LIMIT; ST_STOPPED: watch ended it. After errors the file may have any of it. */
CHECKED status_t client_state_copy(const char *address, int fd, const struct state_watch *watch,
                                   struct error *err);

#endif
