#include "buckets.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/text.h"
#include "gedsfile/place.h"

enum {
    TRIES = 2,
    WRITER_KEEPS_BYTES = 1 << 20 /* an object up to that long is put in one request */
};

/* Everything that is open belongs to the connection that it was opened with, which lives as long. */
struct connection {
    struct geds *geds;
    uint32_t refs; /* guarded by buckets.lock */
};

struct bucket {
    struct bucket *next;
    struct buckets *all;
    struct wasi_bucket face;
    struct geds_place place;
    char prefix[GEDS_KEY_MAX + 2];
    char text[GEDS_BUCKET_MAX + GEDS_KEY_MAX + 16];
};

struct buckets {
    pthread_mutex_t lock;
    /* Guarded by lock. */
    struct connection *present; /* NULL: lost */
    uint64_t said; /* what was told last, so that it is told once; 0: nothing since all went well */
    struct bucket *list;
};

/* ---- connections ---- */

static void unref(struct buckets *b, struct connection *c)
{
    pthread_mutex_lock(&b->lock);
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (last) {
        geds_disconnect(c->geds);
        free(c);
    }
}

static enum geds_code connect_locked(struct buckets *b, struct geds_error *err)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        *err = (struct geds_error){.code = GEDS_NOMEM, .text = "out of memory"};
        return GEDS_NOMEM;
    }
    enum geds_code code = geds_connect(NULL, &c->geds, err);
    if (code != GEDS_OK) {
        free(c);
        return code;
    }
    c->refs = 1;
    b->present = c;
    return GEDS_OK;
}

/* The present connection, counted. An error of making one is GEDS_IO to who wants an object. */
static enum geds_code take(struct buckets *b, struct connection **ret_c, struct geds_error *err)
{
    pthread_mutex_lock(&b->lock);
    enum geds_code code = b->present != NULL ? GEDS_OK : connect_locked(b, err);
    if (code == GEDS_OK) {
        b->present->refs++;
        *ret_c = b->present;
    } else {
        code = err->code = code == GEDS_NOMEM ? GEDS_NOMEM : GEDS_IO;
    }
    pthread_mutex_unlock(&b->lock);
    return code;
}

/* It is of no use any more. */
static void drop(struct buckets *b, struct connection *c)
{
    pthread_mutex_lock(&b->lock);
    bool present = b->present == c;
    if (present) {
        b->present = NULL;
    }
    pthread_mutex_unlock(&b->lock);
    if (present) {
        unref(b, c);
    }
}

/* ---- errors ---- */

static int errno_of(enum geds_code code)
{
    switch (code) {
    case GEDS_OK:
        return 0;
    case GEDS_NOTFOUND:
        return ENOENT;
    case GEDS_EXIST:
        return EEXIST;
    case GEDS_PERM:
        return EACCES;
    case GEDS_NOMEM:
        return ENOMEM;
    case GEDS_LIMIT:
        return ENOSPC;
    case GEDS_CHANGED:
        return ESTALE;
    case GEDS_INVAL:
    case GEDS_INVALID:
        return EINVAL;
    case GEDS_UNSUPPORTED:
        return ENOTSUP;
    case GEDS_IO:
    case GEDS_CORRUPT:
    case GEDS_FORMAT:
    case GEDS_AGAIN:
    case GEDS_STOPPED:
    case GEDS_MOVED:
        break;
    }
    return EIO;
}

enum { SAID_NOTHING, SAID_AWAY }; /* a hash is hardly ever one of these */

/* A line for the user, not twice the same one after the other. */
static void say(struct buckets *b, uint64_t said, const char *what, const char *key,
                const char *why)
{
    char line[2 * GEDS_KEY_MAX];
    snprintf(line, sizeof line, "%s%s: %s", what, key, why);
    text_hide_controls(line);
    pthread_mutex_lock(&b->lock);
    bool again = b->said == said;
    b->said = said;
    pthread_mutex_unlock(&b->lock);
    if (!again) {
        fprintf(stderr, "cloudskin: %s\n", line);
    }
}

