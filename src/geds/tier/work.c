#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "impl.h"
#include "sys/clock.h"

/* What the thread does when it looks. */

enum { PAGE = 1024, DELETE_MAX = 1000, ROUNDS_MAX = 1000, LOOK_PAUSE = 20 };
#define NS_PER_S 1000000000ULL

/* The ROUND_MAX extents that were not used for longest. */
struct oldest {
    struct store_candidate list[ROUND_MAX];
    size_t count;
};

static bool is_older(const struct store_candidate *a, const struct store_candidate *b)
{
    return a->last_use != b->last_use ? a->last_use < b->last_use : a->id < b->id;
}

static void take_in(struct oldest *o, const struct store_candidate *c)
{
    size_t at = o->count;
    if (at == ROUND_MAX) {
        if (!is_older(c, &o->list[at - 1])) {
            return;
        }
        at--;
    } else {
        o->count++;
    }
    while (at > 0 && is_older(c, &o->list[at - 1])) {
        o->list[at] = o->list[at - 1];
        at--;
    }
    o->list[at] = *c;
}

/* Extents of higher numbers cannot be older than all that are there. */
static bool is_settled(const struct oldest *o)
{
    return o->count == ROUND_MAX && o->list[ROUND_MAX - 1].last_use == 0;
}

static bool may_go(struct tier *t, uint64_t id)
{
    pthread_mutex_lock(&t->lock);
    bool may = !numbers_have(&t->bad, id) && !numbers_have(&t->damaged, id);
    pthread_mutex_unlock(&t->lock);
    return may && !store_extent_is_open(t->o.store, id);
}

static status_t look(struct tier *t, unsigned place, enum store_keep keep, struct oldest *o,
                     struct error *err)
{
    struct store_candidate *page = malloc(PAGE * sizeof *page);
    uint64_t after = 0;
    size_t count = PAGE;
    bool settled = false;
    status_t st = page != NULL ? ST_OK : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    while (st == ST_OK && count == PAGE && !settled) {
        st = store_candidates(t->o.store, place, keep, after, PAGE, page, &count, err);
        for (size_t i = 0; i < count && st == ST_OK; i++) {
            settled = is_settled(o) && page[i].id > o->list[ROUND_MAX - 1].id;
            if (settled) {
                break;
            }
            if (may_go(t, page[i].id)) {
                take_in(o, &page[i]);
            }
            after = page[i].id;
        }
    }
    free(page);
    return st;
}

/* One round: as many of the oldest as are bytes to be moved. *ret_moved: how many went. */
static status_t move_oldest(struct tier *t, uint64_t need, uint64_t *ret_moved, struct error *err)
{
    static const struct {
        unsigned place;
        enum store_keep keep;
    } sources[] = {{STORE_PLACE_REMOTE, STORE_KEEP_UNTIL_FULL},
                   {STORE_PLACE_REMOTE, STORE_KEEP_BOTH},
                   {0, STORE_KEEP_UNTIL_FULL},
                   {0, STORE_KEEP_BOTH}};
    struct oldest *o = calloc(1, sizeof *o);
    status_t st = o != NULL ? ST_OK : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    *ret_moved = 0;
    for (size_t i = 0; i < sizeof sources / sizeof sources[0] && st == ST_OK; i++) {
        st = look(t, sources[i].place, sources[i].keep, o, err);
    }
    if (st == ST_OK && o->count > 0) {
        size_t count = 0;
        for (uint64_t bytes = 0; count < o->count && bytes < need; count++) {
            bytes += o->list[count].bytes;
        }
        st = tier_send_all(t, o->list, count, true, ret_moved);
    }
    free(o);
    return st;
}

static uint64_t bytes_to_move(struct tier *t, struct error *err)
{
    struct store_places p;
    struct statvfs fs;
    uint64_t need = 0;
    if (store_places(t->o.store, &p, err) != ST_OK) {
        return 0;
    }
    if (p.local_bytes > t->o.high_bytes) {
        need = p.local_bytes - t->o.low_bytes;
    }
    if (t->o.free_bytes != 0 && statvfs(t->o.path, &fs) == 0) {
        uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (left < t->o.free_bytes) { /* twice as much, so that it does not begin again at once */
            uint64_t more = 2 * t->o.free_bytes - left;
            need = more > need ? more : need;
        }
    }
    return need;
}

/* Looking costs time where there are very many files: at most a twentieth of it is spent so. */
static bool may_look(struct tier *t)
{
    return clock_monotonic_ns() >= t->look_after;
}

static void spill(struct tier *t)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    uint64_t began = clock_monotonic_ns(), moved = 1;
    if (!may_look(t)) {
        return;
    }
    uint64_t need = bytes_to_move(t, &err), now = clock_monotonic_ns();
    t->look_after = now + LOOK_PAUSE * (now - began);
    for (int i = 0; i < ROUNDS_MAX && need > 0 && moved > 0 && !atomic_load(&t->stopping); i++) {
        if (move_oldest(t, need, &moved, &err) != ST_OK) {
            break;
        }
        need = moved < need ? need - moved : 0;
    }
}

/* What is to have a copy at once: some of it, so that all else has its turn where more is written than can be sent. */
static void copy_eager(struct tier *t)
{
    struct store_candidate list[ROUND_MAX];
    struct error err = {.offset = ERROR_NO_OFFSET};
    size_t count = 0, good = 0;
    uint64_t ignored = 0;
    if (store_candidates(t->o.store, 0, STORE_KEEP_BOTH, t->eager_after, ROUND_MAX, list, &count,
                         &err) != ST_OK) {
        return;
    }
    uint64_t last = count > 0 ? list[count - 1].id : 0;
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&t->lock);
        bool bad = numbers_have(&t->bad, list[i].id);
        pthread_mutex_unlock(&t->lock);
        if (!bad) {
            list[good++] = list[i];
        }
    }
    if (tier_send_all(t, list, good, false, &ignored) != ST_OK) {
        return;
    }
    t->eager_after = count == ROUND_MAX ? last : 0;
    if (count == ROUND_MAX) {
        tier_wake(t);
    }
}

