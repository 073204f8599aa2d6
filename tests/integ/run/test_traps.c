#include "guest.h"
#include "modules.h"

static void host_fail(void *ctx, void *env, int32_t code)
{
    (void)env;
    host_trap(ctx, code == 3 ? "three is refused" : "refused");
}

static void host_end(void *ctx, void *env, int32_t code)
{
    (void)env;
    if (code >= 0)
        host_exit(ctx, (uint32_t)code);
}

static const struct host_func funcs[] = {
    {"fail", "i:", (void *)host_fail}, {"exit", "i:", (void *)host_end}, {NULL, NULL, NULL}};
static const struct host_module host = {.name = "h", .funcs = funcs};

static struct runtime *rt;
static struct program *prog;
static struct guest g;

/* One call, which has to trap; the cell stays usable. */
static void check_trap(const char *name, const union cell_value *args, uint32_t count,
                       enum abi_trap trap)
{
    union cell_value io[4] = {{.u64 = 0}};
    for (uint32_t i = 0; i < count; i++)
        io[i] = args[i];
    CHECK_EQ(guest_call(&g, name, io), ST_TRAP);
    CHECK_EQ(cell_trap(g.cell), trap);
    CHECK_STR(g.err.text, abi_trap_text(trap));
}

static void check_works(void)
{
    union cell_value io[2] = {{.i32 = 42}, {.i32 = 2}};
    CHECK_EQ(guest_call(&g, "div", io), ST_OK);
    CHECK_EQ(io[0].i32, 21);
    CHECK_EQ(cell_trap(g.cell), TRAP_NONE);
}

static void arithmetic_traps_have_their_reason(void)
{
    check_trap("div", (union cell_value[]){{.i32 = 1}, {.i32 = 0}}, 2, TRAP_INT_DIVIDE);
    check_trap("div", (union cell_value[]){{.i32 = INT32_MIN}, {.i32 = -1}}, 2, TRAP_INT_OVERFLOW);
    check_trap("trunc", (union cell_value[]){{.f64 = 1e300}}, 1, TRAP_INT_OVERFLOW);
    check_trap("trunc", (union cell_value[]){{.f64 = __builtin_nan("")}}, 1, TRAP_INT_CONVERT);
    check_trap("unreachable", NULL, 0, TRAP_UNREACHABLE);
    check_works();
}

static void accesses_out_of_bounds_trap_at_every_distance(void)
{
    union cell_value io[1] = {{.i32 = -3}};
    check_trap("load", (union cell_value[]){{.i32 = -1}}, 1, TRAP_MEMORY_BOUNDS);
    check_trap("load", (union cell_value[]){{.i32 = 1}}, 1, TRAP_MEMORY_BOUNDS);
    check_trap("load", (union cell_value[]){{.i32 = INT32_MAX}}, 1, TRAP_MEMORY_BOUNDS);
    CHECK_EQ(guest_call(&g, "load", io), ST_TRAP);
    check_trap("copy", (union cell_value[]){{.i32 = 0}, {.i32 = 65530}, {.i32 = 7}}, 3,
               TRAP_MEMORY_BOUNDS);
    check_trap("fill", (union cell_value[]){{.i32 = 65536}, {.i32 = 1}}, 2, TRAP_MEMORY_BOUNDS);
    check_trap("table_get", (union cell_value[]){{.i32 = 4}}, 1, TRAP_TABLE_BOUNDS);
    check_works();
}

static void indirect_calls_of_the_wrong_kind_trap(void)
{
    check_trap("indirect", (union cell_value[]){{.i32 = 0}}, 1, TRAP_INDIRECT_NULL);
    check_trap("indirect", (union cell_value[]){{.i32 = 9}}, 1, TRAP_TABLE_BOUNDS);
    check_trap("mistyped", (union cell_value[]){{.i32 = 1}}, 1, TRAP_INDIRECT_TYPE);
    check_trap("wait", NULL, 0, TRAP_EXPECTED_SHARED);
    check_works();
}

static void unbounded_recursion_is_a_trap_wherever_the_stack_ends(void)
{
    const struct frame *frames = NULL;
    uint64_t total = 0;
    for (int i = 0; i < 3; i++) {
        check_trap("recurse", (union cell_value[]){{.i64 = 1}}, 1, TRAP_STACK);
        CHECK_EQ(cell_backtrace(g.cell, &frames, &total), BACKTRACE_MAX);
        CHECK(total > 10000);
        check_trap("recurse_grow", (union cell_value[]){{.i32 = 1}}, 1, TRAP_STACK);
        check_trap("recurse_host", (union cell_value[]){{.i32 = 1}}, 1, TRAP_STACK);
    }
    check_works();
}

