#include <string.h>

#include "geds/s3/config.h"
#include "s3.h"

/* Configurations of a bucket that are kept as they came, once they were found to be right. */

static const struct document {
    const char *query;
    const char *section;
    enum s3_code missing;
    unsigned stored; /* status of a PUT */
    bool json;
} documents[] = {{"policy", "s3.policy", S3_NO_POLICY, 204, true},
                 {"cors", "s3.cors", S3_NO_CORS, 200, false},
                 {"lifecycle", "s3.lifecycle", S3_NO_LIFECYCLE, 200, false},
                 {"tagging", "s3.tagging", S3_NO_TAGS, 204, false},
                 {"object-lock", "s3.object-lock", S3_NO_LOCK, 200, false}};

static const struct document *document_of(const struct s3_call *c)
{
    const struct document *d = documents;
    while (strcmp(d->query, c->route->query) != 0)
        d++;
    return d;
}

void s3_document_get(struct s3_call *c)
{
    const struct document *d = document_of(c);
    const char *text = NULL;
    size_t len = 0;
    char *config = NULL;
    struct buf body = {0};
    status_t st = s3_store(c)->bucket_stat(c->s->o.store, c->bucket, NULL, &config, &c->err);
    if (st == ST_OK)
        st = config_get(config, d->section, &text, &len, &c->err);
    if (st == ST_OK && text)
        buf_bytes(&body, text, len);
    free(config);
    if (st != ST_OK || !text) {
        s3_fail(c, st != ST_OK ? s3_code_of(c, st) : d->missing);
        return;
    }
    http_reply_header(c->rq, "Content-Type", d->json ? "application/json" : "application/xml");
    http_reply(c->rq, 200, &body);
}

static enum s3_code code_of_document(const struct s3_call *c, status_t st)
{
    if (st == ST_UNSUPPORTED)
        return S3_NOT_IMPLEMENTED;
    if (st == ST_INVALID)
        return S3_INVALID_REQUEST;
    return st == ST_FORMAT || st == ST_LIMIT ? S3_MALFORMED_XML : s3_code_of(c, st);
}

static enum s3_code check_tags(struct s3_call *c)
{
    struct buf text = {0};
    enum s3_code code = s3_tags_document(c, S3_BUCKET_TAGS_MAX, &text);
    buf_done(&text);
    return code;
}

/* S3_OK: it may be kept. c->err says what is wrong. */
static enum s3_code check(struct s3_call *c, const struct document *d)
{
    struct arena arena = {0};
    struct policy *policy;
    struct cors *cors;
    struct lifecycle *lifecycle;
    struct s3_lock_rule rule;
    enum s3_code code;
    c->err = (struct error){0};
    if (d->json) {
        status_t st = policy_read((const char *)c->xml.data, c->xml.len, c->bucket, &arena, &policy,
                                  &c->err);
        code = st == ST_FORMAT || st == ST_INVALID || st == ST_LIMIT ? S3_MALFORMED_POLICY
                                                                     : code_of_document(c, st);
    } else if (d->missing == S3_NO_CORS) {
        code = code_of_document(c, cors_read(c->xml.data, c->xml.len, &arena, &cors, &c->err));
    } else if (d->missing == S3_NO_LIFECYCLE) {
        code = code_of_document(
            c, lifecycle_read(c->xml.data, c->xml.len, &arena, &lifecycle, &c->err));
    } else if (d->missing == S3_NO_TAGS) {
        code = check_tags(c);
    } else {
        code = s3_lock_read(c->xml.data, c->xml.len, &arena, &rule, &c->err);
        if (code == S3_OK && c->conf && !c->conf->lock.enabled && !c->conf->lock_broken)
            code = S3_INVALID_BUCKET_STATE; /* it is turned on when a bucket is made */
    }
    arena_done(&arena);
    return code;
}

