#include <string.h>

#include "geds/s3/checksum.h"
#include "impl.h"

/* GET: a first range, which tells size and tag, then the others, some at the same time. */

struct get {
    struct call *c;
    const struct remote_sink *sink;
    const char *key;
    uint64_t off;    /* of the first byte that was asked for */
    uint64_t end;    /* behind the last one */
    uint64_t next;   /* where the next range begins */
    uint64_t total;  /* of the object */
    uint32_t crc32c; /* of the ranges that are done, each moved to its place */
    char etag[REMOTE_TAG_BYTES];
    struct transfer *slots;
    unsigned slot_count;
    bool whole; /* all of the object was asked for */
    const struct remote_get_options *o;
};

static void make_range(struct get *g, struct transfer *t, uint64_t off, uint64_t len)
{
    t->method = "GET";
    t->key = g->key;
    t->sink = g->sink;
    t->sink_off = off - g->off;
    t->ranged = true;
    t->want_off = off;
    t->want_len = len;
    t->arg = g;
}

static status_t wrong_crc(struct error *err, uint32_t is, uint32_t want)
{
    return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "the bytes have CRC32C %08x, not %08x", is,
                     want);
}

static status_t check_crc(const struct get *g, uint32_t crc32c, const struct answer_head *h,
                          struct error *err)
{
    if (g->o->has_crc32c && crc32c != g->o->crc32c)
        return wrong_crc(err, crc32c, g->o->crc32c);
    if (h->has_crc32c && crc32c != h->crc32c)
        return wrong_crc(err, crc32c, h->crc32c);
    return ST_OK;
}

static status_t check_md5(struct transfer *t, struct error *err)
{
    uint8_t digest[MD5_BYTES];
    char text[MD5_BYTES * 2 + 1];
    struct md5 copy = t->md5;
    if (t->head.tag_is_opaque || !answer_tag_is_md5(t->head.etag))
        return ST_OK;
    md5_final(&copy, digest);
    for (size_t i = 0; i < MD5_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    if (strcmp(text, t->head.etag) != 0)
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "the bytes have MD5 %s, the object's is %s", text, t->head.etag);
    return ST_OK;
}

static status_t check_length(struct transfer *t, struct error *err)
{
    if (t->want_len == UINT64_MAX)
        t->want_len = t->got;
    if (t->got < t->want_len)
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the body ended early");
    return ST_OK;
}

/* The first one may be all. */
static status_t accept_first(struct transfer *t, struct error *err)
{
    struct get *g = t->arg;
    status_t st = check_length(t, err);
    uint64_t total = t->ranged ? t->head.range_total : t->got;
    bool all = t->want_off == 0 && t->got == total;
    bool asked = g->o->len == 0 ? t->want_off + t->got == total : t->got == g->o->len;
    struct answer_head none = {0};
    if (st == ST_OK && (all || asked))
        st = asked ? check_crc(g, t->crc32c, all ? &t->head : &none, err) : ST_OK;
    if (st == ST_OK && all && g->c->r->o.check_tags && t->with_md5 && !t->head.has_crc32c)
        st = check_md5(t, err);
    return st;
}

static status_t accept_more(struct transfer *t, struct error *err)
{
    struct get *g = t->arg;
    status_t st = check_length(t, err);
    if (st == ST_OK && t->head.range_total != g->total)
        return error_set(err, ST_CHANGED, ERROR_NO_OFFSET, "the object's size has changed");
    return st;
}

/* One of nothing has no range that could be asked for. */
static status_t get_empty(struct get *g, struct transfer *t, struct error *err)
{
    transfer_done(t);
    *t = (struct transfer){.method = "GET",
                           .key = g->key,
                           .sink = g->sink,
                           .arg = g,
                           .if_match = g->o->if_match,
                           .header = g->o->header,
                           .header_arg = g->o->arg,
                           .with_md5 = g->c->r->o.check_tags,
                           .accept = accept_first};
    transfer_header(t, "x-amz-checksum-mode", "ENABLED");
    return exchange_one(g->c, t, err);
}

static status_t get_first(struct get *g, struct transfer *t, struct error *err)
{
    uint64_t part = g->c->r->o.part_bytes;
    uint64_t len = g->o->len != 0 && g->o->len < part ? g->o->len : part;
    make_range(g, t, g->off, len);
    t->if_match = g->o->if_match;
    t->header = g->o->header;
    t->header_arg = g->o->arg;
    t->with_md5 = g->whole && g->c->r->o.check_tags;
    t->accept = accept_first;
    if (g->whole)
        transfer_header(t, "x-amz-checksum-mode", "ENABLED");
    status_t st = exchange_one(g->c, t, err);
    if (st == ST_INVAL && t->head.status == 416 && g->whole)
        st = get_empty(g, t, err);
    return st == ST_OK ? st : object_failed(g->c, t, st, err);
}

