#include <string.h>

#include "s3.h"

#define SERVICE S3_LEVEL_SERVICE
#define BUCKET S3_LEVEL_BUCKET
#define OBJECT S3_LEVEL_OBJECT
#define NONE S3_BODY_NONE
#define XML S3_BODY_XML
#define PUT S3_BODY_PUT
#define COPY_SOURCE "x-amz-copy-source"
#define EACH "" /* of each key, when it is known */

static const struct s3_route routes[] = {
    {"ListBuckets", "GET", SERVICE, NULL, NULL, NONE, true, NULL, NULL, s3_list_buckets},
    {"GetBucketLocation", "GET", BUCKET, "location", NULL, NONE, false, "s3:GetBucketLocation",
     NULL, s3_bucket_location},
    {"GetBucketVersioning", "GET", BUCKET, "versioning", NULL, NONE, false,
     "s3:GetBucketVersioning", NULL, s3_versioning_get},
    {"ListObjectVersions", "GET", BUCKET, "versions", NULL, NONE, true, "s3:ListBucketVersions",
     NULL, s3_list_versions},
    {"GetBucketPolicy", "GET", BUCKET, "policy", NULL, NONE, false, "s3:GetBucketPolicy", NULL,
     s3_document_get},
    {"GetBucketPolicyStatus", "GET", BUCKET, "policyStatus", NULL, NONE, false,
     "s3:GetBucketPolicyStatus", NULL, s3_policy_status},
    {"GetBucketCors", "GET", BUCKET, "cors", NULL, NONE, false, "s3:GetBucketCORS", NULL,
     s3_document_get},
    {"GetBucketLifecycleConfiguration", "GET", BUCKET, "lifecycle", NULL, NONE, false,
     "s3:GetLifecycleConfiguration", NULL, s3_document_get},
    {"GetObjectLockConfiguration", "GET", BUCKET, "object-lock", NULL, NONE, false,
     "s3:GetBucketObjectLockConfiguration", NULL, s3_document_get},
    {"GetBucketTagging", "GET", BUCKET, "tagging", NULL, NONE, false, "s3:GetBucketTagging", NULL,
     s3_document_get},
    {"GetBucketEncryption", "GET", BUCKET, "encryption", NULL, NONE, false,
     "s3:GetEncryptionConfiguration", NULL, s3_encryption_get},
    {"ListMultipartUploads", "GET", BUCKET, "uploads", NULL, NONE, true,
     "s3:ListBucketMultipartUploads", NULL, s3_upload_list},
    {"ListObjectsV2", "GET", BUCKET, "list-type", NULL, NONE, true, "s3:ListBucket", NULL,
     s3_list_v2},
    {"ListObjects", "GET", BUCKET, NULL, NULL, NONE, true, "s3:ListBucket", NULL, s3_list_v1},
    {"HeadBucket", "HEAD", BUCKET, NULL, NULL, NONE, false, "s3:ListBucket", NULL, s3_bucket_head},
    {"PutBucketVersioning", "PUT", BUCKET, "versioning", NULL, XML, true, "s3:PutBucketVersioning",
     NULL, s3_versioning_put},
    {"PutBucketPolicy", "PUT", BUCKET, "policy", NULL, XML, true, "s3:PutBucketPolicy", NULL,
     s3_document_put},
    {"PutBucketCors", "PUT", BUCKET, "cors", NULL, XML, true, "s3:PutBucketCORS", NULL,
     s3_document_put},
    {"PutBucketLifecycleConfiguration", "PUT", BUCKET, "lifecycle", NULL, XML, true,
     "s3:PutLifecycleConfiguration", NULL, s3_document_put},
    {"PutBucketTagging", "PUT", BUCKET, "tagging", NULL, XML, true, "s3:PutBucketTagging", NULL,
     s3_document_put},
    {"PutBucketEncryption", "PUT", BUCKET, "encryption", NULL, XML, true,
     "s3:PutEncryptionConfiguration", NULL, s3_encryption_put},
    {"PutObjectLockConfiguration", "PUT", BUCKET, "object-lock", NULL, XML, true,
     "s3:PutBucketObjectLockConfiguration", NULL, s3_document_put},
    {"CreateBucket", "PUT", BUCKET, NULL, NULL, XML, true, NULL, NULL, s3_bucket_create},
    {"DeleteBucketPolicy", "DELETE", BUCKET, "policy", NULL, NONE, true, "s3:DeleteBucketPolicy",
     NULL, s3_document_delete},
    {"DeleteBucketCors", "DELETE", BUCKET, "cors", NULL, NONE, true, "s3:PutBucketCORS", NULL,
     s3_document_delete},
    {"DeleteBucketTagging", "DELETE", BUCKET, "tagging", NULL, NONE, true, "s3:PutBucketTagging",
     NULL, s3_document_delete},
    {"DeleteBucketEncryption", "DELETE", BUCKET, "encryption", NULL, NONE, true,
     "s3:PutEncryptionConfiguration", NULL, s3_encryption_delete},
    {"DeleteBucketLifecycle", "DELETE", BUCKET, "lifecycle", NULL, NONE, true,
     "s3:PutLifecycleConfiguration", NULL, s3_document_delete},
    {"DeleteBucket", "DELETE", BUCKET, NULL, NULL, NONE, true, "s3:DeleteBucket", NULL,
     s3_bucket_delete},
    {"DeleteObjects", "POST", BUCKET, "delete", NULL, XML, true, EACH, NULL, s3_delete_many},
    {"GetObjectTagging", "GET", OBJECT, "tagging", NULL, NONE, false, "s3:GetObjectTagging", NULL,
     s3_tags_get},
    {"GetObjectRetention", "GET", OBJECT, "retention", NULL, NONE, false, "s3:GetObjectRetention",
     NULL, s3_retention_get},
    {"GetObjectLegalHold", "GET", OBJECT, "legal-hold", NULL, NONE, false, "s3:GetObjectLegalHold",
     NULL, s3_hold_get},
    {"ListParts", "GET", OBJECT, "uploadId", NULL, NONE, true, "s3:ListMultipartUploadParts", NULL,
     s3_upload_parts},
    {"GetObjectAttributes", "GET", OBJECT, "attributes", NULL, NONE, true, "s3:GetObjectAttributes",
     NULL, s3_object_attributes},
    {"GetObject", "GET", OBJECT, NULL, NULL, NONE, false, "s3:GetObject", NULL, s3_object_get},
    {"HeadObject", "HEAD", OBJECT, NULL, NULL, NONE, false, "s3:GetObject", NULL, s3_object_get},
    {"PutObjectTagging", "PUT", OBJECT, "tagging", NULL, XML, true, "s3:PutObjectTagging", NULL,
     s3_tags_put},
    {"PutObjectRetention", "PUT", OBJECT, "retention", NULL, XML, true, "s3:PutObjectRetention",
     NULL, s3_retention_put},
    {"PutObjectLegalHold", "PUT", OBJECT, "legal-hold", NULL, XML, true, "s3:PutObjectLegalHold",
     NULL, s3_hold_put},
    {"UploadPartCopy", "PUT", OBJECT, "uploadId", COPY_SOURCE, NONE, true, "s3:PutObject", NULL,
     s3_upload_part_copy},
    {"UploadPart", "PUT", OBJECT, "uploadId", NULL, PUT, true, "s3:PutObject", s3_upload_part_start,
     s3_upload_part_finish},
    {"CopyObject", "PUT", OBJECT, NULL, COPY_SOURCE, NONE, true, "s3:PutObject", NULL, s3_copy},
    {"PutObject", "PUT", OBJECT, NULL, NULL, PUT, true, "s3:PutObject", s3_put_start,
     s3_put_finish},
    {"CreateMultipartUpload", "POST", OBJECT, "uploads", NULL, NONE, true, "s3:PutObject", NULL,
     s3_upload_create},
    {"CompleteMultipartUpload", "POST", OBJECT, "uploadId", NULL, XML, true, "s3:PutObject", NULL,
     s3_upload_complete},
    {"DeleteObjectTagging", "DELETE", OBJECT, "tagging", NULL, NONE, true, "s3:DeleteObjectTagging",
     NULL, s3_tags_delete},
    {"AbortMultipartUpload", "DELETE", OBJECT, "uploadId", NULL, NONE, true,
     "s3:AbortMultipartUpload", NULL, s3_upload_abort},
    {"DeleteObject", "DELETE", OBJECT, NULL, NULL, NONE, true, "s3:DeleteObject", NULL,
     s3_object_delete},
};

/* Asked before a request for another origin's page: by nobody that has signed. */
const struct s3_route s3_preflight_route = {"Preflight", "OPTIONS", BUCKET, NULL, NULL,
                                            NONE,        false,     EACH,   NULL, s3_preflight};

/* A form tells who has signed it with its fields. */
const struct s3_route s3_post_route = {"PostObject", "POST", BUCKET, NULL, NULL,
                                       S3_BODY_FORM, true,   EACH,   NULL, s3_post_finish};

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

static const struct s3_route *const others[] = {&s3_preflight_route, &s3_post_route};

enum { ROUTES = sizeof routes / sizeof *routes, OTHERS = sizeof others / sizeof *others };

size_t s3_route_count(void)
{
    return ROUTES + OTHERS;
}

const struct s3_route *s3_route_at(size_t i)
{
    return i < ROUTES ? &routes[i] : others[i - ROUTES];
}

size_t s3_route_number(const struct s3_route *r)
{
    if (r >= routes && r < routes + ROUTES)
        return (size_t)(r - routes);
    return r == &s3_preflight_route ? ROUTES : ROUTES + 1;
}
