#include <pthread.h>
#include <string.h>

#include "cell/run/state.h"
#include "guest.h"
#include "modules_polls.h"

/* Loops with calls in them: a back edge polls unless every way to it has tested a call. */

static int32_t host_ping(void *ctx, void *env, int32_t value)
{
    (void)ctx;
    (void)env;
    return value + 1;
}

static const struct host_func funcs[] = {{"ping", "i:i", (void *)host_ping}, {NULL, NULL, NULL}};
static const struct host_module host = {.name = "h", .funcs = funcs};

static const char *const ways[] = {
    "one_arm", "left_early", "table_skips", "table_back", "back_before", "arm_back",  "inside",
    "around",  "behind",     "unreachable", "caught",     "caught_tag",  "delegated", NULL};
static const char *const ways_table[] = {"table_out", "table_back", NULL};
static const char *const tested[] = {"plain",      "in_block",     "both_arms", "left_behind",
                                     "each_case",  "before_table", "inner",     "or_return",
                                     "not_caught", "before_try",   NULL};

static struct runtime *rt;

static void *stop(void *cell)
{
    cell_stop(cell, STOP_REQUEST);
    return NULL;
}

static uint64_t polls_of(const struct guest *g)
{
    struct cell_stats stats;
    cell_stats(g->cell, &stats);
    return stats.polls_taken;
}

/* Stop it until the request found it inside. */
static void check_stops(struct guest *g, const char *name)
{
    uint64_t before = polls_of(g);
    do {
        pthread_t thread;
        union cell_value io[2] = {{.i32 = 0}};
        CHECK_EQ(pthread_create(&thread, NULL, stop, g->cell), 0);
        CHECK_EQ(guest_call(g, name, io), ST_STOPPED);
        pthread_join(thread, NULL);
    } while (polls_of(g) == before);
}

static uint32_t check_all(const uint8_t *wasm, size_t len, const char *const *names,
                          uint32_t *ret_count)
{
    struct guest g;
    struct program *prog = guest_program(rt, wasm, len);
    uint32_t polls = program_image(prog)->counts.loop_polls;
    guest_start(&g, rt, prog, &host, NULL);
    for (*ret_count = 0; names[*ret_count]; ++*ret_count)
        check_stops(&g, names[*ret_count]);
    cell_free(g.cell);
    program_unref(prog);
    return polls;
}

static void a_loop_with_a_way_round_its_calls_polls_there(void)
{
    uint32_t count, polls = check_all(polls_ways, sizeof(polls_ways), ways, &count);
    CHECK_EQ(polls, count);
    polls = check_all(polls_ways_table, sizeof(polls_ways_table), ways_table, &count);
    CHECK_EQ(polls, count);
}

static void a_loop_that_tests_a_call_on_every_way_has_no_other_poll(void)
{
    uint32_t count, polls = check_all(polls_tested, sizeof(polls_tested), tested, &count);
    CHECK(count > 0);
    CHECK_EQ(polls, 0);
}

static struct program *optimised(const uint8_t *wasm, size_t len, uint32_t movable)
{
    const struct image_options image = {
        .level = image_level_host(), .opt_level = 3, .movable = movable};
    return guest_program_with(rt, wasm, len, &image);
}

enum { TEXT = 32, TEXT_BYTES = 9, NUMBER = 9 };

static void check_results(struct guest *g)
{
    for (int32_t from = 0; from <= TEXT_BYTES; from++) {
        union cell_value io[1] = {{.i32 = TEXT + from}};
        CHECK_EQ(guest_call(g, "length", io), ST_OK);
        CHECK_EQ(io[0].i32, TEXT_BYTES - from);
    }
    for (int32_t bytes = 1; bytes <= 4; bytes++) {
        union cell_value io[1] = {{.i32 = 1 << (8 * bytes - 2)}};
        CHECK_EQ(guest_call(g, "bytes", io), ST_OK);
        CHECK_EQ(io[0].i32, bytes);
    }
    for (int32_t n = 1; n <= NUMBER; n++) {
        union cell_value io[1] = {{.i32 = n}};
        CHECK_EQ(guest_call(g, "sum", io), ST_OK);
        CHECK_EQ(io[0].i32, n * (n + 2));
    }
}

