#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "impl.h"
#include "sys/clock.h"

/* Copies of one extent: made, read, removed. */

enum { TURN_MS = 200 };

static status_t no_memory(struct error *err)
{
    return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

/* A local file on its way to a node. */
struct sending {
    struct peer *peer;
    struct store_extent x;
    int fd;
    uint64_t nonce;
    struct order orders[WINDOW];
    uint8_t *pieces; /* WINDOW of them */
    bool posted[WINDOW];
    bool here; /* what failed is of this side, and would with every node */
};

static status_t read_local(const struct store_extent *x, int fd, uint64_t off, uint8_t *data,
                           size_t len, struct error *err)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(fd, data + got, len - got, (off_t)(off + got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return error_set(err, ST_CORRUPT, off + got, "extent %016llx: byte %llu: %s",
                             (unsigned long long)x->id, (unsigned long long)(off + got),
                             n < 0 ? strerror(errno) : "it ends there");
        }
        got += (size_t)n;
    }
    return store_extent_compare(x, off, data, len, err);
}

/* Each order that was posted is waited for, whatever became of the others. */
static status_t wait_for(struct sending *s, size_t slot, struct error *err)
{
    if (!s->posted[slot]) {
        return ST_OK;
    }
    s->posted[slot] = false;
    return peer_wait(s->peer, &s->orders[slot], err);
}

static status_t send_pieces(struct sending *s, struct error *err)
{
    status_t st = ST_OK;
    size_t slot = 0;
    for (uint64_t off = 0; off < s->x.bytes && st == ST_OK; off += PEER_PIECE_BYTES) {
        uint8_t *piece = s->pieces + slot * PEER_PIECE_BYTES;
        uint64_t left = s->x.bytes - off;
        size_t len = left < PEER_PIECE_BYTES ? (size_t)left : PEER_PIECE_BYTES;
        st = wait_for(s, slot, err);
        if (st == ST_OK) {
            st = read_local(&s->x, s->fd, off, piece, len, err);
            s->here = st != ST_OK;
        }
        if (st == ST_OK) {
            s->orders[slot] = (struct order){.o = {.kind = PEER_WRITE,
                                                   .extent = s->x.id,
                                                   .nonce = s->nonce,
                                                   .offset = off,
                                                   .bytes = s->x.bytes,
                                                   .data = piece,
                                                   .len = len}};
            peer_post(s->peer, &s->orders[slot]);
            s->posted[slot] = true;
            slot = (slot + 1) % WINDOW;
        }
    }
    for (size_t i = 0; i < WINDOW; i++) {
        status_t one = wait_for(s, i, st == ST_OK ? err : NULL);
        st = st == ST_OK ? one : st;
    }
    return st;
}

static status_t end(struct sending *s, struct error *err)
{
    struct order order = {.o = {.kind = PEER_END,
                                .extent = s->x.id,
                                .nonce = s->nonce,
                                .bytes = s->x.bytes,
                                .sum = hash_crc32c(0, s->x.sums.data, s->x.sums.len)}};
    return peer_ask(s->peer, &order, err);
}

/* What came of it is of no use: if the node is gone, its list tells when it is back. */
static void undo(struct sending *s)
{
    status_t ignored = peer_remove(s->peer, s->x.id, s->nonce, NULL);
    (void)ignored;
}

/* A store whose sync failed does not know whether the row is there: the next start does, and compares. */
static bool row_may_be_there(struct peers *p)
{
    struct store_state state;
    return store_state(p->o.store, &state, NULL) != ST_OK || state.broken;
}

