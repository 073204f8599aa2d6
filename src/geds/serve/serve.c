#include "task.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"
#include "geds/tiers.h"
#include "sys/clock.h"

enum { QUICK_READ_BYTES = 64 * 1024 };

static void *session_new(void *ctx, const struct rpc_peer *peer, struct error *err)
{
    const struct serve_context *context = ctx;
    const struct serve_access *access = context->access;
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL || pthread_mutex_init(&s->m, NULL) != 0) {
        free(s);
        error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        return NULL;
    }
    s->context = context;
    s->local = peer->local;
    status_t st = s->local ? ST_OK
                  : access != NULL
                      ? access->admit(access->ctx, peer, &s->rights, err)
                      : error_set(err, ST_PERM, ERROR_NO_OFFSET, "the store is another user's");
    if (st != ST_OK) {
        pthread_mutex_destroy(&s->m);
        free(s);
        return NULL;
    }
    return s;
}

static void handle_free(struct handle *h)
{
    store_put_abort(h->put);
    store_object_close(h->object);
    free(h);
}

static void session_free(void *session)
{
    struct session *s = session;
    while (s->handles != NULL) {
        struct handle *h = s->handles;
        s->handles = h->next;
        handle_free(h);
    }
    if (atomic_load(&s->leases)) {
        serve_meter_lease(s->context->meter, false);
    }
    pthread_mutex_destroy(&s->m);
    free(s);
}

status_t handle_find(struct task *t, struct handle **ret_handle)
{
    struct session *s = t->session;
    pthread_mutex_lock(&s->m);
    struct handle *h = s->handles;
    while (h != NULL && h->number != t->request.handle) {
        h = h->next;
    }
    if (h != NULL) {
        h->refs++;
    }
    pthread_mutex_unlock(&s->m);
    if (h == NULL) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "nothing is open as %u",
                         t->request.handle);
    }
    *ret_handle = h;
    return ST_OK;
}

status_t handle_add(struct task *t, struct store_put *put, struct store_object *object)
{
    struct session *s = t->session;
    struct handle *h = calloc(1, sizeof *h);
    if (h == NULL) {
        return error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    *h = (struct handle){.number = t->request.handle, .refs = 1, .put = put, .object = object};
    h->waits = object != NULL && store_object_is_away(object);
    status_t st = ST_OK;
    pthread_mutex_lock(&s->m);
    for (struct handle *other = s->handles; other != NULL && st == ST_OK; other = other->next) {
        if (other->number == h->number) {
            st = error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "%u is open already", h->number);
        }
    }
    if (st == ST_OK && s->count >= SERVE_HANDLES_MAX) {
        st = error_set(&t->err, ST_LIMIT, ERROR_NO_OFFSET,
                       "a connection may have %d objects open at a time", SERVE_HANDLES_MAX);
    }
    if (st == ST_OK) {
        h->next = s->handles;
        s->handles = h;
        s->count++;
    }
    pthread_mutex_unlock(&s->m);
    if (st != ST_OK) {
        free(h);
    }
    return st;
}

void handle_remove(struct session *s, struct handle *h)
{
    bool last = false;
    pthread_mutex_lock(&s->m);
    struct handle **at = &s->handles;
    while (*at != NULL && *at != h) {
        at = &(*at)->next;
    }
    if (*at == h) { /* two may close it at a time */
        *at = h->next;
        s->count--;
        last = --h->refs == 0;
    }
    pthread_mutex_unlock(&s->m);
    if (last) {
        handle_free(h);
    }
}

void handle_drop(struct session *s, struct handle *h)
{
    pthread_mutex_lock(&s->m);
    bool last = --h->refs == 0;
    pthread_mutex_unlock(&s->m);
    if (last) {
        handle_free(h);
    }
}

void handle_waits(struct session *s, struct handle *h)
{
    pthread_mutex_lock(&s->m);
    h->waits = true;
    pthread_mutex_unlock(&s->m);
}

static status_t no_memory(struct task *t)
{
    return error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

static bool is_token(const char *s)
{
    if (*s == '\0') {
        return false;
    }
    for (; *s != '\0'; s++) {
        if (*s <= ' ' || *s >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *s) != NULL) {
            return false;
        }
    }
    return true;
}

static bool is_header_value(const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* What S3 answers of its own accord, and what keeps objects from being removed. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"content-length", "content-type",      "content-range",
                                        "connection",     "transfer-encoding", "etag",
                                        "last-modified",  "accept-ranges",     "date"};
    static const char lock[] = "x-amz-object-lock-";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(name, lock, sizeof lock - 1) == 0;
}

