#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "impl.h"
#include "sys/clock.h"

/* What the thread does when it looks. */

enum { PAGE = 1024, DELETE_MAX = 1000, ROUNDS_MAX = 1000, LOOK_PAUSE = 20 };
enum { REPAIR_MAX_MS = 3600 * 1000, REFUSED_MAX_MS = 3600 * 1000 };
#define NS_PER_MS 1000000ULL
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
    bool may = !many_have(&t->bad, id) && damage_of(t, id) == NULL;
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

/* A tier that is away is tried with one; when that was taken, the next round is one of all senders. */
static size_t round_max(struct tier *t)
{
    return tier_is_away(t) ? 1 : ROUND_MAX;
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
        size_t count = 0, max = round_max(t);
        for (uint64_t bytes = 0; count < o->count && count < max && bytes < need; count++) {
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

/* Looking costs CPU time where there are very many files: at most a twentieth of it is spent so. What a busy machine
 * takes meanwhile is none of it. */
static bool may_look(struct tier *t)
{
    return clock_monotonic_ns() >= t->look_after;
}

static size_t count_bad(struct tier *t)
{
    pthread_mutex_lock(&t->lock);
    size_t count = t->bad.count;
    pthread_mutex_unlock(&t->lock);
    return count;
}

static void spill(struct tier *t)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    if (!may_look(t)) {
        return;
    }
    uint64_t began = clock_thread_cpu_ns(), moved = 0;
    uint64_t need = bytes_to_move(t, &err);
    t->look_after = clock_monotonic_ns() + LOOK_PAUSE * (clock_thread_cpu_ns() - began);
    bool goes_on = true;
    for (int i = 0; i < ROUNDS_MAX && need > 0 && goes_on && !atomic_load(&t->stopping); i++) {
        size_t bad = count_bad(t);
        if (move_oldest(t, need, &moved, &err) != ST_OK) {
            break;
        }
        goes_on = moved > 0 || count_bad(t) > bad; /* those are not among the next ones */
        need = moved < need ? need - moved : 0;
    }
}

/* What is to have a copy at once: some of it, so that all else has its turn where more is written than can be sent. */
static void copy_eager(struct tier *t)
{
    struct store_candidate list[ROUND_MAX];
    struct error err = {.offset = ERROR_NO_OFFSET};
    size_t count = 0, good = 0, max = round_max(t);
    uint64_t ignored = 0;
    if (store_candidates(t->o.store, 0, STORE_KEEP_BOTH, t->eager_after, max, list, &count, &err) !=
        ST_OK) {
        return;
    }
    uint64_t last = count > 0 ? list[count - 1].id : 0;
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&t->lock);
        bool bad = many_have(&t->bad, list[i].id);
        pthread_mutex_unlock(&t->lock);
        if (!bad) {
            list[good++] = list[i];
        }
    }
    if (tier_send_all(t, list, good, false, &ignored) != ST_OK) {
        return;
    }
    t->eager_after = count == max ? last : 0;
    if (count == max) {
        tier_wake(t);
    }
}

/* Does it say that the tier is not there, rather than that one thing is not allowed? */
static bool is_outage(status_t st)
{
    return st == ST_AGAIN || st == ST_STOPPED;
}

struct removal {
    struct store_extent list[DELETE_MAX];
    char names[DELETE_MAX][TIER_NAME_BYTES];
    const char *pointers[DELETE_MAX];
    status_t results[DELETE_MAX];
    uint64_t ids[DELETE_MAX];
    uint64_t deleted[DELETE_MAX];
};

static void refuse(struct tier *t, uint64_t id, const struct error *err)
{
    if (many_add(&t->refused, id) && t->refused.count == 1 && t->o.event != NULL) {
        t->o.event(t->o.arg, "tier.refused", id, err->text); /* of many, one is enough */
    }
    atomic_fetch_add(&t->errors, 1);
}

/* An upload that was begun of it is given up first. */
static status_t forget_upload(struct tier *t, const struct store_extent *x, const char *name,
                              struct error *err)
{
    char upload[STORE_UPLOAD_TEXT_MAX + 1];
    status_t st = store_extent_upload(t->o.store, x->id, upload, err);
    return st == ST_OK && upload[0] != '\0'
               ? t->remote.forget(t->remote.arg, name, x->bytes, upload, err)
               : st;
}

/* Of those that were read, the ones that are to be deleted now. One that is refused keeps no other from it. */
static status_t choose(struct tier *t, struct removal *r, size_t read, size_t *ret_count,
                       struct error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < read; i++) {
        struct error why = {.offset = ERROR_NO_OFFSET};
        if (many_have(&t->refused, r->list[i].id)) {
            continue;
        }
        tier_name(t, r->list[i].id, r->list[i].nonce, r->names[count]);
        status_t st = forget_upload(t, &r->list[i], r->names[count], &why);
        if (is_outage(st)) {
            tier_note(t, st, &why);
            return error_set(err, st, why.offset, "%s", why.text);
        }
        if (st != ST_OK) {
            refuse(t, r->list[i].id, &why);
            continue;
        }
        r->pointers[count] = r->names[count];
        r->ids[count++] = r->list[i].id;
    }
    *ret_count = count;
    return ST_OK;
}

