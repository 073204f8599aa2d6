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
/* Address space for the records of a stack as deep as the present one, before anything is unwound. False when it cannot
 * be had: the capture's request is dropped and counted, and the cell runs on. On the cell's native stack. */
bool run_capture_reserve(struct cell *c);
/* The first record of a capture is about to be made. */
void run_capture_begin(struct cell *c);
/* A record of an operation of the host, with a site of its own. types: of its values, copied. */
struct run_record *run_record_push_operation(struct cell *c, struct instance *inst, uint32_t op,
                                             uint32_t count, const uint8_t *types);
/* Free what a capture left, whether it was resumed or not. */
void run_records_free(struct cell *c);
/* The same and what is reserved, at the cell's end. */
void run_capture_done(struct cell *c);
/* The ways into a function's twin, and the site of way i; of the image. NULL: it has none. */
const struct abi_ways *run_ways(const struct program *p, uint32_t func);
const struct abi_site *run_way_site(const struct abi_ways *ways, uint32_t i);
/* The code to enter for the outermost frame, and its context. ST_UNSUPPORTED, ST_NOMEM. */
CHECKED status_t run_resume_begin(struct cell *c, const void **ret_code, void **ret_ctx,
                                  struct error *err);

#endif