status_t task_attributes(struct task *t, const struct store_attributes **ret_attributes)
{
    const struct geds_wire_attributes *from = &t->request.attributes;
    struct store_attributes *a = arena_alloc(&t->arena, 1, sizeof *a);
    struct store_attribute *pairs = arena_alloc(&t->arena, from->count, sizeof *pairs);
    if (a == NULL || pairs == NULL) {
        return no_memory(t);
    }
    if (from->content_type != NULL && !is_header_value(from->content_type)) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET,
                         "the type of an object cannot have control characters");
    }
    for (size_t i = 0; i < from->count; i++) {
        const char *name = from->pairs[i].name;
        if (!is_token(name) || is_reserved(name)) {
            return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "%s name of metadata: \"%.60s\"",
                             is_token(name) ? "a reserved" : "not a", name);
        }
        if (!is_header_value(from->pairs[i].value)) {
            return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET,
                             "metadata cannot have control characters: %.60s", name);
        }
        pairs[i] = (struct store_attribute){.name = name, .value = from->pairs[i].value};
    }
    *a = (struct store_attributes){
        .content_type = from->content_type, .pairs = pairs, .count = from->count};
    *ret_attributes = a;
    return ST_OK;
}

status_t task_check_new_key(struct task *t, const char *key)
{
    if (key == NULL) { /* the store says what is missing */
        return ST_OK;
    }
    bool good = text_is_utf8(key) && strstr(key, "\xef\xbf\xbe") == NULL &&
                strstr(key, "\xef\xbf\xbf") == NULL;
    for (const char *s = key; *s != '\0' && good; s++) {
        good = (unsigned char)*s >= ' ' && *s != 0x7f;
    }
    return good ? ST_OK
                : error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET,
                            "a key must be UTF-8 without control characters");
}

struct store_condition task_condition(const struct geds_wire_condition *c)
{
    return (struct store_condition){.if_none = c->if_none, .if_match = c->if_match};
}

void task_info(struct task *t, const struct store_info *info)
{
    char *etag = arena_strndup(&t->arena, info->etag, strlen(info->etag));
    t->answer.info = (struct geds_wire_info){.size = info->size,
                                             .modified_ns = info->modified_ns,
                                             .etag = etag != NULL ? etag : "",
                                             .encrypted = info->encrypted};
}

status_t task_set_attributes(struct task *t, const struct store_attributes *a)
{
    struct geds_wire_pair *pairs = arena_alloc(&t->arena, a->count, sizeof *pairs);
    if (pairs == NULL) {
        return no_memory(t);
    }
    for (size_t i = 0; i < a->count; i++) {
        pairs[i] = (struct geds_wire_pair){.name = a->pairs[i].name, .value = a->pairs[i].value};
    }
    t->answer.attributes = (struct geds_wire_attributes){
        .given = true, .content_type = a->content_type, .pairs = pairs, .count = a->count};
    return ST_OK;
}

static status_t serve_status(struct task *t)
{
    const struct serve_context *c = t->session->context;
    struct store_counters n = {0};
    /* who may see some buckets only is not told about the others */
    status_t st = t->session->rights.bucket_count == 0 ? store_counters(t->store, &n, &t->err)
                                                       : ST_OK;
    t->answer.texts[0] = c->version;
    t->answer.texts[1] = c->state;
    t->answer.texts[2] = c->s3;
    t->answer.texts[3] = c->metrics != NULL ? c->metrics : "";
    t->answer.numbers[GEDS_N_BUCKETS] = n.buckets;
    t->answer.numbers[GEDS_N_OBJECTS] = n.objects;
    t->answer.numbers[GEDS_N_BYTES] = n.bytes;
    t->answer.numbers[GEDS_N_UPLOADS] = n.uploads;
    t->answer.numbers[GEDS_N_PROCESS] = (uint64_t)getpid();
    return st;
}

