#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "impl.h"
#include "sys/clock.h"
#include "sys/thread.h"

/* The nodes, and the orders on their way. */

enum { LOST_MS = 5 * 60 * 1000, ANSWER_MS = 10 * 1000, IDLE_MS = 1000, LOOK_MS = 200 };
#define NS_PER_S 1000000000ULL

bool peers_wait(struct peers *p, uint64_t until)
{
    const struct timespec at = {.tv_sec = (time_t)(until / NS_PER_S),
                                .tv_nsec = (long)(until % NS_PER_S)};
    return pthread_cond_timedwait(&p->changed, &p->lock, &at) != ETIMEDOUT;
}

void peers_tell(struct peers *p, const char *event, const char *node, const char *text)
{
    if (p->o.event != NULL) {
        p->o.event(p->o.arg, event, node, text);
    }
}

/* Under the lock. */
static void end_orders(struct peer *peer)
{
    for (struct order *o = peer->orders; o != NULL; o = o->next) {
        o->done = true;
        o->status = ST_AGAIN;
    }
    peer->orders = NULL;
    peer->order_count = 0;
    pthread_cond_broadcast(&peer->all->changed);
}

static void take_out(struct peer *peer, const struct order *order)
{
    struct order **at = &peer->orders;
    while (*at != NULL && *at != order) {
        at = &(*at)->next;
    }
    if (*at == order) {
        *at = order->next;
        peer->order_count--;
    }
}

void peer_post(struct peer *peer, struct order *order)
{
    struct peers *p = peer->all;
    uint64_t until = clock_monotonic_ns() + p->o.answer_ms * NS_PER_MS;
    order->next = NULL;
    order->sent = order->done = false;
    pthread_mutex_lock(&p->lock);
    while (peer->up && !peer->broken && peer->order_count >= ORDERS_MAX && peers_wait(p, until)) {
    }
    if (!peer->up || peer->broken || peer->order_count >= ORDERS_MAX || p->stop) {
        order->done = true;
        order->status = ST_AGAIN;
    } else {
        struct order **at = &peer->orders;
        while (*at != NULL) {
            at = &(*at)->next;
        }
        order->o.number = ++peer->last_number;
        order->posted = clock_monotonic_ns();
        *at = order;
        peer->order_count++;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
}

/* When the order is given up: a node that answers others of its orders is only slow, up to a limit. */
static uint64_t limit_of(const struct peer *peer, const struct order *order)
{
    uint64_t from = order->posted > peer->answered ? order->posted : peer->answered;
    uint64_t parts = order->o.kind == PEER_END ? END_PARTS : 1;
    uint64_t wait = parts * peer->all->o.answer_ms * NS_PER_MS;
    uint64_t soft = from + wait, hard = order->posted + SLOW_MAX * wait;
    return soft < hard ? soft : hard;
}

status_t peer_wait(struct peer *peer, struct order *order, struct error *err)
{
    struct peers *p = peer->all;
    bool late = false;
    pthread_mutex_lock(&p->lock);
    while (!order->done && !late) {
        uint64_t limit = limit_of(peer, order);
        late = !peers_wait(p, limit) && limit_of(peer, order) <= limit;
    }
    if (!order->done) { /* whatever it answers now would be another's */
        take_out(peer, order);
        order->status = ST_AGAIN;
        peer->broken = true;
        pthread_cond_broadcast(&p->changed);
    } else {
        late = false;
    }
    status_t st = order->status;
    pthread_mutex_unlock(&p->lock);
    if (st == ST_OK) {
        return ST_OK;
    }
    if (st != ST_NOTFOUND) {
        atomic_fetch_add(&p->errors, 1);
    }
    return error_set(err, st, ERROR_NO_OFFSET, "the node %s %s", peer->node.name,
                     late             ? "does not answer"
                     : st == ST_AGAIN ? "is away"
                     : st == ST_LIMIT ? "is full"
                                      : status_name(st));
}

status_t peer_ask(struct peer *peer, struct order *order, struct error *err)
{
    peer_post(peer, order);
    return peer_wait(peer, order, err);
}

void peers_done(struct peer *peer, uint32_t number, status_t st, const void *data, size_t len)
{
    struct peers *p = peer->all;
    pthread_mutex_lock(&p->lock);
    struct order *o = peer->orders;
    while (o != NULL && (o->o.number != number || !o->sent)) {
        o = o->next;
    }
    if (o != NULL) {
        peer->answered = clock_monotonic_ns();
        take_out(peer, o);
        bool fits = o->o.kind == PEER_LIST ? len <= o->room && len % PEER_COPY_BYTES == 0
                                           : len == o->room;
        o->status = st == ST_OK && !fits ? ST_CORRUPT : st;
        if (o->status == ST_OK && len > 0) {
            memcpy(o->into, data, len);
        }
        o->got = len;
        o->done = true;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
}

void peers_report(struct peer *peer, const struct peer_report *report, bool leaves,
                  uint64_t *ret_left)
{
    struct peers *p = peer->all;
    pthread_mutex_lock(&p->lock);
    peer->report = *report;
    peer->seen_ns = clock_realtime_ns();
    if (leaves && !peer->leave && peer->node.state != STORE_NODE_LEAVING) {
        peer->leave = p->woken = true;
        pthread_cond_broadcast(&p->changed);
    }
    bool going = peer->leave || peer->node.state == STORE_NODE_LEAVING;
    *ret_left = going && peer->left == 0 ? 1 : peer->left;
    pthread_mutex_unlock(&p->lock);
}

static struct peer *find(struct peers *p, const char *key, const char *name)
{
    struct peer *peer = p->first;
    while (peer != NULL && ((key != NULL && strcmp(peer->node.key, key) != 0) ||
                            (name != NULL && strcmp(peer->node.name, name) != 0))) {
        peer = peer->next;
    }
    return peer;
}

static struct peer *add(struct peers *p, const struct store_node *node)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer != NULL) {
        *peer = (struct peer){.all = p,
                              .next = p->first,
                              .node = *node,
                              .seen_ns = node->seen_ns,
                              .away_since = clock_monotonic_ns()};
        p->first = peer;
    }
    return peer;
}