/* However many iterations there are to a poll: the loop ends after the right one, and a request finds it. */
static void a_small_loop_ends_where_it_should_and_can_be_stopped(void)
{
    static const char *const endless[] = {"chase", "mostly_first", "mostly_second", "sums",
                                          "sums_counted"};
    for (uint32_t movable = 0; movable <= 1; movable++) {
        struct guest g;
        struct program *prog = optimised(polls_rare, sizeof polls_rare, movable);
        guest_start(&g, rt, prog, NULL, NULL);
        check_results(&g);
        for (size_t i = 0; i < sizeof endless / sizeof *endless; i++)
            check_stops(&g, endless[i]);
        cell_free(g.cell);
        program_unref(prog);
    }
}

/* How often a call is captured that is asked for it all the time. */
static uint32_t count_captures(struct guest *g, const char *name, union cell_value *io)
{
    struct error err = {0};
    uint32_t count = 0;
    cell_stop(g->cell, STOP_CAPTURE);
    status_t st = guest_call(g, name, io);
    for (; st == ST_CAPTURED; st = cell_resume(g->cell, io, &err)) {
        count++;
        cell_stop(g->cell, STOP_CAPTURE);
    }
    CHECK_EQ(st, ST_OK);
    return count;
}

/* One capture is in front of the first instruction. */
static void a_small_loop_polls_once_in_several_iterations(void)
{
    struct guest g;
    struct program *prog = optimised(polls_rare, sizeof polls_rare, 1);
    union cell_value text[1] = {{.i32 = TEXT}}, number[1] = {{.i32 = NUMBER}};
    guest_start(&g, rt, prog, NULL, NULL);
    uint32_t captures = count_captures(&g, "length", text);
    CHECK(captures > 1 && captures <= 1 + TEXT_BYTES / 2);
    CHECK_EQ(text[0].i32, TEXT_BYTES);
    CHECK_EQ(count_captures(&g, "sum", number), 0); /* it is over before a run is */
    CHECK_EQ(number[0].i32, NUMBER * (NUMBER + 2));
    if (image_level_host() != LEVEL_AARCH64)
        CHECK_EQ(program_image(prog)->counts.strip_mined, 0);
    cell_free(g.cell);
    program_unref(prog);
}

enum { RUN_MIN = 64, RUN_MAX = 65536 };

static uint32_t call(struct guest *g, const char *name, uint32_t n)
{
    union cell_value io[1] = {{.i32 = (int32_t)n}};
    CHECK_EQ(guest_call(g, name, io), ST_OK);
    return (uint32_t)io[0].i32;
}

static uint32_t sum_of_low_bits(uint32_t n)
{
    uint32_t rest = n % 8;
    return n / 8 * 28 + rest * (rest - 1) / 2;
}

static void check_runs(struct guest *g, uint32_t n)
{
    uint32_t sum = (uint32_t)((uint64_t)n * (n - 1) / 2);
    CHECK_EQ(call(g, "sum_up", n), sum);
    CHECK_EQ(call(g, "sum_down", n), sum);
    CHECK_EQ(call(g, "sum_top", n), sum);
    CHECK_EQ(call(g, "sum_floats", n), sum_of_low_bits(n));
    CHECK_EQ(call(g, "first", n), n);
}

