#include "before.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "before_state.h"
#include "guest.h"
#include "stat.h"
#include "sys/files.h"

/* ---- the table ---- */

static struct before_file **bucket_of(struct before *b, const struct stat *st)
{
    uint64_t key = ((uint64_t)st->st_ino ^ ((uint64_t)st->st_dev << 40)) *
                   UINT64_C(0x9e3779b97f4a7c15);
    return &b->files[key >> 54];
}

struct before_file *before_find(struct before *b, const struct stat *st)
{
    struct before_file *f = *bucket_of(b, st);
    while (f != NULL && (f->ino != st->st_ino || f->dev != st->st_dev)) {
        f = f->next;
    }
    return f;
}

struct before_file *before_add(struct before *b, const struct stat *st)
{
    struct before_file **bucket = bucket_of(b, st);
    struct before_file *f = calloc(1, sizeof *f);
    if (f == NULL) {
        before_lose(b, ENOMEM, "a list of files");
        return NULL;
    }
    *f = (struct before_file){.dev = st->st_dev, .ino = st->st_ino, .next = *bucket};
    *bucket = f;
    return f;
}

static void forget_files(struct before *b)
{
    for (size_t i = 0; i < BEFORE_BUCKETS; i++) {
        while (b->files[i] != NULL) {
            struct before_file *f = b->files[i];
            b->files[i] = f->next;
            free(f->saved);
            free(f->output);
            free(f);
        }
    }
}

/* ---- the journal ---- */

void before_lose(struct before *b, int errnum, const char *fmt, ...)
{
    va_list args;
    if (b->journal_fd < 0) {
        return;
    }
    va_start(args, fmt);
    int len = vsnprintf(b->lost, sizeof b->lost, fmt, args);
    va_end(args);
    if (errnum != 0 && len >= 0 && (size_t)len < sizeof b->lost) {
        struct error err = {.offset = ERROR_NO_OFFSET};
        status_t st = error_set_errno(&err, errnum, "no before-image of it");
        (void)st;
        snprintf(b->lost + len, sizeof b->lost - (size_t)len, ": %s", err.text);
    }
    /* Room in the head, so that it needs none on a full disk. Some file systems need new room for whatever is written;
     * an empty journal says the same, and so does a snapshot behind the newest journal. */
    if ((file_write_all_at(b->journal_fd, b->lost, strlen(b->lost), JOURNAL_LOST_OFF) != 0 ||
         file_sync_data(b->journal_fd) != 0) &&
        (file_cut(b->journal_fd, 0) != 0 || file_sync_data(b->journal_fd) != 0)) {
        char name[JOURNAL_NAME_BYTES];
        journal_name(b->number, "undo", name);
        unlinkat(b->folder_fd, name, 0);
    }
    close(b->journal_fd);
    b->journal_fd = -1;
}

static void lose_place(struct before *b, int errnum, const struct journal_place *p)
{
    int len;
    const char *text = journal_place_shown(p, WASI_PATH_BYTES_MAX, &len);
    before_lose(b, errnum, "%.*s", len, text);
}

bool before_put(struct before *b, const struct journal_record *r)
{
    struct buf out = {0};
    if (b->journal_fd < 0) {
        return false;
    }
    journal_put(&out, r, NULL);
    bool good = !out.failed && file_write_all_at(b->journal_fd, out.data, out.len, b->end) == 0;
    int errnum = out.failed ? ENOMEM : errno;
    if (good) {
        b->end += out.len;
        b->unsynced = true;
    }
    buf_done(&out);
    if (!good) {
        lose_place(b, errnum, &r->place);
    }
    return good;
}

bool before_sync(struct before *b)
{
    if (b->journal_fd >= 0 && b->unsynced && file_sync_data(b->journal_fd) != 0) {
        before_lose(b, errno, "the journal");
    }
    b->unsynced = false;
    return b->journal_fd >= 0;
}

/* ---- places ---- */

/* The folder of a grant, or -1 and given up. */
static int open_grant(struct before *b, const struct wasi *w, uint32_t grant)
{
    const char *path = w->grants[grant].host_path;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        before_lose(b, errno, "%.200s", w->grants[grant].guest_path);
    }
    return fd;
}

