#include <errno.h>
#include <sys/mman.h>

#include "check.h"
#include "disturb.h"
#include "modules_dive.h"

/* Captures and resumed calls for which memory runs out. The n-th mapping that is asked for fails. */

static struct runtime *rt;
static unsigned long fail_in; /* 0: none fails */

void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
    if (fail_in && --fail_in == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(at, len, prot, flags, fd, off);
}

static void start_diver(struct guest *g, struct program *prog)
{
    guest_start(g, rt, prog, &disturb_host, NULL);
    CHECK_EQ(guest_call_i32(g, "set_more", 0, NULL), ST_OK);
}

static void a_cell_whose_capture_is_refused_runs_on(void)
{
    struct program *prog = GUEST_PROGRAM(rt, dive_wasm);
    struct guest g;
    int32_t want = 0, value = 0;
    struct cell_stats stats;
    start_diver(&g, prog);
    disturb_ask_captures = false;
    CHECK_EQ(guest_call_i32(&g, "dive", 300, &want), ST_OK);
    disturb_ask_captures = true;
    fail_in = 1;
    CHECK_EQ(guest_call_i32(&g, "dive", 300, &value), ST_OK);
    CHECK_EQ(value, want);
    cell_stats(g.cell, &stats);
    CHECK_EQ(stats.captures_refused, 1);
    /* and the next one is served */
    CHECK_EQ(guest_call_i32(&g, "dive", 300, &value), ST_CAPTURED);
    cell_free(g.cell);
    program_unref(prog);
}

static void a_call_that_cannot_go_on_now_goes_on_later(void)
{
    struct program *prog = GUEST_PROGRAM(rt, dive_wasm);
    struct guest g;
    int32_t want = 0;
    union cell_value io[4] = {{.i32 = 0}};
    start_diver(&g, prog);
    disturb_ask_captures = false;
    CHECK_EQ(guest_call_i32(&g, "dive", 300, &want), ST_OK);
    disturb_ask_captures = true;
    CHECK_EQ(guest_call_i32(&g, "dive", 300, NULL), ST_CAPTURED);
    fail_in = 1;
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_NOMEM);
    CHECK_EQ(fail_in, 0);
    CHECK_EQ(cell_resume(g.cell, io, &g.err), ST_OK);
    CHECK_EQ(io[0].i32, want);
    cell_free(g.cell);
    program_unref(prog);
}

/* Whichever mapping fails, the call ends as without captures. */
static void calls_end_the_same_whatever_fails(void)
{
    struct program *prog = GUEST_PROGRAM(rt, dive_wasm);
    struct guest g;
    int32_t want = 0;
    start_diver(&g, prog);
    disturb_ask_captures = false;
    CHECK_EQ(guest_call_i32(&g, "dive", 1000, &want), ST_OK);
    bool failed = true;
    for (unsigned long n = 1; failed && n < 100; n++) {
        union cell_value io[4] = {{.i32 = 1000}};
        disturb_ask_captures = true;
        fail_in = n;
        status_t st = guest_call(&g, "dive", io);
        for (int i = 0; i < 3 && (st == ST_CAPTURED || st == ST_NOMEM); i++)
            st = cell_resume(g.cell, io, &g.err);
        failed = fail_in == 0;
        fail_in = 0;
        CHECK_EQ(st, ST_OK);
        CHECK_EQ(io[0].i32, want);
    }
    CHECK(!failed);
    cell_free(g.cell);
    program_unref(prog);
}

int main(void)
{
    rt = guest_runtime();
    RUN(a_cell_whose_capture_is_refused_runs_on);
    RUN(a_call_that_cannot_go_on_now_goes_on_later);
    RUN(calls_end_the_same_whatever_fails);
    runtime_free(rt);
    return CHECK_DONE();
}
