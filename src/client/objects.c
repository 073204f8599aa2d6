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
