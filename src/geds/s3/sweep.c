#include <string.h>
#include <time.h>

#include "geds/s3/config.h"
#include "s3.h"
#include "sys/thread.h"

/* What lifecycle rules end: all versions of a bucket are looked at in order, so that what stands before a version tells
 * since when it is not current. */

enum { SWEEP_PAGE = 1000, SWEEP_BATCH = 250 };

/* The one that was seen, and nothing that came in its place; a version also has to be free of object lock. */
struct expected {
    uint64_t modified_ns;
    bool by_version;
    bool newest; /* else what was in front of it is still there */
    struct s3_lock_asker asker;
};

struct sweep {
    struct s3_service *s;
    const char *bucket;
    const struct lifecycle *rules;
    uint64_t now_ns;
    struct store_removal items[SWEEP_BATCH];
    struct store_condition conditions[SWEEP_BATCH];
    struct expected expected[SWEEP_BATCH];
    char keys[SWEEP_BATCH][STORE_KEY_MAX + 1];
    size_t count;
    /* the entry before */
    char key[STORE_KEY_MAX + 1];
    uint64_t newer_ns;   /* when it came; its time tells less, a rename keeps it */
    uint64_t noncurrent; /* of its key so far */
    bool marker_alone;   /* it is the newest of its key, and a marker */
    uint64_t marker;     /* its version */
    uint64_t marker_ns;
};

static bool is_same(void *arg, const struct store_info *info, const struct store_attributes *a,
                    bool newest)
{
    struct expected *e = arg;
    return info->modified_ns == e->modified_ns && newest == e->newest &&
           (!e->by_version || s3_lock_may_remove(&e->asker, info, a, newest));
}

static status_t flush(struct sweep *w, struct error *err)
{
    size_t count = w->count;
    w->count = 0;
    return count == 0 ? ST_OK
                      : w->s->o.table->delete_each(w->s->o.store, w->bucket, w->items, count, err);
}

static status_t remove_one(struct sweep *w, const char *key, uint64_t version, uint64_t modified_ns,
                           bool newest, struct error *err)
{
    status_t st = w->count == SWEEP_BATCH ? flush(w, err) : ST_OK;
    if (st != ST_OK)
        return st;
    size_t i = w->count++;
    snprintf(w->keys[i], sizeof w->keys[i], "%s", key);
    w->expected[i] = (struct expected){.modified_ns = modified_ns,
                                       .by_version = version != STORE_VERSION_CURRENT,
                                       .newest = newest,
                                       .asker = {.now_s = w->now_ns / 1000000000}};
    w->conditions[i] = (struct store_condition){.may = is_same, .arg = &w->expected[i]};
    w->items[i] = (struct store_removal){
        .key = w->keys[i], .version = version, .condition = &w->conditions[i], .expired = true};
    return ST_OK;
}

/* Tags are looked up only for rules that ask for them. */
static bool matches(struct sweep *w, const struct lifecycle_rule *r,
                    const struct store_version_entry *e)
{
    struct store_object *object = NULL;
    struct query tags = {0};
    struct error err;
    if (r->tag_count == 0)
        return lifecycle_matches(r, e->key, e->info.size, NULL);
    if (w->s->o.table->version_open(w->s->o.store, w->bucket, e->key, e->info.version, &object,
                                    &err) != ST_OK)
        return false;
    const char *text = s3_attribute_get(w->s->o.table->object_attributes(object), S3_TAGGING);
    bool ok = text && query_parse(text, &tags) == ST_OK &&
              lifecycle_matches(r, e->key, e->info.size, &tags);
    query_done(&tags);
    w->s->o.table->object_close(object);
    return ok;
}

static bool is_due(const struct sweep *w, uint64_t from_ns, uint64_t days)
{
    return days > 0 && lifecycle_due_ns(from_ns, days) <= w->now_ns;
}

