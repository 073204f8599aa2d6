#ifndef CELL_RUN_CAPTURE_H
#define CELL_RUN_CAPTURE_H

#include "cell.h"

/* The frames of a cell that was captured, docs/internals/capture.md. All belong to the thread that has the cell. */

/* One saved frame; the list goes inwards. */
struct run_record {
    struct run_record *inner;
    struct instance *inst;
    const struct abi_site *site; /* in the image, or behind the values */
    uint32_t kind;               /* enum abi_site_kind */
    union cell_value values[];   /* as the site lists them */
};

/* A new outermost frame: room for its values is not cleared. NULL: no memory. site: borrowed. */
struct run_record *run_record_push(struct cell *c, struct instance *inst,
                                   const struct abi_site *site, uint32_t kind);
/* Free what a capture left, whether it was resumed or not. */
void run_records_free(struct cell *c);
/* The code to enter for the outermost frame, and its context. ST_UNSUPPORTED, ST_NOMEM. */
CHECKED status_t run_resume_begin(struct cell *c, const void **ret_code, void **ret_ctx,
                                  struct error *err);

#endif
