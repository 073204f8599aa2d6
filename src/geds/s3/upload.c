#include <string.h>

#include "base/parse.h"
#include "s3.h"

enum { ID_TEXT_BYTES = 17 };

static enum s3_code read_id(const struct s3_call *c, uint64_t *ret_id)
{
    const char *text = query_get(&c->query, "uploadId");
    bool ok = strlen(text) == ID_TEXT_BYTES - 1 && parse_hex(text, UINT64_MAX, ret_id) == ST_OK;
    return ok ? S3_OK : S3_NO_SUCH_UPLOAD;
}

static void id_text(uint64_t id, char ret_text[ID_TEXT_BYTES])
{
    snprintf(ret_text, ID_TEXT_BYTES, "%016llx", (unsigned long long)id);
}

void s3_upload_create(struct s3_call *c)
{
    struct s3_attributes attributes;
    struct buf xml = {0};
    char text[ID_TEXT_BYTES];
    uint64_t id = 0;
    const char *algorithm = http_header(c->rq, "x-amz-checksum-algorithm");
    enum s3_code code = s3_attributes_read(c, &attributes);
    if (code == S3_OK && algorithm && s3_sum_by_name(algorithm) == S3_SUM_COUNT)
        code = S3_INVALID_REQUEST;
    if (code == S3_OK) {
        struct store_attributes a = s3_attributes_for_store(&attributes);
        code = s3_code_of(
            c, s3_store(c)->upload_begin(c->s->o.store, c->bucket, c->key, &a, &id, &c->err));
    }
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    id_text(id, text);
    s3_xml_begin(&xml, "InitiateMultipartUploadResult");
    xml_element(&xml, "Bucket", c->bucket);
    xml_element(&xml, "Key", c->key);
    xml_element(&xml, "UploadId", text);
    buf_printf(&xml, "</InitiateMultipartUploadResult>");
    s3_reply_xml(c, &xml);
}

void s3_upload_part_start(struct s3_call *c)
{
    uint64_t id = 0, number = 0;
    const char *text = query_get(&c->query, "partNumber");
    enum s3_code code = read_id(c, &id);
    if (code == S3_OK &&
        (!text || parse_u64(text, STORE_PART_NUMBER_MAX, &number) != ST_OK || number == 0))
        code = S3_INVALID_ARGUMENT;
    if (code == S3_OK)
        code = s3_code_of(c, s3_store(c)->upload_put_begin(c->s->o.store, c->bucket, c->key, id,
                                                           (unsigned)number, &c->put, &c->err));
    if (code != S3_OK)
        s3_fail(c, code);
}

void s3_upload_part_finish(struct s3_call *c)
{
    struct store_info info;
    struct store_put *put = c->put;
    c->put = NULL;
    status_t st = s3_store(c)->put_commit(put, NULL, &info, &c->err);
    if (st != ST_OK) {
        s3_fail_status(c, st);
        return;
    }
    s3_reply_etag(c, info.etag);
    s3_reply_sum(c);
    http_reply(c->rq, 200, NULL);
}

/* *ret_parts: for free. */
static enum s3_code read_parts(struct s3_call *c, struct store_part **ret_parts, size_t *ret_count)
{
    struct xml_node *root;
    size_t count = 0;
    if (xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) != ST_OK ||
        strcmp(root->name, "CompleteMultipartUpload") != 0)
        return S3_MALFORMED_XML;
    struct store_part *parts = calloc(STORE_PART_NUMBER_MAX, sizeof *parts);
    if (!parts)
        return S3_UNAVAILABLE;
    *ret_parts = parts;
    for (const struct xml_node *n = root->child; n; n = n->next) {
        const char *number = xml_text(n, "PartNumber"), *etag = xml_text(n, "ETag");
        uint64_t value;
        if (strcmp(n->name, "Part") != 0 || !number || !etag || count == STORE_PART_NUMBER_MAX ||
            parse_u64(number, STORE_PART_NUMBER_MAX, &value) != ST_OK || value == 0)
            return S3_MALFORMED_XML;
        if (count > 0 && value <= parts[count - 1].number)
            return S3_INVALID_PART_ORDER;
        etag = s3_etag_of(c, etag);
        if (!etag)
            return S3_UNAVAILABLE;
        if (strlen(etag) >= STORE_ETAG_BYTES)
            return S3_INVALID_PART;
        parts[count].number = (unsigned)value;
        memcpy(parts[count].info.etag, etag, strlen(etag) + 1);
        count++;
    }
    *ret_count = count;
    return count > 0 ? S3_OK : S3_MALFORMED_XML;
}

