#ifndef TESTS_NODES_H
#define TESTS_NODES_H

/* Nodes that are threads of this program: they do what they are asked, or die, lie, keep silent or fail. */
#include "../geds/storetest.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "geds/peer/peers.h"

enum { BIG = 3 * 1024 * 1024 + 12345, NODES = 3, COPIES = 64 };

struct copy {
    uint64_t extent, nonce;
    uint8_t *data;
    size_t len;
    bool whole;
};
struct fake {
    const char *key, *name;
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock; /* guards the copies, and peer */
    struct peer *peer;
    struct copy copies[COPIES];
    _Atomic bool gone, silent, lies;
    _Atomic bool deaf;        /* it answers no order to read, and all others */
    _Atomic status_t refuses; /* what it answers to bytes of a copy */
    _Atomic int left;         /* what the bye said, or -1 */
    status_t result;
};
static struct peers *peers;
static struct fake nodes[NODES] = {
    {.key = "00000000000000000000000000000001", .name = "a", .lock = PTHREAD_MUTEX_INITIALIZER},
    {.key = "00000000000000000000000000000002", .name = "b", .lock = PTHREAD_MUTEX_INITIALIZER},
    {.key = "00000000000000000000000000000003", .name = "c", .lock = PTHREAD_MUTEX_INITIALIZER}};
static uint8_t source[2 * BIG];

static struct copy *copy_of(struct fake *f, uint64_t extent, uint64_t nonce)
{
    for (size_t i = 0; i < COPIES; i++) {
        struct copy *c = &f->copies[i];
        if (c->data != NULL && c->extent == extent && c->nonce == nonce) {
            return c;
        }
    }
    return NULL;
}

static struct copy *new_copy(struct fake *f, const struct peer_order *o)
{
    for (size_t i = 0; i < COPIES; i++) {
        struct copy *c = &f->copies[i];
        if (c->data == NULL) {
            *c = (struct copy){.extent = o->extent,
                               .nonce = o->nonce,
                               .data = malloc((size_t)o->bytes),
                               .len = (size_t)o->bytes};
            return c;
        }
    }
    abort();
}

static void put64(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (uint8_t)(v >> 8 * i);
    }
}

static size_t list(struct fake *f, const struct peer_order *o, uint8_t *out)
{
    size_t len = 0;
    uint64_t extent = o->extent, nonce = o->nonce;
    for (;;) { /* the next one in order */
        const struct copy *best = NULL;
        for (size_t i = 0; i < COPIES; i++) {
            const struct copy *c = &f->copies[i];
            if (c->data != NULL && c->whole &&
                (c->extent > extent || (c->extent == extent && c->nonce > nonce)) &&
                (best == NULL || c->extent < best->extent ||
                 (c->extent == best->extent && c->nonce < best->nonce))) {
                best = c;
            }
        }
        if (best == NULL) {
            return len;
        }
        put64(out + len, extent = best->extent);
        put64(out + len + 8, nonce = best->nonce);
        put64(out + len + 16, best->len);
        len += PEER_COPY_BYTES;
    }
}

static void answer(struct fake *f, const struct peer_order *o)
{
    static _Thread_local uint8_t out[PEER_PIECE_BYTES];
    size_t len = 0;
    status_t st = ST_OK;
    struct copy *c = copy_of(f, o->extent, o->nonce);
    if (o->kind == PEER_WRITE && atomic_load(&f->refuses) != ST_OK) {
        st = atomic_load(&f->refuses);
    } else if (o->kind == PEER_WRITE) {
        c = c != NULL ? c : new_copy(f, o);
        memcpy(c->data + o->offset, o->data, o->len);
    } else if (o->kind == PEER_END) {
        c->whole = true;
    } else if (o->kind == PEER_READ && c == NULL) {
        st = ST_NOTFOUND;
    } else if (o->kind == PEER_READ) {
        len = (size_t)o->bytes;
        memcpy(out, c->data + o->offset, len);
        out[len / 2] ^= atomic_load(&f->lies);
    } else if (o->kind == PEER_REMOVE && c != NULL) {
        free(c->data);
        c->data = NULL;
    } else if (o->kind == PEER_LIST) {
        len = list(f, o, out);
    }
    peers_done(f->peer, o->number, st, out, len);
}

static status_t take(void *arg, const struct peer_order *o)
{
    struct fake *f = arg;
    if (o->kind == PEER_BYE) {
        atomic_store(&f->left, (int)o->sum);
    }
    pthread_mutex_lock(&f->lock);
    if (f->peer != NULL && !atomic_load(&f->silent) && o->kind != PEER_WELCOME &&
        o->kind != PEER_BYE && !(o->kind == PEER_READ && atomic_load(&f->deaf))) {
        answer(f, o);
    }
    pthread_mutex_unlock(&f->lock);
    return atomic_load(&f->gone) ? ST_IO : ST_OK;
}

static bool wanted(void *arg)
{
    struct fake *f = arg;
    return !atomic_load(&f->gone);
}

static void joined(void *arg, struct peer *peer)
{
    struct fake *f = arg;
    pthread_mutex_lock(&f->lock);
    f->peer = peer;
    pthread_mutex_unlock(&f->lock);
}

