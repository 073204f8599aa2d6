#ifndef GEDS_DRAFT_H
#define GEDS_DRAFT_H

#include "stream.h"

/* What a put becomes when it is written, cut or read at any place (docs/internals/geds-drafts.md): files that no row
 * names yet, and the checksum of each block. One thread. After an error of a write or a cut it can be freed only. */
struct draft;

enum {
    DRAFT_FILES_OPEN = 4, /* of one draft; another one that is needed closes one */
    DRAFT_RESTREAM_BYTES =
        1 << 20, /* up to this an object is written anew by a stream at its seal */
};
#define DRAFT_TABLES_MAX (256ULL << 20) /* bytes of checksums of all drafts of a store */

/* encrypt: what is written into it. */
CHECKED status_t draft_new(struct store *s, bool encrypt, struct draft **ret_draft,
                           struct error *err);
/* The draft, which is empty, takes the extents and bytes of a stream; w is empty then, also after an error. */
CHECKED status_t draft_take_stream(struct draft *d, struct stream *w, struct error *err);
/* The draft, which is empty, begins with the bytes of an object that is no inline one, and owns it then. Its extents
 * are shared until something is written into them. */
CHECKED status_t draft_take_object(struct draft *d, struct store_object *source, struct error *err);

uint64_t draft_size(const struct draft *d);
bool draft_encrypts(const struct draft *d);
struct store *draft_store(const struct draft *d);
/* What is between the former end and off becomes zeros. ST_INVAL: beyond STORE_OBJECT_MAX. ST_LIMIT: no space, or
 * DRAFT_TABLES_MAX. */
CHECKED status_t draft_write(struct draft *d, const void *data, size_t len, uint64_t off,
                             struct error *err);
/* Cut it, or continue it with zeros. */
CHECKED status_t draft_set_size(struct draft *d, uint64_t size, struct error *err);
/* As store_object_read. The draft stays good after an error, but for one of the disk: what that was to write may be
 * lost, and draft_finish fails. */
CHECKED status_t draft_read(struct draft *d, void *data, size_t len, uint64_t off, size_t *ret_len,
                            struct error *err);

/* All bytes are in extents that do not change any more, and on the disk with STORE_SYNC_FULL. *ret_count: how many. */
CHECKED status_t draft_finish(struct draft *d, size_t *ret_count, struct error *err);
/* Add the rows of a finished draft, and a use of each extent that it shares; append its layout. Runs again after a
 * rollback. bucket: where they are written into. */
CHECKED status_t draft_place(struct draft *d, struct batch *b, const struct bucket_ref *bucket,
                             struct buf *layout, struct error *err);
/* As stream_copied, of what it placed. */
uint64_t *draft_copied(const struct draft *d, size_t *ret_count);
/* kept: as of stream_done. Takes NULL. */
void draft_free(struct draft *d, bool kept);

#endif
