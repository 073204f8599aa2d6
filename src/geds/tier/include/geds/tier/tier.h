#ifndef GEDS_TIER_TIER_H
#define GEDS_TIER_TIER_H

#include "geds/tier/remote.h"
#include "geds/tiers.h"

/* What moves extents between a store and the tier behind it (docs/internals/geds-tiers.md). Any thread. */

struct tier;

/* All is borrowed until tier_close. */
struct tier_options {
    struct store *store;
    const struct tier_remote *remote;
    uint64_t high_bytes; /* local files above this are moved ... */
    uint64_t low_bytes;  /* ... until they are this many; less than high_bytes */
    uint64_t
        free_bytes; /* of the file system at path: less free than this is as good as above; 0: not looked at */
    const char *path;     /* may be NULL when free_bytes is 0 */
    uint64_t cache_bytes; /* as in struct store_tier */
    unsigned idle_ms;     /* between two looks; 0: 1,000 */
    unsigned
        retry_ms; /* the first wait when the tier is away, and how long readers fail at once after one did;
                           * the wait doubles up to retry_max_ms. 0: 1,000 and 5,000 */
    unsigned retry_max_ms;
    /* For who writes a log; event is a constant. May be NULL. Any thread. */
    void (*event)(void *arg, const char *event, uint64_t extent, const char *text);
    void *arg;
};
/* Before other threads use the store: it reads through the tier from then on. ST_INVAL. */
CHECKED status_t tier_open(const struct tier_options *o, struct tier **ret_tier, struct error *err);
/* Begin to move what has to move. */
CHECKED status_t tier_start(struct tier *t, struct error *err);
/* Calls of the tier end, readers who wait included. What is under way is gone on with after the next start. */
void tier_stop(struct tier *t);
/* After store_close. Takes NULL. */
void tier_close(struct tier *t);
/* Look now. */
void tier_wake(struct tier *t);

enum { TIER_ERROR_MAX = 240 };
struct tier_status {
    struct store_places places;
    uint64_t high_bytes, low_bytes, cache_max_bytes;
    uint64_t backlog_bytes; /* that are to be sent or dropped, and are not yet */
    uint64_t sent_count, sent_bytes, dropped_count, dropped_bytes, deleted_count;
    uint64_t repaired_count;
    uint64_t errors;                 /* calls of the tier that failed */
    uint64_t bad_count;              /* local extents without a copy that do not match */
    uint64_t send_rate, read_rate;   /* bytes in a second, lately */
    uint64_t away_since_ns;          /* since the epoch; 0: it answers */
    uint64_t next_try_ns;            /* monotonic */
    char last_error[TIER_ERROR_MAX]; /* "": there was none since it answered */
};
CHECKED status_t tier_status(struct tier *t, struct tier_status *ret_status, struct error *err);

/* Objects. */
enum tier_move {
    TIER_SPILL,  /* have a copy, and no local bytes: not of what is kept here or open */
    TIER_RECALL, /* have local bytes */
    TIER_PIN,    /* keep them, and recall */
    TIER_UNPIN,  /* as the bucket says */
};
struct tier_moved {
    uint64_t objects;
    uint64_t extents, bytes; /* that moved */
    uint64_t kept;           /* extents that a spill left where they are */
};
/* key: an object's; or with is_prefix what begins so, "": all of the bucket. goes_on (may be NULL) is called now and
 * then with what is done; false ends it with ST_STOPPED. ST_NOTFOUND: no such bucket or key. *ret_moved is set also
 * after an error. */
CHECKED status_t tier_move(struct tier *t, enum tier_move what, const char *bucket, const char *key,
                           bool is_prefix,
                           bool (*goes_on)(void *arg, const struct tier_moved *moved), void *arg,
                           struct tier_moved *ret_moved, struct error *err);
/* The same for a store that has no tier: ST_UNSUPPORTED for TIER_SPILL. Pins are kept for the day it gets one. */
CHECKED status_t tier_move_without(struct store *s, enum tier_move what, const char *bucket,
                                   const char *key, bool is_prefix,
                                   bool (*goes_on)(void *arg, const struct tier_moved *moved),
                                   void *arg, struct tier_moved *ret_moved, struct error *err);

/* Compare what rows say with what the tier has: copies that are missing or of another size, and names that no row
 * has. repair: rows of missing copies with local bytes are set right, names without a row are deleted. */
struct tier_check {
    uint64_t copies, bytes; /* that were looked at */
    uint64_t findings, repaired;
};
CHECKED status_t tier_check(struct tier *t, bool repair,
                            void (*found)(void *arg, const struct store_finding *finding),
                            bool (*goes_on)(void *arg), void *arg, struct tier_check *ret_check,
                            struct error *err);

#endif
