#include "geds/s3/config.h"

#include <string.h>

#include "base/parse.h"

struct section {
    char name[CONFIG_NAME_BYTES_MAX + 1];
    const char *text;
    size_t len;
};

static bool copy_until(struct cursor *c, char end, char *to, size_t size)
{
    size_t len = 0;
    while (!c->failed && cursor_left(c) > 0) {
        char x = (char)cursor_u8(c);
        if (x == end) {
            to[len] = '\0';
            return true;
        }
        if (len + 1 == size || x <= ' ')
            break;
        to[len++] = x;
    }
    to[0] = '\0';
    cursor_fail(c, "a section without a name or length");
    return false;
}

/* The next one; false at the end, or where the cursor failed. */
static bool next(struct cursor *c, struct section *s)
{
    char number[24];
    uint64_t len = 0;
    s->name[0] = '\0';
    if (c->failed || cursor_left(c) == 0)
        return false;
    if (!copy_until(c, ' ', s->name, sizeof s->name) || !copy_until(c, '\n', number, sizeof number))
        return false;
    if (s->name[0] == '\0' || parse_u64(number, cursor_left(c), &len) != ST_OK) {
        cursor_fail(c, "a section of no length");
        return false;
    }
    s->len = (size_t)len;
    s->text = (const char *)cursor_bytes(c, s->len);
    if (cursor_u8(c) != '\n')
        cursor_fail(c, "a section that does not end");
    return !c->failed;
}

status_t config_get(const char *config, const char *name, const char **ret_text, size_t *ret_len,
                    struct error *err)
{
    struct cursor c;
    struct section s;
    const char *found = NULL;
    size_t len = 0;
    cursor_init(&c, config, strlen(config), 0);
    while (next(&c, &s)) {
        if (strcmp(s.name, name) == 0) {
            found = s.text;
            len = s.len;
        }
    }
    status_t st = cursor_status(&c, ST_CORRUPT, err);
    if (st == ST_OK) {
        *ret_text = found;
        *ret_len = len;
    }
    return st;
}

static void add(struct buf *out, const char *name, const char *text, size_t len)
{
    buf_printf(out, "%s %zu\n", name, len);
    buf_bytes(out, text, len);
    buf_u8(out, '\n');
}

status_t config_set(const char *config, const char *name, const char *text, size_t len,
                    struct buf *out, struct error *err)
{
    struct cursor c;
    struct section s;
    if (text && memchr(text, '\0', len))
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "section %s has a zero byte", name);
    cursor_init(&c, config, strlen(config), 0);
    while (next(&c, &s)) {
        if (strcmp(s.name, name) != 0)
            add(out, s.name, s.text, s.len);
    }
    /* what is damaged and nobody else's goes, or else nothing could be set any more */
    bool theirs = s.name[0] != '\0' && strcmp(s.name, name) != 0;
    status_t st = theirs ? cursor_status(&c, ST_CORRUPT, err) : ST_OK;
    if (st != ST_OK)
        return st;
    if (text)
        add(out, name, text, len);
    buf_u8(out, 0);
    return out->failed ? error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory") : ST_OK;
}
