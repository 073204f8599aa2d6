#include <string.h>

#include "s3.h"

static const struct {
    const char *name;
    unsigned status;
    const char *message;
} rows[S3_CODE_COUNT] = {
    [S3_OK] = {"OK", 200, ""},
    [S3_ACCESS_DENIED] = {"AccessDenied", 403, "Access Denied"},
    [S3_ACCESS_FORBIDDEN] = {"AccessForbidden", 403,
                             "CORSResponse: This CORS request is not allowed."},
    [S3_BAD_ORIGIN] = {"BadRequest", 400,
                       "Insufficient information. Origin and Access-Control-Request-Method "
                       "headers needed."},
    [S3_AUTH_MALFORMED] = {"AuthorizationHeaderMalformed", 400,
                           "The authorization header is malformed."},
    [S3_AUTH_QUERY] = {"AuthorizationQueryParametersError", 400,
                       "The query parameters of the signature are malformed."},
    [S3_BAD_DIGEST] = {"BadDigest", 400, "The Content-MD5 you specified did not match."},
    [S3_BAD_CHECKSUM] = {"BadDigest", 400, "The checksum you specified did not match."},
    [S3_BUCKET_EXISTS] = {"BucketAlreadyOwnedByYou", 409, "You have this bucket already."},
    [S3_BUCKET_NOT_EMPTY] = {"BucketNotEmpty", 409, "The bucket is not empty."},
    [S3_ENTITY_TOO_LARGE] = {"EntityTooLarge", 400,
                             "Your upload exceeds the maximum allowed object size."},
    [S3_ENTITY_TOO_SMALL] = {"EntityTooSmall", 400,
                             "A part that is not the last is smaller than the minimum."},
    [S3_EXPIRED] = {"AccessDenied", 403, "Request has expired"},
    [S3_INCOMPLETE_BODY] = {"IncompleteBody", 400,
                            "The body does not have the length that its headers say."},
    [S3_INTERNAL] = {"InternalError", 500, "The store failed."},
    [S3_INVALID_ACCESS_KEY] = {"InvalidAccessKeyId", 403, "There is no such access key."},
    [S3_INVALID_ARGUMENT] = {"InvalidArgument", 400, "Invalid argument"},
    [S3_INVALID_BUCKET] = {"InvalidBucketName", 400, "The specified bucket is not valid."},
    [S3_INVALID_BUCKET_STATE] = {"InvalidBucketState", 409,
                                 "The request is not valid with the current state of the bucket."},
    [S3_INVALID_DIGEST] = {"InvalidDigest", 400, "The Content-MD5 you specified is not valid."},
    [S3_INVALID_PART] = {"InvalidPart", 400,
                         "A part could not be found, or its entity tag did not match."},
    [S3_INVALID_PART_NUMBER] = {"InvalidPartNumber", 416,
                                "The requested partnumber is not satisfiable"},
    [S3_INVALID_PART_ORDER] = {"InvalidPartOrder", 400,
                               "The list of parts was not in ascending order."},
    [S3_INVALID_PERIOD] = {"InvalidRetentionPeriod", 400,
                           "Default retention is for a positive number of days or years, of at "
                           "most 100 years"},
    [S3_INVALID_RANGE] = {"InvalidRange", 416, "The requested range is not satisfiable"},
    [S3_INVALID_REQUEST] = {"InvalidRequest", 400, "Invalid Request"},
    [S3_INVALID_STORAGE_CLASS] = {"InvalidStorageClass", 400,
                                  "The storage class you specified is not valid"},
    [S3_INVALID_TAG] = {"InvalidTag", 400, "The tag set is not valid."},
    [S3_INVALID_URI] = {"InvalidURI", 400, "Couldn't parse the specified URI."},
    [S3_INVALID_VERSION] = {"InvalidArgument", 400, "Invalid version id specified"},
    [S3_KEY_TOO_LONG] = {"KeyTooLongError", 400, "Your key is too long"},
    [S3_MALFORMED_POLICY] = {"MalformedPolicy", 400, "The policy is not valid."},
    [S3_MALFORMED_POST] = {"MalformedPOSTRequest", 400,
                           "The body of your POST request is not well-formed "
                           "multipart/form-data."},
    [S3_MALFORMED_XML] = {"MalformedXML", 400,
                          "The XML you provided was not well-formed or did not validate."},
    [S3_METADATA_TOO_LARGE] = {"MetadataTooLarge", 400, "Your metadata exceed the maximum size."},
    [S3_METHOD] = {"MethodNotAllowed", 405, "The method is not allowed against this resource."},
    [S3_MISSING_LENGTH] = {"MissingContentLength", 411,
                           "You must provide the Content-Length HTTP header."},
    [S3_NO_CORS] = {"NoSuchCORSConfiguration", 404, "The CORS configuration does not exist"},
    [S3_NO_ENCRYPTION] = {"ServerSideEncryptionConfigurationNotFoundError", 404,
                          "The server side encryption configuration was not found"},
    [S3_NO_LIFECYCLE] = {"NoSuchLifecycleConfiguration", 404,
                         "The lifecycle configuration does not exist"},
    [S3_NO_LOCK] = {"ObjectLockConfigurationNotFoundError", 404,
                    "Object Lock configuration does not exist for this bucket"},
    [S3_NO_MASTER_KEY] = {"AccessDenied", 403,
                          "The master key that this needs is not in the key file of the store"},
    [S3_NO_OBJECT_LOCK] = {"NoSuchObjectLockConfiguration", 404,
                           "The specified object does not have a ObjectLock configuration"},
    [S3_NO_POLICY] = {"NoSuchBucketPolicy", 404, "The bucket policy does not exist"},
    [S3_NO_SUCH_BUCKET] = {"NoSuchBucket", 404, "The specified bucket does not exist"},
    [S3_NO_SUCH_KEY] = {"NoSuchKey", 404, "The specified key does not exist."},
    [S3_NO_SUCH_UPLOAD] = {"NoSuchUpload", 404, "The specified upload does not exist."},
    [S3_NO_SUCH_VERSION] = {"NoSuchVersion", 404, "The specified version does not exist."},
    [S3_NO_TAGS] = {"NoSuchTagSet", 404, "The TagSet does not exist"},
    [S3_NOT_IMPLEMENTED] = {"NotImplemented", 501,
                            "A header or query you provided implies functionality that is not "
                            "implemented."},
    [S3_NOT_MODIFIED] = {"NotModified", 304, ""},
    [S3_NOT_SIGNED] = {"AccessDenied", 403,
                       "There were headers present in the request which were not signed"},
    [S3_NOT_YET] = {"AccessDenied", 403, "Request is not valid yet"},
    [S3_PAYLOAD_HASH] = {"XAmzContentSHA256Mismatch", 400,
                         "The provided 'x-amz-content-sha256' header does not match what was "
                         "computed."},
    [S3_OTHER_SIGNATURE] = {"InvalidRequest", 400,
                            "In headers only Signature Version 4 is known here: please use "
                            "AWS4-HMAC-SHA256."},
    [S3_PAYLOAD_HASH_MISSING] = {"InvalidRequest", 400,
                                 "Missing required header for this request: x-amz-content-sha256"},
    [S3_PRECONDITION] = {"PreconditionFailed", 412,
                         "At least one of the pre-conditions you specified did not hold"},
    [S3_SIGNATURE] = {"SignatureDoesNotMatch", 403,
                      "The request signature we calculated does not match the signature you "
                      "provided. Check your key and signing method."},
    [S3_SKEWED] = {"RequestTimeTooSkewed", 403,
                   "The difference between the request time and the current time is too large."},
    [S3_SLOW_DOWN] = {"SlowDown", 503, "Please reduce your request rate."},
    [S3_STORAGE_FULL] = {"InsufficientStorage", 507, "There is no space left in the store."},
    [S3_TOO_SMALL] = {"EntityTooSmall", 400,
                      "Your proposed upload is smaller than the minimum allowed size"},
    [S3_UNAVAILABLE] = {"ServiceUnavailable", 503, "Please reduce your request rate."},
};

