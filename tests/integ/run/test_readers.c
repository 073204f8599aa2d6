#include <pthread.h>
#include <string.h>

#include "cell/run/state.h"
#include "guest.h"
#include "modules_readers.h"

/* Loops that call what only reads, through the table: which function that is, is found out in the first iteration.
 * All that a function, the loop, a request or a trap changes is seen when it should be. */

enum { PLAIN = 1, SLOW, DIVIDED, SUM, TURNS, COUNTS, PAIRS, ENTRIES = 16 };
enum { SLOW_TIMES = 200 };
enum { BYTES_MAX = 256, A = 1024, B = 2048, C = 3072, D = 4096 }; /* where objects are */

struct object {
    uint32_t func, parts[2], unused;
    uint8_t bytes[BYTES_MAX];
};

static struct runtime *rt;

static struct object *at(const struct guest *g, uint32_t address)
{
    struct cell_memory memory;
    CHECK_EQ(cell_memory(g->cell, 0, &memory), ST_OK);
    return (struct object *)((uint8_t *)memory.base + address);
}

/* A and B of these functions, over parts that are plain and slow. */
static void set_up(const struct guest *g, uint32_t a, uint32_t b)
{
    static const uint32_t all[] = {A, B, C, D};
    const uint32_t funcs[] = {a, b, PLAIN, SLOW};
    for (uint32_t i = 0; i < 4; i++) {
        struct object *o = at(g, all[i]);
        *o = (struct object){.func = funcs[i], .parts = {C, D}};
        for (uint32_t k = 0; k < BYTES_MAX; k++)
            o->bytes[k] = (uint8_t)(k * 37 + i * 11 + 1);
    }
}

static uint32_t look(const struct guest *g, uint32_t address, uint32_t k)
{
    const struct object *o = at(g, address);
    uint32_t x = 0;
    switch (o->func) {
    case PLAIN:
        return o->bytes[k];
    case SLOW:
        for (uint32_t n = k * SLOW_TIMES; n > 0; n--)
            x = o->bytes[x];
        return x;
    case DIVIDED:
        return 1000 / o->bytes[k];
    default:
        return look(g, o->parts[0], k) + look(g, o->parts[1], k);
    }
}

static uint32_t sum(const struct guest *g, uint32_t n)
{
    uint32_t s = 0;
    for (uint32_t k = 0; k < n; k++)
        s = (s * 31 + look(g, A, k)) ^ look(g, B, k + 1);
    return s;
}

/* A becomes a divided one after k was last. */
static uint32_t changing(const struct guest *g, uint32_t n, uint32_t last)
{
    uint32_t s = 0;
    for (uint32_t k = 0; k < n; k++) {
        s = s * 31 + look(g, A, k);
        if (k == last)
            at(g, A)->func = DIVIDED;
    }
    return s;
}

static uint32_t model(const struct guest *g, const char *name, uint32_t n)
{
    if (!strcmp(name, "sum"))
        return sum(g, n);
    return changing(g, n, strcmp(name, "stored") ? 0 : 2);
}

static status_t run(struct guest *g, const char *name, uint32_t n, uint32_t *ret_value)
{
    union cell_value io[3] = {{.i32 = A}, {.i32 = B}, {.i32 = (int32_t)n}};
    status_t st = guest_call(g, name, io);
    *ret_value = (uint32_t)io[0].i32;
    return st;
}

static uint32_t result(struct guest *g, const char *name, uint32_t n)
{
    uint32_t value;
    CHECK_EQ(run(g, name, n, &value), ST_OK);
    return value;
}

static struct program *compiled(uint32_t opt_level, uint32_t movable)
{
    const struct image_options image = {
        .level = image_level_host(), .opt_level = opt_level, .movable = movable};
    return guest_program_with(rt, readers, sizeof readers, &image);
}

/* ---- results ---- */

static void check_sums(struct guest *g)
{
    for (uint32_t a = PLAIN; a <= SUM; a++)
        for (uint32_t b = PLAIN; b <= SUM; b++)
            for (uint32_t n = 1; n <= 100; n = n * 3 + 1) {
                set_up(g, a, b);
                CHECK_EQ(result(g, "sum", n), sum(g, n));
            }
}

static void check_changes(struct guest *g)
{
    for (uint32_t n = 1; n <= 20; n++) {
        set_up(g, PLAIN, TURNS);
        uint32_t expected = model(g, "stored", n);
        set_up(g, PLAIN, TURNS);
        CHECK_EQ(result(g, "stored", n), expected);
        set_up(g, PLAIN, TURNS);
        expected = model(g, "turned", n);
        set_up(g, PLAIN, TURNS);
        CHECK_EQ(result(g, "turned", n), expected);
    }
}

static void check_globals_and_pairs(struct guest *g)
{
    uint32_t counted = 0, paired = 0, n = 20;
    for (uint32_t k = 0; k < n; k++) {
        counted = (counted + k) * 31 + k + 1;
        paired = ((paired + k + 101 + 3 * (k + 100)) * (k + 1)) ^ (3 * k);
    }
    set_up(g, COUNTS, PLAIN);
    CHECK_EQ(result(g, "counted", n), counted);
    set_up(g, PAIRS, PLAIN);
    CHECK_EQ(result(g, "paired", n), paired);
}

static void check_results(struct guest *g)
{
    check_sums(g);
    check_changes(g);
    check_globals_and_pairs(g);
}

