#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "before.h"
#include "dir.h"
#include "guest.h"
#include "objectsave.h"
#include "saved.h"
#include "stat.h"

/* One descriptor on its way into the state. */
struct item {
    struct wasi *w;
    struct buf *out;
    uint32_t fd;
    const struct file_use *use;
    struct file *file;
    struct stat st;
    char path[WASI_PATH_BYTES_MAX + 1]; /* where the file is now; "" without one */
};

static status_t refuse(const struct item *it, struct error *err, const char *what)
{
    return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "descriptor %u: %s", it->fd, what);
}

static void put_strings(struct buf *out, const struct strings *s)
{
    buf_le32(out, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        saved_put_text(out, s->items[i], strlen(s->items[i]));
    }
}

/* ---- where a file is ---- */

/* True when path beneath dir_fd leads to the file of st. */
static bool leads_to(const struct item *it, int dir_fd, const char *path)
{
    struct stat st;
    int fd = -1;
    const char *name = path[0] == '\0' ? "." : path;
    if (path_open_beneath(it->w->path_method, dir_fd, name, O_PATH, 0, &fd) != WASI_OK) {
        return false;
    }
    bool same = fstat(fd, &st) == 0 && st.st_dev == it->st.st_dev && st.st_ino == it->st.st_ino;
    close(fd);
    return same;
}

/* The path beneath dir_fd of a file that was renamed, as far as the host knows it. */
static bool current_path(struct item *it, int dir_fd)
{
    return path_of_fd_beneath(dir_fd, it->file->host_fd, it->path);
}

static bool find_path(struct item *it, int dir_fd)
{
    const char *opened = it->file->path;
    if (opened != NULL && leads_to(it, dir_fd, opened)) {
        memcpy(it->path, opened, strlen(opened) + 1);
        return true;
    }
    return it->file->preopen == NULL && current_path(it, dir_fd) && leads_to(it, dir_fd, it->path);
}

/* Why no path leads to it. The links that checkpoints keep are none of its names. */
static const char *why_lost(const struct item *it)
{
    struct stat st = it->st;
    if (before_is_on(it->w)) {
        before_hide_links(it->w, &st);
    }
    return st.st_nlink == 0
               ? "has no name any more (removed while it is open, as tmpfile() does), so "
                 "no thaw would find it"
               : "is not beneath its folder any more";
}

static status_t locate(struct item *it, struct error *err)
{
    const struct wasi_grant *g = &it->w->grants[it->file->grant];
    int dir_fd = open(g->host_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "descriptor %u: its folder %.150s is not there any more", it->fd,
                         g->host_path);
    }
    bool found = find_path(it, dir_fd);
    close(dir_fd);
    if (found) {
        return ST_OK;
    }
    const char *name = it->file->path == NULL ? "its file" : it->file->path;
    const char *slash = name[0] == '\0' || strcmp(g->guest_path, "/") == 0 ? "" : "/";
    return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "descriptor %u: %.70s%s%.70s %s", it->fd,
                     g->guest_path, slash, name, why_lost(it));
}

/* ---- records ---- */

static void put_head(const struct item *it, uint8_t origin, uint32_t index)
{
    static const struct ids_key lost;
    const struct file *f = it->file;
    buf_le32(it->out, it->fd);
    buf_u8(it->out, origin);
    buf_u8(it->out, (uint8_t)f->kind);
    buf_u8(it->out, f->filetype);
    buf_u8(it->out, (uint8_t)((f->read_only ? SAVED_READ_ONLY : 0) |
                              (f->preopen != NULL ? SAVED_PREOPEN : 0)));
    buf_le16(it->out, it->use->flags);
    buf_le64(it->out, it->use->rights_base);
    buf_le64(it->out, it->use->rights_inheriting);
    buf_le32(it->out, index);
    saved_put_text(it->out, it->path, strlen(it->path));
    struct ids_key own = {it->st.st_dev, it->st.st_ino};
    saved_put_key(it->out, f->handed == FILE_LOST ? lost
                           : f->object != NULL    ? own
                                                  : stat_shown(&it->w->ids, &it->st));
}

static status_t put_plain(const struct item *it, struct error *err)
{
    off_t at = lseek(it->file->host_fd, 0, SEEK_CUR);
    if (at < 0) {
        return error_set_errno(err, errno, "descriptor %u: its offset", it->fd);
    }
    buf_le64(it->out, (uint64_t)at);
    buf_le64(it->out, S_ISREG(it->st.st_mode) ? (uint64_t)it->st.st_size : 0);
    buf_le64(it->out, stat_ns(it->st.st_mtim));
    return ST_OK;
}

static status_t put_directory(const struct item *it, struct error *err)
{
    struct dirlist *made = NULL;
    enum wasi_errno e = dir_list(&it->w->ids, it->file, &made);
    if (e == WASI_NOMEM) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a list of entries");
    }
    if (e != WASI_OK) {
        return refuse(it, err,
                      e == WASI_OVERFLOW ? "it reads a directory of too many entries to travel"
                                         : "the directory that it reads cannot be read now");
    }
    saved_put_list(it->out, it->file->list != NULL ? it->file->list : made);
    dirlist_free(made);
    return ST_OK;
}

