#include <pthread.h>
#include <stdatomic.h>

#include "cell/snapshot/precopy.h"
#include "dirty.h"
#include "sys/clock.h"

/* Cells that are sent while they run. */

static const struct dirty_work busy = {.rounds = 600, .writes = 500, .span = 1 << 21, .grow = 17};
static uint64_t busy_result;

enum { TRIES_MAX = 400, STEP = 6, AHEAD = 4 };

/* A running cell, and the thread that sends it once its program has begun. */
struct sender {
    struct guest g;
    struct dirty_host host;
    struct dirty_stream stream;
    struct snapshot_sink sink;
    struct precopy_options options;
    struct snapshot_info info;
    struct precopy *precopy;
    struct error err;
    status_t rounds; /* what became of the rounds */
    status_t finish; /* and of the rest */
    uint64_t host_state;
    uint32_t progress_calls, cancels_at, last_round;
    atomic_uint asked;   /* rounds that the guest has come to */
    atomic_uint allowed; /* how far it may come until it is sent */
    atomic_bool sent;    /* as far as it will be */
};

static void ask_and_begin(void *ctx, void *env, uint32_t round)
{
    struct sender *s = env;
    (void)ctx;
    atomic_store(&s->asked, round);
    while (round > atomic_load(&s->allowed) && !atomic_load(&s->sent))
        sched_yield();
}

/* The guest has to come a bit further, on whatever CPU it gets, and goes on while pages are sent. */
static void wait_for_guest(struct sender *s)
{
    uint32_t allowed = atomic_fetch_add(&s->allowed, STEP) + STEP;
    while (atomic_load(&s->asked) < allowed - AHEAD)
        sched_yield();
}

static const struct host_func sender_funcs[] = {{"ask", "i:", (void *)ask_and_begin},
                                                {NULL, NULL, NULL}};

static bool note_progress(void *arg, const struct precopy_progress *p)
{
    struct sender *s = arg;
    CHECK(p->sent_bytes <= p->round_bytes && p->round >= s->last_round);
    s->last_round = p->round;
    if (p->sent_bytes == p->round_bytes)
        wait_for_guest(s);
    return ++s->progress_calls != s->cancels_at;
}

static void *send_rounds(void *arg)
{
    struct sender *s = arg;
    wait_for_guest(s);
    s->rounds = precopy_start(s->g.cell, &s->info, &s->options, &s->sink, &s->precopy, &s->err);
    if (s->rounds == ST_OK)
        s->rounds = precopy_rounds(s->precopy, &s->err);
    if (s->rounds == ST_OK)
        cell_stop(s->g.cell, STOP_CAPTURE);
    atomic_store(&s->sent, true);
    return NULL;
}

/* Run the cell to its end, which is to be as ever, and send it meanwhile. */
static void sender_run(struct sender *s)
{
    pthread_t thread;
    union cell_value io[4];
    struct snapshot_sizes sizes;
    s->host.module = (struct host_module){.name = "h", .funcs = sender_funcs, .env = s};
    guest_start(&s->g, dirty_rt, dirty_program, &s->host.module, NULL);
    s->sink = dirty_sink(&s->stream);
    s->options.progress = note_progress;
    s->options.arg = s;
    s->finish = ST_COUNT;
    s->host_state = 0x1234;
    dirty_arguments(&busy, io);
    CHECK(pthread_create(&thread, NULL, send_rounds, s) == 0);
    status_t st = guest_call(&s->g, "work", io);
    pthread_join(thread, NULL);
    if (st == ST_CAPTURED)
        s->finish = precopy_finish(s->precopy, &s->host_state, sizeof(s->host_state), &sizes,
                                   &s->err);
    precopy_free(s->precopy);
    CHECK(dirty_go_on(&s->g, io, st) == busy_result);
    cell_free(s->g.cell);
}

static void sender_done(struct sender *s)
{
    buf_done(&s->stream.bytes);
}

static bool count_rounds(void *arg, uint32_t round, const struct snapshot_sizes *so_far)
{
    uint32_t *rounds = arg;
    CHECK(so_far->total_bytes > 0);
    *rounds = round;
    return true;
}

