#include "retry.h"

#include <curl/curl.h>

#include "check.h"

static struct remote_options options;

static uint64_t wait_ms(unsigned tries, uint64_t random)
{
    const struct answer_head head = {0};
    return retry_wait_ns(&options, tries, &head, random, 0) / 1000000;
}

static void waits_double_up_to_the_most(void)
{
    remote_options_default(&options);
    CHECK_EQ(wait_ms(1, 0), 50);
    CHECK_EQ(wait_ms(2, 0), 100);
    CHECK_EQ(wait_ms(3, 0), 200);
    CHECK_EQ(wait_ms(8, 0), 6400);
    CHECK_EQ(wait_ms(9, 0), 10000);
    CHECK_EQ(wait_ms(4000000000u, 0), 10000);
    for (uint64_t random = 1; random != 0; random <<= 1) {
        uint64_t ms = wait_ms(2, random - 1);
        CHECK(ms >= 100 && ms <= 200);
    }
    options.backoff_ms = options.backoff_max_ms = 0;
    CHECK_EQ(wait_ms(1, 123), 0);
}

static void a_time_that_the_server_names_goes_before(void)
{
    struct answer_head head = {.has_retry = true, .retry_s = 7};
    remote_options_default(&options);
    CHECK_EQ(retry_wait_ns(&options, 1, &head, 5, 0), 7000000000);
    head.retry_is_date = true;
    head.retry_s = 1000;
    CHECK_EQ(retry_wait_ns(&options, 1, &head, 5, 990), 10000000000);
    CHECK_EQ(retry_wait_ns(&options, 1, &head, 5, 2000), 0);
    head.retry_s = UINT64_MAX;
    CHECK_EQ(retry_wait_ns(&options, 1, &head, 5, 0), ANSWER_RETRY_S_MAX * 1000000000LL);
}

static struct verdict of(unsigned status, const char *code)
{
    const struct answer_head head = {.status = status};
    struct answer_error error = {0};
    answer_copy(error.code, sizeof error.code, code ? code : "");
    return retry_of_answer(&head, code ? &error : NULL);
}

static void answers_mean_what_s3_says(void)
{
    static const struct {
        unsigned status;
        const char *code;
        status_t st;
        bool again, unknown;
    } rows[] = {{200, NULL, ST_OK, false, false},
                {204, NULL, ST_OK, false, false},
                {206, NULL, ST_OK, false, false},
                {200, "InternalError", ST_AGAIN, true, true},
                {200, "AccessDenied", ST_PERM, false, true},
                {200, "Unheard", ST_IO, false, true},
                {100, NULL, ST_FORMAT, false, false},
                {301, "PermanentRedirect", ST_INVAL, false, false},
                {304, NULL, ST_CHANGED, false, false},
                {400, "RequestTimeout", ST_AGAIN, true, false},
                {400, "BadDigest", ST_CORRUPT, true, false},
                {400, "Unheard", ST_INVAL, false, false},
                {403, "RequestTimeTooSkewed", ST_PERM, false, false},
                {404, "NoSuchKey", ST_NOTFOUND, false, false},
                {404, "NoSuchBucket", ST_INVAL, false, false},
                {404, NULL, ST_NOTFOUND, false, false},
                {409, "OperationAborted", ST_AGAIN, true, false},
                {412, NULL, ST_CHANGED, false, false},
                {416, NULL, ST_INVAL, false, false},
                {429, NULL, ST_AGAIN, true, false},
                {500, NULL, ST_AGAIN, true, true},
                {501, "NotImplemented", ST_UNSUPPORTED, false, false},
                {503, "SlowDown", ST_AGAIN, true, true},
                {507, NULL, ST_LIMIT, false, false},
                {999, NULL, ST_FORMAT, false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct verdict v = of(rows[i].status, rows[i].code);
        CHECK_EQ(v.st, rows[i].st);
        CHECK_EQ(v.again, rows[i].again);
        CHECK_EQ(v.unknown, rows[i].unknown);
    }
}

static void broken_connections_are_told_apart(void)
{
    CHECK(retry_of_transport(CURLE_COULDNT_CONNECT).again);
    CHECK(!retry_of_transport(CURLE_COULDNT_CONNECT).unknown);
    CHECK(retry_of_transport(CURLE_GOT_NOTHING).again);
    CHECK(retry_of_transport(CURLE_GOT_NOTHING).unknown);
    CHECK_EQ(retry_of_transport(CURLE_PEER_FAILED_VERIFICATION).st, ST_PERM);
    CHECK(!retry_of_transport(CURLE_PEER_FAILED_VERIFICATION).again);
    CHECK_EQ(retry_of_transport(CURLE_WEIRD_SERVER_REPLY).st, ST_FORMAT);
}

static void advice_fits(void)
{
    CHECK(strstr(retry_advice(403, "RequestTimeTooSkewed"), "clock"));
    CHECK(strstr(retry_advice(301, ""), "endpoint"));
    CHECK(retry_advice(500, "InternalError") == NULL);
    CHECK(retry_advice(304, "") == NULL);
}

int main(void)
{
    RUN(waits_double_up_to_the_most);
    RUN(a_time_that_the_server_names_goes_before);
    RUN(answers_mean_what_s3_says);
    RUN(broken_connections_are_told_apart);
    RUN(advice_fits);
    return CHECK_DONE();
}
