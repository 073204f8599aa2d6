#ifndef INTEG_CAPTURE_DISTURB_H
#define INTEG_CAPTURE_DISTURB_H

#define GUEST_MOVABLE 1
#include "../run/guest.h"
#include "travel.h"

/* All exported functions of a module, called in one order in two cells: one is captured and resumed again and again,
 * the other is left alone. Whatever differs is a failed check. */

enum { DISTURB_CANONICAL = 1, DISTURB_BOTH_NANS = 3 };
enum { DISTURB_VALUES = 16, DISTURB_CAPTURES_MAX = 200000 };

enum disturb_mode {
    DISTURB_NEVER,
    DISTURB_ALWAYS, /* a request waits from the start: each poll captures */
    DISTURB_ASKED,  /* where the guest calls ask */
    DISTURB_MODES,
    DISTURB_TRAVELS = DISTURB_MODES, /* at each poll, and goes on in a new cell of another image */
    DISTURB_CHANGES                  /* at each poll, and goes over to another image in place */
};
enum { DISTURB_TRAVELS_MAX = 200, DISTURB_IMAGES_MAX = 6 };

/* The images of a module that a cell goes on with in turn. */
struct disturb_images {
    struct program *programs[DISTURB_IMAGES_MAX];
    uint32_t count;
};

struct disturbed {
    struct guest g;
    enum disturb_mode mode;
    unsigned long captures;
    const struct disturb_images *images; /* to travel between */
    unsigned long travels;
    unsigned long changes;
};

static bool disturb_ask_captures;
static int32_t disturb_arg_max = 7; /* functions are called with 0 to this */

static void disturb_host_ask(void *ctx, void *env)
{
    (void)env;
    if (disturb_ask_captures)
        cell_stop(host_cell(ctx), STOP_CAPTURE);
}

static int32_t disturb_host_id(void *ctx, void *env, int32_t value)
{
    (void)env;
    if (disturb_ask_captures)
        cell_stop(host_cell(ctx), STOP_CAPTURE);
    return value;
}

/* Host functions that wait: each call is made again twice, when captures are asked for, and then gets on. */
static unsigned disturb_waits;

static bool disturb_wait(void *ctx)
{
    if (disturb_ask_captures)
        cell_stop(host_cell(ctx), STOP_CAPTURE);
    if (disturb_waits++ % 3 == 2)
        return true;
    if (host_wait_begin(ctx))
        host_block_end(ctx);
    else if (host_wait_again(ctx))
        return false;
    disturb_waits = 0;
    return true;
}

static int32_t disturb_host_wait(void *ctx, void *env, int32_t a, int64_t b, float c, double d,
                                 void *ref)
{
    (void)env;
    return disturb_wait(ctx) ? a * 31 + (int32_t)b * 7 + (int32_t)(c * 8) + (int32_t)d + !ref : -77;
}

static void disturb_host_pause(void *ctx, void *env)
{
    (void)env;
    (void)disturb_wait(ctx);
}

static const struct host_func disturb_funcs[] = {{"ask", ":", (void *)disturb_host_ask},
                                                 {"wait", "iIfFr:i", (void *)disturb_host_wait},
                                                 {"pause", ":", (void *)disturb_host_pause},
                                                 {"id", "i:i", (void *)disturb_host_id},
                                                 {NULL, NULL, NULL}};
static const struct host_module disturb_host = {.name = "h", .funcs = disturb_funcs};

static inline bool disturb_change(struct disturbed *d, struct program *to)
{
    status_t st = cell_change_program(d->g.cell, to, &d->g.err);
    CHECK(st == ST_OK ? cell_program(d->g.cell) == to : st == ST_UNSUPPORTED);
    return st == ST_OK;
}

