#include "geds/s3/form.h"

#include <stdlib.h>
#include <string.h>

enum { HEADERS_BYTES_MAX = 4096 };

status_t form_init(struct form *f, const char *content_type)
{
    static const char type[] = "multipart/form-data";
    memset(f, 0, sizeof *f);
    if (strncasecmp(content_type, type, strlen(type)) != 0)
        return ST_FORMAT;
    const char *s = strcasestr(content_type, "boundary=");
    if (!s)
        return ST_FORMAT;
    s += strlen("boundary=");
    bool quoted = *s == '"';
    s += quoted;
    size_t len = strcspn(s, quoted ? "\"" : "; \t");
    if (len == 0 || len > FORM_BOUNDARY_BYTES_MAX || (quoted && s[len] != '"'))
        return ST_FORMAT;
    memcpy(f->delimiter, "\r\n--", 4);
    memcpy(f->delimiter + 4, s, len);
    f->delimiter_len = len + 4;
    return ST_OK;
}

void form_done(struct form *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free((char *)f->fields[i].name);
        free((char *)f->fields[i].value);
    }
    free(f->name);
    free(f->file_name);
    free(f->file_type);
    buf_done(&f->head);
    memset(f, 0, sizeof *f);
}

const char *form_get(const struct form *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (strcasecmp(f->fields[i].name, name) == 0)
            return f->fields[i].value;
    }
    return NULL;
}

static char *copy(const char *s, size_t len)
{
    char *to = memchr(s, '\0', len) ? NULL : malloc(len + 1);
    if (to) {
        memcpy(to, s, len);
        to[len] = '\0';
    }
    return to;
}

/* The value of a header of a field; ret_len: of it. NULL: there is none. */
static const char *header(const char *headers, size_t len, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);
    for (const char *s = headers, *end = headers + len; s < end;) {
        const char *line_end = memmem(s, (size_t)(end - s), "\r\n", 2);
        size_t line = (size_t)((line_end ? line_end : end) - s);
        if (line > name_len && strncasecmp(s, name, name_len) == 0 && s[name_len] == ':') {
            const char *value = s + name_len + 1;
            size_t left = line - name_len - 1;
            while (left > 0 && (*value == ' ' || *value == '\t')) {
                value++;
                left--;
            }
            *ret_len = left;
            return value;
        }
        s += line + 2;
    }
    return NULL;
}

/* name="value" of a header's value; *ret_value for free, or NULL. */
static char *parameter(const char *s, size_t len, const char *name)
{
    char pattern[32];
    int n = snprintf(pattern, sizeof pattern, "%s=\"", name);
    for (const char *at = s, *end = s + len; n > 0 && at < end;) {
        const char *found = memmem(at, (size_t)(end - at), pattern, (size_t)n);
        if (!found)
            return NULL;
        const char *value = found + n;
        if (found > s && (found[-1] == ' ' || found[-1] == ';' || found[-1] == '\t')) {
            const char *quote = memchr(value, '"', (size_t)(end - value));
            return quote ? copy(value, (size_t)(quote - value)) : NULL;
        }
        at = value;
    }
    return NULL;
}

static status_t add_field(struct form *f, char *name, const char *value, size_t len)
{
    char *text = f->count < FORM_FIELDS_MAX ? copy(value, len) : NULL;
    if (!text) {
        free(name);
        return f->count < FORM_FIELDS_MAX ? ST_FORMAT : ST_LIMIT;
    }
    f->fields[f->count++] = (struct http_header){name, text};
    return ST_OK;
}

/* What take_field found. */
enum found { FOUND_NOTHING, FOUND_FIELD, FOUND_FILE };

/* Search head from `from` on, but not again what was searched before. */
static const char *search(struct form *f, size_t from, const char *what, size_t len)
{
    size_t again = f->searched > len ? f->searched - len : 0;
    size_t start = again > from ? again : from;
    const char *data = (const char *)f->head.data;
    const char *found = memmem(data + start, f->head.len - start, what, len);
    f->searched = found ? (size_t)(found - data) + len : f->head.len;
    return found;
}

static status_t take_headers(struct form *f, enum found *ret_found)
{
    const char *data = (const char *)f->head.data, *start = data + f->at;
    const char *end = search(f, f->at, "\r\n\r\n", 4);
    size_t disposition_len, type_len;
    if (!end) /* as many with the beginning of an end are still allowed */
        return f->head.len - f->at > HEADERS_BYTES_MAX + 3 ? ST_FORMAT : ST_OK;
    size_t headers = (size_t)(end - start);
    if (headers > HEADERS_BYTES_MAX)
        return ST_FORMAT;
    const char *disposition = header(start, headers, "Content-Disposition", &disposition_len);
    f->name = disposition ? parameter(disposition, disposition_len, "name") : NULL;
    if (!f->name || *f->name == '\0')
        return ST_FORMAT;
    f->value_at = (size_t)(end - data) + 4;
    if (strcasecmp(f->name, "file") == 0) {
        const char *type = header(start, headers, "Content-Type", &type_len);
        f->file_name = parameter(disposition, disposition_len, "filename");
        f->file_type = type ? copy(type, type_len) : NULL;
        f->at = f->value_at;
        *ret_found = FOUND_FILE;
    }
    return ST_OK;
}

