#include <stdlib.h>

#include "geds/tiers.h"
#include "task.h"

/* Bytes of objects. */

/* Compared after the store has taken its own checksums of these bytes. */
static status_t compare(struct task *t)
{
    return rpc_request_intact(t->rpc) ? ST_OK
                                      : error_set(&t->err, ST_CORRUPT, ERROR_NO_OFFSET,
                                                  "the data are not those that were sent");
}

static status_t commit(struct task *t, struct store_put *put)
{
    struct store_info info;
    const struct store_condition condition = task_condition(&t->request.condition);
    status_t st = store_put_commit(put, &condition, &info, &t->err);
    if (st == ST_OK) {
        task_info(t, &info);
    }
    return st;
}

static status_t begin(struct task *t, struct store_put **ret_put)
{
    const struct store_attributes *attributes = NULL;
    status_t st = task_check_new_key(t, t->request.key);
    if (st == ST_OK) {
        st = task_attributes(t, &attributes);
    }
    return st == ST_OK ? store_put_begin(t->store, t->request.bucket, t->request.key, attributes,
                                         ret_put, &t->err)
                       : st;
}

status_t serve_put(struct task *t)
{
    struct store_put *put = NULL;
    status_t st = begin(t, &put);
    if (st != ST_OK) {
        return st;
    }
    st = store_put_write(put, t->rpc->data, t->rpc->data_bytes, &t->err);
    if (st == ST_OK) {
        st = compare(t);
    }
    if (st != ST_OK) {
        store_put_abort(put);
        return st;
    }
    return commit(t, put);
}

status_t serve_put_begin(struct task *t)
{
    struct store_put *put = NULL;
    status_t st = begin(t, &put);
    if (st == ST_OK && (st = handle_add(t, put, NULL)) != ST_OK) {
        store_put_abort(put);
    }
    return st;
}

/* Attributes are borrowed from the object, so it has to stay until they are encoded: they are copied. */
static status_t copy_attributes(struct task *t, const struct store_object *o)
{
    const struct store_attributes *from = store_object_attributes(o);
    struct store_attribute *pairs = arena_alloc(&t->arena, from->count, sizeof *pairs);
    struct store_attributes a = {.pairs = pairs, .count = from->count};
    bool good = pairs != NULL;
    if (from->content_type != NULL) {
        a.content_type = arena_strndup(&t->arena, from->content_type, strlen(from->content_type));
        good = good && a.content_type != NULL;
    }
    for (size_t i = 0; i < a.count && good; i++) {
        const char *name = from->pairs[i].name, *value = from->pairs[i].value;
        pairs[i].name = arena_strndup(&t->arena, name, strlen(name));
        pairs[i].value = arena_strndup(&t->arena, value, strlen(value));
        good = pairs[i].name != NULL && pairs[i].value != NULL;
    }
    return good ? task_set_attributes(t, &a)
                : error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

/* Only the lane of a put keeps its requests from being run at the same time. */
static status_t find_put(struct task *t, struct handle **ret_handle)
{
    struct handle *h = NULL;
    if (t->rpc->lane != t->request.handle || t->rpc->lane == 0) {
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET,
                         "requests of a put must have its handle as their lane");
    }
    status_t st = handle_find(t, &h);
    if (st == ST_OK && h->put == NULL) {
        handle_drop(t->session, h);
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "%u is no put", t->request.handle);
    }
    if (st == ST_OK) {
        *ret_handle = h;
    }
    return st;
}

/* What comes behind a change that failed finds no put. */
static status_t end_of_change(struct task *t, struct handle *h, status_t st)
{
    if (st == ST_OK) {
        st = compare(t);
    }
    if (st != ST_OK) {
        handle_remove(t->session, h);
    }
    handle_drop(t->session, h);
    return st;
}

status_t serve_put_write(struct task *t)
{
    struct handle *h = NULL;
    status_t st = find_put(t, &h);
    if (st != ST_OK) {
        return st;
    }
    uint64_t size = store_put_size(h->put);
    if (t->request.offset != size) {
        st = error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET,
                       "bytes at %llu were expected, not at %llu", (unsigned long long)size,
                       (unsigned long long)t->request.offset);
    }
    if (st == ST_OK) {
        st = store_put_write(h->put, t->rpc->data, t->rpc->data_bytes, &t->err);
    }
    return end_of_change(t, h, st);
}

