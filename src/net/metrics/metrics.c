#include "net/metrics/metrics.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "sys/clock.h"

/* The registry, and its numbers. */

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)
const uint64_t metrics_request_bounds[METRICS_REQUEST_BOUNDS] = {
    100 * US, 250 * US, 500 * US, 1 * MS,   2500 * US, 5 * MS,    10 * MS, 25 * MS,
    50 * MS,  100 * MS, 250 * MS, 500 * MS, 1 * S,     2500 * MS, 10 * S,  60 * S};

status_t metrics_new(struct metrics **ret_metrics)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL) {
        return ST_NOMEM;
    }
    m->started_ns = clock_realtime_ns();
    *ret_metrics = m;
    return ST_OK;
}

static void series_free(struct metrics_series *s)
{
    for (size_t i = 0; i < METRICS_LABELS_MAX; i++) {
        free(s->values[i]);
    }
    free((void *)s->words);
    free(s);
}

void metrics_free(struct metrics *m)
{
    for (size_t i = 0; m != NULL && i < m->entry_count; i++) {
        for (struct metrics_series *s = m->entries[i].first, *next; s != NULL; s = next) {
            next = s->next;
            series_free(s);
        }
    }
    free(m);
}

size_t family_labels(const struct metrics_family *f)
{
    size_t count = 0;
    while (count < METRICS_LABELS_MAX && f->labels[count] != NULL) {
        count++;
    }
    return count;
}

static bool is_name(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return len > 0 && s[len] == '\0' && strchr("0123456789", s[0]) == NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), end_len = strlen(end);
    return len > end_len && strcmp(s + len - end_len, end) == 0;
}

size_t family_name_len(const struct metrics_family *f)
{
    return strlen(f->name) - (f->type == METRICS_COUNTER ? sizeof "_total" - 1 : 0);
}

/* Also a gauge and a counter of one name: they would be one family in OpenMetrics. */
static bool are_same(const struct metrics_family *a, const struct metrics_family *b)
{
    size_t len = family_name_len(a);
    return len == family_name_len(b) && memcmp(a->name, b->name, len) == 0;
}

static bool is_good(const struct metrics_family *f)
{
    bool good = is_name(f->name) && f->help != NULL &&
                ends_with(f->name, "_total") == (f->type == METRICS_COUNTER) &&
                (f->type == METRICS_HISTOGRAM) == (f->bound_count > 0) &&
                f->bound_count <= METRICS_BOUNDS_MAX;
    for (size_t i = 0; i < family_labels(f) && good; i++) {
        good = is_name(f->labels[i]) && strcmp(f->labels[i], "le") != 0;
    }
    for (size_t i = 1; good && i < f->bound_count; i++) {
        good = f->bounds[i - 1] < f->bounds[i];
    }
    return good;
}

status_t metrics_add_family(struct metrics *m, const struct metrics_family *family, size_t *ret_id,
                            struct error *err)
{
    if (!is_good(family)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "not a metric: %.100s", family->name);
    }
    if (m == NULL) {
        *ret_id = 0;
        return ST_OK;
    }
    for (size_t i = 0; i < m->entry_count; i++) {
        if (are_same(m->entries[i].family, family)) {
            return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "a second metric %.100s",
                             family->name);
        }
    }
    if (m->entry_count == METRICS_FAMILIES_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more than %d metrics",
                         METRICS_FAMILIES_MAX);
    }
    struct entry *e = &m->entries[m->entry_count];
    *e = (struct entry){.family = family, .last = &e->first};
    *ret_id = m->entry_count++;
    return ST_OK;
}

static bool has_values(const struct metrics_series *s, const char *const *values)
{
    for (size_t i = 0; i < family_labels(s->family); i++) {
        if (strcmp(s->values[i], values[i]) != 0) {
            return false;
        }
    }
    return true;
}

