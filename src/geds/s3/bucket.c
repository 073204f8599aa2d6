#include <arpa/inet.h>
#include <string.h>

#include "base/parse.h"
#include "geds/s3/config.h"
#include "s3.h"

#define REGION "us-east-1"
#define OWNER "<Owner><ID>cloudskin</ID><DisplayName>cloudskin</DisplayName></Owner>"

struct bucket_page {
    const char *prefix, *after;
    uint64_t max;
};

static enum s3_code read_bucket_page(struct s3_call *c, struct bucket_page *p)
{
    const char *token = query_get(&c->query, "continuation-token");
    const char *prefix = query_get(&c->query, "prefix");
    const char *max = query_get(&c->query, "max-buckets");
    *p = (struct bucket_page){.prefix = prefix ? prefix : "", .after = "", .max = UINT64_MAX};
    if (max && (parse_u64(max, S3_BUCKET_LIST_MAX, &p->max) != ST_OK || p->max == 0))
        return S3_INVALID_ARGUMENT;
    return token ? s3_token_read(c, token, &p->after) : S3_OK;
}

static void add_buckets(struct buf *xml, const struct bucket_page *p,
                        const struct store_bucket *buckets, size_t count)
{
    uint64_t shown = 0;
    const char *last = "";
    buf_printf(xml, "<Buckets>");
    for (size_t i = 0; i < count; i++) {
        const char *name = buckets[i].name;
        if (strcmp(name, p->after) <= 0 || strncmp(name, p->prefix, strlen(p->prefix)) != 0)
            continue;
        if (shown++ == p->max)
            break;
        last = name;
        buf_printf(xml, "<Bucket>");
        xml_element(xml, "Name", name);
        s3_xml_time(xml, "CreationDate", buckets[i].created_ns);
        xml_element(xml, "BucketRegion", REGION);
        buf_printf(xml, "</Bucket>");
    }
    buf_printf(xml, "</Buckets>");
    if (*p->prefix != '\0')
        xml_element(xml, "Prefix", p->prefix);
    if (shown > p->max)
        s3_xml_token(xml, "ContinuationToken", last);
}

void s3_list_buckets(struct s3_call *c)
{
    struct store_bucket *buckets = NULL;
    struct bucket_page page;
    struct buf xml = {0};
    size_t count = 0;
    const char *region = query_get(&c->query, "bucket-region");
    enum s3_code code = read_bucket_page(c, &page);
    if (code == S3_OK)
        code = s3_code_of(c, s3_store(c)->bucket_list(c->s->o.store, &buckets, &count, &c->err));
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    if (region && *region != '\0' && strcmp(region, REGION) != 0)
        count = 0;
    s3_xml_begin(&xml, "ListAllMyBucketsResult");
    buf_printf(&xml, OWNER);
    add_buckets(&xml, &page, buckets, count);
    buf_printf(&xml, "</ListAllMyBucketsResult>");
    free(buckets);
    s3_reply_xml(c, &xml);
}

/* The location in the document is not looked at: there is one. */
static enum s3_code check_configuration(struct s3_call *c)
{
    struct xml_node *root;
    if (c->xml.len == 0)
        return S3_OK;
    if (xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) != ST_OK ||
        strcmp(root->name, "CreateBucketConfiguration") != 0)
        return S3_MALFORMED_XML;
    for (const struct xml_node *n = root->child; n; n = n->next) {
        if (strcmp(n->name, "LocationConstraint") != 0)
            return S3_NOT_IMPLEMENTED;
    }
    return S3_OK;
}

#define LOCK_ON                                                                   \
    "<ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" \
    "<ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"

/* With lock and versions in one change: an object must not be replaced where it is locked. */
static status_t create(struct s3_call *c, bool locks)
{
    struct buf config = {0};
    status_t st = config_set("", "s3.object-lock", locks ? LOCK_ON : NULL,
                             locks ? strlen(LOCK_ON) : 0, &config, &c->err);
    if (st == ST_OK)
        st = s3_store(c)->bucket_create_as(c->s->o.store, c->bucket, (const char *)config.data,
                                           locks ? STORE_VERSIONING_ON : STORE_VERSIONING_OFF,
                                           &c->err);
    buf_done(&config);
    return st;
}

