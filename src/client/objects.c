#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "object.h"

/* Bytes of objects. */

enum {
    FIRST_BYTES = 16 * 1024, /* come with the open */
    WRITE_BYTES = 64 * 1024, /* what is written in smaller pieces is gathered */
    WINDOW = 8,              /* requests on their way, of 1 MiB each */
};

enum geds_code geds_put(struct geds *g, const char *bucket, const char *key,
                        const struct geds_attributes *attributes,
                        const struct geds_condition *condition, const void *data, size_t len,
                        struct geds_info *ret_info, struct geds_error *err)
{
    if (len > RPC_DATA_MAX) {
        struct geds_writer *w = NULL;
        enum geds_code code = geds_create(g, bucket, key, attributes, &w, err);
        if (code != GEDS_OK) {
            return code;
        }
        code = geds_write(w, data, len, err);
        if (code != GEDS_OK) {
            geds_abort(w);
            return code;
        }
        return geds_seal(w, condition, ret_info, err);
    }
    struct geds_wire_pair pairs[GEDS_WIRE_ATTRIBUTES_MAX];
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct geds_request r = {.bucket = bucket, .key = key, .condition = take_condition(condition)};
    status_t st = check_names(bucket, key, &inner);
    if (st == ST_OK) {
        st = take_attributes(attributes, pairs, &r.attributes, &inner);
    }
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_PUT, &r, &(struct outgoing){.data = data, .len = len}, &arena,
                         &a, &inner);
        if (st == ST_OK) {
            give_info(&a.info, ret_info);
        }
        pending_done(&p);
    }
    arena_done(&arena);
    return give_error(st, &inner, err);
}

enum geds_code geds_append(struct geds *g, const char *bucket, const char *key,
                           const struct geds_condition *condition, const void *data, size_t len,
                           struct geds_info *ret_info, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct geds_request r = {.bucket = bucket, .key = key, .condition = take_condition(condition)};
    status_t st = check_names(bucket, key, &inner);
    size_t done = 0;
    while (st == ST_OK) {
        size_t n = len - done < RPC_DATA_MAX ? len - done : RPC_DATA_MAX;
        struct pending p = {0};
        struct arena arena = {0};
        struct geds_answer a;
        const struct outgoing o = {.data = (const uint8_t *)data + done, .len = n};
        st = client_call(g, &p, GEDS_APPEND, &r, &o, &arena, &a, &inner);
        if (st == ST_OK) {
            give_info(&a.info, ret_info);
        }
        pending_done(&p);
        arena_done(&arena);
        r.condition = (struct geds_wire_condition){0}; /* it was about the first */
        done += n;
        if (done == len) {
            break;
        }
    }
    return give_error(st, &inner, err);
}

/* A request of a writer that is not answered yet. */
struct flight {
    struct pending pending;
    enum geds_op op;
};

struct geds_writer {
    struct geds *store;
    char *bucket, *key;
    struct geds_request request; /* of the beginning: name and attributes */
    struct geds_wire_pair *pairs;
    uint32_t handle; /* 0: nothing was sent yet */
    uint64_t sent_bytes;
    struct flight flights[WINDOW];
    unsigned first, count;
    status_t status; /* of the first thing that failed */
    struct error err;
    uint8_t *block;
    size_t fill;
};

static void writer_free(struct geds_writer *w)
{
    for (size_t i = 0; w->pairs != NULL && i < w->request.attributes.count; i++) {
        free((void *)(uintptr_t)w->pairs[i].name);
        free((void *)(uintptr_t)w->pairs[i].value);
    }
    free((void *)(uintptr_t)w->request.attributes.content_type);
    free(w->pairs);
    free(w->block);
    free(w->bucket);
    free(w->key);
    free(w);
}

