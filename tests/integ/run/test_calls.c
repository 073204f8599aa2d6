#include "guest.h"
#include "modules.h"

static double host_add(void *ctx, void *env, int32_t a, int64_t b, float c, double d)
{
    (void)ctx;
    return *(double *)env + a + (double)b + (double)c + d;
}

static double host_env = 1000;
static const struct host_func funcs[] = {{"add", "iIfF:F", (void *)host_add}, {NULL, NULL, NULL}};
static const struct host_module host = {.name = "h", .funcs = funcs, .env = &host_env};

static struct runtime *rt;
static struct program *basic_program;

static void parameters_reach_host_functions_and_results_come_back(void)
{
    struct guest g;
    union cell_value io[4] = {{.i32 = -1}, {.i64 = 20}, {.f32 = 0.5f}, {.f64 = 0.25}};
    guest_start(&g, rt, basic_program, &host, NULL);
    CHECK_EQ(guest_call(&g, "sum", io), ST_OK);
    CHECK(io[0].f64 == 1019.75);
    cell_free(g.cell);
}

static void several_results_come_back_in_order(void)
{
    struct guest g;
    union cell_value io[2] = {{.i32 = 5}, {.i64 = -7}};
    guest_start(&g, rt, basic_program, &host, NULL);
    CHECK_EQ(guest_call(&g, "swap", io), ST_OK);
    CHECK_EQ(io[0].i64, -7);
    CHECK_EQ(io[1].i32, 5);
    cell_free(g.cell);
}

static void vectors_are_parameters_and_results(void)
{
    struct guest g;
    union cell_value io[2] = {{.v128 = {1, 0, 0, 0, 2}}, {.v128 = {10, 0, 0, 0, 20}}};
    guest_start(&g, rt, basic_program, &host, NULL);
    CHECK_EQ(guest_call(&g, "vec", io), ST_OK);
    CHECK_EQ(io[0].v128[0], 11);
    CHECK_EQ(io[0].v128[4], 22);
    cell_free(g.cell);
}

static void recursive_functions_return_their_value(void)
{
    struct guest g;
    union cell_value io[1] = {{.i64 = 20}};
    guest_start(&g, rt, basic_program, &host, NULL);
    CHECK_EQ(guest_call(&g, "fac", io), ST_OK);
    CHECK_EQ(io[0].i64, 2432902008176640000);
    cell_free(g.cell);
}

static void the_start_function_runs_when_asked(void)
{
    struct guest g;
    guest_start(&g, rt, basic_program, &host, NULL);
    union cell_value *global = guest_export(g.inst, "g").ptr;
    CHECK_EQ(global->i32, 5);
    CHECK_EQ(instance_start(g.inst, &g.err), ST_OK);
    CHECK_EQ(global->i32, 6);
    cell_free(g.cell);
}

static void a_cells_memory_starts_clean_however_often_slots_are_reused(void)
{
    for (int32_t i = 0; i < 200; i++) {
        struct guest g;
        guest_start(&g, rt, basic_program, &host, NULL);
        const struct abi_mem *m = guest_export(g.inst, "m").ptr;
        CHECK_EQ(m->base[i] | m->base[i > 0 ? i - 1 : 0], 0);
        CHECK_EQ(guest_call_i32(&g, "poke", i, NULL), ST_OK);
        CHECK_EQ(m->base[i], 9);
        cell_free(g.cell);
    }
}

static void two_thousand_cells_live_at_once(void)
{
    enum { CELLS = 2000 };
    struct guest *g = calloc(CELLS, sizeof(*g));
    for (int32_t i = 0; i < CELLS; i++) {
        guest_start(&g[i], rt, basic_program, &host, NULL);
        CHECK_EQ(guest_call_i32(&g[i], "poke", i, NULL), ST_OK);
    }
    for (int32_t i = 0; i < CELLS; i++) {
        const struct abi_mem *m = guest_export(g[i].inst, "m").ptr;
        const union cell_value *global = guest_export(g[i].inst, "g").ptr;
        CHECK_EQ(m->base[i], 9);
        CHECK_EQ(global->i32, i);
        cell_free(g[i].cell);
    }
    free(g);
}

static void only_guest_functions_are_called(void)
{
    struct guest g;
    union cell_value io[1] = {{.i64 = 1}};
    guest_start(&g, rt, basic_program, &host, NULL);
    struct abi_func not_guest = {.code = NULL};
    CHECK_EQ(cell_call(g.cell, &not_guest, io, &g.err), ST_INVAL);
    CHECK_STR(g.err.text, "not a guest function");
    cell_free(g.cell);
}

int main(void)
{
    rt = guest_runtime();
    basic_program = GUEST_PROGRAM(rt, basic);
    RUN(parameters_reach_host_functions_and_results_come_back);
    RUN(several_results_come_back_in_order);
    RUN(vectors_are_parameters_and_results);
    RUN(recursive_functions_return_their_value);
    RUN(the_start_function_runs_when_asked);
    RUN(a_cells_memory_starts_clean_however_often_slots_are_reused);
    RUN(two_thousand_cells_live_at_once);
    RUN(only_guest_functions_are_called);
    program_unref(basic_program);
    runtime_free(rt);
    return CHECK_DONE();
}
