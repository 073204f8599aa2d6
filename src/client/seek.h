#ifndef CLIENT_SEEK_H
#define CLIENT_SEEK_H

#include "conn.h"

/* Finding the controller that leads, of a list. */

/* A connection to the one that leads, beginning with number first; one that does not answer at once is not waited for.
 * It takes 20 s at most, since between two of them nobody may lead for a while. */
CHECKED status_t seek_leading(const struct rpc_list *list, size_t first, struct geds **ret_store,
                              struct error *err);
/* Does another one lead than number but, which does not answer? It ends as soon as fd can be read. */
bool seek_other(const struct rpc_list *list, size_t but, int fd, size_t *ret_at);

#endif
