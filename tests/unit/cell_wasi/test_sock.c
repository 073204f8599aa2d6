#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "double.h"

static struct wasi *w;
static int listener;
static struct sockaddr_in addr;

static void begin(void)
{
    socklen_t len = sizeof(addr);
    g_reset();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(bind(listener, (struct sockaddr *)&addr, len), 0);
    CHECK_EQ(listen(listener, 8), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    struct wasi_config config = {.stdio = {0, 1, 2}, .listen = &listener, .listen_count = 1};
    w = wasi_make(&config);
}

static void end(void)
{
    wasi_free(w);
    close(listener);
}

static int client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static uint32_t accept_one(uint32_t flags)
{
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_sock_accept(NULL, w, 3, flags, out), WASI_OK);
    return g_u32(out);
}

static int receive(uint32_t fd, uint32_t len, uint32_t flags, char text[256])
{
    uint32_t data = g_alloc(256), out = g_alloc(4), out_flags = g_alloc(2);
    int e = wasi_sock_recv(NULL, w, fd, g_iov(data, len), 1, flags, out, out_flags);
    uint32_t n = e == WASI_OK ? g_u32(out) : 0;
    memcpy(text, double_mem + data, n);
    text[n] = '\0';
    return e;
}

static int send_text(uint32_t fd, const char *text, uint32_t flags)
{
    uint32_t out = g_alloc(4);
    uint32_t data = g_put(text, strlen(text));
    return wasi_sock_send(NULL, w, fd, g_iov(data, (uint32_t)strlen(text)), 1, flags, out);
}

static void a_connection_is_accepted_and_echoed(void)
{
    char text[256] = "";
    begin();
    int c = client();
    uint32_t fd = accept_one(0);
    CHECK_EQ(fd, 4);
    CHECK_EQ(send(c, "ping", 4, 0), 4);
    CHECK_EQ(receive(fd, 255, 0, text), WASI_OK);
    CHECK_STR(text, "ping");
    CHECK_EQ(send_text(fd, "pong", 0), WASI_OK);
    char got[8] = "";
    CHECK_EQ(recv(c, got, 4, MSG_WAITALL), 4);
    CHECK_STR(got, "pong");
    CHECK_EQ(wasi_sock_shutdown(NULL, w, fd, SDFLAG_WR), WASI_OK);
    CHECK_EQ(recv(c, got, 4, 0), 0);
    CHECK_EQ(wasi_fd_close(NULL, w, fd), WASI_OK);
    close(c);
    end();
}

static void descriptors_calls_work_on_sockets(void)
{
    char text[256];
    uint32_t n;
    begin();
    int c = client();
    uint32_t fd = accept_one(0);
    uint32_t out = g_alloc(FDSTAT_BYTES);
    CHECK_EQ(wasi_fd_fdstat_get(NULL, w, fd, out), WASI_OK);
    CHECK_EQ(double_mem[out], FILETYPE_SOCKET_STREAM);
    CHECK_EQ(g_u64(out + 8), RIGHTS_SOCKET);
    CHECK_EQ(g_write(w, fd, "abc", &n), WASI_OK);
    CHECK_EQ(n, 3);
    CHECK_EQ(send(c, "xyz", 3, 0), 3);
    CHECK_EQ(g_read(w, fd, text), WASI_OK);
    CHECK_STR(text, "xyz");
    CHECK_EQ(wasi_fd_fdstat_get(NULL, w, 3, out), WASI_OK);
    CHECK((g_u64(out + 8) & RIGHT_SOCK_ACCEPT) != 0);
    close(c);
    end();
}

static void peeking_leaves_the_bytes_and_waitall_waits_for_all(void)
{
    char text[256];
    begin();
    int c = client();
    uint32_t fd = accept_one(0);
    CHECK_EQ(send(c, "abcdef", 6, 0), 6);
    CHECK_EQ(receive(fd, 3, RIFLAG_PEEK, text), WASI_OK);
    CHECK_STR(text, "abc");
    CHECK_EQ(receive(fd, 6, RIFLAG_WAITALL, text), WASI_OK);
    CHECK_STR(text, "abcdef");
    close(c);
    end();
}

