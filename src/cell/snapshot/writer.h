#ifndef CELL_SNAPSHOT_WRITER_H
#define CELL_SNAPSHOT_WRITER_H

#include "format.h"

/* Parts on their way into a sink. After the first failure nothing more is written. One thread. */
struct writer {
    const struct snapshot_sink *sink;
    struct snapshot_sizes sizes;
    uint64_t parts;
    uint64_t sum_of_sums;
    bool failed;
    int saved_errno;    /* 0: memory ran out */
    uint8_t *scattered; /* short runs that wait for a part of their own, and their heads */
    size_t scattered_bytes;
    struct buf scattered_runs;
};

/* Frees what it holds; nothing is written. */
void writer_done(struct writer *w);

void writer_head(struct writer *w);
/* summed bytes are checked by the part's head, the rest by what stands in them. */
void writer_part(struct writer *w, enum snapshot_part id, const void *summed, size_t summed_len,
                 const void *rest, size_t rest_len);
/* A part from a buffer, which is emptied. */
void writer_part_buf(struct writer *w, enum snapshot_part id, struct buf *b);
/* INFO, IDENTITY, and MODULE where info has one. */
void writer_info(struct writer *w, const struct snapshot_info *info);
/* A run of pages of memory mem; data NULL: zeros. sum: XXH3 of the data. */
void writer_pages(struct writer *w, const struct page_run *run, const uint8_t *data, uint64_t sum);
/* A place for so many bytes in the sink's file, which others fill; -1: there is none. */
int writer_range(struct writer *w, size_t len, uint64_t *ret_off);
/* What stands in front of data that went to PAGES_PART_BYTES behind off by itself. */
void writer_pages_head_at(struct writer *w, const struct page_run *run, uint64_t sum, int fd,
                          uint64_t off);
/* The first failure counts. errnum 0: memory ran out. */
void writer_fails(struct writer *w, int errnum);
/* A run of so many bytes had better go to writer_scattered, which copies it, and writes it later: flush before what has
 * to stand behind it. */
bool writer_is_scattered(uint64_t len);
void writer_scattered(struct writer *w, const struct page_run *run, const uint8_t *data);
void writer_scattered_flush(struct writer *w);
void writer_end(struct writer *w);
/* What became of it. */
CHECKED status_t writer_status(const struct writer *w, struct error *err);

/* Fill in what the cell's program says, the time, a new id. ST_INVALID: the module of info is another one than the
 * cell's; ST_UNSUPPORTED; ST_IO. */
CHECKED status_t writer_fill_info(struct cell *c, struct snapshot_info *info, struct error *err);

/* ---- memories ---- */

/* Write the pages in set of a cell that does not run. initial: pages that are as in a new instance are left out. */
void writer_memories(struct writer *w, struct cell *c, const struct page_set *set, bool initial);

/* All pages that may differ from a new instance; all there are where the kernel cannot tell. ST_NOMEM. */
CHECKED status_t writer_pages_of(struct cell *c, struct page_set *set, struct error *err);

bool snapshot_page_is_zero(const uint8_t *page);

#endif
