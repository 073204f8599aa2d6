#include <string.h>

#include "writer.h"

/* All pages: where the kernel does not tell which of them were written. */
static status_t all_pages(struct cell *c, struct page_set *set)
{
    struct cell_memory m;
    status_t st = ST_OK;
    page_set_clear(set);
    for (uint32_t i = 0; st == ST_OK && cell_memory(c, i, &m) == ST_OK; i++)
        st = page_set_add(set, i, 0, m.bytes);
    return st;
}

status_t writer_pages_of(struct cell *c, struct page_set *set, struct error *err)
{
    status_t st = track_written(c, set, err);
    if (st == ST_UNSUPPORTED || st == ST_IO)
        st = all_pages(c, set);
    return st == ST_OK ? ST_OK
                       : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a snapshot");
}

static void set_base(struct snapshot_info *info, const struct snapshot_options *o)
{
    info->increment = o->base_id != NULL;
    memset(info->base_id, 0, sizeof(info->base_id));
    if (o->base_id)
        memcpy(info->base_id, o->base_id, sizeof(info->base_id));
    snprintf(info->base_name, sizeof(info->base_name), "%s", o->base_name ? o->base_name : "");
}

static void write_all(struct writer *w, struct cell *c, const struct snapshot_info *info,
                      const struct buf *state, const void *host_state, size_t host_len,
                      const struct page_set *pages)
{
    writer_head(w);
    writer_info(w, info);
    writer_part(w, PART_HOST, host_state, host_len, NULL, 0);
    writer_part(w, PART_STATE, state->data, state->len, NULL, 0);
    writer_memories(w, c, pages, !info->increment);
    writer_end(w);
    w->sizes.frames = cell_captured_frames(c, NULL, 0);
    w->sizes.state_bytes = state->len;
    w->sizes.host_bytes = host_len;
}

status_t snapshot_write_with(struct cell *c, struct snapshot_info *info,
                             const struct snapshot_options *options, const void *host_state,
                             size_t host_len, const struct snapshot_sink *sink,
                             struct snapshot_sizes *ret_sizes, struct error *err)
{
    struct writer w = {.sink = sink};
    struct buf state = {0};
    struct page_set found = {.count = 0};
    if (options->base_id && !options->pages)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "an increment needs the set of pages");
    status_t st = cell_state_save(c, &state, err);
    if (st == ST_OK && (state.len > PART_BYTES_MAX || host_len > PART_BYTES_MAX))
        st = error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "the call stack and tables are too large");
    if (st == ST_OK)
        st = writer_fill_info(c, info, err);
    if (st == ST_OK && !options->pages)
        st = writer_pages_of(c, &found, err);
    if (st == ST_OK) {
        set_base(info, options);
        write_all(&w, c, info, &state, host_state, host_len,
                  options->pages ? options->pages : &found);
        st = writer_status(&w, err);
    }
    writer_done(&w);
    page_set_done(&found);
    buf_done(&state);
    if (st == ST_OK)
        *ret_sizes = w.sizes;
    return st;
}

status_t snapshot_write(struct cell *c, struct snapshot_info *info, const void *host_state,
                        size_t host_len, const struct snapshot_sink *sink,
                        struct snapshot_sizes *ret_sizes, struct error *err)
{
    const struct snapshot_options full = {.base_id = NULL};
    return snapshot_write_with(c, info, &full, host_state, host_len, sink, ret_sizes, err);
}
