#ifndef GEDS_S3_S3_H
#define GEDS_S3_S3_H

/* Shared by the files of this module. */

#include <stdatomic.h>

#include <pthread.h>

#include "base/arena.h"
#include "base/text.h"
#include "geds/s3/checksum.h"
#include "geds/s3/cors.h"
#include "geds/s3/form.h"
#include "geds/s3/lifecycle.h"
#include "geds/s3/policy.h"
#include "geds/s3/service.h"
#include "geds/s3/xml.h"
#include "net/aws_chunked.h"

enum {
    S3_REQUEST_ID_BYTES = 20,
    S3_VERSION_BYTES = 17,
    S3_LIST_MAX = 1000,
    S3_BUCKET_LIST_MAX = 10000,
    S3_DELETE_MAX = 1000,
    S3_USER_METADATA_BYTES_MAX = 2048,
    S3_TAGS_MAX = 10,
    S3_BUCKET_TAGS_MAX = 50,
    S3_TAG_KEY_CHARACTERS_MAX = 128,
    S3_TAG_VALUE_CHARACTERS_MAX = 256,
    S3_XML_BODY_BYTES_MAX = 4 << 20,
    S3_ETAG_LIST_MAX = 64
};
#define S3_PUT_BYTES_MAX (UINT64_C(5) << 30)

/* Each has a row in error.c. */
enum s3_code {
    S3_OK,
    S3_ACCESS_DENIED,
    S3_ACCESS_FORBIDDEN,
    S3_BAD_ORIGIN,
    S3_AUTH_MALFORMED,
    S3_AUTH_QUERY,
    S3_BAD_DIGEST,
    S3_BAD_CHECKSUM,
    S3_BUCKET_EXISTS,
    S3_BUCKET_NOT_EMPTY,
    S3_ENTITY_TOO_LARGE,
    S3_ENTITY_TOO_SMALL,
    S3_EXPIRED,
    S3_INCOMPLETE_BODY,
    S3_INTERNAL,
    S3_INVALID_ACCESS_KEY,
    S3_INVALID_ARGUMENT,
    S3_INVALID_BUCKET,
    S3_INVALID_BUCKET_STATE,
    S3_INVALID_DIGEST,
    S3_INVALID_PART,
    S3_INVALID_PART_NUMBER,
    S3_INVALID_PART_ORDER,
    S3_INVALID_PERIOD,
    S3_INVALID_RANGE,
    S3_INVALID_REQUEST,
    S3_INVALID_STORAGE_CLASS,
    S3_INVALID_TAG,
    S3_INVALID_URI,
    S3_INVALID_VERSION,
    S3_KEY_TOO_LONG,
    S3_MALFORMED_POLICY,
    S3_MALFORMED_POST,
    S3_MALFORMED_XML,
    S3_METADATA_TOO_LARGE,
    S3_METHOD,
    S3_MISSING_LENGTH,
    S3_NO_CORS,
    S3_NO_ENCRYPTION,
    S3_NO_LIFECYCLE,
    S3_NO_LOCK,
    S3_NO_MASTER_KEY,
    S3_NO_OBJECT_LOCK,
    S3_NO_POLICY,
    S3_NO_SUCH_BUCKET,
    S3_NO_SUCH_KEY,
    S3_NO_SUCH_UPLOAD,
    S3_NO_SUCH_VERSION,
    S3_NO_TAGS,
    S3_NOT_IMPLEMENTED,
    S3_NOT_MODIFIED,
    S3_NOT_SIGNED,
    S3_NOT_YET,
    S3_PAYLOAD_HASH,
    S3_OTHER_SIGNATURE,
    S3_PAYLOAD_HASH_MISSING,
    S3_PRECONDITION,
    S3_SIGNATURE,
    S3_SKEWED,
    S3_SLOW_DOWN,
    S3_STORAGE_FULL,
    S3_TOO_SMALL,
    S3_UNAVAILABLE,
    S3_CODE_COUNT
};

