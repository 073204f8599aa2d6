#ifndef GEDS_TIER_IMPL_H
#define GEDS_TIER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "geds/tier/tier.h"

enum {
    TIER_NAME_BYTES = 96,
    ROUND_MAX = 64,    /* extents that are moved before looking again */
    SENDERS = 4,       /* extents on their way at a time */
    DAMAGED_MAX = 256, /* extents that wait for a repair; others are found again by their readers */
    BUSY_MAX = 96,
    MANY_MAX = 1 << 20,
};

/* Few numbers. */
struct numbers {
    uint64_t ids[BUSY_MAX];
    size_t count;
};

/* Perhaps many, in order. Zeroed memory is empty. */
struct many {
    uint64_t *ids;
    size_t count, cap;
};

/* An extent whose local bytes do not match, and when its repair is tried. */
struct damage {
    uint64_t id;
    uint64_t after; /* monotonic */
    uint64_t wait_ms;
};

struct tier {
    struct tier_options o; /* immutable, and so are: */
    struct tier_remote remote;
    char id[STORE_ID_BYTES]; /* of the store */

    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* guards the rest, but what is atomic */
    pthread_cond_t wake;
    pthread_cond_t unbusy;
    bool stop;
    bool woken;
    struct numbers busy; /* extents that are being sent */
    struct many bad;     /* not to be sent: they do not match */
    struct damage damaged[DAMAGED_MAX];
    size_t damaged_count;
    uint64_t away_since_ns; /* realtime; 0: not away */
    uint64_t away_until;    /* monotonic: before, only who must tries */
    uint64_t wait_ms;
    char last_error[TIER_ERROR_MAX];
    uint64_t reads_fail_until; /* monotonic */
    uint64_t backlog;
    uint64_t rate_at, rate_sent, rate_read, send_rate, read_rate;

    uint64_t look_after;  /* monotonic; the thread's own, and so is: */
    uint64_t eager_after; /* up to this extent it has just looked for what is to be copied */
    _Atomic uint64_t pressed_until; /* monotonic: up to then `pressed` is taken for what it was */
    _Atomic bool pressed;
    struct many refused; /* copies that could not be deleted, not tried before: */
    uint64_t refused_until, refused_wait_ms;
    _Atomic bool stopping;
    _Atomic uint64_t sent_count, sent_bytes, dropped_count, dropped_bytes, deleted_count;
    _Atomic uint64_t repaired_count, errors, read_bytes;
};

void tier_name(const struct tier *t, uint64_t id, uint64_t nonce, char ret_name[TIER_NAME_BYTES]);

/* Outcome of a call of the tier: is it away now, or does it answer? */
void tier_note(struct tier *t, status_t st, const struct error *err);
bool tier_is_away(struct tier *t);

bool numbers_have(const struct numbers *n, uint64_t id);
bool numbers_add(struct numbers *n, size_t max, uint64_t id);
void numbers_take(struct numbers *n, uint64_t id);

bool many_have(const struct many *m, uint64_t id);
/* false: it is there; or there are MANY_MAX, or no memory. */
bool many_add(struct many *m, uint64_t id);
void many_done(struct many *m);

/* Both under the lock. */
struct damage *damage_of(struct tier *t, uint64_t id);
bool damage_add(struct tier *t, uint64_t id);

/* Who is told the id of an upload that was begun. */
struct tier_begun {
    status_t (*note)(void *arg, const char *upload, struct error *err);
    void *arg;
};
/* As the tier's send, by a thread that gives way to all others, but for `begun`, which this thread does. False: it was
 * not done so, or is not to be any more, since space is scarce: send it at once. */
CHECKED bool tier_send_gently(struct tier *t, const char *name, const struct tier_source *source,
                              const char *upload, const struct tier_begun *begun,
                              status_t *ret_status, struct error *err);
/* Is there so little space, or so much above the watermark, that moving must not give way? As of a second ago. */
bool tier_is_pressed(struct tier *t);

/* Have a copy in the tier, where there is none, or it is not there any more. gently: nobody waits for it, so it is sent
 * by a thread that gives way to all others, unless space is scarce. ST_CORRUPT: the local bytes do not match.
 * ST_NOTFOUND: the extent is gone. */
CHECKED status_t tier_send(struct tier *t, uint64_t id, bool gently, struct error *err);
/* Send those of ids without a copy, some at a time. drop: it is for space, so it gives way to all others, and all that
 * have a copy are dropped. Errors of the tier end it. */
CHECKED status_t tier_send_all(struct tier *t, const struct store_candidate *list, size_t count,
                               bool drop, uint64_t *ret_dropped_bytes);
/* Is the copy whole and the row's? */
CHECKED status_t tier_verify(struct tier *t, const struct store_extent *x, struct error *err);

/* One look at all that is to be done. */
void tier_work(struct tier *t);

#endif
