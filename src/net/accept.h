#ifndef NET_ACCEPT_H
#define NET_ACCEPT_H

#include <sys/socket.h>

#include "base/status.h"

/* A thread that takes the connections of a listening socket and hands each to the event thread that has the fewest:
 * where event threads take their own, who happens to be awake gets several, and its connections wait for each other. */

struct acceptor;

struct acceptor_options {
    int listen_fd; /* borrowed; does not block */
    unsigned loops;
    unsigned connections_max; /* of all loops; who comes then waits in the socket's queue */
    /* Called by the acceptor's thread. Takes fd over in any case, and ends by acceptor_began unless it fails. */
    void (*hand)(void *ctx, unsigned loop, int fd, const struct sockaddr *peer, socklen_t peer_len);
    void *ctx;
};

/* ST_NOMEM, ST_IO. */
CHECKED status_t acceptor_start(const struct acceptor_options *o, struct acceptor **ret_acceptor,
                                struct error *err);
/* Hand out nothing more: the thread has ended. a lives on for acceptor_began and acceptor_ended. NULL is fine. */
void acceptor_stop(struct acceptor *a);
/* After acceptor_stop. NULL is fine. */
void acceptor_free(struct acceptor *a);

/* A connection of this loop is there, and is gone. Any thread. */
void acceptor_began(struct acceptor *a, unsigned loop);
void acceptor_ended(struct acceptor *a, unsigned loop);

#endif
