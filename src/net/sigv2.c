#include "sigv2.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/parse.h"

enum { BLOCK_BYTES = 64, MAC_TEXT_BYTES = (SHA1_BYTES + 2) / 3 * 4 + 1 };

/* HMAC (RFC 2104), for which SHA-1 is good enough. */
static void hmac_sha1(const char *key, const void *data, size_t len, uint8_t ret_mac[SHA1_BYTES])
{
    uint8_t block[BLOCK_BYTES] = {0}, inner[SHA1_BYTES];
    size_t key_len = strlen(key);
    struct sha1 s;
    if (key_len > BLOCK_BYTES) {
        sha1_init(&s);
        sha1_update(&s, key, key_len);
        sha1_final(&s, block);
    } else {
        memcpy(block, key, key_len);
    }
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= 0x36;
    sha1_init(&s);
    sha1_update(&s, block, BLOCK_BYTES);
    sha1_update(&s, data, len);
    sha1_final(&s, inner);
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha1_init(&s);
    sha1_update(&s, block, BLOCK_BYTES);
    sha1_update(&s, inner, SHA1_BYTES);
    sha1_final(&s, ret_mac);
}

/* The parts of a query that change what is meant. */
static bool is_resource(const char *name)
{
    static const char *const names[] = {
        "accelerate",
        "acl",
        "cors",
        "defaultObjectAcl",
        "delete",
        "encryption",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "retention",
        "select",
        "select-type",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_header(const char *name)
{
    return strncasecmp(name, "x-amz-", 6) == 0 || strcasecmp(name, "content-md5") == 0 ||
           strcasecmp(name, "content-type") == 0;
}

/* Lines of the signed text must not come out of one value. */
static bool has_lines(const struct query *q)
{
    for (size_t i = 0; i < q->count; i++) {
        const struct query_pair *p = &q->pairs[i];
        if ((is_header(p->name) || is_resource(p->name)) &&
            (strpbrk(p->name, "\r\n:") || strpbrk(p->value, "\r\n")))
            return true;
    }
    return false;
}

enum sigv4_result sigv2_read(const struct sigv4_request *rq, struct sigv4_auth *a)
{
    const char *key = query_get(rq->query, "AWSAccessKeyId");
    const char *signature = query_get(rq->query, "Signature");
    const char *expires = query_get(rq->query, "Expires");
    const char *payload = NULL;
    uint8_t mac[SHA1_BYTES];
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, "x-amz-content-sha256") == 0)
            payload = rq->headers[i].value;
    }
    if (has_lines(rq->query) || !signature || !expires || *key == '\0' ||
        strlen(key) >= sizeof a->access_key || base64_decode(signature, sizeof mac, mac) != ST_OK ||
        parse_u64(expires, UINT64_MAX, &a->expires_s) != ST_OK)
        return SIGV4_MALFORMED_URL;
    if (payload && strncmp(payload, SIGV4_CHUNKS, strlen(SIGV4_CHUNKS)) == 0)
        return SIGV4_MALFORMED_URL; /* there is nothing that its chunks could go on from */
    a->version2 = true;
    a->in_query = true;
    memcpy(a->access_key, key, strlen(key) + 1);
    memcpy(a->service, "s3", sizeof "s3");
    memcpy(a->signature, signature, strlen(signature) + 1);
    a->payload = payload ? payload : SIGV4_UNSIGNED;
    return SIGV4_OK;
}

/* Where a client has put a header of its into the URL, it is that one's value. */
static const char *value_of(const struct sigv4_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->query->count; i++) {
        if (strcasecmp(rq->query->pairs[i].name, name) == 0)
            return rq->query->pairs[i].value;
    }
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, name) == 0)
            return rq->headers[i].value;
    }
    return "";
}

