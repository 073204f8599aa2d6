#ifndef TESTS_ETCD_SERVER_H
#define TESTS_ETCD_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* A real etcd on loopback, and a proxy before it that does to answers what networks and tired servers do. */

enum { ANSWER_CUT = 40, PIECE = 32 * 1024 };
enum { FIRST_PORT = 10000, PORTS = 20000, TRIES_MAX = 100 };
enum proxy_mode {
    PASS,
    REFUSE,  /* no connection lives */
    HOLD,    /* nothing gets through, and nobody is told */
    SWALLOW, /* requests get through, answers do not */
    SLOW,    /* answers come late */
    BUSY,    /* 503, and the request does not get through */
    CUT,     /* answers end early */
    TRICKLE, /* answers come in little pieces */
    /* These are of transactions only: */
    LOSE,      /* it gets through, its answer does not, and then nobody listens */
    LOSE_FULL, /* it gets through, its answer does not, and then there is no room */
    FULL,      /* etcd says that it has no room */
    FULL_MADE, /* etcd says so as well, of what it has made */
    SLOW_KEYS, /* its answer comes very late, and so do those to ranges */
    GONE,      /* nobody listens */
};
static unsigned quota_bytes; /* 0: etcd's own */
struct server {
    char folder[80];
    char program[512];
    unsigned port, peer_port, proxy_port;
    pid_t pid;
    int listen_fd;
    pthread_t proxy;
    _Atomic int mode;
    _Atomic unsigned times; /* the mode is over after so many requests; 0: never */
    _Atomic bool stop;
    _Atomic unsigned flows; /* that live */
    _Atomic bool listens;
};

static void wait_ms(unsigned ms)
{
    poll(NULL, 0, (int)ms);
}

/* -1: the port is taken. */
static int try_listen(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0) {
        return fd;
    }
    if (fd < 0 || errno != EADDRINUSE) {
        perror("listen");
        exit(1);
    }
    close(fd);
    return -1;
}

/* *port 0: a free one, which it is then. Not one that the kernel gives connections: it must be free again when what
 * listens there is started anew. */
static int listen_at(unsigned *port)
{
    static unsigned tried;
    int fd = -1;
    unsigned at = *port;
    for (int i = 0; i < TRIES_MAX && fd < 0; i++) {
        if (*port == 0) {
            at = FIRST_PORT + ((unsigned)getpid() * 31 + tried++) % PORTS;
        }
        fd = try_listen(at);
    }
    if (fd < 0) {
        fprintf(stderr, "listen: port %u is taken\n", at);
        exit(1);
    }
    *port = at;
    return fd;
}

static int connect_to(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct flow {
    struct server *s;
    int client, etcd;
};

static bool pass_on(int to, const char *data, ssize_t len)
{
    for (ssize_t done = 0; done < len;) {
        ssize_t n = send(to, data + done, (size_t)(len - done), MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        done += n;
    }
    return true;
}

static bool is_begin(const char *data, ssize_t len)
{
    return len > 4 && memcmp(data, "POST", 4) == 0;
}

/* What is done to the next bytes; former: to those before. A mode of some requests is counted where they begin. */
static int mode_of(struct server *s, const char *data, ssize_t len, int former)
{
    int mode = atomic_load(&s->mode);
    bool begins = is_begin(data, len);
    if (former >= LOSE && !begins) {
        return former;
    }
    const char *path = mode == SLOW_KEYS ? "/kv/" : "/kv/txn ";
    if (mode >= LOSE && (!begins || memmem(data, (size_t)len, path, strlen(path)) == NULL)) {
        return PASS;
    }
    if (begins && mode != PASS && atomic_load(&s->times) > 0 &&
        atomic_fetch_sub(&s->times, 1) == 1) {
        atomic_store(&s->mode, PASS);
    }
    return mode;
}

static bool say(int fd, const char *status, const char *body)
{
    char answer[256];
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                       status, strlen(body), body);
    return pass_on(fd, answer, len);
}

static bool say_full(int fd)
{
    return say(fd, "429 Too Many Requests",
               "{\"error\":\"etcdserver: mvcc: database space exceeded\",\"code\":8}");
}

/* False: the connection ends. */
static bool on_request(struct flow *f, int mode, const char *data, ssize_t len)
{
    if (len <= 0 || mode == REFUSE || mode == GONE) {
        return false;
    }
    if (mode == BUSY) {
        return say(f->client, "503 Service Unavailable", "{}") && false;
    }
    if (mode == FULL) {
        return !is_begin(data, len) || say_full(f->client);
    }
    return pass_on(f->etcd, data, len);
}

static bool trickle(int to, const char *data, ssize_t len)
{
    for (ssize_t at = 0; at < len; at += PIECE) {
        if (!pass_on(to, data + at, len - at < PIECE ? len - at : PIECE)) {
            return false;
        }
        wait_ms(100);
    }
    return true;
}

static bool on_answer(struct flow *f, int mode, const char *data, ssize_t len)
{
    if (mode == SLOW) {
        wait_ms(300);
    }
    if (mode == SLOW_KEYS) {
        wait_ms(1000);
    }
    if (len > 0 && mode == FULL_MADE) {
        return say_full(f->client);
    }
    if (len > 0 && mode == LOSE) {
        atomic_store(&f->s->times, 0);
        atomic_store(&f->s->mode, GONE);
        while (atomic_load(&f->s->listens)) {
            wait_ms(1);
        }
        return false;
    }
    if (len > 0 && mode == LOSE_FULL) {
        atomic_store(&f->s->times, 1);
        atomic_store(&f->s->mode, FULL);
        return false;
    }
    if (len > 0 && mode == TRICKLE) {
        return trickle(f->client, data, len);
    }
    len = mode == CUT && len > ANSWER_CUT ? len - ANSWER_CUT : len;
    return len > 0 && mode != SWALLOW && pass_on(f->client, data, len) && mode != CUT;
}

static void *run_flow(void *arg)
{
    struct flow f = *(struct flow *)arg;
    char data[65536];
    int mode = PASS;
    free(arg);
    while (!atomic_load(&f.s->stop)) {
        struct pollfd p[] = {{.fd = f.client, .events = POLLIN}, {.fd = f.etcd, .events = POLLIN}};
        int now = atomic_load(&f.s->mode);
        if (now == REFUSE || now == GONE) {
            break;
        }
        if (now == HOLD) {
            wait_ms(5);
            continue;
        }
        if (poll(p, 2, 20) <= 0) {
            continue;
        }
        if (p[0].revents != 0) {
            ssize_t n = recv(f.client, data, sizeof data, 0);
            mode = n > 0 ? mode_of(f.s, data, n, mode) : mode;
            if (!on_request(&f, mode, data, n)) {
                break;
            }
        }
        if (p[1].revents != 0) {
            ssize_t n = recv(f.etcd, data, sizeof data, 0);
            if (!on_answer(&f, mode, data, n)) {
                break;
            }
        }
    }
    close(f.client);
    close(f.etcd);
    atomic_fetch_sub(&f.s->flows, 1);
    return NULL;
}

/* False: nobody listens. */
static bool proxy_listens(struct server *s)
{
    bool wanted = atomic_load(&s->mode) != GONE;
    if (!wanted && s->listen_fd >= 0) {
        close(s->listen_fd);
        s->listen_fd = -1;
    } else if (wanted && s->listen_fd < 0) {
        s->listen_fd = listen_at(&s->proxy_port);
    }
    atomic_store(&s->listens, wanted);
    return wanted;
}

static void *run_proxy(void *arg)
{
    struct server *s = arg;
    while (!atomic_load(&s->stop)) {
        if (!proxy_listens(s)) {
            wait_ms(1);
            continue;
        }
        struct pollfd p = {.fd = s->listen_fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0 || atomic_load(&s->mode) == HOLD) {
            continue;
        }
        struct flow *f = malloc(sizeof *f);
        pthread_t thread;
        *f = (struct flow){.s = s, .client = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC)};
        f->etcd = atomic_load(&s->mode) == REFUSE ? -1 : connect_to(s->port);
        atomic_fetch_add(&s->flows, 1);
        if (f->etcd < 0 || pthread_create(&thread, NULL, run_flow, f) != 0) {
            atomic_fetch_sub(&s->flows, 1);
            close(f->client);
            free(f);
            continue;
        }
        pthread_detach(thread);
    }
    return NULL;
}

