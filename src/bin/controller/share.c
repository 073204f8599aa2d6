#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "client/state.h"
#include "geds/etcd/etcd.h"
#include "net/rpc/server.h"
#include "sys/clock.h"
#include "sys/thread.h"

enum {
    COPY_AGAIN_MS = 1000,
    /* who sends a copy and stands still: whether that one leads still is looked at, and for how long that counts */
    COPY_STILL_MS = 5000,
    COPY_LOOK_MS = 1000,
    COPY_MADE_MS = 600000, /* before the first byte: the leader makes the copy then */
    COPY_MS = 60000,
};

struct share {
    struct share_ways ways;
    struct etcd *etcd;
    char address[SHARED_ADDRESS_MAX + 1];
    char folder[PATH_MAX]; /* of the store */
    pthread_t thread;      /* in etcd_follow */
    _Atomic bool ended;    /* that one; then it has: */
    status_t status;
    struct error err;
    _Atomic bool news; /* who leads is known, or that etcd is away */
    _Atomic bool lost; /* it leads no more since controller_share_follow returned */
    pthread_mutex_t m; /* guards the rest */
    pthread_cond_t wake;
    bool stop;
};

/* ---- what clients are told ---- */

static void *refuse(void *ctx, const struct rpc_peer *peer, struct error *err)
{
    struct share *s = ctx;
    char leader[SHARED_ADDRESS_MAX + 1];
    (void)peer;
    etcd_leader(s->etcd, leader);
    if (leader[0] != '\0' && strcmp(leader, s->address) != 0) {
        error_set(err, ST_MOVED, ERROR_NO_OFFSET, "not the leader, it is %s", leader);
    } else {
        error_set(err, ST_MOVED, ERROR_NO_OFFSET, "not the leader: none is known now");
    }
    return NULL;
}

static void no_session(void *session)
{
    (void)session;
}

static bool never(void *session, const struct rpc_request *r)
{
    (void)session, (void)r;
    return false;
}

static void run_none(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                     struct rpc_answer *answer)
{
    (void)session, (void)r, (void)reply, (void)answer;
}

static status_t start_refusing(struct share *s, struct rpc_server **ret_server, struct error *err)
{
    static const struct rpc_handler handler = {
        .session_new = refuse, .session_free = no_session, .is_quick = never, .run = run_none};
    bool remote = s->ways.remote->listen_fd >= 0;
    const struct rpc_server_options options = {.listen_fd = s->ways.socket_fd,
                                               .tcp = remote ? &s->ways.remote->tcp : NULL,
                                               .handler = &handler,
                                               .ctx = s};
    *ret_server = NULL;
    return s->ways.socket_fd < 0 && !remote ? ST_OK : rpc_server_start(&options, ret_server, err);
}

/* ---- following ---- */

static void on_event(void *arg, const char *event, const char *text)
{
    struct share *s = arg;
    if (strcmp(event, "etcd.away") == 0 || strcmp(event, "etcd.lost") == 0) {
        log_warn(event, "why", text);
    } else {
        log_info(event, "controller", text);
    }
    if (!atomic_exchange(&s->news, true)) {
        kill(getpid(), SIGUSR1);
    }
}

static void on_lost(void *arg)
{
    struct share *s = arg;
    atomic_store(&s->lost, true);
    kill(getpid(), SIGUSR1);
}

struct copy_watch {
    struct share *s;
    char leader[SHARED_ADDRESS_MAX + 1]; /* who sends */
    uint64_t bytes, since_ms, looked_ms;
};

static bool is_to_stop(struct share *s)
{
    pthread_mutex_lock(&s->m);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->m);
    return stop;
}

/* As long as the copy comes, and who stands still meanwhile is the leader as etcd has it. */
static bool copy_goes_on(void *arg, uint64_t bytes)
{
    struct copy_watch *w = arg;
    char leader[SHARED_ADDRESS_MAX + 1];
    uint64_t now_ms = clock_monotonic_ns() / 1000000;
    if (is_to_stop(w->s)) {
        return false;
    }
    if (bytes != w->bytes) {
        w->bytes = bytes;
        w->since_ms = w->looked_ms = now_ms;
    }
    uint64_t still_ms = now_ms - w->since_ms;
    if (still_ms > (bytes > 0 ? COPY_MS : COPY_MADE_MS)) {
        return false;
    }
    if (still_ms < COPY_STILL_MS || now_ms - w->looked_ms < COPY_LOOK_MS) {
        return true;
    }
    w->looked_ms = now_ms;
    if (etcd_look(w->s->etcd, NULL) != ST_OK) {
        return true;
    }
    etcd_leader(w->s->etcd, leader);
    return strcmp(leader, w->leader) == 0;
}

