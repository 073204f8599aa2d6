#include "storetest.h"

#include <sqlite3.h>

/* What is wrong with a store is found and named, and nothing wrong is handed out. */

enum { BIG = 3 * STORE_BLOCK_BYTES + 1234 };
static uint8_t big[BIG];

static struct store_finding last;
static unsigned kinds[STORE_DAMAGE_LAYOUT + 1];

static void note(void *arg, const struct store_finding *finding)
{
    (void)arg;
    last = *finding;
    last.text = NULL;
    kinds[finding->kind]++;
}

static struct store_fsck fsck(bool repair)
{
    struct store_fsck totals = {0};
    memset(kinds, 0, sizeof kinds);
    MUST(store_fsck(store, repair, note, NULL, NULL, &totals, &err));
    return totals;
}

static void start(void)
{
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    CHECK_EQ(put("box", "k", big, BIG), ST_OK);
}

static char found_file[160];
static int find_file(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)ftw;
    if (type == FTW_F) {
        snprintf(found_file, sizeof found_file, "%s", path);
    }
    return 0;
}

/* The file of the only extent. */
static const char *extent_file(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data", scratch);
    found_file[0] = '\0';
    nftw(path, find_file, 16, FTW_PHYS);
    return found_file;
}

static void flip(const char *path, off_t off)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pread(fd, &byte, 1, off), 1);
    byte ^= 0x10;
    CHECK_EQ(pwrite(fd, &byte, 1, off), 1);
    close(fd);
}

static void change_database(const char *text)
{
    sqlite3 *db = NULL;
    char path[128], *message = NULL;
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", text, message);
        check_failures++;
    }
    sqlite3_free(message);
    sqlite3_close(db);
}

static void a_flipped_byte_is_reported_with_its_place(void)
{
    off_t places[] = {0, STORE_BLOCK_BYTES - 1, STORE_BLOCK_BYTES, BIG - 1};
    for (size_t i = 0; i < 4; i++) {
        start();
        flip(extent_file(), places[i]);
        struct store_object *o = NULL;
        struct error why = {0};
        static uint8_t data[BIG];
        size_t got = 0;
        uint64_t block = (uint64_t)places[i] / STORE_BLOCK_BYTES * STORE_BLOCK_BYTES;
        CHECK_EQ(store_object_open(store, "box", "k", &o, NULL), ST_OK);
        CHECK_EQ(store_object_read(o, data, BIG, 0, &got, &why), ST_CORRUPT);
        CHECK_EQ(why.offset, block);
        CHECK(strstr(why.text, "checksum") != NULL && strstr(why.text, "extent 00") != NULL);
        /* one byte of the block, and one of another */
        CHECK_EQ(store_object_read(o, data, 1, block + 5, &got, &why), ST_CORRUPT);
        uint64_t other = block == 0 ? 2 * STORE_BLOCK_BYTES : 0;
        CHECK_EQ(store_object_read(o, data, 1, other, &got, NULL), ST_OK);
        store_object_close(o);
        struct store_fsck totals = fsck(false);
        CHECK_EQ(totals.findings, 1);
        CHECK_EQ(last.kind, STORE_DAMAGE_BLOCK);
        CHECK_EQ(last.offset, block);
        CHECK(last.extent > 0);
        store_remove();
    }
}

static void a_short_or_missing_file_is_reported(void)
{
    start();
    uint8_t *data = NULL;
    size_t len = 0;
    struct error why = {0};
    CHECK_EQ(truncate(extent_file(), STORE_BLOCK_BYTES), 0);
    CHECK_EQ(get("box", "k", &data, &len, &why), ST_CORRUPT);
    CHECK_EQ(why.offset, STORE_BLOCK_BYTES);
    CHECK_EQ(fsck(false).findings, 1);
    CHECK_EQ(kinds[STORE_DAMAGE_MISSING], 1);
    CHECK_EQ(unlink(extent_file()), 0);
    CHECK_EQ(get("box", "k", &data, &len, &why), ST_CORRUPT);
    CHECK_EQ(fsck(false).findings, 1);
    CHECK_EQ(kinds[STORE_DAMAGE_MISSING], 1);
    MUST(store_delete(store, "box", "k", NULL, &err));
    CHECK_EQ(fsck(false).findings, 0);
    store_remove();
}

