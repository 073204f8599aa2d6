/* The client against servers that fail, lie and stand still. */
#include "hostile.h"

#include <signal.h>

#include "geds/remote/remote.h"
#include "geds/remote/upload.h"
#include "sys/clock.h"

#define HELLO_MD5 "5d41402abc4b2a76b9719d911017c592"
#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define NO_BODY "Content-Length: 0\r\n\r\n"
#define PUT_OK OK_HEAD "ETag: \"" HELLO_MD5 "\"\r\n" NO_BODY
#define SLOW                                                        \
    .text = "HTTP/1.1 503 Slow Down\r\nx-amz-request-id: R123\r\n", \
    .body = "<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
#define WHOLE(body_len, body)                                                                   \
    "HTTP/1.1 206 Partial Content\r\nETag: \"" HELLO_MD5 "\"\r\nContent-Range: bytes 0-4/5\r\n" \
    "Content-Length: " body_len "\r\n\r\n" body
#define HELLO WHOLE("5", "hello")
#define FAIL_500 "HTTP/1.1 500 Internal Server Error\r\n" NO_BODY
#define XML(x) .text = OK_HEAD "Content-Type: application/xml\r\n", .body = (x)

static struct hostile *server;
static struct remote *client;
static const struct remote_call soon = {.deadline_ms = 20000};

static struct remote *connect_to(unsigned port, unsigned stall_ms, unsigned tries)
{
    static const struct remote_credentials c = {.access_key = "KEY", .secret = "SECRET"};
    struct remote_options o;
    struct remote *r = NULL;
    struct error err;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.credentials = &c;
    o.connect_ms = stall_ms;
    o.stall_ms = stall_ms;
    o.tries_max = tries;
    o.backoff_ms = 1;
    o.backoff_max_ms = 2;
    o.part_bytes = 1000;
    o.parallel = 2;
    if (remote_open(&o, &r, &err) != ST_OK)
        abort();
    return r;
}

static void begin(const struct step *steps, size_t count, unsigned stall_ms, unsigned tries)
{
    server = hostile_start(steps, count);
    client = connect_to(server->port, stall_ms, tries);
}
#define BEGIN(steps) begin(steps, sizeof steps / sizeof *steps, 10000, 5)

static void stop(void)
{
    remote_close(client);
    client = NULL;
    hostile_stop(server);
}

static void end(void)
{
    stop();
    hostile_free(server);
}

static struct error why;

static status_t put(const char *data, const struct remote_put_options *o)
{
    const struct remote_source source = remote_source_memory(data, strlen(data));
    memset(&why, 0, sizeof why);
    return remote_put(client, "key", &source, o, &soon, NULL, &why);
}

static char back[65536];
static size_t back_len;
static status_t get_with(const struct remote_get_options *o, const struct remote_call *call)
{
    struct remote_buffer b = {back, sizeof back, 0};
    const struct remote_sink sink = remote_sink_buffer(&b);
    memset(&why, 0, sizeof why);
    memset(back, 0, sizeof back);
    status_t st = remote_get(client, "key", &sink, o, call, NULL, &why);
    back_len = b.len;
    return st;
}
static status_t get(void)
{
    return get_with(NULL, &soon);
}

/* Failures that pass */

static void a_busy_server_is_asked_again(void)
{
    static const struct step steps[] = {{SLOW},
                                        {.text = FAIL_500},
                                        {.text = "HTTP/1.1 502 Bad Gateway\r\n" NO_BODY},
                                        {.text = "HTTP/1.1 429 Too Many\r\n" NO_BODY},
                                        {.text = PUT_OK}};
    BEGIN(steps);
    CHECK_EQ(put("hello", NULL), ST_OK);
    stop();
    CHECK_EQ(server->request_count, 5);
    for (size_t i = 0; i < 5; i++)
        CHECK(strncmp(server->requests[i], "PUT /tier/key HTTP/1.1\r\n", 24) == 0);
    hostile_free(server);
}

static void a_server_that_stays_busy_is_given_up(void)
{
    static const struct step steps[] = {{SLOW}};
    BEGIN(steps);
    CHECK_EQ(put("hello", NULL), ST_AGAIN);
    CHECK(strstr(why.text, "PUT http://127.0.0.1:") && strstr(why.text, "/tier/key, 5 tries in "));
    CHECK(strstr(why.text, "503 SlowDown: Reduce your rate (request R123)"));
    stop();
    CHECK_EQ(server->request_count, 5);
    hostile_free(server);
}

