#include <string.h>

#include "geds/s3/checksum.h"
#include "impl.h"
#include "net/http_date.h"

/* Requests as they go out: address, headers, signature. */

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* The headers of one try. Values that are made here live in text. */
struct lines {
    struct http_header of[TRANSFER_HEADERS + 8];
    size_t count;
    struct buf path;
    char date[AMZ_DATE_BYTES];
    char range[64];
    char crc32c[16];
    char md5[32];
    struct buf authorization;
};

void transfer_query(struct transfer *t, const char *name, const char *value)
{
    struct query_pair *p = &t->query.pairs[t->query.count++];
    /* What makes requests does not change it. */
    p->name = (char *)(uintptr_t)name;
    p->value = (char *)(uintptr_t)value;
}

void transfer_header(struct transfer *t, const char *name, const char *value)
{
    t->headers[t->header_count++] = (struct http_header){name, value};
}

static bool is_utf8(const uint8_t *s)
{
    while (*s != '\0') {
        unsigned more = *s < 0x80                  ? 0
                        : *s >= 0xc2 && *s < 0xe0  ? 1
                        : *s >= 0xe0 && *s < 0xf0  ? 2
                        : *s >= 0xf0 && *s <= 0xf4 ? 3
                                                   : 4;
        if (more == 4 || (*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
            (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
            return false;
        for (s++; more > 0; more--, s++) {
            if ((*s & 0xc0) != 0x80)
                return false;
        }
    }
    return true;
}

status_t request_check_key(const struct remote *r, const char *key, struct error *err)
{
    size_t len = strlen(key);
    if (len == 0)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a key is empty");
    if (len + strlen(r->o.prefix) > REMOTE_KEY_MAX)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a key is longer than %d bytes",
                         REMOTE_KEY_MAX);
    if (!is_utf8((const uint8_t *)key))
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "a key is not UTF-8");
    return ST_OK;
}

static bool is_token(const char *s)
{
    size_t len = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
    return len > 0 && s[len] == '\0';
}

/* A line break in one would be another header, which nobody has looked at. */
status_t request_check_headers(const struct http_header *headers, size_t count, struct error *err)
{
    size_t bytes = 0;
    if (count > REMOTE_HEADERS_MAX)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "more than %d headers",
                         REMOTE_HEADERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *name = headers[i].name, *value = headers[i].value;
        bytes += strlen(name) + strlen(value);
        if (!is_token(name) || bytes > HEADER_BYTES_MAX / 2)
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "a header's name is wrong, or headers are too long");
        for (const char *s = value; *s != '\0'; s++) {
            if ((uint8_t)*s < ' ' || *s == 127)
                return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                                 "the header %s has a control character", name);
        }
        if (strncasecmp(name, "x-amz-meta-", 11) != 0 && strcasecmp(name, "content-type") != 0 &&
            strcasecmp(name, "content-disposition") != 0 &&
            strcasecmp(name, "content-language") != 0 && strcasecmp(name, "cache-control") != 0 &&
            strcasecmp(name, "content-encoding") != 0 && strcasecmp(name, "expires") != 0 &&
            strcasecmp(name, "x-amz-tagging") != 0 && strcasecmp(name, "x-amz-storage-class") != 0)
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "the header %s is not for objects",
                             name);
    }
    return ST_OK;
}

/* A quote or a line break in it would end it, and something else begin. */
static status_t check_if_match(const char *tag, struct error *err)
{
    if (strlen(tag) >= REMOTE_TAG_BYTES)
        return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "if_match is too long");
    for (const char *s = tag; *s != '\0'; s++) {
        if ((uint8_t)*s < ' ' || *s == 127 || *s == '"')
            return error_set(err, ST_INVAL, ERROR_NO_OFFSET,
                             "if_match has a quote or a control character");
    }
    return ST_OK;
}

static void add(struct lines *l, const char *name, const char *value)
{
    l->of[l->count++] = (struct http_header){name, value};
}

static void add_text(struct buf *b, const char *s)
{
    buf_bytes(b, s, strlen(s));
}

static void add_path(struct buf *path, const struct transfer *t, const struct remote *r)
{
    add_text(path, r->base);
    if (t->key || *r->base == '\0')
        buf_u8(path, '/');
    if (t->key) {
        add_text(path, r->o.prefix);
        add_text(path, t->key);
    }
    buf_u8(path, 0);
}

static void add_body_headers(struct lines *l, const struct transfer *t)
{
    if (t->send_crc32c) {
        uint32_t c = t->sent_crc32c;
        uint8_t bytes[4] = {(uint8_t)(c >> 24), (uint8_t)(c >> 16), (uint8_t)(c >> 8), (uint8_t)c};
        base64_encode(bytes, sizeof bytes, l->crc32c);
        add(l, "x-amz-checksum-crc32c", l->crc32c);
    }
    if (t->send_md5) {
        base64_encode(t->sent_md5, sizeof t->sent_md5, l->md5);
        add(l, "Content-MD5", l->md5);
    }
}

