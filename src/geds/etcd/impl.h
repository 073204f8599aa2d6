#ifndef GEDS_ETCD_IMPL_H
#define GEDS_ETCD_IMPL_H

#include <pthread.h>

#include "frame.h"
#include "geds/etcd/etcd.h"
#include "line.h"

/* Keys, all below a prefix: id (of the log), leader (its address, under its lease), head (number of the last entry),
 * log/N and part/N/M (entries), member/ADDRESS (what a controller has applied), joining/ADDRESS (what it will have with
 * the copy that it gets). */

enum {
    KEY_BYTES = ETCD_KEY_MAX + 1,
    NAME_MAX_BYTES = 64,
    CALL_MS = 2000,
    RETRY_MS = 200,
    NS_PER_S = 1000000000,
    SIZES = 65536, /* entries whose bytes are known */
};

struct etcd {
    struct etcd_options o; /* immutable, and so are: */
    struct line_options servers;
    struct store_log log;
    char prefix[NAME_MAX_BYTES + 32]; /* with a slash at its end */

    struct line follow; /* etcd_follow's */
    struct line append; /* the store's writer */
    struct line keep;   /* the keeper's thread */
    struct line trim;   /* the trimmer's thread */
    char log_id[SHARED_ID_BYTES];
    uint64_t
        joining; /* etcd_follow's: the lease of what says that it gets a copy; 0: it says nothing */

    /* While this process leads, or may. Written before the keeper's thread and the store begin. */
    uint64_t lease;    /* 0: none */
    uint64_t revision; /* in which the leader's key was made */
    uint64_t head;     /* the writer's: number of the last entry */
    uint64_t head_revision;
    _Atomic bool full;                                   /* etcd had no room for the last entry */
    _Atomic uint64_t seen_head, seen_applied, seen_term; /* for etcd_status, and so are: */
    _Atomic uint64_t elections, losses, leader_changes, batches;
    uint64_t trimmed;     /* the trimmer's: those up to this one are not there any more */
    uint64_t uncompacted; /* its own too: history up to this revision is still there; 0: none */
    uint64_t noted;       /* its own too: what the others know that this controller has */
    _Atomic uint64_t sizes[SIZES]; /* of entries: the low half of the number, and bytes */
    _Atomic uint64_t kept;         /* the last entry that is behind a commit of this process */
    _Atomic uint64_t until;        /* of CLOCK_BOOTTIME, ns: the lease holds for certain */
    _Atomic bool lost;             /* another one leads, or may */
    _Atomic bool again;            /* the store has to be opened again */
    pthread_t keeper, trimmer;
    bool keeper_runs, trimmer_runs;

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t wake;  /* of the threads beside a leader, and of who waits in etcd_follow */
    bool stop;            /* etcd_stop */
    bool keeper_stops;    /* and the trimmer */
    bool told;            /* o.lost was called in this term */
    char leader[SHARED_ADDRESS_MAX + 1];
    char last_leader[SHARED_ADDRESS_MAX + 1]; /* that there was */
};

uint64_t etcd_now_ns(void); /* of CLOCK_BOOTTIME */
void etcd_key(const struct etcd *e, char ret_key[KEY_BYTES], const char *name);
void etcd_entry_key(const struct etcd *e, char ret_key[KEY_BYTES], uint64_t index);
void etcd_part_key(const struct etcd *e, char ret_key[KEY_BYTES], uint64_t index, unsigned part);
void etcd_tell(struct etcd *e, const char *event, const char *text);
void etcd_set_leader(struct etcd *e, const char *address, size_t len);
/* Wait for so long; false: etcd_stop. */
bool etcd_wait(struct etcd *e, unsigned ms);

/* The lease, and the thread that keeps it (lease.c). ttl_s of the options. */
CHECKED status_t etcd_grant(struct etcd *e, struct error *err);
/* Another one. The thread in etcd_follow. */
CHECKED status_t etcd_lease(struct etcd *e, unsigned ttl_s, uint64_t *ret_id, uint64_t *ret_ttl_s,
                            struct error *err);
CHECKED status_t etcd_lease_end(struct etcd *e, uint64_t id, unsigned ms, struct error *err);
/* Nothing that this process sent and that may still come counts any more. ST_AGAIN: etcd does not answer. */
CHECKED status_t etcd_revoke(struct etcd *e, unsigned ms, struct error *err);
CHECKED status_t etcd_keep(struct etcd *e, struct error *err);
void etcd_keep_no_more(struct etcd *e); /* both threads */
/* Wait for so long; false: they are to end. */
bool etcd_pause(struct etcd *e, uint64_t ms);
void etcd_has_lost(struct etcd *e, const char *why);

/* The log (log.c). */
status_t etcd_append(void *arg, uint64_t index, const void *entry, size_t len, struct error *err);
/* Tell what this controller has on its disk (trim.c). */
CHECKED status_t etcd_note_applied(struct etcd *e, struct line *l, uint64_t applied,
                                   struct error *err);
/* Say that this controller gets a copy, which will have `applied` at least: what comes behind that stays for it, if it
 * is heard. The thread in etcd_follow. */
void etcd_note_joining(struct etcd *e, uint64_t applied);
void etcd_note_joined(struct etcd *e);
/* This entry has so many bytes in etcd. Any thread. */
void etcd_has_bytes(struct etcd *e, uint64_t index, size_t bytes);
/* The thread in which entries go that nobody needs, while this process leads: the lease does not wait for that. It ends
 * in etcd_keep_no_more. */
CHECKED status_t etcd_trim_start(struct etcd *e, struct error *err);

#endif
