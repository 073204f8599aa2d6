/* Start of a cell in a running process: start FIRST.cell FUNC COUNT
 * From nothing to the end of the first call: new cell, instance, call of FUNC. Prints "start_ns N" per start. */

#include "embed.h"

enum { WARM_UP = 20, COUNT_MAX = 10 * 1000 * 1000 };

/* Nanoseconds until the guest's function has returned; making room for the next cell is not part of it. */
static uint64_t start_once(struct runtime *rt, struct program *prog, const char *name)
{
    struct error err = {0};
    struct cell *c;
    struct instance *inst;
    union cell_value io[1] = {{.i32 = 0}};
    uint64_t begin = clock_monotonic_ns();
    embed_check(cell_new(rt, NULL, &c, &err), "cell", &err);
    embed_check(cell_instantiate(c, prog, NULL, 0, NULL, &inst, &err), "instantiate", &err);
    embed_check(cell_call(c, embed_func(inst, name), io, &err), name, &err);
    uint64_t end = clock_monotonic_ns();
    cell_free(c);
    return end - begin;
}

int main(int argc, char **argv)
{
    uint64_t count;
    if (argc != 4 || parse_u64(argv[3], COUNT_MAX, &count) != ST_OK || count == 0) {
        fprintf(stderr, "usage: start FIRST.cell FUNC COUNT\n");
        return 64;
    }
    struct runtime *rt;
    struct program *prog;
    struct error err = {0};
    uint64_t *times = calloc(count, sizeof *times);
    if (times == NULL)
        return 1;
    embed_check(runtime_new(NULL, &rt, &err), "runtime", &err);
    embed_check(program_open(rt, argv[1], &prog, &err), argv[1], &err);
    for (int i = 0; i < WARM_UP; i++)
        (void)start_once(rt, prog, argv[2]);
    for (uint64_t i = 0; i < count; i++)
        times[i] = start_once(rt, prog, argv[2]);
    for (uint64_t i = 0; i < count; i++)
        printf("start_ns %llu\n", (unsigned long long)times[i]);
    free(times);
    program_unref(prog);
    runtime_free(rt);
    return 0;
}
