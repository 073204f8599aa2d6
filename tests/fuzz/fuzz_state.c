/* The state of a cell from anywhere: frames, globals, tables, exceptions. It is loaded into an instance of
 * tests/golden/golden.wasm, and where that takes it the cell goes on for some polls. Its imports do nothing. */
#include "cell/run/run.h"
#include "cell/run/state.h"
#include "fuzz.h"

enum { POLLS_MAX = 64, STACK_BYTES = 1 << 18, MEMORY_BYTES = 4 << 20 };

static int32_t zero_4(void *ctx, void *env, int32_t a, int32_t b, int32_t c, int32_t d)
{
    (void)ctx, (void)env, (void)a, (void)b, (void)c, (void)d;
    return 0;
}

static int32_t zero_5(void *ctx, void *env, int32_t a, int32_t b, int32_t c, int64_t d, int32_t e)
{
    (void)ctx, (void)env, (void)a, (void)b, (void)c, (void)d, (void)e;
    return 0;
}

static int32_t zero_2(void *ctx, void *env, int32_t a, int32_t b)
{
    (void)ctx, (void)env, (void)a, (void)b;
    return 0;
}

static void leave(void *ctx, void *env, int32_t code)
{
    (void)env;
    host_exit(ctx, (uint32_t)code);
}

static const struct host_func funcs[] = {
    {"fd_write", "iiii:i", (void *)zero_4},    {"fd_read", "iiii:i", (void *)zero_4},
    {"fd_readdir", "iiiIi:i", (void *)zero_5}, {"args_get", "ii:i", (void *)zero_2},
    {"proc_exit", "i:", (void *)leave},        {NULL, NULL, NULL}};
static const struct host_module host = {.name = "wasi_snapshot_preview1", .funcs = funcs};

static struct runtime *rt;
static struct program *prog;

static void prepare(void)
{
    struct error err = {0};
    if (rt)
        return;
    if (runtime_new(NULL, &rt, &err) != ST_OK ||
        program_open(rt, FUZZ_STATE_IMAGE, &prog, &err) != ST_OK) {
        fprintf(stderr, "%s: %s\n", FUZZ_STATE_IMAGE, err.text);
        abort();
    }
}

static void go_on(struct cell *c)
{
    union cell_value io[MODULE_RESULTS_MAX] = {0};
    struct error err = {0};
    status_t st = ST_CAPTURED;
    for (int i = 0; i < POLLS_MAX && st == ST_CAPTURED; i++) {
        cell_stop(c, i + 1 < POLLS_MAX ? STOP_CAPTURE : STOP_REQUEST);
        st = cell_resume(c, io, &err);
    }
    FUZZ_CHECK(st != ST_CAPTURED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cell_limits limits;
    struct cell *c = NULL;
    struct instance *inst;
    struct error err = {0};
    prepare();
    cell_limits_default(&limits);
    limits.stack_bytes = STACK_BYTES;
    limits.memory_bytes = MEMORY_BYTES;
    FUZZ_CHECK(cell_new(rt, &limits, &c, &err) == ST_OK);
    FUZZ_CHECK(cell_instantiate(c, prog, &host, 1, NULL, &inst, &err) == ST_OK);
    status_t st = cell_state_load(c, data, len, &err);
    FUZZ_CHECK(st == ST_OK || (err.code == st && err.text[0] != '\0'));
    if (st == ST_OK && cell_is_captured(c))
        go_on(c);
    cell_free(c);
    return 0;
}
