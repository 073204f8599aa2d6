#include "geds/s3/policy.h"

#include <jansson.h>
#include <string.h>

#define ARN "arn:aws:s3:::"
enum { BUCKET_BYTES = 64 }; /* of a name, or of a pattern of names */

struct list {
    const char **values;
    size_t count;
    bool inverted; /* NotAction and so on: what is not in it */
};

enum operator{
    OP_EQUALS,
    OP_NOT_EQUALS,
    OP_EQUALS_ANY_CASE,
    OP_NOT_EQUALS_ANY_CASE,
    OP_LIKE,
    OP_NOT_LIKE,
    OP_BOOL,
    OP_COUNT
};
static const char *const operators[OP_COUNT] = {
    [OP_EQUALS] = "StringEquals",
    [OP_NOT_EQUALS] = "StringNotEquals",
    [OP_EQUALS_ANY_CASE] = "StringEqualsIgnoreCase",
    [OP_NOT_EQUALS_ANY_CASE] = "StringNotEqualsIgnoreCase",
    [OP_LIKE] = "StringLike",
    [OP_NOT_LIKE] = "StringNotLike",
    [OP_BOOL] = "Bool"};
/* A key that is not known here cannot be compared, and a condition that is not compared protects nobody. */
static const char *const known_keys[] = {"s3:prefix",     "s3:delimiter", "s3:max-keys",
                                         "s3:VersionId",  "aws:username", "aws:SecureTransport",
                                         "aws:UserAgent", "aws:Referer"};

struct condition {
    enum operator op;
    const char *key;
    struct list values;
};
struct statement {
    bool allows;
    struct list principals, actions, resources;
    struct condition conditions[POLICY_CONDITIONS_MAX];
    size_t condition_count;
};
struct policy {
    struct statement *statements;
    size_t count;
};

bool wildcard_match(const char *pattern, const char *text, bool any_case)
{
    const char *star = NULL, *again = NULL;
    while (*text != '\0') {
        bool same = any_case ? strncasecmp(pattern, text, 1) == 0 : *pattern == *text;
        if (*pattern == '*') {
            star = pattern++;
            again = text;
        } else if (*pattern != '\0' && (*pattern == '?' || same)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Reading */

struct reader {
    struct arena *arena;
    const char *bucket;
    struct error *err;
    status_t st;
};

static bool fail(struct reader *r, status_t st, const char *what, const char *value)
{
    if (r->st == ST_OK)
        r->st = error_set(r->err, st, ERROR_NO_OFFSET, "%s%s%.100s", what, value ? ": " : "",
                          value ? value : "");
    return false;
}

static bool keep(struct reader *r, const char *text, const char **ret_text)
{
    *ret_text = arena_strndup(r->arena, text, strlen(text));
    return *ret_text || fail(r, ST_NOMEM, "no memory", NULL);
}

/* A text, or a list of texts. */
static bool read_list(struct reader *r, const json_t *v, const char *what, struct list *l)
{
    size_t count = json_is_array(v) ? json_array_size(v) : 1;
    if (count == 0 || count > POLICY_VALUES_MAX)
        return fail(r, ST_INVALID, "Policy has an empty or too long list", what);
    l->values = arena_alloc(r->arena, count, sizeof *l->values);
    if (!l->values)
        return fail(r, ST_NOMEM, "no memory", NULL);
    for (size_t i = 0; i < count; i++) {
        const json_t *x = json_is_array(v) ? json_array_get(v, i) : v;
        const char *text = json_is_boolean(x) ? (json_is_true(x) ? "true" : "false")
                                              : json_string_value(x);
        if (!text)
            return fail(r, ST_INVALID, "Policy has a value that is no text", what);
        if (!keep(r, text, &l->values[i]))
            return false;
    }
    l->count = count;
    return true;
}

static bool read_principals(struct reader *r, const json_t *v, struct list *l)
{
    if (json_is_string(v)) {
        if (strcmp(json_string_value(v), "*") != 0)
            return fail(r, ST_INVALID, "Invalid principal in policy", json_string_value(v));
        return read_list(r, v, "Principal", l);
    }
    if (!json_is_object(v) || json_object_size(v) != 1 || !json_object_get(v, "AWS"))
        return fail(r, ST_INVALID, "Invalid principal in policy", NULL);
    if (!read_list(r, json_object_get(v, "AWS"), "Principal", l))
        return false;
    for (size_t i = 0; i < l->count; i++) { /* arn:aws:iam::ACCOUNT:user/NAME, :root, or NAME */
        const char *text = l->values[i], *name = strrchr(text, '/');
        size_t len = strlen(text);
        bool is_arn = strncmp(text, "arn:", 4) == 0;
        if (is_arn && len > 5 && strcmp(text + len - 5, ":root") == 0)
            l->values[i] = POLICY_OWNER;
        else if (is_arn && (!name || !strstr(text, ":user/")))
            return fail(r, ST_UNSUPPORTED, "Invalid principal in policy", text);
        else if (is_arn)
            l->values[i] = name + 1;
        if (*l->values[i] == '\0')
            return fail(r, ST_INVALID, "Invalid principal in policy", text);
    }
    return true;
}

/* ${aws:username} and the like are not put in, and as plain text they would protect nobody. */
static bool has_no_variables(struct reader *r, const struct list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strstr(l->values[i], "${"))
            return fail(r, ST_UNSUPPORTED, "Policy variables are not implemented", l->values[i]);
    }
    return true;
}

static bool read_actions(struct reader *r, const json_t *v, struct list *l)
{
    if (!read_list(r, v, "Action", l))
        return false;
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->values[i], "*") != 0 && strncasecmp(l->values[i], "s3:", 3) != 0)
            return fail(r, ST_INVALID, "Policy has invalid action", l->values[i]);
    }
    return true;
}

