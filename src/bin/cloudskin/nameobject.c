#include "nameobject.h"

#include <poll.h>
#include <stddef.h>

#include "gedsfile/place.h"

enum { LOOKS = 100, LOOK_MS = 100 };

/* The answer was lost: is it there under its first name still? */
static status_t look(const char *address, const char *bucket, const char *part, const char *key,
                     struct error *err)
{
    for (int i = 0; i < LOOKS; i++) {
        struct geds *store = NULL;
        struct geds_info info;
        enum geds_code code = GEDS_IO;
        if (geds_connect(address, &store, NULL) == GEDS_OK) {
            code = geds_stat(store, bucket, part, &info, NULL);
            geds_disconnect(store);
        }
        if (code == GEDS_NOTFOUND) {
            return ST_OK;
        }
        if (code == GEDS_OK) {
            return error_set(err, ST_IO, ERROR_NO_OFFSET, "%.200s: the store went away", key);
        }
        poll(NULL, 0, LOOK_MS);
    }
    return error_set(err, ST_IO, ERROR_NO_OFFSET,
                     "%.200s: the store went away, and it is not known whether the snapshot has "
                     "its name: the program runs on, so remove it",
                     key);
}

status_t name_object(const char *address, const char *bucket, const char *part, const char *key,
                     struct error *err)
{
    struct geds *store = NULL;
    struct geds_error from;
    if (geds_connect(address, &store, &from) != GEDS_OK) {
        return geds_error_take(key, &from, err);
    }
    enum geds_code code = geds_rename(store, bucket, part, bucket, key, NULL, &from);
    geds_disconnect(store);
    return code == GEDS_IO   ? look(address, bucket, part, key, err)
           : code != GEDS_OK ? geds_error_take(key, &from, err)
                             : ST_OK;
}
