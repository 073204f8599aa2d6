/* Local disk becomes full while the tier is away: writes are refused then, and only then; all is moved when it is
 * back. */
#include "faketier.h"

#include <sys/mount.h>

enum { LEN = 1000000, KEYS_MAX = 100 };
static uint8_t source[LEN + KEYS_MAX];
static bool mounted;

/* A file system of a few MiB, in a name space of this process. */
static bool mount_small(const char *path)
{
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("small", path, "tmpfs", 0, "size=48m,mode=0700") == 0;
}

static size_t fill_up(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%zu", i);
        status_t st = put("box", key, source + i, LEN);
        if (st != ST_OK) {
            CHECK_EQ(st, ST_LIMIT);
            return i;
        }
    }
    return to;
}

static bool has_all(size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%zu", i);
        all &= holds("box", key, source + i, LEN);
    }
    return all;
}

static bool is_drained(void)
{
    tier_wake(tier);
    return status_now().backlog_bytes == 0;
}

static void writes_go_on_until_the_disk_is_full(void)
{
    tier_high = 8 * LEN;
    tier_low = 4 * LEN;
    snprintf(tier_folder, sizeof tier_folder, "/tmp/geds-fake-XXXXXX");
    CHECK(mkdtemp(tier_folder) != NULL);
    snprintf(scratch, sizeof scratch, "/tmp/geds-test-XXXXXX");
    CHECK(mkdtemp(scratch) != NULL);
    mounted = mount_small(scratch);
    if (mounted) {
        MUST(store_open(scratch, NULL, &store, &err));
        CHECK_EQ(tier_up(), ST_OK);
        MUST(store_bucket_create(store, "box", "", &err));
        atomic_store(&fake_down, true);
        size_t count = fill_up(0, KEYS_MAX);
        CHECK(count > 30 && count < KEYS_MAX); /* not earlier than it must */
        CHECK(has_all(count));
        atomic_store(&fake_down, false);
        EVENTUALLY(is_drained());
        size_t more = count + 20 < KEYS_MAX ? count + 20 : KEYS_MAX;
        for (size_t i = count; i < more; i++) { /* as fast as it is moved */
            EVENTUALLY(is_drained());
            CHECK_EQ(fill_up(i, i + 1), i + 1);
        }
        CHECK(has_all(more));
        check_sound();
        tier_down();
        MUST(store_open(scratch, NULL, &store, &err));
        CHECK_EQ(tier_up(), ST_OK);
        CHECK(has_all(more));
        tier_down();
        CHECK_EQ(umount(scratch), 0);
    }
    rmdir(scratch);
    remove_tree(tier_folder);
}

int main(void)
{
    fill(source, sizeof source, 1);
    RUN(writes_go_on_until_the_disk_is_full);
    if (!mounted) {
        printf("no file system could be mounted here\n");
    }
    return CHECK_DONE();
}
