#include <string.h>

#include "base/parse.h"
#include "net/http_date.h"
#include "s3.h"

/* Reading */

static bool number_until(const char *s, size_t len, uint64_t *ret_value)
{
    char text[24];
    if (len == 0 || len >= sizeof text)
        return false;
    memcpy(text, s, len);
    text[len] = '\0';
    return parse_u64(text, UINT64_MAX, ret_value) == ST_OK;
}

enum s3_code s3_range_of(const char *text, uint64_t size, uint64_t *ret_off, uint64_t *ret_len)
{
    uint64_t first = 0, last = UINT64_MAX;
    if (strncmp(text, "bytes=", 6) != 0)
        return S3_INVALID_ARGUMENT;
    const char *s = text + 6, *dash = strchr(s, '-');
    if (!dash)
        return S3_INVALID_ARGUMENT;
    size_t first_len = (size_t)(dash - s), last_len = strlen(dash + 1);
    if ((first_len > 0 && !number_until(s, first_len, &first)) ||
        (last_len > 0 && !number_until(dash + 1, last_len, &last)) ||
        (first_len == 0 && last_len == 0) || (first_len > 0 && last < first))
        return S3_INVALID_ARGUMENT;
    if (first_len == 0) { /* the last so many bytes */
        if (last == 0 || size == 0)
            return S3_INVALID_RANGE;
        first = last < size ? size - last : 0;
        last = size - 1;
    }
    if (first >= size)
        return S3_INVALID_RANGE;
    *ret_off = first;
    *ret_len = (last < size ? last + 1 : size) - first;
    return S3_OK;
}

/* An answer in progress: it outlives the call. */
struct reading {
    const struct s3_service *service;
    struct store_object *object;
    uint64_t off;
    char request_id[S3_REQUEST_ID_BYTES];
};

static ssize_t read_some(void *arg, uint64_t at, char *to, size_t max)
{
    struct reading *r = arg;
    struct error err = {0};
    size_t len = 0;
    status_t st = r->service->o.table->object_read(r->object, to, max, r->off + at, &len, &err);
    if (st == ST_OK && len > 0)
        return (ssize_t)len;
    s3_report(r->service, r->request_id, "GET", "", &err); /* the status is away already */
    return -1;
}

static void end_reading(void *arg)
{
    struct reading *r = arg;
    r->service->o.table->object_close(r->object);
    free(r);
}

/* What a query asks to be answered instead of what the object has. */
static void reply_overrides(struct s3_call *c)
{
    static const char *const names[] = {"content-type",  "content-language",    "expires",
                                        "cache-control", "content-disposition", "content-encoding"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char query[64];
        snprintf(query, sizeof query, "response-%s", names[i]);
        const char *value = query_get(&c->query, query);
        if (value)
            http_reply_header(c->rq, names[i], value);
    }
}

static void reply_headers(struct s3_call *c, const struct store_info *info,
                          const struct store_attributes *a, bool whole)
{
    char date[HTTP_DATE_BYTES];
    const char *mode = http_header(c->rq, "x-amz-checksum-mode");
    http_date_format(info->modified_ns / 1000000000, date);
    http_reply_header(c->rq, "Last-Modified", date);
    s3_reply_etag(c, info->etag);
    http_reply_header(c->rq, "Accept-Ranges", "bytes");
    if (!query_get(&c->query, "response-content-type"))
        http_reply_header(c->rq, "Content-Type",
                          a->content_type ? a->content_type : "binary/octet-stream");
    s3_attributes_reply(c, a, whole && mode && strcasecmp(mode, "ENABLED") == 0);
    reply_overrides(c);
}

/* Takes over object. */
static void reply_bytes(struct s3_call *c, struct store_object *object, unsigned status,
                        uint64_t off, uint64_t len)
{
    struct reading *r = c->head ? NULL : malloc(sizeof *r);
    if (c->head || !r) {
        s3_store(c)->object_close(object);
        if (c->head)
            http_reply_length(c->rq, status, len);
        else
            s3_fail(c, S3_UNAVAILABLE);
        return;
    }
    *r = (struct reading){.service = c->s, .object = object, .off = off};
    memcpy(r->request_id, c->request_id, sizeof r->request_id);
    http_reply_reader(c->rq, status, len, read_some, end_reading, r);
}

