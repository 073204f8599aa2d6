#ifndef GEDS_COPIES_H
#define GEDS_COPIES_H

#include "geds/tiers.h"

/* Copies of extents on other nodes (docs/internals/geds-peers.md). The store keeps which node has which copy, how many
 * are missing, and reads and repairs from them; who talks to nodes uses this. Any thread; errors as in geds/store.h. */

enum {
    STORE_NODE_KEY_BYTES = 33, /* 32 hexadecimal digits and a NUL */
    STORE_NODE_NAME_MAX = 63,  /* bytes */
    STORE_NODES_MAX = 64,
    STORE_REPLICAS_MAX = 8, /* copies of an extent, the local one among them */
};

enum store_node_state {
    STORE_NODE_COUNTS,  /* its copies are among those that are wanted */
    STORE_NODE_LOST,    /* it has been away for long */
    STORE_NODE_LEAVING, /* it is to go */
};
struct store_node {
    uint64_t id;
    char key[STORE_NODE_KEY_BYTES];
    char name[STORE_NODE_NAME_MAX + 1];
    uint64_t joined_ns, seen_ns; /* since the epoch */
    enum store_node_state state;
};

/* The nodes, as far as the store reads from them. */
struct store_copies {
    /* Read len bytes at off, whole blocks or up to the end, from any copy of the extent, compared with its sums.
     * ST_AGAIN: those that may have it are away. ST_CORRUPT: none has it whole. */
    status_t (*read)(void *arg, const struct store_extent *extent, uint64_t off, void *data,
                     size_t len, struct error *err);
    /* Local bytes of an extent are missing or do not match, and it has a copy. Called by readers: be quick. */
    void (*damaged)(void *arg, uint64_t extent);
    /* Extents that are to have copies have been made durable; their writer is answered when this returns. */
    void (*written)(void *arg, const uint64_t *extents, size_t count);
    void *arg;
};
/* After store_open, before other threads use the store; once. The functions are called until store_close. */
void store_set_copies(struct store *s, const struct store_copies *copies);

/* Make a node known that says to have this key, under its present name. ST_INVAL: the name; or there are
 * STORE_NODES_MAX. ST_EXIST: another one has the name. */
CHECKED status_t store_node_join(struct store *s, const char *key, const char *name,
                                 uint64_t *ret_id, enum store_node_state *ret_state,
                                 struct error *err);
/* ret_list: STORE_NODES_MAX. */
CHECKED status_t store_nodes(struct store *s, struct store_node *ret_list, size_t *ret_count,
                             struct error *err);
CHECKED status_t store_node_seen(struct store *s, uint64_t node, struct error *err);
/* What is lacking is counted again for all its copies; where they count, those that are too many are to be removed. A
 * call that failed is made again. */
CHECKED status_t store_node_set_state(struct store *s, uint64_t node, enum store_node_state state,
                                      struct error *err);
/* It and all its copies are not there any more. */
CHECKED status_t store_node_forget(struct store *s, uint64_t node, struct error *err);

struct store_copy {
    uint64_t extent, nonce;
    uint64_t bytes; /* of the extent; not of those to remove */
};
/* Copies of a node, in order of extents and nonces behind after (zeroed: from the first). */
CHECKED status_t store_node_copies(struct store *s, uint64_t node, const struct store_copy *after,
                                   size_t max, struct store_copy *ret_list, size_t *ret_count,
                                   struct error *err);
/* The nodes of an extent's copies. */
struct store_copy_at {
    uint64_t node, nonce;
};
CHECKED status_t store_copies_of(struct store *s, uint64_t extent, size_t max,
                                 struct store_copy_at *ret_list, size_t *ret_count,
                                 struct error *err);

/* A new one's nonce. */
CHECKED status_t store_copy_nonce(uint64_t *ret_nonce, struct error *err);
/* The node has a whole copy. ST_NOTFOUND: the extent or the node is gone. */
CHECKED status_t store_copy_add(struct store *s, uint64_t node, uint64_t extent, uint64_t nonce,
                                struct error *err);
/* It is of no use, and to be removed. */
CHECKED status_t store_copy_bad(struct store *s, uint64_t node, uint64_t extent, uint64_t nonce,
                                struct error *err);
/* Copies of an extent that count and are more than are wanted; have them removed. The others, or the local bytes, are
 * to have been compared before. */
CHECKED status_t store_copies_extra(struct store *s, uint64_t extent, uint64_t *ret_count,
                                    struct error *err);
CHECKED status_t store_copies_trim(struct store *s, uint64_t extent, struct error *err);
/* Extents that have such copies, in order, behind the extent `after`. max: of ret_ids. */
CHECKED status_t store_copies_surplus(struct store *s, uint64_t after, size_t max,
                                      uint64_t *ret_ids, size_t *ret_count, struct error *err);
/* Those of a node that are to be removed, and that have been. */
CHECKED status_t store_copies_to_remove(struct store *s, uint64_t node, size_t max,
                                        struct store_copy *ret_list, size_t *ret_count,
                                        struct error *err);
CHECKED status_t store_copies_removed(struct store *s, uint64_t node, const struct store_copy *list,
                                      size_t count, struct error *err);

/* Extents with local bytes and fewer copies than are wanted, in order of numbers behind after. */
struct store_lacking {
    uint64_t id, bytes, lacks;
};
CHECKED status_t store_copies_lacking(struct store *s, uint64_t after, size_t max,
                                      struct store_lacking *ret_list, size_t *ret_count,
                                      struct error *err);
CHECKED status_t store_copies_totals(struct store *s, uint64_t *ret_count, uint64_t *ret_bytes,
                                     struct error *err);

/* As store_extent_hold, but the extent gets no nonce of its own. ST_CORRUPT: its file is missing. */
CHECKED status_t store_copy_hold(struct store *s, uint64_t id, struct store_extent *ret_extent,
                                 int *ret_fd, struct error *err);
/* Write the local file of an extent anew, from its copies. ST_NOTFOUND: it is gone, or has no local bytes. ST_AGAIN,
 * ST_CORRUPT: as the copies are read. ST_LIMIT: no space. */
CHECKED status_t store_extent_restore(struct store *s, uint64_t id, struct error *err);

/* How many copies what is written into a bucket has, the local one among them: 1 to STORE_REPLICAS_MAX. Set: also its
 * objects, but for former versions of these; goes_on (may be NULL) is called now and then, false ends it with
 * ST_STOPPED. ST_NOTFOUND, ST_INVAL. */
CHECKED status_t store_bucket_set_replicas(struct store *s, const char *bucket, unsigned replicas,
                                           bool (*goes_on)(void *arg), void *arg,
                                           struct error *err);
CHECKED status_t store_bucket_replicas(struct store *s, const char *bucket, unsigned *ret_replicas,
                                       struct error *err);
/* The same of an object, or with is_prefix of all that begin so, as they are now: what replaces them has the bucket's
 * rule. 256 objects in a change; what was changed before an error stays so. No object is no error. */
CHECKED status_t store_objects_set_replicas(struct store *s, const char *bucket, const char *key,
                                            bool is_prefix, unsigned replicas,
                                            bool (*goes_on)(void *arg), void *arg,
                                            struct error *err);

#endif
