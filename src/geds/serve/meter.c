#include <stdlib.h>

#include "task.h"

/* What is counted of requests: cloudskin_rpc_*. */

static const char *const names[GEDS_OP_END] = {
    [GEDS_STATUS] = "status",
    [GEDS_BUCKET_CREATE] = "bucket_create",
    [GEDS_BUCKET_DELETE] = "bucket_delete",
    [GEDS_BUCKET_STAT] = "bucket_stat",
    [GEDS_BUCKET_LIST] = "bucket_list",
    [GEDS_PUT] = "put",
    [GEDS_PUT_BEGIN] = "put_begin",
    [GEDS_PUT_WRITE] = "put_write",
    [GEDS_PUT_COMMIT] = "put_commit",
    [GEDS_PUT_ABORT] = "put_abort",
    [GEDS_PUT_FROM] = "put_from",
    [GEDS_PUT_WRITE_AT] = "put_write_at",
    [GEDS_PUT_RESIZE] = "put_resize",
    [GEDS_PUT_READ] = "put_read",
    [GEDS_APPEND] = "append",
    [GEDS_STAT] = "stat",
    [GEDS_OPEN] = "open",
    [GEDS_READ] = "read",
    [GEDS_CLOSE] = "close",
    [GEDS_DELETE] = "delete",
    [GEDS_DELETE_MANY] = "delete_many",
    [GEDS_RENAME] = "rename",
    [GEDS_RENAME_PREFIX] = "rename_prefix",
    [GEDS_COPY] = "copy",
    [GEDS_LIST] = "list",
    [GEDS_FSCK] = "fsck",
    [GEDS_MAP] = "map",
    [GEDS_EVENTS] = "events",
    [GEDS_LEASE] = "lease",
    [GEDS_PIECES] = "pieces",
    [GEDS_TIER_STATUS] = "tier_status",
    [GEDS_TIER_MOVE] = "tier_move",
    [GEDS_TIER_KEEP] = "tier_keep",
    [GEDS_KEYS_LIST] = "keys_list",
    [GEDS_KEYS_CHANGE] = "keys_change",
    [GEDS_BUCKET_ENCRYPT] = "bucket_encrypt",
    [GEDS_TIER_REPLICAS] = "tier_replicas",
    [GEDS_TIER_MEMORY] = "tier_memory",
    [GEDS_NODE_JOIN] = "node_join",
    [GEDS_NODE_DONE] = "node_done",
    [GEDS_NODE_REPORT] = "node_report",
    [GEDS_NODE_LIST] = "node_list",
    [GEDS_NODE_CHANGE] = "node_change",
    [GEDS_STATE_COPY] = "state_copy",
};
static const char unknown[] = "unknown";

/* What a store does not answer: they are of guests. */
static const bool is_no_answer[ST_COUNT] = {[ST_LINK] = true,
                                            [ST_TRAP] = true,
                                            [ST_EXIT] = true,
                                            [ST_EXCEPTION] = true,
                                            [ST_CAPTURED] = true};

struct operation {
    struct metrics_series *requests[ST_COUNT];
    struct metrics_series *seconds, *received, *sent;
};

struct serve_meter {
    struct metrics_series *in_flight, *leases;
    struct operation operations[GEDS_OP_END]; /* 0: unknown */
};

static const struct metrics_family requests = {
    .name = "cloudskin_rpc_requests_total",
    .help = "Requests of the store's own protocol that are over, by operation and status.",
    .type = METRICS_COUNTER,
    .labels = {"operation", "status"},
    .sparse = true};
static const struct metrics_family seconds = {
    .name = "cloudskin_rpc_request_duration_seconds",
    .help = "Time that a request of the store's own protocol was worked at.",
    .type = METRICS_HISTOGRAM,
    .unit = METRICS_NS,
    .labels = {"operation"},
    .bounds = metrics_request_bounds,
    .bound_count = METRICS_REQUEST_BOUNDS,
    .sparse = true};
