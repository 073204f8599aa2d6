/* What moves when: watermarks, age, outages, repairs, uploads that broke off, checks. */
#include "faketier.h"

enum { LEN = 300000, LONG_LEN = 3000000 };
static uint8_t source[LONG_LEN + 100];
static const struct store_options no_sync = {.sync = STORE_SYNC_OFF};

static void make(uint64_t high, uint64_t low)
{
    tier_high = high;
    tier_low = low;
    tier_make(&no_sync);
    MUST(store_bucket_create(store, "box", "", &err));
}

static void put_some(int from, int to)
{
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02d", i);
        CHECK_EQ(put("box", key, source + i, LEN), ST_OK);
    }
}

static bool has_some(int from, int to)
{
    bool all = true;
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02d", i);
        all &= holds("box", key, source + i, LEN);
    }
    return all;
}

static bool is_here(const char *key)
{
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", key, &o, &err));
    bool away = store_object_is_away(o);
    store_object_close(o);
    return !away;
}

static bool nothing_waits(void)
{
    tier_wake(tier);
    struct tier_status n = status_now();
    return n.backlog_bytes == 0 && n.places.gone_count == 0;
}

static void the_oldest_go_above_the_watermark(void)
{
    make(10 * LEN, 5 * LEN);
    put_some(0, 10);
    EVENTUALLY(nothing_waits());
    CHECK_EQ(status_now().places.away_count, 0); /* not above */
    CHECK(holds("box", "k00", source, LEN));     /* used: the youngest now */
    CHECK(holds("box", "k03", source + 3, LEN));
    put_some(10, 11);
    EVENTUALLY(status_now().places.away_count == 6);
    CHECK(nothing_waits());
    CHECK(is_here("k00") && is_here("k03") && is_here("k10"));
    CHECK(!is_here("k01") && !is_here("k02") && !is_here("k04"));
    EVENTUALLY(files_in("data") == 5); /* rows are first */
    CHECK(has_some(0, 11));
    struct tier_status n = status_now();
    CHECK_EQ(n.sent_count, 6);
    CHECK_EQ(n.dropped_bytes, 6 * LEN);
    CHECK_EQ(n.away_since_ns, 0);
    tier_again(&no_sync);
    CHECK(has_some(0, 11));
    check_sound();
    tier_unmake();
}

