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

enum { WINDOW_BYTES = 256 << 10 };

/* An answer in progress: it outlives the call. One thread at a time. */
struct s3_reading {
    const struct s3_service *service;
    struct store_object *object;
    unsigned status;
    uint64_t off, len;
    char request_id[S3_REQUEST_ID_BYTES];
    uint8_t *window; /* what was fetched; NULL: nothing */
    uint64_t window_at;
    size_t window_len;
    bool failed;
};

static ssize_t take_window(struct s3_reading *r, uint64_t at, char *to, size_t max)
{
    size_t inside = (size_t)(at - r->window_at), len = r->window_len - inside;
    len = len < max ? len : max;
    memcpy(to, r->window + inside, len);
    if (inside + len == r->window_len) {
        free(r->window);
        r->window = NULL;
    }
    return (ssize_t)len;
}

static ssize_t read_some(void *arg, uint64_t at, char *to, size_t max)
{
    struct s3_reading *r = arg;
    struct error err = {0};
    size_t len = 0;
    bool waits = false;
    if (r->failed)
        return -1;
    if (r->window && at >= r->window_at && at - r->window_at < r->window_len)
        return take_window(r, at, to, max);
    status_t st = r->service->o.table->object_read_now(r->object, to, max, r->off + at, &len,
                                                       &waits, &err);
    if (st == ST_OK && len > 0)
        return (ssize_t)len;
    if (st != ST_OK && waits) {
        r->window_at = at;
        return HTTP_LATER;
    }
    s3_report(r->service, r->request_id, "GET", "", &err); /* the status is away already */
    return -1;
}

/* What the reader found to be on another machine. */
static void fetch_window(void *arg)
{
    struct s3_reading *r = arg;
    struct error err = {0};
    uint64_t left = r->len - r->window_at;
    size_t len = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    if (!r->window)
        r->window = malloc(WINDOW_BYTES);
    status_t st = r->window ? r->service->o.table->object_read(r->object, r->window, len,
                                                               r->off + r->window_at,
                                                               &r->window_len, &err)
                            : error_set(&err, ST_NOMEM, ERROR_NO_OFFSET, "out of memory");
    r->failed = st != ST_OK || r->window_len == 0;
    if (r->failed)
        s3_report(r->service, r->request_id, "GET", "", &err);
}

void s3_reading_free(struct s3_reading *r)
{
    if (!r)
        return;
    r->service->o.table->object_close(r->object);
    free(r->window);
    free(r);
}

