#include "undo_apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/files.h"
#include "undo_output.h"

#define NO_TARGET UINT32_MAX

enum { SHOWN_MAX = 120 }; /* of a path in a message */

status_t undo_init(struct undo *u, const struct wasi_config *config, int folder_fd,
                   struct error *err)
{
    *u = (struct undo){.config = config, .folder_fd = folder_fd, .file_fd = -1};
    u->method = path_method_probe();
    u->data = malloc(JOURNAL_PAYLOAD_MAX + JOURNAL_FRAME_BYTES);
    u->guests = calloc(JOURNAL_GRANTS_MAX, sizeof *u->guests);
    u->targets = calloc(JOURNAL_GRANTS_MAX, sizeof *u->targets);
    if (u->data == NULL || u->guests == NULL || u->targets == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to read a journal");
    }
    return ST_OK;
}

void undo_done(struct undo *u)
{
    if (u->file_fd >= 0) {
        close(u->file_fd);
    }
    free(u->data);
    free(u->guests);
    free(u->targets);
}

/* The grant with the same guest path; the one with the same index where several have it. */
static uint32_t find_target(const struct wasi_config *config, const struct journal_place *guest)
{
    uint32_t found = NO_TARGET;
    size_t len = wasi_guest_path_len(guest->path, guest->path_len);
    for (uint32_t i = 0; i < config->grant_count; i++) {
        const char *path = config->grants[i].guest_path;
        if (strlen(path) == len && memcmp(path, guest->path, len) == 0 &&
            (found == NO_TARGET || i == guest->index)) {
            found = i;
        }
    }
    return found;
}

status_t undo_take_grants(struct undo *u, uint32_t grant_count, struct error *err)
{
    (void)err;
    u->grant_count = grant_count;
    for (uint32_t i = 0; i < grant_count; i++) {
        u->targets[i] = find_target(u->config, &u->guests[i]);
    }
    return ST_OK;
}

/* ---- messages ---- */

static status_t refuse(uint32_t number, const struct journal_place *p, status_t code,
                       const char *what, struct error *err)
{
    int len;
    const char *shown = journal_place_shown(p, SHOWN_MAX, &len);
    return error_set(err, code, ERROR_NO_OFFSET, "checkpoint %u: %.*s %s", number, len, shown,
                     what);
}

static status_t refuse_errno(uint32_t number, const struct journal_place *p, struct error *err)
{
    int len;
    const char *shown = journal_place_shown(p, SHOWN_MAX, &len);
    return error_set_errno(err, errno, "checkpoint %u: %.*s cannot be brought back", number, len,
                           shown);
}

/* ---- where a name is ---- */

static status_t open_grant(const struct undo *u, uint32_t number, const struct journal_place *p,
                           int *ret_fd, struct error *err)
{
    const char *path = u->config->grants[u->targets[p->index]].host_path;
    *ret_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd >= 0 ? ST_OK : refuse_errno(number, p, err);
}

struct undo_name {
    const struct journal_place *place;
    int dir_fd;
    struct path_parent parent;
};

/* False in *ret_found: its folder is not there. */
static status_t open_name(const struct undo *u, uint32_t number, const struct journal_place *p,
                          struct undo_name *ret_name, bool *ret_found, struct error *err)
{
    char path[JOURNAL_PATH_MAX + 1];
    *ret_name = (struct undo_name){.place = p, .dir_fd = -1};
    *ret_found = false;
    status_t st = open_grant(u, number, p, &ret_name->dir_fd, err);
    if (st != ST_OK) {
        return st;
    }
    memcpy(path, p->path, p->path_len);
    path[p->path_len] = '\0';
    enum wasi_errno e = path_parent_open(u->method, ret_name->dir_fd, path, &ret_name->parent);
    const char *name = ret_name->parent.name;
    if (e == WASI_OK && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
        strchr(name, '/') == NULL) {
        *ret_found = true;
        return ST_OK;
    }
    if (e == WASI_OK) {
        path_parent_close(&ret_name->parent);
    }
    close(ret_name->dir_fd);
    return e == WASI_NOENT ? ST_OK : refuse(number, p, ST_PERM, "cannot be reached", err);
}

