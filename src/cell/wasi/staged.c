#include "staged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "object.h"
#include "stat.h"
#include "sys/files.h"

static int open_nameless(const char *folder)
{
    char path[PATH_MAX];
    int fd = open(folder, O_RDWR | O_TMPFILE | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return fd;
    }
    int len = snprintf(path, sizeof(path), "%s/cloudskin.XXXXXX", folder);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

static void free_staged(struct staged *s)
{
    if (s->base != NULL) {
        s->bucket->ops->close(s->base);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->filled);
    free(s);
}

static int prepare(struct staged *s)
{
    const char *folder = s->w->staging != NULL ? s->w->staging : "/tmp";
    if (s->base_len > STAGED_BYTES_MAX) {
        return EFBIG;
    }
    s->granules = (s->base_len + STAGED_GRANULE_BYTES - 1) / STAGED_GRANULE_BYTES;
    s->filled = calloc((size_t)s->granules / 8 + 1, 1);
    if (s->filled == NULL) {
        return ENOMEM;
    }
    s->fd = open_nameless(folder);
    return s->fd >= 0 && ftruncate(s->fd, (off_t)s->base_len) == 0 ? 0 : errno;
}

int staged_new(struct wasi *w, uint32_t grant, const char *path, void *base,
               const struct wasi_object_info *info, struct staged **ret_s)
{
    const struct wasi_bucket *b = w->grants[grant].bucket;
    struct staged *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        if (base != NULL) {
            b->ops->close(base);
        }
        return ENOMEM;
    }
    s->w = w;
    s->bucket = b;
    s->grant = grant;
    s->fd = -1;
    s->refs = 1;
    s->info = *info;
    s->base = base;
    s->base_len = base != NULL ? info->size : 0;
    snprintf(s->path, sizeof(s->path), "%s", path);
    pthread_mutex_init(&s->lock, NULL);
    int errnum = prepare(s);
    if (errnum != 0) {
        free_staged(s);
        return errnum;
    }
    pthread_mutex_lock(&w->staged_lock);
    s->next = w->staged;
    w->staged = s;
    pthread_mutex_unlock(&w->staged_lock);
    *ret_s = s;
    return 0;
}

/* Called with w->staged_lock held, which is enough to read a name: it is changed with both locks held. */
static bool has_key(const struct staged *s, const struct wasi_bucket *b, const char *key)
{
    char own[WASI_KEY_BYTES_MAX + 2];
    return !s->nameless && strcmp(s->bucket->name, b->name) == 0 &&
           object_key(s->bucket, s->path, false, own) && strcmp(own, key) == 0;
}

struct staged *staged_find(struct wasi *w, const struct wasi_bucket *b, const char *key)
{
    pthread_mutex_lock(&w->staged_lock);
    struct staged *s = w->staged;
    while (s != NULL && !has_key(s, b, key)) {
        s = s->next;
    }
    if (s != NULL) {
        s->refs++;
    }
    pthread_mutex_unlock(&w->staged_lock);
    return s;
}

void staged_ref(struct staged *s)
{
    pthread_mutex_lock(&s->w->staged_lock);
    s->refs++;
    pthread_mutex_unlock(&s->w->staged_lock);
}

void staged_put(struct staged *s)
{
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->w->staged_lock);
    bool last = --s->refs == 0;
    struct staged **at = &s->w->staged;
    while (last && *at != s) {
        at = &(*at)->next;
    }
    if (last) {
        *at = s->next;
    }
    pthread_mutex_unlock(&s->w->staged_lock);
    if (last) {
        free_staged(s);
    }
}

/* ---- what it has of the object; with the lock held ---- */

static bool is_filled(const struct staged *s, uint64_t granule)
{
    return granule * STAGED_GRANULE_BYTES >= s->base_len ||
           (s->filled[granule / 8] & (1U << (granule % 8))) != 0;
}

static void set_filled(struct staged *s, uint64_t granule)
{
    if (granule < s->granules) {
        s->filled[granule / 8] |= (uint8_t)(1U << (granule % 8));
    }
}

/* What was published has in each granule that is not filled what the older object has. The store
 * finds an object again by its name and etag when it was away, so it has to be the one that has them
 * now. The older one goes on where that one cannot be opened. */
static void renew_base(struct staged *s)
{
    struct wasi_object_info info;
    char key[WASI_KEY_BYTES_MAX + 2];
    void *base = NULL;
    const struct wasi_bucket *b = s->bucket;
    if (!s->base_moved || s->nameless || !object_key(b, s->path, false, key) ||
        b->ops->open(b->bucket, key, &base, &info) != 0) {
        return;
    }
    void *unused = base;
    if (strcmp(info.etag, s->info.etag) == 0) {
        unused = s->base;
        s->base = base;
    }
    b->ops->close(unused);
    s->base_moved = false;
}

