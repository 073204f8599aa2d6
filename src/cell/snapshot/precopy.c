#include <string.h>
#include <time.h>

#include "precopy_state.h"

enum { NAP_NS = 20000000 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static status_t cancelled(struct error *err)
{
    return error_set(err, ST_STOPPED, ERROR_NO_OFFSET, "sending a cell was cancelled");
}

static bool goes_on(struct precopy *p)
{
    p->progress.total_bytes = p->w.sizes.total_bytes;
    return !p->options.progress || p->options.progress(p->options.arg, &p->progress);
}

/* Wait until what was sent fits the rate. False: cancelled. */
static bool throttle(struct precopy *p)
{
    const uint64_t rate = p->options.bytes_per_second;
    if (!goes_on(p))
        return false;
    while (rate) {
        double due_ns = (double)p->w.sizes.total_bytes * 1e9 / (double)rate;
        double early_ns = due_ns - (double)(now_ns() - p->start_ns);
        if (early_ns <= 0)
            break;
        struct timespec nap = {.tv_nsec = early_ns < NAP_NS ? (long)early_ns : NAP_NS};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        if (!goes_on(p))
            return false;
    }
    return true;
}

status_t precopy_start(struct cell *c, struct snapshot_info *info,
                       const struct precopy_options *options, const struct snapshot_sink *sink,
                       struct precopy **ret_p, struct error *err)
{
    struct precopy *p = calloc(1, sizeof(*p));
    uint8_t *piece = malloc(SNAPSHOT_RUN_BYTES_MAX);
    if (!p || !piece) {
        free(p);
        free(piece);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory to send a cell");
    }
    *p = (struct precopy){.cell = c, .options = *options, .sink = *sink, .piece = piece};
    p->w.sink = &p->sink;
    p->start_ns = now_ns();
    info->increment = false;
    info->base_name[0] = '\0';
    memset(info->base_id, 0, sizeof(info->base_id));
    status_t st = writer_fill_info(c, info, err);
    if (st == ST_OK)
        st = track_start(c, &p->track, err);
    if (st == ST_UNSUPPORTED && cell_program(c)) {
        st = ST_OK; /* everything is sent while it is stopped */
        if (err)
            *err = (struct error){.offset = ERROR_NO_OFFSET};
    }
    if (st == ST_OK) {
        writer_head(&p->w);
        writer_info(&p->w, info);
        st = writer_status(&p->w, err);
    }
    if (st == ST_OK)
        *ret_p = p;
    else
        precopy_free(p);
    return st;
}

/* A run of the copy in p->piece whose pages are of one kind. */
static void send_same(struct precopy *p, const struct page_run *run, uint64_t from, uint64_t len,
                      bool zeros)
{
    const struct page_run part = {run->mem, run->at + from, len};
    const uint8_t *data = p->piece + from;
    if (!zeros && writer_is_scattered(len)) {
        writer_scattered(&p->w, &part, data);
        return;
    }
    writer_pages(&p->w, &part, zeros ? NULL : data, zeros ? 0 : hash_xxh3(data, (size_t)len));
}

/* The cell may be writing there: what the copy gets wrong is harvested by the next round. */
static status_t send_piece(struct precopy *p, const struct page_run *run, struct error *err)
{
    struct cell_memory m;
    if (cell_memory(p->cell, run->mem, &m) != ST_OK)
        return ST_OK;
    memcpy(p->piece, m.base + run->at, (size_t)run->len);
    uint64_t from = 0;
    for (uint64_t at = 0; at < run->len;) {
        bool zeros = snapshot_page_is_zero(p->piece + at);
        from = at;
        do
            at += SNAPSHOT_PAGE_BYTES;
        while (at < run->len && snapshot_page_is_zero(p->piece + at) == zeros);
        send_same(p, run, from, at - from, zeros);
    }
    p->progress.sent_bytes += run->len;
    return writer_status(&p->w, err);
}

static void send_round_head(struct precopy *p)
{
    struct cell_memory m;
    struct buf b = {0};
    uint32_t n = 0;
    while (cell_memory(p->cell, n, &m) == ST_OK)
        n++;
    buf_le32(&b, p->rounds + 1);
    buf_le32(&b, n);
    for (uint32_t i = 0; i < n && cell_memory(p->cell, i, &m) == ST_OK; i++)
        buf_le64(&b, m.bytes);
    writer_part_buf(&p->w, PART_ROUND, &b);
}

/* Send what p->pages has. Memories' sizes are taken after it was harvested, so they hold all of it. */
static status_t send_round(struct precopy *p, struct error *err)
{
    struct page_run run = {0};
    p->progress = (struct precopy_progress){.round = p->rounds + 1,
                                            .round_bytes = p->pages.count * SNAPSHOT_PAGE_BYTES};
    send_round_head(p);
    status_t st = writer_status(&p->w, err);
    for (; st == ST_OK && page_set_next(&p->pages, SNAPSHOT_RUN_BYTES_MAX, &run);
         run.at += run.len) {
        st = throttle(p) ? send_piece(p, &run, err) : cancelled(err);
    }
    if (st == ST_OK) {
        writer_scattered_flush(&p->w);
        st = writer_status(&p->w, err);
    }
    if (st == ST_OK) {
        page_set_clear(&p->pages);
        p->rounds++;
        st = goes_on(p) ? ST_OK : cancelled(err);
    }
    return st;
}

/* Is another round worth while? Where rounds do not get much shorter, the program writes as fast as it is
 * sent, and more rounds would make the pause no shorter. */
static bool wants_round(struct precopy *p)
{
    const struct precopy_options *o = &p->options;
    uint32_t max = o->rounds_max ? o->rounds_max : PRECOPY_ROUNDS_DEFAULT;
    uint64_t stop = o->stop_bytes ? o->stop_bytes : PRECOPY_STOP_BYTES_DEFAULT;
    uint64_t bytes = p->pages.count * SNAPSHOT_PAGE_BYTES;
    bool stalls = p->rounds > 0 && bytes > p->last_bytes / 2;
    p->stalled = stalls ? p->stalled + 1 : 0;
    p->last_bytes = bytes;
    return p->rounds < max && bytes > stop && p->stalled < PRECOPY_STALLS_MAX;
}

status_t precopy_rounds(struct precopy *p, struct error *err)
{
    status_t st = goes_on(p) ? ST_OK : cancelled(err);
    while (st == ST_OK && p->track) {
        st = track_harvest(p->track, &p->pages, err);
        if (st == ST_OK && !wants_round(p))
            break;
        if (st == ST_OK)
            st = send_round(p, err);
    }
    return st;
}

/* What is left; without rounds, all that is not as in a new instance. */
static status_t last_pages(struct precopy *p, struct error *err)
{
    if (p->track)
        return track_harvest(p->track, &p->pages, err);
    return writer_pages_of(p->cell, &p->pages, err);
}

/* What is left is named only. */
static void write_owed(struct precopy *p)
{
    struct buf b = {0};
    uint64_t runs = 0;
    buf_le64(&b, 0);
    for (struct page_run run = {0}; page_set_next(&p->pages, UINT64_MAX, &run); run.at += run.len) {
        buf_le32(&b, run.mem);
        buf_le32(&b, 0);
        buf_le64(&b, run.at);
        buf_le64(&b, run.len);
        runs++;
    }
    if (!b.failed)
        buf_patch_le64(&b, 0, runs);
    writer_part_buf(&p->w, PART_OWED, &b);
}

static status_t write_rest(struct precopy *p, bool owing, const void *host_state, size_t host_len,
                           struct snapshot_sizes *ret_sizes, struct error *err)
{
    struct buf state = {0};
    status_t st = cell_state_save(p->cell, &state, err);
    if (st == ST_OK && (state.len > PART_BYTES_MAX || host_len > PART_BYTES_MAX))
        st = error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "the call stack and tables are too large");
    if (st == ST_OK)
        st = last_pages(p, err);
    if (st == ST_OK) {
        writer_part(&p->w, PART_HOST, host_state, host_len, NULL, 0);
        writer_part(&p->w, PART_STATE, state.data, state.len, NULL, 0);
        if (owing)
            write_owed(p);
        else
            writer_memories(&p->w, p->cell, &p->pages, p->rounds == 0);
        writer_end(&p->w);
        p->w.sizes.frames = cell_captured_frames(p->cell, NULL, 0);
        p->w.sizes.state_bytes = state.len;
        p->w.sizes.host_bytes = host_len;
        st = writer_status(&p->w, err);
    }
    buf_done(&state);
    if (st == ST_OK)
        *ret_sizes = p->w.sizes;
    return st;
}

status_t precopy_finish(struct precopy *p, const void *host_state, size_t host_len,
                        struct snapshot_sizes *ret_sizes, struct error *err)
{
    return write_rest(p, false, host_state, host_len, ret_sizes, err);
}

status_t precopy_offer(struct precopy *p, const void *host_state, size_t host_len,
                       struct snapshot_sizes *ret_sizes, struct error *err)
{
    return write_rest(p, true, host_state, host_len, ret_sizes, err);
}

void precopy_free(struct precopy *p)
{
    if (!p)
        return;
    track_stop(p->track);
    page_set_done(&p->pages);
    writer_done(&p->w);
    free(p->piece);
    free(p);
}