void s3_object_get(struct s3_call *c)
{
    struct store_object *object = NULL;
    char text[80];
    status_t st = s3_store(c)->object_open(c->s->o.store, c->bucket, c->key, &object, &c->err);
    if (st != ST_OK) {
        s3_fail_status(c, st);
        return;
    }
    const struct store_info *info = s3_store(c)->object_info(object);
    const struct store_attributes *a = s3_store(c)->object_attributes(object);
    uint64_t size = info->size, off = 0, len = size;
    unsigned status = 200;
    const char *range = http_header(c->rq, "Range");
    enum s3_code code = s3_check_conditions(c, "", info);
    if (code == S3_OK && range) {
        enum s3_code found = s3_range_of(range, size, &off, &len);
        if (found == S3_OK) {
            status = 206;
            snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)off,
                     (unsigned long long)(off + len - 1), (unsigned long long)size);
            http_reply_header(c->rq, "Content-Range", text);
        } else if (found == S3_INVALID_RANGE) {
            snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
            http_reply_header(c->rq, "Content-Range", text);
            code = found;
        } /* else HTTP wants it to be as if it were not there */
    }
    if (code == S3_NOT_MODIFIED)
        s3_reply_etag(c, info->etag);
    if (code != S3_OK) {
        s3_store(c)->object_close(object);
        s3_fail(c, code);
        return;
    }
    reply_headers(c, info, a, status == 200);
    reply_bytes(c, object, status, off, len);
}

/* Writing */

void s3_put_start(struct s3_call *c)
{
    struct s3_attributes attributes;
    struct store_condition condition;
    enum s3_code code = s3_attributes_read(c, &attributes);
    if (code == S3_OK)
        code = s3_condition_of(c, &condition);
    if (code == S3_OK) {
        struct store_attributes a = s3_attributes_for_store(&attributes);
        code = s3_code_of(
            c, s3_store(c)->put_begin(c->s->o.store, c->bucket, c->key, &a, &c->put, &c->err));
    }
    if (code != S3_OK)
        s3_fail(c, code);
}

/* The sum is known at the end of the body only, where it came in a trailing header. */
static enum s3_code set_sum(struct s3_call *c)
{
    struct s3_attributes attributes;
    if (c->sum.algorithm == S3_SUM_NONE)
        return S3_OK;
    enum s3_code code = s3_attributes_read(c, &attributes);
    if (code != S3_OK)
        return code;
    if (!s3_attribute_set(&attributes, s3_sum_header(c->sum.algorithm), c->sum_text) ||
        !s3_attribute_set(&attributes, S3_CHECKSUM_TYPE, "FULL_OBJECT"))
        return S3_INVALID_ARGUMENT;
    struct store_attributes a = s3_attributes_for_store(&attributes);
    return s3_code_of(c, s3_store(c)->put_set_attributes(c->put, &a, &c->err));
}

void s3_reply_sum(struct s3_call *c)
{
    if (c->sum.algorithm != S3_SUM_NONE)
        http_reply_header(c->rq, s3_sum_header(c->sum.algorithm), c->sum_text);
}

void s3_put_finish(struct s3_call *c)
{
    struct store_condition condition;
    struct store_info info;
    enum s3_code code = s3_condition_of(c, &condition);
    if (code == S3_OK)
        code = set_sum(c);
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    struct store_put *put = c->put;
    c->put = NULL; /* the commit ends it */
    status_t st = s3_store(c)->put_commit(put, &condition, &info, &c->err);
    if (st != ST_OK) {
        s3_fail_status(c, st);
        return;
    }
    s3_reply_etag(c, info.etag);
    s3_reply_sum(c);
    if (c->sum.algorithm != S3_SUM_NONE)
        http_reply_header(c->rq, S3_CHECKSUM_TYPE, "FULL_OBJECT");
    http_reply(c->rq, 200, NULL);
}

void s3_object_delete(struct s3_call *c)
{
    struct store_condition condition;
    enum s3_code code = s3_condition_of(c, &condition);
    if (code == S3_OK && condition.if_none)
        code = S3_NOT_IMPLEMENTED;
    if (code == S3_OK) {
        code = s3_code_of(
            c, s3_store(c)->remove(c->s->o.store, c->bucket, c->key, &condition, &c->err));
        if (code == S3_NO_SUCH_KEY && !condition.if_match)
            code = S3_OK; /* it is not there afterwards, as was asked */
    }
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 204, NULL);
}
