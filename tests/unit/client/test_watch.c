#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "proto/geds.h"
#include "served.h"

/* What is done to names is told, once and in order. */

static struct served s;
static struct geds *g;
static _Atomic bool busy;

static void start(void)
{
    served_names(&s);
    served_open(&s, serve_handler());
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
    OK(geds_bucket_create(g, "other", &err));
}

static void stop(void)
{
    geds_disconnect(g);
    served_close(&s);
    served_remove(&s);
}

static struct geds_subscription *watch(const char *bucket, const char *prefix, bool exact,
                                       uint64_t from)
{
    struct geds_subscription *w = NULL;
    const struct geds_watched what = {bucket, prefix, exact, from};
    OK(geds_subscribe(g, &what, &w, &err));
    return w;
}

static void put(const char *bucket, const char *key, size_t len)
{
    static uint8_t bytes[1000];
    OK(geds_put(g, bucket, key, NULL, NULL, bytes, len, NULL, &err));
}

/* Is this the next one? from: the former bucket/key, or NULL. */
static bool next_is(struct geds_subscription *w, enum geds_event_kind kind, const char *name,
                    const char *from, uint64_t size)
{
    struct geds_event e = {0};
    char is[200], was[200] = "";
    if (geds_next_event(w, 5000, &e, &err) != GEDS_OK) {
        fprintf(stderr, "%s: %s\n", name, err.text);
        return false;
    }
    snprintf(is, sizeof is, "%s/%s", e.bucket, e.key);
    if (e.from_key != NULL) {
        snprintf(was, sizeof was, "%s/%s", e.from_bucket, e.from_key);
    }
    bool good = e.kind == kind && strcmp(is, name) == 0 &&
                strcmp(was, from != NULL ? from : "") == 0 && e.info.size == size;
    if (!good) {
        fprintf(stderr, "kind %d of %s, from %s, of %llu bytes\n", (int)e.kind, is, was,
                (unsigned long long)e.info.size);
    }
    return good;
}

static bool is_quiet(struct geds_subscription *w)
{
    struct geds_event e;
    return geds_next_event(w, 0, &e, &err) == GEDS_AGAIN;
}

static void each_kind_of_change_is_told(void)
{
    enum geds_code codes[2];
    const char *keys[] = {"a", "none"};
    uint64_t count = 0;
    start();
    struct geds_subscription *w = watch("bucket", NULL, false, 0);
    CHECK(is_quiet(w));
    put("bucket", "a", 10);
    CHECK(next_is(w, GEDS_CREATED, "bucket/a", NULL, 10));
    put("bucket", "a", 20);
    CHECK(next_is(w, GEDS_OVERWRITTEN, "bucket/a", NULL, 20));
    OK(geds_append(g, "bucket", "a", NULL, "x", 1, NULL, &err));
    CHECK(next_is(w, GEDS_APPENDED, "bucket/a", NULL, 21));
    OK(geds_append(g, "bucket", "new", NULL, "x", 1, NULL, &err));
    CHECK(next_is(w, GEDS_CREATED, "bucket/new", NULL, 1));
    OK(geds_copy(g, "bucket", "a", "bucket", "b", NULL, NULL, NULL, &err));
    CHECK(next_is(w, GEDS_CREATED, "bucket/b", NULL, 21));
    OK(geds_rename(g, "bucket", "b", "bucket", "new", NULL, &err));
    CHECK(next_is(w, GEDS_RENAMED, "bucket/new", "bucket/b", 21));
    OK(geds_rename(g, "bucket", "new", "bucket", "new", NULL, &err)); /* nothing */
    OK(geds_rename(g, "bucket", "new", "other", "new", NULL, &err));
    CHECK(next_is(w, GEDS_RENAMED, "other/new", "bucket/new", 21));
    OK(geds_delete_many(g, "bucket", keys, 2, codes, &err));
    CHECK(next_is(w, GEDS_DELETED, "bucket/a", NULL, 0));
    put("bucket", "p/1", 1);
    put("bucket", "p/2", 2);
    CHECK(next_is(w, GEDS_CREATED, "bucket/p/1", NULL, 1));
    CHECK(next_is(w, GEDS_CREATED, "bucket/p/2", NULL, 2));
    OK(geds_rename_prefix(g, "bucket", "p/", "q/", &count, &err));
    CHECK(next_is(w, GEDS_RENAMED_PREFIX, "bucket/q/", "bucket/p/", 0));
    OK(geds_delete(g, "bucket", "q/1", NULL, &err));
    CHECK(next_is(w, GEDS_DELETED, "bucket/q/1", NULL, 0));
    CHECK(is_quiet(w));
    geds_unsubscribe(w);
    stop();
}

