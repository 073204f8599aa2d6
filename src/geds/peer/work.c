#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "impl.h"
#include "sys/clock.h"

/* What the thread does when it looks. */

enum { PAGE = 512, LISTED_MAX = 8 * 1024 * 1024 /* copies of a node */, LIST_BYTES = 480 * 1024 };
#define BAD_NS (600 * 1000000000ULL)

static status_t no_memory(struct error *err)
{
    return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
}

static bool goes_on(struct peers *p)
{
    return !atomic_load(&p->stopping);
}

/* All peers that are there now. They are never freed before the close. */
struct here {
    struct peer *list[STORE_NODES_MAX];
    size_t count;
};
static void look_at(struct peers *p, bool (*is)(const struct peer *peer), struct here *ret_here)
{
    ret_here->count = 0;
    pthread_mutex_lock(&p->lock);
    for (struct peer *peer = p->first; peer != NULL && ret_here->count < STORE_NODES_MAX;
         peer = peer->next) {
        if (is(peer)) {
            ret_here->list[ret_here->count++] = peer;
        }
    }
    pthread_mutex_unlock(&p->lock);
}

/* Away for long. */
static bool is_late(const struct peer *peer)
{
    return !peer->up && peer->node.state == STORE_NODE_COUNTS &&
           clock_monotonic_ns() - peer->away_since >= peer->all->o.lost_ms * NS_PER_MS;
}

static status_t set_state(struct peer *peer, enum store_node_state state, const char *event)
{
    struct peers *p = peer->all;
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t st = store_node_set_state(p->o.store, peer->node.id, state, &err);
    if (st == ST_OK) {
        pthread_mutex_lock(&p->lock);
        peer->node.state = state;
        pthread_mutex_unlock(&p->lock);
    }
    if (st != ST_OK || event != NULL) {
        peers_tell(p, event != NULL ? event : "node.counts", peer->node.name,
                   st == ST_OK ? "" : err.text);
    }
    return st;
}

static void note_lost(struct peers *p)
{
    struct here here;
    look_at(p, is_late, &here);
    for (size_t i = 0; i < here.count && goes_on(p); i++) {
        status_t ignored = set_state(here.list[i], STORE_NODE_LOST, "node.lost");
        (void)ignored; /* the next look tries again */
    }
}

/* What a node says that it has, in order. */
struct listed {
    struct store_copy *list;
    bool *has_row;
    size_t count, cap;
};

static status_t take_page(struct listed *l, const uint8_t *data, size_t len, struct error *err)
{
    struct cursor c;
    cursor_init(&c, data, len, 0);
    while (cursor_left(&c) >= PEER_COPY_BYTES) {
        struct store_copy copy = {.extent = cursor_le64(&c)};
        copy.nonce = cursor_le64(&c);
        copy.bytes = cursor_le64(&c);
        const struct store_copy *last = l->count > 0 ? &l->list[l->count - 1] : NULL;
        if (l->count == LISTED_MAX ||
            (last != NULL && (copy.extent < last->extent ||
                              (copy.extent == last->extent && copy.nonce <= last->nonce)))) {
            return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "its list is in no order");
        }
        if (l->count == l->cap) {
            size_t cap = l->cap != 0 ? 2 * l->cap : 1024;
            struct store_copy *grown = realloc(l->list, cap * sizeof *grown);
            if (grown == NULL) {
                return no_memory(err);
            }
            l->list = grown;
            l->cap = cap;
        }
        l->list[l->count++] = copy;
    }
    return ST_OK;
}

static status_t list_all(struct peer *peer, struct listed *l, struct error *err)
{
    uint8_t *page = malloc(LIST_BYTES);
    status_t st = page != NULL ? ST_OK : no_memory(err);
    size_t got = 1;
    while (st == ST_OK && got > 0) {
        struct order order = {
            .o = {.kind = PEER_LIST, .bytes = LIST_BYTES}, .into = page, .room = LIST_BYTES};
        if (l->count > 0) {
            order.o.extent = l->list[l->count - 1].extent;
            order.o.nonce = l->list[l->count - 1].nonce;
        }
        st = peer_ask(peer, &order, err);
        got = order.got;
        if (st == ST_OK) {
            st = take_page(l, page, got, err);
        }
    }
    free(page);
    l->has_row = st == ST_OK ? calloc(l->count + 1, sizeof *l->has_row) : NULL;
    return st == ST_OK && l->has_row == NULL ? no_memory(err) : st;
}

static int compare(const void *a, const void *b)
{
    const struct store_copy *x = a, *y = b;
    return x->extent != y->extent ? (x->extent > y->extent) - (x->extent < y->extent)
                                  : (x->nonce > y->nonce) - (x->nonce < y->nonce);
}

