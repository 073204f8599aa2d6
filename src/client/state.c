#include "client/state.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "conn.h"

enum { WATCH_NS = 200 * 1000 * 1000, NS_PER_S = 1000 * 1000 * 1000 };

struct copying {
    int fd;
    _Atomic uint64_t bytes;
    uint32_t crc;
    int errnum;

    const struct state_watch *watch;
    struct geds *from;
    pthread_t watcher;
    pthread_mutex_t m; /* guards the rest */
    pthread_cond_t over;
    bool is_over;
    bool ended; /* by who watches */
};

static void take_part(void *arg, const struct answer_part *part)
{
    struct copying *c = arg;
    atomic_fetch_add(&c->bytes, part->len);
    c->crc = hash_crc32c(c->crc, part->data, part->len);
    for (size_t done = 0; done < part->len && c->errnum == 0;) {
        ssize_t n = write(c->fd, part->data + done, part->len - done);
        if (n < 0 && errno != EINTR) {
            c->errnum = errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
}

/* False: it is over. */
static bool wait_to_look(struct copying *c)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += WATCH_NS;
    if (at.tv_nsec >= NS_PER_S) {
        at.tv_nsec -= NS_PER_S;
        at.tv_sec++;
    }
    int code = 0;
    pthread_mutex_lock(&c->m);
    while (!c->is_over && code != ETIMEDOUT) {
        code = pthread_cond_timedwait(&c->over, &c->m, &at);
    }
    bool goes_on = !c->is_over;
    pthread_mutex_unlock(&c->m);
    return goes_on;
}

static void *watch_it(void *arg)
{
    struct copying *c = arg;
    while (wait_to_look(c)) {
        if (!c->watch->goes_on(c->watch->arg, atomic_load(&c->bytes))) {
            pthread_mutex_lock(&c->m);
            c->ended = true;
            pthread_mutex_unlock(&c->m);
            shutdown(c->from->fd, SHUT_RDWR); /* who reads sees it */
            break;
        }
    }
    return NULL;
}

/* Signals are for threads of the program. */
static int start_watcher(struct copying *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&c->watcher, NULL, watch_it, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static status_t begin_watching(struct copying *c, struct error *err)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    int code = pthread_cond_init(&c->over, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (code != 0) {
        return error_set_errno(err, code, "condition");
    }
    pthread_mutex_init(&c->m, NULL);
    if ((code = start_watcher(c)) != 0) {
        pthread_mutex_destroy(&c->m);
        pthread_cond_destroy(&c->over);
        return error_set_errno(err, code, "thread");
    }
    return ST_OK;
}

static status_t end_watching(struct copying *c, status_t st, struct error *err)
{
    pthread_mutex_lock(&c->m);
    c->is_over = true;
    pthread_cond_signal(&c->over);
    pthread_mutex_unlock(&c->m);
    pthread_join(c->watcher, NULL);
    pthread_mutex_destroy(&c->m);
    pthread_cond_destroy(&c->over);
    return st != ST_OK && c->ended ? error_set(err, ST_STOPPED, ERROR_NO_OFFSET,
                                               "the copy was given up after %llu bytes",
                                               (unsigned long long)atomic_load(&c->bytes))
                                   : st;
}

status_t client_state_copy(const char *address, int fd, const struct state_watch *watch,
                           struct error *err)
{
    struct geds *g = NULL;
    struct copying c = {.fd = fd, .watch = watch};
    struct arena arena = {0};
    struct geds_answer a;
    status_t st = client_open(address, &g, err);
    if (st != ST_OK) {
        return st;
    }
    struct pending p = {.data = malloc(RPC_DATA_MAX), .room = RPC_DATA_MAX};
    if (p.data == NULL) {
        client_close(g);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    c.from = g;
    if ((st = begin_watching(&c, err)) != ST_OK) {
        free(p.data);
        client_close(g);
        return st;
    }
    client_send(g, &p, GEDS_STATE_COPY, &(struct geds_request){0}, NULL);
    st = client_wait(g, &p, take_part, &c, err);
    st = end_watching(&c, st, err);
    if (st == ST_OK) {
        st = pending_decode(&p, GEDS_STATE_COPY, &arena, &a, err);
    }
    if (st == ST_OK && c.errnum != 0) {
        st = error_set_errno(err, c.errnum, "copy of the database");
    }
    if (st == ST_OK && (a.numbers[GEDS_N_STATE_BYTES] != atomic_load(&c.bytes) ||
                        a.numbers[GEDS_N_STATE_CRC] != c.crc)) {
        st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                       "the copy of the database was damaged on its way");
    }
    pending_done(&p);
    free(p.data);
    arena_done(&arena);
    client_close(g);
    return st;
}
