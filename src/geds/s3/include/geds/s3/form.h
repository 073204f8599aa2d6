#ifndef GEDS_S3_FORM_H
#define GEDS_S3_FORM_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/http.h"

/* multipart/form-data with a file as its last field that matters, in pieces of any length. */

enum {
    FORM_FIELDS_MAX = 64,
    FORM_FIELDS_BYTES_MAX = 64 * 1024, /* all before the file's bytes */
    FORM_BOUNDARY_BYTES_MAX = 70
};

enum form_state { FORM_FIELDS, FORM_FILE, FORM_END };

/* One thread. Zeroed memory can be ended by form_done. */
struct form {
    char delimiter[FORM_BOUNDARY_BYTES_MAX + 5]; /* CR LF -- boundary */
    size_t delimiter_len;
    enum form_state state;
    struct buf head; /* what came before the file's bytes */
    size_t at;       /* where the next field begins in it */
    size_t value_at; /* where its value does; 0: its headers are not there yet */
    size_t searched; /* its end was looked for up to here, so that small pieces cost no more */
    char *name;      /* of that field, once its headers are there */
    struct http_header fields[FORM_FIELDS_MAX]; /* values in memory of their own */
    size_t count;
    char *file_name; /* as the client calls it; NULL: none */
    char *file_type; /* so */
    uint8_t tail[FORM_BOUNDARY_BYTES_MAX +
                 5]; /* of the file: it may be the beginning of the delimiter */
    size_t tail_len;
};

struct form_sink {
    void *arg;
    /* All fields are there. Not ST_OK: that is what form_feed answers. */
    status_t (*file)(void *arg);
    status_t (*data)(void *arg, const uint8_t *data, size_t len);
};

/* content_type: the header. ST_FORMAT it is not this type, or has no boundary. */
CHECKED status_t form_init(struct form *f, const char *content_type);
/* The next len bytes. ST_FORMAT; ST_LIMIT; ST_NOMEM; or what a sink answers. */
CHECKED status_t form_feed(struct form *f, const uint8_t *data, size_t len,
                           const struct form_sink *sink);
/* The value of a field, by its name in any case, or NULL. */
const char *form_get(const struct form *f, const char *name);
void form_done(struct form *f);

#endif