/* What was refused, and what is of no name yet, is no event. */
static void what_was_not_done_is_not_told(void)
{
    struct geds_writer *writer = NULL;
    uint64_t count = 0;
    start();
    put("bucket", "a", 1);
    put("bucket", "p/a", 1);
    put("bucket", "q/a", 1);
    struct geds_subscription *w = watch("bucket", "", false, 0);
    const struct geds_condition none = {.if_none = true}, match = {.if_match = "other"};
    CHECK_EQ(geds_put(g, "bucket", "a", NULL, &none, "x", 1, NULL, &err), GEDS_EXIST);
    CHECK_EQ(geds_delete(g, "bucket", "a", &match, &err), GEDS_CHANGED);
    CHECK_EQ(geds_delete(g, "bucket", "none", NULL, &err), GEDS_NOTFOUND);
    CHECK_EQ(geds_rename(g, "bucket", "a", "bucket", "p/a", &none, &err), GEDS_EXIST);
    CHECK_EQ(geds_rename_prefix(g, "bucket", "p/", "q/", &count, &err), GEDS_EXIST);
    OK(geds_create(g, "bucket", "never", NULL, &writer, &err));
    OK(geds_write(writer, "x", 1, &err));
    geds_abort(writer);
    CHECK(is_quiet(w));
    put("bucket", "b", 1);
    CHECK(next_is(w, GEDS_CREATED, "bucket/b", NULL, 1));
    geds_unsubscribe(w);
    CHECK_EQ(geds_subscribe(g, &(struct geds_watched){.bucket = "missing"}, &w, &err),
             GEDS_NOTFOUND);
    stop();
}

static void changes_of_versions_are_told(void)
{
    const struct store_attribute pair = {"x-amz-meta-a", "1"};
    struct store_removal item = {.key = "k", .version = STORE_VERSION_CURRENT};
    struct store_info info;
    struct error inner;
    start();
    CHECK_EQ(store_bucket_set_versioning(s.store, "bucket", STORE_VERSIONING_ON, &inner), ST_OK);
    struct geds_subscription *w = watch("bucket", "k", true, 0);
    put("bucket", "k", 1);
    put("bucket", "k", 2);
    CHECK(next_is(w, GEDS_CREATED, "bucket/k", NULL, 1));
    CHECK(next_is(w, GEDS_OVERWRITTEN, "bucket/k", NULL, 2));
    CHECK_EQ(store_change_attributes(s.store, "bucket", "k", STORE_VERSION_CURRENT, &pair, 1, NULL,
                                     NULL, &inner),
             ST_OK);
    CHECK(next_is(w, GEDS_ATTRIBUTES, "bucket/k", NULL, 2));
    item.expired = true;
    CHECK_EQ(store_delete_each(s.store, "bucket", &item, 1, &inner), ST_OK);
    CHECK(next_is(w, GEDS_EXPIRED, "bucket/k", NULL, 0));
    item.version = item.removed;
    CHECK_EQ(store_delete_each(s.store, "bucket", &item, 1, &inner), ST_OK);
    CHECK(next_is(w, GEDS_CREATED, "bucket/k", NULL, 2));
    CHECK_EQ(store_stat(s.store, "bucket", "k", &info, &inner), ST_OK);
    item.version = info.version;
    CHECK_EQ(store_delete_each(s.store, "bucket", &item, 1, &inner), ST_OK);
    CHECK(next_is(w, GEDS_OVERWRITTEN, "bucket/k", NULL, 1));
    OK(geds_rename(g, "bucket", "k", "bucket", "k2", NULL, &err));
    CHECK(next_is(w, GEDS_RENAMED, "bucket/k2", "bucket/k", 1));
    CHECK(is_quiet(w));
    geds_unsubscribe(w);
    stop();
}

