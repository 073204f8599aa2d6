#ifndef CELL_SNAPSHOT_PRECOPY_STATE_H
#define CELL_SNAPSHOT_PRECOPY_STATE_H

#include "cell/snapshot/postcopy.h"
#include "writer.h"

/* A cell that is being sent. Used by one thread at a time. */
enum { PRECOPY_STALLS_MAX = 2 };

struct precopy {
    struct cell *cell;
    struct precopy_options options;
    struct snapshot_sink sink; /* what the writer has */
    struct writer w;
    struct track *track;   /* NULL: this kernel cannot */
    struct page_set pages; /* to be sent: harvested already */
    uint8_t *piece;        /* a copy that does not change while it is summed and sent */
    uint32_t rounds;       /* sent */
    uint64_t last_bytes;   /* of the last of them */
    uint32_t stalled;      /* harvests in a row that were more than half of the one before */
    uint64_t start_ns;
    struct precopy_progress progress;
};

#endif
