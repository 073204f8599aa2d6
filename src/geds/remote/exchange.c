#include <string.h>

#include "impl.h"
#include "retry.h"
#include "sys/clock.h"

/* The loop that runs the requests of a call: starts them, looks at what came, waits and makes
 * them again. */

struct flight {
    struct call *c;
    struct transfer *of[REMOTE_PARALLEL_MAX];
    size_t count;
    bool moved; /* something was started or ended: look again before waiting */
};

enum { SAID_BYTES = 60, SAID_ID_BYTES = 40, WHY_BYTES = 512, CORRUPT_TRIES_MAX = 3 };

/* The end of a failure's text: what the server said, or the connection. */
static void describe(const struct transfer *t, const char *reason, char to[WHY_BYTES])
{
    const struct answer_head *h = &t->head;
    const char *id = t->error.request_id[0] != '\0' ? t->error.request_id : h->request_id;
    const char *advice = retry_advice(h->status, t->error.code), *colon = ": ";
    bool moved = h->status >= 300 && h->status < 400 && h->location[0] != '\0';
    if (h->status == 0) {
        answer_copy(to, WHY_BYTES, reason);
        return;
    }
    if (moved) {
        reason = h->location;
        colon = " to ";
    }
    snprintf(to, WHY_BYTES, "%u%s%s%s%.*s%s%.*s%s%s%s", h->status,
             t->error.code[0] != '\0' ? " " : "", t->error.code, *reason != '\0' ? colon : "",
             SAID_BYTES, reason, *id != '\0' ? " (request " : "", SAID_ID_BYTES, id,
             *id != '\0' ? ")" : "", advice ? "; " : "", advice ? advice : "");
}

static status_t give_up(struct transfer *t, status_t st, const char *reason, struct error *err)
{
    char name[URL_TEXT_BYTES + 16], text[WHY_BYTES], tries[48] = "";
    transfer_name(t, name, sizeof name);
    describe(t, reason, text);
    if (t->tries > 1)
        snprintf(tries, sizeof tries, ", %u tries in %.1f s", t->tries,
                 (double)(clock_monotonic_ns() - t->call->start_ns) / NS_PER_S);
    return error_set(err, st, ERROR_NO_OFFSET, "%s%s: %s", name, tries, text);
}

/* A part that came is kept if it can be told that the rest is of the same object. */
static void keep_or_drop(struct transfer *t, bool bytes_are_good)
{
    if (!t->sink || t->got == 0)
        return;
    const char *etag = t->to_sink ? t->head.etag : t->pinned;
    if (bytes_are_good && t->got < t->want_len && t->want_len != UINT64_MAX &&
        (t->if_match || *etag != '\0')) {
        if (!t->if_match) {
            memmove(t->pinned, etag, strlen(etag) + 1);
            t->if_match = t->pinned;
        }
        return;
    }
    t->call->bytes -= t->got;
    t->got = 0;
}

/* Set up the next try, or give up: ST_OK the former. */
static status_t try_again(struct flight *f, struct transfer *t, status_t st, const char *reason,
                          struct error *err)
{
    const struct remote_options *o = &f->c->r->o;
    uint64_t now = clock_monotonic_ns();
    uint64_t wait = retry_wait_ns(o, t->tries, &t->head, session_random(f->c->s),
                                  clock_realtime_ns() / NS_PER_S);
    unsigned most = o->tries_max;
    if (st == ST_CORRUPT && most > CORRUPT_TRIES_MAX) /* then it is not the line */
        most = CORRUPT_TRIES_MAX;
    if (t->tries >= most || now >= f->c->deadline_ns || wait >= f->c->deadline_ns - now)
        return give_up(t, st, reason, err);
    keep_or_drop(t, st != ST_CORRUPT);
    t->ready_ns = now + wait;
    return ST_OK;
}

