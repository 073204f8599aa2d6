#include "net/metrics/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/parse.h"
#include "check.h"
#include "sys/clock.h"

static struct error err;

#define MUST(call) CHECK_EQ(call, ST_OK)

static struct metrics *make(void)
{
    struct metrics *m = NULL;
    MUST(metrics_new(&m));
    return m;
}

static char *render(const struct metrics *m, enum metrics_format format)
{
    struct buf out = {0};
    metrics_render(m, format, &out);
    buf_u8(&out, 0);
    CHECK(!out.failed);
    return (char *)out.data;
}

static void is(const struct metrics *m, enum metrics_format format, const char *want)
{
    char *text = render(m, format);
    CHECK_STR(text, want);
    free(text);
}

static void a_counter_has_help_type_and_value(void)
{
    static const struct metrics_family f = {
        .name = "x_requests_total", .help = "Requests.", .type = METRICS_COUNTER};
    struct metrics *m = make();
    struct metrics_series *s = NULL;
    MUST(metrics_add_one(m, &f, &s, &err));
    metrics_add(s, 2);
    metrics_add(s, UINT64_C(1) << 60);
    CHECK(metrics_value(s) == (UINT64_C(1) << 60) + 2);
    is(m, METRICS_TEXT,
       "# HELP x_requests_total Requests.\n# TYPE x_requests_total counter\n"
       "x_requests_total 1152921504606846978\n");
    is(m, METRICS_OPENMETRICS,
       "# HELP x_requests Requests.\n# TYPE x_requests counter\n"
       "x_requests_total 1152921504606846978\n# EOF\n");
    metrics_free(m);
}

static void nothing_is_a_page_of_its_own(void)
{
    struct metrics *m = make();
    struct buf out = {0};
    metrics_render(m, METRICS_TEXT, &out);
    CHECK_EQ(out.len, 0);
    is(m, METRICS_OPENMETRICS, "# EOF\n");
    metrics_free(m);
    metrics_free(NULL);
}

static void labels_and_help_are_escaped(void)
{
    static const struct metrics_family f = {
        .name = "x", .help = "a \\ b \" c\nd", .type = METRICS_GAUGE, .labels = {"one", "two"}};
    const char *values[] = {"q\"b\\n\nend", "\xc3\xa9{},="};
    struct metrics *m = make();
    struct metrics_series *s = NULL;
    size_t id = 0;
    MUST(metrics_add_family(m, &f, &id, &err));
    MUST(metrics_add_series(m, id, values, &s, &err));
    is(m, METRICS_TEXT,
       "# HELP x a \\\\ b \" c\\nd\n# TYPE x gauge\n"
       "x{one=\"q\\\"b\\\\n\\nend\",two=\"\xc3\xa9{},=\"} 0\n");
    is(m, METRICS_OPENMETRICS,
       "# HELP x a \\\\ b \\\" c\\nd\n# TYPE x gauge\n"
       "x{one=\"q\\\"b\\\\n\\nend\",two=\"\xc3\xa9{},=\"} 0\n# EOF\n");
    metrics_free(m);
}

static const uint64_t ms_bounds[] = {1000000, 2500000, 1000000000};

static void buckets_are_cumulative_and_end_with_infinity(void)
{
    static const struct metrics_family f = {.name = "x_seconds",
                                            .help = "h",
                                            .type = METRICS_HISTOGRAM,
                                            .unit = METRICS_NS,
                                            .labels = {"op"},
                                            .bounds = ms_bounds,
                                            .bound_count = 3};
    const char *value = "get";
    struct metrics *m = make();
    struct metrics_series *s = NULL;
    size_t id = 0;
    MUST(metrics_add_family(m, &f, &id, &err));
    MUST(metrics_add_series(m, id, &value, &s, &err));
    metrics_observe(s, 0);
    metrics_observe(s, 1000000); /* bounds are inclusive */
    metrics_observe(s, 1000001);
    metrics_observe(s, 1000000001);
    metrics_observe(s, UINT64_C(5000000000));
    CHECK_EQ(metrics_value(s), 5);
    is(m, METRICS_TEXT,
       "# HELP x_seconds h\n# TYPE x_seconds histogram\n"
       "x_seconds_bucket{op=\"get\",le=\"0.001\"} 2\n"
       "x_seconds_bucket{op=\"get\",le=\"0.0025\"} 3\n"
       "x_seconds_bucket{op=\"get\",le=\"1.0\"} 3\n"
       "x_seconds_bucket{op=\"get\",le=\"+Inf\"} 5\n"
       "x_seconds_sum{op=\"get\"} 6.002000002\n"
       "x_seconds_count{op=\"get\"} 5\n");
    metrics_free(m);
}

