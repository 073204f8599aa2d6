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

#include "base/text.h"
#include "cell/wasi/wasi.h"
#include "exitcode/exit_code.h"
#include "gedsfile/place.h"
#include "help.h"
#include "invoke.h"
#include "listen.h"
#include "load.h"
#include "run_parts.h"
#include "sys/signals.h"
#include "trace.h"

/* ---- signals ---- */

static struct cell *_Atomic signalled_cell;
static volatile sig_atomic_t signal_seen;

static enum stop_reason reason_of(int number)
{
    return number == SIGINT ? STOP_INTERRUPT : STOP_REQUEST;
}

/* The first signal lets the cell leave at its next poll; a second one is final. */
static void on_signal(int number)
{
    int saved = errno;
    struct cell *c = atomic_load_explicit(&signalled_cell, memory_order_relaxed);
    signal_seen = number;
    if (c != NULL) {
        cell_stop(c, reason_of(number));
    }
    errno = saved;
}

static void install_signals(struct cell *c)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    atomic_store_explicit(&signalled_cell, c, memory_order_relaxed);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        signal_catch_once(numbers[i], on_signal);
    }
    if (signal_seen != 0) { /* it came while there was no cell, or one that is gone */
        cell_stop(c, reason_of(signal_seen));
    }
}

void run_remove_signals(void)
{
    atomic_store_explicit(&signalled_cell, NULL, memory_order_relaxed);
}

/* ---- messages ---- */

int run_fail(const char *program, const struct error *err, int exit_code)
{
    if (err->code == ST_INVALID && err->text[0] == '\0') {
        return exit_code; /* the compiler has said it */
    }
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", err->text[0] != '\0' ? err->text : status_name(err->code));
    bool names_program = program != NULL && strncmp(text, program, strlen(program)) == 0;
    text_hide_controls(text); /* a snapshot has names of files */
    /* most errors name the file themselves */
    if (program != NULL && !names_program) {
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

int run_usage(const char *verb, const struct error *err)
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

struct wasi_config run_wasi_config(const struct run *r)
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
        .output_newer = r->output_newer,
        .output_path = r->output_late ? r->output_path : NULL,
        .listen = r->listen_fds,
        .listen_count = r->listen_count,
        .open_files_max = o->open_files,
        .output_bytes_max = o->output_bytes,
        .staging = r->buckets != NULL ? geds_temporary_folder() : NULL,
    };
}

static void note_output(struct run *r, int fd)
{
    char link[64];
    struct statx st;
    if (fd < 0) {
        return;
    }
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) == 0 && (st.stx_mask & STATX_BTIME) != 0 &&
        st.stx_btime.tv_sec > 0) {
        r->output_born_ns = (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, r->output_path, sizeof r->output_path - 1);
    r->output_path[len > 0 ? len : 0] = '\0';
}

/* Where a file that is not there would be made, behind all links. */
static status_t find_place(const char *path, char ret_path[PATH_MAX], struct error *err)
{
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
             slash != NULL ? path : ".");
    if (realpath(folder, real) == NULL) {
        return error_set_errno(err, errno, "--output %s", path);
    }
    int len = snprintf(ret_path, PATH_MAX, "%s/%s", real[1] == '\0' ? "" : real,
                       slash != NULL ? slash + 1 : path);
    return len < PATH_MAX ? ST_OK : error_set_errno(err, ENAMETOOLONG, "--output %s", path);
}

static status_t take_output(struct run *r, int flags, struct error *err)
{
    const char *path = r->options.output;
    int fd = open(path, O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC | flags, 0666);
    note_output(r, fd);
    bool good = fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0;
    int errnum = errno;
    if (fd >= 0) {
        close(fd);
    }
    return good ? ST_OK : error_set_errno(err, errnum, "--output %s", path);
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
    bool there = stat(path, &st) == 0;
    r->output_named = thaws && there && S_ISREG(st.st_mode);
    r->output_late = thaws && !there && lstat(path, &st) != 0;
    if (r->output_late) {
        return find_place(path, r->output_path, err);
    }
    status_t code = take_output(r, thaws ? 0 : O_TRUNC, err);
    r->output_made = thaws && !there && code == ST_OK;
    return code;
}

status_t run_make_output(struct run *r, struct error *err)
{
    if (!r->output_late) {
        return ST_OK;
    }
    r->output_late = false;
    status_t code = take_output(r, O_EXCL, err);
    r->output_made = code == ST_OK;
    return code;
}

/* Whatever has its name by now, it is not to be lost. */
void run_drop_output(struct run *r)
{
    struct stat ours, named;
    const char *path = r->output_path;
    if (r->output_made && fstat(STDOUT_FILENO, &ours) == 0 && lstat(path, &named) == 0 &&
        S_ISREG(named.st_mode) && named.st_size == 0 && named.st_ino == ours.st_ino &&
        named.st_dev == ours.st_dev) {
        unlink(path);
    }
    r->output_made = false;
}

static status_t make_wasi(struct run *r, struct error *err)
{
    struct wasi_config config = run_wasi_config(r);
    return wasi_new(&config, &r->wasi, err);
}

status_t run_open_outside(struct run *r, bool thaws, struct error *err)
{
    status_t code = run_open_buckets(r, err);
    code = code != ST_OK ? code : open_output(r, thaws, err);
    return code != ST_OK ? code : open_listeners(r, err);
}

status_t run_make_cell(struct run *r, struct error *err)
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

