#include "geds/s3/lifecycle.h"

#include <string.h>

#include "base/arena.h"
#include "base/parse.h"
#include "geds/s3/xml.h"
#include "net/http_date.h"

#define DAY_S UINT64_C(86400)

static status_t wrong(struct error *err, const struct xml_node *n)
{
    return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "Unexpected element %.100s", n->name);
}

static status_t bad_value(struct error *err, const struct xml_node *n)
{
    return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "Invalid value of %.100s: %.100s", n->name,
                     n->text);
}

static status_t number(const struct xml_node *n, uint64_t least, uint64_t *ret_value,
                       struct error *err)
{
    uint64_t value;
    if (parse_u64(n->text, LIFECYCLE_DAYS_MAX, &value) != ST_OK || value < least)
        return bad_value(err, n);
    *ret_value = value;
    return ST_OK;
}

static status_t read_tag(struct lifecycle_rule *r, const struct xml_node *n, struct error *err)
{
    const char *key = xml_text(n, "Key"), *value = xml_text(n, "Value");
    if (!key || !value || *key == '\0')
        return wrong(err, n);
    if (r->tag_count == LIFECYCLE_TAGS_MAX)
        return error_set(err, ST_INVALID, ERROR_NO_OFFSET, "Too many tags in a filter");
    r->tags[r->tag_count].key = key;
    r->tags[r->tag_count++].value = value;
    return ST_OK;
}

static status_t read_larger(struct lifecycle_rule *r, const struct xml_node *n, struct error *err)
{
    r->has_larger_than = true;
    return parse_u64(n->text, STORE_OBJECT_MAX, &r->larger_than) == ST_OK ? ST_OK
                                                                          : bad_value(err, n);
}

static status_t read_filter(struct lifecycle_rule *r, const struct xml_node *node, bool in_and,
                            struct error *err)
{
    status_t st = ST_OK;
    size_t count = 0;
    for (const struct xml_node *n = node->child; n && st == ST_OK; n = n->next, count++) {
        if (strcmp(n->name, "Prefix") == 0)
            r->prefix = n->text;
        else if (strcmp(n->name, "Tag") == 0)
            st = read_tag(r, n, err);
        else if (strcmp(n->name, "ObjectSizeGreaterThan") == 0)
            st = read_larger(r, n, err);
        else if (strcmp(n->name, "ObjectSizeLessThan") == 0)
            st = parse_u64(n->text, STORE_OBJECT_MAX, &r->smaller_than) == ST_OK
                     ? ST_OK
                     : bad_value(err, n);
        else if (strcmp(n->name, "And") == 0 && !in_and)
            st = read_filter(r, n, true, err);
        else
            st = wrong(err, n);
    }
    return st == ST_OK && !in_and && count > 1 ? wrong(err, node) : st;
}

static status_t read_expiration(struct lifecycle_rule *r, const struct xml_node *node,
                                struct error *err)
{
    status_t st = ST_OK;
    size_t count = 0;
    for (const struct xml_node *n = node->child; n && st == ST_OK; n = n->next, count++) {
        if (strcmp(n->name, "Days") == 0)
            st = number(n, 1, &r->days, err);
        else if (strcmp(n->name, "Date") == 0)
            st = iso_date_parse(n->text, &r->date_s) == ST_OK && r->date_s % DAY_S == 0 &&
                         r->date_s > 0 && r->date_s <= UINT64_MAX / 1000000000
                     ? ST_OK
                     : bad_value(err, n);
        else if (strcmp(n->name, "ExpiredObjectDeleteMarker") == 0)
            r->lonely_markers = strcmp(n->text, "true") == 0;
        else
            st = wrong(err, n);
    }
    return st == ST_OK && count != 1 ? wrong(err, node) : st;
}

static status_t read_noncurrent(struct lifecycle_rule *r, const struct xml_node *node,
                                struct error *err)
{
    status_t st = ST_OK;
    for (const struct xml_node *n = node->child; n && st == ST_OK; n = n->next) {
        if (strcmp(n->name, "NoncurrentDays") == 0)
            st = number(n, 1, &r->noncurrent_days, err);
        else if (strcmp(n->name, "NewerNoncurrentVersions") == 0)
            st = number(n, 1, &r->noncurrent_kept, err);
        else
            st = wrong(err, n);
    }
    return st == ST_OK && r->noncurrent_days == 0 ? wrong(err, node) : st;
}

