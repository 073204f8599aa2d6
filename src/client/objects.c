#include <stdlib.h>
#include <string.h>

#include "lease.h"
#include "object.h"

/* Bytes of objects. */

enum {
    FIRST_BYTES = 16 * 1024, /* come with the open */
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

/* Where the bytes of a read go: one behind the other, or to a function, by way of a ring of slots. */
struct target {
    uint8_t *data;
    unsigned slots;    /* 0: all bytes have a place in data, else it is so many slots */
    size_t slot_bytes; /* of each */
    bool (*each)(void *arg, const void *data, size_t len);
    void *arg;
};

static uint8_t *place_of(const struct target *t, uint64_t number, uint64_t at)
{
    return t->data + (t->slots > 0 ? number % t->slots * t->slot_bytes : at);
}

static status_t hand_out(const struct target *t, const uint8_t *data, size_t len, struct error *err)
{
    return t->slots == 0 || t->each(t->arg, data, len)
               ? ST_OK
               : error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "the reader stopped it");
}

/* So many bytes are asked for at a place that the next one is a multiple of that: the store compares whole blocks. */
static size_t next_bytes(uint64_t off, uint64_t left)
{
    uint64_t n = RPC_DATA_MAX - off % RPC_DATA_MAX;
    return (size_t)(n < left ? n : left);
}

static status_t wait_read(struct geds *g, struct pending *p, struct error *err)
{
    struct geds_answer ignored;
    struct arena none = {0};
    status_t st = client_wait(g, p, NULL, NULL, err);
    if (st == ST_OK) {
        st = pending_decode(p, GEDS_READ, &none, &ignored, err);
    }
    if (st == ST_OK && p->data_len != p->room) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "the object is shorter than it was");
    }
    pending_done(p);
    return st;
}

/* Several requests are on their way; the place of the first is free again when all that it brought was handed out. */
static status_t read_many(struct geds *g, uint32_t handle, const struct target *t, uint64_t len,
                          uint64_t off, struct error *err)
{
    struct pending flights[WINDOW];
    uint64_t sent = 0, first = 0, next = 0; /* bytes; numbers of requests */
    unsigned window = t->slots > 0 ? t->slots : WINDOW;
    status_t st = ST_OK;
    while (first < next || (sent < len && st == ST_OK)) {
        if (sent < len && next - first < window && st == ST_OK) {
            size_t n = next_bytes(off + sent, len - sent);
            struct pending *p = &flights[next % WINDOW];
            *p = (struct pending){.data = place_of(t, next, sent), .room = (uint32_t)n};
            const struct geds_request r = {.handle = handle, .offset = off + sent};
            client_send(g, p, GEDS_READ, &r, NULL);
            next++;
            sent += n;
            continue;
        }
        struct pending *p = &flights[first % WINDOW];
        struct error inner = {.offset = ERROR_NO_OFFSET};
        status_t one = wait_read(g, p, &inner);
        if (one == ST_OK && st == ST_OK) {
            one = hand_out(t, p->data, p->data_len, &inner);
        }
        if (one != ST_OK && st == ST_OK) {
            st = one;
            *err = inner;
        }
        first++;
    }
    return st;
}

/* A file of the store was not as its checksums say: let the store read, as long as the object is the one that it was.
 * Its word counts, if it can be had. */
static status_t read_again(struct geds_object *o, uint8_t *data, size_t len, uint64_t off,
                           struct error *err)
{
    const struct target t = {.data = data};
    struct content *c = o->content, *now = NULL;
    uint32_t handle = 0;
    if (open_handle(o->store, c->bucket, c->key, &handle, &now, NULL) != ST_OK) {
        return err->code;
    }
    status_t st = err->code;
    if (strcmp(now->info.etag, c->info.etag) == 0 && now->info.size == c->info.size &&
        now->info.modified_ns == c->info.modified_ns) {
        st = read_many(o->store, handle, &t, len, off, err);
    }
    close_handle(o->store, handle);
    content_unref(now);
    return st;
}

/* From the files of the store that are kept. */
static status_t read_kept(struct geds_object *o, uint8_t *data, size_t len, uint64_t off,
                          struct error *err)
{
    status_t st = content_read(o->content, data, len, off, err);
    return st == ST_CORRUPT || st == ST_IO ? read_again(o, data, len, off, err) : st;
}

static status_t read_rest(struct geds_object *o, uint8_t *data, size_t len, uint64_t off,
                          struct error *err)
{
    const struct target t = {.data = data};
    return o->handle != 0 ? read_many(o->store, o->handle, &t, len, off, err)
                          : read_kept(o, data, len, off, err);
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

static status_t each_kept(struct geds_object *o, const struct target *t, uint64_t len, uint64_t off,
                          struct error *err)
{
    status_t st = ST_OK;
    while (len > 0 && st == ST_OK) {
        size_t n = next_bytes(off, len);
        st = read_kept(o, t->data, n, off, err);
        if (st == ST_OK) {
            st = hand_out(t, t->data, n, err);
        }
        off += n;
        len -= n;
    }
    return st;
}

/* What did not come with the open. */
static status_t each_of_rest(struct geds_object *o, struct target *t, uint64_t len, uint64_t off,
                             struct error *err)
{
    uint64_t requests = off / RPC_DATA_MAX, last = (off + len - 1) / RPC_DATA_MAX;
    requests = o->handle != 0 ? last - requests + 1 : 1;
    t->slots = requests < WINDOW ? (unsigned)requests : WINDOW;
    t->slot_bytes = len < RPC_DATA_MAX ? (size_t)len : RPC_DATA_MAX;
    if ((t->data = malloc(t->slots * t->slot_bytes)) == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    status_t st = o->handle != 0 ? read_many(o->store, o->handle, t, len, off, err)
                                 : each_kept(o, t, len, off, err);
    free(t->data);
    return st;
}

enum geds_code geds_read_each(struct geds_object *o, uint64_t off, uint64_t len,
                              bool (*each)(void *arg, const void *data, size_t len), void *arg,
                              struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    const struct content *c = o->content;
    struct target t = {.slots = 1, .each = each, .arg = arg};
    uint64_t left = off < c->info.size ? c->info.size - off : 0;
    uint64_t there = off < c->first_bytes ? c->first_bytes - off : 0;
    status_t st = ST_OK;
    len = len < left ? len : left;
    there = there < len ? there : len;
    if (there > 0) {
        st = hand_out(&t, c->first + off, (size_t)there, &inner);
    }
    if (st == ST_OK && there < len) {
        st = each_of_rest(o, &t, len - there, off + there, &inner);
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