static void damaged_bytes_in_a_row_are_reported(void)
{
    start();
    uint8_t *data = NULL;
    size_t len = 0;
    struct error why = {0};
    CHECK_EQ(put("box", "small", "text", 4), ST_OK);
    change_database("UPDATE extent SET data = CAST('texT' AS BLOB) WHERE data IS NOT NULL");
    CHECK_EQ(get("box", "small", &data, &len, &why), ST_CORRUPT);
    CHECK_EQ(fsck(false).findings, 1);
    CHECK_EQ(kinds[STORE_DAMAGE_BLOCK], 1);
    store_remove();
}

static void wrong_counts_are_found_and_repaired(void)
{
    start();
    change_database("UPDATE bucket SET objects = 7; UPDATE extent SET uses = 5");
    struct store_fsck totals = fsck(false);
    CHECK_EQ(totals.findings, 2);
    CHECK_EQ(totals.repaired, 0);
    CHECK(kinds[STORE_DAMAGE_USES] == 1 && kinds[STORE_DAMAGE_COUNT] == 1);
    totals = fsck(true);
    CHECK_EQ(totals.findings, 2);
    CHECK_EQ(totals.repaired, 2);
    CHECK_EQ(fsck(false).findings, 0);
    MUST(store_delete(store, "box", "k", NULL, &err));
    CHECK_EQ(files_in("data"), 0);
    store_remove();
}

static void files_without_a_name_are_found_and_removed(void)
{
    start();
    char path[200];
    snprintf(path, sizeof path, "%s/data/07/0000000000abcd07", scratch);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    snprintf(path, sizeof path, "%s/data/07/stranger", scratch);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    CHECK_EQ(fsck(false).findings, 2);
    CHECK_EQ(kinds[STORE_DAMAGE_ORPHAN], 2);
    CHECK_EQ(fsck(true).repaired, 2);
    CHECK_EQ(fsck(false).findings, 0);
    CHECK_EQ(files_in("data"), 1);
    store_remove();
}

static void what_a_crash_left_is_removed_at_the_next_start(void)
{
    start();
    char path[200];
    snprintf(path, sizeof path, "%s/new/00000000000fffff", scratch);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    snprintf(path, sizeof path, "%s/new/stranger", scratch);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    /* one whose file was not moved yet, and one whose last name went */
    snprintf(path, sizeof path, "%s/new%s", scratch, strrchr(extent_file(), '/'));
    CHECK_EQ(rename(extent_file(), path), 0);
    CHECK(holds("box", "k", big, BIG));
    CHECK_EQ(put("box", "gone", big, BIG), ST_OK);
    store_close(store);
    store = NULL;
    change_database("UPDATE extent SET uses = 0 WHERE id = (SELECT max(id) FROM extent);"
                    "DELETE FROM object WHERE key = CAST('gone' AS BLOB);"
                    "UPDATE bucket SET objects = 1, bytes = bytes / 2");
    MUST(store_open(scratch, NULL, &store, &err));
    CHECK_EQ(files_in("new"), 0);
    CHECK_EQ(files_in("data"), 1);
    CHECK(holds("box", "k", big, BIG));
    CHECK_EQ(fsck(false).findings, 0);
    store_remove();
}

