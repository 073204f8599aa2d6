#ifndef PROTO_GEDS_H
#define PROTO_GEDS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/cursor.h"

/* Requests and answers of the object store (docs/internals/geds-wire.md): what stands in the args of a frame. */

/* Numbers of the protocol. */
enum geds_op {
    GEDS_STATUS = 1,
    GEDS_BUCKET_CREATE,
    GEDS_BUCKET_DELETE,
    GEDS_BUCKET_STAT,
    GEDS_BUCKET_LIST,
    GEDS_PUT,
    GEDS_PUT_BEGIN,
    GEDS_PUT_WRITE,
    GEDS_PUT_COMMIT,
    GEDS_PUT_ABORT,
    GEDS_APPEND,
    GEDS_STAT,
    GEDS_OPEN,
    GEDS_READ,
    GEDS_CLOSE,
    GEDS_DELETE,
    GEDS_DELETE_MANY,
    GEDS_RENAME,
    GEDS_RENAME_PREFIX,
    GEDS_COPY,
    GEDS_LIST,
    GEDS_FSCK,
    GEDS_MAP,
    GEDS_PUT_FROM, /* drafts (docs/internals/geds-drafts.md) */
    GEDS_PUT_WRITE_AT,
    GEDS_PUT_RESIZE,
    GEDS_PUT_READ,
    GEDS_TIER_STATUS = 64, /* tiers: 64 to 79 */
    GEDS_TIER_MOVE,
    GEDS_TIER_KEEP,
    GEDS_TIER_REPLICAS,
    GEDS_TIER_MEMORY,
    GEDS_EVENTS = 80, /* events: 80 to 87 */
    GEDS_LEASE = 96,  /* leases: 96 to 103 */
    GEDS_PIECES,
    GEDS_KEYS_LIST = 104, /* encryption: 104 to 111 */
    GEDS_KEYS_CHANGE,
    GEDS_BUCKET_ENCRYPT,
    GEDS_NODE_JOIN = 112, /* nodes: 112 to 119 */
    GEDS_NODE_DONE,
    GEDS_NODE_REPORT,
    GEDS_NODE_LIST,
    GEDS_NODE_CHANGE,
    GEDS_STATE_COPY = 120, /* controllers that share a store: 120 to 127 */
    GEDS_OP_END
};

/* Numbers below GEDS_OP_END are no operations where there is a gap. */
bool geds_op_is_known(unsigned op);

enum {
    GEDS_WIRE_BUCKET_MAX = 63, /* bytes of these texts */
    GEDS_WIRE_KEY_MAX = 1024,
    GEDS_WIRE_ETAG_MAX = 47,
    GEDS_WIRE_ATTRIBUTES_MAX = 256, /* pairs */
    GEDS_WIRE_VALUE_MAX = 16 * 1024,
    GEDS_WIRE_KEYS_MAX = 1000, /* of one request; less if they are long */
    GEDS_WIRE_PATH_MAX = 4096,
    GEDS_WIRE_TEXT_MAX = 512,
    GEDS_WIRE_NODE_MAX = 63,
};

struct geds_wire_pair {
    const char *name;
    const char *value;
};
struct geds_wire_attributes {
    bool given;               /* false: those of the source, or none */
    const char *content_type; /* or NULL */
    const struct geds_wire_pair *pairs;
    size_t count;
};
struct geds_wire_condition {
    bool if_none;
    const char *if_match; /* or NULL */
};
struct geds_wire_info {
    uint64_t size;
    uint64_t modified_ns; /* below 2^63 */
    const char *etag;
    bool encrypted; /* the highest bit of the time */
};

