#include "events.h"

#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "proto/geds.h"
#include "sys/clock.h"

status_t events_init(struct events *e, struct error *err)
{
    *e = (struct events){0};
    int code = pthread_mutex_init(&e->m, NULL);
    e->first = e->next = clock_realtime_ns() / 1000 + 1; /* 0 has a meaning of its own */
    return code == 0 ? ST_OK : error_set_errno(err, code, "mutex");
}

/* Caller holds m. */
static void drop_first(struct events *e)
{
    struct event_record *r = &e->records[e->first % EVENTS_MAX];
    e->bytes -= r->len;
    e->first++;
    free(r->data);
    *r = (struct event_record){0};
}

/* The same. */
static void drop_all(struct events *e)
{
    while (e->first < e->next) {
        drop_first(e);
    }
}

void events_done(struct events *e)
{
    if (e->records != NULL) {
        drop_all(e);
    }
    free(e->records);
    pthread_mutex_destroy(&e->m);
}

static struct event_record encode(const struct store_event *from, uint64_t number, uint64_t now_ns)
{
    struct buf out = {0};
    const struct geds_wire_event w = {.number = number,
                                      .time_ns = now_ns,
                                      .kind = (uint8_t)from->kind,
                                      .bucket = from->bucket,
                                      .key = from->key,
                                      .from_bucket = from->from_bucket,
                                      .from_key = from->from_key,
                                      .info = {.size = from->info.size,
                                               .modified_ns = from->info.modified_ns,
                                               .etag = from->info.etag,
                                               .encrypted = from->info.encrypted}};
    geds_event_encode(&w, &out);
    if (out.failed) {
        buf_done(&out);
        return (struct event_record){0};
    }
    uint8_t *exact = realloc(out.data, out.len);
    return (struct event_record){.data = exact != NULL ? exact : out.data, .len = out.len};
}

/* Caller holds m. */
static void add(struct events *e, struct event_record r)
{
    while (e->first < e->next &&
           (e->next - e->first >= EVENTS_MAX || e->bytes + r.len > EVENTS_BYTES_MAX)) {
        drop_first(e);
    }
    e->records[e->next % EVENTS_MAX] = r;
    e->bytes += r.len;
    e->next++;
}

/* The last count of them. NULL: no memory. */
static struct event_record *encode_all(const struct changes *changes, size_t count, uint64_t number,
                                       uint64_t now_ns)
{
    struct event_record *records = calloc(count, sizeof *records);
    bool good = records != NULL;
    for (size_t i = 0; good && i < count; i++) {
        records[i] = encode(&changes->of[changes->count - count + i], number + i, now_ns);
        good = records[i].data != NULL;
    }
    for (size_t i = 0; !good && records != NULL && i < count; i++) {
        free(records[i].data);
    }
    if (!good) {
        free(records);
        return NULL;
    }
    return records;
}

/* The lock is taken once: who reads holds it for as long as it takes to look at many. */
void events_add(struct events *e, struct leases *l, const struct changes *changes, uint64_t now_ns)
{
    if (changes->count == 0) {
        return;
    }
    pthread_mutex_lock(&e->m);
    uint64_t end = e->next + changes->count; /* only this thread changes next */
    bool wanted = e->records != NULL;
    if (!wanted) {
        e->first = e->next = end;
    }
    pthread_mutex_unlock(&e->m);
    if (!wanted) {
        return;
    }
    size_t count = changes->count < EVENTS_MAX ? changes->count : EVENTS_MAX;
    struct event_record *records = encode_all(changes, count, end - count, now_ns);
    pthread_mutex_lock(&e->m);
    if (records == NULL || count < changes->count) { /* none is missing between others */
        drop_all(e);
        e->first = e->next = records == NULL ? end : end - count;
    }
    for (size_t i = 0; records != NULL && i < count; i++) {
        add(e, records[i]);
    }
    pthread_mutex_unlock(&e->m);
    free(records);
    leases_wake(l, end);
}

static bool is_name(const struct store_event_query *q, const char *bucket, const char *key)
{
    const char *prefix = q->prefix != NULL ? q->prefix : "";
    return bucket != NULL && key != NULL && strcmp(bucket, q->bucket) == 0 &&
           (q->exact ? strcmp(key, prefix) == 0 : strncmp(key, prefix, strlen(prefix)) == 0);
}

/* May a name that begins with key be one that is watched? */
static bool is_above(const struct store_event_query *q, const char *bucket, const char *key)
{
    const char *prefix = q->prefix != NULL ? q->prefix : "";
    return bucket != NULL && key != NULL && strcmp(bucket, q->bucket) == 0 &&
           strncmp(prefix, key, strlen(key)) == 0;
}

static bool matches(const struct store_event_query *q, const struct event_record *r)
{
    struct cursor c;
    struct geds_wire_event e;
    cursor_init(&c, r->data, r->len, 0);
    if (!geds_event_decode(&c, &e)) {
        return false;
    }
    return is_name(q, e.bucket, e.key) || is_name(q, e.from_bucket, e.from_key) ||
           (e.kind == STORE_RENAMED_PREFIX &&
            (is_above(q, e.bucket, e.key) || is_above(q, e.from_bucket, e.from_key)));
}

/* Caller holds m, and from is in the ring. */
static void read_some(struct events *e, const struct store_event_query *q, size_t room,
                      struct buf *out, struct store_events *ret_events)
{
    uint64_t at = q->from, end = e->next - at > EVENTS_SCAN_MAX ? at + EVENTS_SCAN_MAX : e->next;
    size_t before = out->len;
    for (; at < end && !out->failed; at++) {
        const struct event_record *r = &e->records[at % EVENTS_MAX];
        if (!matches(q, r)) {
            continue;
        }
        if (out->len - before + r->len > room) {
            break;
        }
        buf_bytes(out, r->data, r->len);
    }
    ret_events->next = at;
    ret_events->more = at < e->next;
}

status_t store_events_read(struct store *s, const struct store_event_query *query, size_t room,
                           struct buf *out, struct store_events *ret_events, struct error *err)
{
    struct events *e = &s->events;
    struct store_events found = {0};
    struct event_record *records = NULL;
    pthread_mutex_lock(&e->m);
    if (e->records == NULL) {
        e->records = records = calloc(EVENTS_MAX, sizeof *records);
    }
    bool good = e->records != NULL;
    if (query->from == 0 || query->from < e->first || query->from > e->next) {
        found.next = e->next;
        found.gap = query->from != 0;
    } else if (good) {
        read_some(e, query, room, out, &found);
    }
    pthread_mutex_unlock(&e->m);
    if (!good || out->failed) {
        return no_memory(err);
    }
    *ret_events = found;
    return ST_OK;
}
