#include <string.h>

#include "base/parse.h"
#include "net/http_date.h"
#include "s3.h"

#define DAY_S UINT64_C(86400)
enum { LOCK_DAYS_MAX = 36500, LOCK_YEARS_MAX = 100 };

static enum s3_code read_mode(const char *mode, bool *ret_compliance)
{
    *ret_compliance = mode && strcmp(mode, "COMPLIANCE") == 0;
    return *ret_compliance || (mode && strcmp(mode, "GOVERNANCE") == 0) ? S3_OK : S3_MALFORMED_XML;
}

enum s3_code s3_lock_read(const void *data, size_t len, struct arena *arena,
                          struct s3_lock_rule *ret_rule, struct error *err)
{
    struct xml_node *root;
    struct s3_lock_rule rule = {0};
    uint64_t number = 0;
    if (xml_read(data, len, arena, &root, err) != ST_OK ||
        strcmp(root->name, "ObjectLockConfiguration") != 0)
        return S3_MALFORMED_XML;
    const char *enabled = xml_text(root, "ObjectLockEnabled");
    if (!enabled || strcmp(enabled, "Enabled") != 0)
        return S3_MALFORMED_XML;
    rule.enabled = true;
    const struct xml_node *outer = xml_child(root, "Rule");
    const struct xml_node *n = outer ? xml_child(outer, "DefaultRetention") : NULL;
    if (outer && !n)
        return S3_MALFORMED_XML;
    if (n) {
        const char *days = xml_text(n, "Days"), *years = xml_text(n, "Years");
        enum s3_code code = read_mode(xml_text(n, "Mode"), &rule.compliance);
        if (code != S3_OK || !days == !years)
            return S3_MALFORMED_XML;
        if (parse_u64(days ? days : years, days ? LOCK_DAYS_MAX : LOCK_YEARS_MAX, &number) !=
                ST_OK ||
            number == 0)
            return S3_INVALID_PERIOD;
        rule.has_default = true;
        rule.seconds = number * DAY_S * (days ? 1 : 365);
    }
    *ret_rule = rule;
    return S3_OK;
}

/* What new objects get */

static enum s3_code set_until(struct s3_call *c, struct s3_attributes *a, bool compliance,
                              uint64_t until_s)
{
    char text[ISO_DATE_BYTES];
    iso_date_format(until_s * 1000000000, text);
    const char *kept = arena_strndup(&c->arena, text, strlen(text));
    if (!kept)
        return S3_UNAVAILABLE;
    return s3_attribute_set(a, S3_LOCK_MODE, compliance ? "COMPLIANCE" : "GOVERNANCE") &&
                   s3_attribute_set(a, S3_LOCK_UNTIL, kept)
               ? S3_OK
               : S3_INVALID_ARGUMENT;
}

static enum s3_code read_until(struct s3_call *c, const char *text, uint64_t *ret_until_s)
{
    uint64_t until_s;
    if (iso_date_parse(text, &until_s) != ST_OK || until_s > UINT64_MAX / 1000000000 ||
        until_s <= c->s->o.now_ns() / 1000000000)
        return S3_INVALID_ARGUMENT;
    *ret_until_s = until_s;
    return S3_OK;
}

