#ifndef BIN_CONTROLLER_PEERS_H
#define BIN_CONTROLLER_PEERS_H

#include "geds/peer/peers.h"

/* The nodes of the store, with what becomes of them in the log. lost_ns: 0: the default. */
CHECKED status_t controller_peers_open(struct store *store, uint64_t lost_ns,
                                       struct peers **ret_peers, struct error *err);

#endif
