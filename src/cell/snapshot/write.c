#include <errno.h>
#include <string.h>
#include <time.h>

#include "cell/module/image.h"
#include "format.h"

const uint8_t snapshot_magic[SNAPSHOT_MAGIC_BYTES] = {0, 's', 'n', 'a', 'p', 'c', 's', 'k'};

const char *snapshot_part_name(uint32_t part)
{
    static const char *const names[PART_COUNT] = {[PART_INFO] = "info",
                                                  [PART_HOST] = "host",
                                                  [PART_STATE] = "state",
                                                  [PART_PAGES] = "pages",
                                                  [PART_END] = "end"};
    return part < PART_COUNT && names[part] ? names[part] : "unknown";
}

struct writer {
    const struct snapshot_sink *sink;
    struct snapshot_sizes sizes;
    uint64_t parts;
    uint64_t sum_of_sums;
    bool failed;
    int saved_errno;
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (w->failed || len == 0)
        return;
    if (!w->sink->write(w->sink->arg, data, len)) {
        w->failed = true;
        w->saved_errno = errno;
        return;
    }
    w->sizes.total_bytes += len;
}

/* summed bytes are checked by the part's head, the rest by what stands in them. */
static void put_part(struct writer *w, enum snapshot_part id, const void *summed, size_t summed_len,
                     const void *rest, size_t rest_len)
{
    uint64_t sum = hash_xxh3(summed, summed_len);
    struct buf head = {0};
    buf_le32(&head, id);
    buf_le32(&head, (uint32_t)summed_len);
    buf_le64(&head, (uint64_t)summed_len + rest_len);
    buf_le64(&head, sum);
    if (head.failed) {
        w->failed = true;
        w->saved_errno = ENOMEM;
    }
    put(w, head.data, head.len);
    put(w, summed, summed_len);
    put(w, rest, rest_len);
    buf_done(&head);
    w->parts++;
    w->sum_of_sums += sum;
}

static void put_text(struct buf *b, const char *text)
{
    size_t len = strnlen(text, SNAPSHOT_TEXT_MAX - 1);
    buf_le32(b, (uint32_t)len);
    buf_bytes(b, text, len);
}

static void put_info(struct writer *w, const struct snapshot_info *info)
{
    struct buf b = {0};
    buf_bytes(&b, info->module_hash, sizeof(info->module_hash));
    buf_le64(&b, info->module_len);
    buf_le32(&b, info->features);
    buf_le32(&b, info->nan);
    buf_le32(&b, info->level);
    buf_le64(&b, info->time_ns);
    put_text(&b, info->program);
    put_text(&b, info->host);
    put_text(&b, info->version);
    w->failed |= b.failed;
    put_part(w, PART_INFO, b.data, b.len, NULL, 0);
    buf_done(&b);
}

static void put_head(struct writer *w)
{
    uint8_t head[SNAPSHOT_HEAD_BYTES] = {0};
    memcpy(head, snapshot_magic, sizeof(snapshot_magic));
    head[SNAPSHOT_MAGIC_BYTES] = SNAPSHOT_FORMAT_VERSION;
    put(w, head, sizeof(head));
}

/* ---- pages ---- */

enum page_kind { PAGE_INITIAL, PAGE_ZERO, PAGE_DATA };

/* Pages of one kind, one after the other. */
struct page_run {
    enum page_kind kind;
    uint64_t at;
    uint64_t len;
};

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, SNAPSHOT_PAGE_BYTES - 1) == 0;
}

/* Where the initial content is not known, it counts as zeros that never were: nothing but zero pages beyond the
 * module's data could be left out, so all others are written. */
static enum page_kind page_kind(const uint8_t *page, const uint8_t *initial, bool known)
{
    if (known && initial && memcmp(page, initial, SNAPSHOT_PAGE_BYTES) == 0)
        return PAGE_INITIAL;
    if (!is_zero(page))
        return PAGE_DATA;
    return known && !initial ? PAGE_INITIAL : PAGE_ZERO;
}

