#include "storetest.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

/* A full disk, at every size of what is there: an error that says so, nothing half, and all goes
 * on when there is space again. */

enum { BIG = 1000000, KEYS_MAX = 200 };
static uint8_t big[BIG];
static bool mounted;

static size_t len_of(size_t i)
{
    return i % 4 == 3 ? BIG : 2000 + 100 * i % 14000;
}

/* Put until there is no space; how many there are then. */
static size_t fill_up(size_t from)
{
    for (size_t i = from; i < KEYS_MAX; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%zu", i);
        status_t st = put("box", key, big + i, len_of(i) - i);
        if (st != ST_OK) {
            CHECK(st == ST_LIMIT || (st == ST_IO && !mounted)); /* SQLite knows ENOSPC only */
            return i;
        }
    }
    return KEYS_MAX;
}

static void check_all(size_t count)
{
    struct store_counters c;
    for (size_t i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%zu", i);
        CHECK(holds("box", key, big + i, len_of(i) - i));
    }
    MUST(store_counters(store, &c, &err));
    CHECK_EQ(c.objects, count);
    CHECK_EQ(files_in("new"), 0);
    check_sound();
}

/* Files cannot grow beyond a limit, which is another one each time. */
static void no_file_can_grow(void)
{
    struct rlimit before;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t limit = 100000; limit < 1500000 && check_failures == 0;
         limit += 60000 + limit % 7) {
        store_make(NULL);
        MUST(store_bucket_create(store, "box", "", &err));
        struct rlimit less = {.rlim_cur = limit, .rlim_max = before.rlim_max};
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &less), 0);
        size_t count = fill_up(0);
        CHECK(count < KEYS_MAX);
        check_all(count);
        CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
        CHECK_EQ(put("box", "more", big, BIG), ST_OK); /* the same process goes on */
        MUST(store_delete(store, "box", "more", NULL, &err));
        store_again(NULL);
        check_all(count);
        store_remove();
    }
}

static void delete_from(size_t i)
{
    for (; i < KEYS_MAX; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%zu", i);
        status_t st = store_delete(store, "box", key, NULL, NULL);
        CHECK(st == ST_OK || st == ST_NOTFOUND);
    }
}

/* A file system of a few MiB, in a name space of this process. */
static bool mount_small(const char *path)
{
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("small", path, "tmpfs", 0, "size=32m,mode=0700") == 0;
}

static bool is_full(void)
{
    struct store_state s = {0};
    MUST(store_state(store, &s, &err));
    CHECK(!s.broken && s.free_bytes < s.disk_bytes);
    return s.full;
}

static void a_full_disk_refuses_and_gives_space_back(void)
{
    snprintf(scratch, sizeof scratch, "/tmp/geds-test-XXXXXX");
    CHECK(mkdtemp(scratch) != NULL);
    mounted = mount_small(scratch);
    if (mounted) {
        MUST(store_open(scratch, NULL, &store, &err));
        MUST(store_bucket_create(store, "box", "", &err));
        CHECK(!is_full());
        size_t count = fill_up(0);
        CHECK(count > 8 && count < KEYS_MAX);
        CHECK(is_full());
        check_all(count);
        store_again(NULL);
        check_all(count);
        for (size_t i = count; i > 0; i--) { /* each delete works, however full the disk is */
            char key[32];
            snprintf(key, sizeof key, "k%zu", i - 1);
            CHECK_EQ(store_delete(store, "box", key, NULL, NULL), ST_OK);
            if (i % 20 == 0) {
                CHECK(fill_up(i - 1) > i - 1); /* and gives space for another object */
                check_sound();
                delete_from(i - 1);
            }
        }
        CHECK_EQ(put("box", "small", "x", 1), ST_OK);
        CHECK(!is_full());
        MUST(store_delete(store, "box", "small", NULL, &err));
        size_t again = fill_up(0);
        CHECK(again > count / 2);
        count = again;
        store_again(NULL);
        check_all(count);
        store_close(store);
        store = NULL;
        CHECK_EQ(umount(scratch), 0);
    }
    rmdir(scratch);
}

int main(void)
{
    fill(big, BIG, 1);
    RUN(no_file_can_grow);
    RUN(a_full_disk_refuses_and_gives_space_back);
    if (!mounted) {
        printf("no file system could be mounted here\n");
    }
    return CHECK_DONE();
}