static void a_histogram_of_numbers_has_no_labels_but_le(void)
{
    static const uint64_t bounds[] = {1, 16};
    static const struct metrics_family f = {
        .name = "x", .help = "h", .type = METRICS_HISTOGRAM, .bounds = bounds, .bound_count = 2};
    struct metrics *m = make();
    struct metrics_series *s = NULL;
    MUST(metrics_add_one(m, &f, &s, &err));
    metrics_observe(s, 7);
    is(m, METRICS_OPENMETRICS,
       "# HELP x h\n# TYPE x histogram\nx_bucket{le=\"1.0\"} 0\nx_bucket{le=\"16.0\"} 1\n"
       "x_bucket{le=\"+Inf\"} 1\nx_sum 7\nx_count 1\n# EOF\n");
    metrics_free(m);
}

static void a_sparse_series_comes_with_its_first_count(void)
{
    static const struct metrics_family f = {
        .name = "x_total", .help = "h", .type = METRICS_COUNTER, .labels = {"op"}, .sparse = true};
    const char *values[] = {"a", "b"};
    struct metrics_series *s[2] = {0};
    struct metrics *m = make();
    size_t id = 0;
    MUST(metrics_add_family(m, &f, &id, &err));
    MUST(metrics_add_series(m, id, &values[0], &s[0], &err));
    MUST(metrics_add_series(m, id, &values[1], &s[1], &err));
    is(m, METRICS_TEXT, "# HELP x_total h\n# TYPE x_total counter\n");
    metrics_add(s[1], 1);
    is(m, METRICS_TEXT, "# HELP x_total h\n# TYPE x_total counter\nx_total{op=\"b\"} 1\n");
    metrics_free(m);
}

static void a_gauge_goes_up_and_down_and_is_never_below_zero(void)
{
    static const struct metrics_family f = {.name = "x", .help = "h", .type = METRICS_GAUGE};
    struct metrics *m = make();
    struct metrics_series *s = NULL;
    MUST(metrics_add_one(m, &f, &s, &err));
    metrics_add(s, 3);
    metrics_sub(s, 2);
    is(m, METRICS_TEXT, "# HELP x h\n# TYPE x gauge\nx 1\n");
    metrics_sub(s, 2); /* what a reader may see for a moment */
    is(m, METRICS_TEXT, "# HELP x h\n# TYPE x gauge\nx 0\n");
    metrics_free(m);
}

static void seconds_are_exact(void)
{
    static const struct metrics_family f = {
        .name = "x_seconds_total", .help = "h", .type = METRICS_COUNTER, .unit = METRICS_NS};
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "0.000000001"},
                 {1000000000, "1"},
                 {1500000000, "1.5"},
                 {UINT64_MAX, "18446744073.709551615"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char want[200];
        struct metrics *m = make();
        struct metrics_series *s = NULL;
        MUST(metrics_add_one(m, &f, &s, &err));
        metrics_add(s, cases[i].ns);
        snprintf(want, sizeof want,
                 "# HELP x_seconds_total h\n# TYPE x_seconds_total counter\nx_seconds_total %s\n",
                 cases[i].text);
        is(m, METRICS_TEXT, want);
        metrics_free(m);
    }
}

static void what_is_no_metric_is_refused(void)
{
    static const uint64_t falling[] = {2, 1};
    static const uint64_t many[METRICS_BOUNDS_MAX + 1];
    static const struct metrics_family bad[] = {
        {.name = "", .help = "h", .type = METRICS_GAUGE},
        {.name = "1x", .help = "h", .type = METRICS_GAUGE},
        {.name = "x-y", .help = "h", .type = METRICS_GAUGE},
        {.name = "x", .type = METRICS_GAUGE},
        {.name = "x", .help = "h", .type = METRICS_COUNTER},
        {.name = "_total", .help = "h", .type = METRICS_COUNTER},
        {.name = "x_total", .help = "h", .type = METRICS_GAUGE},
        {.name = "x", .help = "h", .type = METRICS_GAUGE, .labels = {"a b"}},
        {.name = "x", .help = "h", .type = METRICS_HISTOGRAM, .bounds = falling},
        {.name = "x", .help = "h", .type = METRICS_HISTOGRAM, .bounds = falling, .bound_count = 2},
        {.name = "x",
         .help = "h",
         .type = METRICS_HISTOGRAM,
         .labels = {"le"},
         .bounds = falling,
         .bound_count = 1},
        {.name = "x",
         .help = "h",
         .type = METRICS_HISTOGRAM,
         .bounds = many,
         .bound_count = METRICS_BOUNDS_MAX + 1},
        {.name = "x", .help = "h", .type = METRICS_GAUGE, .bounds = falling, .bound_count = 1}};
    struct metrics *m = make();
    size_t id = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(metrics_add_family(m, &bad[i], &id, &err), ST_INVAL);
        CHECK_EQ(metrics_add_family(NULL, &bad[i], &id, &err), ST_INVAL);
    }
    CHECK_EQ(id, 77);
    metrics_free(m);
}

