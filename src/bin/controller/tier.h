#ifndef BIN_CONTROLLER_TIER_H
#define BIN_CONTROLLER_TIER_H

#include <limits.h>

#include "geds/tier/s3/s3.h"
#include "geds/tier/tier.h"

/* The tier of a state folder: what is given on the command line, and what earlier starts were given. */

enum { TIER_PLACE_BYTES = 1200, TIER_ENDPOINT_BYTES = 512, TIER_REGION_BYTES = 64 };

/* NULL: as before. */
struct tier_given {
    const char *place; /* s3://BUCKET[/PREFIX]; "none": no tier any more */
    const char *endpoint;
    const char *credentials; /* file */
    const char *region;
    const char *ca_file;
    const char *style;                 /* path, or virtual-host */
    uint64_t local_bytes, cache_bytes; /* 0: as before */
};

struct tier_running {
    struct tier *tier; /* NULL: there is none */
    struct tier_s3 *s3;
    struct tier_remote remote;
    char place[TIER_PLACE_BYTES];
    char endpoint[TIER_ENDPOINT_BYTES];
};
/* Open the tier, if there is one, and keep what was given in the state folder: tier.conf and, with the credentials,
 * tier.key (both 0600). ST_INVAL: an argument. ST_EXIST: copies are at another place. */
CHECKED status_t controller_tier_open(const struct tier_given *given, const char *state,
                                      struct store *store, struct tier_running *ret_running,
                                      struct error *err);
/* After store_close. */
void controller_tier_close(struct tier_running *r);

#endif
