#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cell/snapshot/snapshot.h"
#include "cell/wasi/undo.h"
#include "cell/wasi/wasi.h"
#include "chain.h"
#include "checkpoint.h"
#include "checkpoints/folder.h"
#include "control.h"
#include "embedded.h"
#include "exitcode/exit_code.h"
#include "help.h"
#include "invoke.h"
#include "listen.h"
#include "load.h"
#include "options.h"
#include "sys/clock.h"
#include "sys/files.h"
#include "trace.h"
#include "upgrade.h"

/* All that one run holds; ended by run_done, however far it got. */
struct run {
    struct run_options options;
    struct runtime *rt;
    struct program *program;
    struct wasi *wasi;
    struct cell *cell;
    struct instance *instance;
    int *listen_fds;
    uint32_t listen_count;
    struct control *control; /* NULL: the cell has no name */
    char better[PATH_MAX];   /* the image that is being made; "": none */
    struct upgrade *upgrade; /* NULL: the program stays in its image */
    struct checkpointer checkpoints;
    bool output_named; /* standard output is a file that was there before: --output of thaw */
    bool frozen;
    char program_path[SNAPSHOT_TEXT_MAX]; /* where the program was when it was first run */
    int embedded_fd;                      /* the module that the snapshot had; 0: none */
    char embedded_path[EMBEDDED_PATH_BYTES];
};

/* ---- signals ---- */

static struct cell *_Atomic signalled_cell;
static volatile sig_atomic_t signal_seen;

/* The first signal lets the cell leave at its next poll; SA_RESETHAND makes a second one final. */
static void on_signal(int number)
{
    int saved = errno;
    struct cell *c = atomic_load_explicit(&signalled_cell, memory_order_relaxed);
    signal_seen = number;
    if (c != NULL) {
        cell_stop(c, number == SIGINT ? STOP_INTERRUPT : STOP_REQUEST);
    }
    errno = saved;
}

static void install_signals(struct cell *c)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    atomic_store_explicit(&signalled_cell, c, memory_order_relaxed);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction before;
        /* what the caller ignores (nohup, background jobs) stays ignored */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(numbers[i], &action, NULL);
        }
    }
}

static void remove_signals(void)
{
    atomic_store_explicit(&signalled_cell, NULL, memory_order_relaxed);
}

/* ---- messages ---- */

static int fail(const char *program, const struct error *err, int exit_code)
{
    if (err->code == ST_INVALID && err->text[0] == '\0') {
        return exit_code; /* the compiler has said it */
    }
    const char *text = err->text[0] != '\0' ? err->text : status_name(err->code);
    /* most errors name the file themselves */
    if (program != NULL && strncmp(text, program, strlen(program)) != 0) {
        fprintf(stderr, "cloudskin: %s: %s", program, text);
    } else {
        fprintf(stderr, "cloudskin: %s", text);
    }
    if (err->offset != ERROR_NO_OFFSET) {
        fprintf(stderr, " (at byte 0x%llx)", (unsigned long long)err->offset);
    }
    fputc('\n', stderr);
    return exit_code;
}

static int usage(const char *verb, const struct error *err)
{
    fprintf(stderr, "cloudskin %s: %s\nTry 'cloudskin %s --help'.\n", verb, err->text, verb);
    return EXIT_USAGE;
}

/* ---- the steps ---- */