static void say_of(struct bucket *k, const char *key, const char *why)
{
    const char *name = key + strlen(k->prefix);
    say(k->all, hash_xxh3(key, strlen(key)) + hash_xxh3(why, strlen(why)), k->face.place, name,
        why);
}

static void all_well(struct buckets *b)
{
    pthread_mutex_lock(&b->lock);
    b->said = SAID_NOTHING;
    pthread_mutex_unlock(&b->lock);
}

/* The errno value; what a program cannot know is told the user. That the store is away is one line, whatever was
 * wanted. */
static int result(struct bucket *k, const char *key, const struct geds_error *err)
{
    int errnum = errno_of(err->code);
    if (errnum == 0) {
        all_well(k->all);
    } else if (err->code == GEDS_IO) {
        say(k->all, SAID_AWAY, "geds://", k->place.bucket, err->text);
    } else if (errnum == EIO || errnum == ENOSPC) {
        say_of(k, key, err->text);
    }
    return errnum;
}

/* ---- operations on names ---- */

struct operation {
    const char *key, *to;
    const struct wasi_object_query *query;
    bool *ret_more;
    struct wasi_object_info *ret_info;
};

static void give_info(const struct geds_info *from, struct wasi_object_info *to)
{
    *to = (struct wasi_object_info){.size = from->size, .modified_ns = from->modified_ns};
    snprintf(to->etag, sizeof to->etag, "%s", from->etag);
}

typedef enum geds_code operate(struct geds *g, struct bucket *k, const struct operation *o,
                               struct geds_error *err);

/* Made twice when the connection was lost: over a new one. done (may be NULL): the first one may have been made though
 * its answer was lost, so that the second finds nothing any more; did it? */
static int attempt(struct bucket *k, operate *f, operate *done, const struct operation *o)
{
    struct geds_error err = {.code = GEDS_OK};
    for (int i = 0; i < TRIES; i++) {
        struct connection *c;
        if (take(k->all, &c, &err) != GEDS_OK) {
            break;
        }
        err = (struct geds_error){.code = GEDS_OK};
        err.code = f(c->geds, k, o, &err);
        if (i > 0 && err.code == GEDS_NOTFOUND && done != NULL) {
            err.code = done(c->geds, k, o, &err);
        }
        if (err.code == GEDS_IO) {
            drop(k->all, c);
        }
        unref(k->all, c);
        if (err.code != GEDS_IO) {
            break;
        }
    }
    return result(k, o->key, &err);
}

static enum geds_code do_stat(struct geds *g, struct bucket *k, const struct operation *o,
                              struct geds_error *err)
{
    struct geds_info info;
    enum geds_code code = geds_stat(g, k->place.bucket, o->key, &info, err);
    if (code == GEDS_OK) {
        give_info(&info, o->ret_info);
    }
    return code;
}

static int bucket_stat(void *bucket, const char *key, struct wasi_object_info *ret_info)
{
    return attempt(bucket, do_stat, NULL, &(struct operation){.key = key, .ret_info = ret_info});
}

static enum geds_code do_list(struct geds *g, struct bucket *k, const struct operation *o,
                              struct geds_error *err)
{
    const struct wasi_object_query *q = o->query;
    struct geds_page *page = NULL;
    const struct geds_query query = {
        .prefix = q->prefix,
        .delimiter = "/",
        .start_after = q->after[0] != '\0' ? q->after : NULL,
        .max = q->max,
    };
    enum geds_code code = geds_list(g, k->place.bucket, &query, &page, err);
    if (code != GEDS_OK) {
        return code;
    }
    bool more = true;
    for (size_t i = 0; i < page->count && more; i++) {
        struct wasi_object_info info;
        give_info(&page->entries[i].info, &info);
        more = q->each(q->arg, page->entries[i].key, page->entries[i].is_prefix, &info);
    }
    *o->ret_more = page->more && page->count > 0;
    geds_page_free(page);
    return GEDS_OK;
}

static int bucket_list(void *bucket, const struct wasi_object_query *q, bool *ret_more)
{
    return attempt(bucket, do_list, NULL,
                   &(struct operation){.key = q->prefix, .query = q, .ret_more = ret_more});
}

