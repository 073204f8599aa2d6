#include <string.h>

#include "s3.h"

#define SERVICE S3_LEVEL_SERVICE
#define BUCKET S3_LEVEL_BUCKET
#define OBJECT S3_LEVEL_OBJECT
#define NONE S3_BODY_NONE
#define XML S3_BODY_XML
#define PUT S3_BODY_PUT
#define COPY_SOURCE "x-amz-copy-source"

static const struct s3_route routes[] = {
    {"GET", SERVICE, NULL, NULL, NONE, true, NULL, s3_list_buckets},
    {"GET", BUCKET, "location", NULL, NONE, false, NULL, s3_bucket_location},
    {"GET", BUCKET, "versioning", NULL, NONE, false, NULL, s3_versioning_get},
    {"GET", BUCKET, "versions", NULL, NONE, true, NULL, s3_list_versions},
    {"GET", BUCKET, "policy", NULL, NONE, false, NULL, s3_bucket_nothing},
    {"GET", BUCKET, "cors", NULL, NONE, false, NULL, s3_bucket_nothing},
    {"GET", BUCKET, "lifecycle", NULL, NONE, false, NULL, s3_bucket_nothing},
    {"GET", BUCKET, "tagging", NULL, NONE, false, NULL, s3_bucket_nothing},
    {"GET", BUCKET, "encryption", NULL, NONE, false, NULL, s3_bucket_nothing},
    {"GET", BUCKET, "object-lock", NULL, NONE, false, NULL, s3_bucket_nothing},
    {"GET", BUCKET, "uploads", NULL, NONE, true, NULL, s3_upload_list},
    {"GET", BUCKET, "list-type", NULL, NONE, true, NULL, s3_list_v2},
    {"GET", BUCKET, NULL, NULL, NONE, true, NULL, s3_list_v1},
    {"HEAD", BUCKET, NULL, NULL, NONE, false, NULL, s3_bucket_head},
    {"PUT", BUCKET, "versioning", NULL, XML, true, NULL, s3_versioning_put},
    {"PUT", BUCKET, NULL, NULL, XML, true, NULL, s3_bucket_create},
    {"DELETE", BUCKET, NULL, NULL, NONE, true, NULL, s3_bucket_delete},
    {"POST", BUCKET, "delete", NULL, XML, true, NULL, s3_delete_many},
    {"GET", OBJECT, "tagging", NULL, NONE, false, NULL, s3_tags_get},
    {"GET", OBJECT, "uploadId", NULL, NONE, true, NULL, s3_upload_parts},
    {"GET", OBJECT, "attributes", NULL, NONE, true, NULL, s3_object_attributes},
    {"GET", OBJECT, NULL, NULL, NONE, false, NULL, s3_object_get},
    {"HEAD", OBJECT, NULL, NULL, NONE, false, NULL, s3_object_get},
    {"PUT", OBJECT, "tagging", NULL, XML, true, NULL, s3_tags_put},
    {"PUT", OBJECT, "uploadId", COPY_SOURCE, NONE, true, NULL, s3_upload_part_copy},
    {"PUT", OBJECT, "uploadId", NULL, PUT, true, s3_upload_part_start, s3_upload_part_finish},
    {"PUT", OBJECT, NULL, COPY_SOURCE, NONE, true, NULL, s3_copy},
    {"PUT", OBJECT, NULL, NULL, PUT, true, s3_put_start, s3_put_finish},
    {"POST", OBJECT, "uploads", NULL, NONE, true, NULL, s3_upload_create},
    {"POST", OBJECT, "uploadId", NULL, XML, true, NULL, s3_upload_complete},
    {"DELETE", OBJECT, "tagging", NULL, NONE, true, NULL, s3_tags_delete},
    {"DELETE", OBJECT, "uploadId", NULL, NONE, true, NULL, s3_upload_abort},
    {"DELETE", OBJECT, NULL, NULL, NONE, true, NULL, s3_object_delete},
};

/* Queries that make another operation of a request. One that its route does not name is refused, rather than taken for
 * the plain operation. */
static const char *const selectors[] = {"abac",
                                        "accelerate",
                                        "acl",
                                        "analytics",
                                        "attributes",
                                        "cors",
                                        "delete",
                                        "encryption",
                                        "intelligent-tiering",
                                        "inventory",
                                        "legal-hold",
                                        "lifecycle",
                                        "list-type",
                                        "location",
                                        "logging",
                                        "metadataTable",
                                        "metrics",
                                        "notification",
                                        "object-lock",
                                        "ownershipControls",
                                        "partNumber",
                                        "policy",
                                        "policyStatus",
                                        "publicAccessBlock",
                                        "renameObject",
                                        "replication",
                                        "requestPayment",
                                        "restore",
                                        "retention",
                                        "select",
                                        "session",
                                        "tagging",
                                        "torrent",
                                        "uploadId",
                                        "uploads",
                                        "versioning",
                                        "versions",
                                        "website"};

static bool is_named(const struct s3_route *r, const char *selector)
{
    if (strcmp(selector, "partNumber") == 0)
        return r->finish == s3_object_get ||
               (r->query && strcmp(r->query, "uploadId") == 0 && strcmp(r->method, "PUT") == 0);
    return r->query && strcmp(r->query, selector) == 0;
}

static bool is_known_method(const char *method)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].method, method) == 0)
            return true;
    }
    return false;
}

enum s3_code s3_route_find(const char *method, enum s3_level level, const struct query *q,
                           const struct http_request *rq, const struct s3_route **ret_route)
{
    const struct s3_route *r = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes && !r; i++) {
        const struct s3_route *x = &routes[i];
        if (strcmp(x->method, method) == 0 && x->level == level &&
            (!x->query || query_get(q, x->query)) && (!x->header || http_header(rq, x->header)))
            r = x;
    }
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        if (query_get(q, selectors[i]) && !(r && is_named(r, selectors[i])))
            return S3_NOT_IMPLEMENTED;
    }
    if (!r)
        return is_known_method(method) && level == SERVICE ? S3_METHOD : S3_NOT_IMPLEMENTED;
    *ret_route = r;
    return S3_OK;
}
