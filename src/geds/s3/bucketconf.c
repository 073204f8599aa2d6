#include <string.h>

#include "base/hash.h"
#include "geds/s3/config.h"
#include "s3.h"

void s3_bucket_unref(struct s3_bucket *b)
{
    if (b && atomic_fetch_sub(&b->refs, 1) == 1) {
        arena_done(&b->arena);
        free(b);
    }
}

/* Sections that are read for each request. What cannot be read denies all, so nothing is done by halves. */
static status_t read_sections(struct s3_bucket *b, const char *config, struct error *err)
{
    const char *text = NULL;
    size_t len = 0;
    status_t st = config_get(config, "s3.policy", &text, &len, err);
    if (st == ST_OK && text)
        st = policy_read(text, len, b->name, &b->arena, &b->policy, err);
    if (st == ST_OK)
        st = config_get(config, "s3.cors", &text, &len, err);
    if (st == ST_OK && text)
        st = cors_read(text, len, &b->arena, &b->cors, err);
    if (st == ST_OK)
        st = config_get(config, "s3.object-lock", &text, &len, err);
    b->lock_broken = st == ST_OK && text &&
                     s3_lock_read(text, len, &b->arena, &b->lock, err) != S3_OK;
    return b->lock_broken ? ST_CORRUPT : st;
}

static enum s3_code load(struct s3_call *c, const char *name, struct s3_bucket **ret_bucket)
{
    struct s3_bucket *b = calloc(1, sizeof *b);
    char *config = NULL;
    if (!b)
        return S3_UNAVAILABLE;
    b->refs = 1;
    b->changes = s3_store(c)->bucket_changes(c->s->o.store); /* before: it may change meanwhile */
    snprintf(b->name, sizeof b->name, "%s", name);
    status_t st = s3_store(c)->bucket_stat(c->s->o.store, name, NULL, &config, &c->err);
    b->found = st == ST_OK;
    if (st == ST_OK)
        st = read_sections(b, config, &c->err);
    free(config);
    if (b->found && st != ST_OK && st != ST_NOMEM) {
        b->broken = true;
        b->policy = NULL;
        b->cors = NULL;
        st = ST_OK;
    }
    if (st == ST_OK || st == ST_NOTFOUND) {
        *ret_bucket = b;
        return S3_OK;
    }
    s3_bucket_unref(b);
    return st == ST_NOMEM || st == ST_LIMIT ? S3_UNAVAILABLE : S3_INTERNAL;
}

enum s3_code s3_bucket_ref(struct s3_call *c, const char *name, struct s3_bucket **ret_bucket)
{
    struct s3_service *s = c->s;
    size_t at = hash_xxh3(name, strlen(name)) % S3_BUCKETS_KEPT;
    uint64_t changes = s3_store(c)->bucket_changes(s->o.store);
    struct s3_bucket *b = NULL, *old;
    pthread_mutex_lock(&s->kept_lock);
    old = s->kept[at];
    if (old && old->changes == changes && strcmp(old->name, name) == 0) {
        b = old;
        atomic_fetch_add(&b->refs, 1);
    }
    pthread_mutex_unlock(&s->kept_lock);
    if (b) {
        *ret_bucket = b;
        return S3_OK;
    }
    enum s3_code code = load(c, name, &b);
    if (code != S3_OK || b->broken) { /* which is not kept, so that each call has the error */
        *ret_bucket = b;
        return code;
    }
    atomic_fetch_add(&b->refs, 1);
    pthread_mutex_lock(&s->kept_lock);
    old = s->kept[at];
    s->kept[at] = b;
    pthread_mutex_unlock(&s->kept_lock);
    s3_bucket_unref(old);
    *ret_bucket = b;
    return S3_OK;
}

enum s3_code s3_config_change(struct s3_call *c, const char *section, const char *text, size_t len)
{
    char *config = NULL;
    struct buf changed = {0};
    struct store_bucket bucket = {0};
    pthread_mutex_lock(&c->s->config_lock);
    status_t st = s3_store(c)->bucket_stat(c->s->o.store, c->bucket, &bucket, &config, &c->err);
    bool unversioned = st == ST_OK && bucket.versioning != STORE_VERSIONING_ON;
    if (unversioned && strcmp(section, "s3.object-lock") == 0) {
        pthread_mutex_unlock(&c->s->config_lock);
        free(config);
        return S3_INVALID_BUCKET_STATE; /* what is locked must not be replaced */
    }
    if (st == ST_OK)
        st = config_set(config, section, text, len, &changed, &c->err);
    if (st == ST_OK)
        st = s3_store(c)->bucket_set_config(c->s->o.store, c->bucket, (const char *)changed.data,
                                            &c->err);
    pthread_mutex_unlock(&c->s->config_lock);
    free(config);
    buf_done(&changed);
    return s3_code_of(c, st);
}
