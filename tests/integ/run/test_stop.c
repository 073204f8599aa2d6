#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "guest.h"
#include "modules.h"

/* What ping does, and how the stopping thread knows that the guest runs. */
struct env {
    atomic_int calls;
    int read_fd; /* blocking read, when not -1 */
};

static int32_t host_ping(void *ctx, void *env, int32_t value)
{
    struct env *e = env;
    atomic_fetch_add(&e->calls, 1);
    while (e->read_fd >= 0) {
        char byte;
        if (!host_block_begin(ctx))
            return 0;
        ssize_t n = read(e->read_fd, &byte, 1);
        host_block_end(ctx);
        if (n >= 0 || errno != EINTR)
            break;
    }
    return value + 1;
}

static const struct host_func funcs[] = {{"ping", "i:i", (void *)host_ping}, {NULL, NULL, NULL}};
static struct env env = {.read_fd = -1};
static const struct host_module host = {.name = "h", .funcs = funcs, .env = &env};

static struct runtime *rt;
static struct program *prog;

struct stopper {
    struct cell *cell;
    enum stop_reason reason;
    uint64_t after_ns;
};

static void *stop_after(void *arg)
{
    const struct stopper *s = arg;
    guest_pass_ns(s->after_ns);
    cell_stop(s->cell, s->reason);
    return NULL;
}

/* Call name while another thread stops the cell. */
static void check_stopped(struct guest *g, const char *name, uint64_t after_ns)
{
    pthread_t thread;
    struct stopper s = {g->cell, STOP_REQUEST, after_ns};
    union cell_value io[1] = {{.i32 = 0}};
    CHECK_EQ(pthread_create(&thread, NULL, stop_after, &s), 0);
    CHECK_EQ(guest_call(g, name, io), ST_STOPPED);
    CHECK_EQ(cell_stop_reason(g->cell), STOP_REQUEST);
    CHECK_STR(g->err.text, "stopped on request");
    pthread_join(thread, NULL);
}

static uint64_t polls_of(const struct guest *g)
{
    struct cell_stats stats;
    cell_stats(g->cell, &stats);
    return stats.polls_taken;
}

static void a_loop_is_stopped_whatever_it_does(void)
{
    static const char *const names[] = {"spin", "spin_call", "spin_memory", "spin_fill",
                                        "spin_recursive"};
    struct guest g;
    guest_start(&g, rt, prog, &host, NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int32_t value = 0;
        uint64_t before = polls_of(&g);
        do /* until the request found the guest in its loop, not on the way there */
            check_stopped(&g, names[i], 200000);
        while (polls_of(&g) == before);
        CHECK_EQ(guest_call_i32(&g, "once", 0, &value), ST_OK);
        CHECK_EQ(value, 42);
    }
    cell_free(g.cell);
}

static void a_blocking_host_call_is_interrupted_however_late_it_began(void)
{
    struct guest g;
    int pipe_fd[2];
    CHECK_EQ(pipe(pipe_fd), 0);
    guest_start(&g, rt, prog, &host, NULL);
    env.read_fd = pipe_fd[0];
    for (uint64_t after_ns = 0; after_ns < 100000; after_ns += 500)
        check_stopped(&g, "spin_call", after_ns);
    env.read_fd = -1;
    cell_free(g.cell);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

static void a_cell_that_does_not_run_leaves_when_it_is_next_called(void)
{
    struct guest g;
    int32_t value = 0;
    guest_start(&g, rt, prog, &host, NULL);
    cell_stop(g.cell, STOP_INTERRUPT);
    cell_stop(g.cell, STOP_REQUEST); /* the first reason stands */
    CHECK_EQ(guest_call_i32(&g, "once", 0, &value), ST_STOPPED);
    CHECK_EQ(cell_stop_reason(g.cell), STOP_INTERRUPT);
    CHECK_EQ(guest_call_i32(&g, "once", 0, &value), ST_OK);
    CHECK_EQ(cell_stop_reason(g.cell), STOP_NONE);
    cell_free(g.cell);
}

int main(void)
{
    rt = guest_runtime();
    prog = GUEST_PROGRAM(rt, loops);
    RUN(a_loop_is_stopped_whatever_it_does);
    RUN(a_blocking_host_call_is_interrupted_however_late_it_began);
    RUN(a_cell_that_does_not_run_leaves_when_it_is_next_called);
    program_unref(prog);
    runtime_free(rt);
    return CHECK_DONE();
}