static enum geds_code do_remove(struct geds *g, struct bucket *k, const struct operation *o,
                                struct geds_error *err)
{
    return geds_delete(g, k->place.bucket, o->key, NULL, err);
}

/* Whoever did it, it is not there. */
static enum geds_code was_removed(struct geds *g, struct bucket *k, const struct operation *o,
                                  struct geds_error *err)
{
    (void)g;
    (void)k;
    (void)o;
    (void)err;
    return GEDS_OK;
}

static int bucket_remove(void *bucket, const char *key)
{
    return attempt(bucket, do_remove, was_removed, &(struct operation){.key = key});
}

static enum geds_code do_rename(struct geds *g, struct bucket *k, const struct operation *o,
                                struct geds_error *err)
{
    return geds_rename(g, k->place.bucket, o->key, k->place.bucket, o->to, NULL, err);
}

static enum geds_code was_renamed(struct geds *g, struct bucket *k, const struct operation *o,
                                  struct geds_error *err)
{
    struct geds_info info;
    return geds_stat(g, k->place.bucket, o->to, &info, err);
}

static int bucket_rename(void *bucket, const char *key, const char *to)
{
    return attempt(bucket, do_rename, was_renamed, &(struct operation){.key = key, .to = to});
}

static enum geds_code do_rename_all(struct geds *g, struct bucket *k, const struct operation *o,
                                    struct geds_error *err)
{
    uint64_t count;
    return geds_rename_prefix(g, k->place.bucket, o->key, o->to, &count, err);
}

static enum geds_code were_renamed(struct geds *g, struct bucket *k, const struct operation *o,
                                   struct geds_error *err)
{
    struct geds_page *page = NULL;
    const struct geds_query query = {.prefix = o->to, .max = 1};
    enum geds_code code = geds_list(g, k->place.bucket, &query, &page, err);
    if (code == GEDS_OK) {
        code = page->count > 0 ? GEDS_OK : GEDS_NOTFOUND;
        geds_page_free(page);
    }
    return code;
}

static int bucket_rename_all(void *bucket, const char *from, const char *to)
{
    return attempt(bucket, do_rename_all, were_renamed, &(struct operation){.key = from, .to = to});
}

/* ---- reading ---- */

struct reader {
    struct bucket *bucket;
    pthread_mutex_t lock;
    /* Guarded by lock. */
    struct connection *c;
    struct geds_object *object; /* NULL: its connection was lost */
    char etag[WASI_ETAG_BYTES];
    char key[GEDS_KEY_MAX + 1];
};

static void reader_drop(struct reader *r, bool lost)
{
    geds_close(r->object);
    r->object = NULL;
    if (r->c != NULL && lost) {
        drop(r->bucket->all, r->c);
    }
    if (r->c != NULL) {
        unref(r->bucket->all, r->c);
    }
    r->c = NULL;
}

/* Open what has the name now. */
static enum geds_code reader_open(struct reader *r, struct geds_error *err)
{
    enum geds_code code = GEDS_OK;
    for (int i = 0; i < TRIES; i++) {
        code = take(r->bucket->all, &r->c, err);
        if (code != GEDS_OK) {
            r->c = NULL;
            return code;
        }
        code = geds_open(r->c->geds, r->bucket->place.bucket, r->key, &r->object, err);
        if (code == GEDS_OK) {
            return code;
        }
        r->object = NULL;
        reader_drop(r, code == GEDS_IO);
        if (code != GEDS_IO) {
            return code;
        }
    }
    return code;
}

static void reader_free(struct reader *r)
{
    reader_drop(r, false);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static int bucket_open(void *bucket, const char *key, void **ret_object,
                       struct wasi_object_info *ret_info)
{
    struct bucket *k = bucket;
    struct geds_error err = {.code = GEDS_OK};
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return ENOMEM;
    }
    r->bucket = k;
    pthread_mutex_init(&r->lock, NULL);
    snprintf(r->key, sizeof r->key, "%s", key);
    err.code = reader_open(r, &err);
    if (err.code != GEDS_OK) {
        reader_free(r);
        return err.code == GEDS_LIMIT ? ENFILE : result(k, key, &err);
    }
    give_info(geds_object_info(r->object), ret_info);
    snprintf(r->etag, sizeof r->etag, "%s", ret_info->etag);
    *ret_object = r;
    return result(k, key, &err);
}

