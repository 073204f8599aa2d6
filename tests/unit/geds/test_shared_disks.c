#include <poll.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "geds/tiers.h"
#include "sharedtest.h"

/* Disks and memory of controllers that share a store: copies of databases, files that have to go, changes that are too
 * large. */

/* Of the disk, as it is told; 0: as it is. */
static uint64_t free_bytes;
int fstatvfs(int fd, struct statvfs *ret_fs)
{
    struct statfs fs;
    int code = fstatfs(fd, &fs);
    *ret_fs = (struct statvfs){
        .f_frsize = (unsigned long)fs.f_bsize, .f_blocks = fs.f_blocks, .f_bavail = fs.f_bavail};
    if (code == 0 && free_bytes != 0) {
        ret_fs->f_bavail = free_bytes / ret_fs->f_frsize;
    }
    return code;
}
int statvfs(const char *path, struct statvfs *ret_fs)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), code = fd >= 0 ? fstatvfs(fd, ret_fs) : -1;
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

/* Rows as objects without bytes have, of which a rename is a transaction of many bytes. digits: of keys. */
static void make_many(const char *prefix, int count, int digits, int attributes)
{
    char path[128], text[400];
    sqlite3 *db = NULL;
    stop();
    snprintf(path, sizeof path, "%s/meta.db", folders[0]);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(text, sizeof text,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT "
             "INTO object(bucket, key, size, modified_ns, etag, attributes, layout) SELECT 1, "
             "CAST(printf('%s%%0%dd', i) AS BLOB), 0, 1, '', zeroblob(%d), x'' FROM n",
             count, prefix, digits, attributes);
    CHECK_EQ(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    lead(0);
}

enum { MANY = 40000, FEW = 300, MIB = 1024 * 1024 };

static void is_refused_early(const char *prefix)
{
    struct error why = {0};
    struct store_state state;
    uint64_t count = 0;
    size_t entries = shared->count;
    sqlite3_int64 before = sqlite3_memory_used();
    sqlite3_memory_highwater(1);
    CHECK_EQ(store_rename_prefix(store, "box", prefix, "more/", &count, &why), ST_LIMIT);
    CHECK(strstr(why.text, "too much metadata") != NULL);
    sqlite3_int64 most = sqlite3_memory_highwater(0) - before;
    CHECK(most < 40 * MIB); /* of which SQLite's cache has 8; all of it would be 60 at least */
    CHECK_EQ(shared->count, entries);
    CHECK(!shared->failed);
    free_bytes = MIB;
    MUST(store_state(store, &state, &err));
    CHECK(!state.full); /* it has nothing to do with the disk */
    free_bytes = 0;
}

/* While it is made, or before: not when all of it is in memory. */
static void a_change_of_too_much_is_refused_before_it_takes_much_memory(void)
{
    uint64_t count = 0;
    begin();
    functions.change_max = 2 * MIB;
    make_many("few/", FEW, 900, 100);
    make_many("long/", MANY, 900, 0);
    make_many("fat/", MANY, 10, 1000);
    is_refused_early("long/");
    is_refused_early("fat/");
    MUST(store_rename_prefix(store, "box", "few/", "less/", &count, &err));
    CHECK_EQ(count, FEW);
    MUST(put("box", "a", "x", 1));
    end();
}

/* A tier that has one extent. */
static uint8_t tier_bytes[LONG];
static status_t read_tier(void *arg, const struct store_extent *extent, uint64_t off, void *data,
                          size_t len, struct error *err)
{
    (void)arg, (void)extent, (void)err;
    memcpy(data, tier_bytes + off, len);
    return ST_OK;
}

static void set_tier(void)
{
    const struct store_tier tier = {.read = read_tier, .cache_bytes = STORE_CACHE_MIN};
    MUST(store_set_tier(store, &tier, &err));
}

static uint64_t only_extent(void)
{
    struct store_candidate one[2];
    size_t count = 0;
    for (unsigned place = 0; place < 4 && count == 0; place++) {
        MUST(store_candidates(store, place, STORE_KEEP_UNTIL_FULL, 0, 2, one, &count, &err));
    }
    CHECK_EQ(count, 1);
    return one[0].id;
}

/* The second controller puts a file while it leads, and a copy of it into the tier. */
static uint64_t begin_with_a_copy_in_the_tier(void)
{
    struct store_extent x = {0};
    int fd = -1;
    begin();
    join(1);
    stop();
    lead(1);
    set_tier();
    fill(tier_bytes, LONG, 4);
    MUST(put("box", "file", tier_bytes, LONG));
    uint64_t extent = only_extent();
    MUST(store_extent_hold(store, extent, &x, &fd, &err));
    MUST(store_extent_sent(store, &x, &err));
    close(fd);
    buf_done(&x.sums);
    store_extent_release(store, extent);
    stop();
    lead(0);
    set_tier();
    return extent;
}

static void evict(uint64_t extent)
{
    size_t dropped = 0;
    MUST(store_extents_drop(store, &extent, 1, false, &dropped, &err));
    CHECK_EQ(dropped, 1);
    MUST(store_settle(store, &err));
}

static void what_the_leader_evicts_goes_on_other_disks_as_well(void)
{
    uint64_t extent = begin_with_a_copy_in_the_tier();
    follow(1);
    CHECK_EQ(files_in("1/data"), 1);
    evict(extent);
    follow(1);
    CHECK_EQ(files_in("1/data"), 0);
    MUST(store_extent_recall(store, extent, &err)); /* to the disk of the first one */
    stop();
    lead(1);
    set_tier();
    check_sound();
    CHECK(holds("box", "file", tier_bytes, LONG));
    end();
}

static void what_comes_back_before_its_removal_is_applied_stays(void)
{
    uint64_t extent = begin_with_a_copy_in_the_tier();
    evict(extent);
    MUST(store_extent_recall(store, extent, &err));
    follow(1);
    CHECK_EQ(files_in("1/data"), 1);
    stop();
    lead(1);
    CHECK(holds("box", "file", tier_bytes, LONG));
    check_sound();
    end();
}

/* What nothing names, beside what has a row, and beside what is nobody's. */
static void leave_files(size_t who, uint64_t number)
{
    char path[160];
    static const char *const names[] = {"%.60s/data/%02x/%016llx", "%.60s/data/%02x/%llxnotes"};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t n = number; n < number + 3; n++) {
            snprintf(path, sizeof path, names[i], folders[who], (unsigned)(n & 0xff),
                     (unsigned long long)n);
            FILE *f = fopen(path, "wx");
            CHECK(f != NULL && fclose(f) == 0);
        }
    }
}