/* An upload that was begun of it is given up first. */
static status_t forget_uploads(struct tier *t, const struct store_extent *list, size_t count,
                               struct error *err)
{
    char upload[STORE_UPLOAD_TEXT_MAX + 1], name[TIER_NAME_BYTES];
    status_t st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = store_extent_upload(t->o.store, list[i].id, upload, err);
        if (st == ST_OK && upload[0] != '\0') {
            tier_name(t, list[i].id, list[i].nonce, name);
            st = t->remote.forget(t->remote.arg, name, list[i].bytes, upload, err);
        }
    }
    return st;
}

struct removal {
    struct store_extent list[DELETE_MAX];
    char names[DELETE_MAX][TIER_NAME_BYTES];
    const char *pointers[DELETE_MAX];
    status_t results[DELETE_MAX];
    uint64_t deleted[DELETE_MAX];
};

/* *ret_more: there may be more. */
static status_t delete_some(struct tier *t, struct removal *r, bool *ret_more, struct error *err)
{
    size_t count = 0, done = 0;
    *ret_more = false;
    status_t st = store_extents_gone(t->o.store, DELETE_MAX, r->list, &count, err);
    if (st != ST_OK || count == 0) {
        return st;
    }
    for (size_t i = 0; i < count; i++) {
        tier_name(t, r->list[i].id, r->list[i].nonce, r->names[i]);
        r->pointers[i] = r->names[i];
    }
    st = forget_uploads(t, r->list, count, err);
    if (st == ST_OK) {
        st = t->remote.remove(t->remote.arg, r->pointers, count, r->results, err);
    }
    tier_note(t, st, err);
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        if (r->results[i] == ST_OK || r->results[i] == ST_NOTFOUND) {
            r->deleted[done++] = r->list[i].id;
        }
    }
    if (st == ST_OK && done > 0) {
        st = store_extents_deleted(t->o.store, r->deleted, done, err);
        atomic_fetch_add(&t->deleted_count, st == ST_OK ? done : 0);
    }
    *ret_more = count == DELETE_MAX && done > 0;
    return st;
}

static void delete_gone(struct tier *t)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct removal *r = calloc(1, sizeof *r);
    bool more = r != NULL && store_settle(t->o.store, &err) == ST_OK;
    while (more && !atomic_load(&t->stopping)) {
        if (delete_some(t, r, &more, &err) != ST_OK) {
            break;
        }
    }
    free(r);
}

/* The file goes when the copy is known to be good, and comes back from it. */
static status_t repair(struct tier *t, uint64_t id, struct error *err)
{
    struct store_extent x = {0};
    size_t dropped = 0;
    status_t st = store_extent_get(t->o.store, id, &x, err);
    if (st == ST_NOTFOUND) {
        return ST_OK;
    }
    if (st == ST_OK && store_extent_is_open(t->o.store, id)) { /* somebody reads it: later */
        st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "it is open");
    }
    if (st == ST_OK && x.place == STORE_PLACE_REMOTE && x.uses > 0) {
        st = tier_verify(t, &x, err);
        if (st == ST_OK) {
            st = store_extents_drop(t->o.store, &id, 1, true, &dropped, err);
        }
        if (st == ST_OK && dropped == 0) {
            st = error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "it is open");
        }
    }
    if (st == ST_OK && x.uses > 0) {
        st = store_extent_recall(t->o.store, id, err);
    }
    buf_done(&x.sums);
    if (st == ST_OK && dropped > 0) {
        atomic_fetch_add(&t->repaired_count, 1);
        if (t->o.event != NULL) {
            t->o.event(t->o.arg, "tier.repaired", id, "");
        }
    }
    return st == ST_NOTFOUND ? ST_OK : st;
}

static void repair_damaged(struct tier *t)
{
    struct numbers damaged;
    pthread_mutex_lock(&t->lock);
    damaged = t->damaged;
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < damaged.count && !atomic_load(&t->stopping); i++) {
        struct error err = {.offset = ERROR_NO_OFFSET};
        if (repair(t, damaged.ids[i], &err) == ST_OK) {
            pthread_mutex_lock(&t->lock);
            numbers_take(&t->damaged, damaged.ids[i]);
            pthread_mutex_unlock(&t->lock);
        }
    }
}

static void measure(struct tier *t)
{
    uint64_t now = clock_monotonic_ns(), sent = atomic_load(&t->sent_bytes);
    uint64_t read = atomic_load(&t->read_bytes);
    pthread_mutex_lock(&t->lock);
    uint64_t ms = (now - t->rate_at) / 1000000;
    if (ms >= 1000) {
        t->send_rate = (sent - t->rate_sent) * 1000 / ms;
        t->read_rate = (read - t->rate_read) * 1000 / ms;
        t->rate_at = now;
        t->rate_sent = sent;
        t->rate_read = read;
    }
    pthread_mutex_unlock(&t->lock);
}

static bool is_its_time(struct tier *t)
{
    pthread_mutex_lock(&t->lock);
    bool is = t->away_since_ns == 0 || clock_monotonic_ns() >= t->away_until;
    pthread_mutex_unlock(&t->lock);
    return is;
}

void tier_work(struct tier *t)
{
    void (*const steps[])(struct tier *t) = {spill, copy_eager, delete_gone, repair_damaged};
    measure(t);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (is_its_time(t) && !atomic_load(&t->stopping)) {
            steps[i](t);
        }
    }
    measure(t);
}
