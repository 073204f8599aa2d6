#include "storetest.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/hash.h"
#include "geds/crypt.h"
#include "geds/tiers.h"
#include "sys/files.h"

/* Encrypted objects: nothing of them is in the clear, nothing that was changed is handed out, and no key that is
 * needed goes. */

enum { BIG = 3 * STORE_BLOCK_BYTES + 1234, SMALL = 500 };
static uint8_t big[BIG];
static const struct store_options no_sync = {.sync = STORE_SYNC_OFF};
static char key_file[96];
static const char marker[] = "the-plaintext-marker";

static status_t try_keys(void)
{
    const struct store_keys_options o = {.path = key_file};
    return store_set_keys(store, &o, NULL);
}

/* A bucket `box` that encrypts with the objects b (big) and s (small), and one that does not. */
static void start(void)
{
    store_make(&no_sync);
    snprintf(key_file, sizeof key_file, "%s.key", scratch);
    CHECK_EQ(try_keys(), ST_OK);
    MUST(store_bucket_create(store, "box", "", &err));
    MUST(store_bucket_create(store, "open", "", &err));
    MUST(store_bucket_set_encrypt(store, "box", true, &err));
    CHECK_EQ(put("box", "b", big, BIG), ST_OK);
    CHECK_EQ(put("box", "s", big, SMALL), ST_OK);
}

static void end(void)
{
    store_remove();
    unlink(key_file);
}

static void again(void)
{
    store_again(&no_sync);
    CHECK_EQ(try_keys(), ST_OK);
}

static void change_database(const char *text)
{
    sqlite3 *db = NULL;
    char path[128], *message = NULL;
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", text, message);
        exit(1);
    }
    sqlite3_close(db);
}

static bool is_encrypted(const char *bucket, const char *key)
{
    struct store_info info = {0};
    MUST(store_stat(store, bucket, key, &info, &err));
    return info.encrypted;
}

static size_t marked;
static int look_for_marker(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    static uint8_t data[8 << 20];
    (void)info, (void)ftw;
    if (type == FTW_F) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, data, sizeof data);
        close(fd);
        marked += n > 0 && memmem(data, (size_t)n, marker, sizeof marker - 1) != NULL;
    }
    return 0;
}

static bool is_in_the_clear(void)
{
    marked = 0;
    nftw(scratch, look_for_marker, 16, FTW_PHYS);
    return marked > 0;
}