static status_t open_listeners(struct run *r, struct error *err)
{
    const struct run_options *o = &r->options;
    if (o->listen_count == 0) {
        return ST_OK;
    }
    r->listen_fds = calloc(o->listen_count, sizeof *r->listen_fds);
    if (r->listen_fds == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    for (uint32_t i = 0; i < o->listen_count; i++) {
        char address[LISTEN_ADDRESS_MAX];
        status_t code = listen_open(o->listen[i], &r->listen_fds[i], address, err);
        if (code != ST_OK) {
            return code;
        }
        r->listen_count++;
        fprintf(stderr, "cloudskin: listening on %s\n", address);
    }
    return ST_OK;
}

static struct wasi_config wasi_config_of(const struct run *r)
{
    const struct run_options *o = &r->options;
    return (struct wasi_config){
        .args = o->args,
        .arg_count = o->invoke != NULL ? 1 : o->arg_count,
        .env = (const char *const *)o->env,
        .env_count = o->env_count,
        .grants = o->grants,
        .grant_count = o->grant_count,
        .cwd = o->cwd,
        .stdio = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
        .output_named = r->output_named,
        .listen = r->listen_fds,
        .listen_count = r->listen_count,
        .open_files_max = o->open_files,
        .output_bytes_max = o->output_bytes,
    };
}

/* The file of --output in place of standard output. What it holds goes when a program starts; a program that goes on
 * may want a part of it, and cuts it when that is known. */
static status_t open_output(struct run *r, bool thaws, struct error *err)
{
    const char *path = r->options.output;
    struct stat st;
    if (path == NULL) {
        return ST_OK;
    }
    r->output_named = thaws && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC | (thaws ? 0 : O_TRUNC), 0666);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) {
        return error_set_errno(err, errno, "--output %s", path);
    }
    close(fd);
    return ST_OK;
}

static status_t make_wasi(struct run *r, struct error *err)
{
    struct wasi_config config = wasi_config_of(r);
    return wasi_new(&config, &r->wasi, err);
}

static status_t make_cell(struct run *r, struct error *err)
{
    status_t code = cell_new(r->rt, &r->options.limits, &r->cell, err);
    if (code != ST_OK) {
        return code;
    }
    install_signals(r->cell);
    uint32_t host_count = 0;
    const struct host_module *hosts = wasi_host_modules(r->wasi, &host_count);
    return cell_instantiate(r->cell, r->program, hosts, host_count, NULL, &r->instance, err);
}

/* How a call ended, as an exit code and, where it is not the guest's own, a line on standard error. */
static int ended(struct run *r, status_t code, const struct error *err)
{
    const char *program = r->options.module_path;
    switch ((unsigned)code) {
    case ST_OK:
        return 0;
    case ST_EXIT:
        return (int)(cell_exit_code(r->cell) & 0xff);
    case ST_TRAP:
        trace_print(r->cell, program, err->text);
        return EXIT_TRAP;
    case ST_EXCEPTION:
        fprintf(stderr, "cloudskin: %s: %s\n", program, err->text);
        return EXIT_TRAP;
    case ST_STOPPED:
        break;
    default:
        return fail(program, err, exit_code_of(code));
    }
    switch (cell_stop_reason(r->cell)) {
    case STOP_CPU_LIMIT:
        fprintf(stderr, "cloudskin: %s: stopped: CPU time limit reached (--cpu-seconds)\n",
                program);
        return EXIT_CPU;
    case STOP_WALL_LIMIT:
        fprintf(stderr, "cloudskin: %s: stopped: time limit reached (--timeout)\n", program);
        return EXIT_STOPPED;
    case STOP_OUTPUT_LIMIT:
        fprintf(stderr, "cloudskin: %s: stopped: output limit reached (--output-bytes)\n", program);
        return EXIT_OUTPUT;
    case STOP_INTERRUPT:
        return EXIT_INTERRUPT;
    case STOP_NONE:
    case STOP_REQUEST:
    case STOP_CAPTURE:
        break;
    }
    return signal_seen > 0 ? 128 + signal_seen : EXIT_STOPPED;
}

/* Find an exported function. ST_NOTFOUND. */
static status_t find_func(struct run *r, const char *name, struct extern_val *ret_func,
                          struct error *err)
{
    struct extern_val v;
    if (instance_export(r->instance, name, strlen(name), &v) != ST_OK || v.kind != EXTERN_FUNC) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no exported function '%s'", name);
    }
    *ret_func = v;
    return ST_OK;
}

