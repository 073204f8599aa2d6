#include "checkpointlist/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "cell/wasi/goback.h"
#include "checkpoints/folder.h"
#include "snapfile/file.h"
#include "sys/clock.h"

struct row {
    uint32_t number;
    uint32_t base; /* 0: a full one */
    uint64_t bytes;
    uint64_t time_ns;
    char program[SNAPSHOT_TEXT_MAX];
    bool has_journal;
    bool damaged;
    bool unreadable;              /* it, or something that it stands on */
    char why_not[ERROR_TEXT_MAX]; /* it cannot be gone back to; "": it can */
};

struct list {
    const char *folder;
    struct row *rows;
    uint32_t count;
    struct wasi_goback back;
};

/* Takes over fd. */
static status_t read_head(int fd, struct row *r, struct error *err)
{
    struct snapshot_file file = {0};
    struct snapshot_reader *reader = NULL;
    const char *suffix;
    status_t st = snapshot_file_begin(fd, &file, err);
    if (st != ST_OK) {
        return st;
    }
    const struct snapshot_source source = snapshot_file_source(&file);
    st = snapshot_open(&source, &reader, err);
    if (st == ST_OK) {
        const struct snapshot_info *info = snapshot_reader_info(reader);
        r->time_ns = info->time_ns;
        memcpy(r->program, info->program, sizeof r->program);
        if (info->increment && !undo_file_parse(info->base_name, &r->base, &suffix)) {
            st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "snapshot: its base is no checkpoint");
        }
    }
    r->bytes = file.file_bytes;
    snapshot_close(reader);
    snapshot_file_close(&file);
    return st;
}

static const struct row *find(const struct list *l, uint32_t count, uint32_t number)
{
    for (uint32_t i = count; i-- > 0;) {
        if (l->rows[i].number == number) {
            return &l->rows[i];
        }
    }
    return NULL;
}

/* Numbers rise, and a base is older. */
static void judge(const struct list *l, uint32_t index)
{
    struct row *r = &l->rows[index];
    const struct row *base = r->base == 0 ? NULL : find(l, index, r->base);
    const char *why = wasi_goback_why_not(&l->back, r->number);
    r->unreadable = r->damaged || (r->base != 0 && (base == NULL || base->unreadable));
    if (r->damaged) {
        return;
    }
    if (!r->has_journal) {
        snprintf(r->why_not, sizeof r->why_not, "kept for later ones only");
    } else if (why != NULL) {
        snprintf(r->why_not, sizeof r->why_not, "%s", why);
    } else if (r->unreadable && base == NULL) {
        snprintf(r->why_not, sizeof r->why_not, "%06u.snap, which it stands on, is not there",
                 r->base);
    } else if (r->unreadable) {
        snprintf(r->why_not, sizeof r->why_not, "%u, which it stands on, cannot be read", r->base);
    }
}

static void take_row(const struct list *l, int folder_fd, uint32_t index)
{
    char snap[CHECKPOINT_FILE_BYTES], undo[CHECKPOINT_FILE_BYTES];
    struct row *r = &l->rows[index];
    struct error err = {.offset = ERROR_NO_OFFSET};
    checkpoints_file(r->number, "snap", snap);
    checkpoints_file(r->number, "undo", undo);
    r->has_journal = faccessat(folder_fd, undo, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = openat(folder_fd, snap, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    status_t st = fd >= 0 ? read_head(fd, r, &err) : error_set_errno(&err, errno, "%s", snap);
    if (st != ST_OK) {
        r->damaged = true;
        snprintf(r->why_not, sizeof r->why_not, "%s", err.text);
    }
    judge(l, index);
}

static status_t take(int folder_fd, struct list *l, struct error *err)
{
    struct checkpoint_list found = {0};
    status_t st = wasi_goback_find(folder_fd, &l->back, err);
    st = st == ST_OK ? checkpoints_list(folder_fd, &found, err) : st;
    if (st == ST_OK && found.count == 0) {
        st = error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "%s: no checkpoint there", l->folder);
    }
    if (st == ST_OK && (l->rows = calloc(found.count, sizeof *l->rows)) == NULL) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a list of checkpoints");
    }
    for (uint32_t i = 0; st == ST_OK && i < found.count; i++) {
        l->rows[i].number = found.numbers[i];
        take_row(l, folder_fd, i);
        l->count++;
    }
    checkpoints_list_done(&found);
    return st;
}