static status_t send_held(struct sending *s, struct error *err)
{
    struct peers *p = s->peer->all;
    s->pieces = malloc((size_t)WINDOW * PEER_PIECE_BYTES);
    status_t st = s->pieces != NULL ? store_copy_nonce(&s->nonce, err) : no_memory(err);
    if (st != ST_OK) {
        s->here = true;
        return st;
    }
    st = send_pieces(s, err);
    if (st == ST_OK) {
        st = end(s, err);
    }
    if (st == ST_OK) {
        st = store_copy_add(p->o.store, s->peer->node.id, s->x.id, s->nonce, err);
        s->here = st != ST_OK;
    }
    if (st != ST_OK && s->here && row_may_be_there(p)) {
        return st;
    }
    if (st != ST_OK) {
        undo(s);
        return st;
    }
    atomic_fetch_add(&p->copied_count, 1);
    atomic_fetch_add(&p->copied_bytes, s->x.bytes);
    pthread_mutex_lock(&p->lock); /* until it reports */
    uint64_t *left = &s->peer->report.free_bytes;
    *left = *left > s->x.bytes ? *left - s->x.bytes : 0;
    pthread_mutex_unlock(&p->lock);
    return ST_OK;
}

/* ST_CORRUPT: the local bytes do not match. ST_AGAIN: this node cannot, whatever it says is wrong. */
static status_t send_to(struct peer *peer, uint64_t extent, struct error *err)
{
    struct store *store = peer->all->o.store;
    struct sending s = {.peer = peer, .fd = -1};
    status_t st = store_copy_hold(store, extent, &s.x, &s.fd, err);
    if (st != ST_OK) {
        return st;
    }
    st = send_held(&s, err);
    if (st != ST_OK && !s.here) {
        st = ST_AGAIN;
    }
    free(s.pieces);
    close(s.fd);
    buf_done(&s.x.sums);
    store_extent_release(store, extent);
    return st;
}

/* Nodes that have one, or that were tried. */
struct taken {
    uint64_t nodes[STORE_NODES_MAX];
    size_t count;
};

static bool is_taken(const struct taken *t, uint64_t node)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->nodes[i] == node) {
            return true;
        }
    }
    return false;
}

/* The one with the most room, of those that could take so many bytes. */
static struct peer *choose(struct peers *p, const struct taken *t, uint64_t bytes)
{
    struct peer *best = NULL;
    pthread_mutex_lock(&p->lock);
    for (struct peer *peer = p->first; peer != NULL; peer = peer->next) {
        if (peer->up && peer->synced && !peer->broken && !peer->leave &&
            peer->node.state == STORE_NODE_COUNTS && peer->report.free_bytes > bytes &&
            !is_taken(t, peer->node.id) &&
            (best == NULL || peer->report.free_bytes > best->report.free_bytes)) {
            best = peer;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return best;
}

static status_t get_lacking(struct peers *p, uint64_t extent, struct store_lacking *ret_lacking,
                            struct error *err)
{
    struct store_lacking one;
    size_t count = 0;
    status_t st = store_copies_lacking(p->o.store, extent - 1, 1, &one, &count, err);
    if (st == ST_OK) {
        *ret_lacking = count == 1 && one.id == extent ? one : (struct store_lacking){.id = extent};
    }
    return st;
}

static status_t take_owners(struct peers *p, uint64_t extent, struct taken *t, struct error *err)
{
    struct store_copy_at list[STORE_NODES_MAX];
    size_t count = 0;
    status_t st = store_copies_of(p->o.store, extent, STORE_NODES_MAX, list, &count, err);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        t->nodes[t->count++] = list[i].node;
    }
    return st;
}

static status_t copy(struct peers *p, uint64_t extent, struct error *err)
{
    struct store_lacking lacking = {.lacks = 1};
    struct taken taken = {.count = 0};
    status_t st = take_owners(p, extent, &taken, err);
    while (st == ST_OK && lacking.lacks > 0 &&
           (st = get_lacking(p, extent, &lacking, err)) == ST_OK && lacking.lacks > 0) {
        struct peer *peer = taken.count < STORE_NODES_MAX ? choose(p, &taken, lacking.bytes) : NULL;
        if (peer == NULL || atomic_load(&p->stopping)) {
            return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "no node is there to take a copy");
        }
        taken.nodes[taken.count++] = peer->node.id;
        st = send_to(peer, extent, err);
        if (st == ST_AGAIN || st == ST_LIMIT || st == ST_IO || st == ST_EXIST) {
            st = ST_OK; /* another one may */
        }
    }
    return st == ST_NOTFOUND ? ST_OK : st;
}