static void end_reading(void *arg)
{
    s3_reading_free(arg);
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

static bool wants_sums(const struct s3_call *c)
{
    const char *mode = http_header(c->rq, "x-amz-checksum-mode");
    return mode && strcasecmp(mode, "ENABLED") == 0;
}

static void reply_headers(struct s3_call *c, const struct store_info *info,
                          const struct store_attributes *a, bool whole)
{
    char date[HTTP_DATE_BYTES];
    http_date_format(info->modified_ns / 1000000000, date);
    http_reply_header(c->rq, "Last-Modified", date);
    s3_reply_etag(c, info->etag);
    s3_reply_version(c, info);
    s3_reply_encryption(c, info->encrypted);
    http_reply_header(c->rq, "Accept-Ranges", "bytes");
    if (!query_get(&c->query, "response-content-type"))
        http_reply_header(c->rq, "Content-Type",
                          a->content_type ? a->content_type : "binary/octet-stream");
    s3_attributes_reply(c, a, whole && wants_sums(c));
    reply_overrides(c);
}

enum { FETCH_BYTES = 1 << 20, FETCH_MAX = 8 << 20 };

/* Bytes that are not on this machine: the first ones are fetched before the answer has a status, by a thread that may
 * wait. */
static status_t fetch_first(struct s3_call *c, struct store_object *object, uint64_t off,
                            uint64_t len)
{
    const struct s3_table *table = s3_store(c);
    struct error err = {0};
    status_t st = ST_OK;
    uint8_t *data = malloc(FETCH_BYTES);
    if (!data)
        return ST_NOMEM;
    for (uint64_t at = 0; at < len && at < FETCH_MAX && st == ST_OK; at += FETCH_BYTES) {
        size_t got = 0, n = len - at < FETCH_BYTES ? (size_t)(len - at) : FETCH_BYTES;
        st = table->object_read(object, data, n, off + at, &got, &err);
    }
    if (st != ST_OK)
        s3_report(c->s, c->request_id, "GET", c->key, &err);
    free(data);
    return st;
}

static void reply_reading(struct s3_call *c)
{
    struct s3_reading *r = c->reading;
    const struct http_reader reader = {
        .read = read_some, .fetch = fetch_window, .done = end_reading, .arg = r};
    c->reading = NULL;
    http_reply_fetcher(c->rq, r->status, r->len, &reader);
}

/* Once more, by a thread that may wait. */
static void reply_slowly(struct s3_call *c)
{
    struct s3_reading *r = c->reading;
    status_t st = fetch_first(c, r->object, r->off, r->len);
    if (st == ST_OK)
        reply_reading(c);
    else
        s3_fail_status(c, st);
}

/* Takes over object. */
static void reply_bytes(struct s3_call *c, struct store_object *object, unsigned status,
                        uint64_t off, uint64_t len)
{
    struct s3_reading *r = c->head ? NULL : malloc(sizeof *r);
    if (c->head || !r) {
        s3_store(c)->object_close(object);
        if (c->head)
            http_reply_length(c->rq, status, len);
        else
            s3_fail(c, S3_UNAVAILABLE);
        return;
    }
    *r = (struct s3_reading){
        .service = c->s, .object = object, .status = status, .off = off, .len = len};
    memcpy(r->request_id, c->request_id, sizeof r->request_id);
    c->reading = r;
    if (len == 0 || !s3_store(c)->object_is_away(object))
        reply_reading(c);
    else if (!http_end_slowly(c->rq))
        s3_fail(c, S3_SLOW_DOWN);
}

/* Is the name hidden by a marker? Then its version is answered too. */
static void reply_marker(struct s3_call *c)
{
    struct store_object *object = NULL;
    struct error err;
    if (s3_store(c)->version_open(c->s->o.store, c->bucket, c->key, STORE_VERSION_NEWEST, &object,
                                  &err) != ST_OK)
        return;
    const struct store_info *info = s3_store(c)->object_info(object);
    if (info->marker) {
        http_reply_header(c->rq, "x-amz-delete-marker", "true");
        s3_reply_version(c, info);
    }
    s3_store(c)->object_close(object);
}

bool s3_object_open(struct s3_call *c, struct store_object **ret_object)
{
    struct store_object *object = NULL;
    char date[HTTP_DATE_BYTES];
    status_t st = s3_store(c)->version_open(c->s->o.store, c->bucket, c->key, c->version, &object,
                                            &c->err);
    if (st != ST_OK) {
        enum s3_code code = s3_code_of(c, st);
        if (code == S3_NO_SUCH_KEY &&
            s3_may(c, "", STORE_VERSION_CURRENT, "s3:ListBucket") != S3_OK)
            code = S3_ACCESS_DENIED; /* what there is not is no business of theirs either */
        if (code == S3_NO_SUCH_KEY)
            reply_marker(c);
        s3_fail(c, code);
        return false;
    }
    const struct store_info *info = s3_store(c)->object_info(object);
    if (info->marker) {
        http_date_format(info->modified_ns / 1000000000, date);
        http_reply_header(c->rq, "Last-Modified", date);
        http_reply_header(c->rq, "x-amz-delete-marker", "true");
        s3_reply_version(c, info);
        s3_store(c)->object_close(object);
        s3_fail(c, S3_METHOD);
        return false;
    }
    *ret_object = object;
    return true;
}

/* What of an object is asked for. */
struct piece {
    unsigned status;
    uint64_t off, len;
};

static void reply_part_sum(struct s3_call *c, const struct store_attributes *a,
                           const struct store_part *part)
{
    char text[S3_SUM_TEXT_BYTES];
    enum s3_algorithm sum = s3_multipart_text(part, text);
    const char *type = s3_attribute_get(a, S3_CHECKSUM_TYPE);
    if (!wants_sums(c) || sum == S3_SUM_COUNT)
        return;
    http_reply_header(c->rq, s3_sum_header(sum), text);
    if (type)
        http_reply_header(c->rq, S3_CHECKSUM_TYPE, type);
}

/* The place of a part; an object that was not made of parts is one. */
static enum s3_code find_part(struct s3_call *c, struct store_object *object, const char *number,
                              struct piece *p)
{
    struct store_part *parts = NULL;
    uint64_t n = 0;
    size_t count = 0;
    char text[24];
    if (parse_u64(number, STORE_PART_NUMBER_MAX, &n) != ST_OK || n == 0)
        return S3_INVALID_ARGUMENT;
    status_t st = s3_store(c)->object_parts(object, &parts, &count, &c->err);
    if (st != ST_OK)
        return s3_code_of(c, st);
    if (n <= count) {
        for (size_t i = 0; i + 1 < n; i++)
            p->off += parts[i].info.size;
        p->len = parts[n - 1].info.size;
        snprintf(text, sizeof text, "%zu", count);
        http_reply_header(c->rq, "x-amz-mp-parts-count", text);
        reply_part_sum(c, s3_store(c)->object_attributes(object), &parts[n - 1]);
    }
    free(parts);
    if (n > count && (n > 1 || count > 0))
        return S3_INVALID_PART_NUMBER;
    p->status = p->len > 0 ? 206 : 200;
    return S3_OK;
}

static enum s3_code find_piece(struct s3_call *c, struct store_object *object, struct piece *p)
{
    char text[80];
    uint64_t size = s3_store(c)->object_info(object)->size;
    const char *range = http_header(c->rq, "Range"), *part = query_get(&c->query, "partNumber");
    *p = (struct piece){.status = 200, .len = size};
    if (part && range)
        return S3_INVALID_REQUEST;
    if (part) {
        enum s3_code code = find_part(c, object, part, p);
        if (code != S3_OK)
            return code;
    } else if (range) {
        enum s3_code found = s3_range_of(range, size, &p->off, &p->len);
        if (found == S3_INVALID_RANGE) {
            snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
            http_reply_header(c->rq, "Content-Range", text);
            return found;
        }
        if (found == S3_OK) /* else HTTP wants it to be as if it were not there */
            p->status = 206;
    }
    if (p->status == 206) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)p->off,
                 (unsigned long long)(p->off + p->len - 1), (unsigned long long)size);
        http_reply_header(c->rq, "Content-Range", text);
    }
    return S3_OK;
}

