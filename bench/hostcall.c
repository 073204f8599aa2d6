/* Cost of a host call: hostcall HOSTCALL.cell PAIRS
 * A guest loop that calls an imported function, and a C loop that calls the same function through a pointer, in
 * turn. Prints "CELL_PS NATIVE_PS" (picoseconds per call) per pair. */

#include "embed.h"

enum { CALLS = 20 * 1000 * 1000, PAIRS_MAX = 10000 };

typedef int32_t (*tick_fn)(void *ctx, void *env, int32_t value);

static int32_t tick(void *ctx, void *env, int32_t value)
{
    (void)ctx;
    (void)env;
    return value + 1;
}

static __attribute__((noinline)) int32_t native_loop(tick_fn f, int32_t count)
{
    int32_t value = 0;
    for (int32_t i = 0; i < count; i++) {
        value = f(NULL, NULL, value);
    }
    return value;
}

/* Both run CALLS calls and return the nanoseconds. */
static uint64_t time_native(void)
{
    tick_fn volatile f = tick;
    uint64_t begin = clock_thread_cpu_ns();
    int32_t value = native_loop(f, CALLS);
    uint64_t end = clock_thread_cpu_ns();
    return value == CALLS ? end - begin : 0;
}

static uint64_t time_cell(struct cell *c, const struct abi_func *loop)
{
    union cell_value io[1] = {{.i32 = CALLS}};
    struct error err = {0};
    uint64_t begin = clock_thread_cpu_ns();
    embed_check(cell_call(c, loop, io, &err), "loop", &err);
    uint64_t end = clock_thread_cpu_ns();
    return io[0].i32 == CALLS ? end - begin : 0;
}

int main(int argc, char **argv)
{
    static const struct host_func funcs[] = {{"tick", "i:i", (void *)tick}, {NULL, NULL, NULL}};
    static const struct host_module host = {.name = "bench", .funcs = funcs, .env = NULL};
    uint64_t pairs;
    if (argc != 3 || parse_u64(argv[2], PAIRS_MAX, &pairs) != ST_OK) {
        fprintf(stderr, "usage: hostcall HOSTCALL.cell PAIRS\n");
        return 64;
    }
    struct runtime *rt;
    struct program *prog;
    struct cell *c;
    struct instance *inst;
    struct error err = {0};
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    embed_check(program_open(rt, argv[1], &prog, &err), argv[1], &err);
    embed_check(cell_new(rt, NULL, &c, &err), "cell", &err);
    embed_check(cell_instantiate(c, prog, &host, 1, NULL, &inst, &err), "instantiate", &err);
    const struct abi_func *loop = embed_func(inst, "loop");

    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t cell_ns = time_cell(c, loop);
        uint64_t native_ns = time_native();
        if (cell_ns == 0 || native_ns == 0) {
            fprintf(stderr, "hostcall: a loop gave the wrong result\n");
            return 1;
        }
        printf("%llu %llu\n", (unsigned long long)(cell_ns * 1000 / CALLS),
               (unsigned long long)(native_ns * 1000 / CALLS));
    }
    cell_free(c);
    program_unref(prog);
    runtime_free(rt);
    return 0;
}
