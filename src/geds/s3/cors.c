#include "geds/s3/cors.h"

#include <string.h>

#include "base/parse.h"
#include "geds/s3/policy.h"
#include "geds/s3/xml.h"

static bool add(const char **values, size_t *count, const char *text)
{
    if (*count == CORS_VALUES_MAX || *text == '\0')
        return false;
    values[(*count)++] = text;
    return true;
}

/* With at most one *, and nothing that could not be sent as a header. */
static bool is_pattern(const char *text)
{
    size_t stars = 0;
    for (const char *s = text; *s != '\0'; s++) {
        stars += *s == '*';
        if (*s <= ' ' || *s >= 0x7f)
            return false;
    }
    return stars <= 1;
}

static bool is_method(const char *text)
{
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(methods[i], text) == 0)
            return true;
    }
    return false;
}

/* ST_OK, ST_FORMAT, ST_INVALID. */
static status_t read_value(struct cors_rule *r, const struct xml_node *n)
{
    uint64_t age;
    if (strcmp(n->name, "AllowedOrigin") == 0)
        return is_pattern(n->text) && add(r->origins, &r->origin_count, n->text) ? ST_OK
                                                                                 : ST_INVALID;
    if (strcmp(n->name, "AllowedMethod") == 0)
        return is_method(n->text) && add(r->methods, &r->method_count, n->text) ? ST_OK
                                                                                : ST_INVALID;
    if (strcmp(n->name, "AllowedHeader") == 0)
        return is_pattern(n->text) && add(r->headers, &r->header_count, n->text) ? ST_OK
                                                                                 : ST_INVALID;
    if (strcmp(n->name, "ExposeHeader") == 0)
        return is_pattern(n->text) && add(r->exposed, &r->exposed_count, n->text) ? ST_OK
                                                                                  : ST_INVALID;
    if (strcmp(n->name, "MaxAgeSeconds") == 0) {
        r->max_age_s = n->text;
        return parse_u64(n->text, INT32_MAX, &age) == ST_OK ? ST_OK : ST_INVALID;
    }
    return strcmp(n->name, "ID") == 0 ? ST_OK : ST_FORMAT;
}

static status_t read_rule(struct cors_rule *r, const struct xml_node *node, struct error *err)
{
    for (const struct xml_node *n = node->child; n; n = n->next) {
        status_t st = read_value(r, n);
        if (st == ST_INVALID)
            return error_set(err, st, ERROR_NO_OFFSET, "Invalid value of %s: %.100s", n->name,
                             n->text);
        if (st != ST_OK)
            return error_set(err, st, ERROR_NO_OFFSET, "Unknown element %s", n->name);
    }
    return r->origin_count > 0 && r->method_count > 0
               ? ST_OK
               : error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "A rule without origin or method");
}

status_t cors_read(const void *data, size_t len, struct arena *arena, struct cors **ret_cors,
                   struct error *err)
{
    struct xml_node *root;
    if (len > CORS_BYTES_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "a document of %zu bytes", len);
    status_t st = xml_read(data, len, arena, &root, err);
    if (st != ST_OK)
        return st == ST_NOMEM ? st : ST_FORMAT;
    size_t count = 0;
    for (const struct xml_node *n = root->child; n; n = n->next)
        count++;
    if (strcmp(root->name, "CORSConfiguration") != 0 || count == 0 || count > CORS_RULES_MAX)
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "no configuration, or of %zu rules",
                         count);
    struct cors *c = arena_alloc(arena, 1, sizeof *c);
    if (!c || !(c->rules = arena_alloc(arena, count, sizeof *c->rules)))
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    for (const struct xml_node *n = root->child; n && st == ST_OK; n = n->next) {
        st = strcmp(n->name, "CORSRule") == 0
                 ? read_rule(&c->rules[c->count++], n, err)
                 : error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "Unknown element %s", n->name);
    }
    if (st == ST_OK)
        *ret_cors = c;
    return st;
}

static bool is_in(const char *const *patterns, size_t count, const char *text, bool any_case)
{
    for (size_t i = 0; i < count; i++) {
        if (wildcard_match(patterns[i], text, any_case))
            return true;
    }
    return false;
}

static bool allows_headers(const struct cors_rule *r, const char *list)
{
    char name[256];
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        if (len >= sizeof name)
            return false;
        memcpy(name, list, len);
        name[len] = '\0';
        if (len > 0 && !is_in(r->headers, r->header_count, name, true))
            return false;
        list += len;
    }
    return true;
}

const struct cors_rule *cors_find(const struct cors *c, const char *origin, const char *method,
                                  const char *headers, bool *ret_any)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct cors_rule *r = &c->rules[i];
        if (!is_in(r->origins, r->origin_count, origin, false) ||
            !is_in(r->methods, r->method_count, method, false) ||
            (headers && !allows_headers(r, headers)))
            continue;
        *ret_any = false;
        for (size_t k = 0; k < r->origin_count; k++)
            *ret_any = *ret_any || strcmp(r->origins[k], "*") == 0;
        return r;
    }
    return NULL;
}