static void a_wait_behind_the_deadline_is_not_begun(void)
{
    static const struct step steps[] = {
        {.text = "HTTP/1.1 503 Slow Down\r\nRetry-After: 3600\r\n" NO_BODY}};
    BEGIN(steps);
    uint64_t start = clock_monotonic_ns();
    CHECK_EQ(put("hello", NULL), ST_AGAIN);
    CHECK(clock_monotonic_ns() - start < 15000000000);
    stop();
    CHECK_EQ(server->request_count, 1);
    hostile_free(server);
}

static void a_wait_that_the_server_names_is_kept(void)
{
    static const struct step steps[] = {
        {.text = "HTTP/1.1 503 Slow Down\r\nRetry-After: 1\r\n" NO_BODY}, {.text = PUT_OK}};
    BEGIN(steps);
    uint64_t start = clock_monotonic_ns();
    CHECK_EQ(put("hello", NULL), ST_OK);
    CHECK(clock_monotonic_ns() - start >= 1000000000);
    end();
}

static void a_server_that_is_not_there_is_away(void)
{
    static const struct step steps[] = {{.text = PUT_OK}};
    struct hostile *gone = hostile_start(steps, 1);
    hostile_stop(gone);
    client = connect_to(gone->port, 10000, 5);
    CHECK_EQ(put("hello", NULL), ST_AGAIN);
    CHECK(strstr(why.text, "5 tries"));
    remote_close(client);
    hostile_free(gone);
}

static void resets_and_cuts_are_tried_again(void)
{
    static const struct step steps[] = {{.end = RESET},
                                        {.end = CLOSE},
                                        {.text = "HTTP/1.1 200 O", .end = RESET},
                                        {.text = OK_HEAD "ETag: \"x", .end = CLOSE},
                                        {.text = PUT_OK}};
    BEGIN(steps);
    CHECK_EQ(put("hello", NULL), ST_OK);
    end();
}

static void a_body_that_breaks_off_goes_on_behind(void)
{
    static const struct step steps[] = {
        {.text = WHOLE("5", "he"), .end = CLOSE},
        {.text = "HTTP/1.1 206 Partial Content\r\nETag: \"" HELLO_MD5 "\"\r\n"
                 "Content-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\nl",
         .end = RESET},
        {.text = "HTTP/1.1 206 Partial Content\r\nETag: \"" HELLO_MD5 "\"\r\n"
                 "Content-Range: bytes 3-4/5\r\nContent-Length: 2\r\n\r\nlo"}};
    BEGIN(steps);
    CHECK_EQ(get(), ST_OK);
    CHECK(back_len == 5 && memcmp(back, "hello", 5) == 0);
    stop();
    CHECK(strstr(server->requests[0], "\r\nRange: bytes=0-999\r\n"));
    CHECK(strstr(server->requests[1], "\r\nRange: bytes=2-4\r\n"));
    CHECK(strstr(server->requests[1], "\r\nIf-Match: \"" HELLO_MD5 "\"\r\n"));
    hostile_free(server);
}

static void a_body_without_a_tag_begins_anew(void)
{
    static const struct step steps[] = {
        {.text = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/5\r\n"
                 "Content-Length: 5\r\n\r\nhel",
         .end = CLOSE},
        {.text = HELLO}};
    BEGIN(steps);
    CHECK_EQ(get(), ST_OK);
    CHECK(back_len == 5 && memcmp(back, "hello", 5) == 0);
    stop();
    CHECK(strstr(server->requests[1], "\r\nRange: bytes=0-"));
    hostile_free(server);
}

static void give_hello(const char *request, char *to, size_t size)
{
    unsigned first = 0;
    const char *range = strstr(request, "\r\nRange: bytes=");
    CHECK(range && sscanf(range + 15, "%u", &first) == 1 && first < 5);
    snprintf(to, size,
             "HTTP/1.1 206 P\r\nETag: \"" HELLO_MD5 "\"\r\nContent-Range: bytes %u-4/5\r\n"
             "Content-Length: %u\r\n\r\n%s",
             first, 5 - first, &"hello"[first]);
}

static void bytes_that_came_without_their_end_come_again(void)
{
    static const struct step steps[] = {{.text = "HTTP/1.1 206 P\r\nETag: \"" HELLO_MD5
                                                 "\"\r\nContent-Range: bytes 0-4/5\r\n"
                                                 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                                         .end = CLOSE},
                                        {.make = give_hello}};
    BEGIN(steps);
    CHECK_EQ(get(), ST_OK);
    CHECK(back_len == 5 && memcmp(back, "hello", 5) == 0);
    stop();
    CHECK(strstr(server->requests[1], "\r\nRange: bytes=0-"));
    hostile_free(server);
}

