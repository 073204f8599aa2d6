#include "orders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sys/thread.h"

struct one {
    uint64_t numbers[GEDS_NUMBERS_MAX];
    uint8_t *data; /* its own */
    size_t len;
};

struct orders {
    pthread_t threads[ORDER_THREADS];
    size_t started;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    bool stop;
    struct link *link;
    struct shelf *shelf;
    struct one list[ORDERS_MAX]; /* a ring */
    size_t first, count;
    unsigned active;
};

/* What it came to; bytes for free. */
struct result {
    status_t status;
    struct error err;
    uint8_t *bytes;
    size_t len;
};

static status_t give_read(struct shelf *s, const struct shelf_name *name, uint64_t off,
                          uint64_t len, struct result *r)
{
    if (len == 0 || len > SHELF_PIECE_BYTES) {
        return error_set(&r->err, ST_INVAL, off, "%llu bytes cannot be read at a time",
                         (unsigned long long)len);
    }
    r->bytes = malloc((size_t)len);
    r->len = (size_t)len;
    return r->bytes != NULL ? shelf_read(s, name, off, r->bytes, r->len, &r->err)
                            : error_set(&r->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

static status_t give_list(struct shelf *s, const struct shelf_name *after, uint64_t room,
                          struct result *r)
{
    size_t max = room / GEDS_WIRE_COPY_BYTES < RPC_DATA_MAX / GEDS_WIRE_COPY_BYTES
                     ? (size_t)(room / GEDS_WIRE_COPY_BYTES)
                     : RPC_DATA_MAX / GEDS_WIRE_COPY_BYTES;
    struct shelf_copy *list = calloc(max + 1, sizeof *list);
    struct buf out = {0};
    size_t count = list != NULL ? shelf_list(s, after, max, list) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct geds_wire_copy copy = {
            .extent = list[i].name.extent, .nonce = list[i].name.nonce, .bytes = list[i].bytes};
        geds_copy_encode(&copy, &out);
    }
    bool good = list != NULL && !out.failed;
    free(list);
    r->bytes = out.data;
    r->len = out.len;
    return good ? ST_OK : error_set(&r->err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

static void run(struct shelf *s, const struct one *o, struct result *r)
{
    const uint64_t *n = o->numbers;
    const struct shelf_name name = {.extent = n[GEDS_O_EXTENT], .nonce = n[GEDS_O_NONCE]};
    switch (n[GEDS_O_KIND]) {
    case GEDS_ORDER_WRITE:
        r->status = shelf_write(s, &name, n[GEDS_O_BYTES], n[GEDS_O_OFFSET], o->data, o->len,
                                &r->err);
        break;
    case GEDS_ORDER_END:
        r->status = shelf_end(s, &name, n[GEDS_O_BYTES], (uint32_t)n[GEDS_O_SUM], &r->err);
        break;
    case GEDS_ORDER_READ:
        r->status = give_read(s, &name, n[GEDS_O_OFFSET], n[GEDS_O_BYTES], r);
        break;
    case GEDS_ORDER_REMOVE:
        r->status = shelf_remove(s, &name, &r->err);
        break;
    case GEDS_ORDER_LIST:
        r->status = give_list(s, &name, n[GEDS_O_BYTES], r);
        break;
    default:
        r->status = error_set(&r->err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "no order %llu",
                              (unsigned long long)n[GEDS_O_KIND]);
    }
}

static void do_one(struct link *l, struct shelf *s, const struct one *o)
{
    struct result r = {.err = {.offset = ERROR_NO_OFFSET}};
    run(s, o, &r);
    bool good = r.status == ST_OK;
    const struct geds_request done = {.handle = (uint32_t)o->numbers[GEDS_O_NUMBER],
                                      .flags = rpc_code_of(r.status)};
    status_t st = link_send(l, GEDS_NODE_DONE, &done, 0, good ? (const void *)r.bytes : r.err.text,
                            good ? r.len : strlen(r.err.text), NULL);
    if (st != ST_OK) { /* the reader finds its end */
        shutdown(l->fd, SHUT_RDWR);
    }
    free(r.bytes);
}

static void *work(void *arg)
{
    struct orders *o = arg;
    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (!o->stop && o->count == 0) {
            pthread_cond_wait(&o->changed, &o->lock);
        }
        if (o->stop) {
            break;
        }
        struct one one = o->list[o->first];
        o->first = (o->first + 1) % ORDERS_MAX;
        o->count--;
        o->active++;
        struct link *l = o->link;
        struct shelf *s = o->shelf;
        pthread_mutex_unlock(&o->lock);
        do_one(l, s, &one);
        free(one.data);
        pthread_mutex_lock(&o->lock);
        o->active--;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

status_t orders_new(struct orders **ret_orders, struct error *err)
{
    struct orders *o = calloc(1, sizeof *o);
    int code = o != NULL ? 0 : ENOMEM;
    if (o != NULL) {
        pthread_mutex_init(&o->lock, NULL);
        pthread_cond_init(&o->changed, NULL);
    }
    while (code == 0 && o->started < ORDER_THREADS) {
        code = thread_start(&o->threads[o->started], work, o);
        o->started += code == 0;
    }
    if (code != 0) {
        orders_free(o);
        return error_set_errno(err, code, "thread");
    }
    *ret_orders = o;
    return ST_OK;
}

void orders_free(struct orders *o)
{
    if (o == NULL) {
        return;
    }
    orders_end(o);
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    for (size_t i = 0; i < o->started; i++) {
        pthread_join(o->threads[i], NULL);
    }
    pthread_cond_destroy(&o->changed);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

void orders_begin(struct orders *o, struct link *l, struct shelf *s)
{
    pthread_mutex_lock(&o->lock);
    o->link = l;
    o->shelf = s;
    pthread_mutex_unlock(&o->lock);
}

void orders_end(struct orders *o)
{
    pthread_mutex_lock(&o->lock);
    while (o->count > 0) {
        free(o->list[o->first].data);
        o->first = (o->first + 1) % ORDERS_MAX;
        o->count--;
    }
    while (o->active > 0) {
        pthread_cond_wait(&o->changed, &o->lock);
    }
    o->shelf = NULL;
    pthread_mutex_unlock(&o->lock);
}

status_t orders_add(struct orders *o, const uint64_t numbers[GEDS_NUMBERS_MAX], const void *data,
                    size_t len, struct error *err)
{
    struct one one = {.data = malloc(len + 1), .len = len};
    if (one.data == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    memcpy(one.numbers, numbers, sizeof one.numbers);
    memcpy(one.data, data, len);
    pthread_mutex_lock(&o->lock);
    bool fits = o->count < ORDERS_MAX && o->shelf != NULL;
    if (fits) {
        o->list[(o->first + o->count++) % ORDERS_MAX] = one;
        pthread_cond_signal(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    if (!fits) {
        free(one.data);
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                         "more orders than there may be, or none that is expected");
    }
    return ST_OK;
}
