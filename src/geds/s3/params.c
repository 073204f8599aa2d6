#include <string.h>

#include "base/parse.h"
#include "net/http_date.h"
#include "s3.h"

enum s3_code s3_max_of(const struct s3_call *c, const char *name, uint64_t most,
                       uint64_t *ret_value)
{
    const char *text = query_get(&c->query, name);
    uint64_t value = most;
    if (text && *text != '\0' && parse_u64(text, INT32_MAX, &value) != ST_OK)
        return S3_INVALID_ARGUMENT;
    *ret_value = value < most ? value : most;
    return S3_OK;
}

enum s3_code s3_encoding_of(const struct s3_call *c, bool *ret_url)
{
    const char *text = query_get(&c->query, "encoding-type");
    if (text && *text != '\0' && strcmp(text, "url") != 0)
        return S3_INVALID_ARGUMENT;
    *ret_url = text && *text != '\0';
    return S3_OK;
}

bool s3_etag_in(const char *list, const char *etag)
{
    size_t etag_len = strlen(etag);
    for (size_t i = 0; i < S3_ETAG_LIST_MAX && *list != '\0'; i++) {
        list += strspn(list, " \t,");
        size_t len = strcspn(list, ",");
        const char *s = list;
        list += len;
        while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
            len--;
        if (len == 1 && *s == '*')
            return true;
        if (len >= 2 && *s == '"' && s[len - 1] == '"') {
            s++;
            len -= 2;
        }
        if (len == etag_len && memcmp(s, etag, len) == 0)
            return true;
    }
    return false;
}

const char *s3_etag_of(struct s3_call *c, const char *text)
{
    size_t len = strlen(text);
    if (len >= 2 && *text == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    return arena_strndup(&c->arena, text, len);
}

enum s3_code s3_condition_of(struct s3_call *c, struct store_condition *ret_condition)
{
    const char *match = http_header(c->rq, "If-Match");
    const char *none = http_header(c->rq, "If-None-Match");
    *ret_condition = (struct store_condition){0};
    if (none && strcmp(none, "*") != 0)
        return S3_NOT_IMPLEMENTED;
    ret_condition->if_none = none != NULL;
    if (!match)
        return S3_OK;
    ret_condition->if_match = s3_etag_of(c, match);
    return ret_condition->if_match ? S3_OK : S3_UNAVAILABLE;
}

static const char *prefixed(const struct s3_call *c, const char *prefix, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return http_header(c->rq, full);
}

/* Dates count whole seconds; one that cannot be read is as if it were not there. */
enum s3_code s3_check_conditions(const struct s3_call *c, const char *prefix,
                                 const struct store_info *info)
{
    const char *match = prefixed(c, prefix, "if-match");
    const char *none = prefixed(c, prefix, "if-none-match");
    const char *unmodified = prefixed(c, prefix, "if-unmodified-since");
    const char *modified = prefixed(c, prefix, "if-modified-since");
    enum s3_code not_modified = *prefix == '\0' ? S3_NOT_MODIFIED : S3_PRECONDITION;
    uint64_t last = info->modified_ns / 1000000000, since;
    if (match) {
        if (!s3_etag_in(match, info->etag))
            return S3_PRECONDITION;
    } else if (unmodified && http_date_parse(unmodified, &since) == ST_OK && last > since) {
        return S3_PRECONDITION;
    }
    if (none) {
        if (s3_etag_in(none, info->etag))
            return not_modified;
    } else if (modified && http_date_parse(modified, &since) == ST_OK && last <= since) {
        return not_modified;
    }
    return S3_OK;
}

enum s3_code s3_check_key(const char *key)
{
    if (strlen(key) > STORE_KEY_MAX)
        return S3_KEY_TOO_LONG;
    return text_is_utf8(key) ? S3_OK : S3_INVALID_URI;
}

/* The store's rules, so that a name that cannot be says so whatever is asked about it. */
enum s3_code s3_check_bucket(const char *bucket)
{
    size_t len = strlen(bucket);
    size_t same = strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-.");
    bool ends = len > 0 && !strchr("-.", bucket[0]) && !strchr("-.", bucket[len - 1]);
    return same == len && ends && len >= STORE_BUCKET_MIN && len <= STORE_BUCKET_MAX
               ? S3_OK
               : S3_INVALID_BUCKET;
}

enum s3_code s3_version_of(const char *text, uint64_t *ret_version)
{
    uint64_t version;
    if (strcmp(text, "null") == 0) {
        *ret_version = STORE_VERSION_NULL;
        return S3_OK;
    }
    if (strlen(text) != S3_VERSION_BYTES - 1 || parse_hex(text, INT64_MAX, &version) != ST_OK ||
        version == STORE_VERSION_NULL)
        return S3_INVALID_VERSION;
    *ret_version = version;
    return S3_OK;
}
