#ifndef CLIENT_STATE_H
#define CLIENT_STATE_H

#include "base/status.h"

/* For controllers that share a store: have the one at this address (as geds_connect takes it) send its database, and
 * append it to an open file. ST_MOVED: it does not lead. ST_UNSUPPORTED: it shares nothing. ST_PERM; ST_CORRUPT: what
 * came is not what was sent; ST_IO, ST_LIMIT. After an error the file may have any of it. */
CHECKED status_t client_state_copy(const char *address, int fd, struct error *err);

#endif
