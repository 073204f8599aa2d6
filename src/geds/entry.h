#ifndef GEDS_ENTRY_H
#define GEDS_ENTRY_H

#include "base/buf.h"
#include "base/hash.h"
#include "geds/shared.h"

/* One record of the log that controllers share: what a transaction changed, or that another controller leads. */

enum { ENTRY_HEAD_BYTES = 128, ENTRY_RANDOM_BYTES = 16 };

enum entry_kind {
    ENTRY_CHANGES, /* payload: a patch (patch.h), not empty */
    /* payload: the address of the controller that leads from here on, a NUL, and random bytes, so that the first
     * entries of two terms are never the same; a former program wrote the address alone */
    ENTRY_TERM,
};

struct entry {
    enum entry_kind kind;
    uint64_t index; /* the first is 1 */
    uint64_t term;
    char log[SHARED_ID_BYTES];          /* whose it is */
    uint8_t before[SHARED_CHAIN_BYTES]; /* chain of the entry before */
    uint8_t
        chain[SHARED_CHAIN_BYTES]; /* SHA-256 of this one's head up to here, and of its payload */
    const uint8_t *payload;        /* borrowed */
    size_t len;
};

/* Append it to out; e->chain is made, and put into it. */
void entry_encode(struct entry *e, struct buf *out);
/* Everything is compared that can be without the entry before. ret_entry borrows from data. ST_FORMAT, ST_CORRUPT;
 * ST_UNSUPPORTED: of another version of the store. */
CHECKED status_t entry_decode(const void *data, size_t len, struct entry *ret_entry,
                              struct error *err);
/* The same of any format of the store: which entry it is, where its payload is not looked at. */
CHECKED status_t entry_decode_any(const void *data, size_t len, struct entry *ret_entry,
                                  struct error *err);

#endif