/* The leader's database instead of this one's. */
static status_t copy_state(struct share *s, struct error *err)
{
    char path[PATH_MAX + 16];
    struct copy_watch w = {.s = s, .since_ms = clock_monotonic_ns() / 1000000};
    const struct state_watch watch = {.goes_on = copy_goes_on, .arg = &w};
    struct error why = {.offset = ERROR_NO_OFFSET};
    snprintf(path, sizeof path, "%s/joining", s->folder);
    etcd_leader(s->etcd, w.leader);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    status_t st = client_state_copy(w.leader, fd, &watch, &why);
    close(fd);
    if (st == ST_OK) {
        st = replica_replace(s->folder, path, etcd_log_id(s->etcd), &why);
    }
    int ignored = unlink(path);
    (void)ignored;
    if (st == ST_OK) {
        log_info("etcd.copied", "from", w.leader);
        return ST_OK;
    }
    return st == ST_EXIST /* it is about this one's, and says what to do */
               ? error_set(err, st, ERROR_NO_OFFSET, "%s", why.text)
               : error_set(err, st, ERROR_NO_OFFSET, "the store of %.80s: %.140s", w.leader,
                           why.text);
}

/* False: it is to stop. */
static bool wait_a_little(struct share *s)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += COPY_AGAIN_MS / 1000;
    pthread_mutex_lock(&s->m);
    int code = 0;
    while (!s->stop && code != ETIMEDOUT) {
        code = pthread_cond_timedwait(&s->wake, &s->m, &at);
    }
    bool goes_on = !s->stop;
    pthread_mutex_unlock(&s->m);
    return goes_on;
}

static void *follow(void *arg)
{
    struct share *s = arg;
    char told[ERROR_TEXT_MAX] = "";
    status_t st = ST_NOTFOUND;
    while (st == ST_NOTFOUND) {
        struct replica *r = NULL;
        st = replica_open(s->folder, NULL, &r, &s->err);
        if (st == ST_OK) {
            st = etcd_follow(s->etcd, r, &s->err);
        }
        replica_close(r);
        if (st != ST_NOTFOUND || copy_state(s, &s->err) == ST_OK) {
            continue;
        }
        if (s->err.code == ST_EXIST || s->err.code == ST_FORMAT) { /* somebody has to decide */
            st = s->err.code;
        } else {
            if (strcmp(told, s->err.text) != 0) {
                log_warn("etcd.copy", "why", s->err.text);
                snprintf(told, sizeof told, "%s", s->err.text);
            }
            st = wait_a_little(s) ? ST_NOTFOUND : ST_STOPPED;
        }
    }
    s->status = st;
    atomic_store(&s->ended, true);
    kill(getpid(), SIGUSR1);
    return NULL;
}

static void end_following(struct share *s)
{
    pthread_mutex_lock(&s->m);
    s->stop = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->m);
    etcd_stop(s->etcd);
}

static void say_who_leads(const struct share *s, const char *leader, char *ret_text, size_t room)
{
    if (leader[0] != '\0' && strcmp(leader, s->address) != 0) {
        snprintf(ret_text, room, "stands by: the controller %s leads", leader);
    } else {
        snprintf(ret_text, room, "stands by: no controller leads, or etcd does not answer");
    }
}

static void give_greeting(const struct share *s, void (*greet)(void *arg, const char *text),
                          void *arg)
{
    char leader[SHARED_ADDRESS_MAX + 1], text[SHARED_ADDRESS_MAX + 64];
    etcd_leader(s->etcd, leader);
    say_who_leads(s, leader, text, sizeof text);
    greet(arg, text);
}

status_t controller_share_follow(struct share *s, const sigset_t *signals,
                                 void (*greet)(void *arg, const char *text), void *arg,
                                 int *ret_signal, struct error *err)
{
    struct rpc_server *server = NULL;
    bool stopped = false;
    atomic_store(&s->ended, false);
    atomic_store(&s->lost, false);
    status_t st = start_refusing(s, &server, err);
    int code = st == ST_OK ? thread_start(&s->thread, follow, s) : 0;
    if (st != ST_OK || code != 0) {
        rpc_server_stop(server);
        return st != ST_OK ? st : error_set_errno(err, code, "thread");
    }
    while (!atomic_load(&s->ended)) {
        int number = sigwaitinfo(signals, NULL);
        if (number == SIGHUP && s->ways.remote->tls) {
            controller_remote_reload(s->ways.remote);
        } else if (number > 0 && number != SIGUSR1 && number != SIGHUP) {
            *ret_signal = number;
            stopped = true;
            end_following(s);
            break;
        } else if (!atomic_load(&s->ended) && atomic_load(&s->news) && greet) {
            give_greeting(s, greet, arg);
            greet = NULL;
        }
    }
    pthread_join(s->thread, NULL);
    rpc_server_stop(server);
    if (stopped) {
        return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
    }
    if (s->status != ST_OK && err) {
        *err = s->err;
    }
    return s->status;
}

