#ifndef NET_METRICS_IMPL_H
#define NET_METRICS_IMPL_H

#include <stdatomic.h>

#include "net/metrics/metrics.h"

enum { STRIPES = 8, STRIPE_ALIGN_WORDS = 8 }; /* a cache line */

/* Its numbers, once for each stripe. A thread adds to the stripe of its CPU, so that two rarely have a cache line in
 * turns. Counters and gauges have one word, histograms one for each bucket and the sum. */
struct metrics_series {
    struct metrics_series *next;
    const struct metrics_family *family;
    char *values[METRICS_LABELS_MAX];
    size_t stripe_words;
    _Atomic uint64_t *words;
};

struct entry {
    const struct metrics_family *family;
    struct metrics_series *first, **last;
    size_t count;
};

struct collector {
    void (*collect)(void *arg, struct metrics_page *page);
    void *arg;
};

struct metrics {
    struct entry entries[METRICS_FAMILIES_MAX];
    size_t entry_count;
    struct collector collectors[METRICS_COLLECTORS_MAX];
    size_t collector_count;
    uint64_t started_ns; /* since the epoch */
};

struct metrics_page {
    enum metrics_format format;
    struct buf *out;
    const struct metrics_family *family;
};

/* Of its name without _total: the family's name in OpenMetrics. */
size_t family_name_len(const struct metrics_family *f);
size_t family_labels(const struct metrics_family *f);
/* Sum of a word over the stripes. */
uint64_t series_word(const struct metrics_series *s, size_t word);

#endif
