#include <errno.h>
#include <sys/random.h>

#include "impl.h"
#include "sys/clock.h"

/* Connections that calls take and give back, and tokens that end calls. */

struct remote_cancel {
    pthread_mutex_t lock;
    atomic_bool cancelled;
    struct call *calls; /* guarded by lock */
};

status_t remote_cancel_new(struct remote_cancel **ret_cancel)
{
    struct remote_cancel *c = calloc(1, sizeof *c);
    if (!c)
        return ST_NOMEM;
    pthread_mutex_init(&c->lock, NULL);
    *ret_cancel = c;
    return ST_OK;
}

/* A call leaves the list, by this lock, before its session is another's. */
void remote_cancel_now(struct remote_cancel *c)
{
    pthread_mutex_lock(&c->lock);
    c->cancelled = true;
    for (struct call *call = c->calls; call; call = call->next)
        curl_multi_wakeup(call->s->multi);
    pthread_mutex_unlock(&c->lock);
}

void remote_cancel_free(struct remote_cancel *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

bool call_cancelled(const struct call *c)
{
    return c->how.cancel && c->how.cancel->cancelled;
}

static struct session *session_new(const struct remote *r)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->multi = curl_multi_init();
    if (!s->multi || getrandom(&s->random, sizeof s->random, 0) != (ssize_t)sizeof s->random) {
        session_free(s);
        return NULL;
    }
    s->random |= 1;
    curl_multi_setopt(s->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)r->o.parallel);
    return s;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    curl_multi_cleanup(s->multi);
    free(s->piece);
    free(s);
}

uint8_t *session_piece(struct session *s)
{
    if (!s->piece)
        s->piece = malloc(PIECE_BYTES);
    return s->piece;
}

/* Spreads waits only (xorshift). */
uint64_t session_random(struct session *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

/* The one used last has the connections that are least likely to be closed. */
static struct session *take(struct remote *r)
{
    pthread_mutex_lock(&r->lock);
    struct session *s = r->idle;
    if (s) {
        r->idle = s->next;
        r->idle_count--;
    }
    pthread_mutex_unlock(&r->lock);
    return s ? s : session_new(r);
}

static void give_back(struct remote *r, struct session *s)
{
    free(s->piece); /* connections are what is worth to be kept */
    s->piece = NULL;
    pthread_mutex_lock(&r->lock);
    bool keep = r->idle_count < r->o.idle_max;
    if (keep) {
        s->next = r->idle;
        r->idle = s;
        r->idle_count++;
    }
    pthread_mutex_unlock(&r->lock);
    if (!keep)
        session_free(s);
}

status_t call_begin(struct call *c, struct remote *r, const struct remote_call *how,
                    struct error *err)
{
    *c = (struct call){.r = r};
    if (how)
        c->how = *how;
    c->s = take(r);
    if (!c->s)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for connections");
    uint64_t ms = c->how.deadline_ms ? c->how.deadline_ms : r->o.deadline_ms;
    c->start_ns = clock_monotonic_ns();
    c->deadline_ns = ms < (UINT64_MAX - c->start_ns) / NS_PER_MS ? c->start_ns + ms * NS_PER_MS
                                                                 : UINT64_MAX;
    struct remote_cancel *cancel = c->how.cancel;
    if (cancel) {
        pthread_mutex_lock(&cancel->lock);
        c->next = cancel->calls;
        c->link = &cancel->calls;
        if (c->next)
            c->next->link = &c->next;
        cancel->calls = c;
        pthread_mutex_unlock(&cancel->lock);
    }
    return ST_OK;
}

void call_end(struct call *c)
{
    struct remote_cancel *cancel = c->how.cancel;
    if (!c->s)
        return;
    if (cancel) {
        pthread_mutex_lock(&cancel->lock);
        *c->link = c->next;
        if (c->next)
            c->next->link = c->link;
        pthread_mutex_unlock(&cancel->lock);
    }
    give_back(c->r, c->s);
    c->s = NULL;
}
