#include <pthread.h>

#include "check.h"
#include "disturb.h"
#include "long_segments.h"
#include "modules_long.h"
#include "sys/clock.h"

/* Operations of the host that take long, or wait, are captured in the middle. */

static struct runtime *rt;

static void memories_are_copied_and_filled_in_parts(void)
{
    disturb_module(rt, long_memory_wasm, sizeof(long_memory_wasm), DISTURB_CANONICAL);
}

static void tables_are_copied_and_filled_in_parts(void)
{
    disturb_module(rt, long_tables_wasm, sizeof(long_tables_wasm), DISTURB_CANONICAL);
}

static void segments_are_copied_in_parts(void)
{
    struct buf wasm = {0};
    long_segments_module(&wasm);
    disturb_module(rt, wasm.data, wasm.len, DISTURB_CANONICAL);
    buf_done(&wasm);
}

static void waits_go_on_with_the_time_that_is_left(void)
{
    disturb_module(rt, long_waits_wasm, sizeof(long_waits_wasm), DISTURB_CANONICAL);
}

/* Each piece but the first is done after a capture. */
static void a_copy_is_captured_between_its_pieces(void)
{
    struct program *prog = GUEST_PROGRAM(rt, long_memory_wasm);
    struct disturbed d = {.mode = DISTURB_ALWAYS};
    union cell_value io[1] = {{.i32 = 0}};
    guest_start(&d.g, rt, prog, &disturb_host, NULL);
    CHECK_EQ(disturb_run(&d, guest_export(d.g.inst, "fill").ptr, io), ST_OK);
    CHECK_EQ(io[0].i32, 0);
    CHECK_EQ(d.captures, 5);
    cell_free(d.g.cell);
    program_unref(prog);
}

/* ---- waits without an end ---- */

struct asker {
    struct cell *cell;
    pthread_t thread;
};

/* Asks once the cell waits, or a little before it. */
static void *ask(void *arg)
{
    const struct asker *a = arg;
    cell_stop(a->cell, STOP_CAPTURE);
    return NULL;
}

static struct guest captured_sleeper(struct program *prog, const char *name)
{
    struct guest g;
    struct asker a;
    guest_start(&g, rt, prog, NULL, NULL);
    a.cell = g.cell;
    CHECK_EQ(pthread_create(&a.thread, NULL, ask, &a), 0);
    CHECK_EQ(guest_call_i32(&g, name, 0, NULL), ST_CAPTURED);
    pthread_join(a.thread, NULL);
    return g;
}

static void a_wait_that_is_done_again_looks_at_the_value(void)
{
    static const char *const names[] = {"sleep", "sleep_wide"};
    struct program *prog = GUEST_PROGRAM(rt, sleeper_wasm);
    for (int i = 0; i < 2; i++) {
        struct guest g = captured_sleeper(prog, names[i]);
        union cell_value io[1] = {{.i32 = 0}};
        struct cell_memory m;
        CHECK(travel(&g, prog, NULL));
        CHECK_EQ(cell_memory(g.cell, 0, &m), ST_OK);
        m.base[i ? 40 : 32] = 1;
        CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_OK);
        CHECK_EQ(io[0].i32, 101);
        cell_free(g.cell);
    }
    program_unref(prog);
}

static void a_wait_that_is_done_again_can_be_stopped(void)
{
    struct program *prog = GUEST_PROGRAM(rt, sleeper_wasm);
    struct guest g = captured_sleeper(prog, "sleep");
    union cell_value io[1] = {{.i32 = 0}};
    cell_stop(g.cell, STOP_REQUEST);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_STOPPED);
    cell_free(g.cell);
    program_unref(prog);
}

/* ---- states from outside ---- */

/* The bytes of a waiting cell's state, with one changed at each place in turn: refused, or as good as before. */
static void changed_operations_are_refused_or_sound(void)
{
    struct program *prog = GUEST_PROGRAM(rt, sleeper_wasm);
    struct guest g = captured_sleeper(prog, "sleep");
    struct buf state = {0};
    guest_need(cell_state_save(g.cell, &state, &g.err), "save", &g.err);
    uint32_t refused = 0;
    for (size_t i = 0; i < state.len; i++) {
        struct guest other;
        guest_start(&other, rt, prog, NULL, NULL);
        state.data[i] ^= 0x55;
        refused += cell_state_load(other.cell, state.data, state.len, &other.err) != ST_OK;
        state.data[i] ^= 0x55;
        cell_free(other.cell);
    }
    CHECK(refused > state.len / 4);
    buf_done(&state);
    cell_free(g.cell);
    program_unref(prog);
}

int main(void)
{
    rt = guest_runtime();
    disturb_arg_max = 1; /* megabytes are compared after each call */
    RUN(a_copy_is_captured_between_its_pieces);
    RUN(a_wait_that_is_done_again_looks_at_the_value);
    RUN(a_wait_that_is_done_again_can_be_stopped);
    RUN(changed_operations_are_refused_or_sound);
    RUN(memories_are_copied_and_filled_in_parts);
    RUN(tables_are_copied_and_filled_in_parts);
    RUN(segments_are_copied_in_parts);
    RUN(waits_go_on_with_the_time_that_is_left);
    runtime_free(rt);
    return CHECK_DONE();
}