/* Begin by start (NULL: the start function), and resume until the end. */
static inline status_t disturb_run(struct disturbed *d, const struct abi_func *f,
                                   union cell_value *io)
{
    disturb_ask_captures = d->mode == DISTURB_ASKED;
    bool at_each_poll = d->mode != DISTURB_NEVER && d->mode != DISTURB_ASKED;
    if (at_each_poll)
        cell_stop(d->g.cell, STOP_CAPTURE);
    status_t st = f ? cell_call(d->g.cell, f, io, &d->g.err) : instance_start(d->g.inst, &d->g.err);
    for (unsigned long n = 0; st == ST_CAPTURED && n < DISTURB_CAPTURES_MAX; n++) {
        d->captures++;
        if (d->mode == DISTURB_TRAVELS && n < DISTURB_TRAVELS_MAX)
            d->travels += travel(&d->g, d->images->programs[d->captures % d->images->count],
                                 &disturb_host);
        if (d->mode == DISTURB_CHANGES)
            d->changes += disturb_change(d, d->images->programs[d->captures % d->images->count]);
        if (at_each_poll)
            cell_stop(d->g.cell, STOP_CAPTURE);
        st = cell_resume(d->g.cell, io, &d->g.err);
    }
    return st;
}

static inline bool disturb_same_values(const struct functype *ft, const union cell_value *a,
                                       const union cell_value *b)
{
    static const uint8_t bytes[] = {4, 8, 4, 8, 16};
    for (uint32_t i = 0; i < ft->result_count; i++) {
        valtype_t t = ft->results[i];
        size_t n = t == VT_I32 || t == VT_F32 ? bytes[0] : t == VT_V128 ? bytes[4] : bytes[1];
        if (t == VT_FUNCREF || t == VT_EXNREF ? (a[i].ref == NULL) != (b[i].ref == NULL)
                                              : memcmp(&a[i], &b[i], n) != 0)
            return false;
    }
    return true;
}

static inline bool disturb_same_memory(struct guest *a, struct guest *b)
{
    const struct abi_mem *x = guest_export(a->inst, "m").ptr, *y = guest_export(b->inst, "m").ptr;
    return x->bytes == y->bytes && memcmp(x->base, y->base, x->bytes) == 0;
}

static inline void disturb_one_call(struct disturbed *calm, struct disturbed *d,
                                    const struct module_export *e, const struct functype *ft,
                                    int32_t arg)
{
    static int host_thing;
    union cell_value a[DISTURB_VALUES] = {{.i32 = arg}}, b[DISTURB_VALUES] = {{.i32 = arg}};
    a[1].ref = b[1].ref = &host_thing;
    struct extern_val fa, fb;
    CHECK_EQ(instance_export(calm->g.inst, e->field.bytes, e->field.len, &fa), ST_OK);
    CHECK_EQ(instance_export(d->g.inst, e->field.bytes, e->field.len, &fb), ST_OK);
    status_t sa = disturb_run(calm, fa.ptr, a), sb = disturb_run(d, fb.ptr, b);
    bool same = sa == sb && cell_trap(calm->g.cell) == cell_trap(d->g.cell) &&
                disturb_same_memory(&calm->g, &d->g);
    if (same && sa == ST_OK)
        same = disturb_same_values(ft, a, b);
    if (same)
        return;
    fprintf(stderr, "%.*s(%d), mode %d: %s %llx, undisturbed %s %llx\n", (int)e->field.len,
            (const char *)e->field.bytes, arg, (int)d->mode, status_name(sb),
            (unsigned long long)b[0].u64, status_name(sa), (unsigned long long)a[0].u64);
    fprintf(stderr, "  %s\n", d->g.err.text);
    check_failures++;
}

static inline void disturb_program(struct runtime *rt, struct program *prog, const struct module *m,
                                   enum disturb_mode mode, const struct disturb_images *images)
{
    struct disturbed calm = {.mode = DISTURB_NEVER}, d = {.mode = mode, .images = images};
    guest_start(&calm.g, rt, prog, &disturb_host, NULL);
    guest_start(&d.g, rt, prog, &disturb_host, NULL);
    CHECK_EQ(disturb_run(&calm, NULL, NULL), ST_OK);
    CHECK_EQ(disturb_run(&d, NULL, NULL), ST_OK);
    for (uint32_t i = 0; i < m->export_count; i++)
        for (int32_t arg = 0; m->exports[i].kind == EXTERN_FUNC && arg <= disturb_arg_max; arg++)
            disturb_one_call(&calm, &d, &m->exports[i], module_func_type(m, m->exports[i].index),
                             arg);
    CHECK_EQ(calm.captures, 0);
    if (mode == DISTURB_ALWAYS)
        CHECK(d.captures > 0);
    if (mode == DISTURB_TRAVELS)
        CHECK(d.travels > 0);
    if (mode == DISTURB_CHANGES)
        CHECK(d.changes > 0);
    cell_free(calm.g.cell);
    cell_free(d.g.cell);
}