static size_t count_up(const struct peers *p)
{
    size_t count = 0;
    for (const struct peer *peer = p->first; peer != NULL; peer = peer->next) {
        count += peer->up;
    }
    return count;
}

/* One of the same id that is there already has lost its connection without our knowing, or is a copy of it. */
static status_t enter(struct peers *p, const struct store_node *node,
                      const struct peer_report *report, struct peer **ret_peer,
                      unsigned *ret_serial, struct error *err)
{
    uint64_t until = clock_monotonic_ns() + p->o.answer_ms * NS_PER_MS;
    status_t st = ST_OK;
    pthread_mutex_lock(&p->lock);
    struct peer *peer = find(p, node->key, NULL);
    if (peer == NULL && (peer = add(p, node)) == NULL) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st == ST_OK && !peer->up && count_up(p) >= UP_MAX) {
        st = error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%d nodes are connected already", UP_MAX);
    }
    while (st == ST_OK && peer->up && !p->stop) {
        peer->bye = true;
        pthread_cond_broadcast(&p->changed);
        if (!peers_wait(p, until)) {
            st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the node is connected already");
        }
    }
    if (st == ST_OK) {
        memcpy(peer->node.name, node->name, sizeof peer->node.name);
        peer->up = true;
        peer->synced = peer->broken = peer->bye = peer->leave = peer->checked = false;
        peer->left = 0;
        peer->report = *report;
        peer->seen_ns = clock_realtime_ns();
        *ret_serial = ++peer->serial;
        p->woken = true;
        *ret_peer = peer;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return st;
}

/* The next order that was not sent, with its data in copy. false: none came in a while. Under the lock. */
static bool next_order(struct peer *peer, uint8_t *copy, struct peer_order *ret_order)
{
    struct order *o = peer->orders;
    while (o != NULL && o->sent) {
        o = o->next;
    }
    if (o == NULL) {
        peers_wait(peer->all, clock_monotonic_ns() + LOOK_MS * NS_PER_MS);
        return false;
    }
    o->sent = true;
    *ret_order = o->o;
    if (o->o.len > 0) { /* who waits for it may be gone before it is sent */
        memcpy(copy, o->o.data, o->o.len);
        ret_order->data = copy;
    }
    return true;
}

