#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "check.h"
#include "net/rpc/local.h"
#include "net/rpc/server.h"

/* A server whose operations do what is needed here, and clients that send frames byte by byte. */

enum { ECHO = 1, WAIT, ORDER, FILL, PARTS, PASS, QUICK, INTACT, LATE };
enum { STALL_MS = 300, PATIENCE_MS = 20000 };

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool released; /* guarded by m, and so is: */
static unsigned order[1000];
static unsigned order_count;
static _Atomic int sessions;
static _Atomic int waiting;

static void *session_new(void *ctx, const struct rpc_peer *peer, struct error *err)
{
    (void)peer, (void)err;
    atomic_fetch_add(&sessions, 1);
    return ctx;
}

static void session_free(void *session)
{
    (void)session;
    atomic_fetch_sub(&sessions, 1);
}

static bool is_quick(void *session, const struct rpc_request *r)
{
    (void)session;
    return r->kind == QUICK || r->kind == LATE;
}

static void run(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                struct rpc_answer *answer)
{
    (void)session;
    if (r->kind == LATE && r->quick) {
        buf_printf(&answer->data, "nothing yet");
        buf_u8(&answer->args, 1);
        answer->later = true;
        return;
    }
    if (r->kind == WAIT || r->kind == LATE) {
        pthread_mutex_lock(&m);
        atomic_fetch_add(&waiting, 1);
        while (!released) {
            pthread_cond_wait(&changed, &m);
        }
        atomic_fetch_sub(&waiting, 1);
        pthread_mutex_unlock(&m);
    } else if (r->kind == ORDER) {
        CHECK(!r->quick);
        pthread_mutex_lock(&m);
        order[order_count++] = r->args[0];
        pthread_mutex_unlock(&m);
    } else if (r->kind == FILL) {
        buf_fill(&answer->data, 'x', r->room);
    } else if (r->kind == PARTS) {
        for (int i = 0; i < 5; i++) {
            struct rpc_answer part = {0};
            rpc_result_encode(ST_OK, NULL, &part.args);
            buf_u8(&part.data, (uint8_t)i);
            CHECK_EQ(rpc_reply_more(reply, &part), ST_OK);
        }
    } else if (r->kind == PASS) {
        answer->passed[answer->passed_count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else if (r->kind == INTACT) {
        buf_u8(&answer->data, rpc_request_intact(r));
    } else if (r->kind == ECHO || r->kind == QUICK) {
        buf_bytes(&answer->data, r->data, r->data_bytes);
    }
    rpc_result_encode(ST_OK, NULL, &answer->args);
}

static const struct rpc_handler handler = {session_new, session_free, is_quick, run};
static char folder[64], path[100];
static int listen_fd;
static struct rpc_server *server;
static int context;

static void start(unsigned stall_ms)
{
    struct error err = {0};
    snprintf(folder, sizeof folder, "/tmp/rpc-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/s", folder);
    released = false;
    order_count = 0;
    if (rpc_local_listen(path, &listen_fd, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    const struct rpc_server_options o = {
        .listen_fd = listen_fd, .handler = &handler, .ctx = &context, .stall_ms = stall_ms};
    CHECK_EQ(rpc_server_start(&o, &server, &err), ST_OK);
}

static void stop(void)
{
    rpc_server_stop(server);
    rpc_local_unlisten(path, listen_fd);
    CHECK_EQ(rmdir(folder), 0);
    CHECK_EQ(atomic_load(&sessions), 0);
}

static void release(void)
{
    pthread_mutex_lock(&m);
    released = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&m);
}

static bool eventually(bool (*f)(void))
{
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        if (f()) {
            return true;
        }
        poll(NULL, 0, 10);
    }
    return false;
}

static bool nobody_is_there(void)
{
    struct rpc_server_counters n;
    rpc_server_counters(server, &n);
    return n.connections == 0;
}

static int dial(void)
{
    int fd = -1;
    struct error err;
    CHECK_EQ(rpc_local_connect(path, &fd, &err), ST_OK);
    return fd;
}

static bool send_bytes(int fd, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* False: the connection has ended. */
static bool get_bytes(int fd, void *data, size_t len)
{
    uint8_t *bytes = data;
    while (len > 0) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, PATIENCE_MS), 1);
        ssize_t n = recv(fd, bytes, len, 0);
        if (n <= 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static struct buf frame(uint32_t id, uint16_t kind, const char *args, const char *data)
{
    uint8_t head[RPC_HEADER_BYTES];
    struct buf b = {0};
    struct rpc_frame f = {.args_bytes = (uint32_t)strlen(args),
                          .data_bytes = (uint32_t)strlen(data),
                          .id = id,
                          .kind = kind,
                          .args_crc = hash_crc32c(0, args, strlen(args)),
                          .data_crc = hash_crc32c(0, data, strlen(data))};
    rpc_frame_encode(&f, head);
    buf_bytes(&b, head, sizeof head);
    buf_bytes(&b, args, strlen(args));
    buf_bytes(&b, data, strlen(data));
    return b;
}

static bool ask_in(int fd, uint32_t id, uint16_t kind, uint32_t lane, uint32_t room,
                   const char *args, const char *data)
{
    struct buf b = frame(id, kind, args, data);
    struct rpc_frame f;
    CHECK_EQ(rpc_frame_decode(b.data, &f, NULL), ST_OK);
    f.lane = lane;
    f.room = room;
    rpc_frame_encode(&f, b.data);
    bool good = send_bytes(fd, b.data, b.len);
    buf_done(&b);
    return good;
}

static bool ask(int fd, uint32_t id, uint16_t kind, const char *args, const char *data)
{
    return ask_in(fd, id, kind, 0, RPC_DATA_MAX / 256, args, data);
}

struct answer {
    struct rpc_frame f;
    status_t status;
    struct error err;
    uint8_t args[1024];
    uint8_t *data;
};

static bool get(int fd, struct answer *a)
{
    uint8_t head[RPC_HEADER_BYTES];
    struct cursor c;
    free(a->data);
    *a = (struct answer){0};
    if (!get_bytes(fd, head, sizeof head)) {
        return false;
    }
    CHECK_EQ(rpc_frame_decode(head, &a->f, NULL), ST_OK);
    CHECK(a->f.args_bytes <= sizeof a->args);
    a->data = malloc((size_t)a->f.data_bytes + 1);
    if (!get_bytes(fd, a->args, a->f.args_bytes) || !get_bytes(fd, a->data, a->f.data_bytes)) {
        return false;
    }
    CHECK_EQ(hash_crc32c(0, a->data, a->f.data_bytes), a->f.data_crc);
    CHECK_EQ(hash_crc32c(0, a->args, a->f.args_bytes), a->f.args_crc);
    a->data[a->f.data_bytes] = '\0';
    cursor_init(&c, a->args, a->f.args_bytes, 0);
    a->status = rpc_result_decode(&c, &a->err);
    return true;
}

static void say_hello(int fd, uint16_t lowest, uint16_t highest)
{
    struct buf args = {0}, b = {0};
    uint8_t head[RPC_HEADER_BYTES];
    rpc_hello_encode(lowest, highest, &args);
    struct rpc_frame f = {
        .args_bytes = (uint32_t)args.len, .id = 1, .args_crc = hash_crc32c(0, args.data, args.len)};
    rpc_frame_encode(&f, head);
    buf_bytes(&b, head, sizeof head);
    buf_bytes(&b, args.data, args.len);
    CHECK(send_bytes(fd, b.data, b.len));
    buf_done(&b);
    buf_done(&args);
}

static int greet(void)
{
    struct answer a = {0};
    int fd = dial();
    say_hello(fd, RPC_VERSION, RPC_VERSION);
    CHECK(get(fd, &a));
    CHECK_EQ(a.status, ST_OK);
    free(a.data);
    return fd;
}

static void expect_refusal(int fd, status_t st)
{
    struct answer a = {0};
    CHECK(get(fd, &a));
    CHECK_EQ(a.f.id, 0);
    CHECK_EQ(a.status, st);
    CHECK(!get(fd, &a));
    free(a.data);
    close(fd);
}

static void a_request_is_answered(void)
{
    struct answer a = {0};
    start(0);
    int fd = greet();
    for (uint32_t i = 2; i < 200; i++) {
        CHECK(ask(fd, i, i % 2 ? ECHO : QUICK, "args", "bytes"));
        CHECK(get(fd, &a));
        CHECK_EQ(a.f.id, i);
        CHECK_EQ(a.f.flags, RPC_ANSWER);
        CHECK_STR((char *)a.data, "bytes");
    }
    free(a.data);
    close(fd);
    stop();
}

static void frames_may_come_byte_by_byte_and_many_at_once(void)
{
    struct answer a = {0};
    struct buf all = {0};
    start(0);
    int fd = greet();
    for (uint32_t i = 0; i < 50; i++) {
        struct buf b = frame(10 + i, QUICK, "some args", "some data");
        for (size_t at = 0; i < 5 && at < b.len; at++) {
            CHECK(send_bytes(fd, b.data + at, 1));
        }
        if (i >= 5) {
            buf_bytes(&all, b.data, b.len);
        }
        buf_done(&b);
    }
    CHECK(send_bytes(fd, all.data, all.len));
    for (uint32_t i = 0; i < 50; i++) {
        CHECK(get(fd, &a));
        CHECK_EQ(a.f.id, 10 + i);
        CHECK_STR((char *)a.data, "some data");
    }
    free(a.data);
    buf_done(&all);
    close(fd);
    stop();
}

static void a_connection_begins_with_a_hello(void)
{
    start(0);
    int fd = dial();
    CHECK(ask(fd, 2, ECHO, "", ""));
    expect_refusal(fd, ST_FORMAT);
    fd = dial();
    CHECK(ask(fd, 2, RPC_HELLO, "nonsense", ""));
    expect_refusal(fd, ST_FORMAT);
    stop();
}

static void another_version_is_refused(void)
{
    start(0);
    int fd = dial();
    say_hello(fd, RPC_VERSION + 1, RPC_VERSION + 5);
    expect_refusal(fd, ST_UNSUPPORTED);
    fd = dial();
    say_hello(fd, 0, 0);
    expect_refusal(fd, ST_UNSUPPORTED);
    fd = dial();
    struct answer a = {0};
    say_hello(fd, 0, 99);
    CHECK(get(fd, &a));
    CHECK_EQ(a.status, ST_OK);
    free(a.data);
    close(fd);
    stop();
}

static void damage_ends_the_connection(void)
{
    start(0);
    for (size_t i = 0; i < RPC_HEADER_BYTES + 4; i++) {
        struct buf b = frame(2, ECHO, "args", "");
        int fd = greet();
        b.data[i] ^= 0x10;
        CHECK(send_bytes(fd, b.data, b.len));
        expect_refusal(fd, ST_CORRUPT);
        buf_done(&b);
    }
    stop();
}

static void too_long_ends_the_connection(void)
{
    start(0);
    struct rpc_frame f = {.args_bytes = RPC_ARGS_MAX + 1, .id = 2, .kind = ECHO};
    uint8_t head[RPC_HEADER_BYTES];
    rpc_frame_encode(&f, head);
    int fd = greet();
    CHECK(send_bytes(fd, head, sizeof head));
    expect_refusal(fd, ST_INVALID);
    stop();
}

static void changed_data_are_for_the_handler_to_see(void)
{
    struct answer a = {0};
    start(0);
    int fd = greet();
    for (int flip = 0; flip < 2; flip++) {
        struct buf b = frame(2, INTACT, "", "bytes");
        b.data[RPC_HEADER_BYTES + 2] = (uint8_t)(b.data[RPC_HEADER_BYTES + 2] ^ flip);
        CHECK(send_bytes(fd, b.data, b.len));
        CHECK(get(fd, &a));
        CHECK_EQ(a.data[0], !flip);
        buf_done(&b);
    }
    free(a.data);
    close(fd);
    stop();
}

static void answers_come_as_requests_are_done(void)
{
    struct answer a = {0};
    start(0);
    int fd = greet();
    CHECK(ask(fd, 2, WAIT, "", ""));
    CHECK(ask(fd, 3, ECHO, "", "first"));
    CHECK(get(fd, &a));
    CHECK_EQ(a.f.id, 3);
    release();
    CHECK(get(fd, &a));
    CHECK_EQ(a.f.id, 2);
    free(a.data);
    close(fd);
    stop();
}

/* Quick ones that turn out to take long go to workers, and keep their places in lanes. */
static void what_is_late_holds_nobody_up(void)
{
    struct answer a = {0};
    start(0);
    int fd = greet();
    for (uint32_t i = 2; i < 10; i++) {
        CHECK(ask_in(fd, i, LATE, i % 2, 0, "", ""));
    }
    CHECK(ask_in(fd, 20, ORDER, 1, 0, "x", ""));
    CHECK(ask(fd, 30, QUICK, "", "soon"));
    CHECK(get(fd, &a));
    CHECK_EQ(a.f.id, 30);
    CHECK_EQ(order_count, 0);
    release();
    for (uint32_t i = 2; i <= 10; i++) {
        CHECK(get(fd, &a));
        CHECK_EQ(a.f.data_bytes, 0);
    }
    CHECK_EQ(order_count, 1);
    free(a.data);
    close(fd);
    stop();
}

static void a_lane_is_in_order(void)
{
    struct answer a = {0};
    char number[2] = "";
    start(0);
    int fd = greet();
    CHECK(ask_in(fd, 2, WAIT, 7, 0, "", ""));
    for (unsigned i = 1; i <= 40; i++) {
        number[0] = (char)i;
        CHECK(ask_in(fd, 2 + i, ORDER, 7, 0, number, ""));
    }
    CHECK(ask_in(fd, 100, ECHO, 8, 1000, "", "another lane"));
    CHECK(get(fd, &a));
    CHECK_EQ(a.f.id, 100);
    CHECK_EQ(order_count, 0);
    release();
    for (unsigned i = 0; i <= 40; i++) {
        CHECK(get(fd, &a));
    }
    CHECK_EQ(order_count, 40);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQ(order[i], i + 1);
    }
    free(a.data);
    close(fd);
    stop();
}

static void *fill_asker(void *arg)
{
    int fd = *(int *)arg;
    for (uint32_t i = 0; i < 100; i++) {
        CHECK(ask_in(fd, 2 + i, FILL, 0, RPC_DATA_MAX, "", ""));
    }
    return NULL;
}

static bool eight_are_admitted(void)
{
    struct rpc_server_counters n;
    rpc_server_counters(server, &n);
    CHECK(n.admitted <= 8 + 1); /* one of another connection */
    return n.requests >= 7;
}

static void who_does_not_read_is_not_served(void)
{
    struct answer a = {0};
    pthread_t thread;
    start(0);
    int fd = greet();
    CHECK_EQ(pthread_create(&thread, NULL, fill_asker, &fd), 0);
    CHECK(eventually(eight_are_admitted));
    int other = greet();                 /* others are */
    for (uint32_t i = 0; i < 500; i++) { /* and no more of them meanwhile */
        CHECK(ask(other, 5 + i, ECHO, "", "x"));
        CHECK(get(other, &a));
        CHECK(eight_are_admitted());
    }
    close(other);
    struct rpc_server_counters n;
    rpc_server_counters(server, &n);
    CHECK(n.requests <= 500 + 10);
    for (uint32_t i = 0; i < 100; i++) {
        CHECK(get(fd, &a));
        CHECK_EQ(a.f.data_bytes, RPC_DATA_MAX);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    free(a.data);
    close(fd);
    stop();
}

static bool all_wait(void)
{
    CHECK(atomic_load(&waiting) <= RPC_WORKERS_MAX);
    return atomic_load(&waiting) == RPC_WORKERS_MAX;
}

static void requests_of_one_connection_are_bounded(void)
{
    struct answer a = {0};
    struct rpc_server_counters n;
    start(0);
    int fd = greet();
    for (uint32_t i = 0; i < 150; i++) {
        CHECK(ask_in(fd, 2 + i, WAIT, 0, 0, "", ""));
    }
    CHECK(eventually(all_wait));
    rpc_server_counters(server, &n);
    CHECK_EQ(n.admitted, RPC_REQUESTS_MAX);
    release();
    for (uint32_t i = 0; i < 150; i++) {
        CHECK(get(fd, &a));
    }
    free(a.data);
    close(fd);
    stop();
}

static void half_a_frame_that_stands_still_ends(void)
{
    struct answer a = {0};
    start(STALL_MS);
    struct buf b = frame(2, ECHO, "args", "data");
    int silent = dial(), idle = greet();
    for (size_t len = 1; len < b.len; len += 20) {
        int fd = greet();
        CHECK(send_bytes(fd, b.data, len));
        CHECK(!get(fd, &a));
        close(fd);
    }
    CHECK(!get(silent, &a));
    close(silent);
    CHECK(ask(idle, 2, ECHO, "", "still there")); /* between frames there is no hurry */
    CHECK(get(idle, &a));
    close(idle);
    free(a.data);
    buf_done(&b);
    stop();
}

static void an_answer_that_nobody_takes_ends_the_connection(void)
{
    start(STALL_MS);
    int fd = greet();
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(ask_in(fd, 2 + i, FILL, 0, RPC_DATA_MAX, "", ""));
    }
    CHECK(eventually(nobody_is_there));
    close(fd);
    stop();
}

static bool one_waits(void)
{
    return atomic_load(&waiting) > 0;
}

static void a_client_may_go_at_any_time(void)
{
    start(0);
    struct buf b = frame(2, ECHO, "args", "data");
    for (size_t len = 0; len <= b.len; len += 3) {
        int fd = greet();
        CHECK(send_bytes(fd, b.data, len));
        close(fd);
    }
    int fd = greet();
    CHECK(ask(fd, 2, WAIT, "", ""));
    CHECK(ask_in(fd, 3, WAIT, 9, 0, "", ""));
    CHECK(ask_in(fd, 4, ORDER, 9, 0, "x", ""));
    CHECK(eventually(one_waits));
    close(fd);
    release();
    CHECK(eventually(nobody_is_there));
    buf_done(&b);
    stop();
}

static void parts_come_before_the_last(void)
{
    struct answer a = {0};
    start(0);
    int fd = greet();
    CHECK(ask(fd, 2, PARTS, "", ""));
    for (int i = 0; i < 5; i++) {
        CHECK(get(fd, &a));
        CHECK_EQ(a.f.flags, RPC_ANSWER | RPC_MORE);
        CHECK_EQ(a.data[0], i);
    }
    CHECK(get(fd, &a));
    CHECK_EQ(a.f.flags, RPC_ANSWER);
    free(a.data);
    close(fd);
    stop();
}

static void a_descriptor_comes_with_an_answer(void)
{
    start(0);
    int fd = greet(), passed = -1;
    uint8_t head[RPC_HEADER_BYTES], rest[64];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } room;
    struct iovec part = {head, sizeof head};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = room.bytes,
                         .msg_controllen = sizeof room.bytes};
    CHECK(ask(fd, 2, PASS, "", ""));
    CHECK_EQ(recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_WAITALL), RPC_HEADER_BYTES);
    struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
    CHECK(h != NULL && h->cmsg_type == SCM_RIGHTS);
    if (h != NULL) {
        memcpy(&passed, CMSG_DATA(h), sizeof passed);
    }
    CHECK(fcntl(passed, F_GETFD) >= 0);
    close(passed);
    CHECK(get_bytes(fd, rest, 2));
    close(fd);
    stop();
}

