#include "task.h"

/* What becomes of names (docs/internals/geds-events.md). */

enum { EVENTS_ROOM_MIN = 4096 }; /* bytes; the largest event has fewer */

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
    t->answer.numbers[GEDS_N_NEXT] = events.next;
    t->answer.numbers[GEDS_N_GAP] = events.gap;
    t->answer.more = events.more;
    return st;
}
