#ifndef GEDS_LAYOUT_H
#define GEDS_LAYOUT_H

#include "base/arena.h"
#include "impl.h"

/* The extents of an object in order. In rows: for each, number and bytes, 64 bits little-endian, of which the highest
 * bit of the bytes says that the extent is encrypted. */
struct piece {
    uint64_t extent;
    uint64_t bytes; /* from the extent's beginning on; not 0 */
    bool sealed;
};
struct layout {
    struct piece *pieces;
    size_t count;
};
enum { PIECE_BYTES = 16 };

/* ret_layout: in arena. ST_CORRUPT: malformed, or its pieces are not size bytes together. */
CHECKED status_t layout_decode(struct arena *arena, const void *data, size_t len, uint64_t size,
                               struct layout *ret_layout, struct error *err);
void layout_encode(const struct layout *layout, struct buf *out);
/* The last piece of a layout in a row; zeroed where there is none. */
struct piece layout_last(const struct buf *layout);
/* Are there pieces, and all of them encrypted? */
bool layout_is_sealed(const struct buf *layout);

/* Attributes in rows: content type (16 bits of length, bytes; 0xffff: none), then the same for
 * each name and value. ret_attributes: strings in arena. ST_CORRUPT. */
CHECKED status_t attributes_decode(struct arena *arena, const void *data, size_t len,
                                   struct store_attributes *ret_attributes, struct error *err);
/* attributes may be NULL. ST_INVAL against the limits, ST_NOMEM. */
CHECKED status_t attributes_encode(const struct store_attributes *attributes, struct buf *out,
                                   struct error *err);

/* Parts in rows: for each its bytes (64 bits), the length of its sum (8 bits), the sum. ret_parts: for free; NULL where
 * there are none. ST_CORRUPT: malformed, or not size bytes together. */
CHECKED status_t parts_decode(const void *data, size_t len, uint64_t size,
                              struct store_part **ret_parts, size_t *ret_count, struct error *err);
void parts_add(struct buf *out, uint64_t size, const void *sum, size_t sum_len);

#endif