static void a_silent_server_is_left(void)
{
    static const struct step steps[] = {{.end = HANG},
                                        {.text = "HTTP/1.1 206 Part", .end = HANG},
                                        {.text = WHOLE("5", "hel"), .end = HANG},
                                        {.make = give_hello}};
    static const struct step rest[] = {{.end = HANG}};
    begin(steps, 4, 100, 50);
    CHECK_EQ(get(), ST_OK);
    CHECK(back_len == 5 && memcmp(back, "hello", 5) == 0);
    end();
    begin(rest, 1, 50, 3);
    CHECK_EQ(get(), ST_AGAIN);
    CHECK(strstr(why.text, "silent") && strstr(why.text, "3 tries"));
    end();
}

static void the_deadline_is_over_all_tries(void)
{
    static const struct step steps[] = {{.end = HANG}};
    const struct remote_call call = {.deadline_ms = 150};
    BEGIN(steps);
    CHECK_EQ(get_with(NULL, &call), ST_AGAIN);
    CHECK(strstr(why.text, "deadline"));
    end();
}

/* Cancelling */

static struct remote_cancel *token;

static void *cancel_later(void *arg)
{
    hostile_await(arg, 1);
    remote_cancel_now(token);
    return NULL;
}

static void a_call_is_ended_from_another_thread(void)
{
    static const struct step hang[] = {{.end = HANG}};
    static const struct step busy[] = {
        {.text = "HTTP/1.1 503 Slow Down\r\nRetry-After: 100\r\n" NO_BODY}};
    const struct step *const scripts[] = {hang, busy};
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        begin(scripts[i], 1, 100000, 5);
        if (remote_cancel_new(&token) != ST_OK ||
            pthread_create(&thread, NULL, cancel_later, server) != 0)
            abort();
        const struct remote_call call = {.cancel = token, .deadline_ms = 200000};
        CHECK_EQ(get_with(NULL, &call), ST_STOPPED);
        pthread_join(thread, NULL);
        CHECK_EQ(get_with(NULL, &call), ST_STOPPED);
        remote_cancel_free(token);
        end();
    }
}

/* Lies */

static void a_wrong_tag_of_what_was_sent_is_found(void)
{
    static const struct step lie[] = {
        {.text = OK_HEAD "ETag: \"00000000000000000000000000000000\"\r\n" NO_BODY}};
    static const struct step sum[] = {
        {.text = OK_HEAD "ETag: \"opaque\"\r\nx-amz-checksum-crc32c: AAAAAA==\r\n" NO_BODY}};
    static const struct step once[] = {
        {.text = OK_HEAD "ETag: \"00000000000000000000000000000000\"\r\n" NO_BODY},
        {.text = PUT_OK}};
    static const struct step none[] = {{.text = OK_HEAD NO_BODY}};
    static const struct step opaque[] = {{.text = OK_HEAD
                                          "ETag: \"00000000000000000000000000000000\"\r\n"
                                          "x-amz-server-side-encryption: aws:kms\r\n" NO_BODY}};
    BEGIN(lie);
    CHECK_EQ(put("hello", NULL), ST_CORRUPT);
    end();
    BEGIN(sum);
    CHECK_EQ(put("hello", NULL), ST_CORRUPT);
    stop();
    CHECK_EQ(server->request_count, 3);
    hostile_free(server);
    BEGIN(once);
    CHECK_EQ(put("hello", NULL), ST_OK);
    end();
    BEGIN(none);
    CHECK_EQ(put("hello", NULL), ST_FORMAT);
    end();
    BEGIN(opaque);
    CHECK_EQ(put("hello", NULL), ST_OK);
    end();
}

static void wrong_bytes_are_found(void)
{
    static const struct step md5[] = {{.text = WHOLE("5", "hallo")}};
    static const struct step crc[] = {
        {.text = "HTTP/1.1 206 Partial Content\r\nETag: \"opaque\"\r\n"
                 "Content-Range: bytes 0-4/5\r\nx-amz-checksum-crc32c: AAAAAA==\r\n"
                 "Content-Length: 5\r\n\r\nhello"}};
    static const struct step once[] = {{.text = WHOLE("5", "hallo")}, {.text = HELLO}};
    BEGIN(md5);
    CHECK_EQ(get(), ST_CORRUPT);
    end();
    BEGIN(crc);
    CHECK_EQ(get(), ST_CORRUPT);
    end();
    BEGIN(once);
    CHECK_EQ(get(), ST_OK);
    CHECK(back_len == 5 && memcmp(back, "hello", 5) == 0);
    end();
}

