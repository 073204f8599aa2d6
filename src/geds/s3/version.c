#include <string.h>

#include "base/parse.h"
#include "s3.h"

#define OWNER "<Owner><ID>cloudskin</ID><DisplayName>cloudskin</DisplayName></Owner>"

/* Empty: versioning was never turned on. */
void s3_versioning_get(struct s3_call *c)
{
    struct store_bucket bucket = {0};
    struct buf xml = {0};
    status_t st = s3_store(c)->bucket_stat(c->s->o.store, c->bucket, &bucket, NULL, &c->err);
    if (st != ST_OK) {
        s3_fail_status(c, st);
        return;
    }
    s3_xml_begin(&xml, "VersioningConfiguration");
    if (bucket.versioning != STORE_VERSIONING_OFF)
        xml_element(&xml, "Status",
                    bucket.versioning == STORE_VERSIONING_ON ? "Enabled" : "Suspended");
    buf_printf(&xml, "</VersioningConfiguration>");
    s3_reply_xml(c, &xml);
}

static enum s3_code read_versioning(struct s3_call *c, enum store_versioning *ret_versioning)
{
    struct xml_node *root;
    if (xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) != ST_OK ||
        strcmp(root->name, "VersioningConfiguration") != 0)
        return S3_MALFORMED_XML;
    const char *status = xml_text(root, "Status"), *mfa = xml_text(root, "MfaDelete");
    if (mfa && strcmp(mfa, "Disabled") != 0)
        return strcmp(mfa, "Enabled") == 0 ? S3_NOT_IMPLEMENTED : S3_MALFORMED_XML;
    if (status && strcmp(status, "Enabled") == 0)
        *ret_versioning = STORE_VERSIONING_ON;
    else if (status && strcmp(status, "Suspended") == 0)
        *ret_versioning = STORE_VERSIONING_SUSPENDED;
    else
        return S3_MALFORMED_XML;
    return S3_OK;
}

/* Object lock may have been turned on since the request's configuration was read, but not while this holds the lock. */
static enum s3_code set_versioning(struct s3_call *c, enum store_versioning versioning)
{
    struct s3_bucket *b = NULL;
    pthread_mutex_lock(&c->s->config_lock);
    enum s3_code code = s3_bucket_ref(c, c->bucket, &b);
    if (code == S3_OK && versioning != STORE_VERSIONING_ON && (b->lock.enabled || b->lock_broken))
        code = S3_INVALID_BUCKET_STATE;
    if (code == S3_OK)
        code = s3_code_of(
            c, s3_store(c)->bucket_set_versioning(c->s->o.store, c->bucket, versioning, &c->err));
    pthread_mutex_unlock(&c->s->config_lock);
    s3_bucket_unref(b);
    return code;
}

void s3_versioning_put(struct s3_call *c)
{
    enum store_versioning versioning = STORE_VERSIONING_OFF;
    enum s3_code code = read_versioning(c, &versioning);
    if (code == S3_OK)
        code = set_versioning(c, versioning);
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 200, NULL);
}

/* ListObjectVersions. The marker of a version is its order, which the null version has too. */

static const char *param(const struct s3_call *c, const char *name)
{
    const char *text = query_get(&c->query, name);
    return text ? text : "";
}

static void add_versions(struct buf *xml, const struct store_versions *page, bool url)
{
    char text[S3_VERSION_BYTES];
    for (size_t i = 0; i < page->count; i++) {
        const struct store_version_entry *e = &page->entries[i];
        const char *element = e->info.marker ? "DeleteMarker" : "Version";
        if (e->is_prefix)
            continue;
        s3_version_text(e->info.version, text);
        buf_printf(xml, "<%s>", element);
        s3_xml_key(xml, "Key", e->key, url);
        xml_element(xml, "VersionId", text);
        xml_element(xml, "IsLatest", e->latest ? "true" : "false");
        s3_xml_time(xml, "LastModified", e->info.modified_ns);
        if (!e->info.marker) {
            s3_xml_etag(xml, e->info.etag);
            s3_xml_u64(xml, "Size", e->info.size);
            buf_printf(xml, "<StorageClass>STANDARD</StorageClass>");
        }
        buf_printf(xml, OWNER "</%s>", element);
    }
    for (size_t i = 0; i < page->count; i++) {
        if (page->entries[i].is_prefix) {
            buf_printf(xml, "<CommonPrefixes>");
            s3_xml_key(xml, "Prefix", page->entries[i].key, url);
            buf_printf(xml, "</CommonPrefixes>");
        }
    }
}

static void add_query(struct buf *xml, const struct s3_call *c, uint64_t max, bool url)
{
    xml_element(xml, "Name", c->bucket);
    s3_xml_key(xml, "Prefix", param(c, "prefix"), url);
    s3_xml_key(xml, "KeyMarker", param(c, "key-marker"), url);
    xml_element(xml, "VersionIdMarker", param(c, "version-id-marker"));
    s3_xml_u64(xml, "MaxKeys", max);
    if (*param(c, "delimiter") != '\0')
        s3_xml_key(xml, "Delimiter", param(c, "delimiter"), url);
    if (url)
        buf_printf(xml, "<EncodingType>url</EncodingType>");
}

static enum s3_code read_query(struct s3_call *c, struct store_version_query *q, uint64_t *ret_max,
                               bool *ret_url)
{
    const char *marker = param(c, "version-id-marker");
    enum s3_code code = s3_max_of(c, "max-keys", S3_LIST_MAX, ret_max);
    if (code == S3_OK)
        code = s3_encoding_of(c, ret_url);
    if (code != S3_OK)
        return code;
    *q = (struct store_version_query){.prefix = param(c, "prefix"),
                                      .delimiter = param(c, "delimiter"),
                                      .key_marker = param(c, "key-marker"),
                                      .max = (size_t)*ret_max};
    if (*marker != '\0' &&
        (*q->key_marker == '\0' || parse_hex(marker, INT64_MAX, &q->order_marker) != ST_OK))
        return S3_INVALID_ARGUMENT;
    return text_is_utf8(q->prefix) && text_is_utf8(q->delimiter) && text_is_utf8(q->key_marker)
               ? S3_OK
               : S3_INVALID_ARGUMENT;
}

void s3_list_versions(struct s3_call *c)
{
    struct store_versions *page = NULL;
    struct store_version_query q = {0};
    struct buf xml = {0};
    uint64_t max = 0;
    bool url = false;
    enum s3_code code = read_query(c, &q, &max, &url);
    if (code == S3_OK)
        code = s3_code_of(c,
                          s3_store(c)->version_list(c->s->o.store, c->bucket, &q, &page, &c->err));
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    bool more = page->more && page->count > 0;
    s3_xml_begin(&xml, "ListVersionsResult");
    add_query(&xml, c, max, url);
    if (more) {
        const struct store_version_entry *last = &page->entries[page->count - 1];
        s3_xml_key(&xml, "NextKeyMarker", last->key, url);
        if (!last->is_prefix)
            buf_printf(&xml, "<NextVersionIdMarker>%016llx</NextVersionIdMarker>",
                       (unsigned long long)last->order);
    }
    xml_element(&xml, "IsTruncated", more ? "true" : "false");
    add_versions(&xml, page, url);
    buf_printf(&xml, "</ListVersionsResult>");
    s3_store(c)->versions_free(page);
    s3_reply_xml(c, &xml);
}
