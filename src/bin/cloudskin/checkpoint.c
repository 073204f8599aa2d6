#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoints/folder.h"
#include "sys/files.h"

/* ---- making one ---- */

static bool write_to_fd(void *arg, const void *data, size_t len)
{
    return file_write_all(*(const int *)arg, data, len) == 0;
}

/* Add to p->pages what was written since the last checkpoint; false: nobody knows. */
static bool harvest(struct checkpointer *p, struct cell *c)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    if (p->untracked) {
        return false;
    }
    if (p->track == NULL && track_start(c, &p->track, &err) != ST_OK) {
        p->untracked = true;
        return false;
    }
    if (track_harvest(p->track, &p->pages, &err) == ST_OK) {
        return true;
    }
    /* Begin anew next time: its first harvest has all pages. */
    track_stop(p->track);
    p->track = NULL;
    return false;
}

static status_t write_snapshot(struct checkpointer *p, struct cell *c, struct wasi *w,
                               struct snapshot_info *info, int fd, uint32_t base,
                               struct checkpoint_made *ret_made, struct error *err)
{
    const struct snapshot_sink sink = {.write = write_to_fd, .arg = &fd};
    struct page_set written = {0};
    struct buf state = {0};
    char base_name[CHECKPOINT_FILE_BYTES];
    struct snapshot_options options = {0};
    bool known = harvest(p, c);
    ret_made->base = known && base != 0 ? base : 0;
    if (ret_made->base != 0) {
        checkpoints_file(base, "snap", base_name);
        options = (struct snapshot_options){p->last_id, base_name, &p->pages};
    } else if (track_written(c, &written, NULL) == ST_OK) {
        options.pages = &written;
    }
    status_t st = wasi_save(w, &state, err);
    if (st == ST_OK) {
        st = snapshot_write_with(c, info, &options, state.data, state.len, &sink, &ret_made->sizes,
                                 err);
    }
    buf_done(&state);
    page_set_done(&written);
    return st;
}

/* Another folder may have a checkpoint of the same number. */
static bool is_last(const struct checkpointer *p, uint32_t number, const struct stat *folder)
{
    return number == p->last && folder->st_dev == p->last_dev && folder->st_ino == p->last_ino;
}

status_t checkpoint_write(struct checkpointer *p, struct cell *c, struct wasi *w,
                          struct snapshot_info *info, int folder_fd, uint32_t number, uint32_t base,
                          struct checkpoint_made *ret_made, struct error *err)
{
    char part[CHECKPOINT_FILE_BYTES];
    struct stat folder;
    checkpoints_file(number, "part", part);
    if (fstat(folder_fd, &folder) != 0) {
        return error_set_errno(err, errno, "folder of checkpoints");
    }
    base = is_last(p, base, &folder) ? base : 0;
    int fd = openat(folder_fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", part);
    }
    status_t st = write_snapshot(p, c, w, info, fd, base, ret_made, err);
    if (close(fd) != 0 && st == ST_OK) {
        st = error_set_errno(err, errno, "%s", part);
    }
    st = st == ST_OK ? wasi_undo_begin(w, folder_fd, number, err) : st;
    if (st != ST_OK) {
        unlinkat(folder_fd, part, 0);
        return st;
    }
    page_set_clear(&p->pages);
    p->last = number;
    p->last_dev = folder.st_dev;
    p->last_ino = folder.st_ino;
    memcpy(p->last_id, info->id, sizeof p->last_id);
    return ST_OK;
}

void checkpointer_done(struct checkpointer *p)
{
    track_stop(p->track);
    page_set_done(&p->pages);
    *p = (struct checkpointer){0};
}

/* ---- which one ---- */

static status_t no_such(const struct checkpoint_list *l, uint32_t at, const char *folder,
                        struct error *err)
{
    if (l->count == 0) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "%s: no checkpoint there", folder);
    }
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                     "%s: no checkpoint %u; there are %u, from %u to %u", folder, at, l->count,
                     l->numbers[0], l->numbers[l->count - 1]);
}

/* Snapshots that are only kept because others are increments on them have no before-images any more. */
static void drop_bases(int folder_fd, struct checkpoint_list *l)
{
    char undo[CHECKPOINT_FILE_BYTES];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->count; i++) {
        checkpoints_file(l->numbers[i], "undo", undo);
        if (faccessat(folder_fd, undo, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            l->numbers[kept++] = l->numbers[i];
        }
    }
    l->count = kept;
}

static status_t choose(struct checkpoint_place *p, uint32_t at, struct error *err)
{
    struct checkpoint_list l = {0};
    uint32_t begun = 0;
    status_t st = checkpoints_list(p->folder_fd, &l, err);
    drop_bases(p->folder_fd, &l);
    st = st == ST_OK ? wasi_undo_begun(p->folder_fd, &begun, err) : st;
    at = at == 0 ? begun : at;
    for (uint32_t i = 0; st == ST_OK && i < l.count; i++) {
        p->before = p->number;
        p->number = l.numbers[i];
        if (p->number == at) {
            break;
        }
    }
    if (st == ST_OK) {
        p->newest = l.count > 0 ? l.numbers[l.count - 1] : 0;
        st = p->number == 0 || (at != 0 && p->number != at) ? no_such(&l, at, p->folder, err)
                                                            : ST_OK;
    }
    checkpoints_list_done(&l);
    return st;
}

/* Is path a snapshot in a folder of checkpoints? Then its folder and number are. */
static bool split_path(const char *path, struct checkpoint_place *p, uint32_t *ret_at)
{
    const char *slash = strrchr(path, '/'), *suffix;
    const char *name = slash != NULL ? slash + 1 : path;
    char undo[PATH_MAX];
    size_t len = (size_t)(name - path);
    if (!undo_file_parse(name, ret_at, &suffix) || strcmp(suffix, "snap") != 0 ||
        len + CHECKPOINT_FILE_BYTES >= sizeof p->folder) {
        return false;
    }
    snprintf(p->folder, sizeof p->folder, "%.*s", len > 1 ? (int)len - 1 : 1, len > 0 ? path : ".");
    int n = snprintf(undo, sizeof undo, "%.*s%06u.undo", (int)len, path, *ret_at);
    return n > 0 && (size_t)n < sizeof undo && access(undo, F_OK) == 0;
}

status_t checkpoint_find(const char *path, const char *name, uint32_t at, bool *ret_is,
                         struct checkpoint_place *ret_place, struct error *err)
{
    struct checkpoint_place p = {.folder_fd = -1};
    struct stat st;
    uint32_t in_path = 0;
    status_t code = ST_OK;
    *ret_is = true;
    if (path == NULL) {
        code = checkpoints_folder(name, p.folder, err);
    } else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && strlen(path) < sizeof p.folder) {
        memcpy(p.folder, path, strlen(path) + 1);
    } else if (!split_path(path, &p, &in_path)) {
        *ret_is = false;
        return at == 0 ? ST_OK
                       : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                                   "--at is for folders of checkpoints, and %s is none", path);
    }
    code = code == ST_OK ? wasi_undo_lock(p.folder, &p.folder_fd, err) : code;
    code = code == ST_OK ? choose(&p, in_path != 0 ? in_path : at, err) : code;
    if (code != ST_OK && p.folder_fd >= 0) {
        close(p.folder_fd);
    }
    if (code == ST_OK) {
        *ret_place = p;
    }
    return code;
}
