#ifndef INTEG_RUN_GUEST_H
#define INTEG_RUN_GUEST_H

#include "cell/aot/aot.h"
#include "cell/run/run.h"
#include "check.h"
#include "sys/clock.h"

/* What the tests of running cells share: compile a module, make a cell of it, call it by name. */

#define GUEST_PROGRAM(rt, wasm) guest_program(rt, wasm, sizeof(wasm))

/* Tests that capture define it as 1 before they include this. */
#ifndef GUEST_MOVABLE
#define GUEST_MOVABLE 0
#endif

/* Ends the program when st is not ST_OK: later facts would mean nothing. */
static inline void guest_need(status_t st, const char *what, const struct error *err)
{
    if (st == ST_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, status_name(st), err->text);
    exit(1);
}

/* Lets time pass without giving the CPU away: on a busy machine each time it is given away costs milliseconds. */
static inline void guest_pass_ns(uint64_t ns)
{
    for (uint64_t until = clock_monotonic_ns() + ns; clock_monotonic_ns() < until;)
        ;
}

static inline struct runtime *guest_runtime(void)
{
    struct runtime *rt = NULL;
    struct error err = {0};
    guest_need(runtime_new(NULL, &rt, &err), "runtime", &err);
    return rt;
}

static inline struct program *guest_program_with(struct runtime *rt, const uint8_t *wasm,
                                                 size_t len, const struct image_options *image)
{
    struct aot_options opt = {
        .image = *image, .features = FEATURE_ALL, .verify_ir = true, .threads = 1};
    struct buf file = {0};
    struct error err = {0};
    struct program *prog = NULL;
    guest_need(aot_compile(wasm, len, &opt, &file, &err), "compile", &err);
    guest_need(program_load(rt, file.data, file.len, &prog, &err), "load", &err);
    buf_done(&file);
    return prog;
}

static inline struct program *guest_program(struct runtime *rt, const uint8_t *wasm, size_t len)
{
    const struct image_options image = {
        .level = image_level_host(), .opt_level = 1, .movable = GUEST_MOVABLE};
    return guest_program_with(rt, wasm, len, &image);
}

struct guest {
    struct runtime *rt;
    struct program *prog;
    struct cell *cell;
    struct instance *inst;
    struct error err; /* of the last call */
};

/* A cell of prog, whose imports are the functions of host (may be NULL). limits may be NULL. */
static inline void guest_start(struct guest *g, struct runtime *rt, struct program *prog,
                               const struct host_module *host, const struct cell_limits *limits)
{
    *g = (struct guest){.rt = rt, .prog = prog};
    guest_need(cell_new(rt, limits, &g->cell, &g->err), "cell", &g->err);
    guest_need(cell_instantiate(g->cell, prog, host, host ? 1 : 0, NULL, &g->inst, &g->err),
               "instantiate", &g->err);
}

static inline struct extern_val guest_export(struct instance *inst, const char *name)
{
    struct extern_val v = {0};
    struct error err = {0};
    guest_need(instance_export(inst, name, strlen(name), &v), name, &err);
    return v;
}

static inline status_t guest_call(struct guest *g, const char *name, union cell_value *io)
{
    g->err = (struct error){0};
    return cell_call(g->cell, guest_export(g->inst, name).ptr, io, &g->err);
}

/* A call with one i32 parameter; the first result as i32. */
static inline status_t guest_call_i32(struct guest *g, const char *name, int32_t arg,
                                      int32_t *ret_value)
{
    union cell_value io[4] = {{.i32 = arg}};
    status_t st = guest_call(g, name, io);
    if (st == ST_OK && ret_value)
        *ret_value = io[0].i32;
    return st;
}

#endif