static status_t sweep_current(struct sweep *w, const struct store_version_entry *e,
                              struct error *err)
{
    for (size_t i = 0; i < w->rules->count; i++) {
        const struct lifecycle_rule *r = &w->rules->rules[i];
        bool due = is_due(w, e->info.modified_ns, r->days) ||
                   (r->date_s > 0 && r->date_s <= w->now_ns / 1000000000);
        if (r->enabled && due && matches(w, r, e))
            return remove_one(w, e->key, STORE_VERSION_CURRENT, e->info.modified_ns, true, err);
    }
    return ST_OK;
}

static status_t sweep_noncurrent(struct sweep *w, const struct store_version_entry *e,
                                 struct error *err)
{
    for (size_t i = 0; i < w->rules->count; i++) {
        const struct lifecycle_rule *r = &w->rules->rules[i];
        if (r->enabled && w->noncurrent >= r->noncurrent_kept &&
            is_due(w, w->newer_ns, r->noncurrent_days) && matches(w, r, e))
            return remove_one(w, e->key, e->info.version, e->info.modified_ns, false, err);
    }
    return ST_OK;
}

/* A marker with nothing behind it. */
static status_t sweep_marker(struct sweep *w, struct error *err)
{
    bool alone = w->marker_alone;
    w->marker_alone = false;
    for (size_t i = 0; alone && i < w->rules->count; i++) {
        const struct lifecycle_rule *r = &w->rules->rules[i];
        if (r->enabled && r->lonely_markers && lifecycle_matches(r, w->key, 0, NULL))
            return remove_one(w, w->key, w->marker, w->marker_ns, true, err);
    }
    return ST_OK;
}

static status_t sweep_entry(struct sweep *w, const struct store_version_entry *e, struct error *err)
{
    status_t st = ST_OK;
    if (e->latest) {
        st = sweep_marker(w, err);
        w->noncurrent = 0;
        snprintf(w->key, sizeof w->key, "%s", e->key);
        w->marker_alone = e->info.marker;
        w->marker = e->info.version;
        w->marker_ns = e->info.modified_ns;
        if (st == ST_OK && !e->info.marker)
            st = sweep_current(w, e, err);
    } else {
        w->marker_alone = false;
        st = sweep_noncurrent(w, e, err);
        w->noncurrent++;
    }
    w->newer_ns = e->order;
    return st;
}

static bool stops(struct s3_service *s)
{
    pthread_mutex_lock(&s->sweep_lock);
    bool stop = s->sweep_stop;
    pthread_mutex_unlock(&s->sweep_lock);
    return stop;
}

static status_t sweep_versions(struct sweep *w, struct error *err)
{
    char key[STORE_KEY_MAX + 1] = "";
    struct store_version_query q = {.key_marker = key, .max = SWEEP_PAGE};
    bool more = true;
    status_t st = ST_OK;
    while (st == ST_OK && more && !stops(w->s)) {
        struct store_versions *page = NULL;
        st = w->s->o.table->version_list(w->s->o.store, w->bucket, &q, &page, err);
        if (st != ST_OK)
            break;
        for (size_t i = 0; i < page->count && st == ST_OK; i++)
            st = sweep_entry(w, &page->entries[i], err);
        more = page->more && page->count > 0;
        if (more) {
            snprintf(key, sizeof key, "%s", page->entries[page->count - 1].key);
            q.order_marker = page->entries[page->count - 1].order;
        }
        w->s->o.table->versions_free(page);
        if (st == ST_OK)
            st = flush(w, err);
    }
    if (st == ST_OK && !more) /* else what is behind the last one has not been seen */
        st = sweep_marker(w, err);
    return st == ST_OK ? flush(w, err) : st;
}

static bool is_left(const struct sweep *w, const struct store_upload *u)
{
    for (size_t i = 0; i < w->rules->count; i++) {
        const struct lifecycle_rule *r = &w->rules->rules[i];
        if (r->enabled && strncmp(u->key, r->prefix, strlen(r->prefix)) == 0 &&
            is_due(w, u->created_ns, r->abort_days))
            return true;
    }
    return false;
}

