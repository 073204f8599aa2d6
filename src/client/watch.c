#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lease.h"

/* Events (docs/internals/geds-events.md): the store is asked for what comes behind a number; when there is nothing, the
 * table that it shares says when there is. */

enum {
    ROOM_BYTES = 64 * 1024,
    WAIT_MS = 250,     /* before the connection is looked at */
    NO_TABLE_MS = 100, /* before the store is asked again */
};

struct geds_subscription {
    struct geds *store;
    char bucket[GEDS_BUCKET_MAX + 1];
    char prefix[GEDS_KEY_MAX + 1];
    bool exact;
    uint64_t next; /* number to ask for */
    uint64_t told; /* number behind the last event that was given */
    bool gap;      /* to be told */
    bool asked;    /* seen is of before that */
    uint32_t seen;
    uint8_t *data; /* ROOM_BYTES */
    struct cursor events;
};

/* What is there behind s->next. *ret_more: ask again. */
static status_t ask(struct geds_subscription *s, bool *ret_more, struct error *err)
{
    struct arena arena = {0};
    struct geds_answer a;
    struct pending p = {.data = s->data, .room = ROOM_BYTES};
    const struct geds_request r = {.bucket = s->bucket,
                                   .prefix = s->prefix,
                                   .flags = s->exact ? GEDS_EVENTS_EXACT : 0,
                                   .offset = s->next};
    s->seen = leases_events(s->store);
    status_t st = client_call(s->store, &p, GEDS_EVENTS, &r, NULL, &arena, &a, err);
    if (st == ST_OK && a.more && p.data_len == 0 && a.numbers[GEDS_N_NEXT] <= s->next) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "events that do not go on");
    }
    if (st == ST_OK) {
        s->next = a.numbers[GEDS_N_NEXT];
        s->gap = a.numbers[GEDS_N_GAP] != 0;
        s->asked = true;
        *ret_more = a.more;
        cursor_init(&s->events, s->data, p.data_len, 0);
    }
    pending_done(&p);
    arena_done(&arena);
    return st;
}

enum geds_code geds_subscribe(struct geds *g, const struct geds_watched *w,
                              struct geds_subscription **ret_subscription, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct geds_bucket ignored;
    bool more = false;
    const char *prefix = w->prefix != NULL ? w->prefix : "";
    status_t st = check_names(w->bucket, prefix[0] != '\0' ? prefix : NULL, &inner);
    if (st != ST_OK) {
        return give_error(st, &inner, err);
    }
    enum geds_code code = geds_bucket_status(g, w->bucket, &ignored, err);
    if (code != GEDS_OK) {
        return code;
    }
    struct geds_subscription *s = calloc(1, sizeof *s);
    if (s == NULL || (s->data = malloc(ROOM_BYTES)) == NULL) {
        geds_unsubscribe(s);
        st = error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        return give_error(st, &inner, err);
    }
    s->store = g;
    s->exact = w->exact;
    s->next = w->from;
    snprintf(s->bucket, sizeof s->bucket, "%s", w->bucket);
    snprintf(s->prefix, sizeof s->prefix, "%s", prefix);
    bool ignored_table = leases_want(g);
    (void)ignored_table; /* without it the store is asked more often */
    st = ask(s, &more, &inner);
    if (st != ST_OK) {
        geds_unsubscribe(s);
        return give_error(st, &inner, err);
    }
    s->asked = !more;
    s->told = w->from != 0 && !s->gap ? w->from : s->next;
    *ret_subscription = s;
    return GEDS_OK;
}

uint64_t geds_subscription_next(const struct geds_subscription *s)
{
    return s->told;
}

void geds_unsubscribe(struct geds_subscription *s)
{
    if (s != NULL) {
        free(s->data);
        free(s);
    }
}

static status_t take(struct geds_subscription *s, struct geds_event *ret_event, struct error *err)
{
    struct geds_wire_event e;
    if (!geds_event_decode(&s->events, &e) || e.kind < GEDS_CREATED || e.kind >= GEDS_GAP) {
        cursor_fail(&s->events, "an event of no kind");
        return cursor_status(&s->events, ST_CORRUPT, err);
    }
    s->told = e.number + 1;
    *ret_event = (struct geds_event){.number = e.number,
                                     .time_ns = e.time_ns,
                                     .kind = (enum geds_event_kind)e.kind,
                                     .bucket = e.bucket,
                                     .key = e.key,
                                     .from_bucket = e.from_bucket,
                                     .from_key = e.from_key};
    give_info(&e.info, &ret_event->info);
    return ST_OK;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static status_t none_came(struct error *err)
{
    return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "no event came");
}

/* Until it is time to ask again. just_asked: by this call, which ends at its time whatever else is told meanwhile.
 * ST_AGAIN: the time is over, or a signal came. */
static status_t wait_for_some(struct geds_subscription *s, uint64_t end_ms, bool just_asked,
                              struct error *err)
{
    bool table = leases_want(s->store);
    uint64_t now = now_ms(), left = end_ms > now ? end_ms - now : 0;
    if (table && leases_events(s->store) != s->seen) {
        s->asked = false;
        return left > 0 || !just_asked ? ST_OK : none_came(err);
    }
    uint64_t most = table ? WAIT_MS : NO_TABLE_MS;
    bool calm = left > 0 && leases_wait(s->store, s->seen, (unsigned)(left < most ? left : most));
    if (!client_look(s->store)) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "the connection to the store is lost");
    }
    s->asked = table;
    return calm ? ST_OK : none_came(err);
}

enum geds_code geds_next_event(struct geds_subscription *s, int timeout_ms,
                               struct geds_event *ret_event, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    uint64_t end_ms = timeout_ms >= 0 ? now_ms() + (uint64_t)timeout_ms : UINT64_MAX;
    status_t st = ST_OK;
    bool just_asked = false;
    s->asked = s->asked && leases_want(s->store);
    while (st == ST_OK) {
        bool more = false;
        if (s->gap) {
            s->gap = false;
            s->told = s->next;
            *ret_event = (struct geds_event){
                .number = s->next, .kind = GEDS_GAP, .bucket = s->bucket, .key = s->prefix};
            break;
        }
        if (cursor_left(&s->events) > 0) {
            st = take(s, ret_event, &inner);
            break;
        }
        if (s->asked) {
            st = wait_for_some(s, end_ms, just_asked, &inner);
        } else if ((st = ask(s, &more, &inner)) == ST_OK) {
            s->asked = !more;
            just_asked = true;
        }
    }
    return give_error(st, &inner, err);
}