/* ---- checks ---- */

static status_t check_place(const struct undo *u, uint32_t number, const struct journal_place *p,
                            struct error *err)
{
    if (p->origin == JOURNAL_AT_OUTPUT) {
        return ST_OK;
    }
    if (p->origin == JOURNAL_AT_KEPT) {
        return ST_OK; /* named by a removal before it, which looks for it */
    }
    if (p->index >= u->grant_count) {
        return refuse(number, p, ST_CORRUPT, "is beneath an unknown folder", err);
    }
    uint32_t target = u->targets[p->index];
    if (target == NO_TARGET) {
        return refuse(number, p, ST_NOTFOUND, "changed since, and its folder is not granted", err);
    }
    return u->config->grants[target].read_only
               ? refuse(number, p, ST_PERM, "changed since, and its folder is read-only here", err)
               : ST_OK;
}

static status_t check_entry(const struct undo *u, uint32_t number, const struct journal_place *p,
                            const struct journal_entry *e, struct error *err)
{
    char kept[JOURNAL_NAME_BYTES];
    journal_kept_name(number, e->value, kept);
    if (e->was == JOURNAL_WAS_KEPT && faccessat(u->folder_fd, kept, F_OK, AT_SYMLINK_NOFOLLOW)) {
        return refuse(number, p, ST_NOTFOUND, "was removed since, and what was kept is gone", err);
    }
    return ST_OK;
}

/* A file whose time of change only somebody else may set. It is set to what it is. */
static bool is_of_another(int dir_fd, const char *name)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        st.st_uid == geteuid()) {
        return false;
    }
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
    return utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) != 0 && errno == EPERM;
}

/* Errors of the host that stay whatever is undone before. */
static bool is_forbidden(int dir_fd, const char *name, int mode)
{
    const int flags = AT_EACCESS | AT_SYMLINK_NOFOLLOW;
    return faccessat(dir_fd, name, mode, flags) != 0 && (errno == EACCES || errno == EROFS);
}

static status_t check_file(int dir_fd, const char *name, uint32_t number,
                           const struct journal_place *p, struct error *err)
{
    if (is_of_another(dir_fd, name)) {
        return refuse(number, p, ST_PERM,
                      "belongs to somebody else: its time of change cannot be brought back", err);
    }
    return is_forbidden(dir_fd, name, W_OK) ? refuse_errno(number, p, err) : ST_OK;
}

/* May what has the name now be changed: the file, or the name itself in its folder? */
static status_t check_access(const struct undo *u, uint32_t number, const struct journal_place *p,
                             bool file, struct error *err)
{
    char kept[JOURNAL_NAME_BYTES];
    struct undo_name n;
    bool found;
    if (p->origin == JOURNAL_AT_KEPT) {
        journal_kept_name(number, p->index, kept);
        return check_file(u->folder_fd, kept, number, p, err);
    }
    if (p->origin != JOURNAL_AT_GRANT || open_name(u, number, p, &n, &found, NULL) != ST_OK ||
        !found) {
        return ST_OK;
    }
    status_t st = ST_OK;
    if (file) {
        st = check_file(n.parent.fd, n.parent.name, number, p, err);
    } else if (is_forbidden(n.parent.fd, ".", W_OK | X_OK)) {
        st = refuse_errno(number, p, err);
    }
    path_parent_close(&n.parent);
    close(n.dir_fd);
    return st;
}