/* One field from f->at on, behind its delimiter, when it is there. */
static status_t take_field(struct form *f, enum found *ret_found)
{
    *ret_found = FOUND_NOTHING;
    if (f->value_at == 0) {
        status_t st = take_headers(f, ret_found);
        if (st != ST_OK || *ret_found == FOUND_FILE || f->value_at == 0)
            return st;
    }
    const char *data = (const char *)f->head.data;
    const char *next = search(f, f->value_at, f->delimiter, f->delimiter_len);
    if (!next)
        return ST_OK;
    const char *value = data + f->value_at;
    char *name = f->name;
    f->name = NULL;
    f->value_at = 0;
    f->at = (size_t)(next - data) + f->delimiter_len;
    *ret_found = FOUND_FIELD;
    return add_field(f, name, value, (size_t)(next - value));
}

/* Behind a delimiter: CR LF before the next field. The end of the form before a file is an error. */
static status_t step_over(struct form *f, bool *ret_more)
{
    *ret_more = f->head.len - f->at >= 2;
    if (!*ret_more)
        return ST_OK;
    if (memcmp(f->head.data + f->at, "\r\n", 2) != 0)
        return ST_FORMAT;
    f->at += 2;
    return ST_OK;
}

static status_t feed_file(struct form *f, const uint8_t *data, size_t len,
                          const struct form_sink *sink);

/* The first delimiter has no CR LF before it. at stands on a field, or on what follows a delimiter. */
static status_t take_fields(struct form *f, const struct form_sink *sink)
{
    enum found found = FOUND_FIELD;
    bool more = true;
    size_t first = f->delimiter_len - 2;
    if (f->at == 0) {
        if (f->head.len < first)
            return ST_OK;
        if (memcmp(f->head.data, f->delimiter + 2, first) != 0)
            return ST_FORMAT;
        f->at = first;
    }
    while (found == FOUND_FIELD) {
        size_t before = f->at;
        status_t st = step_over(f, &more);
        if (st != ST_OK || !more)
            return st;
        st = take_field(f, &found);
        if (st != ST_OK)
            return st;
        if (found == FOUND_NOTHING)
            f->at = before;
    }
    if (found != FOUND_FILE)
        return ST_OK;
    f->state = FORM_FILE;
    status_t st = sink->file(sink->arg);
    return st == ST_OK ? feed_file(f, f->head.data + f->at, f->head.len - f->at, sink) : st;
}

/* What is in the tail comes before data. The delimiter may begin in the one and end in the other. */
static status_t feed_file(struct form *f, const uint8_t *data, size_t len,
                          const struct form_sink *sink)
{
    size_t keep = f->delimiter_len - 1;
    uint8_t joined[2 * sizeof f->tail];
    status_t st = ST_OK;
    if (f->tail_len > 0 && len > 0) {
        size_t take = len < keep ? len : keep, total = f->tail_len + take;
        memcpy(joined, f->tail, f->tail_len);
        memcpy(joined + f->tail_len, data, take);
        uint8_t *start = memmem(joined, total, f->delimiter, f->delimiter_len);
        /* without one, none begins in the tail if enough comes behind it; else as much is kept again */
        size_t sure = start          ? (size_t)(start - joined)
                      : take == keep ? f->tail_len
                      : total > keep ? total - keep
                                     : 0;
        if (start)
            f->state = FORM_END;
        if (sure > 0)
            st = sink->data(sink->arg, joined, sure);
        if (st != ST_OK || start)
            return st;
        f->tail_len = take == keep ? 0 : total - sure;
        memcpy(f->tail, joined + sure, f->tail_len);
        if (take < keep)
            return ST_OK;
    }
    if (len == 0)
        return ST_OK;
    const uint8_t *found = memmem(data, len, f->delimiter, f->delimiter_len);
    size_t out = found ? (size_t)(found - data) : len > keep ? len - keep : 0;
    if (found)
        f->state = FORM_END;
    if (out > 0)
        st = sink->data(sink->arg, data, out);
    if (st == ST_OK && !found) {
        memcpy(f->tail, data + out, len - out);
        f->tail_len = len - out;
    }
    return st;
}

status_t form_feed(struct form *f, const uint8_t *data, size_t len, const struct form_sink *sink)
{
    if (f->state == FORM_END)
        return ST_OK; /* fields behind the file do not matter */
    if (f->state == FORM_FILE)
        return feed_file(f, data, len, sink);
    size_t room = FORM_FIELDS_BYTES_MAX > f->head.len ? FORM_FIELDS_BYTES_MAX - f->head.len : 0;
    size_t take = len < room ? len : room;
    buf_bytes(&f->head, data, take);
    if (f->head.failed)
        return ST_NOMEM;
    status_t st = take_fields(f, sink);
    if (st == ST_OK && f->state == FORM_FIELDS && take < len)
        return ST_LIMIT;
    if (st == ST_OK && take < len)
        return form_feed(f, data + take, len - take, sink);
    return st;
}