static void only_what_is_watched_is_told(void)
{
    uint64_t count = 0;
    start();
    struct geds_subscription *prefix = watch("bucket", "dir/", false, 0);
    struct geds_subscription *one = watch("bucket", "dir/a", true, 0);
    struct geds_subscription *other = watch("other", NULL, false, 0);
    put("bucket", "dir", 1);
    put("bucket", "dir/ab", 2);
    put("bucket", "dir/a", 3);
    put("other", "dir/a", 4);
    OK(geds_rename(g, "bucket", "dir", "bucket", "dir/a", NULL, &err));
    OK(geds_rename_prefix(g, "bucket", "di", "li", &count, &err));
    CHECK(next_is(prefix, GEDS_CREATED, "bucket/dir/ab", NULL, 2));
    CHECK(next_is(prefix, GEDS_CREATED, "bucket/dir/a", NULL, 3));
    CHECK(next_is(prefix, GEDS_RENAMED, "bucket/dir/a", "bucket/dir", 1));
    CHECK(next_is(prefix, GEDS_RENAMED_PREFIX, "bucket/li", "bucket/di", 0));
    CHECK(is_quiet(prefix));
    CHECK(next_is(one, GEDS_CREATED, "bucket/dir/a", NULL, 3));
    CHECK(next_is(one, GEDS_RENAMED, "bucket/dir/a", "bucket/dir", 1));
    CHECK(next_is(one, GEDS_RENAMED_PREFIX, "bucket/li", "bucket/di", 0));
    CHECK(is_quiet(one));
    CHECK(next_is(other, GEDS_CREATED, "other/dir/a", NULL, 4));
    CHECK(is_quiet(other));
    geds_unsubscribe(prefix);
    geds_unsubscribe(one);
    geds_unsubscribe(other);
    stop();
}

/* Writers of their own keys: who follows the events of a key knows its size at each time. */
enum { WRITERS = 6, CHANGES = 300 };

static void *change_much(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    struct geds_error why;
    char key[16];
    static const uint8_t bytes[2 * CHANGES];
    snprintf(key, sizeof key, "%u", me);
    for (unsigned i = 1; i <= CHANGES; i++) {
        enum geds_code code = i % 5 == 0
                                  ? geds_delete(g, "bucket", key, NULL, &why)
                                  : geds_put(g, "bucket", key, NULL, NULL, bytes, i, NULL, &why);
        if (code != GEDS_OK) {
            fprintf(stderr, "%s\n", why.text);
        }
    }
    return NULL;
}

struct follower {
    pthread_t thread;
    struct geds_subscription *w;
    unsigned wrong, seen;
};

static void *follow(void *arg)
{
    struct follower *f = arg;
    struct geds_error why;
    uint64_t last = 0;
    unsigned steps[WRITERS] = {0};
    while (f->seen < WRITERS * CHANGES) {
        struct geds_event e;
        if (geds_next_event(f->w, 20000, &e, &why) != GEDS_OK) {
            fprintf(stderr, "after %u: %s\n", f->seen, why.text);
            f->wrong++;
            break;
        }
        unsigned key = (unsigned)(e.key[0] - '0') % WRITERS, step = ++steps[key];
        bool deleted = step % 5 == 0;
        f->wrong += last != 0 && e.number != last + 1;
        f->wrong += deleted != (e.kind == GEDS_DELETED);
        f->wrong += !deleted && e.info.size != step;
        last = e.number;
        f->seen++;
    }
    return NULL;
}

static void each_change_of_many_writers_is_told_once_and_in_order(void)
{
    pthread_t writers[WRITERS];
    struct follower followers[3] = {{0}};
    start();
    for (unsigned i = 0; i < 3; i++) {
        followers[i].w = watch("bucket", NULL, false, 0);
        pthread_create(&followers[i].thread, NULL, follow, &followers[i]);
    }
    for (uintptr_t i = 0; i < WRITERS; i++) {
        pthread_create(&writers[i], NULL, change_much, (void *)i);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(followers[i].thread, NULL);
        CHECK_EQ(followers[i].wrong, 0);
        CHECK_EQ(followers[i].seen, WRITERS * CHANGES);
        CHECK(is_quiet(followers[i].w));
        geds_unsubscribe(followers[i].w);
    }
    stop();
}