static status_t put_details(const struct item *it, struct error *err)
{
    if (it->file->kind == FILE_PLAIN) {
        return put_plain(it, err);
    }
    return it->file->kind == FILE_DIRECTORY ? put_directory(it, err) : ST_OK;
}

static status_t put_path(struct item *it, struct error *err)
{
    if (it->file->kind == FILE_STREAM && it->file->filetype != FILETYPE_CHARACTER_DEVICE) {
        return refuse(it, err, "a named pipe cannot travel");
    }
    status_t st = locate(it, err);
    if (st != ST_OK) {
        return st;
    }
    put_head(it, SAVED_ORIGIN_PATH, it->file->grant);
    return put_details(it, err);
}

/* Beneath a bucket. The object is looked for by its name and etag. */
static status_t put_object(struct item *it, struct error *err)
{
    const struct object *o = it->file->object;
    const char *path = object_path(it->file);
    status_t st = saved_check_object(it->file, it->fd, err);
    if (st != ST_OK) {
        return st;
    }
    if (object_stat_file(it->file, &it->st) != WASI_OK) {
        return refuse(it, err, "its attributes cannot be read");
    }
    memcpy(it->path, path, strlen(path) + 1);
    put_head(it, SAVED_ORIGIN_BUCKET, it->file->grant);
    st = put_details(it, err);
    if (st == ST_OK && it->file->kind == FILE_PLAIN) {
        const char *etag = o->staged != NULL ? o->staged->info.etag : o->info.etag;
        saved_put_text(it->out, etag, strlen(etag));
        buf_le32(it->out, o->staged != NULL ? saved_staged_number(it->w, o->staged) : 0);
    }
    return st;
}

static status_t put_file(struct item *it, struct error *err)
{
    struct file *f = it->file;
    if (f->handed == FILE_LOST) {
        const char *name = f->preopen == NULL ? "" : f->preopen;
        memcpy(it->path, name, strlen(name) + 1);
        put_head(it, SAVED_ORIGIN_LOST, 0);
        return put_details(it, err);
    }
    if (f->object != NULL) {
        return put_object(it, err);
    }
    if (fstat(f->host_fd, &it->st) != 0) {
        return error_set_errno(err, errno, "descriptor %u", it->fd);
    }
    if (f->handed < FILE_HANDED_LISTEN) {
        put_head(it, SAVED_ORIGIN_STDIO, f->handed);
        return put_details(it, err);
    }
    if (f->kind == FILE_SOCKET) {
        return refuse(it, err, "a connected socket cannot travel");
    }
    if (f->kind == FILE_LISTENER && f->handed == FILE_NOT_HANDED) {
        return refuse(it, err, "a listening socket that was not handed in cannot travel");
    }
    if (f->handed != FILE_NOT_HANDED) {
        put_head(it, SAVED_ORIGIN_LISTEN, f->handed - FILE_HANDED_LISTEN);
        return put_details(it, err);
    }
    return f->grant == FILE_NO_GRANT ? refuse(it, err, "its file has no path") : put_path(it, err);
}

static status_t put_files(struct wasi *w, struct buf *out, struct error *err)
{
    size_t count_at = out->len;
    uint32_t count = 0;
    buf_le32(out, 0);
    for (uint32_t fd = 0; fd < w->files.slot_cap; fd++) {
        struct file_use use;
        if (fdtable_use(&w->files, fd, 0, &use) != WASI_OK) {
            continue;
        }
        struct item it = {.w = w, .out = out, .fd = fd, .use = &use, .file = use.file};
        status_t st = put_file(&it, err);
        file_put(&w->files, &use);
        if (st != ST_OK) {
            return st;
        }
        count++;
    }
    if (!out->failed) {
        buf_patch_le32(out, count_at, count);
    }
    return ST_OK;
}

static void put_grants(const struct wasi *w, struct buf *out)
{
    buf_le32(out, w->grant_count);
    for (uint32_t i = 0; i < w->grant_count; i++) {
        struct saved_root root = saved_root_of(&w->grants[i]);
        saved_put_text(out, w->grants[i].guest_path, strlen(w->grants[i].guest_path));
        saved_put_root(out, &root);
        if (w->bucket_count > 0) {
            saved_put_place(out, &w->grants[i]);
        }
    }
}

status_t wasi_save(struct wasi *w, struct buf *out, struct error *err)
{
    size_t begin = out->len;
    buf_le32(out, SAVED_MAGIC);
    buf_le32(out, w->bucket_count > 0 ? SAVED_VERSION_BUCKETS : SAVED_VERSION_IDS);
    buf_le64(out, clock_now_ns(CLOCK_REALTIME));
    buf_le64(out, clock_guest_ns(w));
    buf_le64(out, atomic_load(&w->cpu_seen_ns));
    buf_le64(out, atomic_load(&w->output_bytes));
    buf_le64(out, w->progress);
    put_strings(out, &w->args);
    put_strings(out, &w->env);
    put_grants(w, out);
    saved_put_ids(out, &w->ids);
    status_t st = w->bucket_count > 0 ? saved_put_staged(w, out, err) : ST_OK;
    st = st == ST_OK ? put_files(w, out, err) : st;
    if (st == ST_OK && out->failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the WASI state");
    }
    if (st != ST_OK) {
        out->len = begin;
    }
    return st;
}