static int print_results(const struct functype *type, const union cell_value *io)
{
    struct buf out = {0};
    for (uint32_t i = 0; i < type->result_count; i++) {
        invoke_print(&out, type->results[i], &io[i]);
    }
    bool good = !out.failed && (out.len == 0 || fwrite(out.data, 1, out.len, stdout) == out.len) &&
                fflush(stdout) == 0;
    buf_done(&out);
    if (!good) {
        fprintf(stderr, "cloudskin: results could not be written\n");
        return EXIT_SYSTEM;
    }
    return 0;
}

/* ---- freezing ---- */

static bool write_to_fd(void *arg, const void *data, size_t len)
{
    return file_write_all(*(const int *)arg, data, len) == 0;
}

/* The innermost frame of the program itself, as a reader knows it: "deep (byte 0x1a2b)". */
static void where_text(struct run *r, char *ret_text, size_t size)
{
    struct cell_frame frames[2] = {0};
    uint32_t count = cell_captured_frames(r->cell, frames, 2);
    if (count == 0) {
        snprintf(ret_text, size, "before its first instruction");
        return;
    }
    struct cell_frame f = frames[frames[0].wasm_off == 0 && count > 1]; /* 0: a host function */
    struct name name = image_func_name(program_image(r->program), f.func);
    if (name.len > 0) {
        snprintf(ret_text, size, "%.*s (byte 0x%x)", (int)(name.len < 200 ? name.len : 200),
                 (const char *)name.bytes, f.wasm_off);
    } else {
        snprintf(ret_text, size, "function %u (byte 0x%x)", f.func, f.wasm_off);
    }
}

/* Where the program is, for a thaw in another folder. */
static void note_program(const struct run *r, char ret_path[SNAPSHOT_TEXT_MAX])
{
    char path[PATH_MAX];
    bool first = r->program_path[0] == '\0';
    const char *known = first ? r->options.module_path : r->program_path;
    if (first && realpath(known, path) != NULL && strlen(path) < SNAPSHOT_TEXT_MAX) {
        known = path;
    }
    snprintf(ret_path, SNAPSHOT_TEXT_MAX, "%.*s", SNAPSHOT_TEXT_MAX - 1, known);
}

static struct snapshot_info info_of(const struct run *r)
{
    struct snapshot_info info = {0};
    note_program(r, info.program);
    snprintf(info.version, sizeof info.version, "cloudskin %s", CLOUDSKIN_VERSION);
    gethostname(info.host, sizeof info.host - 1);
    return info;
}

static status_t save_checkpoint(struct run *r, const struct control_request *q, struct error *err)
{
    uint64_t begun_ns = clock_monotonic_ns();
    struct snapshot_info info = info_of(r);
    struct checkpoint_made made;
    char where[256], lost[ERROR_TEXT_MAX / 2] = "";
    const char *why = wasi_undo_lost(r->wasi);
    if (why != NULL) {
        snprintf(lost, sizeof lost, "%s", why);
    }
    status_t code = checkpoint_write(&r->checkpoints, r->cell, r->wasi, &info, q->fd, q->number,
                                     q->base, &made, err);
    if (code == ST_OK) {
        where_text(r, where, sizeof where);
        error_set(err, ST_OK, ERROR_NO_OFFSET, "%llu %llu %llu %u %d %s",
                  (unsigned long long)made.sizes.frames, (unsigned long long)made.sizes.total_bytes,
                  (unsigned long long)(clock_monotonic_ns() - begun_ns), made.base, why != NULL,
                  why != NULL ? lost : where);
    }
    return code;
}

static status_t find_module(const struct run *r, const char *program, struct file_map *ret_map,
                            struct error *err)
{
    const char *const paths[] = {r->embedded_fd > 0 ? r->embedded_path : NULL, r->options.module,
                                 program};
    return embedded_find(paths, sizeof paths / sizeof *paths,
                         program_image(r->program)->module_hash, ret_map, err);
}

