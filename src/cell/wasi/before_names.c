#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "before_state.h"
#include "sys/files.h"

/* Before-images of names. A removed file is kept as a hard link, which costs nothing; where the folder is on another
 * file system, as a copy. */

#define COPY_BYTES_MAX ((off_t)64 << 20)

static bool stat_name(int parent_fd, const char *name, struct stat *ret_st)
{
    char plain[WASI_NAME_BYTES_MAX + 1];
    size_t len = strcspn(name, "/");
    if (len > WASI_NAME_BYTES_MAX) {
        return false;
    }
    memcpy(plain, name, len);
    plain[len] = '\0';
    return fstatat(parent_fd, plain, ret_st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What has a name that can be removed or moved as it is written: "name/" is for folders only. */
static bool stat_movable(int parent_fd, const char *name, struct stat *ret_st)
{
    return stat_name(parent_fd, name, ret_st) &&
           (strchr(name, '/') == NULL || S_ISDIR(ret_st->st_mode));
}

static bool is_made(struct before *b, const struct stat *st)
{
    const struct before_file *f = before_find(b, st);
    return f != NULL && f->made;
}

/* ---- what is removed ---- */

static bool keep_copy(struct before *b, int parent_fd, const char *name, const struct stat *st,
                      const char *kept)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (!S_ISREG(st->st_mode) || st->st_size > COPY_BYTES_MAX) {
        errno = EXDEV;
        return false;
    }
    int from = openat(parent_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int to = openat(b->folder_fd, kept, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = from >= 0 && to >= 0 && file_copy_rest(from, to) == 0 &&
                fchmod(to, st->st_mode & 07777) == 0 && futimens(to, times) == 0 &&
                file_sync(to) == 0;
    int errnum = errno;
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    errno = errnum;
    return good;
}

static bool keep_link(struct before *b, int parent_fd, const char *name, const char *kept)
{
    int result = linkat(parent_fd, name, b->folder_fd, kept, 0);
    if (result != 0 && errno == EEXIST) { /* left over from a journal that was undone */
        unlinkat(b->folder_fd, kept, 0);
        result = linkat(parent_fd, name, b->folder_fd, kept, 0);
    }
    return result == 0;
}

/* One of several names of a file, for which no link could be made (errnum says why): a copy would
 * be another file than what the others lead to. */
static bool keep_other_name(struct before *b, const struct wasi *w, const struct stat *st,
                            const struct journal_place *place, int errnum, char *text,
                            struct journal_entry *e)
{
    struct journal_place other;
    struct before_file *f = before_find(b, st);
    if (f == NULL && (f = before_add(b, st)) == NULL) {
        return false;
    }
    if (!before_other_name(w, place->index, st, place, text, &other)) {
        if (errnum == EXDEV) {
            before_lose(
                b, 0,
                "%.*s has names elsewhere, and is on another file system than the checkpoints",
                (int)place->path_len, place->path);
        } else {
            before_lose(b, errnum, "%.*s", (int)place->path_len, place->path);
        }
        return false;
    }
    f->other = true;
    *e = (struct journal_entry){
        .was = JOURNAL_WAS_NAME, .link = other.path, .link_len = other.path_len};
    return true;
}

static bool keep_file(struct before *b, const struct wasi *w, int parent_fd, const char *name,
                      const struct stat *st, const struct journal_place *place, char *text,
                      struct journal_entry *e)
{
    char kept[JOURNAL_NAME_BYTES];
    uint32_t number = b->kept_count + 1;
    journal_kept_name(b->number, number, kept);
    bool linked = keep_link(b, parent_fd, name, kept);
    int errnum = errno;
    struct before_file *f = NULL;
    if (linked && (f = before_find(b, st)) == NULL && (f = before_add(b, st)) == NULL) {
        return false;
    }
    if (linked) {
        f->kept = number;
    } else if (st->st_nlink > 1) {
        return keep_other_name(b, w, st, place, errnum, text, e);
    } else if (!keep_copy(b, parent_fd, name, st, kept)) {
        before_lose(b, errno, "%.*s", (int)place->path_len, place->path);
        return false;
    }
    if (file_sync(b->folder_fd) != 0) {
        before_lose(b, errno, "folder of checkpoints");
        return false;
    }
    b->kept_count = number;
    *e = (struct journal_entry){.was = JOURNAL_WAS_KEPT, .value = number};
    return true;
}

/* What stands behind a name that is about to be removed. link: room for a text. False: given up. */
static bool keep_name(struct before *b, const struct wasi *w, int parent_fd, const char *name,
                      const struct stat *st, const struct journal_place *place, char *link,
                      struct journal_entry *e)
{
    if (S_ISDIR(st->st_mode)) {
        *e = (struct journal_entry){.was = JOURNAL_WAS_DIRECTORY, .value = st->st_mode & 07777};
        return true;
    }
    if (!S_ISLNK(st->st_mode) || st->st_nlink > 1) {
        return keep_file(b, w, parent_fd, name, st, place, link, e);
    }
    ssize_t n = readlinkat(parent_fd, name, link, WASI_PATH_BYTES_MAX);
    if (n <= 0) {
        before_lose(b, errno, "%.*s", (int)place->path_len, place->path);
        return false;
    }
    *e = (struct journal_entry){.was = JOURNAL_WAS_LINK, .link = link, .link_len = (size_t)n};
    return true;
}

/* ---- the three changes ---- */

void before_create(struct wasi *w, uint32_t grant, int parent_fd, const char *name, bool directory)
{
    struct before *b = w->before;
    struct stat st;
    char text[WASI_PATH_BYTES_MAX + 1];
    pthread_mutex_lock(&b->lock);
    struct journal_record r = {.type = JOURNAL_CREATE, .directory = directory};
    if (b->journal_fd >= 0 && !stat_name(parent_fd, name, &st) &&
        before_name(b, w, grant, parent_fd, name, text, &r.place) && before_put(b, &r)) {
        (void)before_sync(b);
    }
    pthread_mutex_unlock(&b->lock);
}

void before_created(struct wasi *w, int parent_fd, const char *name)
{
    struct before *b = w->before;
    struct stat st;
    pthread_mutex_lock(&b->lock);
    if (b->journal_fd >= 0 && stat_name(parent_fd, name, &st)) {
        struct before_file *f = before_find(b, &st);
        f = f != NULL ? f : before_add(b, &st);
        if (f != NULL) {
            /* a number that was an older file's, of which nothing is left but perhaps a copy */
            f->made = true;
            f->kept = 0;
            f->other = false;
        }
    }
    pthread_mutex_unlock(&b->lock);
}

void before_remove(struct wasi *w, uint32_t grant, int parent_fd, const char *name)
{
    struct before *b = w->before;
    struct stat st;
    char text[WASI_PATH_BYTES_MAX + 1], link[WASI_PATH_BYTES_MAX + 1];
    pthread_mutex_lock(&b->lock);
    struct journal_record r = {.type = JOURNAL_REMOVE};
    /* A folder that was made since is recorded as well: earlier records may have names in it. */
    if (b->journal_fd >= 0 && stat_movable(parent_fd, name, &st) &&
        (S_ISDIR(st.st_mode) || !is_made(b, &st)) &&
        before_name(b, w, grant, parent_fd, name, text, &r.place) &&
        keep_name(b, w, parent_fd, name, &st, &r.place, link, &r.before) && before_put(b, &r)) {
        (void)before_sync(b);
    }
    pthread_mutex_unlock(&b->lock);
}

void before_rename(struct wasi *w, uint32_t from_grant, int from_fd, const char *from,
                   uint32_t to_grant, int to_fd, const char *to)
{
    struct before *b = w->before;
    struct stat moved, there;
    char text[WASI_PATH_BYTES_MAX + 1], to_text[WASI_PATH_BYTES_MAX + 1];
    char link[WASI_PATH_BYTES_MAX + 1];
    pthread_mutex_lock(&b->lock);
    struct journal_record r = {.type = JOURNAL_RENAME};
    bool replaces = stat_movable(to_fd, to, &there);
    if (b->journal_fd >= 0 && stat_movable(from_fd, from, &moved) &&
        !(replaces && there.st_ino == moved.st_ino && there.st_dev == moved.st_dev) &&
        before_name(b, w, from_grant, from_fd, from, text, &r.place) &&
        before_name(b, w, to_grant, to_fd, to, to_text, &r.to)) {
        r.may_be_gone = is_made(b, &moved);
        bool good = !replaces || (!S_ISDIR(there.st_mode) && is_made(b, &there)) ||
                    keep_name(b, w, to_fd, to, &there, &r.to, link, &r.before);
        if (good && before_put(b, &r)) {
            (void)before_sync(b);
        }
    }
    pthread_mutex_unlock(&b->lock);
}
