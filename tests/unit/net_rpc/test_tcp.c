#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "check.h"
#include "net/rpc/address.h"
#include "net/rpc/server.h"

/* TCP: addresses, who is let in, and a transport that changes each byte and gives and takes few at a time. */

enum { PATIENCE_MS = 20000, GREET_MS = 300, PIECE = 700, ECHO = 1 };

static struct error err;
static const char *shown_name = "somebody"; /* of its certificate */
static struct rpc_server *server;
static int listen_fd;
static char name[RPC_TCP_NAME_BYTES];
static _Atomic unsigned refusals;

struct link {
    int fd;
    unsigned calls;
};

static void *link_open(void *ctx, int fd)
{
    struct link *l = calloc(1, sizeof *l);
    CHECK(ctx == &listen_fd);
    l->fd = fd;
    return l;
}

/* One byte of greeting, each way. */
static status_t link_shake(void *link, bool *ret_room, struct rpc_peer *ret_peer, struct error *why)
{
    struct link *l = link;
    char byte = 0;
    ssize_t n = recv(l->fd, &byte, 1, MSG_DONTWAIT);
    *ret_room = false;
    if (n < 0 && errno == EAGAIN) {
        return ST_AGAIN;
    }
    if (n != 1 || byte != '?' || send(l->fd, "!", 1, MSG_NOSIGNAL) != 1) {
        return error_set(why, ST_FORMAT, ERROR_NO_OFFSET, "no greeting");
    }
    snprintf(ret_peer->name, sizeof ret_peer->name, "%s", shown_name);
    return ST_OK;
}

static void change(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        data[i] ^= 0x5a;
    }
}

/* Each third call has to be made again. */
static bool is_busy(struct link *l)
{
    errno = EAGAIN;
    return ++l->calls % 3 == 0;
}

static ssize_t link_receive(void *link, void *data, size_t len, bool *ret_room)
{
    struct link *l = link;
    CHECK(len >= RPC_RECEIVE_MIN);
    *ret_room = is_busy(l); /* there is room: it is asked again at once */
    ssize_t n = *ret_room ? -1 : recv(l->fd, data, PIECE, MSG_DONTWAIT);
    if (n > 0) {
        change(data, (size_t)n);
    }
    return n;
}

