#ifndef BIN_NODE_SERVE_H
#define BIN_NODE_SERVE_H

#include <limits.h>
#include <stdatomic.h>

#include "orders.h"

/* A node and its controller: connects, joins, does what it is asked, and connects again. */

struct node_options {
    const char *controller; /* NULL: that of this machine */
    char name[64];
    char key[33];
    char folder[PATH_MAX]; /* of copies */
    uint64_t limit_bytes, spare_bytes;
};

struct node {
    struct node_options o; /* immutable */
    _Atomic bool stop, leave;
    int wake_fd; /* an eventfd: something of these is set */
    struct orders *orders;
    struct shelf *shelf; /* NULL: nobody was joined yet */
    uint64_t store[2];   /* whose it is */
    bool welcome;        /* this connection: it works for the store */
    bool left;           /* the result: it has left */
};

/* Until stop, or it has left, or cannot be let in: an error then. */
CHECKED status_t node_serve(struct node *n, struct error *err);

#endif