static void find_program(struct server *s)
{
    const char *deps = getenv("CLOUDSKIN_DEPS"), *cache = getenv("XDG_CACHE_HOME");
    if (deps != NULL) {
        snprintf(s->program, sizeof s->program, "%s/etcd/etcd", deps);
    } else if (cache != NULL) {
        snprintf(s->program, sizeof s->program, "%s/cloudskin/deps/etcd/etcd", cache);
    } else {
        snprintf(s->program, sizeof s->program, "%s/.cache/cloudskin/deps/etcd/etcd",
                 getenv("HOME"));
    }
    if (access(s->program, X_OK) != 0) {
        snprintf(s->program, sizeof s->program, "/usr/bin/etcd");
    }
}

static void server_begin(struct server *s)
{
    char client[64], peer[64], cluster[80], data[96], quota[16];
    snprintf(quota, sizeof quota, "%u", quota_bytes);
    snprintf(client, sizeof client, "http://127.0.0.1:%u", s->port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", s->peer_port);
    snprintf(cluster, sizeof cluster, "default=%s", peer);
    snprintf(data, sizeof data, "%s/etcd", s->folder);
    fflush(stdout);
    s->pid = fork();
    if (s->pid == 0) {
        char log[96];
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        snprintf(log, sizeof log, "%s/etcd.log", s->folder);
        if (freopen(log, "a", stdout) == NULL || dup2(1, 2) < 0) {
            _exit(1);
        }
        execl(s->program, "etcd", "--data-dir", data, "--listen-client-urls", client,
              "--advertise-client-urls", client, "--listen-peer-urls", peer,
              "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
              "--heartbeat-interval", "50", "--election-timeout", "500", "--quota-backend-bytes",
              quota, (char *)NULL);
        _exit(1);
    }
    int fd = -1;
    for (int i = 0; i < 1000 && (fd = connect_to(s->port)) < 0; i++) {
        wait_ms(20);
    }
    if (fd < 0) {
        fprintf(stderr, "%s does not serve (tools/deps etcd): see %s/etcd.log\n", s->program,
                s->folder);
        exit(1);
    }
    close(fd);
}

static void server_kill(struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static void server_start(struct server *s, const char *folder)
{
    int fds[2];
    *s = (struct server){.times = 0};
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    find_program(s);
    fds[0] = listen_at(&s->port);
    fds[1] = listen_at(&s->peer_port);
    close(fds[0]);
    close(fds[1]);
    s->listen_fd = listen_at(&s->proxy_port);
    server_begin(s);
    CHECK_EQ(pthread_create(&s->proxy, NULL, run_proxy, s), 0);
}

static void server_stop(struct server *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->proxy, NULL);
    while (atomic_load(&s->flows) > 0) {
        wait_ms(1);
    }
    server_kill(s);
    close(s->listen_fd);
}

#endif