static status_t next_range(void *arg, struct transfer **ret_transfer, struct error *err)
{
    struct get *g = arg;
    (void)err;
    for (unsigned i = 0; i < g->slot_count && g->next < g->end; i++) {
        struct transfer *t = &g->slots[i];
        uint64_t left = g->end - g->next, part = g->c->r->o.part_bytes;
        if (t->method)
            continue;
        make_range(g, t, g->next, left < part ? left : part);
        t->if_match = g->etag;
        t->accept = accept_more;
        g->next += t->want_len;
        *ret_transfer = t;
        return ST_OK;
    }
    *ret_transfer = NULL;
    return ST_OK;
}

static status_t done_range(void *arg, struct transfer *t, struct error *err)
{
    struct get *g = arg;
    (void)err;
    g->crc32c ^= (uint32_t)s3_crc_combine(S3_SUM_CRC32C, t->crc32c, 0,
                                          g->end - t->want_off - t->want_len);
    transfer_done(t);
    memset(t, 0, sizeof *t);
    return ST_OK;
}

static status_t get_rest(struct get *g, struct error *err)
{
    const struct feed feed = {next_range, done_range, g};
    if (g->etag[0] == '\0')
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET,
                         "GET of %.128s: the answer has no entity tag, so its parts may be of "
                         "different objects",
                         g->key);
    g->slot_count = g->c->r->o.parallel;
    g->slots = calloc(g->slot_count, sizeof *g->slots);
    if (!g->slots)
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for requests");
    status_t st = exchange_run(g->c, &feed, g->slot_count, err);
    for (unsigned i = 0; i < g->slot_count; i++)
        transfer_done(&g->slots[i]);
    free(g->slots);
    return st;
}

/* What came in parts is compared with what the server keeps of the whole. One that was replaced
 * since has no such any more. */
static status_t check_whole(struct get *g, struct error *err)
{
    struct transfer t = {0};
    struct error why;
    status_t st = ST_OK;
    if (g->whole) {
        st = object_head(g->c, &t, g->key, g->etag, err);
        if (st == ST_CHANGED || st == ST_NOTFOUND)
            st = ST_OK;
    }
    if (st == ST_OK) {
        if (!g->whole || t.head.status != 200 || strcmp(t.head.etag, g->etag) != 0)
            t.head.has_crc32c = false;
        st = check_crc(g, g->crc32c, &t.head, &why);
        if (st != ST_OK)
            error_set(err, st, ERROR_NO_OFFSET, "GET of %.128s: %.80s", g->key, why.text);
    }
    transfer_done(&t);
    return st;
}

static status_t get(struct get *g, struct transfer *first, struct error *err)
{
    status_t st = get_first(g, first, err);
    if (st != ST_OK)
        return st;
    memcpy(g->etag, first->head.etag, sizeof g->etag);
    g->total = first->ranged ? first->head.range_total : first->got;
    if (g->o->len != 0 && g->o->len > g->total - g->off)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "GET of %.128s: it has %llu bytes, the range is longer", g->key,
                         (unsigned long long)g->total);
    g->end = g->o->len != 0 ? g->off + g->o->len : g->total;
    g->next = g->off + first->got;
    g->crc32c = (uint32_t)s3_crc_combine(S3_SUM_CRC32C, first->crc32c, 0, g->end - g->next);
    if (g->next == g->end)
        return ST_OK;
    st = get_rest(g, err);
    return st == ST_OK ? check_whole(g, err) : st;
}

status_t remote_get(struct remote *r, const char *key, const struct remote_sink *sink,
                    const struct remote_get_options *options, const struct remote_call *call,
                    struct remote_info *ret_info, struct error *err)
{
    static const struct remote_get_options none;
    struct call c;
    struct transfer first = {0};
    struct get g = {.c = &c, .sink = sink, .key = key, .o = options ? options : &none};
    status_t st = request_check_key(r, key, err);
    if (st == ST_OK && ((g.o->if_match && strlen(g.o->if_match) >= REMOTE_TAG_BYTES) ||
                        g.o->off > INT64_MAX || g.o->len > INT64_MAX - g.o->off))
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a tag or a range is too long");
    if (st == ST_OK)
        st = call_begin(&c, r, call, err);
    if (st != ST_OK)
        return st;
    g.off = g.o->off;
    g.whole = g.o->off == 0 && g.o->len == 0;
    st = get(&g, &first, err);
    if (st == ST_OK && ret_info) {
        info_of(&first.head, ret_info);
        ret_info->size = g.total;
        ret_info->has_crc32c = true;
        ret_info->crc32c = g.crc32c;
    }
    transfer_done(&first);
    call_end(&c);
    return st;
}