/* Of this bucket, or of its objects. Kept without what all have in common. */
static bool read_resources(struct reader *r, const json_t *v, struct list *l)
{
    char bucket[BUCKET_BYTES];
    if (!read_list(r, v, "Resource", l) || !has_no_variables(r, l))
        return false;
    for (size_t i = 0; i < l->count; i++) {
        const char *text = l->values[i];
        const char *name = strncmp(text, ARN, strlen(ARN)) == 0 ? text + strlen(ARN) : NULL;
        size_t len = name ? strcspn(name, "/") : 0;
        if (name && len < sizeof bucket)
            snprintf(bucket, sizeof bucket, "%.*s", (int)len, name);
        if (!name || len >= sizeof bucket || !wildcard_match(bucket, r->bucket, false))
            return fail(r, ST_INVALID, "Policy has invalid resource", text);
        l->values[i] = name;
    }
    return true;
}

static bool is_known_key(const char *key)
{
    for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++) {
        if (strcasecmp(known_keys[i], key) == 0)
            return true;
    }
    return false;
}

static bool read_conditions(struct reader *r, json_t *v, struct statement *s)
{
    const char *name, *key;
    json_t *keys, *values;
    if (!json_is_object(v))
        return fail(r, ST_INVALID, "Policy has an invalid condition", NULL);
    json_object_foreach(v, name, keys)
    {
        int op = 0;
        while (op < OP_COUNT && strcmp(operators[op], name) != 0)
            op++;
        if (op == OP_COUNT)
            return fail(r, ST_UNSUPPORTED, "This condition is not implemented", name);
        if (!json_is_object(keys))
            return fail(r, ST_INVALID, "Policy has an invalid condition", name);
        json_object_foreach(keys, key, values)
        {
            if (!is_known_key(key))
                return fail(r, ST_UNSUPPORTED, "This condition key is not implemented", key);
            if (s->condition_count == POLICY_CONDITIONS_MAX)
                return fail(r, ST_LIMIT, "Policy has too many conditions", NULL);
            struct condition *c = &s->conditions[s->condition_count++];
            c->op = (enum operator)op;
            if (!keep(r, key, &c->key) || !read_list(r, values, key, &c->values) ||
                !has_no_variables(r, &c->values))
                return false;
        }
    }
    return true;
}

/* Name or NotName, one of them. */
static bool read_either(struct reader *r, json_t *v, const char *name, struct list *l,
                        bool (*read)(struct reader *, const json_t *, struct list *))
{
    char not_name[32];
    snprintf(not_name, sizeof not_name, "Not%s", name);
    const json_t *plain = json_object_get(v, name), *inverted = json_object_get(v, not_name);
    if (!plain == !inverted)
        return fail(r, ST_INVALID, "Missing or double field in a statement", name);
    l->inverted = inverted != NULL;
    return read(r, plain ? plain : inverted, l);
}

static bool read_statement(struct reader *r, json_t *v, struct statement *s)
{
    static const char *const fields[] = {"Sid",          "Effect",      "Principal",
                                         "NotPrincipal", "Action",      "NotAction",
                                         "Resource",     "NotResource", "Condition"};
    const char *effect = json_string_value(json_object_get(v, "Effect")), *name;
    json_t *ignored, *conditions = json_object_get(v, "Condition");
    if (!json_is_object(v))
        return fail(r, ST_INVALID, "Policy has a statement that is none", NULL);
    json_object_foreach(v, name, ignored)
    {
        size_t i = 0;
        while (i < sizeof fields / sizeof *fields && strcmp(fields[i], name) != 0)
            i++;
        if (i == sizeof fields / sizeof *fields)
            return fail(r, ST_INVALID, "Unknown field in a statement", name);
    }
    if (!effect || (strcmp(effect, "Allow") != 0 && strcmp(effect, "Deny") != 0))
        return fail(r, ST_INVALID, "Invalid effect", effect);
    s->allows = strcmp(effect, "Allow") == 0;
    if (s->allows && json_object_get(v, "NotPrincipal")) /* it would be who has not signed, too */
        return fail(r, ST_INVALID, "Allow with NotPrincipal is not allowed", NULL);
    return read_either(r, v, "Principal", &s->principals, read_principals) &&
           read_either(r, v, "Action", &s->actions, read_actions) &&
           read_either(r, v, "Resource", &s->resources, read_resources) &&
           (!conditions || read_conditions(r, conditions, s));
}