static void what_is_open_or_pinned_stays(void)
{
    struct tier_moved moved;
    struct store_object *o = NULL;
    make(4 * LEN, LEN);
    put_some(0, 4);
    MUST(tier_move(tier, TIER_PIN, "box", "k00", false, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.objects, 1);
    MUST(store_object_open(store, "box", "k01", &o, &err));
    MUST(tier_move(tier, TIER_SPILL, "box", "", true, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.objects, 4);
    CHECK_EQ(moved.extents, 2);
    CHECK_EQ(moved.bytes, 2 * LEN);
    CHECK_EQ(moved.kept, 2);
    put_some(4, 9);
    EVENTUALLY(nothing_waits());
    CHECK(is_here("k00") && is_here("k01"));
    store_object_close(o);
    MUST(tier_move(tier, TIER_UNPIN, "box", "k00", false, NULL, NULL, &moved, &err));
    MUST(tier_move(tier, TIER_SPILL, "box", "k0", true, NULL, NULL, &moved, &err));
    CHECK_EQ(status_now().places.local_count, 0);
    MUST(tier_move(tier, TIER_RECALL, "box", "k02", false, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.bytes, LEN);
    CHECK(is_here("k02"));
    MUST(tier_move(tier, TIER_PIN, "box", "k03", false, NULL, NULL, &moved, &err));
    CHECK(is_here("k03"));
    CHECK_EQ(tier_move(tier, TIER_SPILL, "box", "none", false, NULL, NULL, &moved, NULL),
             ST_NOTFOUND);
    CHECK_EQ(tier_move(tier, TIER_SPILL, "nobox", "", true, NULL, NULL, &moved, NULL), ST_NOTFOUND);
    CHECK(has_some(0, 9));
    tier_unmake();
}

/* Writes go on, and all of it is moved when the tier is there again. */
static void an_outage_delays_only(void)
{
    struct error why = {0};
    uint8_t *got = NULL;
    size_t len = 0;
    make(2 * LEN, LEN);
    put_some(0, 3);
    EVENTUALLY(nothing_waits());
    CHECK(status_now().places.away_count > 0);
    atomic_store(&fake_down, true);
    put_some(3, 20);
    EVENTUALLY(status_now().away_since_ns != 0);
    struct tier_status n = status_now();
    CHECK(n.backlog_bytes >= 15 * LEN);
    CHECK(strstr(n.last_error, "does not answer") != NULL);
    CHECK_EQ(get("box", "k00", &got, &len, &why), ST_AGAIN);
    CHECK(strstr(why.text, "the tier is away") != NULL);
    unsigned reads = atomic_load(&fake_reads);
    CHECK_EQ(get("box", "k00", &got, &len, &why), ST_AGAIN);
    CHECK(atomic_load(&fake_reads) <= reads + 1);
    MUST(store_append(store, "box", "k00", source, 10, NULL, NULL, &err));
    MUST(store_delete(store, "box", "k01", NULL, &err));
    tier_again(&no_sync); /* nothing of this is lost by a restart */
    put_some(1, 2);
    EVENTUALLY(status_now().away_since_ns != 0);
    CHECK(has_some(3, 20));
    atomic_store(&fake_down, false);
    EVENTUALLY(nothing_waits());
    n = status_now();
    CHECK_EQ(n.away_since_ns, 0);
    CHECK_STR(n.last_error, "");
    CHECK(n.places.local_bytes <= 2 * LEN);
    CHECK(has_some(1, 20));
    CHECK_EQ(get("box", "k00", &got, &len, &why), ST_OK);
    CHECK(len == LEN + 10 && memcmp(got, source, LEN) == 0 && memcmp(got + LEN, source, 10) == 0);
    free(got);
    check_sound();
    tier_unmake();
}

static void what_is_eager_is_copied_at_once(void)
{
    make(100 * LEN, 50 * LEN);
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    put_some(0, 5);
    CHECK_EQ(put("box", "small", source, 100), ST_OK);
    tier_wake(tier);
    EVENTUALLY(status_now().places.sent_count == 5);
    CHECK_EQ(status_now().places.away_count, 0);
    CHECK_EQ(tier_files(), 5);
    MUST(store_delete(store, "box", "k02", NULL, &err));
    tier_wake(tier);
    EVENTUALLY(tier_files() == 4);
    tier_unmake();
}

static uint64_t extent_of(const char *key)
{
    uint64_t *ids = NULL, id = 0;
    size_t count = 0;
    MUST(store_object_extents(store, "box", key, &ids, &count, &err));
    id = ids[0];
    free(ids);
    return id;
}

static void damage_file(uint64_t id)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data/%02x/%016llx", scratch, (unsigned)(id & 255),
             (unsigned long long)id);
    int fd = open(path, O_WRONLY);
    CHECK_EQ(pwrite(fd, "damage", 6, 100), 6);
    close(fd);
}

static void damage_is_repaired_from_the_copy(void)
{
    struct tier_moved moved;
    make(100 * LEN, 50 * LEN);
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    put_some(0, 2);
    tier_wake(tier);
    EVENTUALLY(status_now().places.sent_count == 2);
    damage_file(extent_of("k00"));
    CHECK(holds("box", "k00", source, LEN));
    EVENTUALLY(status_now().repaired_count == 1);
    check_sound();
    /* without a copy nothing bad is sent in its place */
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_UNTIL_FULL, &err));
    put_some(2, 3);
    damage_file(extent_of("k02"));
    CHECK_EQ(tier_move(tier, TIER_SPILL, "box", "k02", false, NULL, NULL, &moved, NULL),
             ST_CORRUPT);
    CHECK_EQ(status_now().bad_count, 1);
    CHECK_EQ(tier_files(), 2);
    CHECK(is_here("k02"));
    tier_unmake();
}