static void there_are_limits_and_nothing_twice(void)
{
    static const struct metrics_family f = {
        .name = "x", .help = "h", .type = METRICS_GAUGE, .labels = {"n"}};
    static char names[METRICS_FAMILIES_MAX + 1][16];
    static struct metrics_family more[METRICS_FAMILIES_MAX + 1];
    struct metrics *m = make();
    struct metrics_series *s = NULL;
    char value[METRICS_VALUE_MAX + 2];
    const char *values = value;
    size_t id = 0;
    MUST(metrics_add_family(m, &f, &id, &err));
    CHECK_EQ(metrics_add_family(m, &f, &id, &err), ST_EXIST);
    static const struct metrics_family counter = {
        .name = "x_total", .help = "h", .type = METRICS_COUNTER};
    CHECK_EQ(metrics_add_family(m, &counter, &id, &err), ST_EXIST);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    CHECK_EQ(metrics_add_series(m, id, &values, &s, &err), ST_INVAL);
    CHECK(s == NULL);
    for (int i = 0; i < METRICS_SERIES_MAX; i++) {
        snprintf(value, sizeof value, "%d", i);
        MUST(metrics_add_series(m, id, &values, &s, &err));
    }
    CHECK_EQ(metrics_add_series(m, id, &values, &s, &err), ST_EXIST);
    snprintf(value, sizeof value, "one more");
    CHECK_EQ(metrics_add_series(m, id, &values, &s, &err), ST_LIMIT);
    for (int i = 1; i < METRICS_FAMILIES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "x%d", i);
        more[i] = (struct metrics_family){.name = names[i], .help = "h", .type = METRICS_GAUGE};
        MUST(metrics_add_family(m, &more[i], &id, &err));
    }
    more[0] = (struct metrics_family){.name = "y", .help = "h", .type = METRICS_GAUGE};
    CHECK_EQ(metrics_add_family(m, &more[0], &id, &err), ST_LIMIT);
    metrics_free(m);
}

static void without_a_registry_nothing_is_counted(void)
{
    static const struct metrics_family f = {.name = "x", .help = "h", .type = METRICS_GAUGE};
    struct metrics_series *s = (struct metrics_series *)&f;
    MUST(metrics_add_one(NULL, &f, &s, &err));
    CHECK(s == NULL);
    metrics_add(s, 1);
    metrics_sub(s, 1);
    metrics_observe(s, 1);
    CHECK_EQ(metrics_value(s), 0);
    MUST(metrics_add_collector(NULL, NULL, NULL, &err));
}

static void collect(void *arg, struct metrics_page *p)
{
    static const struct metrics_family f = {
        .name = "x", .help = "h", .type = METRICS_GAUGE, .labels = {"of"}};
    const char *values = "it";
    metrics_page_family(p, &f);
    metrics_page_value(p, &values, *(uint64_t *)arg);
}

static void collectors_are_asked_each_time(void)
{
    struct metrics *m = make();
    uint64_t value = 5;
    MUST(metrics_add_collector(m, collect, &value, &err));
    is(m, METRICS_TEXT, "# HELP x h\n# TYPE x gauge\nx{of=\"it\"} 5\n");
    value = 6;
    is(m, METRICS_TEXT, "# HELP x h\n# TYPE x gauge\nx{of=\"it\"} 6\n");
    for (int i = 1; i < METRICS_COLLECTORS_MAX; i++) {
        MUST(metrics_add_collector(m, collect, &value, &err));
    }
    CHECK_EQ(metrics_add_collector(m, collect, &value, &err), ST_LIMIT);
    metrics_free(m);
}

static void the_process_is_told(void)
{
    static const char *const names[] = {
        "process_cpu_seconds_total ", "process_start_time_seconds ",
        "process_open_fds ",          "process_resident_memory_bytes ",
        "process_max_fds ",           "process_virtual_memory_bytes "};
    struct metrics *m = make();
    MUST(metrics_add_process(m, &err));
    char *text = render(m, METRICS_TEXT);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "\n%s", names[i]);
        const char *at = strstr(text, line);
        CHECK(at != NULL && at[strlen(line)] >= '0' && at[strlen(line)] <= '9' &&
              strncmp(at + strlen(line), "0\n", 2) != 0);
    }
    free(text);
    metrics_free(m);
}

