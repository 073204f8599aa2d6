#ifndef GEDS_METER_H
#define GEDS_METER_H

#include "net/metrics/metrics.h"

/* What is counted of a store: cloudskin_store_*. Zeroed memory counts nothing. Any thread. */
struct meter {
    struct metrics_series *changes;        /* of a commit */
    struct metrics_series *commit_seconds; /* of its sync */
    struct metrics_series *sync_seconds;   /* of an extent */
    struct metrics_series *failed_syncs, *failed_commits;
    struct metrics_series *written_bytes;
};

CHECKED status_t meter_init(struct meter *m, struct metrics *metrics, struct error *err);

#endif