/* Rows of what is not there go. */
static status_t compare_rows(struct peer *peer, struct listed *l, struct error *err)
{
    struct store *store = peer->all->o.store;
    struct store_copy *rows = malloc(PAGE * sizeof *rows), after = {0};
    size_t count = PAGE;
    status_t st = rows != NULL ? ST_OK : no_memory(err);
    while (st == ST_OK && count == PAGE) {
        st = store_node_copies(store, peer->node.id, &after, PAGE, rows, &count, err);
        for (size_t i = 0; i < count && st == ST_OK; i++) {
            struct store_copy *there = l->count > 0 ? bsearch(&rows[i], l->list, l->count,
                                                              sizeof rows[i], compare)
                                                    : NULL;
            if (there != NULL && there->bytes == rows[i].bytes) {
                l->has_row[there - l->list] = true;
            } else {
                st = store_copy_bad(store, peer->node.id, rows[i].extent, rows[i].nonce, err);
            }
        }
        after = count > 0 && rows != NULL ? rows[count - 1] : after;
    }
    free(rows);
    return st;
}

static status_t remove_orphans(struct peer *peer, const struct listed *l, struct error *err)
{
    status_t st = ST_OK;
    for (size_t i = 0; i < l->count && st == ST_OK && goes_on(peer->all); i++) {
        if (!l->has_row[i]) {
            st = peer_remove(peer, l->list[i].extent, l->list[i].nonce, err);
        }
    }
    return st;
}

static bool is_new(const struct peer *peer)
{
    return peer->up && !peer->synced && !peer->broken;
}

/* Its copies count, if they do not, and once after a start: a crash may have cut off that they were counted. */
static status_t count_again(struct peer *peer)
{
    bool lost = peer->node.state == STORE_NODE_LOST;
    if (!lost && (peer->counted || peer->node.state != STORE_NODE_COUNTS)) {
        return ST_OK;
    }
    status_t st = set_state(peer, STORE_NODE_COUNTS, lost ? "node.back" : NULL);
    peer->counted = st == ST_OK;
    return st;
}

/* Its list against the rows; then it gets copies, and its own count again. */
static void sync_one(struct peer *peer)
{
    struct peers *p = peer->all;
    struct listed l = {0};
    struct error err = {.offset = ERROR_NO_OFFSET};
    pthread_mutex_lock(&p->lock);
    unsigned serial = peer->serial;
    pthread_mutex_unlock(&p->lock);
    status_t st = list_all(peer, &l, &err);
    if (st == ST_OK) {
        st = compare_rows(peer, &l, &err);
    }
    if (st == ST_OK) {
        st = remove_orphans(peer, &l, &err);
    }
    free(l.list);
    free(l.has_row);
    if (st != ST_OK) {
        peers_tell(p, "node.list", peer->node.name, err.text);
    }
    if (st != ST_OK || count_again(peer) != ST_OK) {
        pthread_mutex_lock(&p->lock);
        peer->broken = true; /* it connects anew */
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        return;
    }
    pthread_mutex_lock(&p->lock);
    peer->synced = peer->up && peer->serial == serial;
    pthread_mutex_unlock(&p->lock);
    status_t ignored = store_node_seen(p->o.store, peer->node.id, NULL);
    (void)ignored;
}

static void sync_new(struct peers *p)
{
    struct here here;
    look_at(p, is_new, &here);
    for (size_t i = 0; i < here.count && goes_on(p); i++) {
        sync_one(here.list[i]);
    }
}

static bool is_synced(const struct peer *peer)
{
    return peer->up && peer->synced && !peer->broken;
}

static void remove_from(struct peer *peer)
{
    struct peers *p = peer->all;
    struct store_copy list[PAGE];
    size_t count = PAGE;
    status_t st = ST_OK;
    while (st == ST_OK && count == PAGE && goes_on(p)) {
        size_t done = 0;
        st = store_copies_to_remove(p->o.store, peer->node.id, PAGE, list, &count, NULL);
        while (st == ST_OK && done < count &&
               (st = peer_remove(peer, list[done].extent, list[done].nonce, NULL)) == ST_OK) {
            done++;
        }
        status_t kept = store_copies_removed(p->o.store, peer->node.id, list, done, NULL);
        atomic_fetch_add(&p->removed, kept == ST_OK ? done : 0);
        st = st == ST_OK ? kept : st;
    }
}

static void remove_gone(struct peers *p)
{
    struct here here;
    status_t ignored = store_settle(p->o.store, NULL);
    (void)ignored;
    look_at(p, is_synced, &here);
    for (size_t i = 0; i < here.count && goes_on(p); i++) {
        remove_from(here.list[i]);
    }
}