/* At every level, movable and not. */
static void at_each_level(void (*check)(struct guest *g))
{
    for (uint32_t opt_level = 0; opt_level <= 3; opt_level++)
        for (uint32_t movable = 0; movable <= 1; movable++) {
            struct guest g;
            struct program *prog = compiled(opt_level, movable);
            guest_start(&g, rt, prog, NULL, NULL);
            check(&g);
            cell_free(g.cell);
            program_unref(prog);
        }
}

static void each_iteration_sees_what_the_one_before_changed(void)
{
    at_each_level(check_results);
}

/* ---- traps ---- */

static void check_trap(struct guest *g, const char *name, uint32_t n, enum abi_trap trap)
{
    uint32_t value;
    CHECK_EQ(run(g, name, n, &value), ST_TRAP);
    CHECK_EQ(cell_trap(g->cell), trap);
}

/* b's function is looked at once a's has done its first. */
static void check_bad_functions(struct guest *g)
{
    static const struct {
        uint32_t func;
        enum abi_trap trap;
    } bad[] = {{0, TRAP_INDIRECT_NULL},
               {COUNTS, TRAP_INDIRECT_TYPE},
               {ENTRIES, TRAP_TABLE_BOUNDS},
               {UINT32_MAX, TRAP_TABLE_BOUNDS}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        set_up(g, bad[i].func, PLAIN);
        check_trap(g, "sum", 5, bad[i].trap);
        set_up(g, PLAIN, bad[i].func);
        check_trap(g, "sum", 5, bad[i].trap);
        set_up(g, DIVIDED, bad[i].func);
        at(g, A)->bytes[0] = 0;
        check_trap(g, "sum", 5, TRAP_INT_DIVIDE);
    }
}

static void check_order(struct guest *g)
{
    for (uint8_t k = 0; k < 20; k++) {
        set_up(g, DIVIDED, PLAIN);
        at(g, A)->bytes[k] = 0;
        check_trap(g, "traced", 20, TRAP_INT_DIVIDE);
        CHECK_EQ(at(g, B)->bytes[0], k);
    }
}

static void check_traps(struct guest *g)
{
    check_bad_functions(g);
    check_order(g);
}

static void a_trap_comes_when_it_should_and_leaves_what_was_stored(void)
{
    at_each_level(check_traps);
}

/* ---- requests ---- */

static void *stop(void *cell)
{
    cell_stop(cell, STOP_REQUEST);
    return NULL;
}

/* Stopped once it was found inside. */
static void check_stops(struct guest *g, const char *name, uint32_t n)
{
    struct cell_stats before, after;
    cell_stats(g->cell, &before);
    do {
        pthread_t thread;
        uint32_t value;
        CHECK_EQ(pthread_create(&thread, NULL, stop, g->cell), 0);
        CHECK_EQ(run(g, name, n, &value), ST_STOPPED);
        pthread_join(thread, NULL);
        cell_stats(g->cell, &after);
    } while (after.polls_taken == before.polls_taken);
}

/* Behind a call, or in one: what follows it is not done. */
static void a_request_ends_the_function(void)
{
    for (uint32_t movable = 0; movable <= 1; movable++) {
        struct guest g;
        struct program *prog = compiled(3, movable);
        guest_start(&g, rt, prog, NULL, NULL);
        for (uint32_t b = PLAIN; b <= SLOW; b++) {
            set_up(&g, PLAIN, b);
            check_stops(&g, "waits", 1);
        }
        at(&g, B)->bytes[0] = 2;
        check_stops(&g, "marks", UINT32_MAX);
        CHECK_EQ(at(&g, B)->bytes[0], 2);
        cell_free(g.cell);
        program_unref(prog);
    }
}

/* Asked all the time, in the functions and behind the calls: either of the calls in an iteration comes back so. */
static void a_capture_at_each_poll_changes_no_result(void)
{
    enum { N = 60 };
    static const char *const names[] = {"sum", "stored", "turned"};
    struct guest g;
    struct program *prog = compiled(3, 1);
    guest_start(&g, rt, prog, NULL, NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (uint32_t a = PLAIN; a <= SUM; a++)
            for (uint32_t b = PLAIN; b <= SUM; b++) {
                union cell_value io[3] = {{.i32 = A}, {.i32 = B}, {.i32 = N}};
                uint32_t captures = 0, part = i == 2 ? TURNS : b;
                set_up(&g, a, part);
                uint32_t expected = model(&g, names[i], N);
                set_up(&g, a, part);
                cell_stop(g.cell, STOP_CAPTURE);
                status_t st = guest_call(&g, names[i], io);
                for (; st == ST_CAPTURED; st = cell_resume(g.cell, io, &g.err)) {
                    captures++;
                    cell_stop(g.cell, STOP_CAPTURE);
                }
                CHECK_EQ(st, ST_OK);
                CHECK_EQ((uint32_t)io[0].i32, expected);
                CHECK(captures >= N - 1);
            }
    cell_free(g.cell);
    program_unref(prog);
}

int main(void)
{
    rt = guest_runtime();
    RUN(each_iteration_sees_what_the_one_before_changed);
    RUN(a_trap_comes_when_it_should_and_leaves_what_was_stored);
    RUN(a_request_ends_the_function);
    RUN(a_capture_at_each_poll_changes_no_result);
    runtime_free(rt);
    return CHECK_DONE();
}
