#include <endian.h>
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
    struct s3_multipart m;
    bool encrypts = false;
    enum s3_code code = s3_attributes_read(c, &attributes);
    if (code == S3_OK)
        code = s3_encryption_asked(c, &encrypts);
    if (code == S3_OK)
        code = s3_multipart_begin(c, &m);
    if (code == S3_OK && m.algorithm != S3_SUM_NONE) {
        const char *type = m.whole ? "FULL_OBJECT" : "COMPOSITE";
        http_reply_header(c->rq, S3_CHECKSUM_ALGORITHM, s3_sum_name(m.algorithm));
        http_reply_header(c->rq, S3_CHECKSUM_TYPE, type);
        if (!s3_attribute_set(&attributes, S3_CHECKSUM_ALGORITHM, s3_sum_name(m.algorithm)) ||
            !s3_attribute_set(&attributes, S3_CHECKSUM_TYPE, type))
            code = S3_INVALID_ARGUMENT;
    }
    if (code == S3_OK && !encrypts) /* the answer says what its parts will be */
        code = s3_code_of(
            c, s3_store(c)->bucket_encrypt(c->s->o.store, c->bucket, &encrypts, &c->err));
    if (code == S3_OK) {
        struct store_attributes a = s3_attributes_for_store(&attributes);
        const struct s3_table *t = s3_store(c);
        code = s3_code_of(c, (encrypts ? t->upload_begin_encrypted : t->upload_begin)(
                                 c->s->o.store, c->bucket, c->key, &a, &id, &c->err));
    }

    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    id_text(id, text);
    s3_reply_encryption(c, encrypts);
    s3_xml_begin(&xml, "InitiateMultipartUploadResult");
    xml_element(&xml, "Bucket", c->bucket);
    xml_element(&xml, "Key", c->key);
    xml_element(&xml, "UploadId", text);
    buf_printf(&xml, "</InitiateMultipartUploadResult>");
    s3_reply_xml(c, &xml);
}

/* A part has the kind of checksum that its upload was begun with, whether one was sent or not. */
static enum s3_code choose_sum(struct s3_call *c, uint64_t id)
{
    struct store_attributes a;
    status_t st = s3_store(c)->upload_attributes(c->s->o.store, c->bucket, c->key, id, &c->arena,
                                                 &a, &c->err);
    if (st != ST_OK)
        return s3_code_of(c, st);
    struct s3_multipart m = s3_multipart_of(&a);
    bool copies = c->route->body != S3_BODY_PUT; /* what was sent is about no body */
    if (!copies && (m.algorithm == S3_SUM_NONE || c->sum.algorithm == m.algorithm))
        return S3_OK;
    if (!copies && c->sum.algorithm != S3_SUM_NONE)
        return S3_INVALID_REQUEST;
    s3_sum_init(&c->sum, m.algorithm, &c->s->crc);
    c->sum_own = true;
    return S3_OK;
}

void s3_upload_part_start(struct s3_call *c)
{
    uint64_t id = 0, number = 0;
    const char *text = query_get(&c->query, "partNumber");
    bool ignored; /* the upload says so */
    enum s3_code code = s3_encryption_asked(c, &ignored);
    if (code == S3_OK)
        code = read_id(c, &id);
    if (code == S3_OK &&
        (!text || parse_u64(text, STORE_PART_NUMBER_MAX, &number) != ST_OK || number == 0))
        code = S3_INVALID_ARGUMENT;
    if (code == S3_OK)
        code = choose_sum(c, id);
    if (code == S3_OK)
        code = s3_code_of(c, s3_store(c)->upload_put_begin(c->s->o.store, c->bucket, c->key, id,
                                                           (unsigned)number, &c->put, &c->err));
    if (code != S3_OK)
        s3_fail(c, code);
}

