#include <jansson.h>
#include <string.h>

#include "base/parse.h"
#include "net/http_date.h"
#include "s3.h"

/* POST of an object by a form of a page: who wrote the page has signed a policy that says what the form may have. */

enum { POST_POLICY_BYTES_MAX = 20 * 1024, POST_CONDITIONS_MAX = 100 };

struct s3_post {
    struct form form;
    uint64_t least, most; /* bytes of the file */
    uint64_t bytes;
    enum s3_code code; /* why the sink ended it */
    struct s3_sum sum; /* of the file */
    const char *sum_given;
};

/* Anything but a field: what it is about is known by its name. */
static bool is_free(const char *name)
{
    return strcasecmp(name, "policy") == 0 || strcasecmp(name, "x-amz-signature") == 0 ||
           strcasecmp(name, "signature") == 0 || strcasecmp(name, "AWSAccessKeyId") == 0 ||
           strcasecmp(name, "file") == 0 || strncasecmp(name, "x-ignore-", 9) == 0;
}

static const char *value_of(const struct s3_call *c, const char *name)
{
    if (strcasecmp(name, "bucket") == 0)
        return c->bucket;
    return strcasecmp(name, "key") == 0 ? c->key : form_get(&c->post->form, name);
}

static enum s3_code refuse(struct s3_call *c, const char *what, const char *name)
{
    error_set(&c->err, ST_PERM, ERROR_NO_OFFSET, "Invalid according to Policy: %s: %.100s", what,
              name);
    return S3_ACCESS_DENIED;
}

/* eq or starts-with of a field; named: the fields that some condition is about. */
static enum s3_code check_field(struct s3_call *c, bool whole, const char *name, const char *want,
                                const char **named, size_t *count)
{
    const char *value = value_of(c, name);
    bool ok = value && (whole ? strcmp(value, want) == 0 : strncmp(value, want, strlen(want)) == 0);
    if (*count == POST_CONDITIONS_MAX)
        return S3_MALFORMED_POST;
    named[(*count)++] = name;
    if (!ok && !whole && *want == '\0') /* anything, also nothing */
        ok = true;
    if (!ok && whole && strcasecmp(name, "key") == 0) /* one that has ${filename} */
        ok = strcmp(form_get(&c->post->form, name), want) == 0;
    return ok ? S3_OK : refuse(c, "Policy Condition failed", name);
}

static enum s3_code check_list(struct s3_call *c, const json_t *v, const char **named,
                               size_t *count)
{
    const char *kind = json_string_value(json_array_get(v, 0));
    const json_t *a = json_array_get(v, 1), *b = json_array_get(v, 2);
    if (!kind || json_array_size(v) != 3)
        return S3_MALFORMED_POST;
    if (strcasecmp(kind, "content-length-range") == 0) {
        if (!json_is_integer(a) || !json_is_integer(b) || json_integer_value(a) < 0 ||
            json_integer_value(b) < 0)
            return S3_MALFORMED_POST;
        uint64_t least = (uint64_t)json_integer_value(a), most = (uint64_t)json_integer_value(b);
        c->post->least = least > c->post->least ? least : c->post->least;
        c->post->most = most < c->post->most ? most : c->post->most;
        return S3_OK;
    }
    const char *field = json_string_value(a), *want = json_string_value(b);
    bool whole = strcasecmp(kind, "eq") == 0;
    if (!field || *field != '$' || !want || (!whole && strcasecmp(kind, "starts-with") != 0))
        return S3_MALFORMED_POST;
    return check_field(c, whole, field + 1, want, named, count);
}

static enum s3_code check_object(struct s3_call *c, json_t *v, const char **named, size_t *count)
{
    const char *name;
    json_t *value;
    enum s3_code code = json_object_size(v) == 1 ? S3_OK : S3_MALFORMED_POST;
    json_object_foreach(v, name, value)
    {
        if (!json_string_value(value))
            return S3_MALFORMED_POST;
        if (code == S3_OK)
            code = check_field(c, true, name, json_string_value(value), named, count);
    }
    return code;
}

