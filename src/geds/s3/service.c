#include "geds/s3/service.h"

#include <string.h>

#include "s3.h"
#include "sys/clock.h"

status_t s3_service_new(const struct s3_options *options, struct s3_service **ret_service)
{
    struct s3_service *s = calloc(1, sizeof *s);
    if (!s)
        return ST_NOMEM;
    s->o = *options;
    s->requests = options->now_ns();
    s3_crc_tables_init(&s->crc);
    pthread_mutex_init(&s->config_lock, NULL);
    pthread_mutex_init(&s->kept_lock, NULL);
    struct error err;
    status_t st = s3_sweep_start(s);
    if (st == ST_OK)
        st = s3_meter_new(options->metrics, &s->meter, &err);
    if (st != ST_OK) {
        s3_service_free(s);
        return st;
    }
    *ret_service = s;
    return ST_OK;
}

void s3_service_free(struct s3_service *s)
{
    if (!s)
        return;
    s3_sweep_stop(s);
    for (size_t i = 0; i < S3_BUCKETS_KEPT; i++)
        s3_bucket_unref(s->kept[i]);
    pthread_mutex_destroy(&s->config_lock);
    pthread_mutex_destroy(&s->kept_lock);
    s3_meter_free(s->meter);
    free(s);
}

/* /, /bucket, /bucket/, /bucket/key: a key may begin with a slash and have any others. */
static enum s3_code split_path(struct s3_call *c)
{
    const char *target = http_target(c->rq);
    size_t len = strcspn(target, "?");
    struct buf path = {0};
    if (*target != '/')
        return S3_INVALID_URI;
    status_t st = uri_decode(&path, target, len, URI_PLUS_IS_PLUS);
    c->path = st == ST_OK ? arena_strndup(&c->arena, (const char *)path.data, path.len) : NULL;
    buf_done(&path);
    if (st == ST_FORMAT)
        return S3_INVALID_URI;
    if (!c->path)
        return S3_UNAVAILABLE;
    const char *bucket = c->path + 1;
    size_t bucket_len = strcspn(bucket, "/");
    c->key = bucket[bucket_len] == '/' ? bucket + bucket_len + 1 : "";
    c->bucket = arena_strndup(&c->arena, bucket, bucket_len);
    if (!c->bucket)
        return S3_UNAVAILABLE;
    st = query_parse(target[len] == '?' ? target + len + 1 : NULL, &c->query);
    return st == ST_OK ? S3_OK : st == ST_NOMEM ? S3_UNAVAILABLE : S3_INVALID_URI;
}

static enum s3_code code_of_signature(enum sigv4_result r)
{
    switch (r) {
    case SIGV4_OK:
        return S3_OK;
    case SIGV4_ANONYMOUS:
        return S3_ACCESS_DENIED;
    case SIGV4_MALFORMED:
        return S3_AUTH_MALFORMED;
    case SIGV4_MALFORMED_URL:
        return S3_AUTH_QUERY;
    case SIGV4_ALGORITHM:
        return S3_OTHER_SIGNATURE;
    case SIGV4_NO_PAYLOAD:
        return S3_PAYLOAD_HASH_MISSING;
    case SIGV4_SKEWED:
        return S3_SKEWED;
    case SIGV4_NOT_YET:
        return S3_NOT_YET;
    case SIGV4_EXPIRED:
        return S3_EXPIRED;
    case SIGV4_NOT_SIGNED:
        return S3_NOT_SIGNED;
    case SIGV4_MISMATCH:
        return S3_SIGNATURE;
    default:
        return S3_INTERNAL;
    }
}

/* Who has not signed is somebody whom a bucket's policy may allow something, with any body. */
static enum s3_code take_anonymous(struct s3_call *c, const char **ret_payload)
{
    const char *payload = http_header(c->rq, "x-amz-content-sha256");
    *ret_payload = payload ? payload : SIGV4_UNSIGNED;
    return payload && strncmp(payload, SIGV4_CHUNKS, strlen(SIGV4_CHUNKS)) == 0 ? S3_ACCESS_DENIED
                                                                                : S3_OK;
}

static enum s3_code authenticate(struct s3_call *c, const char **ret_payload)
{
    struct sigv4_request signed_part = {
        .method = http_method(c->rq), .path = c->path, .query = &c->query};
    struct sigv4_auth auth;
    signed_part.headers = http_headers(c->rq, &signed_part.header_count);
    enum sigv4_result r = sigv4_read(&signed_part, &auth);
    if (r == SIGV4_ANONYMOUS)
        return take_anonymous(c, ret_payload);
    if (r != SIGV4_OK)
        return code_of_signature(r);
    if (strcmp(auth.service, "s3") != 0)
        return auth.in_query ? S3_AUTH_QUERY : S3_AUTH_MALFORMED;
    const char *secret = c->s->o.secret_of(c->s->o.ctx, auth.access_key);
    if (!secret)
        return S3_INVALID_ACCESS_KEY;
    uint64_t now_s = c->s->o.now_ns() / 1000000000;
    *ret_payload = auth.payload;
    r = sigv4_verify(&signed_part, &auth, secret, now_s, &c->chain);
    if (r == SIGV4_OK)
        s3_set_user(c, auth.access_key);
    return code_of_signature(r);
}

void s3_set_user(struct s3_call *c, const char *access_key)
{
    const char *user = c->s->o.user_of ? c->s->o.user_of(c->s->o.ctx, access_key) : NULL;
    c->owner = user == NULL;
    c->user = user ? user : POLICY_OWNER;
}

