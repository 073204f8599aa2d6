#ifndef GEDS_SERVE_TASK_H
#define GEDS_SERVE_TASK_H

#include <pthread.h>
#include <stdatomic.h>

#include "geds/serve/serve.h"
#include "proto/geds.h"

/* A put or an open object. */
struct handle {
    struct handle *next;
    uint32_t number;
    unsigned refs;         /* guarded by session.m; one is the table's */
    struct store_put *put; /* requests of one put are of one lane, so one thread has it */
    struct store_object *object;
    bool waits; /* bytes of object are in a tier: a read takes long. Guarded by session.m. */
};

/* Of one connection. */
struct session {
    const struct serve_context *context;
    bool local;                 /* immutable, and so are rights */
    struct serve_rights rights; /* of who is not local */
    pthread_mutex_t m;          /* guards the table */
    struct handle *handles;
    unsigned count;
    atomic_bool leases; /* its client has the counters of names */
    struct peer *peer;  /* the node that it is, while NODE_JOIN runs; guarded by m */
};

/* One request, while it is run. */
struct task {
    struct session *session;
    struct store *store;
    const struct rpc_request *rpc;
    struct rpc_reply *reply;
    struct rpc_answer *out;
    uint64_t more_bytes; /* that were sent before the last answer */
    struct arena arena;
    struct geds_request request;
    struct geds_answer answer; /* what is encoded when the operation succeeded */
    struct error err;
};

/* May the session do this? ST_PERM: err says what it would need. ST_UNSUPPORTED: nobody may who is not on this
 * machine. */
CHECKED status_t task_permit(struct task *t);
/* Is the session one for this bucket? */
bool task_has_bucket(const struct session *s, const char *bucket);

/* The handle of this number, whose reference ends with handle_drop. ST_INVAL: there is none. */
CHECKED status_t handle_find(struct task *t, struct handle **ret_handle);
/* A new one, in the table, for put or object, which it owns then. ST_LIMIT; ST_INVAL: the number is in use. */
CHECKED status_t handle_add(struct task *t, struct store_put *put, struct store_object *object);
/* Take it out of the table. */
void handle_remove(struct session *s, struct handle *h);
void handle_drop(struct session *s, struct handle *h);
/* Reads of it are not quick any more. */
void handle_waits(struct session *s, struct handle *h);

/* handle_find of an open object: ST_INVAL for a put. */
CHECKED status_t handle_find_object(struct task *t, struct handle **ret_handle);

/* Conversions of arguments; what they return is of the task. */
/* ST_INVAL: one that could not be sent as a header of HTTP, or is not the caller's to set. ST_NOMEM. */
CHECKED status_t task_attributes(struct task *t, const struct store_attributes **ret_attributes);
/* A key that objects get, or the beginning of such keys. ST_INVAL: it is no text, so XML could not have it. */
CHECKED status_t task_check_new_key(struct task *t, const char *key);
struct store_condition task_condition(const struct geds_wire_condition *c);
void task_info(struct task *t, const struct store_info *info);
CHECKED status_t task_set_attributes(struct task *t, const struct store_attributes *a);

/* rpc_reply_more; the task counts its bytes. */
CHECKED status_t task_reply_more(struct task *t, struct rpc_answer *answer);

/* meter.c; m may be NULL */
struct served {
    unsigned op;
    status_t status;
    uint64_t ns, received_bytes, sent_bytes;
    bool again; /* it is run once more, and counts then */
};
void serve_meter_begin(struct serve_meter *m);
void serve_meter_lease(struct serve_meter *m, bool begins);
void serve_meter_done(struct serve_meter *m, const struct served *d);

/* Objects and puts (objects.c), names and buckets (names.c). */
status_t serve_put(struct task *t);
status_t serve_put_begin(struct task *t);
status_t serve_put_write(struct task *t);
status_t serve_put_commit(struct task *t);
status_t serve_put_abort(struct task *t);
status_t serve_put_from(struct task *t);
status_t serve_put_write_at(struct task *t);
status_t serve_put_resize(struct task *t);
status_t serve_put_read(struct task *t);
status_t serve_append(struct task *t);
status_t serve_stat(struct task *t);
status_t serve_open(struct task *t);
status_t serve_read(struct task *t);
status_t serve_map(struct task *t);
status_t serve_close(struct task *t);
status_t serve_bucket_create(struct task *t);
status_t serve_bucket_delete(struct task *t);
status_t serve_bucket_stat(struct task *t);
status_t serve_bucket_list(struct task *t);
status_t serve_delete(struct task *t);
status_t serve_delete_many(struct task *t);
status_t serve_rename(struct task *t);
status_t serve_rename_prefix(struct task *t);
status_t serve_copy(struct task *t);
status_t serve_list(struct task *t);
status_t serve_fsck(struct task *t);
/* lease.c */
status_t serve_lease(struct task *t);
status_t serve_pieces(struct task *t);
/* events.c */
status_t serve_events(struct task *t);
/* move.c */
status_t serve_tier_move(struct task *t);
/* tier.c */
status_t serve_tier_status(struct task *t);
status_t serve_tier_keep(struct task *t);
status_t serve_tier_replicas(struct task *t);
status_t serve_tier_memory(struct task *t);
/* node.c */
status_t serve_node_join(struct task *t);
status_t serve_node_done(struct task *t);
status_t serve_node_report(struct task *t);
status_t serve_node_list(struct task *t);
status_t serve_node_change(struct task *t);
/* keys.c */
status_t serve_keys_list(struct task *t);
status_t serve_keys_change(struct task *t);
status_t serve_bucket_encrypt(struct task *t);
/* state.c */
status_t serve_state_copy(struct task *t);

#endif
