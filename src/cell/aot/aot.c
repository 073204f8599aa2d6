#include "cell/aot/aot.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aot_sources_hash.h"
#include "gen.h"
#include "link.h"
#include "pack.h"

/* A part is a run of functions that is compiled on its own. Where parts are cut depends on the module
 * alone, so the number of threads changes nothing in the image. */
enum { PART_BYTES = 24 * 1024, THREADS_MAX = 64 };
/* A twin runs until the frame that was entered again returns. In a loop that may be as long as the program, so values
 * are in registers there; where the time is spent in the loop itself, without calls, the twin is compiled like the
 * function, unless that takes too long: it has a way in for each site. All others are lean: values stay in memory, and
 * what counts is how long they take to compile. So are all of an image that is to be ready soon. */
enum { TWIN_BODY_BYTES_MAX = 4096 };
enum part_kind { PART_CODE, PART_TWINS, PART_LOOP_TWINS, PART_LEAN_TWINS };
/* Code generation recurses on deep expressions: room beyond the default. */
#define THREAD_STACK_BYTES (256ull << 20)

struct part {
    uint32_t first, end; /* function indexes */
    uint64_t bytes;      /* of their bodies */
    enum part_kind kind;
    struct buf object;
    struct image_counts counts;
    status_t st;
    struct error err;
};

struct job {
    struct gen_shared shared;
    struct gen_shared fast_shared; /* the same with less optimisation, for most twins */
    struct aot_options fast_opt;
    struct part
        *parts;      /* functions, their twins, and the last two: trampolines, library routines */
    uint32_t *order; /* of work: large parts first, so that all threads end together */
    uint32_t part_count;
    atomic_uint next;
    atomic_bool failed;
    pthread_mutex_t progress_lock;
    uint32_t done; /* under progress_lock */
};

const char *aot_version(void)
{
    return "cloudskin-aot " CLOUDSKIN_VERSION "-" AOT_SOURCES_HASH " llvm 19";
}

static uint32_t cut_functions(const struct module *m, enum part_kind kind, struct part *parts)
{
    uint32_t n = 0;
    for (uint32_t i = m->func_import_count; i < m->func_count;) {
        uint64_t bytes = 0;
        uint32_t first = i;
        while (i < m->func_count && bytes < PART_BYTES)
            bytes += m->funcs[i++].body_len;
        if (parts)
            parts[n] = (struct part){.first = first, .end = i, .bytes = bytes, .kind = kind};
        n++;
    }
    return n;
}

static uint32_t cut_parts(const struct gen_shared *s, struct part *parts)
{
    uint32_t n = cut_functions(s->m, PART_CODE, parts);
    if (s->opt->image.movable) {
        enum part_kind kind = s->opt->image.opt_level < 2 ? PART_LEAN_TWINS : PART_TWINS;
        for (; kind <= PART_LEAN_TWINS; kind++)
            n += cut_functions(s->m, kind, parts ? parts + n : NULL);
    }
    return n + 2;
}

static int compare_parts(const void *a, const void *b, void *arg)
{
    const struct part *parts = arg, *x = &parts[*(const uint32_t *)a],
                      *y = &parts[*(const uint32_t *)b];
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static status_t make_parts(struct job *job, struct error *err)
{
    job->part_count = cut_parts(&job->shared, NULL);
    job->parts = calloc(job->part_count, sizeof *job->parts);
    job->order = calloc(job->part_count, sizeof *job->order);
    if (!job->parts || !job->order)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for %" PRIu32 " parts",
                         job->part_count);
    cut_parts(&job->shared, job->parts);
    for (uint32_t i = 0; i < job->part_count; i++)
        job->order[i] = i;
    qsort_r(job->order, job->part_count, sizeof *job->order, compare_parts, job->parts);
    return ST_OK;
}

/* Which kind of part has the twin of a function that anything can enter. */
static enum part_kind twin_kind(const struct job *job, const struct gen *g, uint32_t index)
{
    const struct func_facts *f = &g->shared->analysis->funcs[index];
    if (job->shared.opt->image.opt_level < 2)
        return PART_LEAN_TWINS;
    for (uint32_t i = 0; i < f->loop_count; i++)
        if (!f->loops[i].has_call && !f->loops[i].has_loop &&
            g->m->funcs[index].body_len <= TWIN_BODY_BYTES_MAX)
            return PART_TWINS;
    return f->loop_count > 0 ? PART_LOOP_TWINS : PART_LEAN_TWINS;
}

/* Is it compiled with less optimisation? */
static bool is_fast(const struct part *p)
{
    return p->kind == PART_LOOP_TWINS || p->kind == PART_LEAN_TWINS;
}

static status_t gen_part(const struct job *job, struct gen *g, struct part *p)
{
    bool twins = p->kind != PART_CODE;
    status_t st = ST_OK;
    for (uint32_t i = p->first; st == ST_OK && i < p->end; i++) {
        if (!twins)
            st = gen_function(g, i, &p->err);
        else if (g->shared->analysis->funcs[i].may_unwind && twin_kind(job, g, i) == p->kind)
            st = gen_twin(g, i, &p->err);
    }
    for (uint32_t i = p->first; st == ST_OK && g->tail_calls && !twins && i < p->end; i++) {
        const struct module_func *f = &g->m->funcs[i];
        if (f->ref_declared || f->exported || (g->m->has_start && g->m->start == i))
            gen_wrapper(g, i);
    }
    return st;
}