static enum s3_code check_conditions(struct s3_call *c, const json_t *root)
{
    const char *expiration = json_string_value(json_object_get(root, "expiration"));
    const json_t *conditions = json_object_get(root, "conditions");
    const char *named[POST_CONDITIONS_MAX];
    size_t count = 0;
    uint64_t until_s;
    enum s3_code code = S3_OK;
    if (!json_is_array(conditions) || !expiration || iso_date_parse(expiration, &until_s) != ST_OK)
        return S3_MALFORMED_POST;
    if (until_s < c->s->o.now_ns() / 1000000000)
        return refuse(c, "Policy expired", expiration);
    for (size_t i = 0; i < json_array_size(conditions) && code == S3_OK; i++) {
        json_t *v = json_array_get(conditions, i);
        code = json_is_array(v)    ? check_list(c, v, named, &count)
               : json_is_object(v) ? check_object(c, v, named, &count)
                                   : S3_MALFORMED_POST;
    }
    for (size_t i = 0; i < c->post->form.count && code == S3_OK; i++) {
        const char *name = c->post->form.fields[i].name;
        bool found = is_free(name);
        for (size_t k = 0; k < count && !found; k++)
            found = strcasecmp(named[k], name) == 0;
        if (!found)
            code = refuse(c, "Extra input fields", name);
    }
    return code;
}

static enum s3_code check_policy(struct s3_call *c, const char *encoded)
{
    size_t len = strlen(encoded), bytes = len / 4 * 3;
    json_error_t why;
    if (len == 0 || len % 4 != 0 || bytes > POST_POLICY_BYTES_MAX)
        return S3_MALFORMED_POST;
    bytes -= (size_t)(encoded[len - 1] == '=') + (size_t)(encoded[len - 2] == '=');
    char *text = arena_alloc(&c->arena, bytes + 1, 1);
    if (!text)
        return S3_UNAVAILABLE;
    if (base64_decode(encoded, bytes, text) != ST_OK)
        return S3_MALFORMED_POST;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    enum s3_code code = root ? check_conditions(c, root) : S3_MALFORMED_POST;
    json_decref(root);
    return code;
}

/* The policy's text is what is signed, by version 2 where it has a field of that. */
static enum s3_code check_signature(struct s3_call *c, const char *policy)
{
    const struct form *f = &c->post->form;
    const char *old = form_get(f, "AWSAccessKeyId"), *date = form_get(f, "x-amz-date");
    const char *algorithm = old ? NULL : form_get(f, "x-amz-algorithm");
    const char *credential = old ? old : form_get(f, "x-amz-credential");
    const char *signature = form_get(f, old ? "signature" : "x-amz-signature");
    char access[SIGV4_ACCESS_KEY_BYTES_MAX + 1];
    if (!credential || !signature ||
        (!old && (!date || !algorithm || strcmp(algorithm, "AWS4-HMAC-SHA256") != 0)))
        return S3_INVALID_ARGUMENT;
    size_t len = old ? strlen(old) : strcspn(credential, "/");
    if (len >= sizeof access)
        return S3_INVALID_ARGUMENT;
    memcpy(access, credential, len);
    access[len] = '\0';
    const char *secret = c->s->o.secret_of(c->s->o.ctx, access);
    if (!secret)
        return S3_INVALID_ACCESS_KEY;
    enum sigv4_result r = old ? sigv2_verify_text(secret, policy, signature)
                              : sigv4_verify_text(credential, date, secret, policy, signature);
    if (r != SIGV4_OK)
        return r == SIGV4_MISMATCH ? S3_SIGNATURE : S3_INVALID_ARGUMENT;
    s3_set_user(c, access);
    return S3_OK;
}

/* ${filename} in it becomes what the client calls the file, without folders. */
static enum s3_code make_key(struct s3_call *c)
{
    static const char variable[] = "${filename}";
    const char *key = form_get(&c->post->form, "key"), *file = c->post->form.file_name;
    struct buf text = {0};
    if (!key || *key == '\0')
        return S3_INVALID_ARGUMENT;
    file = file ? file : "";
    for (const char *s = file; *s != '\0'; s++)
        file = *s == '/' || *s == '\\' ? s + 1 : file;
    const char *found = strstr(key, variable);
    buf_printf(&text, "%.*s%s%s", (int)(found ? (size_t)(found - key) : strlen(key)), key,
               found ? file : "", found ? found + strlen(variable) : "");
    c->key = text.failed ? NULL : arena_strndup(&c->arena, (const char *)text.data, text.len);
    buf_done(&text);
    if (!c->key) {
        c->key = "";
        return S3_UNAVAILABLE;
    }
    return *c->key == '\0' ? S3_INVALID_ARGUMENT : s3_check_key(c->key);
}

