#ifndef GEDS_SHELF_SHELF_H
#define GEDS_SHELF_SHELF_H

#include <stdbool.h>

#include "base/buf.h"

/* Copies of extents in a folder, each with its checksums (docs/internals/geds-peers.md): what a node keeps for a store.
 * A copy is there as a whole or not, and survives a crash when shelf_end has returned. Any thread. */

enum {
    SHELF_BLOCK_BYTES = 64 * 1024,
    SHELF_PIECE_BYTES = 1 << 20, /* of a write; the last one of a copy may be shorter */
    SHELF_OPEN_MAX = 16,         /* copies that are being written */
};
#define SHELF_COPY_MAX (1ULL << 30) /* bytes of a copy */

struct shelf;
struct shelf_options {
    const char *path;     /* folder; made when it is not there */
    uint64_t limit_bytes; /* copies take no more, with their checksums */
    uint64_t spare_bytes; /* of the file system, which stay free */
};
/* Looks at all that is there: what is no whole copy is removed. ST_AGAIN: another process has it open. */
CHECKED status_t shelf_open(const struct shelf_options *o, struct shelf **ret_shelf,
                            struct error *err);
/* Takes NULL. */
void shelf_close(struct shelf *s);

/* Which copy. */
struct shelf_name {
    uint64_t extent, nonce;
};
/* Bytes of a copy of size bytes at off, a multiple of SHELF_PIECE_BYTES, of which there are as many as fit in a piece.
 * The first write of a name makes it. ST_LIMIT: no room, or too many are being written; ST_EXIST: it is there whole;
 * ST_INVAL. After an error nothing of it is there. */
CHECKED status_t shelf_write(struct shelf *s, const struct shelf_name *name, uint64_t size,
                             uint64_t off, const void *data, size_t len, struct error *err);
/* All of it was written: have it for good. sum: CRC32C of the CRC32Cs, little-endian, of its blocks. ST_CORRUPT: it is
 * another one, or pieces are missing; nothing of it is there then. */
CHECKED status_t shelf_end(struct shelf *s, const struct shelf_name *name, uint64_t size,
                           uint32_t sum, struct error *err);
/* off is a multiple of SHELF_BLOCK_BYTES, len too or up to the end. ST_NOTFOUND. ST_CORRUPT: a block does not match, or
 * the disk does not give it. */
CHECKED status_t shelf_read(struct shelf *s, const struct shelf_name *name, uint64_t off,
                            void *data, size_t len, struct error *err);
/* One that is not there, or not whole, is fine. */
CHECKED status_t shelf_remove(struct shelf *s, const struct shelf_name *name, struct error *err);
/* All that are being written: nobody ends them any more. */
void shelf_forget_writes(struct shelf *s);
CHECKED status_t shelf_remove_all(struct shelf *s, struct error *err);

struct shelf_copy {
    struct shelf_name name;
    uint64_t bytes;
};
/* Those behind a name, in order; zeroed: from the first. How many: at most max. */
size_t shelf_list(struct shelf *s, const struct shelf_name *after, size_t max,
                  struct shelf_copy *ret_list);

struct shelf_usage {
    uint64_t copies, bytes; /* whole ones; bytes with their checksums */
    uint64_t limit_bytes, free_bytes;
    uint64_t bad; /* reads that found a block that does not match, since the open */
};
void shelf_usage(struct shelf *s, struct shelf_usage *ret_usage);

#endif
