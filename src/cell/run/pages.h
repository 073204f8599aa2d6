#ifndef CELL_RUN_PAGES_H
#define CELL_RUN_PAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Which pages of this process were written: the kernel's map of them (Linux 6.7; older ones cannot tell). */
enum { RUN_PAGE_BYTES = 4096 };

struct run_pages {
    atomic_int fd; /* opened by the first question; -1: not yet, -2: there is none */
    atomic_int
        pid; /* of the process that opened it: a child after fork would see its parent's pages */
};

void run_pages_init(struct run_pages *p);
void run_pages_done(struct run_pages *p);

/* The private pages in [low, end) that hold content of their own, at most max. Both ends are page-aligned.
 * False: the kernel cannot tell, or there are more; outputs are then undefined. Any thread. */
bool run_pages_written(struct run_pages *p, uint8_t *low, uint8_t *end, uint8_t **ret_pages,
                       uint32_t max, uint32_t *ret_count);

/* What to do with the runs of pages that are found. */
struct run_pages_visitor {
    status_t (*run)(void *arg, uint8_t *from, uint8_t *to);
    void *arg;
};
enum run_pages_kind {
    RUN_PAGES_OWN, /* private pages that hold content of their own */
    RUN_PAGES_ARM, /* those of them that are not write-protected, and protect them in the same step */
    /* The same once they were armed, several times as fast: the kernel looks at nothing but the protection, so pages
     * that were never touched may be among them, once. */
    RUN_PAGES_REARM
};
/* Visit all runs of such pages in [low, end), which is registered for protection without faults if it is to be armed.
 * Any thread, also while others write there. ST_UNSUPPORTED: the kernel cannot tell; ST_IO; the visitor's errors. */
CHECKED status_t run_pages_visit(struct run_pages *p, uint8_t *low, uint8_t *end,
                                 enum run_pages_kind kind, const struct run_pages_visitor *v);

#endif
