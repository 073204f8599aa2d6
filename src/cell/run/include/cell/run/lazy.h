#ifndef CELL_RUN_LAZY_H
#define CELL_RUN_LAZY_H

#include "cell/run/track.h"

/* Memory whose pages come while the cell runs already: docs/internals/precopy.md. An access to a page that is owed
 * waits for it. Host functions find them through host_range, which waits as well. Such a cell cannot be saved until all
 * pages are there. */

struct lazy;
/* From now on the pages in owed, of a cell with one instance that does not run, are not there; whatever they hold is
 * forgotten. All others stay as they are. owed is copied. ST_UNSUPPORTED: this kernel has no userfaultfd, or does not
 * allow it: nothing was changed. ST_NOMEM, ST_IO: the cell is only good for cell_free. */
CHECKED status_t lazy_start(struct cell *c, const struct page_set *owed, struct lazy **ret_lazy,
                            struct error *err);
/* Wait until a page that is owed is needed: true, and which. False after lazy_end. One thread. */
bool lazy_next_need(struct lazy *l, struct page_run *ret_page);
/* Put a run of pages in place; all of it is owed. Another thread than lazy_next_need's may. ST_INVALID: it is not
 * owed (any more); ST_NOMEM, ST_IO. */
CHECKED status_t lazy_fill(struct lazy *l, const struct page_run *run, const uint8_t *data);
/* Number of pages that are still owed. Any thread. */
uint64_t lazy_owed(struct lazy *l);
/* The pages will not come: the cell is stopped (STOP_REQUEST), host_range answers NULL, and whoever waits goes on with
 * zeros until he finds out. What the call ends with means nothing then. Any thread. */
void lazy_fail(struct lazy *l);
/* lazy_next_need gives false. Any thread. */
void lazy_end(struct lazy *l);
/* No page is owed, or all were given up, and lazy_next_need has given false: memory is ordinary again. Also while the
 * cell runs. */
void lazy_release(struct lazy *l);
/* When the cell does not run, and no thread uses l. NULL is fine. */
void lazy_free(struct lazy *l);

#endif
