#include <stdlib.h>
#include <string.h>

#include "conn.h"

/* Objects that are written, in order or at any place (docs/internals/geds-drafts.md). */

enum {
    WRITE_BYTES = 64 * 1024, /* what is written in smaller pieces is gathered */
    WINDOW = 8,              /* requests on their way, of 1 MiB each */
};

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
    uint32_t handle; /* 0: nothing was sent yet, and block is all */
    uint64_t size;   /* with what is in block */
    bool ordered;    /* what was sent was in order: the store has block_at bytes */
    bool from;       /* it begins with an object */
    struct flight flights[WINDOW];
    unsigned first, count;
    status_t status; /* of the first thing that failed */
    struct error err;
    uint8_t *block; /* bytes at block_at that were not sent yet */
    uint64_t block_at;
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
    w->ordered = true;
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

static void begin(struct geds_writer *w)
{
    if (w->handle == 0) {
        w->handle = client_new_handle(w->store);
        w->request.handle = w->handle;
        launch(w, GEDS_PUT_BEGIN, &w->request, NULL, 0);
    }
}

/* In order as long as nothing else was asked for, so that the store makes an MD5 of the bytes. */
static void send_bytes(struct geds_writer *w, const void *data, size_t len, uint64_t off)
{
    begin(w);
    const struct geds_request r = {.handle = w->handle, .offset = off};
    launch(w, w->ordered ? GEDS_PUT_WRITE : GEDS_PUT_WRITE_AT, &r, data, len);
}

static void flush(struct geds_writer *w)
{
    if (w->fill > 0 && w->status == ST_OK) {
        send_bytes(w, w->block, w->fill, w->block_at);
    }
    w->block_at += w->fill;
    w->fill = 0;
}

/* Bytes into the block, if they are next to what it has, or over that; of an object that is all in it, anywhere.
 * Returns how many. */
static size_t gather(struct geds_writer *w, const uint8_t *data, size_t len, uint64_t off)
{
    bool all_here = w->handle == 0 && !w->from;
    uint64_t end = all_here ? WRITE_BYTES : w->block_at + w->fill;
    if (off < w->block_at || off > end || off - w->block_at >= WRITE_BYTES) {
        return 0;
    }
    size_t at = (size_t)(off - w->block_at);
    size_t n = len < WRITE_BYTES - at ? len : WRITE_BYTES - at;
    if (at > w->fill) {
        memset(w->block + w->fill, 0, at - w->fill);
    }
    memcpy(w->block + at, data, n);
    w->fill = at + n > w->fill ? at + n : w->fill;
    return n;
}

static status_t check_end(uint64_t off, uint64_t len, struct error *err)
{
    return off <= GEDS_OBJECT_MAX && len <= GEDS_OBJECT_MAX - off
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET, "an object has at most %llu bytes",
                           (unsigned long long)GEDS_OBJECT_MAX);
}

/* The block, which is empty, is at off. */
static void move_block(struct geds_writer *w, uint64_t off)
{
    w->ordered = w->ordered && off == w->block_at;
    w->block_at = off;
}

enum geds_code geds_pwrite(struct geds_writer *w, const void *data, size_t len, uint64_t off,
                           struct geds_error *err)
{
    const uint8_t *bytes = data;
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_end(off, len, &inner);
    if (st != ST_OK) {
        return give_error(st, &inner, err);
    }
    while (len > 0 && w->status == ST_OK) {
        size_t n = w->fill > 0 || len < WRITE_BYTES ? gather(w, bytes, len, off) : 0;
        if (n == 0) {
            flush(w);
            move_block(w, off);
            n = len < RPC_DATA_MAX ? len : RPC_DATA_MAX;
            if (n >= WRITE_BYTES) {
                send_bytes(w, bytes, n, off);
                w->block_at += n;
            } else {
                begin(w); /* it is not all in the block any more */
                n = gather(w, bytes, n, off);
            }
        }
        if (w->fill == WRITE_BYTES && w->handle != 0) {
            flush(w);
        }
        bytes += n;
        off += n;
        len -= n;
        w->size = off > w->size ? off : w->size;
    }
    return give_error(w->status, &w->err, err);
}

enum geds_code geds_write(struct geds_writer *w, const void *data, size_t len,
                          struct geds_error *err)
{
    return geds_pwrite(w, data, len, w->size, err);
}