/* Take the stream into a new cell, which is given its host at the end, and run that. */
static status_t receive(struct sender *s, uint32_t *ret_rounds, struct error *err)
{
    struct dirty_host first = {.every = 0}, second = {.every = 0};
    struct guest g;
    struct snapshot_reader *r = NULL;
    struct snapshot_sizes sizes;
    union cell_value io[4] = {{0}};
    size_t len;
    struct snapshot_source source = dirty_source(&s->stream);
    status_t st = snapshot_open(&source, &r, err);
    dirty_start(&g, &first);
    second.module = first.module;
    second.module.env = &second;
    *ret_rounds = 0;
    if (st == ST_OK && snapshot_reader_is_live(r)) {
        st = snapshot_receive(r, g.cell, count_rounds, ret_rounds, err);
        if (st == ST_OK)
            st = cell_rebind(g.cell, &second.module, 1, err);
        first.every = 1; /* would stop it: nobody asks there any more */
    }
    if (st == ST_OK) {
        CHECK(memcmp(snapshot_host_state(r, &len), &s->host_state, 8) == 0 && len == 8);
        st = snapshot_read(r, g.cell, &sizes, err);
    }
    if (st == ST_OK) {
        st = cell_resume(g.cell, io, &g.err);
        CHECK_EQ(st, ST_OK);
        CHECK(io[0].u64 == busy_result);
    }
    snapshot_close(r);
    cell_free(g.cell);
    return st;
}

static void a_cell_that_was_sent_while_it_ran_ends_in_the_same_way(void)
{
    struct error err = {0};
    struct sender s = {.options = {.rounds_max = 2, .stop_bytes = 4096}};
    uint32_t rounds;
    sender_run(&s);
    CHECK_EQ(s.rounds, ST_OK);
    CHECK_EQ(s.finish, ST_OK);
    CHECK_EQ(s.last_round, 2);
    CHECK_EQ(receive(&s, &rounds, &err), ST_OK);
    CHECK_EQ(rounds, 2);
    sender_done(&s);
}

static void rounds_end_when_little_is_left(void)
{
    struct error err = {0};
    struct sender s = {.options = {.stop_bytes = 3 << 20}};
    uint32_t rounds;
    sender_run(&s);
    CHECK_EQ(s.finish, ST_OK);
    CHECK(s.last_round <= 2);
    CHECK_EQ(receive(&s, &rounds, &err), ST_OK);
    sender_done(&s);
}

/* This one always writes to as many pages between two harvests. */
static void rounds_end_when_they_do_not_get_shorter(void)
{
    struct error err = {0};
    struct sender s = {.options = {.stop_bytes = 1}};
    uint32_t rounds;
    sender_run(&s);
    CHECK_EQ(s.finish, ST_OK);
    CHECK(s.last_round >= 2 && s.last_round < PRECOPY_ROUNDS_DEFAULT / 2);
    CHECK_EQ(receive(&s, &rounds, &err), ST_OK);
    CHECK_EQ(rounds, s.last_round);
    sender_done(&s);
}

static void without_a_round_all_follows_the_stop(void)
{
    struct error err = {0};
    struct sender s = {.options = {.stop_bytes = UINT64_MAX}};
    uint32_t rounds;
    sender_run(&s);
    CHECK_EQ(s.finish, ST_OK);
    CHECK_EQ(receive(&s, &rounds, &err), ST_OK);
    CHECK_EQ(rounds, 0);
    sender_done(&s);
}

static void a_cancelled_one_leaves_the_cell_alone(void)
{
    for (uint32_t at = 1; at <= 5; at++) {
        struct sender s = {.options = {.stop_bytes = 4096}, .cancels_at = at};
        sender_run(&s);
        CHECK_EQ(s.rounds, ST_STOPPED);
        CHECK(strstr(s.err.text, "cancelled"));
        CHECK_EQ(s.finish, ST_COUNT);
        sender_done(&s);
    }
}

static void a_sink_that_fails_at_any_write_leaves_the_cell_alone(void)
{
    uint32_t n = 1;
    for (bool failed = true; failed && n < TRIES_MAX; n += n < 8 ? 1 : n / 4) {
        struct sender s = {.options = {.rounds_max = 2, .stop_bytes = 4096},
                           .stream = {.fails_at = n}};
        sender_run(&s);
        failed = s.rounds != ST_OK || s.finish != ST_OK;
        if (failed)
            CHECK(strstr(s.err.text, "writing a snapshot"));
        sender_done(&s);
    }
    CHECK(n > 8);
}

static void a_stream_that_ends_early_runs_nothing(void)
{
    struct sender s = {.options = {.rounds_max = 3, .stop_bytes = 4096}};
    uint32_t rounds;
    sender_run(&s);
    CHECK_EQ(s.finish, ST_OK);
    size_t len = s.stream.bytes.len;
    for (size_t cut = len - 1; cut > 16; cut -= cut / 9 + 1) {
        struct error err = {0};
        s.stream.bytes.len = cut;
        CHECK_EQ(receive(&s, &rounds, &err), ST_CORRUPT);
        CHECK(strstr(err.text, "ends too early"));
    }
    s.stream.bytes.len = len;
    sender_done(&s);
}

