#include "guest.h"
#include "modules.h"

static struct guest *inner; /* what a host function tries to call */
static status_t inner_status;

static int32_t host_ping(void *ctx, void *env, int32_t value)
{
    (void)ctx;
    (void)env;
    if (inner)
        inner_status = guest_call_i32(inner, "catch", 1, NULL);
    return value + 1;
}

static const struct host_func funcs[] = {{"ping", "i:i", (void *)host_ping}, {NULL, NULL, NULL}};
static const struct host_module host = {.name = "h", .funcs = funcs};

static int32_t plain_ping(void *ctx, void *env, int32_t value)
{
    (void)ctx;
    (void)env;
    return value + 1;
}

static const struct host_func plain_funcs[] = {{"ping", "i:i", (void *)plain_ping},
                                               {NULL, NULL, NULL}};
static const struct host_module plain_host = {.name = "h", .funcs = plain_funcs};

static struct runtime *rt;
static struct program *thrower_program;
static struct program *catcher_program;

static status_t resolve(void *arg, const struct module_import *imp, struct extern_val *ret_val)
{
    return instance_export(arg, imp->field.bytes, imp->field.len, ret_val);
}

/* The thrower's instance, and beside it in the same cell one that catches what it throws. */
static void start_both(struct guest *t, struct guest *c)
{
    struct import_resolver r = {resolve, NULL};
    guest_start(t, rt, thrower_program, &host, NULL);
    *c = *t;
    r.arg = t->inst;
    guest_need(cell_instantiate(t->cell, catcher_program, NULL, 0, &r, &c->inst, &c->err),
               "catcher", &c->err);
}

static void an_exception_is_caught_with_its_values(void)
{
    struct guest g;
    int32_t value = 0;
    guest_start(&g, rt, thrower_program, &host, NULL);
    CHECK_EQ(guest_call_i32(&g, "catch", 4, &value), ST_OK);
    CHECK_EQ(value, 5);
    cell_free(g.cell);
}

static void an_uncaught_exception_is_reported_and_the_cell_goes_on(void)
{
    struct guest g;
    int32_t value = 0;
    guest_start(&g, rt, thrower_program, &host, NULL);
    CHECK_EQ(guest_call_i32(&g, "throw", 4, NULL), ST_EXCEPTION);
    CHECK_STR(g.err.text, "uncaught exception");
    CHECK_EQ(guest_call_i32(&g, "catch", 6, &value), ST_OK);
    CHECK_EQ(value, 7);
    cell_free(g.cell);
}

static void exceptions_cross_instances(void)
{
    struct guest t, c;
    int32_t value = 0;
    start_both(&t, &c);
    CHECK_EQ(guest_call_i32(&c, "catch", 10, &value), ST_OK);
    CHECK_EQ(value, 11);
    CHECK_EQ(guest_call_i32(&c, "pass", 10, NULL), ST_EXCEPTION);
    CHECK_EQ(guest_call_i32(&c, "catch", 20, &value), ST_OK);
    CHECK_EQ(value, 21);
    cell_free(t.cell);
}

static void a_kept_reference_survives_a_million_others(void)
{
    struct guest t, c;
    int32_t value = 0;
    start_both(&t, &c);
    CHECK_EQ(guest_call_i32(&c, "many", 1000000, &value), ST_OK);
    CHECK_EQ(value, 100);
    cell_free(t.cell);
}

static void a_host_function_cannot_call_back_and_the_throw_around_it_is_clean(void)
{
    struct guest g;
    int32_t value = 0;
    guest_start(&g, rt, thrower_program, &host, NULL);
    struct guest same = g;
    inner = &same;
    inner_status = ST_OK;
    CHECK_EQ(guest_call_i32(&g, "catch", 1, &value), ST_OK);
    CHECK_EQ(value, 2);
    CHECK_EQ(inner_status, ST_INVAL);
    CHECK_STR(same.err.text, "the cell is running");
    inner = NULL;
    cell_free(g.cell);
}

static void a_host_function_may_run_another_cell(void)
{
    struct guest g, other;
    int32_t value = 0;
    guest_start(&g, rt, thrower_program, &host, NULL);
    guest_start(&other, rt, thrower_program, &plain_host, NULL);
    inner = &other;
    inner_status = ST_IO;
    CHECK_EQ(guest_call_i32(&g, "catch", 1, &value), ST_OK);
    CHECK_EQ(value, 2);
    CHECK_EQ(inner_status, ST_OK);
    CHECK_EQ(guest_call_i32(&g, "throw", 1, NULL), ST_EXCEPTION);
    inner = NULL;
    cell_free(other.cell);
    cell_free(g.cell);
}

int main(void)
{
    rt = guest_runtime();
    thrower_program = GUEST_PROGRAM(rt, thrower);
    catcher_program = GUEST_PROGRAM(rt, catcher);
    RUN(an_exception_is_caught_with_its_values);
    RUN(an_uncaught_exception_is_reported_and_the_cell_goes_on);
    RUN(exceptions_cross_instances);
    RUN(a_kept_reference_survives_a_million_others);
    RUN(a_host_function_cannot_call_back_and_the_throw_around_it_is_clean);
    RUN(a_host_function_may_run_another_cell);
    program_unref(catcher_program);
    program_unref(thrower_program);
    runtime_free(rt);
    return CHECK_DONE();
}
