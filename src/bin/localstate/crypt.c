#include "localstate/crypt.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "sys/files.h"

enum { TEXT_MAX = 16 * 1024 };

static status_t path_in(const char *state, const char *name, char ret_path[PATH_MAX],
                        struct error *err)
{
    return snprintf(ret_path, PATH_MAX, "%s/%s", state, name) < PATH_MAX
               ? ST_OK
               : error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "%s: too long", state);
}

/* len: without the end of the line. */
static bool take_line(const char *line, size_t len, struct crypt_conf *c)
{
    static const char path[] = "master-key ", on[] = "encrypt on";
    if (len == sizeof on - 1 && memcmp(line, on, len) == 0) {
        c->encrypt = true;
        return true;
    }
    size_t from = sizeof path - 1;
    if (len <= from || len - from >= PATH_MAX || memcmp(line, path, from) != 0 ||
        line[from] != '/' || memchr(line, '\0', len) != NULL) {
        return false;
    }
    memcpy(c->master_key, line + from, len - from);
    c->master_key[len - from] = '\0';
    c->has_path = true;
    return true;
}

static status_t parse(const struct buf *text, struct crypt_conf *c, struct error *err)
{
    const char *at = (const char *)text->data, *end = at + text->len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop != NULL ? stop : end;
        if (!take_line(at, (size_t)(stop - at), c)) {
            return error_set(err, ST_FORMAT, ERROR_NO_OFFSET,
                             "crypt.conf: a line is not `master-key /PATH` or `encrypt on`");
        }
        at = stop + 1;
    }
    return ST_OK;
}

status_t crypt_conf_load(const char *state, struct crypt_conf *ret_conf, struct error *err)
{
    char path[PATH_MAX];
    struct buf text = {0};
    struct crypt_conf c = {0};
    status_t st = path_in(state, "master.key", c.master_key, err);
    if (st == ST_OK) {
        st = path_in(state, "crypt.conf", path, err);
    }
    if (st != ST_OK) {
        return st;
    }
    st = file_read(path, TEXT_MAX, &text, err);
    if (st == ST_OK) {
        st = parse(&text, &c, err);
    } else if (st == ST_NOTFOUND) {
        st = ST_OK;
    }
    buf_done(&text);
    if (st == ST_OK) {
        *ret_conf = c;
    }
    return st;
}

status_t crypt_conf_save(const char *state, const struct crypt_conf *conf, struct error *err)
{
    char path[PATH_MAX];
    struct buf text = {0};
    status_t st = path_in(state, "crypt.conf", path, err);
    if (conf->has_path) {
        buf_printf(&text, "master-key %s\n", conf->master_key);
    }
    buf_printf(&text, "%s", conf->encrypt ? "encrypt on\n" : "");
    if (st == ST_OK && text.failed) {
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    }
    if (st == ST_OK) {
        st = file_write_atomic(path, text.data, text.len, 0600, FILE_SYNC, err);
    }
    buf_done(&text);
    return st;
}
