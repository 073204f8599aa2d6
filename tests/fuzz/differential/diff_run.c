#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/parse.h"
#include "cell/aot/aot.h"
#include "plan.h"

/* This project as one engine of the differential tests. Reads names of modules from standard input, one a line.
 *
 *     diff_run plan                     writes FILE.plan beside each FILE, see plan.h
 *     diff_run LEVEL OPT native|canonical [captured]   compiles each module, follows its plan, and prints
 *
 *         module FILE
 *         start ok | trap CLASS | error WORD
 *         call N ok VALUE... | trap CLASS | exception | timeout     N counts the plan's calls
 *         state EXPORT=... ...                                      after each call that was ok
 *         end
 *
 * Values are hexadecimal bits, "nan", "null" or "ref". After a call that did not end well the module starts anew:
 * what its memory holds then is not compared, since stores before a trap need not have happened yet.
 *
 * captured: each call is captured and resumed at its first polls, and then runs to its end. How many these are differs
 * from call to call; standard error gets their sum. */

enum { CALL_CPU_MS = 5000, VALUES_MAX = MODULE_RESULTS_MAX };
static const uint32_t captures_of_a_call[] = {2000, 400, 30, 5000, 1, 1000, 11, 3};

struct run {
    struct runtime *rt;
    struct aot_options opt;
    struct program *prog;
    struct cell *cell;
    struct instance *inst;
    struct plan plan;
    union cell_value io[VALUES_MAX];
    bool captured;
    uint64_t captures;
};

static const char *trap_class(enum abi_trap t)
{
    static const char *const classes[TRAP_COUNT] = {
        [TRAP_UNREACHABLE] = "unreachable",
        [TRAP_MEMORY_BOUNDS] = "memory",
        [TRAP_TABLE_BOUNDS] = "table",
        [TRAP_INDIRECT_NULL] = "indirect",
        [TRAP_INDIRECT_TYPE] = "indirect",
        [TRAP_INT_OVERFLOW] = "overflow",
        [TRAP_INT_DIVIDE] = "divide",
        [TRAP_INT_CONVERT] = "convert",
        [TRAP_STACK] = "stack",
        [TRAP_NULL_REF] = "null",
    };
    return (unsigned)t < TRAP_COUNT && classes[t] ? classes[t] : "other";
}

/* How a call or a start ended; true for ST_OK, with the line left open. */
static bool print_outcome(const struct run *r, status_t st)
{
    switch ((unsigned)st) {
    case ST_OK:
        printf(" ok");
        return true;
    case ST_TRAP:
        printf(" trap %s\n", trap_class(cell_trap(r->cell)));
        return false;
    case ST_EXCEPTION:
        printf(" exception\n");
        return false;
    case ST_STOPPED:
        printf(" timeout\n");
        return false;
    default:
        printf(" error %s\n", status_name(st));
        return false;
    }
}

static void print_value(valtype_t t, const union cell_value *v)
{
    if (valtype_is_ref(t))
        printf("%s", v->ref ? "ref" : "null");
    else if ((t == VT_F32 && isnan(v->f32)) || (t == VT_F64 && isnan(v->f64)))
        printf("nan");
    else if (t == VT_I32 || t == VT_F32)
        printf("%" PRIx32, v->u32);
    else
        printf("%" PRIx64, v->u64);
}

static void print_digest(const void *data, size_t len)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    sha256_bytes(data, len, digest);
    sha256_hex(digest, hex);
    printf("%.16s", hex);
}

static void print_table(const struct abi_table *t)
{
    uint8_t *filled = calloc(t->count + 1, 1);
    if (!filled)
        abort();
    for (uint64_t i = 0; i < t->count; i++)
        filled[i] = t->entries[i].ref != NULL;
    printf("%" PRIu64 ":", t->count);
    print_digest(filled, t->count);
    free(filled);
}

static bool can_be_seen(const struct module *m, const struct module_export *e)
{
    return e->kind == EXTERN_MEM ||
           (e->kind == EXTERN_GLOBAL && plan_letter(m->globals[e->index].type)) ||
           (e->kind == EXTERN_TABLE && plan_letter(m->tables[e->index].type));
}

static void print_state(const struct run *r)
{
    const struct module *m = r->plan.m;
    printf("state");
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct module_export *e = &m->exports[i];
        struct extern_val v;
        if (!can_be_seen(m, e) ||
            instance_export(r->inst, e->field.bytes, e->field.len, &v) != ST_OK)
            continue;
        printf(" %" PRIu32 "=", i);
        if (e->kind == EXTERN_GLOBAL)
            print_value(v.type, v.ptr);
        if (e->kind == EXTERN_TABLE)
            print_table(v.ptr);
        if (e->kind == EXTERN_MEM) {
            const struct abi_mem *mem = v.ptr;
            printf("%" PRIu64 ":", mem->bytes);
            print_digest(mem->base, mem->bytes);
        }
    }
    printf("\n");
}

static void stop(struct run *r)
{
    cell_free(r->cell);
    r->cell = NULL;
    r->inst = NULL;
}

/* number: of the call; 0 is the start function. f: NULL for it. */
static status_t run_function(struct run *r, uint32_t number, const struct abi_func *f,
                             struct error *err)
{
    size_t kinds = sizeof captures_of_a_call / sizeof *captures_of_a_call;
    uint32_t left = r->captured ? captures_of_a_call[number % kinds] : 0;
    if (left)
        cell_stop(r->cell, STOP_CAPTURE);
    status_t st = f ? cell_call(r->cell, f, r->io, err) : instance_start(r->inst, err);
    for (; st == ST_CAPTURED; r->captures++) {
        left -= left > 0;
        if (left)
            cell_stop(r->cell, STOP_CAPTURE);
        st = cell_resume(r->cell, r->io, err);
    }
    return st;
}