/* The store was away: go on in the same object, if it still has its name. */
static enum geds_code reader_again(struct reader *r, struct geds_error *err)
{
    enum geds_code code = reader_open(r, err);
    bool other = code == GEDS_OK && strcmp(geds_object_info(r->object)->etag, r->etag) != 0;
    if (other) {
        reader_drop(r, false);
    }
    if (other || code == GEDS_NOTFOUND) {
        say_of(r->bucket, r->key,
               "was replaced or removed while the store was away, and cannot be read any further");
        code = err->code = GEDS_CHANGED;
    }
    return code;
}

static int bucket_read(void *object, void *data, size_t len, uint64_t offset, size_t *ret_len)
{
    struct reader *r = object;
    struct geds_error err = {.code = GEDS_OK};
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < TRIES; i++) {
        err.code = r->object != NULL ? GEDS_OK : reader_again(r, &err);
        if (err.code != GEDS_OK) {
            break;
        }
        err.code = geds_pread(r->object, data, len, offset, ret_len, &err);
        if (err.code != GEDS_IO) {
            break;
        }
        reader_drop(r, true);
    }
    pthread_mutex_unlock(&r->lock);
    return result(r->bucket, r->key, &err);
}

static void bucket_close(void *object)
{
    reader_free(object);
}

/* ---- writing ---- */

struct writer {
    struct bucket *bucket;
    struct connection *c;
    struct geds_writer *w; /* NULL: all of it is in `kept` so far */
    struct buf kept;
    char key[GEDS_KEY_MAX + 1];
};

static void writer_free(struct writer *w, enum geds_code code)
{
    if (code == GEDS_IO) {
        drop(w->bucket->all, w->c);
    }
    unref(w->bucket->all, w->c);
    buf_done(&w->kept);
    free(w);
}

static int bucket_create(void *bucket, const char *key, void **ret_writer)
{
    struct bucket *k = bucket;
    struct geds_error err = {.code = GEDS_OK};
    struct writer *w = calloc(1, sizeof *w);
    if (w == NULL) {
        return ENOMEM;
    }
    w->bucket = k;
    snprintf(w->key, sizeof w->key, "%s", key);
    if (take(k->all, &w->c, &err) != GEDS_OK) {
        free(w);
        return result(k, key, &err);
    }
    *ret_writer = w;
    return 0;
}

static enum geds_code write_through(struct writer *w, const void *data, size_t len,
                                    struct geds_error *err)
{
    enum geds_code code = GEDS_OK;
    if (w->w == NULL) {
        code = geds_create(w->c->geds, w->bucket->place.bucket, w->key, NULL, &w->w, err);
        if (code == GEDS_OK && w->kept.len > 0) {
            code = geds_write(w->w, w->kept.data, w->kept.len, err);
        }
        buf_done(&w->kept);
    }
    return code == GEDS_OK ? geds_write(w->w, data, len, err) : code;
}

static int bucket_write(void *writer, const void *data, size_t len)
{
    struct writer *w = writer;
    struct geds_error err = {.code = GEDS_OK};
    if (w->w == NULL && len <= WRITER_KEEPS_BYTES - w->kept.len) {
        buf_bytes(&w->kept, data, len);
        return w->kept.failed ? ENOMEM : 0;
    }
    err.code = write_through(w, data, len, &err);
    if (err.code == GEDS_IO) {
        drop(w->bucket->all, w->c);
    }
    return result(w->bucket, w->key, &err);
}

static void tell_condition(const struct writer *w, const struct geds_error *err)
{
    if (err->code == GEDS_EXIST) {
        say_of(w->bucket, w->key,
               "not written: it was to be a new object, and there is one by now");
    } else if (err->code == GEDS_CHANGED || err->code == GEDS_NOTFOUND) {
        say_of(w->bucket, w->key, "not written: it was replaced or removed since it was opened");
    }
}