/* What object lock says about new objects of a bucket. */
struct s3_lock_rule {
    bool enabled;
    bool has_default;
    bool compliance;
    uint64_t seconds;
};

/* The configuration of a bucket as it was at some count of the store's changes of buckets. Immutable but for refs. */
struct s3_bucket {
    atomic_uint refs;
    uint64_t changes;
    char name[STORE_BUCKET_MAX + 1];
    bool found;
    bool broken; /* it cannot be read: only the owner does something, and that is to repair it */
    bool lock_broken; /* so is the section of lock */
    struct arena arena;
    struct policy *policy; /* NULL: none */
    struct cors *cors;     /* so */
    struct s3_lock_rule lock;
};
enum { S3_BUCKETS_KEPT = 256 };

struct s3_service {
    struct s3_options o;
    struct s3_crc_tables crc;
    struct s3_meter *meter; /* NULL: nobody counts */
    atomic_uint_fast64_t requests;
    pthread_mutex_t config_lock; /* one change of a configuration at a time */
    pthread_mutex_t kept_lock;
    struct s3_bucket *kept[S3_BUCKETS_KEPT]; /* by hash of the name; guarded by kept_lock */
    pthread_t sweeper;
    bool sweeps; /* it runs */
    pthread_mutex_t sweep_lock;
    pthread_cond_t sweep_wake;
    bool sweep_stop; /* guarded by sweep_lock */
};

struct s3_call;
struct s3_reading;
struct s3_attributes;

enum s3_level { S3_LEVEL_SERVICE, S3_LEVEL_BUCKET, S3_LEVEL_OBJECT };
enum s3_body { S3_BODY_NONE, S3_BODY_XML, S3_BODY_PUT, S3_BODY_FORM };

/* One operation. Of several with the same method and level the first whose query and header are in the request is
 * it. */
struct s3_route {
    const char *name; /* of the operation, as S3's documents have it */
    const char *method;
    enum s3_level level;
    const char *query;  /* NULL: any */
    const char *header; /* NULL: any */
    enum s3_body body;
    bool worker;        /* it may wait for a disk */
    const char *action; /* what policies call it; NULL: the owner's only */
    /* Before the body: sets call->put. Only for S3_BODY_PUT. */
    void (*start)(struct s3_call *c);
    /* With the whole body. Replies. */
    void (*finish)(struct s3_call *c);
};
/* What the request asks for. S3_NOT_IMPLEMENTED, S3_METHOD. */
extern const struct s3_route s3_preflight_route, s3_post_route;
enum s3_code s3_route_find(const char *method, enum s3_level level, const struct query *q,
                           const struct http_request *rq, const struct s3_route **ret_route);
/* All routes, by number. */
size_t s3_route_count(void);
const struct s3_route *s3_route_at(size_t i);
size_t s3_route_number(const struct s3_route *r);

/* meter.c: what is counted of requests */
struct s3_meter;
/* *ret_meter: NULL without metrics. ST_NOMEM. ST_EXIST: metrics has these families already. */
CHECKED status_t s3_meter_new(struct metrics *metrics, struct s3_meter **ret_meter,
                              struct error *err);
void s3_meter_free(struct s3_meter *m); /* takes NULL, and so do: */
void s3_meter_begin(struct s3_meter *m);
/* route NULL: what it asks for was not found out. began_ns: monotonic. */
void s3_meter_done(struct s3_meter *m, const struct s3_route *route, uint64_t began_ns,
                   const struct http_outcome *outcome);
void s3_meter_error(struct s3_meter *m, enum s3_code code);

