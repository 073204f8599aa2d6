#include <string.h>

#include "s3.h"

#define USER_METADATA "x-amz-meta-"
#define CHECKSUM "x-amz-checksum-"

/* Kept as they are, and sent with the object. */
static const char *const kept[] = {"cache-control", "content-disposition", "content-language",
                                   "expires", "x-amz-website-redirect-location"};
/* They would change what the request means, and are not honoured. */
static const char *const refused[] = {"x-amz-server-side-encryption-", "x-amz-grant-",
                                      "x-amz-write-offset-bytes",
                                      "x-amz-copy-source-server-side-encryption"};

const char *s3_given(const struct s3_call *c, const char *name)
{
    const struct form *f = c->post ? s3_post_form(c->post) : NULL;
    if (!f)
        return http_header(c->rq, name);
    const char *value = form_get(f, strcasecmp(name, "x-amz-acl") == 0 ? "acl" : name);
    return !value && strcasecmp(name, "Content-Type") == 0 ? f->file_type : value;
}

const struct http_header *s3_given_all(const struct s3_call *c, size_t *ret_count)
{
    if (!c->post)
        return http_headers(c->rq, ret_count);
    *ret_count = s3_post_form(c->post)->count;
    return s3_post_form(c->post)->fields;
}

struct store_attributes s3_attributes_for_store(const struct s3_attributes *a)
{
    return (struct store_attributes){
        .content_type = a->content_type, .pairs = a->pairs, .count = a->count};
}

const char *s3_attribute_get(const struct store_attributes *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->pairs[i].name, name) == 0)
            return a->pairs[i].value;
    }
    return NULL;
}

void s3_attribute_remove(struct s3_attributes *a, const char *name)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->pairs[i].name, name) == 0) {
            a->pairs[i] = a->pairs[--a->count];
            return;
        }
    }
}

bool s3_attribute_set(struct s3_attributes *a, const char *name, const char *value)
{
    s3_attribute_remove(a, name);
    if (a->count == STORE_ATTRIBUTE_COUNT_MAX)
        return false;
    a->pairs[a->count++] = (struct store_attribute){name, value};
    return true;
}

bool s3_attribute_is_checksum(const char *name)
{
    return strncmp(name, CHECKSUM, strlen(CHECKSUM)) == 0;
}

static size_t characters(const char *s)
{
    size_t count = 0;
    for (; *s != '\0'; s++)
        count += ((uint8_t)*s & 0xc0) != 0x80;
    return count;
}

enum s3_code s3_tags_check(const struct query *q, size_t most)
{
    if (q->count > most)
        return S3_INVALID_TAG;
    for (size_t i = 0; i < q->count; i++) {
        const struct query_pair *p = &q->pairs[i];
        if (*p->name == '\0' || characters(p->name) > S3_TAG_KEY_CHARACTERS_MAX ||
            characters(p->value) > S3_TAG_VALUE_CHARACTERS_MAX || !text_is_utf8(p->name) ||
            !text_is_utf8(p->value) || query_get(q, p->name) != p->value)
            return S3_INVALID_TAG;
    }
    return S3_OK;
}

static enum s3_code check_tag_header(const char *text)
{
    struct query q;
    if (query_parse(text, &q) != ST_OK)
        return S3_INVALID_TAG;
    enum s3_code code = s3_tags_check(&q, S3_TAGS_MAX);
    query_done(&q);
    return code;
}

enum s3_code s3_check_refused(const struct s3_call *c)
{
    size_t count;
    const struct http_header *headers = s3_given_all(c, &count);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof refused / sizeof *refused; k++) {
            if (strncasecmp(headers[i].name, refused[k], strlen(refused[k])) == 0)
                return S3_NOT_IMPLEMENTED;
        }
    }
    const char *acl = s3_given(c, "x-amz-acl");
    if (acl && strcmp(acl, "private") != 0 && strcmp(acl, "bucket-owner-full-control") != 0)
        return S3_NOT_IMPLEMENTED;
    const char *class = s3_given(c, "x-amz-storage-class");
    if (class && strcmp(class, "STANDARD") != 0)
        return S3_INVALID_STORAGE_CLASS;
    return S3_OK;
}

/* Else it could not be sent as a header again. */
static bool is_token(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s <= ' ' || *s >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *s))
            return false;
    }
    return true;
}

