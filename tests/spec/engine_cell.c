#include <string.h>
#include <unistd.h>

#include "cache.h"
#include "cell/aot/aot.h"
#include "cell/run/run.h"
#include "engine.h"

/* Executes with the compiler and the runner: all instances of a script live in one cell. */

struct engine_instance {
    struct instance *inst;
    char *name; /* registered under, or NULL */
    size_t name_len;
};

struct engine {
    const struct spec_options *opt;
    struct runtime *rt;
    struct cell *cell;
    struct program **programs;
    size_t program_count;
    struct engine_instance **instances;
    size_t instance_count;
    struct extern_val memory;
    struct extern_val shared_memory;
    struct extern_val table;
    struct extern_val globals[4];
    struct extern_val funcs[7];
};

static void die(const char *what, const struct error *err)
{
    printf("%s: %s\n", what, err->text);
    fflush(stdout);
    _exit(2);
}

/* ---- the module "spectest", which scripts import ---- */

static void print_nothing(void *ctx, void *env)
{
    (void)ctx, (void)env;
}

static void print_i32(void *ctx, void *env, int32_t a)
{
    (void)ctx, (void)env, (void)a;
}

static void print_i64(void *ctx, void *env, int64_t a)
{
    (void)ctx, (void)env, (void)a;
}

static void print_f32(void *ctx, void *env, float a)
{
    (void)ctx, (void)env, (void)a;
}

static void print_f64(void *ctx, void *env, double a)
{
    (void)ctx, (void)env, (void)a;
}

static void print_i32_f32(void *ctx, void *env, int32_t a, float b)
{
    (void)ctx, (void)env, (void)a, (void)b;
}

static void print_f64_f64(void *ctx, void *env, double a, double b)
{
    (void)ctx, (void)env, (void)a, (void)b;
}

static const struct {
    const char *name;
    void *fn;
    uint32_t param_count;
    valtype_t params[2];
} spectest_funcs[] = {
    {"print", (void *)print_nothing, 0, {0}},
    {"print_i32", (void *)print_i32, 1, {VT_I32}},
    {"print_i64", (void *)print_i64, 1, {VT_I64}},
    {"print_f32", (void *)print_f32, 1, {VT_F32}},
    {"print_f64", (void *)print_f64, 1, {VT_F64}},
    {"print_i32_f32", (void *)print_i32_f32, 2, {VT_I32, VT_F32}},
    {"print_f64_f64", (void *)print_f64_f64, 2, {VT_F64, VT_F64}},
};
enum { SPECTEST_FUNCS = sizeof(spectest_funcs) / sizeof(spectest_funcs[0]) };

static const struct {
    const char *name;
    valtype_t type;
    union cell_value value;
} spectest_globals[] = {
    {"global_i32", VT_I32, {.i32 = 666}},
    {"global_i64", VT_I64, {.i64 = 666}},
    {"global_f32", VT_F32, {.f32 = 666.6f}},
    {"global_f64", VT_F64, {.f64 = 666.6}},
};
enum { SPECTEST_GLOBALS = sizeof(spectest_globals) / sizeof(spectest_globals[0]) };

static void make_spectest(struct engine *e)
{
    static struct functype types[SPECTEST_FUNCS];
    struct limits mem = {.min = 1, .max = 2, .has_max = true};
    struct limits shared = {.min = 1, .max = 2, .has_max = true, .shared = true};
    struct limits table = {.min = 10, .max = 20, .has_max = true};
    status_t st = cell_host_mem(e->cell, mem, &e->memory);
    if (st == ST_OK)
        st = cell_host_mem(e->cell, shared, &e->shared_memory);
    if (st == ST_OK)
        st = cell_host_table(e->cell, VT_FUNCREF, table, &e->table);
    for (size_t k = 0; k < SPECTEST_GLOBALS && st == ST_OK; k++)
        st = cell_host_global(e->cell, spectest_globals[k].type, false, spectest_globals[k].value,
                              &e->globals[k]);
    for (size_t k = 0; k < SPECTEST_FUNCS && st == ST_OK; k++) {
        types[k] = (struct functype){.params = spectest_funcs[k].params,
                                     .param_count = spectest_funcs[k].param_count};
        st = cell_host_func(e->cell, &types[k], spectest_funcs[k].fn, NULL, &e->funcs[k]);
    }
    if (st != ST_OK) {
        struct error err = {0};
        error_set(&err, st, ERROR_NO_OFFSET, "%s", status_name(st));
        die("cannot make spectest", &err);
    }
}

