#ifndef CELL_WASI_STAGED_H
#define CELL_WASI_STAGED_H

#include <pthread.h>

#include "cell/wasi/bucket.h"

struct wasi;

enum { STAGED_GRANULE_BYTES = 256 << 10 };
/* Of one file; the bitmap of a larger one would be larger than what is written to it is likely to be. */
#define STAGED_BYTES_MAX (UINT64_C(1) << 44)

/* A file that a cell writes to a bucket: private until it is published. One for each key, whatever number of
 * descriptors it has. What is not yet read of the object that it was opened as is a hole in the host's file. */
struct staged {
    struct wasi *w;
    /* Guarded by w->staged_lock. */
    struct staged *next;
    uint32_t refs;
    /* Immutable. */
    const struct wasi_bucket *bucket;
    uint32_t grant;
    int fd;                            /* a temporary file without a name */
    pthread_mutex_t lock;              /* guards the rest; before w->staged_lock */
    char path[WASI_KEY_BYTES_MAX + 1]; /* beneath the grant */
    bool dirty;                        /* it has bytes without a name */
    bool only_new;                     /* published only where there is no object: O_EXCL */
    bool only_same;                    /* published only in the place of the object of info.etag */
    bool nameless;                     /* the cell removed its name: never published */
    struct wasi_object_info info; /* of the object that it was opened as or published as last */
    void *base;                   /* that object, open; NULL: nothing more is needed of it */
    bool base_moved; /* it was published or renamed: base is to be opened anew before it is read */
    uint64_t base_len; /* of which bytes are those of the file, where not filled */
    uint8_t *filled;   /* a bit for each granule below base_len */
    uint64_t granules;
    uint8_t *buffer; /* of a granule, during a call that needs it */
};

/* Make one with one reference; not yet found by staged_find. base may be NULL, and is taken over, also on failure. 0 or
 * an errno value. */
int staged_new(struct wasi *w, uint32_t grant, const char *path, void *base,
               const struct wasi_object_info *info, struct staged **ret_s);
/* One that has its name, in that grant's bucket under that key, and counts; NULL: none. */
struct staged *staged_find(struct wasi *w, const struct wasi_bucket *b, const char *key);
/* NULL is fine. The last one ends it, and what is not published is lost. */
void staged_put(struct staged *s);
void staged_ref(struct staged *s);

/* Before a host descriptor of it is read or written there. 0 or an errno value. */
int staged_before_read(struct staged *s, uint64_t offset, uint64_t len);
int staged_before_write(struct staged *s, uint64_t offset, uint64_t len);
/* Cut or make longer. */
int staged_resize(struct staged *s, uint64_t size);
/* Make at least that long. */
int staged_reserve(struct staged *s, uint64_t offset, uint64_t len);
uint64_t staged_size(const struct staged *s);
/* When it was changed, or published. */
uint64_t staged_modified_ns(const struct staged *s);
void staged_forget_name(struct staged *s);
/* The new path beneath the same grant. */
void staged_rename(struct staged *s, const char *path);
/* The folder `from` of a grant has become `to`: what is written in it goes there. */
void staged_rename_folder(struct wasi *w, uint32_t grant, const char *from, const char *to);
/* Has it one descriptor only? */
bool staged_is_last(struct staged *s);

/* Give what was written its name. go_on (may be NULL) is asked between pieces: false: ECANCELED, and nothing
 * changed. 0 or an errno value. */
int staged_publish(struct staged *s, bool (*go_on)(void *arg), void *arg);

#endif