static status_t write_snapshot(struct run *r, struct snapshot_info *info, int fd,
                               struct snapshot_sizes *ret_sizes, struct error *err)
{
    struct buf state = {0};
    const struct snapshot_sink sink = {write_to_fd, &fd};
    status_t code = wasi_save(r->wasi, &state, err);
    if (code == ST_OK) {
        code = snapshot_write(r->cell, info, state.data, state.len, &sink, ret_sizes, err);
    }
    buf_done(&state);
    return code;
}

/* What a client asked for. err becomes what it is told. */
static status_t save_cell(void *arg, const struct control_request *q, struct error *err)
{
    struct run *r = arg;
    struct snapshot_info info = info_of(r);
    struct snapshot_sizes sizes;
    struct file_map module = {0};
    char where[256];
    if (q->checkpoint) {
        return save_checkpoint(r, q, err);
    }
    status_t code = q->embed ? find_module(r, info.program, &module, err) : ST_OK;
    if (code == ST_OK) {
        info.module = module.data;
        info.module_len = module.len;
        code = write_snapshot(r, &info, q->fd, &sizes, err);
    }
    file_unmap(&module);
    if (code == ST_OK) {
        where_text(r, where, sizeof where);
        error_set(err, ST_OK, ERROR_NO_OFFSET, "%llu %llu %s", (unsigned long long)sizes.frames,
                  (unsigned long long)sizes.total_bytes, where);
    }
    return code;
}

/* Into the better image, when it is there. */
static void go_over(struct run *r)
{
    struct program *better = upgrade_take(r->upgrade);
    if (better == NULL) {
        return;
    }
    if (cell_change_program(r->cell, better, NULL) == ST_OK) {
        program_unref(r->program);
        r->program = better;
    } else {
        program_unref(better);
    }
}

/* As long as calls end by a capture: serve who asked for it, then go on. */
static status_t go_on(struct run *r, status_t code, union cell_value *io, struct error *err)
{
    char where[256];
    while (code == ST_CAPTURED) {
        go_over(r);
        if (control_captured(r->control, save_cell, r) == ST_CAPTURED) {
            where_text(r, where, sizeof where);
            fprintf(stderr, "cloudskin: %s: frozen in %s\n", r->options.module_path, where);
            wasi_undo_give_up(r->wasi, "the program was frozen after it: thaw that snapshot");
            r->frozen = true;
            return code;
        }
        *err = (struct error){.offset = ERROR_NO_OFFSET};
        code = cell_resume(r->cell, io, err);
    }
    return code;
}

/* Call the function with the arguments given as text (none for _start and _initialize). */
static int call(struct run *r, const char *name, const char *const *args, uint32_t arg_count)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct extern_val func;
    union cell_value *io = NULL;
    status_t code = find_func(r, name, &func, &err);
    if (code != ST_OK) {
        return fail(r->options.module_path, &err, EXIT_MISSING);
    }
    code = invoke_arguments(name, func.func_type, args, arg_count, &io, &err);
    if (code != ST_OK) {
        return fail(r->options.module_path, &err, EXIT_USAGE);
    }
    code = cell_call(r->cell, func.ptr, io, &err);
    code = go_on(r, code, io, &err);
    int exit_code = r->frozen ? EXIT_FROZEN : ended(r, code, &err);
    if (code == ST_OK) {
        exit_code = print_results(func.func_type, io);
    }
    free(io);
    return exit_code;
}

static bool has_export(struct run *r, const char *name)
{
    struct extern_val v;
    return find_func(r, name, &v, NULL) == ST_OK;
}

/* A command has _start; a library (a reactor) may have _initialize, which comes before anything else. */
static int start_program(struct run *r)
{
    const struct run_options *o = &r->options;
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t code = instance_start(r->instance, &err);
    if (code != ST_OK) {
        return ended(r, code, &err);
    }
    if (o->invoke == NULL) {
        return call(r, "_start", NULL, 0);
    }
    if (has_export(r, "_initialize")) {
        int exit_code = call(r, "_initialize", NULL, 0);
        if (exit_code != 0) {
            return exit_code;
        }
    }
    return call(r, o->invoke, o->args + 1, o->arg_count - 1);
}

