#ifndef GEDS_S3_CONFIG_H
#define GEDS_S3_CONFIG_H

#include "base/buf.h"
#include "base/cursor.h"

/* The configuration text of a bucket: named sections, each `NAME BYTES\n`, the bytes, `\n`. Other
 * layers may have sections of their own. */

enum { CONFIG_NAME_BYTES_MAX = 64 };

/* The section of that name. *ret_text points into config; NULL where there is none. ST_CORRUPT not this form. */
CHECKED status_t config_get(const char *config, const char *name, const char **ret_text,
                            size_t *ret_len, struct error *err);
/* Append config with that section replaced, added, or (text NULL) left out, and a final NUL. A damaged
 * section is lost where it is the one that is set, or has no name. ST_CORRUPT it is another; ST_INVAL text has a zero
 * byte; ST_NOMEM. */
CHECKED status_t config_set(const char *config, const char *name, const char *text, size_t len,
                            struct buf *out, struct error *err);

#endif