status_t serve_put_write_at(struct task *t)
{
    struct handle *h = NULL;
    status_t st = find_put(t, &h);
    if (st != ST_OK) {
        return st;
    }
    st = store_put_write_at(h->put, t->rpc->data, t->rpc->data_bytes, t->request.offset, &t->err);
    return end_of_change(t, h, st);
}

status_t serve_put_resize(struct task *t)
{
    struct handle *h = NULL;
    status_t st = find_put(t, &h);
    if (st != ST_OK) {
        return st;
    }
    return end_of_change(t, h, store_put_set_size(h->put, t->request.offset, &t->err));
}

status_t serve_put_read(struct task *t)
{
    struct handle *h = NULL;
    struct buf *data = &t->out->data;
    size_t got = 0;
    status_t st = find_put(t, &h);
    if (st != ST_OK) {
        return st;
    }
    if (t->rpc->room > 0 && (data->data = malloc(t->rpc->room)) == NULL) {
        st = error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    } else if (t->rpc->room > 0) {
        data->cap = t->rpc->room;
        st = store_put_read(h->put, data->data, data->cap, t->request.offset, &got, &t->err);
    }
    data->len = st == ST_OK ? got : 0;
    handle_drop(t->session, h);
    return st;
}

status_t serve_put_from(struct task *t)
{
    struct store_put *put = NULL;
    struct store_object *o = NULL;
    struct store_info info;
    status_t st = store_object_open(t->store, t->request.bucket, t->request.key, &o, &t->err);
    if (st == ST_OK) {
        st = copy_attributes(t, o);
        store_object_close(o);
    }
    if (st == ST_OK) {
        st = store_put_begin_from(t->store, t->request.bucket, t->request.key, &put, &info,
                                  &t->err);
    }
    if (st == ST_OK) {
        task_info(t, &info);
        st = handle_add(t, put, NULL);
    }
    if (st != ST_OK) {
        store_put_abort(put);
    }
    return st;
}

status_t serve_put_commit(struct task *t)
{
    struct handle *h = NULL;
    status_t st = find_put(t, &h);
    if (st != ST_OK) {
        return st;
    }
    uint64_t size = store_put_size(h->put);
    if (t->request.offset != size) {
        st = error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "%llu bytes came, not %llu",
                       (unsigned long long)size, (unsigned long long)t->request.offset);
    } else {
        struct store_put *put = h->put;
        h->put = NULL;
        st = commit(t, put);
    }
    handle_remove(t->session, h);
    handle_drop(t->session, h);
    return st;
}

status_t serve_put_abort(struct task *t)
{
    struct handle *h = NULL;
    status_t st = find_put(t, &h);
    if (st == ST_OK) {
        handle_remove(t->session, h);
        handle_drop(t->session, h);
    }
    return st;
}

status_t serve_append(struct task *t)
{
    struct store_info info;
    const struct store_condition condition = task_condition(&t->request.condition);
    /* it is one call of the store: nothing can come between its sums and its commit */
    status_t st = compare(t);
    if (st == ST_OK) {
        st = task_check_new_key(t, t->request.key);
    }
    if (st == ST_OK) {
        st = store_append(t->store, t->request.bucket, t->request.key, t->rpc->data,
                          t->rpc->data_bytes, &condition, &info, &t->err);
    }
    if (st == ST_OK) {
        task_info(t, &info);
    }
    return st;
}

status_t serve_stat(struct task *t)
{
    struct store_object *o = NULL;
    status_t st = store_object_open(t->store, t->request.bucket, t->request.key, &o, &t->err);
    if (st == ST_OK) {
        task_info(t, store_object_info(o));
        st = copy_attributes(t, o);
        store_object_close(o);
    }
    return st;
}

