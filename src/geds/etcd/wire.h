#ifndef GEDS_ETCD_WIRE_H
#define GEDS_ETCD_WIRE_H

#include "base/arena.h"
#include "base/buf.h"

/* Requests and answers of etcd's JSON gateway. Keys are text without quotes and backslashes; numbers of 64 bits are
 * texts, and bytes are base64, as protocol buffers are written in JSON. */

enum {
    ETCD_OPS_MAX = 8,
    ETCD_KVS_MAX = 4096,                /* of one range */
    ETCD_KEY_MAX = 512,                 /* bytes */
    ETCD_ANSWER_MAX = 24 * 1024 * 1024, /* bytes of one answer */
};

/* The revision in which a key was made, or changed last, is this one; 0: there is no such key. */
struct etcd_compare {
    const char *key;
    bool changed;
    uint64_t revision;
};
enum etcd_op_kind { ETCD_RANGE, ETCD_PUT, ETCD_DELETE };
struct etcd_op {
    enum etcd_op_kind kind;
    const char *key;
    const char *end; /* of a range: the first key that is not in it; NULL: only key */
    const void *value;
    size_t len;
    uint64_t lease; /* 0: none */
    unsigned limit; /* keys of a range; 0: ETCD_KVS_MAX */
};
struct etcd_txn {
    const struct etcd_compare *compares;
    size_t compare_count;
    const struct etcd_op *then, *otherwise; /* at most ETCD_OPS_MAX each */
    size_t then_count, otherwise_count;
};
void etcd_txn_encode(const struct etcd_txn *t, struct buf *out);
/* One operation that is a request of its own. */
void etcd_op_encode(const struct etcd_op *op, struct buf *out);

struct etcd_kv {
    const char *key;
    uint64_t created, changed; /* revisions */
    const uint8_t *value;
    size_t len;
};
struct etcd_range {
    struct etcd_kv *kvs;
    size_t count;
    uint64_t revision; /* in which it was answered; 0: it is of a transaction */
};
/* What it has is in arena, which the caller gives and ends. */
struct etcd_answer {
    bool succeeded; /* the comparisons held */
    uint64_t revision;
    size_t count; /* of operations; what was no range is empty */
    struct etcd_range ranges[ETCD_OPS_MAX];
};
/* ST_FORMAT, ST_NOMEM. */
CHECKED status_t etcd_txn_decode(const void *text, size_t len, struct arena *arena,
                                 struct etcd_answer *ret_answer, struct error *err);

/* Of a range that was a request of its own. Of a removal: nothing but the revision. */
CHECKED status_t etcd_range_decode(const void *text, size_t len, struct arena *arena,
                                   struct etcd_range *ret_range, struct error *err);

/* Of a grant, and (kept) of a renewal: *ret_ttl_s 0: the lease is over. */
CHECKED status_t etcd_lease_decode(const void *text, size_t len, bool kept, uint64_t *ret_id,
                                   uint64_t *ret_ttl_s, struct error *err);

/* What an answer that is none says. ST_LIMIT: there is no room; etcd may have made the change all the same.
 * ST_NOTFOUND: no such lease. ST_PERM. ST_INVAL: the request is too large, or etcd does not know it. ST_AGAIN: anything
 * else; nobody knows what was done. */
status_t etcd_error_decode(unsigned http_status, const void *text, size_t len, struct error *err);

#endif
