#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "impl.h"
#include "sys/clock.h"
#include "sys/thread.h"

/* Threads: their number, their work, their end. */

enum { EVENT_THREADS = 2, DRAIN_SECONDS_MAX = 30 };

void server_done_one(struct rpc_server *s)
{
    if (atomic_fetch_sub(&s->running, 1) == 1 && atomic_load(&s->draining)) {
        /* under m: who drains has looked, and waits, or will look */
        pthread_mutex_lock(&s->m);
        pthread_cond_broadcast(&s->idle);
        pthread_mutex_unlock(&s->m);
    }
}

static void *worker_main(void *arg)
{
    struct rpc_server *s = arg;
    pthread_mutex_lock(&s->m);
    for (;;) {
        struct call *call = calls_take(&s->queue);
        if (call == NULL && s->no_more_work) {
            break;
        }
        if (call == NULL) {
            s->waiting_workers++;
            pthread_cond_wait(&s->work, &s->m);
            s->waiting_workers--;
            continue;
        }
        s->queued--;
        pthread_mutex_unlock(&s->m);
        struct conn *c = call->conn;
        atomic_fetch_add(&c->refs, 1);
        call_run(call);
        conn_pump(c);
        conn_unref(c);
        pthread_mutex_lock(&s->m);
    }
    pthread_mutex_unlock(&s->m);
    return NULL;
}

void server_enqueue(struct rpc_server *s, struct call *c)
{
    pthread_mutex_lock(&s->m);
    calls_add(&s->queue, c);
    s->queued++;
    if (s->queued > s->waiting_workers && s->worker_count < RPC_WORKERS_MAX &&
        thread_start(&s->workers[s->worker_count], worker_main, s) == 0) {
        s->worker_count++;
    }
    bool wakes = s->waiting_workers > 0;
    pthread_mutex_unlock(&s->m);
    if (wakes) { /* not under m, for which it would wait at once; who waits later finds the request */
        pthread_cond_signal(&s->work);
    }
}

static status_t start_loops(struct rpc_server *s, struct error *err)
{
    s->loops = calloc(s->o.event_threads, sizeof *s->loops);
    if (s->loops == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a server");
    }
    for (unsigned i = 0; i < s->o.event_threads; i++) {
        struct loop *l = &s->loops[i];
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
        *l = (struct loop){.server = s, .epoll_fd = -1, .wake_fd = -1};
        s->loop_count++;
        if ((l->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
            (l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
            epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &e) != 0) {
            return error_set_errno(err, errno, "epoll");
        }
        int code = thread_start(&l->thread, loop_main, l);
        if (code != 0) {
            return error_set_errno(err, code, "thread");
        }
        l->started = true;
    }
    return ST_OK;
}

status_t rpc_server_start(const struct rpc_server_options *o, struct rpc_server **ret_server,
                          struct error *err)
{
    struct rpc_server *s = calloc(1, sizeof *s);
    pthread_condattr_t monotonic;
    if (s == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a server");
    }
    s->o = *o;
    s->o.event_threads = o->event_threads != 0 ? o->event_threads : EVENT_THREADS;
    s->greet_ms = o->tcp != NULL && o->tcp->greet_ms != 0 ? o->tcp->greet_ms : RPC_GREET_MS;
    s->o.stall_ms = o->stall_ms != 0 ? o->stall_ms : RPC_STALL_MS;
    calls_init(&s->queue);
    pthread_mutex_init(&s->m, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    /* one from the start, so that there always is one */
    int code = thread_start(&s->workers[0], worker_main, s);
    s->worker_count = code == 0 ? 1 : 0;
    status_t st = code == 0 ? start_loops(s, err) : error_set_errno(err, code, "thread");
    if (st != ST_OK) {
        rpc_server_stop(s);
        return st;
    }
    *ret_server = s;
    return ST_OK;
}

static void wake_loops(struct rpc_server *s)
{
    const uint64_t one = 1;
    for (unsigned i = 0; i < s->loop_count; i++) {
        if (s->loops[i].wake_fd >= 0) {
            ssize_t ignored = write(s->loops[i].wake_fd, &one, sizeof one);
            (void)ignored;
        }
    }
}

/* Answers that nobody takes are not waited for without end. */
static void drain(struct rpc_server *s)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += DRAIN_SECONDS_MAX;
    pthread_mutex_lock(&s->m);
    while (atomic_load(&s->running) > 0 && pthread_cond_timedwait(&s->idle, &s->m, &end) == 0) {
    }
    pthread_mutex_unlock(&s->m);
}

void rpc_server_stop(struct rpc_server *s)
{
    if (s == NULL) {
        return;
    }
    atomic_store(&s->draining, true);
    wake_loops(s);
    drain(s);
    atomic_store(&s->stopping, true);
    wake_loops(s);
    for (unsigned i = 0; i < s->loop_count; i++) {
        if (s->loops[i].started) {
            pthread_join(s->loops[i].thread, NULL);
        }
    }
    pthread_mutex_lock(&s->m);
    s->no_more_work = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->m);
    for (unsigned i = 0; i < s->worker_count; i++) {
        pthread_join(s->workers[i], NULL);
    }
    for (unsigned i = 0; i < s->loop_count; i++) {
        if (s->loops[i].epoll_fd >= 0) {
            close(s->loops[i].epoll_fd);
        }
        if (s->loops[i].wake_fd >= 0) {
            close(s->loops[i].wake_fd);
        }
    }
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->m);
    free(s->loops);
    free(s);
}

void rpc_server_counters(struct rpc_server *s, struct rpc_server_counters *ret_counters)
{
    pthread_mutex_lock(&s->m);
    unsigned known = atomic_load(&s->tcp_sessions), tcp = atomic_load(&s->tcp_count);
    *ret_counters = (struct rpc_server_counters){.connections = atomic_load(&s->conn_count) + tcp,
                                                 .strangers = tcp > known ? tcp - known : 0,
                                                 .admitted = atomic_load(&s->running),
                                                 .requests = atomic_load(&s->requests)};
    pthread_mutex_unlock(&s->m);
}
