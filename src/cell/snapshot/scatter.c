#include <string.h>

#include "writer.h"

/* Short runs that are far from each other, as a program leaves them: a part for each would be a few system calls on
 * both sides for each page. */

bool writer_is_scattered(uint64_t len)
{
    return len < SCATTER_RUN_BYTES_MAX;
}

static bool make_room(struct writer *w)
{
    if (!w->scattered)
        w->scattered = malloc(SNAPSHOT_RUN_BYTES_MAX);
    w->failed |= !w->scattered;
    return !w->failed;
}

void writer_scattered(struct writer *w, const struct page_run *run, const uint8_t *data)
{
    if (w->scattered_bytes + run->len > SNAPSHOT_RUN_BYTES_MAX)
        writer_scattered_flush(w);
    if (!make_room(w))
        return;
    memcpy(w->scattered + w->scattered_bytes, data, (size_t)run->len);
    w->scattered_bytes += (size_t)run->len;
    buf_le32(&w->scattered_runs, run->mem);
    buf_le32(&w->scattered_runs, (uint32_t)run->len);
    buf_le64(&w->scattered_runs, run->at);
}

void writer_scattered_flush(struct writer *w)
{
    struct buf b = {0};
    if (w->scattered_bytes == 0)
        return;
    buf_le64(&b, hash_xxh3(w->scattered, w->scattered_bytes));
    buf_le32(&b, (uint32_t)(w->scattered_runs.len / SCATTER_RUN_HEAD_BYTES));
    buf_le32(&b, 0);
    buf_bytes(&b, w->scattered_runs.data, w->scattered_runs.len);
    w->failed |= b.failed || w->scattered_runs.failed;
    if (!w->failed)
        writer_part(w, PART_SCATTER, b.data, b.len, w->scattered, w->scattered_bytes);
    w->sizes.page_bytes += w->scattered_bytes;
    w->scattered_bytes = 0;
    w->scattered_runs.len = 0;
    buf_done(&b);
}

void writer_done(struct writer *w)
{
    free(w->scattered);
    buf_done(&w->scattered_runs);
}