/* What writes a new object must not look as if it wrote a certain version. */
static bool takes_version(const struct s3_route *r)
{
    static const char *const queries[] = {"tagging", "retention", "legal-hold"};
    if (r->level != S3_LEVEL_OBJECT || strcmp(r->method, "POST") == 0)
        return false;
    for (size_t i = 0; r->query && i < sizeof queries / sizeof *queries; i++) {
        if (strcmp(r->query, queries[i]) == 0)
            return true;
    }
    return strcmp(r->method, "PUT") != 0;
}

/* The bucket's configuration, and the operation. */
static enum s3_code find_operation(struct s3_call *c)
{
    enum s3_code code = S3_OK;
    if (*c->bucket == '\0' && *c->key != '\0')
        code = S3_INVALID_BUCKET;
    if (code == S3_OK)
        code = s3_check_key(c->key);
    if (code == S3_OK && *c->bucket != '\0')
        code = s3_check_bucket(c->bucket);
    if (code == S3_OK && *c->bucket != '\0')
        code = s3_bucket_ref(c, c->bucket, &c->conf);
    if (code == S3_OK)
        s3_cors_reply(c);
    if (code == S3_OK && !c->route) {
        enum s3_level level = *c->bucket == '\0' ? S3_LEVEL_SERVICE
                              : *c->key == '\0'  ? S3_LEVEL_BUCKET
                                                 : S3_LEVEL_OBJECT;
        code = s3_route_find(http_method(c->rq), level, &c->query, c->rq, &c->route);
    }
    if (code == S3_OK && query_get(&c->query, "versionId"))
        code = takes_version(c->route)
                   ? s3_version_of(query_get(&c->query, "versionId"), &c->version)
                   : S3_INVALID_ARGUMENT;
    return code;
}

static enum s3_code start(struct s3_call *c)
{
    const char *payload = SIGV4_UNSIGNED;
    enum s3_code code = split_path(c);
    if (code == S3_OK && strcmp(http_method(c->rq), "OPTIONS") == 0)
        c->route = &s3_preflight_route;
    else if (code == S3_OK && s3_is_post(c))
        c->route = &s3_post_route;
    if (code == S3_OK && !c->route)
        code = authenticate(c, &payload);
    bool anonymous = code == S3_OK && !c->user && !c->route;
    if (code == S3_OK)
        code = find_operation(c);
    bool asks_each = code == S3_OK && c->route->action && *c->route->action == '\0';
    if (code == S3_OK && !asks_each)
        code = s3_may(c, c->key, c->version, c->route->action);
    if (asks_each && c->route->body == S3_BODY_XML && !c->owner && !c->conf->policy)
        code = S3_ACCESS_DENIED; /* before a document of somebody is read */
    /* who has not signed is told no more than that */
    if (anonymous && code != S3_OK && code != S3_UNAVAILABLE && code != S3_INVALID_URI)
        code = S3_ACCESS_DENIED;
    if (code == S3_OK && c->route == &s3_post_route)
        code = s3_post_begin(c);
    return code == S3_OK ? s3_body_begin(c, payload) : code;
}

static void on_begin(void *ctx, struct http_request *rq)
{
    struct s3_service *s = ctx;
    struct s3_call *c = calloc(1, sizeof *c);
    if (!c) {
        http_reply(rq, 503, NULL);
        return;
    }
    c->s = s;
    c->rq = rq;
    c->began_ns = clock_monotonic_ns();
    s3_meter_begin(s->meter);
    c->head = strcmp(http_method(rq), "HEAD") == 0;
    c->bucket = c->key = "";
    c->version = STORE_VERSION_CURRENT;
    http_set_state(rq, c);
    snprintf(c->request_id, sizeof c->request_id, "%016llX",
             (unsigned long long)atomic_fetch_add(&s->requests, 1));
    http_reply_header(rq, "x-amz-request-id", c->request_id);
    enum s3_code code = start(c);
    if (code != S3_OK) {
        s3_fail(c, code);
        return;
    }
    if (c->route->worker)
        http_end_in_worker(rq);
    if (c->route->start)
        c->route->start(c);
}

static void on_body(void *ctx, struct http_request *rq, const uint8_t *data, size_t len)
{
    struct s3_call *c = http_state(rq);
    (void)ctx;
    enum s3_code code = s3_body_take(c, data, len);
    if (code == S3_ACCESS_DENIED && c->err.code == ST_PERM)
        s3_fail_with(c, code, c->err.text); /* what of a form's policy does not hold */
    else if (code != S3_OK)
        s3_fail(c, code);
}

static void on_end(void *ctx, struct http_request *rq)
{
    struct s3_call *c = http_state(rq);
    (void)ctx;
    enum s3_code code = c->reading ? S3_OK : s3_body_end(c); /* else it has been told already */
    if (code == S3_OK)
        c->route->finish(c);
    else
        s3_fail(c, code);
}

static void on_done(void *ctx, struct http_request *rq)
{
    struct s3_call *c = http_state(rq);
    struct s3_service *s = ctx;
    struct http_outcome outcome = http_outcome(rq);
    if (!c) /* the server has refused it, or there was no memory */
        s3_meter_begin(s->meter);
    s3_meter_done(s->meter, c ? c->route : NULL, c ? c->began_ns : clock_monotonic_ns(), &outcome);
    if (!c)
        return;
    if (c->put)
        s3_store(c)->put_abort(c->put);
    s3_reading_free(c->reading);
    s3_bucket_unref(c->conf);
    s3_post_free(c->post);
    buf_done(&c->xml);
    query_done(&c->query);
    arena_done(&c->arena);
    free(c);
}

const struct http_handler *s3_service_handler(void)
{
    static const struct http_handler handler = {
        .begin = on_begin, .body = on_body, .end = on_end, .done = on_done};
    return &handler;
}