static status_t start_control(struct run *r, struct error *err)
{
    const struct run_options *o = &r->options;
    return o->name != NULL ? control_start(o->name, o->module_path, &r->control, err) : ST_OK;
}

/* The cell is made: whoever knows its name can reach it, and a better image may come. */
static void attach(struct run *r)
{
    bool movable = program_image(r->program)->options.movable != 0;
    if (r->options.image.movable && !movable) {
        fprintf(stderr,
                "cloudskin: %s: cannot be frozen, as this image was made without --movable "
                "(cloudskin-aot --movable)\n",
                r->options.module_path);
    }
    control_attach(r->control, r->cell, movable);
    if (r->better[0] != '\0') {
        r->upgrade = upgrade_start(r->rt, r->better, r->cell);
    }
}

static const struct runtime_config one_cell = {.slots_kept = 0};

static int run_program(struct run *r)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t code = runtime_new(&one_cell, &r->rt, &err);
    if (code != ST_OK) {
        return fail(NULL, &err, EXIT_SYSTEM);
    }
    code = start_control(r, &err);
    if (code != ST_OK) {
        return fail(NULL, &err, code == ST_INVAL ? EXIT_USAGE : EXIT_SYSTEM);
    }
    code = load_program(r->rt, &r->options, &r->program, r->better, &err);
    if (code != ST_OK) {
        return fail(r->options.module_path, &err, exit_code_of(code));
    }
    code = open_output(r, false, &err);
    code = code != ST_OK ? code : open_listeners(r, &err);
    code = code != ST_OK ? code : make_wasi(r, &err);
    if (code != ST_OK) {
        return fail(NULL, &err,
                    code == ST_INVAL || code == ST_LIMIT ? EXIT_USAGE : exit_code_of(code));
    }
    code = make_cell(r, &err);
    if (code == ST_TRAP || code == ST_STOPPED) {
        return ended(r, code, &err);
    }
    if (code != ST_OK) {
        return fail(r->options.module_path, &err, exit_code_of(code));
    }
    attach(r);
    return start_program(r);
}

/* ---- thawing ---- */

/* What is thawed: a snapshot, or a checkpoint in its folder. */
struct thawing {
    const char *name; /* of the snapshot, for messages */
    bool checkpoint;
    struct checkpoint_place place;
    char file[PATH_MAX];
};

static status_t open_chain(const struct thawing *t, struct snapshot_chain *ret_chain,
                           struct error *err)
{
    int fd = open(t->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", t->file);
    }
    return snapshot_chain_open(fd, t->name, t->checkpoint ? t->place.folder_fd : -1, ret_chain,
                               err);
}

/* All of it into the new cell, to the end of its files. */
static status_t read_chain(struct run *r, const struct snapshot_chain *chain, struct error *err)
{
    struct snapshot_sizes sizes;
    status_t code = snapshot_read_chain(chain->readers, chain->count, r->cell, &sizes, err);
    return code != ST_OK ? code : snapshot_chain_end(chain, err);
}

static status_t load_snapshot_program(struct run *r, const struct snapshot_chain *chain,
                                      struct error *err)
{
    const struct snapshot_info *info = snapshot_reader_info(snapshot_chain_last(chain));
    const struct snapshot_info *embeds = snapshot_chain_embeds(chain);
    const char *guess = info->program;
    r->options.image.nan = info->nan;
    memcpy(r->program_path, info->program, sizeof r->program_path);
    if (embeds != NULL) {
        status_t code = embedded_open(embeds->module, embeds->module_len, &r->embedded_fd,
                                      r->embedded_path, err);
        if (code != ST_OK) {
            return code;
        }
        guess = r->embedded_path;
    }
    return load_program_by_hash(r->rt, &r->options, info->module_hash, guess, &r->program,
                                r->better, err);
}