/* A long upload that breaks off is gone on with, by the next process too. */
static void an_upload_is_resumed(void)
{
    struct tier_moved moved;
    make(100 * LEN, 50 * LEN);
    CHECK_EQ(put("box", "long", source, LONG_LEN), ST_OK);
    atomic_store(&fake_break_at, LONG_LEN / 2);
    unsigned begun = atomic_load(&fake_begun), resumed = atomic_load(&fake_resumed);
    CHECK_EQ(tier_move(tier, TIER_SPILL, "box", "long", false, NULL, NULL, &moved, NULL), ST_AGAIN);
    CHECK(is_here("long"));
    tier_again(&no_sync);
    atomic_store(&fake_break_at, 0);
    MUST(tier_move(tier, TIER_SPILL, "box", "long", false, NULL, NULL, &moved, &err));
    CHECK_EQ(atomic_load(&fake_begun), begun + 1);
    CHECK_EQ(atomic_load(&fake_resumed), resumed + 1);
    CHECK(!is_here("long"));
    CHECK(holds("box", "long", source, LONG_LEN));
    /* one that is not wanted any more is given up */
    CHECK_EQ(put("box", "long2", source, LONG_LEN), ST_OK);
    atomic_store(&fake_break_at, LONG_LEN / 2);
    CHECK_EQ(tier_move(tier, TIER_SPILL, "box", "long2", false, NULL, NULL, &moved, NULL),
             ST_AGAIN);
    MUST(store_delete(store, "box", "long2", NULL, &err));
    atomic_store(&fake_break_at, 0);
    CHECK_EQ(put("box", "x", source, LEN), ST_OK);
    tier_wake(tier);
    EVENTUALLY(status_now().places.gone_count == 0);
    tier_unmake();
}

static void a_tier_that_cuts_is_noticed(void)
{
    struct tier_moved moved;
    struct error why = {0};
    make(100 * LEN, 50 * LEN);
    put_some(0, 1);
    atomic_store(&fake_cuts, true);
    CHECK_EQ(tier_move(tier, TIER_SPILL, "box", "k00", false, NULL, NULL, &moved, &why), ST_IO);
    CHECK(is_here("k00"));
    atomic_store(&fake_cuts, false);
    MUST(tier_move(tier, TIER_SPILL, "box", "k00", false, NULL, NULL, &moved, &err));
    CHECK(has_some(0, 1));
    tier_unmake();
}

/* Somebody deleted or cut it behind our back, before the local bytes went. */
static void a_copy_that_is_gone_is_sent_again(void)
{
    struct tier_moved moved;
    make(100 * LEN, 50 * LEN);
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    put_some(0, 3);
    tier_wake(tier);
    EVENTUALLY(status_now().places.sent_count == 3);
    DIR *dir = opendir(tier_folder);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", tier_folder, e->d_name);
        CHECK(e->d_name[0] == '.' || truncate(path, 10) == 0);
    }
    closedir(dir);
    MUST(tier_move(tier, TIER_SPILL, "box", "", true, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.extents, 3);
    CHECK(has_some(0, 3));
    CHECK_EQ(status_now().sent_count, 6);
    tier_unmake();
}

static bool count_and_stop(void *arg, const struct tier_moved *moved)
{
    (void)moved;
    return ++*(int *)arg < 3;
}

static void a_move_can_be_ended(void)
{
    int count = 0;
    struct tier_moved moved;
    make(100 * LEN, 50 * LEN);
    put_some(0, 6);
    CHECK_EQ(tier_move(tier, TIER_SPILL, "box", "", true, count_and_stop, &count, &moved, NULL),
             ST_STOPPED);
    CHECK(moved.extents >= 1 && moved.extents < 6);
    CHECK(has_some(0, 6));
    tier_unmake();
}

