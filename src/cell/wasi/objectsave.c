#include "objectsave.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/files.h"

/* ---- saving ---- */

enum { SAVED_PIECE_BYTES = 16 << 10 };

/* All bytes, whatever of them is only in the object so far. */
static status_t put_bytes(struct staged *s, struct buf *out, struct error *err)
{
    uint8_t piece[SAVED_PIECE_BYTES];
    uint64_t size = staged_size(s);
    int errnum = staged_before_read(s, 0, size);
    for (uint64_t at = 0; errnum == 0 && at < size && !out->failed;) {
        size_t len = size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece);
        ssize_t n = pread(s->fd, piece, len, (off_t)at);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            errnum = n == 0 ? EIO : errno;
        } else if (n > 0) {
            buf_bytes(out, piece, (size_t)n);
            at += (uint64_t)n;
        }
    }
    return errnum == 0 ? ST_OK
                       : error_set(err, ST_IO, ERROR_NO_OFFSET,
                                   "%s%.150s: what the program writes there cannot be saved: %s",
                                   s->bucket->place, s->path, strerror(errnum));
}

static status_t put_one(struct staged *s, struct buf *out, uint64_t *left, struct error *err)
{
    uint64_t size = staged_size(s);
    bool bytes = s->dirty || s->nameless;
    if (bytes && size > *left) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "%s%.150s: more than %llu MiB that were not closed or synced cannot "
                         "travel",
                         s->bucket->place, s->path,
                         (unsigned long long)(WASI_STAGED_SAVE_MAX >> 20));
    }
    buf_le32(out, s->grant);
    buf_u8(out,
           (uint8_t)((s->dirty ? STAGED_DIRTY : 0) | (s->only_new ? STAGED_ONLY_NEW : 0) |
                     (s->only_same ? STAGED_ONLY_SAME : 0) | (s->nameless ? STAGED_NAMELESS : 0)));
    saved_put_text(out, s->path, strlen(s->path));
    saved_put_text(out, s->info.etag, strlen(s->info.etag));
    buf_le64(out, staged_modified_ns(s));
    buf_le64(out, size);
    *left -= bytes ? size : 0;
    return bytes ? put_bytes(s, out, err) : ST_OK;
}

/* The cell stands still: nobody changes the list or what is in it. */
status_t saved_put_staged(struct wasi *w, struct buf *out, struct error *err)
{
    uint32_t count = 0;
    uint64_t left = WASI_STAGED_SAVE_MAX;
    status_t st = ST_OK;
    for (const struct staged *s = w->staged; s != NULL; s = s->next) {
        count++;
    }
    buf_le32(out, count);
    for (struct staged *s = w->staged; st == ST_OK && s != NULL; s = s->next) {
        st = put_one(s, out, &left, err);
    }
    return st;
}

status_t saved_check_object(const struct file *f, uint32_t fd, struct error *err)
{
    const struct object *o = f->object;
    const struct wasi_bucket *b = o->bucket;
    struct wasi_object_info now = {0};
    char key[WASI_KEY_BYTES_MAX + 2];
    const char *path = object_path(f);
    const char *etag = o->staged != NULL ? o->staged->info.etag : o->info.etag;
    if (o->staged != NULL && (o->staged->dirty || o->staged->nameless)) {
        return ST_OK; /* its bytes travel */
    }
    int errnum = f->kind == FILE_DIRECTORY         ? object_folder_there(b, path)
                 : object_key(b, path, false, key) ? b->ops->stat(b->bucket, key, &now)
                                                   : ENOENT;
    if (errnum == ENOENT) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "descriptor %u: %.80s%.100s was removed or renamed", fd, b->place, path);
    }
    if (errnum == 0 && f->kind != FILE_DIRECTORY && strcmp(now.etag, etag) != 0) {
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                         "descriptor %u: %.80s%.100s was replaced since it was opened", fd,
                         b->place, path);
    }
    return ST_OK;
}

uint32_t saved_staged_number(struct wasi *w, const struct staged *s)
{
    uint32_t number = 1;
    const struct staged *at = w->staged;
    while (at != NULL && at != s) {
        at = at->next;
        number++;
    }
    return at != NULL ? number : 0;
}

/* ---- reading ---- */

static void take_one(struct cursor *c, uint32_t grant_count, struct saved_staged *s)
{
    size_t len;
    s->grant = cursor_le32(c);
    s->bits = cursor_u8(c);
    if (s->grant >= grant_count || (s->bits & ~STAGED_BITS_KNOWN) != 0) {
        cursor_fail(c, "an unknown kind of staged file");
    }
    const char *path = saved_take_text(c, WASI_KEY_BYTES_MAX, "too long a key", &len);
    if (path != NULL) {
        memcpy(s->path, path, len);
    }
    const char *etag = saved_take_text(c, WASI_ETAG_BYTES - 1, "too long an etag", &len);
    if (etag != NULL) {
        memcpy(s->info.etag, etag, len);
    }
    s->info.modified_ns = cursor_le64(c);
    s->info.size = saved_take_i63(c, "a size too large");
    if (s->bits & (STAGED_DIRTY | STAGED_NAMELESS)) {
        if (s->info.size > WASI_STAGED_SAVE_MAX) {
            cursor_fail(c, "too large a staged file");
        }
        s->data = cursor_bytes(c, c->failed ? 0 : (size_t)s->info.size);
    }
}