enum geds_code geds_truncate(struct geds_writer *w, uint64_t size, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    status_t st = check_end(size, 0, &inner);
    if (st != ST_OK) {
        return give_error(st, &inner, err);
    }
    if (w->handle == 0 && !w->from && size <= WRITE_BYTES) {
        if (size > w->fill) {
            memset(w->block + w->fill, 0, (size_t)size - w->fill);
        }
        w->fill = (size_t)size;
        w->size = size;
    } else if (size != w->size && w->status == ST_OK) {
        flush(w);
        begin(w);
        w->ordered = false;
        launch(w, GEDS_PUT_RESIZE, &(struct geds_request){.handle = w->handle, .offset = size},
               NULL, 0);
        w->size = size;
    }
    return give_error(w->status, &w->err, err);
}

uint64_t geds_writer_size(const struct geds_writer *w)
{
    return w->size;
}

static void land_all(struct geds_writer *w)
{
    while (w->count > 0) {
        land(w, NULL);
    }
}

/* A read that fails leaves the writer as it is. */
static status_t read_back(struct geds_writer *w, uint8_t *data, size_t len, uint64_t off,
                          struct error *err)
{
    status_t st = ST_OK;
    w->ordered = false;
    while (len > 0 && st == ST_OK) {
        size_t n = len < RPC_DATA_MAX ? len : RPC_DATA_MAX;
        struct pending p = {.data = data, .room = (uint32_t)n};
        struct arena arena = {0};
        struct geds_answer ignored;
        const struct geds_request r = {.handle = w->handle, .offset = off};
        st = client_call(w->store, &p, GEDS_PUT_READ, &r, &(struct outgoing){.lane = w->handle},
                         &arena, &ignored, err);
        if (st == ST_OK && p.data_len != n) {
            st = error_set(err, ST_CORRUPT, off, "what is written is shorter than it was");
        }
        pending_done(&p);
        arena_done(&arena);
        data += n;
        off += n;
        len -= n;
    }
    return st;
}

enum geds_code geds_writer_pread(struct geds_writer *w, void *data, size_t len, uint64_t off,
                                 size_t *ret_len, struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    uint64_t left = off < w->size ? w->size - off : 0;
    size_t n = len < left ? len : (size_t)left;
    status_t st = w->status;
    if (w->handle == 0 && st == ST_OK) {
        if (n > 0) {
            memcpy(data, w->block + off, n);
        }
    } else if (st == ST_OK) {
        flush(w);
        land_all(w);
        st = w->status == ST_OK ? read_back(w, data, n, off, &inner) : w->status;
    }
    if (w->status != ST_OK) {
        inner = w->err;
    }
    if (st == ST_OK) {
        *ret_len = n;
    }
    return give_error(st, &inner, err);
}

static status_t begin_from(struct geds_writer *w, struct geds_info *ret_info, struct error *err)
{
    struct pending p = {0};
    struct arena arena = {0};
    struct geds_answer a;
    const struct geds_request r = {
        .handle = client_new_handle(w->store), .bucket = w->bucket, .key = w->key};
    status_t st = client_call(w->store, &p, GEDS_PUT_FROM, &r, &(struct outgoing){.lane = r.handle},
                              &arena, &a, err);
    if (st == ST_OK) {
        w->handle = r.handle;
        w->size = a.info.size;
        give_info(&a.info, ret_info);
    }
    pending_done(&p);
    arena_done(&arena);
    return st;
}

enum geds_code geds_edit(struct geds *g, const char *bucket, const char *key,
                         struct geds_writer **ret_writer, struct geds_info *ret_info,
                         struct geds_error *err)
{
    struct error inner = {.offset = ERROR_NO_OFFSET};
    struct geds_writer *w = NULL;
    status_t st = check_names(bucket, key, &inner);
    if (st == ST_OK) {
        st = writer_new(g, bucket, key, NULL, &w, &inner);
    }
    if (st == ST_OK) {
        w->from = true;
        w->ordered = false;
        st = begin_from(w, ret_info, &inner);
        if (st != ST_OK) {
            writer_free(w);
        }
    }
    if (st == ST_OK) {
        *ret_writer = w;
    }
    return give_error(st, &inner, err);
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
    flush(w);
    land_all(w);
    if (w->status != ST_OK) {
        code = give_error(w->status, &w->err, err);
        geds_abort(w);
        return code;
    }
    const struct geds_request r = {
        .handle = w->handle, .offset = w->size, .condition = take_condition(condition)};
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
    land_all(w);
    if (w->handle != 0) {
        launch(w, GEDS_PUT_ABORT, &(struct geds_request){.handle = w->handle}, NULL, 0);
        land(w, NULL); /* it may be gone already, after an error */
    }
    writer_free(w);
}
