#include "nameobject.h"

#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "gedsfile/place.h"

enum { LOOKS = 100, LOOK_MS = 100 };

struct renaming {
    const char *bucket, *part, *key;
    const char *etag; /* of the part, which it keeps */
};

static status_t unknown(const char *key, struct error *err)
{
    return error_set(err, ST_IO, ERROR_NO_OFFSET,
                     "%.200s: the store went away, and it is not known whether the snapshot has "
                     "its name: the program runs on, so remove it",
                     key);
}

/* The answer was lost. ST_OK: the object has its name. ST_IO: it has not, or that is not known; ST_AGAIN: ask again. */
static status_t look(const char *address, const struct renaming *r, struct error *err)
{
    struct geds *store = NULL;
    struct geds_info info;
    if (geds_connect(address, &store, NULL) != GEDS_OK) {
        return ST_AGAIN;
    }
    /* That the part is not there is no proof: this may be another store, or somebody removed it. */
    enum geds_code part = geds_stat(store, r->bucket, r->part, &info, NULL), named = GEDS_IO;
    bool same = false;
    if (part == GEDS_NOTFOUND) {
        named = geds_stat(store, r->bucket, r->key, &info, NULL);
        same = named == GEDS_OK && strcmp(info.etag, r->etag) == 0;
    }
    geds_disconnect(store);
    if (same) {
        return ST_OK;
    }
    if (part == GEDS_OK) {
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "%.200s: the store went away", r->key);
    }
    return named == GEDS_OK || named == GEDS_NOTFOUND ? unknown(r->key, err) : ST_AGAIN;
}

static status_t look_until_known(const char *address, const struct renaming *r, struct error *err)
{
    for (int i = 0; i < LOOKS; i++) {
        status_t st = look(address, r, err);
        if (st != ST_AGAIN) {
            return st;
        }
        poll(NULL, 0, LOOK_MS);
    }
    return unknown(r->key, err);
}

status_t name_object(const char *address, const char *bucket, const char *part, const char *key,
                     struct error *err)
{
    struct geds *store = NULL;
    struct geds_error from;
    struct geds_info info;
    if (geds_connect(address, &store, &from) != GEDS_OK) {
        return geds_error_take(key, &from, err);
    }
    enum geds_code code = geds_stat(store, bucket, part, &info, &from);
    bool asked = code == GEDS_OK;
    if (asked) {
        code = geds_rename(store, bucket, part, bucket, key, NULL, &from);
    }
    geds_disconnect(store);
    const struct renaming r = {bucket, part, key, info.etag};
    return asked && code == GEDS_IO ? look_until_known(address, &r, err)
           : code != GEDS_OK        ? geds_error_take(key, &from, err)
                                    : ST_OK;
}
