#include "net/sigv4.h"

#include <string.h>

#include "base/parse.h"
#include "net/http_date.h"
#include "sigv2.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
enum { BLOCK_BYTES = 64, SECRET_BYTES_MAX = 256 };

static void hmac(const void *key, size_t key_len, const void *data, size_t len,
                 uint8_t ret_mac[SHA256_BYTES])
{
    uint8_t block[BLOCK_BYTES] = {0}, inner[SHA256_BYTES];
    struct sha256 s;
    if (key_len > BLOCK_BYTES)
        sha256_bytes(key, key_len, block);
    else
        memcpy(block, key, key_len);
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= 0x36;
    sha256_init(&s);
    sha256_update(&s, block, BLOCK_BYTES);
    sha256_update(&s, data, len);
    sha256_final(&s, inner);
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] ^= 0x36 ^ 0x5c;
    sha256_init(&s);
    sha256_update(&s, block, BLOCK_BYTES);
    sha256_update(&s, inner, SHA256_BYTES);
    sha256_final(&s, ret_mac);
}

static void signing_key(const char *secret, const char *day, const char *region,
                        const char *service, uint8_t ret_key[SHA256_BYTES])
{
    char start[SECRET_BYTES_MAX + 8];
    int len = snprintf(start, sizeof start, "AWS4%.*s", SECRET_BYTES_MAX, secret);
    hmac(start, (size_t)len, day, strlen(day), ret_key);
    hmac(ret_key, SHA256_BYTES, region, strlen(region), ret_key);
    hmac(ret_key, SHA256_BYTES, service, strlen(service), ret_key);
    hmac(ret_key, SHA256_BYTES, "aws4_request", strlen("aws4_request"), ret_key);
}

/* Both have SHA256_HEX_BYTES bytes. */
static bool same_signature(const char *a, const char *b)
{
    unsigned differ = 0;
    for (size_t i = 0; i < SHA256_HEX_BYTES; i++)
        differ |= (unsigned char)a[i] ^ (unsigned char)b[i];
    return differ == 0;
}

static const char *header(const struct sigv4_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, name) == 0)
            return rq->headers[i].value;
    }
    return NULL;
}

/* The canonical request */

struct encoded_pair {
    size_t name_off, value_off;
    const char *text; /* of all pairs, for the comparison */
};

static int compare_pairs(const void *a, const void *b)
{
    const struct encoded_pair *x = a, *y = b;
    int order = strcmp(x->text + x->name_off, y->text + y->name_off);
    return order ? order : strcmp(x->text + x->value_off, y->text + y->value_off);
}

static void add_query(struct buf *out, const struct query *q, bool in_query)
{
    struct encoded_pair pairs[QUERY_PAIRS_MAX];
    struct buf text = {0};
    size_t count = 0;
    for (size_t i = 0; q && i < q->count; i++) {
        const struct query_pair *p = &q->pairs[i];
        if (in_query && strcmp(p->name, "X-Amz-Signature") == 0)
            continue;
        pairs[count].name_off = text.len;
        uri_encode(&text, p->name, strlen(p->name), URI_SLASH_ENCODED);
        buf_u8(&text, 0);
        pairs[count].value_off = text.len;
        uri_encode(&text, p->value, strlen(p->value), URI_SLASH_ENCODED);
        buf_u8(&text, 0);
        count++;
    }
    if (text.failed) {
        out->failed = true;
    } else {
        for (size_t i = 0; i < count; i++)
            pairs[i].text = (const char *)text.data;
        qsort(pairs, count, sizeof *pairs, compare_pairs);
        for (size_t i = 0; i < count; i++)
            buf_printf(out, "%s%s=%s", i ? "&" : "", pairs[i].text + pairs[i].name_off,
                       pairs[i].text + pairs[i].value_off);
    }
    buf_done(&text);
    buf_u8(out, '\n');
}

/* Without blanks at both ends, and one where there are several. */
static void add_trimmed(struct buf *out, const char *s)
{
    bool blank = false, any = false;
    for (; *s != '\0'; s++) {
        if (*s == ' ' || *s == '\t') {
            blank = any;
            continue;
        }
        if (blank)
            buf_u8(out, ' ');
        buf_u8(out, (uint8_t)*s);
        blank = false;
        any = true;
    }
}

static void add_header(struct buf *out, const struct sigv4_request *rq, const char *name,
                       size_t len)
{
    bool first = true;
    buf_bytes(out, name, len);
    buf_u8(out, ':');
    for (size_t i = 0; i < rq->header_count; i++) {
        const struct http_header *h = &rq->headers[i];
        if (strlen(h->name) != len || strncasecmp(h->name, name, len) != 0)
            continue;
        if (!first)
            buf_u8(out, ',');
        add_trimmed(out, h->value);
        first = false;
    }
    buf_u8(out, '\n');
}