enum s3_code s3_lock_attributes(struct s3_call *c, struct s3_attributes *a)
{
    const char *mode = s3_given(c, S3_LOCK_MODE), *until = s3_given(c, S3_LOCK_UNTIL);
    const char *hold = s3_given(c, S3_LOCK_HOLD);
    const struct s3_lock_rule *rule = c->conf ? &c->conf->lock : NULL;
    bool compliance = false;
    uint64_t until_s = 0;
    enum s3_code code = S3_OK;
    if ((mode || until || hold) && (!rule || !rule->enabled))
        return S3_INVALID_REQUEST;
    if (hold && strcmp(hold, "ON") != 0 && strcmp(hold, "OFF") != 0)
        return S3_INVALID_ARGUMENT;
    if (!mode != !until)
        return S3_INVALID_ARGUMENT;
    if (mode) {
        code = read_mode(mode, &compliance) == S3_OK ? read_until(c, until, &until_s)
                                                     : S3_INVALID_ARGUMENT;
        if (code == S3_OK)
            code = s3_may(c, c->key, STORE_VERSION_CURRENT, "s3:PutObjectRetention");
        if (code == S3_OK)
            code = set_until(c, a, compliance, until_s);
    } else if (rule && rule->has_default) {
        code = set_until(c, a, rule->compliance, c->s->o.now_ns() / 1000000000 + rule->seconds);
    }
    if (code == S3_OK && hold)
        code = s3_may(c, c->key, STORE_VERSION_CURRENT, "s3:PutObjectLegalHold");
    if (code == S3_OK && hold && !s3_attribute_set(a, S3_LOCK_HOLD, hold))
        code = S3_INVALID_ARGUMENT;
    return code;
}

/* Who may remove */

struct s3_lock_asker s3_lock_asker_of(struct s3_call *c, const char *key, uint64_t version)
{
    const char *bypass = http_header(c->rq, "x-amz-bypass-governance-retention");
    return (struct s3_lock_asker){
        .now_s = c->s->o.now_ns() / 1000000000,
        .bypass = bypass && strcasecmp(bypass, "true") == 0 &&
                  s3_may(c, key, version, "s3:BypassGovernanceRetention") == S3_OK};
}

static bool is_retained(const struct store_attributes *a, uint64_t now_s, bool *ret_compliance)
{
    const char *mode = s3_attribute_get(a, S3_LOCK_MODE),
               *text = s3_attribute_get(a, S3_LOCK_UNTIL);
    uint64_t until_s = UINT64_MAX; /* one that cannot be read does not end */
    *ret_compliance = mode && strcmp(mode, "COMPLIANCE") == 0;
    if (!mode || !text)
        return false;
    if (iso_date_parse(text, &until_s) != ST_OK)
        until_s = UINT64_MAX;
    return now_s < until_s;
}

static bool is_held(const struct store_attributes *a)
{
    const char *hold = s3_attribute_get(a, S3_LOCK_HOLD);
    return hold && strcmp(hold, "ON") == 0;
}

bool s3_lock_may_remove(void *arg, const struct store_info *info, const struct store_attributes *a,
                        bool newest)
{
    (void)newest;
    struct s3_lock_asker *asker = arg;
    bool compliance;
    bool retained = !info->marker && is_retained(a, asker->now_s, &compliance);
    bool ok = !is_held(a) && (!retained || (asker->bypass && !compliance));
    asker->refused = asker->refused || !ok;
    return ok;
}

/* Retention of an object. */

static bool lock_is_on(struct s3_call *c)
{
    if (c->conf && c->conf->lock.enabled)
        return true;
    s3_fail_with(c, c->conf && c->conf->found ? S3_INVALID_REQUEST : S3_NO_SUCH_BUCKET,
                 c->conf && c->conf->found ? "Bucket is missing Object Lock Configuration"
                                           : s3_code_message(S3_NO_SUCH_BUCKET));
    return false;
}

static void reply_one(struct s3_call *c, const char *root, const char *const elements[2],
                      const char *const attributes[2])
{
    struct store_object *object = NULL;
    struct buf xml = {0};
    bool any = false;
    if (!lock_is_on(c) || !s3_object_open(c, &object))
        return;
    const struct store_attributes *a = s3_store(c)->object_attributes(object);
    s3_xml_begin(&xml, root);
    for (int i = 0; i < 2 && elements[i]; i++) {
        const char *value = s3_attribute_get(a, attributes[i]);
        any = any || value;
        if (value)
            xml_element(&xml, elements[i], value);
    }
    buf_printf(&xml, "</%s>", root);
    s3_store(c)->object_close(object);
    if (any) {
        s3_reply_xml(c, &xml);
    } else {
        buf_done(&xml);
        s3_fail(c, S3_NO_OBJECT_LOCK);
    }
}

