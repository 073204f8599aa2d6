#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "sys/clock.h"
#include "sys/thread.h"

/* A tier: what the store asks of it, the thread, and its state. */

enum { IDLE_MS = 1000, RETRY_MS = 1000, RETRY_MAX_MS = 5000 };
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

void tier_name(const struct tier *t, uint64_t id, uint64_t nonce, char ret_name[TIER_NAME_BYTES])
{
    snprintf(ret_name, TIER_NAME_BYTES, "%s/extents/%02x/%016llx-%016llx", t->id,
             (unsigned)(id & 0xff), (unsigned long long)id, (unsigned long long)nonce);
}

bool numbers_have(const struct numbers *n, uint64_t id)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->ids[i] == id) {
            return true;
        }
    }
    return false;
}

bool numbers_add(struct numbers *n, size_t max, uint64_t id)
{
    if (n->count == max || numbers_have(n, id)) {
        return false;
    }
    n->ids[n->count++] = id;
    return true;
}

void numbers_take(struct numbers *n, uint64_t id)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->ids[i] == id) {
            n->ids[i] = n->ids[--n->count];
            return;
        }
    }
}

/* The place of id, or where it belongs. */
static size_t place_in(const struct many *m, uint64_t id)
{
    size_t from = 0, to = m->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (m->ids[middle] < id) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

bool many_have(const struct many *m, uint64_t id)
{
    size_t at = place_in(m, id);
    return at < m->count && m->ids[at] == id;
}

bool many_add(struct many *m, uint64_t id)
{
    size_t at = place_in(m, id);
    if ((at < m->count && m->ids[at] == id) || m->count == MANY_MAX) {
        return false;
    }
    if (m->count == m->cap) {
        size_t cap = m->cap != 0 ? 2 * m->cap : 64;
        uint64_t *grown = realloc(m->ids, cap * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        m->ids = grown;
        m->cap = cap;
    }
    memmove(m->ids + at + 1, m->ids + at, (m->count - at) * sizeof *m->ids);
    m->ids[at] = id;
    m->count++;
    return true;
}

void many_done(struct many *m)
{
    free(m->ids);
    *m = (struct many){0};
}

struct damage *damage_of(struct tier *t, uint64_t id)
{
    for (size_t i = 0; i < t->damaged_count; i++) {
        if (t->damaged[i].id == id) {
            return &t->damaged[i];
        }
    }
    return NULL;
}

bool damage_add(struct tier *t, uint64_t id)
{
    if (t->damaged_count == DAMAGED_MAX || damage_of(t, id) != NULL) {
        return false;
    }
    t->damaged[t->damaged_count++] = (struct damage){.id = id};
    return true;
}

/* What is a refusal of the tier as a whole, and not about one extent. */
static bool is_away(status_t st)
{
    return st != ST_OK && st != ST_CORRUPT && st != ST_NOTFOUND && st != ST_STOPPED &&
           st != ST_NOMEM;
}

/* moves: a failure puts the next try of the thread off. */
static void note(struct tier *t, status_t st, bool moves, const struct error *err)
{
    bool was, is = is_away(st);
    if (st == ST_STOPPED) {
        return;
    }
    if (st != ST_OK && st != ST_NOTFOUND) {
        atomic_fetch_add(&t->errors, 1);
    }
    pthread_mutex_lock(&t->lock);
    was = t->away_since_ns != 0;
    if (is) {
        if (!was) {
            t->away_since_ns = clock_realtime_ns();
            t->wait_ms = t->o.retry_ms;
        } else if (moves && clock_monotonic_ns() >= t->away_until) {
            t->wait_ms = 2 * t->wait_ms < t->o.retry_max_ms ? 2 * t->wait_ms : t->o.retry_max_ms;
        }
        if (moves || !was) {
            t->away_until = clock_monotonic_ns() + t->wait_ms * NS_PER_MS;
        }
        snprintf(t->last_error, sizeof t->last_error, "%s", err->text);
    } else if (st == ST_OK) {
        t->away_since_ns = 0;
        t->away_until = 0;
        t->last_error[0] = '\0';
    }
    pthread_mutex_unlock(&t->lock);
    if (t->o.event != NULL && is && !was) {
        t->o.event(t->o.arg, "tier.away", 0, err->text);
    } else if (t->o.event != NULL && st == ST_OK && was) {
        t->o.event(t->o.arg, "tier.back", 0, "");
        tier_wake(t);
    }
}

void tier_note(struct tier *t, status_t st, const struct error *err)
{
    note(t, st, true, err);
}

bool tier_is_away(struct tier *t)
{
    pthread_mutex_lock(&t->lock);
    bool away = t->away_since_ns != 0;
    pthread_mutex_unlock(&t->lock);
    return away;
}

/* For readers. Of a tier that has just not answered one of them nobody else waits. */
static status_t read_copy(void *arg, const struct store_extent *x, uint64_t off, void *data,
                          size_t len, struct error *err)
{
    struct tier *t = arg;
    char name[TIER_NAME_BYTES];
    struct error inner = {.offset = ERROR_NO_OFFSET};
    pthread_mutex_lock(&t->lock);
    bool fails = t->reads_fail_until > clock_monotonic_ns();
    if (fails) {
        error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the tier is away: %.180s", t->last_error);
    }
    pthread_mutex_unlock(&t->lock);
    if (fails) {
        return ST_AGAIN;
    }
    tier_name(t, x->id, x->nonce, name);
    status_t st = t->remote.read(t->remote.arg, name, off, data, len, &inner);
    note(t, st, false, &inner); /* readers who try again and again do not keep the thread waiting */
    if (st == ST_OK) {
        atomic_fetch_add(&t->read_bytes, len);
        return ST_OK;
    }
    if (is_away(st)) {
        pthread_mutex_lock(&t->lock);
        t->reads_fail_until = clock_monotonic_ns() + t->o.retry_ms * NS_PER_MS;
        pthread_mutex_unlock(&t->lock);
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the tier is away: %.180s", inner.text);
    }
    if (st == ST_STOPPED) {
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the store is being stopped");
    }
    return error_set(err, st, inner.offset, "%s", inner.text);
}

static void note_damaged(void *arg, uint64_t id)
{
    struct tier *t = arg;
    pthread_mutex_lock(&t->lock);
    bool added = damage_add(t, id);
    pthread_mutex_unlock(&t->lock);
    if (added && t->o.event != NULL) {
        t->o.event(t->o.arg, "tier.damaged", id, "local bytes do not match; read from the tier");
    }
    if (added) {
        tier_wake(t);
    }
}

static status_t make_locks(struct tier *t, struct error *err)
{
    pthread_condattr_t monotonic;
    int code = pthread_mutex_init(&t->lock, NULL);
    if (code != 0) {
        return error_set_errno(err, code, "mutex");
    }
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    code = pthread_cond_init(&t->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (code == 0 && (code = pthread_cond_init(&t->unbusy, NULL)) != 0) {
        pthread_cond_destroy(&t->wake);
    }
    if (code != 0) {
        pthread_mutex_destroy(&t->lock);
        return error_set_errno(err, code, "condition");
    }
    return ST_OK;
}

status_t tier_open(const struct tier_options *o, struct tier **ret_tier, struct error *err)
{
    if (o->low_bytes >= o->high_bytes || (o->free_bytes != 0 && o->path == NULL)) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "local bytes are moved above %llu until they are %llu: that is not less",
                         (unsigned long long)o->high_bytes, (unsigned long long)o->low_bytes);
    }
    struct tier *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    t->o = *o;
    t->remote = *o->remote;
    t->o.idle_ms = o->idle_ms != 0 ? o->idle_ms : IDLE_MS;
    t->o.retry_ms = o->retry_ms != 0 ? o->retry_ms : RETRY_MS;
    t->o.retry_max_ms = o->retry_ms != 0 ? o->retry_max_ms : RETRY_MAX_MS;
    status_t st = make_locks(t, err);
    if (st != ST_OK) {
        free(t);
        return st;
    }
    const struct store_tier tier = {
        .read = read_copy, .damaged = note_damaged, .arg = t, .cache_bytes = o->cache_bytes};
    st = store_id(o->store, t->id, err);
    if (st == ST_OK) {
        st = store_set_tier(o->store, &tier, err);
    }
    if (st != ST_OK) {
        tier_close(t);
        return st;
    }
    *ret_tier = t;
    return ST_OK;
}

void tier_close(struct tier *t)
{
    if (t == NULL) {
        return;
    }
    pthread_cond_destroy(&t->unbusy);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    many_done(&t->bad);
    many_done(&t->refused);
    free(t);
}

/* Until somebody wakes it, or time is up. */
static void wait_for_work(struct tier *t)
{
    uint64_t until = clock_monotonic_ns() + t->o.idle_ms * NS_PER_MS;
    pthread_mutex_lock(&t->lock);
    if (t->away_until > until) {
        until = t->away_until;
    }
    const struct timespec at = {.tv_sec = (time_t)(until / NS_PER_S),
                                .tv_nsec = (long)(until % NS_PER_S)};
    while (!t->stop && !t->woken) {
        if (pthread_cond_timedwait(&t->wake, &t->lock, &at) == ETIMEDOUT) {
            break;
        }
    }
    t->woken = false;
    pthread_mutex_unlock(&t->lock);
}

static void *run(void *arg)
{
    struct tier *t = arg;
    while (!atomic_load(&t->stopping)) {
        tier_work(t);
        wait_for_work(t);
    }
    return NULL;
}

status_t tier_start(struct tier *t, struct error *err)
{
    int code = thread_start(&t->thread, run, t);
    t->runs = code == 0;
    return code == 0 ? ST_OK : error_set_errno(err, code, "thread");
}

void tier_stop(struct tier *t)
{
    if (t == NULL) {
        return;
    }
    atomic_store(&t->stopping, true);
    t->remote.stop(t->remote.arg);
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (t->runs) {
        pthread_join(t->thread, NULL);
        t->runs = false;
    }
}

void tier_wake(struct tier *t)
{
    pthread_mutex_lock(&t->lock);
    t->woken = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

status_t tier_status(struct tier *t, struct tier_status *ret_status, struct error *err)
{
    struct tier_status n = {.high_bytes = t->o.high_bytes,
                            .low_bytes = t->o.low_bytes,
                            .cache_max_bytes = t->o.cache_bytes,
                            .sent_count = atomic_load(&t->sent_count),
                            .sent_bytes = atomic_load(&t->sent_bytes),
                            .dropped_count = atomic_load(&t->dropped_count),
                            .dropped_bytes = atomic_load(&t->dropped_bytes),
                            .deleted_count = atomic_load(&t->deleted_count),
                            .repaired_count = atomic_load(&t->repaired_count),
                            .errors = atomic_load(&t->errors)};
    status_t st = store_places(t->o.store, &n.places, err);
    if (st != ST_OK) {
        return st;
    }
    pthread_mutex_lock(&t->lock);
    n.bad_count = t->bad.count;
    n.send_rate = t->send_rate;
    n.read_rate = t->read_rate;
    n.away_since_ns = t->away_since_ns;
    n.next_try_ns = t->away_until;
    memcpy(n.last_error, t->last_error, sizeof n.last_error);
    pthread_mutex_unlock(&t->lock);
    n.backlog_bytes = n.places.eager_bytes;
    if (n.places.local_bytes > t->o.high_bytes) {
        n.backlog_bytes += n.places.local_bytes - t->o.high_bytes;
    }
    *ret_status = n;
    return ST_OK;
}
