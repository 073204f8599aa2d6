#ifndef GEDS_ETCD_ETCD_H
#define GEDS_ETCD_ETCD_H

#include "geds/shared.h"

/* The log that controllers share, and who of them leads, in etcd (docs/internals/geds-etcd.md). */

struct etcd_options {
    const char *servers;              /* HOST:PORT[,HOST:PORT...] */
    const char *name;                 /* of the store, where etcd has several; NULL: "geds" */
    const char *address;              /* where clients reach this controller; its name as well */
    const char *ca_file, *cert, *key; /* PEM; NULL: none. With one of these it is https */
    unsigned ttl_s;                   /* a leader that is not heard of for so long is none; 0: 5 */
    /* What stays in etcd though two disks have it, so that who is behind needs no copy: so many entries (0: 50000)
     * of so many bytes (0: 128 MiB) at most. Some more may be there until it is removed. */
    unsigned trim_at;
    uint64_t keep_bytes;
    uint64_t
        batch_bytes; /* of entries that are in memory at once (0: 16 MiB), or one that has more */
    /* What a log should have: "etcd.away" with why, "etcd.follows" with the address of who leads, "etcd.leads",
     * "etcd.lost" with why. Any thread. NULL: nobody wants it. */
    void (*event)(void *arg, const char *event, const char *text);
    /* This process leads no more, or its store has to be opened again. Once for each time that it led. Any thread. */
    void (*lost)(void *arg);
    void *arg;
};

struct etcd;

/* Nothing is asked yet. Strings are borrowed until etcd_close. ST_INVAL names what is wrong. */
CHECKED status_t etcd_open(const struct etcd_options *options, struct etcd **ret_etcd,
                           struct error *err);
/* Gives up that it leads, when that takes no long time; the store must be closed. Takes NULL. */
void etcd_close(struct etcd *e);

/* Apply what comes until this process leads, everything is applied, and its own term is in the log: then the replica
 * may be closed and the store be opened with etcd_log. Ends what it led before, whose store is closed.
 * ST_STOPPED: etcd_stop. ST_NOTFOUND: it needs a copy of the leader's store (etcd_leader, etcd_log_id;
 * replica_replace); then it is called again. ST_INVAL, ST_CORRUPT, ST_UNSUPPORTED, ST_PERM: this store and the log do
 * not belong together, or etcd does not let it in. That etcd does not answer is no error: it waits. */
CHECKED status_t etcd_follow(struct etcd *e, struct replica *r, struct error *err);
/* etcd_follow ends soon, whenever it was called. Any thread. */
void etcd_stop(struct etcd *e);

/* What is told about it. Counts are since etcd_open. Any thread. */
struct etcd_counts {
    uint64_t requests, errors, ns; /* ns: of all of them */
};
struct etcd_status {
    bool leads;              /* for certain, at this moment */
    uint64_t lease_left_ns;  /* it leads for so long at least */
    uint64_t elections;      /* times that it came to lead */
    uint64_t losses;         /* times that it led no more, or had to open its store again */
    uint64_t leader_changes; /* times that who leads was another one than before */
    uint64_t term;           /* of the last entry that its database has */
    uint64_t applied;        /* number of that */
    uint64_t head;           /* number of the last one in the log, when it looked last */
    uint64_t batches;        /* transactions in which it applied what came */
    struct etcd_counts follow, append, keep; /* following and elections; entries; the lease */
};
void etcd_status(struct etcd *e, struct etcd_status *ret_status);

/* For store_options while this process leads. */
const struct store_log *etcd_log(struct etcd *e);

/* Look who leads, for etcd_leader; not while etcd_follow runs. ST_AGAIN: etcd does not answer; ST_STOPPED. */
CHECKED status_t etcd_look(struct etcd *e, struct error *err);
/* Who led when this process looked the last time; "": nobody. Any thread. */
void etcd_leader(struct etcd *e, char ret_address[SHARED_ADDRESS_MAX + 1]);
/* The id of the log, as etcd_follow saw it last. */
const char *etcd_log_id(const struct etcd *e);

#endif