static void nothing_is_in_the_clear(void)
{
    struct store_object *o = NULL;
    struct store_info info;
    struct buf sums = {0};
    uint64_t bytes = 0, id = 0;
    int fd = -1;
    start();
    CHECK(is_encrypted("box", "b") && is_encrypted("box", "s"));
    MUST(store_append(store, "box", "s", big, 3000, NULL, &info, &err));
    MUST(store_append(store, "box", "b", big, BIG, NULL, &info, &err));
    CHECK(info.encrypted);
    struct store_put *p = NULL;
    MUST(store_upload_begin(store, "box", "u", NULL, &id, &err));
    MUST(store_upload_put_begin(store, "box", "u", id, 1, &p, &err));
    CHECK(store_put_is_encrypted(p));
    MUST(store_put_write(p, big, BIG, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    again();
    CHECK(!is_in_the_clear());
    CHECK_EQ(put("open", "b", big, BIG), ST_OK); /* what is looked for can be found */
    CHECK(is_in_the_clear());
    MUST(store_object_open(store, "box", "b", &o, &err));
    CHECK_EQ(store_object_piece(o, 0, &fd, &bytes, NULL), ST_UNSUPPORTED);
    CHECK_EQ(store_object_sums(o, 0, &sums, NULL), ST_UNSUPPORTED);
    store_object_close(o);
    check_sound();
    end();
}

/* A small piece at the end is joined with what is appended, which must not bring it into the clear. */
static void appends_keep_what_was_encrypted(void)
{
    enum { PLAIN = 1024 * 1024, MORE = 60 };
    uint8_t *bytes = calloc(1, PLAIN + sizeof marker - 1 + MORE);
    start();
    CHECK(bytes != NULL);
    memcpy(bytes + PLAIN, marker, sizeof marker - 1);
    CHECK_EQ(put("open", "o", bytes, PLAIN), ST_OK);
    MUST(store_bucket_set_encrypt(store, "open", true, &err));
    MUST(store_append(store, "open", "o", marker, sizeof marker - 1, NULL, NULL, &err));
    MUST(store_bucket_set_encrypt(store, "open", false, &err));
    MUST(store_append(store, "open", "o", bytes, MORE, NULL, NULL, &err));
    again();
    CHECK(!is_in_the_clear());
    CHECK(holds("open", "o", bytes, PLAIN + sizeof marker - 1 + MORE));
    CHECK(!is_encrypted("open", "o")); /* its beginning is not */
    check_sound();
    free(bytes);
    end();
}

/* Other names, without a rule, a rule of the bucket, and a request; bytes, entity tag and parts are the same. */
static void copies_and_renames_are_as_the_rules_say(void)
{
    const struct store_name from = {"open", "b"}, in = {"box", "copy"}, out = {"open", "out"};
    const struct store_name moved = {"box", "moved"}, self = {"open", "b"};
    struct store_info was, info;
    start();
    CHECK_EQ(put_if("open", "b", big, BIG, NULL, &was), ST_OK);
    MUST(store_copy(store, &from, &in, NULL, NULL, NULL, &info, &err));
    CHECK(info.encrypted && is_encrypted("box", "copy") && holds("box", "copy", big, BIG));
    CHECK_STR(info.etag, was.etag);
    MUST(store_copy(store, &in, &out, NULL, NULL, NULL, &info, &err)); /* extents are shared */
    CHECK(info.encrypted && holds("open", "out", big, BIG));
    CHECK(!is_encrypted("open", "b"));
    MUST(store_copy_encrypted(store, &self, STORE_VERSION_CURRENT, &self, NULL, NULL, NULL, &info,
                              &err));
    CHECK(is_encrypted("open", "b") && holds("open", "b", big, BIG));
    CHECK_EQ(put("open", "b", big, SMALL), ST_OK);
    MUST(store_rename(store, &from, &moved, NULL, &err));
    CHECK(is_encrypted("box", "moved") && holds("box", "moved", big, SMALL));
    CHECK_EQ(store_stat(store, "open", "b", &info, NULL), ST_NOTFOUND);
    check_sound();
    again();
    CHECK(holds("box", "moved", big, SMALL) && holds("box", "copy", big, BIG));
    CHECK_EQ(files_in("new"), 0);
    end();
}

static void renames_between_buckets_with_versions_keep_them(void)
{
    const struct store_name plain = {"old", "k"}, in = {"box", "k"}, back = {"old", "k"};
    struct store_version_query q = {.max = 10};
    struct store_versions *page = NULL;
    start();
    MUST(store_bucket_create_as(store, "old", "", STORE_VERSIONING_ON, &err));
    MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
    CHECK_EQ(put("old", "k", big, BIG), ST_OK);
    CHECK_EQ(put("box", "k", big, SMALL), ST_OK);
    MUST(store_rename(store, &plain, &in, NULL, &err));
    CHECK(is_encrypted("box", "k") && holds("box", "k", big, BIG));
    check_sound();
    MUST(store_version_list(store, "old", &q, &page, &err)); /* a marker, and what it hides */
    CHECK_EQ(page->count, 2);
    struct store_removal marker_goes = {.key = "k", .version = page->entries[0].info.version};
    store_versions_free(page);
    MUST(store_delete_each(store, "old", &marker_goes, 1, &err));
    CHECK(!is_encrypted("old", "k") && holds("old", "k", big, BIG));
    MUST(store_rename(store, &in, &back, NULL, &err)); /* shares what is encrypted */
    CHECK(is_encrypted("old", "k") && holds("old", "k", big, BIG));
    check_sound();
    again();
    CHECK(holds("old", "k", big, BIG));
    end();
}

/* A change of what lies there, by who knows the format: checksums are made right again. */
static void try_tampering(const char *sql, const char *key, status_t want)
{
    struct store_fsck n = {0};
    uint8_t *data = NULL;
    size_t len = 0;
    start();
    store_close(store);
    change_database(sql);
    MUST(store_open(scratch, &no_sync, &store, &err));
    CHECK_EQ(try_keys(), ST_OK);
    status_t st = get("box", key, &data, &len, NULL);
    if (st != want) {
        fprintf(stderr, "%s\n", sql);
    }
    CHECK_EQ(st, want);
    MUST(store_fsck(store, false, NULL, NULL, NULL, &n, &err));
    CHECK(n.findings > 0);
    end();
}

static void rows_that_were_changed_are_refused(void)
{
    /* tags: two exchanged, another extent's, none */
    try_tampering("UPDATE extent SET tags = CAST(substr(tags, 17, 16) || substr(tags, 1, 16) || "
                  "substr(tags, 33) AS BLOB) WHERE data IS NULL",
                  "b", ST_CORRUPT);
    try_tampering("UPDATE extent SET tags = x'' WHERE data IS NULL", "b", ST_CORRUPT);
    try_tampering("UPDATE extent SET tags = NULL", "b", ST_CORRUPT);
    try_tampering("UPDATE extent SET tags = NULL", "s", ST_CORRUPT);
    try_tampering("UPDATE extent SET tags = randomblob(16) WHERE data IS NOT NULL", "s",
                  ST_CORRUPT);
    /* keys: lost, changed, another extent's, of a later version, another master key */
    try_tampering("DELETE FROM seal", "b", ST_CORRUPT);
    try_tampering("UPDATE seal SET record = CAST(x'01' || randomblob(56) AS BLOB)", "b",
                  ST_CORRUPT);
    try_tampering("UPDATE seal SET record = (SELECT record FROM seal ORDER BY extent DESC LIMIT 1)",
                  "b", ST_CORRUPT);
    try_tampering("UPDATE seal SET record = CAST(x'02' || substr(record, 2) AS BLOB)", "s",
                  ST_UNSUPPORTED);
    try_tampering("UPDATE seal SET master = 1", "b", ST_PERM);
    try_tampering("UPDATE seal SET master = 1", "s", ST_PERM);
    /* an extent that was made shorter, with all that says how long it is */
    try_tampering("UPDATE extent SET bytes = 65536, sums = substr(sums, 1, 4), "
                  "tags = substr(tags, 1, 16) WHERE data IS NULL;"
                  "UPDATE object SET size = 65536, layout = CAST(substr(layout, 1, 8) || "
                  "x'0000010000000080' AS BLOB) WHERE key = CAST('b' AS BLOB)",
                  "b", ST_CORRUPT);
    /* a name that says that its bytes are in the clear */
    try_tampering("UPDATE object SET layout = CAST(substr(layout, 1, 15) || x'00' AS BLOB)", "b",
                  ST_CORRUPT);
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

/* Two blocks of the file exchanged, or a bit of one changed; with checksums that match. */
static void try_file(bool exchange)
{
    static uint8_t data[BIG], block[STORE_BLOCK_BYTES];
    char path[128], sql[512];
    struct buf sums = {0};
    struct store_object *o = NULL;
    struct error why = {0};
    size_t got = 0;
    start();
    store_close(store);
    snprintf(path, sizeof path, "%s/data", scratch);
    nftw(path, find_file, 16, FTW_PHYS);
    int fd = open(found_file, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pread(fd, data, BIG, 0), BIG);
    if (exchange) {
        memcpy(block, data, sizeof block);
        memcpy(data, data + STORE_BLOCK_BYTES, STORE_BLOCK_BYTES);
        memcpy(data + STORE_BLOCK_BYTES, block, STORE_BLOCK_BYTES);
    } else {
        data[STORE_BLOCK_BYTES + 77] ^= 1;
    }
    CHECK_EQ(pwrite(fd, data, BIG, 0), BIG);
    close(fd);
    snprintf(sql, sizeof sql, "UPDATE extent SET sums = x'");
    for (size_t off = 0; off < BIG; off += STORE_BLOCK_BYTES) {
        size_t n = BIG - off < STORE_BLOCK_BYTES ? BIG - off : STORE_BLOCK_BYTES;
        uint32_t crc = hash_crc32c(0, data + off, n);
        snprintf(sql + strlen(sql), sizeof sql - strlen(sql), "%02x%02x%02x%02x", crc & 255,
                 crc >> 8 & 255, crc >> 16 & 255, crc >> 24);
    }
    snprintf(sql + strlen(sql), sizeof sql - strlen(sql), "' WHERE data IS NULL");
    change_database(sql);
    MUST(store_open(scratch, &no_sync, &store, &err));
    CHECK_EQ(try_keys(), ST_OK);
    MUST(store_object_open(store, "box", "b", &o, &err));
    memset(data, 0, sizeof data);
    CHECK_EQ(store_object_read(o, data, BIG, 0, &got, &why), ST_CORRUPT);
    CHECK_EQ(why.offset, exchange ? 0 : STORE_BLOCK_BYTES);
    CHECK(strstr(why.text, "tag") != NULL);
    CHECK(memmem(data, BIG, marker, sizeof marker - 1) == NULL);
    CHECK_EQ(store_object_read(o, data, 10, STORE_BLOCK_BYTES * 2, &got, NULL), ST_OK);
    store_object_close(o);
    buf_done(&sums);
    end();
}

static void files_that_were_changed_are_refused(void)
{
    try_file(false);
    try_file(true);
}

static void without_its_key_nothing_is_read_or_made(void)
{
    struct store_key *keys = NULL;
    struct store_object *o = NULL;
    size_t count = 0, got = 0;
    uint8_t byte;
    char other[128];
    start();
    snprintf(other, sizeof other, "%s.other", key_file);
    CHECK_EQ(rename(key_file, other), 0);
    again();
    CHECK(access(key_file, F_OK) != 0);
    MUST(store_keys(store, &keys, &count, &err));
    CHECK(count == 1 && !keys[0].is_there && keys[0].extents == 2);
    free(keys);
    MUST(store_object_open(store, "box", "s", &o, &err)); /* what is known without its bytes */
    CHECK_EQ(store_object_unlock(o, NULL), ST_PERM);
    CHECK_EQ(store_object_read(o, &byte, 1, 0, &got, NULL), ST_PERM);
    store_object_close(o);
    MUST(store_object_open(store, "box", "b", &o, &err));
    CHECK_EQ(store_object_unlock(o, NULL), ST_PERM);
    CHECK_EQ(store_object_read(o, &byte, 1, 0, &got, NULL), ST_PERM);
    store_object_close(o);
    CHECK_EQ(put("box", "new", big, 10), ST_PERM);
    CHECK_EQ(store_append(store, "box", "s", big, 10, NULL, NULL, NULL), ST_PERM);
    CHECK_EQ(put("open", "new", big, 10), ST_OK);
    CHECK_EQ(store_delete(store, "box", "s", NULL, NULL), ST_OK);
    CHECK_EQ(rename(other, key_file), 0);
    again();
    CHECK(holds("box", "b", big, BIG));
    check_sound();
    end();
}

static bool stops(void *arg, const struct store_rewrap *so_far)
{
    (void)so_far;
    return ++*(int *)arg < 2;
}

static void keys_change_and_objects_stay(void)
{
    struct store_key *keys = NULL;
    struct store_rewrap n = {0};
    size_t count = 0;
    uint64_t first = 0, second = 0;
    int asked = 0;
    start();
    for (unsigned i = 0; i < 1500; i++) { /* more than one transaction has */
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        CHECK_EQ(put("box", key, big, 20), ST_OK);
    }
    MUST(store_keys(store, &keys, &count, &err));
    first = keys[0].id;
    CHECK_EQ(keys[0].extents, 1502);
    free(keys);
    MUST(store_keys_rotate(store, &second, &err));
    CHECK_EQ(store_keys_drop(store, first, NULL), ST_EXIST);
    CHECK_EQ(store_keys_drop(store, second, NULL), ST_EXIST);
    CHECK_EQ(store_keys_drop(store, 1, NULL), ST_NOTFOUND);
    CHECK_EQ(store_keys_rewrap(store, stops, &asked, &n, NULL), ST_STOPPED);
    CHECK_EQ(put("box", "later", big, 20), ST_OK);
    again();
    MUST(store_keys(store, &keys, &count, &err));
    CHECK(count == 2 && keys[0].extents == 1502 - 1024 && keys[1].extents == 1025);
    free(keys);
    MUST(store_keys_rewrap(store, NULL, NULL, &n, &err));
    CHECK(n.done == 1502 - 1024 && n.missing == 0);
    CHECK_EQ(store_keys_drop(store, first, NULL), ST_OK);
    again();
    CHECK(holds("box", "b", big, BIG) && holds("box", "s", big, SMALL));
    CHECK(holds("box", "k7", big, 20) && holds("box", "later", big, 20));
    check_sound();
    end();
}

static size_t lines_of_key_file(void)
{
    struct buf text = {0};
    size_t lines = 0;
    CHECK_EQ(file_read(key_file, 65536, &text, NULL), ST_OK);
    for (size_t i = 0; i < text.len; i++) {
        lines += text.data[i] == '\n';
    }
    buf_done(&text);
    return lines - 1; /* the first one says what it is */
}

static void a_rotation_keeps_what_only_the_file_has(void)
{
    struct store_key *keys = NULL;
    struct store_rewrap n = {0};
    char other[128];
    size_t count = 0;
    uint64_t id = 0;
    start();
    snprintf(other, sizeof other, "%s.other", key_file);
    CHECK_EQ(rename(key_file, other), 0);
    again(); /* without keys */
    CHECK_EQ(store_keys_rotate(store, &id, NULL), ST_PERM);
    CHECK(access(key_file, F_OK) != 0);
    CHECK_EQ(rename(other, key_file), 0); /* and the disk is there again */
    MUST(store_keys_rotate(store, &id, &err));
    CHECK_EQ(lines_of_key_file(), 2);
    MUST(store_keys_rewrap(store, NULL, NULL, &n, &err));
    CHECK(n.done == 2 && n.missing == 0 && holds("box", "b", big, BIG));
    again();
    MUST(store_keys(store, &keys, &count, &err));
    CHECK(count == 2 && keys[1].id == id && keys[1].extents == 2);
    MUST(store_keys_drop(store, keys[0].id, &err));
    free(keys);
    CHECK_EQ(lines_of_key_file(), 1);
    CHECK(holds("box", "b", big, BIG));
    end();
}

static void stores_share_a_key_file(void)
{
    static const struct store_options options = {.sync = STORE_SYNC_OFF};
    const struct store_keys_options o = {.path = key_file};
    struct store *second = NULL;
    struct store_key *keys = NULL;
    char folder[96], linked[128], left[160], kept[160];
    uint64_t ids[3];
    size_t count = 0;
    struct stat info;
    start();
    snprintf(folder, sizeof folder, "%s.second", scratch);
    snprintf(linked, sizeof linked, "%s.target", key_file);
    CHECK_EQ(rename(key_file, linked), 0);
    CHECK_EQ(symlink(linked, key_file), 0);
    const char *slash = strrchr(linked, '/');
    snprintf(left, sizeof left, "%.*s/.%s.0123456789ab", (int)(slash - linked), linked, slash + 1);
    snprintf(kept, sizeof kept, "%.*s/.%s.0123456789ag", (int)(slash - linked), linked, slash + 1);
    MUST(file_write_atomic(left, "x", 1, 0600, FILE_NO_SYNC, &err));
    MUST(file_write_atomic(kept, "x", 1, 0600, FILE_NO_SYNC, &err));
    MUST(store_open(folder, &options, &second, &err));
    MUST(store_set_keys(second, &o, &err));
    CHECK(access(left, F_OK) != 0 && access(kept, F_OK) == 0);
    MUST(file_write_atomic(left, "x", 1, 0600, FILE_NO_SYNC, &err));
    MUST(store_keys_rotate(store, &ids[0], &err));
    CHECK(access(left, F_OK) != 0);
    MUST(store_keys_rotate(second, &ids[1], &err));
    MUST(store_keys_rotate(store, &ids[2], &err));
    CHECK_EQ(lines_of_key_file(), 4);
    CHECK(lstat(key_file, &info) == 0 && S_ISLNK(info.st_mode));
    MUST(store_keys(second, &keys, &count, &err));
    CHECK_EQ(count, 3);
    MUST(store_keys_drop(second, keys[0].id, &err)); /* one that this one does not need */
    free(keys);
    CHECK_EQ(lines_of_key_file(), 3);
    CHECK_EQ(store_keys_drop(second, ids[1], NULL), ST_EXIST); /* it wraps with it */
    store_close(second);
    MUST(store_keys_rotate(store, &ids[0], &err)); /* has the one that went in memory */
    again();
    CHECK(holds("box", "b", big, BIG) && lines_of_key_file() == 5);
    remove_tree(folder);
    unlink(linked);
    unlink(kept);
    end();
}

/* What a row says goes with the extent. */
static void keys_go_with_their_extents(void)
{
    struct store_key *keys = NULL;
    size_t count = 0;
    start();
    CHECK_EQ(store_delete(store, "box", "s", NULL, NULL), ST_OK);
    CHECK_EQ(put("box", "b", big, 10), ST_OK);
    again();
    MUST(store_settle(store, &err));
    MUST(store_keys(store, &keys, &count, &err));
    CHECK(count == 1 && keys[0].extents == 1);
    free(keys);
    end();
}

/* Plain bytes in rows, which are gone: they would be in free pages. */
static void what_was_deleted_is_overwritten(void)
{
    start();
    CHECK_EQ(put("open", "p", big, SMALL), ST_OK);
    CHECK_EQ(store_delete(store, "open", "p", NULL, NULL), ST_OK);
    MUST(store_settle(store, &err));
    again(); /* the log is written back */
    CHECK(!is_in_the_clear());
    end();
}

static void a_store_of_format_3_is_taken_over(void)
{
    store_make(&no_sync);
    snprintf(key_file, sizeof key_file, "%s.key", scratch);
    MUST(store_bucket_create(store, "box", "", &err));
    CHECK_EQ(put("box", "b", big, BIG), ST_OK);
    CHECK_EQ(put("box", "s", big, SMALL), ST_OK);
    store_close(store);
    change_database("BEGIN; " FORMAT_4_AGAIN "DROP TRIGGER extent_seal; DROP TABLE seal;"
                    "ALTER TABLE extent DROP COLUMN tags; ALTER TABLE bucket DROP COLUMN encrypt;"
                    "ALTER TABLE upload DROP COLUMN encrypt; PRAGMA user_version = 3; COMMIT");
    MUST(store_open(scratch, &no_sync, &store, &err));
    CHECK_EQ(try_keys(), ST_OK);
    CHECK(holds("box", "b", big, BIG) && holds("box", "s", big, SMALL));
    MUST(store_bucket_set_encrypt(store, "box", true, &err));
    CHECK_EQ(put("box", "n", big, BIG), ST_OK);
    CHECK(is_encrypted("box", "n") && !is_encrypted("box", "b"));
    again();
    CHECK(holds("box", "n", big, BIG));
    check_sound();
    end();
}

enum { READERS = 3, WRITERS = 2, PUTS = 40 };
static _Atomic bool ended;
static _Atomic unsigned wrong;

static void *read_all_the_time(void *arg)
{
    struct store_object *o = arg;
    uint8_t *data = malloc(BIG);
    size_t off = 1, got = 0;
    while (!ended) { /* pieces of one object that all readers share */
        off = (off * 7919 + 13) % BIG;
        wrong += store_object_read(o, data, BIG, off, &got, NULL) != ST_OK || got != BIG - off ||
                 memcmp(data, big + off, got) != 0;
        wrong += !holds("box", "s", big, SMALL);
    }
    free(data);
    return NULL;
}

static void *put_some(void *arg)
{
    for (unsigned i = 0; i < PUTS; i++) {
        char key[24];
        snprintf(key, sizeof key, "%s%u", (const char *)arg, i);
        wrong += put("box", key, big, i % 2 == 0 ? SMALL : BIG) != ST_OK;
    }
    return NULL;
}

static void readers_writers_and_rotations_go_together(void)
{
    static char names[WRITERS][2] = {"x", "y"};
    pthread_t readers[READERS], writers[WRITERS];
    struct store_object *o = NULL;
    struct store_rewrap n;
    struct store_key *keys = NULL;
    size_t count = 0;
    uint64_t id = 0;
    start();
    MUST(store_object_open(store, "box", "b", &o, &err));
    for (size_t i = 0; i < READERS; i++) {
        CHECK_EQ(pthread_create(&readers[i], NULL, read_all_the_time, o), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        CHECK_EQ(pthread_create(&writers[i], NULL, put_some, names[i]), 0);
    }
    for (unsigned i = 0; i < 10; i++) {
        MUST(store_keys_rotate(store, &id, &err));
        MUST(store_keys_rewrap(store, NULL, NULL, &n, &err));
        MUST(store_keys(store, &keys, &count, &err));
        for (size_t k = 0; k < count; k++) {
            status_t st = store_keys_drop(store, keys[k].id, NULL);
            CHECK(st == ST_OK || st == ST_EXIST);
        }
        free(keys);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(writers[i], NULL);
    }
    ended = true;
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    CHECK_EQ(wrong, 0);
    store_object_close(o);
    check_sound();
    end();
}

enum { REPLACED = 300 };

/* Writes the source, the same bytes each time: arg is whether they are encrypted. */
static void *replace_source(void *arg)
{
    const bool *encrypts = arg;
    for (unsigned i = 0; i < REPLACED; i++) {
        struct store_put *p = NULL;
        status_t st = store_put_begin(store, "open", "o", NULL, &p, NULL);
        if (st == ST_OK && *encrypts) {
            st = store_put_encrypt(p, NULL);
        }
        if (st == ST_OK) {
            st = store_put_write(p, big, SMALL, NULL);
        }
        if (st == ST_OK) {
            st = store_put_commit(p, NULL, NULL, NULL);
        }
        wrong += st != ST_OK;
    }
    return NULL;
}

/* Into the bucket with the rule, or with a request: arg is the name. */
static void *copy_source(void *arg)
{
    const char *key = arg;
    const struct store_name from = {"open", "o"}, in = {"box", key}, asked = {"open", key};
    for (unsigned i = 0; i < REPLACED; i++) {
        struct store_info info = {0};
        status_t st = i % 2 == 0 ? store_copy(store, &from, &in, NULL, NULL, NULL, &info, NULL)
                                 : store_copy_encrypted(store, &from, STORE_VERSION_CURRENT, &asked,
                                                        NULL, NULL, NULL, &info, NULL);
        wrong += st != ST_AGAIN && (st != ST_OK || !info.encrypted);
    }
    return NULL;
}

static void copies_of_a_source_that_changes_are_encrypted(void)
{
    static bool kinds[2] = {true, false};
    static char names[2][3] = {"c1", "c2"};
    pthread_t writers[2], copiers[2];
    start();
    wrong = 0;
    CHECK_EQ(put("open", "o", big, SMALL), ST_OK);
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(pthread_create(&writers[i], NULL, replace_source, &kinds[i]), 0);
        CHECK_EQ(pthread_create(&copiers[i], NULL, copy_source, names[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(writers[i], NULL);
        pthread_join(copiers[i], NULL);
    }
    CHECK_EQ(wrong, 0);
    for (size_t i = 0; i < 2; i++) {
        CHECK(is_encrypted("box", names[i]) && holds("box", names[i], big, SMALL));
    }
    check_sound();
    end();
}

enum { ROUNDS = 25, STEPS_MAX = 60 };

/* Puts, rotations, and drops of what is not needed, each told when it is done. */
static void change_all_the_time(int told)
{
    struct store_options sync = {0};
    if (store_open(scratch, &sync, &store, NULL) != ST_OK || try_keys() != ST_OK) {
        _exit(1);
    }
    for (unsigned i = 0;; i++) {
        struct store_rewrap n;
        struct store_key *keys = NULL;
        size_t count = 0;
        uint64_t id = 0;
        char key[16];
        snprintf(key, sizeof key, "c%u", i % 20);
        status_t st = put("box", key, big, i % 2 == 0 ? SMALL : BIG);
        if (st == ST_OK && i % 3 == 0) {
            st = store_keys_rotate(store, &id, NULL);
        }
        if (st == ST_OK && i % 3 == 1) {
            st = store_keys_rewrap(store, NULL, NULL, &n, NULL);
        }
        if (st == ST_OK && i % 3 == 2) {
            st = store_keys(store, &keys, &count, NULL);
        }
        for (size_t k = 0; k < count && st == ST_OK; k++) {
            status_t dropped = store_keys_drop(store, keys[k].id, NULL);
            st = dropped == ST_OK || dropped == ST_EXIST ? ST_OK : dropped;
        }
        free(keys);
        if (st != ST_OK || write(told, "x", 1) != 1) {
            _exit(1);
        }
    }
}

static void a_kill_at_any_moment_loses_no_key(void)
{
    start();
    store_close(store);
    for (unsigned round = 0; round < ROUNDS && check_failures == 0; round++) {
        int ends[2];
        char byte;
        CHECK_EQ(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            change_all_the_time(ends[1]);
        }
        close(ends[1]);
        for (unsigned i = 0; i < 1 + round * 7 % STEPS_MAX; i++) {
            CHECK_EQ(read(ends[0], &byte, 1), 1);
        }
        kill(child, SIGKILL);
        CHECK_EQ(waitpid(child, NULL, 0), child);
        close(ends[0]);
        MUST(store_open(scratch, &no_sync, &store, &err));
        CHECK_EQ(try_keys(), ST_OK);
        CHECK(holds("box", "b", big, BIG) && holds("box", "s", big, SMALL));
        check_sound(); /* reads all that is there */
        store_close(store);
    }
    MUST(store_open(scratch, &no_sync, &store, &err));
    end();
}

int main(void)
{
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (uint8_t)marker[i % (sizeof marker - 1)];
    }
    RUN(nothing_is_in_the_clear);
    RUN(appends_keep_what_was_encrypted);
    RUN(copies_and_renames_are_as_the_rules_say);
    RUN(renames_between_buckets_with_versions_keep_them);
    RUN(rows_that_were_changed_are_refused);
    RUN(files_that_were_changed_are_refused);
    RUN(without_its_key_nothing_is_read_or_made);
    RUN(keys_change_and_objects_stay);
    RUN(a_rotation_keeps_what_only_the_file_has);
    RUN(stores_share_a_key_file);
    RUN(keys_go_with_their_extents);
    RUN(what_was_deleted_is_overwritten);
    RUN(a_store_of_format_3_is_taken_over);
    RUN(readers_writers_and_rotations_go_together);
    RUN(copies_of_a_source_that_changes_are_encrypted);
    RUN(a_kill_at_any_moment_loses_no_key);
    return CHECK_DONE();
}