static void a_changed_byte_is_found(void)
{
    struct sender s = {.options = {.rounds_max = 2, .stop_bytes = 4096}};
    uint32_t rounds;
    sender_run(&s);
    for (size_t i = 1; i < 12; i++) {
        struct error err = {0};
        uint8_t *at = &s.stream.bytes.data[s.stream.bytes.len * i / 12];
        *at ^= 0x40;
        CHECK(receive(&s, &rounds, &err) != ST_OK);
        *at ^= 0x40;
    }
    struct error err = {0};
    CHECK_EQ(receive(&s, &rounds, &err), ST_OK);
    sender_done(&s);
}

static void a_live_stream_is_described_but_not_read_as_a_file(void)
{
    struct error err = {0};
    struct sender s = {.options = {.rounds_max = 2, .stop_bytes = 4096}};
    struct snapshot_reader *r = NULL;
    struct snapshot_summary sum;
    struct snapshot_sizes sizes;
    struct dirty_host h = {.every = 0};
    struct guest g;
    sender_run(&s);
    struct snapshot_source source = dirty_source(&s.stream);
    guest_need(snapshot_open(&source, &r, &err), "open", &err);
    dirty_start(&g, &h);
    CHECK_EQ(snapshot_read(r, g.cell, &sizes, &err), ST_INVALID);
    CHECK(strstr(err.text, "running cell"));
    CHECK_EQ(snapshot_describe(r, &sum, &err), ST_OK);
    CHECK_EQ(sum.sizes.total_bytes, s.stream.bytes.len);
    CHECK(sum.frame_count > 0);
    free(sum.frames);
    snapshot_close(r);
    cell_free(g.cell);
    sender_done(&s);
}

static void damage_of_a_round_is_found_without_a_cell(void)
{
    enum { PLACES = 100 };
    struct sender s = {.options = {.rounds_max = 2, .stop_bytes = 4096}};
    sender_run(&s);
    for (size_t k = 0; k < PLACES; k++) {
        struct error err = {0};
        struct snapshot_reader *r = NULL;
        struct snapshot_summary sum = {0};
        uint8_t *at = &s.stream.bytes.data[s.stream.bytes.len / PLACES * k];
        *at ^= 0x40;
        s.stream.at = 0;
        struct snapshot_source source = dirty_source(&s.stream);
        status_t st = snapshot_open(&source, &r, &err);
        CHECK(st != ST_OK || snapshot_describe(r, &sum, &err) != ST_OK);
        *at ^= 0x40;
        free(sum.frames);
        snapshot_close(r);
    }
    sender_done(&s);
}

static void a_rate_is_kept(void)
{
    const uint64_t rate = 8 << 20;
    struct sender s = {.options = {.rounds_max = 1, .stop_bytes = 4096, .bytes_per_second = rate}};
    uint64_t start = clock_realtime_ns();
    sender_run(&s);
    uint64_t took_ns = clock_realtime_ns() - start;
    CHECK_EQ(s.rounds, ST_OK);
    /* the last piece is not waited for, and clocks are not exact */
    uint64_t paid = s.stream.bytes.len > 3 << 20 ? s.stream.bytes.len - (3 << 20) : 0;
    CHECK(s.finish == ST_COUNT || took_ns >= paid * 900000000u / rate);
    sender_done(&s);
}

int main(int argc, char **argv)
{
    dirty_open(argc, argv);
    busy_result = dirty_expected(&busy);
    RUN(a_cell_that_was_sent_while_it_ran_ends_in_the_same_way);
    RUN(rounds_end_when_little_is_left);
    RUN(rounds_end_when_they_do_not_get_shorter);
    RUN(without_a_round_all_follows_the_stop);
    RUN(a_cancelled_one_leaves_the_cell_alone);
    RUN(a_sink_that_fails_at_any_write_leaves_the_cell_alone);
    RUN(a_stream_that_ends_early_runs_nothing);
    RUN(a_changed_byte_is_found);
    RUN(a_live_stream_is_described_but_not_read_as_a_file);
    RUN(damage_of_a_round_is_found_without_a_cell);
    RUN(a_rate_is_kept);
    dirty_close();
    return CHECK_DONE();
}
