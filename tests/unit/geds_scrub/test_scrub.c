/* Damaged files are found, with their place, and told to who has a copy; what is whole, or goes meanwhile, never is. */
#include <errno.h>

#include "../geds_tier/faketier.h"
#include "geds/scrub/scrub.h"

enum { LEN = 3 * 1024 * 1024 + 12345, OBJECTS = 6, FOUND_MAX = 16 };
#define FAST (1ULL << 40)
#define LONG_NS (3600 * 1000000000ULL)

struct found {
    uint64_t extent, offset;
    bool has_copy;
    char text[ERROR_TEXT_MAX];
};
static struct found found[FOUND_MAX]; /* written by the scrub's thread before it counts */
static _Atomic size_t found_count;
static struct scrub *scrub;
static char position[96];
static uint8_t data[LEN];

static void note(void *arg, uint64_t extent, uint64_t offset, bool has_copy, const char *text)
{
    (void)arg;
    size_t at = atomic_load(&found_count);
    if (at < FOUND_MAX) {
        found[at] = (struct found){.extent = extent, .offset = offset, .has_copy = has_copy};
        snprintf(found[at].text, sizeof found[at].text, "%s", text);
        atomic_store(&found_count, at + 1);
    }
}

static status_t start(uint64_t bytes_per_s, uint64_t every_ns, struct error *err)
{
    const struct scrub_options o = {.store = store,
                                    .path = position,
                                    .bytes_per_s = bytes_per_s,
                                    .every_ns = every_ns,
                                    .damaged = note};
    atomic_store(&found_count, 0);
    return scrub_start(&o, &scrub, err);
}

static struct scrub_status now(void)
{
    struct scrub_status n;
    scrub_status(scrub, &n);
    return n;
}

static void make(void)
{
    MUST(store_bucket_create(store, "box", "", &err));
    for (int i = 0; i < OBJECTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        fill(data, LEN, (uint64_t)i);
        CHECK_EQ(put("box", key, data, LEN), ST_OK);
    }
    CHECK_EQ(put("box", "small", "x", 1), ST_OK);
    snprintf(position, sizeof position, "%s/position", scratch);
}

static uint64_t extent_of(const char *key)
{
    uint64_t *ids = NULL, id;
    size_t count = 0;
    MUST(store_object_extents(store, "box", key, &ids, &count, &err));
    CHECK_EQ(count, 1);
    id = ids[0];
    free(ids);
    return id;
}

static void path_of(uint64_t id, char path[160])
{
    snprintf(path, 160, "%s/data/%02x/%016llx", scratch, (unsigned)(id & 255),
             (unsigned long long)id);
}