/* Into the buffer: what the object has of this granule, *ret_len bytes. */
static int read_base(struct staged *s, uint64_t granule, size_t *ret_len)
{
    uint64_t at = granule * STAGED_GRANULE_BYTES, left = s->base_len - at;
    size_t len = left < STAGED_GRANULE_BYTES ? (size_t)left : STAGED_GRANULE_BYTES, have = 0;
    renew_base(s);
    while (have < len) {
        size_t n = 0;
        int errnum = s->bucket->ops->read(s->base, s->buffer + have, len - have, at + have, &n);
        if (errnum != 0 || n == 0) {
            return errnum != 0 ? errnum : EIO;
        }
        have += n;
    }
    *ret_len = len;
    return 0;
}

/* A cell may have very many of these, and each needs its buffer for a moment only. */
static bool take_buffer(struct staged *s)
{
    s->buffer = s->buffer != NULL ? s->buffer : malloc(STAGED_GRANULE_BYTES);
    return s->buffer != NULL;
}

static void give_buffer(struct staged *s)
{
    free(s->buffer);
    s->buffer = NULL;
}

static int fill(struct staged *s, uint64_t granule)
{
    size_t len = 0, done = 0;
    if (is_filled(s, granule)) {
        return 0;
    }
    int errnum = take_buffer(s) ? read_base(s, granule, &len) : ENOMEM;
    while (errnum == 0 && done < len) {
        off_t at = (off_t)(granule * STAGED_GRANULE_BYTES + done);
        ssize_t n = pwrite(s->fd, s->buffer + done, len - done, at);
        if (n < 0 && errno != EINTR) {
            errnum = errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    if (errnum == 0) {
        set_filled(s, granule);
    }
    return errnum;
}

/* All granules that bytes from `from` to `to` are in. */
static int need(struct staged *s, uint64_t from, uint64_t to)
{
    int errnum = 0;
    for (uint64_t g = from / STAGED_GRANULE_BYTES;
         errnum == 0 && g * STAGED_GRANULE_BYTES < to && g * STAGED_GRANULE_BYTES < s->base_len;
         g++) {
        errnum = fill(s, g);
    }
    give_buffer(s);
    return errnum;
}

int staged_before_read(struct staged *s, uint64_t offset, uint64_t len)
{
    pthread_mutex_lock(&s->lock);
    int errnum = need(s, offset, offset + len);
    pthread_mutex_unlock(&s->lock);
    return errnum;
}

/* A write may be shorter than asked for, so nothing counts as replaced before it was: holes are filled in any case. */
int staged_before_write(struct staged *s, uint64_t offset, uint64_t len)
{
    pthread_mutex_lock(&s->lock);
    int errnum = offset + len > STAGED_BYTES_MAX ? EFBIG : need(s, offset, offset + len);
    if (errnum == 0) {
        s->dirty = true;
    }
    pthread_mutex_unlock(&s->lock);
    return errnum;
}

int staged_resize(struct staged *s, uint64_t size)
{
    pthread_mutex_lock(&s->lock);
    int errnum = size > STAGED_BYTES_MAX ? EFBIG : 0;
    if (ftruncate(s->fd, errnum == 0 ? (off_t)size : -1) != 0) {
        errnum = errnum != 0 ? errnum : errno;
    } else if (size < s->base_len) {
        s->base_len = size;
    }
    s->dirty = s->dirty || errnum == 0;
    pthread_mutex_unlock(&s->lock);
    return errnum;
}

int staged_reserve(struct staged *s, uint64_t offset, uint64_t len)
{
    pthread_mutex_lock(&s->lock);
    int errnum = offset + len > STAGED_BYTES_MAX ? EFBIG : 0;
    if (errnum == 0 && fallocate(s->fd, 0, (off_t)offset, (off_t)len) != 0) {
        errnum = errno;
    }
    s->dirty = s->dirty || errnum == 0;
    pthread_mutex_unlock(&s->lock);
    return errnum;
}

uint64_t staged_size(const struct staged *s)
{
    struct stat st;
    return fstat(s->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t staged_modified_ns(const struct staged *s)
{
    struct stat st;
    if (!s->dirty && s->info.modified_ns != 0) {
        return s->info.modified_ns;
    }
    return fstat(s->fd, &st) == 0 ? stat_ns(st.st_mtim) : 0;
}

void staged_forget_name(struct staged *s)
{
    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&s->w->staged_lock);
    s->nameless = true;
    pthread_mutex_unlock(&s->w->staged_lock);
    pthread_mutex_unlock(&s->lock);
}

void staged_rename(struct staged *s, const char *path)
{
    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&s->w->staged_lock);
    snprintf(s->path, sizeof(s->path), "%s", path);
    s->base_moved = s->base != NULL;
    s->only_new = false; /* the rename has replaced what was there */
    pthread_mutex_unlock(&s->w->staged_lock);
    pthread_mutex_unlock(&s->lock);
}

void staged_rename_folder(struct wasi *w, uint32_t grant, const char *from, const char *to)
{
    char path[2 * WASI_KEY_BYTES_MAX + 2];
    size_t len = strlen(from);
    pthread_mutex_lock(&w->staged_lock);
    for (struct staged *s = w->staged; s != NULL; s = s->next) {
        if (s->grant == grant && strncmp(s->path, from, len) == 0 && s->path[len] == '/') {
            snprintf(path, sizeof(path), "%s%s", to, s->path + len);
            s->nameless = s->nameless || strlen(path) > WASI_KEY_BYTES_MAX;
            snprintf(s->path, sizeof(s->path), "%.*s", WASI_KEY_BYTES_MAX, path);
            s->base_moved = s->base != NULL;
        }
    }
    pthread_mutex_unlock(&w->staged_lock);
}

bool staged_is_last(struct staged *s)
{
    pthread_mutex_lock(&s->w->staged_lock);
    bool last = s->refs == 1;
    pthread_mutex_unlock(&s->w->staged_lock);
    return last;
}

/* ---- publishing; with the lock held ---- */

/* Into the buffer: *ret_len bytes of the file, from it or from the object. */
static int piece_of(struct staged *s, uint64_t granule, uint64_t size, size_t *ret_len)
{
    uint64_t at = granule * STAGED_GRANULE_BYTES, left = size - at;
    size_t len = left < STAGED_GRANULE_BYTES ? (size_t)left : STAGED_GRANULE_BYTES, got = 0;
    int errnum = 0;
    if (!is_filled(s, granule)) {
        errnum = read_base(s, granule, &got);
        if (errnum == 0 && got < len) {
            memset(s->buffer + got, 0, len - got);
        }
        got = len;
    }
    while (errnum == 0 && got < len) {
        ssize_t n = pread(s->fd, s->buffer + got, len - got, (off_t)(at + got));
        if (n == 0 || (n < 0 && errno != EINTR)) {
            errnum = n == 0 ? EIO : errno;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    *ret_len = len;
    return errnum;
}

static int write_all(struct staged *s, void *writer, bool (*go_on)(void *), void *arg)
{
    uint64_t size = staged_size(s);
    int errnum = 0;
    for (uint64_t at = 0; errnum == 0 && at < size; at += STAGED_GRANULE_BYTES) {
        size_t len = 0;
        errnum = piece_of(s, at / STAGED_GRANULE_BYTES, size, &len);
        errnum = errnum != 0 ? errnum : s->bucket->ops->write(writer, s->buffer, len);
        if (errnum == 0 && go_on != NULL && !go_on(arg)) {
            errnum = ECANCELED;
        }
    }
    return errnum;
}

static int publish(struct staged *s, bool (*go_on)(void *), void *arg)
{
    const struct wasi_bucket_ops *ops = s->bucket->ops;
    const struct wasi_object_condition c = {.if_none = s->only_new,
                                            .if_match = s->only_same ? s->info.etag : NULL};
    struct wasi_object_info info;
    char key[WASI_KEY_BYTES_MAX + 2];
    void *writer = NULL;
    if (!object_key(s->bucket, s->path, false, key)) {
        return ENAMETOOLONG;
    }
    int errnum = ops->create(s->bucket->bucket, key, &writer);
    if (errnum != 0) {
        return errnum;
    }
    errnum = take_buffer(s) ? write_all(s, writer, go_on, arg) : ENOMEM;
    give_buffer(s);
    if (errnum != 0) {
        ops->abort(writer);
        return errnum;
    }
    errnum = ops->seal(writer, &c, &info);
    if (errnum == 0) {
        s->info = info;
        s->dirty = s->only_new = false;
        s->base_moved = s->base != NULL;
    }
    return errnum;
}

int staged_publish(struct staged *s, bool (*go_on)(void *), void *arg)
{
    int errnum = 0;
    pthread_mutex_lock(&s->lock);
    if (s->dirty && !s->nameless && s->w->grants[s->grant].read_only) {
        errnum = EROFS; /* no call leads here: whatever a state says */
    } else if (s->dirty && !s->nameless) {
        errnum = publish(s, go_on, arg);
        /* The connection was lost: the same bytes over a new one. */
        errnum = errnum == EIO ? publish(s, go_on, arg) : errnum;
    }
    pthread_mutex_unlock(&s->lock);
    return errnum;
}