static void a_subscription_goes_on_where_it_was(void)
{
    struct geds_event e;
    start();
    struct geds_subscription *w = watch("bucket", NULL, false, 0);
    put("bucket", "1", 1);
    put("bucket", "2", 2);
    OK(geds_next_event(w, 5000, &e, &err));
    geds_unsubscribe(w);
    put("bucket", "3", 3);
    geds_disconnect(g);
    OK(geds_connect(s.address, &g, &err));
    w = watch("bucket", NULL, false, e.number + 1);
    CHECK(next_is(w, GEDS_CREATED, "bucket/2", NULL, 2));
    CHECK(next_is(w, GEDS_CREATED, "bucket/3", NULL, 3));
    CHECK(is_quiet(w));
    geds_unsubscribe(w);
    /* numbers that have not been yet are none of this store */
    w = watch("bucket", NULL, false, e.number + 1000000000);
    OK(geds_next_event(w, 0, &e, &err));
    CHECK_EQ(e.kind, GEDS_GAP);
    geds_unsubscribe(w);
    stop();
}

static void who_is_slow_gets_a_gap(void)
{
    enum { KEYS = 1000 };
    static char names[KEYS][8];
    static const char *keys[KEYS];
    static enum geds_code codes[KEYS];
    struct geds_event e;
    start();
    struct geds_subscription *w = watch("bucket", NULL, false, 0);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "%u", i);
        keys[i] = names[i];
    }
    for (unsigned round = 0; round < 9; round++) {
        for (unsigned i = 0; i < KEYS; i++) {
            put("bucket", keys[i], 1);
        }
        OK(geds_delete_many(g, "bucket", keys, KEYS, codes, &err));
    }
    OK(geds_next_event(w, 0, &e, &err));
    CHECK_EQ(e.kind, GEDS_GAP);
    uint64_t next = e.number;
    CHECK(is_quiet(w));
    put("bucket", "after", 5);
    OK(geds_next_event(w, 5000, &e, &err));
    CHECK(e.kind == GEDS_CREATED && e.number == next);
    geds_unsubscribe(w);
    /* those that are there still: of most the first answer has a part */
    w = watch("bucket", NULL, false, next - 16000);
    unsigned count = 0;
    while (geds_next_event(w, 0, &e, &err) == GEDS_OK) {
        CHECK_EQ(e.number, next - 16000 + count);
        count++;
    }
    CHECK_EQ(count, 16001);
    geds_unsubscribe(w);
    stop();
}

/* One change of more names than the ring has room for. */
static void of_a_very_large_change_the_last_events_are_kept(void)
{
    enum { KEYS = 17000, KEPT = 16384 };
    static char names[KEYS][8];
    static struct store_removal items[KEYS];
    struct geds_event e;
    struct error inner;
    unsigned count = 0;
    start();
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof names[i], "%u", i);
        items[i] = (struct store_removal){.key = names[i], .version = STORE_VERSION_CURRENT};
        put("bucket", names[i], 1);
    }
    struct geds_subscription *w = watch("bucket", NULL, false, 0);
    uint64_t begin = geds_subscription_next(w);
    CHECK_EQ(store_delete_each(s.store, "bucket", items, KEYS, &inner), ST_OK);
    OK(geds_next_event(w, 0, &e, &err));
    CHECK(e.kind == GEDS_GAP && e.number == begin + KEYS);
    geds_unsubscribe(w);
    w = watch("bucket", NULL, false, begin + KEYS - KEPT);
    while (geds_next_event(w, 0, &e, &err) == GEDS_OK) {
        CHECK(e.kind == GEDS_DELETED && e.number == begin + KEYS - KEPT + count);
        CHECK(strcmp(e.key, names[KEYS - KEPT + count]) == 0);
        count++;
    }
    CHECK_EQ(count, KEPT);
    geds_unsubscribe(w);
    w = watch("bucket", NULL, false, begin + KEYS - KEPT - 1);
    OK(geds_next_event(w, 0, &e, &err));
    CHECK_EQ(e.kind, GEDS_GAP);
    geds_unsubscribe(w);
    stop();
}