static void put_run(struct writer *w, uint32_t mem, const uint8_t *base, const struct page_run *run)
{
    if (run->len == 0 || run->kind == PAGE_INITIAL)
        return;
    size_t rest = run->kind == PAGE_DATA ? (size_t)run->len : 0;
    struct buf b = {0};
    buf_le32(&b, mem);
    buf_le32(&b, run->kind == PAGE_ZERO);
    buf_le64(&b, run->at);
    buf_le64(&b, run->len);
    buf_le64(&b, rest ? hash_xxh3(base + run->at, rest) : 0);
    buf_fill(&b, 0, PAGES_HEAD_BYTES - b.len);
    w->failed |= b.failed;
    put_part(w, PART_PAGES, b.data, b.len, base + run->at, rest);
    w->sizes.page_bytes += rest;
    buf_done(&b);
}

static void put_memory(struct writer *w, struct cell *c, uint32_t index,
                       const struct cell_memory *m)
{
    struct page_run run = {.kind = PAGE_INITIAL};
    for (uint64_t block = 0; block < m->bytes && !w->failed; block += WASM_PAGE_BYTES) {
        const uint8_t *initial = m->complete ? cell_memory_initial(c, index, block) : NULL;
        for (uint64_t k = 0; k < WASM_PAGE_BYTES; k += SNAPSHOT_PAGE_BYTES) {
            enum page_kind kind = page_kind(m->base + block + k, initial ? initial + k : NULL,
                                            m->complete);
            bool is_full = kind == PAGE_DATA && run.len >= SNAPSHOT_RUN_BYTES_MAX;
            if (kind != run.kind || is_full) {
                put_run(w, index, m->base, &run);
                run = (struct page_run){.kind = kind, .at = block + k};
            }
            run.len += SNAPSHOT_PAGE_BYTES;
        }
    }
    put_run(w, index, m->base, &run);
}

static void put_end(struct writer *w)
{
    struct buf b = {0};
    buf_le64(&b, w->parts);
    buf_le64(&b, w->sum_of_sums);
    w->failed |= b.failed;
    put_part(w, PART_END, b.data, b.len, NULL, 0);
    buf_done(&b);
}

static void fill_info(struct cell *c, struct snapshot_info *info)
{
    const struct image *img = program_image(cell_program(c));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memcpy(info->module_hash, img->module_hash, sizeof(info->module_hash));
    info->module_len = img->module_len;
    info->features = img->features;
    info->nan = img->options.nan;
    info->level = img->options.level;
    info->time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

status_t snapshot_write(struct cell *c, struct snapshot_info *info, const void *host_state,
                        size_t host_len, const struct snapshot_sink *sink,
                        struct snapshot_sizes *ret_sizes, struct error *err)
{
    struct writer w = {.sink = sink};
    struct buf state = {0};
    struct cell_memory m;
    status_t st = cell_state_save(c, &state, err);
    if (st == ST_OK && (state.len > PART_BYTES_MAX || host_len > PART_BYTES_MAX))
        st = error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "the call stack and tables are too large");
    if (st == ST_OK) {
        fill_info(c, info);
        put_head(&w);
        put_info(&w, info);
        put_part(&w, PART_HOST, host_state, host_len, NULL, 0);
        put_part(&w, PART_STATE, state.data, state.len, NULL, 0);
        for (uint32_t i = 0; cell_memory(c, i, &m) == ST_OK; i++)
            put_memory(&w, c, i, &m);
        put_end(&w);
        w.sizes.frames = cell_captured_frames(c, NULL, 0);
        w.sizes.state_bytes = state.len;
        w.sizes.host_bytes = host_len;
    }
    buf_done(&state);
    if (st == ST_OK && w.failed)
        st = w.saved_errno ? error_set_errno(err, w.saved_errno, "writing a snapshot")
                           : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a snapshot");
    if (st == ST_OK)
        *ret_sizes = w.sizes;
    return st;
}
