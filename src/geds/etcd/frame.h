#ifndef GEDS_ETCD_FRAME_H
#define GEDS_ETCD_FRAME_H

#include "geds/shared.h"
#include "wire.h"

/* What an entry is in its keys: behind a head of its bytes (64 bits) and chunks (32 bits) the first chunk. */

enum {
    CHUNK_BYTES = 512 * 1024, /* of an entry in one key; etcd takes requests of 1.5 MiB */
    CHUNKS_MAX = (SHARED_PATCH_MAX + 4096) / CHUNK_BYTES + 1,
};

struct etcd_frame {
    uint64_t bytes;
    unsigned chunks;
    const uint8_t *first;
    size_t first_len;
};
/* Of an entry of so many bytes. */
unsigned etcd_chunks_of(size_t bytes);
/* ret_frame borrows value. ST_FORMAT. */
CHECKED status_t etcd_frame_decode(const void *value, size_t len, struct etcd_frame *ret_frame,
                                   struct error *err);

/* The number in the key `head`; 0: there is none. False: it is no number. */
bool etcd_head_of(const struct etcd_range *head, uint64_t *ret_index);

#endif