static status_t (*const operations[GEDS_OP_END])(struct task *t) = {
    [GEDS_STATUS] = serve_status,
    [GEDS_BUCKET_CREATE] = serve_bucket_create,
    [GEDS_BUCKET_DELETE] = serve_bucket_delete,
    [GEDS_BUCKET_STAT] = serve_bucket_stat,
    [GEDS_BUCKET_LIST] = serve_bucket_list,
    [GEDS_PUT] = serve_put,
    [GEDS_PUT_BEGIN] = serve_put_begin,
    [GEDS_PUT_WRITE] = serve_put_write,
    [GEDS_PUT_COMMIT] = serve_put_commit,
    [GEDS_PUT_ABORT] = serve_put_abort,
    [GEDS_PUT_FROM] = serve_put_from,
    [GEDS_PUT_WRITE_AT] = serve_put_write_at,
    [GEDS_PUT_RESIZE] = serve_put_resize,
    [GEDS_PUT_READ] = serve_put_read,
    [GEDS_APPEND] = serve_append,
    [GEDS_STAT] = serve_stat,
    [GEDS_OPEN] = serve_open,
    [GEDS_READ] = serve_read,
    [GEDS_CLOSE] = serve_close,
    [GEDS_DELETE] = serve_delete,
    [GEDS_DELETE_MANY] = serve_delete_many,
    [GEDS_RENAME] = serve_rename,
    [GEDS_RENAME_PREFIX] = serve_rename_prefix,
    [GEDS_COPY] = serve_copy,
    [GEDS_LIST] = serve_list,
    [GEDS_FSCK] = serve_fsck,
    [GEDS_MAP] = serve_map,
    [GEDS_EVENTS] = serve_events,
    [GEDS_LEASE] = serve_lease,
    [GEDS_PIECES] = serve_pieces,
    [GEDS_TIER_STATUS] = serve_tier_status,
    [GEDS_TIER_MOVE] = serve_tier_move,
    [GEDS_TIER_KEEP] = serve_tier_keep,
    [GEDS_KEYS_LIST] = serve_keys_list,
    [GEDS_KEYS_CHANGE] = serve_keys_change,
    [GEDS_BUCKET_ENCRYPT] = serve_bucket_encrypt,
    [GEDS_TIER_REPLICAS] = serve_tier_replicas,
    [GEDS_TIER_MEMORY] = serve_tier_memory,
    [GEDS_NODE_JOIN] = serve_node_join,
    [GEDS_NODE_DONE] = serve_node_done,
    [GEDS_NODE_REPORT] = serve_node_report,
    [GEDS_NODE_LIST] = serve_node_list,
    [GEDS_NODE_CHANGE] = serve_node_change,
    [GEDS_STATE_COPY] = serve_state_copy,
};

/* Does the object that a READ is about have all its bytes here? */
static bool reads_here(struct session *s, const struct rpc_request *r)
{
    struct cursor c;
    bool waits = false;
    cursor_init(&c, r->args, r->args_bytes, 0);
    uint32_t number = cursor_le32(&c);
    pthread_mutex_lock(&s->m);
    for (struct handle *h = s->handles; h != NULL; h = h->next) {
        waits |= h->number == number && h->waits;
    }
    pthread_mutex_unlock(&s->m);
    return !waits;
}

static bool is_quick(void *session, const struct rpc_request *r)
{
    const struct session *s = session;
    return r->kind == GEDS_STAT || r->kind == GEDS_OPEN || r->kind == GEDS_CLOSE ||
           r->kind == GEDS_LEASE || r->kind == GEDS_EVENTS || r->kind == GEDS_NODE_DONE ||
           r->kind == GEDS_NODE_REPORT ||
           (r->kind == GEDS_READ && r->room <= QUICK_READ_BYTES &&
            (s->context->tier == NULL || reads_here(session, r)));
}

status_t task_reply_more(struct task *t, struct rpc_answer *answer)
{
    size_t bytes = answer->data.len;
    status_t st = rpc_reply_more(t->reply, answer);
    t->more_bytes += st == ST_OK ? bytes : 0;
    return st;
}

static void run(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                struct rpc_answer *answer)
{
    struct session *s = session;
    uint64_t began_ns = clock_monotonic_ns();
    serve_meter_begin(s->context->meter);
    struct task t = {.session = s,
                     .store = s->context->store,
                     .rpc = r,
                     .reply = reply,
                     .out = answer,
                     .err = {.offset = ERROR_NO_OFFSET}};
    status_t st = geds_request_decode(r->kind, r->args, r->args_bytes, &t.arena, &t.request,
                                      &t.err);
    if (st == ST_OK) {
        st = task_permit(&t);
    }
    if (st == ST_OK) {
        st = operations[r->kind](&t);
    }
    rpc_result_encode(st, &t.err, &answer->args);
    if (st == ST_OK) {
        geds_answer_encode((enum geds_op)r->kind, &t.answer, &answer->args);
    } else {
        buf_done(&answer->data);
        answer->data = (struct buf){0};
        while (answer->passed_count > 0) {
            close(answer->passed[--answer->passed_count]);
        }
    }
    const struct served served = {.op = r->kind,
                                  .status = st,
                                  .ns = clock_monotonic_ns() - began_ns,
                                  .received_bytes = r->data_bytes,
                                  .sent_bytes = t.more_bytes + answer->data.len,
                                  .again = answer->later};
    serve_meter_done(s->context->meter, &served);
    arena_done(&t.arena);
}

const struct rpc_handler *serve_handler(void)
{
    static const struct rpc_handler handler = {
        .session_new = session_new, .session_free = session_free, .is_quick = is_quick, .run = run};
    return &handler;
}