static void after_a_restart_there_is_a_gap(void)
{
    struct geds_event e = {0};
    start();
    struct geds_subscription *w = watch("bucket", NULL, false, 0);
    put("bucket", "1", 1);
    OK(geds_next_event(w, 5000, &e, &err));
    uint64_t last = e.number;
    served_close(&s);
    CHECK_EQ(geds_next_event(w, 5000, &e, &err), GEDS_IO);
    geds_unsubscribe(w);
    geds_disconnect(g);
    served_open(&s, serve_handler());
    OK(geds_connect(s.address, &g, &err));
    w = watch("bucket", NULL, false, last + 1);
    put("bucket", "2", 2);
    OK(geds_next_event(w, 5000, &e, &err));
    CHECK(e.kind == GEDS_GAP && e.number > last);
    CHECK(next_is(w, GEDS_CREATED, "bucket/2", NULL, 2));
    geds_unsubscribe(w);
    stop();
}

static _Atomic bool told;

static void *wait_without_end(void *arg)
{
    struct geds_subscription *w = arg;
    struct geds_event e;
    struct geds_error why;
    while (geds_next_event(w, -1, &e, &why) == GEDS_AGAIN) {
    }
    atomic_store(&told, true);
    return NULL;
}

static void who_waits_is_woken(void)
{
    pthread_t thread;
    start();
    struct geds_subscription *w = watch("bucket", NULL, false, 0);
    uint64_t before = served_requests(&s);
    struct geds_event e;
    CHECK_EQ(geds_next_event(w, 700, &e, &err), GEDS_AGAIN);
    CHECK_EQ(served_requests(&s), before); /* waiting asks nobody */
    pthread_create(&thread, NULL, wait_without_end, w);
    put("bucket", "k", 1);
    pthread_join(thread, NULL);
    CHECK(atomic_load(&told));
    geds_unsubscribe(w);
    stop();
}

/* Each time that somebody asks for events there is a new one, of another bucket. */
static void busy_run(void *session, const struct rpc_request *r, struct rpc_reply *reply,
                     struct rpc_answer *answer)
{
    static _Atomic unsigned count;
    serve_handler()->run(session, r, reply, answer);
    if (r->kind == GEDS_EVENTS && atomic_load(&busy) && atomic_fetch_add(&count, 1) < 5000) {
        struct store_put *p = NULL;
        struct error inner;
        CHECK_EQ(store_put_begin(s.store, "other", "k", NULL, &p, &inner), ST_OK);
        CHECK_EQ(store_put_commit(p, NULL, NULL, &inner), ST_OK);
    }
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void what_others_do_lengthens_no_wait(void)
{
    struct rpc_handler handler = *serve_handler();
    struct geds_event e;
    handler.run = busy_run;
    served_names(&s);
    served_open(&s, &handler);
    OK(geds_connect(s.address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
    OK(geds_bucket_create(g, "other", &err));
    struct geds_subscription *w = watch("bucket", NULL, false, 0);
    atomic_store(&busy, true);
    put("other", "k", 1);
    uint64_t before = served_requests(&s);
    CHECK_EQ(geds_next_event(w, 0, &e, &err), GEDS_AGAIN);
    CHECK(served_requests(&s) - before <= 2);
    uint64_t begin = now_ms();
    CHECK_EQ(geds_next_event(w, 20, &e, &err), GEDS_AGAIN);
    CHECK(now_ms() - begin >= 20);
    atomic_store(&busy, false);
    CHECK(served_requests(&s) - before < 5000);
    put("bucket", "k", 1);
    CHECK(next_is(w, GEDS_CREATED, "bucket/k", NULL, 1));
    geds_unsubscribe(w);
    stop();
}

int main(void)
{
    RUN(each_kind_of_change_is_told);
    RUN(what_was_not_done_is_not_told);
    RUN(changes_of_versions_are_told);
    RUN(only_what_is_watched_is_told);
    RUN(each_change_of_many_writers_is_told_once_and_in_order);
    RUN(a_subscription_goes_on_where_it_was);
    RUN(who_is_slow_gets_a_gap);
    RUN(of_a_very_large_change_the_last_events_are_kept);
    RUN(after_a_restart_there_is_a_gap);
    RUN(who_waits_is_woken);
    RUN(what_others_do_lengthens_no_wait);
    return CHECK_DONE();
}
