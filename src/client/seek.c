#include "seek.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "lease.h"

/* All that do not answer are asked at the same time, one after the other with a little time between them: a controller
 * that stands still takes connections, since the kernel does, and says nothing. */

enum {
    HELLO_MS = 5000,
    HELLO_FAR_MS = 40 * 1000, /* longer than the helper of TLS is patient */
    SEEK_MS = 20 * 1000,      /* for who leads, of several controllers */
    OTHER_MS = 5000,
    NEXT_MS = 250,  /* before the next one is asked, too */
    QUEUE_MS = 100, /* one that takes no connections holds the others up for so long */
    PAUSE_MS = 100, /* before one that refused is asked again; then twice that, ... */
    PAUSES = 3,
};

static const char stands_still[] = "the store does not answer; is its process stopped?";

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A connection whose hello is on its way: the answer is for hear. */
static status_t ask(const struct rpc_list *list, size_t at, unsigned queue_ms, struct pending *p,
                    struct geds **ret_store, struct error *err)
{
    char token[RPC_TOKEN_MAX + 1] = "";
    status_t st = ST_OK;
    struct geds *g = calloc(1, sizeof *g);
    if (g == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    g->fd = g->wake_fd = -1;
    g->list = *list;
    g->at = at;
    pthread_mutex_init(&g->send_lock, NULL);
    pthread_mutex_init(&g->m, NULL);
    pthread_cond_init(&g->sought, NULL);
    if ((g->leases = calloc(1, sizeof *g->leases)) == NULL) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st == ST_OK) {
        g->local = true;
        for (size_t i = 0; i < list->count; i++) {
            g->local = g->local && list->of[i].scheme == RPC_UNIX;
        }
        leases_init(g->leases, g->local);
        st = rpc_connect(&list->of[at], queue_ms, &g->fd, err);
    }
    if (st == ST_OK && (g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        st = error_set_errno(err, errno, "eventfd");
    }
    if (st == ST_OK && !g->local) {
        st = rpc_token(token, err);
    }
    if (st != ST_OK) {
        client_close(g);
        return st;
    }
    client_send_hello(g, p, token);
    *ret_store = g;
    return ST_OK;
}

/* The answer to the hello, of which there is a part; it is closed if that is no welcome. late: there is none. */
static status_t hear(struct geds *g, struct pending *p, bool late, struct error *err)
{
    const struct timeval patience = {.tv_sec = HELLO_MS / 1000}, none = {0};
    struct cursor c;
    setsockopt(g->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    status_t st = late ? client_break(g, ST_AGAIN, stands_still) : ST_OK;
    st = client_wait(g, p, NULL, NULL, err);
    if (st == ST_OK) {
        cursor_init(&c, p->args.data, p->args.len, 0);
        st = rpc_result_decode(&c, err);
        if (st == ST_OK && cursor_le16(&c) != RPC_VERSION) {
            st = error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET,
                           "the store speaks another version");
        }
    }
    pending_done(p);
    setsockopt(g->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
    if (st != ST_OK) {
        client_close(g);
    }
    return st;
}

static status_t open_only(const struct rpc_list *list, struct geds **ret_store, struct error *err)
{
    struct pending p = {0};
    struct geds *g = NULL;
    status_t st = ask(list, 0, RPC_QUEUE_MS, &p, &g, err);
    if (st != ST_OK) {
        return st;
    }
    /* later on an answer may take as long as the disk does, this one comes from memory */
    struct pollfd there = {.fd = g->fd, .events = POLLIN};
    bool late = poll(&there, 1, g->local ? HELLO_MS : HELLO_FAR_MS) == 0;
    st = hear(g, &p, late, err);
    if (st == ST_OK) {
        *ret_store = g;
    }
    return st;
}

enum state { IDLE, ASKED, OUT };

struct asked {
    enum state state;
    size_t at; /* in the list */
    struct geds *g;
    struct pending hello;
    uint64_t due_ms; /* IDLE: when to ask */
    unsigned refusals;
};

struct seek {
    const struct rpc_list *list;
    struct asked of[RPC_LIST_MAX]; /* in the order in which they are asked */
    size_t count;
    bool once;        /* who refuses is not asked again */
    bool may_be_soon; /* err is of one that may be better later */
    struct error err;
    struct geds *found;
};

static void begin(struct seek *s, const struct rpc_list *list, size_t first)
{
    uint64_t now = now_ms();
    *s = (struct seek){.list = list, .count = list->count};
    error_set(&s->err, ST_AGAIN, ERROR_NO_OFFSET, "%s", stands_still);
    for (size_t i = 0; i < list->count; i++) {
        s->of[i].at = (first + i) % list->count;
        s->of[i].due_ms = now + i * NEXT_MS;
    }
}

static void refused(struct seek *s, struct asked *a, status_t st, const struct error *why)
{
    uint64_t now = now_ms();
    bool goes_on = rpc_list_goes_on(st);
    a->state = goes_on && !s->once ? IDLE : OUT;
    a->due_ms = now + ((uint64_t)PAUSE_MS << (a->refusals < PAUSES ? a->refusals : PAUSES));
    a->refusals++;
    if (goes_on || !s->may_be_soon) { /* what may be better later is told */
        s->err = *why;
        s->err.code = st;
    }
    s->may_be_soon = s->may_be_soon || goes_on;
    for (size_t i = 0; i < s->count; i++) {
        if (s->of[i].state == IDLE &&
            s->of[i].refusals == 0) { /* the next one is not kept waiting */
            s->of[i].due_ms = now;
            break;
        }
    }
}

static void answer(struct seek *s, struct asked *a)
{
    struct error why = {.offset = ERROR_NO_OFFSET};
    status_t st = hear(a->g, &a->hello, false, &why);
    if (st == ST_OK) {
        s->found = a->g;
        a->state = OUT;
    } else {
        refused(s, a, st, &why);
    }
    a->g = NULL;
}

/* Those whose time has come. */
static void ask_more(struct seek *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct asked *a = &s->of[i];
        struct error why = {.offset = ERROR_NO_OFFSET};
        if (a->state != IDLE || a->due_ms > now_ms()) {
            continue;
        }
        a->hello = (struct pending){0};
        status_t st = ask(s->list, a->at, QUEUE_MS, &a->hello, &a->g, &why);
        if (st == ST_OK) {
            a->state = ASKED;
        } else {
            refused(s, a, st, &why);
        }
    }
}

/* Until one that was asked answers, or it is time to ask more. also: -1, or a descriptor that ends it all.
 * False: nobody is left to wait for, or the time is over. */
static bool wait_for_some(struct seek *s, uint64_t end_ms, int also)
{
    struct pollfd p[RPC_LIST_MAX + 1];
    struct asked *who[RPC_LIST_MAX];
    nfds_t n = 0;
    uint64_t now = now_ms(), until = end_ms;
    bool left = false;
    for (size_t i = 0; i < s->count; i++) {
        struct asked *a = &s->of[i];
        left = left || a->state != OUT;
        if (a->state == ASKED) {
            who[n] = a;
            p[n++] = (struct pollfd){.fd = a->g->fd, .events = POLLIN};
        } else if (a->state == IDLE && a->due_ms < until) {
            until = a->due_ms;
        }
    }
    if (!left || now >= end_ms) {
        return false;
    }
    p[n] = (struct pollfd){.fd = also, .events = POLLIN};
    int got = poll(p, n + 1, until > now ? (int)(until - now) : 0);
    for (nfds_t i = 0; got > 0 && i < n && s->found == NULL; i++) {
        if (p[i].revents != 0) {
            answer(s, who[i]);
        }
    }
    return s->found == NULL && (got <= 0 || p[n].revents == 0);
}

static void end(struct seek *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->of[i].state == ASKED) {
            status_t ignored = hear(s->of[i].g, &s->of[i].hello, true, NULL);
            (void)ignored;
        }
    }
}

