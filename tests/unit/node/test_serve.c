/* A node whose controller is a list of answers: what stands in for its connection, its orders and its shelf notes what
 * is done with them. */
#include <stdarg.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "serve.h"
#include "sys/clock.h"

enum { STEPS = 8, LOG_BYTES = 512 };

/* What comes over a connection: an order, or an answer that is an error. status ST_IO: the connection is lost. */
struct step {
    status_t status;
    uint64_t kind, id, sum;
};
static const struct step *script;
static size_t at;
static unsigned connections, connections_max;
static char events[LOG_BYTES];
static bool begun;            /* orders are worked at, with the shelf that is open */
static status_t shelf_status; /* of opening one */
static unsigned shelf_fails;  /* so many do, and then no more; 0: all */
static struct node *node;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    size_t len = strlen(events);
    va_list args;
    va_start(args, format);
    vsnprintf(events + len, sizeof events - len, format, args);
    va_end(args);
}

/* The connection. */

status_t link_open(const char *address, struct link *ret_link, struct error *err)
{
    (void)address, (void)err;
    *ret_link = (struct link){
        .fd = eventfd(1, EFD_CLOEXEC)}; /* there is always something to read */
    note("(");
    if (++connections == connections_max) {
        atomic_store(&node->stop, true);
    }
    return ST_OK;
}

void link_close(struct link *l)
{
    close(l->fd);
    note(")");
}

status_t link_send(struct link *l, enum geds_op op, const struct geds_request *r, uint32_t room,
                   const void *data, size_t len, struct error *err)
{
    (void)l, (void)r, (void)room, (void)data, (void)len, (void)err;
    note(op == GEDS_NODE_JOIN ? "join " : op == GEDS_NODE_REPORT ? "" : "? ");
    return ST_OK;
}

status_t link_read(struct link *l, struct frame *ret_frame, struct error *err)
{
    static struct buf args;
    const struct step *s = &script[at++];
    (void)l;
    if (s->status == ST_IO) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "the connection is lost");
    }
    const struct geds_answer a = {.numbers = {[GEDS_O_KIND] = s->kind,
                                              [GEDS_O_EXTENT] = s->id,
                                              [GEDS_O_NONCE] = s->id,
                                              [GEDS_O_SUM] = s->sum}};
    buf_done(&args);
    geds_answer_encode(GEDS_NODE_JOIN, &a, &args);
    struct frame f = {.head = {.kind = GEDS_NODE_JOIN, .flags = RPC_ANSWER | RPC_MORE},
                      .status = s->status};
    cursor_init(&f.args, args.data, args.len, 0);
    if (s->status != ST_OK) {
        error_set(err, s->status, ERROR_NO_OFFSET, "refused");
    }
    *ret_frame = f;
    return ST_OK;
}

/* Orders. */

status_t orders_new(struct orders **ret_orders, struct error *err)
{
    (void)err;
    *ret_orders = NULL;
    return ST_OK;
}

void orders_free(struct orders *o)
{
    (void)o;
    begun = false;
}

void orders_begin(struct orders *o, struct link *l, struct shelf *s)
{
    (void)o, (void)l, (void)s;
    note("begin ");
    begun = true;
}

void orders_end(struct orders *o)
{
    (void)o;
    note(begun ? "end " : "");
    begun = false;
}

status_t orders_add(struct orders *o, const uint64_t numbers[GEDS_NUMBERS_MAX], const void *data,
                    size_t len, struct error *err)
{
    (void)o, (void)data, (void)len, (void)err;
    note("order%llu ", (unsigned long long)numbers[GEDS_O_KIND]);
    return ST_OK;
}

/* The shelf. */

struct shelf {
    char name[8]; /* the last digits of its folder */
};

status_t shelf_open(const struct shelf_options *o, struct shelf **ret_shelf, struct error *err)
{
    struct shelf *s = calloc(1, sizeof *s);
    if (shelf_status != ST_OK) {
        status_t st = error_set(err, shelf_status, ERROR_NO_OFFSET, "no shelf");
        shelf_status = shelf_fails > 0 && --shelf_fails == 0 ? ST_OK : shelf_status;
        free(s);
        return st;
    }
    snprintf(s->name, sizeof s->name, "%s", o->path + strlen(o->path) - 1);
    note("open%s ", s->name);
    *ret_shelf = s;
    return ST_OK;
}

void shelf_close(struct shelf *s)
{
    if (s != NULL) {
        note("close%s ", s->name);
        CHECK(!begun); /* or orders are worked at on a shelf that is gone */
    }
    free(s);
}

void shelf_forget_writes(struct shelf *s)
{
    (void)s;
}

status_t shelf_remove_all(struct shelf *s, struct error *err)
{
    (void)err;
    note("empty%s ", s->name);
    CHECK(!begun);
    return ST_OK;
}

void shelf_usage(struct shelf *s, struct shelf_usage *ret_usage)
{
    (void)s;
    *ret_usage = (struct shelf_usage){.limit_bytes = 1};
}

