#ifndef GEDS_STREAM_H
#define GEDS_STREAM_H

#include "keys.h"
#include "layout.h"

enum {
    /* The page cache holds a file in units as long as its writes, at most 2 MiB: so long they need one entry of the
     * TLB, where a client has mapped the object. */
    STREAM_UNIT_BYTES = 2 << 20,
    STREAM_UNITS_FROM = 1 << 20, /* bytes of an extent that are written as they come */
    STREAM_UNITS_MAX = 64        /* streams of a store that gather units; others write what comes */
};

/* Bytes on their way into extents that no row names yet: the object or part that is being
 * written. One thread. */
struct stream {
    struct store *store;
    struct md5 md5;
    uint64_t size;         /* bytes so far */
    uint8_t *block;        /* STORE_BLOCK_BYTES, or STREAM_UNIT_BYTES */
    size_t fill;           /* bytes in block */
    bool in_units;         /* what is long is written a unit at a time */
    int fd;                /* of the extent that is being written; -1: none */
    uint64_t unsynced;     /* bytes in fd whose writing out was not begun */
    struct piece piece;    /* that extent */
    struct buf sums;       /* of its blocks */
    struct seal *seal;     /* NULL: not encrypted */
    struct sealed_key key; /* of the extent that is being written, and so are: */
    struct buf tags;
    uint8_t *sealed;            /* room for what is encrypted; NULL: not needed yet */
    struct new_extent *extents; /* finished */
    size_t count;
    size_t cap;
    unsigned
        keep; /* enum store_keep of its extents, and copies of them on nodes: set before stream_place */
    unsigned wants;
    uint64_t memory; /* the bucket whose rule wants them in memory; 0: none. As above */
};
struct new_extent {
    struct piece piece;
    struct buf sums, tags;
    struct sealed_key key;
};

CHECKED status_t stream_init(struct stream *w, struct store *s, struct error *err);
/* Before the first write: encrypt what comes. Twice is as once. ST_PERM: there is no master key. */
CHECKED status_t stream_encrypt(struct stream *w, struct error *err);
CHECKED status_t stream_write(struct stream *w, const void *data, size_t len, struct error *err);
/* Finish the extents; with STORE_SYNC_FULL their bytes are on the disk then. At most
 * STORE_INLINE_MAX bytes stay in block when may_inline is set. ret_md5: MD5_BYTES. */
CHECKED status_t stream_finish(struct stream *w, bool may_inline, uint8_t *ret_md5,
                               struct error *err);
/* Add the extents of a finished stream to the database, used once each. Runs again after a
 * rollback. ret_pieces: room for w->count + 1; *ret_count: how many. */
CHECKED status_t stream_place(struct stream *w, struct batch *b, struct piece *ret_pieces,
                              size_t *ret_count, struct error *err);
/* Its extents that are to have copies: numbers for free; NULL: none. */
uint64_t *stream_copied(const struct stream *w, size_t *ret_count);
/* The row of a new extent, used once; data: its bytes, if it is no file, which has no copies on nodes either; else
 * that many. */
CHECKED status_t stream_add_row(struct batch *b, const struct new_extent *e, const void *data,
                                uint64_t keep, uint64_t copies, struct error *err);
/* kept: the rows of its extents were committed, or may have been; else the files are removed.
 * After stream_init, whatever that gave. */
void stream_done(struct stream *w, bool kept);

#endif
