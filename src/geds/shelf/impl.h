#ifndef GEDS_SHELF_IMPL_H
#define GEDS_SHELF_IMPL_H

#include <pthread.h>

#include "geds/shelf/shelf.h"

enum {
    TAIL_BYTES = 32,
    NAME_BYTES = 40,                              /* "HH/EXTENT-NONCE" with NUL */
    PIECES_MAX = (1 << 30) / SHELF_PIECE_BYTES,   /* of a copy */
    SUMS_MAX = (1 << 30) / SHELF_BLOCK_BYTES * 4, /* bytes */
};

/* One that is being written. */
struct incoming {
    struct incoming *next;
    struct shelf_name name;
    uint64_t size;
    int fd;
    unsigned users; /* threads that write to it now */
    bool failed;    /* it goes with its last user */
    size_t pieces;  /* that were written */
    uint8_t *sums;  /* of its blocks */
    uint8_t have[PIECES_MAX / 8];
};

struct shelf {
    struct shelf_options o; /* immutable, and so are: */
    int fd, new_fd, lock_fd;
    pthread_mutex_t lock;      /* guards the rest */
    struct shelf_copy *copies; /* in order of names */
    size_t count, cap;
    uint64_t bytes;    /* of whole copies, with their ends */
    uint64_t promised; /* to those that are being written */
    struct incoming *incoming;
    unsigned incoming_count;
    uint64_t bad;
};

/* tail.c: what stands behind the bytes of a copy. */
struct tail {
    uint64_t extent, bytes;
    uint32_t sums_crc;
};
size_t sums_bytes(uint64_t bytes);   /* of the checksums of a copy of so many bytes */
uint64_t file_bytes(uint64_t bytes); /* of its file */
void tail_encode(const struct tail *t, uint8_t ret_tail[TAIL_BYTES]);
CHECKED status_t tail_decode(const uint8_t tail[TAIL_BYTES], struct tail *ret_tail,
                             struct error *err);

/* index.c: names in order; under the lock. */
int name_compare(const struct shelf_name *a, const struct shelf_name *b);
/* The first one not before name. */
size_t index_at(const struct shelf *s, const struct shelf_name *name);
const struct shelf_copy *index_find(const struct shelf *s, const struct shelf_name *name);
CHECKED status_t index_add(struct shelf *s, const struct shelf_copy *copy, struct error *err);
/* false: it is not there. */
bool index_take(struct shelf *s, const struct shelf_name *name);
/* Room for one more file of the bytes, as far as it can be known. Under the lock. */
CHECKED status_t index_check_room(struct shelf *s, uint64_t file, struct error *err);

void name_text(const struct shelf_name *name, char ret_text[NAME_BYTES]);
void new_name_text(const struct shelf_name *name, char ret_text[NAME_BYTES]);
/* "EXTENT-NONCE" */
bool name_parse(const char *text, struct shelf_name *ret_name);

#endif
