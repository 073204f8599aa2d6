/* A server on a free port, and clients that speak to it byte by byte. */
#include "net/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"
#include "check.h"
#include "sys/clock.h"

enum { ANSWER_BYTES_MAX = 1 << 20, PATIENCE_S = 20 };

/* What the handler has seen. */
static atomic_uint begun, done;
static atomic_ullong body_bytes;

static void on_begin(void *ctx, struct http_request *rq)
{
    (void)ctx;
    begun++;
    http_set_state(rq, calloc(1, sizeof(uint64_t)));
    if (strncmp(http_target(rq), "/refuse", 7) == 0) {
        struct buf text = {0};
        buf_printf(&text, "refused");
        http_reply(rq, 403, &text);
    }
    if (strncmp(http_target(rq), "/worker", 7) == 0)
        http_end_in_worker(rq);
}

static void on_body(void *ctx, struct http_request *rq, const uint8_t *data, size_t len)
{
    (void)ctx, (void)data;
    *(uint64_t *)http_state(rq) += len;
    body_bytes += len;
}

static ssize_t letters(void *arg, uint64_t at, char *to, size_t max)
{
    (void)arg;
    for (size_t i = 0; i < max; i++)
        to[i] = (char)('a' + (at + i) % 26);
    return (ssize_t)max;
}

static void count_end(void *arg)
{
    atomic_uint *ends = arg;
    (*ends)++;
}

static atomic_uint reader_ends;

static void on_end(void *ctx, struct http_request *rq)
{
    struct buf text = {0};
    (void)ctx;
    if (strcmp(http_target(rq), "/long") == 0) {
        http_reply_reader(rq, 200, 1000000, letters, count_end, &reader_ends);
        return;
    }
    if (strcmp(http_target(rq), "/file") == 0) {
        int fd = memfd_create("file", MFD_CLOEXEC);
        CHECK_EQ(write(fd, "0123456789", 10), 10);
        http_reply_header(rq, "X-Empty", "");
        http_reply_file(rq, 206, fd, 3, 4);
        return;
    }
    if (strcmp(http_target(rq), "/silent") == 0)
        return;
    if (strcmp(http_target(rq), "/thread") == 0) {
        buf_printf(&text, "thread %d!", (int)gettid());
        http_reply(rq, 200, &text);
        return;
    }
    if (strcmp(http_method(rq), "HEAD") == 0) {
        http_reply_length(rq, 200, 12345);
        return;
    }
    http_reply_header(rq, "X-Odd", "a\r\nb: c");
    buf_printf(&text, "%s %s %llu", http_method(rq), http_target(rq),
               (unsigned long long)*(uint64_t *)http_state(rq));
    http_reply(rq, 200, &text);
}

/* Of a request whose target begins with /one. */
static struct http_outcome outcome;

static void on_done(void *ctx, struct http_request *rq)
{
    (void)ctx;
    if (strncmp(http_target(rq), "/one", 4) == 0)
        outcome = http_outcome(rq);
    free(http_state(rq));
    done++;
}

static const struct http_handler handler = {on_begin, on_body, on_end, on_done};

static struct http_server *start_with(struct http_options *o)
{
    struct http_server *s = NULL;
    struct error err = {0};
    o->address = "127.0.0.1:0";
    o->workers = 4;
    o->handler = &handler;
    if (http_server_start(o, &s, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return s;
}

static struct http_server *start(unsigned idle_ms, unsigned window_ms)
{
    struct http_options o;
    http_options_default(&o);
    o.event_threads = 2;
    o.idle_ms = idle_ms;
    o.body_window_ms = window_ms;
    o.body_bytes_min = 1000;
    return start_with(&o);
}

static int dial(const struct http_server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_server_port(s))};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        exit(1);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    CHECK_EQ(send(fd, text, len, MSG_NOSIGNAL), len);
}

/* What comes until the end of the stream, or until text is among it. NUL-terminated; for free. */
static char *hear(int fd, const char *until)
{
    char *text = calloc(1, ANSWER_BYTES_MAX + 1024);
    size_t len = 0;
    ssize_t n;
    while (len < ANSWER_BYTES_MAX && !(until && strstr(text, until)) &&
           (n = recv(fd, text + len, ANSWER_BYTES_MAX - len, 0)) > 0)
        len += (size_t)n;
    return text;
}