/* A request in progress: http_state of it. */
struct s3_call {
    struct s3_service *s;
    struct http_request *rq;
    uint64_t began_ns;  /* monotonic */
    struct arena arena; /* strings that live as long as the call */
    char request_id[S3_REQUEST_ID_BYTES];
    char *path;         /* decoded */
    const char *bucket; /* "" at the level of the service */
    const char *key;    /* "" at the level of a bucket */
    uint64_t version;   /* that versionId asks for; STORE_VERSION_CURRENT: none */
    bool head;
    bool owner;             /* has signed with one of the owner's keys */
    const char *user;       /* who has signed; NULL: nobody */
    struct s3_bucket *conf; /* of bucket; NULL where there is no name */
    struct query query;
    const struct s3_route *route;
    struct sigv4_chain chain;

    /* the body */
    bool chunked;
    bool hashes; /* payload_hash is compared */
    struct aws_chunked decoder;
    const char *payload_hash;
    struct sha256 payload_sum;
    struct s3_sum sum;
    const char *sum_given; /* in base64; NULL: in a trailing header, or none */
    bool sum_own;          /* nobody sent one: it is made to be kept */
    char sum_text[S3_SUM_TEXT_BYTES];
    bool has_md5;
    uint8_t md5[16];
    uint64_t declared_bytes;
    uint64_t received_bytes;
    struct buf xml;
    struct store_put *put;
    struct s3_post *post; /* of S3_BODY_FORM */

    struct s3_reading *reading; /* an answer that waits for a worker; NULL: none */

    struct error err; /* of the last call that failed */
};

static inline const struct s3_table *s3_store(const struct s3_call *c)
{
    return c->s->o.table;
}

/* error.c */

/* Tell s3_options.failed. */
void s3_report(const struct s3_service *s, const char *request_id, const char *method,
               const char *path, const struct error *err);

/* Answer with an error, which has a body but for HEAD and 304. */
void s3_fail(struct s3_call *c, enum s3_code code);
/* The same with a message of its own. */
void s3_fail_with(struct s3_call *c, enum s3_code code, const char *message);
const char *s3_code_name(enum s3_code code);
const char *s3_code_message(enum s3_code code);
/* What the store's answer to a call about the call's bucket and key means. */
enum s3_code s3_code_of(const struct s3_call *c, status_t st);
/* s3_fail of it. ST_UNSUPPORTED and the like become 500. */
void s3_fail_status(struct s3_call *c, status_t st);

/* bucketconf.c: configurations, kept while they are right */

/* *ret_bucket: ends with s3_bucket_unref; also of a bucket that is not there. S3_UNAVAILABLE, S3_INTERNAL. */
CHECKED enum s3_code s3_bucket_ref(struct s3_call *c, const char *name,
                                   struct s3_bucket **ret_bucket);
void s3_bucket_unref(struct s3_bucket *b); /* takes NULL */
/* Replace a section of the call's bucket's configuration; text NULL: remove it. */
CHECKED enum s3_code s3_config_change(struct s3_call *c, const char *section, const char *text,
                                      size_t len);

/* Who has signed with this key. */
void s3_set_user(struct s3_call *c, const char *access_key);

/* sweep.c: the thread that applies lifecycle rules */
CHECKED status_t s3_sweep_start(struct s3_service *s);
void s3_sweep_stop(struct s3_service *s);

/* access.c: who may do what */

/* May whoever has signed do this? version: STORE_VERSION_CURRENT where none is named. S3_ACCESS_DENIED. */
CHECKED enum s3_code s3_authorize(struct s3_call *c, const char *bucket, const char *key,
                                  uint64_t version, const char *action);
/* The same for the request's bucket, whose configuration is at hand. */
CHECKED enum s3_code s3_may(struct s3_call *c, const char *key, uint64_t version,
                            const char *action);

/* lock.c: retention and legal hold */

