#ifndef BIN_CONTROLLER_SCRUB_H
#define BIN_CONTROLLER_SCRUB_H

#include "geds/scrub/scrub.h"

/* Zeroed: the defaults. */
struct scrub_given {
    const char *rate; /* bytes a second; "0": none */
    const char *every;
};
/* Compare the local files of the store in the background; what is damaged is in the log. *ret_scrub: NULL: it is not
 * wanted. ST_INVAL: an option. */
CHECKED status_t controller_scrub_start(const struct scrub_given *g, const char *state,
                                        struct store *store, struct scrub **ret_scrub,
                                        struct error *err);

#endif