static bool take_damaged(struct peers *p, uint64_t *ret_extent)
{
    pthread_mutex_lock(&p->lock);
    bool there = p->damaged_count > 0;
    if (there) {
        *ret_extent = p->damaged[--p->damaged_count];
    }
    pthread_mutex_unlock(&p->lock);
    return there;
}

static bool is_bad(const struct peers *p, uint64_t extent)
{
    for (size_t i = 0; i < BAD_MAX; i++) {
        if (p->bad[i].extent == extent && clock_monotonic_ns() < p->bad[i].until) {
            return true;
        }
    }
    return false;
}

/* One that cannot be repaired is tried again after a while, or when somebody reads it. */
static status_t repair(struct peers *p, uint64_t extent, struct error *err)
{
    char name[24];
    status_t st = store_extent_restore(p->o.store, extent, err);
    snprintf(name, sizeof name, "%016llx", (unsigned long long)extent);
    if (st == ST_OK) {
        atomic_fetch_add(&p->repaired, 1);
        peers_tell(p, "extent.repaired", name, "from a copy on a node");
    } else if (st != ST_NOTFOUND) {
        peers_tell(p, "extent.damaged", name, err->text);
        p->bad[p->bad_at++ % BAD_MAX] = (struct bad){.extent = extent,
                                                     .until = clock_monotonic_ns() + BAD_NS};
    }
    return st == ST_NOTFOUND ? ST_OK : st;
}

static void repair_damaged(struct peers *p)
{
    uint64_t extent = 0;
    for (int i = 0; i < DAMAGED_MAX && goes_on(p) && take_damaged(p, &extent); i++) {
        struct error err = {.offset = ERROR_NO_OFFSET};
        status_t ignored = repair(p, extent, &err);
        (void)ignored;
    }
}

/* false: some could not be made. */
static bool copy_lacking(struct peers *p)
{
    struct store_lacking list[64];
    uint64_t after = 0;
    size_t count = 64;
    bool all = true;
    while (count == 64 && goes_on(p)) {
        if (store_copies_lacking(p->o.store, after, 64, list, &count, NULL) != ST_OK) {
            return false;
        }
        for (size_t i = 0; i < count && goes_on(p); i++) {
            struct error err = {.offset = ERROR_NO_OFFSET};
            uint64_t until = clock_monotonic_ns() + p->o.answer_ms * NS_PER_MS;
            after = list[i].id;
            all = !is_bad(p, after) && peers_copy(p, after, until, &err) == ST_OK && all;
        }
        struct here here;
        look_at(p, is_synced, &here);
        if (!all && here.count == 0) {
            return false;
        }
    }
    return all;
}

/* Its copies count, and it is not known whether they are there. */
static bool is_in_doubt(const struct peer *peer)
{
    return peer->node.state == STORE_NODE_COUNTS && !is_synced(peer);
}

static bool all_are_known(struct peers *p)
{
    struct here doubtful;
    look_at(p, is_in_doubt, &doubtful);
    return doubtful.count == 0;
}

/* false: it is to be tried once more. */
static bool trim_one(struct peers *p, uint64_t extent)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t st = is_bad(p, extent) ? ST_NOTFOUND : peers_trim_extent(p, extent, &err);
    if (st != ST_OK && st != ST_NOTFOUND && st != ST_CORRUPT) {
        char name[24];
        snprintf(name, sizeof name, "%016llx", (unsigned long long)extent);
        peers_tell(p, "extent.trim", name, err.text);
    }
    return st == ST_OK || st == ST_NOTFOUND;
}

/* What is too much goes when the copies that stay are known to be there: a node that is away may not come back. */
static void trim_surplus(struct peers *p)
{
    uint64_t list[64], after = 0;
    size_t count = 64;
    bool all = true;
    if (!atomic_load(&p->trims) || !all_are_known(p)) {
        return;
    }
    atomic_store(&p->trims, false);
    while (count == 64 && all && goes_on(p)) {
        all = store_copies_surplus(p->o.store, after, 64, list, &count, NULL) == ST_OK;
        for (size_t i = 0; all && i < count && goes_on(p); i++) {
            after = list[i];
            all = all_are_known(p) && trim_one(p, after);
        }
    }
    if (!all) {
        atomic_store(&p->trims, true);
    }
    remove_gone(p);
}

static bool wants_to_leave(const struct peer *peer)
{
    return peer->leave && peer->node.state != STORE_NODE_LEAVING;
}

static bool is_leaving(const struct peer *peer)
{
    return peer->up && peer->synced && peer->node.state == STORE_NODE_LEAVING;
}

