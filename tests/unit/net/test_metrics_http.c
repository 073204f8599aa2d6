#include "net/metrics_http.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* What a header Accept prefers, and health; the rest of the server is in tests/e2e/test_metrics.sh. */

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

static bool is_well;

static bool healthy(void *ctx, struct error *ret_why)
{
    CHECK(ctx == &is_well);
    if (!is_well)
        error_set(ret_why, ST_IO, ERROR_NO_OFFSET, "the disk is gone");
    return is_well;
}

/* The whole answer, for free. */
static char *ask(const struct metrics_http *s, const char *method, const char *path)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)metrics_http_port(s)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char *text = calloc(1, 4096);
    size_t len = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    int asked = snprintf(text, 4096, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                         method, path);
    CHECK_EQ(write(fd, text, (size_t)asked), asked);
    memset(text, 0, 4096);
    for (ssize_t n; len < 4095 && (n = read(fd, text + len, 4095 - len)) > 0;)
        len += (size_t)n;
    close(fd);
    return text;
}

static void health_is_200_or_503_with_the_reason(void)
{
    struct metrics *m = NULL;
    struct metrics_http *s = NULL;
    struct error err;
    CHECK_EQ(metrics_new(&m), ST_OK);
    const struct metrics_http_options o = {
        .address = "127.0.0.1:0", .metrics = m, .healthy = healthy, .ctx = &is_well};
    CHECK_EQ(metrics_http_start(&o, &s, &err), ST_OK);
    for (int well = 0; well < 2; well++) {
        is_well = well == 1;
        char *text = ask(s, "GET", "/healthz"), *head = ask(s, "HEAD", "/healthz");
        const char *first = is_well ? "HTTP/1.1 200 " : "HTTP/1.1 503 ";
        CHECK(strncmp(text, first, strlen(first)) == 0);
        CHECK(strncmp(head, first, strlen(first)) == 0);
        CHECK(strstr(text, is_well ? "\r\n\r\nok\n" : "\r\n\r\nthe disk is gone\n") != NULL);
        CHECK_STR(strstr(head, "\r\n\r\n"), "\r\n\r\n");
        free(text);
        free(head);
    }
    char *text = ask(s, "GET", "/metrics");
    CHECK(strncmp(text, "HTTP/1.1 200 ", 13) == 0 && strstr(text, "\r\nVary: Accept\r\n") != NULL);
    free(text);
    metrics_http_stop(s);
    metrics_http_stop(NULL);
    metrics_free(m);
}

static void an_address_that_is_none_or_taken_is_refused(void)
{
    struct metrics *m = NULL;
    struct metrics_http *s = NULL, *other = NULL;
    struct error err;
    char address[32];
    CHECK_EQ(metrics_new(&m), ST_OK);
    struct metrics_http_options o = {.address = "nowhere", .metrics = m, .healthy = healthy};
    CHECK_EQ(metrics_http_start(&o, &s, &err), ST_INVAL);
    o.address = "127.0.0.1:0";
    CHECK_EQ(metrics_http_start(&o, &s, &err), ST_OK);
    snprintf(address, sizeof address, "127.0.0.1:%u", metrics_http_port(s));
    o.address = address;
    CHECK_EQ(metrics_http_start(&o, &other, &err), ST_EXIST);
    CHECK(other == NULL);
    metrics_http_stop(s);
    metrics_free(m);
}

int main(void)
{
    RUN(health_is_200_or_503_with_the_reason);
    RUN(an_address_that_is_none_or_taken_is_refused);
    RUN(text_is_for_who_asks_for_nothing_else);
    RUN(openmetrics_is_for_who_asks_for_it);
    return CHECK_DONE();
}