static status_t read_element(struct lifecycle_rule *r, const struct xml_node *n, struct error *err)
{
    if (strcmp(n->name, "ID") == 0) {
        r->id = n->text;
        return strlen(n->text) <= 255 ? ST_OK : bad_value(err, n);
    }
    if (strcmp(n->name, "Prefix") == 0) {
        r->prefix = n->text;
        return ST_OK;
    }
    if (strcmp(n->name, "Status") == 0) {
        r->enabled = strcmp(n->text, "Enabled") == 0;
        return r->enabled || strcmp(n->text, "Disabled") == 0 ? ST_OK : wrong(err, n);
    }
    if (strcmp(n->name, "Filter") == 0)
        return read_filter(r, n, false, err);
    if (strcmp(n->name, "Expiration") == 0)
        return read_expiration(r, n, err);
    if (strcmp(n->name, "NoncurrentVersionExpiration") == 0)
        return read_noncurrent(r, n, err);
    if (strcmp(n->name, "AbortIncompleteMultipartUpload") == 0) {
        const struct xml_node *days = xml_child(n, "DaysAfterInitiation");
        return days ? number(days, 1, &r->abort_days, err) : wrong(err, n);
    }
    if (strstr(n->name, "Transition"))
        return error_set(err, ST_UNSUPPORTED, ERROR_NO_OFFSET, "There is one storage class");
    return wrong(err, n);
}

static status_t read_rule(struct lifecycle_rule *r, const struct xml_node *node, struct error *err)
{
    status_t st = strcmp(node->name, "Rule") == 0 ? ST_OK : wrong(err, node);
    r->id = r->prefix = "";
    r->smaller_than = UINT64_MAX;
    for (const struct xml_node *n = node->child; n && st == ST_OK; n = n->next)
        st = read_element(r, n, err);
    if (st == ST_OK && (!xml_child(node, "Status") ||
                        (xml_child(node, "Filter") && node->child && xml_child(node, "Prefix"))))
        st = wrong(err, node);
    bool any = r->days || r->date_s || r->lonely_markers || r->noncurrent_days || r->abort_days;
    if (st == ST_OK && !any && !xml_child(node, "Expiration"))
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET, "A rule without an action");
    if (st == ST_OK && r->tag_count > 0 && (r->abort_days || r->lonely_markers))
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET,
                       "Uploads and delete markers have no tags to filter by");
    if (st == ST_OK && strlen(r->prefix) > STORE_KEY_MAX)
        st = error_set(err, ST_INVALID, ERROR_NO_OFFSET, "A prefix longer than keys are");
    return st;
}

static status_t check_ids(const struct lifecycle *l, struct error *err)
{
    for (size_t i = 0; i < l->count; i++) {
        for (size_t k = 0; k < i && *l->rules[i].id != '\0'; k++) {
            if (strcmp(l->rules[i].id, l->rules[k].id) == 0)
                return error_set(err, ST_INVAL, ERROR_NO_OFFSET, "Rule ID must be unique");
        }
    }
    return ST_OK;
}

status_t lifecycle_read(const void *data, size_t len, struct arena *arena,
                        struct lifecycle **ret_lifecycle, struct error *err)
{
    struct xml_node *root;
    if (len > LIFECYCLE_BYTES_MAX)
        return error_set(err, ST_LIMIT, ERROR_NO_OFFSET, "a document of %zu bytes", len);
    status_t st = xml_read(data, len, arena, &root, err);
    if (st != ST_OK)
        return st == ST_NOMEM ? st : ST_FORMAT;
    size_t count = 0;
    for (const struct xml_node *n = root->child; n; n = n->next)
        count++;
    if (strcmp(root->name, "LifecycleConfiguration") != 0 || count == 0 ||
        count > LIFECYCLE_RULES_MAX)
        return error_set(err, ST_FORMAT, ERROR_NO_OFFSET, "no configuration, or of %zu rules",
                         count);
    struct lifecycle *l = arena_alloc(arena, 1, sizeof *l);
    if (!l || !(l->rules = arena_alloc(arena, count, sizeof *l->rules)))
        return error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    for (const struct xml_node *n = root->child; n && st == ST_OK; n = n->next)
        st = read_rule(&l->rules[l->count++], n, err);
    if (st == ST_OK)
        st = check_ids(l, err);
    if (st == ST_OK)
        *ret_lifecycle = l;
    return st;
}

uint64_t lifecycle_due_ns(uint64_t from_ns, uint64_t days)
{
    uint64_t due_s = from_ns / 1000000000 + days * DAY_S;
    due_s = (due_s + DAY_S - 1) / DAY_S * DAY_S;
    return due_s < UINT64_MAX / 1000000000 ? due_s * 1000000000 : UINT64_MAX;
}

bool lifecycle_matches(const struct lifecycle_rule *r, const char *key, uint64_t size,
                       const struct query *tags)
{
    if (strncmp(key, r->prefix, strlen(r->prefix)) != 0 || size >= r->smaller_than ||
        (r->has_larger_than && size <= r->larger_than))
        return false;
    for (size_t i = 0; i < r->tag_count; i++) {
        const char *value = tags ? query_get(tags, r->tags[i].key) : NULL;
        if (!value || strcmp(value, r->tags[i].value) != 0)
            return false;
    }
    return true;
}