status_t peers_check_local(struct peers *p, uint64_t extent, uint8_t *piece, struct error *err)
{
    struct store_extent x = {0};
    int fd = -1;
    status_t st = store_copy_hold(p->o.store, extent, &x, &fd, err);
    if (st != ST_OK) {
        return st;
    }
    for (uint64_t off = 0; off < x.bytes && st == ST_OK; off += PEER_PIECE_BYTES) {
        uint64_t left = x.bytes - off;
        size_t len = left < PEER_PIECE_BYTES ? (size_t)left : PEER_PIECE_BYTES;
        st = pread(fd, piece, len, (off_t)off) == (ssize_t)len
                 ? store_extent_compare(&x, off, piece, len, err)
                 : error_set(err, ST_CORRUPT, off, "it cannot be read");
    }
    close(fd);
    buf_done(&x.sums);
    store_extent_release(p->o.store, extent);
    return st;
}

static void set_left(struct peer *peer, uint64_t left)
{
    pthread_mutex_lock(&peer->all->lock);
    peer->left = left;
    pthread_mutex_unlock(&peer->all->lock);
}

/* What it has is somewhere else too: the local bytes of each of its copies are good, or are made so. */
static status_t check_copies(struct peer *peer, struct error *err)
{
    struct peers *p = peer->all;
    uint8_t *piece = malloc(PEER_PIECE_BYTES);
    struct store_copy list[PAGE], after = {0};
    size_t count = PAGE;
    pthread_mutex_lock(&p->lock);
    uint64_t left = peer->report.copies;
    pthread_mutex_unlock(&p->lock);
    status_t st = piece != NULL ? ST_OK : no_memory(err);
    while (st == ST_OK && count == PAGE) {
        st = store_node_copies(p->o.store, peer->node.id, &after, PAGE, list, &count, err);
        for (size_t i = 0; i < count && st == ST_OK; i++) {
            after = list[i];
            set_left(peer, left > 1 ? left-- : 1);
            st = peers_check_local(p, after.extent, piece, err);
            if (st == ST_CORRUPT) {
                st = repair(p, after.extent, err);
            }
            st = st == ST_NOTFOUND ? ST_OK : st;
            if (st == ST_OK && !goes_on(p)) {
                st = error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "the store is being stopped");
            }
        }
    }
    free(piece);
    return st;
}

/* all: nothing is lacking that a node which is there could take. */
static void let_go(struct peer *peer, bool all)
{
    struct peers *p = peer->all;
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct here others;
    status_t st = check_copies(peer, &err);
    look_at(p, is_synced, &others);
    /* as long as another node is there, what is lacking is tried again */
    if (st == ST_OK && !all && others.count > 1) {
        uint64_t count = 0, bytes = 0;
        st = store_copies_totals(p->o.store, &count, &bytes, &err);
        set_left(peer, count + 1);
        pthread_mutex_lock(&p->lock);
        bool tried = peer->checked;
        peer->checked = true;
        pthread_mutex_unlock(&p->lock);
        if (!tried) {
            return;
        }
    }
    if (st == ST_OK) {
        st = store_node_forget(p->o.store, peer->node.id, &err);
    }
    if (st != ST_OK) {
        peers_tell(p, "node.leaving", peer->node.name, err.text);
        return;
    }
    peers_tell(p, "node.left", peer->node.name, all ? "" : "some extents lack copies");
    pthread_mutex_lock(&p->lock);
    struct peer **at = &p->first;
    while (*at != NULL && *at != peer) {
        at = &(*at)->next;
    }
    if (*at == peer) {
        *at = peer->next;
        peer->next = p->forgotten;
        p->forgotten = peer;
    }
    peer->left = 0;
    peer->leave = false;
    peer->node.state = STORE_NODE_COUNTS;
    peer->bye = peer->has_left = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void work(struct peers *p)
{
    struct here here;
    note_lost(p);
    sync_new(p);
    remove_gone(p);
    repair_damaged(p);
    look_at(p, wants_to_leave, &here);
    for (size_t i = 0; i < here.count && goes_on(p); i++) {
        status_t ignored = set_state(here.list[i], STORE_NODE_LEAVING, "node.leaving");
        (void)ignored;
    }
    bool all = copy_lacking(p);
    trim_surplus(p);
    look_at(p, is_leaving, &here);
    for (size_t i = 0; i < here.count && goes_on(p); i++) {
        let_go(here.list[i], all);
    }
}

void *peers_run(void *arg)
{
    struct peers *p = arg;
    while (goes_on(p)) {
        work(p);
        uint64_t until = clock_monotonic_ns() + p->o.idle_ms * NS_PER_MS;
        pthread_mutex_lock(&p->lock);
        while (!p->stop && !p->woken && peers_wait(p, until)) {
        }
        p->woken = false;
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}