static void ranges_that_were_not_asked_for_are_refused(void)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 1-5/6\r\nContent-Length: "
        "5\r\n\r\nhello",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 0-4/6\r\nContent-Length: "
        "5\r\n\r\nhello",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 0-4/4\r\nContent-Length: "
        "5\r\n\r\nhello",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 0-1999/2000\r\nContent-Length: "
        "5\r\n\r\nhello",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes "
        "0-18446744073709551615/18446744073709551616\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 206 P\r\nETag: \"e\"\r\nContent-Range: bytes 0-3/4\r\nContent-Length: "
        "5\r\n\r\nhello"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct step steps[] = {{.text = answers[i], .end = CLOSE}};
        BEGIN(steps);
        CHECK_EQ(get(), ST_FORMAT);
        CHECK(back_len == 0 || i == 7);
        end();
    }
}

#define RANGE(range, tag)                                                       \
    "HTTP/1.1 206 P\r\nETag: \"" tag "\"\r\nContent-Range: bytes " range "\r\n" \
    "Content-Length: 1000\r\n\r\n"

static void an_object_that_changes_meanwhile_is_noticed(void)
{
    static const struct step tag[] = {{.text = RANGE("0-999/2000", "a"), .fill = 1000},
                                      {.text = RANGE("1000-1999/2000", "b"), .fill = 1000}};
    static const struct step size[] = {{.text = RANGE("0-999/2000", "a"), .fill = 1000},
                                       {.text = RANGE("1000-1999/2001", "a"), .fill = 1000}};
    static const struct step none[] = {{.text = RANGE("0-999/2000", ""), .fill = 1000}};
    BEGIN(tag);
    CHECK_EQ(get(), ST_CHANGED);
    end();
    BEGIN(size);
    CHECK_EQ(get(), ST_CHANGED);
    end();
    BEGIN(none);
    CHECK_EQ(get(), ST_FORMAT);
    end();
}

static void a_sum_of_the_whole_is_compared_with_parts(void)
{
    static const struct step steps[] = {{.text = RANGE("0-999/2000", "a"), .fill = 1000},
                                        {.text = RANGE("1000-1999/2000", "a"), .fill = 1000},
                                        {.text = OK_HEAD
                                         "ETag: \"a\"\r\nx-amz-checksum-crc32c: AAAAAA==\r\n"
                                         "Content-Length: 2000\r\n\r\n"}};
    BEGIN(steps);
    CHECK_EQ(get(), ST_CORRUPT);
    CHECK(strstr(why.text, "GET of key: the bytes have CRC32C"));
    end();
}

/* Any range of 5,000 bytes; if failing, each third request is refused. */
static unsigned range_count, failing;
static pthread_mutex_t range_lock = PTHREAD_MUTEX_INITIALIZER;

static void give_range(const char *request, char *to, size_t size)
{
    unsigned first = 0, last = 0;
    const char *range = strstr(request, "\r\nRange: bytes=");
    pthread_mutex_lock(&range_lock);
    bool fails = range_count++ % 3 == 1 && failing;
    pthread_mutex_unlock(&range_lock);
    if (strncmp(request, "HEAD ", 5) == 0) {
        snprintf(to, size, OK_HEAD "ETag: \"a\"\r\nContent-Length: 5000\r\n\r\n");
    } else if (fails || !range || sscanf(range + 15, "%u-%u", &first, &last) != 2 || last > 4999) {
        snprintf(to, size, FAIL_500);
    } else {
        int at = snprintf(to, size,
                          "HTTP/1.1 206 P\r\nETag: \"a\"\r\nContent-Range: bytes %u-%u/5000\r\n"
                          "Content-Length: %u\r\n\r\n",
                          first, last, last + 1 - first);
        for (unsigned i = first; i <= last; i++)
            to[at++] = (char)('a' + i % 23);
        to[at] = '\0';
    }
}

static void ranges_come_in_parallel_and_fail_alone(void)
{
    static const struct step steps[] = {{.make = give_range}};
    for (failing = 0; failing < 2; failing++) {
        range_count = 0;
        BEGIN(steps);
        CHECK_EQ(get(), ST_OK);
        CHECK_EQ(back_len, 5000);
        size_t right = 0;
        while (right < 5000 && back[right] == (char)('a' + right % 23))
            right++;
        CHECK_EQ(right, 5000);
        stop();
        CHECK(server->connection_count <= 2);
        CHECK(failing ? server->request_count > 6 : server->request_count == 6);
        hostile_free(server);
    }
}