void s3_retention_get(struct s3_call *c)
{
    reply_one(c, "Retention", (const char *const[]){"Mode", "RetainUntilDate"},
              (const char *const[]){S3_LOCK_MODE, S3_LOCK_UNTIL});
}

void s3_hold_get(struct s3_call *c)
{
    reply_one(c, "LegalHold", (const char *const[]){"Status", NULL},
              (const char *const[]){S3_LOCK_HOLD, NULL});
}

struct retention {
    struct s3_lock_asker asker;
    bool given; /* else it is taken away */
    bool compliance;
    uint64_t until_s;
};

/* It may be made longer in its mode by all who may set it; else it has to be one that may be removed. */
static bool may_retain(void *arg, const struct store_info *info, const struct store_attributes *a,
                       bool newest)
{
    (void)newest;
    struct retention *r = arg;
    const char *text = s3_attribute_get(a, S3_LOCK_UNTIL);
    uint64_t old_s = 0;
    bool compliance;
    (void)info;
    if (!is_retained(a, r->asker.now_s, &compliance))
        return true;
    bool longer = r->given && text && iso_date_parse(text, &old_s) == ST_OK &&
                  r->until_s >= old_s && r->compliance == compliance;
    bool ok = longer || (r->asker.bypass && !compliance);
    r->asker.refused = !ok;
    return ok;
}

static enum s3_code change(struct s3_call *c, const struct store_attribute *pairs, size_t count,
                           const struct store_condition *condition, bool *refused)
{
    struct store_info info;
    status_t st = s3_store(c)->change_attributes(c->s->o.store, c->bucket, c->key, c->version,
                                                 pairs, count, condition, &info, &c->err);
    if (st == ST_CHANGED && refused && *refused)
        return S3_ACCESS_DENIED;
    return s3_code_of(c, st);
}

static enum s3_code read_retention(struct s3_call *c, struct retention *r)
{
    struct xml_node *root;
    if (xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) != ST_OK ||
        strcmp(root->name, "Retention") != 0)
        return S3_MALFORMED_XML;
    const char *mode = xml_text(root, "Mode"), *until = xml_text(root, "RetainUntilDate");
    r->given = mode || until;
    if (!r->given)
        return S3_OK;
    enum s3_code code = read_mode(mode, &r->compliance);
    if (code == S3_OK && !until)
        code = S3_MALFORMED_XML;
    return code == S3_OK ? read_until(c, until, &r->until_s) : code;
}

void s3_retention_put(struct s3_call *c)
{
    struct retention r = {.asker = s3_lock_asker_of(c, c->key, c->version)};
    struct s3_attributes a = {.count = 0};
    const struct store_condition condition = {.may = may_retain, .arg = &r};
    if (!lock_is_on(c))
        return;
    enum s3_code code = read_retention(c, &r);
    if (code == S3_OK && r.given)
        code = set_until(c, &a, r.compliance, r.until_s);
    if (code == S3_OK && !r.given) {
        a.pairs[0] = (struct store_attribute){S3_LOCK_MODE, NULL};
        a.pairs[1] = (struct store_attribute){S3_LOCK_UNTIL, NULL};
        a.count = 2;
    }
    if (code == S3_OK)
        code = change(c, a.pairs, a.count, &condition, &r.asker.refused);
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 200, NULL);
}

void s3_hold_put(struct s3_call *c)
{
    struct xml_node *root;
    if (!lock_is_on(c))
        return;
    bool ok = xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) == ST_OK &&
              strcmp(root->name, "LegalHold") == 0;
    const char *status = ok ? xml_text(root, "Status") : NULL;
    enum s3_code code = S3_MALFORMED_XML;
    if (status && (strcmp(status, "ON") == 0 || strcmp(status, "OFF") == 0)) {
        const struct store_attribute pair = {S3_LOCK_HOLD, status};
        code = change(c, &pair, 1, NULL, NULL);
    }
    if (code != S3_OK)
        s3_fail(c, code);
    else
        http_reply(c->rq, 200, NULL);
}