/* Counts on both sides of each possible length of a run, of two runs, and of three. */
static void a_counted_loop_runs_as_often_as_it_should(void)
{
    for (uint32_t movable = 0; movable <= 1; movable++) {
        struct guest g;
        struct program *prog = optimised(polls_runs, sizeof polls_runs, movable);
        guest_start(&g, rt, prog, NULL, NULL);
        CHECK_EQ(call(&g, "sum_top", 0), 0);
        for (uint32_t n = 1; n < 3 * RUN_MIN; n++)
            check_runs(&g, n);
        for (uint32_t run = RUN_MIN; run <= RUN_MAX; run *= 2) {
            for (uint32_t n = 3 * run - 3; n <= 3 * run + 5; n++) {
                check_runs(&g, n - 2 * run);
                check_runs(&g, n - run);
                check_runs(&g, n);
            }
            uint32_t before = call(&g, "sum_bytes", 3 * run);
            CHECK_EQ(call(&g, "sum_bytes", 3 * run), before + 3 * run);
        }
        cell_free(g.cell);
        program_unref(prog);
    }
}

/* How many bytes of memory are 1, of those in front of the first that is not. */
static uint32_t count_ones(const struct guest *g)
{
    struct cell_memory memory;
    uint32_t n = 0;
    CHECK_EQ(cell_memory(g->cell, 0, &memory), ST_OK);
    while (n < memory.bytes && ((const uint8_t *)memory.base)[n] == 1)
        n++;
    return n;
}

static void a_counted_loop_polls_once_in_a_run(void)
{
    static const uint32_t many = 400000;
    struct guest g;
    struct error err = {0};
    struct program *prog = optimised(polls_runs, sizeof polls_runs, 1);
    union cell_value io[1] = {{.i32 = (int32_t)many}};
    guest_start(&g, rt, prog, NULL, NULL);
    cell_stop(g.cell, STOP_CAPTURE);
    CHECK_EQ(call(&g, "sum_floats", RUN_MIN / 2), sum_of_low_bits(RUN_MIN / 2)); /* no poll */
    CHECK_EQ(guest_call(&g, "sum_bytes", io), ST_CAPTURED);
    uint32_t done = count_ones(&g);
    CHECK(done >= RUN_MIN && done <= RUN_MAX + 1);
    CHECK_EQ(cell_resume(g.cell, io, &err), ST_OK);
    CHECK_EQ(io[0].i32, 0);
    CHECK_EQ(count_ones(&g), many);
    check_stops(&g, "sum_floats"); /* of 0: 2^32 iterations */
    cell_free(g.cell);
    program_unref(prog);
}

static uint32_t call_nest(struct guest *g, const char *name, uint32_t n, uint32_t m)
{
    union cell_value io[2] = {{.i32 = (int32_t)n}, {.i32 = (int32_t)m}};
    CHECK_EQ(guest_call(g, name, io), ST_OK);
    return (uint32_t)io[0].i32;
}

static uint32_t planes(uint32_t n, uint32_t m)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < m; i++)
        for (uint32_t j = 0; j < m; j++) {
            for (uint32_t k = 0; k < n; k++)
                sum = sum * 3 + (k ^ j);
            sum += i;
        }
    return sum;
}

static uint32_t halves(uint32_t n, uint32_t m)
{
    uint32_t sum = 0;
    for (uint32_t half = 1; half < n; half *= 2)
        for (uint32_t base = 0; base < n; base += 2 * half)
            for (uint32_t k = 0; k < half; k++)
                sum += base ^ k;
    return sum * m;
}

static uint8_t *memory_of(const struct guest *g)
{
    struct cell_memory memory;
    CHECK_EQ(cell_memory(g->cell, 0, &memory), ST_OK);
    return memory.base;
}

/* Memory is zeros, and again afterwards. */
static void check_rows(struct guest *g, uint32_t n, uint32_t m)
{
    uint8_t *memory = memory_of(g);
    CHECK_EQ(call_nest(g, "rows", n, m), n * (m * (m - 1) / 2));
    for (uint32_t k = 0; k < n; k++)
        if (memory[k] != m)
            CHECK_EQ(k, n);
    CHECK_EQ(memory[n], 0);
    memset(memory, 0, n);
}

/* One of three rounds takes the short way. */
static void check_two_ways(struct guest *g, uint32_t n, uint32_t m)
{
    uint8_t *memory = memory_of(g);
    uint32_t ones = 0, x = 0;
    for (uint32_t k = 3; k < 3 * m; k += 3)
        memory[k] = 1;
    for (uint32_t k = 0; k < n; k++)
        ones += memory[k];
    for (uint32_t rows = 0; rows < m;)
        rows += !memory[++x];
    CHECK_EQ(call_nest(g, "two_ways", n, m), m * ones + x);
    memset(memory, 0, 3 * (size_t)m);
}

