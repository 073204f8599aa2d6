#ifndef TESTS_CELL_WASI_MEMORY_BUCKET_H
#define TESTS_CELL_WASI_MEMORY_BUCKET_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cell/wasi/bucket.h"

/* A bucket in memory, as what WASI wants of a store. Bytes of an object stay until nobody reads them. */

enum { MEMORY_KEYS_MAX = 2000, MEMORY_PAGE = 3 };

struct memory_bytes {
    unsigned refs;
    size_t len;
    uint8_t *data;
    struct wasi_object_info info;
};

struct memory_bucket {
    struct wasi_bucket face;
    struct {
        char *key;
        struct memory_bytes *bytes;
    } objects[MEMORY_KEYS_MAX]; /* in the order of keys */
    unsigned count;
    unsigned changes; /* for etags */
    unsigned open;    /* objects and writers */
    unsigned calls;
    int fails_with;       /* every call, when it is not 0 */
    unsigned fails_after; /* calls that still succeed */
    bool stale; /* reads are refused of what has not the name any more that it was opened by */
};

struct memory_writer {
    struct memory_bucket *b;
    char *key;
    uint8_t *data;
    size_t len;
};

static inline int memory_call(struct memory_bucket *b)
{
    b->calls++;
    if (b->fails_with != 0 && b->fails_after == 0) {
        return b->fails_with;
    }
    b->fails_after -= b->fails_after > 0 ? 1 : 0;
    return 0;
}

static inline void memory_put_bytes(struct memory_bytes *m)
{
    if (--m->refs == 0) {
        free(m->data);
        free(m);
    }
}

/* Where the key is, or is to be. */
static inline unsigned memory_find(const struct memory_bucket *b, const char *key, bool *ret_there)
{
    unsigned i = 0;
    while (i < b->count && strcmp(b->objects[i].key, key) < 0) {
        i++;
    }
    *ret_there = i < b->count && strcmp(b->objects[i].key, key) == 0;
    return i;
}

static inline void memory_remove_at(struct memory_bucket *b, unsigned i)
{
    free(b->objects[i].key);
    memory_put_bytes(b->objects[i].bytes);
    memmove(&b->objects[i], &b->objects[i + 1], (b->count - i - 1) * sizeof(b->objects[0]));
    b->count--;
}

/* Takes over the reference. */
static inline void memory_insert(struct memory_bucket *b, const char *key,
                                 struct memory_bytes *bytes)
{
    bool there;
    unsigned i = memory_find(b, key, &there);
    if (there) {
        memory_put_bytes(b->objects[i].bytes);
    } else {
        memmove(&b->objects[i + 1], &b->objects[i], (b->count - i) * sizeof(b->objects[0]));
        b->objects[i].key = strdup(key);
        b->count++;
    }
    b->objects[i].bytes = bytes;
}

static inline void memory_put(struct memory_bucket *b, const char *key, const void *data,
                              size_t len)
{
    struct memory_bytes *m = calloc(1, sizeof(*m));
    m->refs = 1;
    m->len = len;
    m->data = malloc(len + 1);
    if (len > 0) {
        memcpy(m->data, data, len);
    }
    b->changes++;
    m->info = (struct wasi_object_info){.size = len,
                                        .modified_ns = UINT64_C(1700000000000000000) + b->changes};
    snprintf(m->info.etag, sizeof(m->info.etag), "etag-%u", b->changes);
    memory_insert(b, key, m);
}

/* NULL: not there. */
static inline const struct memory_bytes *memory_get(const struct memory_bucket *b, const char *key)
{
    bool there;
    unsigned i = memory_find(b, key, &there);
    return there ? b->objects[i].bytes : NULL;
}

static inline int memory_stat(void *bucket, const char *key, struct wasi_object_info *ret_info)
{
    struct memory_bucket *b = bucket;
    const struct memory_bytes *m = memory_get(b, key);
    int errnum = memory_call(b);
    if (errnum == 0 && m != NULL) {
        *ret_info = m->info;
    }
    return errnum != 0 ? errnum : m != NULL ? 0 : ENOENT;
}

static inline int memory_list(void *bucket, const struct wasi_object_query *q, bool *ret_more)
{
    struct memory_bucket *b = bucket;
    char last[2048] = "";
    unsigned given = 0, max = q->max != 0 ? q->max : MEMORY_PAGE;
    size_t prefix_len = strlen(q->prefix);
    int errnum = memory_call(b);
    *ret_more = false;
    for (unsigned i = 0; errnum == 0 && i < b->count; i++) {
        const char *key = b->objects[i].key;
        if (strncmp(key, q->prefix, prefix_len) != 0) {
            continue;
        }
        const char *slash = strchr(key + prefix_len, '/');
        size_t len = slash != NULL ? (size_t)(slash - key) + 1 : strlen(key);
        char entry[2048];
        snprintf(entry, sizeof(entry), "%.*s", (int)len, key);
        if (strcmp(entry, q->after) <= 0 || strcmp(entry, last) == 0) {
            continue;
        }
        if (given == max) {
            *ret_more = true;
            return 0;
        }
        given++;
        memcpy(last, entry, sizeof(last));
        if (!q->each(q->arg, entry, slash != NULL, &b->objects[i].bytes->info)) {
            return 0;
        }
    }
    return errnum;
}

struct memory_reader {
    struct memory_bucket *b;
    char key[WASI_KEY_BYTES_MAX + 1];
    struct memory_bytes *bytes;
};