/* Everything up to the point where the program goes on. */
static status_t thaw_cell(struct run *r, const struct snapshot_chain *chain, struct error *err)
{
    struct snapshot_reader *last = snapshot_chain_last(chain);
    struct wasi_config config = wasi_config_of(r);
    size_t len;
    const void *state = snapshot_host_state(last, &len);
    status_t code = wasi_restore(&config, state, len, r->options.stale_files, &r->wasi, err);
    code = code != ST_OK ? code : make_cell(r, err);
    return code != ST_OK ? code : read_chain(r, chain, err);
}

/* Read all of it into a cell that is thrown away: nothing of a checkpoint may turn out to be damaged when files have
 * been changed for it. */
static status_t prove_chain(struct run *r, const struct snapshot_chain *chain, struct error *err)
{
    const struct wasi_config nothing = {.stdio = {-1, -1, -1}};
    status_t code = wasi_new(&nothing, &r->wasi, err);
    code = code != ST_OK ? code : make_cell(r, err);
    code = code != ST_OK ? code : read_chain(r, chain, err);
    remove_signals();
    cell_free(r->cell);
    wasi_free(r->wasi);
    r->cell = NULL;
    r->wasi = NULL;
    return code;
}

/* Which one it is, before anything is changed. */
static void say_checkpoint(const struct thawing *t, const struct snapshot_info *info)
{
    uint64_t now = clock_realtime_ns();
    double age = now > info->time_ns ? (double)(now - info->time_ns) / 1e9 : 0;
    fprintf(stderr, "cloudskin: checkpoint %u of %s, %.1f seconds old%s\n", t->place.number,
            info->program, age, t->place.number == t->place.newest ? "" : ", not the newest one");
}

static void say_done(const struct run *r, const struct wasi_undo_report *report)
{
    fprintf(stderr,
            "cloudskin: files are as they were then: %llu changes undone, %llu bytes written back",
            (unsigned long long)report->records, (unsigned long long)report->bytes);
    if (report->removed > 0) {
        fprintf(stderr, "; %u later checkpoint%s removed", report->removed,
                report->removed == 1 ? "" : "s");
    }
    fputc('\n', stderr);
    if (r->options.output == NULL) {
        fprintf(stderr, "cloudskin: what it wrote to standard output since will come again (not "
                        "with --output FILE)\n");
    }
}

/* Files as they were at the checkpoint. */
static status_t bring_files_back(struct run *r, const struct thawing *t, struct error *err)
{
    struct wasi_config config = wasi_config_of(r);
    struct wasi_undo_report report;
    if (r->options.stale_files) {
        return wasi_undo_disown(t->place.folder_fd,
                                "a checkpoint was thawed with --stale-files since", err);
    }
    status_t code = wasi_undo_restore(&config, t->place.folder_fd, t->place.number, &report, err);
    if (code == ST_OK) {
        say_done(r, &report);
    }
    return code;
}

static status_t thaw_checkpoint(struct run *r, struct thawing *t, struct snapshot_chain *chain,
                                struct error *err)
{
    say_checkpoint(t, snapshot_reader_info(snapshot_chain_last(chain)));
    status_t code = prove_chain(r, chain, err);
    code = code != ST_OK ? code : bring_files_back(r, t, err);
    snapshot_chain_close(chain);
    code = code != ST_OK ? code : open_chain(t, chain, err);
    code = code != ST_OK ? code : thaw_cell(r, chain, err);
    if (code == ST_OK && !r->options.stale_files) {
        int fd = t->place.folder_fd;
        t->place.folder_fd = -1;
        code = wasi_undo_resume(r->wasi, fd, t->place.number, err);
    }
    return code;
}

static int fail_thaw(const struct run *r, const struct thawing *t, const struct error *err)
{
    int exit_code = fail(r->options.module_path, err, exit_code_of(err->code));
    bool damaged = err->code == ST_CORRUPT || err->code == ST_FORMAT || err->code == ST_INVALID;
    if (t->checkpoint && damaged && t->place.before != 0) {
        fprintf(stderr, "cloudskin: nothing was changed; --at %u takes the checkpoint before it\n",
                t->place.before);
    }
    return exit_code;
}

