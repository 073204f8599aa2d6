#include "answer.h"

#include <string.h>

#include "base/parse.h"
#include "geds/remote/upload.h"
#include "geds/s3/checksum.h"
#include "geds/s3/xml.h"
#include "net/http_date.h"
#include "net/uri.h"

enum { NODES_BYTES_MAX = 16 << 20 }; /* of a document that was read */

void answer_copy(char *to, size_t size, const char *s)
{
    size_t at = 0;
    for (; *s != '\0' && at + 1 < size; s++)
        to[at++] = (uint8_t)*s < ' ' || *s == 127 ? ' ' : *s;
    to[at] = '\0';
}

/* Without quotes; W/ is left out too. */
static bool copy_tag(char to[REMOTE_TAG_BYTES], const char *s)
{
    size_t len = strlen(s);
    if (strncmp(s, "W/", 2) == 0) {
        s += 2;
        len -= 2;
    }
    if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
        s++;
        len -= 2;
    }
    if (len == 0 || len >= REMOTE_TAG_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] <= ' ' || s[i] == '"' || s[i] == 127)
            return false;
    }
    memcpy(to, s, len);
    to[len] = '\0';
    return true;
}

bool answer_tag_is_md5(const char *etag)
{
    return strspn(etag, "0123456789abcdef") == (size_t)MD5_BYTES * 2 &&
           etag[(size_t)MD5_BYTES * 2] == '\0';
}

/* "bytes 0-9/100" */
static bool read_range(const char *s, struct answer_head *h)
{
    char text[80];
    if (strncasecmp(s, "bytes ", 6) != 0 || strlen(s) >= sizeof text)
        return false;
    memcpy(text, s + 6, strlen(s + 6) + 1);
    char *minus = strchr(text, '-'), *slash = strchr(text, '/');
    if (!minus || !slash || slash < minus)
        return false;
    *minus = '\0';
    *slash = '\0';
    return parse_u64(text, INT64_MAX, &h->range_first) == ST_OK &&
           parse_u64(minus + 1, INT64_MAX, &h->range_last) == ST_OK &&
           parse_u64(slash + 1, INT64_MAX, &h->range_total) == ST_OK &&
           h->range_first <= h->range_last && h->range_last < h->range_total;
}

static void read_crc32c(const char *s, struct answer_head *h)
{
    uint8_t bytes[4];
    if (base64_decode(s, sizeof bytes, bytes) != ST_OK)
        return; /* "...-3": of a list of checksums of parts */
    h->crc32c = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
                bytes[3];
    h->has_crc32c = true;
}

static void read_retry(const char *s, struct answer_head *h)
{
    if (parse_u64(s, ANSWER_RETRY_S_MAX, &h->retry_s) == ST_OK) {
        h->has_retry = true;
        h->retry_is_date = false;
    } else if (http_date_parse(s, &h->retry_s) == ST_OK) {
        h->has_retry = true;
        h->retry_is_date = true;
    }
}

static void take_header(struct answer_head *h, const char *name, const char *value)
{
    uint64_t n;
    if (strcasecmp(name, "content-length") == 0) {
        if (parse_u64(value, INT64_MAX, &n) == ST_OK)
            h->length = n;
    } else if (strcasecmp(name, "content-range") == 0) {
        h->has_range = read_range(value, h);
    } else if (strcasecmp(name, "etag") == 0) {
        if (!copy_tag(h->etag, value))
            h->etag[0] = '\0';
    } else if (strcasecmp(name, "last-modified") == 0) {
        if (http_date_parse(value, &n) == ST_OK)
            h->modified_s = n;
    } else if (strcasecmp(name, "content-type") == 0) {
        answer_copy(h->content_type, sizeof h->content_type, value);
    } else if (strcasecmp(name, "x-amz-checksum-crc32c") == 0) {
        read_crc32c(value, h);
    } else if (strcasecmp(name, "retry-after") == 0) {
        read_retry(value, h);
    } else if (strcasecmp(name, ANSWER_MARK) == 0) {
        answer_copy(h->mark, sizeof h->mark, strlen(value) < ANSWER_MARK_BYTES ? value : "");
    } else if (strcasecmp(name, "x-amz-request-id") == 0 ||
               strcasecmp(name, "x-amzn-requestid") == 0) {
        answer_copy(h->request_id, sizeof h->request_id, value);
    } else if (strcasecmp(name, "location") == 0) {
        answer_copy(h->location, sizeof h->location, value);
    } else if (strncasecmp(name, "x-amz-server-side-encryption", 28) == 0) {
        /* "AES256" alone leaves the tag what it was. */
        h->tag_is_opaque = h->tag_is_opaque || name[28] != '\0' || strcmp(value, "AES256") != 0;
    }
}

