#include "net/metrics_http.h"

#include "check.h"

/* What a header Accept prefers; the server itself is in tests/e2e/test_metrics.sh. */

static void text_is_for_who_asks_for_nothing_else(void)
{
    static const char *const accepts[] = {
        "",
        "*/*",
        "text/plain",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/json",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text; q=0.000",
        "application/openmetrics-textile",
        "openmetrics-text",
        "text/plain;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=0.1234",
        "application/openmetrics-text;q=",
        "application/openmetrics-text;q=x",
        ",,, ;;;,",
        ";q=1"};
    CHECK_EQ(metrics_http_format(NULL), METRICS_TEXT);
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) {
        if (metrics_http_format(accepts[i]) != METRICS_TEXT) {
            fprintf(stderr, "%s\n", accepts[i]);
            check_failures++;
        }
    }
}

static void openmetrics_is_for_who_asks_for_it(void)
{
    static const char *const accepts[] = {
        "application/openmetrics-text",
        "Application/OpenMetrics-Text ; version=1.0.0",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "text/plain; q=0.5 , application/openmetrics-text; version=1.0.0 ; q=0.75",
        "text/plain;q=0.5,application/openmetrics-text;q=0.500",
        "\ttext/plain;q=0.999,application/openmetrics-text;Q=1.000"};
    for (size_t i = 0; i < sizeof accepts / sizeof accepts[0]; i++) {
        if (metrics_http_format(accepts[i]) != METRICS_OPENMETRICS) {
            fprintf(stderr, "%s\n", accepts[i]);
            check_failures++;
        }
    }
}

int main(void)
{
    RUN(text_is_for_who_asks_for_nothing_else);
    RUN(openmetrics_is_for_who_asks_for_it);
    return CHECK_DONE();
}