static int thaw_program(struct run *r, struct thawing *t)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct snapshot_chain chain = {0};
    union cell_value io[MODULE_RESULTS_MAX] = {0};
    status_t code = runtime_new(&one_cell, &r->rt, &err);
    code = code != ST_OK ? code : start_control(r, &err);
    code = code != ST_OK ? code : open_output(r, true, &err);
    code = code != ST_OK ? code : open_listeners(r, &err);
    code = code != ST_OK ? code : open_chain(t, &chain, &err);
    if (code == ST_OK) {
        code = load_snapshot_program(r, &chain, &err);
    }
    if (code == ST_OK) {
        code = t->checkpoint ? thaw_checkpoint(r, t, &chain, &err) : thaw_cell(r, &chain, &err);
    }
    snapshot_chain_close(&chain);
    if (code != ST_OK) {
        return fail_thaw(r, t, &err);
    }
    attach(r);
    if (!cell_is_captured(r->cell)) {
        return start_program(r); /* it was frozen before its first instruction */
    }
    code = go_on(r, cell_resume(r->cell, io, &err), io, &err);
    return r->frozen ? EXIT_FROZEN : ended(r, code, &err);
}

static int find_and_thaw(struct run *r)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct run_options *o = &r->options;
    struct thawing t = {.name = o->module_path, .place = {.folder_fd = -1}};
    char name[CHECKPOINT_FILE_BYTES];
    status_t code = checkpoint_find(o->module_path, o->name, o->at, &t.checkpoint, &t.place, &err);
    if (code != ST_OK) {
        return fail(o->module_path, &err, code == ST_INVAL ? EXIT_USAGE : exit_code_of(code));
    }
    if (t.checkpoint) {
        checkpoints_file(t.place.number, "snap", name);
        t.name = name;
        o->module_path = t.file;
    }
    int len = t.checkpoint ? snprintf(t.file, sizeof t.file, "%s/%s", t.place.folder, name)
                           : snprintf(t.file, sizeof t.file, "%s", o->module_path);
    int exit_code = EXIT_USAGE;
    if (len < 0 || (size_t)len >= sizeof t.file) {
        fprintf(stderr, "cloudskin: the path of the snapshot is too long\n");
    } else {
        exit_code = thaw_program(r, &t);
    }
    if (t.place.folder_fd >= 0) {
        close(t.place.folder_fd);
    }
    return exit_code;
}

static void run_done(struct run *r)
{
    remove_signals();
    control_end(r->control);
    checkpointer_done(&r->checkpoints);
    upgrade_end(r->upgrade);
    cell_free(r->cell);
    wasi_free(r->wasi);
    program_unref(r->program);
    runtime_free(r->rt);
    for (uint32_t i = 0; i < r->listen_count; i++) {
        close(r->listen_fds[i]);
    }
    free(r->listen_fds);
    if (r->embedded_fd > 0) {
        close(r->embedded_fd);
    }
    run_options_done(&r->options);
}

int run_main(int argc, char **argv)
{
    struct run r = {.rt = NULL};
    struct error err = {.offset = ERROR_NO_OFFSET};
    int exit_code;
    if (run_options_parse(argc, argv, false, environ, &r.options, &err) != ST_OK) {
        exit_code = usage("run", &err);
    } else if (r.options.help) {
        exit_code = help_print("run", stdout);
    } else {
        exit_code = run_program(&r);
    }
    run_done(&r);
    return exit_code;
}

int thaw_main(int argc, char **argv)
{
    struct run r = {.rt = NULL};
    struct error err = {.offset = ERROR_NO_OFFSET};
    int exit_code;
    if (run_options_parse(argc, argv, true, environ, &r.options, &err) != ST_OK) {
        exit_code = usage("thaw", &err);
    } else if (r.options.help) {
        exit_code = help_print("thaw", stdout);
    } else {
        exit_code = find_and_thaw(&r);
    }
    run_done(&r);
    return exit_code;
}