bool answer_line(struct answer_head *h, const char *data, size_t len, char *line,
                 const char **ret_name, const char **ret_value)
{
    uint64_t status;
    while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n' || data[len - 1] == ' ' ||
                       data[len - 1] == '\t'))
        len--;
    if (memchr(data, '\0', len))
        return false;
    memcpy(line, data, len);
    line[len] = '\0';
    if (strncmp(line, "HTTP/", 5) == 0) {
        memset(h, 0, sizeof *h);
        h->length = UINT64_MAX;
        char *number = line + strcspn(line, " ");
        number += strspn(number, " ");
        number[strspn(number, "0123456789")] = '\0';
        if (parse_u64(number, 999, &status) == ST_OK)
            h->status = (unsigned)status;
        return false;
    }
    char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return false;
    *colon = '\0';
    *ret_name = line;
    *ret_value = colon + 1 + strspn(colon + 1, " \t");
    take_header(h, *ret_name, *ret_value);
    return true;
}

static const char *text_of(const struct xml_node *n, const char *name)
{
    const char *text = xml_text(n, name);
    return text ? text : "";
}

bool answer_error(const void *data, size_t len, struct answer_error *ret_error)
{
    struct arena arena = {.limit_bytes = 1 << 20};
    struct xml_node *root;
    bool is = xml_read(data, len, &arena, &root, NULL) == ST_OK && strcmp(root->name, "Error") == 0;
    if (is) {
        answer_copy(ret_error->code, sizeof ret_error->code, text_of(root, "Code"));
        answer_copy(ret_error->message, sizeof ret_error->message, text_of(root, "Message"));
        answer_copy(ret_error->request_id, sizeof ret_error->request_id,
                    text_of(root, "RequestId"));
    }
    arena_done(&arena);
    return is;
}

static status_t broken(struct error *err, const char *what)
{
    return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "%s", what);
}

/* S3 calls the element of an answer NAMEResult; some servers call it otherwise. */
static bool is_answer(const char *element, const char *name)
{
    static const char *const ends[] = {"Result", "Response", "Output"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (strncmp(element, name, len) == 0 && strcmp(element + len, ends[i]) == 0)
            return true;
    }
    return false;
}

static status_t read_root(const void *data, size_t len, const char *name, struct arena *arena,
                          struct xml_node **ret_root, struct error *err)
{
    arena->limit_bytes = NODES_BYTES_MAX;
    status_t st = xml_read(data, len, arena, ret_root, err);
    if (st == ST_UNSUPPORTED)
        return broken(err, "the answer has a document type");
    if (st == ST_OK && !is_answer((*ret_root)->name, name))
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "the answer is no %sResult", name);
    return st;
}

static const char other_prefix[] = "a key of the list does not have the prefix that was asked for";

/* Keys that XML cannot write come in percent encoding. ret_key: in the arena. */
static status_t read_key(struct arena *arena, const char *text, bool url, const char *prefix,
                         const char **ret_key, struct error *err)
{
    struct buf decoded = {0};
    status_t st = ST_OK;
    if (url)
        st = uri_decode(&decoded, text, strlen(text), URI_PLUS_IS_BLANK);
    else
        buf_bytes(&decoded, text, strlen(text));
    buf_u8(&decoded, 0);
    const char *key = (const char *)decoded.data;
    if (decoded.failed) {
        st = ST_NOMEM;
    } else if (st != ST_OK || strlen(key) == 0 || strlen(key) > REMOTE_KEY_MAX) {
        st = broken(err, "a key of the list is empty, too long or badly encoded");
    } else if (strncmp(key, prefix, strlen(prefix)) != 0) {
        st = broken(err, other_prefix);
    } else {
        key += strlen(prefix);
        *ret_key = arena_strndup(arena, key, strlen(key));
        st = *ret_key ? ST_OK : ST_NOMEM;
    }
    buf_done(&decoded);
    return st;
}

/* 2009-10-12T17:50:30.000Z; 0 for anything else. */
static uint64_t read_time(const char *s)
{
    char compact[AMZ_DATE_BYTES];
    uint64_t time_s = 0;
    if (strlen(s) < 20 || s[strlen(s) - 1] != 'Z')
        return 0;
    int len = snprintf(compact, sizeof compact, "%.4s%.2s%.5s%.2s%.2sZ", s, s + 5, s + 8, s + 14,
                       s + 17);
    return len == AMZ_DATE_BYTES - 1 && amz_date_parse(compact, &time_s) == ST_OK ? time_s : 0;
}

