#ifndef GEDS_EVENTS_H
#define GEDS_EVENTS_H

#include <pthread.h>

#include "changes.h"

struct leases;

enum {
    EVENTS_MAX = 16 * 1024,             /* that are kept */
    EVENTS_BYTES_MAX = 4 * 1024 * 1024, /* of these */
    EVENTS_SCAN_MAX = 2048,             /* that are looked at at a time */
};

struct event_record {
    uint8_t *data; /* encoded */
    size_t len;
};

/* The last events of this process. Any thread. */
struct events {
    pthread_mutex_t m; /* guards the rest; after it no other is taken */
    struct event_record
        *records;         /* number N is in records[N % EVENTS_MAX]; NULL: nobody has asked yet */
    uint64_t first, next; /* numbers of what is there */
    size_t bytes;
};
CHECKED status_t events_init(struct events *e, struct error *err);
void events_done(struct events *e);
/* After their commit. The writer's thread only. Without memory for them, who watches gets a gap. */
void events_add(struct events *e, struct leases *l, const struct changes *changes, uint64_t now_ns);

#endif