static void give_orders(struct peer *peer, uint8_t *copy, const struct peer_link *link)
{
    struct peers *p = peer->all;
    struct peer_order order = {.kind = PEER_WELCOME, .extent = p->id[0], .nonce = p->id[1]};
    bool goes_on = link->send(link->arg, &order) == ST_OK;
    pthread_mutex_lock(&p->lock);
    while (goes_on && !p->stop && !peer->broken && !peer->bye) {
        bool there = next_order(peer, copy, &order);
        pthread_mutex_unlock(&p->lock);
        goes_on = (!there || link->send(link->arg, &order) == ST_OK) && link->is_wanted(link->arg);
        pthread_mutex_lock(&p->lock);
    }
    bool bye = peer->bye, has_left = peer->has_left;
    pthread_mutex_unlock(&p->lock);
    if (bye && goes_on) {
        order = (struct peer_order){.kind = PEER_BYE, .sum = has_left};
        status_t ignored = link->send(link->arg, &order);
        (void)ignored;
    }
}

static void leave_table(struct peer *peer)
{
    struct peers *p = peer->all;
    char name[sizeof peer->node.name];
    pthread_mutex_lock(&p->lock);
    memcpy(name, peer->node.name, sizeof name);
    peer->up = peer->synced = false;
    peer->away_since = clock_monotonic_ns();
    peer->seen_ns = clock_realtime_ns();
    end_orders(peer);
    pthread_mutex_unlock(&p->lock);
    peers_tell(p, "node.gone", name, "");
}

status_t peers_serve(struct peers *p, const char *key, const char *name,
                     const struct peer_report *report, const struct peer_link *link,
                     struct error *err)
{
    struct store_node node = {.id = 0};
    struct peer *peer = NULL;
    unsigned serial = 0;
    status_t st = store_node_join(p->o.store, key, name, &node.id, &node.state, err);
    if (st != ST_OK) {
        return st;
    }
    snprintf(node.key, sizeof node.key, "%s", key);
    snprintf(node.name, sizeof node.name, "%s", name);
    uint8_t *copy = malloc(PEER_PIECE_BYTES);
    if (copy == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    st = enter(p, &node, report, &peer, &serial, err);
    if (st == ST_OK) {
        peers_tell(p, "node.joined", name, "");
        link->joined(link->arg, peer);
        give_orders(peer, copy, link);
        link->joined(link->arg, NULL);
        leave_table(peer);
    }
    free(copy);
    return st;
}

static status_t load(struct peers *p, struct error *err)
{
    struct store_node *list = calloc(STORE_NODES_MAX, sizeof *list);
    char id[STORE_ID_BYTES], half[17] = "";
    size_t count = 0;
    status_t st = list != NULL ? store_nodes(p->o.store, list, &count, err)
                               : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        if (add(p, &list[i]) == NULL) {
            st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
        } else if (list[i].state != STORE_NODE_COUNTS) { /* a crash may have cut that off */
            st = store_node_set_state(p->o.store, list[i].id, list[i].state, err);
        }
    }
    free(list);
    if (st == ST_OK) {
        st = store_id(p->o.store, id, err);
    }
    for (size_t i = 0; i < 2 && st == ST_OK; i++) {
        memcpy(half, id + 16 * i, 16);
        st = parse_hex(half, UINT64_MAX, &p->id[i]);
    }
    return st;
}

status_t peers_open(const struct peers_options *o, struct peers **ret_peers, struct error *err)
{
    pthread_condattr_t monotonic;
    struct peers *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    p->o = *o;
    p->o.lost_ms = o->lost_ms != 0 ? o->lost_ms : LOST_MS;
    p->o.answer_ms = o->answer_ms != 0 ? o->answer_ms : ANSWER_MS;
    p->o.idle_ms = o->idle_ms != 0 ? o->idle_ms : IDLE_MS;
    atomic_init(&p->trims, true); /* who ended before may have been at it */
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    status_t st = load(p, err);
    if (st != ST_OK) {
        peers_close(p);
        return st;
    }
    const struct store_copies copies = {
        .read = peers_read, .damaged = peers_damaged, .written = peers_written, .arg = p};
    store_set_copies(o->store, &copies);
    *ret_peers = p;
    return ST_OK;
}

