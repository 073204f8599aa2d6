#include <string.h>

#include "net/http_date.h"
#include "net/uri.h"
#include "s3.h"

void s3_xml_begin(struct buf *xml, const char *root)
{
    buf_printf(xml,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<%s xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
               root);
}

void s3_reply_xml(struct s3_call *c, struct buf *xml)
{
    http_reply_header(c->rq, "Content-Type", "application/xml");
    http_reply(c->rq, 200, xml);
}

void s3_xml_time(struct buf *xml, const char *name, uint64_t ns)
{
    char text[ISO_DATE_BYTES];
    iso_date_format(ns, text);
    xml_element(xml, name, text);
}

void s3_xml_u64(struct buf *xml, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    xml_element(xml, name, text);
}

void s3_xml_etag(struct buf *xml, const char *etag)
{
    char quoted[STORE_ETAG_BYTES + 3];
    snprintf(quoted, sizeof quoted, "\"%s\"", etag);
    xml_element(xml, "ETag", quoted);
}

void s3_xml_key(struct buf *xml, const char *name, const char *key, bool url)
{
    if (!url) {
        xml_element(xml, name, key);
        return;
    }
    buf_printf(xml, "<%s>", name);
    uri_encode(xml, key, strlen(key), URI_SLASH_KEPT);
    buf_printf(xml, "</%s>", name);
}

void s3_location(struct s3_call *c, struct buf *out)
{
    const char *host = http_header(c->rq, "Host");
    buf_printf(out, "%s://%s/%s/", http_is_secure(c->rq) ? "https" : "http", host ? host : "",
               c->bucket);
    uri_encode(out, c->key, strlen(c->key), URI_SLASH_KEPT);
    buf_u8(out, 0);
}

void s3_reply_etag(struct s3_call *c, const char *etag)
{
    char quoted[STORE_ETAG_BYTES + 3];
    snprintf(quoted, sizeof quoted, "\"%s\"", etag);
    http_reply_header(c->rq, "ETag", quoted);
}

void s3_version_text(uint64_t version, char ret_text[S3_VERSION_BYTES])
{
    if (version == STORE_VERSION_NULL)
        snprintf(ret_text, S3_VERSION_BYTES, "null");
    else
        snprintf(ret_text, S3_VERSION_BYTES, "%016llx", (unsigned long long)version);
}

void s3_reply_version(struct s3_call *c, const struct store_info *info)
{
    char text[S3_VERSION_BYTES];
    if (!info->versioned)
        return;
    s3_version_text(info->version, text);
    http_reply_header(c->rq, "x-amz-version-id", text);
}
