/* Things that happen at a bad moment, and what is wrong at two places at a time. */
#include <pthread.h>
#include <sys/syscall.h>

#include "faketier.h"

enum { LEN = 300000 };
static uint8_t source[LEN + 1000];
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
        snprintf(key, sizeof key, "k%03d", i);
        CHECK_EQ(put("box", key, source + i, LEN), ST_OK);
    }
}

static bool has_some(int from, int to)
{
    bool all = true;
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", i);
        all &= holds("box", key, source + i, LEN);
    }
    return all;
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

static void file_of(uint64_t id, char ret_path[128])
{
    snprintf(ret_path, 128, "%s/data/%02x/%016llx", scratch, (unsigned)(id & 255),
             (unsigned long long)id);
}

static void copy_of(uint64_t id, char ret_path[256])
{
    char text[STORE_ID_BYTES], name[96];
    struct store_extent x = {0};
    MUST(store_id(store, text, &err));
    MUST(store_extent_get(store, id, &x, &err));
    snprintf(name, sizeof name, "%s/extents/%02x/%016llx-%016llx", text, (unsigned)(id & 255),
             (unsigned long long)id, (unsigned long long)x.nonce);
    buf_done(&x.sums);
    fake_path(name, "", ret_path);
}

static unsigned place_of(uint64_t id)
{
    struct store_extent x = {0};
    MUST(store_extent_get(store, id, &x, &err));
    buf_done(&x.sums);
    return x.place;
}

static void spill_key(const char *key)
{
    struct tier_moved moved;
    MUST(tier_move(tier, TIER_SPILL, "box", key, false, NULL, NULL, &moved, &err));
    MUST(store_settle(store, &err));
}

static _Atomic unsigned synced;

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    atomic_fetch_add(&synced, 1);
    return (int)syscall(SYS_fdatasync, fd);
}

/* Also of a store that syncs nothing: the row is on the disk before the file is not. */
static void a_file_goes_after_its_row(void)
{
    make(100 * LEN, 50 * LEN);
    put_some(0, 1);
    unsigned before = atomic_load(&synced);
    spill_key("k000");
    CHECK_EQ(atomic_load(&synced), before + 2); /* the log and the database */
    tier_unmake();
}

static void recall_it(void *arg, const struct store_finding *finding)
{
    CHECK_EQ(finding->extent, *(uint64_t *)arg);
    MUST(store_extent_recall(store, finding->extent, &err));
}

/* Its file has the name of one that nothing named a moment ago. */
static void a_repair_leaves_what_was_just_recalled(void)
{
    char path[128];
    struct store_fsck totals;
    make(100 * LEN, 50 * LEN);
    put_some(0, 1);
    uint64_t id = extent_of("k000");
    file_of(id, path);
    spill_key("k000");
    CHECK(access(path, F_OK) != 0);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    MUST(store_fsck(store, true, recall_it, NULL, &id, &totals, &err));
    CHECK_EQ(totals.findings, 1);
    CHECK_EQ(totals.repaired, 0);
    CHECK_EQ(place_of(id), STORE_PLACE_REMOTE);
    CHECK(access(path, F_OK) == 0);
    CHECK(has_some(0, 1));
    CHECK_EQ(status_now().places.damaged, 0);
    check_sound();
    tier_unmake();
}

/* The row of an extent without any good bytes does not become that of a local one. */
static void a_check_does_not_hide_a_loss(void)
{
    char path[256], file[128];
    struct tier_check n;
    make(100 * LEN, 50 * LEN);
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    put_some(0, 2);
    tier_wake(tier);
    EVENTUALLY(status_now().places.sent_count == 2);
    uint64_t lost = extent_of("k000"), local = extent_of("k001");
    copy_of(lost, path);
    CHECK_EQ(remove(path), 0);
    file_of(lost, file);
    CHECK_EQ(remove(file), 0);
    copy_of(local, path);
    CHECK_EQ(remove(path), 0);
    MUST(tier_check(tier, true, NULL, NULL, NULL, &n, &err));
    CHECK_EQ(n.findings, 2);
    CHECK_EQ(n.repaired, 1);
    CHECK_EQ(place_of(lost), STORE_PLACE_REMOTE);
    tier_wake(tier);
    EVENTUALLY(access(path, F_OK) == 0);
    tier_unmake();
}

