#include <string.h>

#include "s3.h"

#define OWNER "<Owner><ID>cloudskin</ID><DisplayName>cloudskin</DisplayName></Owner>"
enum { TOKEN_BYTES = STORE_KEY_MAX / 3 * 4 + 16 };

static const char *param(const struct s3_call *c, const char *name)
{
    const char *text = query_get(&c->query, name);
    return text ? text : "";
}

/* What both versions say, in their order; owner: of each object. */
static void add_text(struct buf *xml, const char *text)
{
    buf_bytes(xml, text, strlen(text));
}

static void add_entries(struct buf *xml, const struct store_page *page, bool url, bool owner)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct store_entry *e = &page->entries[i];
        if (e->is_prefix)
            continue;
        add_text(xml, "<Contents>");
        s3_xml_key(xml, "Key", e->key, url);
        s3_xml_time(xml, "LastModified", e->info.modified_ns);
        s3_xml_etag(xml, e->info.etag);
        s3_xml_u64(xml, "Size", e->info.size);
        if (owner)
            add_text(xml, OWNER);
        add_text(xml, "<StorageClass>STANDARD</StorageClass></Contents>");
    }
    for (size_t i = 0; i < page->count; i++) {
        if (page->entries[i].is_prefix) {
            add_text(xml, "<CommonPrefixes>");
            s3_xml_key(xml, "Prefix", page->entries[i].key, url);
            add_text(xml, "</CommonPrefixes>");
        }
    }
}

static void add_query(struct buf *xml, const struct s3_call *c, uint64_t max, bool url)
{
    xml_element(xml, "Name", c->bucket);
    s3_xml_key(xml, "Prefix", param(c, "prefix"), url);
    s3_xml_u64(xml, "MaxKeys", max);
    if (*param(c, "delimiter") != '\0')
        s3_xml_key(xml, "Delimiter", param(c, "delimiter"), url);
    if (url)
        buf_printf(xml, "<EncodingType>url</EncodingType>");
}

/* S3_OK, or what is answered. after: start_after of the store's query. */
static enum s3_code read_page(struct s3_call *c, const char *after, uint64_t *ret_max,
                              bool *ret_url, struct store_page **ret_page)
{
    enum s3_code code = s3_max_of(c, "max-keys", S3_LIST_MAX, ret_max);
    if (code == S3_OK)
        code = s3_encoding_of(c, ret_url);
    if (code != S3_OK)
        return code;
    if (!text_is_utf8(param(c, "prefix")) || !text_is_utf8(param(c, "delimiter")) ||
        !text_is_utf8(after))
        return S3_INVALID_ARGUMENT;
    const struct store_list_query query = {.prefix = param(c, "prefix"),
                                           .delimiter = param(c, "delimiter"),
                                           .start_after = after,
                                           .max = (size_t)*ret_max};
    return s3_code_of(c, s3_store(c)->list(c->s->o.store, c->bucket, &query, ret_page, &c->err));
}

void s3_list_v1(struct s3_call *c)
{
    struct store_page *page = NULL;
    struct buf xml = {0};
    uint64_t max;
    bool url;
    enum s3_code code = read_page(c, param(c, "marker"), &max, &url, &page);
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    bool more = page->more && page->count > 0;
    s3_xml_begin(&xml, "ListBucketResult");
    add_query(&xml, c, max, url);
    s3_xml_key(&xml, "Marker", param(c, "marker"), url);
    if (more)
        s3_xml_key(&xml, "NextMarker", page->entries[page->count - 1].key, url);
    xml_element(&xml, "IsTruncated", more ? "true" : "false");
    add_entries(&xml, page, url, true);
    buf_printf(&xml, "</ListBucketResult>");
    s3_store(c)->page_free(page);
    s3_reply_xml(c, &xml);
}

/* A token is the last key, so that a list can go on whatever happens to that. */
enum s3_code s3_token_read(struct s3_call *c, const char *token, const char **ret_after)
{
    char key[STORE_KEY_MAX + 1];
    size_t len = strlen(token), bytes = len / 4 * 3;
    if (len == 0 || len % 4 != 0 || len > TOKEN_BYTES)
        return S3_INVALID_ARGUMENT;
    bytes -= (size_t)(token[len - 1] == '=') + (size_t)(token[len - 2] == '=');
    if (bytes > STORE_KEY_MAX || base64_decode(token, bytes, key) != ST_OK)
        return S3_INVALID_ARGUMENT;
    *ret_after = arena_strndup(&c->arena, key, bytes);
    return *ret_after ? S3_OK : S3_UNAVAILABLE;
}

void s3_xml_token(struct buf *xml, const char *name, const char *key)
{
    char token[TOKEN_BYTES];
    base64_encode(key, strlen(key), token);
    xml_element(xml, name, token);
}

void s3_list_v2(struct s3_call *c)
{
    const char *token = query_get(&c->query, "continuation-token");
    const char *after = param(c, "start-after");
    struct store_page *page = NULL;
    struct buf xml = {0};
    uint64_t max = 0;
    bool url = false;
    enum s3_code code = strcmp(param(c, "list-type"), "2") == 0 ? S3_OK : S3_INVALID_ARGUMENT;
    if (code == S3_OK && token)
        code = s3_token_read(c, token, &after);
    if (code == S3_OK)
        code = read_page(c, after, &max, &url, &page);
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    bool more = page->more && page->count > 0;
    s3_xml_begin(&xml, "ListBucketResult");
    add_query(&xml, c, max, url);
    s3_xml_u64(&xml, "KeyCount", page->count);
    if (token)
        xml_element(&xml, "ContinuationToken", token);
    if (*param(c, "start-after") != '\0')
        s3_xml_key(&xml, "StartAfter", param(c, "start-after"), url);
    xml_element(&xml, "IsTruncated", more ? "true" : "false");
    if (more)
        s3_xml_token(&xml, "NextContinuationToken", page->entries[page->count - 1].key);
    add_entries(&xml, page, url, strcmp(param(c, "fetch-owner"), "true") == 0);
    buf_printf(&xml, "</ListBucketResult>");
    s3_store(c)->page_free(page);
    s3_reply_xml(c, &xml);
}
