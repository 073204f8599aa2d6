#ifndef GEDS_PEER_IMPL_H
#define GEDS_PEER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "geds/peer/peers.h"

enum {
    UP_MAX = 16,    /* nodes that are connected: each has a thread of the server */
    ORDERS_MAX = 8, /* of a node, on their way */
    SLOW_MAX =
        8, /* so many times as long may an order take of a node that answers others meanwhile */
    END_PARTS = 6,     /* so many times as long as others may END take, which waits for a disk */
    COPIERS_MAX = 8,   /* extents that are being copied at a time */
    WINDOW = 4,        /* pieces of one copy on their way */
    BAD_MAX = 64,      /* extents that are not tried again for a while */
    DAMAGED_MAX = 256, /* extents that wait for a repair; others are found again by their readers */
};
#define NS_PER_MS 1000000ULL

/* An extent that has no good bytes anywhere. */
struct bad {
    uint64_t extent, until; /* monotonic */
};

/* An order that somebody waits for. */
struct order {
    struct order *next;
    struct peer_order o;
    uint8_t *into; /* room for what is read */
    size_t room, got;
    uint64_t posted; /* monotonic */
    bool sent, done;
    status_t status;
};

struct peer {
    struct peers *all;
    struct peer *next;
    struct store_node node; /* immutable, but for name and state */
    unsigned serial;        /* of its connection; grows */
    bool up, synced;        /* connected; and its list was compared */
    bool broken, bye;       /* its connection is to end */
    bool leave;             /* it asked for that */
    bool has_left;          /* it may go: with bye */
    bool counted;           /* its copies, since the start; the thread's own */
    bool checked;           /* leaving: local bytes of its copies are good */
    uint64_t left;
    uint64_t away_since, answered; /* monotonic */
    uint64_t seen_ns;
    struct peer_report report;
    struct order *orders; /* in order of numbers */
    unsigned order_count;
    uint32_t last_number;
};

struct peers {
    struct peers_options o; /* immutable, and so is: */
    uint64_t id[2];         /* of the store */
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* guards the rest, but what is atomic */
    pthread_cond_t changed;
    bool stop, woken;
    struct peer *first, *forgotten; /* freed by the close only */
    uint64_t copying[COPIERS_MAX];
    size_t copying_count;
    uint64_t damaged[DAMAGED_MAX];
    size_t damaged_count;
    struct bad bad[BAD_MAX]; /* the thread's own, and so is: */
    size_t bad_at;
    _Atomic bool stopping;
    _Atomic bool trims; /* some extents may have more copies than are wanted */
    _Atomic uint64_t copied_count, copied_bytes, read_bytes, repaired, removed, late, errors;
};

/* Wait under the lock until something changed, or the monotonic time is there. false: it is. */
bool peers_wait(struct peers *p, uint64_t until);
void peers_tell(struct peers *p, const char *event, const char *node, const char *text);

/* An order of a node; it is the node's until peer_wait, which must follow. */
void peer_post(struct peer *peer, struct order *order);
/* ST_AGAIN: the node is gone, or has answered nothing for answer_ms. */
CHECKED status_t peer_wait(struct peer *peer, struct order *order, struct error *err);
CHECKED status_t peer_ask(struct peer *peer, struct order *order, struct error *err);

/* copy.c: make the copies that an extent lacks. until: for its turn. ST_AGAIN: there is no node that could take it, or
 * none did; or it is not its turn. */
CHECKED status_t peers_copy(struct peers *p, uint64_t extent, uint64_t until, struct error *err);
status_t peers_read(void *arg, const struct store_extent *x, uint64_t off, void *data, size_t len,
                    struct error *err);
void peers_damaged(void *arg, uint64_t extent);
void peers_written(void *arg, const uint64_t *extents, size_t count);
CHECKED status_t peer_remove(struct peer *peer, uint64_t extent, uint64_t nonce, struct error *err);

/* Have copies that are too many removed, when the local bytes are good, so that none of them is the last good one.
 * ST_CORRUPT: they are not, and are repaired first. ST_NOTFOUND: they are in the tier only, or nowhere any more. */
CHECKED status_t peers_trim_extent(struct peers *p, uint64_t extent, struct error *err);

/* work.c */
/* Is the local file of an extent what it should be? piece: PEER_PIECE_BYTES. ST_CORRUPT: no. ST_NOTFOUND: it has none
 * any more. */
CHECKED status_t peers_check_local(struct peers *p, uint64_t extent, uint8_t *piece,
                                   struct error *err);
void *peers_run(void *arg);

#endif