void s3_object_get(struct s3_call *c)
{
    struct store_object *object = NULL;
    struct piece piece;
    bool asked;
    if (c->reading) {
        reply_slowly(c);
        return;
    }
    if (!s3_object_open(c, &object))
        return;
    const struct store_info *info = s3_store(c)->object_info(object);
    enum s3_code code = s3_encryption_asked(c, &asked); /* keys of clients are not there */
    if (code == S3_OK)
        code = s3_check_conditions(c, "", info);
    if (code == S3_OK && !c->head)
        code = s3_code_of(c, s3_store(c)->object_unlock(object, &c->err));
    if (code == S3_OK)
        code = find_piece(c, object, &piece);
    if (code == S3_NOT_MODIFIED)
        s3_reply_etag(c, info->etag);
    if (code != S3_OK) {
        s3_store(c)->object_close(object);
        s3_fail(c, code);
        return;
    }
    reply_headers(c, info, s3_store(c)->object_attributes(object), piece.status == 200);
    reply_bytes(c, object, piece.status, piece.off, piece.len);
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
    if (code == S3_OK)
        code = s3_encryption_of_put(c);
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
    bool encrypted = s3_store(c)->put_is_encrypted(put);
    c->put = NULL; /* the commit ends it */
    status_t st = s3_store(c)->put_commit(put, &condition, &info, &c->err);
    if (st != ST_OK) {
        s3_fail_status(c, st);
        return;
    }
    s3_reply_etag(c, info.etag);
    s3_reply_version(c, &info);
    s3_reply_encryption(c, encrypted);
    s3_reply_sum(c);
    if (c->sum.algorithm != S3_SUM_NONE)
        http_reply_header(c->rq, S3_CHECKSUM_TYPE, "FULL_OBJECT");
    http_reply(c->rq, 200, NULL);
}

void s3_object_delete(struct s3_call *c)
{
    struct store_condition condition;
    struct store_removal item = {.key = c->key, .version = c->version, .condition = &condition};
    struct s3_lock_asker asker = s3_lock_asker_of(c, c->key, c->version);
    enum s3_code code = s3_condition_of(c, &condition);
    if (code == S3_OK && (condition.if_none || http_header(c->rq, "x-amz-if-match-size") ||
                          http_header(c->rq, "x-amz-if-match-last-modified-time")))
        code = S3_NOT_IMPLEMENTED; /* rather than a removal that was not asked for */
    if (c->version != STORE_VERSION_CURRENT) {
        condition.may = s3_lock_may_remove;
        condition.arg = &asker;
    }
    if (code == S3_OK)
        code = s3_code_of(c, s3_store(c)->delete_each(c->s->o.store, c->bucket, &item, 1, &c->err));
    if (code == S3_OK) {
        code = item.status == ST_NOTFOUND ? S3_NO_SUCH_KEY : s3_code_of(c, item.status);
        if (code == S3_NO_SUCH_KEY && !condition.if_match)
            code = S3_OK; /* it is not there afterwards, as was asked */
    }
    if (code == S3_PRECONDITION && asker.refused)
        code = S3_ACCESS_DENIED;
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    if (item.versioned && item.status == ST_OK) {
        const struct store_info info = {.version = item.removed, .versioned = true};
        s3_reply_version(c, &info);
        if (item.marker)
            http_reply_header(c->rq, "x-amz-delete-marker", "true");
    }
    http_reply(c->rq, 204, NULL);
}

