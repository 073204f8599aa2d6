#include <string.h>

#include "geds/peer/peers.h"
#include "task.h"

/* Nodes that have copies of extents. */

static status_t no_nodes(struct task *t)
{
    return error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "this store takes no nodes");
}

static status_t take_report(struct task *t, struct peer_report *ret_report)
{
    struct cursor c;
    uint64_t n[GEDS_R_COUNT];
    cursor_init(&c, t->rpc->data, t->rpc->data_bytes, 0);
    if (!geds_report_decode(&c, n)) {
        return cursor_status(&c, ST_FORMAT, &t->err);
    }
    if (!rpc_request_intact(t->rpc)) {
        return error_set(&t->err, ST_CORRUPT, ERROR_NO_OFFSET, "the numbers were damaged");
    }
    *ret_report = (struct peer_report){.copies = n[GEDS_R_COPIES],
                                       .bytes = n[GEDS_R_BYTES],
                                       .limit_bytes = n[GEDS_R_LIMIT_BYTES],
                                       .free_bytes = n[GEDS_R_FREE_BYTES],
                                       .bad = n[GEDS_R_BAD],
                                       .process = n[GEDS_R_PROCESS]};
    return ST_OK;
}

static status_t send_order(void *arg, const struct peer_order *o)
{
    static const uint64_t kinds[] = {
        [PEER_WELCOME] = GEDS_ORDER_WELCOME, [PEER_WRITE] = GEDS_ORDER_WRITE,
        [PEER_END] = GEDS_ORDER_END,         [PEER_READ] = GEDS_ORDER_READ,
        [PEER_REMOVE] = GEDS_ORDER_REMOVE,   [PEER_LIST] = GEDS_ORDER_LIST,
        [PEER_BYE] = GEDS_ORDER_BYE};
    struct task *t = arg;
    struct rpc_answer answer = {0};
    struct geds_answer a = {.numbers = {[GEDS_O_KIND] = kinds[o->kind],
                                        [GEDS_O_NUMBER] = o->number,
                                        [GEDS_O_EXTENT] = o->extent,
                                        [GEDS_O_NONCE] = o->nonce,
                                        [GEDS_O_OFFSET] = o->offset,
                                        [GEDS_O_BYTES] = o->bytes,
                                        [GEDS_O_SUM] = o->sum}};
    rpc_result_encode(ST_OK, NULL, &answer.args);
    geds_answer_encode(GEDS_NODE_JOIN, &a, &answer.args);
    buf_bytes(&answer.data, o->data, o->len);
    status_t st = task_reply_more(t, &answer);
    if (st != ST_OK) {
        buf_done(&answer.args);
        buf_done(&answer.data);
    }
    return st;
}

/* A right that was taken away ends the connection too. */
static bool is_wanted(void *arg)
{
    struct task *t = arg;
    return rpc_reply_is_wanted(t->reply) && task_permit(t) == ST_OK;
}

static void joined(void *arg, struct peer *peer)
{
    struct task *t = arg;
    pthread_mutex_lock(&t->session->m);
    t->session->peer = peer;
    pthread_mutex_unlock(&t->session->m);
}

status_t serve_node_join(struct task *t)
{
    struct peers *peers = t->session->context->peers;
    struct peer_report report;
    const struct peer_link link = {
        .send = send_order, .is_wanted = is_wanted, .joined = joined, .arg = t};
    if (peers == NULL) {
        return no_nodes(t);
    }
    if (t->rpc->room < PEER_PIECE_BYTES) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "needs room for %d bytes",
                         PEER_PIECE_BYTES);
    }
    pthread_mutex_lock(&t->session->m);
    bool is_node = t->session->peer != NULL;
    pthread_mutex_unlock(&t->session->m);
    if (is_node) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "the connection is a node's already");
    }
    status_t st = take_report(t, &report);
    return st == ST_OK ? peers_serve(peers, t->request.key,
                                     t->request.prefix != NULL ? t->request.prefix : "", &report,
                                     &link, &t->err)
                       : st;
}

/* An answer that nobody waits for any more is no error. */
status_t serve_node_done(struct task *t)
{
    status_t st = rpc_request_intact(t->rpc) ? rpc_status_of((uint16_t)t->request.flags)
                                             : ST_CORRUPT;
    if (t->request.flags > UINT16_MAX) {
        st = ST_IO;
    }
    pthread_mutex_lock(&t->session->m);
    struct peer *peer = t->session->peer;
    if (peer != NULL) {
        peers_done(peer, t->request.handle, st, t->rpc->data, t->rpc->data_bytes);
    }
    pthread_mutex_unlock(&t->session->m);
    return peer != NULL ? ST_OK
                        : error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no node has joined here");
}

