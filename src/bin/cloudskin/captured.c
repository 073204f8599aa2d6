#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/human.h"
#include "cell/wasi/undo.h"
#include "exitcode/exit_code.h"
#include "run_parts.h"
#include "sys/clock.h"

/* A captured program: it is written out for whoever asked, and goes on, perhaps in a better image. */

static bool write_to_fd(void *arg, const void *data, size_t len)
{
    return file_write_all(*(const int *)arg, data, len) == 0;
}

/* The innermost frame of the program itself, as a back-trace has it: "deep at deep.c:12 (wasm 0x1a2b)". */
static void where_text(struct run *r, char *ret_text, size_t size)
{
    struct cell_frame frames[2] = {0};
    struct buf out = {0};
    uint32_t count = cell_captured_frames(r->cell, frames, 2);
    if (count == 0) {
        snprintf(ret_text, size, "before its first instruction");
        return;
    }
    struct cell_frame f = frames[frames[0].wasm_off == 0 && count > 1]; /* 0: a host function */
    const struct image *img = program_image(r->program);
    struct name name = image_func_name(img, f.func);
    const struct line_row *row = image_line_find(img, f.wasm_off);
    if (name.len > 0) {
        human_put_name(&out, name.bytes, name.len);
    } else {
        buf_printf(&out, "func[%u]", f.func);
    }
    if (row != NULL) {
        struct name file = image_file_name(img, row->file);
        buf_printf(&out, " at ");
        human_put_name(&out, file.bytes, file.len);
        buf_printf(&out, ":%u", row->line);
    }
    buf_printf(&out, " (wasm 0x%x)", f.wasm_off);
    snprintf(ret_text, size, "%.*s", out.failed ? 0 : (int)out.len,
             out.len > 0 ? (const char *)out.data : "");
    buf_done(&out);
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
    const struct snapshot_sink sink = {.write = write_to_fd, .arg = &fd};
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
    if (r->prepares) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "it is still being initialised: %s is called after that",
                         r->options.invoke);
    }
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

static status_t leave(void *arg, const char *path, uint64_t inode, struct error *err)
{
    struct run *r = arg;
    return wasi_undo_leaving(r->wasi, path, inode, err);
}

static void leave_end(void *arg)
{
    struct run *r = arg;
    wasi_undo_give_up(r->wasi, "the program was frozen after it: thaw that snapshot");
}

static void leave_not(void *arg)
{
    struct run *r = arg;
    wasi_undo_stays(r->wasi);
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

status_t run_go_on(struct run *r, status_t code, union cell_value *io, struct error *err)
{
    const struct control_saver saver = {save_cell, leave, leave_end, leave_not, r};
    char where[256];
    while (code == ST_CAPTURED) {
        wasi_note_cpu(r->wasi);
        go_over(r);
        if (control_captured(r->control, &saver) == ST_CAPTURED) {
            where_text(r, where, sizeof where);
            fprintf(stderr, "cloudskin: %s: frozen in %s\n", r->options.module_path, where);
            return code;
        }
        *err = (struct error){.offset = ERROR_NO_OFFSET};
        code = cell_resume(r->cell, io, err);
    }
    return code;
}