#define S3_LOCK_MODE "x-amz-object-lock-mode"
#define S3_LOCK_UNTIL "x-amz-object-lock-retain-until-date"
#define S3_LOCK_HOLD "x-amz-object-lock-legal-hold"
/* Who wants to remove a version: for store_condition.may. */
struct s3_lock_asker {
    uint64_t now_s;
    bool bypass; /* of governance */
    bool refused;
};
struct s3_lock_asker s3_lock_asker_of(struct s3_call *c, const char *key, uint64_t version);
bool s3_lock_may_remove(void *arg, const struct store_info *info, const struct store_attributes *a,
                        bool newest);
/* A rule's document. S3_MALFORMED_XML. */
CHECKED enum s3_code s3_lock_read(const void *data, size_t len, struct arena *arena,
                                  struct s3_lock_rule *ret_rule, struct error *err);
/* Add what the headers, or else the bucket, say about a new object. */
CHECKED enum s3_code s3_lock_attributes(struct s3_call *c, struct s3_attributes *a);

/* body.c: the body's bytes, sums and signatures */

/* Read what the headers say about the body. */
enum s3_code s3_body_begin(struct s3_call *c, const char *payload);
enum s3_code s3_body_take(struct s3_call *c, const uint8_t *data, size_t len);
/* Is all of it there, as the headers say? */
enum s3_code s3_body_end(struct s3_call *c);

/* post.c: objects by forms */

bool s3_is_post(const struct s3_call *c);
CHECKED enum s3_code s3_post_begin(struct s3_call *c);
CHECKED enum s3_code s3_post_take(struct s3_call *c, const uint8_t *data, size_t len);
void s3_post_finish(struct s3_call *c);
void s3_post_free(struct s3_post *p); /* takes NULL */
const struct form *s3_post_form(const struct s3_post *p);

/* reply.c */

/* Answer 200 with a document; takes over xml. */
void s3_reply_xml(struct s3_call *c, struct buf *xml);
void s3_xml_begin(struct buf *xml, const char *root);
void s3_xml_time(struct buf *xml, const char *name, uint64_t ns);
void s3_xml_u64(struct buf *xml, const char *name, uint64_t value);
void s3_xml_etag(struct buf *xml, const char *etag);
/* A key or prefix, in the encoding that encoding-type asks for. */
void s3_xml_key(struct buf *xml, const char *name, const char *key, bool url);
/* Append the URL of its object, as this client reaches it, with a NUL. */
void s3_location(struct s3_call *c, struct buf *out);
void s3_reply_etag(struct s3_call *c, const char *etag);
/* The header of an object of a bucket that has or had versions. */
void s3_reply_version(struct s3_call *c, const struct store_info *info);
void s3_version_text(uint64_t version, char ret_text[S3_VERSION_BYTES]);
/* S3_INVALID_VERSION. */
CHECKED enum s3_code s3_version_of(const char *text, uint64_t *ret_version);

/* params.c: values from headers and queries */

CHECKED enum s3_code s3_max_of(const struct s3_call *c, const char *name, uint64_t most,
                               uint64_t *ret_value);
/* encoding-type=url? */
CHECKED enum s3_code s3_encoding_of(const struct s3_call *c, bool *ret_url);
/* Is etag (without quotes) in a list of If-Match? */
bool s3_etag_in(const char *list, const char *etag);
/* The value of If-Match without quotes, from the arena; NULL where memory ran out. */
const char *s3_etag_of(struct s3_call *c, const char *text);
/* The conditions of PUT and of completing. */
CHECKED enum s3_code s3_condition_of(struct s3_call *c, struct store_condition *ret_condition);
/* Conditions of reading, by headers with that prefix: "" or "x-amz-copy-source-". S3_OK, S3_NOT_MODIFIED,
 * S3_PRECONDITION. */
enum s3_code s3_check_conditions(const struct s3_call *c, const char *prefix,
                                 const struct store_info *info);
CHECKED enum s3_code s3_check_key(const char *key);
CHECKED enum s3_code s3_check_bucket(const char *bucket);

/* attributes.c: what an object carries */