int run_ended(struct run *r, status_t code, const struct error *err)
{
    const char *program = r->options.module_path;
    r->end = code == ST_OK || code == ST_EXIT ? RUN_ENDED
             : code == ST_CAPTURED            ? RUN_FROZEN
                                              : RUN_NOT_ENDED;
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
    case ST_CAPTURED:
        return EXIT_FROZEN;
    case ST_STOPPED:
        break;
    default:
        return run_fail(program, err, exit_code_of(code));
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
        return invoke_no_function(program_image(r->program)->module, name, err);
    }
    *ret_func = v;
    return ST_OK;
}

int run_print_results(const struct functype *type, const union cell_value *io)
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

/* Call the function with the arguments given as text (none for _start and _initialize). */
static int call(struct run *r, const char *name, const char *const *args, uint32_t arg_count)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct extern_val func;
    union cell_value *io = NULL;
    status_t code = find_func(r, name, &func, &err);
    if (code != ST_OK) {
        return run_fail(r->options.module_path, &err, EXIT_MISSING);
    }
    code = invoke_arguments(name, func.func_type, args, arg_count, &io, &err);
    if (code != ST_OK) {
        return run_fail(r->options.module_path, &err, EXIT_USAGE);
    }
    code = cell_call(r->cell, func.ptr, io, &err);
    code = run_go_on(r, code, io, &err);
    int exit_code = run_ended(r, code, &err);
    if (code == ST_OK) {
        exit_code = run_print_results(func.func_type, io);
    }
    free(io);
    return exit_code;
}

static bool has_export(struct run *r, const char *name)
{
    struct extern_val v;
    return find_func(r, name, &v, NULL) == ST_OK;
}

int run_call_program(struct run *r)
{
    const struct run_options *o = &r->options;
    if (o->invoke == NULL) {
        return call(r, "_start", NULL, 0);
    }
    if (strcmp(o->invoke, "_initialize") != 0 && has_export(r, "_initialize")) {
        int exit_code = call(r, "_initialize", NULL, 0);
        if (exit_code != 0) {
            return exit_code;
        }
    }
    r->prepares = false;
    return call(r, o->invoke, o->args + 1, o->arg_count - 1);
}

int run_start_program(struct run *r)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    union cell_value nothing = {.u64 = 0};
    r->prepares = r->options.invoke != NULL;
    status_t code = run_go_on(r, instance_start(r->instance, &err), &nothing, &err);
    return code == ST_OK ? run_call_program(r) : run_ended(r, code, &err);
}

status_t run_start_control(struct run *r, struct error *err)
{
    const struct run_options *o = &r->options;
    return o->name != NULL ? control_start(o->name, o->module_path, &r->control, err) : ST_OK;
}

void run_attach(struct run *r)
{
    bool movable = program_image(r->program)->options.movable != 0;
    if (r->options.image.movable && !movable) {
        fprintf(stderr,
                "cloudskin: %s: cannot be frozen, as this image was made without --movable "
                "(cloudskin-aot --movable)\n",
                r->options.module_path);
    }
    /* a thawed one is called by its program, as it was where it began */
    bool thawed = r->program_path[0] != '\0';
    control_attach(r->control, r->cell, thawed ? r->program_path : r->options.module_path, movable);
    if (r->better[0] != '\0') {
        r->upgrade = upgrade_start(r->rt, r->better, r->cell);
    }
}

status_t run_runtime(struct run *r, struct error *err)
{
    static const struct runtime_config one_cell = {.slots_kept = 0};
    return runtime_new(&one_cell, &r->rt, err);
}

static status_t load(struct run *r, struct error *err)
{
    struct run_options from = r->options;
    if (geds_place_told(from.module_path)) {
        status_t code = run_fetch_program(r, from.module_path, err);
        if (code != ST_OK) {
            return code;
        }
        from.module_path = r->embedded_path;
    }
    return load_program(r->rt, &from, r->options.module_path, &r->program, r->better, err);
}

static int run_program(struct run *r)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t code = run_runtime(r, &err);
    if (code != ST_OK) {
        return run_fail(NULL, &err, EXIT_SYSTEM);
    }
    code = run_start_control(r, &err);
    if (code != ST_OK) {
        return run_fail(NULL, &err, code == ST_INVAL ? EXIT_USAGE : EXIT_SYSTEM);
    }
    code = load(r, &err);
    if (code != ST_OK) {
        return run_fail(r->options.module_path, &err, exit_code_of(code));
    }
    code = run_open_outside(r, false, &err);
    code = code != ST_OK ? code : make_wasi(r, &err);
    if (code != ST_OK) {
        return run_fail(NULL, &err,
                        code == ST_INVAL || code == ST_LIMIT ? EXIT_USAGE : exit_code_of(code));
    }
    code = run_make_cell(r, &err);
    if (code == ST_TRAP || code == ST_STOPPED) {
        return run_ended(r, code, &err);
    }
    if (code != ST_OK) {
        return run_fail(r->options.module_path, &err, exit_code_of(code));
    }
    run_attach(r);
    return run_start_program(r);
}

void run_done(struct run *r)
{
    run_remove_signals();
    control_end(r->control);
    checkpointer_done(&r->checkpoints);
    upgrade_end(r->upgrade);
    cell_free(r->cell);
    wasi_free(r->wasi);
    buckets_close(r->buckets);
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
        exit_code = run_usage("run", &err);
    } else if (r.options.help) {
        exit_code = help_print("run", stdout);
    } else {
        exit_code = run_publish(&r, run_program(&r));
    }
    run_done(&r);
    return exit_code;
}
