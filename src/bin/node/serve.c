#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "sys/clock.h"

enum { RETRY_MS = 200, RETRY_MAX_MS = 10 * 1000, REPORT_MS = 2000, LEAVING_MS = 200 };
#define NS_PER_MS 1000000ULL

/* Until time is over, or something is wanted. */
static void wait_ms(const struct node *n, unsigned ms)
{
    struct pollfd p = {.fd = n->wake_fd, .events = POLLIN};
    uint64_t told; /* of a wish that is known is not told again */
    ssize_t ignored = read(n->wake_fd, &told, sizeof told);
    if (!atomic_load(&n->stop)) {
        ignored = poll(&p, 1, (int)ms);
    }
    (void)ignored;
}

static void encode_report(struct node *n, struct buf *out)
{
    struct shelf_usage u = {.limit_bytes = n->o.limit_bytes, .free_bytes = 0};
    if (n->shelf != NULL) {
        shelf_usage(n->shelf, &u);
    }
    const uint64_t numbers[GEDS_R_COUNT] = {[GEDS_R_COPIES] = u.copies,
                                            [GEDS_R_BYTES] = u.bytes,
                                            [GEDS_R_LIMIT_BYTES] = u.limit_bytes,
                                            [GEDS_R_FREE_BYTES] = u.free_bytes,
                                            [GEDS_R_BAD] = u.bad,
                                            [GEDS_R_PROCESS] = (uint64_t)getpid()};
    geds_report_encode(numbers, out);
}

static status_t send_report(struct node *n, struct link *l, enum geds_op op,
                            const struct geds_request *r, struct error *err)
{
    struct buf data = {0};
    encode_report(n, &data);
    status_t st = data.failed ? error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory")
                              : link_send(l, op, r, op == GEDS_NODE_JOIN ? RPC_DATA_MAX : 0,
                                          data.data, data.len, err);
    buf_done(&data);
    return st;
}

static status_t report(struct node *n, struct link *l, struct error *err)
{
    const struct geds_request r = {.flags = atomic_load(&n->leave) ? GEDS_REPORT_LEAVE : 0};
    return send_report(n, l, GEDS_NODE_REPORT, &r, err);
}

/* The folder of this controller's store; what was open for another one is closed. */
static status_t welcome(struct node *n, struct link *l, const uint64_t *numbers, struct error *err)
{
    char path[PATH_MAX + 64];
    const uint64_t id[] = {numbers[GEDS_O_EXTENT], numbers[GEDS_O_NONCE]};
    if (n->shelf == NULL || memcmp(n->store, id, sizeof id) != 0) {
        orders_end(n->orders); /* a second one of a connection: the first may have orders */
        shelf_close(n->shelf);
        n->shelf = NULL;
        snprintf(path, sizeof path, "%s/%016llx%016llx", n->o.folder, (unsigned long long)id[0],
                 (unsigned long long)id[1]);
        const struct shelf_options o = {
            .path = path, .limit_bytes = n->o.limit_bytes, .spare_bytes = n->o.spare_bytes};
        status_t st = shelf_open(&o, &n->shelf, err);
        if (st != ST_OK) {
            return st;
        }
        memcpy(n->store, id, sizeof id);
    }
    shelf_forget_writes(n->shelf);
    orders_begin(n->orders, l, n->shelf);
    return report(n, l, err);
}

/* *ret_over: the connection is to end, for the result. */
static status_t bye(struct node *n, const uint64_t *numbers, bool *ret_over, struct error *err)
{
    *ret_over = true;
    if (numbers[GEDS_O_SUM] != 1) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                         "another node with the id of this state folder has joined");
    }
    orders_end(n->orders);
    n->left = true;
    return n->shelf != NULL ? shelf_remove_all(n->shelf, err) : ST_OK;
}

static bool is_for_good(status_t st)
{
    return st == ST_PERM || st == ST_INVAL || st == ST_UNSUPPORTED || st == ST_FORMAT ||
           st == ST_EXIST;
}

