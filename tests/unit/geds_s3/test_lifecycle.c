/* Lifecycle rules over a store, with a clock that the test sets. */
#include "geds/s3/lifecycle.h"

#include "../geds/storetest.h"
#include "base/arena.h"
#include "geds/s3/config.h"
#include "geds/s3/service.h"
#include "s3.h"

#define DAY_NS (UINT64_C(86400) * 1000000000)
static uint64_t ahead_ns; /* of the real clock */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec + ahead_ns;
}

static const char *no_secret(void *ctx, const char *access)
{
    (void)ctx, (void)access;
    return NULL;
}

/* What happens when the versions have been listed; NULL: nothing. */
static void (*after_list)(struct store_versions *page);

static status_t list_versions(struct store *s, const char *bucket,
                              const struct store_version_query *q, struct store_versions **ret,
                              struct error *why)
{
    void (*then)(struct store_versions *) = after_list;
    status_t st = store_version_list(s, bucket, q, ret, why);
    after_list = NULL;
    if (st == ST_OK && then)
        then(*ret);
    return st;
}

static const struct s3_table table = {.bucket_stat = store_bucket_stat,
                                      .bucket_list = store_bucket_list,
                                      .bucket_changes = store_bucket_changes,
                                      .version_list = list_versions,
                                      .versions_free = store_versions_free,
                                      .version_open = store_version_open,
                                      .object_attributes = store_object_attributes,
                                      .object_close = store_object_close,
                                      .delete_each = store_delete_each,
                                      .upload_list = store_upload_list,
                                      .uploads_free = store_uploads_free,
                                      .upload_abort = store_upload_abort};
static struct s3_service *service;

static void set_rules(const char *rules)
{
    struct buf text = {0}, config = {0};
    buf_printf(&text, "<LifecycleConfiguration>%s</LifecycleConfiguration>", rules);
    MUST(config_set("", "s3.lifecycle", (const char *)text.data, text.len, &config, &err));
    MUST(store_bucket_set_config(store, "box", (const char *)config.data, &err));
    buf_done(&text);
    buf_done(&config);
}

static void begin(bool versions, const char *rules)
{
    const struct store_options store_options = {.sync = STORE_SYNC_OFF};
    ahead_ns = 0;
    store_make(&store_options);
    const struct s3_options options = {
        .table = &table, .store = store, .secret_of = no_secret, .now_ns = now_ns};
    CHECK_EQ(s3_service_new(&options, &service), ST_OK);
    MUST(store_bucket_create(store, "box", "", &err));
    if (versions)
        MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
    set_rules(rules);
}

static void end(void)
{
    s3_service_free(service);
    check_sound();
    store_remove();
}

static void after_days(uint64_t days)
{
    ahead_ns = days * DAY_NS;
    s3_service_sweep(service);
}

/* Versions and markers of a key. */
static size_t versions_of(const char *key, size_t *ret_markers)
{
    struct store_versions *page = NULL;
    size_t count = 0;
    *ret_markers = 0;
    struct store_version_query q = {.prefix = key, .max = STORE_LIST_MAX};
    MUST(store_version_list(store, "box", &q, &page, &err));
    for (size_t i = 0; i < page->count; i++) {
        count += !page->entries[i].info.marker;
        *ret_markers += page->entries[i].info.marker;
    }
    store_versions_free(page);
    return count;
}

static bool there(const char *key)
{
    struct store_info info;
    return store_stat(store, "box", key, &info, NULL) == ST_OK;
}

static void tag(const char *key, const char *tags)
{
    const struct store_attribute pair = {"x-amz-tagging", tags};
    MUST(store_change_attributes(store, "box", key, STORE_VERSION_CURRENT, &pair, 1, NULL, NULL,
                                 &err));
}

static void objects_end_after_days_by_prefix_tag_and_size(void)
{
    begin(false, "<Rule><Filter><Prefix>a/</Prefix></Filter><Status>Enabled</Status>"
                 "<Expiration><Days>3</Days></Expiration></Rule>"
                 "<Rule><Filter><Tag><Key>temp</Key><Value>yes</Value></Tag></Filter>"
                 "<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
                 "<Rule><Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>"
                 "<Status>Enabled</Status><Expiration><Days>5</Days></Expiration></Rule>"
                 "<Rule><Prefix/><Status>Disabled</Status><Expiration><Days>1</Days></Expiration>"
                 "</Rule>");
    for (int i = 0; i < 1500; i++) {
        char key[16];
        snprintf(key, sizeof key, "a/%d", i);
        CHECK_EQ(put("box", key, "x", 1), ST_OK);
    }
    CHECK_EQ(put("box", "b", "x", 1), ST_OK);
    CHECK_EQ(put("box", "c", "x", 1), ST_OK);
    CHECK_EQ(put("box", "d", "x", 1), ST_OK);
    CHECK_EQ(put("box", "long", "0123456789", 10), ST_OK);
    tag("b", "temp=yes");
    tag("c", "temp=no");
    s3_service_sweep(service);
    CHECK(there("b") && there("a/0"));
    after_days(2);
    CHECK(!there("b") && there("c") && there("a/0"));
    after_days(4);
    CHECK(!there("a/0") && !there("a/1499") && there("long"));
    after_days(6);
    CHECK(!there("long") && there("d"));
    struct store_bucket b;
    MUST(store_bucket_stat(store, "box", &b, NULL, &err));
    CHECK_EQ(b.objects, 2);
    end();
}