/* ret_again: another try may help. */
static status_t judge(struct transfer *t, CURLcode code, bool *ret_again, const char **ret_reason,
                      struct error *err)
{
    *ret_again = false;
    *ret_reason = "";
    if (t->own_st != ST_OK) {
        *ret_reason = t->own.text;
        t->head.status = 0;
        t->unknown = true;
        return t->own_st;
    }
    struct verdict v;
    if (code == CURLE_OK && !t->headed) {
        code = CURLE_RECV_ERROR;
        snprintf(t->curl_text, sizeof t->curl_text, "the answer's header broke off");
    } else if (code == CURLE_OUT_OF_MEMORY && t->head.status != 0 && !t->headed) {
        *ret_reason = "a line of the answer's header is too long, or there is no memory";
        t->head.status = 0;
        return ST_LIMIT;
    }
    bool cut = code == CURLE_WRITE_ERROR && t->headed && t->head.status >= 300;
    if (code != CURLE_OK && !cut) {
        v = retry_of_transport(code);
        size_t len = strlen(t->curl_text);
        if (code == CURLE_PEER_FAILED_VERIFICATION)
            snprintf(t->curl_text + len, sizeof t->curl_text - len, "; name its CA by ca_file");
        t->head.status = 0; /* what came of it is not to be reported */
        *ret_reason = t->curl_text[0] != '\0' ? t->curl_text : curl_easy_strerror(code);
    } else {
        bool is_error = t->body.len > 0 && t->body.len <= ERROR_BODY_MAX && !t->to_sink &&
                        answer_error(t->body.data, t->body.len, &t->error);
        v = retry_of_answer(&t->head, is_error ? &t->error : NULL);
        *ret_reason = t->error.message;
    }
    t->unknown = t->unknown || v.unknown;
    *ret_again = v.again;
    if (v.st == ST_OK && t->accept) {
        v.st = t->accept(t, err);
        t->unknown = t->unknown || v.st != ST_OK;
        *ret_again = v.st == ST_CORRUPT || v.st == ST_AGAIN;
        *ret_reason = err->text;
    }
    return v.st;
}

static void remove_at(struct flight *f, size_t i)
{
    f->of[i] = f->of[--f->count];
}

static status_t settle(struct flight *f, struct transfer *t, CURLcode code, const struct feed *feed,
                       struct error *err)
{
    bool again;
    const char *reason;
    struct error why = {0};
    char text[ERROR_TEXT_MAX];
    t->tries++;
    status_t st = judge(t, code, &again, &reason, &why);
    f->moved = true;
    if (st == ST_OK) {
        f->c->r->bucket_seen = true;
        for (size_t i = 0; i < f->count; i++) {
            if (f->of[i] == t)
                remove_at(f, i);
        }
        return feed->done(feed->arg, t, err);
    }
    answer_copy(text, sizeof text, reason);
    return again ? try_again(f, t, st, text, err) : give_up(t, st, text, err);
}

static status_t start(struct flight *f, struct transfer *t, struct error *err)
{
    status_t st = transfer_prepare(t, f->c, err);
    if (st != ST_OK)
        return st;
    if (curl_multi_add_handle(f->c->s->multi, t->easy) != CURLM_OK)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request");
    t->running = true;
    f->moved = true;
    return ST_OK;
}

static void stop(struct flight *f, struct transfer *t)
{
    if (t->running)
        curl_multi_remove_handle(f->c->s->multi, t->easy);
    t->running = false;
}

static status_t add_new(struct flight *f, const struct feed *feed, unsigned parallel,
                        struct error *err)
{
    while (f->count < parallel) {
        struct transfer *t = NULL;
        status_t st = feed->next(feed->arg, &t, err);
        if (st != ST_OK || !t)
            return st;
        f->of[f->count++] = t;
        t->ready_ns = 0;
        f->moved = true;
    }
    return ST_OK;
}

static status_t start_ready(struct flight *f, struct error *err)
{
    uint64_t now = clock_monotonic_ns();
    for (size_t i = 0; i < f->count; i++) {
        struct transfer *t = f->of[i];
        if (!t->running && t->ready_ns <= now) {
            status_t st = start(f, t, err);
            if (st != ST_OK)
                return st;
        }
    }
    return ST_OK;
}