static status_t take_order(struct node *n, struct link *l, struct frame *f, bool *ret_over,
                           struct error *err)
{
    struct geds_answer a;
    struct arena none = {0};
    if (f->status != ST_OK) {
        *ret_over = is_for_good(f->status);
        return f->status;
    }
    status_t st = geds_answer_decode(GEDS_NODE_JOIN, &f->args, &none, &a, err);
    if (st != ST_OK) {
        return st;
    }
    if ((f->head.flags & RPC_MORE) == 0) {
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the controller ended the connection");
    }
    switch (a.numbers[GEDS_O_KIND]) {
    case GEDS_ORDER_WELCOME:
        st = welcome(n, l, a.numbers, err);
        n->welcome = st == ST_OK;
        /* a disk that is full may have room later */
        *ret_over = st != ST_OK && st != ST_IO && st != ST_LIMIT && st != ST_NOMEM;
        return st;
    case GEDS_ORDER_BYE:
        return bye(n, a.numbers, ret_over, err);
    default:
        return orders_add(n->orders, a.numbers, f->data, f->head.data_bytes, err);
    }
}

static void note_left(struct node *n, struct frame *f, uint64_t *told)
{
    struct geds_answer a;
    struct arena none = {0};
    char text[24];
    if (f->status != ST_OK || !atomic_load(&n->leave) ||
        geds_answer_decode(GEDS_NODE_REPORT, &f->args, &none, &a, NULL) != ST_OK ||
        a.numbers[GEDS_N_COUNT] == *told) {
        return;
    }
    *told = a.numbers[GEDS_N_COUNT];
    snprintf(text, sizeof text, "%llu", (unsigned long long)*told);
    log_info("node.leaving", "left", text);
}

/* Until the connection is over. *ret_over: no other one is to be made. */
static status_t follow(struct node *n, struct link *l, bool *ret_over, struct error *err)
{
    status_t st = ST_OK;
    uint64_t next = 0, told = 0;
    while (st == ST_OK && !*ret_over && !atomic_load(&n->stop)) {
        struct pollfd p[] = {{.fd = l->fd, .events = POLLIN}, {.fd = n->wake_fd, .events = POLLIN}};
        uint64_t now = clock_monotonic_ns();
        bool leaves = atomic_load(&n->leave);
        if (now >= next || (leaves && now + LEAVING_MS * NS_PER_MS < next)) {
            next = now + (leaves ? LEAVING_MS : REPORT_MS) * NS_PER_MS;
            st = n->shelf != NULL ? report(n, l, err) : ST_OK;
        }
        /* once it is known that something is wanted, the eventfd says nothing new */
        if (st != ST_OK || poll(p, leaves ? 1 : 2, (int)((next - now) / NS_PER_MS) + 1) <= 0 ||
            (p[0].revents & (POLLIN | POLLHUP | POLLERR)) == 0) {
            continue;
        }
        struct frame f;
        st = link_read(l, &f, err);
        if (st == ST_OK && f.head.kind == GEDS_NODE_JOIN) {
            st = take_order(n, l, &f, ret_over, err);
        } else if (st == ST_OK && f.head.kind == GEDS_NODE_REPORT) {
            note_left(n, &f, &told);
        }
    }
    return st;
}

static status_t connect_once(struct node *n, bool *ret_over, struct error *err)
{
    struct link l;
    const struct geds_request r = {.key = n->o.key, .prefix = n->o.name};
    n->welcome = false;
    status_t st = link_open(n->o.controller, &l, err);
    if (st != ST_OK) {
        *ret_over = is_for_good(st);
        return st;
    }
    st = send_report(n, &l, GEDS_NODE_JOIN, &r, err);
    if (st == ST_OK) {
        st = follow(n, &l, ret_over, err);
    }
    shutdown(l.fd, SHUT_RDWR);
    orders_end(n->orders);
    link_close(&l);
    return st;
}

status_t node_serve(struct node *n, struct error *err)
{
    unsigned wait = RETRY_MS;
    bool over = false;
    status_t st = orders_new(&n->orders, err);
    while (st == ST_OK && !over && !atomic_load(&n->stop)) {
        struct error why = {.offset = ERROR_NO_OFFSET};
        status_t one = connect_once(n, &over, &why);
        if (over) {
            st = one == ST_OK ? ST_OK : error_set(err, one, why.offset, "%s", why.text);
        } else if (!atomic_load(&n->stop)) {
            wait = n->welcome ? RETRY_MS : wait;
            log_warn("node.waiting", "why", why.text);
            wait_ms(n, wait);
            wait = 2 * wait < RETRY_MAX_MS ? 2 * wait : RETRY_MAX_MS;
        }
    }
    orders_free(n->orders);
    shelf_close(n->shelf);
    return st;
}