static status_t read_entry(struct arena *arena, const struct xml_node *n, bool url,
                           const char *prefix, struct remote_entry *e, struct error *err)
{
    char etag[REMOTE_TAG_BYTES] = "";
    e->is_prefix = strcmp(n->name, "CommonPrefixes") == 0;
    status_t st = read_key(arena, text_of(n, e->is_prefix ? "Prefix" : "Key"), url, prefix, &e->key,
                           err);
    e->etag = "";
    if (st != ST_OK || e->is_prefix)
        return st;
    if (parse_u64(text_of(n, "Size"), INT64_MAX, &e->size) != ST_OK)
        return broken(err, "an object of the list has no size");
    e->modified_s = read_time(text_of(n, "LastModified"));
    if (copy_tag(etag, text_of(n, "ETag")))
        e->etag = arena_strndup(arena, etag, strlen(etag));
    return e->etag ? ST_OK : ST_NOMEM;
}

static status_t read_cursor(struct arena *arena, const struct xml_node *root,
                            const struct remote_list_query *query, const char **ret_cursor,
                            struct error *err)
{
    const char *cursor = text_of(root, "NextContinuationToken");
    *ret_cursor = NULL;
    if (strcmp(text_of(root, "IsTruncated"), "true") != 0)
        return ST_OK;
    if (*cursor == '\0' || strlen(cursor) > REMOTE_CURSOR_BYTES_MAX)
        return broken(err, "the list goes on, but its token is missing or too long");
    if (query->cursor && strcmp(cursor, query->cursor) == 0)
        return broken(err, "the list does not move on: its token is the one before");
    *ret_cursor = arena_strndup(arena, cursor, strlen(cursor));
    return *ret_cursor ? ST_OK : ST_NOMEM;
}

status_t answer_page(const void *data, size_t len, const char *prefix,
                     const struct remote_list_query *query, struct remote_page *ret_page,
                     struct error *err)
{
    struct remote_page page = {0};
    struct arena nodes = {0};
    struct xml_node *root;
    status_t st = read_root(data, len, "ListBucket", &nodes, &root, err);
    bool url = st == ST_OK && strcasecmp(text_of(root, "EncodingType"), "url") == 0;
    if (st == ST_OK) {
        page.entries = arena_alloc(&page.arena, query->max, sizeof *page.entries);
        st = page.entries ? ST_OK : ST_NOMEM;
    }
    for (struct xml_node *n = st == ST_OK ? root->child : NULL; n && st == ST_OK; n = n->next) {
        if (strcmp(n->name, "Contents") != 0 && strcmp(n->name, "CommonPrefixes") != 0)
            continue;
        if (page.count == query->max)
            st = broken(err, "the list has more keys than were asked for");
        else
            st = read_entry(&page.arena, n, url, prefix, &page.entries[page.count], err);
        if (st != ST_OK)
            break;
        const char *key = page.entries[page.count].key;
        if (query->prefix && strncmp(key, query->prefix, strlen(query->prefix)) != 0)
            st = broken(err, other_prefix);
        else if (*key != '\0') /* an object whose name is the client's prefix has no key here */
            page.count++;
    }
    if (st == ST_OK)
        st = read_cursor(&page.arena, root, query, &page.cursor, err);
    arena_done(&nodes);
    if (st == ST_NOMEM)
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory for a list");
    if (st == ST_OK)
        *ret_page = page;
    else
        arena_done(&page.arena);
    return st;
}

static size_t find_key(const char *const *keys, size_t count, const char *key)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(keys[middle], key);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return count;
}

status_t answer_deleted(const void *data, size_t len, const char *const *keys, size_t count,
                        status_t *ret_results, struct error *err)
{
    struct arena nodes = {0};
    struct xml_node *root;
    status_t st = read_root(data, len, "Delete", &nodes, &root, err);
    for (size_t i = 0; i < count && st == ST_OK; i++)
        ret_results[i] = ST_FORMAT;
    for (struct xml_node *n = st == ST_OK ? root->child : NULL; n; n = n->next) {
        size_t i = find_key(keys, count, text_of(n, "Key"));
        bool again = false;
        if (i == count)
            continue;
        if (strcmp(n->name, "Deleted") == 0) {
            ret_results[i] = ST_OK;
        } else if (strcmp(n->name, "Error") == 0) {
            status_t code = answer_code_status(text_of(n, "Code"), &again);
            ret_results[i] = again ? ST_AGAIN : code == ST_OK ? ST_IO : code;
            if (code == ST_NOTFOUND)
                ret_results[i] = ST_OK;
        }
        /* The same key may have been given more than once. */
        while (i + 1 < count && strcmp(keys[i + 1], keys[i]) == 0) {
            ret_results[i + 1] = ret_results[i];
            i++;
        }
    }
    arena_done(&nodes);
    return st;
}

