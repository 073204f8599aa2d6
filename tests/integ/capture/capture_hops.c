/* Run a command's images in turn, in a fresh process each time, with a snapshot from one to the next at a random
 * moment:
 *
 *     capture_hops IMAGE IMAGE HOPS MEAN_US SEED WORK ARGUMENT...
 *
 * Each process runs for up to twice MEAN_US microseconds and freezes; after HOPS of them the last one runs to the end.
 * Standard descriptors are inherited, the present folder is granted as . and /data. WORK: a folder for snapshots. The
 * exit code is the command's; the number of hops goes to standard error. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "cell/run/run.h"
#include "cell/snapshot/snapshot.h"
#include "cell/wasi/wasi.h"
#include "sys/clock.h"
#include "sys/files.h"

enum { EXIT_HOPPED = 75, EXIT_BROKEN = 70, ARGUMENTS_MAX = 64, PATH_BYTES = 4096 };
#define NEVER_US UINT64_MAX

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* ---- one process ---- */

struct hop {
    struct cell *cell;
    struct wasi *wasi;
    uint64_t after_us;
    const char *from; /* "": from the start */
    const char *to;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended; /* guarded by lock */
};

static void *freeze_later(void *arg)
{
    struct hop *h = arg;
    uint64_t ns = h->after_us * 1000 + clock_realtime_ns();
    struct timespec until = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    pthread_mutex_lock(&h->lock);
    int waited = 0;
    while (!h->ended && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&h->changed, &h->lock, &until);
    if (!h->ended)
        cell_stop(h->cell, STOP_CAPTURE);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static int fail(const char *what, const struct error *err)
{
    fprintf(stderr, "capture_hops: %s: %s\n", what, err->text);
    return EXIT_BROKEN;
}

static bool write_fd(void *arg, const void *data, size_t len)
{
    return file_write_all(*(int *)arg, data, len) == 0;
}

static bool read_file(void *arg, void *data, size_t len)
{
    return fread(data, 1, len, arg) == len;
}

static int save(struct hop *h)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct snapshot_info info = {.program = "program"};
    struct snapshot_sizes sizes;
    struct buf state = {0};
    int fd = open(h->to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const struct snapshot_sink sink = {write_fd, &fd};
    status_t st = wasi_save(h->wasi, &state, &err);
    if (st == ST_OK)
        st = snapshot_write(h->cell, &info, state.data, state.len, &sink, &sizes, &err);
    buf_done(&state);
    close(fd);
    return st == ST_OK ? EXIT_HOPPED : fail("save", &err);
}

static int ended(struct hop *h, status_t st, const struct error *err)
{
    if (st == ST_CAPTURED)
        return save(h);
    if (st == ST_OK)
        return 0;
    if (st == ST_EXIT)
        return (int)cell_exit_code(h->cell);
    fprintf(stderr, "capture_hops: %s: %s\n", status_name(st), err->text);
    return 134;
}

static int run(struct hop *h, struct instance *inst)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct extern_val start;
    union cell_value io[1] = {0};
    pthread_t thread;
    if (instance_export(inst, "_start", 6, &start) != ST_OK)
        return EXIT_BROKEN;
    if (h->after_us != NEVER_US && pthread_create(&thread, NULL, freeze_later, h) != 0)
        return EXIT_BROKEN;
    status_t st = h->from[0] ? cell_resume(h->cell, io, &err)
                             : cell_call(h->cell, start.ptr, io, &err);
    pthread_mutex_lock(&h->lock);
    h->ended = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    if (h->after_us != NEVER_US)
        pthread_join(thread, NULL);
    return ended(h, st, &err);
}