/* The caller's texts do not live as long as the writer. */
static bool keep(struct geds_writer *w, const char *bucket, const char *key)
{
    struct geds_wire_attributes *a = &w->request.attributes;
    bool good = (w->bucket = strdup(bucket)) != NULL && (w->key = strdup(key)) != NULL &&
                (w->block = malloc(WRITE_BYTES)) != NULL;
    if (a->content_type != NULL && (a->content_type = strdup(a->content_type)) == NULL) {
        good = false;
    }
    for (size_t i = 0; i < a->count; i++) {
        w->pairs[i].name = strdup(w->pairs[i].name);
        w->pairs[i].value = strdup(w->pairs[i].value);
        good = good && w->pairs[i].name != NULL && w->pairs[i].value != NULL;
    }
    w->request.bucket = w->bucket;
    w->request.key = w->key;
    return good;
}

static status_t writer_new(struct geds *g, const char *bucket, const char *key,
                           const struct geds_attributes *attributes,
                           struct geds_writer **ret_writer, struct error *err)
{
    struct geds_writer *w = calloc(1, sizeof *w);
    struct geds_wire_pair *pairs = calloc(GEDS_WIRE_ATTRIBUTES_MAX, sizeof *pairs);
    if (w == NULL || pairs == NULL) {
        free(w);
        free(pairs);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t st = take_attributes(attributes, pairs, &w->request.attributes, err);
    if (st != ST_OK) {
        free(w);
        free(pairs);
        return st;
    }
    w->store = g;
    w->pairs = pairs;
    if (!keep(w, bucket, key)) {
        writer_free(w);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    *ret_writer = w;
    return ST_OK;
}

enum geds_code geds_create(struct geds *g, const char *bucket, const char *key,
                           const struct geds_attributes *attributes,
                           struct geds_writer **ret_writer, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_names(bucket, key, &inner);
    if (st == ST_OK) {
        st = writer_new(g, bucket, key, attributes, ret_writer, &inner);
    }
    return give_error(st, &inner, err);
}

/* Wait for the oldest request. ret_info (may be NULL): of a commit. */
static void land(struct geds_writer *w, struct geds_info *ret_info)
{
    struct flight *f = &w->flights[w->first];
    struct arena arena = {0};
    struct geds_answer a;
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t st = client_wait(w->store, &f->pending, NULL, NULL, &err);
    if (st == ST_OK) {
        st = pending_decode(&f->pending, f->op, &arena, &a, &err);
    }
    if (st == ST_OK && f->op == GEDS_PUT_COMMIT) {
        give_info(&a.info, ret_info);
    }
    if (st != ST_OK && w->status == ST_OK) {
        w->status = st;
        w->err = err;
    }
    pending_done(&f->pending);
    arena_done(&arena);
    w->first = (w->first + 1) % WINDOW;
    w->count--;
}

static void launch(struct geds_writer *w, enum geds_op op, const struct geds_request *r,
                   const void *data, size_t len)
{
    if (w->count == WINDOW) {
        land(w, NULL);
    }
    struct flight *f = &w->flights[(w->first + w->count) % WINDOW];
    *f = (struct flight){.op = op};
    w->count++;
    client_send(w->store, &f->pending, op, r,
                &(struct outgoing){.lane = w->handle, .data = data, .len = len});
}

static void send_bytes(struct geds_writer *w, const void *data, size_t len)
{
    if (w->handle == 0) {
        w->handle = client_new_handle(w->store);
        w->request.handle = w->handle;
        launch(w, GEDS_PUT_BEGIN, &w->request, NULL, 0);
    }
    const struct geds_request r = {.handle = w->handle, .offset = w->sent_bytes};
    launch(w, GEDS_PUT_WRITE, &r, data, len);
    w->sent_bytes += len;
}

enum geds_code geds_write(struct geds_writer *w, const void *data, size_t len,
                          struct geds_error *err)
{
    const uint8_t *bytes = data;
    while (len > 0 && w->status == ST_OK) {
        size_t n;
        if (w->fill == 0 && len >= WRITE_BYTES) {
            n = len < RPC_DATA_MAX ? len : RPC_DATA_MAX;
            send_bytes(w, bytes, n);
        } else {
            n = len < WRITE_BYTES - w->fill ? len : WRITE_BYTES - w->fill;
            memcpy(w->block + w->fill, bytes, n);
            w->fill += n;
            if (w->fill == WRITE_BYTES) {
                send_bytes(w, w->block, w->fill);
                w->fill = 0;
            }
        }
        bytes += n;
        len -= n;
    }
    return give_error(w->status, &w->err, err);
}

/* All of it is here: one request. */
static enum geds_code seal_small(struct geds_writer *w, const struct geds_condition *condition,
                                 struct geds_info *ret_info, struct geds_error *err)
{
    struct geds_attribute pairs[GEDS_WIRE_ATTRIBUTES_MAX];
    const struct geds_wire_attributes *from = &w->request.attributes;
    struct geds_attributes a = {
        .content_type = from->content_type, .pairs = pairs, .count = from->count};
    for (size_t i = 0; i < from->count; i++) {
        pairs[i] = (struct geds_attribute){from->pairs[i].name, from->pairs[i].value};
    }
    return geds_put(w->store, w->bucket, w->key, from->given ? &a : NULL, condition, w->block,
                    w->fill, ret_info, err);
}

enum geds_code geds_seal(struct geds_writer *w, const struct geds_condition *condition,
                         struct geds_info *ret_info, struct geds_error *err)
{
    enum geds_code code;
    if (w->handle == 0 && w->status == ST_OK) {
        code = seal_small(w, condition, ret_info, err);
        writer_free(w);
        return code;
    }
    if (w->fill > 0 && w->status == ST_OK) {
        send_bytes(w, w->block, w->fill);
        w->fill = 0;
    }
    while (w->count > 0) {
        land(w, NULL);
    }
    if (w->status != ST_OK) {
        code = give_error(w->status, &w->err, err);
        geds_abort(w);
        return code;
    }
    const struct geds_request r = {
        .handle = w->handle, .offset = w->sent_bytes, .condition = take_condition(condition)};
    launch(w, GEDS_PUT_COMMIT, &r, NULL, 0);
    land(w, ret_info);
    code = give_error(w->status, &w->err, err);
    writer_free(w);
    return code;
}

void geds_abort(struct geds_writer *w)
{
    if (w == NULL) {
        return;
    }
    while (w->count > 0) {
        land(w, NULL);
    }
    if (w->handle != 0) {
        launch(w, GEDS_PUT_ABORT, &(struct geds_request){.handle = w->handle}, NULL, 0);
        land(w, NULL); /* it may be gone already, after an error */
    }
    writer_free(w);
}

static void object_free(struct geds_object *o)
{
    pending_done(&o->opened);
    arena_done(&o->arena);
    free(o->first);
    free(o->pairs);
    free(o);
}

static status_t set_attributes(struct geds_object *o, const struct geds_wire_attributes *from,
                               struct error *err)
{
    o->pairs = calloc(from->count + 1, sizeof *o->pairs);
    if (o->pairs == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    for (size_t i = 0; i < from->count; i++) {
        o->pairs[i] = (struct geds_attribute){from->pairs[i].name, from->pairs[i].value};
    }
    o->attributes = (struct geds_attributes){
        .content_type = from->content_type, .pairs = o->pairs, .count = from->count};
    return ST_OK;
}

static void close_handle(struct geds_object *o)
{
    struct pending p = {0};
    struct arena arena = {0};
    status_t ignored = client_call(o->store, &p, GEDS_CLOSE,
                                   &(struct geds_request){.handle = o->handle}, NULL, &arena, NULL,
                                   NULL);
    (void)ignored; /* the connection's end closes it as well */
    pending_done(&p);
    arena_done(&arena);
}

static struct geds_object *object_new(struct geds *g)
{
    struct geds_object *o = calloc(1, sizeof *o);
    uint8_t *first = malloc(FIRST_BYTES);
    if (o == NULL || first == NULL) {
        free(o);
        free(first);
        return NULL;
    }
    o->store = g;
    o->handle = client_new_handle(g);
    o->first = first;
    o->opened = (struct pending){.data = first, .room = FIRST_BYTES};
    return o;
}

enum geds_code geds_open(struct geds *g, const char *bucket, const char *key,
                         struct geds_object **ret_object, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct geds_answer a;
    status_t st = check_names(bucket, key, &inner);
    if (st != ST_OK) {
        return give_error(st, &inner, err);
    }
    struct geds_object *o = object_new(g);
    if (o == NULL) {
        st = error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        return give_error(st, &inner, err);
    }
    const struct geds_request r = {.handle = o->handle, .bucket = bucket, .key = key};
    st = client_call(g, &o->opened, GEDS_OPEN, &r, NULL, &o->arena, &a, &inner);
    if (st != ST_OK) {
        object_free(o);
        return give_error(st, &inner, err);
    }
    o->first_bytes = o->opened.data_len;
    give_info(&a.info, &o->info);
    st = set_attributes(o, &a.attributes, &inner);
    if (st != ST_OK) {
        geds_close(o);
        return give_error(st, &inner, err);
    }
    *ret_object = o;
    return GEDS_OK;
}

void geds_close(struct geds_object *o)
{
    if (o != NULL) {
        close_handle(o);
        object_free(o);
    }
}

const struct geds_info *geds_object_info(const struct geds_object *o)
{
    return &o->info;
}

const struct geds_attributes *geds_object_attributes(const struct geds_object *o)
{
    return &o->attributes;
}

/* Read whole requests' worth, several on their way. */
static status_t read_many(struct geds_object *o, uint8_t *data, size_t len, uint64_t off,
                          struct error *err)
{
    struct pending flights[WINDOW];
    size_t sent = 0;
    unsigned first = 0, count = 0;
    status_t st = ST_OK;
    while (count > 0 || (sent < len && st == ST_OK)) {
        if (sent < len && count < WINDOW && st == ST_OK) {
            size_t n = len - sent < RPC_DATA_MAX ? len - sent : RPC_DATA_MAX;
            struct pending *p = &flights[(first + count) % WINDOW];
            *p = (struct pending){.data = data + sent, .room = (uint32_t)n};
            const struct geds_request r = {.handle = o->handle, .offset = off + sent};
            client_send(o->store, p, GEDS_READ, &r, NULL);
            count++;
            sent += n;
            continue;
        }
        struct pending *p = &flights[first];
        struct geds_answer ignored;
        struct arena none = {0};
        struct error inner = {.offset = ERROR_NO_OFFSET};
        status_t one = client_wait(o->store, p, NULL, NULL, &inner);
        if (one == ST_OK) {
            one = pending_decode(p, GEDS_READ, &none, &ignored, &inner);
        }
        if (one == ST_OK && p->data_len != p->room) {
            one = error_set(&inner, ST_CORRUPT, ERROR_NO_OFFSET,
                            "the object is shorter than it was");
        }
        if (one != ST_OK && st == ST_OK) {
            st = one;
            *err = inner;
        }
        pending_done(p);
        first = (first + 1) % WINDOW;
        count--;
    }
    return st;
}

enum geds_code geds_pread(struct geds_object *o, void *data, size_t len, uint64_t off,
                          size_t *ret_len, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    uint64_t left = off < o->info.size ? o->info.size - off : 0;
    size_t n = len < left ? len : (size_t)left, got = 0;
    if (off < o->first_bytes) {
        got = o->first_bytes - (size_t)off < n ? o->first_bytes - (size_t)off : n;
        memcpy(data, o->first + off, got);
    }
    status_t st = got < n ? read_many(o, (uint8_t *)data + got, n - got, off + got, &inner) : ST_OK;
    if (st == ST_OK) {
        *ret_len = n;
    }
    return give_error(st, &inner, err);
}

enum geds_code geds_stat(struct geds *g, const char *bucket, const char *key,
                         struct geds_info *ret_info, struct geds_error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_names(bucket, key, &inner);
    if (st == ST_OK) {
        st = client_call(g, &p, GEDS_STAT, &(struct geds_request){.bucket = bucket, .key = key},
                         NULL, &arena, &a, &inner);
        if (st == ST_OK) {
            give_info(&a.info, ret_info);
        }
        pending_done(&p);
    }
    arena_done(&arena);
    return give_error(st, &inner, err);
}