/* One at a time copies an extent. Under the lock. */
static bool is_copying(const struct peers *p, uint64_t extent)
{
    for (size_t i = 0; i < p->copying_count; i++) {
        if (p->copying[i] == extent) {
            return true;
        }
    }
    return false;
}

static void copying_ends(struct peers *p, uint64_t extent)
{
    for (size_t i = 0; i < p->copying_count; i++) {
        if (p->copying[i] == extent) {
            p->copying[i] = p->copying[--p->copying_count];
            break;
        }
    }
    pthread_cond_broadcast(&p->changed);
}

/* false: it does not come until then. */
static bool take_turn(struct peers *p, uint64_t extent, uint64_t until)
{
    bool in_time = true;
    pthread_mutex_lock(&p->lock);
    while (in_time && (p->copying_count == COPIERS_MAX || is_copying(p, extent))) {
        in_time = peers_wait(p, until);
    }
    if (in_time) {
        p->copying[p->copying_count++] = extent;
    }
    pthread_mutex_unlock(&p->lock);
    return in_time;
}

static status_t copy_in_turn(struct peers *p, uint64_t extent, struct error *err)
{
    status_t st = copy(p, extent, err);
    pthread_mutex_lock(&p->lock);
    copying_ends(p, extent);
    pthread_mutex_unlock(&p->lock);
    if (st == ST_CORRUPT) {
        peers_damaged(p, extent);
    }
    return st;
}

status_t peers_copy(struct peers *p, uint64_t extent, uint64_t until, struct error *err)
{
    return take_turn(p, extent, until)
               ? copy_in_turn(p, extent, err)
               : error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "too much is being copied");
}

/* Like a writer's, its turn comes when another one's copy ends; but it waits as long as its caller does. */
static status_t wait_for_turn(struct peers *p, uint64_t extent, bool (*goes_on)(void *arg),
                              void *arg, struct error *err)
{
    while (!take_turn(p, extent, clock_monotonic_ns() + TURN_MS * NS_PER_MS)) {
        if (atomic_load(&p->stopping) || !goes_on(arg)) {
            return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "stopped");
        }
    }
    return ST_OK;
}

status_t peers_trim_extent(struct peers *p, uint64_t extent, struct error *err)
{
    uint64_t extra = 0;
    uint8_t *piece = NULL;
    status_t st = store_copies_extra(p->o.store, extent, &extra, err);
    if (st != ST_OK || extra == 0) {
        return st;
    }
    piece = malloc(PEER_PIECE_BYTES);
    st = piece != NULL ? peers_check_local(p, extent, piece, err) : no_memory(err);
    free(piece);
    if (st == ST_CORRUPT) {
        peers_damaged(p, extent); /* it is repaired from one of them */
    }
    return st == ST_OK ? store_copies_trim(p->o.store, extent, err) : st;
}

status_t peers_make(struct peers *p, uint64_t extent, bool (*goes_on)(void *arg), void *arg,
                    bool *ret_made, struct error *err)
{
    struct store_lacking lacking;
    status_t st = get_lacking(p, extent, &lacking, err);
    if (st == ST_OK && lacking.lacks > 0) {
        st = wait_for_turn(p, extent, goes_on, arg, err);
        if (st == ST_OK) {
            st = copy_in_turn(p, extent, err);
        }
    }
    if (st == ST_OK) {
        st = peers_trim_extent(p, extent, err);
    }
    if (st == ST_OK) {
        *ret_made = lacking.lacks > 0;
    }
    return st;
}

