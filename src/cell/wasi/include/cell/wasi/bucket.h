#ifndef CELL_WASI_BUCKET_H
#define CELL_WASI_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bucket of an object store that is granted as a folder. The embedder brings the store: this is what it has to do.
 * docs/internals/geds-dir.md says what a guest makes of it. */

enum {
    WASI_KEY_BYTES_MAX = 1024,
    WASI_BUCKET_NAME_BYTES_MAX = 63,
    WASI_ETAG_BYTES = 48, /* with the NUL */
};

struct wasi_object_info {
    uint64_t size;
    uint64_t modified_ns; /* since the epoch */
    char etag[WASI_ETAG_BYTES];
};

/* What must be true of a name when an object gets it; zeroed: nothing. */
struct wasi_object_condition {
    bool if_none;         /* there is no such object, else EEXIST */
    const char *if_match; /* there is one with this etag, else ESTALE; NULL: whatever there is */
};

/* The keys that begin with a prefix, in the order of bytes. */
struct wasi_object_query {
    const char *prefix;
    const char *after; /* "": from the beginning */
    uint32_t max;      /* entries; 0: as many as the store likes */
    /* Called for each: an object, or with folder the common beginning of several up to the first '/' behind the
     * prefix. False: enough. */
    bool (*each)(void *arg, const char *key, bool folder, const struct wasi_object_info *info);
    void *arg;
};

/* All return 0 or a positive errno value, may block and are called by any thread. ENOENT: no such object. EIO: the
 * store is not there, or bytes are damaged; whoever knows why has told the user. bucket, object and writer are the
 * embedder's. */
struct wasi_bucket_ops {
    int (*stat)(void *bucket, const char *key, struct wasi_object_info *ret_info);
    /* One page; *ret_more: there is more behind its last entry. */
    int (*list)(void *bucket, const struct wasi_object_query *q, bool *ret_more);
    /* The object as it is now, whatever becomes of its name. */
    int (*open)(void *bucket, const char *key, void **ret_object,
                struct wasi_object_info *ret_info);
    int (*read)(void *object, void *data, size_t len, uint64_t offset, size_t *ret_len);
    void (*close)(void *object);
    /* Bytes one after the other; nothing has the name before seal, which ends the writer whatever its result is. */
    int (*create)(void *bucket, const char *key, void **ret_writer);
    int (*write)(void *writer, const void *data, size_t len);
    int (*seal)(void *writer, const struct wasi_object_condition *c,
                struct wasi_object_info *ret_info);
    void (*abort)(void *writer);
    int (*remove)(void *bucket, const char *key);
    /* Replaces what has the new name. */
    int (*rename)(void *bucket, const char *key, const char *to);
    /* All keys that begin with `from`, at once. EEXIST: a new name is taken. */
    int (*rename_all)(void *bucket, const char *from, const char *to);
};

/* Lives as long as the struct wasi that it is granted to. */
struct wasi_bucket {
    const struct wasi_bucket_ops *ops;
    void *bucket;
    const char *name;
    const char *prefix; /* of all keys: "", or it ends with '/' */
    const char *place;  /* geds://NAME/PREFIX, for messages and snapshots */
};

#endif
