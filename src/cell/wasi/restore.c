#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "guest.h"
#include "objectsave.h"
#include "saved.h"
#include "stat.h"
#include "sys/files.h"

/* A grant that descriptors of the state are beneath. */
struct saved_grant {
    const char *guest_path;
    uint32_t target; /* the grant of this guest, or FILE_NO_GRANT */
};

struct restore {
    const struct wasi_config *config;
    struct wasi *w;
    struct cursor c;
    bool stale_files;
    bool needs_grants; /* although files may be stale */
    struct error *err;
    struct saved_grant *grants;
    struct saved_move *moves; /* of each of them */
    uint32_t grant_count;
    uint32_t version;
    bool stale_outside; /* what is not beneath a grant may be another file, too */
    bool output_returns;
    struct ids then; /* the saved guest's */
    struct saved_staged *staged;
    uint32_t staged_count;
    uint32_t next_fd; /* the lowest that the next descriptor may have */
};

static status_t corrupt(struct restore *r)
{
    return error_set(r->err, ST_CORRUPT, r->c.fail_off, "WASI state: %s", r->c.reason);
}

static status_t no_memory(struct restore *r)
{
    return error_set(r->err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for the WASI state");
}

/* ---- decoding ---- */

static status_t take_strings(struct restore *r, struct strings *s)
{
    uint32_t count = saved_take_count(&r->c, WASI_STRINGS_MAX, 4,
                                      "too many arguments or variables");
    status_t st = r->c.failed ? corrupt(r) : wasi_strings_room(r->w, s, count, r->err);
    for (uint32_t i = 0; st == ST_OK && i < count; i++) {
        size_t len;
        const char *text = saved_take_text(&r->c, WASI_STRINGS_BYTES_MAX, "too long an argument",
                                           &len);
        st = r->c.failed ? corrupt(r) : wasi_strings_add(r->w, s, text, len, r->err);
    }
    return st;
}

static status_t take_head(struct restore *r)
{
    struct saved_head head;
    saved_take_head(&r->c, &head);
    r->version = head.version;
    if (r->c.failed) {
        return corrupt(r);
    }
    if (!saved_version_known(head.version)) {
        return error_set(r->err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "WASI state of version %u",
                         head.version);
    }
    atomic_store(&r->w->output_bytes, head.output_bytes);
    r->w->progress = head.progress;
    r->w->monotonic_shift_ns = head.monotonic_ns - clock_now_ns(CLOCK_MONOTONIC);
    r->w->cpu_shift_ns = head.cpu_ns;
    atomic_store(&r->w->cpu_seen_ns, head.cpu_ns);
    return ST_OK;
}

/* The grant with the same guest path; the one with the same index where several have it. */
static uint32_t match_grant(const struct wasi *w, uint32_t index, const char *guest_path)
{
    uint32_t found = FILE_NO_GRANT;
    for (uint32_t i = 0; i < w->grant_count; i++) {
        if (strcmp(w->grants[i].guest_path, guest_path) == 0 &&
            (found == FILE_NO_GRANT || i == index)) {
            found = i;
        }
    }
    return found;
}

static bool was_called(const struct restore *r, uint32_t index, const char *guest_path)
{
    return index < r->grant_count && strcmp(r->grants[index].guest_path, guest_path) == 0;
}

/* Two folders with one name are told by their numbers only, so there have to have been two. */
static status_t check_twins(const struct restore *r)
{
    const struct wasi_grant *g = r->w->grants;
    for (uint32_t i = 0; i < r->w->grant_count; i++) {
        for (uint32_t k = i + 1; k < r->w->grant_count; k++) {
            const char *name = g[i].guest_path;
            if (strcmp(name, g[k].guest_path) == 0 &&
                !(was_called(r, i, name) && was_called(r, k, name))) {
                return error_set(r->err, ST_INVAL, ERROR_NO_OFFSET,
                                 "--dir: '%.80s' and '%.80s' would both be '%.60s' for the "
                                 "program, which had no two of that name there",
                                 g[i].host_path, g[k].host_path, name);
            }
        }
    }
    return ST_OK;
}

/* Which folder it was, and which it is. */
static void take_move(struct restore *r, uint32_t target, struct saved_move *ret_move)
{
    *ret_move = (struct saved_move){0};
    if (r->version >= SAVED_VERSION_IDS) {
        ret_move->then = saved_take_root(&r->c);
    }
    if (target != FILE_NO_GRANT) {
        ret_move->now = saved_root_of(&r->w->grants[target]);
        ret_move->bucket = r->w->grants[target].bucket != NULL;
    }
}

static status_t take_grants(struct restore *r)
{
    uint32_t count = saved_take_count(&r->c, WASI_GRANTS_MAX, 4, "too many grants");
    r->grants = arena_alloc(&r->w->arena, count, sizeof(*r->grants));
    r->moves = arena_alloc(&r->w->arena, count, sizeof(*r->moves));
    if (r->grants == NULL || r->moves == NULL) {
        return no_memory(r);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t len;
        const char *text = saved_take_text(&r->c, WASI_PATH_BYTES_MAX, "too long a guest path",
                                           &len);
        if (r->c.failed) {
            break;
        }
        char *copy = arena_strndup(&r->w->arena, text, wasi_guest_path_len(text, len));
        if (copy == NULL) {
            return no_memory(r);
        }
        r->grants[i] = (struct saved_grant){copy, match_grant(r->w, i, copy)};
        take_move(r, r->grants[i].target, &r->moves[i]);
        if (r->version >= SAVED_VERSION_BUCKETS) {
            (void)saved_take_place(&r->c, &len); /* for tools */
        }
    }
    r->grant_count = count;
    return r->c.failed ? corrupt(r) : check_twins(r);
}

/* The numbers of files that the saved guest knew, and the folders that have moved since. */
static status_t take_ids(struct restore *r)
{
    if (r->version < SAVED_VERSION_IDS) {
        return ST_OK;
    }
    if (!saved_take_ids(&r->c, &r->then)) {
        return no_memory(r);
    }
    if (r->c.failed) {
        return corrupt(r);
    }
    return saved_begin_ids(&r->w->ids, &r->then, r->moves, r->grant_count) ? ST_OK : no_memory(r);
}

static status_t take_saved(struct restore *r, struct saved_file *s)
{
    if (!saved_take_file(&r->c, r->version, r->grant_count, r->next_fd, s)) {
        return no_memory(r);
    }
    r->next_fd = s->fd + 1;
    return r->c.failed ? corrupt(r) : ST_OK;
}

/* ---- opening ---- */

/* A number that stands for nothing any more: it has no right, but nothing else gets it. */
static status_t open_lost(struct restore *r, const char *preopen, struct file **ret_f)
{
    struct file *f = NULL;
    status_t st = wasi_open_null(false, &f, r->err);
    if (st != ST_OK) {
        return st;
    }
    f->handed = FILE_LOST;
    f->rights_base = 0;
    f->rights_inheriting = 0;
    if (preopen != NULL && (f->preopen = strdup(preopen)) == NULL) {
        file_free(f);
        return no_memory(r);
    }
    *ret_f = f;
    return ST_OK;
}

/* The error of a file as the guest calls it. */
static status_t name_file(struct restore *r, const struct saved_file *s, status_t code,
                          const char *what)
{
    return error_set(r->err, code, ERROR_NO_OFFSET, "descriptor %u: %.80s%s%.80s %s", s->fd,
                     r->grants[s->index].guest_path, s->path[0] == '\0' ? "" : "/", s->path, what);
}

static status_t missing(struct restore *r, const struct saved_file *s, const char *what,
                        struct file **ret_f)
{
    if (!r->stale_files) {
        return name_file(r, s, ST_NOTFOUND, what);
    }
    return open_lost(r, (s->bits & SAVED_PREOPEN) ? r->grants[s->index].guest_path : NULL, ret_f);
}

static bool writes(const struct saved_file *s)
{
    return s->kind != FILE_DIRECTORY && (s->rights_base & RIGHTS_WRITE_DATA) != 0;
}

/* Neither created nor cut, and without waiting for the other end of what has become a pipe. */
static int open_flags(const struct saved_file *s)
{
    int flags = O_NOCTTY | O_NONBLOCK;
    if (s->kind == FILE_DIRECTORY) {
        return flags | O_RDONLY | O_DIRECTORY;
    }
    bool reads = (s->rights_base & RIGHT_FD_READ) != 0;
    return flags | (!writes(s) ? O_RDONLY : reads ? O_RDWR : O_WRONLY);
}

/* -1 in *ret_fd: it is not there. */
static status_t open_beneath(struct restore *r, const struct saved_file *s, int *ret_fd)
{
    const struct wasi_grant *g = &r->w->grants[r->grants[s->index].target];
    int dir_fd = open(g->host_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        return error_set_errno(r->err, errno, "folder to grant, %s", g->host_path);
    }
    const char *path = s->path[0] == '\0' ? "." : s->path;
    enum wasi_errno e = path_open_beneath(r->w->path_method, dir_fd, path, open_flags(s), 0,
                                          ret_fd);
    close(dir_fd);
    if (e == WASI_ACCES || e == WASI_PERM || e == WASI_ROFS) {
        return name_file(r, s, ST_PERM, "may not be opened as it was");
    }
    if (e == WASI_MFILE || e == WASI_NFILE) {
        return error_set(r->err, ST_LIMIT, ERROR_NO_OFFSET, "too many open files of the host");
    }
    if (e != WASI_OK) {
        *ret_fd = -1;
    }
    return ST_OK;
}

/* Whoever reads has read what was there; whoever only writes needs what was written. */
static bool has_changed(const struct saved_file *s, const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size;
    if (!S_ISREG(st->st_mode)) {
        return false;
    }
    if ((s->rights_base & RIGHT_FD_READ) == 0) {
        return size < s->size;
    }
    return size != s->size || stat_ns(st->st_mtim) != s->mtime_ns;
}

/* Takes over host_fd. */
static status_t adopt(struct restore *r, const struct saved_file *s, int host_fd,
                      struct file **ret_f)
{
    int errnum = 0;
    int flags = fcntl(host_fd, F_GETFL);
    (void)fcntl(host_fd, F_SETFL, flags & ~O_NONBLOCK);
    struct file *f = file_new(host_fd, false, &errnum);
    if (f == NULL) {
        close(host_fd);
        return error_set_errno(r->err, errnum, "descriptor %u", s->fd);
    }
    f->grant = r->grants[s->index].target;
    f->read_only = r->w->grants[f->grant].read_only;
    f->path = strdup(s->path);
    if (f->path == NULL) {
        file_free(f);
        return no_memory(r);
    }
    *ret_f = f;
    return ST_OK;
}

static status_t open_file(struct restore *r, const struct saved_file *s, struct file **ret_f)
{
    struct stat st;
    int fd = -1;
    if (writes(s) && r->w->grants[r->grants[s->index].target].read_only) {
        return name_file(r, s, ST_PERM, "was open for writing, its folder is read-only here");
    }
    status_t status = open_beneath(r, s, &fd);
    if (status != ST_OK) {
        return status;
    }
    if (fd < 0) {
        return missing(r, s, "is not there (--stale-files goes on)", ret_f);
    }
    if (fstat(fd, &st) != 0 || filetype_from_mode(st.st_mode) != s->filetype) {
        close(fd);
        return missing(r, s, "is another type of file now (--stale-files goes on)", ret_f);
    }
    if (!r->stale_files && has_changed(s, &st)) {
        close(fd);
        return name_file(r, s, ST_NOTFOUND, "changed since it was saved (--stale-files goes on)");
    }
    if (s->kind == FILE_PLAIN && lseek(fd, (off_t)s->offset, SEEK_SET) < 0) {
        int errnum = errno;
        close(fd);
        return error_set_errno(r->err, errnum, "descriptor %u: its offset", s->fd);
    }
    return adopt(r, s, fd, ret_f);
}

/* Has it bytes that are to become an object? */
static bool to_be_published(const struct restore *r, const struct saved_file *s)
{
    uint8_t bits = s->staged > 0 ? r->staged[s->staged - 1].bits : 0;
    return (bits & STAGED_DIRTY) != 0 && (bits & STAGED_NAMELESS) == 0;
}

/* Beneath a bucket that is granted here. */
static int open_in_bucket(struct restore *r, const struct saved_file *s, struct file **ret_f)
{
    uint32_t target = r->grants[s->index].target;
    bool nameless = s->staged > 0 && (r->staged[s->staged - 1].bits & STAGED_NAMELESS) != 0;
    if (s->kind == FILE_DIRECTORY) {
        return object_restore_folder(r->w, target, s->path, ret_f);
    }
    /* Nothing that has a name is staged beneath a read-only grant: there it is only read. */
    if (s->staged == 0 || (r->w->grants[target].read_only && !nameless)) {
        return object_restore_reader(r->w, target, s, r->stale_files, ret_f);
    }
    return object_restore_staged(r->w, target, s, &r->staged[s->staged - 1], r->stale_files, ret_f);
}

static status_t open_object(struct restore *r, const struct saved_file *s, struct file **ret_f)
{
    const struct wasi_grant *g = &r->w->grants[r->grants[s->index].target];
    if (s->staged > r->staged_count ||
        (s->staged > 0 && r->staged[s->staged - 1].grant != s->index)) {
        cursor_fail(&r->c, "an unknown staged file");
        return corrupt(r);
    }
    if (g->bucket == NULL) {
        return missing(r, s, "was in a bucket, and a folder is granted (--dir geds://)", ret_f);
    }
    if (writes(s) && g->read_only) {
        return name_file(r, s, ST_PERM, "was open for writing, its bucket is read-only here");
    }
    /* A file can be made or cut through a descriptor that may only read. */
    if (to_be_published(r, s) && g->read_only) {
        return name_file(r, s, ST_PERM, "was not written yet, its bucket is read-only here");
    }
    int errnum = open_in_bucket(r, s, ret_f);
    if (errnum == ENOENT) {
        return missing(r, s, "is not there (--stale-files goes on)", ret_f);
    }
    if (errnum == ESTALE) {
        return name_file(r, s, ST_NOTFOUND, "changed since it was saved (--stale-files goes on)");
    }
    return errnum == 0 ? ST_OK
                       : error_set_errno(r->err, errnum, "descriptor %u: %.80s/%.80s", s->fd,
                                         g->guest_path, s->path);
}

static status_t open_path(struct restore *r, const struct saved_file *s, struct file **ret_f)
{
    uint32_t target = r->grants[s->index].target;
    if (target == FILE_NO_GRANT && r->needs_grants) {
        return name_file(r, s, ST_NOTFOUND, "is not granted (--dir)");
    }
    if (target == FILE_NO_GRANT) {
        return missing(r, s, "is not granted (--dir)", ret_f);
    }
    if (s->bits & SAVED_PREOPEN) {
        return wasi_open_grant(r->w, target, ret_f, r->err);
    }
    if (s->origin == SAVED_ORIGIN_BUCKET) {
        return open_object(r, s, ret_f);
    }
    if (r->w->grants[target].bucket != NULL) {
        return missing(r, s, "was in a folder, and a bucket is granted", ret_f);
    }
    return open_file(r, s, ret_f);
}

static status_t open_listener(struct restore *r, const struct saved_file *s, struct file **ret_f)
{
    struct file *f = NULL;
    status_t st = ST_OK;
    if (s->index < r->config->listen_count) {
        st = wasi_open_listener(r->config, s->index, &f, r->err);
    }
    if (st == ST_OK && (f == NULL || f->kind != FILE_LISTENER)) {
        file_free(f);
        return error_set(r->err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "descriptor %u: listening socket %u is not given (--listen)", s->fd,
                         s->index + 1);
    }
    if (st == ST_OK) {
        *ret_f = f;
    }
    return st;
}

static status_t open_saved(struct restore *r, const struct saved_file *s, struct file **ret_f)
{
    switch (s->origin) {
    case SAVED_ORIGIN_STDIO:
        return wasi_open_stdio(r->config, s->index, ret_f, r->err);
    case SAVED_ORIGIN_LISTEN:
        return open_listener(r, s, ret_f);
    case SAVED_ORIGIN_PATH:
    case SAVED_ORIGIN_BUCKET:
        return open_path(r, s, ret_f);
    default:
        return open_lost(r, (s->bits & SAVED_PREOPEN) ? s->path : NULL, ret_f);
    }
}

/* ---- descriptors as they were ---- */

/* A pipe or terminal goes on with what comes, a file where the guest had read to. */
static status_t check_input(struct restore *r, const struct saved_file *s, int host_fd)
{
    struct stat st;
    if (s->kind != FILE_PLAIN || r->stale_outside || fstat(host_fd, &st) != 0 ||
        !has_changed(s, &st)) {
        return ST_OK;
    }
    return error_set(r->err, ST_NOTFOUND, ERROR_NO_OFFSET,
                     "standard input changed since it was saved, or is another file "
                     "(--stale-files goes on at byte %llu)",
                     (unsigned long long)s->offset);
}

/* What the file is here, and at most what it was there. */
static void limit_file(struct saved_file *s, struct file *f)
{
    f->flags = s->flags;
    f->read_only = f->read_only || (s->bits & SAVED_READ_ONLY) != 0;
    f->rights_base &= s->rights_base;
    f->rights_inheriting &= s->rights_inheriting;
    if (f->read_only) {
        f->rights_base &= ~RIGHTS_CHANGE;
    }
    /* Entries of a folder say nothing of a bucket. */
    if (f->kind == FILE_DIRECTORY && (f->object != NULL) == (s->origin == SAVED_ORIGIN_BUCKET)) {
        f->list = s->list;
        s->list = NULL;
    }
}

static status_t add_at(struct restore *r, const struct saved_file *s, struct file *f)
{
    enum wasi_errno e = fdtable_add_at(&r->w->files, f, s->fd);
    if (e == WASI_OK) {
        return ST_OK;
    }
    file_free(f);
    if (e == WASI_MFILE) {
        return error_set(r->err, ST_LIMIT, ERROR_NO_OFFSET,
                         "more open files than allowed (--open-files)");
    }
    return no_memory(r); /* nothing else goes wrong with a number that was not used yet */
}

/* Nothing is cut off a file that is not known as the guest's. One that is empty is a new one. One that is brought back
 * before has been looked at. */
static status_t take_output(struct restore *r, const struct saved_file *s, int host_fd)
{
    struct stat st;
    if (fstat(host_fd, &st) != 0) {
        return error_set_errno(r->err, errno, "standard output");
    }
    uint64_t size = (uint64_t)st.st_size, was = s->kind == FILE_PLAIN ? s->size : 0;
    struct ids_key then = ids_shown(&r->then, (struct ids_key){st.st_dev, st.st_ino});
    bool same = !r->config->output_newer &&
                (s->id.ino == 0 || (then.dev == s->id.dev && then.ino == s->id.ino));
    if (!S_ISREG(st.st_mode) || size == 0 || r->output_returns) {
        return ST_OK;
    }
    if (size < was) {
        return error_set(r->err, ST_NOTFOUND, ERROR_NO_OFFSET,
                         "standard output has %llu bytes, and had %llu when it was saved "
                         "(--output: the file that it went to, a copy of it, or a new one)",
                         (unsigned long long)size, (unsigned long long)was);
    }
    if (size > was && !same && !r->stale_outside) {
        return error_set(r->err, ST_INVALID, ERROR_NO_OFFSET,
                         "standard output has %llu bytes of which %llu would stay, and is not the "
                         "file that it went to: --output a new file, or --stale-files to cut it",
                         (unsigned long long)size, (unsigned long long)was);
    }
    r->w->outside.output_fd = host_fd;
    r->w->outside.output_offset = s->offset;
    r->w->outside.output_size = s->size;
    return ST_OK;
}

/* Its entry, when it is of the same file system. What is above a grant is not looked at. */
static bool stat_entry(const struct file *f, uint32_t index, uint64_t dev, struct stat *ret_st)
{
    const char *name = dirlist_name(f->list, index);
    return strcmp(name, "..") != 0 && fstatat(f->host_fd, name, ret_st, AT_SYMLINK_NOFOLLOW) == 0 &&
           ret_st->st_dev == dev;
}

/* True when the directory is still the one that the guest reads. */
static bool is_same_directory(const struct restore *r, const struct saved_file *s,
                              struct ids_key host)
{
    struct ids_key then = ids_shown(&r->then, host);
    return saved_device_stayed(r->moves, r->grant_count, host.dev) && then.dev == s->id.dev &&
           then.ino == s->id.ino;
}

/* So it does of the entries of a directory that it reads: it may have read them before it was saved. */
static bool keep_entries(struct restore *r, const struct saved_file *s, const struct file *f,
                         struct ids_key host)
{
    bool ok = true;
    uint32_t count = f->list == NULL || is_same_directory(r, s, host) ? 0 : f->list->count;
    for (uint32_t i = 0; ok && i < count; i++) {
        struct stat st;
        uint64_t ino = f->list->entries[i].ino;
        if (ino != 0 && stat_entry(f, i, host.dev, &st)) {
            ok = ids_add_weak(&r->w->ids, (struct ids_key){host.dev, st.st_ino},
                              (struct ids_key){s->id.dev, ino});
        }
    }
    return ok;
}

/* The numbers that entries have got, for the next state: what was one file may be two now. */
static void renew_entries(struct restore *r, const struct file *f)
{
    struct stat dir, st;
    if (f->list == NULL || f->object != NULL || fstat(f->host_fd, &dir) != 0) {
        return;
    }
    for (uint32_t i = 0; i < f->list->count; i++) {
        bool there = stat_entry(f, i, dir.st_dev, &st);
        f->list->entries[i].ino = there ? stat_shown(&r->w->ids, &st).ino : 0;
    }
}

static status_t end_ids(struct restore *r)
{
    if (r->version < SAVED_VERSION_IDS) {
        return ST_OK;
    }
    if (!saved_end_ids(&r->w->ids, &r->then, r->moves, r->grant_count)) {
        return no_memory(r);
    }
    bool stayed = saved_all_stayed(r->moves, r->grant_count);
    for (const struct file *f = r->w->files.all; !stayed && f != NULL; f = f->next) {
        renew_entries(r, f);
    }
    return ST_OK;
}

/* The guest goes on to see the numbers that it has seen of this file. */
static status_t keep_id(struct restore *r, const struct saved_file *s, const struct file *f)
{
    struct stat st;
    if (s->id.ino == 0 || f->handed == FILE_LOST || f->object != NULL ||
        fstat(f->host_fd, &st) != 0) {
        return ST_OK;
    }
    struct ids_key host = {st.st_dev, st.st_ino};
    bool ok = ids_add_file(&r->w->ids, host, s->id) && keep_entries(r, s, f, host);
    return ok ? ST_OK : no_memory(r);
}

static status_t restore_file(struct restore *r, struct saved_file *s)
{
    struct file *f = NULL;
    status_t st = take_saved(r, s);
    if (st == ST_OK) {
        st = open_saved(r, s, &f);
    }
    if (st != ST_OK) {
        return st;
    }
    bool beneath = s->origin == SAVED_ORIGIN_PATH || s->origin == SAVED_ORIGIN_BUCKET;
    if (beneath && f->handed != FILE_LOST && f->kind != s->kind) {
        file_free(f);
        cursor_fail(&r->c, "a descriptor's kind is not that of its file");
        return corrupt(r);
    }
    limit_file(s, f);
    if (s->origin == SAVED_ORIGIN_STDIO && s->index == 1 && r->config->output_named) {
        st = take_output(r, s, f->host_fd);
    }
    if (s->origin == SAVED_ORIGIN_STDIO && s->index == 0 && f->kind == FILE_PLAIN) {
        st = check_input(r, s, f->host_fd);
    }
    if (st == ST_OK) {
        st = keep_id(r, s, f);
    }
    if (st != ST_OK) {
        file_free(f);
        return st;
    }
    st = add_at(r, s, f);
    if (st == ST_OK && s->origin == SAVED_ORIGIN_STDIO && s->index == 0 && s->kind == FILE_PLAIN &&
        f->kind == FILE_PLAIN) {
        r->w->outside.input_fd = f->host_fd;
        r->w->outside.input_offset = s->offset;
    }
    return st;
}

static status_t restore_files(struct restore *r)
{
    uint32_t count = saved_take_count(&r->c, WASI_OPEN_FILES_MAX, SAVED_FILE_BYTES_MIN,
                                      "too many descriptors");
    status_t st = r->c.failed ? corrupt(r) : ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < count; i++) {
        struct saved_file s = {0};
        st = restore_file(r, &s);
        dirlist_free(s.list);
    }
    return st;
}

