#ifndef CLIENT_CONTENT_H
#define CLIENT_CONTENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "conn.h"

/* What an open object has of its own: it may be had by many, and by the cache of names. */

enum {
    CONTENT_EXTENTS_MAX = PASSED_MAX, /* files of an object that needs no handle */
    CONTENT_SUMS_MAX = 256 * 1024,    /* bytes of their checksums */
    CONTENT_BLOCK_BYTES = 64 * 1024,  /* what a checksum covers */
};

/* A file of the store that never changes, with its checksums. */
struct extent {
    uint64_t start; /* in the object */
    uint64_t bytes;
    int fd;
    const uint8_t *sums; /* 32 bits each, little-endian */
    size_t sum_count;
};

/* Immutable but for the block. */
struct content {
    _Atomic unsigned refs;
    char *bucket, *key; /* that it was opened by */
    struct geds_info info;
    struct geds_attributes attributes;
    struct geds_attribute *pairs;
    struct arena arena;
    struct buf args; /* has the attributes' texts */
    uint8_t *first;  /* bytes from the beginning on */
    size_t first_bytes;
    struct extent extents[CONTENT_EXTENTS_MAX]; /* all of the object, or none */
    unsigned extent_count;
    bool no_files; /* it has none that could be kept; set before anybody else has the content */
    uint8_t *sums;
    pthread_mutex_t m; /* guards the rest */
    uint8_t *block;    /* the last one of which a part was read; compared */
    uint64_t block_at; /* in the object */
    size_t block_bytes;
};

/* From the answer of an OPEN, whose args and data (malloc, o->data) it takes. ST_NOMEM. */
CHECKED status_t content_new(const char *bucket, const char *key, struct pending *opened,
                             const struct geds_answer *a, struct arena *arena,
                             struct content **ret_content, struct error *err);
struct content *content_ref(struct content *c);
void content_unref(struct content *c); /* takes NULL */

/* Are all bytes to be had without the store? */
bool content_is_whole(const struct content *c);
/* What it takes of memory, about. */
size_t content_bytes(const struct content *c);
/* Bytes of the files that it has open. */
uint64_t content_file_bytes(const struct content *c);

/* Get the files of an object that is open as handle, before anybody else has c. false: it has none now, or too many
 * (then no_files is set). */
bool content_get_extents(struct geds *g, uint32_t handle, struct content *c);
/* Read len bytes at off, all of which are in the object, from its files. ST_CORRUPT has the place in the object. */
CHECKED status_t content_read(struct content *c, uint8_t *data, size_t len, uint64_t off,
                              struct error *err);

#endif
