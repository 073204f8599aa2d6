#ifndef CLOUDSKIN_NAMEOBJECT_H
#define CLOUDSKIN_NAMEOBJECT_H

#include "base/status.h"

/* Give the object `part` of a bucket its name, instead of what has it. address: of the store, NULL: the default.
 * ST_OK: it has the name. ST_IO and others: it has not, or it is not known, which the text says. */
CHECKED status_t name_object(const char *address, const char *bucket, const char *part,
                             const char *key, struct error *err);

#endif
