/* Run a command's images in turn, in a fresh process each time, with a snapshot from one to the next at a random
 * moment:
 *
 *     capture_hops IMAGE,IMAGE... HOPS MEAN_US SEED WORK ARGUMENT...
 *
 * Each process runs for up to twice MEAN_US microseconds and freezes; after HOPS of them the last one runs to the end.
 * An image named *aarch64.cell is run by the program that CAPTURE_HOPS_AARCH64 names, under qemu.
 * Standard descriptors are inherited, the present folder is granted as . and /data. WORK: a folder for snapshots. The
 * exit code is the command's; the number of hops goes to standard error. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/parse.h"
#include "cell/run/run.h"
#include "cell/snapshot/snapshot.h"
#include "cell/wasi/wasi.h"
#include "sys/files.h"

enum { EXIT_HOPPED = 75, EXIT_BROKEN = 70, ARGUMENTS_MAX = 64, IMAGES_MAX = 8, PATH_BYTES = 4096 };
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
};

/* A timer's signal and not a thread, which would wait for its turn when the machine is busy. */
static struct cell *volatile running;

static void on_timer(int number)
{
    (void)number;
    if (running)
        cell_stop(running, STOP_CAPTURE);
}

static void freeze_later(struct cell *c, uint64_t us)
{
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    const struct itimerval at = {
        .it_value = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)}};
    running = c;
    sigaction(SIGALRM, &action, NULL);
    if (us == 0)
        cell_stop(c, STOP_CAPTURE);
    else
        setitimer(ITIMER_REAL, &at, NULL);
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
    const struct snapshot_sink sink = {.write = write_fd, .arg = &fd};
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
    if (instance_export(inst, "_start", 6, &start) != ST_OK)
        return EXIT_BROKEN;
    if (h->after_us != NEVER_US)
        freeze_later(h->cell, h->after_us);
    status_t st = h->from[0] ? cell_resume(h->cell, io, &err)
                             : cell_call(h->cell, start.ptr, io, &err);
    running = NULL;
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
    struct hop h = {.from = argv[3], .to = argv[4]};
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

/* args[0] is free for the emulator, args[1] is the name of the program, args[3] the image. */
static int spawn_hop(char **args)
{
    static const char suffix[] = "aarch64.cell";
    char emulator[] = "qemu-aarch64-static", *elsewhere = getenv("CAPTURE_HOPS_AARCH64");
    size_t len = strlen(args[3]);
    bool emulated = elsewhere != NULL && len >= sizeof suffix - 1 &&
                    strcmp(args[3] + len + 1 - sizeof suffix, suffix) == 0;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (emulated) {
            args[0] = emulator;
            args[1] = elsewhere;
            execvp(emulator, args);
        } else {
            execv("/proc/self/exe", args + 1);
        }
        _exit(EXIT_BROKEN);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return EXIT_BROKEN;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int chain(int argc, char **argv)
{
    uint64_t hops, mean_us, seed, count = 0;
    char paths[2][PATH_BYTES], after[32], *images[IMAGES_MAX], *rest = argv[1];
    if (argc < 6 || argc >= ARGUMENTS_MAX || parse_u64(argv[2], UINT32_MAX, &hops) != ST_OK ||
        parse_u64(argv[3], UINT32_MAX, &mean_us) != ST_OK ||
        parse_u64(argv[4], UINT64_MAX, &seed) != ST_OK)
        return 64;
    for (char *word; (word = strsep(&rest, ",")) != NULL && count < IMAGES_MAX;)
        images[count++] = word;
    seed = 1 + seed * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 2; i++)
        snprintf(paths[i], sizeof paths[i], "%s/hop%d", argv[5], i);
    uint64_t n = 0;
    int code = EXIT_HOPPED;
    for (; code == EXIT_HOPPED && count > 0; n++) {
        char none[] = "", verb[] = "--hop", *args[ARGUMENTS_MAX + 2] = {NULL, argv[0], verb};
        uint64_t us = n < hops ? next_random(&seed) % (2 * mean_us + 1) : NEVER_US;
        snprintf(after, sizeof after, "%llu", (unsigned long long)us);
        args[3] = images[n % count];
        args[4] = n ? paths[(n + 1) % 2] : none;
        args[5] = paths[n % 2];
        args[6] = after;
        memcpy(args + 7, argv + 6, (size_t)(argc - 6) * sizeof(*args));
        code = spawn_hop(args);
    }
    fprintf(stderr, "hops: %llu\n", (unsigned long long)(n - 1));
    return code;
}

int main(int argc, char **argv)
{
    return argc >= 6 && strcmp(argv[1], "--hop") == 0 ? hop(argc, argv) : chain(argc, argv);
}