static inline int memory_open(void *bucket, const char *key, void **ret_object,
                              struct wasi_object_info *ret_info)
{
    struct memory_bucket *b = bucket;
    bool there;
    unsigned i = memory_find(b, key, &there);
    int errnum = memory_call(b);
    if (errnum != 0 || !there) {
        return errnum != 0 ? errnum : ENOENT;
    }
    struct memory_reader *r = malloc(sizeof(*r));
    *r = (struct memory_reader){.b = b, .bytes = b->objects[i].bytes};
    snprintf(r->key, sizeof(r->key), "%s", key);
    r->bytes->refs++;
    b->open++;
    *ret_object = r;
    *ret_info = r->bytes->info;
    return 0;
}

static inline int memory_read(void *object, void *data, size_t len, uint64_t offset,
                              size_t *ret_len)
{
    struct memory_reader *r = object;
    int errnum = memory_call(r->b);
    if (errnum == 0 && r->b->stale && memory_get(r->b, r->key) != r->bytes) {
        errnum = ESTALE;
    }
    size_t left = offset < r->bytes->len ? r->bytes->len - (size_t)offset : 0;
    size_t n = len < left ? len : left;
    if (errnum == 0 && n > 0) {
        memcpy(data, r->bytes->data + offset, n);
    }
    *ret_len = n;
    return errnum;
}

static inline void memory_close(void *object)
{
    struct memory_reader *r = object;
    r->b->open--;
    memory_put_bytes(r->bytes);
    free(r);
}

static inline int memory_create(void *bucket, const char *key, void **ret_writer)
{
    struct memory_bucket *b = bucket;
    int errnum = memory_call(b);
    if (errnum != 0) {
        return errnum;
    }
    struct memory_writer *w = calloc(1, sizeof(*w));
    w->b = b;
    w->key = strdup(key);
    b->open++;
    *ret_writer = w;
    return 0;
}

static inline int memory_write(void *writer, const void *data, size_t len)
{
    struct memory_writer *w = writer;
    int errnum = memory_call(w->b);
    if (errnum == 0) {
        w->data = realloc(w->data, w->len + len + 1);
        memcpy(w->data + w->len, data, len);
        w->len += len;
    }
    return errnum;
}

static inline void memory_abort(void *writer)
{
    struct memory_writer *w = writer;
    w->b->open--;
    free(w->key);
    free(w->data);
    free(w);
}

static inline int memory_seal(void *writer, const struct wasi_object_condition *c,
                              struct wasi_object_info *ret_info)
{
    struct memory_writer *w = writer;
    const struct memory_bytes *m = memory_get(w->b, w->key);
    int errnum = memory_call(w->b);
    if (errnum == 0 && c->if_none && m != NULL) {
        errnum = EEXIST;
    } else if (errnum == 0 && c->if_match != NULL &&
               (m == NULL || strcmp(m->info.etag, c->if_match) != 0)) {
        errnum = ESTALE;
    }
    if (errnum == 0) {
        memory_put(w->b, w->key, w->data, w->len);
        *ret_info = memory_get(w->b, w->key)->info;
    }
    memory_abort(w);
    return errnum;
}

static inline int memory_remove(void *bucket, const char *key)
{
    struct memory_bucket *b = bucket;
    bool there;
    unsigned i = memory_find(b, key, &there);
    int errnum = memory_call(b);
    if (errnum == 0 && there) {
        memory_remove_at(b, i);
    }
    return errnum != 0 ? errnum : there ? 0 : ENOENT;
}

static inline int memory_rename(void *bucket, const char *key, const char *to)
{
    struct memory_bucket *b = bucket;
    bool there;
    unsigned i = memory_find(b, key, &there);
    int errnum = memory_call(b);
    if (errnum != 0 || !there) {
        return errnum != 0 ? errnum : ENOENT;
    }
    struct memory_bytes *m = b->objects[i].bytes;
    m->refs++;
    memory_remove_at(b, i);
    memory_insert(b, to, m);
    return 0;
}

static inline int memory_rename_all(void *bucket, const char *from, const char *to)
{
    struct memory_bucket *b = bucket;
    size_t len = strlen(from);
    char key[2048], target[4096];
    int errnum = memory_call(b);
    for (unsigned pass = 0; errnum == 0 && pass < 2; pass++) {
        for (unsigned i = 0; errnum == 0 && i < b->count; i++) {
            if (strncmp(b->objects[i].key, from, len) != 0) {
                continue;
            }
            snprintf(key, sizeof(key), "%s", b->objects[i].key);
            snprintf(target, sizeof(target), "%s%s", to, key + len);
            if (pass == 0 && memory_get(b, target) != NULL) {
                errnum = EEXIST;
            } else if (pass == 1) {
                errnum = memory_rename(b, key, target);
                i = UINT32_MAX; /* from the beginning */
            }
        }
    }
    return errnum;
}

static const struct wasi_bucket_ops memory_ops = {
    .stat = memory_stat,
    .list = memory_list,
    .open = memory_open,
    .read = memory_read,
    .close = memory_close,
    .create = memory_create,
    .write = memory_write,
    .seal = memory_seal,
    .abort = memory_abort,
    .remove = memory_remove,
    .rename = memory_rename,
    .rename_all = memory_rename_all,
};

static inline struct memory_bucket *memory_bucket_new(const char *prefix, const char *place)
{
    struct memory_bucket *b = calloc(1, sizeof(*b));
    b->face = (struct wasi_bucket){&memory_ops, b, "memory", prefix, place};
    return b;
}

/* The number of objects and writers that nobody has closed. */
static inline unsigned memory_bucket_free(struct memory_bucket *b)
{
    unsigned open = b->open;
    while (b->count > 0) {
        memory_remove_at(b, b->count - 1);
    }
    free(b);
    return open;
}

#endif