static status_t reap(struct flight *f, const struct feed *feed, struct error *err)
{
    CURLMsg *m;
    int left;
    status_t st = ST_OK;
    while (st == ST_OK && (m = curl_multi_info_read(f->c->s->multi, &left))) {
        struct transfer *t = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        stop(f, t);
        st = settle(f, t, code, feed, err);
    }
    return st;
}

static uint64_t silent_until(const struct flight *f, const struct transfer *t)
{
    const struct remote_options *o = &f->c->r->o;
    uint64_t ms = (uint64_t)o->stall_ms + (t->heard ? 0 : o->connect_ms);
    return t->heard_ns + ms * NS_PER_MS;
}

/* Those that nothing was heard of for too long. now: before sockets were looked at the last time, so
 * that a sink which was slow meanwhile is not taken for a silent server. */
static status_t end_silent(struct flight *f, const struct feed *feed, uint64_t now,
                           struct error *err)
{
    status_t st = ST_OK;
    for (size_t i = 0; i < f->count && st == ST_OK; i++) {
        struct transfer *t = f->of[i];
        if (!t->running || now < silent_until(f, t))
            continue;
        stop(f, t);
        snprintf(t->curl_text, sizeof t->curl_text, "the server is silent");
        st = settle(f, t, CURLE_OPERATION_TIMEDOUT, feed, err);
    }
    return st;
}

static status_t check_end(struct flight *f, struct error *err)
{
    if (call_cancelled(f->c))
        return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "cancelled");
    if (clock_monotonic_ns() < f->c->deadline_ns)
        return ST_OK;
    struct transfer *t = f->of[0];
    if (t->running) { /* of one that waits, the last answer is told */
        t->tries++;
        t->unknown = true;
        t->head.status = 0;
        return give_up(t, ST_AGAIN, "the deadline of the call is over", err);
    }
    return give_up(t, ST_AGAIN, "the deadline of the call is over", err);
}

/* Until a socket, a timer of curl or ours, or remote_cancel_now. */
static status_t wait_for_some(struct flight *f, struct error *err)
{
    uint64_t now = clock_monotonic_ns(), until = f->c->deadline_ns;
    for (size_t i = 0; i < f->count; i++) {
        const struct transfer *t = f->of[i];
        uint64_t at = t->running ? silent_until(f, t) : t->ready_ns;
        until = at < until ? at : until;
    }
    uint64_t ms = until > now ? (until - now) / NS_PER_MS + 1 : 0;
    if (f->moved)
        ms = 0;
    f->moved = false;
    if (ms > 60000)
        ms = 60000;
    if (ms > 0 && curl_multi_poll(f->c->s->multi, NULL, 0, (int)ms, NULL) != CURLM_OK)
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "cannot wait for the server");
    return ST_OK;
}

status_t exchange_run(struct call *c, const struct feed *feed, unsigned parallel, struct error *err)
{
    struct flight f = {.c = c};
    int running;
    status_t st = add_new(&f, feed, parallel, err);
    while (st == ST_OK && f.count > 0) {
        st = check_end(&f, err);
        if (st == ST_OK)
            st = start_ready(&f, err);
        uint64_t now = clock_monotonic_ns();
        if (st == ST_OK && curl_multi_perform(c->s->multi, &running) != CURLM_OK)
            st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for requests");
        if (st == ST_OK)
            st = reap(&f, feed, err);
        if (st == ST_OK)
            st = end_silent(&f, feed, now, err);
        if (st == ST_OK)
            st = add_new(&f, feed, parallel, err);
        if (st == ST_OK)
            st = wait_for_some(&f, err);
    }
    for (size_t i = 0; i < f.count; i++)
        stop(&f, f.of[i]);
    return st;
}

/* A feed of one. */

static status_t next_one(void *arg, struct transfer **ret_transfer, struct error *err)
{
    struct transfer **one = arg;
    (void)err;
    *ret_transfer = *one;
    *one = NULL;
    return ST_OK;
}

static status_t done_one(void *arg, struct transfer *t, struct error *err)
{
    (void)arg, (void)t, (void)err;
    return ST_OK;
}

status_t exchange_one(struct call *c, struct transfer *t, struct error *err)
{
    const struct feed feed = {next_one, done_one, &t};
    return exchange_run(c, &feed, 1, err);
}