status_t undo_check(const struct undo *u, uint32_t number, const struct journal_record *r,
                    struct error *err)
{
    if (r->type == JOURNAL_GRANTS) {
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "checkpoint %u: journal: it names its folders twice", number);
    }
    status_t st = check_place(u, number, &r->place, err);
    if (st == ST_OK && r->type == JOURNAL_RENAME) {
        st = check_place(u, number, &r->to, err);
        st = st == ST_OK ? check_entry(u, number, &r->to, &r->before, err) : st;
        st = st == ST_OK ? check_access(u, number, &r->to, false, err) : st;
    }
    if (st == ST_OK && r->type == JOURNAL_REMOVE) {
        st = check_entry(u, number, &r->place, &r->before, err);
    }
    if (st == ST_OK && r->type != JOURNAL_DATA) {
        st = check_access(u, number, &r->place, r->type == JOURNAL_FILE, err);
    }
    return st;
}

/* ---- where standard output is ---- */

/* The absolute path of a place, as the host knows its folder. "": not known. */
static void find_path(const struct undo *u, uint32_t number, const struct journal_place *p,
                      char ret_path[PATH_MAX])
{
    char folder[PATH_MAX];
    int dir_fd;
    ret_path[0] = '\0';
    if (open_grant(u, number, p, &dir_fd, NULL) != ST_OK) {
        return;
    }
    if (path_of_fd(dir_fd, folder)) {
        const char *root = folder[1] == '\0' ? "" : folder;
        int len = snprintf(ret_path, PATH_MAX, "%s/%.*s", root, (int)p->path_len, p->path);
        ret_path[len < PATH_MAX ? len : 0] = '\0';
    }
    close(dir_fd);
}