void s3_upload_part_finish(struct s3_call *c)
{
    struct store_info info;
    enum s3_code code = s3_multipart_keep(c);
    bool encrypted = s3_store(c)->put_is_encrypted(c->put);
    if (code == S3_OK) {
        struct store_put *put = c->put;
        c->put = NULL;
        code = s3_code_of(c, s3_store(c)->put_commit(put, NULL, &info, &c->err));
    }
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    s3_reply_encryption(c, encrypted);
    s3_reply_etag(c, info.etag);
    s3_reply_sum(c);
    http_reply(c->rq, 200, NULL);
}

/* The sums that the document says, as they are kept with parts. */
static enum s3_code read_part_sum(const struct xml_node *n, struct store_part *part)
{
    for (int a = S3_SUM_CRC32; a < S3_SUM_COUNT; a++) {
        char element[32];
        snprintf(element, sizeof element, "Checksum%s", s3_sum_name((enum s3_algorithm)a));
        const char *text = xml_text(n, element);
        size_t len = s3_sum_size((enum s3_algorithm)a);
        if (!text)
            continue;
        if (part->sum_len > 0 || base64_decode(text, len, part->sum + 1) != ST_OK)
            return S3_INVALID_PART;
        part->sum[0] = (uint8_t)a;
        part->sum_len = 1 + len;
    }
    return S3_OK;
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
        enum s3_code code = read_part_sum(n, &parts[count]);
        if (code != S3_OK)
            return code;
        count++;
    }
    *ret_count = count;
    return count > 0 ? S3_OK : S3_MALFORMED_XML;
}

struct completion {
    uint64_t id;
    struct store_part *parts; /* for free */
    size_t count;
    struct s3_multipart m;
    struct s3_attributes attributes; /* of the object */
    char sum[S3_SUM_TEXT_BYTES + 8]; /* of it; "": none */
    struct store_info info;
};

/* Sizes and sums of those that the document names, from those that are there. A part of the same etag has the same
 * bytes, so what comes in between does no harm. */
static enum s3_code look_up_parts(struct s3_call *c, struct completion *f)
{
    struct store_part *there = NULL;
    size_t count = 0, at = 0;
    bool more;
    enum s3_code code = S3_OK;
    status_t st = s3_store(c)->upload_parts(c->s->o.store, c->bucket, c->key, f->id, 0,
                                            STORE_PART_NUMBER_MAX, &there, &count, &more, &c->err);
    if (st != ST_OK)
        return s3_code_of(c, st);
    for (size_t i = 0; i < f->count && code == S3_OK; i++) {
        struct store_part *part = &f->parts[i];
        while (at < count && there[at].number < part->number)
            at++;
        if (at == count || there[at].number != part->number ||
            strcmp(there[at].info.etag, part->info.etag) != 0 ||
            (part->sum_len > 0 && there[at].sum_len > 0 &&
             (part->sum_len != there[at].sum_len ||
              memcmp(part->sum, there[at].sum, part->sum_len) != 0)))
            code = S3_INVALID_PART;
        else
            *part = there[at];
    }
    free(there);
    return code;
}

/* The count of parts behind the sum of their sums may be left away. */
static bool is_sum(const char *given, const char *sum)
{
    size_t len = strcspn(sum, "-");
    return strcmp(given, sum) == 0 || (strlen(given) == len && memcmp(given, sum, len) == 0);
}

/* What the request says about the object that is made. */
static enum s3_code check_object(struct s3_call *c, const struct completion *f)
{
    const char *size = http_header(c->rq, "x-amz-mp-object-size");
    uint64_t want, bytes = 0;
    for (size_t i = 0; i < f->count; i++)
        bytes += f->parts[i].info.size;
    if (size && (parse_u64(size, UINT64_MAX, &want) != ST_OK || want != bytes))
        return S3_INVALID_REQUEST;
    for (int a = S3_SUM_CRC32; a < S3_SUM_COUNT; a++) {
        const char *given = http_header(c->rq, s3_sum_header((enum s3_algorithm)a));
        if (given && (enum s3_algorithm)a != f->m.algorithm)
            return S3_INVALID_REQUEST;
        if (given && !is_sum(given, f->sum))
            return S3_BAD_CHECKSUM;
    }
    return S3_OK;
}