/* The checksum of the file, where a field has one. */
static enum s3_code read_sum(struct s3_call *c, struct s3_attributes *a)
{
    struct s3_post *p = c->post;
    const char *named = form_get(&p->form, S3_CHECKSUM_ALGORITHM);
    enum s3_algorithm found = S3_SUM_NONE;
    for (int k = S3_SUM_CRC32; k < S3_SUM_COUNT; k++) {
        const char *given = form_get(&p->form, s3_sum_header((enum s3_algorithm)k));
        if (!given)
            continue;
        if (found != S3_SUM_NONE || !s3_sum_is_text((enum s3_algorithm)k, given))
            return S3_INVALID_REQUEST;
        found = (enum s3_algorithm)k;
        p->sum_given = given;
    }
    if (named && (found == S3_SUM_NONE || s3_sum_by_name(named) != found))
        return S3_INVALID_REQUEST;
    s3_sum_init(&p->sum, found, &c->s->crc);
    if (found == S3_SUM_NONE)
        return S3_OK;
    return s3_attribute_set(a, s3_sum_header(found), p->sum_given) &&
                   s3_attribute_set(a, S3_CHECKSUM_TYPE, "FULL_OBJECT")
               ? S3_OK
               : S3_INVALID_ARGUMENT;
}

static bool is_sum(struct s3_post *p)
{
    char text[S3_SUM_TEXT_BYTES];
    if (p->sum.algorithm == S3_SUM_NONE)
        return true;
    s3_sum_final(&p->sum, text);
    return strcmp(text, p->sum_given) == 0;
}

/* Tags of a form are a document. */
static enum s3_code read_tags(struct s3_call *c, struct s3_attributes *a)
{
    const char *given = form_get(&c->post->form, "tagging"), *kept = NULL;
    struct buf text = {0};
    if (!given)
        return S3_OK;
    enum s3_code code = s3_tags_document(c, given, strlen(given), S3_TAGS_MAX, &text);
    if (code == S3_OK) {
        kept = arena_strndup(&c->arena, (const char *)text.data, strlen((const char *)text.data));
        code = kept ? S3_OK : S3_UNAVAILABLE;
    }
    buf_done(&text);
    if (code == S3_OK && *kept != '\0') {
        code = s3_may(c, c->key, STORE_VERSION_CURRENT, "s3:PutObjectTagging");
        if (code == S3_OK && !s3_attribute_set(a, S3_TAGGING, kept))
            code = S3_INVALID_ARGUMENT;
    }
    return code;
}

static enum s3_code start_file(struct s3_call *c)
{
    const char *policy = form_get(&c->post->form, "policy");
    struct s3_attributes attributes;
    enum s3_code code = form_get(&c->post->form, "Content-MD5") ? S3_NOT_IMPLEMENTED : make_key(c);
    if (code == S3_OK && policy)
        code = check_signature(c, policy);
    if (code == S3_OK && policy)
        code = check_policy(c, policy);
    if (code == S3_OK)
        code = s3_may(c, c->key, STORE_VERSION_CURRENT, "s3:PutObject");
    if (code == S3_OK)
        code = s3_attributes_read(c, &attributes);
    if (code == S3_OK)
        code = read_tags(c, &attributes);
    if (code == S3_OK)
        code = read_sum(c, &attributes);
    if (code != S3_OK)
        return code;
    struct store_attributes a = s3_attributes_for_store(&attributes);
    code = s3_code_of(
        c, s3_store(c)->put_begin(c->s->o.store, c->bucket, c->key, &a, &c->put, &c->err));
    return code == S3_OK ? s3_encryption_of_put(c) : code;
}

static status_t on_file(void *arg)
{
    struct s3_call *c = arg;
    c->post->code = start_file(c);
    return c->post->code == S3_OK ? ST_OK : ST_PERM;
}

static status_t on_data(void *arg, const uint8_t *data, size_t len)
{
    struct s3_call *c = arg;
    c->post->bytes += len;
    s3_sum_update(&c->post->sum, data, len);
    c->post->code = c->post->bytes > c->post->most
                        ? S3_ENTITY_TOO_LARGE
                        : s3_code_of(c, s3_store(c)->put_write(c->put, data, len, &c->err));
    return c->post->code == S3_OK ? ST_OK : ST_PERM;
}