/* Those behind *after, which becomes the last one of them. *ret_more: there may be more. */
static status_t delete_some(struct tier *t, struct removal *r, struct store_extent *after,
                            bool *ret_more, struct error *err)
{
    size_t read = 0, count = 0, done = 0;
    struct error why = {.offset = ERROR_NO_OFFSET};
    *ret_more = false;
    status_t st = store_extents_gone(t->o.store, after, DELETE_MAX, r->list, &read, err);
    if (st != ST_OK || read == 0) {
        return st;
    }
    *after = r->list[read - 1];
    *ret_more = read == DELETE_MAX;
    st = choose(t, r, read, &count, err);
    if (st != ST_OK || count == 0) {
        return st;
    }
    status_t answer = t->remote.remove(t->remote.arg, r->pointers, count, r->results, &why);
    if (answer == ST_OK || is_outage(answer)) {
        tier_note(t, answer, &why);
    }
    if (is_outage(answer)) {
        return error_set(err, answer, why.offset, "%s", why.text);
    }
    for (size_t i = 0; i < count; i++) {
        status_t result = answer == ST_OK ? r->results[i] : answer;
        if (result == ST_OK || result == ST_NOTFOUND) {
            r->deleted[done++] = r->ids[i];
        } else {
            if (answer == ST_OK) {
                error_set(&why, result, ERROR_NO_OFFSET, "%.100s is not deleted: %s", r->names[i],
                          status_name(result));
            }
            refuse(t, r->ids[i], &why);
        }
    }
    if (done > 0) {
        st = store_extents_deleted(t->o.store, r->deleted, done, err);
        atomic_fetch_add(&t->deleted_count, st == ST_OK ? done : 0);
    }
    return st;
}

/* Those that were refused have another try after a while that becomes longer. */
static void retry_refused(struct tier *t)
{
    if (t->refused.count == 0) {
        t->refused_wait_ms = 0;
    } else if (t->refused_wait_ms == 0 || clock_monotonic_ns() >= t->refused_until) {
        t->refused.count = 0;
    }
}

static void wait_for_refused(struct tier *t)
{
    if (t->refused.count > 0 && clock_monotonic_ns() >= t->refused_until) {
        uint64_t wait = t->refused_wait_ms != 0 ? 2 * t->refused_wait_ms : t->o.retry_ms;
        t->refused_wait_ms = wait < REFUSED_MAX_MS ? wait : REFUSED_MAX_MS;
        t->refused_until = clock_monotonic_ns() + t->refused_wait_ms * NS_PER_MS;
    }
}

static void delete_gone(struct tier *t)
{
    struct error err = {.offset = ERROR_NO_OFFSET};
    struct removal *r = calloc(1, sizeof *r);
    struct store_extent after = {0};
    bool more = r != NULL && store_settle(t->o.store, &err) == ST_OK;
    retry_refused(t);
    while (more && !atomic_load(&t->stopping)) {
        if (delete_some(t, r, &after, &more, &err) != ST_OK) {
            break;
        }
    }
    wait_for_refused(t);
    free(r);
}

/* The file goes when the copy is known to be good, and comes back from it. *ret_open: not while
 * somebody reads it. */
static status_t repair(struct tier *t, uint64_t id, bool *ret_open, struct error *err)
{
    struct store_extent x = {0};
    size_t dropped = 0;
    status_t st = store_extent_get(t->o.store, id, &x, err);
    if (st == ST_NOTFOUND) {
        return ST_OK;
    }
    if (st == ST_OK && store_extent_is_open(t->o.store, id)) { /* somebody reads it: later */
        *ret_open = true;
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

/* Where the copy is bad too, or there is no room, up to 1 GiB was read for nothing: less and less often. */
static void put_off(struct tier *t, struct damage *d, bool is_open)
{
    if (!is_open) {
        uint64_t longer = 4 * d->wait_ms;
        d->wait_ms = d->wait_ms == 0 ? t->o.idle_ms : longer;
        d->wait_ms = d->wait_ms < REPAIR_MAX_MS ? d->wait_ms : REPAIR_MAX_MS;
    }
    d->after = clock_monotonic_ns() + (is_open ? t->o.idle_ms : d->wait_ms) * NS_PER_MS;
}

static void repair_damaged(struct tier *t)
{
    uint64_t ids[DAMAGED_MAX], now = clock_monotonic_ns();
    size_t count = 0;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->damaged_count; i++) {
        if (t->damaged[i].after <= now) {
            ids[count++] = t->damaged[i].id;
        }
    }
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < count && !atomic_load(&t->stopping); i++) {
        struct error err = {.offset = ERROR_NO_OFFSET};
        bool is_open = false;
        status_t st = repair(t, ids[i], &is_open, &err);
        pthread_mutex_lock(&t->lock);
        struct damage *d = damage_of(t, ids[i]);
        if (d != NULL && st == ST_OK) {
            *d = t->damaged[--t->damaged_count];
        } else if (d != NULL) {
            put_off(t, d, is_open);
        }
        pthread_mutex_unlock(&t->lock);
        if (st != ST_OK && tier_is_away(t)) {
            break;
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
