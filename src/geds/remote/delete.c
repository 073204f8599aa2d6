#include <string.h>

#include "geds/s3/xml.h"
#include "impl.h"

/* DELETE of many keys. */

enum { BATCH_KEYS = 1000 };

struct batch {
    const char *keys[BATCH_KEYS]; /* with the client's prefix, ascending */
    size_t places[BATCH_KEYS];    /* in the caller's array */
    status_t results[BATCH_KEYS];
    size_t count;
    struct arena arena;
};

/* XML 1.0 cannot write these, whatever the encoding. */
static bool fits_xml(const char *key)
{
    const uint8_t *s = (const uint8_t *)key;
    for (; *s != '\0'; s++) {
        if (*s < ' ' || (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe))
            return false;
    }
    return true;
}

static int by_key(const void *a, const void *b, void *arg)
{
    const struct batch *batch = arg;
    return strcmp(batch->keys[*(const size_t *)a], batch->keys[*(const size_t *)b]);
}

static status_t sort(struct batch *b)
{
    size_t *order = arena_alloc(&b->arena, b->count, sizeof *order);
    const char **keys = arena_alloc(&b->arena, b->count, sizeof *keys);
    size_t *places = arena_alloc(&b->arena, b->count, sizeof *places);
    if (!order || !keys || !places)
        return ST_NOMEM;
    for (size_t i = 0; i < b->count; i++)
        order[i] = i;
    qsort_r(order, b->count, sizeof *order, by_key, b);
    for (size_t i = 0; i < b->count; i++) {
        keys[i] = b->keys[order[i]];
        places[i] = b->places[order[i]];
    }
    memcpy(b->keys, keys, b->count * sizeof *keys);
    memcpy(b->places, places, b->count * sizeof *places);
    return ST_OK;
}

static status_t add(struct batch *b, const struct remote *r, const char *key, size_t place)
{
    size_t prefix = strlen(r->o.prefix), len = strlen(key);
    char *text = arena_alloc(&b->arena, prefix + len + 1, 1);
    if (!text)
        return ST_NOMEM;
    memcpy(text, r->o.prefix, prefix);
    memcpy(text + prefix, key, len);
    b->keys[b->count] = text;
    b->places[b->count++] = place;
    return ST_OK;
}

static status_t send_batch(struct call *c, struct batch *b, struct error *err)
{
    struct transfer t = {.method = "POST", .body_max = XML_BYTES_MAX, .send_md5 = true};
    struct buf xml = {0};
    status_t st = sort(b);
    buf_printf(&xml, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < b->count && st == ST_OK; i++) {
        buf_printf(&xml, "<Object>");
        xml_element(&xml, "Key", b->keys[i]);
        buf_printf(&xml, "</Object>");
    }
    buf_printf(&xml, "</Delete>");
    if (st != ST_OK || xml.failed) {
        buf_done(&xml);
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request");
    }
    const struct remote_source source = remote_source_memory(xml.data, xml.len);
    t.source = &source;
    t.source_len = xml.len;
    transfer_query(&t, "delete", "");
    st = exchange_one(c, &t, err);
    if (st == ST_OK)
        st = answer_deleted(t.body.data, t.body.len, b->keys, b->count, b->results, err);
    transfer_done(&t);
    buf_done(&xml);
    return st;
}

static status_t delete_one(struct call *c, const char *key, status_t *ret_result, struct error *err)
{
    struct transfer t = {.method = "DELETE", .key = key, .body_max = SMALL_BODY_MAX};
    status_t st = exchange_one(c, &t, err);
    if (st != ST_OK)
        st = object_failed(c, &t, st, err);
    transfer_done(&t);
    st = st == ST_NOTFOUND ? ST_OK : st;
    *ret_result = st;
    return st;
}

static status_t delete_all(struct call *c, struct batch *b, const char *const *keys, size_t count,
                           status_t *results, struct error *err)
{
    status_t st = ST_OK;
    for (size_t done = 0; done < count && st == ST_OK;) {
        arena_done(&b->arena);
        b->count = 0;
        for (; done < count && b->count < BATCH_KEYS && st == ST_OK; done++) {
            if (fits_xml(keys[done]))
                st = add(b, c->r, keys[done], done);
            else
                st = delete_one(c, keys[done], &results[done], err);
        }
        if (st == ST_OK && b->count > 0)
            st = send_batch(c, b, err);
        for (size_t i = 0; i < b->count && st == ST_OK; i++)
            results[b->places[i]] = b->results[i];
    }
    return st;
}

status_t remote_delete_many(struct remote *r, const char *const *keys, size_t count,
                            const struct remote_call *call, status_t *ret_results,
                            struct error *err)
{
    struct call c;
    status_t st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++)
        st = request_check_key(r, keys[i], err);
    struct batch *b = st == ST_OK ? calloc(1, sizeof *b) : NULL;
    if (st == ST_OK && !b)
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a request");
    if (st == ST_OK)
        st = call_begin(&c, r, call, err);
    if (st != ST_OK) {
        free(b);
        for (size_t i = 0; i < count; i++)
            ret_results[i] = st;
        return st;
    }
    for (size_t i = 0; i < count; i++)
        ret_results[i] = ST_COUNT;
    st = delete_all(&c, b, keys, count, ret_results, err);
    for (size_t i = 0; i < count; i++) {
        if (ret_results[i] == ST_COUNT)
            ret_results[i] = st;
    }
    arena_done(&b->arena);
    free(b);
    call_end(&c);
    return st;
}