status_t serve_node_report(struct task *t)
{
    struct peer_report report;
    status_t st = take_report(t, &report);
    if (st != ST_OK) {
        return st;
    }
    pthread_mutex_lock(&t->session->m);
    struct peer *peer = t->session->peer;
    if (peer != NULL) {
        peers_report(peer, &report, (t->request.flags & GEDS_REPORT_LEAVE) != 0,
                     &t->answer.numbers[GEDS_N_COUNT]);
    }
    pthread_mutex_unlock(&t->session->m);
    return peer != NULL ? ST_OK
                        : error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no node has joined here");
}

static void put_node(const struct peer_status *n, struct buf *out)
{
    static const uint8_t states[] = {[PEER_UP] = GEDS_WIRE_UP,
                                     [PEER_AWAY] = GEDS_WIRE_AWAY,
                                     [PEER_LOST] = GEDS_WIRE_LOST,
                                     [PEER_LEAVING] = GEDS_WIRE_LEAVING};
    const struct geds_wire_node w = {.name = n->name,
                                     .state = states[n->state],
                                     .seen_ns = n->seen_ns,
                                     .left = n->left,
                                     .numbers = {[GEDS_R_COPIES] = n->report.copies,
                                                 [GEDS_R_BYTES] = n->report.bytes,
                                                 [GEDS_R_LIMIT_BYTES] = n->report.limit_bytes,
                                                 [GEDS_R_FREE_BYTES] = n->report.free_bytes,
                                                 [GEDS_R_BAD] = n->report.bad,
                                                 [GEDS_R_PROCESS] = n->report.process}};
    geds_node_encode(&w, out);
}

status_t serve_node_list(struct task *t)
{
    struct peers *peers = t->session->context->peers;
    struct peers_status *s = arena_alloc(&t->arena, 1, sizeof *s);
    if (peers == NULL) {
        return no_nodes(t);
    }
    if (s == NULL) {
        return error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t st = peers_status(peers, s, &t->err);
    if (st != ST_OK) {
        return st;
    }
    uint64_t *n = t->answer.numbers;
    n[GEDS_N_LACKING] = s->lacking_count;
    n[GEDS_N_LACKING_BYTES] = s->lacking_bytes;
    n[GEDS_N_COPIED_BYTES] = s->copied_bytes;
    n[GEDS_N_COPY_READ_BYTES] = s->read_bytes;
    n[GEDS_N_COPY_REPAIRED] = s->repaired_count;
    n[GEDS_N_COPY_REMOVED] = s->removed_count;
    n[GEDS_N_COPY_LATE] = s->late_count;
    n[GEDS_N_COPY_ERRORS] = s->errors;
    for (size_t i = 0; i < s->count; i++) {
        put_node(&s->nodes[i], &t->out->data);
    }
    return t->out->data.len <= t->rpc->room
               ? ST_OK
               : error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "needs room for %zu bytes",
                           t->out->data.len);
}

status_t serve_node_change(struct task *t)
{
    struct peers *peers = t->session->context->peers;
    const char *name = t->request.prefix != NULL ? t->request.prefix : "";
    if (peers == NULL) {
        return no_nodes(t);
    }
    switch (t->request.flags) {
    case GEDS_NODE_LEAVE:
        return peers_leave(peers, name, &t->err);
    case GEDS_NODE_FORGET:
        return peers_forget(peers, name, &t->err);
    default:
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "no such change: %u",
                         t->request.flags);
    }
}

static bool goes_on(void *arg)
{
    const struct task *t = arg;
    return rpc_reply_is_wanted(t->reply);
}

status_t serve_tier_replicas(struct task *t)
{
    struct peers *peers = t->session->context->peers;
    unsigned replicas = 1;
    uint32_t what = t->request.flags;
    status_t st = ST_OK;
    if (what != GEDS_REPLICAS_ASK && peers == NULL) {
        return no_nodes(t);
    }
    if (what != GEDS_REPLICAS_ASK) {
        st = store_bucket_set_replicas(t->store, t->request.bucket, what, goes_on, t, &t->err);
        peers_trim(peers);
    }
    if (st == ST_OK) {
        st = store_bucket_replicas(t->store, t->request.bucket, &replicas, &t->err);
    }
    t->answer.numbers[GEDS_N_COUNT] = replicas;
    return st;
}
