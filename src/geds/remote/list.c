#include <string.h>

#include "geds/s3/xml.h"
#include "impl.h"

static const char *text_or(const char *s, const char *otherwise)
{
    return s ? s : otherwise;
}

/* The client's prefix and a key, in the arena. */
static const char *full(struct arena *arena, const struct remote *r, const char *key)
{
    size_t prefix = strlen(r->o.prefix), len = strlen(key);
    char *text = arena_alloc(arena, prefix + len + 1, 1);
    if (text) {
        memcpy(text, r->o.prefix, prefix);
        memcpy(text + prefix, key, len);
    }
    return text;
}

static status_t check_query(const struct remote *r, const struct remote_list_query *q,
                            struct error *err)
{
    size_t room = REMOTE_KEY_MAX - strlen(r->o.prefix);
    if (strlen(text_or(q->prefix, "")) > room || strlen(text_or(q->after, "")) > room ||
        strlen(text_or(q->delimiter, "")) > REMOTE_KEY_MAX ||
        strlen(text_or(q->cursor, "")) > REMOTE_CURSOR_BYTES_MAX || q->max > REMOTE_LIST_MAX)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a list's query is too long");
    return ST_OK;
}

static status_t make_query(struct transfer *t, struct arena *arena, const struct remote *r,
                           const struct remote_list_query *q, char max[16])
{
    const char *prefix = full(arena, r, text_or(q->prefix, ""));
    const char *after = full(arena, r, text_or(q->after, ""));
    if (!prefix || !after)
        return ST_NOMEM;
    snprintf(max, 16, "%zu", q->max);
    transfer_query(t, "list-type", "2");
    transfer_query(t, "encoding-type", "url");
    transfer_query(t, "max-keys", max);
    if (*prefix != '\0')
        transfer_query(t, "prefix", prefix);
    if (q->delimiter && *q->delimiter != '\0')
        transfer_query(t, "delimiter", q->delimiter);
    if (q->cursor)
        transfer_query(t, "continuation-token", q->cursor);
    else if (q->after && *q->after != '\0')
        transfer_query(t, "start-after", after);
    return ST_OK;
}

status_t remote_list(struct remote *r, const struct remote_list_query *query,
                     const struct remote_call *call, struct remote_page *ret_page,
                     struct error *err)
{
    struct remote_list_query q = *query;
    struct transfer t = {.method = "GET", .body_max = XML_BYTES_MAX};
    struct arena arena = {0};
    struct call c;
    char max[16];
    if (q.max == 0)
        q.max = REMOTE_LIST_MAX;
    status_t st = check_query(r, &q, err);
    if (st == ST_OK)
        st = call_begin(&c, r, call, err);
    if (st != ST_OK)
        return st;
    st = make_query(&t, &arena, r, &q, max);
    if (st != ST_OK)
        error_set(err, st, ERROR_NO_OFFSET, "no memory for a list");
    else
        st = exchange_one(&c, &t, err);
    if (st == ST_OK)
        st = answer_page(t.body.data, t.body.len, r->o.prefix, &q, ret_page, err);
    else if (st == ST_NOTFOUND)
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                       "%s: there is no bucket %.64s, or no S3 server", r->origin, r->o.bucket);
    transfer_done(&t);
    arena_done(&arena);
    call_end(&c);
    return st;
}

void remote_page_done(struct remote_page *page)
{
    arena_done(&page->arena);
    memset(page, 0, sizeof *page);
}
