#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cell/run/state.h"
#include "cell/wasi/undo.h"
#include "chain.h"
#include "checkpoints/folder.h"
#include "exitcode/exit_code.h"
#include "gedsfile/place.h"
#include "help.h"
#include "load.h"
#include "run.h"
#include "run_parts.h"
#include "sys/clock.h"

/* What is thawed: a snapshot, or a checkpoint in its folder. */
struct thawing {
    bool checkpoint;
    bool damaged; /* the snapshot, or one that it is an increment on */
    struct checkpoint_place place;
    char file[PATH_MAX];
};

/* What it may be an increment on is beside it. */
static int open_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
             slash != NULL ? path : ".");
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static status_t open_chain(const struct thawing *t, struct snapshot_chain *ret_chain,
                           struct error *err)
{
    int fd = -1;
    if (geds_place_told(t->file)) {
        status_t fetched = geds_place_fetch(t->file, false, &fd, err);
        return fetched == ST_OK ? snapshot_chain_open(fd, t->file, -1, ret_chain, err) : fetched;
    }
    fd = open(t->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", t->file);
    }
    int folder_fd = t->checkpoint ? t->place.folder_fd : open_folder_of(t->file);
    status_t code = snapshot_chain_open(fd, t->file, folder_fd, ret_chain, err);
    if (!t->checkpoint && folder_fd >= 0) {
        close(folder_fd);
    }
    return code;
}

static bool is_damage(status_t code)
{
    return code == ST_CORRUPT || code == ST_FORMAT;
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
    const char *guess = info->program, *name = NULL;
    r->options.image.nan = info->nan;
    memcpy(r->program_path, info->program, sizeof r->program_path);
    if (embeds != NULL) {
        status_t code = embedded_open(embeds->module, embeds->module_len, &r->embedded_fd,
                                      r->embedded_path, err);
        if (code != ST_OK) {
            return code;
        }
        guess = r->embedded_path;
        name = r->options.module_path; /* the snapshot, which has the module */
    } else if (geds_place_told(guess) && run_fetch_program(r, guess, NULL) == ST_OK) {
        guess = r->embedded_path; /* it was run from there */
        name = info->program;
    }
    return load_program_by_hash(r->rt, &r->options, info->module_hash, guess, name, &r->program,
                                r->better, err);
}

/* Everything up to the point where the program goes on. */
static status_t thaw_cell(struct run *r, const struct snapshot_chain *chain, struct error *err)
{
    struct snapshot_reader *last = snapshot_chain_last(chain);
    status_t code = run_make_output(r, err);
    if (code != ST_OK) {
        return code;
    }
    struct wasi_config config = run_wasi_config(r);
    size_t len;
    const void *state = snapshot_host_state(last, &len);
    code = wasi_restore(&config, state, len, r->options.stale_files, &r->wasi, err);
    code = code != ST_OK ? code : run_make_cell(r, err);
    code = code != ST_OK ? code : read_chain(r, chain, err);
    return code != ST_OK ? code : wasi_restore_outside(r->wasi, err);
}

/* Read all of it into a cell that is thrown away: nothing of a checkpoint may turn out to be damaged, or not to fit the
 * limits and folders here, when files have been changed for it. */
static status_t prove_chain(struct run *r, const struct snapshot_chain *chain, bool output_returns,
                            struct error *err)
{
    const struct wasi_config config = run_wasi_config(r), nothing = {.stdio = {-1, -1, -1}};
    size_t len;
    const void *state = snapshot_host_state(snapshot_chain_last(chain), &len);
    status_t code = wasi_restore_check(&config, state, len, r->options.stale_files, output_returns,
                                       err);
    code = code != ST_OK ? code : wasi_new(&nothing, &r->wasi, err);
    code = code != ST_OK ? code : run_make_cell(r, err);
    code = code != ST_OK ? code : read_chain(r, chain, err);
    run_remove_signals();
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
    char program[SNAPSHOT_TEXT_MAX];
    memcpy(program, info->program, sizeof program);
    text_hide_controls(program);
    double age = now > info->time_ns ? (double)(now - info->time_ns) / 1e9 : 0;
    fprintf(stderr, "cloudskin: checkpoint %u of %s, %.1f seconds old%s\n", t->place.number,
            program, age, t->place.number == t->place.newest ? "" : ", not the newest one");
}

static void say_done(const struct run *r, const struct wasi_undo_report *report)
{
    fprintf(
        stderr,
        "cloudskin: files are as they were then: %llu change%s undone, %llu byte%s written back",
        (unsigned long long)report->records, report->records == 1 ? "" : "s",
        (unsigned long long)report->bytes, report->bytes == 1 ? "" : "s");
    if (report->removed > 0) {
        fprintf(stderr, "; %u later checkpoint%s removed", report->removed,
                report->removed == 1 ? "" : "s");
    }
    fputc('\n', stderr);
    if (report->left > 0) {
        fprintf(stderr, "cloudskin: what it overwrote in its former output stays so\n");
    }
    if (r->options.output == NULL) {
        fprintf(stderr, "cloudskin: what it wrote to standard output since will come again (not "
                        "with --output FILE)\n");
    }
    if (r->buckets != NULL) {
        fprintf(stderr,
                "cloudskin: objects that it has written or removed in buckets since stay as "
                "they are\n");
    }
}