const char *s3_code_name(enum s3_code code)
{
    return rows[code].name;
}

const char *s3_code_message(enum s3_code code)
{
    return rows[code].message;
}

void s3_report(const struct s3_service *s, const char *request_id, const char *method,
               const char *path, const struct error *err)
{
    if (s->o.failed)
        s->o.failed(s->o.ctx,
                    &(struct s3_failure){.request_id = request_id,
                                         .method = method,
                                         .path = path,
                                         .text = err->code != ST_OK ? err->text : "no reason"});
}

void s3_fail_with(struct s3_call *c, enum s3_code code, const char *message)
{
    struct buf xml = {0};
    if (!http_replied(c->rq))
        s3_meter_error(c->s->meter, code);
    if (rows[code].status == 500)
        s3_report(c->s, c->request_id, http_method(c->rq), c->path ? c->path : "", &c->err);
    if (c->head || code == S3_NOT_MODIFIED) {
        http_reply(c->rq, rows[code].status, NULL);
        return;
    }
    buf_printf(&xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    xml_element(&xml, "Code", rows[code].name);
    xml_element(&xml, "Message", message);
    if (c->bucket && *c->bucket != '\0')
        xml_element(&xml, "BucketName", c->bucket);
    if (c->key && *c->key != '\0')
        xml_element(&xml, "Key", c->key);
    xml_element(&xml, "Resource", c->path ? c->path : "");
    xml_element(&xml, "RequestId", c->request_id);
    buf_printf(&xml, "</Error>");
    http_reply_header(c->rq, "Content-Type", "application/xml");
    http_reply(c->rq, rows[code].status, &xml);
}

void s3_fail(struct s3_call *c, enum s3_code code)
{
    s3_fail_with(c, code, rows[code].message);
}

/* One status for a missing bucket and a missing key: only here it matters which. */
static enum s3_code not_found(const struct s3_call *c)
{
    struct error err;
    status_t st = *c->bucket == '\0'
                      ? ST_OK
                      : s3_store(c)->bucket_stat(c->s->o.store, c->bucket, NULL, NULL, &err);
    if (st == ST_NOTFOUND || *c->key == '\0')
        return S3_NO_SUCH_BUCKET;
    if (query_get(&c->query, "uploadId"))
        return S3_NO_SUCH_UPLOAD;
    return c->version != STORE_VERSION_CURRENT ? S3_NO_SUCH_VERSION : S3_NO_SUCH_KEY;
}

enum s3_code s3_code_of(const struct s3_call *c, status_t st)
{
    if (st == ST_OK)
        return S3_OK;
    if (st == ST_NOTFOUND)
        return not_found(c);
    if (st == ST_CHANGED || st == ST_EXIST)
        return S3_PRECONDITION;
    if (st == ST_INVAL)
        return S3_INVALID_ARGUMENT;
    if (st == ST_LIMIT)
        return S3_STORAGE_FULL;
    if (st == ST_PERM)
        return S3_NO_MASTER_KEY;
    if (st == ST_NOMEM || st == ST_AGAIN || st == ST_MOVED)
        return S3_UNAVAILABLE;
    return S3_INTERNAL;
}

void s3_fail_status(struct s3_call *c, status_t st)
{
    s3_fail(c, s3_code_of(c, st));
}
