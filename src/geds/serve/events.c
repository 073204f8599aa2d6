#include "task.h"

/* What becomes of names (docs/internals/geds-events.md). */

enum { EVENTS_ROOM_MIN = 4096 }; /* bytes; the largest event has fewer */

/* Of a rename from a bucket to another, of which the session may see one only, that one is told: a name that came, or
 * one that went. What is left is not longer. */
static void hide_other(const struct session *s, struct geds_wire_event *e)
{
    static const struct geds_wire_info none = {.etag = ""};
    if (e->from_bucket == NULL || e->from_key == NULL) {
        return;
    }
    if (!task_has_bucket(s, e->bucket)) {
        e->kind = STORE_DELETED;
        e->bucket = e->from_bucket;
        e->key = e->from_key;
        e->info = none;
    } else if (!task_has_bucket(s, e->from_bucket)) {
        e->kind = STORE_CREATED;
    } else {
        return;
    }
    e->from_bucket = e->from_key = NULL;
}

static status_t hide_others(struct task *t)
{
    struct buf *data = &t->out->data, seen = {0};
    struct cursor c;
    struct geds_wire_event e;
    cursor_init(&c, data->data, data->len, 0);
    while (cursor_left(&c) > 0 && geds_event_decode(&c, &e)) {
        hide_other(t->session, &e);
        geds_event_encode(&e, &seen);
    }
    status_t st = cursor_status(&c, ST_CORRUPT, &t->err);
    if (st == ST_OK && seen.failed) {
        st = error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st != ST_OK) {
        buf_done(&seen);
        return st;
    }
    buf_done(data);
    *data = seen;
    return ST_OK;
}

status_t serve_events(struct task *t)
{
    const struct geds_request *r = &t->request;
    const struct store_event_query query = {.bucket = r->bucket,
                                            .prefix = r->prefix,
                                            .exact = (r->flags & GEDS_EVENTS_EXACT) != 0,
                                            .from = r->offset};
    struct store_events events = {0};
    if (t->rpc->room < EVENTS_ROOM_MIN) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "events need room for %d bytes",
                         EVENTS_ROOM_MIN);
    }
    status_t st = store_events_read(t->store, &query, t->rpc->room, &t->out->data, &events,
                                    &t->err);
    if (st == ST_OK && !t->session->local && t->session->rights.bucket_count > 0) {
        st = hide_others(t);
    }
    t->answer.numbers[GEDS_N_NEXT] = events.next;
    t->answer.numbers[GEDS_N_GAP] = events.gap;
    t->answer.more = events.more;
    return st;
}
