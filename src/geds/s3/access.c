#include <string.h>

#include "s3.h"

/* What is asked for: several things with versions of their own in a copy or a batch. */
struct question {
    const struct s3_call *c;
    const char *key;                /* that a list would have to show; NULL: the request is one */
    char version[S3_VERSION_BYTES]; /* "": none */
};

/* Values of the conditions that policies may have. */
static const char *value_of(void *arg, const char *name)
{
    const struct question *q = arg;
    const struct s3_call *c = q->c;
    if (strcasecmp(name, "s3:prefix") == 0) /* may a name that is not there be told? */
        return q->key ? q->key : query_get(&c->query, "prefix");
    if (strcasecmp(name, "s3:delimiter") == 0)
        return query_get(&c->query, "delimiter");
    if (strcasecmp(name, "s3:max-keys") == 0)
        return query_get(&c->query, "max-keys");
    if (strcasecmp(name, "s3:VersionId") == 0)
        return q->version[0] != '\0' ? q->version : NULL;
    if (strcasecmp(name, "aws:username") == 0)
        return c->user;
    if (strcasecmp(name, "aws:SecureTransport") == 0)
        return http_is_secure(c->rq) ? "true" : "false";
    if (strcasecmp(name, "aws:UserAgent") == 0)
        return http_header(c->rq, "User-Agent");
    return strcasecmp(name, "aws:Referer") == 0 ? http_header(c->rq, "Referer") : NULL;
}

/* Of a version they have names of their own. */
static const char *action_of(const char *action, uint64_t version)
{
    static const char *const names[][2] = {
        {"s3:GetObject", "s3:GetObjectVersion"},
        {"s3:DeleteObject", "s3:DeleteObjectVersion"},
        {"s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"},
        {"s3:GetObjectTagging", "s3:GetObjectVersionTagging"},
        {"s3:PutObjectTagging", "s3:PutObjectVersionTagging"},
        {"s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"}};
    for (size_t i = 0; version != STORE_VERSION_CURRENT && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], action) == 0)
            return names[i][1];
    }
    return action;
}

/* The owner can always undo a policy that shuts everybody out. */
static bool is_about_policy(const char *action)
{
    return strcmp(action, "s3:PutBucketPolicy") == 0 || strcmp(action, "s3:GetBucketPolicy") == 0 ||
           strcmp(action, "s3:DeleteBucketPolicy") == 0;
}

/* What cannot be read denies all, but for what replaces or removes it. */
static enum s3_code decide_broken(const struct s3_call *c, const char *action)
{
    static const char *const repairs[] = {"s3:GetBucketCORS",
                                          "s3:PutBucketCORS",
                                          "s3:GetLifecycleConfiguration",
                                          "s3:PutLifecycleConfiguration",
                                          "s3:GetBucketObjectLockConfiguration",
                                          "s3:PutBucketObjectLockConfiguration"};
    bool allowed = is_about_policy(action);
    for (size_t i = 0; i < sizeof repairs / sizeof *repairs; i++)
        allowed = allowed || strcmp(repairs[i], action) == 0;
    if (!c->owner)
        return S3_ACCESS_DENIED;
    return allowed ? S3_OK : S3_INTERNAL;
}

static enum s3_code decide(struct s3_call *c, const struct s3_bucket *b, const char *key,
                           uint64_t version, const char *action)
{
    if (!action)
        return c->owner ? S3_OK : S3_ACCESS_DENIED;
    if (b->broken)
        return decide_broken(c, action);
    struct question q = {.c = c};
    if (strcmp(action, "s3:ListBucket") == 0 && c->route && c->route->level == S3_LEVEL_OBJECT)
        q.key = c->key;
    if (version != STORE_VERSION_CURRENT)
        s3_version_text(version, q.version);
    struct policy_request rq = {.user = c->user,
                                .action = action_of(action, version),
                                .bucket = b->name,
                                .key = key,
                                .value_of = value_of,
                                .arg = &q};
    enum policy_decision d = b->policy ? policy_decide(b->policy, &rq) : POLICY_SILENT;
    if (c->owner)
        return d == POLICY_DENIES && !is_about_policy(action) ? S3_ACCESS_DENIED : S3_OK;
    return d == POLICY_ALLOWS ? S3_OK : S3_ACCESS_DENIED;
}

enum s3_code s3_may(struct s3_call *c, const char *key, uint64_t version, const char *action)
{
    if (!c->conf)
        return c->owner ? S3_OK : S3_ACCESS_DENIED;
    return decide(c, c->conf, key, version, action);
}

enum s3_code s3_authorize(struct s3_call *c, const char *bucket, const char *key, uint64_t version,
                          const char *action)
{
    struct s3_bucket *b = NULL;
    if (s3_check_bucket(bucket) != S3_OK)
        return c->owner ? S3_OK : S3_ACCESS_DENIED; /* which is not there */
    enum s3_code code = s3_bucket_ref(c, bucket, &b);
    if (code == S3_OK)
        code = decide(c, b, key, version, action);
    s3_bucket_unref(b);
    return code;
}
