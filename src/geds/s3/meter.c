#include <stdlib.h>

#include "s3.h"
#include "sys/clock.h"

/* What is counted of requests: cloudskin_s3_*. */

enum outcome { CLASS_2XX, CLASS_3XX, CLASS_4XX, CLASS_5XX, CLASS_BROKEN, CLASS_COUNT };
static const char *const class_names[CLASS_COUNT] = {"2xx", "3xx", "4xx", "5xx", "broken"};

/* Of one operation. */
struct operation {
    struct metrics_series *requests[CLASS_COUNT];
    struct metrics_series *seconds, *received, *sent;
};

struct s3_meter {
    struct metrics_series *in_flight;
    struct metrics_series *errors[S3_CODE_COUNT];
    struct operation operations[]; /* by number of the route; the last: unknown */
};

static const struct metrics_family requests = {
    .name = "cloudskin_s3_requests_total",
    .help = "S3 requests that are over, by operation and class of the answer's code; broken: the "
            "connection ended "
            "before the answer.",
    .type = METRICS_COUNTER,
    .labels = {"operation", "code"},
    .sparse = true};
static const struct metrics_family seconds = {
    .name = "cloudskin_s3_request_duration_seconds",
    .help = "Time from the headers of an S3 request to the end of its answer.",
    .type = METRICS_HISTOGRAM,
    .unit = METRICS_NS,
    .labels = {"operation"},
    .bounds = metrics_request_bounds,
    .bound_count = METRICS_REQUEST_BOUNDS,
    .sparse = true};
static const struct metrics_family received = {
    .name = "cloudskin_s3_received_bytes_total",
    .help = "Bytes of bodies of S3 requests, with the signatures between their chunks.",
    .type = METRICS_COUNTER,
    .labels = {"operation"},
    .sparse = true};
static const struct metrics_family sent = {.name = "cloudskin_s3_sent_bytes_total",
                                           .help = "Bytes of bodies of answers to S3 requests.",
                                           .type = METRICS_COUNTER,
                                           .labels = {"operation"},
                                           .sparse = true};
static const struct metrics_family errors = {
    .name = "cloudskin_s3_errors_total",
    .help = "S3 requests that were answered with an error, by its code.",
    .type = METRICS_COUNTER,
    .labels = {"code"},
    .sparse = true};
static const struct metrics_family in_flight = {.name = "cloudskin_s3_requests_in_flight",
                                                .help = "S3 requests that are being served.",
                                                .type = METRICS_GAUGE};

static status_t add_operations(struct metrics *metrics, struct s3_meter *m, struct error *err)
{
    size_t ids[4];
    const struct metrics_family *const families[] = {&requests, &seconds, &received, &sent};
    status_t st = ST_OK;
    for (size_t i = 0; i < 4 && st == ST_OK; i++)
        st = metrics_add_family(metrics, families[i], &ids[i], err);
    for (size_t i = 0; i <= s3_route_count() && st == ST_OK; i++) {
        struct operation *o = &m->operations[i];
        const char *values[2] = {i < s3_route_count() ? s3_route_at(i)->name : "unknown"};
        for (size_t k = 0; k < CLASS_COUNT && st == ST_OK; k++) {
            values[1] = class_names[k];
            st = metrics_add_series(metrics, ids[0], values, &o->requests[k], err);
        }
        if (st == ST_OK)
            st = metrics_add_series(metrics, ids[1], values, &o->seconds, err);
        if (st == ST_OK)
            st = metrics_add_series(metrics, ids[2], values, &o->received, err);
        if (st == ST_OK)
            st = metrics_add_series(metrics, ids[3], values, &o->sent, err);
    }
    return st;
}

/* Several codes of this module may have one name. */
static status_t add_errors(struct metrics *metrics, struct s3_meter *m, struct error *err)
{
    size_t id;
    status_t st = metrics_add_family(metrics, &errors, &id, err);
    for (size_t i = S3_OK + 1; i < S3_CODE_COUNT && st == ST_OK; i++) {
        const char *name = s3_code_name((enum s3_code)i);
        for (size_t k = S3_OK + 1; k < i && !m->errors[i]; k++) {
            if (strcmp(s3_code_name((enum s3_code)k), name) == 0)
                m->errors[i] = m->errors[k];
        }
        if (!m->errors[i])
            st = metrics_add_series(metrics, id, &name, &m->errors[i], err);
    }
    return st;
}

status_t s3_meter_new(struct metrics *metrics, struct s3_meter **ret_meter, struct error *err)
{
    *ret_meter = NULL;
    if (!metrics)
        return ST_OK;
    struct s3_meter *m = calloc(1, sizeof *m + (s3_route_count() + 1) * sizeof m->operations[0]);
    if (!m)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    status_t st = add_operations(metrics, m, err);
    if (st == ST_OK)
        st = add_errors(metrics, m, err);
    if (st == ST_OK)
        st = metrics_add_one(metrics, &in_flight, &m->in_flight, err);
    if (st != ST_OK) {
        s3_meter_free(m);
        return st;
    }
    *ret_meter = m;
    return ST_OK;
}

void s3_meter_free(struct s3_meter *m)
{
    free(m);
}

void s3_meter_begin(struct s3_meter *m)
{
    if (m)
        metrics_add(m->in_flight, 1);
}

static enum outcome class_of(const struct http_outcome *o)
{
    static const enum outcome classes[] = {CLASS_2XX, CLASS_3XX, CLASS_4XX};
    if (!o->whole || o->code < 200)
        return CLASS_BROKEN;
    return o->code < 500 ? classes[o->code / 100 - 2] : CLASS_5XX;
}

void s3_meter_done(struct s3_meter *m, const struct s3_route *route, uint64_t began_ns,
                   const struct http_outcome *outcome)
{
    if (!m)
        return;
    struct operation *o = &m->operations[route ? s3_route_number(route) : s3_route_count()];
    metrics_add(o->received, outcome->received_bytes);
    metrics_add(o->sent, outcome->sent_bytes);
    metrics_observe(o->seconds, clock_monotonic_ns() - began_ns);
    metrics_sub(m->in_flight, 1);
    metrics_add(o->requests[class_of(outcome)], 1);
}

void s3_meter_error(struct s3_meter *m, enum s3_code code)
{
    if (m && code != S3_NOT_MODIFIED)
        metrics_add(m->errors[code], 1);
}
