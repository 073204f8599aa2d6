#ifndef CELL_SNAPSHOT_READER_H
#define CELL_SNAPSHOT_READER_H

#include "format.h"
#include "sums.h"

/* What the files that read streams share. One thread per reader. Errors are those of snapshot_read. */

/* The head of a part. */
struct part {
    uint32_t id;
    uint32_t summed;
    uint64_t len;
    uint64_t sum;
};

struct snapshot_reader {
    struct snapshot_source source;
    struct snapshot_info info;
    uint32_t version;
    bool live; /* the rounds have not been read */
    struct buf host;
    struct buf module; /* empty: not embedded */
    struct snapshot_sizes sizes;
    uint64_t parts;
    uint64_t sum_of_sums;
    struct sums sums;              /* of pages that stand in their memory already */
    uint64_t expected[SUMS_DEPTH]; /* oldest first */
    struct part next;              /* while live: the head of the first round */
    uint8_t *scattered; /* where short runs are read to, before they go to their places */
    /* Without a cell: */
    uint64_t
        memory_bytes[MODULE_MEMS_MAX]; /* sizes of its memories, as far as they have been said */
    uint32_t memory_count;
    uint8_t *pieces; /* pages are read to these, in turn */
    uint32_t piece;
};

/* What becomes of a run of pages, whose data is checked. */
struct reader_place {
    status_t (*put)(void *arg, const struct page_run *run, const uint8_t *data, struct error *err);
    void *arg;
};

static inline bool reader_has_pages(const struct part *p)
{
    return p->id == PART_PAGES || p->id == PART_SCATTER;
}
status_t reader_corrupt(uint32_t part, const char *why, struct error *err);
/* The head of the next part. */
CHECKED status_t reader_part(struct snapshot_reader *r, struct part *ret_part, struct error *err);
/* Parts whose head has been read, or that have to be the next ones. */
CHECKED status_t reader_expect(struct snapshot_reader *r, enum snapshot_part id,
                               struct buf *ret_bytes, struct error *err);
CHECKED status_t reader_host(struct snapshot_reader *r, const struct part *p, struct error *err);
/* ROUND: its number, and the sizes that memories have by then, which c (or else r) gets. */
CHECKED status_t reader_round(struct snapshot_reader *r, struct cell *c, const struct part *p,
                              uint32_t *ret_round, struct error *err);
/* Without a cell: the size of a memory; indexes come in order. False: more than a module has. */
bool reader_knows_memory(struct snapshot_reader *r, uint32_t index, uint64_t bytes);
/* Append the bytes that the head sums, which are few or bounded. */
CHECKED status_t reader_summed(struct snapshot_reader *r, const struct part *p,
                               struct buf *ret_bytes, struct error *err);
/* Is the snapshot one of c's program? */
CHECKED status_t reader_check_program(const struct snapshot_reader *r, struct cell *c,
                                      struct error *err);
/* STATE, into c. */
CHECKED status_t reader_state(struct snapshot_reader *r, struct cell *c, struct error *err);
/* PAGES and SCATTER, into c, and the head of what follows them. c NULL: they are checked only. */
CHECKED status_t reader_all_pages(struct snapshot_reader *r, struct cell *c, struct part *ret_next,
                                  struct error *err);
/* The content of a SCATTER part, whose runs lie inside c's memories. c may be NULL, and place then is. */
CHECKED status_t reader_scatter(struct snapshot_reader *r, struct cell *c, const struct part *p,
                                const struct reader_place *place, struct error *err);
/* The content of an END part. */
CHECKED status_t reader_end(struct snapshot_reader *r, const struct part *p, struct error *err);

#endif