const struct store_log *controller_share_log(struct share *s)
{
    return etcd_log(s->etcd);
}

bool controller_share_lost(struct share *s)
{
    return atomic_load(&s->lost);
}

void controller_share_status(struct share *s, struct etcd_status *ret_status)
{
    etcd_status(s->etcd, ret_status);
}

bool controller_share_healthy(void *arg, struct error *ret_why)
{
    struct share *s = arg;
    char leader[SHARED_ADDRESS_MAX + 1], text[SHARED_ADDRESS_MAX + 64];
    etcd_leader(s->etcd, leader);
    say_who_leads(s, leader, text, sizeof text);
    error_set(ret_why, ST_MOVED, ERROR_NO_OFFSET, "%s", text);
    return false;
}

/* ---- options ---- */

static status_t take_address(const struct share_given *g, struct share *s, struct error *err)
{
    const struct share_ways *w = &s->ways;
    const char *name = w->remote->name;
    int len = 0;
    bool everywhere = strncmp(name, "0.0.0.0:", 8) == 0 || strncmp(name, "[::]:", 5) == 0;
    if (g->advertise) {
        len = snprintf(s->address, sizeof s->address, "%s", g->advertise);
    } else if (w->remote->listen_fd >= 0 && !everywhere) {
        len = snprintf(s->address, sizeof s->address, "%s://%s", w->remote->tls ? "tls" : "tcp",
                       name);
    } else if (w->remote->listen_fd < 0 && w->socket) {
        len = snprintf(s->address, sizeof s->address, "unix:%s", w->socket);
    }
    return len > 0 && len < (int)sizeof s->address
               ? ST_OK
               : error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                           "--etcd: --advertise tls://HOST:PORT says where clients and the other "
                           "controllers reach this one");
}

/* With which the others are asked for their database, where the environment says nothing else. */
static void set_environment(const char *state)
{
    static const char *const files[][2] = {{"CLOUDSKIN_TOKEN_FILE", "admin-token"},
                                           {"CLOUDSKIN_CA", "tls/ca.crt"}};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (snprintf(path, sizeof path, "%s/%s", state, files[i][1]) < PATH_MAX &&
            access(path, R_OK) == 0) {
            setenv(files[i][0], path, 0);
        }
    }
}

static status_t leave(const char *folder, struct error *err)
{
    status_t st = access(folder, F_OK) == 0 ? replica_leave(folder, err) : ST_OK;
    return st == ST_NOTFOUND ? ST_OK : st;
}

status_t controller_share_open(const struct share_given *given, const char *state, bool no_sync,
                               const struct share_ways *ways, struct share **ret_share,
                               struct error *err)
{
    char folder[PATH_MAX];
    *ret_share = NULL;
    if (snprintf(folder, sizeof folder, "%s/geds", state) >= PATH_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
    bool none = given->servers && strcmp(given->servers, "none") == 0;
    if (!given->servers || none) {
        bool more = given->name || given->ca_file || given->cert || given->key || given->advertise;
        if (more)
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "--etcd-... and --advertise need --etcd HOST:PORT");
        return none ? leave(folder, err) : ST_OK;
    }
    if (no_sync)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "--etcd and --no-sync: what is in the log must be on this disk, too");
    struct share *s = calloc(1, sizeof *s);
    if (!s || thread_cond_init(&s->wake) != 0) {
        free(s);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    }
    pthread_mutex_init(&s->m, NULL);
    s->ways = *ways;
    memcpy(s->folder, folder, sizeof folder);
    status_t st = take_address(given, s, err);
    if (st == ST_OK) {
        const struct etcd_options options = {.servers = given->servers,
                                             .name = given->name,
                                             .address = s->address,
                                             .ca_file = given->ca_file,
                                             .cert = given->cert,
                                             .key = given->key,
                                             .event = on_event,
                                             .lost = on_lost,
                                             .arg = s};
        set_environment(state);
        st = etcd_open(&options, &s->etcd, err);
    }
    if (st != ST_OK) {
        controller_share_close(s);
        return st;
    }
    *ret_share = s;
    return ST_OK;
}

void controller_share_close(struct share *s)
{
    if (!s)
        return;
    etcd_close(s->etcd);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->m);
    free(s);
}