status_t answer_upload_id(const void *data, size_t len, char *ret_id, size_t size,
                          struct error *err)
{
    struct arena nodes = {0};
    struct xml_node *root;
    status_t st = read_root(data, len, "InitiateMultipartUpload", &nodes, &root, err);
    if (st == ST_OK) {
        const char *id = text_of(root, "UploadId");
        if (*id == '\0' || strlen(id) >= size)
            st = broken(err, "the upload's id is missing or too long");
        else
            memcpy(ret_id, id, strlen(id) + 1);
    }
    arena_done(&nodes);
    return st;
}

status_t answer_completed(const void *data, size_t len, char ret_etag[REMOTE_TAG_BYTES],
                          struct error *err)
{
    struct arena nodes = {0};
    struct xml_node *root;
    status_t st = read_root(data, len, "CompleteMultipartUpload", &nodes, &root, err);
    if (st == ST_OK && !copy_tag(ret_etag, text_of(root, "ETag")))
        st = broken(err, "the object's entity tag is missing or too long");
    arena_done(&nodes);
    return st;
}

static status_t read_part(const struct xml_node *n, unsigned after, struct answer_part *parts,
                          unsigned count, struct error *err)
{
    uint64_t number, size;
    char etag[REMOTE_TAG_BYTES];
    if (parse_u64(text_of(n, "PartNumber"), REMOTE_PARTS_MAX, &number) != ST_OK ||
        parse_u64(text_of(n, "Size"), INT64_MAX, &size) != ST_OK ||
        !copy_tag(etag, text_of(n, "ETag")) || number <= after)
        return broken(err, "a part has no number, size or entity tag, or is of another page");
    if (number <= count) {
        parts[number - 1].size = size;
        parts[number - 1].there = true;
        memcpy(parts[number - 1].etag, etag, sizeof etag);
    }
    return ST_OK;
}

status_t answer_parts(const void *data, size_t len, unsigned after, struct answer_part *parts,
                      unsigned count, unsigned *ret_next, struct error *err)
{
    struct arena nodes = {0};
    struct xml_node *root;
    uint64_t next = 0;
    status_t st = read_root(data, len, "ListParts", &nodes, &root, err);
    for (struct xml_node *n = st == ST_OK ? root->child : NULL; n && st == ST_OK; n = n->next) {
        if (strcmp(n->name, "Part") == 0)
            st = read_part(n, after, parts, count, err);
    }
    if (st == ST_OK && strcmp(text_of(root, "IsTruncated"), "true") == 0) {
        if (parse_u64(text_of(root, "NextPartNumberMarker"), REMOTE_PARTS_MAX, &next) != ST_OK ||
            next <= after)
            st = broken(err, "the list of parts does not move on");
    }
    if (st == ST_OK)
        *ret_next = (unsigned)next;
    arena_done(&nodes);
    return st;
}

status_t answer_code_status(const char *code, bool *ret_again)
{
    static const struct {
        const char *code;
        status_t st;
        bool again;
    } rows[] = {
        {"SlowDown", ST_AGAIN, true},
        {"InternalError", ST_AGAIN, true},
        {"ServiceUnavailable", ST_AGAIN, true},
        {"Throttling", ST_AGAIN, true},
        {"RequestTimeout", ST_AGAIN, true},
        {"OperationAborted", ST_AGAIN, true},
        {"ConditionalRequestConflict", ST_AGAIN, true},
        {"IncompleteBody", ST_AGAIN, true},
        {"BadDigest", ST_CORRUPT, true},
        {"XAmzContentSHA256Mismatch", ST_CORRUPT, true},
        {"XAmzContentChecksumMismatch", ST_CORRUPT, true},
        {"NoSuchKey", ST_NOTFOUND, false},
        {"NoSuchUpload", ST_NOTFOUND, false},
        {"NoSuchBucket", ST_INVAL, false},
        {"PreconditionFailed", ST_CHANGED, false},
        {"AccessDenied", ST_PERM, false},
        {"InvalidAccessKeyId", ST_PERM, false},
        {"SignatureDoesNotMatch", ST_PERM, false},
        {"RequestTimeTooSkewed", ST_PERM, false},
        {"ExpiredToken", ST_PERM, false},
        {"InvalidToken", ST_PERM, false},
        {"NotImplemented", ST_UNSUPPORTED, false},
        {"InsufficientStorage", ST_LIMIT, false},
        {"XMinioStorageFull", ST_LIMIT, false},
        {"QuotaExceeded", ST_LIMIT, false},
        {"EntityTooLarge", ST_LIMIT, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].code, code) == 0) {
            *ret_again = rows[i].again;
            return rows[i].st;
        }
    }
    *ret_again = false;
    return ST_OK;
}