static void a_date_that_is_past_ends_all(void)
{
    begin(false, "<Rule><Prefix>a</Prefix><Status>Enabled</Status><Expiration>"
                 "<Date>2020-01-01T00:00:00.000Z</Date></Expiration></Rule>"
                 "<Rule><Prefix>b</Prefix><Status>Enabled</Status><Expiration>"
                 "<Date>2554-07-21T00:00:00Z</Date></Expiration></Rule>");
    CHECK_EQ(put("box", "a", "x", 1), ST_OK);
    CHECK_EQ(put("box", "b", "x", 1), ST_OK);
    s3_service_sweep(service);
    CHECK(!there("a") && there("b"));
    end();
}

static void versions_end_by_their_age_and_count(void)
{
    size_t markers;
    begin(true, "<Rule><Prefix>k</Prefix><Status>Enabled</Status><NoncurrentVersionExpiration>"
                "<NoncurrentDays>2</NoncurrentDays>"
                "<NewerNoncurrentVersions>1</NewerNoncurrentVersions>"
                "</NoncurrentVersionExpiration></Rule>"
                "<Rule><Prefix>l</Prefix><Status>Enabled</Status><Expiration><Days>1</Days>"
                "</Expiration><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
                "</NoncurrentVersionExpiration></Rule>"
                "<Rule><Prefix/><Status>Enabled</Status><Expiration>"
                "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>");
    for (int i = 0; i < 4; i++)
        CHECK_EQ(put("box", "k", "x", 1), ST_OK);
    CHECK_EQ(put("box", "l", "x", 1), ST_OK);
    after_days(1);
    CHECK_EQ(versions_of("k", &markers), 4);
    after_days(3);
    CHECK_EQ(versions_of("k", &markers), 2); /* the current one and one more */
    CHECK_EQ(versions_of("l", &markers), 1); /* its marker came by the real clock ... */
    CHECK_EQ(markers, 1);
    after_days(4);
    CHECK_EQ(versions_of("l", &markers), 0); /* ... so it ends 2 days after today */
    after_days(4);
    CHECK_EQ(versions_of("l", &markers), 0);
    CHECK_EQ(markers, 0);
    CHECK(there("k"));
    end();
}

#define NONCURRENT                                                         \
    "<Rule><Prefix/><Status>Enabled</Status><NoncurrentVersionExpiration>" \
    "<NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>"

static void delete_newest(struct store_versions *page)
{
    struct store_removal item = {.key = "k", .version = page->entries[0].info.version};
    CHECK(page->entries[0].latest);
    MUST(store_delete_each(store, "box", &item, 1, &err));
    CHECK_EQ(item.status, ST_OK);
}

static void a_version_that_became_the_newest_stays(void)
{
    size_t markers;
    begin(true, NONCURRENT);
    CHECK_EQ(put("box", "k", "x", 1), ST_OK);
    CHECK_EQ(put("box", "k", "y", 1), ST_OK);
    after_list = delete_newest;
    after_days(3);
    CHECK_EQ(versions_of("k", &markers), 1);
    CHECK(there("k"));
    end();
}

static void make_old(struct store_versions *page)
{
    page->entries[0].info.modified_ns = DAY_NS;
}

/* As that of what was renamed. */
static void an_old_successor_came_when_it_came(void)
{
    size_t markers;
    begin(true, NONCURRENT);
    CHECK_EQ(put("box", "k", "x", 1), ST_OK);
    CHECK_EQ(put("box", "k", "y", 1), ST_OK);
    after_list = make_old;
    after_days(0);
    CHECK_EQ(versions_of("k", &markers), 2);
    after_list = make_old;
    after_days(3);
    CHECK_EQ(versions_of("k", &markers), 1);
    end();
}

static void stop_sweeping(struct store_versions *page)
{
    CHECK(page->more && page->entries[page->count - 1].info.marker);
    pthread_mutex_lock(&service->sweep_lock);
    service->sweep_stop = true;
    pthread_mutex_unlock(&service->sweep_lock);
}

/* The first page, of 1000, ends with a marker, and nobody looks at the second. */
static void a_sweep_that_stops_leaves_the_last_marker(void)
{
    char key[16];
    size_t markers;
    begin(true, "<Rule><Prefix/><Status>Enabled</Status><Expiration>"
                "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>");
    for (unsigned i = 0; i < 999; i++) {
        snprintf(key, sizeof key, "a%u", i);
        CHECK_EQ(put("box", key, "x", 1), ST_OK);
    }
    CHECK_EQ(put("box", "k", "x", 1), ST_OK);
    MUST(store_delete(store, "box", "k", NULL, &err));
    after_list = stop_sweeping;
    s3_service_sweep(service);
    CHECK(!after_list);
    CHECK_EQ(versions_of("k", &markers), 1);
    CHECK_EQ(markers, 1);
    CHECK(!there("k"));
    end();
}

