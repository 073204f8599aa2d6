#ifndef NET_METRICS_METRICS_H
#define NET_METRICS_METRICS_H

#include <stdbool.h>

#include "base/buf.h"

/* Counters, gauges and histograms, and their text for Prometheus (docs/internals/metrics.md).
 * A registry is filled by one thread; from then on it is immutable but for its numbers, which any thread adds to. */

enum {
    METRICS_FAMILIES_MAX = 128,
    METRICS_SERIES_MAX = 1024, /* of one family: no label may have values without a bound */
    METRICS_LABELS_MAX = 3,
    METRICS_VALUE_MAX = 128, /* bytes of the value of a label */
    METRICS_BOUNDS_MAX = 24, /* of a histogram */
    METRICS_COLLECTORS_MAX = 16,
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };
/* What the integers count. Nanoseconds are told in seconds. */
enum metrics_unit { METRICS_ONE, METRICS_NS };

/* Immutable, and borrowed for as long as the registry is there. */
struct metrics_family {
    const char *name; /* of a counter: ends with _total */
    const char *help;
    enum metrics_type type;
    enum metrics_unit unit;
    const char *labels[METRICS_LABELS_MAX]; /* NULL after the last */
    const uint64_t *bounds;                 /* of a histogram: upper ones, inclusive, growing */
    size_t bound_count;
    bool sparse; /* a series is told when something was counted in it */
};

struct metrics;
struct metrics_series; /* one set of values of a family's labels */

CHECKED status_t metrics_new(struct metrics **ret_metrics);
/* Takes NULL. */
void metrics_free(struct metrics *m);

/* Make a family known, and *ret_id its number. With m NULL there is nothing to do, here and below: what counts need
 * not know whether somebody looks. ST_INVAL: a name, label or bound is wrong. ST_EXIST. ST_LIMIT. ST_NOMEM. */
CHECKED status_t metrics_add_family(struct metrics *m, const struct metrics_family *family,
                                    size_t *ret_id, struct error *err);
/* A series of it; it ends with the registry. values: of its labels, in order, copied. ST_INVAL: too long. ST_EXIST.
 * ST_LIMIT. ST_NOMEM. */
CHECKED status_t metrics_add_series(struct metrics *m, size_t family, const char *const *values,
                                    struct metrics_series **ret_series, struct error *err);
/* A family without labels, and its series. */
CHECKED status_t metrics_add_one(struct metrics *m, const struct metrics_family *family,
                                 struct metrics_series **ret_series, struct error *err);

/* Any thread, without a lock; a few nanoseconds. Series may be NULL. */
/* To a counter or a gauge. */
void metrics_add(struct metrics_series *s, uint64_t n);
/* From a gauge. */
void metrics_sub(struct metrics_series *s, uint64_t n);
/* Into a histogram. */
void metrics_observe(struct metrics_series *s, uint64_t value);
/* Of a counter or a gauge, or how many values a histogram has. */
uint64_t metrics_value(const struct metrics_series *s);

enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };

/* What is read when somebody looks. */
struct metrics_page;
/* A family, which the registry does not know. */
void metrics_page_family(struct metrics_page *p, const struct metrics_family *family);
/* A value of the family that came last: a counter or gauge. values: of its labels. */
void metrics_page_value(struct metrics_page *p, const char *const *values, uint64_t value);
/* collect is called by whoever renders, by several threads at a time if they do. */
CHECKED status_t metrics_add_collector(struct metrics *m,
                                       void (*collect)(void *arg, struct metrics_page *page),
                                       void *arg, struct error *err);

/* Append all of it. out->failed: no memory. Any thread. */
void metrics_render(const struct metrics *m, enum metrics_format format, struct buf *out);

/* process_*: of this process, as clients of Prometheus name them. */
CHECKED status_t metrics_add_process(struct metrics *m, struct error *err);

/* Seconds of requests: 100 us to 60 s. */
extern const uint64_t metrics_request_bounds[];
enum { METRICS_REQUEST_BOUNDS = 16 };

#endif