static bool frame_is(const struct frame *f, const char *name)
{
    return f->program == prog && f->name.len == strlen(name) &&
           memcmp(f->name.bytes, name, f->name.len) == 0 && f->wasm_off != 0;
}

static void a_back_trace_names_the_frames_innermost_first(void)
{
    const struct frame *frames = NULL;
    uint64_t total = 0;
    check_trap("load", (union cell_value[]){{.i32 = 7}}, 1, TRAP_MEMORY_BOUNDS);
    CHECK_EQ(cell_backtrace(g.cell, &frames, &total), total);
    CHECK(total >= 2 && total <= 6); /* the compiler may merge frames */
    CHECK(frame_is(&frames[total - 1], "peek"));
    check_trap("unreachable", NULL, 0, TRAP_UNREACHABLE);
    CHECK_EQ(cell_backtrace(g.cell, &frames, &total), 1);
    check_works();
    CHECK_EQ(cell_backtrace(g.cell, &frames, &total), 0);
}

static void a_host_function_can_refuse_with_a_text(void)
{
    const struct frame *frames = NULL;
    uint64_t total = 0;
    union cell_value io[1] = {{.i32 = 3}};
    CHECK_EQ(guest_call(&g, "fail", io), ST_TRAP);
    CHECK_EQ(cell_trap(g.cell), TRAP_HOST);
    CHECK_STR(g.err.text, "three is refused");
    CHECK_EQ(cell_backtrace(g.cell, &frames, &total), 2);
    CHECK(frames[0].program == NULL);
    /* optimised trampolines jump to the host, and leave no trace; others name the import */
    CHECK(frames[0].name.len == 0 ||
          (frames[0].name.len == 4 && memcmp(frames[0].name.bytes, "fail", 4) == 0));
    CHECK(frame_is(&frames[1], "refused"));
    check_works();
    /* Through a table the trampoline is called directly. */
    io[0].i32 = 1;
    CHECK_EQ(guest_call(&g, "indirect", io), ST_TRAP);
    CHECK_STR(g.err.text, "refused");
}

static void exit_leaves_with_its_code(void)
{
    union cell_value io[1] = {{.i32 = 17}};
    CHECK_EQ(guest_call(&g, "exit", io), ST_EXIT);
    CHECK_EQ(cell_exit_code(g.cell), 17);
    CHECK_STR(g.err.text, "exit with code 17");
    check_works();
}

static void a_small_stack_is_enough_for_small_programs(void)
{
    struct cell_limits l;
    struct guest small;
    union cell_value io[2] = {{.i32 = 6}, {.i32 = 3}};
    cell_limits_default(&l);
    l.stack_bytes = 65536;
    guest_start(&small, rt, prog, &host, &l);
    CHECK_EQ(guest_call(&small, "div", io), ST_OK);
    io[0].i64 = 0;
    CHECK_EQ(guest_call(&small, "recurse", io), ST_TRAP);
    CHECK_EQ(cell_trap(small.cell), TRAP_STACK);
    io[0].i32 = 0;
    CHECK_EQ(guest_call(&small, "recurse_host", io), ST_TRAP);
    CHECK_EQ(cell_trap(small.cell), TRAP_STACK);
    cell_free(small.cell);
    l.stack_bytes = 65535;
    CHECK_EQ(cell_new(rt, &l, &small.cell, &small.err), ST_INVAL);
}

int main(void)
{
    rt = guest_runtime();
    prog = GUEST_PROGRAM(rt, traps);
    guest_start(&g, rt, prog, &host, NULL);
    RUN(arithmetic_traps_have_their_reason);
    RUN(accesses_out_of_bounds_trap_at_every_distance);
    RUN(indirect_calls_of_the_wrong_kind_trap);
    RUN(unbounded_recursion_is_a_trap_wherever_the_stack_ends);
    RUN(a_back_trace_names_the_frames_innermost_first);
    RUN(a_host_function_can_refuse_with_a_text);
    RUN(exit_leaves_with_its_code);
    RUN(a_small_stack_is_enough_for_small_programs);
    cell_free(g.cell);
    program_unref(prog);
    runtime_free(rt);
    return CHECK_DONE();
}