static void redirects_are_not_followed(void)
{
    static const struct step trap[] = {{.text = PUT_OK}};
    struct hostile *other = hostile_start(trap, 1);
    char text[256];
    snprintf(text, sizeof text,
             "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:%u/x\r\n" NO_BODY,
             other->port);
    const struct step steps[] = {{.text = text}};
    BEGIN(steps);
    CHECK_EQ(put("hello", NULL), ST_INVAL);
    CHECK(strstr(why.text, "307 to http://127.0.0.1:") && strstr(why.text, "not followed"));
    CHECK_EQ(get(), ST_INVAL);
    end();
    hostile_stop(other);
    CHECK_EQ(other->connection_count, 0);
    hostile_free(other);
}

static void what_is_no_http_is_refused(void)
{
    static const char *const answers[] = {"SSH-2.0-OpenSSH\r\n", "\r\n\r\n", "HTTP/1.1 9\r\n\r\n",
                                          "HTTP/3.7 200 OK\r\n\r\n"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const struct step steps[] = {{.text = answers[i], .end = CLOSE}};
        BEGIN(steps);
        CHECK(put("hello", NULL) != ST_OK);
        printf("     %s: %s\n", status_name(why.code), why.text);
        end();
    }
}

static void headers_without_end_are_refused(void)
{
    static const struct step line[] = {{.text = OK_HEAD "X: ", .fill = 1 << 20, .end = CLOSE}};
    static char lines[200 << 10];
    size_t at = (size_t)snprintf(lines, sizeof lines, OK_HEAD);
    while (at < sizeof lines - 100)
        at += (size_t)snprintf(lines + at, 100, "X-Y: %080d\r\n", 1);
    const struct step many[] = {{.text = lines, .end = HANG}};
    BEGIN(line);
    CHECK_EQ(put("hello", NULL), ST_LIMIT);
    end();
    BEGIN(many);
    CHECK_EQ(put("hello", NULL), ST_LIMIT);
    end();
}

static status_t list(const char *cursor, struct remote_page *page)
{
    const struct remote_list_query q = {.prefix = "p", .cursor = cursor, .max = 2};
    memset(&why, 0, sizeof why);
    return remote_list(client, &q, &soon, page, &why);
}

static void lists_that_are_no_lists_are_refused(void)
{
    static const char *const bodies[] = {
        "",
        "<",
        "<Other/>",
        "<ListBucketResult>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult/>",
        "<ListBucketResult><Contents/></ListBucketResult>",
        "<ListBucketResult><Contents><Key>p</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>q</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>p</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t"
        "</NextContinuationToken></ListBucketResult>",
        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>p%0</Key><Size>1</Size>"
        "</Contents></ListBucketResult>",
        "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>p%00</Key><Size>1</Size>"
        "</Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>p1</Key><Size>1</Size></Contents><Contents><Key>p2</Key>"
        "<Size>1</Size></Contents><Contents><Key>p3</Key><Size>1</Size></Contents>"
        "</ListBucketResult>"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct remote_page page;
        const struct step steps[] = {{XML(bodies[i])}};
        BEGIN(steps);
        CHECK_EQ(list("t", &page), ST_FORMAT);
        if (why.code != ST_FORMAT)
            printf("     %s\n", bodies[i]);
        CHECK(why.text[0] != '\0');
        end();
    }
}

static void an_answer_without_end_is_cut(void)
{
    static const struct step steps[] = {
        {.text = OK_HEAD "\r\n<ListBucketResult>", .fill = 64 << 20, .end = CLOSE}};
    struct remote_page page;
    BEGIN(steps);
    CHECK_EQ(list(NULL, &page), ST_LIMIT);
    end();
}

static void a_long_page_about_an_error_is_not_read(void)
{
    static const struct step steps[] = {
        {.text = "HTTP/1.1 403 Forbidden\r\n\r\n<html>", .fill = 64 << 20, .end = CLOSE}};
    BEGIN(steps);
    CHECK_EQ(put("hello", NULL), ST_PERM);
    CHECK(strstr(why.text, "403; check the credentials"));
    end();
}

static void text_of_the_server_has_no_control_characters(void)
{
    static const struct step steps[] = {
        {.text = "HTTP/1.1 403 Forbidden\r\n",
         .body = "<Error><Code>Access&#27;[2J&#10;Denied</Code><Message>&#x7;</Message></Error>"}};
    BEGIN(steps);
    CHECK_EQ(put("hello", NULL), ST_PERM);
    for (const char *s = why.text; *s != '\0'; s++)
        CHECK(*s >= ' ' && *s != 127);
    end();
}