static enum s3_code read_user_metadata(struct s3_call *c, struct s3_attributes *a)
{
    size_t count, bytes = 0;
    const struct http_header *headers = s3_given_all(c, &count);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(headers[i].name);
        if (strncasecmp(headers[i].name, USER_METADATA, strlen(USER_METADATA)) != 0)
            continue;
        char *name = arena_strndup(&c->arena, headers[i].name, len);
        if (!name)
            return S3_UNAVAILABLE;
        for (char *s = name; *s != '\0'; s++)
            *s = (char)(*s >= 'A' && *s <= 'Z' ? *s + ('a' - 'A') : *s);
        bytes += len - strlen(USER_METADATA) + strlen(headers[i].value);
        if (len == strlen(USER_METADATA) || !is_token(name) ||
            !s3_attribute_set(a, name, headers[i].value))
            return S3_INVALID_ARGUMENT;
    }
    return bytes > S3_USER_METADATA_BYTES_MAX ? S3_METADATA_TOO_LARGE : S3_OK;
}

/* aws-chunked says how the body came, not what it is. */
static enum s3_code read_encoding(struct s3_call *c, struct s3_attributes *a)
{
    const char *text = s3_given(c, "Content-Encoding");
    struct buf out = {0};
    while (text && *text != '\0') {
        text += strspn(text, ", ");
        size_t len = strcspn(text, ",");
        size_t used = len;
        while (used > 0 && text[used - 1] == ' ')
            used--;
        if (used > 0 && !(used == 11 && strncasecmp(text, "aws-chunked", 11) == 0))
            buf_printf(&out, "%s%.*s", out.len ? ", " : "", (int)used, text);
        text += len;
    }
    char *kept_text = arena_strndup(&c->arena, out.data ? (const char *)out.data : "", out.len);
    bool any = out.len > 0, failed = out.failed || !kept_text;
    buf_done(&out);
    if (failed)
        return S3_UNAVAILABLE;
    if (any && !s3_attribute_set(a, "content-encoding", kept_text))
        return S3_INVALID_ARGUMENT;
    return S3_OK;
}

enum s3_code s3_attributes_read(struct s3_call *c, struct s3_attributes *ret_a)
{
    ret_a->count = 0;
    ret_a->content_type = s3_given(c, "Content-Type");
    enum s3_code code = s3_check_refused(c);
    if (code == S3_OK)
        code = read_user_metadata(c, ret_a);
    if (code == S3_OK)
        code = read_encoding(c, ret_a);
    for (size_t i = 0; i < sizeof kept / sizeof *kept && code == S3_OK; i++) {
        const char *value = s3_given(c, kept[i]);
        if (value && !s3_attribute_set(ret_a, kept[i], value))
            code = S3_INVALID_ARGUMENT;
    }
    const char *tags = s3_given(c, S3_TAGGING);
    if (code == S3_OK && tags && *tags != '\0') {
        code = check_tag_header(tags);
        if (code == S3_OK && !s3_attribute_set(ret_a, S3_TAGGING, tags))
            code = S3_INVALID_ARGUMENT;
        if (code == S3_OK)
            code = s3_may(c, c->key, STORE_VERSION_CURRENT, "s3:PutObjectTagging");
    }
    return code == S3_OK ? s3_lock_attributes(c, ret_a) : code;
}

enum s3_code s3_attributes_copy(struct s3_call *c, const struct store_attributes *from,
                                struct s3_attributes *ret_a)
{
    bool ok = true;
    ret_a->count = from->count;
    ret_a->content_type = NULL;
    if (from->content_type) {
        ret_a->content_type = arena_strndup(&c->arena, from->content_type,
                                            strlen(from->content_type));
        ok = ret_a->content_type != NULL;
    }
    for (size_t i = 0; i < from->count && ok; i++) {
        struct store_attribute *p = &ret_a->pairs[i];
        p->name = arena_strndup(&c->arena, from->pairs[i].name, strlen(from->pairs[i].name));
        p->value = arena_strndup(&c->arena, from->pairs[i].value, strlen(from->pairs[i].value));
        ok = p->name && p->value;
    }
    return ok ? S3_OK : S3_UNAVAILABLE;
}

void s3_attributes_reply(struct s3_call *c, const struct store_attributes *a, bool checksums)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct store_attribute *p = &a->pairs[i];
        char count[24];
        struct query q;
        if (strcmp(p->name, S3_UPLOAD_ID) == 0)
            continue;
        if (strcmp(p->name, S3_TAGGING) == 0) {
            if (query_parse(p->value, &q) == ST_OK) {
                snprintf(count, sizeof count, "%zu", q.count);
                http_reply_header(c->rq, "x-amz-tagging-count", count);
                query_done(&q);
            }
        } else if (checksums || !s3_attribute_is_checksum(p->name)) {
            char override[64];
            snprintf(override, sizeof override, "response-%s", p->name);
            if (!query_get(&c->query, override))
                http_reply_header(c->rq, p->name, p->value);
        }
    }
}
