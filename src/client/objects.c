#include <stdlib.h>
#include <string.h>

#include "lease.h"
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

static void close_handle(struct geds *g, uint32_t handle)
{
    struct pending p = {0};
    struct arena arena = {0};
    const struct geds_request r = {.handle = handle};
    status_t ignored = client_call(g, &p, GEDS_CLOSE, &r, NULL, &arena, NULL, NULL);
    (void)ignored; /* the connection's end closes it as well */
    pending_done(&p);
    arena_done(&arena);
}

/* Ask the store. */
static status_t open_handle(struct geds *g, const char *bucket, const char *key,
                            uint32_t *ret_handle, struct content **ret_content, struct error *err)
{
    struct geds_answer a;
    struct arena arena = {0};
    struct pending p = {.data = malloc(FIRST_BYTES), .room = FIRST_BYTES};
    if (p.data == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    const struct geds_request r = {.handle = client_new_handle(g), .bucket = bucket, .key = key};
    status_t st = client_call(g, &p, GEDS_OPEN, &r, NULL, &arena, &a, err);
    if (st == ST_OK && (st = content_new(bucket, key, &p, &a, &arena, ret_content, err)) != ST_OK) {
        close_handle(g, r.handle);
    }
    if (st == ST_OK) {
        *ret_handle = r.handle;
    }
    free(p.data);
    pending_done(&p);
    arena_done(&arena);
    return st;
}

/* What can be kept of an object is, and what is wholly here needs no handle. */
static void keep_content(struct geds_object *o, const struct lease_ticket *t)
{
    if (!t->on) {
        return;
    }
    struct content *c = o->content;
    c->no_files = t->no_files || c->info.size > LEASE_FILE_BYTES_MAX;
    bool whole = content_is_whole(c);
    if (!whole && t->hot && !c->no_files) {
        whole = content_get_extents(o->store, o->handle, c);
    }
    if (whole) {
        close_handle(o->store, o->handle);
        o->handle = 0;
    }
    leases_keep(o->store, t, o->content);
}

enum geds_code geds_open(struct geds *g, const char *bucket, const char *key,
                         struct geds_object **ret_object, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct lease_ticket ticket;
    status_t st = check_names(bucket, key, &inner);
    struct geds_object *o = st == ST_OK ? calloc(1, sizeof *o) : NULL;
    if (st == ST_OK && o == NULL) {
        st = error_set(&inner, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st != ST_OK) {
        return give_error(st, &inner, err);
    }
    o->store = g;
    o->content = leases_find(g, bucket, key, true, &ticket);
    if (o->content == NULL) {
        st = open_handle(g, bucket, key, &o->handle, &o->content, &inner);
        if (st != ST_OK) {
            free(o);
            return give_error(st, &inner, err);
        }
        keep_content(o, &ticket);
    }
    *ret_object = o;
    return GEDS_OK;
}

void geds_close(struct geds_object *o)
{
    if (o == NULL) {
        return;
    }
    if (o->handle != 0) {
        close_handle(o->store, o->handle);
    }
    content_unref(o->content);
    free(o);
}

const struct geds_info *geds_object_info(const struct geds_object *o)
{
    return &o->content->info;
}

const struct geds_attributes *geds_object_attributes(const struct geds_object *o)
{
    return &o->content->attributes;
}

/* Read whole requests' worth, several on their way. */
static status_t read_many(struct geds *g, uint32_t handle, uint8_t *data, size_t len, uint64_t off,
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
            const struct geds_request r = {.handle = handle, .offset = off + sent};
            client_send(g, p, GEDS_READ, &r, NULL);
            count++;
            sent += n;
            continue;
        }
        struct pending *p = &flights[first];
        struct geds_answer ignored;
        struct arena none = {0};
        struct error inner = {.offset = ERROR_NO_OFFSET};
        status_t one = client_wait(g, p, NULL, NULL, &inner);
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

/* A file of the store was not as its checksums say: let the store read, as long as the object is the one that it was.
 * Its word counts, if it can be had. */
static status_t read_again(struct geds_object *o, uint8_t *data, size_t len, uint64_t off,
                           struct error *err)
{
    struct content *c = o->content, *now = NULL;
    uint32_t handle = 0;
    if (open_handle(o->store, c->bucket, c->key, &handle, &now, NULL) != ST_OK) {
        return err->code;
    }
    status_t st = err->code;
    if (strcmp(now->info.etag, c->info.etag) == 0 && now->info.size == c->info.size &&
        now->info.modified_ns == c->info.modified_ns) {
        st = read_many(o->store, handle, data, len, off, err);
    }
    close_handle(o->store, handle);
    content_unref(now);
    return st;
}

static status_t read_rest(struct geds_object *o, uint8_t *data, size_t len, uint64_t off,
                          struct error *err)
{
    if (o->handle != 0) {
        return read_many(o->store, o->handle, data, len, off, err);
    }
    status_t st = content_read(o->content, data, len, off, err);
    return st == ST_CORRUPT || st == ST_IO ? read_again(o, data, len, off, err) : st;
}

enum geds_code geds_pread(struct geds_object *o, void *data, size_t len, uint64_t off,
                          size_t *ret_len, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    const struct content *c = o->content;
    uint64_t left = off < c->info.size ? c->info.size - off : 0;
    size_t n = len < left ? len : (size_t)left, got = 0;
    if (off < c->first_bytes) {
        got = c->first_bytes - (size_t)off < n ? c->first_bytes - (size_t)off : n;
        memcpy(data, c->first + off, got);
    }
    status_t st = got < n ? read_rest(o, (uint8_t *)data + got, n - got, off + got, &inner) : ST_OK;
    if (st == ST_OK) {
        *ret_len = n;
    }
    return give_error(st, &inner, err);
}

static status_t ask_stat(struct geds *g, const char *bucket, const char *key,
                         struct geds_info *ret_info, struct error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    const struct geds_request r = {.bucket = bucket, .key = key};
    status_t st = client_call(g, &p, GEDS_STAT, &r, NULL, &arena, &a, err);
    if (st == ST_OK) {
        give_info(&a.info, ret_info);
    }
    pending_done(&p);
    arena_done(&arena);
    return st;
}

enum geds_code geds_stat(struct geds *g, const char *bucket, const char *key,
                         struct geds_info *ret_info, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct lease_ticket ticket;
    status_t st = check_names(bucket, key, &inner);
    struct content *c = st == ST_OK ? leases_find(g, bucket, key, false, &ticket) : NULL;
    if (c != NULL) {
        *ret_info = c->info;
        content_unref(c);
    } else if (st == ST_OK) {
        st = ask_stat(g, bucket, key, ret_info, &inner);
    }
    return give_error(st, &inner, err);
}