static status_t sweep_uploads(struct sweep *w, struct error *err)
{
    char key[STORE_KEY_MAX + 1] = "";
    uint64_t id = 0;
    bool more = true;
    status_t st = ST_OK;
    while (st == ST_OK && more && !stops(w->s)) {
        struct store_uploads *page = NULL;
        st = w->s->o.table->upload_list(w->s->o.store, w->bucket, "", key, id, SWEEP_PAGE, &page,
                                        err);
        if (st != ST_OK)
            break;
        for (size_t i = 0; i < page->count && st == ST_OK; i++) {
            const struct store_upload *u = &page->entries[i];
            if (is_left(w, u))
                st = w->s->o.table->upload_abort(w->s->o.store, w->bucket, u->key, u->id, err);
            st = st == ST_NOTFOUND ? ST_OK : st; /* it came to its end meanwhile */
        }
        more = page->more && page->count > 0;
        if (more) {
            snprintf(key, sizeof key, "%s", page->entries[page->count - 1].key);
            id = page->entries[page->count - 1].id;
        }
        w->s->o.table->uploads_free(page);
    }
    return st;
}

static status_t sweep_bucket(struct s3_service *s, const char *bucket, struct error *err)
{
    struct arena arena = {0};
    struct lifecycle *rules = NULL;
    struct sweep *w = NULL;
    const char *text = NULL;
    char *config = NULL;
    size_t len = 0;
    status_t st = s->o.table->bucket_stat(s->o.store, bucket, NULL, &config, err);
    if (st == ST_OK)
        st = config_get(config, "s3.lifecycle", &text, &len, err);
    if (st == ST_OK && text)
        st = lifecycle_read(text, len, &arena, &rules, err);
    if (st == ST_OK && rules && !(w = calloc(1, sizeof *w)))
        st = error_set(err, ST_NOMEM, ERROR_NO_OFFSET, "no memory");
    if (w) {
        w->s = s;
        w->bucket = bucket;
        w->rules = rules;
        w->now_ns = s->o.now_ns();
        st = sweep_versions(w, err);
        if (st == ST_OK)
            st = sweep_uploads(w, err);
    }
    free(w);
    free(config);
    arena_done(&arena);
    return st;
}

void s3_service_sweep(struct s3_service *s)
{
    struct store_bucket *buckets = NULL;
    struct error err = {0};
    size_t count = 0;
    if (s->o.table->bucket_list(s->o.store, &buckets, &count, &err) != ST_OK) {
        s3_report(s, "-", "sweep", "", &err);
        return;
    }
    for (size_t i = 0; i < count && !stops(s); i++) {
        struct error why = {0};
        status_t st = sweep_bucket(s, buckets[i].name, &why);
        if (st != ST_OK && st != ST_NOTFOUND) /* it was deleted meanwhile */
            s3_report(s, "-", "sweep", buckets[i].name, &why);
    }
    free(buckets);
}

static void *sweeper(void *arg)
{
    struct s3_service *s = arg;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&s->sweep_lock);
    while (!s->sweep_stop) {
        pthread_mutex_unlock(&s->sweep_lock);
        s3_service_sweep(s);
        pthread_mutex_lock(&s->sweep_lock);
        clock_gettime(CLOCK_MONOTONIC, &next);
        next.tv_sec += (time_t)s->o.sweep_s;
        int code = 0;
        while (!s->sweep_stop && code == 0)
            code = pthread_cond_timedwait(&s->sweep_wake, &s->sweep_lock, &next);
    }
    pthread_mutex_unlock(&s->sweep_lock);
    return NULL;
}

status_t s3_sweep_start(struct s3_service *s)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->sweep_wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&s->sweep_lock, NULL);
    if (s->o.sweep_s == 0)
        return ST_OK;
    s->sweeps = thread_start(&s->sweeper, sweeper, s) == 0;
    return s->sweeps ? ST_OK : ST_NOMEM;
}

void s3_sweep_stop(struct s3_service *s)
{
    pthread_mutex_lock(&s->sweep_lock);
    s->sweep_stop = true;
    pthread_cond_signal(&s->sweep_wake);
    pthread_mutex_unlock(&s->sweep_lock);
    if (s->sweeps)
        pthread_join(s->sweeper, NULL);
    pthread_mutex_destroy(&s->sweep_lock);
    pthread_cond_destroy(&s->sweep_wake);
}