static status_t take_staged(struct restore *r)
{
    if (r->version < SAVED_VERSION_BUCKETS) {
        return ST_OK;
    }
    if (!saved_take_staged(&r->c, &r->w->arena, r->grant_count, &r->staged, &r->staged_count)) {
        return no_memory(r);
    }
    return r->c.failed ? corrupt(r) : ST_OK;
}

static status_t restore_all(struct restore *r)
{
    status_t st = take_head(r);
    if (st == ST_OK) {
        st = take_strings(r, &r->w->args);
    }
    if (st == ST_OK) {
        st = take_strings(r, &r->w->env);
    }
    if (st == ST_OK) {
        st = take_grants(r);
    }
    if (st == ST_OK) {
        st = take_ids(r);
    }
    if (st == ST_OK) {
        st = take_staged(r);
    }
    if (st == ST_OK) {
        st = restore_files(r);
    }
    if (st == ST_OK) {
        st = end_ids(r);
    }
    if (st == ST_OK && cursor_left(&r->c) > 0) {
        cursor_fail(&r->c, "more bytes than expected");
        st = corrupt(r);
    }
    return st;
}

static status_t restore_to(struct restore *r, const void *data, size_t len, struct wasi **ret_w)
{
    status_t st = wasi_begin(r->config, &r->w, r->err);
    if (st != ST_OK) {
        return st;
    }
    cursor_init(&r->c, data, len, 0);
    st = restore_all(r);
    ids_done(&r->then);
    for (uint32_t i = 0; i < r->staged_count; i++) {
        staged_put(r->staged[i].made);
    }
    if (st != ST_OK) {
        wasi_free(r->w);
        return st;
    }
    *ret_w = r->w;
    return ST_OK;
}

