#include "gedsfile/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/files.h"

enum {
    FETCH_BYTES = 1 << 20,
    INHERITED_FD_FROM = 64 /* above what children take for themselves */
};

static const char scheme[] = "geds://";

bool geds_place_told(const char *text)
{
    return strncmp(text, scheme, sizeof scheme - 1) == 0;
}

status_t geds_place_parse(const char *text, struct geds_place *ret_place, struct error *err)
{
    const char *bucket = geds_place_told(text) ? text + sizeof scheme - 1 : "";
    const char *slash = strchr(bucket, '/');
    size_t len = slash != NULL ? (size_t)(slash - bucket) : strlen(bucket);
    const char *key = slash != NULL ? slash + 1 : "";
    if (len == 0 || len > GEDS_BUCKET_MAX || strlen(key) > GEDS_KEY_MAX) {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "'%.100s' is not geds://BUCKET/KEY, with a bucket of 3 to %d bytes and a "
                         "key of at most %d",
                         text, GEDS_BUCKET_MAX, GEDS_KEY_MAX);
    }
    memcpy(ret_place->bucket, bucket, len);
    ret_place->bucket[len] = '\0';
    memcpy(ret_place->key, key, strlen(key) + 1);
    return ST_OK;
}

status_t geds_error_take(const char *what, const struct geds_error *from, struct error *err)
{
    status_t code = ST_IO;
    switch (from->code) {
    case GEDS_OK:
        return ST_OK;
    case GEDS_NOTFOUND:
        code = ST_NOTFOUND;
        break;
    case GEDS_NOMEM:
        code = ST_NOMEM;
        break;
    case GEDS_LIMIT:
        code = ST_LIMIT;
        break;
    case GEDS_EXIST:
        code = ST_EXIST;
        break;
    case GEDS_PERM:
        code = ST_PERM;
        break;
    case GEDS_CORRUPT:
        code = ST_CORRUPT;
        break;
    case GEDS_INVAL:
    case GEDS_INVALID:
        code = ST_INVAL;
        break;
    case GEDS_IO:
    case GEDS_FORMAT:
    case GEDS_UNSUPPORTED:
    case GEDS_AGAIN:
    case GEDS_CHANGED:
    case GEDS_STOPPED:
    case GEDS_MOVED:
        break;
    }
    return error_set(err, code, from->code == GEDS_CORRUPT ? from->offset : ERROR_NO_OFFSET,
                     "%.200s%s%s", what, what[0] != '\0' ? ": " : "", from->text);
}

const char *geds_temporary_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    return tmp != NULL && tmp[0] != '\0'   ? tmp
           : access("/var/tmp", W_OK) == 0 ? "/var/tmp"
                                           : "/tmp";
}

static status_t open_temporary(bool inherited, int *ret_fd, struct error *err)
{
    char path[PATH_MAX];
    const char *folder = geds_temporary_folder();
    int len = snprintf(path, sizeof path, "%s/cloudskin.XXXXXX", folder);
    int fd = len > 0 && (size_t)len < sizeof path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0) {
        return error_set_errno(err, errno, "temporary file in %s", folder);
    }
    unlink(path);
    if (inherited) {
        int low = fd;
        fd = fcntl(low, F_DUPFD, INHERITED_FD_FROM);
        int errnum = errno;
        close(low);
        if (fd < 0) {
            return error_set_errno(err, errnum, "temporary file in %s", folder);
        }
    }
    *ret_fd = fd;
    return ST_OK;
}

static status_t copy(struct geds_object *o, const char *text, int fd, struct error *err)
{
    struct geds_error from;
    uint8_t *piece = malloc(FETCH_BYTES);
    status_t code = piece != NULL ? ST_OK
                                  : error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    size_t n = 1;
    for (uint64_t at = 0; code == ST_OK && n > 0; at += n) {
        if (geds_pread(o, piece, FETCH_BYTES, at, &n, &from) != GEDS_OK) {
            code = geds_error_take(text, &from, err);
        } else if (n > 0 && file_write_all(fd, piece, n) != 0) {
            code = error_set_errno(err, errno, "temporary file in %s", geds_temporary_folder());
        }
    }
    free(piece);
    return code;
}

status_t geds_place_fetch(const char *text, bool inherited, int *ret_fd, struct error *err)
{
    struct geds_place place;
    struct geds_error from;
    struct geds *store = NULL;
    struct geds_object *o = NULL;
    int fd = -1;
    status_t code = geds_place_parse(text, &place, err);
    if (code == ST_OK && place.key[0] == '\0') {
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "'%.200s' is a bucket, not an object",
                         text);
    }
    if (code != ST_OK) {
        return code;
    }
    if (geds_connect(NULL, &store, &from) != GEDS_OK) {
        return geds_error_take("", &from, err);
    }
    if (geds_open(store, place.bucket, place.key, &o, &from) != GEDS_OK) {
        code = geds_error_take(text, &from, err);
        if (code == ST_NOTFOUND) {
            code = error_set(err, code, ERROR_NO_OFFSET, "%.200s: no such object", text);
        }
    }
    code = code == ST_OK ? open_temporary(inherited, &fd, err) : code;
    code = code == ST_OK ? copy(o, text, fd, err) : code;
    geds_close(o);
    geds_disconnect(store);
    if (code == ST_OK && lseek(fd, 0, SEEK_SET) != 0) {
        code = error_set_errno(err, errno, "temporary file");
    }
    if (code == ST_OK) {
        *ret_fd = fd;
    } else if (fd >= 0) {
        close(fd);
    }
    return code;
}