static int bucket_seal(void *writer, const struct wasi_object_condition *c,
                       struct wasi_object_info *ret_info)
{
    struct writer *w = writer;
    struct geds_info info;
    struct geds_error err = {.code = GEDS_OK};
    const struct geds_condition condition = {.if_none = c->if_none, .if_match = c->if_match};
    if (w->w != NULL) {
        err.code = geds_seal(w->w, &condition, &info, &err);
    } else {
        err.code = geds_put(w->c->geds, w->bucket->place.bucket, w->key, NULL, &condition,
                            w->kept.len > 0 ? (const void *)w->kept.data : "", w->kept.len, &info,
                            &err);
    }
    if (err.code == GEDS_OK) {
        give_info(&info, ret_info);
    }
    int errnum = result(w->bucket, w->key, &err);
    tell_condition(w, &err);
    if (errnum == ENOENT && c->if_match != NULL) {
        errnum = ESTALE;
    }
    writer_free(w, err.code);
    return errnum;
}

static void bucket_abort(void *writer)
{
    struct writer *w = writer;
    geds_abort(w->w);
    writer_free(w, GEDS_OK);
}

/* ---- life ---- */

static const struct wasi_bucket_ops operations = {
    .stat = bucket_stat,
    .list = bucket_list,
    .open = bucket_open,
    .read = bucket_read,
    .close = bucket_close,
    .create = bucket_create,
    .write = bucket_write,
    .seal = bucket_seal,
    .abort = bucket_abort,
    .remove = bucket_remove,
    .rename = bucket_rename,
    .rename_all = bucket_rename_all,
};

status_t buckets_open(struct buckets **ret_b, struct error *err)
{
    struct geds_error from = {.code = GEDS_OK};
    struct buckets *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    pthread_mutex_init(&b->lock, NULL);
    if (connect_locked(b, &from) != GEDS_OK) {
        buckets_close(b);
        return geds_error_take("", &from, err);
    }
    *ret_b = b;
    return ST_OK;
}

void buckets_close(struct buckets *b)
{
    if (b == NULL) {
        return;
    }
    if (b->present != NULL) {
        unref(b, b->present);
    }
    while (b->list != NULL) {
        struct bucket *k = b->list;
        b->list = k->next;
        free(k);
    }
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static status_t set_place(struct bucket *k, const char *place, struct error *err)
{
    status_t code = geds_place_parse(place, &k->place, err);
    if (code != ST_OK) {
        return code;
    }
    size_t len = strlen(k->place.key);
    bool slash = len > 0 && k->place.key[len - 1] != '/';
    if (len >= GEDS_KEY_MAX || k->place.key[0] == '/' || strstr(k->place.key, "//") != NULL) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "'%.200s': no folder of a bucket has that name", place);
    }
    snprintf(k->prefix, sizeof k->prefix, "%s%s", k->place.key, slash ? "/" : "");
    snprintf(k->text, sizeof k->text, "geds://%s/%s", k->place.bucket, k->prefix);
    k->face = (struct wasi_bucket){.ops = &operations,
                                   .bucket = k,
                                   .name = k->place.bucket,
                                   .prefix = k->prefix,
                                   .place = k->text};
    return ST_OK;
}

status_t buckets_add(struct buckets *b, const char *place, const struct wasi_bucket **ret_bucket,
                     struct error *err)
{
    struct geds_error from = {.code = GEDS_OK};
    struct geds_bucket status;
    struct bucket *k = calloc(1, sizeof *k);
    if (k == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    k->all = b;
    status_t code = set_place(k, place, err);
    if (code == ST_OK &&
        geds_bucket_status(b->present->geds, k->place.bucket, &status, &from) != GEDS_OK) {
        code = from.code == GEDS_NOTFOUND
                   ? error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET,
                               "no bucket '%s' (`cloudskin mb geds://%s` makes it)",
                               k->place.bucket, k->place.bucket)
                   : geds_error_take(place, &from, err);
    }
    if (code != ST_OK) {
        free(k);
        return code;
    }
    k->next = b->list;
    b->list = k;
    *ret_bucket = &k->face;
    return ST_OK;
}