static void a_page_that_is_not_there_is_no_missing_object(void)
{
    static const struct step steps[] = {
        {.text = "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>"},
        {.text = "HTTP/1.1 404 Not Found\r\n" NO_BODY}};
    BEGIN(steps);
    CHECK_EQ(get(), ST_INVAL);
    CHECK(strstr(why.text, "no S3 server"));
    end();
}

static status_t read_x(void *arg, uint64_t off, void *to, size_t len, struct error *err)
{
    (void)arg, (void)off, (void)err;
    memset(to, 'x', len);
    return ST_OK;
}

static void an_answer_before_the_body_is_heard(void)
{
    static const struct step steps[] = {
        {.text = "HTTP/1.1 403 Forbidden\r\n" NO_BODY, .early = true, .end = HANG}};
    const struct remote_source source = {64 << 20, read_x, NULL};
    struct remote_options o;
    char endpoint[64];
    server = hostile_start(steps, 1);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", server->port);
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.part_bytes = source.size;
    CHECK_EQ(remote_open(&o, &client, &why), ST_OK);
    CHECK_EQ(remote_put(client, "key", &source, NULL, &soon, NULL, &why), ST_PERM);
    stop();
    CHECK_EQ(server->request_count, 1);
    hostile_free(server);
}

/* Answers that were lost */

static char seen_mark[64];
static bool other_mark;

static void keep_mark(const char *request, char *to, size_t size)
{
    const char *mark = strcasestr(request, "x-amz-meta-cloudskin-put: ");
    CHECK(mark && strstr(request, "\r\nIf-None-Match: *\r\n"));
    snprintf(seen_mark, sizeof seen_mark, "%.32s", mark ? mark + 26 : "");
    snprintf(to, size, "HTTP/1.1 2"); /* and no more */
}

static void tell_mark(const char *request, char *to, size_t size)
{
    CHECK(strncmp(request, "HEAD ", 5) == 0);
    snprintf(to, size, OK_HEAD "ETag: \"e\"\r\nx-amz-meta-cloudskin-put: %s\r\n" NO_BODY,
             other_mark ? "0123" : seen_mark);
}

static void a_condition_is_judged_by_the_mark(void)
{
    static const struct step steps[] = {{.make = keep_mark, .end = RESET},
                                        {.text = "HTTP/1.1 412 Precondition Failed\r\n" NO_BODY},
                                        {.make = tell_mark}};
    const struct remote_put_options o = {.if_none = true};
    for (int i = 0; i < 2; i++) {
        other_mark = i == 1;
        BEGIN(steps);
        CHECK_EQ(put("hello", &o), i == 0 ? ST_OK : ST_EXIST);
        end();
    }
    static const struct step plain[] = {{.text = "HTTP/1.1 412 Precondition Failed\r\n" NO_BODY}};
    BEGIN(plain);
    CHECK_EQ(put("hello", &o), ST_EXIST);
    stop();
    CHECK_EQ(server->request_count, 1);
    hostile_free(server);
}

static void tell_mark_and_tag(const char *request, char *to, size_t size)
{
    CHECK(strncmp(request, "HEAD ", 5) == 0);
    snprintf(to, size, OK_HEAD "ETag: \"%s\"\r\nx-amz-meta-cloudskin-put: %s\r\n" NO_BODY,
             other_mark ? "00000000000000000000000000000000" : HELLO_MD5, seen_mark);
}

static void give_wrong_tag(const char *request, char *to, size_t size)
{
    keep_mark(request, to, size);
    snprintf(to, size, OK_HEAD "ETag: \"00000000000000000000000000000000\"\r\n" NO_BODY);
}

static void what_is_ours_has_to_be_right_as_well(void)
{
    static const struct step steps[] = {{.make = give_wrong_tag},
                                        {.text = "HTTP/1.1 412 Precondition Failed\r\n" NO_BODY},
                                        {.make = tell_mark_and_tag}};
    const struct remote_put_options o = {.if_none = true};
    for (int i = 0; i < 2; i++) {
        other_mark = i == 1;
        BEGIN(steps);
        CHECK_EQ(put("hello", &o), i == 0 ? ST_OK : ST_CORRUPT);
        end();
    }
}

#define BEGUN                                                        \
    XML("<InitiateMultipartUploadResult><UploadId>the/id</UploadId>" \
        "</InitiateMultipartUploadResult>")