/* Files as they were at the checkpoint. */
static status_t bring_files_back(struct run *r, const struct thawing *t, bool output,
                                 struct error *err)
{
    struct wasi_config config = run_wasi_config(r);
    struct wasi_undo_report report;
    if (r->options.stale_files) {
        return wasi_undo_disown(t->place.folder_fd,
                                "a checkpoint was thawed with --stale-files since", err);
    }
    status_t code = wasi_undo_restore(&config, t->place.folder_fd, t->place.number, output, &report,
                                      err);
    if (code == ST_OK) {
        say_done(r, &report);
    }
    return code;
}

static status_t thaw_checkpoint(struct run *r, struct thawing *t, struct snapshot_chain *chain,
                                struct error *err)
{
    say_checkpoint(t, snapshot_reader_info(snapshot_chain_last(chain)));
    const struct wasi_config config = run_wasi_config(r);
    bool output = false;
    status_t code = ST_OK;
    if (!r->options.stale_files) {
        code = wasi_undo_check(&config, t->place.folder_fd, t->place.number, &output, err);
    }
    if (code == ST_OK) {
        code = prove_chain(r, chain, output, err);
        t->damaged = is_damage(code);
    }
    code = code != ST_OK ? code : run_make_output(r, err);
    code = code != ST_OK ? code : bring_files_back(r, t, output, err);
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
    int exit_code = run_fail(r->options.module_path, err, exit_code_of(err->code));
    if (t->checkpoint && t->damaged && t->place.before != 0) {
        fprintf(stderr, "cloudskin: nothing was changed; --at %u takes the checkpoint before it\n",
                t->place.before);
    }
    return exit_code;
}

/* Its end is that of the program, unless it is the module's start function, which comes before that. */
static int go_on(struct run *r)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    union cell_value io[MODULE_RESULTS_MAX] = {0};
    status_t code = run_go_on(r, cell_resume(r->cell, io, &err), io, &err);
    const struct module *m = program_image(r->program)->module;
    uint32_t called = cell_called(r->cell);
    if (code == ST_OK && m->has_start && called == m->start) {
        return run_call_program(r);
    }
    int exit_code = run_ended(r, code, &err);
    return code == ST_OK ? run_print_results(module_func_type(m, called), io) : exit_code;
}

static status_t load_all(struct run *r, struct thawing *t, struct error *err)
{
    struct snapshot_chain chain = {0};
    status_t code = open_chain(t, &chain, err);
    t->damaged = is_damage(code);
    code = code != ST_OK ? code : load_snapshot_program(r, &chain, err);
    if (code == ST_OK) {
        r->output_newer = r->output_born_ns >
                          snapshot_reader_info(snapshot_chain_last(&chain))->time_ns;
        code = t->checkpoint ? thaw_checkpoint(r, t, &chain, err) : thaw_cell(r, &chain, err);
    }
    snapshot_chain_close(&chain);
    return code;
}

static int thaw_program(struct run *r, struct thawing *t)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t code = run_runtime(r, &err);
    code = code != ST_OK ? code : run_start_control(r, &err);
    code = code != ST_OK ? code : run_open_outside(r, true, &err);
    if (code != ST_OK) {
        run_drop_output(r);
        return run_fail(NULL, &err, code == ST_INVAL ? EXIT_USAGE : exit_code_of(code));
    }
    if (load_all(r, t, &err) != ST_OK) {
        run_drop_output(r);
        return fail_thaw(r, t, &err);
    }
    run_attach(r);
    /* it may have been frozen before its first instruction */
    return cell_is_captured(r->cell) ? go_on(r) : run_start_program(r);
}

static int find_and_thaw(struct run *r)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct run_options *o = &r->options;
    struct thawing t = {.place = {.folder_fd = -1}};
    char name[CHECKPOINT_FILE_BYTES];
    bool object = o->module_path != NULL && geds_place_told(o->module_path);
    status_t code = object ? ST_OK
                           : checkpoint_find(o->module_path, o->name, o->at, &t.checkpoint,
                                             &t.place, &err);
    if (object && o->at != 0) {
        fprintf(stderr, "cloudskin thaw: --at is for checkpoints\n");
        return EXIT_USAGE;
    }
    if (code != ST_OK) {
        return run_fail(o->module_path, &err, code == ST_INVAL ? EXIT_USAGE : exit_code_of(code));
    }
    if (t.checkpoint) {
        checkpoints_file(t.place.number, "snap", name);
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

int thaw_main(int argc, char **argv)
{
    struct run r = {.rt = NULL};
    struct error err = {.offset = ERROR_NO_OFFSET};
    int exit_code;
    if (run_options_parse(argc, argv, true, environ, &r.options, &err) != ST_OK) {
        exit_code = run_usage("thaw", &err);
    } else if (r.options.help) {
        exit_code = help_print("thaw", stdout);
    } else {
        exit_code = run_publish(&r, find_and_thaw(&r));
    }
    run_done(&r);
    return exit_code;
}