bool before_name(struct before *b, const struct wasi *w, uint32_t grant, int parent_fd,
                 const char *name, char *text, struct journal_place *ret_place)
{
    size_t name_len = strcspn(name, "/");
    int dir_fd = grant == FILE_NO_GRANT ? -1 : open_grant(b, w, grant);
    bool found = dir_fd >= 0 && path_of_fd_beneath(dir_fd, parent_fd, text);
    if (dir_fd >= 0) {
        close(dir_fd);
    }
    size_t len = found ? strlen(text) : 0;
    if (!found || len + 1 + name_len > WASI_PATH_BYTES_MAX) {
        before_lose(b, 0, "%.200s: its folder has no path that a journal can name", name);
        return false;
    }
    if (len > 0) {
        text[len++] = '/';
    }
    memcpy(text + len, name, name_len);
    text[len + name_len] = '\0';
    *ret_place = (struct journal_place){JOURNAL_AT_GRANT, grant, text, len + name_len};
    return true;
}

/* A plain file that is about to change. */
struct target {
    struct before *b;
    const struct wasi *w;
    int fd;
    uint32_t grant;
    uint32_t handed;
    struct stat st;
    struct before_file *file;
    char text[WASI_PATH_BYTES_MAX + 1];
    struct journal_place place;
};