static void rows_and_the_tier_are_compared(void)
{
    struct tier_check n;
    struct tier_moved moved;
    char path[256];
    make(100 * LEN, 50 * LEN);
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    put_some(0, 4);
    tier_wake(tier);
    EVENTUALLY(status_now().places.sent_count == 4);
    MUST(tier_move(tier, TIER_SPILL, "box", "k03", false, NULL, NULL, &moved, &err));
    MUST(tier_check(tier, false, print_finding, NULL, NULL, &n, &err));
    CHECK_EQ(n.copies, 4);
    CHECK_EQ(n.bytes, 4 * LEN);
    CHECK_EQ(n.findings, 0);
    /* a copy that is lost, one that is short, one too many */
    char name[80], id[STORE_ID_BYTES];
    MUST(store_id(store, id, &err));
    for (int i = 0; i < 2; i++) {
        struct store_extent x = {0};
        const char *key = i == 0 ? "k00" : "k01";
        MUST(store_extent_get(store, extent_of(key), &x, &err));
        snprintf(name, sizeof name, "%s/extents/%02x/%016llx-%016llx", id, (unsigned)(x.id & 255),
                 (unsigned long long)x.id, (unsigned long long)x.nonce);
        buf_done(&x.sums);
        fake_path(name, "", path);
        CHECK_EQ(i == 0 ? remove(path) : truncate(path, 100), 0);
    }
    snprintf(name, sizeof name, "%s/extents/07/0000000000000007-0000000000000001", id);
    fake_path(name, "", path);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    MUST(tier_check(tier, false, NULL, NULL, NULL, &n, &err));
    CHECK_EQ(n.findings, 3);
    MUST(tier_check(tier, true, NULL, NULL, NULL, &n, &err));
    CHECK_EQ(n.repaired, 3);
    tier_wake(tier);
    EVENTUALLY(status_now().places.sent_count == 3);
    MUST(tier_check(tier, false, print_finding, NULL, NULL, &n, &err));
    CHECK_EQ(n.findings, 0);
    CHECK(has_some(0, 4));
    atomic_store(&fake_down, true);
    CHECK_EQ(tier_check(tier, false, NULL, NULL, NULL, &n, NULL), ST_AGAIN);
    tier_unmake();
}

/* Whoever else fills the file system. */
static void little_free_space_is_as_good_as_a_watermark(void)
{
    struct tier_options o = {.store = NULL,
                             .remote = &fake_remote,
                             .high_bytes = 1ULL << 50,
                             .low_bytes = 1,
                             .free_bytes = 1ULL << 60,
                             .path = "/tmp",
                             .cache_bytes = STORE_CACHE_MIN,
                             .idle_ms = 10};
    make(100 * LEN, 50 * LEN);
    put_some(0, 5);
    tier_down();
    MUST(store_open(scratch, &no_sync, &store, &err));
    o.store = store;
    atomic_store(&fake_stopped, false);
    MUST(tier_open(&o, &tier, &err));
    MUST(tier_start(tier, &err));
    EVENTUALLY(status_now().places.away_count == 5);
    CHECK(has_some(0, 5));
    tier_unmake();
}

static void wrong_options_are_refused(void)
{
    struct tier *t = NULL;
    struct tier_options o = {
        .remote = &fake_remote, .high_bytes = 5, .low_bytes = 5, .cache_bytes = STORE_CACHE_MIN};
    store_make(&no_sync);
    o.store = store;
    CHECK_EQ(tier_open(&o, &t, NULL), ST_INVAL);
    o.low_bytes = 1;
    o.cache_bytes = 1;
    CHECK_EQ(tier_open(&o, &t, NULL), ST_INVAL);
    store_remove();
}

int main(void)
{
    fill(source, sizeof source, 5);
    RUN(the_oldest_go_above_the_watermark);
    RUN(what_is_open_or_pinned_stays);
    RUN(an_outage_delays_only);
    RUN(what_is_eager_is_copied_at_once);
    RUN(damage_is_repaired_from_the_copy);
    RUN(an_upload_is_resumed);
    RUN(a_tier_that_cuts_is_noticed);
    RUN(a_copy_that_is_gone_is_sent_again);
    RUN(a_move_can_be_ended);
    RUN(rows_and_the_tier_are_compared);
    RUN(little_free_space_is_as_good_as_a_watermark);
    RUN(wrong_options_are_refused);
    return CHECK_DONE();
}