static void connections_are_bounded(void)
{
    static int fds[RPC_CONNECTIONS_MAX];
    struct answer a = {0};
    start(0);
    for (int i = 0; i < RPC_CONNECTIONS_MAX; i++) {
        fds[i] = greet();
    }
    int one_more = dial();
    CHECK(get(one_more, &a));
    CHECK_EQ(a.status, ST_LIMIT);
    CHECK(!get(one_more, &a));
    close(one_more);
    for (int i = 0; i < RPC_CONNECTIONS_MAX; i++) {
        CHECK(ask(fds[i], 2, QUICK, "", "x"));
        CHECK(get(fds[i], &a));
        close(fds[i]);
    }
    CHECK(eventually(nobody_is_there));
    one_more = greet();
    close(one_more);
    free(a.data);
    stop();
}

static void *stopper(void *arg)
{
    (void)arg;
    rpc_server_stop(server);
    return NULL;
}

static void what_was_admitted_is_finished_at_a_stop(void)
{
    struct answer a = {0};
    pthread_t thread;
    start(0);
    int fd = greet();
    CHECK(ask(fd, 2, WAIT, "", ""));
    CHECK(eventually(one_waits));
    CHECK_EQ(pthread_create(&thread, NULL, stopper, NULL), 0);
    poll(NULL, 0, 50);
    release();
    CHECK(get(fd, &a));
    CHECK_EQ(a.f.id, 2);
    CHECK(!get(fd, &a));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    close(fd);
    free(a.data);
    server = NULL;
    stop();
}