/* A checksum of the whole object would have to be compared before the object has its name. */
static bool wants_whole_sum(const struct s3_call *c)
{
    return c->sum.algorithm != S3_SUM_NONE;
}

static enum s3_code complete(struct s3_call *c, const struct store_part *parts, size_t count,
                             struct store_info *ret_info)
{
    struct store_condition condition;
    uint64_t id = 0;
    enum s3_code code = wants_whole_sum(c) ? S3_NOT_IMPLEMENTED : s3_condition_of(c, &condition);
    if (code == S3_OK)
        code = read_id(c, &id);
    if (code != S3_OK)
        return code;
    status_t st = s3_store(c)->upload_complete(c->s->o.store, c->bucket, c->key, id, parts, count,
                                               &condition, ret_info, &c->err);
    if (st == ST_INVALID)
        return S3_ENTITY_TOO_SMALL;
    if (st == ST_CHANGED && !condition.if_match)
        return S3_INVALID_PART;
    return s3_code_of(c, st);
}

void s3_upload_complete(struct s3_call *c)
{
    struct store_part *parts = NULL;
    struct store_info info;
    struct buf xml = {0}, location = {0};
    size_t count = 0;
    enum s3_code code = read_parts(c, &parts, &count);
    if (code == S3_OK)
        code = complete(c, parts, count, &info);
    free(parts);
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    const char *host = http_header(c->rq, "Host");
    buf_printf(&location, "http://%s/%s/", host ? host : "", c->bucket);
    uri_encode(&location, c->key, strlen(c->key), URI_SLASH_KEPT);
    buf_u8(&location, 0);
    s3_xml_begin(&xml, "CompleteMultipartUploadResult");
    xml_element(&xml, "Location", location.failed ? "" : (const char *)location.data);
    xml_element(&xml, "Bucket", c->bucket);
    xml_element(&xml, "Key", c->key);
    s3_xml_etag(&xml, info.etag);
    buf_printf(&xml, "</CompleteMultipartUploadResult>");
    buf_done(&location);
    s3_reply_xml(c, &xml);
}

void s3_upload_abort(struct s3_call *c)
{
    uint64_t id = 0;
    enum s3_code code = read_id(c, &id);
    if (code == S3_OK)
        code = s3_code_of(c,
                          s3_store(c)->upload_abort(c->s->o.store, c->bucket, c->key, id, &c->err));
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 204, NULL);
}

static void add_owners(struct buf *xml)
{
    buf_printf(xml, "<Initiator><ID>cloudskin</ID><DisplayName>cloudskin</DisplayName></Initiator>"
                    "<Owner><ID>cloudskin</ID><DisplayName>cloudskin</DisplayName></Owner>"
                    "<StorageClass>STANDARD</StorageClass>");
}