void s3_document_put(struct s3_call *c)
{
    const struct document *d = document_of(c);
    enum s3_code code = check(c, d);
    if (code != S3_OK && code != S3_INTERNAL && c->err.text[0] != '\0') {
        s3_fail_with(c, code, c->err.text);
        return;
    }
    if (code == S3_OK)
        code = s3_config_change(c, d->section, (const char *)c->xml.data, c->xml.len);
    if (code != S3_OK)
        s3_fail(c, code == S3_INVALID_ARGUMENT ? S3_ENTITY_TOO_LARGE : code);
    else
        http_reply(c->rq, d->stored, NULL);
}

void s3_document_delete(struct s3_call *c)
{
    enum s3_code code = s3_config_change(c, document_of(c)->section, NULL, 0);
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 204, NULL);
}

/* Is there a statement by which everybody may read? */
void s3_policy_status(struct s3_call *c)
{
    struct buf xml = {0};
    if (!c->conf->policy) {
        s3_fail(c, c->conf->found ? S3_NO_POLICY : S3_NO_SUCH_BUCKET);
        return;
    }
    const struct policy_request rq = {
        .action = "s3:GetObject", .bucket = c->bucket, .key = "any key"};
    s3_xml_begin(&xml, "PolicyStatus");
    xml_element(&xml, "IsPublic",
                policy_decide(c->conf->policy, &rq) == POLICY_ALLOWS ? "true" : "false");
    buf_printf(&xml, "</PolicyStatus>");
    s3_reply_xml(c, &xml);
}

/* Pages of other origins */

static void reply_list(struct s3_call *c, const char *name, const char *const *values, size_t count)
{
    struct buf text = {0};
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s%s", i > 0 ? ", " : "", values[i]);
    buf_u8(&text, 0);
    if (count > 0 && !text.failed)
        http_reply_header(c->rq, name, (const char *)text.data);
    buf_done(&text);
}

static void reply_rule(struct s3_call *c, const struct cors_rule *r, const char *origin, bool any)
{
    http_reply_header(c->rq, "Access-Control-Allow-Origin", any ? "*" : origin);
    if (!any)
        http_reply_header(c->rq, "Access-Control-Allow-Credentials", "true");
    reply_list(c, "Access-Control-Allow-Methods", r->methods, r->method_count);
    reply_list(c, "Access-Control-Expose-Headers", r->exposed, r->exposed_count);
    if (r->max_age_s)
        http_reply_header(c->rq, "Access-Control-Max-Age", r->max_age_s);
    http_reply_header(c->rq, "Vary",
                      "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
}

void s3_cors_reply(struct s3_call *c)
{
    const char *origin = http_header(c->rq, "Origin");
    bool any = false;
    if (!origin || !c->conf || !c->conf->cors)
        return;
    const struct cors_rule *r = cors_find(c->conf->cors, origin, http_method(c->rq), NULL, &any);
    if (r)
        reply_rule(c, r, origin, any);
}

void s3_preflight(struct s3_call *c)
{
    const char *origin = http_header(c->rq, "Origin");
    const char *method = http_header(c->rq, "Access-Control-Request-Method");
    const char *headers = http_header(c->rq, "Access-Control-Request-Headers");
    const struct cors_rule *r = NULL;
    bool any = false;
    if (!origin || !method) {
        s3_fail(c, S3_BAD_ORIGIN);
        return;
    }
    if (c->conf && c->conf->cors)
        r = cors_find(c->conf->cors, origin, method, headers, &any);
    else if (c->conf && c->conf->found) {
        s3_fail_with(c, S3_ACCESS_FORBIDDEN, "CORSResponse: CORS is not enabled for this bucket.");
        return;
    }
    if (!r) {
        s3_fail(c, S3_ACCESS_FORBIDDEN);
        return;
    }
    reply_rule(c, r, origin, any);
    if (headers)
        http_reply_header(c->rq, "Access-Control-Allow-Headers", headers);
    http_reply(c->rq, 200, NULL);
}