/* One of several names that the file of standard output has now. */
static bool is_name_of_output(const struct undo *u, uint32_t number, const struct journal_place *p)
{
    struct undo_name n;
    struct stat named, output;
    bool found;
    if (open_name(u, number, p, &n, &found, NULL) != ST_OK || !found) {
        return false;
    }
    bool same = fstatat(n.parent.fd, n.parent.name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                fstat(u->config->stdio[1], &output) == 0 && named.st_nlink > 1 &&
                named.st_ino == output.st_ino && named.st_dev == output.st_dev;
    path_parent_close(&n.parent);
    close(n.dir_fd);
    return same;
}

bool undo_is_standing(const struct undo *u, uint32_t number, const struct journal_place *p)
{
    char path[PATH_MAX];
    if (p->origin != JOURNAL_AT_GRANT) {
        return false;
    }
    find_path(u, number, p, path);
    return (path[0] != '\0' && strcmp(path, u->standing) == 0) || is_name_of_output(u, number, p);
}

/* What a path has behind another one: "" when they are the same, "/..." when it is beneath it, or NULL. */
static const char *rest_behind(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    bool begins = len > 0 && strncmp(path, folder, len) == 0;
    return begins && (path[len] == '\0' || path[len] == '/') ? path + len : NULL;
}

/* Does standard output, at the place of a name or beneath it, keep that from coming back, or go with it? What is there
 * already is not brought back. */
static bool is_in_the_way(const struct journal_record *r, const char *rest, bool empty)
{
    if (rest == NULL) {
        return false;
    }
    return r->type == JOURNAL_CREATE || (rest[0] == '\0' ? empty : r->type == JOURNAL_RENAME);
}

status_t undo_follow(struct undo *u, uint32_t number, const struct journal_record *r,
                     struct error *err)
{
    char place[PATH_MAX], to[PATH_MAX] = "", moved[PATH_MAX];
    const bool empty = u->standing_empty;
    find_path(u, number, &r->place, place);
    if (r->type == JOURNAL_RENAME) {
        find_path(u, number, &r->to, to);
    }
    const char *rest = rest_behind(u->standing, to);
    bool replaces = rest != NULL && rest[0] == '\0' && empty &&
                    r->before.was != JOURNAL_WAS_NOTHING;
    if (!u->standing_good &&
        (replaces || is_in_the_way(r, rest_behind(u->standing, place), empty))) {
        return refuse(number, replaces ? &r->to : &r->place, ST_INVALID,
                      "was made, moved or removed since, and standard output has that name, or "
                      "gets it (--output: another one)",
                      err);
    }
    if (rest != NULL) {
        int len = snprintf(moved, sizeof moved, "%s%s", place, rest);
        memcpy(u->standing, moved, len < PATH_MAX ? (size_t)len + 1 : 0);
    }
    return ST_OK;
}

/* ---- bytes ---- */

static status_t open_beneath(const struct undo *u, uint32_t number, const struct journal_place *p,
                             int *ret_fd, struct error *err)
{
    int dir_fd;
    status_t st = open_grant(u, number, p, &dir_fd, err);
    if (st != ST_OK) {
        return st;
    }
    enum wasi_errno e = path_open_beneath(u->method, dir_fd, u->file_path,
                                          O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, ret_fd);
    int errnum = errno;
    close(dir_fd);
    errno = errnum;
    if (e == WASI_NOENT) {
        return refuse(number, p, ST_NOTFOUND, "is not there any more", err);
    }
    return e == WASI_OK ? ST_OK
                        : refuse(number, p, ST_PERM, "may not be written, or is no file", err);
}

static bool is_open(const struct undo *u, const struct journal_place *p)
{
    const struct journal_place *o = &u->file_place;
    return u->file_fd >= 0 && o->origin == p->origin && o->index == p->index &&
           o->path_len == p->path_len && memcmp(u->file_path, p->path, p->path_len) == 0;
}

/* The file of a place in u->file_fd; -1: standard output that is none of ours to change. */
static status_t open_file(struct undo *u, uint32_t number, const struct journal_place *p,
                          struct error *err)
{
    char kept[JOURNAL_NAME_BYTES];
    int fd = -1;
    if (is_open(u, p)) {
        return ST_OK;
    }
    status_t st = undo_settle(u, err);
    if (st != ST_OK) {
        return st;
    }
    memcpy(u->file_path, p->path, p->path_len);
    u->file_path[p->path_len] = '\0';
    u->file_place = *p;
    if (p->origin == JOURNAL_AT_GRANT) {
        st = open_beneath(u, number, p, &fd, err);
    } else if (p->origin == JOURNAL_AT_KEPT) {
        journal_kept_name(number, p->index, kept);
        fd = openat(u->folder_fd, kept, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        st = fd >= 0 ? ST_OK : error_set_errno(err, errno, "%s", kept);
    } else if (p->index == 1 && u->output_returns &&
               undo_output_is_alike(&u->output_now, p->path, p->path_len)) {
        fd = fcntl(u->config->stdio[1], F_DUPFD_CLOEXEC, 3);
        st = fd >= 0 ? ST_OK : error_set_errno(err, errno, "standard output");
    }
    u->file_fd = fd;
    return st;
}

static status_t undo_bytes(struct undo *u, uint32_t number, const struct journal_record *r,
                           struct error *err)
{
    struct stat st;
    status_t code = open_file(u, number, &r->place, err);
    if (code != ST_OK || u->file_fd < 0) {
        u->report.left += r->type == JOURNAL_DATA && r->place.index == 1 ? r->data_len : 0;
        return code;
    }
    if (fstat(u->file_fd, &st) != 0) {
        return refuse_errno(number, &r->place, err);
    }
    if (!S_ISREG(st.st_mode)) {
        return refuse(number, &r->place, ST_NOTFOUND, "is no file any more", err);
    }
    if (r->type == JOURNAL_DATA) {
        u->report.bytes += r->data_len;
        return file_write_all_at(u->file_fd, r->data, r->data_len, r->offset) == 0
                   ? ST_OK
                   : refuse_errno(number, &r->place, err);
    }
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(r->mtime_ns / 1000000000u),
         .tv_nsec = (long)(r->mtime_ns % 1000000000u)},
    };
    /* Only the owner of a file may say when it was changed. Of standard output nobody asks. */
    bool good = file_cut(u->file_fd, r->size) == 0 &&
                (futimens(u->file_fd, times) == 0 ||
                 (errno == EPERM && r->place.origin == JOURNAL_AT_OUTPUT));
    return good ? ST_OK : refuse_errno(number, &r->place, err);
}