static ssize_t link_send(void *link, const void *data, size_t len)
{
    struct link *l = link;
    uint8_t changed[PIECE];
    size_t n = len < PIECE ? len : PIECE;
    if (is_busy(l)) {
        return -1;
    }
    memcpy(changed, data, n);
    change(changed, n);
    return send(l->fd, changed, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const struct rpc_transport transport = {link_open, free, link_shake, link_receive,
                                               link_send};

static void *session_new(void *ctx, const struct rpc_peer *peer, struct error *why)
{
    CHECK(!peer->local);
    bool good = peer->token != NULL ? strncmp(peer->token, "good", 4) == 0
                                    : strncmp(peer->name, "known", 5) == 0;
    if (!good) {
        error_set(why, ST_PERM, ERROR_NO_OFFSET, "%s is a stranger", peer->name);
        return NULL;
    }
    return ctx;
}

static void session_free(void *session)
{
    (void)session;
}

static bool is_quick(void *session, const struct rpc_request *r)
{
    (void)session;
    return r->data_bytes < 100;
}

static void run(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                struct rpc_answer *answer)
{
    (void)session, (void)reply;
    rpc_result_encode(ST_OK, NULL, &answer->args);
    buf_bytes(&answer->data, r->data, r->data_bytes);
}

static void refused(void *ctx, const char *address, const struct error *why)
{
    CHECK(ctx == &refusals);
    CHECK(strncmp(address, "127.0.0.", 8) == 0);
    CHECK(why->text[0] != '\0');
    atomic_fetch_add(&refusals, 1);
}

static unsigned greet_ms = GREET_MS;
static void start(const struct rpc_transport *t)
{
    static const struct rpc_handler handler = {session_new, session_free, is_quick, run};
    static struct rpc_tcp tcp;
    bool loopback = false;
    CHECK_EQ(rpc_tcp_listen("localhost:0", &listen_fd, name, &loopback, &err), ST_OK);
    CHECK(loopback);
    tcp = (struct rpc_tcp){.listen_fd = listen_fd,
                           .transport = t,
                           .ctx = &listen_fd,
                           .refused = refused,
                           .refused_ctx = &refusals,
                           .greet_ms = greet_ms};
    const struct rpc_server_options o = {
        .listen_fd = -1, .tcp = &tcp, .handler = &handler, .ctx = &server};
    atomic_store(&refusals, 0);
    CHECK_EQ(rpc_server_start(&o, &server, &err), ST_OK);
}

static void stop(void)
{
    rpc_server_stop(server);
    close(listen_fd);
}

static int dial(void)
{
    struct rpc_address a = {.scheme = RPC_TCP};
    int fd = -1;
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    CHECK_EQ(rpc_tcp_split(name, a.host, &a.port, &err), ST_OK);
    CHECK_EQ(rpc_connect(&a, RPC_QUEUE_MS, &fd, &err), ST_OK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static bool get_bytes(int fd, void *data, size_t len, bool changed)
{
    uint8_t *to = data;
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, to + at, len - at, 0);
        if (n <= 0) {
            return false;
        }
        at += (size_t)n;
    }
    if (changed) {
        change(data, len);
    }
    return true;
}

static void put(int fd, uint16_t kind, const struct buf *args, const void *data, size_t len,
                bool changed)
{
    struct buf b = {0};
    uint8_t head[RPC_HEADER_BYTES];
    const struct rpc_frame f = {.args_bytes = (uint32_t)args->len,
                                .data_bytes = (uint32_t)len,
                                .id = 7,
                                .room = RPC_DATA_MAX,
                                .kind = kind,
                                .args_crc = hash_crc32c(0, args->data, args->len),
                                .data_crc = hash_crc32c(0, data, len)};
    rpc_frame_encode(&f, head);
    buf_bytes(&b, head, sizeof head);
    buf_bytes(&b, args->data, args->len);
    buf_bytes(&b, data, len);
    if (changed) {
        change(b.data, b.len);
    }
    CHECK_EQ(send(fd, b.data, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
    buf_done(&b);
}

/* The status of an answer; its data, if there is room for them. */
static status_t get(int fd, uint8_t *data, size_t room, bool changed)
{
    uint8_t head[RPC_HEADER_BYTES], args[1024];
    struct rpc_frame f;
    struct cursor c;
    if (!get_bytes(fd, head, sizeof head, changed) || rpc_frame_decode(head, &f, &err) != ST_OK ||
        f.args_bytes > sizeof args || f.data_bytes > room ||
        !get_bytes(fd, args, f.args_bytes, changed) ||
        !get_bytes(fd, data, f.data_bytes, changed)) {
        return ST_IO;
    }
    cursor_init(&c, args, f.args_bytes, 0);
    return rpc_result_decode(&c, &err);
}

static status_t greet(int fd, const char *token, bool changed)
{
    struct buf args = {0};
    rpc_hello_encode(1, 1, &args);
    if (token != NULL) {
        buf_text(&args, token);
    }
    put(fd, RPC_HELLO, &args, NULL, 0, changed);
    buf_done(&args);
    return get(fd, NULL, 0, changed);
}

static bool ends(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) <= 0 && errno != EAGAIN;
}

static void who_has_no_token_is_told_so(void)
{
    start(NULL);
    int fd = dial();
    CHECK_EQ(greet(fd, NULL, false), ST_PERM);
    CHECK(ends(fd));
    close(fd);
    fd = dial();
    CHECK_EQ(greet(fd, "bad", false), ST_PERM);
    close(fd);
    fd = dial();
    CHECK_EQ(greet(fd, "good", false), ST_OK);
    CHECK_EQ(atomic_load(&refusals), 2);
    close(fd);
    stop();
}

static void frames_pass_a_transport_that_takes_and_gives_little(void)
{
    static uint8_t sent[600000], got[sizeof sent];
    char byte;
    for (size_t i = 0; i < sizeof sent; i++) {
        sent[i] = (uint8_t)(i * 7 + i / 256);
    }
    start(&transport);
    int fd = dial();
    CHECK_EQ(send(fd, "?", 1, 0), 1);
    CHECK_EQ(recv(fd, &byte, 1, 0), 1);
    CHECK_EQ(greet(fd, "good", true), ST_OK);
    for (size_t len = 0; len <= sizeof sent; len = len * 3 + 1) {
        const struct buf none = {0};
        put(fd, ECHO, &none, sent, len, true);
        CHECK_EQ(get(fd, got, sizeof got, true), ST_OK);
        CHECK(memcmp(sent, got, len) == 0);
    }
    close(fd);
    stop();
}

static void a_handshake_that_fails_ends_the_connection(void)
{
    start(&transport);
    int fd = dial();
    CHECK_EQ(send(fd, "x", 1, 0), 1);
    CHECK(ends(fd));
    close(fd);
    CHECK_EQ(atomic_load(&refusals), 1);
    stop();
}

static void who_says_nothing_is_ended_in_time(void)
{
    start(&transport);
    int silent = dial(), half = dial();
    CHECK_EQ(send(half, "?", 1, 0), 1); /* a handshake, then nothing */
    char byte;
    CHECK_EQ(recv(half, &byte, 1, 0), 1);
    CHECK(ends(silent));
    CHECK(ends(half));
    close(silent);
    close(half);
    CHECK_EQ(atomic_load(&refusals), 2);
    stop();
}

static bool has_connections(unsigned most)
{
    struct rpc_server_counters n;
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        rpc_server_counters(server, &n);
        if (n.connections <= most) {
            return true;
        }
        poll(NULL, 0, 10);
    }
    return false;
}

static void strangers_push_each_other_out_and_nobody_else(void)
{
    static int fds[4 * RPC_STRANGERS_MAX];
    const struct buf none = {0};
    start(NULL);
    int known = dial();
    CHECK_EQ(greet(known, "good", false), ST_OK);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = dial();
    }
    int late = dial();
    CHECK_EQ(greet(late, "good", false), ST_OK);
    put(known, ECHO, &none, NULL, 0, false);
    CHECK_EQ(get(known, NULL, 0, false), ST_OK);
    CHECK(has_connections(2 * RPC_STRANGERS_MAX + 2));
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        close(fds[i]);
    }
    close(known);
    close(late);
    CHECK(has_connections(0));
    stop();
}

