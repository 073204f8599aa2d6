/* Run a command's image and capture it again and again while it runs, at random moments: each time its frames are
 * saved and rebuilt in place. Arguments: image, mean time between captures in microseconds, seed, the command's own.
 * The exit code is the command's; the number of captures goes to standard error. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "cell/run/run.h"
#include "cell/wasi/wasi.h"
#include "sys/clock.h"

struct disturber {
    struct cell *cell;
    uint64_t mean_us;
    uint64_t seed;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended; /* guarded by lock */
};

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void *disturb(void *arg)
{
    struct disturber *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->ended) {
        uint64_t ns = next_random(&d->seed) % (2 * d->mean_us * 1000 + 1) + clock_realtime_ns();
        struct timespec until = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        if (pthread_cond_timedwait(&d->changed, &d->lock, &until) == ETIMEDOUT)
            cell_stop(d->cell, STOP_CAPTURE);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static int fail(const struct error *err)
{
    fprintf(stderr, "capture_run: %s\n", err->text);
    return 70;
}

static int ended(struct cell *c, status_t st, const struct error *err)
{
    if (st == ST_OK)
        return 0;
    if (st == ST_EXIT)
        return (int)cell_exit_code(c);
    fprintf(stderr, "capture_run: %s: %s\n", status_name(st), err->text);
    return 134;
}

static int run(struct cell *c, struct instance *inst, struct disturber *d)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct extern_val start;
    union cell_value io[1] = {0};
    unsigned long captures = 0;
    pthread_t thread;
    if (instance_export(inst, "_start", 6, &start) != ST_OK)
        return 70;
    d->cell = c;
    if (d->mean_us && pthread_create(&thread, NULL, disturb, d) != 0)
        return 70;
    status_t st = cell_call(c, start.ptr, io, &err);
    for (; st == ST_CAPTURED; captures++)
        st = cell_resume(c, io, &err);
    pthread_mutex_lock(&d->lock);
    d->ended = true;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (d->mean_us)
        pthread_join(thread, NULL);
    fprintf(stderr, "captures: %lu\n", captures);
    return ended(c, st, &err);
}

int main(int argc, char **argv)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct runtime *rt;
    struct program *prog;
    struct cell *c;
    struct instance *inst;
    struct wasi *wasi;
    struct disturber d = {
        .seed = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    uint64_t seed;
    if (argc < 4 || parse_u64(argv[2], UINT32_MAX, &d.mean_us) != ST_OK ||
        parse_u64(argv[3], UINT64_MAX, &seed) != ST_OK)
        return 64;
    d.seed += seed * 0x9e3779b97f4a7c15u;
    struct wasi_grant grant = {.host_path = ".", .guest_path = "."};
    char *args[64] = {argv[1]};
    uint32_t arg_count = 1;
    for (int i = 4; i < argc && arg_count < 64; i++)
        args[arg_count++] = argv[i];
    struct wasi_config config = {.args = (const char *const *)args,
                                 .arg_count = arg_count,
                                 .grants = &grant,
                                 .grant_count = 1,
                                 .stdio = {0, 1, 2}};
    uint32_t hosts;
    if (runtime_new(NULL, &rt, &err) != ST_OK || program_open(rt, argv[1], &prog, &err) != ST_OK ||
        cell_new(rt, NULL, &c, &err) != ST_OK || wasi_new(&config, &wasi, &err) != ST_OK)
        return fail(&err);
    const struct host_module *modules = wasi_host_modules(wasi, &hosts);
    if (cell_instantiate(c, prog, modules, hosts, NULL, &inst, &err) != ST_OK)
        return fail(&err);
    int code = run(c, inst, &d);
    cell_free(c);
    wasi_free(wasi);
    program_unref(prog);
    runtime_free(rt);
    return code;
}