/* The rest of the range: what came before is with the sink. */
static void add_range(struct lines *l, struct transfer *t)
{
    uint64_t first = t->want_off + t->got;
    if (t->ranged || t->got > 0) {
        snprintf(l->range, sizeof l->range, "bytes=%llu-%llu", (unsigned long long)first,
                 (unsigned long long)(t->want_off + t->want_len - 1));
        add(l, "Range", l->range);
    }
    if (t->if_match) {
        bool any = strcmp(t->if_match, "*") == 0;
        snprintf(t->if_match_line, sizeof t->if_match_line, any ? "%s" : "\"%s\"", t->if_match);
        add(l, "If-Match", t->if_match_line);
    }
}

static status_t add_signature(struct lines *l, const struct transfer *t, const struct remote *r)
{
    const char *payload = t->source ? t->payload : EMPTY_HASH;
    const struct sigv4_identity who = {r->credentials.access_key, r->credentials.secret,
                                       r->o.region, "s3"};
    add(l, "x-amz-content-sha256", payload);
    if (r->credentials.token[0] != '\0')
        add(l, "x-amz-security-token", r->credentials.token);
    const struct sigv4_request rq = {
        t->method, (const char *)l->path.data, &t->query, l->of, l->count, NULL};
    status_t st = sigv4_sign(&rq, &who, payload, &l->authorization);
    buf_u8(&l->authorization, 0);
    add(l, "Authorization", (const char *)l->authorization.data);
    return st == ST_OK && l->authorization.failed ? ST_NOMEM : st;
}

static status_t make_lines(struct transfer *t, const struct lines *l)
{
    struct buf line = {0};
    curl_slist_free_all(t->lines);
    /* What curl would add by itself. */
    t->lines = curl_slist_append(NULL, "Expect:");
    bool ok = t->lines != NULL;
    for (size_t i = 0; i < l->count && ok; i++) {
        line.len = 0;
        buf_printf(&line, *l->of[i].value == '\0' ? "%s;" : "%s: %s", l->of[i].name,
                   l->of[i].value);
        buf_u8(&line, 0);
        struct curl_slist *longer = line.failed
                                        ? NULL
                                        : curl_slist_append(t->lines, (const char *)line.data);
        ok = longer != NULL;
        t->lines = longer ? longer : t->lines;
    }
    buf_done(&line);
    return ok ? ST_OK : ST_NOMEM;
}

static status_t make_url(struct transfer *t, const struct remote *r, const struct buf *path)
{
    t->url.len = 0;
    add_text(&t->url, r->origin);
    uri_encode(&t->url, (const char *)path->data, path->len - 1, URI_SLASH_KEPT);
    for (size_t i = 0; i < t->query.count; i++) {
        const struct query_pair *p = &t->query.pairs[i];
        buf_u8(&t->url, i == 0 ? '?' : '&');
        uri_encode(&t->url, p->name, strlen(p->name), URI_SLASH_ENCODED);
        buf_u8(&t->url, '=');
        uri_encode(&t->url, p->value, strlen(p->value), URI_SLASH_ENCODED);
    }
    buf_u8(&t->url, 0);
    return t->url.failed ? ST_NOMEM : ST_OK;
}

status_t request_build(struct transfer *t, const struct remote *r, uint64_t now_s,
                       struct error *err)
{
    struct lines l = {0};
    if (t->if_match) {
        status_t st = check_if_match(t->if_match, err);
        if (st != ST_OK)
            return st;
    }
    amz_date_format(now_s, l.date);
    add_path(&l.path, t, r);
    add(&l, "Host", r->host);
    add(&l, "x-amz-date", l.date);
    for (size_t i = 0; i < t->header_count; i++)
        add(&l, t->headers[i].name, t->headers[i].value);
    add_body_headers(&l, t);
    add_range(&l, t);
    status_t st = l.path.failed ? ST_NOMEM : ST_OK;
    if (st == ST_OK && r->signs)
        st = add_signature(&l, t, r);
    if (st == ST_OK)
        st = make_lines(t, &l);
    if (st == ST_OK)
        st = make_url(t, r, &l.path);
    buf_done(&l.path);
    buf_done(&l.authorization);
    if (st != ST_OK)
        return error_set(err, st, ERROR_NO_OFFSET,
                         st == ST_NOMEM ? "no memory for a request"
                                        : "a request has too many or "
                                          "too long headers");
    return ST_OK;
}

void transfer_name(const struct transfer *t, char *ret_text, size_t size)
{
    const char *url = t->url.data ? (const char *)t->url.data : "";
    bool longer = strlen(url) >= URL_TEXT_BYTES;
    snprintf(ret_text, size, "%s %.*s%s", t->method, URL_TEXT_BYTES, url, longer ? "..." : "");
}
