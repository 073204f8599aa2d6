#ifndef BIN_CONTROLLER_MEMORY_H
#define BIN_CONTROLLER_MEMORY_H

#include "geds/memory/memory.h"

/* Keep extents of the store in memory, as far as this goes.
 * given: bytes, 0: none from now on; NULL: as before. What is given is kept in the state folder (memory.conf).
 * *ret_memory: NULL: it is not wanted. Before other threads use the store. ST_INVAL: given. */
CHECKED status_t controller_memory_start(const char *given, const char *state, struct store *store,
                                         struct memory **ret_memory, struct error *err);

#endif