void s3_upload_parts(struct s3_call *c)
{
    struct store_part *parts = NULL;
    struct buf xml = {0};
    size_t count = 0;
    uint64_t id = 0, max = 0, after = 0;
    bool more = false;
    const char *marker = query_get(&c->query, "part-number-marker");
    enum s3_code code = read_id(c, &id);
    if (code == S3_OK)
        code = s3_max_of(c, "max-parts", S3_LIST_MAX, &max);
    if (code == S3_OK && marker && *marker != '\0' && parse_u64(marker, INT32_MAX, &after) != ST_OK)
        code = S3_INVALID_ARGUMENT;
    if (code == S3_OK)
        code = s3_code_of(c, s3_store(c)->upload_parts(c->s->o.store, c->bucket, c->key, id,
                                                       (unsigned)after, (size_t)max, &parts, &count,
                                                       &more, &c->err));
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    s3_xml_begin(&xml, "ListPartsResult");
    xml_element(&xml, "Bucket", c->bucket);
    xml_element(&xml, "Key", c->key);
    xml_element(&xml, "UploadId", query_get(&c->query, "uploadId"));
    add_owners(&xml);
    s3_xml_u64(&xml, "PartNumberMarker", after);
    if (count > 0)
        s3_xml_u64(&xml, "NextPartNumberMarker", parts[count - 1].number);
    s3_xml_u64(&xml, "MaxParts", max);
    xml_element(&xml, "IsTruncated", more && count > 0 ? "true" : "false");
    for (size_t i = 0; i < count; i++) {
        buf_printf(&xml, "<Part>");
        s3_xml_u64(&xml, "PartNumber", parts[i].number);
        s3_xml_time(&xml, "LastModified", parts[i].info.modified_ns);
        s3_xml_etag(&xml, parts[i].info.etag);
        s3_xml_u64(&xml, "Size", parts[i].info.size);
        buf_printf(&xml, "</Part>");
    }
    buf_printf(&xml, "</ListPartsResult>");
    free(parts);
    s3_reply_xml(c, &xml);
}

static void add_uploads(struct buf *xml, const struct store_uploads *uploads, bool url)
{
    char text[ID_TEXT_BYTES];
    for (size_t i = 0; i < uploads->count; i++) {
        const struct store_upload *u = &uploads->entries[i];
        id_text(u->id, text);
        buf_printf(xml, "<Upload>");
        s3_xml_key(xml, "Key", u->key, url);
        xml_element(xml, "UploadId", text);
        add_owners(xml);
        s3_xml_time(xml, "Initiated", u->created_ns);
        buf_printf(xml, "</Upload>");
    }
}

void s3_upload_list(struct s3_call *c)
{
    struct store_uploads *uploads = NULL;
    struct buf xml = {0};
    const char *prefix = query_get(&c->query, "prefix");
    const char *key = query_get(&c->query, "key-marker");
    const char *id_marker = query_get(&c->query, "upload-id-marker");
    const char *delimiter = query_get(&c->query, "delimiter");
    uint64_t max = 0, after_id = INT64_MAX; /* all uploads of the marker's key are behind it */
    bool url = false;
    enum s3_code code = delimiter && *delimiter != '\0' ? S3_NOT_IMPLEMENTED : S3_OK;
    if (code == S3_OK)
        code = s3_max_of(c, "max-uploads", S3_LIST_MAX, &max);
    if (code == S3_OK)
        code = s3_encoding_of(c, &url);
    if (code == S3_OK && id_marker && *id_marker != '\0' &&
        parse_hex(id_marker, UINT64_MAX, &after_id) != ST_OK)
        code = S3_INVALID_ARGUMENT;
    if (code == S3_OK)
        code = s3_code_of(c, s3_store(c)->upload_list(c->s->o.store, c->bucket, prefix, key,
                                                      after_id, (size_t)max, &uploads, &c->err));
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    bool more = uploads->more && uploads->count > 0;
    s3_xml_begin(&xml, "ListMultipartUploadsResult");
    xml_element(&xml, "Bucket", c->bucket);
    s3_xml_key(&xml, "KeyMarker", key ? key : "", url);
    xml_element(&xml, "UploadIdMarker", id_marker ? id_marker : "");
    s3_xml_key(&xml, "Prefix", prefix ? prefix : "", url);
    if (url)
        buf_printf(&xml, "<EncodingType>url</EncodingType>");
    if (more) {
        char text[ID_TEXT_BYTES];
        const struct store_upload *last = &uploads->entries[uploads->count - 1];
        id_text(last->id, text);
        s3_xml_key(&xml, "NextKeyMarker", last->key, url);
        xml_element(&xml, "NextUploadIdMarker", text);
    }
    s3_xml_u64(&xml, "MaxUploads", max);
    xml_element(&xml, "IsTruncated", more ? "true" : "false");
    add_uploads(&xml, uploads, url);
    buf_printf(&xml, "</ListMultipartUploadsResult>");
    s3_store(c)->uploads_free(uploads);
    s3_reply_xml(c, &xml);
}
