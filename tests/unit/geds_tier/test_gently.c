/* What moves by itself gives way to all others, unless space is scarce; what somebody waits for does not. */
#include "faketier.h"
#include "impl.h"

enum { LEN = 100000, LONG = (1 << 20) + LEN };
static uint8_t source[LONG + 1000];
static const struct store_options no_sync = {.sync = STORE_SYNC_OFF};
static _Atomic unsigned gentle, others; /* sends by threads that give way, and by others */

static void make(uint64_t high, uint64_t low)
{
    tier_high = high;
    tier_low = low;
    tier_make(&no_sync);
    MUST(store_bucket_create(store, "box", "", &err));
    atomic_store(&gentle, 0);
    atomic_store(&others, 0);
}

static void put_some(int from, int to, size_t len)
{
    for (int i = from; i < to; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", i);
        CHECK_EQ(put("box", key, source + i, len), ST_OK);
    }
}

static void note_policy(void)
{
    atomic_fetch_add(sched_getscheduler(0) == SCHED_IDLE ? &gentle : &others, 1);
}

static bool is_drained(void)
{
    struct tier_status n = status_now();
    return n.backlog_bytes == 0 && n.away_since_ns == 0 && n.dropped_count > 0;
}

static void what_is_above_the_watermark_gives_way(void)
{
    make(100 * LEN, 90 * LEN);
    atomic_store(&fake_on_send, note_policy);
    put_some(0, 101, LEN);
    EVENTUALLY(atomic_load(&gentle) >= 11);
    EVENTUALLY(is_drained());
    CHECK_EQ(atomic_load(&others), 0);
    CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
    check_sound();
    tier_unmake();
}

static void far_above_it_nothing_gives_way(void)
{
    make(10 * LEN, 5 * LEN);
    atomic_store(&fake_down, true);
    put_some(0, 30, LEN);
    EVENTUALLY(status_now().away_since_ns != 0);
    EVENTUALLY(tier_is_pressed(tier));
    atomic_store(&fake_on_send, note_policy);
    atomic_store(&fake_down, false);
    EVENTUALLY(status_now().places.away_count >= 18);
    CHECK(atomic_load(&others) > 0);
    EVENTUALLY(is_drained());
    tier_unmake();
}

static void what_somebody_waits_for_gives_way_to_nobody(void)
{
    struct tier_moved moved;
    make(100 * LEN, 90 * LEN);
    put_some(0, 3, LEN);
    atomic_store(&fake_on_send, note_policy);
    MUST(tier_move(tier, TIER_SPILL, "box", "", true, NULL, NULL, &moved, &err));
    CHECK_EQ(atomic_load(&others), 3);
    CHECK_EQ(atomic_load(&gentle), 0);
    tier_unmake();
}

/* The thread stands still, as it may while all CPUs are busy, until there is so much that nothing must wait. */
static void stand_still(void)
{
    note_policy();
    if (sched_getscheduler(0) == SCHED_IDLE) {
        EVENTUALLY(tier_is_pressed(tier));
    }
}

/* A long one: its upload is begun by the thread that gives way, and gone on with. */
static void one_under_way_is_sent_again_when_space_is_scarce(void)
{
    make(10 * LONG, 5 * LONG);
    put_some(0, 10, LONG);
    unsigned begun = atomic_load(&fake_begun), resumed = atomic_load(&fake_resumed);
    atomic_store(&fake_on_send, stand_still);
    put_some(10, 11, LONG);
    EVENTUALLY(atomic_load(&gentle) == 4); /* all senders */
    CHECK_EQ(atomic_load(&others), 0);
    put_some(11, 13, LONG);
    EVENTUALLY(is_drained());
    CHECK(atomic_load(&others) >= 1);
    CHECK(atomic_load(&fake_begun) > begun);
    CHECK(atomic_load(&fake_resumed) > resumed);
    CHECK_EQ(status_now().errors, 0);
    for (int i = 0; i < 13; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%03d", i);
        CHECK(holds("box", key, source + i, LONG));
    }
    check_sound();
    tier_unmake();
}

int main(void)
{
    fill(source, sizeof source, 6);
    RUN(what_is_above_the_watermark_gives_way);
    RUN(far_above_it_nothing_gives_way);
    RUN(what_somebody_waits_for_gives_way_to_nobody);
    RUN(one_under_way_is_sent_again_when_space_is_scarce);
    return CHECK_DONE();
}
