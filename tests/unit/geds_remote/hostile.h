#ifndef TESTS_HOSTILE_H
#define TESTS_HOSTILE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* A server that answers the nth request by the nth step of a script, the last step again and
 * again. */

enum { HOSTILE_REQUESTS = 256, HOSTILE_HEAD_BYTES = 8192, HOSTILE_CONNECTIONS = 256 };

enum hostile_end { KEEP, CLOSE, RESET, HANG };
struct hostile;
struct step {
    const char *text; /* header and what follows */
    const char *body; /* behind a Content-Length and an empty line */
    size_t fill;      /* bytes 'x' behind it */
    enum hostile_end end;
    bool early;                                               /* without reading the body */
    void (*make)(const char *request, char *to, size_t size); /* instead of text */
};

struct hostile {
    int fd, stop;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    const struct step *steps;
    size_t step_count;
    char requests[HOSTILE_REQUESTS][HOSTILE_HEAD_BYTES]; /* their headers */
    size_t request_count;
    struct hostile_connection {
        struct hostile *h;
        int fd;
        pthread_t thread;
    } connections[HOSTILE_CONNECTIONS];
    size_t connection_count;
};

static bool hostile_stopped(struct hostile *h, int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = h->stop, .events = POLLIN}};
    while (poll(p, 2, -1) < 0) {
    }
    return p[1].revents != 0;
}

static void hostile_write(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

/* False: no further request. */
static bool hostile_read(struct hostile *h, int fd, char *head, size_t *ret_body)
{
    size_t len = 0;
    char *end = NULL;
    while (!end && len < HOSTILE_HEAD_BYTES - 1) {
        if (hostile_stopped(h, fd))
            return false;
        ssize_t n = recv(fd, head + len, HOSTILE_HEAD_BYTES - 1 - len, 0);
        if (n <= 0)
            return false;
        len += (size_t)n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    *ret_body = end ? len - (size_t)(end + 4 - head) : 0;
    if (end)
        end[4] = '\0';
    return end != NULL;
}

static void hostile_drain(struct hostile *h, int fd, const char *head, size_t have)
{
    char buffer[65536];
    unsigned long long want = 0;
    const char *length = strcasestr(head, "content-length: ");
    if (length && sscanf(length + 16, "%llu", &want) != 1)
        want = 0;
    while (have < want && !hostile_stopped(h, fd)) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            return;
        have += (size_t)n;
    }
}

static const struct step *hostile_log(struct hostile *h, const char *head)
{
    pthread_mutex_lock(&h->lock);
    size_t i = h->request_count;
    if (i < HOSTILE_REQUESTS) {
        snprintf(h->requests[i], HOSTILE_HEAD_BYTES, "%s", head);
        h->request_count++;
    }
    const struct step *s = &h->steps[i < h->step_count ? i : h->step_count - 1];
    pthread_cond_broadcast(&h->more);
    pthread_mutex_unlock(&h->lock);
    return s;
}

static void *hostile_connection(void *arg)
{
    struct hostile_connection *c = arg;
    struct hostile *h = c->h;
    int fd = c->fd;
    char head[HOSTILE_HEAD_BYTES], made[HOSTILE_HEAD_BYTES], fill[4096];
    size_t have;
    memset(fill, 'x', sizeof fill);
    while (hostile_read(h, fd, head, &have)) {
        const struct step *s = hostile_log(h, head);
        if (!s->early)
            hostile_drain(h, fd, head, have);
        const char *text = s->text;
        if (s->make) {
            s->make(head, made, sizeof made);
            text = made;
        }
        if (text)
            hostile_write(fd, text, strlen(text));
        if (s->body) {
            snprintf(made, sizeof made, "Content-Length: %zu\r\n\r\n", strlen(s->body));
            hostile_write(fd, made, strlen(made));
            hostile_write(fd, s->body, strlen(s->body));
        }
        for (size_t left = s->fill; left > 0;) {
            size_t n = left < sizeof fill ? left : sizeof fill;
            hostile_write(fd, fill, n);
            left -= n;
        }
        if (s->end == HANG) {
            struct pollfd p = {.fd = h->stop, .events = POLLIN};
            while (poll(&p, 1, -1) < 0) {
            }
        }
        if (s->end == RESET)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        if (s->end != KEEP)
            break;
    }
    close(fd);
    return NULL;
}

static void *hostile_accept(void *arg)
{
    struct hostile *h = arg;
    while (!hostile_stopped(h, h->fd) && h->connection_count < HOSTILE_CONNECTIONS) {
        int fd = accept(h->fd, NULL, NULL);
        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        size_t i = h->connection_count;
        h->connections[i].h = h;
        h->connections[i].fd = fd;
        if (pthread_create(&h->connections[i].thread, NULL, hostile_connection,
                           &h->connections[i]) != 0)
            abort();
        h->connection_count++;
    }
    return NULL;
}

static struct hostile *hostile_start(const struct step *steps, size_t count)
{
    struct hostile *h = calloc(1, sizeof *h);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    h->steps = steps;
    h->step_count = count;
    h->stop = eventfd(0, 0);
    h->fd = socket(AF_INET, SOCK_STREAM, 0);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->more, NULL);
    if (h->fd < 0 || h->stop < 0 || bind(h->fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(h->fd, 64) != 0 || getsockname(h->fd, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&h->thread, NULL, hostile_accept, h) != 0)
        abort();
    h->port = ntohs(a.sin_port);
    return h;
}

/* Wait for the nth request. */
__attribute__((unused)) static void hostile_await(struct hostile *h, size_t count)
{
    pthread_mutex_lock(&h->lock);
    while (h->request_count < count)
        pthread_cond_wait(&h->more, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

/* After the client has been closed: requests can be looked at. */
static void hostile_stop(struct hostile *h)
{
    uint64_t one = 1;
    if (write(h->stop, &one, sizeof one) != (ssize_t)sizeof one)
        abort();
    pthread_join(h->thread, NULL);
    for (size_t i = 0; i < h->connection_count; i++)
        pthread_join(h->connections[i].thread, NULL);
    close(h->fd);
    close(h->stop);
}

static void hostile_free(struct hostile *h)
{
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->more);
    free(h);
}

#endif
