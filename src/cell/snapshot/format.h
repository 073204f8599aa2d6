#ifndef CELL_SNAPSHOT_FORMAT_H
#define CELL_SNAPSHOT_FORMAT_H

#include "cell/snapshot/snapshot.h"

/* The numbers of docs/internals/snapshot-format.md. */
enum {
    SNAPSHOT_MAGIC_BYTES = 8,
    SNAPSHOT_HEAD_BYTES = 16,
    PART_HEAD_BYTES = 24,
    PAGES_HEAD_BYTES = 40,
    PAGES_PART_BYTES = PART_HEAD_BYTES + PAGES_HEAD_BYTES, /* in front of the data */
    SNAPSHOT_PAGE_BYTES = 4096,
    SNAPSHOT_RUN_BYTES_MAX = 1 << 20,
    SCATTER_HEAD_BYTES = 16,
    SCATTER_RUN_HEAD_BYTES = 16,
    SCATTER_RUN_BYTES_MAX = 64 << 10, /* longer ones have a part of their own */
    SCATTER_RUNS_MAX = SNAPSHOT_RUN_BYTES_MAX / SNAPSHOT_PAGE_BYTES,
};
/* Requests for pages, see docs/internals/precopy.md. */
enum { REQUEST_BYTES = 16, REQUEST_PAGE = 0, REQUEST_DONE = 1, OWED_RUN_BYTES = 24 };
/* Of the parts that are held in memory while they are read. */
#define PART_BYTES_MAX ((uint64_t)1 << 30)

/* Numbers 6 to 9 belong to increments and streams, and need format version 2; 10 to 15 to what a snapshot may carry
 * besides. */
enum snapshot_part {
    PART_INFO = 1,
    PART_HOST,
    PART_STATE,
    PART_PAGES,
    PART_END,
    PART_IDENTITY, /* behind INFO */
    PART_ROUND,    /* before the PAGES that are sent while the cell runs, in front of HOST */
    PART_OWED,     /* behind STATE: pages that follow when the cell goes on already */
    PART_SCATTER,  /* wherever PAGES may stand: many short runs */
    PART_MODULE,   /* behind INFO and IDENTITY: the module itself */
    PART_COUNT
};

extern const uint8_t snapshot_magic[SNAPSHOT_MAGIC_BYTES];
/* Lower-case name for messages; "unknown". */
const char *snapshot_part_name(uint32_t part);

#endif
