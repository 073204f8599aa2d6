#include <errno.h>
#include <unistd.h>

#include "guest.h"
#include "modules.h"

static int read_fd = -1; /* what ping blocks on, when not -1 */

static int32_t host_ping(void *ctx, void *env, int32_t value)
{
    (void)env;
    while (read_fd >= 0) {
        char byte;
        if (!host_block_begin(ctx))
            return 0;
        ssize_t n = read(read_fd, &byte, 1);
        host_block_end(ctx);
        if (n >= 0 || errno != EINTR)
            break;
    }
    return value + 1;
}

static const struct host_func funcs[] = {{"ping", "i:i", (void *)host_ping}, {NULL, NULL, NULL}};
static const struct host_module host = {.name = "h", .funcs = funcs};

static struct runtime *rt;
static struct program *prog;

static void the_cpu_limit_ends_a_loop_and_stays_reached(void)
{
    struct guest g;
    struct cell_limits l;
    int32_t value = 0;
    cell_limits_default(&l);
    l.cpu_ns = 20000000;
    guest_start(&g, rt, prog, &host, &l);
    CHECK_EQ(guest_call_i32(&g, "once", 0, &value), ST_OK);
    CHECK_EQ(guest_call_i32(&g, "spin", 0, NULL), ST_STOPPED);
    CHECK_EQ(cell_stop_reason(g.cell), STOP_CPU_LIMIT);
    CHECK_STR(g.err.text, "CPU time limit reached");
    struct cell_stats stats;
    cell_stats(g.cell, &stats);
    CHECK(stats.cpu_ns >= l.cpu_ns);
    CHECK_EQ(guest_call_i32(&g, "once", 0, &value), ST_STOPPED);
    CHECK_EQ(cell_stop_reason(g.cell), STOP_CPU_LIMIT);
    cell_free(g.cell);
}

static void the_time_limit_counts_waiting_too(void)
{
    struct guest g;
    struct cell_limits l;
    int pipe_fd[2];
    CHECK_EQ(pipe(pipe_fd), 0);
    cell_limits_default(&l);
    l.wall_ns = 20000000;
    guest_start(&g, rt, prog, &host, &l);
    read_fd = pipe_fd[0];
    CHECK_EQ(guest_call_i32(&g, "once", 0, NULL), ST_STOPPED);
    CHECK_EQ(cell_stop_reason(g.cell), STOP_WALL_LIMIT);
    CHECK_STR(g.err.text, "time limit reached");
    read_fd = -1;
    cell_free(g.cell);
    guest_start(&g, rt, prog, &host, &l);
    CHECK_EQ(guest_call_i32(&g, "spin", 0, NULL), ST_STOPPED);
    CHECK_EQ(cell_stop_reason(g.cell), STOP_WALL_LIMIT);
    cell_free(g.cell);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

static void memory_grows_to_a_page_below_four_gibibytes_within_the_limit(void)
{
    struct guest g;
    struct cell_limits l;
    int32_t value = 0;
    guest_start(&g, rt, prog, &host, NULL);
    CHECK_EQ(guest_call_i32(&g, "grow", WASM_PAGES_CAP - 64, &value), ST_OK);
    CHECK_EQ(value, 64);
    CHECK_EQ(guest_call_i32(&g, "grow", 1, &value), ST_OK);
    CHECK_EQ(value, -1);
    CHECK_EQ(guest_call_i32(&g, "touch", -WASM_PAGE_BYTES - 1, &value), ST_OK);
    CHECK_EQ(value, 77);
    CHECK_EQ(guest_call_i32(&g, "touch", -WASM_PAGE_BYTES, &value), ST_TRAP);
    cell_free(g.cell);
    cell_limits_default(&l);
    l.memory_bytes = 65 * WASM_PAGE_BYTES;
    guest_start(&g, rt, prog, &host, &l);
    CHECK_EQ(guest_call_i32(&g, "grow", 2, &value), ST_OK);
    CHECK_EQ(value, -1);
    CHECK_EQ(guest_call_i32(&g, "grow", 1, &value), ST_OK);
    CHECK_EQ(value, 64);
    CHECK_EQ(guest_call_i32(&g, "touch", 65 * WASM_PAGE_BYTES - 1, &value), ST_OK);
    CHECK_EQ(guest_call_i32(&g, "touch", 65 * WASM_PAGE_BYTES, &value), ST_TRAP);
    cell_free(g.cell);
}

int main(void)
{
    rt = guest_runtime();
    prog = GUEST_PROGRAM(rt, loops);
    RUN(the_cpu_limit_ends_a_loop_and_stays_reached);
    RUN(the_time_limit_counts_waiting_too);
    RUN(memory_grows_to_a_page_below_four_gibibytes_within_the_limit);
    program_unref(prog);
    runtime_free(rt);
    return CHECK_DONE();
}