struct s3_attributes {
    struct store_attribute pairs[STORE_ATTRIBUTE_COUNT_MAX];
    size_t count;
    const char *content_type;
};
/* A header of the request, or what stands for it in a form. */
const char *s3_given(const struct s3_call *c, const char *name);
const struct http_header *s3_given_all(const struct s3_call *c, size_t *ret_count);
struct store_attributes s3_attributes_for_store(const struct s3_attributes *a);
const char *s3_attribute_get(const struct store_attributes *a, const char *name);
/* Add or replace. Strings are borrowed. False: too many. */
bool s3_attribute_set(struct s3_attributes *a, const char *name, const char *value);
void s3_attribute_remove(struct s3_attributes *a, const char *name);
/* Headers that would change what the request means: ACLs, keys of others. S3_NOT_IMPLEMENTED,
 * S3_INVALID_STORAGE_CLASS. */
CHECKED enum s3_code s3_check_refused(const struct s3_call *c);
/* Those of the headers: user metadata, content headers, tags. */
CHECKED enum s3_code s3_attributes_read(struct s3_call *c, struct s3_attributes *ret_a);
/* Copies into the arena. S3_UNAVAILABLE no memory. */
CHECKED enum s3_code s3_attributes_copy(struct s3_call *c, const struct store_attributes *from,
                                        struct s3_attributes *ret_a);
bool s3_attribute_is_checksum(const char *name);
/* Reply headers for them. */
void s3_attributes_reply(struct s3_call *c, const struct store_attributes *a, bool checksums);
/* Is it a tag set in the form of a query: at most so many, each name once? */
CHECKED enum s3_code s3_tags_check(const struct query *q, size_t most);
/* Is the request's document one of at most so many tags? *ret_text: them as a query, with a NUL; for buf_done.
 * S3_MALFORMED_XML, S3_INVALID_TAG. */
CHECKED enum s3_code s3_tags_document(struct s3_call *c, size_t most, struct buf *ret_text);
#define S3_TAGGING "x-amz-tagging"
#define S3_CHECKSUM_TYPE "x-amz-checksum-type"
/* The upload that an object was made by: whoever missed the answer may complete it again. Not told to clients. */
#define S3_UPLOAD_ID "x-amz-upload-id"

/* Operations */

void s3_list_buckets(struct s3_call *c);
void s3_bucket_create(struct s3_call *c);
void s3_bucket_delete(struct s3_call *c);
void s3_bucket_head(struct s3_call *c);
void s3_bucket_location(struct s3_call *c);
void s3_versioning_get(struct s3_call *c);
void s3_versioning_put(struct s3_call *c);
void s3_list_versions(struct s3_call *c);
void s3_document_get(
    struct s3_call *c); /* configurations: policy, cors, lifecycle, tagging, object-lock */
void s3_document_put(struct s3_call *c);
void s3_document_delete(struct s3_call *c);
void s3_policy_status(struct s3_call *c);
void s3_preflight(struct s3_call *c);
/* Reply headers for a page of another origin, where the bucket allows it. */
void s3_cors_reply(struct s3_call *c);
void s3_retention_get(struct s3_call *c);
void s3_retention_put(struct s3_call *c);
void s3_hold_get(struct s3_call *c);
void s3_hold_put(struct s3_call *c);
/* Tokens that lists go on from: a key in base64. S3_INVALID_ARGUMENT. */
CHECKED enum s3_code s3_token_read(struct s3_call *c, const char *token, const char **ret_after);
void s3_xml_token(struct buf *xml, const char *name, const char *key);
void s3_list_v1(struct s3_call *c);
void s3_list_v2(struct s3_call *c);
void s3_object_get(struct s3_call *c);
void s3_reading_free(struct s3_reading *r); /* takes NULL */
void s3_object_attributes(struct s3_call *c);
void s3_put_start(struct s3_call *c);
void s3_put_finish(struct s3_call *c);
void s3_object_delete(struct s3_call *c);
void s3_delete_many(struct s3_call *c);
void s3_copy(struct s3_call *c);
void s3_tags_get(struct s3_call *c);
void s3_tags_put(struct s3_call *c);
void s3_tags_delete(struct s3_call *c);
void s3_upload_create(struct s3_call *c);
void s3_upload_part_start(struct s3_call *c);
void s3_upload_part_finish(struct s3_call *c);
void s3_upload_part_copy(struct s3_call *c);
void s3_upload_complete(struct s3_call *c);
void s3_upload_abort(struct s3_call *c);
void s3_upload_parts(struct s3_call *c);
void s3_upload_list(struct s3_call *c);