static status_t start(struct run *r, struct error *err)
{
    struct cell_limits limits;
    cell_limits_default(&limits);
    limits.cpu_ns = CALL_CPU_MS * 1000000ull;
    if (r->captured) /* frames of twins are larger */
        limits.stack_bytes *= 4;
    status_t st = cell_new(r->rt, &limits, &r->cell, err);
    if (st == ST_OK)
        st = cell_instantiate(r->cell, r->prog, NULL, 0, NULL, &r->inst, err);
    if (st == ST_OK)
        st = run_function(r, 0, NULL, err);
    return st;
}

static void call(struct run *r, uint32_t number, struct error *err)
{
    const struct plan_call *c = &r->plan.calls[number];
    const struct name *name = &r->plan.m->exports[c->export_index].field;
    struct extern_val f;
    if (instance_export(r->inst, name->bytes, name->len, &f) != ST_OK)
        return;
    for (uint32_t i = 0; i < c->type->param_count; i++)
        r->io[i] = (union cell_value){.u64 = c->args[i]};
    printf("call %" PRIu32, number);
    if (!print_outcome(r, run_function(r, number + 1, f.ptr, err))) {
        stop(r);
        return;
    }
    for (uint32_t i = 0; i < c->type->result_count; i++) {
        printf(" ");
        print_value(c->type->results[i], &r->io[i]);
    }
    printf("\n");
    print_state(r);
}

static void follow_plan(struct run *r)
{
    struct error err = {0};
    printf("start");
    if (print_outcome(r, start(r, &err))) {
        printf("\n");
        print_state(r);
        for (uint32_t i = 0; i < r->plan.call_count; i++) {
            if (!r->cell && start(r, &err) != ST_OK)
                break;
            call(r, i, &err);
        }
    }
    stop(r);
}

static void run_module(struct run *r, const struct buf *wasm, const struct module *m)
{
    struct buf image = {0};
    struct error err = {0};
    status_t st = aot_compile(wasm->data, wasm->len, &r->opt, &image, &err);
    if (st == ST_OK)
        st = program_load(r->rt, image.data, image.len, &r->prog, &err);
    buf_done(&image);
    if (st != ST_OK) {
        printf("start error %s: %s\n", status_name(st), err.text);
        return;
    }
    plan_make(m, &r->plan);
    follow_plan(r);
    plan_done(&r->plan);
    program_unref(r->prog);
}

static void write_plan(const char *path, const struct module *m)
{
    char *name = NULL;
    struct plan plan;
    if (asprintf(&name, "%s.plan", path) < 0)
        abort();
    FILE *out = fopen(name, "we");
    if (!out)
        abort();
    plan_make(m, &plan);
    plan_print(&plan, out);
    plan_done(&plan);
    if (fclose(out) != 0)
        abort();
    free(name);
}

static bool read_file(const char *path, struct buf *out)
{
    uint8_t piece[65536];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((n = read(fd, piece, sizeof piece)) > 0)
        buf_bytes(out, piece, (size_t)n);
    close(fd);
    return n == 0 && !out->failed;
}

static void one_file(struct run *r, const char *path)
{
    struct buf wasm = {0};
    struct error err = {0};
    struct module *m = NULL;
    printf("module %s\n", path);
    fflush(stdout);
    status_t st = read_file(path, &wasm) ? ST_OK : ST_IO;
    if (st == ST_OK)
        st = module_decode(wasm.data, wasm.len, FEATURE_ALL, &m, &err);
    if (st == ST_OK)
        st = module_validate(m, &err);
    if (st != ST_OK)
        printf("start error %s: %s\n", status_name(st), err.text);
    else if (r->rt)
        run_module(r, &wasm, m);
    else
        write_plan(path, m);
    printf("end\n");
    fflush(stdout);
    module_free(m);
    buf_done(&wasm);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: diff_run plan | diff_run LEVEL OPT native|canonical [captured]; names of "
            "modules on standard input\n");
    return 2;
}

static bool parse_options(char **argv, struct aot_options *opt)
{
    uint64_t level;
    if (parse_u64(argv[2], 3, &level) != ST_OK)
        return false;
    *opt = (struct aot_options){
        .image = {.level = image_level_find(argv[1]),
                  .opt_level = (uint32_t)level,
                  .nan = strcmp(argv[3], "canonical") == 0 ? NAN_CANONICAL : NAN_NATIVE},
        .features = FEATURE_ALL,
        .verify_ir = true,
        .threads = 1, /* the driver runs several of this program */
    };
    return opt->image.level != 0;
}

int main(int argc, char **argv)
{
    static struct run r;
    struct error err = {0};
    bool plan = argc == 2 && strcmp(argv[1], "plan") == 0;
    r.captured = argc == 5 && strcmp(argv[4], "captured") == 0;
    if (!plan && (argc != 4 + r.captured || !parse_options(argv, &r.opt)))
        return usage();
    r.opt.image.movable = r.captured;
    if (!plan && !image_level_runs(r.opt.image.level))
        return 77;
    if (!plan && runtime_new(NULL, &r.rt, &err) != ST_OK) {
        fprintf(stderr, "diff_run: %s\n", err.text);
        return 1;
    }
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
        line[n - 1] = line[n - 1] == '\n' ? '\0' : line[n - 1];
        one_file(&r, line);
    }
    free(line);
    if (r.captured)
        fprintf(stderr, "captures: %" PRIu64 "\n", r.captures);
    if (r.rt)
        runtime_free(r.rt);
    return 0;
}