/* Does the path lead to the file? One that has no name any more has a path that leads nowhere. */
static bool leads_to(const struct target *t, int dir_fd)
{
    struct stat st;
    return fstatat(dir_fd, t->text, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == t->st.st_dev &&
           st.st_ino == t->st.st_ino;
}

/* The first time it is as it was at the checkpoint. */
static bool find_output(struct target *t)
{
    const char *text = t->file != NULL ? t->file->output : NULL;
    if (text == NULL && journal_output_text(t->fd, t->text) == ST_OK) {
        text = t->text;
    }
    t->place = (struct journal_place){.origin = JOURNAL_AT_OUTPUT, .index = t->handed};
    if (text != NULL) {
        t->place.path = text;
        t->place.path_len = strlen(text);
    }
    return t->handed == 1 || t->handed == 2;
}

/* Where the file is now: beneath its grant, as a kept one, or standard output. False: it is nowhere that a checkpoint
 * could lead to, so that it needs no image; or given up. */
static bool find_place(struct target *t)
{
    if (t->grant == FILE_NO_GRANT) {
        return find_output(t);
    }
    int dir_fd = open_grant(t->b, t->w, t->grant);
    if (dir_fd < 0) {
        return false;
    }
    bool found = path_of_fd_beneath(dir_fd, t->fd, t->text) && t->text[0] != '\0' &&
                 leads_to(t, dir_fd);
    close(dir_fd);
    t->place = (struct journal_place){.index = t->grant};
    if (found) {
        t->place.path = t->text;
        t->place.path_len = strlen(t->text);
    } else if (t->file != NULL && t->file->kept != 0) {
        t->place = (struct journal_place){.origin = JOURNAL_AT_KEPT, .index = t->file->kept};
        found = true;
    } else if (t->file != NULL && t->file->other) {
        const struct journal_place none = {.path = ""};
        found = before_other_name(t->w, t->grant, &t->st, &none, t->text, &t->place);
    }
    return found;
}

/* A record of its size, where t->place says that it is. */
static bool put_size(struct target *t)
{
    struct journal_record r = {.type = JOURNAL_FILE,
                               .place = t->place,
                               .size = (uint64_t)t->st.st_size,
                               .mtime_ns = stat_ns(t->st.st_mtim)};
    if (t->place.origin == JOURNAL_AT_OUTPUT && t->place.path_len > 0 &&
        (t->file->output = strdup(t->place.path)) == NULL) {
        lose_place(t->b, ENOMEM, &t->place);
        return false;
    }
    return before_put(t->b, &r);
}

/* The file of standard output may be changed by a path first: what goes back with it has to know it, too. */
static bool put_size_of_output(const struct target *t)
{
    struct target output = *t;
    if (t->place.origin == JOURNAL_AT_OUTPUT || !t->b->has_output ||
        t->st.st_ino != t->b->output_ino || t->st.st_dev != t->b->output_dev) {
        return true;
    }
    output.handed = STDOUT_FILENO;
    return find_output(&output) && put_size(&output);
}

/* Look the file up and record its size once. False: there is nothing more to do. */
static bool begin(struct target *t)
{
    if (t->b->journal_fd < 0 || fstat(t->fd, &t->st) != 0 || !S_ISREG(t->st.st_mode)) {
        return false;
    }
    t->file = before_find(t->b, &t->st);
    if ((t->file != NULL && t->file->made) || !find_place(t)) {
        return false;
    }
    if (t->file == NULL && (t->file = before_add(t->b, &t->st)) == NULL) {
        return false;
    }
    if (!t->file->recorded) {
        t->file->size = (uint64_t)t->st.st_size;
        t->file->saved = calloc(t->file->size / BEFORE_GRANULE_BYTES / 8 + 1, 1);
        if (t->file->saved == NULL) {
            lose_place(t->b, ENOMEM, &t->place);
            return false;
        }
        t->file->recorded = put_size(t) && put_size_of_output(t);
    }
    return t->file->recorded;
}

/* ---- bytes ---- */

static bool is_saved(const struct before_file *f, uint64_t granule)
{
    return (f->saved[granule / 8] >> (granule % 8)) & 1;
}

/* Read what is there; fewer bytes where the file has become shorter. */
static ssize_t read_old(int fd, uint8_t *data, size_t len, uint64_t at)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, data + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Granules [first, last] have no image yet and fit into one record. */
static bool save_run(struct target *t, int read_fd, uint8_t *data, uint64_t first, uint64_t last)
{
    uint64_t at = first * BEFORE_GRANULE_BYTES, end = (last + 1) * BEFORE_GRANULE_BYTES;
    end = end < t->file->size ? end : t->file->size;
    ssize_t n = read_old(read_fd, data, (size_t)(end - at), at);
    if (n < 0) {
        lose_place(t->b, errno, &t->place);
        return false;
    }
    struct journal_record r = {
        .type = JOURNAL_DATA, .place = t->place, .offset = at, .data = data, .data_len = (size_t)n};
    if (n > 0 && !before_put(t->b, &r)) {
        return false;
    }
    for (uint64_t g = first; g <= last; g++) {
        t->file->saved[g / 8] |= (uint8_t)(1u << (g % 8));
    }
    return true;
}

static bool save_granules(struct target *t, uint64_t first, uint64_t last)
{
    enum { RUN_MAX = JOURNAL_DATA_MAX / BEFORE_GRANULE_BYTES };
    char link[64];
    uint8_t *data = malloc(JOURNAL_DATA_MAX);
    /* The guest's descriptor may be for writing only. */
    snprintf(link, sizeof link, "/proc/self/fd/%d", t->fd);
    int fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool good = data != NULL && fd >= 0;
    if (!good) {
        lose_place(t->b, data == NULL ? ENOMEM : errno, &t->place);
    }
    for (uint64_t g = first; good && g <= last; g++) {
        uint64_t end = g;
        if (is_saved(t->file, g)) {
            continue;
        }
        while (end < last && end - g + 1 < RUN_MAX && !is_saved(t->file, end + 1)) {
            end++;
        }
        good = save_run(t, fd, data, g, end);
        g = end;
    }
    if (fd >= 0) {
        close(fd);
    }
    free(data);
    return good;
}

/* [from, to) of the file is about to go. */
static void save_range(struct target *t, uint64_t from, uint64_t to)
{
    to = to < t->file->size ? to : t->file->size;
    if (from >= to) {
        return;
    }
    uint64_t first = from / BEFORE_GRANULE_BYTES, last = (to - 1) / BEFORE_GRANULE_BYTES;
    while (first <= last && is_saved(t->file, first)) {
        first++;
    }
    if (first <= last) {
        (void)save_granules(t, first, last);
    }
}

static struct target target_of(const struct wasi *w, uint32_t grant, uint32_t handed, int fd)
{
    return (struct target){.b = w->before, .w = w, .fd = fd, .grant = grant, .handed = handed};
}

void before_write(struct wasi *w, const struct file_use *u, uint64_t offset, size_t len)
{
    struct target t = target_of(w, u->file->grant, u->file->handed, u->file->host_fd);
    pthread_mutex_lock(&t.b->lock);
    if (begin(&t)) {
        bool appends = offset == IO_AT_OFFSET && (u->flags & FDFLAG_APPEND) != 0;
        off_t at = appends                  ? t.st.st_size
                   : offset == IO_AT_OFFSET ? lseek(t.fd, 0, SEEK_CUR)
                                            : (off_t)offset;
        if (at >= 0) {
            save_range(&t, (uint64_t)at, (uint64_t)at + len);
        }
        (void)before_sync(t.b);
    }
    pthread_mutex_unlock(&t.b->lock);
}

static enum wasi_errno resize(void *ctx, struct target *t, uint64_t size)
{
    enum wasi_errno e = WASI_OK;
    pthread_mutex_lock(&t->b->lock);
    bool good = begin(t);
    uint64_t end = good ? t->file->size : 0;
    for (uint64_t at = size; e == WASI_OK && good && at < end; at += JOURNAL_DATA_MAX) {
        save_range(t, at, at + JOURNAL_DATA_MAX);
        good = t->b->journal_fd >= 0;
        if (!host_wait_begin(ctx)) {
            e = WASI_INTR;
        } else {
            host_block_end(ctx);
        }
    }
    (void)before_sync(t->b);
    pthread_mutex_unlock(&t->b->lock);
    return e;
}

enum wasi_errno before_resize(void *ctx, struct wasi *w, const struct file *f, uint64_t size)
{
    struct target t = target_of(w, f->grant, f->handed, f->host_fd);
    return resize(ctx, &t, size);
}

enum wasi_errno before_resize_fd(void *ctx, struct wasi *w, uint32_t grant, int host_fd,
                                 uint64_t size)
{
    struct target t = target_of(w, grant, FILE_NOT_HANDED, host_fd);
    return resize(ctx, &t, size);
}

void before_touch(struct wasi *w, uint32_t grant, int host_fd)
{
    struct target t = target_of(w, grant, FILE_NOT_HANDED, host_fd);
    pthread_mutex_lock(&t.b->lock);
    if (begin(&t)) {
        (void)before_sync(t.b);
    }
    pthread_mutex_unlock(&t.b->lock);
}

/* ---- life ---- */

static status_t lock_folder(int fd, struct error *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        return ST_OK;
    }
    return errno == EWOULDBLOCK
               ? error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                           "a running program keeps its checkpoints in this folder")
               : error_set_errno(err, errno, "folder of checkpoints");
}