enum { THREADS = 4, ROUNDS = 100000 };
static struct metrics_series *shared_counter, *shared_gauge, *shared_histogram;

static void *add_many(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        metrics_add(shared_gauge, 1);
        metrics_add(shared_counter, 2);
        metrics_observe(shared_histogram, i % 4 * 1000000);
        metrics_sub(shared_gauge, 1);
    }
    return NULL;
}

static atomic_bool adding;

/* No count is ever less than before, and buckets never fall within one page. */
static void *look(void *arg)
{
    const struct metrics *m = arg;
    uint64_t before = 0;
    while (atomic_load(&adding)) {
        char *text = render(m, METRICS_TEXT);
        uint64_t bucket = 0, n;
        for (char *at = text; (at = strstr(at, "x_seconds_bucket{")) != NULL;) {
            char *number = strchr(at, ' ') + 1;
            at = strchr(number, '\n');
            *at++ = '\0';
            MUST(parse_u64(number, UINT64_MAX, &n));
            CHECK(n >= bucket);
            bucket = n;
        }
        CHECK(bucket >= before);
        before = bucket;
        free(text);
    }
    return NULL;
}

static void threads_lose_no_count(void)
{
    static const struct metrics_family counter = {
        .name = "x_total", .help = "h", .type = METRICS_COUNTER};
    static const struct metrics_family gauge = {.name = "y", .help = "h", .type = METRICS_GAUGE};
    static const struct metrics_family histogram = {.name = "x_seconds",
                                                    .help = "h",
                                                    .type = METRICS_HISTOGRAM,
                                                    .unit = METRICS_NS,
                                                    .bounds = ms_bounds,
                                                    .bound_count = 3};
    struct metrics *m = make();
    pthread_t threads[THREADS], looker;
    MUST(metrics_add_one(m, &counter, &shared_counter, &err));
    MUST(metrics_add_one(m, &gauge, &shared_gauge, &err));
    MUST(metrics_add_one(m, &histogram, &shared_histogram, &err));
    atomic_store(&adding, true);
    CHECK_EQ(pthread_create(&looker, NULL, look, m), 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&adding, false);
    pthread_join(looker, NULL);
    CHECK_EQ(metrics_value(shared_counter), 2 * THREADS * ROUNDS);
    CHECK_EQ(metrics_value(shared_gauge), 0);
    CHECK_EQ(metrics_value(shared_histogram), THREADS * ROUNDS);
    metrics_free(m);
}

/* Said, not checked: a machine may be busy. */
static void what_a_count_costs(void)
{
    enum { COUNTS = 1000000 };
    struct metrics *m = make();
    static const struct metrics_family counter = {
        .name = "x_total", .help = "h", .type = METRICS_COUNTER};
    static const struct metrics_family histogram = {.name = "x_seconds",
                                                    .help = "h",
                                                    .type = METRICS_HISTOGRAM,
                                                    .unit = METRICS_NS,
                                                    .bounds = metrics_request_bounds,
                                                    .bound_count = METRICS_REQUEST_BOUNDS};
    struct metrics_series *c = NULL, *h = NULL;
    MUST(metrics_add_one(m, &counter, &c, &err));
    MUST(metrics_add_one(m, &histogram, &h, &err));
    uint64_t start = clock_monotonic_ns();
    for (uint64_t i = 0; i < COUNTS; i++) {
        metrics_add(c, 1);
    }
    uint64_t middle = clock_monotonic_ns();
    for (uint64_t i = 0; i < COUNTS; i++) {
        metrics_observe(h, 3000000);
    }
    uint64_t end = clock_monotonic_ns();
    printf("     %.1f ns for a counter, %.1f ns for a histogram\n",
           (double)(middle - start) / COUNTS, (double)(end - middle) / COUNTS);
    CHECK_EQ(metrics_value(c), COUNTS);
    metrics_free(m);
}

int main(void)
{
    RUN(a_counter_has_help_type_and_value);
    RUN(nothing_is_a_page_of_its_own);
    RUN(labels_and_help_are_escaped);
    RUN(buckets_are_cumulative_and_end_with_infinity);
    RUN(a_histogram_of_numbers_has_no_labels_but_le);
    RUN(a_sparse_series_comes_with_its_first_count);
    RUN(a_gauge_goes_up_and_down_and_is_never_below_zero);
    RUN(seconds_are_exact);
    RUN(what_is_no_metric_is_refused);
    RUN(there_are_limits_and_nothing_twice);
    RUN(without_a_registry_nothing_is_counted);
    RUN(collectors_are_asked_each_time);
    RUN(the_process_is_told);
    RUN(threads_lose_no_count);
    RUN(what_a_count_costs);
    return CHECK_DONE();
}
