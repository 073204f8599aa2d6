#include "check.h"
#include "disturb.h"
#include "many_locals.h"
#include "modules.h"
#include "modules_host.h"
#include "modules_more.h"

/* Calls that are captured and resumed at each poll end as calls that are not. */

static struct runtime *rt;

#define SAME_DISTURBED(wasm) disturb_module(rt, wasm, sizeof(wasm), DISTURB_BOTH_NANS)

static void loops_go_on_at_their_headers(void)
{
    SAME_DISTURBED(loops_wasm);
}

static void operands_of_all_types_are_kept(void)
{
    SAME_DISTURBED(operands_wasm);
}

static void calls_return_into_rebuilt_frames(void)
{
    SAME_DISTURBED(calls_wasm);
}

static void tail_calls_go_on(void)
{
    SAME_DISTURBED(tails_wasm);
}

static void exceptions_pass_rebuilt_frames(void)
{
    SAME_DISTURBED(legacy_wasm);
}

static void exceptions_are_kept_as_references(void)
{
    SAME_DISTURBED(table_wasm);
}

static void work_of_the_host_is_not_repeated(void)
{
    SAME_DISTURBED(bulk_wasm);
}

static void vectorised_loops_go_on_at_their_strips(void)
{
    SAME_DISTURBED(strips_wasm);
}

static void waits_are_not_repeated(void)
{
    SAME_DISTURBED(wait_wasm);
}

static void waiting_imports_are_called_again(void)
{
    SAME_DISTURBED(host_waits_wasm);
}

static void start_functions_are_captured(void)
{
    SAME_DISTURBED(start_wasm);
}

static void canonical_nans_stay_canonical(void)
{
    disturb_module(rt, nans_wasm, sizeof(nans_wasm), DISTURB_CANONICAL);
}

static void hundreds_of_locals_are_kept(void)
{
    struct buf wasm = {0};
    many_locals_module(&wasm);
    disturb_module(rt, wasm.data, wasm.len, DISTURB_BOTH_NANS);
    buf_done(&wasm);
}

static void kept_exceptions_outlive_collections(void)
{
    SAME_DISTURBED(kept_wasm);
}

/* ---- two instances in one cell ---- */

static status_t resolve(void *arg, const struct module_import *imp, struct extern_val *ret_val)
{
    return imp->module.bytes[0] == 'n'
               ? instance_export(arg, imp->field.bytes, imp->field.len, ret_val)
               : ST_NOTFOUND;
}

static void start_pair(struct disturbed *near, struct disturbed *far, struct program *near_program,
                       struct program *far_program)
{
    guest_start(&near->g, rt, near_program, &disturb_host, NULL);
    *far = *near;
    struct import_resolver r = {resolve, near->g.inst};
    guest_need(cell_instantiate(near->g.cell, far_program, &disturb_host, 1, &r, &far->g.inst,
                                &far->g.err),
               "far", &far->g.err);
}

static status_t call_named(struct disturbed *d, const char *name, int32_t arg, int32_t *ret_value)
{
    union cell_value io[1] = {{.i32 = arg}};
    status_t st = disturb_run(d, guest_export(d->g.inst, name).ptr, io);
    *ret_value = io[0].i32;
    return st;
}

static void frames_of_two_instances_are_rebuilt(void)
{
    struct program *near_program = GUEST_PROGRAM(rt, near_wasm);
    struct program *far_program = GUEST_PROGRAM(rt, far_wasm);
    for (enum disturb_mode mode = DISTURB_ALWAYS; mode < DISTURB_MODES; mode++) {
        struct disturbed calm_near = {.mode = DISTURB_NEVER}, near = {.mode = mode};
        struct disturbed calm_far, far;
        int32_t a = 0, b = 0;
        start_pair(&calm_near, &calm_far, near_program, far_program);
        start_pair(&near, &far, near_program, far_program);
        for (int32_t arg = 0; arg < 7; arg++) {
            CHECK_EQ(call_named(&near, "catch", arg, &a), ST_OK);
            CHECK_EQ(call_named(&calm_near, "catch", arg, &b), ST_OK);
            CHECK_EQ(a, b);
            CHECK_EQ(call_named(&far, "catch", arg, &a), ST_OK);
            CHECK_EQ(call_named(&calm_far, "catch", arg, &b), ST_OK);
            CHECK_EQ(a, b);
            CHECK_EQ(call_named(&near, "plain", arg, &a), ST_OK);
            CHECK_EQ(a, arg - 1);
        }
        CHECK(near.captures > 7 && far.captures > 7);
        cell_free(near.g.cell);
        cell_free(calm_near.g.cell);
    }
    program_unref(far_program);
    program_unref(near_program);
}

