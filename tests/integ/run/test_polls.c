#include <pthread.h>

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
        union cell_value io[1] = {{.i32 = 0}};
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
    struct aot_options opt = {
        .image = {.level = image_level_host(), .opt_level = 3, .movable = movable},
        .features = FEATURE_ALL,
        .verify_ir = true,
        .threads = 1};
    struct buf file = {0};
    struct error err = {0};
    struct program *prog = NULL;
    guest_need(aot_compile(wasm, len, &opt, &file, &err), "compile", &err);
    guest_need(program_load(rt, file.data, file.len, &prog, &err), "load", &err);
    buf_done(&file);
    return prog;
}

/* However many iterations there are to a poll: the loop ends after the right one, and a request finds it. */
static void check_rare_polls(uint32_t movable)
{
    static const char *const endless[] = {"chase", "two_backs", "sums", "sums_counted"};
    enum { TEXT = 32, TEXT_BYTES = 9 };
    struct guest g;
    struct program *prog = optimised(polls_rare, sizeof polls_rare, movable);
    guest_start(&g, rt, prog, NULL, NULL);
    for (int32_t from = 0; from <= TEXT_BYTES; from++) {
        union cell_value io[1] = {{.i32 = TEXT + from}};
        CHECK_EQ(guest_call(&g, "length", io), ST_OK);
        CHECK_EQ(io[0].i32, TEXT_BYTES - from);
    }
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++)
        check_stops(&g, endless[i]);
    cell_free(g.cell);
    program_unref(prog);
}

static void a_small_loop_polls_once_in_several_iterations(void)
{
    check_rare_polls(0);
    check_rare_polls(1);
}

int main(void)
{
    rt = guest_runtime();
    RUN(a_loop_with_a_way_round_its_calls_polls_there);
    RUN(a_loop_that_tests_a_call_on_every_way_has_no_other_poll);
    RUN(a_small_loop_polls_once_in_several_iterations);
    runtime_free(rt);
    return CHECK_DONE();
}
