#include <string.h>

#include "impl.h"

/* The text: version 0.0.4 of Prometheus' own format, and OpenMetrics 1.0. They differ in the names of counters'
 * families, in quotes within help, and at the end. */

static void escape(struct buf *out, const char *text, bool quotes)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            buf_bytes(out, "\\n", 2);
        } else if (*text == '\\' || (*text == '"' && quotes)) {
            buf_u8(out, '\\');
            buf_u8(out, (uint8_t)*text);
        } else {
            buf_u8(out, (uint8_t)*text);
        }
    }
}

/* Of what the family's comments name. */
static int name_len(const struct metrics_page *p)
{
    return p->format == METRICS_OPENMETRICS ? (int)family_name_len(p->family)
                                            : (int)strlen(p->family->name);
}

void metrics_page_family(struct metrics_page *p, const struct metrics_family *family)
{
    static const char *const types[] = {[METRICS_COUNTER] = "counter",
                                        [METRICS_GAUGE] = "gauge",
                                        [METRICS_HISTOGRAM] = "histogram"};
    p->family = family;
    buf_printf(p->out, "# HELP %.*s ", name_len(p), family->name);
    escape(p->out, family->help, p->format == METRICS_OPENMETRICS);
    buf_printf(p->out, "\n# TYPE %.*s %s\n", name_len(p), family->name, types[family->type]);
}

/* Nanoseconds as seconds, exactly, with no more digits than they need but one behind the point if asked. */
static void put_seconds(struct buf *out, uint64_t ns, bool point)
{
    char digits[12];
    snprintf(digits, sizeof digits, "%09llu", (unsigned long long)(ns % 1000000000));
    size_t len = 9;
    while (len > (point ? 1 : 0) && digits[len - 1] == '0') {
        len--;
    }
    buf_printf(out, "%llu%s%.*s", (unsigned long long)(ns / 1000000000), len > 0 ? "." : "",
               (int)len, digits);
}

/* The bound of a bucket is a floating-point number in OpenMetrics' one way of writing it. */
static void put_bound(struct buf *out, const struct metrics_family *f, size_t bucket)
{
    if (bucket == f->bound_count) {
        buf_printf(out, "+Inf");
    } else if (f->unit == METRICS_NS) {
        put_seconds(out, f->bounds[bucket], true);
    } else {
        buf_printf(out, "%llu.0", (unsigned long long)f->bounds[bucket]);
    }
}

static void put_number(struct buf *out, const struct metrics_family *f, uint64_t value)
{
    if (f->unit == METRICS_NS) {
        put_seconds(out, value, false);
    } else {
        buf_printf(out, "%llu", (unsigned long long)value);
    }
}

/* {a="b",le="c"}; bucket SIZE_MAX: without le. */
static void put_labels(struct metrics_page *p, const char *const *values, size_t bucket)
{
    struct buf *out = p->out;
    size_t count = family_labels(p->family);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%c%s=\"", i == 0 ? '{' : ',', p->family->labels[i]);
        escape(out, values[i], true);
        buf_u8(out, '"');
    }
    if (bucket != SIZE_MAX) {
        buf_printf(out, "%cle=\"", count == 0 ? '{' : ',');
        put_bound(out, p->family, bucket);
        buf_u8(out, '"');
    }
    if (count > 0 || bucket != SIZE_MAX) {
        buf_u8(out, '}');
    }
    buf_u8(out, ' ');
}

void metrics_page_value(struct metrics_page *p, const char *const *values, uint64_t value)
{
    buf_printf(p->out, "%s", p->family->name);
    put_labels(p, values, SIZE_MAX);
    put_number(p->out, p->family, value);
    buf_u8(p->out, '\n');
}

/* A value that is added meanwhile is in the count, which is made of the buckets, or not; its part of the sum may be
 * missing until the next time. */
static void put_histogram(struct metrics_page *p, const struct metrics_series *s)
{
    const struct metrics_family *f = p->family;
    const char *const *values = (const char *const *)s->values;
    uint64_t sum = series_word(s, f->bound_count + 1), count = 0;
    for (size_t i = 0; i <= f->bound_count; i++) {
        count += series_word(s, i);
        buf_printf(p->out, "%s_bucket", f->name);
        put_labels(p, values, i);
        buf_printf(p->out, "%llu\n", (unsigned long long)count);
    }
    buf_printf(p->out, "%s_sum", f->name);
    put_labels(p, values, SIZE_MAX);
    put_number(p->out, f, sum);
    buf_printf(p->out, "\n%s_count", f->name);
    put_labels(p, values, SIZE_MAX);
    buf_printf(p->out, "%llu\n", (unsigned long long)count);
}

static void put_series(struct metrics_page *p, const struct metrics_series *s)
{
    if (p->family->sparse && metrics_value(s) == 0) {
        return;
    }
    if (p->family->type == METRICS_HISTOGRAM) {
        put_histogram(p, s);
        return;
    }
    uint64_t value = metrics_value(s);
    if (p->family->type == METRICS_GAUGE && value > INT64_MAX) {
        value = 0; /* what came was looked at before, what went after it */
    }
    metrics_page_value(p, (const char *const *)s->values, value);
}

void metrics_render(const struct metrics *m, enum metrics_format format, struct buf *out)
{
    struct metrics_page p = {.format = format, .out = out};
    for (size_t i = 0; i < m->entry_count; i++) {
        metrics_page_family(&p, m->entries[i].family);
        for (const struct metrics_series *s = m->entries[i].first; s != NULL; s = s->next) {
            put_series(&p, s);
        }
    }
    for (size_t i = 0; i < m->collector_count; i++) {
        m->collectors[i].collect(m->collectors[i].arg, &p);
    }
    if (format == METRICS_OPENMETRICS) {
        buf_printf(out, "# EOF\n");
    }
}