static void malformed_rows_are_refused(void)
{
    static const char *const changes[] = {
        "UPDATE object SET layout = x'00'",
        "UPDATE object SET size = size + 1",
        "UPDATE object SET layout = zeroblob(16)",
        "UPDATE object SET attributes = x'ffff0100'",
        "UPDATE object SET attributes = x'01000000'",
        "UPDATE object SET attributes = x''",
        "UPDATE extent SET sums = x'00'",
        "UPDATE extent SET bytes = 5",
        "DELETE FROM extent",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        start();
        uint8_t *data = NULL;
        size_t len = 0;
        struct error why = {0};
        change_database(changes[i]);
        CHECK_EQ(get("box", "k", &data, &len, &why), ST_CORRUPT);
        CHECK(why.text[0] != '\0');
        CHECK(fsck(true).findings > 0 || strstr(changes[i], "attributes") != NULL);
        store_remove();
    }
}

static void a_store_in_use_is_refused(void)
{
    start();
    struct store *second = NULL;
    struct error why = {0};
    CHECK_EQ(store_open(scratch, NULL, &second, &why), ST_AGAIN);
    CHECK(strstr(why.text, scratch) != NULL && strstr(why.text, "in use") != NULL);
    store_remove();
}

static void folders_that_are_no_store_are_refused(void)
{
    char path[200];
    struct error why = {0};
    start();
    store_close(store);
    store = NULL;
    CHECK_EQ(chmod(scratch, 0750), 0);
    CHECK_EQ(store_open(scratch, NULL, &store, &why), ST_PERM);
    CHECK(strstr(why.text, "0700") != NULL);
    CHECK_EQ(chmod(scratch, 0700), 0);
    change_database("PRAGMA user_version = 9");
    CHECK_EQ(store_open(scratch, NULL, &store, &why), ST_UNSUPPORTED);
    CHECK(strstr(why.text, "format 9") != NULL && strstr(why.text, scratch) != NULL);
    change_database("PRAGMA application_id = 5");
    CHECK_EQ(store_open(scratch, NULL, &store, &why), ST_CORRUPT);
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    CHECK_EQ(write(fd, big, BIG), BIG);
    close(fd);
    CHECK_EQ(store_open(scratch, NULL, &store, &why), ST_CORRUPT);
    remove_tree(scratch);
    fd = open(scratch, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    CHECK_EQ(store_open(scratch, NULL, &store, &why), ST_EXIST);
    unlink(scratch);
}

struct asked {
    unsigned left; /* times that it goes on */
    status_t other;
};

static bool goes_on(void *arg)
{
    struct asked *a = arg;
    struct store_fsck totals;
    a->other = store_fsck(store, false, NULL, NULL, NULL, &totals, NULL);
    return a->left-- > 0;
}

static void a_check_can_be_ended_and_runs_once_at_a_time(void)
{
    struct store_fsck totals = {0};
    status_t st = ST_STOPPED;
    unsigned times = 0;
    start();
    for (; st == ST_STOPPED && times < 10000; times++) {
        struct asked a = {.left = times};
        st = store_fsck(store, times % 2 == 0, NULL, goes_on, &a, &totals, NULL);
        CHECK_EQ(a.other, ST_AGAIN);
    }
    CHECK_EQ(st, ST_OK);
    CHECK(times > 3);
    CHECK_EQ(totals.findings, 0);
    CHECK_EQ(fsck(false).findings, 0);
    store_remove();
}

int main(void)
{
    fill(big, BIG, 1);
    RUN(a_flipped_byte_is_reported_with_its_place);
    RUN(a_short_or_missing_file_is_reported);
    RUN(damaged_bytes_in_a_row_are_reported);
    RUN(wrong_counts_are_found_and_repaired);
    RUN(files_without_a_name_are_found_and_removed);
    RUN(what_a_crash_left_is_removed_at_the_next_start);
    RUN(malformed_rows_are_refused);
    RUN(a_check_can_be_ended_and_runs_once_at_a_time);
    RUN(a_store_in_use_is_refused);
    RUN(folders_that_are_no_store_are_refused);
    return CHECK_DONE();
}