/* The attributes of the upload, with the sum instead of how it is made. */
static enum s3_code make_attributes(struct s3_call *c, struct completion *f)
{
    struct store_attributes a;
    status_t st = s3_store(c)->upload_attributes(c->s->o.store, c->bucket, c->key, f->id, &c->arena,
                                                 &a, &c->err);
    if (st != ST_OK)
        return s3_code_of(c, st);
    char text[ID_TEXT_BYTES];
    enum s3_code code = s3_attributes_copy(c, &a, &f->attributes);
    id_text(f->id, text);
    const char *id = arena_strndup(&c->arena, text, strlen(text));
    if (!id)
        return S3_UNAVAILABLE;
    if (!s3_attribute_set(&f->attributes, S3_UPLOAD_ID, id))
        return S3_INVALID_ARGUMENT;
    f->m = s3_multipart_of(&a);
    if (code != S3_OK || f->m.algorithm == S3_SUM_NONE)
        return code;
    code = s3_multipart_sum(c, &f->m, f->parts, f->count, f->sum);
    s3_attribute_remove(&f->attributes, S3_CHECKSUM_ALGORITHM);
    if (code == S3_OK && !s3_attribute_set(&f->attributes, s3_sum_header(f->m.algorithm), f->sum))
        code = S3_INVALID_ARGUMENT;
    return code;
}

/* The key is missing, or the upload, which somebody else has ended meanwhile. */
static enum s3_code missing(struct s3_call *c, const struct completion *f)
{
    struct store_attributes a;
    return s3_store(c)->upload_attributes(c->s->o.store, c->bucket, c->key, f->id, &c->arena, &a,
                                          &c->err) == ST_OK
               ? S3_NO_SUCH_KEY
               : S3_NO_SUCH_UPLOAD;
}

static enum s3_code complete(struct s3_call *c, struct completion *f)
{
    struct store_condition condition;
    enum s3_code code = s3_condition_of(c, &condition);
    if (code == S3_OK)
        code = read_id(c, &f->id);
    if (code == S3_OK)
        code = look_up_parts(c, f);
    if (code == S3_OK)
        code = make_attributes(c, f);
    if (code == S3_OK)
        code = check_object(c, f);
    if (code != S3_OK)
        return code;
    struct store_attributes a = s3_attributes_for_store(&f->attributes);
    status_t st = s3_store(c)->upload_complete(c->s->o.store, c->bucket, c->key, f->id, f->parts,
                                               f->count, &a, &condition, &f->info, &c->err);
    if (st == ST_INVALID)
        return S3_ENTITY_TOO_SMALL;
    if (st == ST_CHANGED && !condition.if_match)
        return S3_INVALID_PART;
    return st == ST_NOTFOUND ? missing(c, f) : s3_code_of(c, st);
}

/* Is this the etag of an object of these parts: the MD5 of those of its parts, and their count? */
static bool is_made_of(const char *etag, const struct completion *f)
{
    struct md5 sum;
    uint8_t digest[MD5_BYTES];
    char want[2 * MD5_BYTES + 24], half[MD5_BYTES + 1];
    size_t len = 0;
    md5_init(&sum);
    for (size_t i = 0; i < f->count; i++) {
        if (strlen(f->parts[i].info.etag) != 2 * MD5_BYTES)
            return false;
        for (size_t k = 0; k < 2; k++) {
            uint64_t value;
            memcpy(half, f->parts[i].info.etag + k * MD5_BYTES, MD5_BYTES);
            half[MD5_BYTES] = '\0';
            if (parse_hex(half, UINT64_MAX, &value) != ST_OK)
                return false;
            value = htobe64(value);
            md5_update(&sum, &value, sizeof value);
        }
    }
    md5_final(&sum, digest);
    for (size_t i = 0; i < MD5_BYTES; i++)
        len += (size_t)snprintf(want + len, sizeof want - len, "%02x", digest[i]);
    snprintf(want + len, sizeof want - len, "-%zu", f->count);
    return strcmp(etag, want) == 0;
}

