#ifndef CLIENT_LEASE_H
#define CLIENT_LEASE_H

#include "content.h"
#include "proto/lease.h"

/* What the client knows of names, as long as it is right (docs/internals/geds-leases.md). */

enum {
    LEASE_ENTRIES_MAX = 4096,
    LEASE_BYTES_MAX = 32 * 1024 * 1024,
    LEASE_FILES_MAX = 256,                     /* and a quarter of what the process may have open */
    LEASE_FILE_BYTES_MAX = 1024 * 1024 * 1024, /* in them: disk space, also of what was removed */
    LEASE_OPENS_MIN = 2,                       /* of a connection, before it asks for leases */
    LEASE_LOOK_MS = 100, /* how often the connection is looked at, when there are no requests */
    LEASE_CHAINS = 1024,
};

struct lease_entry {
    struct lease_entry *next;             /* of its chain */
    struct lease_entry *newer, *older;    /* of all */
    uint64_t hash, slot_count, all_count; /* counters when it was asked for */
    struct content *content;
};

enum lease_state { LEASE_NEW, LEASE_ASKING, LEASE_ON, LEASE_OFF };

struct leases {
    _Atomic enum lease_state state;
    _Atomic unsigned opens;
    _Atomic uint64_t looked_ms;
    const lease_word *table, *page; /* immutable when it is on, and so are: */
    size_t slots;
    size_t files_max;

    pthread_mutex_t m; /* guards the rest; after it no other is taken */
    struct lease_entry *chains[LEASE_CHAINS];
    struct lease_entry *newest, *oldest;
    size_t entries, bytes, files;
    uint64_t file_bytes;
};

/* What was seen of a name before it was asked for. */
struct lease_ticket {
    bool on;       /* what comes can be kept */
    bool hot;      /* it is kept, but not all of it */
    bool no_files; /* and cannot be */
    uint64_t hash, slot_count, all_count;
};

/* local: the store can pass descriptors, else there are no leases. */
void leases_init(struct leases *l, bool local);
void leases_done(struct leases *l);

/* Ask for the table, unless that was done. false: there is none. */
bool leases_want(struct geds *g);
/* Wait until the number of events is another one than seen, at most ms. false: a signal came. Also without a table. */
uint32_t leases_events(const struct geds *g);
bool leases_wait(struct geds *g, uint32_t seen, unsigned ms);

/* What the name leads to, when that is known: a reference, or NULL, and then *ret_ticket is set before the store is
 * asked. whole: not without all bytes. Any thread. */
struct content *leases_find(struct geds *g, const char *bucket, const char *key, bool whole,
                            struct lease_ticket *ret_ticket);
/* Keep what was answered. Any thread. */
void leases_keep(struct geds *g, const struct lease_ticket *t, struct content *c);

#endif