/* The newest that is taken without --at; NULL. */
static const struct row *taken(const struct list *l)
{
    const struct row *found = NULL;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct row *r = &l->rows[i];
        if (r->has_journal && (l->back.begun == 0 || r->number == l->back.begun)) {
            found = r;
        }
    }
    return found != NULL && found->why_not[0] == '\0' ? found : NULL;
}

static void put_row(const struct row *r, uint64_t now, struct buf *out)
{
    char age[HUMAN_TEXT_BYTES] = "?", size[HUMAN_TEXT_BYTES], holds[32] = "all";
    human_bytes(r->bytes, size);
    if (!r->damaged) {
        human_time(now > r->time_ns ? now - r->time_ns : 0, age);
    }
    if (r->base != 0) {
        snprintf(holds, sizeof holds, "since %u", r->base);
    }
    buf_printf(out, "  %6u  %11s  %11s  %-13s  %s", r->number, age, size, r->damaged ? "?" : holds,
               r->why_not[0] == '\0' ? "yes" : "no: ");
    human_put_text(out, r->why_not, strlen(r->why_not));
    buf_u8(out, '\n');
}

static void put_text(const struct list *l, struct buf *out)
{
    const struct row *newest = taken(l);
    const char *program = "";
    uint64_t now = clock_realtime_ns();
    for (uint32_t i = 0; i < l->count; i++) {
        program = l->rows[i].damaged ? program : l->rows[i].program;
    }
    buf_printf(out, "checkpoints of ");
    human_put_text(out, program, strlen(program));
    buf_printf(out, " in ");
    human_put_text(out, l->folder, strlen(l->folder));
    buf_printf(out, "\n  %6s  %11s  %11s  %-13s  %s\n", "NUMBER", "AGE", "SIZE", "HOLDS",
               "CAN BE GONE BACK TO");
    for (uint32_t i = 0; i < l->count; i++) {
        put_row(&l->rows[i], now, out);
    }
    if (l->back.begun != 0) {
        buf_printf(out, "files were on their way back to %u: thaw goes on with that\n",
                   l->back.begun);
    }
    if (newest != NULL) {
        buf_printf(out, "thaw takes %u, or another one with --at NUMBER\n", newest->number);
    }
}

static void put_json(const struct list *l, struct buf *out)
{
    struct json j = {.out = out};
    const struct row *newest = taken(l);
    json_open(&j, NULL, '{');
    json_text(&j, "kind", "checkpoints");
    json_text(&j, "path", l->folder);
    json_u64(&j, "newest", newest != NULL ? newest->number : 0);
    json_u64(&j, "begun", l->back.begun);
    json_open(&j, "checkpoints", '[');
    for (uint32_t i = 0; i < l->count; i++) {
        const struct row *r = &l->rows[i];
        json_open(&j, NULL, '{');
        json_u64(&j, "number", r->number);
        json_u64(&j, "bytes", r->bytes);
        json_bool(&j, "damaged", r->damaged);
        if (!r->damaged) {
            json_u64(&j, "base", r->base);
            json_u64(&j, "time_ns", r->time_ns);
            json_text(&j, "program", r->program);
        }
        json_bool(&j, "good", r->why_not[0] == '\0');
        json_text(&j, "why", r->why_not);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
}

status_t checkpointlist_put(const char *folder, bool json, struct buf *out, bool *ret_damaged,
                            struct error *err)
{
    struct list l = {.folder = folder};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", folder);
    }
    status_t st = take(fd, &l, err);
    close(fd);
    if (st == ST_OK) {
        *ret_damaged = false;
        for (uint32_t i = 0; i < l.count; i++) {
            *ret_damaged = *ret_damaged || l.rows[i].damaged;
        }
        (json ? put_json : put_text)(&l, out);
    }
    wasi_goback_done(&l.back);
    free(l.rows);
    return st;
}