/* The request's object and version. False: answered, as a missing key, bucket, version, or a marker. */
bool s3_object_open(struct s3_call *c, struct store_object **ret_object);
/* x-amz-copy-source, opened, with its conditions checked. ret_name: strings of the arena. *ret_object: for
 * object_close. */
CHECKED enum s3_code s3_copy_source_open(struct s3_call *c, struct store_name *ret_name,
                                         uint64_t *ret_version, struct store_object **ret_object);
/* first..last of a Range header's value. S3_OK; S3_INVALID_RANGE nothing of it is there; S3_INVALID_ARGUMENT it is no
 * single range of bytes. */
CHECKED enum s3_code s3_range_of(const char *text, uint64_t size, uint64_t *ret_off,
                                 uint64_t *ret_len);
/* encryption.c */
void s3_encryption_get(struct s3_call *c);
void s3_encryption_put(struct s3_call *c);
void s3_encryption_delete(struct s3_call *c);
/* Do the headers ask for what is written to be encrypted? S3_NOT_IMPLEMENTED: by other keys than the store's.
 * S3_INVALID_ARGUMENT. */
CHECKED enum s3_code s3_encryption_asked(const struct s3_call *c, bool *ret_asked);
/* The same about a put that has just begun. */
CHECKED enum s3_code s3_encryption_of_put(struct s3_call *c);
/* The header that says so; not sent where it is not encrypted. */
void s3_reply_encryption(struct s3_call *c, bool encrypted);

/* Checksums of uploads in parts: multipart.c */
struct s3_multipart {
    enum s3_algorithm algorithm; /* S3_SUM_NONE: parts carry what was sent with them */
    bool whole;                  /* the object's sum is one of its bytes, not of its parts' sums */
};
#define S3_CHECKSUM_ALGORITHM "x-amz-checksum-algorithm"
/* From the headers of CreateMultipartUpload. S3_INVALID_REQUEST. */
CHECKED enum s3_code s3_multipart_begin(const struct s3_call *c, struct s3_multipart *ret_m);
/* The same of an upload's attributes. */
struct s3_multipart s3_multipart_of(const struct store_attributes *a);
/* Keep the call's sum, which is final, with its put. */
CHECKED enum s3_code s3_multipart_keep(struct s3_call *c);
/* <ChecksumX> of a part; nothing where it has none. */
void s3_multipart_xml(struct buf *xml, const struct store_part *part);
/* The sum that was kept in base64, "" where there is none; S3_SUM_COUNT is no algorithm of it. */
enum s3_algorithm s3_multipart_text(const struct store_part *part,
                                    char ret_text[S3_SUM_TEXT_BYTES]);
/* The object's sum. S3_INVALID_REQUEST: a part has none. */
CHECKED enum s3_code s3_multipart_sum(const struct s3_call *c, const struct s3_multipart *m,
                                      const struct store_part *parts, size_t count,
                                      char ret_text[S3_SUM_TEXT_BYTES + 8]);
void s3_xml_sum(struct buf *xml, enum s3_algorithm a, const char *text);

/* Before the commit: the sum that came with the body, as attributes and in the reply. */
void s3_reply_sum(struct s3_call *c);

#endif