static const struct peer_report roomy = {.limit_bytes = 1ULL << 40, .free_bytes = 1ULL << 40};

static void *serve(void *arg)
{
    struct fake *f = arg;
    const struct peer_link link = {.send = take, .is_wanted = wanted, .joined = joined, .arg = f};
    f->result = peers_serve(peers, f->key, f->name, &roomy, &link, NULL);
    return NULL;
}

static void join(struct fake *f)
{
    atomic_store(&f->gone, false);
    atomic_store(&f->left, -1);
    CHECK_EQ(pthread_create(&f->thread, NULL, serve, f), 0);
    f->runs = true;
}

static void end(struct fake *f)
{
    atomic_store(&f->gone, true);
    if (f->runs) {
        pthread_join(f->thread, NULL);
        f->runs = false;
    }
}

static struct peers_status now;
static void look(void)
{
    MUST(peers_status(peers, &now, &err));
}

/* Until it is so; a thread does it, so it may take a while. */
static bool eventually(bool (*is)(void))
{
    for (int i = 0; i < 3000; i++) {
        look();
        if (is()) {
            return true;
        }
        poll(NULL, 0, 5);
    }
    return false;
}

static size_t whole_copies(const struct fake *f)
{
    size_t count = 0;
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&f->lock);
    for (size_t i = 0; i < COPIES; i++) {
        count += f->copies[i].data != NULL && f->copies[i].whole;
    }
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&f->lock);
    return count;
}

static size_t all_copies(void)
{
    return whole_copies(&nodes[0]) + whole_copies(&nodes[1]) + whole_copies(&nodes[2]);
}

static bool nothing_lacks(void)
{
    return now.lacking_count == 0;
}
static size_t expected = 1;
static bool all_are_up(void)
{
    size_t up = 0;
    for (size_t i = 0; i < now.count; i++) {
        up += now.nodes[i].state == PEER_UP;
    }
    return up == now.count && up >= expected;
}
__attribute__((unused)) static bool something_was_repaired(void)
{
    return now.repaired_count > 0;
}

/* How often it was said that an extent has no good bytes. */
static _Atomic unsigned damage_told;
static void note_event(void *arg, const char *event, const char *node, const char *text)
{
    (void)arg, (void)node, (void)text;
    atomic_fetch_add(&damage_told, strcmp(event, "extent.damaged") == 0);
}

static void open_peers(uint64_t lost_ms, uint64_t answer_ms)
{
    const struct peers_options o = {.store = store,
                                    .lost_ms = lost_ms,
                                    .answer_ms = answer_ms,
                                    .idle_ms = 10,
                                    .event = note_event};
    atomic_store(&damage_told, 0);
    MUST(peers_open(&o, &peers, &err));
    MUST(peers_start(peers, &err));
}

__attribute__((unused)) static void begin(uint64_t lost_ms, uint64_t answer_ms)
{
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    open_peers(lost_ms, answer_ms);
    MUST(store_bucket_set_replicas(store, "box", 2, NULL, NULL, &err));
}

static void drop_copies(struct fake *f)
{
    for (size_t k = 0; k < COPIES; k++) {
        free(f->copies[k].data);
        f->copies[k].data = NULL;
    }
}

__attribute__((unused)) static void finish(void)
{
    peers_stop(peers);
    for (size_t i = 0; i < NODES; i++) {
        end(&nodes[i]);
    }
    check_sound();
    store_close(store);
    store = NULL;
    peers_close(peers);
    remove_tree(scratch);
    for (size_t i = 0; i < NODES; i++) {
        drop_copies(&nodes[i]);
        nodes[i].silent = nodes[i].lies = nodes[i].deaf = false;
        nodes[i].refuses = ST_OK;
    }
}

/* Those that have joined before are counted too. */
static void wait_for_all(size_t count)
{
    expected = count;
    CHECK(eventually(all_are_up));
    expected = 1;
}

__attribute__((unused)) static void join_and_wait(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        join(&nodes[i]);
    }
    wait_for_all(count);
}

/* What orders of the node are given to, as soon as it is there. */
__attribute__((unused)) static struct peer *peer_of_node(struct fake *f)
{
    struct peer *peer = NULL;
    for (int i = 0; i < 3000 && peer == NULL; i++) {
        pthread_mutex_lock(&f->lock);
        peer = f->peer;
        pthread_mutex_unlock(&f->lock);
        if (peer == NULL) {
            poll(NULL, 0, 5);
        }
    }
    return peer;
}

/* The local file of the object's first extent. */
__attribute__((unused)) static void local_path(const char *key, char ret_path[160])
{
    uint64_t *ids = NULL;
    size_t count = 0;
    MUST(store_object_extents(store, "box", key, &ids, &count, &err));
    snprintf(ret_path, 160, "%s/data/%02x/%016llx", scratch, (unsigned)(ids[0] & 0xff),
             (unsigned long long)ids[0]);
    free(ids);
}

__attribute__((unused)) static void damage(const char *key)
{
    char path[160];
    local_path(key, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "damaged", 7, 100000), 7);
    close(fd);
}

#endif