static void a_copy_takes_files_with_it_that_nothing_names(void)
{
    static uint8_t data[LONG];
    begin();
    join(1);
    stop();
    lead(1);
    fill(data, LONG, 1);
    MUST(put("box", "stays", data, LONG));
    MUST(put("box", "goes", data, LONG));
    MUST(put("box", "also", data, LONG));
    stop();
    lead(0);
    MUST(store_delete(store, "box", "goes", NULL, &err));
    MUST(store_settle(store, &err));
    leave_files(1, UINT64_C(1) << 40 | 0x100);
    join(1); /* what removed the file is not applied here */
    CHECK_EQ(files_in("1/data"), 2 + 3);
    stop();
    lead(1);
    CHECK(holds("box", "stays", data, LONG) && holds("box", "also", data, LONG));
    end();
}

/* A removal that was interrupted behind the commit. Puts go on meanwhile. */
static void who_leads_removes_files_that_nothing_names(void)
{
    static uint8_t data[LONG];
    struct store_put *p = NULL;
    begin();
    fill(data, LONG, 1);
    MUST(put("box", "stays", data, LONG));
    stop();
    leave_files(0, UINT64_C(1) << 40 | 0x100);
    lead(0);
    MUST(store_put_begin(store, "box", "new", NULL, &p, &err));
    MUST(store_put_write(p, data, LONG, &err));
    for (int i = 0; i < 1000 && files_in("0/data") > 1 + 3; i++) {
        poll(NULL, 0, 10);
    }
    CHECK_EQ(files_in("0/data"), 1 + 3);
    MUST(store_put_commit(p, NULL, NULL, &err));
    CHECK(holds("box", "stays", data, LONG) && holds("box", "new", data, LONG));
    end();
}

static void one_copy_is_made_at_a_time(void)
{
    char copy[96];
    struct error why = {0};
    begin();
    copy_path(copy);
    MUST(store_copy_state(store, copy, &err));
    CHECK_EQ(store_copy_state(store, copy, &why), ST_AGAIN);
    CHECK(strstr(why.text, "another controller gets a copy") != NULL);
    store_copied(store);
    FILE *left = fopen(copy, "w"); /* by a process that was killed */
    CHECK(left != NULL && fprintf(left, "a part of a copy%200000s", "") > 0 && fclose(left) == 0);
    MUST(store_copy_state(store, copy, &err));
    store_copied(store);
    MUST(replica_replace(folders[1], copy, id, &err));
    CHECK_EQ(rows_of(1), rows_of(0));
    end();
}

static void a_copy_for_which_there_is_no_space_is_not_begun(void)
{
    char copy[96];
    struct error why = {0};
    begin();
    copy_path(copy);
    free_bytes = STORE_FREE_ENOUGH;
    CHECK_EQ(store_copy_state(store, copy, &why), ST_LIMIT);
    CHECK(strstr(why.text, "no space for a copy") != NULL);
    CHECK(access(copy, F_OK) != 0);
    free_bytes = 2 * STORE_FREE_ENOUGH;
    MUST(store_copy_state(store, copy, &err));
    store_copied(store);
    free_bytes = 0;
    end();
}