/* Names that could be a part of a host's. The store's rules are wider, so that others may be there all the same. */
static enum s3_code check_name(const char *name)
{
    static const char *const wrong[] = {"..", ".-", "-."};
    struct in_addr address;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (strstr(name, wrong[i]))
            return S3_INVALID_BUCKET;
    }
    return inet_pton(AF_INET, name, &address) == 1 ? S3_INVALID_BUCKET : S3_OK;
}

void s3_bucket_create(struct s3_call *c)
{
    const char *lock = http_header(c->rq, "x-amz-bucket-object-lock-enabled");
    const char *ownership = http_header(c->rq, "x-amz-object-ownership");
    enum s3_code code = check_name(c->bucket);
    if (code == S3_OK)
        code = s3_check_refused(c);
    if (code == S3_OK && ownership && strcmp(ownership, "BucketOwnerEnforced") != 0)
        code = S3_NOT_IMPLEMENTED;
    if (code == S3_OK)
        code = check_configuration(c);
    if (code == S3_OK) {
        status_t st = create(c, lock && strcasecmp(lock, "true") == 0);
        code = st == ST_INVAL   ? S3_INVALID_BUCKET
               : st == ST_EXIST ? S3_BUCKET_EXISTS
                                : s3_code_of(c, st);
    }
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    char location[STORE_BUCKET_MAX + 2];
    snprintf(location, sizeof location, "/%s", c->bucket);
    http_reply_header(c->rq, "Location", location);
    http_reply(c->rq, 200, NULL);
}

void s3_bucket_delete(struct s3_call *c)
{
    status_t st = s3_store(c)->bucket_delete(c->s->o.store, c->bucket, &c->err);
    if (st == ST_EXIST)
        s3_fail(c, S3_BUCKET_NOT_EMPTY);
    else if (st != ST_OK)
        s3_fail_status(c, st);
    else
        http_reply(c->rq, 204, NULL);
}

/* False: answered with an error. */
static bool exists(struct s3_call *c)
{
    status_t st = s3_store(c)->bucket_stat(c->s->o.store, c->bucket, NULL, NULL, &c->err);
    if (st != ST_OK)
        s3_fail_status(c, st);
    return st == ST_OK;
}

void s3_bucket_head(struct s3_call *c)
{
    if (exists(c)) {
        http_reply_header(c->rq, "x-amz-bucket-region", REGION);
        http_reply(c->rq, 200, NULL);
    }
}

static void reply_empty_element(struct s3_call *c, const char *name)
{
    struct buf xml = {0};
    if (!exists(c))
        return;
    s3_xml_begin(&xml, name);
    buf_printf(&xml, "</%s>", name);
    s3_reply_xml(c, &xml);
}

/* Empty is us-east-1. */
void s3_bucket_location(struct s3_call *c)
{
    reply_empty_element(c, "LocationConstraint");
}

/* Batch delete */

static void add_error(struct buf *xml, const struct store_removal *item, enum s3_code code)
{
    buf_printf(xml, "<Error>");
    xml_element(xml, "Key", item->key);
    if (item->version != STORE_VERSION_CURRENT) {
        char text[S3_VERSION_BYTES];
        s3_version_text(item->version, text);
        xml_element(xml, "VersionId", text);
    }
    xml_element(xml, "Code", s3_code_name(code));
    xml_element(xml, "Message", s3_code_message(code));
    buf_printf(xml, "</Error>");
}

/* What was not there is deleted too. */
static void add_deleted(struct buf *xml, const struct store_removal *item)
{
    char text[S3_VERSION_BYTES];
    bool by_version = item->version != STORE_VERSION_CURRENT;
    buf_printf(xml, "<Deleted>");
    xml_element(xml, "Key", item->key);
    if (by_version) {
        s3_version_text(item->version, text);
        xml_element(xml, "VersionId", text);
    }
    if (item->marker) {
        s3_version_text(item->removed, text);
        buf_printf(xml, "<DeleteMarker>true</DeleteMarker>");
        xml_element(xml, "DeleteMarkerVersionId", text);
    }
    buf_printf(xml, "</Deleted>");
}

/* One of the keys that are to be deleted. */
struct doomed {
    struct store_condition condition;
    struct s3_lock_asker asker;
    enum s3_code code; /* not S3_OK: it is not even tried */
};

