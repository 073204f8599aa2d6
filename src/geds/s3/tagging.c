#include <string.h>

#include "s3.h"

void s3_tags_get(struct s3_call *c)
{
    struct store_object *object = NULL;
    struct query tags = {0};
    struct buf xml = {0};
    if (!s3_object_open(c, &object))
        return;
    const char *text = s3_attribute_get(s3_store(c)->object_attributes(object), S3_TAGGING);
    status_t st = query_parse(text, &tags);
    s3_reply_version(c, s3_store(c)->object_info(object));
    s3_store(c)->object_close(object);
    if (st != ST_OK) {
        s3_fail_status(c, st);
        return;
    }
    s3_xml_begin(&xml, "Tagging");
    buf_printf(&xml, "<TagSet>");
    for (size_t i = 0; i < tags.count; i++) {
        buf_printf(&xml, "<Tag>");
        xml_element(&xml, "Key", tags.pairs[i].name);
        xml_element(&xml, "Value", tags.pairs[i].value);
        buf_printf(&xml, "</Tag>");
    }
    buf_printf(&xml, "</TagSet></Tagging>");
    query_done(&tags);
    s3_reply_xml(c, &xml);
}

/* The document as a query, which is how tags are kept. */
static enum s3_code read_document(struct s3_call *c, struct buf *text)
{
    struct xml_node *root;
    if (xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) != ST_OK ||
        strcmp(root->name, "Tagging") != 0 || !xml_child(root, "TagSet"))
        return S3_MALFORMED_XML;
    for (const struct xml_node *n = xml_child(root, "TagSet")->child; n; n = n->next) {
        const char *key = xml_text(n, "Key"), *value = xml_text(n, "Value");
        if (strcmp(n->name, "Tag") != 0 || !key || !value)
            return S3_MALFORMED_XML;
        if (text->len > 0)
            buf_u8(text, '&');
        uri_encode(text, key, strlen(key), URI_SLASH_ENCODED);
        buf_u8(text, '=');
        uri_encode(text, value, strlen(value), URI_SLASH_ENCODED);
    }
    buf_u8(text, 0);
    return text->failed ? S3_UNAVAILABLE : S3_OK;
}

enum s3_code s3_tags_document(struct s3_call *c, size_t most, struct buf *ret_text)
{
    struct query tags = {0};
    enum s3_code code = read_document(c, ret_text);
    if (code == S3_OK && query_parse((const char *)ret_text->data, &tags) != ST_OK)
        code = S3_INVALID_TAG;
    if (code == S3_OK)
        code = s3_tags_check(&tags, most);
    query_done(&tags);
    return code;
}

/* tags: "" is none. */
static enum s3_code set_tags(struct s3_call *c, const char *tags)
{
    const struct store_attribute pair = {S3_TAGGING, *tags != '\0' ? tags : NULL};
    struct store_info info;
    status_t st = s3_store(c)->change_attributes(c->s->o.store, c->bucket, c->key, c->version,
                                                 &pair, 1, NULL, &info, &c->err);
    if (st == ST_OK)
        s3_reply_version(c, &info);
    return s3_code_of(c, st);
}

void s3_tags_put(struct s3_call *c)
{
    struct buf text = {0};
    enum s3_code code = s3_tags_document(c, S3_TAGS_MAX, &text);
    if (code == S3_OK)
        code = set_tags(c, (const char *)text.data);
    buf_done(&text);
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 200, NULL);
}

void s3_tags_delete(struct s3_call *c)
{
    enum s3_code code = set_tags(c, "");
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 204, NULL);
}