/* The writer is answered when this returns. One that was begun is finished, however long that takes. */
void peers_written(void *arg, const uint64_t *extents, size_t count)
{
    struct peers *p = arg;
    struct error err = {.offset = ERROR_NO_OFFSET};
    uint64_t until = clock_monotonic_ns() + p->o.answer_ms * NS_PER_MS;
    status_t st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = i == 0 || clock_monotonic_ns() < until ? peers_copy(p, extents[i], until, &err)
                                                    : ST_AGAIN;
    }
    if (st != ST_OK) {
        atomic_fetch_add(&p->late, 1);
        peers_wake(p);
    }
}

static struct peer *peer_of(struct peers *p, uint64_t node)
{
    pthread_mutex_lock(&p->lock);
    struct peer *peer = p->first;
    while (peer != NULL && peer->node.id != node) {
        peer = peer->next;
    }
    if (peer != NULL && !peer->up) {
        peer = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    return peer;
}

static status_t read_one(struct peer *peer, const struct store_extent *x, uint64_t nonce,
                         uint64_t off, void *data, size_t len, struct error *err)
{
    struct peers *p = peer->all;
    struct order order = {
        .o = {.kind = PEER_READ, .extent = x->id, .nonce = nonce, .offset = off, .bytes = len},
        .into = data,
        .room = len};
    status_t st = peer_ask(peer, &order, err);
    if (st == ST_OK) {
        st = store_extent_compare(x, off, data, len, err);
    }
    if (st == ST_OK) {
        atomic_fetch_add(&p->read_bytes, len);
        return ST_OK;
    }
    if (st == ST_CORRUPT || st == ST_NOTFOUND) { /* another one is made of those that are good */
        peers_tell(p, "node.bad_copy", peer->node.name, err != NULL ? err->text : "");
        status_t ignored = store_copy_bad(p->o.store, peer->node.id, x->id, nonce, NULL);
        (void)ignored;
        peers_wake(p);
    }
    return st;
}

static status_t read_any(struct peers *p, const struct store_extent *x, uint64_t off, void *data,
                         size_t len, struct error *err)
{
    struct store_copy_at list[STORE_NODES_MAX];
    size_t count = 0;
    status_t st = store_copies_of(p->o.store, x->id, STORE_NODES_MAX, list, &count, err);
    status_t worst = error_set(err, ST_CORRUPT, off, "extent %016llx has no good copy",
                               (unsigned long long)x->id);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        struct error inner = {.offset = ERROR_NO_OFFSET};
        struct peer *peer = peer_of(p, list[i].node);
        status_t one = peer != NULL ? read_one(peer, x, list[i].nonce, off, data, len, &inner)
                                    : ST_AGAIN;
        if (one == ST_OK) {
            return ST_OK;
        }
        if (one != ST_CORRUPT && one != ST_NOTFOUND) {
            worst = error_set(err, ST_AGAIN, off,
                              "the nodes with copies of extent %016llx are away",
                              (unsigned long long)x->id);
        }
    }
    return st == ST_OK ? worst : st;
}

status_t peers_read(void *arg, const struct store_extent *x, uint64_t off, void *data, size_t len,
                    struct error *err)
{
    status_t st = ST_OK;
    for (size_t at = 0; at < len && st == ST_OK; at += PEER_PIECE_BYTES) {
        size_t n = len - at < PEER_PIECE_BYTES ? len - at : PEER_PIECE_BYTES;
        st = read_any(arg, x, off + at, (uint8_t *)data + at, n, err);
    }
    return st;
}

void peers_damaged(void *arg, uint64_t extent)
{
    struct peers *p = arg;
    bool is_new = true;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->damaged_count; i++) {
        is_new = is_new && p->damaged[i] != extent;
    }
    if (is_new && p->damaged_count < DAMAGED_MAX) {
        p->damaged[p->damaged_count++] = extent;
        p->woken = true;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
}

status_t peer_remove(struct peer *peer, uint64_t extent, uint64_t nonce, struct error *err)
{
    struct order order = {.o = {.kind = PEER_REMOVE, .extent = extent, .nonce = nonce}};
    status_t st = peer_ask(peer, &order, err);
    return st == ST_NOTFOUND ? ST_OK : st;
}
