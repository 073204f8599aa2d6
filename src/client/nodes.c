#include <stdlib.h>
#include <string.h>

#include "conn.h"

/* Nodes that have copies. */

enum { NODES_ROOM = 64 * 1024 };

static status_t take_nodes(const uint8_t *data, size_t len, struct geds_nodes *n, struct error *err)
{
    struct cursor c;
    struct geds_wire_node w;
    cursor_init(&c, data, len, 0);
    while (cursor_left(&c) > 0 && n->count < GEDS_NODES_MAX && geds_node_decode(&c, &w)) {
        struct geds_node *to = &n->nodes[n->count++];
        *to = (struct geds_node){
            .state = w.state <= GEDS_WIRE_LEAVING ? (enum geds_node_state)w.state : GEDS_NODE_AWAY,
            .seen_ns = w.seen_ns,
            .left = w.left,
            .copies = w.numbers[GEDS_R_COPIES],
            .bytes = w.numbers[GEDS_R_BYTES],
            .limit_bytes = w.numbers[GEDS_R_LIMIT_BYTES],
            .free_bytes = w.numbers[GEDS_R_FREE_BYTES],
            .bad = w.numbers[GEDS_R_BAD]};
        snprintf(to->name, sizeof to->name, "%s", w.name);
    }
    return cursor_status(&c, ST_CORRUPT, err);
}

enum geds_code geds_nodes(struct geds *g, struct geds_nodes *ret_nodes, struct geds_error *err)
{
    struct pending p = {.room = NODES_ROOM};
    struct arena arena = {0};
    struct geds_answer a;
    struct geds_nodes *n = calloc(1, sizeof *n);
    struct error inner = {.offset = ERROR_NO_OFFSET};
    uint8_t *data = p.data = malloc(NODES_ROOM);
    status_t st = n != NULL && data != NULL
                      ? ST_OK
                      : error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_NODE_LIST, &(struct geds_request){0}, NULL, &arena, &a,
                         &inner);
        if (st == ST_OK) {
            n->lacking_count = a.numbers[GEDS_N_LACKING];
            n->lacking_bytes = a.numbers[GEDS_N_LACKING_BYTES];
            n->copied_bytes = a.numbers[GEDS_N_COPIED_BYTES];
            n->read_bytes = a.numbers[GEDS_N_COPY_READ_BYTES];
            n->repaired = a.numbers[GEDS_N_COPY_REPAIRED];
            n->removed = a.numbers[GEDS_N_COPY_REMOVED];
            n->late = a.numbers[GEDS_N_COPY_LATE];
            n->errors = a.numbers[GEDS_N_COPY_ERRORS];
            st = take_nodes(data, p.data_len, n, &inner);
        }
        pending_done(&p);
    }
    if (st == ST_OK) {
        *ret_nodes = *n;
    }
    arena_done(&arena);
    free(data);
    free(n);
    return give_error(st, &inner, err);
}

static enum geds_code call(struct geds *g, enum geds_op op, const struct geds_request *r,
                           unsigned *ret_count, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = client_call(g, &p, op, r, NULL, &arena, &a, &inner);
    if (st == ST_OK && ret_count != NULL) {
        *ret_count = (unsigned)a.numbers[GEDS_N_COUNT];
    }
    pending_done(&p);
    arena_done(&arena);
    return give_error(st, &inner, err);
}

static enum geds_code change(struct geds *g, const char *name, uint32_t what,
                             struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    if (name == NULL || name[0] == '\0' || strlen(name) > GEDS_WIRE_NODE_MAX) {
        return give_error(error_set(&inner, ST_INVAL, ERROR_NO_OFFSET, "not a node's name"), &inner,
                          err);
    }
    return call(g, GEDS_NODE_CHANGE, &(struct geds_request){.prefix = name, .flags = what}, NULL,
                err);
}

enum geds_code geds_node_leave(struct geds *g, const char *name, struct geds_error *err)
{
    return change(g, name, GEDS_NODE_LEAVE, err);
}

enum geds_code geds_node_forget(struct geds *g, const char *name, struct geds_error *err)
{
    return change(g, name, GEDS_NODE_FORGET, err);
}

static enum geds_code replicas(struct geds *g, const char *bucket, uint32_t what,
                               unsigned *ret_replicas, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_names(bucket, NULL, &inner);
    return st == ST_OK
               ? call(g, GEDS_TIER_REPLICAS,
                      &(struct geds_request){.bucket = bucket, .flags = what}, ret_replicas, err)
               : give_error(st, &inner, err);
}

enum geds_code geds_bucket_set_replicas(struct geds *g, const char *bucket, unsigned count,
                                        struct geds_error *err)
{
    return replicas(g, bucket, count != GEDS_REPLICAS_ASK ? count : 0, NULL, err);
}

enum geds_code geds_bucket_replicas(struct geds *g, const char *bucket, unsigned *ret_replicas,
                                    struct geds_error *err)
{
    return replicas(g, bucket, GEDS_REPLICAS_ASK, ret_replicas, err);
}