static struct metrics_series *series_new(const struct metrics_family *f, const char *const *values)
{
    struct metrics_series *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    size_t words = f->type == METRICS_HISTOGRAM ? f->bound_count + 2 : 1;
    s->family = f;
    s->stripe_words = (words + STRIPE_ALIGN_WORDS - 1) / STRIPE_ALIGN_WORDS * STRIPE_ALIGN_WORDS;
    size_t bytes = STRIPES * s->stripe_words * sizeof *s->words;
    s->words = aligned_alloc(STRIPE_ALIGN_WORDS * sizeof *s->words, bytes);
    bool good = s->words != NULL;
    for (size_t i = 0; good && i < bytes / sizeof *s->words; i++) {
        atomic_init(&s->words[i], 0);
    }
    for (size_t i = 0; i < family_labels(f) && good; i++) {
        s->values[i] = strdup(values[i]);
        good = s->values[i] != NULL;
    }
    if (!good) {
        series_free(s);
        return NULL;
    }
    return s;
}

status_t metrics_add_series(struct metrics *m, size_t family, const char *const *values,
                            struct metrics_series **ret_series, struct error *err)
{
    if (m == NULL) {
        *ret_series = NULL;
        return ST_OK;
    }
    struct entry *e = &m->entries[family];
    for (size_t i = 0; i < family_labels(e->family); i++) {
        if (strlen(values[i]) > METRICS_VALUE_MAX) {
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "%s: a label's value is too long",
                             e->family->name);
        }
    }
    for (struct metrics_series *s = e->first; s != NULL; s = s->next) {
        if (has_values(s, values)) {
            return error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%s: a second series of these labels",
                             e->family->name);
        }
    }
    if (e->count == METRICS_SERIES_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: more than %d series", e->family->name,
                         METRICS_SERIES_MAX);
    }
    struct metrics_series *s = series_new(e->family, values);
    if (s == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    *e->last = s;
    e->last = &s->next;
    e->count++;
    *ret_series = s;
    return ST_OK;
}

status_t metrics_add_one(struct metrics *m, const struct metrics_family *family,
                         struct metrics_series **ret_series, struct error *err)
{
    size_t id;
    status_t st = metrics_add_family(m, family, &id, err);
    return st == ST_OK ? metrics_add_series(m, id, NULL, ret_series, err) : st;
}

status_t metrics_add_collector(struct metrics *m,
                               void (*collect)(void *arg, struct metrics_page *page), void *arg,
                               struct error *err)
{
    if (m == NULL) {
        return ST_OK;
    }
    if (m->collector_count == METRICS_COLLECTORS_MAX) {
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "more than %d collectors",
                         METRICS_COLLECTORS_MAX);
    }
    m->collectors[m->collector_count++] = (struct collector){.collect = collect, .arg = arg};
    return ST_OK;
}

static _Atomic uint64_t *stripe(struct metrics_series *s)
{
    int cpu = sched_getcpu();
    return s->words + (size_t)(cpu > 0 ? cpu : 0) % STRIPES * s->stripe_words;
}

void metrics_add(struct metrics_series *s, uint64_t n)
{
    if (s != NULL) {
        atomic_fetch_add_explicit(stripe(s), n, memory_order_relaxed);
    }
}

void metrics_sub(struct metrics_series *s, uint64_t n)
{
    metrics_add(s, 0 - n);
}

void metrics_observe(struct metrics_series *s, uint64_t value)
{
    if (s == NULL) {
        return;
    }
    const struct metrics_family *f = s->family;
    _Atomic uint64_t *words = stripe(s);
    size_t bucket = 0;
    while (bucket < f->bound_count && value > f->bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&words[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&words[f->bound_count + 1], value, memory_order_relaxed);
}

uint64_t series_word(const struct metrics_series *s, size_t word)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < STRIPES; i++) {
        sum += atomic_load_explicit(&s->words[i * s->stripe_words + word], memory_order_relaxed);
    }
    return sum;
}

uint64_t metrics_value(const struct metrics_series *s)
{
    uint64_t sum = 0;
    size_t words = s == NULL                              ? 0
                   : s->family->type == METRICS_HISTOGRAM ? s->family->bound_count + 1
                                                          : 1;
    for (size_t i = 0; i < words; i++) {
        sum += series_word(s, i);
    }
    return sum;
}