static void a_socket_that_is_taken_is_named_and_a_stale_one_replaced(void)
{
    struct error err = {0};
    int fd = -1;
    start(0);
    CHECK_EQ(rpc_local_listen(path, &fd, &err), ST_EXIST);
    CHECK(strstr(err.text, "already up") != NULL);
    CHECK_EQ(fd, -1);
    rpc_server_stop(server);
    close(listen_fd); /* and its name stays */
    CHECK_EQ(rpc_local_connect(path, &fd, &err), ST_NOTFOUND);
    CHECK_EQ(rpc_local_listen(path, &listen_fd, &err), ST_OK);
    server = NULL;
    stop();
}

int main(void)
{
    RUN(a_request_is_answered);
    RUN(frames_may_come_byte_by_byte_and_many_at_once);
    RUN(a_connection_begins_with_a_hello);
    RUN(another_version_is_refused);
    RUN(damage_ends_the_connection);
    RUN(too_long_ends_the_connection);
    RUN(changed_data_are_for_the_handler_to_see);
    RUN(answers_come_as_requests_are_done);
    RUN(what_is_late_holds_nobody_up);
    RUN(a_lane_is_in_order);
    RUN(who_does_not_read_is_not_served);
    RUN(requests_of_one_connection_are_bounded);
    RUN(half_a_frame_that_stands_still_ends);
    RUN(an_answer_that_nobody_takes_ends_the_connection);
    RUN(a_client_may_go_at_any_time);
    RUN(parts_come_before_the_last);
    RUN(a_descriptor_comes_with_an_answer);
    RUN(connections_are_bounded);
    RUN(what_was_admitted_is_finished_at_a_stop);
    RUN(a_socket_that_is_taken_is_named_and_a_stale_one_replaced);
    return CHECK_DONE();
}