static const struct metrics_family received = {
    .name = "cloudskin_rpc_received_bytes_total",
    .help = "Bytes of objects in requests of the store's own protocol.",
    .type = METRICS_COUNTER,
    .labels = {"operation"},
    .sparse = true};
static const struct metrics_family sent = {
    .name = "cloudskin_rpc_sent_bytes_total",
    .help = "Bytes of objects and entries of lists in answers of the store's own protocol.",
    .type = METRICS_COUNTER,
    .labels = {"operation"},
    .sparse = true};
static const struct metrics_family in_flight = {
    .name = "cloudskin_rpc_requests_in_flight",
    .help = "Requests of the store's own protocol that are being worked at.",
    .type = METRICS_GAUGE};

static const struct metrics_family leases = {
    .name = "cloudskin_rpc_lease_holders",
    .help = "Connections whose clients read hot objects without asking the store.",
    .type = METRICS_GAUGE};

static status_t add_operation(struct metrics *metrics, const size_t ids[4], const char *name,
                              struct operation *o, struct error *err)
{
    const char *values[2] = {name};
    status_t st = metrics_add_series(metrics, ids[1], values, &o->seconds, err);
    if (st == ST_OK) {
        st = metrics_add_series(metrics, ids[2], values, &o->received, err);
    }
    if (st == ST_OK) {
        st = metrics_add_series(metrics, ids[3], values, &o->sent, err);
    }
    for (size_t i = 0; i < ST_COUNT && st == ST_OK; i++) {
        values[1] = status_name((status_t)i);
        if (!is_no_answer[i]) {
            st = metrics_add_series(metrics, ids[0], values, &o->requests[i], err);
        }
    }
    return st;
}

status_t serve_meter_new(struct metrics *metrics, struct serve_meter **ret_meter, struct error *err)
{
    const struct metrics_family *const families[] = {&requests, &seconds, &received, &sent};
    size_t ids[4];
    struct serve_meter *m = calloc(1, sizeof *m);
    status_t st = m != NULL ? metrics_add_one(metrics, &in_flight, &m->in_flight, err)
                            : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    if (st == ST_OK) {
        st = metrics_add_one(metrics, &leases, &m->leases, err);
    }
    for (size_t i = 0; i < 4 && st == ST_OK; i++) {
        st = metrics_add_family(metrics, families[i], &ids[i], err);
    }
    if (st == ST_OK) {
        st = add_operation(metrics, ids, unknown, &m->operations[0], err);
    }
    for (size_t i = 0; i < GEDS_OP_END && st == ST_OK; i++) {
        if (names[i] != NULL) {
            st = add_operation(metrics, ids, names[i], &m->operations[i], err);
        }
    }
    if (st != ST_OK) {
        free(m);
        return st;
    }
    *ret_meter = m;
    return ST_OK;
}

void serve_meter_free(struct serve_meter *m)
{
    free(m);
}

static struct operation *operation_of(struct serve_meter *m, unsigned op)
{
    return &m->operations[geds_op_is_known(op) ? op : 0];
}

void serve_meter_begin(struct serve_meter *m)
{
    if (m != NULL) {
        metrics_add(m->in_flight, 1);
    }
}

void serve_meter_lease(struct serve_meter *m, bool begins)
{
    if (m != NULL && begins) {
        metrics_add(m->leases, 1);
    } else if (m != NULL) {
        metrics_sub(m->leases, 1);
    }
}

void serve_meter_done(struct serve_meter *m, const struct served *d)
{
    if (m == NULL) {
        return;
    }
    metrics_sub(m->in_flight, 1);
    if (d->again) {
        return;
    }
    struct operation *o = operation_of(m, d->op);
    metrics_add(o->received, d->received_bytes);
    metrics_add(o->sent, d->sent_bytes);
    metrics_observe(o->seconds, d->ns);
    metrics_add(o->requests[d->status], 1);
}