static void damage(uint64_t id, off_t at)
{
    char path[160];
    path_of(id, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(pwrite(fd, "damage", 6, at), 6);
    CHECK_EQ(fdatasync(fd), 0);
    close(fd);
}

static void damaged_files_are_found_with_their_place(void)
{
    char path[160];
    store_make(&(struct store_options){.sync = STORE_SYNC_OFF});
    make();
    const uint64_t ids[3] = {extent_of("k1"), extent_of("k3"), extent_of("k4")};
    damage(ids[0], 2000000);
    path_of(ids[1], path);
    CHECK_EQ(remove(path), 0);
    path_of(ids[2], path);
    CHECK_EQ(truncate(path, LEN - 5), 0);
    MUST(start(FAST, LONG_NS, &err));
    EVENTUALLY(now().passes == 1);
    CHECK_EQ(atomic_load(&found_count), 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(found[i].extent, ids[i]);
        CHECK(!found[i].has_copy);
    }
    CHECK_EQ(found[0].offset, 2000000 / STORE_BLOCK_BYTES * STORE_BLOCK_BYTES);
    CHECK(strstr(found[0].text, "checksum") != NULL);
    CHECK_EQ(found[1].offset, UINT64_MAX);
    CHECK_EQ(found[2].offset, LEN - 5);
    CHECK_STR(found[2].text, "its file ends");
    struct scrub_status n = now();
    CHECK_EQ(n.damaged, 3);
    CHECK_EQ(n.without_copy, 3);
    CHECK_EQ(n.bytes_per_s, FAST);
    CHECK_EQ(n.extents, OBJECTS);
    CHECK(n.began_ns != 0 && n.ended_ns >= n.began_ns);
    scrub_stop(scrub);

    /* It was all looked at a moment ago. */
    MUST(start(FAST, LONG_NS, &err));
    CHECK_EQ(now().ended_ns, n.ended_ns);
    scrub_stop(scrub);
    CHECK_EQ(atomic_load(&found_count), 0);
    MUST(start(FAST, 1000000, &err));
    EVENTUALLY(now().passes >= 3);
    scrub_stop(scrub);
    CHECK(atomic_load(&found_count) >= 9);
    store_remove();
}

static void the_next_start_goes_on(void)
{
    store_make(&(struct store_options){.sync = STORE_SYNC_OFF});
    make();
    uint64_t bytes = 0, extents = 0;
    unsigned starts = 0;
    for (bool ended = false; !ended && starts < 1000; starts++) {
        MUST(start(64 << 20, LONG_NS, &err));
        EVENTUALLY(now().bytes > LEN || now().passes == 1);
        struct scrub_status n = scrub_stop(scrub);
        ended = n.passes == 1;
        bytes += n.bytes;
        extents += n.extents;
    }
    CHECK(starts > 2);
    CHECK_EQ(extents, OBJECTS);
    CHECK_EQ(bytes, (uint64_t)OBJECTS * LEN); /* none of them twice */
    store_remove();
}

static void its_rate_is_kept(void)
{
    store_make(&(struct store_options){.sync = STORE_SYNC_OFF});
    make();
    uint64_t began = clock_monotonic_ns();
    MUST(start((uint64_t)OBJECTS * LEN * 2, LONG_NS, &err));
    EVENTUALLY(now().passes == 1);
    /* Half a second, but for the last piece. */
    CHECK(clock_monotonic_ns() - began > 400000000);
    CHECK_EQ(now().bytes, (uint64_t)OBJECTS * LEN);
    scrub_stop(scrub);

    /* One that waits ends at once. */
    MUST(start(1, LONG_NS, &err));
    scrub_stop(scrub);
    store_remove();
}

static void write_position(const char *text)
{
    int fd = open(position, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void a_damaged_note_of_the_place_is_none(void)
{
    static const char *const texts[] = {"",
                                        "12",
                                        "1\n0\n0\n2\n3",
                                        "1\n0\n0\n2\nx\n",
                                        "1\n0\n0\n2\n3\n4\n",
                                        "-1\n0\n0\n5\n0\n",
                                        "1\n2\n3\n5\n0\n",
                                        "99999999999999999999\n0\n0\n1\n0\n"};
    struct error why = {0};
    char long_text[400];
    store_make(&(struct store_options){.sync = STORE_SYNC_OFF});
    make();
    memset(long_text, '1', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    for (size_t i = 0; i <= sizeof texts / sizeof *texts; i++) {
        write_position(i < sizeof texts / sizeof *texts ? texts[i] : long_text);
        MUST(start(FAST, LONG_NS, &err));
        EVENTUALLY(now().passes == 1);
        CHECK_EQ(now().extents, OBJECTS);
        scrub_stop(scrub);
    }
    /* A clock that was set back does not keep it for years. */
    write_position("0\n0\n0\n9000000000000000000\n9000000000000000000\n");
    MUST(start(FAST, LONG_NS, &err));
    EVENTUALLY(now().passes == 1);
    scrub_stop(scrub);
    CHECK_EQ(remove(position), 0);
    CHECK_EQ(mkdir(position, 0700), 0);
    CHECK(start(FAST, LONG_NS, &why) != ST_OK);
    CHECK(strstr(why.text, "position") != NULL);
    store_remove();
}

static void what_is_in_the_tier_is_repaired(void)
{
    struct tier_moved moved;
    tier_high = tier_low + 1000000000; /* nothing moves by itself */
    tier_make(&(struct store_options){.sync = STORE_SYNC_OFF});
    make();
    MUST(store_object_keep(store, "box", "k2", STORE_KEEP_BOTH, &err));
    EVENTUALLY(tier_files() == 1);
    EVENTUALLY(status_now().places.sent_count == 1);
    damage(extent_of("k2"), 5);
    MUST(tier_move(tier, TIER_SPILL, "box", "k5", false, NULL, NULL, &moved, &err));
    MUST(start(FAST, LONG_NS, &err));
    EVENTUALLY(now().passes == 1);
    CHECK_EQ(atomic_load(&found_count), 1);
    CHECK(found[0].has_copy);
    CHECK_EQ(found[0].extent, extent_of("k2"));
    CHECK_EQ(now().extents, OBJECTS - 1); /* k5 has no local bytes */
    EVENTUALLY(status_now().repaired_count == 1);
    scrub_stop(scrub);
    fill(data, LEN, 2);
    CHECK(holds("box", "k2", data, LEN));
    tier_unmake();
}

/* One that is being looked at, slowly. */
static void it_keeps_nobody_from_spilling(void)
{
    struct tier_moved moved = {0};
    tier_high = tier_low + 1000000000;
    tier_make(&(struct store_options){.sync = STORE_SYNC_OFF});
    make();
    MUST(start(1, LONG_NS, &err)); /* a second for each byte */
    EVENTUALLY(now().bytes > 0);
    MUST(tier_move(tier, TIER_SPILL, "box", "k0", false, NULL, NULL, &moved, &err));
    CHECK_EQ(moved.kept, 0);
    CHECK_EQ(moved.extents, 1);
    scrub_stop(scrub);
    tier_unmake();
}

/* Objects are replaced, removed, sent away and brought back all the time. */
static void what_goes_meanwhile_is_not_damaged(void)
{
    struct tier_moved moved;
    tier_make(&(struct store_options){.sync = STORE_SYNC_OFF});
    make();
    MUST(start(FAST, 1000000, &err));
    for (unsigned i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i % OBJECTS);
        status_t st = ST_OK;
        switch (i % 4) {
        case 0:
            fill(data, 300000, i);
            st = put("box", key, data, 300000);
            break;
        case 1:
            st = tier_move(tier, TIER_SPILL, "box", key, false, NULL, NULL, &moved, NULL);
            break;
        case 2:
            st = tier_move(tier, TIER_RECALL, "box", key, false, NULL, NULL, &moved, NULL);
            break;
        default:
            st = store_delete(store, "box", key, NULL, NULL);
            break;
        }
        CHECK(st == ST_OK || st == ST_NOTFOUND);
    }
    uint64_t passes = now().passes;
    EVENTUALLY(now().passes > passes + 1);
    scrub_stop(scrub);
    CHECK_EQ(atomic_load(&found_count), 0);
    tier_unmake();
}

int main(void)
{
    RUN(damaged_files_are_found_with_their_place);
    RUN(the_next_start_goes_on);
    RUN(its_rate_is_kept);
    RUN(a_damaged_note_of_the_place_is_none);
    RUN(what_is_in_the_tier_is_repaired);
    RUN(it_keeps_nobody_from_spilling);
    RUN(what_goes_meanwhile_is_not_damaged);
    return CHECK_DONE();
}