static void add_text(struct buf *out, const char *s)
{
    buf_bytes(out, s, strlen(s));
}

static void canonical(struct buf *out, const struct sigv4_request *rq, bool in_query,
                      const char *signed_headers, const char *payload)
{
    add_text(out, rq->method);
    buf_u8(out, '\n');
    uri_encode(out, rq->path, strlen(rq->path), URI_SLASH_KEPT);
    buf_u8(out, '\n');
    add_query(out, rq->query, in_query);
    for (const char *s = signed_headers; *s != '\0';) {
        size_t len = strcspn(s, ";");
        add_header(out, rq, s, len);
        s += len + (s[len] == ';');
    }
    buf_u8(out, '\n');
    add_text(out, signed_headers);
    buf_u8(out, '\n');
    add_text(out, payload);
}

/* ret_signature is written also where memory ran out, which is answered. */
static status_t signature_of(const struct sigv4_request *rq, const struct sigv4_auth *a,
                             const uint8_t key[SHA256_BYTES], char ret_signature[SHA256_HEX_BYTES])
{
    struct buf text = {0};
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES], to_sign[512];
    canonical(&text, rq, a->in_query, a->signed_headers, a->payload);
    status_t st = text.failed ? ST_NOMEM : ST_OK;
    sha256_bytes(text.data, text.len, digest);
    sha256_hex(digest, hex);
    buf_done(&text);
    int len = snprintf(to_sign, sizeof to_sign, ALGORITHM "\n%s\n%s\n%s", a->time, a->scope, hex);
    hmac(key, SHA256_BYTES, to_sign, (size_t)len, digest);
    sha256_hex(digest, ret_signature);
    return st;
}

/* Reading */

static bool copy_part(char *to, size_t size, const char *from, size_t len)
{
    if (len >= size)
        return false;
    memcpy(to, from, len);
    to[len] = '\0';
    return true;
}

/* ACCESS_KEY/DAY/REGION/SERVICE/aws4_request */
static bool read_credential(const char *s, size_t len, struct sigv4_auth *a)
{
    const char *end = s + len, *slash = memchr(s, '/', len);
    if (!slash || slash == s ||
        !copy_part(a->access_key, sizeof a->access_key, s, (size_t)(slash - s)) ||
        !copy_part(a->scope, sizeof a->scope, slash + 1, (size_t)(end - slash - 1)))
        return false;
    const char *day = a->scope, *region = strchr(day, '/');
    const char *service = region ? strchr(region + 1, '/') : NULL;
    const char *last = service ? strchr(service + 1, '/') : NULL;
    return last && strcmp(last, "/aws4_request") == 0 && region - day == 8 &&
           copy_part(a->day, sizeof a->day, day, 8) &&
           copy_part(a->region, sizeof a->region, region + 1, (size_t)(service - region - 1)) &&
           copy_part(a->service, sizeof a->service, service + 1, (size_t)(last - service - 1));
}

static bool read_signature(const char *s, size_t len, struct sigv4_auth *a)
{
    if (len != SHA256_HEX_BYTES - 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
    }
    return copy_part(a->signature, sizeof a->signature, s, len);
}

static bool read_time(const char *text, struct sigv4_auth *a)
{
    return text && amz_date_parse(text, &a->time_s) == ST_OK &&
           copy_part(a->time, sizeof a->time, text, strlen(text)) &&
           memcmp(a->time, a->day, 8) == 0;
}

static enum sigv4_result read_header(const struct sigv4_request *rq, const char *s,
                                     struct sigv4_auth *a)
{
    unsigned found = 0;
    if (strncmp(s, ALGORITHM, strlen(ALGORITHM)) != 0 ||
        (s[strlen(ALGORITHM)] != ' ' && s[strlen(ALGORITHM)] != '\0'))
        return SIGV4_ALGORITHM;
    for (s += strlen(ALGORITHM); *s != '\0';) {
        s += strspn(s, ", ");
        size_t len = strcspn(s, ", "), name = strcspn(s, "=");
        bool ok = true;
        if (len == 0)
            break;
        if (name >= len)
            return SIGV4_MALFORMED;
        const char *value = s + name + 1;
        size_t value_len = len - name - 1;
        if (name == 10 && memcmp(s, "Credential", name) == 0) {
            ok = read_credential(value, value_len, a);
            found |= 1;
        } else if (name == 13 && memcmp(s, "SignedHeaders", name) == 0) {
            ok = copy_part(a->signed_headers, sizeof a->signed_headers, value, value_len);
            found |= 2;
        } else if (name == 9 && memcmp(s, "Signature", name) == 0) {
            ok = read_signature(value, value_len, a);
            found |= 4;
        }
        if (!ok)
            return SIGV4_MALFORMED;
        s += len;
    }
    const char *time = header(rq, "x-amz-date"), *date = header(rq, "date");
    char converted[AMZ_DATE_BYTES];
    uint64_t date_s;
    if (!time && date && http_date_parse(date, &date_s) == ST_OK) {
        amz_date_format(date_s, converted);
        time = converted;
    }
    if (found != 7 || !read_time(time, a))
        return SIGV4_MALFORMED;
    a->payload = header(rq, "x-amz-content-sha256");
    return a->payload ? SIGV4_OK : SIGV4_NO_PAYLOAD;
}

