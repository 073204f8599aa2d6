#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cell/run/lazy.h"
#include "cell/snapshot/postcopy.h"
#include "dirty.h"

/* Cells that go on before their pages are there. */

static const struct dirty_work work = {.rounds = 60, .writes = 300, .span = 1 << 21, .grow = 9};
static uint64_t work_result;

enum { STOP_AT = 20, TRIES_MAX = 200, PROBE_FROM = 256 << 10, PROBE_SPAN = 1 << 20 };

/* One side of a connection, whose n-th write may fail or be changed. */
struct side {
    int fd;
    uint32_t writes, fails_at, changes_at;
};

static bool side_put(void *arg, const void *data, size_t len)
{
    struct side *s = arg;
    s->writes++;
    if (s->writes == s->fails_at) {
        errno = EIO;
        return false;
    }
    if (s->writes != s->changes_at)
        return file_write_all(s->fd, data, len) == 0;
    uint8_t *copy = malloc(len);
    memcpy(copy, data, len);
    copy[len / 2] ^= 1;
    bool good = file_write_all(s->fd, copy, len) == 0;
    free(copy);
    return good;
}

static bool side_get(void *arg, void *data, size_t len)
{
    return file_read_all(((struct side *)arg)->fd, data, len) == 0;
}

static void side_shut(void *arg)
{
    shutdown(((struct side *)arg)->fd, SHUT_RDWR);
}

static struct postcopy_link side_link(struct side *s)
{
    return (struct postcopy_link){
        {.write = side_put, .arg = s}, {.read = side_get, .arg = s}, side_shut, s};
}

/* ---- the guest's host: looks at memory as a system call would ---- */

struct probe {
    uint32_t stops_at; /* round; 0: never */
    atomic_uint refused;
    struct host_module module;
};

static void probe_ask(void *ctx, void *env, uint32_t round)
{
    struct probe *p = env;
    if (!host_range(ctx, PROBE_FROM + round * 40961u % PROBE_SPAN, 5000))
        atomic_fetch_add(&p->refused, 1);
    if (p->stops_at && round % p->stops_at == p->stops_at - 1)
        cell_stop(host_cell(ctx), STOP_CAPTURE);
}

static const struct host_func probe_funcs[] = {{"ask", "i:", (void *)probe_ask},
                                               {NULL, NULL, NULL}};

static void probe_start(struct guest *g, struct probe *p)
{
    p->module = (struct host_module){.name = "h", .funcs = probe_funcs, .env = p};
    guest_start(g, dirty_rt, dirty_program, &p->module, NULL);
}

/* ---- the sender ---- */

struct sender {
    struct side side;
    bool rounds;      /* one round first, and the program goes on for a while */
    uint32_t fails;   /* the write of the served pages that fails; 0: none */
    uint32_t changes; /* or is changed */
    status_t st;
    struct error err;
};

static bool go_to_capture(struct guest *g, union cell_value *io, bool resumes)
{
    status_t st = resumes ? cell_resume(g->cell, io, &g->err) : guest_call(g, "work", io);
    CHECK_EQ(st, ST_CAPTURED);
    return st == ST_CAPTURED;
}

static void *send_cell(void *arg)
{
    struct sender *s = arg;
    struct probe h = {.stops_at = STOP_AT};
    struct guest g;
    union cell_value io[4];
    struct snapshot_info info = {.program = "dirty"};
    struct snapshot_sizes sizes;
    struct precopy *p = NULL;
    const struct postcopy_link link = side_link(&s->side);
    const struct precopy_options o = {.stop_bytes = s->rounds ? 4096 : UINT64_MAX};
    probe_start(&g, &h);
    dirty_arguments(&work, io);
    go_to_capture(&g, io, false);
    guest_need(precopy_start(g.cell, &info, &o, &link.sink, &p, &s->err), "start", &s->err);
    guest_need(precopy_rounds(p, &s->err), "rounds", &s->err);
    if (s->rounds)
        go_to_capture(&g, io, true);
    guest_need(precopy_offer(p, "host", 4, &sizes, &s->err), "offer", &s->err);
    s->side.writes = 0;
    s->side.fails_at = s->fails;
    s->side.changes_at = s->changes;
    s->st = precopy_serve(p, &link, &s->err);
    precopy_free(p);
    cell_free(g.cell);
    close(s->side.fd);
    return NULL;
}