static void locked_versions_stay(void)
{
    size_t markers;
    char until[32];
    begin(true, "<Rule><Prefix/><Status>Enabled</Status><NoncurrentVersionExpiration>"
                "<NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>");
    snprintf(until, sizeof until, "2999-01-01T00:00:00Z");
    const struct store_attribute lock[] = {{"x-amz-object-lock-mode", "GOVERNANCE"},
                                           {"x-amz-object-lock-retain-until-date", until}};
    CHECK_EQ(put("box", "k", "x", 1), ST_OK);
    MUST(store_change_attributes(store, "box", "k", STORE_VERSION_CURRENT, lock, 2, NULL, NULL,
                                 &err));
    CHECK_EQ(put("box", "k", "y", 1), ST_OK);
    CHECK_EQ(put("box", "k", "z", 1), ST_OK);
    after_days(3);
    CHECK_EQ(versions_of("k", &markers), 2);
    end();
}

static void uploads_that_were_left_are_aborted(void)
{
    uint64_t old = 0, other = 0;
    struct store_uploads *left = NULL;
    begin(false, "<Rule><Prefix>a</Prefix><Status>Enabled</Status><AbortIncompleteMultipartUpload>"
                 "<DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
                 "</Rule>");
    MUST(store_upload_begin(store, "box", "a", NULL, &old, &err));
    MUST(store_upload_begin(store, "box", "b", NULL, &other, &err));
    after_days(1);
    after_days(3);
    MUST(store_upload_list(store, "box", NULL, NULL, 0, 10, &left, &err));
    CHECK_EQ(left->count, 1);
    CHECK_EQ(left->entries[0].id, other);
    store_uploads_free(left);
    end();
}

static status_t read_rules(const char *rules)
{
    struct arena arena = {0};
    struct lifecycle *l = NULL;
    struct error err = {0};
    struct buf text = {0};
    buf_printf(&text, "<LifecycleConfiguration>%s</LifecycleConfiguration>", rules);
    status_t st = lifecycle_read(text.data, text.len, &arena, &l, &err);
    CHECK_EQ(l != NULL, st == ST_OK);
    buf_done(&text);
    arena_done(&arena);
    return st;
}

static void rules_that_cannot_be_are_refused(void)
{
#define RULE(x) "<Rule><Filter/><Status>Enabled</Status>" x "</Rule>"
#define EXPIRES "<Expiration><Days>1</Days></Expiration>"
    static const struct {
        const char *rules;
        status_t want;
    } cases[] = {{RULE(EXPIRES), ST_OK},
                 {"", ST_FORMAT},
                 {"<Rule/>", ST_FORMAT},
                 {RULE(""), ST_INVALID},
                 {RULE(EXPIRES "<Other/>"), ST_FORMAT},
                 {RULE("<Expiration><Days>0</Days></Expiration>"), ST_INVAL},
                 {RULE("<Expiration><Days>1</Days><Date>2020-01-01T00:00:00Z</Date></Expiration>"),
                  ST_FORMAT},
                 {RULE("<Expiration><Date>2020-01-01T01:00:00Z</Date></Expiration>"), ST_INVAL},
                 {RULE("<Expiration><Date>2554-07-21T00:00:00Z</Date></Expiration>"), ST_OK},
                 {RULE("<Expiration><Date>2600-01-01T00:00:00Z</Date></Expiration>"), ST_INVAL},
                 {RULE("<Transition><Days>1</Days></Transition>"), ST_UNSUPPORTED},
                 {RULE("<ID>a</ID>" EXPIRES) RULE("<ID>a</ID>" EXPIRES), ST_INVAL},
                 {"<Rule><Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Status>Enabled"
                  "</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>1"
                  "</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>",
                  ST_INVALID},
                 {"<Rule><Filter><Prefix>a</Prefix><Prefix>b</Prefix></Filter><Status>Enabled"
                  "</Status>" EXPIRES "</Rule>",
                  ST_FORMAT},
                 {"<Rule><Prefix/><Status>On</Status>" EXPIRES "</Rule>", ST_FORMAT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_EQ(read_rules(cases[i].rules), cases[i].want);
}

static void days_end_at_midnight(void)
{
    CHECK_EQ(lifecycle_due_ns(0, 1), DAY_NS);
    CHECK_EQ(lifecycle_due_ns(1000000000, 1), 2 * DAY_NS);
    CHECK_EQ(lifecycle_due_ns(DAY_NS - 1000000000, 1), 2 * DAY_NS);
}

int main(void)
{
    RUN(objects_end_after_days_by_prefix_tag_and_size);
    RUN(a_date_that_is_past_ends_all);
    RUN(versions_end_by_their_age_and_count);
    RUN(a_version_that_became_the_newest_stays);
    RUN(an_old_successor_came_when_it_came);
    RUN(a_sweep_that_stops_leaves_the_last_marker);
    RUN(locked_versions_stay);
    RUN(uploads_that_were_left_are_aborted);
    RUN(rules_that_cannot_be_are_refused);
    RUN(days_end_at_midnight);
    return CHECK_DONE();
}
