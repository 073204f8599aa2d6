#ifndef CELL_AOT_PACK_H
#define CELL_AOT_PACK_H

#include "cell/aot/aot.h"
#include "link.h"

/* Put linked code and everything else that the runner needs of m into an image file appended to *out.
 * ST_NOMEM; ST_LIMIT when a table outgrows its offsets. */
CHECKED status_t pack_image(const struct module *m, const struct aot_options *opt,
                            const struct link_output *linked, const struct image_counts *counts,
                            struct buf *out, struct error *err);

#endif