bool saved_take_staged(struct cursor *c, struct arena *arena, uint32_t grant_count,
                       struct saved_staged **ret_list, uint32_t *ret_count)
{
    uint32_t count = saved_take_count(c, WASI_OPEN_FILES_MAX, STAGED_FILE_BYTES_MIN,
                                      "too many staged files");
    struct saved_staged *list = arena_alloc(arena, count, sizeof(*list));
    if (list == NULL) {
        return false;
    }
    memset(list, 0, count * sizeof(*list));
    for (uint32_t i = 0; i < count && !c->failed; i++) {
        take_one(c, grant_count, &list[i]);
    }
    *ret_list = list;
    *ret_count = c->failed ? 0 : count;
    return true;
}

/* ---- restoring ---- */

int object_restore_folder(struct wasi *w, uint32_t grant, const char *path, struct file **ret_f)
{
    int errnum = object_folder_there(w->grants[grant].bucket, path);
    return errnum != 0 ? errnum : object_new_folder(w, grant, path, ret_f);
}

/* The object of a path, if it still has that etag. */
static int open_same(const struct wasi_bucket *b, const char *path, const char *etag, bool stale,
                     void **ret_reader, struct wasi_object_info *ret_info)
{
    char key[WASI_KEY_BYTES_MAX + 2];
    if (!object_key(b, path, false, key)) {
        return ENOENT;
    }
    int errnum = b->ops->open(b->bucket, key, ret_reader, ret_info);
    if (errnum == 0 && !stale && strcmp(ret_info->etag, etag) != 0) {
        b->ops->close(*ret_reader);
        *ret_reader = NULL;
        errnum = ESTALE;
    }
    return errnum;
}

static int seek_to(struct file *f, uint64_t offset)
{
    if (lseek(f->host_fd, (off_t)offset, SEEK_SET) >= 0) {
        return 0;
    }
    int errnum = errno;
    file_free(f);
    return errnum;
}

int object_restore_reader(struct wasi *w, uint32_t grant, const struct saved_file *s, bool stale,
                          struct file **ret_f)
{
    struct wasi_object_info info;
    void *reader = NULL;
    int errnum = open_same(w->grants[grant].bucket, s->path, s->etag, stale, &reader, &info);
    errnum = errnum == 0 ? object_new_reader(w, grant, s->path, reader, &info, ret_f) : errnum;
    return errnum == 0 ? seek_to(*ret_f, s->offset) : errnum;
}

static int make_staged(struct wasi *w, uint32_t grant, struct saved_staged *s, bool stale)
{
    struct wasi_object_info info = s->info;
    void *base = NULL;
    bool bytes = (s->bits & (STAGED_DIRTY | STAGED_NAMELESS)) != 0;
    int errnum = bytes ? 0
                       : open_same(w->grants[grant].bucket, s->path, s->info.etag, stale, &base,
                                   &info);
    errnum = errnum == 0 ? staged_new(w, grant, s->path, base, &info, &s->made) : errnum;
    if (errnum != 0) {
        return errnum;
    }
    if (bytes && s->info.size > 0 &&
        file_write_all_at(s->made->fd, s->data, (size_t)s->info.size, 0) != 0) {
        errnum = errno;
        staged_put(s->made);
        s->made = NULL;
        return errnum;
    }
    if (bytes) {
        uint64_t ns = s->info.modified_ns;
        struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        const struct timespec times[2] = {t, t};
        (void)futimens(s->made->fd, times); /* a time that no file can have stays away */
    }
    s->made->dirty = (s->bits & STAGED_DIRTY) != 0;
    s->made->only_new = (s->bits & STAGED_ONLY_NEW) != 0;
    s->made->only_same = (s->bits & STAGED_ONLY_SAME) != 0;
    s->made->nameless = (s->bits & STAGED_NAMELESS) != 0;
    return 0;
}

int object_restore_staged(struct wasi *w, uint32_t grant, const struct saved_file *s,
                          struct saved_staged *staged, bool stale, struct file **ret_f)
{
    bool reads = (s->rights_base & RIGHT_FD_READ) != 0;
    bool writes = (s->rights_base & RIGHTS_WRITE_DATA) != 0;
    int errnum = staged->made == NULL ? make_staged(w, grant, staged, stale) : 0;
    if (errnum != 0) {
        return errnum;
    }
    if (staged->made->grant != grant) {
        return ENOENT; /* a changed state: descriptors of other grants */
    }
    errnum = object_new_staged(w, staged->made,
                               !writes ? O_RDONLY
                               : reads ? O_RDWR
                                       : O_WRONLY,
                               ret_f);
    return errnum == 0 ? seek_to(*ret_f, s->offset) : errnum;
}
