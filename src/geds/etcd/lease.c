#include <string.h>

#include "impl.h"
#include "sys/clock.h"
#include "sys/thread.h"

/* The lease of who leads. It holds for certain until `until`: the time at which the request was sent that etcd renewed
 * it for, and what it lasts, less a tenth for clocks of another speed. */

enum { SAFE_PARTS = 10, SAFE_TENTHS = 9, RENEWALS = 3 };

static void extend(struct etcd *e, uint64_t sent_ns, uint64_t ttl_s)
{
    atomic_store(&e->until, sent_ns + ttl_s * NS_PER_S / SAFE_PARTS * SAFE_TENTHS);
}

status_t etcd_lease(struct etcd *e, unsigned ttl_s, uint64_t *ret_id, uint64_t *ret_ttl_s,
                    struct error *err)
{
    struct buf body = {0};
    buf_printf(&body, "{\"TTL\":\"%u\"}", ttl_s);
    status_t st = line_post(&e->follow, "/v3/lease/grant", &body, CALL_MS, NULL, err);
    buf_done(&body);
    return st == ST_OK ? etcd_lease_decode(e->follow.answer.data, e->follow.answer.len, false,
                                           ret_id, ret_ttl_s, err)
                       : st;
}

status_t etcd_grant(struct etcd *e, struct error *err)
{
    uint64_t id = 0, ttl_s = 0, sent_ns = etcd_now_ns();
    status_t st = etcd_lease(e, e->o.ttl_s, &id, &ttl_s, err);
    if (st == ST_OK) {
        e->lease = id;
        extend(e, sent_ns, ttl_s);
    }
    return st;
}

status_t etcd_lease_end(struct etcd *e, uint64_t id, unsigned ms, struct error *err)
{
    struct buf body = {0};
    struct error inner = {0};
    buf_printf(&body, "{\"ID\":\"%llu\"}", (unsigned long long)id);
    status_t st = line_post(&e->follow, "/v3/lease/revoke", &body, ms, NULL, &inner);
    buf_done(&body);
    return st == ST_OK || st == ST_NOTFOUND ? ST_OK
                                            : error_set(err, st, ERROR_NO_OFFSET, "%s", inner.text);
}

status_t etcd_revoke(struct etcd *e, unsigned ms, struct error *err)
{
    status_t st = etcd_lease_end(e, e->lease, ms, err);
    e->lease = st == ST_OK ? 0 : e->lease;
    return st;
}

void etcd_has_lost(struct etcd *e, const char *why)
{
    pthread_mutex_lock(&e->lock);
    bool first = !e->told;
    e->told = true;
    pthread_mutex_unlock(&e->lock);
    if (first) {
        atomic_fetch_add(&e->losses, 1);
        etcd_tell(e, "etcd.lost", why);
        if (e->o.lost != NULL) {
            e->o.lost(e->o.arg);
        }
    }
}

/* ST_NOTFOUND: it is over. */
static status_t renew(struct etcd *e, unsigned ms, struct error *err)
{
    struct buf body = {0};
    uint64_t id = 0, ttl_s = 0, sent_ns = etcd_now_ns();
    buf_printf(&body, "{\"ID\":\"%llu\"}", (unsigned long long)e->lease);
    status_t st = line_post(&e->keep, "/v3/lease/keepalive", &body, ms, NULL, err);
    buf_done(&body);
    if (st == ST_OK) {
        st = etcd_lease_decode(e->keep.answer.data, e->keep.answer.len, true, &id, &ttl_s, err);
        st = st == ST_FORMAT ? ST_AGAIN : st;
    }
    if (st == ST_OK && (ttl_s == 0 || id != e->lease)) {
        return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "the lease is over");
    }
    if (st == ST_OK) {
        extend(e, sent_ns, ttl_s);
    }
    return st;
}

bool etcd_pause(struct etcd *e, uint64_t ms)
{
    uint64_t end = clock_monotonic_ns() + ms * 1000000;
    const struct timespec at = {.tv_sec = (time_t)(end / NS_PER_S),
                                .tv_nsec = (long)(end % NS_PER_S)};
    pthread_mutex_lock(&e->lock);
    while (!e->keeper_stops && clock_monotonic_ns() < end) {
        pthread_cond_timedwait(&e->wake, &e->lock, &at);
    }
    bool goes_on = !e->keeper_stops;
    pthread_mutex_unlock(&e->lock);
    return goes_on;
}

static void *keep(void *arg)
{
    struct etcd *e = arg;
    bool away = false;
    uint64_t every_ms = (uint64_t)e->o.ttl_s * 1000 / RENEWALS, wait_ms = every_ms;
    while (etcd_pause(e, wait_ms)) {
        struct error err = {0};
        if (atomic_load(&e->again)) { /* others may lead while this store is closed */
            break;
        }
        status_t st = renew(e, (unsigned)every_ms, &err);
        if (st == ST_STOPPED) {
            break;
        }
        if (st == ST_NOTFOUND) {
            atomic_store(&e->lost, true);
            etcd_has_lost(e, err.text);
            break;
        }
        if (st != ST_OK && etcd_now_ns() >= atomic_load(&e->until)) {
            /* it tells nothing any more, and whoever asks it would better ask another one */
            atomic_store(&e->lost, true);
            etcd_has_lost(e, err.text);
            break;
        }
        if (st != ST_OK && !away) {
            etcd_tell(e, "etcd.away", err.text);
        }
        away = st != ST_OK;
        wait_ms = away ? RETRY_MS : every_ms;
    }
    return NULL;
}

status_t etcd_keep(struct etcd *e, struct error *err)
{
    atomic_store(&e->keep.stop, false);
    e->keeper_stops = false;
    int code = thread_start(&e->keeper, keep, e);
    e->keeper_runs = code == 0;
    return code == 0 ? etcd_trim_start(e, err) : error_set_errno(err, code, "thread");
}

void etcd_keep_no_more(struct etcd *e)
{
    pthread_mutex_lock(&e->lock);
    e->keeper_stops = true;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
    if (e->keeper_runs) {
        line_stop(&e->keep);
        pthread_join(e->keeper, NULL);
    }
    if (e->trimmer_runs) {
        line_stop(&e->trim);
        pthread_join(e->trimmer, NULL);
    }
    e->keeper_runs = e->trimmer_runs = false;
}