status_t undo_settle(struct undo *u, struct error *err)
{
    if (u->file_fd < 0) {
        return ST_OK;
    }
    int result = file_sync(u->file_fd);
    int errnum = errno;
    close(u->file_fd);
    u->file_fd = -1;
    int len;
    const struct journal_place p = {
        .origin = u->file_place.origin, .path = u->file_path, .path_len = u->file_place.path_len};
    const char *shown = journal_place_shown(&p, SHOWN_MAX, &len);
    return result == 0 ? ST_OK : error_set_errno(err, errnum, "%.*s", len, shown);
}

/* ---- names ---- */

static status_t close_name(struct undo_name *n, uint32_t number, struct error *err)
{
    /* O_PATH descriptors cannot be synced. */
    int fd = openat(n->parent.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && file_sync(fd) == 0;
    status_t st = good ? ST_OK : refuse_errno(number, n->place, err);
    if (fd >= 0) {
        close(fd);
    }
    path_parent_close(&n->parent);
    close(n->dir_fd);
    return st;
}

static bool is_there(const struct undo_name *n)
{
    struct stat st;
    return fstatat(n->parent.fd, n->parent.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static status_t undo_create(const struct undo *u, uint32_t number, const struct journal_record *r,
                            struct error *err)
{
    struct undo_name n;
    bool found;
    status_t st = open_name(u, number, &r->place, &n, &found, err);
    if (st != ST_OK || !found) {
        return st;
    }
    int result = unlinkat(n.parent.fd, n.parent.name, r->directory ? AT_REMOVEDIR : 0);
    if (result != 0 && errno == ENOTEMPTY) {
        st = refuse(number, &r->place, ST_INVAL,
                    "was made since, and something else put files there", err);
    } else if (result != 0 && errno != ENOENT) {
        st = refuse_errno(number, &r->place, err);
    }
    status_t closed = close_name(&n, number, st == ST_OK ? err : NULL);
    return st == ST_OK ? closed : st;
}

/* The kept file beside its old name, then there: it has to stay kept until the journal is gone. */
static bool copy_kept(const struct undo *u, const struct undo_name *n, const char *kept)
{
    static const char part[] = ".cloudskin.undo.part";
    struct stat st;
    int from = openat(u->folder_fd, kept, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int to = openat(n->parent.fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    bool good = from >= 0 && to >= 0 && fstat(from, &st) == 0 && file_copy_rest(from, to) == 0 &&
                fchmod(to, st.st_mode & 07777) == 0 &&
                futimens(to, (const struct timespec[]){st.st_atim, st.st_mtim}) == 0 &&
                file_sync(to) == 0 &&
                renameat(n->parent.fd, part, n->parent.fd, n->parent.name) == 0;
    int errnum = errno;
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    if (to >= 0 && !good) {
        unlinkat(n->parent.fd, part, 0);
    }
    errno = errnum;
    return good;
}

/* Another name of the file that path leads to. */
static bool link_again(const struct undo *u, const struct undo_name *n, char *path)
{
    struct path_parent p;
    if (path_parent_open(u->method, n->dir_fd, path, &p) != WASI_OK) {
        errno = ENOENT;
        return false;
    }
    bool plain = strchr(p.name, '/') == NULL; /* linkat would follow one with a slash */
    bool good = plain && linkat(p.fd, p.name, n->parent.fd, n->parent.name, 0) == 0;
    int errnum = plain ? errno : EINVAL;
    path_parent_close(&p);
    errno = errnum;
    return good;
}

static bool bring_back(const struct undo *u, uint32_t number, const struct undo_name *n,
                       const struct journal_entry *e)
{
    char kept[JOURNAL_NAME_BYTES];
    char link[JOURNAL_PATH_MAX + 1];
    switch (e->was) {
    case JOURNAL_WAS_KEPT:
        journal_kept_name(number, e->value, kept);
        return linkat(u->folder_fd, kept, n->parent.fd, n->parent.name, 0) == 0 ||
               copy_kept(u, n, kept);
    case JOURNAL_WAS_DIRECTORY:
        return mkdirat(n->parent.fd, n->parent.name, 0700) == 0 &&
               fchmodat(n->parent.fd, n->parent.name, e->value & 07777, 0) == 0;
    case JOURNAL_WAS_LINK:
        memcpy(link, e->link, e->link_len);
        link[e->link_len] = '\0';
        return symlinkat(link, n->parent.fd, n->parent.name) == 0;
    case JOURNAL_WAS_NAME:
        memcpy(link, e->link, e->link_len);
        link[e->link_len] = '\0';
        return link_again(u, n, link);
    case JOURNAL_WAS_NOTHING:
    case JOURNAL_WAS_COUNT:
        break;
    }
    return true;
}

static status_t undo_remove(const struct undo *u, uint32_t number, const struct journal_place *p,
                            const struct journal_entry *e, struct error *err)
{
    struct undo_name n;
    bool found;
    status_t st = open_name(u, number, p, &n, &found, err);
    if (st != ST_OK || !found) {
        return st == ST_OK ? refuse(number, p, ST_NOTFOUND, "has no folder any more", err) : st;
    }
    if (!is_there(&n) && !bring_back(u, number, &n, e)) {
        st = refuse_errno(number, p, err);
    }
    status_t closed = close_name(&n, number, st == ST_OK ? err : NULL);
    return st == ST_OK ? closed : st;
}

/* Before it was renamed the old name was there, behind it is not: that tells what has been done. */
static status_t move_back(uint32_t number, const struct journal_record *r,
                          const struct undo_name *from, const struct undo_name *to,
                          struct error *err)
{
    if (is_there(from)) {
        return ST_OK;
    }
    if (!is_there(to)) {
        return r->may_be_gone ? ST_OK
                              : refuse(number, &r->to, ST_NOTFOUND, "is not there any more", err);
    }
    return renameat(to->parent.fd, to->parent.name, from->parent.fd, from->parent.name) == 0
               ? ST_OK
               : refuse_errno(number, &r->to, err);
}

static status_t undo_rename(const struct undo *u, uint32_t number, const struct journal_record *r,
                            struct error *err)
{
    struct undo_name from, to;
    bool from_found, to_found = false;
    status_t st = open_name(u, number, &r->place, &from, &from_found, err);
    if (st != ST_OK || !from_found) {
        return st == ST_OK ? refuse(number, &r->place, ST_NOTFOUND, "has no folder any more", err)
                           : st;
    }
    st = open_name(u, number, &r->to, &to, &to_found, err);
    if (st == ST_OK && to_found) {
        st = move_back(number, r, &from, &to, err);
        status_t closed = close_name(&to, number, st == ST_OK ? err : NULL);
        st = st == ST_OK ? closed : st;
    } else if (st == ST_OK) {
        st = refuse(number, &r->to, ST_NOTFOUND, "has no folder any more", err);
    }
    status_t closed = close_name(&from, number, st == ST_OK ? err : NULL);
    st = st == ST_OK ? closed : st;
    return st == ST_OK && r->before.was != JOURNAL_WAS_NOTHING
               ? undo_remove(u, number, &r->to, &r->before, err)
               : st;
}

status_t undo_apply(struct undo *u, uint32_t number, const struct journal_record *r,
                    struct error *err)
{
    switch (r->type) {
    case JOURNAL_FILE:
    case JOURNAL_DATA:
        return undo_bytes(u, number, r, err);
    case JOURNAL_CREATE:
        return undo_create(u, number, r, err);
    case JOURNAL_REMOVE:
        return undo_remove(u, number, &r->place, &r->before, err);
    case JOURNAL_RENAME:
        return undo_rename(u, number, r, err);
    case JOURNAL_GRANTS:
    case JOURNAL_TYPE_COUNT:
        break;
    }
    return ST_OK;
}