status_t peers_start(struct peers *p, struct error *err)
{
    int code = thread_start(&p->thread, peers_run, p);
    p->runs = code == 0;
    return code == 0 ? ST_OK : error_set_errno(err, code, "thread");
}

void peers_stop(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    atomic_store(&p->stopping, true);
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    for (struct peer *peer = p->first; peer != NULL; peer = peer->next) {
        end_orders(peer);
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (p->runs) {
        pthread_join(p->thread, NULL);
        p->runs = false;
    }
}

void peers_close(struct peers *p)
{
    if (p == NULL) {
        return;
    }
    struct peer *lists[] = {p->first, p->forgotten};
    for (size_t i = 0; i < 2; i++) {
        for (struct peer *peer = lists[i], *next; peer != NULL; peer = next) {
            next = peer->next;
            free(peer);
        }
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void peers_wake(struct peers *p)
{
    pthread_mutex_lock(&p->lock);
    p->woken = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void peers_trim(struct peers *p)
{
    atomic_store(&p->trims, true);
    peers_wake(p);
}

static enum peer_state state_of(const struct peer *peer)
{
    return peer->leave || peer->node.state == STORE_NODE_LEAVING ? PEER_LEAVING
           : peer->up                                            ? PEER_UP
           : peer->node.state == STORE_NODE_LOST                 ? PEER_LOST
                                                                 : PEER_AWAY;
}

status_t peers_status(struct peers *p, struct peers_status *ret_status, struct error *err)
{
    struct peers_status n = {.copied_count = atomic_load(&p->copied_count),
                             .copied_bytes = atomic_load(&p->copied_bytes),
                             .read_bytes = atomic_load(&p->read_bytes),
                             .repaired_count = atomic_load(&p->repaired),
                             .removed_count = atomic_load(&p->removed),
                             .late_count = atomic_load(&p->late),
                             .errors = atomic_load(&p->errors)};
    status_t st = store_copies_totals(p->o.store, &n.lacking_count, &n.lacking_bytes, err);
    pthread_mutex_lock(&p->lock);
    for (const struct peer *peer = p->first; peer != NULL && n.count < STORE_NODES_MAX;
         peer = peer->next) {
        struct peer_status *to = &n.nodes[n.count++];
        *to = (struct peer_status){.state = state_of(peer),
                                   .seen_ns = peer->seen_ns,
                                   .left = peer->left,
                                   .report = peer->report};
        memcpy(to->name, peer->node.name, sizeof to->name);
    }
    pthread_mutex_unlock(&p->lock);
    if (st == ST_OK) {
        *ret_status = n;
    }
    return st;
}

static status_t no_node(const char *name, struct error *err)
{
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no node \"%.63s\"", name);
}

status_t peers_leave(struct peers *p, const char *name, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    struct peer *peer = find(p, NULL, name);
    bool up = peer != NULL && peer->up;
    if (up) {
        peer->leave = p->woken = true;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    if (peer == NULL) {
        return no_node(name, err);
    }
    return up ? ST_OK
              : error_set(err, ST_AGAIN, ERROR_NO_OFFSET,
                          "the node %.63s is away: it leaves when it is there, or is forgotten "
                          "(cloudskin tier --forget)",
                          name);
}

status_t peers_forget(struct peers *p, const char *name, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    struct peer *peer = find(p, NULL, name), **at = &p->first;
    bool up = peer != NULL && peer->up;
    uint64_t id = peer != NULL ? peer->node.id : 0;
    if (peer != NULL && !up) { /* it has no orders, and nobody has it */
        while (*at != peer) {
            at = &(*at)->next;
        }
        *at = peer->next;
        peer->next = p->forgotten; /* who looked for it before may still have it in hand */
        p->forgotten = peer;
    }
    pthread_mutex_unlock(&p->lock);
    if (id == 0) {
        return no_node(name, err);
    }
    return up ? error_set(err, ST_EXIST, ERROR_NO_OFFSET,
                          "the node %.63s is connected: it can leave (cloudskin tier --leave)",
                          name)
              : store_node_forget(p->o.store, id, err);
}