/* What an operation does not have is zero. Texts may be NULL where an operation allows it. */
struct geds_request {
    const char *bucket, *key;
    const char *to_bucket, *to_key;
    const char *prefix, *to_prefix, *delimiter, *after;
    struct geds_wire_attributes attributes;
    struct geds_wire_condition condition;
    struct geds_wire_condition from_condition;
    uint32_t handle;
    uint32_t max;
    uint32_t flags;
    uint64_t offset; /* bytes; of a commit and PUT_RESIZE: the size */
    const char *const *keys;
    size_t key_count;
};
enum { GEDS_EVENTS_EXACT = 1 };                    /* flags: prefix is a whole key */
enum { GEDS_FSCK_REPAIR = 1, GEDS_FSCK_TIER = 2 }; /* flags */

enum { GEDS_NUMBERS_MAX = 8 };
struct geds_answer {
    struct geds_wire_info info;
    struct geds_wire_attributes attributes;
    const char *texts[4]; /* STATUS: version, state folder, addresses: S3, metrics or "" */
    uint64_t numbers[GEDS_NUMBERS_MAX]; /* see the enums below */
    bool more;
    const uint8_t *codes; /* DELETE_MANY: key_count of 16 bits each, little-endian */
    size_t code_count;
};
enum { GEDS_N_BUCKETS, GEDS_N_OBJECTS, GEDS_N_BYTES, GEDS_N_UPLOADS, GEDS_N_PROCESS }; /* STATUS */
enum { GEDS_N_CREATED, GEDS_N_IN_BUCKET, GEDS_N_BUCKET_BYTES }; /* BUCKET_STAT */
enum { GEDS_N_COUNT };                                          /* RENAME_PREFIX */
enum { GEDS_N_SEEN, GEDS_N_EXTENTS, GEDS_N_READ, GEDS_N_FINDINGS, GEDS_N_REPAIRED }; /* FSCK */

enum { GEDS_N_NEXT, GEDS_N_GAP }; /* EVENTS */
/* STATE_COPY: of the data of all answers but the last, which is the database; CRC32C. */
enum { GEDS_N_STATE_BYTES, GEDS_N_STATE_CRC };

/* Append a request. The fields that op has are taken. out->failed: no memory, or a text is too long. */
void geds_request_encode(enum geds_op op, const struct geds_request *r, struct buf *out);
/* Texts are borrowed from args, arrays are of the arena. ST_UNSUPPORTED: no such operation. ST_FORMAT: malformed. */
CHECKED status_t geds_request_decode(unsigned op, const void *args, size_t len, struct arena *arena,
                                     struct geds_request *ret_request, struct error *err);

/* Is there such an operation? */
bool geds_op_is_known(unsigned op);

/* The results of an answer, behind its code. */
void geds_answer_encode(enum geds_op op, const struct geds_answer *a, struct buf *out);
/* ST_CORRUPT: malformed. */
CHECKED status_t geds_answer_decode(enum geds_op op, struct cursor *c, struct arena *arena,
                                    struct geds_answer *ret_answer, struct error *err);

/* Data of LIST: entries one behind the other. */
struct geds_wire_entry {
    const char *key;
    bool is_prefix;
    struct geds_wire_info info;
};
void geds_entry_encode(const struct geds_wire_entry *e, struct buf *out);
/* key and etag are borrowed. False: malformed; c->failed is set. */
bool geds_entry_decode(struct cursor *c, struct geds_wire_entry *ret_entry);

/* Data of BUCKET_LIST. */
struct geds_wire_bucket {
    const char *name;
    uint64_t created_ns, objects, bytes;
};
void geds_bucket_encode(const struct geds_wire_bucket *b, struct buf *out);
bool geds_bucket_decode(struct cursor *c, struct geds_wire_bucket *ret_bucket);

/* Data of MAP: the bytes of each piece whose descriptor comes along. */
void geds_piece_encode(uint64_t bytes, struct buf *out);
bool geds_piece_decode(struct cursor *c, uint64_t *ret_bytes);

