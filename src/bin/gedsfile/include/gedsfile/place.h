#ifndef GEDSFILE_PLACE_H
#define GEDSFILE_PLACE_H

#include <stdbool.h>

#include "base/status.h"
#include "cloudskin/geds.h"

/* Objects in the place of files: geds://BUCKET/KEY. */

struct geds_place {
    char bucket[GEDS_BUCKET_MAX + 1];
    char key[GEDS_KEY_MAX + 1]; /* may be "" */
};
bool geds_place_told(const char *text);
/* ST_INVAL: no bucket, or a name is too long. */
CHECKED status_t geds_place_parse(const char *text, struct geds_place *ret_place,
                                  struct error *err);

/* What an error of the store means, and its text with `what` in front. */
CHECKED status_t geds_error_take(const char *what, const struct geds_error *from,
                                 struct error *err);

/* Copy an object to a temporary file without a name, at its beginning; the caller owns *ret_fd. inherited: children
 * get it, too. ST_NOTFOUND: no such object, or no store is up; ST_CORRUPT; ST_LIMIT: no space; ST_IO. */
CHECKED status_t geds_place_fetch(const char *text, bool inherited, int *ret_fd, struct error *err);

/* The folder for such files: $TMPDIR, else /var/tmp. */
const char *geds_temporary_folder(void);

#endif