static void nonblocking_sockets_say_again(void)
{
    char text[256];
    begin();
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, w, 3, FDFLAG_NONBLOCK), WASI_OK);
    CHECK_EQ(wasi_sock_accept(NULL, w, 3, 0, out), WASI_AGAIN);
    int c = client();
    uint32_t fd = accept_one(FDFLAG_NONBLOCK);
    CHECK_EQ(receive(fd, 16, 0, text), WASI_AGAIN);
    CHECK_EQ(wasi_fd_fdstat_set_flags(NULL, w, fd, 0), WASI_OK);
    CHECK_EQ(send(c, "x", 1, 0), 1);
    CHECK_EQ(receive(fd, 16, 0, text), WASI_OK);
    CHECK_STR(text, "x");
    close(c);
    end();
}

static void a_closed_peer_is_an_error_and_no_signal(void)
{
    begin();
    int c = client();
    uint32_t fd = accept_one(0);
    struct linger hard = {.l_onoff = 1};
    CHECK_EQ(setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    close(c);
    int e = WASI_OK;
    for (int i = 0; i < 3 && e == WASI_OK; i++) {
        e = send_text(fd, "x", 0);
    }
    CHECK(e == WASI_PIPE || e == WASI_CONNRESET);
    CHECK_EQ(send_text(fd, "x", 0), WASI_PIPE);
    end();
}

static void wrong_calls_are_refused(void)
{
    char text[256];
    begin();
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_sock_accept(NULL, w, 3, FDFLAG_APPEND, out), WASI_INVAL);
    CHECK_EQ(wasi_sock_accept(NULL, w, 3, 0, DOUBLE_MEM_BYTES - 3), WASI_FAULT);
    CHECK_EQ(wasi_sock_accept(NULL, w, 99, 0, out), WASI_BADF);
    CHECK_EQ(wasi_sock_accept(NULL, w, 1, 0, out), WASI_NOTSOCK);
    CHECK_EQ(receive(3, 4, 0, text), WASI_NOTCONN);
    CHECK_EQ(receive(0, 4, 0, text), WASI_NOTSOCK);
    CHECK_EQ(send_text(1, "x", 0), WASI_NOTSOCK);
    CHECK_EQ(wasi_sock_shutdown(NULL, w, 99, SDFLAG_RD), WASI_BADF);
    int c = client();
    uint32_t fd = accept_one(0);
    CHECK_EQ(receive(fd, 4, 4, text), WASI_INVAL);
    CHECK_EQ(send_text(fd, "x", 1), WASI_INVAL);
    CHECK_EQ(wasi_sock_shutdown(NULL, w, fd, 0), WASI_INVAL);
    CHECK_EQ(wasi_sock_shutdown(NULL, w, fd, 4), WASI_INVAL);
    close(c);
    end();
}

static void *connect_later(void *arg)
{
    (void)arg;
    int c = client();
    CHECK_EQ(send(c, "late", 4, 0), 4);
    close(c);
    return NULL;
}

static void a_blocking_accept_waits_for_a_connection(void)
{
    pthread_t thread;
    char text[256];
    begin();
    CHECK_EQ(pthread_create(&thread, NULL, connect_later, NULL), 0);
    uint32_t fd = accept_one(0);
    CHECK_EQ(receive(fd, 4, RIFLAG_WAITALL, text), WASI_OK);
    CHECK_STR(text, "late");
    pthread_join(thread, NULL);
    end();
}

static void a_stopped_cell_does_not_accept(void)
{
    begin();
    uint32_t out = g_alloc(4);
    atomic_store(&double_stop, STOP_REQUEST);
    CHECK_EQ(wasi_sock_accept(NULL, w, 3, 0, out), WASI_INTR);
    end();
    g_reset();
}

static void the_limit_on_open_files_leaves_connections_waiting(void)
{
    begin();
    w->files.open_max = 4;
    int c = client();
    uint32_t out = g_alloc(4);
    CHECK_EQ(wasi_sock_accept(NULL, w, 3, 0, out), WASI_MFILE);
    w->files.open_max = 5;
    CHECK_EQ(wasi_sock_accept(NULL, w, 3, 0, out), WASI_OK);
    close(c);
    end();
}

int main(void)
{
    RUN(a_connection_is_accepted_and_echoed);
    RUN(descriptors_calls_work_on_sockets);
    RUN(peeking_leaves_the_bytes_and_waitall_waits_for_all);
    RUN(nonblocking_sockets_say_again);
    RUN(a_closed_peer_is_an_error_and_no_signal);
    RUN(wrong_calls_are_refused);
    RUN(a_blocking_accept_waits_for_a_connection);
    RUN(a_stopped_cell_does_not_accept);
    RUN(the_limit_on_open_files_leaves_connections_waiting);
    return CHECK_DONE();
}
