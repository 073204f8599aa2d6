#ifndef GEDS_TIER_S3_S3_H
#define GEDS_TIER_S3_S3_H

#include "geds/remote/options.h"
#include "geds/tier/remote.h"

/* A prefix of a bucket of an S3 server as a tier. */

struct tier_s3;

/* options: as in remote_open; all is copied. Tries and deadlines are set here: a read gives up after some seconds, since
 * somebody waits; a send after minutes without progress. *ret_remote: the functions, valid until tier_s3_close.
 * ST_INVAL names the wrong option. */
CHECKED status_t tier_s3_open(const struct remote_options *options, struct tier_s3 **ret_s3,
                              struct tier_remote *ret_remote, struct error *err);
/* After the last call. Takes NULL. */
void tier_s3_close(struct tier_s3 *s);

#endif