/* The cell of a snapshot, or a new one. */
static int make(struct hop *h, struct program *prog, const struct wasi_config *config)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct snapshot_reader *reader = NULL;
    struct snapshot_sizes sizes;
    struct instance *inst;
    uint32_t hosts;
    size_t len = 0;
    FILE *in = h->from[0] ? fopen(h->from, "rb") : NULL;
    const struct snapshot_source source = {.read = read_file, .arg = in};
    status_t st = in ? snapshot_open(&source, &reader, &err) : ST_OK;
    if (st == ST_OK) {
        const void *state = reader ? snapshot_host_state(reader, &len) : NULL;
        st = reader ? wasi_restore(config, state, len, false, &h->wasi, &err)
                    : wasi_new(config, &h->wasi, &err);
    }
    if (st != ST_OK)
        return fail("host state", &err);
    const struct host_module *modules = wasi_host_modules(h->wasi, &hosts);
    st = cell_instantiate(h->cell, prog, modules, hosts, NULL, &inst, &err);
    if (st == ST_OK && reader)
        st = snapshot_read(reader, h->cell, &sizes, &err);
    if (st == ST_OK && reader)
        st = wasi_restore_outside(h->wasi, &err);
    snapshot_close(reader);
    if (in)
        fclose(in);
    return st == ST_OK ? run(h, inst) : fail("cell", &err);
}

/* --hop IMAGE FROM TO AFTER_US ARGUMENT... */
static int hop(int argc, char **argv)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct runtime *rt;
    struct program *prog;
    struct hop h = {.from = argv[3],
                    .to = argv[4],
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .changed = PTHREAD_COND_INITIALIZER};
    const struct wasi_grant grants[] = {{.host_path = ".", .guest_path = "."},
                                        {.host_path = ".", .guest_path = "/data"}};
    const char *args[ARGUMENTS_MAX] = {"program"};
    uint32_t count = 1;
    for (int i = 6; i < argc && count < ARGUMENTS_MAX; i++)
        args[count++] = argv[i];
    const struct wasi_config config = {
        .args = args, .arg_count = count, .grants = grants, .grant_count = 2, .stdio = {0, 1, 2}};
    if (parse_u64(argv[5], UINT64_MAX, &h.after_us) != ST_OK)
        return 64;
    if (runtime_new(NULL, &rt, &err) != ST_OK || program_open(rt, argv[2], &prog, &err) != ST_OK ||
        cell_new(rt, NULL, &h.cell, &err) != ST_OK)
        return fail(argv[2], &err);
    int code = make(&h, prog, &config);
    cell_free(h.cell);
    wasi_free(h.wasi);
    program_unref(prog);
    runtime_free(rt);
    return code;
}

/* ---- the chain of them ---- */

static int spawn_hop(char **args)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execv("/proc/self/exe", args);
        _exit(EXIT_BROKEN);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return EXIT_BROKEN;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int chain(int argc, char **argv)
{
    uint64_t hops, mean_us, seed;
    char paths[2][PATH_BYTES], after[32];
    if (argc < 7 || argc >= ARGUMENTS_MAX || parse_u64(argv[3], UINT32_MAX, &hops) != ST_OK ||
        parse_u64(argv[4], UINT32_MAX, &mean_us) != ST_OK ||
        parse_u64(argv[5], UINT64_MAX, &seed) != ST_OK)
        return 64;
    seed = 1 + seed * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 2; i++)
        snprintf(paths[i], sizeof paths[i], "%s/hop%d", argv[6], i);
    uint64_t n = 0;
    int code = EXIT_HOPPED;
    for (; code == EXIT_HOPPED; n++) {
        char none[] = "", verb[] = "--hop", *args[ARGUMENTS_MAX + 1] = {argv[0], verb};
        uint64_t us = n < hops ? next_random(&seed) % (2 * mean_us + 1) : NEVER_US;
        snprintf(after, sizeof after, "%llu", (unsigned long long)us);
        args[2] = argv[1 + n % 2];
        args[3] = n ? paths[(n + 1) % 2] : none;
        args[4] = paths[n % 2];
        args[5] = after;
        memcpy(args + 6, argv + 7, (size_t)(argc - 7) * sizeof(*args));
        code = spawn_hop(args);
    }
    fprintf(stderr, "hops: %llu\n", (unsigned long long)(n - 1));
    return code;
}

int main(int argc, char **argv)
{
    return argc >= 6 && strcmp(argv[1], "--hop") == 0 ? hop(argc, argv) : chain(argc, argv);
}