struct named {
    const char *name, *value;
    size_t place; /* as they came, where names are equal */
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcasecmp(x->name, y->name);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static void add_trimmed(struct buf *out, const char *s)
{
    size_t len = strlen(s);
    while (len > 0 && (*s == ' ' || *s == '\t'))
        s++, len--;
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    buf_bytes(out, s, len);
}

/* All x-amz- headers by name, those of one name together. */
static void add_amz_headers(struct buf *out, const struct sigv4_request *rq)
{
    struct named all[HTTP_HEADERS_MAX + QUERY_PAIRS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < rq->header_count && i < HTTP_HEADERS_MAX; i++) {
        if (strncasecmp(rq->headers[i].name, "x-amz-", 6) == 0) {
            all[count] = (struct named){rq->headers[i].name, rq->headers[i].value, count};
            count++;
        }
    }
    for (size_t i = 0; i < rq->query->count; i++) {
        const struct query_pair *p = &rq->query->pairs[i];
        if (strncasecmp(p->name, "x-amz-", 6) == 0) {
            all[count] = (struct named){p->name, p->value, count};
            count++;
        }
    }
    qsort(all, count, sizeof *all, compare_named);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcasecmp(all[i].name, all[i - 1].name) == 0) {
            buf_u8(out, ',');
        } else {
            if (i > 0)
                buf_u8(out, '\n');
            for (const char *s = all[i].name; *s != '\0'; s++)
                buf_u8(out, (uint8_t)(*s >= 'A' && *s <= 'Z' ? *s + ('a' - 'A') : *s));
            buf_u8(out, ':');
        }
        add_trimmed(out, all[i].value);
    }
    if (count > 0)
        buf_u8(out, '\n');
}

static int compare_exactly(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static void add_resource(struct buf *out, const struct sigv4_request *rq)
{
    struct named all[QUERY_PAIRS_MAX];
    size_t count = 0;
    if (rq->target)
        buf_bytes(out, rq->target, strcspn(rq->target, "?"));
    else
        uri_encode(out, rq->path, strlen(rq->path), URI_SLASH_KEPT);
    for (size_t i = 0; i < rq->query->count; i++) {
        const struct query_pair *p = &rq->query->pairs[i];
        if (is_resource(p->name)) {
            all[count] = (struct named){p->name, p->value, count};
            count++;
        }
    }
    qsort(all, count, sizeof *all, compare_exactly);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%c%s%s%s", i == 0 ? '?' : '&', all[i].name,
                   *all[i].value != '\0' ? "=" : "", all[i].value);
}

static bool is_mac(const uint8_t mac[SHA1_BYTES], const char *signature)
{
    char want[MAC_TEXT_BYTES];
    unsigned differ = 0;
    if (strlen(signature) != MAC_TEXT_BYTES - 1)
        return false;
    base64_encode(mac, SHA1_BYTES, want);
    for (size_t i = 0; i < MAC_TEXT_BYTES; i++)
        differ |= (unsigned char)want[i] ^ (unsigned char)signature[i];
    return differ == 0;
}

enum sigv4_result sigv2_verify_text(const char *secret, const char *text, const char *signature)
{
    uint8_t mac[SHA1_BYTES];
    hmac_sha1(secret, text, strlen(text), mac);
    return is_mac(mac, signature) ? SIGV4_OK : SIGV4_MISMATCH;
}

enum sigv4_result sigv2_verify(const struct sigv4_request *rq, const struct sigv4_auth *a,
                               const char *secret, uint64_t now_s)
{
    struct buf text = {0};
    uint8_t mac[SHA1_BYTES];
    buf_printf(&text, "%s\n%s\n%s\n%llu\n", rq->method, value_of(rq, "content-md5"),
               value_of(rq, "content-type"), (unsigned long long)a->expires_s);
    add_amz_headers(&text, rq);
    add_resource(&text, rq);
    bool failed = text.failed;
    hmac_sha1(secret, text.data, failed ? 0 : text.len, mac);
    buf_done(&text);
    if (failed)
        return SIGV4_MALFORMED_URL;
    if (!is_mac(mac, a->signature))
        return SIGV4_MISMATCH;
    return now_s > a->expires_s ? SIGV4_EXPIRED : SIGV4_OK;
}