/* Data of PIECES: of each piece whose descriptor comes along, its bytes and the checksums of its blocks. */
struct geds_wire_piece {
    uint64_t bytes;
    const uint8_t *sums; /* sum_count of 32 bits each, little-endian */
    size_t sum_count;
};
enum { GEDS_WIRE_SUMS_MAX = 16384, GEDS_WIRE_PIECE_HEAD = 12 /* bytes */ };
void geds_sums_encode(const struct geds_wire_piece *p, struct buf *out);
/* sums are borrowed. False: malformed; c->failed is set. */
bool geds_sums_decode(struct cursor *c, struct geds_wire_piece *ret_piece);

/* Data of EVENTS. */
struct geds_wire_event {
    uint64_t number;
    uint64_t time_ns;
    uint8_t kind; /* of enum store_event_kind, geds_event_kind */
    const char *bucket, *key;
    const char *from_bucket, *from_key; /* or NULL */
    struct geds_wire_info info;
};
void geds_event_encode(const struct geds_wire_event *e, struct buf *out);
/* Texts are borrowed. False: malformed; c->failed is set. */
bool geds_event_decode(struct cursor *c, struct geds_wire_event *ret_event);
/* Data of TIER_STATUS: numbers in this order; a later version has more of them behind these. */
enum geds_tier_number {
    GEDS_T_LOCAL_COUNT,
    GEDS_T_LOCAL_BYTES,
    GEDS_T_SENT_COUNT,
    GEDS_T_SENT_BYTES,
    GEDS_T_AWAY_COUNT,
    GEDS_T_AWAY_BYTES,
    GEDS_T_GONE_COUNT,
    GEDS_T_GONE_BYTES,
    GEDS_T_KEPT_COUNT,
    GEDS_T_KEPT_BYTES,
    GEDS_T_EAGER_COUNT,
    GEDS_T_EAGER_BYTES,
    GEDS_T_LOCAL_READS,
    GEDS_T_REMOTE_READS,
    GEDS_T_CACHE_HITS,
    GEDS_T_CACHE_BYTES,
    GEDS_T_CACHE_MAX,
    GEDS_T_FETCHED_BYTES,
    GEDS_T_RECALLED_COUNT,
    GEDS_T_RECALLED_BYTES,
    GEDS_T_SPILLED_COUNT,
    GEDS_T_SPILLED_BYTES,
    GEDS_T_DROPPED_COUNT,
    GEDS_T_DROPPED_BYTES,
    GEDS_T_DELETED_COUNT,
    GEDS_T_DAMAGED,
    GEDS_T_REPAIRED,
    GEDS_T_BAD,
    GEDS_T_ERRORS,
    GEDS_T_HIGH_BYTES,
    GEDS_T_LOW_BYTES,
    GEDS_T_BACKLOG_BYTES,
    GEDS_T_SPILL_RATE,
    GEDS_T_READ_RATE,
    GEDS_T_AWAY_SINCE_NS,
    GEDS_T_MEMORY_BUDGET, /* bytes; 0: nothing is kept in memory */
    GEDS_T_MEMORY_LIMIT_BYTES,
    GEDS_T_MEMORY_LIMIT, /* GEDS_MEMORY_* */
    GEDS_T_MEMORY_COUNT,
    GEDS_T_MEMORY_BYTES,
    GEDS_T_MEMORY_WAITING,
    GEDS_T_MEMORY_PROMOTED,
    GEDS_T_MEMORY_PROMOTED_BYTES,
    GEDS_T_MEMORY_EVICTED,
    GEDS_T_MEMORY_EVICTED_BYTES,
    GEDS_T_MEMORY_LEFT,
    GEDS_T_MEMORY_READS,
    GEDS_T_DISK_READS,
    GEDS_T_SCRUB_RATE, /* bytes a second; 0: nothing is compared in the background */
    GEDS_T_SCRUB_COUNT,
    GEDS_T_SCRUB_BYTES,
    GEDS_T_SCRUB_DAMAGED,
    GEDS_T_SCRUB_WITHOUT_COPY,
    GEDS_T_SCRUB_PASSES,
    GEDS_T_SCRUB_BEGAN_NS,
    GEDS_T_SCRUB_ENDED_NS,
    GEDS_T_COUNT
};
struct geds_wire_tier {
    uint64_t numbers[GEDS_T_COUNT];
    const char *name;     /* NULL: there is no tier */
    const char *endpoint; /* or NULL */
    const char *error;    /* or NULL */
};
void geds_tier_encode(const struct geds_wire_tier *t, struct buf *out);
bool geds_tier_decode(struct cursor *c, struct geds_wire_tier *ret_tier);

