#ifndef GEDS_TIERS_H
#define GEDS_TIERS_H

#include "base/buf.h"
#include "geds/store.h"

/* Where the bytes of a store are: in local files, in a tier behind them, or both
 * (docs/internals/geds-tiers.md). The store says what is where, and reads through; what moves when
 * is the business of who uses this. Any thread; errors as in geds/store.h. */

enum {
    STORE_ID_BYTES = 33,          /* 32 hexadecimal digits and a NUL */
    STORE_UPLOAD_TEXT_MAX = 1024, /* bytes of the tier's id of an upload */
    STORE_PIECE_BYTES = 1 << 20,  /* what is fetched at a time */
    STORE_WAITERS_MAX =
        32, /* of a store's clients: those of its threads that may wait for the tier */
};
#define STORE_CACHE_MIN (16ULL << 20) /* bytes */

/* Bits of where an extent is. */
enum store_place {
    STORE_PLACE_AWAY = 1,   /* no local bytes */
    STORE_PLACE_REMOTE = 2, /* a whole copy is in the tier */
    STORE_PLACE_FILE = 4,   /* with AWAY: its file may still be there */
    STORE_PLACE_GONE = 8,   /* nothing uses it: only the copy is left to delete */
};
enum store_keep {
    STORE_KEEP_UNTIL_FULL, /* leaves local disk when space is wanted */
    STORE_KEEP_HERE,       /* stays */
    STORE_KEEP_BOTH,       /* is copied at once, and leaves when space is wanted */
    STORE_KEEP_COUNT,
};

struct store_extent {
    uint64_t id;
    uint64_t bytes;
    uint64_t uses;
    uint64_t nonce;  /* 0: it has none yet */
    unsigned place;  /* enum store_place */
    unsigned keep;   /* enum store_keep */
    bool is_inline;  /* its bytes are in the database: it has no place */
    bool encrypted;  /* what moves, and what sums are of, is the ciphertext */
    struct buf sums; /* CRC32C of each block, 32 bits little-endian; for buf_done */
};

/* The tier, as far as the store reads it. */
struct store_tier {
    /* Read len bytes of the copy at off, which are in it. ST_AGAIN: the tier is away. ST_NOTFOUND, ST_CORRUPT. */
    status_t (*read)(void *arg, const struct store_extent *extent, uint64_t off, void *data,
                     size_t len, struct error *err);
    /* Local bytes of an extent with a copy do not match their checksums. Called by readers: be quick. */
    void (*damaged)(void *arg, uint64_t extent);
    void *arg;
    uint64_t cache_bytes; /* of local disk; at least STORE_CACHE_MIN */
};
/* After store_open, before other threads use the store; once. The functions are called until store_close.
 * ST_INVAL: cache_bytes. */
CHECKED status_t store_set_tier(struct store *s, const struct store_tier *tier, struct error *err);

/* A random name of this store. */
CHECKED status_t store_id(struct store *s, char ret_id[STORE_ID_BYTES], struct error *err);

struct store_places {
    uint64_t local_count, local_bytes;  /* files */
    uint64_t sent_count, sent_bytes;    /* those of them with a copy */
    uint64_t away_count, away_bytes;    /* copies without a file */
    uint64_t gone_count, gone_bytes;    /* copies that are to be deleted */
    uint64_t kept_count, kept_bytes;    /* files that stay */
    uint64_t eager_count, eager_bytes;  /* files without a copy that are to have one at once */
    uint64_t local_reads, remote_reads; /* pieces of extents that were read, since the start */
    uint64_t cache_hits, cache_bytes;   /* of remote_reads; bytes in the cache now */
    uint64_t fetched_bytes;             /* that came from the tier for readers */
    uint64_t recalled_count, recalled_bytes;
    uint64_t damaged; /* local extents that did not match */
};
CHECKED status_t store_places(struct store *s, struct store_places *ret_places, struct error *err);

struct store_candidate {
    uint64_t id;
    uint64_t bytes;
    uint64_t last_use; /* a number that grows; 0: not since the start, as far as it is known */
};
/* Extents that are exactly at a place, with this keep, in order of numbers behind `after`. *ret_count: at most max. */
CHECKED status_t store_candidates(struct store *s, unsigned place, enum store_keep keep,
                                  uint64_t after, size_t max, struct store_candidate *ret_list,
                                  size_t *ret_count, struct error *err);
/* ST_NOTFOUND: no such extent (any more). *ret_extent: end with buf_done(&sums). */
CHECKED status_t store_extent_get(struct store *s, uint64_t id, struct store_extent *ret_extent,
                                  struct error *err);
