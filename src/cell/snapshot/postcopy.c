#include "cell/snapshot/postcopy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/cursor.h"
#include "cell/run/lazy.h"
#include "reader.h"
#include "sys/thread.h"

/* The receiver's side of pages on demand: one thread takes pages from the stream, the other asks for those that the
 * cell waits for. */

struct postcopy {
    struct snapshot_reader *r;
    struct cell *cell;
    const struct postcopy_link *link;
    struct lazy *lazy; /* NULL: all pages are there */
    struct page_set owed;
    pthread_t taker, asker;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_mutex_t sending;
    /* Guarded by lock. */
    bool ended;    /* all pages are there, or will never be */
    bool released; /* and the cell's memory is ordinary again */
    status_t st;
    struct error err;
};

static status_t read_owed(struct postcopy *p, const struct part *part, struct error *err)
{
    struct buf b = {0};
    struct cursor c;
    struct cell_memory m;
    status_t st = reader_summed(p->r, part, &b, err);
    cursor_init(&c, b.data, b.len, 0);
    uint64_t runs = cursor_le64(&c);
    if (st == ST_OK && (c.failed || runs > cursor_left(&c) / OWED_RUN_BYTES))
        st = reader_corrupt(PART_OWED, "malformed", err);
    for (uint64_t i = 0; i < runs && st == ST_OK; i++) {
        uint32_t mem = cursor_le32(&c);
        cursor_le32(&c);
        uint64_t at = cursor_le64(&c), len = cursor_le64(&c);
        if (c.failed || cell_memory(p->cell, mem, &m) != ST_OK ||
            (at | len) % SNAPSHOT_PAGE_BYTES || at > m.bytes || len > m.bytes - at)
            st = reader_corrupt(PART_OWED, "outside its memory", err);
        else if (page_set_add(&p->owed, mem, at, len) != ST_OK)
            st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to wait for pages");
    }
    buf_done(&b);
    return st;
}

/* STATE, OWED, END: what is needed before it may run. */
static status_t read_offer(struct postcopy *p, struct error *err)
{
    struct part part = {0};
    status_t st = reader_check_program(p->r, p->cell, err);
    if (st == ST_OK)
        st = reader_state(p->r, p->cell, err);
    if (st == ST_OK)
        st = reader_all_pages(p->r, p->cell, &part, err);
    if (st == ST_OK && part.id != PART_OWED)
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET, "a snapshot whose pages are all in it");
    if (st == ST_OK)
        st = read_owed(p, &part, err);
    if (st == ST_OK)
        st = reader_part(p->r, &part, err);
    if (st == ST_OK)
        st = part.id == PART_END ? reader_end(p->r, &part, err)
                                 : reader_corrupt(part.id, "not where it belongs", err);
    p->r->parts = p->r->sum_of_sums = 0;
    return st;
}

static status_t ask(struct postcopy *p, uint32_t kind, const struct page_run *page,
                    struct error *err)
{
    struct buf b = {0};
    buf_le32(&b, kind);
    buf_le32(&b, page->mem);
    buf_le64(&b, page->at);
    errno = 0;
    pthread_mutex_lock(&p->sending);
    bool good = !b.failed && p->link->sink.write(p->link->sink.arg, b.data, b.len);
    pthread_mutex_unlock(&p->sending);
    buf_done(&b);
    return good ? ST_OK : error_set_errno(err, errno ? errno : EPIPE, "asking for pages of a cell");
}

static status_t fill_lazily(void *arg, const struct page_run *run, const uint8_t *data,
                            struct error *err)
{
    struct postcopy *p = arg;
    status_t st = lazy_fill(p->lazy, run, data);
    if (st == ST_INVALID)
        return reader_corrupt(PART_SCATTER, "pages that nobody waits for", err);
    return st == ST_OK ? ST_OK : error_set(err, st, ERROR_NO_OFFSET, "no memory for pages");
}

static status_t fill_at_once(void *arg, const struct page_run *run, const uint8_t *data,
                             struct error *err)
{
    struct postcopy *p = arg;
    struct cell_memory m;
    (void)err;
    status_t st = cell_memory(p->cell, run->mem, &m);
    if (st == ST_OK)
        memcpy(m.base + run->at, data, (size_t)run->len);
    page_set_remove(&p->owed, run->mem, run->at, run->len);
    return st;
}

