#include <string.h>
#include <sys/random.h>

#include "impl.h"

/* PUT of one request, HEAD, DELETE. */

void info_of(const struct answer_head *head, struct remote_info *ret_info)
{
    memset(ret_info, 0, sizeof *ret_info);
    ret_info->modified_s = head->modified_s;
    memcpy(ret_info->etag, head->etag, sizeof ret_info->etag);
    memcpy(ret_info->content_type, head->content_type, sizeof ret_info->content_type);
    ret_info->has_crc32c = head->has_crc32c;
    ret_info->crc32c = head->crc32c;
}

static void md5_text(const uint8_t md5[MD5_BYTES], char ret_text[MD5_BYTES * 2 + 1])
{
    for (size_t i = 0; i < MD5_BYTES; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", md5[i]);
}

status_t object_check_sent(struct transfer *t, struct error *err)
{
    const struct answer_head *h = &t->head;
    char md5[MD5_BYTES * 2 + 1];
    if (h->etag[0] == '\0')
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "the answer has no entity tag");
    if (h->has_crc32c && h->crc32c != t->sent_crc32c)
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET,
                         "the server has CRC32C %08x, sent was %08x", h->crc32c, t->sent_crc32c);
    md5_text(t->sent_md5, md5);
    if (t->call->r->o.check_tags && !h->tag_is_opaque && answer_tag_is_md5(h->etag) &&
        strcmp(h->etag, md5) != 0)
        return error_set(err, ST_CORRUPT, ERROR_NO_OFFSET, "the server has MD5 %s, sent was %s",
                         h->etag, md5);
    return ST_OK;
}

status_t object_head(struct call *c, struct transfer *t, const char *key, const char *if_match,
                     struct error *err)
{
    t->method = "HEAD";
    t->key = key;
    t->if_match = if_match;
    transfer_header(t, "x-amz-checksum-mode", "ENABLED");
    return exchange_one(c, t, err);
}

static status_t check_bucket(struct call *c, struct error *err)
{
    struct transfer t = {.method = "HEAD"};
    struct error why;
    status_t st = exchange_one(c, &t, &why);
    transfer_done(&t);
    if (st == ST_NOTFOUND)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                         "%s: there is no bucket %.64s, or no S3 server; make it, or correct the "
                         "endpoint and its name",
                         c->r->origin, c->r->o.bucket);
    if (st == ST_OK || st == ST_PERM) /* who may not see the bucket has seen that it is there */
        return ST_OK;
    if (err)
        *err = why;
    return st;
}

status_t object_failed(struct call *c, const struct transfer *t, status_t st, struct error *err)
{
    bool told = t->error.code[0] != '\0';
    if (st != ST_NOTFOUND || told || (strcmp(t->method, "HEAD") == 0 && c->r->bucket_seen))
        return st;
    status_t bucket = check_bucket(c, err);
    return bucket == ST_OK ? st : bucket;
}

status_t remote_head(struct remote *r, const char *key,
                     void (*header)(void *arg, const char *name, const char *value), void *arg,
                     const struct remote_call *call, struct remote_info *ret_info,
                     struct error *err)
{
    struct transfer t = {.header = header, .header_arg = arg};
    struct call c;
    status_t st = request_check_key(r, key, err);
    if (st == ST_OK)
        st = call_begin(&c, r, call, err);
    if (st != ST_OK)
        return st;
    st = object_head(&c, &t, key, NULL, err);
    if (st != ST_OK)
        st = object_failed(&c, &t, st, err);
    else if (t.head.length == UINT64_MAX)
        st = error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "HEAD of %.128s: the answer has no length",
                       key);
    if (st == ST_OK && ret_info) {
        info_of(&t.head, ret_info);
        ret_info->size = t.head.length;
    }
    transfer_done(&t);
    call_end(&c);
    return st;
}