static bool name_is(const struct name *name, const char *text)
{
    return name->len == strlen(text) && memcmp(name->bytes, text, name->len) == 0;
}

static status_t resolve_spectest(struct engine *e, const struct name *field,
                                 struct extern_val *ret_val)
{
    const struct extern_val *val = NULL;
    if (name_is(field, "memory"))
        val = &e->memory;
    if (name_is(field, "shared_memory"))
        val = &e->shared_memory;
    if (name_is(field, "table"))
        val = &e->table;
    for (size_t k = 0; k < SPECTEST_GLOBALS; k++)
        if (name_is(field, spectest_globals[k].name))
            val = &e->globals[k];
    for (size_t k = 0; k < SPECTEST_FUNCS; k++)
        if (name_is(field, spectest_funcs[k].name))
            val = &e->funcs[k];
    if (!val)
        return ST_NOTFOUND;
    *ret_val = *val;
    return ST_OK;
}

static status_t resolve(void *arg, const struct module_import *imp, struct extern_val *ret_val)
{
    struct engine *e = arg;
    if (name_is(&imp->module, "spectest"))
        return resolve_spectest(e, &imp->field, ret_val);
    for (size_t k = e->instance_count; k > 0; k--) {
        const struct engine_instance *i = e->instances[k - 1];
        if (i->name && i->name_len == imp->module.len &&
            memcmp(i->name, imp->module.bytes, i->name_len) == 0)
            return instance_export(i->inst, imp->field.bytes, imp->field.len, ret_val);
    }
    return ST_NOTFOUND;
}

/* ---- life ---- */

struct engine *engine_new(const struct spec_options *opt)
{
    struct error err = {0};
    struct engine *e = calloc(1, sizeof(*e));
    if (!e)
        abort();
    e->opt = opt;
    if (runtime_new(NULL, &e->rt, &err) != ST_OK)
        die("cannot make a runtime", &err);
    if (cell_new(e->rt, NULL, &e->cell, &err) != ST_OK)
        die("cannot make a cell", &err);
    make_spectest(e);
    return e;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    cell_free(e->cell);
    for (size_t k = 0; k < e->program_count; k++)
        program_unref(e->programs[k]);
    for (size_t k = 0; k < e->instance_count; k++) {
        free(e->instances[k]->name);
        free(e->instances[k]);
    }
    free(e->programs);
    free(e->instances);
    runtime_free(e->rt);
    free(e);
}

/* ---- compiling and linking ---- */

static status_t compile(struct engine *e, const void *wasm, size_t len, struct buf *out,
                        struct error *err)
{
    struct aot_options options = {
        .image = {.level = e->opt->level ? image_level_find(e->opt->level) : image_level_host(),
                  .opt_level = e->opt->opt_level,
                  .movable = e->opt->captured},
        .features = e->opt->features,
        .threads = 1, /* scripts run in parallel */
    };
    if (options.image.level == 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "unknown CPU level");
    return aot_compile(wasm, len, &options, out, err);
}

static status_t load_program(struct engine *e, const void *wasm, size_t len,
                             struct program **ret_prog, struct error *err)
{
    struct buf image = {0};
    char *path = e->opt->cache_path ? cache_file(e->opt, wasm, len) : NULL;
    status_t st = path ? program_open(e->rt, path, ret_prog, err) : ST_NOTFOUND;
    if (st == ST_NOTFOUND) {
        st = compile(e, wasm, len, &image, err);
        if (st == ST_OK && path) {
            status_t kept = cache_write(path, &image, NULL);
            (void)kept; /* another build that is tested now may have removed the folder */
        }
        if (st == ST_OK)
            st = program_load(e->rt, image.data, image.len, ret_prog, err);
    }
    buf_done(&image);
    free(path);
    return st;
}