#define NO_UPLOAD \
    .text = "HTTP/1.1 404 Not Found\r\n", .body = "<Error><Code>NoSuchUpload</Code></Error>"
/* MD5 of 600 times 'x', and of that digest's bytes. */
#define PART_MD5 "2bfac1bb871236a26c9bbc8389d00b83"
#define OBJECT_TAG "ae54d4014b75234f3d30609987757167-1"

static struct remote_upload *begin_upload(const struct remote_source *source)
{
    struct remote_upload *u = NULL;
    memset(&why, 0, sizeof why);
    if (remote_upload_begin(client, "key", source->size, NULL, 0, &soon, &u, &why) != ST_OK ||
        remote_upload_send(u, source, &soon, &why) != ST_OK) {
        fprintf(stderr, "%s\n", why.text);
        abort();
    }
    return u;
}

static char data[600];

static void an_upload_that_was_completed_is_known_by_its_tag(void)
{
    static const char *const tags[] = {OBJECT_TAG, "other"};
    for (int i = 0; i < 2; i++) {
        char head[128];
        snprintf(head, sizeof head, OK_HEAD "ETag: \"%s\"\r\n" NO_BODY, tags[i]);
        const struct step steps[] = {{BEGUN},
                                     {.text = OK_HEAD "ETag: \"" PART_MD5 "\"\r\n" NO_BODY},
                                     {.end = RESET},
                                     {NO_UPLOAD},
                                     {.text = head}};
        const struct remote_source source = remote_source_memory(data, sizeof data);
        BEGIN(steps);
        struct remote_upload *u = begin_upload(&source);
        CHECK_STR(remote_upload_id(u), "the/id");
        CHECK_EQ(remote_upload_complete(u, NULL, &soon, NULL, &why), i == 0 ? ST_OK : ST_NOTFOUND);
        remote_upload_free(u);
        stop();
        CHECK(strstr(server->requests[1], "PUT /tier/key?partNumber=1&uploadId=the%2Fid HTTP"));
        hostile_free(server);
    }
}

static void an_object_of_other_parts_is_noticed(void)
{
    static const struct step steps[] = {
        {BEGUN},
        {.text = OK_HEAD "ETag: \"" PART_MD5 "\"\r\n" NO_BODY},
        {XML("<CompleteMultipartUploadResult><ETag>00000000000000000000000000000000-1</ETag>"
             "</CompleteMultipartUploadResult>")}};
    const struct remote_source source = remote_source_memory(data, sizeof data);
    BEGIN(steps);
    struct remote_upload *u = begin_upload(&source);
    CHECK_EQ(remote_upload_complete(u, NULL, &soon, NULL, &why), ST_CORRUPT);
    remote_upload_free(u);
    end();
}

static void an_error_inside_of_a_success_is_an_error(void)
{
    static const struct step steps[] = {
        {BEGUN},
        {.text = OK_HEAD "ETag: \"" PART_MD5 "\"\r\n" NO_BODY},
        {XML("\n\n\n<Error><Code>InternalError</Code></Error>")},
        {XML("<CompleteMultipartUploadResult><ETag>&quot;e-1&quot;</ETag>"
             "</CompleteMultipartUploadResult>")}};
    const struct remote_source source = remote_source_memory(data, sizeof data);
    struct remote_info info;
    BEGIN(steps);
    struct remote_upload *u = begin_upload(&source);
    CHECK_EQ(remote_upload_complete(u, NULL, &soon, &info, &why), ST_OK);
    CHECK_STR(info.etag, "e-1");
    remote_upload_free(u);
    stop();
    CHECK_EQ(server->request_count, 4);
    hostile_free(server);
}

static void a_list_of_parts_that_does_not_move_is_refused(void)
{
    static const struct step steps[] = {
        {XML("<ListPartsResult><IsTruncated>true</IsTruncated>"
             "<NextPartNumberMarker>0</NextPartNumberMarker></ListPartsResult>")}};
    struct remote_upload *u = NULL;
    BEGIN(steps);
    CHECK_EQ(remote_upload_resume(client, "key", 600, "id", &soon, &u, &why), ST_FORMAT);
    CHECK(u == NULL);
    end();
}

static void keys_that_nobody_speaks_of_are_not_deleted(void)
{
    static const struct step steps[] = {
        {XML("<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>"
             "<Code>AccessDenied</Code></Error><Deleted><Key>z</Key></Deleted></DeleteResult>")}};
    static const char *const keys[] = {"c", "b", "a"};
    status_t results[3];
    BEGIN(steps);
    CHECK_EQ(remote_delete_many(client, keys, 3, &soon, results, &why), ST_OK);
    CHECK(results[0] == ST_FORMAT && results[1] == ST_PERM && results[2] == ST_OK);
    stop();
    CHECK(strstr(server->requests[0], "\r\nContent-MD5: "));
    hostile_free(server);
}