/* Until END. */
static status_t take_pages(struct postcopy *p, struct error *err)
{
    const struct reader_place place = {p->lazy ? fill_lazily : fill_at_once, p};
    struct part part = {0};
    status_t st = ST_OK;
    while (st == ST_OK && (st = reader_part(p->r, &part, err)) == ST_OK && part.id == PART_SCATTER)
        st = reader_scatter(p->r, p->cell, &part, &place, err);
    if (st == ST_OK)
        st = part.id == PART_END ? reader_end(p->r, &part, err)
                                 : reader_corrupt(part.id, "not where it belongs", err);
    if (st == ST_OK && (p->lazy ? lazy_owed(p->lazy) : p->owed.count))
        st = reader_corrupt(PART_END, "a page is missing", err);
    if (st == ST_OK)
        st = ask(p, REQUEST_DONE, &(struct page_run){0}, err);
    return st;
}

/* The first reason counts. */
static void end_with(struct postcopy *p, status_t st, const struct error *err)
{
    pthread_mutex_lock(&p->lock);
    bool first = !p->ended;
    if (first) {
        p->st = st;
        p->err = *err;
        p->ended = true;
    }
    pthread_mutex_unlock(&p->lock);
    if (first && st != ST_OK) {
        p->link->shut(p->link->arg);
        lazy_fail(p->lazy);
    }
}

static void *take(void *arg)
{
    struct postcopy *p = arg;
    struct error err = {.offset = ERROR_NO_OFFSET};
    status_t st = take_pages(p, &err);
    end_with(p, st, &err);
    lazy_end(p->lazy);
    return NULL;
}

static void *ask_for_pages(void *arg)
{
    struct postcopy *p = arg;
    struct page_run page;
    struct error err = {.offset = ERROR_NO_OFFSET};
    while (lazy_next_need(p->lazy, &page)) {
        status_t st = ask(p, REQUEST_PAGE, &page, &err);
        if (st != ST_OK)
            end_with(p, st, &err);
    }
    lazy_release(p->lazy);
    pthread_mutex_lock(&p->lock);
    p->released = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static status_t start_threads(struct postcopy *p, struct error *err)
{
    int code = thread_start(&p->asker, ask_for_pages, p);
    if (code == 0 && (code = thread_start(&p->taker, take, p)) != 0) {
        lazy_end(p->lazy);
        pthread_join(p->asker, NULL);
    }
    return code ? error_set_errno(err, code, "threads that wait for pages") : ST_OK;
}

static void postcopy_free(struct postcopy *p)
{
    lazy_free(p->lazy);
    page_set_done(&p->owed);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->sending);
    pthread_cond_destroy(&p->changed);
    free(p);
}

static status_t go_lazy(struct postcopy *p, struct error *err)
{
    status_t st = lazy_start(p->cell, &p->owed, &p->lazy, err);
    if (st == ST_UNSUPPORTED) {
        *err = (struct error){.offset = ERROR_NO_OFFSET};
        p->ended = p->released = true;
        return take_pages(p, err);
    }
    return st == ST_OK ? start_threads(p, err) : st;
}

status_t postcopy_begin(struct snapshot_reader *r, struct cell *c, const struct postcopy_link *link,
                        struct postcopy **ret_p, struct error *err)
{
    struct error unused;
    struct postcopy *p = calloc(1, sizeof(*p));
    if (!p)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to wait for pages");
    p->r = r;
    p->cell = c;
    p->link = link;
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->sending, NULL);
    pthread_cond_init(&p->changed, NULL);
    err = err ? err : &unused;
    status_t st = read_offer(p, err);
    if (st == ST_OK)
        st = go_lazy(p, err);
    if (st == ST_OK) {
        *ret_p = p;
    } else {
        link->shut(link->arg);
        postcopy_free(p);
    }
    return st;
}

static status_t outcome(struct postcopy *p, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    status_t st = p->ended ? p->st : ST_OK;
    if (st != ST_OK && err)
        *err = p->err;
    pthread_mutex_unlock(&p->lock);
    return st;
}

status_t postcopy_resume(struct postcopy *p, union cell_value *io, struct error *err)
{
    status_t st = cell_resume(p->cell, io, err);
    status_t pages = outcome(p, err);
    return pages == ST_OK ? st : pages;
}

status_t postcopy_wait(struct postcopy *p, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    while (!p->released)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return outcome(p, err);
}

uint64_t postcopy_owed(struct postcopy *p)
{
    return p->lazy ? lazy_owed(p->lazy) : 0;
}

void postcopy_end(struct postcopy *p)
{
    struct error err = {0};
    if (!p)
        return;
    if (p->lazy) {
        error_set(&err, ST_STOPPED, ERROR_NO_OFFSET, "the cell was given up");
        end_with(p, ST_STOPPED, &err);
        pthread_join(p->taker, NULL);
        pthread_join(p->asker, NULL);
    }
    postcopy_free(p);
}