/* GetObjectAttributes */

static bool wants(const struct s3_call *c, const char *name)
{
    const char *list = http_header(c->rq, "x-amz-object-attributes");
    return list && s3_etag_in(list, name);
}

static void add_sums(struct buf *xml, const struct store_attributes *a)
{
    const char *type = s3_attribute_get(a, S3_CHECKSUM_TYPE);
    buf_printf(xml, "<Checksum>");
    for (size_t i = 0; i < a->count; i++) {
        enum s3_algorithm sum = s3_sum_by_header(a->pairs[i].name);
        if (sum != S3_SUM_COUNT)
            s3_xml_sum(xml, sum, a->pairs[i].value);
    }
    if (type)
        xml_element(xml, "ChecksumType", type);
    buf_printf(xml, "</Checksum>");
}

static enum s3_code add_parts(struct s3_call *c, struct store_object *object, struct buf *xml)
{
    const char *max_text = http_header(c->rq, "x-amz-max-parts");
    const char *marker_text = http_header(c->rq, "x-amz-part-number-marker");
    uint64_t max = S3_LIST_MAX, marker = 0;
    struct store_part *parts = NULL;
    size_t count = 0, shown = 0;
    if ((max_text && parse_u64(max_text, INT32_MAX, &max) != ST_OK) ||
        (marker_text && parse_u64(marker_text, INT32_MAX, &marker) != ST_OK))
        return S3_INVALID_ARGUMENT;
    max = max < S3_LIST_MAX ? max : S3_LIST_MAX;
    status_t st = s3_store(c)->object_parts(object, &parts, &count, &c->err);
    if (st != ST_OK)
        return s3_code_of(c, st);
    if (count > 0) {
        size_t left = marker < count ? count - (size_t)marker : 0;
        shown = left < max ? left : (size_t)max;
        buf_printf(xml, "<ObjectParts>");
        s3_xml_u64(xml, "PartsCount", count);
        s3_xml_u64(xml, "PartNumberMarker", marker);
        s3_xml_u64(xml, "NextPartNumberMarker", marker + shown);
        s3_xml_u64(xml, "MaxParts", max);
        xml_element(xml, "IsTruncated", shown < left ? "true" : "false");
        for (size_t i = 0; i < shown; i++) {
            buf_printf(xml, "<Part>");
            s3_xml_u64(xml, "PartNumber", parts[marker + i].number);
            s3_xml_u64(xml, "Size", parts[marker + i].info.size);
            s3_multipart_xml(xml, &parts[marker + i]);
            buf_printf(xml, "</Part>");
        }
        buf_printf(xml, "</ObjectParts>");
    }
    free(parts);
    return S3_OK;
}

void s3_object_attributes(struct s3_call *c)
{
    struct store_object *object = NULL;
    struct buf xml = {0};
    char date[HTTP_DATE_BYTES];
    if (!http_header(c->rq, "x-amz-object-attributes")) {
        s3_fail(c, S3_INVALID_ARGUMENT);
        return;
    }
    if (!s3_object_open(c, &object))
        return;
    const struct store_info *info = s3_store(c)->object_info(object);
    const struct store_attributes *a = s3_store(c)->object_attributes(object);
    enum s3_code code = S3_OK;
    s3_xml_begin(&xml, "GetObjectAttributesResponse");
    if (wants(c, "ETag"))
        xml_element(&xml, "ETag", info->etag);
    if (wants(c, "Checksum") && s3_attribute_get(a, S3_CHECKSUM_TYPE))
        add_sums(&xml, a);
    if (wants(c, "ObjectParts"))
        code = add_parts(c, object, &xml);
    if (wants(c, "StorageClass"))
        xml_element(&xml, "StorageClass", "STANDARD");
    if (wants(c, "ObjectSize"))
        s3_xml_u64(&xml, "ObjectSize", info->size);
    buf_printf(&xml, "</GetObjectAttributesResponse>");
    http_date_format(info->modified_ns / 1000000000, date);
    http_reply_header(c->rq, "Last-Modified", date);
    s3_reply_version(c, info);
    s3_store(c)->object_close(object);
    if (code == S3_OK) {
        s3_reply_xml(c, &xml);
    } else {
        buf_done(&xml);
        s3_fail(c, code);
    }
}
