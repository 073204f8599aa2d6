/* Run a command's image for a number of polls, capturing it at each, and write the snapshot of the last:
 * where a run stops depends on nothing but the number. Arguments: image, snapshot to go on from or '-'
 * (start), snapshot to write or '-' (go on to the end), number of captures, the command's own arguments.
 * The exit code is the command's, or 75 when the snapshot was written. The number of captures goes to
 * standard error. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "cell/snapshot/snapshot.h"
#include "cell/wasi/wasi.h"
#include "sys/files.h"

enum { EXIT_USAGE = 64, EXIT_FAILED = 70, EXIT_FROZEN = 75, EXIT_TRAP = 134, ARGS_MAX = 64 };

struct carried {
    struct runtime *rt;
    struct program *prog;
    struct cell *cell;
    struct instance *inst;
    struct wasi *wasi;
    const char *from; /* NULL: start */
    const char *to;   /* NULL: to the end */
    uint64_t captures_max;
    uint64_t captures;
};

static bool write_fd(void *arg, const void *data, size_t len)
{
    return file_write_all(*(const int *)arg, data, len) == 0;
}

static bool read_fd(void *arg, void *data, size_t len)
{
    return file_read_all(*(const int *)arg, data, len) == 0;
}

static status_t instantiate(struct carried *k, struct error *err)
{
    uint32_t hosts;
    const struct host_module *modules = wasi_host_modules(k->wasi, &hosts);
    status_t st = cell_new(k->rt, NULL, &k->cell, err);
    return st == ST_OK ? cell_instantiate(k->cell, k->prog, modules, hosts, NULL, &k->inst, err)
                       : st;
}

static status_t load(struct carried *k, const struct wasi_config *config, int fd, struct error *err)
{
    const struct snapshot_source source = {.read = read_fd, .arg = &fd};
    struct snapshot_reader *r = NULL;
    struct snapshot_sizes sizes;
    size_t len = 0;
    status_t st = snapshot_open(&source, &r, err);
    const void *state = st == ST_OK ? snapshot_host_state(r, &len) : NULL;
    if (st == ST_OK)
        st = wasi_restore(config, state, len, false, &k->wasi, err);
    if (st == ST_OK)
        st = instantiate(k, err);
    if (st == ST_OK)
        st = snapshot_read(r, k->cell, &sizes, err);
    if (st == ST_OK)
        st = wasi_restore_outside(k->wasi, err);
    snapshot_close(r);
    return st;
}

static status_t prepare(struct carried *k, const struct wasi_config *config, struct error *err)
{
    if (!k->from) {
        status_t st = wasi_new(config, &k->wasi, err);
        return st == ST_OK ? instantiate(k, err) : st;
    }
    int fd = open(k->from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "%s: no such snapshot", k->from);
    status_t st = load(k, config, fd, err);
    close(fd);
    return st;
}

static status_t save(struct carried *k, struct error *err)
{
    struct snapshot_info info = {.program = "carried", .host = "test", .version = "test"};
    struct snapshot_sizes sizes;
    struct buf state = {0};
    int fd = open(k->to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const struct snapshot_sink sink = {.write = write_fd, .arg = &fd};
    if (fd < 0)
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "%s: not to be written", k->to);
    status_t st = wasi_save(k->wasi, &state, err);
    if (st == ST_OK)
        st = snapshot_write(k->cell, &info, state.data, state.len, &sink, &sizes, err);
    buf_done(&state);
    close(fd);
    return st;
}

/* Begin or go on. A request that waits already is served at the next poll. */
static status_t step(struct carried *k, union cell_value *io, struct error *err)
{
    struct extern_val start;
    if (k->captures < k->captures_max)
        cell_stop(k->cell, STOP_CAPTURE);
    if (cell_is_captured(k->cell))
        return cell_resume(k->cell, io, err);
    if (instance_export(k->inst, "_start", 6, &start) != ST_OK)
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "not a command");
    return cell_call(k->cell, start.ptr, io, err);
}

static int ended(struct carried *k, status_t st, const struct error *err)
{
    if (st == ST_OK)
        return 0;
    if (st == ST_EXIT)
        return (int)cell_exit_code(k->cell);
    fprintf(stderr, "carry_run: %s: %s\n", status_name(st), err->text);
    return EXIT_TRAP;
}

static int run(struct carried *k, struct error *err)
{
    union cell_value io[1] = {0};
    status_t st = step(k, io, err);
    while (st == ST_CAPTURED) {
        k->captures++;
        if (k->to && k->captures == k->captures_max)
            break;
        st = step(k, io, err);
    }
    fprintf(stderr, "captures: %llu\n", (unsigned long long)k->captures);
    if (st != ST_CAPTURED)
        return ended(k, st, err);
    st = save(k, err);
    if (st == ST_OK)
        return EXIT_FROZEN;
    fprintf(stderr, "carry_run: %s\n", err->text);
    return EXIT_FAILED;
}

static void done(struct carried *k)
{
    cell_free(k->cell);
    wasi_free(k->wasi);
    program_unref(k->prog);
    runtime_free(k->rt);
}

int main(int argc, char **argv)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct carried k = {0};
    if (argc < 5 || argc - 3 > ARGS_MAX || parse_u64(argv[4], UINT64_MAX, &k.captures_max) != ST_OK)
        return EXIT_USAGE;
    k.from = strcmp(argv[2], "-") != 0 ? argv[2] : NULL;
    k.to = strcmp(argv[3], "-") != 0 ? argv[3] : NULL;
    const char *args[ARGS_MAX] = {"carried"};
    for (int i = 5; i < argc; i++)
        args[i - 4] = argv[i];
    const struct wasi_grant grant = {.host_path = ".", .guest_path = "."};
    const struct wasi_config config = {.args = args,
                                       .arg_count = (uint32_t)argc - 4,
                                       .grants = &grant,
                                       .grant_count = 1,
                                       .stdio = {0, 1, 2}};
    status_t st = runtime_new(NULL, &k.rt, &err);
    if (st == ST_OK)
        st = program_open(k.rt, argv[1], &k.prog, &err);
    if (st == ST_OK)
        st = prepare(&k, &config, &err);
    int code = st == ST_OK ? run(&k, &err) : EXIT_FAILED;
    if (st != ST_OK)
        fprintf(stderr, "carry_run: %s\n", err.text);
    done(&k);
    return code;
}