/* It runs until it ends, or is stopped at its last connection. */
static status_t run(const struct step *steps, unsigned connections_wanted, bool *ret_left)
{
    static struct node n;
    struct error err = {.offset = ERROR_NO_OFFSET};
    n = (struct node){.o = {.name = "n", .folder = "/copies"},
                      .wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
    const uint64_t one = 1;
    node = &n;
    script = steps;
    at = connections = 0;
    connections_max = connections_wanted;
    events[0] = '\0';
    CHECK_EQ(write(n.wake_fd, &one, sizeof one), (ssize_t)sizeof one);
    status_t st = node_serve(&n, &err);
    close(n.wake_fd);
    *ret_left = n.left;
    return st;
}

static void a_second_welcome_of_another_store_ends_the_orders_of_the_first(void)
{
    static const struct step steps[] = {{.kind = GEDS_ORDER_WELCOME, .id = 1},
                                        {.kind = GEDS_ORDER_READ},
                                        {.kind = GEDS_ORDER_WELCOME, .id = 2},
                                        {.kind = GEDS_ORDER_BYE, .sum = 1}};
    bool left = false;
    CHECK_EQ(run(steps, 2, &left), ST_OK);
    CHECK(left);
    CHECK_STR(events, "(join open1 begin order4 end close1 open2 begin end empty2 )close2 ");
}

static void a_second_welcome_of_the_same_store_keeps_the_shelf(void)
{
    static const struct step steps[] = {{.kind = GEDS_ORDER_WELCOME, .id = 1},
                                        {.kind = GEDS_ORDER_READ},
                                        {.kind = GEDS_ORDER_WELCOME, .id = 1},
                                        {.kind = GEDS_ORDER_BYE, .sum = 1}};
    bool left = false;
    CHECK_EQ(run(steps, 2, &left), ST_OK);
    CHECK_STR(events, "(join open1 begin order4 begin end empty1 )close1 ");
}

static void what_may_be_better_later_is_tried_again(void)
{
    static const status_t later[] = {ST_LIMIT, ST_AGAIN, ST_STOPPED, ST_NOMEM, ST_CORRUPT};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        const struct step steps[] = {{.status = later[i]}, {.status = later[i]}};
        bool left = true;
        CHECK_EQ(run(steps, 2, &left), ST_OK);
        CHECK(!left);
        CHECK_EQ(connections, 2);
    }
}

static void what_will_not_be_ends_the_node(void)
{
    static const status_t never[] = {ST_PERM, ST_INVAL, ST_UNSUPPORTED, ST_FORMAT, ST_EXIST};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        const struct step steps[] = {{.status = never[i]}, {.status = never[i]}};
        bool left = true;
        CHECK_EQ(run(steps, 2, &left), never[i]);
        CHECK(!left);
        CHECK_EQ(connections, 1);
    }
}

static void a_node_whose_shelf_does_not_open_ends_with_the_reason(void)
{
    static const struct step steps[] = {{.kind = GEDS_ORDER_WELCOME, .id = 1}, {.status = ST_IO}};
    bool left = true;
    shelf_status = ST_PERM;
    CHECK_EQ(run(steps, 2, &left), ST_PERM);
    shelf_status = ST_OK;
    CHECK(!left);
    CHECK_EQ(connections, 1);
}

static void a_node_whose_disk_is_full_waits_for_room(void)
{
    static const status_t full[] = {ST_LIMIT, ST_NOMEM};
    for (size_t i = 0; i < sizeof full / sizeof full[0]; i++) {
        static const struct step steps[] = {{.kind = GEDS_ORDER_WELCOME, .id = 1},
                                            {.kind = GEDS_ORDER_WELCOME, .id = 1},
                                            {.kind = GEDS_ORDER_BYE, .sum = 1}};
        bool left = false;
        shelf_fails = 1;
        shelf_status = full[i];
        CHECK_EQ(run(steps, 3, &left), ST_OK);
        shelf_status = ST_OK;
        CHECK(left);
        CHECK_STR(events, "(join )(join open1 begin end empty1 )close1 ");
    }
}

static void a_node_that_is_not_welcome_waits_longer_each_time(void)
{
    static const struct step steps[] = {{.kind = GEDS_ORDER_WELCOME, .id = 1},
                                        {.kind = GEDS_ORDER_WELCOME, .id = 1},
                                        {.kind = GEDS_ORDER_WELCOME, .id = 1}};
    bool left = false;
    const uint64_t begin = clock_monotonic_ns();
    shelf_fails = 3;
    shelf_status = ST_LIMIT;
    CHECK_EQ(run(steps, 3, &left), ST_OK);
    shelf_status = ST_OK;
    CHECK_EQ(connections, 3);
    CHECK(clock_monotonic_ns() - begin >= 600 * UINT64_C(1000000)); /* 200 and 400 ms */
}

static void a_lost_connection_is_made_again_with_the_same_shelf(void)
{
    static const struct step steps[] = {{.kind = GEDS_ORDER_WELCOME, .id = 1},
                                        {.status = ST_IO},
                                        {.kind = GEDS_ORDER_WELCOME, .id = 1},
                                        {.kind = GEDS_ORDER_BYE, .sum = 0}};
    bool left = true;
    CHECK_EQ(run(steps, 3, &left), ST_EXIST); /* another one has its id */
    CHECK(!left);
    CHECK_STR(events, "(join open1 begin end )(join begin end )close1 ");
}

int main(void)
{
    RUN(a_second_welcome_of_another_store_ends_the_orders_of_the_first);
    RUN(a_second_welcome_of_the_same_store_keeps_the_shelf);
    RUN(what_may_be_better_later_is_tried_again);
    RUN(what_will_not_be_ends_the_node);
    RUN(a_node_whose_shelf_does_not_open_ends_with_the_reason);
    RUN(a_node_whose_disk_is_full_waits_for_room);
    RUN(a_node_that_is_not_welcome_waits_longer_each_time);
    RUN(a_lost_connection_is_made_again_with_the_same_shelf);
    return CHECK_DONE();
}