enum { SMALL = 20000 };
static _Atomic unsigned written;

/* More than can be sent. */
static void write_two(void)
{
    for (int i = 0; i < 2; i++) {
        char key[16];
        unsigned n = atomic_fetch_add(&written, 1);
        if (n < 4000) {
            snprintf(key, sizeof key, "w%u", n);
            CHECK_EQ(put("box", key, source, SMALL), ST_OK);
        }
    }
}

static void eager_copies_leave_time_for_all_else(void)
{
    make(2000 * LEN, 1000 * LEN);
    put_some(0, 1);
    spill_key("k000");
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    atomic_store(&fake_down, true);
    for (int i = 0; i < 70; i++) {
        write_two();
    }
    atomic_store(&fake_on_send, write_two);
    atomic_store(&fake_down, false);
    EVENTUALLY(atomic_load(&written) > 200);
    MUST(store_delete(store, "box", "k000", NULL, &err));
    EVENTUALLY(status_now().deleted_count == 1);
    unsigned then = atomic_load(&written);
    CHECK(then < 4000);
    atomic_store(&fake_on_send, NULL);
    tier_wake(tier);
    EVENTUALLY(status_now().places.eager_count == 0);
    tier_unmake();
}

static _Atomic bool reads_end;

static void *read_again_and_again(void *arg)
{
    while (!atomic_load(&reads_end)) {
        uint8_t *got = NULL;
        size_t len = 0;
        struct error why = {0};
        CHECK_EQ(get("box", "k000", &got, &len, &why), ST_AGAIN);
        sched_yield();
    }
    return arg;
}

static void reads_that_fail_stop_no_spill(void)
{
    pthread_t reader;
    make(4 * LEN, LEN);
    put_some(0, 1);
    spill_key("k000");
    atomic_store(&fake_down, true);
    put_some(1, 20);
    unsigned tries = atomic_load(&fake_sends);
    EVENTUALLY(atomic_load(&fake_sends) >= tries + 6); /* it waits for long then */
    unsigned reads = atomic_load(&fake_reads);
    atomic_store(&reads_end, false);
    CHECK_EQ(pthread_create(&reader, NULL, read_again_and_again, NULL), 0);
    EVENTUALLY(atomic_load(&fake_reads) > reads);
    atomic_store(&fake_read_fails, true);
    atomic_store(&fake_down, false);
    EVENTUALLY(status_now().places.local_bytes <= 4ULL * LEN);
    atomic_store(&reads_end, true);
    CHECK_EQ(pthread_join(reader, NULL), 0);
    atomic_store(&fake_read_fails, false);
    EVENTUALLY(has_some(0, 20));
    tier_unmake();
}

static _Atomic unsigned sends_left;

/* With two thirds of them sent there is space, which comes without the rest. */
static void look_for_space(void)
{
    if (atomic_fetch_sub(&sends_left, 1) == 1) {
        EVENTUALLY(status_now().places.away_count > 1); /* the first one was a round of its own */
    }
}

static void space_is_freed_while_others_are_sent(void)
{
    make(10 * LEN, 5 * LEN);
    atomic_store(&fake_down, true);
    put_some(0, 30);
    atomic_store(&sends_left, 17);
    atomic_store(&fake_on_send, look_for_space);
    atomic_store(&fake_down, false);
    EVENTUALLY(status_now().places.away_count >= 25);
    CHECK(atomic_load(&sends_left) > INT32_MAX); /* it was looked */
    CHECK(has_some(0, 30));
    tier_unmake();
}

static _Atomic unsigned met;

static void meet_another(void)
{
    if (status_now().places.away_count > 0) {
        atomic_fetch_add(&met, 1);
        EVENTUALLY(atomic_load(&met) >= 2);
    }
}

static void what_waited_for_an_outage_is_sent_by_several(void)
{
    make(10 * LEN, 5 * LEN);
    atomic_store(&fake_down, true);
    put_some(0, 30);
    EVENTUALLY(status_now().away_since_ns != 0);
    atomic_store(&met, 0);
    atomic_store(&fake_on_send, meet_another);
    atomic_store(&fake_down, false);
    EVENTUALLY(status_now().places.away_count >= 25);
    atomic_store(&fake_on_send, NULL);
    tier_unmake();
}