static void check_nests(struct guest *g, uint32_t n, uint32_t m)
{
    uint8_t *memory = memory_of(g);
    check_rows(g, n, m);
    CHECK_EQ(call_nest(g, "first", n, m), n * m);
    for (uint32_t i = 0; i < m; i++) {
        memory[n * i + n / 2] = 1;
        CHECK_EQ(call_nest(g, "first", n, m), n * i + n / 2);
        memory[n * i + n / 2] = 0;
    }
    CHECK_EQ(call_nest(g, "floats", n, m), m * sum_of_low_bits(n));
    check_two_ways(g, n, m);
    CHECK_EQ(call_nest(g, "planes", n, m), planes(n, m));
    CHECK_EQ(call_nest(g, "halves", n, m), halves(n, m));
}

/* The choice between the copies of a loop stands in front of the loops around it. */
static void loops_around_a_counted_loop_run_as_often_as_they_should(void)
{
    for (uint32_t movable = 0; movable <= 1; movable++) {
        struct guest g;
        struct program *prog = optimised(polls_nests, sizeof polls_nests, movable);
        guest_start(&g, rt, prog, NULL, NULL);
        CHECK_EQ(call_nest(&g, "planes", 0, 5), planes(0, 5));
        for (uint32_t n = 1; n <= 9; n++)
            check_nests(&g, n, 3);
        for (uint32_t run = RUN_MIN; run <= RUN_MAX; run *= 2)
            for (uint32_t n = run - 2; n <= run + 2; n++)
                check_nests(&g, n, 3);
        check_stops(&g, "planes"); /* 2^32 of as many empty rows */
        cell_free(g.cell);
        program_unref(prog);
    }
}

/* Captured at every poll, it goes on as if it had not been. */
static void loops_around_a_counted_loop_are_captured(void)
{
    enum { ROWS = 20 };
    struct guest g;
    struct program *prog = optimised(polls_nests, sizeof polls_nests, 1);
    guest_start(&g, rt, prog, NULL, NULL);
    for (uint32_t n = RUN_MIN / 2; n <= 3 * RUN_MAX; n *= 4) {
        union cell_value io[2] = {{.i32 = (int32_t)n}, {.i32 = ROWS}};
        CHECK(count_captures(&g, "rows", io) >= ROWS - 1);
        CHECK_EQ((uint32_t)io[0].i32, n * (ROWS * (ROWS - 1) / 2));
        memset(memory_of(&g), 0, n);
        union cell_value small[2] = {{.i32 = (int32_t)n}, {.i32 = 5}};
        CHECK(count_captures(&g, "planes", small) >= 5 * 5 - 1);
        CHECK_EQ((uint32_t)small[0].i32, planes(n, 5));
        union cell_value from[2] = {{.i32 = (int32_t)n}, {.i32 = 3}};
        CHECK(count_captures(&g, "halves", from) > 0);
        CHECK_EQ((uint32_t)from[0].i32, halves(n, 3));
    }
    cell_free(g.cell);
    program_unref(prog);
}

int main(void)
{
    rt = guest_runtime();
    RUN(a_loop_with_a_way_round_its_calls_polls_there);
    RUN(a_loop_that_tests_a_call_on_every_way_has_no_other_poll);
    RUN(a_small_loop_ends_where_it_should_and_can_be_stopped);
    RUN(a_small_loop_polls_once_in_several_iterations);
    RUN(a_counted_loop_runs_as_often_as_it_should);
    RUN(a_counted_loop_polls_once_in_a_run);
    RUN(loops_around_a_counted_loop_run_as_often_as_they_should);
    RUN(loops_around_a_counted_loop_are_captured);
    runtime_free(rt);
    return CHECK_DONE();
}