static void *append(void *list, size_t *count, void *item)
{
    void **items = realloc(list, (*count + 1) * sizeof(*items));
    if (!items)
        abort();
    items[(*count)++] = item;
    return items;
}

static void trap_text(const struct engine *e, struct error *err)
{
    error_set(err, ST_TRAP, ERROR_NO_OFFSET, "%s", abi_trap_text(cell_trap(e->cell)));
}

enum { CAPTURES_OF_A_CALL = 300 };

/* A call, or the start function where inst is given; under --captured with captures at its first polls. */
static status_t run_function(struct engine *e, struct instance *inst, const struct abi_func *f,
                             union cell_value *io, struct error *err)
{
    uint32_t left = e->opt->captured ? CAPTURES_OF_A_CALL : 0;
    if (left)
        cell_stop(e->cell, STOP_CAPTURE);
    status_t st = inst ? instance_start(inst, err) : cell_call(e->cell, f, io, err);
    while (st == ST_CAPTURED) {
        left -= left > 0;
        if (left)
            cell_stop(e->cell, STOP_CAPTURE);
        st = cell_resume(e->cell, io, err);
    }
    return st;
}

status_t engine_instantiate(struct engine *e, const void *wasm, size_t len,
                            struct engine_instance **ret_inst, struct error *err)
{
    struct import_resolver resolver = {resolve, e};
    struct instance *inst = NULL;
    struct program *prog = NULL;
    union cell_value start_io[1] = {0};
    status_t st = load_program(e, wasm, len, &prog, err);
    if (st != ST_OK)
        return st;
    e->programs = append(e->programs, &e->program_count, prog);
    st = cell_instantiate(e->cell, prog, NULL, 0, &resolver, &inst, err);
    if (st == ST_OK)
        st = run_function(e, inst, NULL, start_io, err);
    if (st == ST_TRAP)
        trap_text(e, err);
    if (st != ST_OK)
        return st;
    struct engine_instance *i = calloc(1, sizeof(*i));
    if (!i)
        abort();
    i->inst = inst;
    e->instances = append(e->instances, &e->instance_count, i);
    *ret_inst = i;
    return ST_OK;
}

status_t engine_register(struct engine *e, const char *name, size_t name_len,
                         struct engine_instance *inst)
{
    for (size_t k = 0; k < e->instance_count; k++) {
        struct engine_instance *i = e->instances[k];
        if (!i->name || i->name_len != name_len || memcmp(i->name, name, name_len) != 0)
            continue;
        free(i->name);
        i->name = NULL;
    }
    char *copy = malloc(name_len + 1);
    if (!copy)
        abort();
    memcpy(copy, name, name_len);
    struct engine_instance *alias = calloc(1, sizeof(*alias));
    if (!alias)
        abort();
    *alias = (struct engine_instance){inst->inst, copy, name_len};
    e->instances = append(e->instances, &e->instance_count, alias);
    return ST_OK;
}

/* ---- actions ---- */

status_t engine_find_func(struct engine_instance *inst, const char *name, size_t name_len,
                          struct engine_func *ret_func)
{
    struct extern_val val = {0};
    status_t st = instance_export(inst->inst, name, name_len, &val);
    if (st != ST_OK)
        return st;
    if (val.kind != EXTERN_FUNC)
        return ST_NOTFOUND;
    *ret_func = (struct engine_func){val.func_type, val.ptr};
    return ST_OK;
}

status_t engine_call(struct engine *e, const struct engine_func *f, union cell_value *io,
                     struct error *err)
{
    status_t st = run_function(e, NULL, f->func, io, err);
    if (st == ST_TRAP)
        trap_text(e, err);
    return st;
}

status_t engine_get_global(struct engine_instance *inst, const char *name, size_t name_len,
                           valtype_t *ret_type, union cell_value *ret_value)
{
    struct extern_val val = {0};
    status_t st = instance_export(inst->inst, name, name_len, &val);
    if (st != ST_OK)
        return st;
    if (val.kind != EXTERN_GLOBAL)
        return ST_NOTFOUND;
    *ret_type = val.type;
    *ret_value = *(const union cell_value *)val.ptr;
    return ST_OK;
}