/* As dial, from another address of this machine. */
static int dial_from(uint32_t address)
{
    struct sockaddr_in to;
    socklen_t len = sizeof to;
    int first = dial(), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    CHECK_EQ(getpeername(first, (struct sockaddr *)&to, &len), 0);
    close(first);
    CHECK_EQ(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void a_flood_from_one_address_pushes_out_itself(void)
{
    static int fds[4 * RPC_STRANGERS_MAX];
    enum { OTHERS = 8 };
    int others[OTHERS];
    greet_ms = PATIENCE_MS;
    start(NULL);
    greet_ms = GREET_MS;
    for (uint32_t i = 0; i < OTHERS; i++) { /* older than all of the flood */
        others[i] = dial_from(INADDR_LOOPBACK + 1 + i);
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = dial();
    }
    CHECK(has_connections(2 * RPC_STRANGERS_MAX));
    for (size_t i = 0; i < OTHERS; i++) {
        CHECK_EQ(greet(others[i], "good", false), ST_OK);
        close(others[i]);
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        close(fds[i]);
    }
    CHECK(has_connections(0));
    stop();
}

/* Connections of one client, until it gets no more; those that were let in stay. how_many: of fds. */
static size_t take_places(int *fds, size_t how_many, const char *token, bool changed)
{
    size_t count = 0;
    status_t st = ST_OK;
    while (st == ST_OK && count < how_many) {
        char byte;
        fds[count] = dial();
        if (changed) {
            CHECK_EQ(send(fds[count], "?", 1, 0), 1);
            CHECK_EQ(recv(fds[count], &byte, 1, 0), 1);
        }
        st = greet(fds[count], token, changed);
        if (st == ST_OK) {
            count++;
        }
    }
    if (st != ST_OK) {
        CHECK_EQ(st, ST_LIMIT);
        close(fds[count]);
    }
    return count;
}

static bool is_let_in(const char *token)
{
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        int fd = dial();
        status_t st = greet(fd, token, false);
        close(fd);
        if (st == ST_OK) {
            return true;
        }
        poll(NULL, 0, 10); /* the end of others is not noticed yet */
    }
    return false;
}

static void a_token_leaves_places_for_others(void)
{
    static int fds[RPC_CONNECTIONS_MAX + 1], rest[RPC_CONNECTIONS_MAX + 1];
    static const char *const others[] = {"good-2", "good-3"};
    enum { MANY = sizeof fds / sizeof fds[0] };
    const struct buf none = {0};
    start(NULL);
    CHECK_EQ(take_places(fds, MANY, "good-1", false), (size_t)RPC_CONNECTIONS_OF_ONE_MAX);
    CHECK(strstr(err.text, "this token has 128 connections already") != NULL);
    CHECK(RPC_CONNECTIONS_OF_ONE_MAX < RPC_CONNECTIONS_MAX);
    CHECK_EQ(take_places(rest, MANY, others[0], false),
             (size_t)RPC_CONNECTIONS_MAX - RPC_CONNECTIONS_OF_ONE_MAX);
    int fd = dial();
    CHECK_EQ(greet(fd, others[1], false), ST_LIMIT); /* all are taken, by two */
    CHECK(strstr(err.text, "the store has as many connections") != NULL);
    close(fd);
    put(fds[0], ECHO, &none, NULL, 0, false);
    CHECK_EQ(get(fds[0], NULL, 0, false), ST_OK);
    close(fds[0]); /* and its place is somebody's again, also its own */
    CHECK(is_let_in("good-1"));
    for (size_t i = 1; i < RPC_CONNECTIONS_OF_ONE_MAX; i++) {
        close(fds[i]);
    }
    for (size_t i = 0; i < RPC_CONNECTIONS_MAX - RPC_CONNECTIONS_OF_ONE_MAX; i++) {
        close(rest[i]);
    }
    CHECK(has_connections(0));
    CHECK_EQ(take_places(fds, RPC_CONNECTIONS_OF_ONE_MAX, "good-1", false),
             (size_t)RPC_CONNECTIONS_OF_ONE_MAX);
    for (size_t i = 0; i < RPC_CONNECTIONS_OF_ONE_MAX; i++) {
        close(fds[i]);
    }
    stop();
}

static void wrong_tokens_take_nobodys_places(void)
{
    start(NULL);
    for (size_t i = 0; i < 2 * (size_t)RPC_CONNECTIONS_OF_ONE_MAX; i++) {
        int fd = dial();
        CHECK_EQ(greet(fd, "bad", false), ST_PERM);
        CHECK(ends(fd));
        close(fd);
    }
    CHECK(is_let_in("good"));
    stop();
}

static void a_certificate_leaves_places_for_others(void)
{
    static int fds[RPC_CONNECTIONS_MAX + 1];
    int other[1], with_token[1];
    start(&transport);
    shown_name = "known";
    CHECK_EQ(take_places(fds, RPC_CONNECTIONS_MAX, NULL, true), (size_t)RPC_CONNECTIONS_OF_ONE_MAX);
    CHECK(strstr(err.text, "the certificate \"known\" has 128 connections already") != NULL);
    CHECK_EQ(take_places(with_token, 1, "good", true),
             1U); /* it counts more than the certificate */
    shown_name = "known too";
    CHECK_EQ(take_places(other, 1, NULL, true), 1U);
    shown_name = "somebody";
    close(with_token[0]);
    close(other[0]);
    for (size_t i = 0; i < RPC_CONNECTIONS_OF_ONE_MAX; i++) {
        close(fds[i]);
    }
    stop();
}

static void a_long_hello_is_refused_before_it_is_read(void)
{
    struct buf args = {0};
    start(NULL);
    int fd = dial();
    rpc_hello_encode(1, 1, &args);
    buf_fill(&args, 'x', RPC_HELLO_MAX);
    put(fd, RPC_HELLO, &args, NULL, 0, false);
    CHECK_EQ(get(fd, NULL, 0, false), ST_FORMAT);
    buf_done(&args);
    close(fd);
    stop();
}

static void addresses_are_taken_apart(void)
{
    static const char *const bad[] = {"",       ":1",    "a",    "a:",   "a:x",  "a:65536",
                                      "::1:80", "[::1]", "[]:1", "a:-1", "a: 1", "[::1]x:1"};
    char host[RPC_HOST_MAX + 1] = "before";
    uint16_t port = 9;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(rpc_tcp_split(bad[i], host, &port, &err), ST_INVAL);
        CHECK_STR(host, "before");
    }
    CHECK_EQ(rpc_tcp_split("[::1]:7700", host, &port, &err), ST_OK);
    CHECK_STR(host, "::1");
    CHECK_EQ(port, 7700);
    struct rpc_address a;
    CHECK_EQ(rpc_address_parse("tls://store.example.org", &a, &err), ST_OK);
    CHECK(a.scheme == RPC_TLS && a.port == RPC_PORT);
    CHECK_STR(a.host, "store.example.org");
    CHECK_EQ(rpc_address_parse("tls://[fe80::1]", &a, &err), ST_OK);
    CHECK_STR(a.host, "fe80::1");
    CHECK_EQ(rpc_address_parse("tcp://127.0.0.1:80", &a, &err), ST_OK);
    CHECK(a.scheme == RPC_TCP && a.port == 80);
    CHECK_EQ(rpc_address_parse("unix:/x", &a, &err), ST_OK);
    CHECK(a.scheme == RPC_UNIX);
    CHECK_EQ(rpc_address_parse("tls://", &a, &err), ST_INVAL);
    CHECK_EQ(rpc_address_parse("http://x", &a, &err), ST_INVAL);
    int fd = -1;
    CHECK_EQ(rpc_tcp_connect_loopback("192.0.2.1", 80, RPC_QUEUE_MS, &fd, &err), ST_INVAL);
    CHECK_EQ(fd, -1);
}