/* Requests */

static void a_bucket_can_be_a_part_of_the_host(void)
{
    static const struct step steps[] = {{.text = PUT_OK}};
    static const struct remote_credentials c = {
        .access_key = "KEY", .secret = "SECRET", .token = "TOKEN"};
    struct remote_options o;
    char endpoint[64], host[64], first[64];
    server = hostile_start(steps, 1);
    snprintf(endpoint, sizeof endpoint, "http://localhost:%u", server->port);
    snprintf(host, sizeof host, "\r\nHost: tier.localhost:%u\r\n", server->port);
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.prefix = "a/../b ";
    o.addressing = REMOTE_VIRTUAL_HOST;
    o.credentials = &c;
    CHECK_EQ(remote_open(&o, &client, &why), ST_OK);
    CHECK_EQ(put("hello", NULL), ST_OK);
    stop();
    snprintf(first, sizeof first, "PUT /a/../b%%20key HTTP/1.1\r\n");
    CHECK(strncmp(server->requests[0], first, strlen(first)) == 0);
    CHECK(strstr(server->requests[0], host));
    CHECK(strstr(server->requests[0], "\r\nx-amz-security-token: TOKEN\r\n"));
    CHECK(strstr(server->requests[0], ";x-amz-security-token,"));
    CHECK(!strstr(server->requests[0], "SECRET"));
    hostile_free(server);
}

/* Connections */

static void connections_are_used_again(void)
{
    static const struct step steps[] = {{.text = HELLO}};
    BEGIN(steps);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(get(), ST_OK);
    stop();
    CHECK_EQ(server->connection_count, 1);
    CHECK_EQ(server->request_count, 20);
    hostile_free(server);
}

static void a_connection_that_was_closed_costs_no_try(void)
{
    static const struct step steps[] = {{.text = HELLO, .end = CLOSE}};
    server = hostile_start(steps, 1);
    client = connect_to(server->port, 10000, 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(get(), ST_OK);
    end();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    memset(data, 'x', sizeof data);
    RUN(a_busy_server_is_asked_again);
    RUN(a_server_that_stays_busy_is_given_up);
    RUN(a_wait_behind_the_deadline_is_not_begun);
    RUN(a_wait_that_the_server_names_is_kept);
    RUN(a_server_that_is_not_there_is_away);
    RUN(resets_and_cuts_are_tried_again);
    RUN(a_body_that_breaks_off_goes_on_behind);
    RUN(a_body_without_a_tag_begins_anew);
    RUN(bytes_that_came_without_their_end_come_again);
    RUN(a_silent_server_is_left);
    RUN(the_deadline_is_over_all_tries);
    RUN(a_call_is_ended_from_another_thread);
    RUN(a_wrong_tag_of_what_was_sent_is_found);
    RUN(wrong_bytes_are_found);
    RUN(ranges_that_were_not_asked_for_are_refused);
    RUN(an_object_that_changes_meanwhile_is_noticed);
    RUN(a_sum_of_the_whole_is_compared_with_parts);
    RUN(ranges_come_in_parallel_and_fail_alone);
    RUN(redirects_are_not_followed);
    RUN(what_is_no_http_is_refused);
    RUN(headers_without_end_are_refused);
    RUN(lists_that_are_no_lists_are_refused);
    RUN(an_answer_without_end_is_cut);
    RUN(a_long_page_about_an_error_is_not_read);
    RUN(text_of_the_server_has_no_control_characters);
    RUN(a_page_that_is_not_there_is_no_missing_object);
    RUN(an_answer_before_the_body_is_heard);
    RUN(a_condition_is_judged_by_the_mark);
    RUN(an_upload_that_was_completed_is_known_by_its_tag);
    RUN(what_is_ours_has_to_be_right_as_well);
    RUN(an_object_of_other_parts_is_noticed);
    RUN(an_error_inside_of_a_success_is_an_error);
    RUN(a_list_of_parts_that_does_not_move_is_refused);
    RUN(keys_that_nobody_speaks_of_are_not_deleted);
    RUN(a_bucket_can_be_a_part_of_the_host);
    RUN(connections_are_used_again);
    RUN(a_connection_that_was_closed_costs_no_try);
    return CHECK_DONE();
}
