#ifndef CLOUDSKIN_BUCKETS_H
#define CLOUDSKIN_BUCKETS_H

#include "base/status.h"
#include "cell/wasi/bucket.h"

/* Buckets of the object store as what WASI wants of them, over libcloudskin. All buckets of a run share one connection,
 * which is made anew when it was lost. */

struct buckets;

/* Connect. ST_NOTFOUND: nothing is up. */
CHECKED status_t buckets_open(struct buckets **ret_b, struct error *err);
/* No cell that has one of its buckets is there any more. NULL is fine. */
void buckets_close(struct buckets *b);
/* The bucket of a place geds://BUCKET[/PREFIX], for as long as b. ST_NOTFOUND: no such bucket; ST_INVAL. */
CHECKED status_t buckets_add(struct buckets *b, const char *place,
                             const struct wasi_bucket **ret_bucket, struct error *err);

#endif
