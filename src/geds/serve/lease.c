#include <unistd.h>

#include "geds/tiers.h"
#include "task.h"

/* What clients need to read without asking (docs/internals/geds-leases.md). */

status_t serve_lease(struct task *t)
{
    uint64_t bytes[STORE_LEASE_FILES];
    if (t->rpc->room < sizeof bytes) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "leases need room for %zu bytes",
                         sizeof bytes);
    }
    status_t st = store_lease_files(t->store, t->out->passed, bytes, &t->err);
    for (size_t i = 0; st == ST_OK && i < STORE_LEASE_FILES; i++) {
        geds_piece_encode(bytes[i], &t->out->data);
        t->out->passed_count++;
    }
    if (st == ST_OK && !atomic_exchange(&t->session->leases, true)) {
        serve_meter_lease(t->session->context->meter, true);
    }
    return st;
}

/* The file of one piece and its sums. *ret_fits: false when there is no room for it. */
static status_t add_piece(struct task *t, struct store_object *o, size_t index, bool *ret_fits)
{
    struct rpc_answer *out = t->out;
    struct buf sums = {0};
    uint64_t bytes = 0;
    int fd = -1;
    status_t st = store_object_sums(o, index, &sums, &t->err);
    *ret_fits = st == ST_OK && sums.len / 4 <= GEDS_WIRE_SUMS_MAX &&
                out->data.len + GEDS_WIRE_PIECE_HEAD + sums.len <= t->rpc->room;
    if (*ret_fits) {
        st = store_object_piece(o, index, &fd, &bytes, &t->err);
    }
    if (st == ST_OK && *ret_fits) {
        const struct geds_wire_piece p = {
            .bytes = bytes, .sums = sums.data, .sum_count = sums.len / 4};
        geds_sums_encode(&p, &out->data);
        out->passed[out->passed_count++] = fd;
    }
    buf_done(&sums);
    return st;
}

/* As many as one answer can have, from number max on. */
status_t serve_pieces(struct task *t)
{
    struct handle *h = NULL;
    bool fits = true;
    status_t st = handle_find_object(t, &h);
    if (st != ST_OK) {
        return st;
    }
    if (store_object_is_away(h->object)) { /* clients ask for its bytes: none are fetched before */
        st = error_set(&t->err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "its bytes are in a tier");
    }
    /* ... but those of an encrypted one always: it has no files, and who is told so does not ask again */
    fits = !store_object_info(h->object)->encrypted;
    while (st == ST_OK && fits && t->out->passed_count < RPC_PASSED_MAX) {
        st = add_piece(t, h->object, (size_t)t->request.max + t->out->passed_count, &fits);
    }
    t->answer.more = st == ST_OK && !store_object_info(h->object)->encrypted;
    handle_drop(t->session, h);
    return st == ST_NOTFOUND ? ST_OK : st;
}
