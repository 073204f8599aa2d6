#ifndef CELL_RUN_TRACK_H
#define CELL_RUN_TRACK_H

#include "cell/run/run.h"

/* Which pages of a cell's memories were written: docs/internals/precopy.md. Pages are of 4 KiB, whatever the CPU's
 * are; on a machine with larger ones nothing can be tracked. */

enum { PAGE_SET_PAGE_BYTES = 4096, PAGE_SET_MEMORIES = MODULE_MEMS_MAX };

/* Pages by memory and guest address. Zeroed memory is a valid empty set. One thread. */
struct page_set {
    uint64_t *bits[PAGE_SET_MEMORIES];
    uint64_t words[PAGE_SET_MEMORIES]; /* that bits has */
    uint64_t count;                    /* of pages */
};
/* Pages that follow each other. */
struct page_run {
    uint32_t mem;
    uint64_t at; /* multiples of PAGE_SET_PAGE_BYTES */
    uint64_t len;
};

void page_set_done(struct page_set *s);
/* Forget all pages, keep the room. */
void page_set_clear(struct page_set *s);
/* Add or remove; at and len are rounded outwards. Inside 4 GiB, mem below PAGE_SET_MEMORIES, or nothing is done.
 * ST_NOMEM: s is as before. */
CHECKED status_t page_set_add(struct page_set *s, uint32_t mem, uint64_t at, uint64_t len);
void page_set_remove(struct page_set *s, uint32_t mem, uint64_t at, uint64_t len);
/* Add all of other. ST_NOMEM: a part may have been added. */
CHECKED status_t page_set_merge(struct page_set *s, const struct page_set *other);
bool page_set_has(const struct page_set *s, uint32_t mem, uint64_t at);
/* The first run at or behind (run->mem, run->at), at most max_bytes long; false: there is none. To walk all, begin
 * with a zeroed run and add its len to at. */
bool page_set_next(const struct page_set *s, uint64_t max_bytes, struct page_run *run);

/* ---- what was written ---- */

/* Add to *set all pages that hold content of their own, which are those that may differ from a new instance of the
 * program: nothing is armed, it only looks. The cell must not run. ST_UNSUPPORTED: this kernel cannot tell
 * (PAGEMAP_SCAN, Linux 6.7); set may then have grown. ST_NOMEM. */
CHECKED status_t track_written(struct cell *c, struct page_set *set, struct error *err);

/* ---- what was written since ---- */

struct track;
/* Follow what is written to all memories of a cell with one instance. While they are followed, the first write to a
 * page after each harvest costs a fault in the kernel (no signal, no other thread). Any thread, also while the cell
 * runs. Not while another one follows the same cell. The cell must live until track_stop.
 * ST_UNSUPPORTED says why this kernel cannot (write-protection without faults, Linux 6.7): callers then take all
 * pages. ST_NOMEM; ST_IO. */
CHECKED status_t track_start(struct cell *c, struct track **ret_track, struct error *err);
/* Add to *set the pages that were written since the last harvest; at the first one, all that track_written gives.
 * From now on they count as clean: each page is tested and armed in one step, so a write by the running cell is in this
 * set or in a later one. A page that is in the set may still be written: its content is to be read afterwards. Memory
 * that was grown is included. One thread at a time. After an error the set is not complete, and all pages have to be
 * taken. ST_NOMEM, ST_IO. */
CHECKED status_t track_harvest(struct track *t, struct page_set *set, struct error *err);
/* Memories are as before. NULL is fine. */
void track_stop(struct track *t);

#endif
