#include <string.h>

#include "sums.h"
#include "writer.h"

enum page_kind { PAGE_INITIAL, PAGE_ZERO, PAGE_DATA };

/* A walk over the pages of one memory, and the run of pages of one kind that it is in. */
struct memory_walk {
    struct writer *w;
    struct cell *c;
    struct cell_memory mem;
    bool initial; /* leave out what is as in a new instance; else all is written */
    enum page_kind kind;
    struct page_run run;
    struct sums sums;
    struct {
        struct page_run run;
        const uint8_t *data;
        bool in_file;
        int fd; /* in_file: the place of its part */
        uint64_t off;
    } waits[SUMS_DEPTH]; /* for their sums, oldest first */
    uint32_t wait_count;
};

bool snapshot_page_is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, SNAPSHOT_PAGE_BYTES - 1) == 0;
}

/* Where the initial content is not known, it counts as zeros that never were: nothing but zero pages beyond the
 * module's data could be left out, so all others are written. */
static enum page_kind page_kind(const struct memory_walk *m, uint64_t at)
{
    const uint8_t *page = m->mem.base + at;
    bool known = m->initial && m->mem.complete;
    const uint8_t *initial = known ? cell_memory_initial(m->c, m->run.mem, at) : NULL;
    if (initial && memcmp(page, initial, SNAPSHOT_PAGE_BYTES) == 0)
        return PAGE_INITIAL;
    if (!snapshot_page_is_zero(page))
        return PAGE_DATA;
    return known && !initial ? PAGE_INITIAL : PAGE_ZERO;
}

static void write_oldest(struct memory_walk *m)
{
    struct sums_piece p = sums_take(&m->sums);
    if (p.failed)
        writer_fails(m->w, p.errnum);
    else if (m->waits[0].in_file)
        writer_pages_head_at(m->w, &m->waits[0].run, p.sum, m->waits[0].fd, m->waits[0].off);
    else
        writer_pages(m->w, &m->waits[0].run, m->waits[0].data, p.sum);
    m->wait_count--;
    memmove(m->waits, m->waits + 1, m->wait_count * sizeof(m->waits[0]));
}

/* A run of data is written when the next one has gone to be summed, or by who sums it, to its place in the file. */
static void put_data(struct memory_walk *m)
{
    const uint8_t *data = m->mem.base + m->run.at;
    const size_t len = (size_t)m->run.len;
    uint64_t off = 0;
    int fd = writer_range(m->w, PAGES_PART_BYTES + len, &off);
    m->waits[m->wait_count].run = m->run;
    m->waits[m->wait_count].data = data;
    m->waits[m->wait_count].in_file = fd >= 0;
    m->waits[m->wait_count].fd = fd;
    m->waits[m->wait_count++].off = off;
    if (fd >= 0)
        sums_write(&m->sums, fd, off + PAGES_PART_BYTES, data, len);
    else
        sums_put(&m->sums, data, len);
    if (fd >= 0 ? m->wait_count == SUMS_DEPTH : m->wait_count > 1)
        write_oldest(m);
}

static void put_run(struct memory_walk *m)
{
    if (m->run.len > 0 && m->kind == PAGE_ZERO)
        writer_pages(m->w, &m->run, NULL, 0);
    if (m->run.len > 0 && m->kind == PAGE_DATA && writer_is_scattered(m->run.len)) {
        writer_scattered(m->w, &m->run, m->mem.base + m->run.at);
    } else if (m->run.len > 0 && m->kind == PAGE_DATA) {
        put_data(m);
    }
    m->run.len = 0;
}

static void add_page(struct memory_walk *m, uint64_t at)
{
    enum page_kind kind = page_kind(m, at);
    bool goes_on = kind == m->kind && at == m->run.at + m->run.len &&
                   (kind != PAGE_DATA || m->run.len < SNAPSHOT_RUN_BYTES_MAX);
    if (!goes_on) {
        put_run(m);
        m->kind = kind;
        m->run.at = at;
    }
    m->run.len += SNAPSHOT_PAGE_BYTES;
}

void writer_memories(struct writer *w, struct cell *c, const struct page_set *set, bool initial)
{
    struct memory_walk m = {.w = w, .c = c, .initial = initial};
    struct page_run found = {0};
    for (uint32_t i = 0; cell_memory(c, i, &m.mem) == ST_OK; i++) {
        m.run = (struct page_run){.mem = i};
        for (; found.mem == i && page_set_next(set, UINT64_MAX, &found) && found.mem == i;
             found.at += found.len) {
            for (uint64_t k = 0; k < found.len && found.at + k < m.mem.bytes && !w->failed;
                 k += SNAPSHOT_PAGE_BYTES)
                add_page(&m, found.at + k);
        }
        put_run(&m);
        if (found.mem == i)
            found = (struct page_run){.mem = i + 1};
    }
    while (m.wait_count > 0)
        write_oldest(&m);
    sums_done(&m.sums);
    writer_scattered_flush(w);
}