status_t seek_leading(const struct rpc_list *list, size_t first, struct geds **ret_store,
                      struct error *err)
{
    struct seek s;
    uint64_t end_ms = now_ms() + SEEK_MS;
    begin(&s, list, first);
    do {
        ask_more(&s);
    } while (wait_for_some(&s, end_ms, -1));
    end(&s);
    if (s.found == NULL) {
        if (err != NULL) {
            *err = s.err;
        }
        return s.err.code;
    }
    *ret_store = s.found;
    return ST_OK;
}

bool seek_other(const struct rpc_list *list, size_t but, int fd, size_t *ret_at)
{
    struct seek s;
    uint64_t end_ms = now_ms() + OTHER_MS;
    begin(&s, list, but);
    s.once = true;
    s.of[0].state = OUT;
    do {
        ask_more(&s);
    } while (wait_for_some(&s, end_ms, fd));
    end(&s);
    if (s.found == NULL) {
        return false;
    }
    *ret_at = s.found->at;
    client_close(s.found);
    return true;
}

status_t client_open(const char *address, struct geds **ret_store, struct error *err)
{
    struct rpc_list list;
    status_t st = rpc_list_parse(address, &list, err);
    if (st != ST_OK) {
        return st;
    }
    return list.count == 1 ? open_only(&list, ret_store, err)
                           : seek_leading(&list, 0, ret_store, err);
}