/* TIER_MOVE: flags are what is wanted, whether prefix is an object's key or a beginning of keys, and how many copies
 * there are to be (of MOVE_NODES alone). Data of each answer but the last, and numbers of that: what is done so far. */
enum {
    GEDS_MOVE_SPILL,
    GEDS_MOVE_RECALL,
    GEDS_MOVE_PIN,
    GEDS_MOVE_UNPIN,
    GEDS_MOVE_LOCAL, /* as RECALL, also of a store without a tier, and out of memory */
    GEDS_MOVE_MEMORY,
    GEDS_MOVE_NODES,
    GEDS_MOVE_WHAT = 15, /* the bits of the former */
    GEDS_MOVE_PREFIX = 16,
    GEDS_MOVE_COPIES_SHIFT = 8
};
enum { GEDS_N_MOVED_OBJECTS, GEDS_N_MOVED_EXTENTS, GEDS_N_MOVED_BYTES, GEDS_N_MOVED_KEPT };
/* TIER_KEEP: flags are what a bucket says from now on, or that it is only asked for; GEDS_N_COUNT of the answer:
 * what it says. */
enum { GEDS_KEEP_WATERMARK, GEDS_KEEP_NEVER, GEDS_KEEP_EAGER, GEDS_KEEP_ASK };

/* TIER_REPLICAS: flags are how many copies what is written into a bucket has from now on, or that it is asked for;
 * GEDS_N_COUNT of the answer: how many. */
#define GEDS_REPLICAS_ASK UINT32_MAX
/* TIER_MEMORY: flags are whether what is written into and read from a bucket is kept in memory from now on, or that it
 * is asked for; GEDS_N_COUNT of the answer: 1: it is. */
enum { GEDS_MEMORY_OFF, GEDS_MEMORY_ON, GEDS_MEMORY_ASK };
enum { GEDS_MEMORY_NOT_LIMITED, GEDS_MEMORY_LOCK_LIMIT, GEDS_MEMORY_NONE_FREE };

/* Nodes (docs/internals/geds-peers.md). NODE_JOIN: key is the node's id, prefix its name. Numbers of each of its
 * answers: an order; and what is asked for. */