static bool answers(int fd, const char *request, const char *want)
{
    say(fd, request);
    char *text = hear(fd, want);
    bool ok = strstr(text, want) != NULL;
    if (!ok)
        fprintf(stderr, "answered: %.500s\n", text);
    free(text);
    return ok;
}

static void a_connection_carries_many_requests(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s);
    CHECK(answers(fd, "GET /a%2Fb?c=%20 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a%2Fb?c=%20 0"));
    CHECK(answers(fd, "PUT /worker HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345",
                  "PUT /worker 5"));
    CHECK(answers(fd, "HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Length: 12345"));
    CHECK(answers(
        fd, "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "PUT /c 3"));
    CHECK(answers(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n",
                  "GET /2 0"));
    close(fd);
    http_server_stop(s);
}

static void how_a_request_went_is_known_at_its_end(void)
{
    static const struct {
        const char *request, *answer;
        struct http_outcome want;
    } cases[] = {
        {"GET /one HTTP/1.1\r\nHost: x\r\n\r\n", "GET /one 0", {200, true, 0, 10}},
        {"PUT /one HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
         "PUT /one 3",
         {200, true, 3, 10}},
        {"HEAD /one HTTP/1.1\r\nHost: x\r\n\r\n", "12345\r\n\r\n", {200, true, 0, 0}},
        {"PUT /one HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", NULL, {0, false, 3, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_server *s = start(60000, 60000);
        struct http_server_counters n;
        unsigned begun_before = begun;
        int fd = dial(s);
        say(fd, cases[i].request);
        if (cases[i].answer) {
            free(hear(fd, cases[i].answer));
            http_server_counters(s, &n);
            CHECK_EQ(n.connections, 1);
        }
        while (begun == begun_before || (!cases[i].answer && body_bytes == 0))
            sched_yield();
        close(fd);
        http_server_counters(s, &n);
        CHECK_EQ(n.accepted, 1);
        while (n.connections > 0)
            http_server_counters(s, &n);
        http_server_stop(s);
        CHECK_EQ(outcome.code, cases[i].want.code);
        CHECK_EQ(outcome.whole, cases[i].want.whole);
        CHECK_EQ(outcome.received_bytes, cases[i].want.received_bytes);
        CHECK_EQ(outcome.sent_bytes, cases[i].want.sent_bytes);
        body_bytes = 0;
    }
}

static void a_header_cannot_be_split(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s);
    CHECK(answers(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "X-Odd: a  b: c\r\n"));
    close(fd);
    http_server_stop(s);
}

static void a_body_is_asked_for_only_when_it_is_wanted(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s);
    CHECK(answers(fd,
                  "PUT /y HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
                  "100 Continue"));
    CHECK(answers(fd, "abc", "PUT /y 3"));
    body_bytes = 0;
    say(fd, "PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    char *text = hear(fd, NULL);
    CHECK(strncmp(text, "HTTP/1.1 403", 12) == 0);
    CHECK(strstr(text, "refused") != NULL);
    CHECK_EQ(body_bytes, 0);
    free(text);
    close(fd);
    http_server_stop(s);
}

static void a_refused_body_is_read_so_that_the_answer_arrives(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s);
    CHECK(
        answers(fd, "PUT /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "refused"));
    CHECK(answers(fd, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n", "GET /again 0"));
    close(fd);
    http_server_stop(s);
}

static void what_a_handler_does_not_answer_is_500(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s);
    CHECK(answers(fd, "GET /silent HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 500"));
    close(fd);
    http_server_stop(s);
}

static void a_reader_is_asked_for_all_and_ended_once(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s);
    reader_ends = 0;
    say(fd, "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *text = hear(fd, NULL);
    char *body = strstr(text, "\r\n\r\n");
    CHECK(body != NULL);
    CHECK(body && strlen(body + 4) == 1000000);
    free(text);
    close(fd);
    http_server_stop(s);
    CHECK_EQ(reader_ends, 1);
}

static void a_part_of_a_file_is_sent(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s);
    say(fd, "GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    char *text = hear(fd, NULL);
    CHECK(strncmp(text, "HTTP/1.1 206", 12) == 0);
    CHECK(strstr(text, "X-Empty: ") != NULL);
    CHECK(strstr(text, "\r\n\r\n3456") != NULL);
    CHECK(strstr(text, "34567") == NULL);
    free(text);
    close(fd);
    http_server_stop(s);
}

static void headers_have_limits(void)
{
    struct http_server *s = start(60000, 60000);
    struct buf text = {0};
    int fd = dial(s);
    buf_printf(&text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < HTTP_HEADERS_MAX; i++)
        buf_printf(&text, "A%d: b\r\n", i);
    buf_printf(&text, "\r\n");
    buf_u8(&text, 0);
    CHECK(answers(fd, (const char *)text.data, "HTTP/1.1 431"));
    close(fd);
    buf_done(&text);
    buf_printf(&text, "GET /");
    buf_fill(&text, 'x', HTTP_TARGET_BYTES_MAX);
    buf_printf(&text, " HTTP/1.1\r\nHost: x\r\n\r\n");
    buf_u8(&text, 0);
    fd = dial(s);
    CHECK(answers(fd, (const char *)text.data, "HTTP/1.1 414"));
    close(fd);
    buf_done(&text);
    http_server_stop(s);
}

/* Send a byte whenever the server is waited for, until it hangs up; seconds that took. */
static double drip(int fd, const char *start_text, char c)
{
    uint64_t from = clock_monotonic_ns();
    struct timeval step = {.tv_usec = 50000};
    char got[4096];
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &step, sizeof step);
    say(fd, start_text);
    for (int i = 0; i < PATIENCE_S * 20; i++) {
        ssize_t n = recv(fd, got, sizeof got, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN) || send(fd, &c, 1, MSG_NOSIGNAL) < 0)
            return (double)(clock_monotonic_ns() - from) / 1e9;
    }
    return PATIENCE_S;
}

static void slow_headers_and_bodies_are_cut_off(void)
{
    struct http_server *s = start(1000, 1000);
    int fd = dial(s);
    CHECK(drip(fd, "GET / HTTP/1.1\r\nHost: x\r\nSlow: ", 'x') < PATIENCE_S);
    close(fd);
    fd = dial(s);
    CHECK(drip(fd, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", 'x') <
          PATIENCE_S);
    close(fd);
    http_server_stop(s);
}

static void *many_requests(void *arg)
{
    int fd = dial(arg);
    for (int i = 0; i < 100; i++) {
        CHECK(answers(fd, "PUT /worker HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
                      "PUT /worker 2"));
    }
    close(fd);
    return NULL;
}

static void workers_answer_many_connections(void)
{
    enum { CLIENTS = 16 };
    pthread_t clients[CLIENTS];
    struct http_server *s = start(60000, 60000);
    begun = done = 0;
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, many_requests, s);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    http_server_stop(s);
    CHECK_EQ(begun, CLIENTS * 100);
    CHECK_EQ(done, CLIENTS * 100);
}

static void a_stop_ends_what_is_half_sent(void)
{
    struct http_server *s = start(60000, 60000);
    int fd = dial(s), idle = dial(s);
    begun = done = 0;
    CHECK(answers(fd,
                  "PUT /z HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
                  "100 Continue"));
    http_server_stop(s);
    CHECK_EQ(begun, 1);
    CHECK_EQ(done, 1);
    close(fd);
    close(idle);
}

static uint64_t thread_of(int fd)
{
    uint64_t tid = 0;
    say(fd, "GET /thread HTTP/1.1\r\nHost: x\r\n\r\n");
    char *text = hear(fd, "!");
    const char *at = strstr(text, "thread ");
    char *end = at ? strchr(at, '!') : NULL;
    if (end)
        *end = '\0';
    CHECK(end && parse_u64(at + 7, INT32_MAX, &tid) == ST_OK);
    free(text);
    return tid;
}

static void check_shares(const int *fds, size_t count, unsigned want)
{
    uint64_t tids[64];
    for (size_t i = 0; i < count; i++)
        tids[i] = thread_of(fds[i]);
    for (size_t i = 0; i < count; i++) {
        unsigned same = 0;
        for (size_t j = 0; j < count; j++)
            same += tids[j] == tids[i];
        CHECK_EQ(same, want);
    }
}

static void wait_for_connections(struct http_server *s, unsigned want)
{
    struct http_server_counters n;
    do
        http_server_counters(s, &n);
    while (n.connections != want);
}

static void every_event_thread_has_as_many_connections(void)
{
    enum { THREADS = 4, EACH = 3, COUNT = THREADS * EACH };
    struct http_options o;
    int fds[COUNT], kept = 0;
    uint64_t first[COUNT];
    http_options_default(&o);
    o.event_threads = THREADS;
    struct http_server *s = start_with(&o);
    for (int i = 0; i < COUNT; i++)
        fds[i] = dial(s);
    check_shares(fds, COUNT, EACH);
    /* who comes when all of one thread have gone is that thread's */
    for (int i = 0; i < COUNT; i++)
        first[i] = thread_of(fds[i]);
    uint64_t one = first[0];
    for (int i = 0; i < COUNT; i++) {
        if (first[i] == one)
            close(fds[i]);
        else
            fds[kept++] = fds[i];
    }
    wait_for_connections(s, (unsigned)kept);
    for (int i = kept; i < COUNT; i++) {
        fds[i] = dial(s);
        CHECK_EQ(thread_of(fds[i]), one);
    }
    check_shares(fds, COUNT, EACH);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    http_server_stop(s);
}

static void who_finds_all_places_taken_waits(void)
{
    enum { MAX = 6 };
    struct http_options o;
    struct http_server_counters n;
    int fds[MAX + 1];
    http_options_default(&o);
    o.event_threads = 3;
    o.connections_max = MAX;
    struct http_server *s = start_with(&o);
    for (int i = 0; i <= MAX; i++)
        fds[i] = dial(s);
    for (int i = 0; i < MAX; i++)
        CHECK(thread_of(fds[i]) != 0);
    say(fds[MAX], "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    http_server_counters(s, &n);
    CHECK_EQ(n.accepted, MAX);
    close(fds[0]);
    char *text = hear(fds[MAX], "GET /late 0");
    CHECK(strstr(text, "GET /late 0") != NULL);
    free(text);
    http_server_counters(s, &n);
    CHECK_EQ(n.accepted, MAX + 1);
    for (int i = 1; i <= MAX; i++)
        close(fds[i]);
    http_server_stop(s);
}

static void a_stop_leaves_those_who_wait(void)
{
    struct http_options o;
    http_options_default(&o);
    o.event_threads = 1;
    o.connections_max = 1;
    struct http_server *s = start_with(&o);
    int first = dial(s), second = dial(s);
    CHECK(thread_of(first) != 0);
    say(second, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    http_server_stop(s);
    char *text = hear(second, NULL);
    CHECK_STR(text, "");
    free(text);
    close(first);
    close(second);
}

static void addresses_are_checked(void)
{
    static const char *const bad[] = {"",           "9000", "host:", ":9000", "127.0.0.1:99999",
                                      "127.0.0.1:x"};
    struct http_options o;
    http_options_default(&o);
    o.handler = &handler;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct http_server *s = NULL;
        struct error err = {0};
        o.address = bad[i];
        CHECK_EQ(http_server_start(&o, &s, &err), ST_INVAL);
        CHECK(s == NULL);
    }
    struct http_server *first = start(60000, 60000), *second = NULL;
    struct error err = {0};
    char text[64];
    snprintf(text, sizeof text, "127.0.0.1:%u", http_server_port(first));
    o.address = text;
    CHECK_EQ(http_server_start(&o, &second, &err), ST_EXIST);
    http_server_stop(first);
}

int main(void)
{
    RUN(a_connection_carries_many_requests);
    RUN(how_a_request_went_is_known_at_its_end);
    RUN(a_header_cannot_be_split);
    RUN(a_body_is_asked_for_only_when_it_is_wanted);
    RUN(a_refused_body_is_read_so_that_the_answer_arrives);
    RUN(what_a_handler_does_not_answer_is_500);
    RUN(a_reader_is_asked_for_all_and_ended_once);
    RUN(a_part_of_a_file_is_sent);
    RUN(headers_have_limits);
    RUN(slow_headers_and_bodies_are_cut_off);
    RUN(workers_answer_many_connections);
    RUN(a_stop_ends_what_is_half_sent);
    RUN(every_event_thread_has_as_many_connections);
    RUN(who_finds_all_places_taken_waits);
    RUN(a_stop_leaves_those_who_wait);
    RUN(addresses_are_checked);
    return CHECK_DONE();
}
