#include "accept.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/thread.h"

/* How long it waits where no descriptor is left, and for a connection that was handed out to begin. */
enum { PATIENCE_MS = 100 };

struct load {
    unsigned held;
    unsigned pending; /* handed out and not there yet */
};

struct acceptor {
    struct acceptor_options o;
    int wake_fd; /* an eventfd: stopping changed */
    pthread_t thread;
    bool has_thread;
    uint64_t handed_ns; /* when the last one was; the thread's */
    unsigned next;      /* the loop that is asked first; the thread's */
    pthread_mutex_t m;
    pthread_cond_t changed; /* stopping, or load became less */
    bool stopping;          /* guarded by m */
    unsigned total;         /* of load; guarded by m */
    struct load *load;      /* guarded by m */
};

void acceptor_began(struct acceptor *a, unsigned loop)
{
    pthread_mutex_lock(&a->m);
    struct load *l = &a->load[loop];
    l->held++;
    if (l->pending > 0)
        l->pending--;
    else
        a->total++;
    pthread_mutex_unlock(&a->m);
}

void acceptor_ended(struct acceptor *a, unsigned loop)
{
    pthread_mutex_lock(&a->m);
    a->load[loop].held--;
    a->total--;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->m);
}

/* With m; wakes up early when there is room or it is to stop. */
static void wait_a_little(struct acceptor *a)
{
    uint64_t at = clock_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000);
    struct timespec until = {.tv_sec = (time_t)(at / 1000000000),
                             .tv_nsec = (long)(at % 1000000000)};
    pthread_cond_timedwait(&a->changed, &a->m, &until);
}

/* With m. One whose loop had no memory for it never begins. */
static void forget_pending(struct acceptor *a)
{
    if (clock_monotonic_ns() - a->handed_ns < PATIENCE_MS * UINT64_C(1000000))
        return;
    for (unsigned i = 0; i < a->o.loops; i++) {
        a->total -= a->load[i].pending;
        a->load[i].pending = 0;
    }
}

/* The loop of the next connection, which counts from now on; false: stopping. Waits while all is full. */
static bool choose(struct acceptor *a, unsigned *ret_loop)
{
    unsigned best = a->next;
    pthread_mutex_lock(&a->m);
    forget_pending(a);
    while (!a->stopping && a->total >= a->o.connections_max) {
        wait_a_little(a);
        forget_pending(a);
    }
    for (unsigned i = 1; i < a->o.loops; i++) {
        unsigned loop = (a->next + i) % a->o.loops;
        const struct load *l = &a->load[loop], *b = &a->load[best];
        if (l->held + l->pending < b->held + b->pending)
            best = loop;
    }
    bool goes_on = !a->stopping;
    if (goes_on) {
        a->load[best].pending++;
        a->total++;
    }
    pthread_mutex_unlock(&a->m);
    a->next = (best + 1) % a->o.loops;
    *ret_loop = best;
    return goes_on;
}

/* Nobody came for it after all. */
static void take_back(struct acceptor *a, unsigned loop)
{
    pthread_mutex_lock(&a->m);
    if (a->load[loop].pending > 0) {
        a->load[loop].pending--;
        a->total--;
    }
    pthread_mutex_unlock(&a->m);
}

static void be_patient(struct acceptor *a)
{
    pthread_mutex_lock(&a->m);
    if (!a->stopping)
        wait_a_little(a);
    pthread_mutex_unlock(&a->m);
}

/* All that wait in the socket's queue; false: stopping. */
static bool take_all(struct acceptor *a)
{
    for (;;) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        unsigned loop;
        if (!choose(a, &loop))
            return false;
        int fd = accept4(a->o.listen_fd, (struct sockaddr *)&peer, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            a->handed_ns = clock_monotonic_ns();
            a->o.hand(a->o.ctx, loop, fd, (struct sockaddr *)&peer, len);
            continue;
        }
        int e = errno;
        take_back(a, loop);
        if (e == EMFILE || e == ENFILE || e == ENOMEM || e == ENOBUFS) {
            be_patient(a); /* poll would say at once that somebody is there */
            return true;
        }
        if (e == EAGAIN)
            return true;
    }
}

static void *acceptor_main(void *arg)
{
    struct acceptor *a = arg;
    struct pollfd both[] = {{.fd = a->o.listen_fd, .events = POLLIN},
                            {.fd = a->wake_fd, .events = POLLIN}};
    for (;;) {
        if (poll(both, 2, -1) < 0)
            be_patient(a);
        else if (both[1].revents != 0 || !take_all(a))
            return NULL;
    }
}

status_t acceptor_start(const struct acceptor_options *o, struct acceptor **ret_acceptor,
                        struct error *err)
{
    struct acceptor *a = calloc(1, sizeof *a);
    struct load *load = calloc(o->loops, sizeof *load);
    if (!a || !load || thread_cond_init(&a->changed) != 0) {
        free(a);
        free(load);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to accept connections");
    }
    a->o = *o;
    a->load = load;
    pthread_mutex_init(&a->m, NULL);
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ret_acceptor = a; /* what is handed out begins before this returns */
    int code = a->wake_fd < 0 ? errno : thread_start(&a->thread, acceptor_main, a);
    if (code != 0) {
        *ret_acceptor = NULL;
        acceptor_free(a);
        return error_set_errno(err, code, "cannot accept connections");
    }
    a->has_thread = true;
    return ST_OK;
}

void acceptor_stop(struct acceptor *a)
{
    uint64_t one = 1;
    if (!a || !a->has_thread)
        return;
    pthread_mutex_lock(&a->m);
    a->stopping = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->m);
    ssize_t ignored = write(a->wake_fd, &one, sizeof one); /* it cannot be full */
    (void)ignored;
    pthread_join(a->thread, NULL);
    a->has_thread = false;
}

void acceptor_free(struct acceptor *a)
{
    if (!a)
        return;
    if (a->wake_fd >= 0)
        close(a->wake_fd);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->m);
    free(a->load);
    free(a);
}
