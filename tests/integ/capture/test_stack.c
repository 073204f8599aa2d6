#include "check.h"
#include "disturb.h"
#include "modules_dive.h"

/* The room on the native stack of a call that goes on. */

enum { STACK_BYTES = 256 << 10, DEEP_MAX = 1 << 20 };

static struct runtime *rt;
static const struct cell_limits *small_stack(void)
{
    static struct cell_limits l;
    cell_limits_default(&l);
    l.stack_bytes = STACK_BYTES;
    return &l;
}

static struct program *dive_program(uint32_t level, uint32_t opt)
{
    struct aot_options o = {.image = {.level = level, .opt_level = opt, .movable = 1},
                            .features = FEATURE_ALL,
                            .threads = 1};
    return disturb_compiled(rt, dive_wasm, sizeof(dive_wasm), &o);
}

/* Dive n deep, ask for a capture there or not, then `more` deeper. */
static status_t dive(struct guest *g, bool asks, int32_t n, int32_t more, int32_t *ret_value)
{
    CHECK_EQ(guest_call_i32(g, "set_more", more, NULL), ST_OK);
    disturb_ask_captures = asks;
    status_t st = guest_call_i32(g, "dive", n, ret_value);
    disturb_ask_captures = false;
    return st;
}

/* The deepest dive that the stack allows. */
static int32_t deepest(struct guest *g)
{
    int32_t low = 0, high = DEEP_MAX;
    while (high - low > 1) {
        int32_t mid = low + (high - low) / 2;
        if (dive(g, false, mid, 0, NULL) == ST_OK)
            low = mid;
        else
            high = mid;
    }
    CHECK(low > 100 && high < DEEP_MAX);
    return low;
}

static void go_on_in(struct program *from, struct program *to)
{
    struct guest calm, g;
    int32_t want = 0;
    union cell_value io[4] = {{.i32 = 0}};
    guest_start(&calm, rt, from, &disturb_host, small_stack());
    guest_start(&g, rt, from, &disturb_host, small_stack());
    int32_t n = deepest(&calm), deep = n - n / 100, more = n / 200;
    CHECK_EQ(dive(&calm, false, deep, more, &want), ST_OK);
    CHECK_EQ(dive(&g, true, deep, more, NULL), ST_CAPTURED);
    CHECK(travel_limited(&g, to, &disturb_host, small_stack()));
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_OK);
    CHECK_EQ(io[0].i32, want);
    /* Its stack is the ordinary one again. */
    int32_t again = deepest(&g);
    CHECK_EQ(dive(&g, false, again + 1 + again / 50, 0, NULL), ST_TRAP);
    cell_free(g.cell);
    cell_free(calm.cell);
}

static void a_call_near_the_end_of_its_stack_goes_on_in_any_image(void)
{
    uint32_t host = image_level_host(), low = host == LEVEL_AARCH64 ? host : LEVEL_X86_64_V2;
    struct program *images[] = {dive_program(host, 3), dive_program(low, 3), dive_program(host, 0),
                                dive_program(low, 1)};
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        for (size_t k = 0; k < sizeof images / sizeof *images; k++)
            go_on_in(images[i], images[k]);
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        program_unref(images[i]);
}

static void a_call_that_goes_on_can_exhaust_its_stack(void)
{
    struct program *prog = dive_program(image_level_host(), 1);
    struct guest g;
    union cell_value io[4] = {{.i32 = 0}};
    guest_start(&g, rt, prog, &disturb_host, small_stack());
    int32_t n = deepest(&g);
    CHECK_EQ(dive(&g, true, n - n / 100, 2 * n, NULL), ST_CAPTURED);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_TRAP);
    CHECK_EQ(cell_trap(g.cell), TRAP_STACK);
    /* It has the limit below the rebuilt frames. */
    CHECK_EQ(dive(&g, true, n / 2, n - n / 50, NULL), ST_CAPTURED);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_OK);
    CHECK_EQ(dive(&g, false, n + 1, 0, NULL), ST_TRAP);
    cell_free(g.cell);
    program_unref(prog);
}

int main(void)
{
    rt = guest_runtime();
    RUN(a_call_near_the_end_of_its_stack_goes_on_in_any_image);
    RUN(a_call_that_goes_on_can_exhaust_its_stack);
    runtime_free(rt);
    return CHECK_DONE();
}