status_t wasi_restore(const struct wasi_config *config, const void *data, size_t len,
                      bool stale_files, struct wasi **ret_w, struct error *err)
{
    struct restore r = {
        .config = config, .stale_files = stale_files, .stale_outside = stale_files, .err = err};
    return restore_to(&r, data, len, ret_w);
}

status_t wasi_restore_check(const struct wasi_config *config, const void *data, size_t len,
                            bool stale_files, bool output_returns, struct error *err)
{
    struct restore r = {.config = config,
                        .stale_files = true,
                        .needs_grants = !stale_files,
                        .stale_outside = stale_files,
                        .output_returns = output_returns,
                        .err = err};
    struct wasi *w = NULL;
    status_t st = restore_to(&r, data, len, &w);
    wasi_free(w);
    return st;
}

status_t wasi_restore_outside(struct wasi *w, struct error *err)
{
    const struct outside *o = &w->outside;
    if (o->input_fd >= 0) {
        (void)lseek(o->input_fd, (off_t)o->input_offset, SEEK_SET);
    }
    if (o->output_fd >= 0 && (file_cut(o->output_fd, o->output_size) != 0 ||
                              lseek(o->output_fd, (off_t)o->output_offset, SEEK_SET) < 0)) {
        return error_set_errno(err, errno, "standard output");
    }
    return ST_OK;
}