/* ---- the receiver ---- */

struct receiver {
    struct side side;
    struct guest g;
    struct probe first, host;
    struct snapshot_reader *r;
    struct postcopy_link link;
    struct postcopy *p;
};

/* Up to the point where it may go on. */
static status_t receive(struct receiver *v, struct error *err)
{
    v->link = side_link(&v->side);
    guest_need(snapshot_open(&v->link.source, &v->r, err), "open", err);
    probe_start(&v->g, &v->first);
    if (snapshot_reader_is_live(v->r))
        guest_need(snapshot_receive(v->r, v->g.cell, NULL, NULL, err), "receive", err);
    v->host.module = v->first.module;
    v->host.module.env = &v->host;
    guest_need(cell_rebind(v->g.cell, &v->host.module, 1, err), "rebind", err);
    return postcopy_begin(v->r, v->g.cell, &v->link, &v->p, err);
}

static void receiver_done(struct receiver *v)
{
    postcopy_end(v->p);
    snapshot_close(v->r);
    cell_free(v->g.cell);
    close(v->side.fd);
}

static void connect_both(struct sender *s, struct receiver *v, pthread_t *ret_thread)
{
    int both[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
    s->side.fd = both[0];
    v->side.fd = both[1];
    CHECK(pthread_create(ret_thread, NULL, send_cell, s) == 0);
}

static void moves_well(bool rounds)
{
    struct sender s = {.rounds = rounds};
    struct receiver v = {.p = NULL};
    struct error err = {0};
    pthread_t thread;
    union cell_value io[4] = {{0}};
    connect_both(&s, &v, &thread);
    CHECK_EQ(receive(&v, &err), ST_OK);
    CHECK_EQ(postcopy_resume(v.p, io, &err), ST_OK);
    CHECK(io[0].u64 == work_result);
    CHECK_EQ(postcopy_wait(v.p, &err), ST_OK);
    CHECK_EQ(postcopy_owed(v.p), 0);
    CHECK_EQ(v.host.refused, 0);
    pthread_join(thread, NULL);
    CHECK_EQ(s.st, ST_OK);
    receiver_done(&v);
}

static void a_cell_goes_on_before_its_pages_are_there(void)
{
    moves_well(false);
}

static void pages_that_changed_after_a_round_come_later(void)
{
    moves_well(true);
}

static void its_address_space_is_as_new_for_the_next_cell(void)
{
    for (int i = 0; i < 3; i++) {
        moves_well(false);
        CHECK(dirty_expected(&work) == work_result);
    }
}

/* What a cell with a lost source did means nothing; that it ends, and how, does. */
static status_t move_badly(struct sender *s, struct error *err)
{
    struct receiver v = {.p = NULL};
    pthread_t thread;
    union cell_value io[4] = {{0}};
    connect_both(s, &v, &thread);
    status_t st = receive(&v, err);
    if (st == ST_OK)
        st = postcopy_resume(v.p, io, err);
    if (st == ST_OK) {
        CHECK(io[0].u64 == work_result); /* all that it needed had come before */
        st = postcopy_wait(v.p, err);
    }
    receiver_done(&v);
    pthread_join(thread, NULL);
    return st;
}

static void a_source_that_fails_ends_the_cell_with_the_reason(void)
{
    uint32_t n = 1;
    for (status_t st = ST_IO; st != ST_OK && n < TRIES_MAX; n++) {
        struct sender s = {.fails = n};
        struct error err = {0};
        st = move_badly(&s, &err);
        if (st != ST_OK) {
            CHECK(s.st == ST_IO && strstr(s.err.text, "writing"));
            CHECK((st == ST_CORRUPT || st == ST_IO) && err.text[0]);
        }
    }
    CHECK(n > 4 && n < TRIES_MAX);
}

static void a_changed_page_ends_the_cell(void)
{
    for (uint32_t n = 1; n <= 6; n++) {
        struct sender s = {.changes = n};
        struct error err = {0};
        CHECK_EQ(move_badly(&s, &err), ST_CORRUPT);
        CHECK(strstr(err.text, "snapshot: "));
        CHECK(s.st != ST_OK);
    }
}

static void a_receiver_that_gives_up_ends_the_sender(void)
{
    struct sender s = {.fails = 0};
    struct receiver v = {.p = NULL};
    struct error err = {0};
    pthread_t thread;
    connect_both(&s, &v, &thread);
    status_t st = receive(&v, &err);
    CHECK_EQ(st, ST_OK);
    bool early = postcopy_owed(v.p) > 0;
    receiver_done(&v);
    pthread_join(thread, NULL);
    CHECK(s.st != ST_OK || !early);
}

/* ---- the memory itself ---- */

static void a_lost_memory_refuses_the_host_and_stops_the_cell(void)
{
    struct probe h = {.stops_at = 0};
    struct guest g;
    struct page_set owed = {.count = 0};
    struct lazy *l = NULL;
    union cell_value io[4];
    probe_start(&g, &h);
    CHECK_EQ(page_set_add(&owed, 0, PROBE_FROM, PROBE_SPAN), ST_OK);
    guest_need(lazy_start(g.cell, &owed, &l, &g.err), "lazy", &g.err);
    CHECK_EQ(lazy_owed(l), PROBE_SPAN / 4096);
    lazy_fail(l);
    dirty_arguments(&work, io);
    CHECK_EQ(guest_call(&g, "work", io), ST_STOPPED);
    lazy_end(l);
    lazy_release(l);
    lazy_free(l);
    page_set_done(&owed);
    cell_free(g.cell);
}

static void a_cell_whose_pages_are_on_their_way_cannot_be_saved(void)
{
    struct probe h = {.stops_at = 0};
    struct guest g;
    struct page_set owed = {.count = 0};
    struct lazy *l = NULL;
    struct buf state = {0};
    static const uint8_t page[4096] = {1};
    const struct page_run run = {0, PROBE_FROM, sizeof page};
    probe_start(&g, &h);
    CHECK_EQ(page_set_add(&owed, 0, PROBE_FROM, 4096), ST_OK);
    guest_need(lazy_start(g.cell, &owed, &l, &g.err), "lazy", &g.err);
    CHECK_EQ(cell_state_save(g.cell, &state, &g.err), ST_UNSUPPORTED);
    CHECK(strstr(g.err.text, "on their way"));
    CHECK_EQ(lazy_fill(l, &run, page), ST_OK);
    CHECK_EQ(lazy_fill(l, &run, page), ST_INVALID);
    CHECK_EQ(lazy_owed(l), 0);
    lazy_end(l);
    lazy_release(l);
    state.len = 0;
    CHECK_EQ(cell_state_save(g.cell, &state, &g.err), ST_OK);
    buf_done(&state);
    lazy_free(l);
    page_set_done(&owed);
    cell_free(g.cell);
}

int main(int argc, char **argv)
{
    dirty_open(argc, argv);
    signal(SIGPIPE, SIG_IGN); /* a connection that is gone is an error of write */
    work_result = dirty_expected(&work);
    RUN(a_cell_goes_on_before_its_pages_are_there);
    RUN(pages_that_changed_after_a_round_come_later);
    RUN(its_address_space_is_as_new_for_the_next_cell);
    RUN(a_source_that_fails_ends_the_cell_with_the_reason);
    RUN(a_changed_page_ends_the_cell);
    RUN(a_receiver_that_gives_up_ends_the_sender);
    RUN(a_lost_memory_refuses_the_host_and_stops_the_cell);
    RUN(a_cell_whose_pages_are_on_their_way_cannot_be_saved);
    dirty_close();
    return CHECK_DONE();
}