enum {
    GEDS_O_KIND,
    GEDS_O_NUMBER,
    GEDS_O_EXTENT,
    GEDS_O_NONCE,
    GEDS_O_OFFSET,
    GEDS_O_BYTES,
    GEDS_O_SUM
};
enum geds_order {
    GEDS_ORDER_WELCOME = 1, /* extent, nonce: the store's id */
    GEDS_ORDER_WRITE,       /* data at offset of a copy of so many bytes */
    GEDS_ORDER_END,         /* sum: CRC32C of the sums of its blocks */
    GEDS_ORDER_READ,        /* bytes at offset */
    GEDS_ORDER_REMOVE,
    GEDS_ORDER_LIST, /* behind extent and nonce: geds_copy_encode */
    GEDS_ORDER_BYE,  /* sum 1: it has left; 0: another one of its id is there */
};
/* NODE_DONE: handle is the order's number, flags its code (rpc_code_of), offset a number; data: bytes, or a text. */
enum { GEDS_REPORT_LEAVE = 1 }; /* NODE_REPORT: flags */
/* Data of NODE_JOIN and NODE_REPORT: numbers in this order; a later version has more of them behind these. */
enum geds_report_number {
    GEDS_R_COPIES, /* on its disk */
    GEDS_R_BYTES,
    GEDS_R_LIMIT_BYTES, /* it offers */
    GEDS_R_FREE_BYTES,  /* of that, or of its disk if that is less */
    GEDS_R_BAD,         /* copies that did not match, since its start */
    GEDS_R_PROCESS,
    GEDS_R_COUNT
};
void geds_report_encode(const uint64_t numbers[GEDS_R_COUNT], struct buf *out);
bool geds_report_decode(struct cursor *c, uint64_t ret_numbers[GEDS_R_COUNT]);
/* Answered to GEDS_ORDER_LIST, one behind the other. */
struct geds_wire_copy {
    uint64_t extent, nonce, bytes;
};
enum { GEDS_WIRE_COPY_BYTES = 24 };
void geds_copy_encode(const struct geds_wire_copy *copy, struct buf *out);
bool geds_copy_decode(struct cursor *c, struct geds_wire_copy *ret_copy);

/* NODE_LIST: numbers of the answer, and its data. */
enum {
    GEDS_N_LACKING, /* extents with fewer copies than are wanted */
    GEDS_N_LACKING_BYTES,
    GEDS_N_COPIED_BYTES, /* to nodes, since the start */
    GEDS_N_COPY_READ_BYTES,
    GEDS_N_COPY_REPAIRED, /* local extents, from copies */
    GEDS_N_COPY_REMOVED,
    GEDS_N_COPY_LATE, /* writes that were answered before their copies were made */
    GEDS_N_COPY_ERRORS
};
enum geds_wire_state { GEDS_WIRE_UP, GEDS_WIRE_AWAY, GEDS_WIRE_LOST, GEDS_WIRE_LEAVING };
struct geds_wire_node {
    const char *name;
    uint8_t state;    /* enum geds_wire_state */
    uint64_t seen_ns; /* since the epoch */
    uint64_t left;    /* copies to look at before it may go */
    uint64_t numbers[GEDS_R_COUNT];
};
void geds_node_encode(const struct geds_wire_node *n, struct buf *out);
bool geds_node_decode(struct cursor *c, struct geds_wire_node *ret_node);
/* NODE_CHANGE: prefix is the node's name, flags what is wanted. */
enum { GEDS_NODE_LEAVE, GEDS_NODE_FORGET };

/* Data of KEYS_LIST: master keys one behind the other. */
struct geds_wire_key {
    uint64_t id, extents;
    uint8_t flags;
};
enum { GEDS_KEY_THERE = 1, GEDS_KEY_NEWEST = 2 };
void geds_key_encode(const struct geds_wire_key *k, struct buf *out);
bool geds_key_decode(struct cursor *c, struct geds_wire_key *ret_key);
/* KEYS_CHANGE: flags are what is wanted, offset the key that goes. Numbers of the answer, and data of each answer but
 * the last, which have the latter two: the newest key, extents that need it now, those whose key is missing. */
enum { GEDS_KEYS_ROTATE, GEDS_KEYS_DROP };
enum { GEDS_N_KEY, GEDS_N_REWRAPPED, GEDS_N_KEYLESS };
/* BUCKET_ENCRYPT: flags are the rule from now on, or that it is asked for; GEDS_N_COUNT of the answer: the rule. */
enum { GEDS_ENCRYPT_OFF, GEDS_ENCRYPT_ON, GEDS_ENCRYPT_ASK };

/* Data of FSCK. */
struct geds_wire_finding {
    uint32_t kind; /* of enum store_damage */
    uint64_t extent, offset;
    const char *text;
};
void geds_finding_encode(const struct geds_wire_finding *f, struct buf *out);
bool geds_finding_decode(struct cursor *c, struct geds_wire_finding *ret_finding);

#endif