enum { BAD = 330, GOOD = 50 };

static void what_cannot_go_keeps_nothing_else(void)
{
    make((BAD + 15) * SMALL, (BAD + 5) * SMALL);
    atomic_store(&fake_down, true);
    for (int i = 0; i < BAD + GOOD; i++) {
        char key[16], path[128];
        snprintf(key, sizeof key, "k%03d", i);
        CHECK_EQ(put("box", key, source + i, SMALL), ST_OK);
        file_of(extent_of(key), path); /* a use, so that these are in order of age */
        if (i < BAD) {
            int fd = open(path, O_WRONLY);
            CHECK_EQ(pwrite(fd, "damage", 6, 100), 6);
            close(fd);
        }
    }
    atomic_store(&fake_down, false);
    EVENTUALLY(status_now().places.away_count >= GOOD - 15); /* below the watermark */
    CHECK_EQ(status_now().bad_count, BAD);
    tier_unmake();
}

static void a_repair_without_hope_is_tried_less_and_less(void)
{
    char path[128];
    uint8_t *got = NULL;
    size_t len = 0;
    struct error why = {0};
    make(100 * LEN, 50 * LEN);
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    put_some(0, 1);
    tier_wake(tier);
    EVENTUALLY(status_now().places.sent_count == 1);
    file_of(extent_of("k000"), path);
    int fd = open(path, O_WRONLY);
    CHECK_EQ(pwrite(fd, "damage", 6, 100), 6);
    close(fd);
    atomic_store(&fake_lies, true);
    unsigned reads = atomic_load(&fake_reads);
    CHECK_EQ(get("box", "k000", &got, &len, &why), ST_CORRUPT);
    for (int i = 0; i < 2000; i++) {
        tier_wake(tier);
        CHECK_EQ(status_now().repaired_count, 0);
    }
    CHECK(atomic_load(&fake_reads) < reads + 20);
    atomic_store(&fake_lies, false);
    EVENTUALLY(status_now().repaired_count == 1);
    CHECK(has_some(0, 1));
    tier_unmake();
}

static void what_may_not_be_deleted_keeps_nothing_else(void)
{
    struct tier_moved moved;
    static uint8_t large[3 << 20];
    make(100 * LEN, 50 * LEN);
    put_some(0, 2);
    CHECK_EQ(put("box", "large", large, sizeof large), ST_OK);
    atomic_store(&fake_break_at, sizeof large / 2);
    CHECK_EQ(tier_move(tier, TIER_SPILL, "box", "large", false, NULL, NULL, &moved, NULL),
             ST_AGAIN);
    atomic_store(&fake_break_at, 0);
    spill_key("k000");
    spill_key("k001");
    atomic_store(&fake_forget_refused, true);
    MUST(store_delete(store, "box", "large", NULL, &err));
    MUST(store_delete(store, "box", "k000", NULL, &err));
    tier_wake(tier);
    EVENTUALLY(status_now().deleted_count == 1);
    EVENTUALLY(status_now().places.gone_count == 1);
    CHECK_EQ(status_now().away_since_ns, 0);
    CHECK(status_now().errors > 0);
    atomic_store(&fake_refuses, true);
    MUST(store_delete(store, "box", "k001", NULL, &err));
    EVENTUALLY(status_now().places.gone_count == 2);
    atomic_store(&fake_refuses, false);
    atomic_store(&fake_forget_refused, false);
    EVENTUALLY(status_now().places.gone_count == 0);
    CHECK_EQ(tier_files(), 0);
    tier_unmake();
}

int main(void)
{
    fill(source, sizeof source, 5);
    RUN(a_file_goes_after_its_row);
    RUN(a_repair_leaves_what_was_just_recalled);
    RUN(a_check_does_not_hide_a_loss);
    RUN(eager_copies_leave_time_for_all_else);
    RUN(reads_that_fail_stop_no_spill);
    RUN(space_is_freed_while_others_are_sent);
    RUN(what_waited_for_an_outage_is_sent_by_several);
    RUN(what_cannot_go_keeps_nothing_else);
    RUN(a_repair_without_hope_is_tried_less_and_less);
    RUN(what_may_not_be_deleted_keeps_nothing_else);
    return CHECK_DONE();
}