static enum sigv4_result read_query(const struct sigv4_request *rq, struct sigv4_auth *a)
{
    const char *credential = query_get(rq->query, "X-Amz-Credential");
    const char *headers = query_get(rq->query, "X-Amz-SignedHeaders");
    const char *signature = query_get(rq->query, "X-Amz-Signature");
    const char *expires = query_get(rq->query, "X-Amz-Expires");
    if (strcmp(query_get(rq->query, "X-Amz-Algorithm"), ALGORITHM) != 0)
        return SIGV4_ALGORITHM;
    a->in_query = true;
    if (!credential || !headers || !signature || !expires ||
        !read_credential(credential, strlen(credential), a) ||
        !copy_part(a->signed_headers, sizeof a->signed_headers, headers, strlen(headers)) ||
        !read_signature(signature, strlen(signature), a) ||
        !read_time(query_get(rq->query, "X-Amz-Date"), a) ||
        parse_u64(expires, SIGV4_EXPIRES_S_MAX, &a->expires_s) != ST_OK)
        return SIGV4_MALFORMED_URL;
    const char *payload = query_get(rq->query, "X-Amz-Content-Sha256");
    if (!payload)
        payload = header(rq, "x-amz-content-sha256");
    a->payload = payload ? payload : SIGV4_UNSIGNED;
    return SIGV4_OK;
}

enum sigv4_result sigv4_read(const struct sigv4_request *rq, struct sigv4_auth *ret_auth)
{
    const char *authorization = header(rq, "authorization");
    memset(ret_auth, 0, sizeof *ret_auth);
    if (authorization)
        return read_header(rq, authorization, ret_auth);
    if (rq->query && query_get(rq->query, "X-Amz-Algorithm"))
        return read_query(rq, ret_auth);
    if (rq->query && query_get(rq->query, "AWSAccessKeyId"))
        return sigv2_read(rq, ret_auth);
    return SIGV4_ANONYMOUS;
}

/* Verifying */

static bool is_signed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *s = list; *s != '\0';) {
        size_t n = strcspn(s, ";");
        if (n == len && strncasecmp(s, name, n) == 0)
            return true;
        s += n + (s[n] == ';');
    }
    return false;
}

/* What decides about the meaning of a request must not be added by someone else. */
static bool all_signed(const struct sigv4_request *rq, const struct sigv4_auth *a)
{
    bool ok = is_signed(a->signed_headers, "host");
    for (size_t i = 0; i < rq->header_count; i++) {
        const char *name = rq->headers[i].name;
        if (strncasecmp(name, "x-amz-", 6) == 0 && strcasecmp(name, "x-amz-content-sha256") != 0)
            ok = ok && is_signed(a->signed_headers, name);
    }
    return ok;
}

enum sigv4_result sigv4_verify(const struct sigv4_request *rq, const struct sigv4_auth *auth,
                               const char *secret, uint64_t now_s, struct sigv4_chain *ret_chain)
{
    uint8_t key[SHA256_BYTES];
    char want[SHA256_HEX_BYTES];
    if (auth->version2)
        return sigv2_verify(rq, auth, secret, now_s);
    signing_key(secret, auth->day, auth->region, auth->service, key);
    if (signature_of(rq, auth, key, want) != ST_OK)
        return SIGV4_MALFORMED;
    if (!same_signature(want, auth->signature))
        return SIGV4_MISMATCH;
    if (auth->in_query) {
        if (auth->time_s > now_s + SIGV4_SKEW_S)
            return SIGV4_NOT_YET;
        if (now_s > auth->time_s + auth->expires_s)
            return SIGV4_EXPIRED;
    } else if (auth->time_s > now_s + SIGV4_SKEW_S || now_s > auth->time_s + SIGV4_SKEW_S) {
        return SIGV4_SKEWED;
    }
    if (!all_signed(rq, auth))
        return SIGV4_NOT_SIGNED;
    if (ret_chain) {
        memcpy(ret_chain->key, key, sizeof key);
        memcpy(ret_chain->scope, auth->scope, sizeof ret_chain->scope);
        memcpy(ret_chain->time, auth->time, sizeof ret_chain->time);
        memcpy(ret_chain->previous, want, sizeof want);
    }
    return SIGV4_OK;
}