status_t wasi_undo_lock(const char *path, int *ret_fd, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    status_t st = lock_folder(fd, err);
    if (st != ST_OK) {
        close(fd);
        return st;
    }
    *ret_fd = fd;
    return ST_OK;
}

/* A new journal under a temporary name, complete on disk. */
static status_t make_journal(const struct wasi *w, int folder_fd, const char *name,
                             const struct journal_head *h, int *ret_fd, uint64_t *ret_end,
                             struct error *err)
{
    struct buf out = {0};
    const char **guests = calloc(w->grant_count + 1, sizeof *guests);
    struct journal_record r = {.type = JOURNAL_GRANTS, .grant_count = w->grant_count};
    for (uint32_t i = 0; guests != NULL && i < w->grant_count; i++) {
        guests[i] = w->grants[i].guest_path;
    }
    journal_put_head(&out, h);
    if (guests != NULL) {
        journal_put(&out, &r, guests);
    }
    status_t st = ST_OK;
    int fd = -1;
    if (guests == NULL || out.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a journal");
    } else if ((fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0 ||
               file_write_all_at(fd, out.data, out.len, 0) != 0 || file_sync(fd) != 0) {
        st = error_set_errno(err, errno, "journal of the checkpoint");
    }
    *ret_end = out.len;
    buf_done(&out);
    free(guests);
    if (st == ST_OK) {
        *ret_fd = fd;
    } else if (fd >= 0) {
        close(fd);
        unlinkat(folder_fd, name, 0);
    }
    return st;
}

static status_t before_new(struct wasi *w, int folder_fd, struct error *err)
{
    struct before *b = calloc(1, sizeof *b);
    struct stat st;
    if (b == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for before-images");
    }
    pthread_mutex_init(&b->lock, NULL);
    b->folder_fd = folder_fd;
    b->folder_dev = fstat(folder_fd, &st) == 0 ? st.st_dev : 0;
    b->journal_fd = -1;
    w->before = b;
    return ST_OK;
}

/* Which file standard output is, whatever the guest calls it. */
static void find_output_file(const struct wasi *w, struct before *b)
{
    struct stat st;
    b->has_output = false;
    for (const struct file *f = w->files.all; f != NULL; f = f->next) {
        if (f->handed == STDOUT_FILENO && fstat(f->host_fd, &st) == 0 && S_ISREG(st.st_mode)) {
            b->has_output = true;
            b->output_dev = st.st_dev;
            b->output_ino = st.st_ino;
        }
    }
}

/* The journal in its place: from here on it is the one that is written. */
static status_t switch_to(struct wasi *w, struct before *b, int folder_fd, uint32_t number,
                          uint32_t follows, struct error *err)
{
    static const char temporary[] = ".undo.part";
    const struct journal_head head = {.number = number, .follows = follows};
    char name[JOURNAL_NAME_BYTES];
    uint64_t end = 0;
    int fd = -1;
    journal_name(number, "undo", name);
    status_t st = make_journal(w, folder_fd, temporary, &head, &fd, &end, err);
    if (st == ST_OK &&
        (renameat(folder_fd, temporary, folder_fd, name) != 0 || file_sync(folder_fd) != 0)) {
        st = error_set_errno(err, errno, "journal of the checkpoint");
        close(fd);
        unlinkat(folder_fd, temporary, 0);
    }
    if (st != ST_OK) {
        return st;
    }
    if (b->journal_fd >= 0) {
        close(b->journal_fd);
    }
    forget_files(b);
    find_output_file(w, b);
    b->journal_fd = fd;
    b->number = number;
    b->kept_count = 0;
    b->end = end;
    b->lost[0] = '\0';
    return ST_OK;
}

static bool same_folder(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

status_t wasi_undo_begin(struct wasi *w, int folder_fd, uint32_t number, struct error *err)
{
    char name[JOURNAL_NAME_BYTES];
    struct before *old = w->before;
    bool same = old != NULL && same_folder(old->folder_fd, folder_fd);
    int fd = -1;
    journal_name(number, "undo", name);
    if (number == 0 || number > UNDO_NUMBER_MAX ||
        faccessat(folder_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "checkpoint %u is there already", number);
    }
    if (same) {
        return switch_to(w, old, old->folder_fd, number, old->number, err);
    }
    /* A descriptor of its own, since the lock is the open file's. */
    if ((fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        return error_set_errno(err, errno, "folder of checkpoints");
    }
    status_t st = lock_folder(fd, err);
    w->before = NULL;
    st = st == ST_OK ? before_new(w, fd, err) : st;
    st = st == ST_OK ? switch_to(w, w->before, fd, number, 0, err) : st;
    if (st == ST_OK) {
        if (old != NULL) {
            before_lose(old, 0, "its later checkpoints are in another folder");
        }
        before_free(old);
        return ST_OK;
    }
    if (w->before == NULL) {
        close(fd);
    }
    before_free(w->before);
    w->before = old;
    return st;
}

status_t wasi_undo_resume(struct wasi *w, int folder_fd, uint32_t number, struct error *err)
{
    uint8_t bytes[JOURNAL_HEAD_BYTES];
    char name[JOURNAL_NAME_BYTES];
    struct journal_head head;
    journal_name(number, "undo", name);
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);
    status_t st = ST_OK;
    if (fd < 0 || file_read_all(fd, bytes, sizeof bytes) != 0) {
        st = error_set_errno(err, errno == 0 ? EIO : errno, "%s", name);
    }
    if (fd >= 0) {
        close(fd);
    }
    st = st == ST_OK ? journal_get_head(bytes, &head, err) : st;
    st = st == ST_OK ? before_new(w, folder_fd, err) : st;
    if (st != ST_OK) {
        close(folder_fd);
        return st;
    }
    return switch_to(w, w->before, folder_fd, number, head.follows, err);
}

const char *wasi_undo_lost(const struct wasi *w)
{
    return w->before != NULL && w->before->lost[0] != '\0' ? w->before->lost : NULL;
}

void wasi_undo_give_up(struct wasi *w, const char *why)
{
    if (w->before != NULL) {
        before_lose(w->before, 0, "%s", why);
    }
}

/* On disk before it returns. */
static status_t write_leaving(struct before *b, const char *path, uint64_t inode, struct error *err)
{
    struct buf bytes = {0};
    status_t st = ST_OK;
    journal_put_leaving(&bytes, path, inode);
    if (bytes.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    } else if (file_write_all_at(b->journal_fd, bytes.data, bytes.len, JOURNAL_LEAVING_OFF) != 0 ||
               file_sync_data(b->journal_fd) != 0) {
        st = error_set_errno(err, errno, "journal of the checkpoint");
    }
    buf_done(&bytes);
    return st;
}

status_t wasi_undo_leaving(struct wasi *w, const char *path, uint64_t inode, struct error *err)
{
    struct before *b = w->before;
    if (b == NULL || b->journal_fd < 0 || strlen(path) > JOURNAL_LEAVING_PATH_MAX) {
        return ST_OK;
    }
    if (path[0] == '\0') {
        return error_set(
            err, ST_IO, ERROR_NO_OFFSET,
            "the journal of the checkpoint needs the snapshot's path (is there a /proc?)");
    }
    return write_leaving(b, path, inode, err);
}

void wasi_undo_stays(struct wasi *w)
{
    struct before *b = w->before;
    struct error err = {.offset = ERROR_NO_OFFSET};
    if (b != NULL && b->journal_fd >= 0) {
        status_t st = write_leaving(b, "", 0, &err);
        (void)st; /* what stays there names a file that is not there */
    }
}

void before_free(struct before *b)
{
    if (b == NULL) {
        return;
    }
    forget_files(b);
    if (b->journal_fd >= 0) {
        close(b->journal_fd);
    }
    close(b->folder_fd);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