static status_t emit_part(struct job *job, struct backend *be, uint32_t index)
{
    struct part *p = &job->parts[index];
    struct gen g;
    char name[32];
    if (index == job->part_count - 1)
        return backend_emit_routines(be, &p->object, &p->err);
    snprintf(name, sizeof name, "part%" PRIu32, index);
    status_t st = gen_init(&g, is_fast(p) ? &job->fast_shared : &job->shared, name, &p->err);
    if (st == ST_OK)
        backend_target(be, g.mod);
    g.lean = p->kind == PART_LEAN_TWINS;
    if (st == ST_OK && index == job->part_count - 2)
        st = gen_trampolines(&g, &p->err);
    if (st == ST_OK)
        st = gen_part(job, &g, p);
    if (p->kind == PART_CODE)
        p->counts = g.counts;
    if (st == ST_OK)
        st = backend_emit(be, &g, name, &p->object, &p->err);
    gen_done(&g);
    return st;
}

static void report(struct job *job)
{
    const struct aot_options *opt = job->shared.opt;
    if (!opt->progress)
        return;
    pthread_mutex_lock(&job->progress_lock);
    opt->progress(opt->progress_arg, ++job->done, job->part_count);
    pthread_mutex_unlock(&job->progress_lock);
}

static void *work(void *arg)
{
    struct job *job = arg;
    struct backend *backends[2] = {NULL, NULL}; /* for less optimisation: the second */
    uint32_t i;
    while ((i = atomic_fetch_add(&job->next, 1)) < job->part_count && !atomic_load(&job->failed)) {
        struct part *p = &job->parts[job->order[i]];
        struct backend **be = &backends[is_fast(p)];
        const struct aot_options *opt = is_fast(p) ? &job->fast_opt : job->shared.opt;
        p->st = *be ? ST_OK : backend_new(opt, be, &p->err);
        if (p->st == ST_OK)
            p->st = emit_part(job, *be, job->order[i]);
        if (p->st != ST_OK)
            atomic_store(&job->failed, true);
        report(job);
    }
    backend_free(backends[0]);
    backend_free(backends[1]);
    return NULL;
}

static status_t run_parts(struct job *job, struct error *err)
{
    pthread_t threads[THREADS_MAX];
    uint32_t want = job->shared.opt->threads, started = 0;
    if (!want)
        want = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (want > THREADS_MAX)
        want = THREADS_MAX;
    if (want > job->part_count)
        want = job->part_count;
    pthread_mutex_init(&job->progress_lock, NULL);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    while (started < want && pthread_create(&threads[started], &attr, work, job) == 0)
        started++;
    if (!started)
        work(job);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attr);
    pthread_mutex_destroy(&job->progress_lock);
    for (uint32_t i = 0; i < job->part_count; i++) {
        if (job->parts[i].st != ST_OK) {
            if (err)
                *err = job->parts[i].err;
            return job->parts[i].st;
        }
    }
    return ST_OK;
}

static status_t link_parts(struct job *job, struct link_output *out, struct error *err)
{
    struct link_object *objects = calloc(job->part_count, sizeof *objects);
    if (!objects)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to link");
    for (uint32_t i = 0; i < job->part_count; i++)
        objects[i] = (struct link_object){job->parts[i].object.data, job->parts[i].object.len};
    status_t st = link_objects(image_level_arch(job->shared.opt->image.level), objects,
                               job->part_count, out, err);
    free(objects);
    return st;
}

static struct image_counts sum_counts(const struct job *job)
{
    struct image_counts c = {0};
    for (uint32_t i = 0; i < job->part_count; i++) {
        const struct image_counts *p = &job->parts[i].counts;
        c.loop_polls += p->loop_polls;
        c.import_calls += p->import_calls;
        c.unwind_tests += p->unwind_tests;
        c.strip_mined += p->strip_mined;
    }
    return c;
}

static status_t build(struct job *job, struct buf *out, struct error *err)
{
    struct link_output linked = {0};
    status_t st = run_parts(job, err);
    if (st == ST_OK)
        st = link_parts(job, &linked, err);
    if (st == ST_OK) {
        struct image_counts counts = sum_counts(job);
        st = pack_image(job->shared.m, job->shared.opt, &linked, &counts, out, err);
    }
    link_output_done(&linked);
    return st;
}

static status_t compile_module(struct module *m, const struct aot_options *opt, struct buf *out,
                               struct error *err)
{
    struct arena arena = {0};
    struct analysis analysis;
    struct abi_layout layout;
    struct job job = {.shared = {.m = m, .analysis = &analysis, .layout = &layout, .opt = opt}};
    status_t st = analyse_module(m, &arena, &analysis, err);
    if (st == ST_OK)
        st = abi_layout_make(m, &arena, &layout, err);
    if (st != ST_OK)
        goto out;
    job.fast_opt = *opt;
    job.fast_opt.image.opt_level = opt->image.opt_level ? 1 : 0;
    job.fast_shared = job.shared;
    job.fast_shared.opt = &job.fast_opt;
    st = make_parts(&job, err);
    if (st == ST_OK)
        st = build(&job, out, err);
out:
    for (uint32_t i = 0; job.parts && i < job.part_count; i++)
        buf_done(&job.parts[i].object);
    free(job.order);
    free(job.parts);
    arena_done(&arena);
    return st;
}

status_t aot_compile(const void *wasm, size_t len, const struct aot_options *opt, struct buf *out,
                     struct error *err)
{
    struct module *m = NULL;
    status_t st = module_decode(wasm, len, opt->features, &m, err);
    if (st != ST_OK)
        return st;
    st = module_validate(m, err);
    if (st == ST_OK)
        st = compile_module(m, opt, out, err);
    module_free(m);
    return st;
}