/* Was this very upload completed before, of the same parts? A client that did not get the answer asks again. */
static bool was_completed(struct s3_call *c, struct completion *f)
{
    const struct s3_table *t = s3_store(c);
    struct store_object *object = NULL;
    char id[ID_TEXT_BYTES];
    if (t->version_open(c->s->o.store, c->bucket, c->key, STORE_VERSION_CURRENT, &object,
                        &c->err) != ST_OK)
        return false;
    const struct store_attributes *a = t->object_attributes(object);
    const char *made_by = s3_attribute_get(a, S3_UPLOAD_ID);
    id_text(f->id, id);
    bool same = made_by && strcmp(made_by, id) == 0 && is_made_of(t->object_info(object)->etag, f);
    for (size_t i = 0; i < a->count && same; i++) {
        enum s3_algorithm sum = s3_sum_by_header(a->pairs[i].name);
        if (sum != S3_SUM_COUNT) {
            f->m.algorithm = sum;
            snprintf(f->sum, sizeof f->sum, "%s", a->pairs[i].value);
        }
    }
    const char *type = s3_attribute_get(a, S3_CHECKSUM_TYPE);
    f->m.whole = type && strcmp(type, "FULL_OBJECT") == 0;
    if (same)
        f->info = *t->object_info(object);
    t->object_close(object);
    return same;
}

void s3_upload_complete(struct s3_call *c)
{
    struct completion f = {0};
    struct buf xml = {0}, location = {0};
    enum s3_code code = read_parts(c, &f.parts, &f.count);
    if (code == S3_OK)
        code = complete(c, &f);
    if (code == S3_NO_SUCH_UPLOAD && f.id != 0 && was_completed(c, &f))
        code = S3_OK;
    free(f.parts);
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    s3_location(c, &location);
    s3_xml_begin(&xml, "CompleteMultipartUploadResult");
    xml_element(&xml, "Location", location.failed ? "" : (const char *)location.data);
    xml_element(&xml, "Bucket", c->bucket);
    xml_element(&xml, "Key", c->key);
    s3_xml_etag(&xml, f.info.etag);
    s3_reply_version(c, &f.info);
    s3_reply_encryption(c, f.info.encrypted);
    if (f.m.algorithm != S3_SUM_NONE) {
        s3_xml_sum(&xml, f.m.algorithm, f.sum);
        xml_element(&xml, "ChecksumType", f.m.whole ? "FULL_OBJECT" : "COMPOSITE");
    }
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
    struct store_attributes a = {0};
    if (code == S3_OK)
        code = s3_code_of(c, s3_store(c)->upload_attributes(c->s->o.store, c->bucket, c->key, id,
                                                            &c->arena, &a, &c->err));
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
    struct s3_multipart m = s3_multipart_of(&a);
    if (m.algorithm != S3_SUM_NONE) {
        xml_element(&xml, "ChecksumAlgorithm", s3_sum_name(m.algorithm));
        xml_element(&xml, "ChecksumType", m.whole ? "FULL_OBJECT" : "COMPOSITE");
    }
    for (size_t i = 0; i < count; i++) {
        buf_printf(&xml, "<Part>");
        s3_xml_u64(&xml, "PartNumber", parts[i].number);
        s3_xml_time(&xml, "LastModified", parts[i].info.modified_ns);
        s3_xml_etag(&xml, parts[i].info.etag);
        s3_xml_u64(&xml, "Size", parts[i].info.size);
        s3_multipart_xml(&xml, &parts[i]);
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