/* The leader's store does not take the place of this one, which stays as it is. */
static void is_not_replaced(size_t who)
{
    char copy[96];
    struct error why = {0};
    uint64_t before = rows_of(who);
    copy_path(copy);
    MUST(store_copy_state(store, copy, &err));
    store_copied(store);
    CHECK_EQ(replica_replace(folders[who], copy, id, &why), ST_EXIST);
    CHECK(strstr(why.text, "of another history") != NULL && strstr(why.text, "--etcd none"));
    CHECK_EQ(rows_of(who), before);
    remove(copy);
}

/* etcd is restored as it was, and one that was behind goes on from there, past what another one has. */
static void what_a_restored_log_has_not_is_not_replaced(void)
{
    begin();
    join(1);
    join(2);
    size_t restored = shared->count;
    put_some(5);
    stop();
    follow(1); /* the same term, of the leader */
    shared->count = restored;
    lead(2);
    put_some(20);
    is_not_replaced(1);
    end();
}

static void a_term_of_another_controller_is_another_history(void)
{
    begin();
    join(1);
    join(2);
    stop();
    size_t restored = shared->count;
    lead(1);
    put_some(5);
    stop();
    shared->count = restored;
    lead(2); /* it takes the same term */
    put_some(20);
    is_not_replaced(1);
    stop();
    lead(2);
    put_some(5);
    is_not_replaced(1);
    end();
}

/* The first controller and etcd are restored as they were, and it leads as it did before; the other one has what was
 * lost. */
static void a_term_that_the_same_controller_took_twice_is_another_history(void)
{
    char backup[96];
    begin();
    join(1);
    snprintf(backup, sizeof backup, "%s/backup", scratch);
    MUST(store_copy_state(store, backup, &err));
    store_copied(store);
    size_t restored = shared->count;
    stop();
    lead(0);
    put_some(5);
    stop();
    follow(1);
    shared->count = restored;
    remove_tree(folders[0]);
    MUST(replica_replace(folders[0], backup, id, &err));
    lead(0);
    put_some(20);
    is_not_replaced(1);
    end();
}

/* Terms that began before there were rows about that. */
static void forget_terms(size_t who)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/meta.db", folders[who]);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, "DROP TABLE shared_first", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void who_is_far_behind_is_replaced(void)
{
    begin();
    join(1);
    put_some(5);
    join(1); /* in the same term */
    CHECK_EQ(rows_of(1), rows_of(0));
    stop();
    lead(0);
    put_some(5);
    stop();
    lead(0);
    put_some(5);
    join(1); /* two terms behind */
    CHECK_EQ(rows_of(1), rows_of(0));
    stop();
    forget_terms(0);
    forget_terms(1);
    lead(0);
    put_some(5);
    join(1);
    CHECK_EQ(rows_of(1), rows_of(0));
    end();
}

static void what_a_copy_replaces_is_kept_under_another_name(void)
{
    char former[128], own[128];
    struct stat info;
    begin();
    snprintf(former, sizeof former, "%s/former.db", folders[1]);
    snprintf(own, sizeof own, "%s/meta.db", folders[1]);
    join(1);
    CHECK(stat(former, &info) != 0); /* it had nothing */
    put_some(5);
    stop();
    follow(1);
    uint64_t before = rows_of(1);
    lead(0);
    put_some(5);
    join(1);
    CHECK_EQ(rows_in(former), before);
    remove(own); /* as one is that was interrupted in between */
    join(1);
    CHECK_EQ(rows_in(former), before);
    CHECK_EQ(rows_of(1), rows_of(0));
    put_some(5);
    before = rows_of(1);
    join(1);
    CHECK_EQ(rows_in(former), before);
    end();
}

int main(void)
{
    shared_make();
    RUN(a_change_of_too_much_is_refused_before_it_takes_much_memory);
    RUN(what_the_leader_evicts_goes_on_other_disks_as_well);
    RUN(what_comes_back_before_its_removal_is_applied_stays);
    RUN(a_copy_takes_files_with_it_that_nothing_names);
    RUN(who_leads_removes_files_that_nothing_names);
    RUN(one_copy_is_made_at_a_time);
    RUN(a_copy_for_which_there_is_no_space_is_not_begun);
    RUN(what_a_restored_log_has_not_is_not_replaced);
    RUN(a_term_of_another_controller_is_another_history);
    RUN(a_term_that_the_same_controller_took_twice_is_another_history);
    RUN(who_is_far_behind_is_replaced);
    RUN(what_a_copy_replaces_is_kept_under_another_name);
    return CHECK_DONE();
}