status_t remote_delete(struct remote *r, const char *key, const struct remote_call *call,
                       struct error *err)
{
    struct transfer t = {.method = "DELETE", .key = key, .body_max = SMALL_BODY_MAX};
    struct call c;
    status_t st = request_check_key(r, key, err);
    if (st == ST_OK)
        st = call_begin(&c, r, call, err);
    if (st != ST_OK)
        return st;
    st = exchange_one(&c, &t, err);
    if (st != ST_OK)
        st = object_failed(&c, &t, st, err);
    transfer_done(&t);
    call_end(&c);
    return st == ST_NOTFOUND ? ST_OK : st;
}

/* A condition is not fulfilled, after a try whose end is not known: was that it? ST_OK: put has the
 * object's header; ST_CHANGED; ST_CORRUPT; or that it cannot be told. */
static status_t was_ours(struct call *c, const char *key, const char *mark, struct transfer *put,
                         struct error *err)
{
    struct transfer t = {0};
    struct error why;
    status_t st = object_head(c, &t, key, NULL, &why);
    if (st == ST_NOTFOUND || (st == ST_OK && strcmp(t.head.mark, mark) != 0))
        st = ST_CHANGED;
    else if (st != ST_OK && err)
        *err = why;
    if (st == ST_OK) {
        put->head = t.head;
        st = object_check_sent(put, err);
    }
    transfer_done(&t);
    return st;
}

static status_t add_condition(struct transfer *t, const struct remote_put_options *o,
                              char mark[ANSWER_MARK_BYTES], struct error *err)
{
    uint8_t random[16];
    if (!o->if_none && !o->if_match)
        return ST_OK;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(err, ST_IO, ERROR_NO_OFFSET, "no random bytes");
    md5_text(random, mark);
    transfer_header(t, ANSWER_MARK, mark);
    if (o->if_none)
        transfer_header(t, "If-None-Match", "*");
    t->if_match = o->if_match;
    return ST_OK;
}

static status_t put_once(struct call *c, const char *key, const struct remote_source *source,
                         const struct remote_put_options *o, struct remote_info *ret_info,
                         struct error *err)
{
    struct transfer t = {.method = "PUT",
                         .key = key,
                         .source = source,
                         .source_len = source->size,
                         .send_crc32c = true,
                         .body_max = SMALL_BODY_MAX,
                         .accept = object_check_sent};
    char mark[ANSWER_MARK_BYTES] = "";
    for (size_t i = 0; i < o->header_count; i++)
        transfer_header(&t, o->headers[i].name, o->headers[i].value);
    status_t st = add_condition(&t, o, mark, err);
    if (st == ST_OK)
        st = exchange_one(c, &t, err);
    if (st == ST_CHANGED && t.unknown)
        st = was_ours(c, key, mark, &t, err);
    if (st == ST_CHANGED && o->if_none)
        st = error_set(err, ST_EXIST, ERROR_NO_OFFSET, "%.128s is there already", key);
    if (st == ST_OK && ret_info) {
        info_of(&t.head, ret_info);
        ret_info->size = source->size;
        ret_info->has_crc32c = true;
        ret_info->crc32c = t.sent_crc32c;
    }
    transfer_done(&t);
    return st;
}

status_t remote_put(struct remote *r, const char *key, const struct remote_source *source,
                    const struct remote_put_options *options, const struct remote_call *call,
                    struct remote_info *ret_info, struct error *err)
{
    static const struct remote_put_options none;
    const struct remote_put_options *o = options ? options : &none;
    struct call c;
    status_t st = request_check_key(r, key, err);
    if (st == ST_OK)
        st = request_check_headers(o->headers, o->header_count, err);
    if (st == ST_OK && o->if_match && strlen(o->if_match) >= REMOTE_TAG_BYTES)
        st = error_set(err, ST_INVAL, ERROR_NO_OFFSET, "if_match is too long");
    if (st == ST_OK)
        st = call_begin(&c, r, call, err);
    if (st != ST_OK)
        return st;
    if (upload_needed(r, source->size))
        st = upload_whole(&c, key, source, o, ret_info, err);
    else
        st = put_once(&c, key, source, o, ret_info, err);
    call_end(&c);
    return st;
}