/* Extents in use whose bytes are a local file, in order of numbers behind `after`. *ret_count: at most max. */
CHECKED status_t store_extents_here(struct store *s, uint64_t after, size_t max, uint64_t *ret_ids,
                                    size_t *ret_count, struct error *err);
/* Its local bytes do not match, or are missing: who has a copy of them, the tier or a node, is told to repair it.
 * False: nobody has. */
bool store_extent_damaged(struct store *s, uint64_t id);
/* Does somebody have it open? */
bool store_extent_is_open(struct store *s, uint64_t id);

/* Sending. */
/* Give an extent its nonce, if it has none, and keep its file until store_extent_release. ST_NOTFOUND: it is not
 * there any more. ret_extent as in store_extent_get; *ret_fd: its file, for close. */
CHECKED status_t store_extent_hold(struct store *s, uint64_t id, struct store_extent *ret_extent,
                                   int *ret_fd, struct error *err);
void store_extent_release(struct store *s, uint64_t id);
/* Compare bytes of a file with the checksums: off and len are multiples of STORE_BLOCK_BYTES, or end with the
 * extent. */
CHECKED status_t store_extent_compare(const struct store_extent *extent, uint64_t off,
                                      const void *data, size_t len, struct error *err);
/* The tier's id of an upload that is under way, kept for a restart. "": none. */
CHECKED status_t store_extent_set_upload(struct store *s, uint64_t id, const char *upload,
                                         struct error *err);
CHECKED status_t store_extent_upload(struct store *s, uint64_t id,
                                     char ret_upload[STORE_UPLOAD_TEXT_MAX + 1], struct error *err);
/* A whole copy is in the tier. */
CHECKED status_t store_extent_sent(struct store *s, const struct store_extent *extent,
                                   struct error *err);
/* The copy is not there, though the row says so: it is taken back where there are local bytes. */
CHECKED status_t store_extent_unsent(struct store *s, const struct store_extent *extent,
                                     struct error *err);
/* Remove the files of extents that have copies. Those that are open, kept (unless force) or without a copy stay.
 * *ret_dropped: how many went. */
CHECKED status_t store_extents_drop(struct store *s, const uint64_t *ids, size_t count, bool force,
                                    size_t *ret_dropped, struct error *err);
/* Have local bytes again, whole and compared. One that has them is fine. ST_NOTFOUND: no such extent. ST_AGAIN,
 * ST_CORRUPT: the tier. ST_LIMIT: no space. */
CHECKED status_t store_extent_recall(struct store *s, uint64_t id, struct error *err);

/* Rows follow files that were removed with the next change of the store; this makes one, if there are any. */
CHECKED status_t store_settle(struct store *s, struct error *err);
/* Copies that are to be deleted: id, bytes, nonce and place are set. after: the last one of an earlier call; NULL: from
 * the first. */
CHECKED status_t store_extents_gone(struct store *s, const struct store_extent *after, size_t max,
                                    struct store_extent *ret_list, size_t *ret_count,
                                    struct error *err);
/* They are deleted. */
CHECKED status_t store_extents_deleted(struct store *s, const uint64_t *ids, size_t count,
                                       struct error *err);

/* Objects. *ret_ids: numbers of their extents that are files, in order, for free. ST_NOTFOUND. */
CHECKED status_t store_object_extents(struct store *s, const char *bucket, const char *key,
                                      uint64_t **ret_ids, size_t *ret_count, struct error *err);
/* Keep its extents here or not: what copies share has one keep for all. ST_NOTFOUND. */
CHECKED status_t store_object_keep(struct store *s, const char *bucket, const char *key,
                                   enum store_keep keep, struct error *err);
/* What is written into a bucket from now on. ST_NOTFOUND. */
CHECKED status_t store_bucket_set_keep(struct store *s, const char *bucket, enum store_keep keep,
                                       struct error *err);
CHECKED status_t store_bucket_keep(struct store *s, const char *bucket, enum store_keep *ret_keep,
                                   struct error *err);
/* May a read of the object wait for the tier? */
bool store_object_is_away(struct store_object *o);
/* store_object_read, but it does not wait for the tier: where it would, *ret_waits is true and the answer ST_AGAIN. */
CHECKED status_t store_object_read_now(struct store_object *o, void *data, size_t len, uint64_t off,
                                       size_t *ret_len, bool *ret_waits, struct error *err);
/* A client's request is going to wait for the tier, so that a thread is gone for others. ST_AGAIN: STORE_WAITERS_MAX do
 * already. Else it ends with store_wait_end. */
CHECKED status_t store_wait_begin(struct store *s, struct error *err);
void store_wait_end(struct store *s);

#endif