/* *ret_waits: nothing was read, since it takes the tier. */
static status_t read_into_answer(struct task *t, struct store_object *o, uint64_t off,
                                 bool *ret_waits)
{
    uint64_t size = store_object_info(o)->size, left = off < size ? size - off : 0;
    size_t len = left < t->rpc->room ? (size_t)left : t->rpc->room, got = 0;
    struct buf *data = &t->out->data;
    *ret_waits = false;
    if (len == 0) {
        return ST_OK;
    }
    if ((data->data = malloc(len)) == NULL) {
        return error_set(&t->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    data->cap = len;
    status_t st = store_object_read_now(o, data->data, len, off, &got, ret_waits, &t->err);
    data->len = st == ST_OK ? got : 0;
    return *ret_waits ? ST_OK : st;
}

/* The same where read_into_answer could not. */
static status_t wait_into_answer(struct task *t, struct store_object *o, uint64_t off)
{
    size_t got = 0;
    struct buf *data = &t->out->data;
    status_t st = store_wait_begin(t->store, &t->err);
    if (st == ST_OK) {
        st = store_object_read(o, data->data, data->cap, off, &got, &t->err);
        store_wait_end(t->store);
    }
    data->len = st == ST_OK ? got : 0;
    return st;
}

status_t serve_open(struct task *t)
{
    struct store_object *o = NULL;
    bool waits = false; /* the first read does then */
    status_t st = store_object_open(t->store, t->request.bucket, t->request.key, &o, &t->err);
    if (st != ST_OK) {
        return st;
    }
    task_info(t, store_object_info(o));
    st = copy_attributes(t, o);
    if (st == ST_OK && !store_object_is_away(o)) {
        st = read_into_answer(t, o, 0, &waits);
    }
    if (st == ST_OK) {
        st = handle_add(t, NULL, o);
    }
    if (st != ST_OK) {
        store_object_close(o);
    }
    return st;
}

status_t handle_find_object(struct task *t, struct handle **ret_handle)
{
    struct handle *h = NULL;
    status_t st = handle_find(t, &h);
    if (st == ST_OK && h->object == NULL) {
        handle_drop(t->session, h);
        return error_set(&t->err, ST_INVAL, ERROR_NO_OFFSET, "%u is no open object",
                         t->request.handle);
    }
    if (st == ST_OK) {
        *ret_handle = h;
    }
    return st;
}

status_t serve_read(struct task *t)
{
    struct handle *h = NULL;
    bool waits = false;
    status_t st = handle_find_object(t, &h);
    if (st != ST_OK) {
        return st;
    }
    st = read_into_answer(t, h->object, t->request.offset, &waits);
    if (st == ST_OK && waits && t->rpc->quick) { /* its bytes left, or turned out to be damaged */
        handle_waits(t->session, h);
        t->out->later = true;
    } else if (st == ST_OK && waits) {
        st = wait_into_answer(t, h->object, t->request.offset);
    }
    handle_drop(t->session, h);
    return st;
}

/* As many pieces as one answer can pass, from number max on. */
status_t serve_map(struct task *t)
{
    struct handle *h = NULL;
    status_t st = handle_find_object(t, &h);
    if (st != ST_OK) {
        return st;
    }
    size_t first = t->request.max, n = 0;
    bool waits = store_object_is_away(h->object);
    if (waits && (st = store_wait_begin(t->store, &t->err)) != ST_OK) {
        handle_drop(t->session, h);
        return st;
    }
    while (st == ST_OK && n < RPC_PASSED_MAX && t->out->data.len + 8 <= t->rpc->room) {
        uint64_t bytes = 0;
        st = store_object_piece(h->object, first + n, &t->out->passed[n], &bytes, &t->err);
        if (st == ST_OK) {
            geds_piece_encode(bytes, &t->out->data);
            t->out->passed_count = (unsigned)++n;
        }
    }
    if (waits) {
        store_wait_end(t->store);
    }
    t->answer.more = st == ST_OK;
    handle_drop(t->session, h);
    return st == ST_NOTFOUND ? ST_OK : st;
}

status_t serve_close(struct task *t)
{
    struct handle *h = NULL;
    status_t st = handle_find_object(t, &h);
    if (st == ST_OK) {
        handle_remove(t->session, h);
        handle_drop(t->session, h);
    }
    return st;
}