/* ---- what a cell does with its capture ---- */

/* A cell whose call of an export is captured inside. */
static struct guest captured(struct program *prog, const char *name, int32_t arg)
{
    struct guest g;
    guest_start(&g, rt, prog, &disturb_host, NULL);
    disturb_ask_captures = true;
    CHECK_EQ(guest_call_i32(&g, name, arg, NULL), ST_CAPTURED);
    return g;
}

static void thousands_of_frames_are_rebuilt(void)
{
    struct program *prog = GUEST_PROGRAM(rt, near_wasm);
    struct guest g = captured(prog, "deep", 30000);
    union cell_value io[1] = {0};
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_OK);
    CHECK_EQ(io[0].i32, 30005);
    cell_free(g.cell);
    program_unref(prog);
}

static void a_call_that_ended_is_not_resumed(void)
{
    struct program *prog = GUEST_PROGRAM(rt, near_wasm);
    struct guest g = captured(prog, "deep", 3);
    union cell_value io[1] = {0};
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_OK);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_INVAL);
    CHECK_EQ(guest_call_i32(&g, "exit", 1, NULL), ST_CAPTURED);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_TRAP);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_INVAL);
    CHECK_EQ(guest_call_i32(&g, "even", 0, NULL), ST_CAPTURED);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_EXCEPTION);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_INVAL);
    cell_free(g.cell);
    program_unref(prog);
}

static void another_call_takes_the_place_of_a_captured_one(void)
{
    struct program *prog = GUEST_PROGRAM(rt, near_wasm);
    struct guest g = captured(prog, "deep", 3);
    union cell_value io[1] = {{.i32 = 7}};
    int32_t value = 0;
    disturb_ask_captures = false;
    CHECK_EQ(guest_call_i32(&g, "deep", 4, &value), ST_OK);
    CHECK_EQ(value, 9);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_INVAL);
    CHECK_EQ(io[0].i32, 7);
    cell_free(g.cell);
    program_unref(prog);
}

static void a_captured_call_can_be_stopped(void)
{
    struct program *prog = GUEST_PROGRAM(rt, near_wasm);
    struct guest g = captured(prog, "deep", 3);
    union cell_value io[1] = {0};
    cell_stop(g.cell, STOP_REQUEST);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_STOPPED);
    CHECK_EQ(cell_stop_reason(g.cell), STOP_REQUEST);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_INVAL);
    cell_free(g.cell);
    program_unref(prog);
}

static void a_captured_cell_can_be_freed(void)
{
    struct program *prog = GUEST_PROGRAM(rt, near_wasm);
    struct guest g = captured(prog, "deep", 1000);
    cell_free(g.cell);
    program_unref(prog);
}

int main(void)
{
    rt = guest_runtime();
    RUN(waiting_imports_are_called_again);
    RUN(kept_exceptions_outlive_collections);
    RUN(frames_of_two_instances_are_rebuilt);
    RUN(thousands_of_frames_are_rebuilt);
    RUN(a_call_that_ended_is_not_resumed);
    RUN(another_call_takes_the_place_of_a_captured_one);
    RUN(a_captured_call_can_be_stopped);
    RUN(a_captured_cell_can_be_freed);
    RUN(loops_go_on_at_their_headers);
    RUN(operands_of_all_types_are_kept);
    RUN(calls_return_into_rebuilt_frames);
    RUN(tail_calls_go_on);
    RUN(exceptions_pass_rebuilt_frames);
    RUN(exceptions_are_kept_as_references);
    RUN(work_of_the_host_is_not_repeated);
    RUN(vectorised_loops_go_on_at_their_strips);
    RUN(waits_are_not_repeated);
    RUN(start_functions_are_captured);
    RUN(canonical_nans_stay_canonical);
    RUN(hundreds_of_locals_are_kept);
    runtime_free(rt);
    return CHECK_DONE();
}