static inline struct program *disturb_compiled(struct runtime *rt, const uint8_t *wasm, size_t len,
                                               struct aot_options *opt)
{
    struct buf file = {0};
    struct error err = {0};
    struct program *prog = NULL;
    guest_need(aot_compile(wasm, len, opt, &file, &err), "compile", &err);
    guest_need(program_load(rt, file.data, file.len, &prog, &err), "load", &err);
    buf_done(&file);
    return prog;
}

/* In place in each image, then on the way from each to the next, in new cells and in one. */
static inline void disturb_images(struct runtime *rt, const struct disturb_images *images,
                                  const struct module *m)
{
    for (uint32_t i = 0; i < images->count; i++) {
        const struct image_options *o = &program_image(images->programs[i])->options;
        int failures = check_failures;
        for (enum disturb_mode mode = DISTURB_ALWAYS; mode < DISTURB_MODES; mode++)
            disturb_program(rt, images->programs[i], m, mode, NULL);
        for (enum disturb_mode mode = DISTURB_TRAVELS; i == 0 && mode <= DISTURB_CHANGES; mode++)
            disturb_program(rt, images->programs[i], m, mode, images);
        if (check_failures != failures)
            fprintf(stderr, "  at -O%u, level %u, NaNs %u\n", o->opt_level, o->level, o->nan);
    }
}

/* The highest level is compiled also where it does not run: its registers are more than a capture keeps. */
static inline void disturb_compile_highest(const uint8_t *wasm, size_t len, uint32_t host)
{
    struct aot_options opt = {.image = {.level = LEVEL_X86_64_V4, .opt_level = 3, .movable = 1},
                              .features = FEATURE_ALL,
                              .verify_ir = true,
                              .threads = 1};
    struct buf file = {0};
    struct error err = {0};
    if (host == LEVEL_X86_64_V4 || host == LEVEL_AARCH64)
        return;
    guest_need(aot_compile(wasm, len, &opt, &file, &err), "compile", &err);
    buf_done(&file);
}

/* At each optimisation, and for the lowest level of this machine's kind. nans: DISTURB_... */
static inline void disturb_module(struct runtime *rt, const uint8_t *wasm, size_t len, int nans)
{
    struct module *m = NULL;
    struct error err = {0};
    uint32_t host = image_level_host(), low = host == LEVEL_AARCH64 ? host : LEVEL_X86_64_V2;
    const uint32_t levels[DISTURB_IMAGES_MAX] = {host, low, host, low, host, host};
    const uint32_t opts[DISTURB_IMAGES_MAX] = {0, 3, 1, 0, 2, 3};
    guest_need(module_decode(wasm, len, FEATURE_ALL, &m, &err), "decode", &err);
    guest_need(module_validate(m, &err), "validate", &err);
    disturb_compile_highest(wasm, len, host);
    for (int canonical = nans == DISTURB_CANONICAL; canonical <= 1; canonical++) {
        struct disturb_images images = {.count = DISTURB_IMAGES_MAX};
        for (uint32_t i = 0; i < images.count; i++) {
            struct aot_options opt = {.image = {.level = levels[i],
                                                .opt_level = opts[i],
                                                .movable = 1,
                                                .nan = canonical ? NAN_CANONICAL : NAN_NATIVE},
                                      .features = FEATURE_ALL,
                                      .verify_ir = true,
                                      .threads = 1};
            images.programs[i] = disturb_compiled(rt, wasm, len, &opt);
        }
        disturb_images(rt, &images, m);
        for (uint32_t i = 0; i < images.count; i++)
            program_unref(images.programs[i]);
    }
    module_free(m);
}

#endif