bool s3_is_post(const struct s3_call *c)
{
    const char *type = http_header(c->rq, "Content-Type");
    return strcmp(http_method(c->rq), "POST") == 0 && *c->bucket != '\0' && *c->key == '\0' &&
           type && strncasecmp(type, "multipart/form-data", 19) == 0;
}

enum s3_code s3_post_begin(struct s3_call *c)
{
    c->post = calloc(1, sizeof *c->post);
    if (!c->post)
        return S3_UNAVAILABLE;
    c->post->most = S3_PUT_BYTES_MAX;
    return form_init(&c->post->form, http_header(c->rq, "Content-Type")) == ST_OK
               ? S3_OK
               : S3_MALFORMED_POST;
}

enum s3_code s3_post_take(struct s3_call *c, const uint8_t *data, size_t len)
{
    const struct form_sink sink = {.arg = c, .file = on_file, .data = on_data};
    status_t st = form_feed(&c->post->form, data, len, &sink);
    if (st == ST_OK || c->post->code != S3_OK)
        return c->post->code;
    return st == ST_NOMEM ? S3_UNAVAILABLE : S3_MALFORMED_POST;
}

void s3_post_free(struct s3_post *p)
{
    if (p) {
        form_done(&p->form);
        free(p);
    }
}

const struct form *s3_post_form(const struct s3_post *p)
{
    return &p->form;
}

static void reply_created(struct s3_call *c, const struct store_info *info, const char *location)
{
    struct buf xml = {0};
    buf_printf(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse>");
    xml_element(&xml, "Location", location);
    xml_element(&xml, "Bucket", c->bucket);
    xml_element(&xml, "Key", c->key);
    s3_xml_etag(&xml, info->etag);
    buf_printf(&xml, "</PostResponse>");
    http_reply_header(c->rq, "Content-Type", "application/xml");
    http_reply(c->rq, 201, &xml);
}

/* Back to the page's next one; only where a browser can go. */
static bool reply_redirect(struct s3_call *c, const struct store_info *info, const char *to)
{
    struct buf text = {0};
    if (!to || (strncmp(to, "http://", 7) != 0 && strncmp(to, "https://", 8) != 0))
        return false;
    buf_printf(&text, "%s%sbucket=%s&key=", to, strchr(to, '?') ? "&" : "?", c->bucket);
    uri_encode(&text, c->key, strlen(c->key), URI_SLASH_ENCODED);
    buf_printf(&text, "&etag=%%22%s%%22", info->etag);
    buf_u8(&text, 0);
    bool ok = !text.failed;
    if (ok) {
        http_reply_header(c->rq, "Location", (const char *)text.data);
        http_reply(c->rq, 303, NULL);
    }
    buf_done(&text);
    return ok;
}

static void reply(struct s3_call *c, const struct store_info *info)
{
    const struct form *f = &c->post->form;
    const char *status = form_get(f, "success_action_status");
    const char *to = form_get(f, "success_action_redirect");
    struct buf location = {0};
    s3_reply_etag(c, info->etag);
    s3_reply_version(c, info);
    if (reply_redirect(c, info, to ? to : form_get(f, "redirect")))
        return;
    s3_location(c, &location);
    const char *where = location.failed ? "" : (const char *)location.data;
    http_reply_header(c->rq, "Location", where);
    if (status && strcmp(status, "201") == 0)
        reply_created(c, info, where);
    else
        http_reply(c->rq, status && strcmp(status, "200") == 0 ? 200 : 204, NULL);
    buf_done(&location);
}

void s3_post_finish(struct s3_call *c)
{
    struct store_info info;
    if (c->post->form.state != FORM_END || !c->put) {
        s3_fail(c, S3_MALFORMED_POST);
        return;
    }
    if (c->post->bytes < c->post->least) {
        s3_fail(c, S3_TOO_SMALL);
        return;
    }
    if (!is_sum(c->post)) {
        s3_fail(c, S3_BAD_CHECKSUM);
        return;
    }
    struct store_put *put = c->put;
    s3_reply_encryption(c, s3_store(c)->put_is_encrypted(put));
    c->put = NULL;
    status_t st = s3_store(c)->put_commit(put, NULL, &info, &c->err);
    if (st != ST_OK)
        s3_fail_status(c, st);
    else
        reply(c, &info);
}