static void tokens_come_from_the_environment_or_a_file_of_ones_own(void)
{
    char token[RPC_TOKEN_MAX + 1] = "", path[] = "/tmp/rpc-token-XXXXXX";
    int fd = mkstemp(path);
    CHECK_EQ(write(fd, "from-a-file\n", 12), 12);
    unsetenv("CLOUDSKIN_TOKEN");
    setenv("CLOUDSKIN_TOKEN_FILE", path, 1);
    CHECK_EQ(rpc_token(token, &err), ST_OK);
    CHECK_STR(token, "from-a-file");
    CHECK_EQ(fchmod(fd, 0644), 0);
    CHECK_EQ(rpc_token(token, &err), ST_PERM);
    setenv("CLOUDSKIN_TOKEN", "of its own", 1);
    CHECK_EQ(rpc_token(token, &err), ST_INVAL);
    setenv("CLOUDSKIN_TOKEN", "own", 1);
    CHECK_EQ(rpc_token(token, &err), ST_OK);
    CHECK_STR(token, "own");
    unsetenv("CLOUDSKIN_TOKEN");
    unlink(path);
    CHECK_EQ(rpc_token(token, &err), ST_NOTFOUND);
    unsetenv("CLOUDSKIN_TOKEN_FILE");
    CHECK_EQ(rpc_token(token, &err), ST_OK);
    CHECK_STR(token, "");
    close(fd);
}

int main(void)
{
    RUN(who_has_no_token_is_told_so);
    RUN(frames_pass_a_transport_that_takes_and_gives_little);
    RUN(a_handshake_that_fails_ends_the_connection);
    RUN(who_says_nothing_is_ended_in_time);
    RUN(strangers_push_each_other_out_and_nobody_else);
    RUN(a_flood_from_one_address_pushes_out_itself);
    RUN(a_token_leaves_places_for_others);
    RUN(wrong_tokens_take_nobodys_places);
    RUN(a_certificate_leaves_places_for_others);
    RUN(a_long_hello_is_refused_before_it_is_read);
    RUN(addresses_are_taken_apart);
    RUN(tokens_come_from_the_environment_or_a_file_of_ones_own);
    return CHECK_DONE();
}