static enum s3_code read_key(struct s3_call *c, const struct xml_node *n,
                             struct store_removal *item, struct doomed *d)
{
    const char *key = xml_text(n, "Key"), *version = xml_text(n, "VersionId");
    const char *etag = xml_text(n, "ETag");
    if (!key || *key == '\0')
        return S3_MALFORMED_XML;
    if (xml_child(n, "LastModifiedTime") || xml_child(n, "Size"))
        return S3_NOT_IMPLEMENTED;
    *item = (struct store_removal){.key = key, .version = STORE_VERSION_CURRENT};
    if (version && *version != '\0' && s3_version_of(version, &item->version) != S3_OK)
        return S3_INVALID_VERSION;
    *d = (struct doomed){.asker = s3_lock_asker_of(c, key, item->version)};
    item->condition = &d->condition;
    if (item->version != STORE_VERSION_CURRENT)
        d->condition = (struct store_condition){.may = s3_lock_may_remove, .arg = &d->asker};
    if (etag && !(d->condition.if_match = s3_etag_of(c, etag)))
        return S3_UNAVAILABLE;
    d->code = s3_may(c, key, item->version, "s3:DeleteObject");
    return S3_OK;
}

/* S3_OK, or the document is refused. Those that may not be deleted come last, behind *ret_allowed others. */
static enum s3_code read_keys(struct s3_call *c, const struct xml_node *root,
                              struct store_removal *items, struct doomed *doomed,
                              size_t *ret_allowed, size_t *ret_count)
{
    size_t count = 0, allowed = 0;
    for (const struct xml_node *n = root->child; n; n = n->next) {
        if (strcmp(n->name, "Object") != 0)
            continue;
        if (count == S3_DELETE_MAX)
            return S3_MALFORMED_XML;
        enum s3_code code = read_key(c, n, &items[count], &doomed[count]);
        if (code != S3_OK)
            return code;
        if (doomed[count].code == S3_OK) {
            struct store_removal item = items[count];
            items[count] = items[allowed];
            items[allowed++] = item;
        } else {
            items[count].status = ST_PERM;
        }
        count++;
    }
    *ret_allowed = allowed;
    *ret_count = count;
    return count > 0 ? S3_OK : S3_MALFORMED_XML;
}

static enum s3_code code_of_item(const struct s3_call *c, const struct store_removal *item)
{
    const struct s3_lock_asker *asker = item->condition->arg;
    if (item->status == ST_PERM || (item->status == ST_CHANGED && asker && asker->refused))
        return S3_ACCESS_DENIED;
    if (item->status == ST_NOTFOUND && !item->condition->if_match)
        return S3_OK;
    if (item->status == ST_NOTFOUND)
        return S3_NO_SUCH_KEY;
    return item->status == ST_INVAL ? S3_KEY_TOO_LONG : s3_code_of(c, item->status);
}

static void reply_deleted(struct s3_call *c, const struct store_removal *items, size_t count,
                          bool is_quiet)
{
    struct buf xml = {0};
    s3_xml_begin(&xml, "DeleteResult");
    for (size_t i = 0; i < count; i++) {
        enum s3_code code = code_of_item(c, &items[i]);
        if (code != S3_OK)
            add_error(&xml, &items[i], code);
        else if (!is_quiet)
            add_deleted(&xml, &items[i]);
    }
    buf_printf(&xml, "</DeleteResult>");
    s3_reply_xml(c, &xml);
}

void s3_delete_many(struct s3_call *c)
{
    struct store_removal *items = NULL;
    struct doomed *doomed = NULL;
    struct xml_node *root;
    size_t count = 0, allowed = 0;
    if (xml_read(c->xml.data, c->xml.len, &c->arena, &root, &c->err) != ST_OK ||
        strcmp(root->name, "Delete") != 0) {
        s3_fail(c, S3_MALFORMED_XML);
        return;
    }
    items = arena_alloc(&c->arena, S3_DELETE_MAX, sizeof *items);
    doomed = arena_alloc(&c->arena, S3_DELETE_MAX, sizeof *doomed);
    enum s3_code code = items && doomed ? read_keys(c, root, items, doomed, &allowed, &count)
                                        : S3_UNAVAILABLE;
    if (code == S3_OK)
        code = s3_code_of(
            c, s3_store(c)->delete_each(c->s->o.store, c->bucket, items, allowed, &c->err));
    if (code == S3_OK && allowed == 0 && !c->owner)
        code = S3_ACCESS_DENIED;
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    const char *quiet = xml_text(root, "Quiet");
    reply_deleted(c, items, count, quiet && strcmp(quiet, "true") == 0);
}