static bool read_statements(struct reader *r, json_t *root, struct policy *p)
{
    const char *version = json_string_value(json_object_get(root, "Version"));
    json_t *statements = json_object_get(root, "Statement");
    if (!json_is_object(root) || !statements)
        return fail(r, ST_INVALID, "Missing required field Statement", NULL);
    if (json_object_get(root, "Version") &&
        (!version || (strcmp(version, "2012-10-17") != 0 && strcmp(version, "2008-10-17") != 0)))
        return fail(r, ST_INVALID, "Invalid version", version);
    size_t count = json_is_array(statements) ? json_array_size(statements) : 1;
    if (count == 0 || count > POLICY_STATEMENTS_MAX)
        return fail(r, ST_INVALID, "Policy has no statement, or too many", NULL);
    p->statements = arena_alloc(r->arena, count, sizeof *p->statements);
    if (!p->statements)
        return fail(r, ST_NOMEM, "no memory", NULL);
    for (size_t i = 0; i < count; i++) {
        json_t *s = json_is_array(statements) ? json_array_get(statements, i) : statements;
        if (!read_statement(r, s, &p->statements[i]))
            return false;
    }
    p->count = count;
    return true;
}

status_t policy_read(const char *text, size_t len, const char *bucket, struct arena *arena,
                     struct policy **ret_policy, struct error *err)
{
    struct reader r = {.arena = arena, .bucket = bucket, .err = err};
    json_error_t why;
    if (len > POLICY_BYTES_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "a policy of %zu bytes: at most %d", len,
                         POLICY_BYTES_MAX);
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return error_set(err, ST_FORMAT, (uint64_t)why.position,
                         "Policies must be valid JSON: %.100s", why.text);
    struct policy *p = arena_alloc(arena, 1, sizeof *p);
    if (!p)
        fail(&r, ST_NOMEM, "no memory", NULL);
    else if (read_statements(&r, root, p))
        *ret_policy = p;
    json_decref(root);
    return r.st;
}

/* Deciding */

static bool is_in(const struct list *l, const char *text, bool any_case)
{
    bool found = false;
    for (size_t i = 0; i < l->count && !found; i++)
        found = wildcard_match(l->values[i], text, any_case);
    return found != l->inverted;
}

/* `*` is everybody, also who has not signed; a name is one user. */
static bool is_principal(const struct list *l, const char *user)
{
    bool found = false;
    for (size_t i = 0; i < l->count && !found; i++)
        found = strcmp(l->values[i], "*") == 0 || (user && strcmp(l->values[i], user) == 0);
    return found != l->inverted;
}

static bool compare(enum operator op, const char *want, const char *value)
{
    bool any_case = op == OP_EQUALS_ANY_CASE || op == OP_NOT_EQUALS_ANY_CASE || op == OP_BOOL;
    if (op == OP_LIKE || op == OP_NOT_LIKE)
        return wildcard_match(want, value, false);
    return any_case ? strcasecmp(want, value) == 0 : strcmp(want, value) == 0;
}

/* A value that is not there is like no other. */
static bool holds(const struct condition *c, const struct policy_request *rq)
{
    const char *value = rq->value_of ? rq->value_of(rq->arg, c->key) : NULL;
    bool negative = c->op == OP_NOT_EQUALS || c->op == OP_NOT_EQUALS_ANY_CASE ||
                    c->op == OP_NOT_LIKE;
    bool found = false;
    for (size_t i = 0; value && i < c->values.count && !found; i++)
        found = compare(c->op, c->values.values[i], value);
    return found != negative;
}

static bool applies(const struct statement *s, const struct policy_request *rq,
                    const char *resource)
{
    if (!is_principal(&s->principals, rq->user) || !is_in(&s->actions, rq->action, true) ||
        !is_in(&s->resources, resource, false))
        return false;
    for (size_t i = 0; i < s->condition_count; i++) {
        if (!holds(&s->conditions[i], rq))
            return false;
    }
    return true;
}

enum policy_decision policy_decide(const struct policy *p, const struct policy_request *rq)
{
    char resource[64 + 1024 + 2];
    enum policy_decision decision = POLICY_SILENT;
    int len = snprintf(resource, sizeof resource, "%s%s%s", rq->bucket, *rq->key ? "/" : "",
                       rq->key);
    if (len < 0 || (size_t)len >= sizeof resource)
        return POLICY_DENIES;
    for (size_t i = 0; i < p->count; i++) {
        const struct statement *s = &p->statements[i];
        if (!applies(s, rq, resource))
            continue;
        if (!s->allows)
            return POLICY_DENIES;
        decision = POLICY_ALLOWS;
    }
    return decision;
}
