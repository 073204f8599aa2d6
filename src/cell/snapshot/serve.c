#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/cursor.h"
#include "cell/snapshot/postcopy.h"
#include "precopy_state.h"
#include "sys/thread.h"

/* The sender's side of pages on demand. A page that is wanted goes first, with its neighbours; otherwise what is left
 * goes in order, in pieces so small that a request does not wait long behind one. */

enum { QUEUE_MAX = 1024, NEAR_BYTES = 64 << 10, PIECE_BYTES = 256 << 10 };

struct server {
    struct precopy *p;
    const struct postcopy_link *link;
    pthread_t thread;
    pthread_mutex_t lock;
    /* Guarded by lock. */
    struct page_run wanted[QUEUE_MAX]; /* a ring */
    uint32_t first, count;
    bool done;      /* the receiver has all */
    bool senseless; /* a request was */
};

/* False: no more requests. */
static bool take_request(struct server *s)
{
    uint8_t bytes[REQUEST_BYTES];
    struct cursor c;
    struct cell_memory m;
    if (!s->link->source.read(s->link->source.arg, bytes, sizeof(bytes)))
        return false;
    cursor_init(&c, bytes, sizeof(bytes), 0);
    uint32_t kind = cursor_le32(&c);
    struct page_run page = {.mem = cursor_le32(&c)};
    page.at = cursor_le64(&c);
    bool good = kind == REQUEST_DONE ||
                (kind == REQUEST_PAGE && page.at % SNAPSHOT_PAGE_BYTES == 0 &&
                 cell_memory(s->p->cell, page.mem, &m) == ST_OK && page.at < m.bytes);
    pthread_mutex_lock(&s->lock);
    s->done = kind == REQUEST_DONE;
    s->senseless = !good;
    if (good && !s->done && s->count < QUEUE_MAX) /* what is dropped comes all the same, later */
        s->wanted[(s->first + s->count++) % QUEUE_MAX] = page;
    pthread_mutex_unlock(&s->lock);
    return good && kind != REQUEST_DONE;
}

static void *take_requests(void *arg)
{
    struct server *s = arg;
    while (take_request(s))
        ;
    return NULL;
}

static bool next_wanted(struct server *s, struct page_run *ret_page)
{
    pthread_mutex_lock(&s->lock);
    bool any = s->count > 0;
    if (any) {
        *ret_page = s->wanted[s->first];
        s->first = (s->first + 1) % QUEUE_MAX;
        s->count--;
    }
    pthread_mutex_unlock(&s->lock);
    return any;
}

static bool is_senseless(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    bool senseless = s->senseless;
    pthread_mutex_unlock(&s->lock);
    return senseless;
}

/* All owed pages in a run: into the stream, out of the set. */
static void send_owed(struct server *s, uint32_t mem, uint64_t at, uint64_t len)
{
    struct page_set *owed = &s->p->pages;
    struct cell_memory m;
    struct page_run run = {.mem = mem, .at = at};
    if (cell_memory(s->p->cell, mem, &m) != ST_OK)
        return;
    while (page_set_next(owed, PIECE_BYTES, &run) && run.mem == mem && run.at < at + len) {
        if (run.len > at + len - run.at)
            run.len = at + len - run.at;
        writer_scattered(&s->p->w, &run, m.base + run.at);
        page_set_remove(owed, mem, run.at, run.len);
        run.at += run.len;
    }
    writer_scattered_flush(&s->p->w);
}

static void send_next(struct server *s)
{
    struct page_run page, run = {0};
    if (next_wanted(s, &page)) {
        if (page_set_has(&s->p->pages, page.mem, page.at))
            send_owed(s, page.mem, page.at / NEAR_BYTES * NEAR_BYTES, NEAR_BYTES);
    } else if (page_set_next(&s->p->pages, PIECE_BYTES, &run)) {
        send_owed(s, run.mem, run.at, run.len);
    }
}

static status_t send_all(struct server *s, struct error *err)
{
    struct precopy *p = s->p;
    const struct precopy_options *o = &p->options;
    uint64_t all = p->pages.count;
    status_t st = ST_OK;
    while (p->pages.count > 0 && st == ST_OK) {
        send_next(s);
        p->progress.round_bytes = all * SNAPSHOT_PAGE_BYTES;
        p->progress.sent_bytes = (all - p->pages.count) * SNAPSHOT_PAGE_BYTES;
        p->progress.total_bytes = p->w.sizes.total_bytes;
        st = writer_status(&p->w, err);
        if (st == ST_OK && is_senseless(s))
            st = error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "a request for no page");
        if (st == ST_OK && o->progress && !o->progress(o->arg, &p->progress))
            st = error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "sending a cell was cancelled");
    }
    if (st == ST_OK) {
        writer_end(&p->w);
        st = writer_status(&p->w, err);
    }
    return st;
}

status_t precopy_serve(struct precopy *p, const struct postcopy_link *link, struct error *err)
{
    struct server s = {.p = p, .link = link, .lock = PTHREAD_MUTEX_INITIALIZER};
    p->sink = link->sink;
    p->w.parts = p->w.sum_of_sums = 0;
    if ((errno = thread_start(&s.thread, take_requests, &s)) != 0) {
        link->shut(link->arg);
        return error_set_errno(err, errno, "a thread for requests");
    }
    status_t st = send_all(&s, err);
    if (st != ST_OK)
        link->shut(link->arg);
    pthread_join(s.thread, NULL);
    if (st == ST_OK && !s.done)
        st = error_set(err, s.senseless ? ST_CORRUPT : ST_IO, ERROR_NO_OFFSET,
                       s.senseless ? "a request for no page"
                                   : "the receiver went away before it had all pages");
    pthread_mutex_destroy(&s.lock);
    return st;
}
