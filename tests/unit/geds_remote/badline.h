#ifndef TESTS_BADLINE_H
#define TESTS_BADLINE_H

#include "ours.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* A line to our own server that breaks each connection somewhere. */

enum { LINES = 65536 };

static int listener, stopping;
static unsigned port;
static atomic_uint line_count, cut_count, refused_count;
static pthread_t line_threads[LINES];

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x7fb5d329728ea185;
    x ^= x >> 27;
    x *= 0x81dadef4bc2dd44d;
    return x ^ x >> 33;
}

static int connect_up(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_server_port(server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        abort();
    return fd;
}

/* Move what is there; false: that is the end. A request that is cut loses its last byte at
 * least, and an answer has begun: so nothing that the server was asked happens later than what
 * the client does next. */
static bool move(int from, int to, uint64_t *left)
{
    char buffer[16384];
    ssize_t n = recv(from, buffer, sizeof buffer, 0);
    if (n <= 0)
        return false;
    size_t len = (uint64_t)n < *left ? (size_t)n : (size_t)*left - 1;
    *left -= (uint64_t)n < *left ? (uint64_t)n : *left;
    for (size_t done = 0; done < len;) {
        ssize_t m = send(to, buffer + done, len - done, MSG_NOSIGNAL);
        if (m <= 0)
            return false;
        done += (size_t)m;
    }
    return *left > 0;
}

static void *run_line(void *arg)
{
    int down = (int)(intptr_t)arg, up;
    uint64_t random = mix(line_count++ + 12345), left[2] = {UINT64_MAX, UINT64_MAX};
    char buffer[4096];
    if (random % 16 == 0) {
        static const char busy[] = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n";
        if (recv(down, buffer, sizeof buffer, 0) > 0 &&
            send(down, busy, sizeof busy - 1, MSG_NOSIGNAL) > 0)
            refused_count++;
        close(down);
        return NULL;
    }
    up = connect_up();
    setsockopt(down, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    bool answers = random >> 4 & 1; /* those of a PUT are short */
    uint64_t scale = UINT64_C(1) << (answers ? 5 + (random >> 8) % 8 : 6 + (random >> 8) % 11);
    left[answers] = scale + (random >> 16) % scale;
    for (bool on = true; on;) {
        struct pollfd p[3] = {{.fd = down, .events = POLLIN},
                              {.fd = up, .events = POLLIN},
                              {.fd = stopping, .events = POLLIN}};
        if (poll(p, 3, -1) < 0)
            continue;
        on = p[2].revents == 0;
        if (on && p[0].revents)
            on = move(down, up, &left[0]);
        if (on && p[1].revents)
            on = move(up, down, &left[1]);
    }
    cut_count += left[0] == 0 || left[1] == 0;
    close(up);
    setsockopt(down, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(down);
    return NULL;
}

static void *accept_lines(void *arg)
{
    size_t *count = arg;
    while (*count < LINES) {
        struct pollfd p[2] = {{.fd = listener, .events = POLLIN},
                              {.fd = stopping, .events = POLLIN}};
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents)
            break;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 &&
            pthread_create(&line_threads[(*count)++], NULL, run_line, (void *)(intptr_t)fd) != 0)
            abort();
    }
    return NULL;
}

static void open_line(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    stopping = eventfd(0, 0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (stopping < 0 || listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(listener, 64) != 0 || getsockname(listener, (struct sockaddr *)&a, &len) != 0)
        abort();
    port = ntohs(a.sin_port);
}

#endif