enum sigv4_result sigv4_verify_text(const char *credential, const char *time, const char *secret,
                                    const char *text, const char *signature)
{
    struct sigv4_auth a = {0};
    uint8_t key[SHA256_BYTES], digest[SHA256_BYTES];
    char want[SHA256_HEX_BYTES];
    if (!read_credential(credential, strlen(credential), &a) || !read_time(time, &a) ||
        strcmp(a.service, "s3") != 0 || !read_signature(signature, strlen(signature), &a))
        return SIGV4_MALFORMED;
    signing_key(secret, a.day, a.region, a.service, key);
    hmac(key, SHA256_BYTES, text, strlen(text), digest);
    sha256_hex(digest, want);
    return same_signature(want, a.signature) ? SIGV4_OK : SIGV4_MISMATCH;
}

static bool chain_step(struct sigv4_chain *c, const char *to_sign, int len, const char *signature)
{
    uint8_t digest[SHA256_BYTES];
    char want[SHA256_HEX_BYTES], given[SHA256_HEX_BYTES] = "";
    hmac(c->key, SHA256_BYTES, to_sign, (size_t)len, digest);
    sha256_hex(digest, want);
    if (!copy_part(given, sizeof given, signature, strlen(signature)) ||
        !same_signature(want, given))
        return false;
    memcpy(c->previous, want, sizeof want);
    return true;
}

bool sigv4_chunk(struct sigv4_chain *c, const uint8_t digest[SHA256_BYTES], const char *signature)
{
    char hex[SHA256_HEX_BYTES], to_sign[640];
    sha256_hex(digest, hex);
    int len = snprintf(to_sign, sizeof to_sign,
                       ALGORITHM "-PAYLOAD\n%s\n%s\n%s\n" EMPTY_HASH "\n%s", c->time, c->scope,
                       c->previous, hex);
    return chain_step(c, to_sign, len, signature);
}

bool sigv4_trailer(struct sigv4_chain *c, const char *lines, size_t lines_len,
                   const char *signature)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES], to_sign[640];
    sha256_bytes(lines, lines_len, digest);
    sha256_hex(digest, hex);
    int len = snprintf(to_sign, sizeof to_sign, ALGORITHM "-TRAILER\n%s\n%s\n%s\n%s", c->time,
                       c->scope, c->previous, hex);
    return chain_step(c, to_sign, len, signature);
}

/* Signing */

static int compare_names(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

static bool list_headers(const struct sigv4_request *rq, char *to, size_t size)
{
    const char *names[HTTP_HEADERS_MAX];
    size_t at = 0;
    if (rq->header_count > HTTP_HEADERS_MAX)
        return false;
    for (size_t i = 0; i < rq->header_count; i++)
        names[i] = rq->headers[i].name;
    qsort(names, rq->header_count, sizeof *names, compare_names);
    for (size_t i = 0; i < rq->header_count; i++) {
        if (i > 0 && strcasecmp(names[i], names[i - 1]) == 0)
            continue;
        if (at + strlen(names[i]) + 2 > size)
            return false;
        if (i > 0)
            to[at++] = ';';
        for (const char *s = names[i]; *s != '\0'; s++)
            to[at++] = (char)(*s >= 'A' && *s <= 'Z' ? *s + ('a' - 'A') : *s);
    }
    to[at] = '\0';
    return true;
}

status_t sigv4_sign(const struct sigv4_request *rq, const struct sigv4_identity *who,
                    const char *payload, struct buf *out)
{
    struct sigv4_auth a = {.payload = payload};
    const char *time = header(rq, "x-amz-date");
    uint8_t key[SHA256_BYTES];
    if (!time || amz_date_parse(time, &a.time_s) != ST_OK ||
        !list_headers(rq, a.signed_headers, sizeof a.signed_headers))
        return ST_INVAL;
    memcpy(a.time, time, sizeof a.time);
    memcpy(a.day, time, 8);
    int len = snprintf(a.scope, sizeof a.scope, "%s/%s/%s/aws4_request", a.day, who->region,
                       who->service);
    if (len < 0 || (size_t)len >= sizeof a.scope)
        return ST_INVAL;
    signing_key(who->secret, a.day, who->region, who->service, key);
    if (signature_of(rq, &a, key, a.signature) != ST_OK)
        return ST_NOMEM;
    buf_printf(out, ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s", who->access_key,
               a.scope, a.signed_headers, a.signature);
    return out->failed ? ST_NOMEM : ST_OK;
}
