#ifndef GEDS_PEER_PEERS_H
#define GEDS_PEER_PEERS_H

#include "geds/copies.h"

/* The nodes that have copies of a store's extents, and the thread that makes, removes and checks these
 * (docs/internals/geds-peers.md). Any thread. */

enum { PEER_PIECE_BYTES = 1 << 20 };

struct peers;
struct peer; /* one node */
struct peers_options {
    struct store *store; /* borrowed until peers_close */
    uint64_t lost_ms;    /* a node that is away for so long is lost; 0: 5 minutes */
    uint64_t answer_ms;  /* how long a node may take for an order; 0: 10 s */
    unsigned idle_ms;    /* between two looks of the thread; 0: 1,000 */
    /* For who writes a log; event is a constant. May be NULL. Any thread. */
    void (*event)(void *arg, const char *event, const char *node, const char *text);
    void *arg;
};
/* Before other threads use the store. */
CHECKED status_t peers_open(const struct peers_options *o, struct peers **ret_peers,
                            struct error *err);
CHECKED status_t peers_start(struct peers *p, struct error *err);
/* Orders end, and so do those who wait for them. Takes NULL. */
void peers_stop(struct peers *p);
/* After store_close. Takes NULL. */
void peers_close(struct peers *p);

/* What a node is asked. */
enum peer_kind {
    PEER_WELCOME = 1, /* extent, nonce: the store's id */
    PEER_WRITE,       /* data at offset of a copy of so many bytes */
    PEER_END,         /* sum: CRC32C of the checksums of its blocks */
    PEER_READ,        /* bytes at offset */
    PEER_REMOVE,
    PEER_LIST, /* behind extent and nonce: PEER_COPY_BYTES for each */
    PEER_BYE,  /* sum 1: it has left; 0: another one of its id is there */
};
enum { PEER_COPY_BYTES = 24 }; /* extent, nonce and bytes, little-endian */
struct peer_order {
    enum peer_kind kind;
    uint32_t number;
    uint64_t extent, nonce, offset, bytes;
    uint32_t sum;
    const void *data;
    size_t len;
};
struct peer_report {
    uint64_t copies, bytes, limit_bytes, free_bytes, bad, process;
};

/* The connection of a node, as the thread that serves it has it. */
struct peer_link {
    status_t (*send)(void *arg, const struct peer_order *order);
    bool (*is_wanted)(void *arg);
    /* The node is known: what it says is for this one, until peers_serve returns. NULL: no longer. */
    void (*joined)(void *arg, struct peer *peer);
    void *arg;
};
/* Give a node its orders until it is gone, or to go. ST_INVAL, ST_EXIST: it is not let in. */
CHECKED status_t peers_serve(struct peers *p, const char *key, const char *name,
                             const struct peer_report *report, const struct peer_link *link,
                             struct error *err);
/* An order is answered: st ST_OK with data, or err. Quick. */
void peers_done(struct peer *peer, uint32_t number, status_t st, const void *data, size_t len);
/* What the node says of itself. leaves: it wants to. Quick. */
void peers_report(struct peer *peer, const struct peer_report *report, bool leaves,
                  uint64_t *ret_left);

enum peer_state { PEER_UP, PEER_AWAY, PEER_LOST, PEER_LEAVING };
struct peer_status {
    char name[STORE_NODE_NAME_MAX + 1];
    enum peer_state state;
    uint64_t seen_ns; /* since the epoch */
    uint64_t left;    /* copies that are still to be looked at before it may go */
    struct peer_report report;
};
struct peers_status {
    uint64_t lacking_count, lacking_bytes; /* extents with fewer copies than are wanted */
    uint64_t copied_count, copied_bytes;   /* to nodes, since the start, and so on: */
    uint64_t read_bytes, repaired_count, removed_count;
    uint64_t late_count; /* writes that were answered before their copies were made */
    uint64_t errors;
    size_t count;
    struct peer_status nodes[STORE_NODES_MAX];
};
CHECKED status_t peers_status(struct peers *p, struct peers_status *ret_status, struct error *err);

/* A node is to leave, or is not there any more. ST_NOTFOUND: no such name. ST_EXIST: it is connected, and cannot be
 * forgotten. */
CHECKED status_t peers_leave(struct peers *p, const char *name, struct error *err);
CHECKED status_t peers_forget(struct peers *p, const char *name, struct error *err);
/* Have as many copies of an extent as are wanted now, and not when the thread looks; those that are too many are
 * removed later, if the local bytes are good. goes_on is called now and then while others
 * are being made; false ends that with ST_STOPPED. *ret_made: it lacked some, and has them; set on success only.
 * ST_AGAIN: no node that could take one is there, or none did. ST_CORRUPT: its local bytes do not match. */
CHECKED status_t peers_make(struct peers *p, uint64_t extent, bool (*goes_on)(void *arg), void *arg,
                            bool *ret_made, struct error *err);
/* Look now. */
void peers_wake(struct peers *p);
/* Fewer copies are wanted of some extents: have those removed that are too many, once all nodes that count are there
 * and the local bytes are good. A start does it, too. */
void peers_trim(struct peers *p);

#endif
