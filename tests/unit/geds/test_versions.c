/* Versions: random calls against a model, what each call answers, and stores of the format before there were any. */
#include "storetest.h"

#include <sqlite3.h>
#include <time.h>

#include "base/hash.h"
#include "base/parse.h"

enum { KEYS = 5, VERSIONS_MAX = 4000 };

static uint64_t random_state;
static uint64_t pick(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % below;
}

/* Of one key, oldest first. */
struct model_version {
    uint64_t version;
    uint64_t seed;
    size_t len;
    bool marker;
};
static struct model_version models[KEYS][VERSIONS_MAX];
static size_t counts[KEYS];
static enum store_versioning versioning;
static uint8_t data[100000];

static const char *key_of(size_t i)
{
    static const char *const names[KEYS] = {"a/one", "a/two", "a", "b/x/y", "c"};
    return names[i];
}

static void model_remove(size_t key, size_t at)
{
    memmove(&models[key][at], &models[key][at + 1], (counts[key] - at - 1) * sizeof models[key][0]);
    counts[key]--;
}

static void model_add(size_t key, struct model_version v)
{
    for (size_t i = 0; v.version == STORE_VERSION_NULL && i < counts[key]; i++) {
        if (models[key][i].version == STORE_VERSION_NULL) {
            model_remove(key, i);
            break;
        }
    }
    models[key][counts[key]++] = v;
}

static const struct model_version *model_current(size_t key)
{
    const struct model_version *v = counts[key] > 0 ? &models[key][counts[key] - 1] : NULL;
    return v && !v->marker ? v : NULL;
}

static void expect_number(uint64_t version)
{
    CHECK_EQ(version == STORE_VERSION_NULL, versioning != STORE_VERSIONING_ON);
}

static void do_put(size_t key)
{
    uint64_t seed = pick(UINT32_MAX);
    size_t len = (size_t)pick(pick(4) == 0 ? sizeof data : 2000);
    struct store_info info = {0};
    fill(data, len, seed);
    CHECK_EQ(put_if("box", key_of(key), data, len, NULL, &info), ST_OK);
    expect_number(info.version);
    CHECK_EQ(info.versioned, versioning != STORE_VERSIONING_OFF);
    model_add(key, (struct model_version){info.version, seed, len, false});
}

static void do_delete(size_t key)
{
    struct store_removal r = {.key = key_of(key), .version = STORE_VERSION_CURRENT};
    bool there = model_current(key) != NULL;
    MUST(store_delete_each(store, "box", &r, 1, &err));
    if (versioning == STORE_VERSIONING_OFF) {
        CHECK_EQ(r.status, there ? ST_OK : ST_NOTFOUND);
        CHECK(!r.marker && !r.versioned);
        counts[key] = 0;
        return;
    }
    CHECK_EQ(r.status, ST_OK);
    CHECK(r.marker && r.versioned);
    expect_number(r.removed);
    model_add(key, (struct model_version){.version = r.removed, .marker = true});
}

static void do_delete_version(size_t key)
{
    if (counts[key] == 0) {
        return;
    }
    size_t at = (size_t)pick(counts[key]);
    struct store_removal r = {.key = key_of(key), .version = models[key][at].version};
    MUST(store_delete_each(store, "box", &r, 1, &err));
    CHECK_EQ(r.status, ST_OK);
    CHECK_EQ(r.removed, models[key][at].version);
    CHECK_EQ(r.marker, models[key][at].marker);
    model_remove(key, at);
    MUST(store_delete_each(store, "box", &r, 1, &err));
    CHECK_EQ(r.status, ST_NOTFOUND);
}

static void do_copy_or_rename(size_t from, size_t to)
{
    struct store_name a = {"box", key_of(from)}, b = {"box", key_of(to)};
    const struct model_version *v = model_current(from);
    struct store_info info = {0};
    bool copies = pick(2) == 0;
    status_t want = v ? ST_OK : ST_NOTFOUND;
    if (copies) {
        CHECK_EQ(store_copy(store, &a, &b, NULL, NULL, NULL, &info, NULL), want);
    } else {
        CHECK_EQ(store_rename(store, &a, &b, NULL, NULL), want);
    }
    if (!v || (!copies && from == to)) {
        return;
    }
    struct model_version moved = *v;
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", key_of(to), &o, &err));
    moved.version = store_object_info(o)->version;
    store_object_close(o);
    if (!copies && versioning == STORE_VERSIONING_OFF) {
        counts[from] = 0;
    } else if (!copies) {
        MUST(store_version_open(store, "box", key_of(from), STORE_VERSION_NEWEST, &o, &err));
        CHECK(store_object_info(o)->marker);
        model_add(from,
                  (struct model_version){.version = store_object_info(o)->version, .marker = true});
        store_object_close(o);
    } else {
        CHECK_EQ(info.version, moved.version);
    }
    model_add(to, moved);
}

static void do_append(size_t key)
{
    struct store_info info = {0};
    const struct model_version *v = model_current(key);
    if (v) {
        return; /* its bytes would be no longer those of a seed */
    }
    uint64_t seed = pick(UINT32_MAX);
    size_t len = (size_t)pick(1000);
    fill(data, len, seed);
    MUST(store_append(store, "box", key_of(key), data, len, NULL, &info, &err));
    model_add(key, (struct model_version){info.version, seed, len, false});
}

static void do_attributes(size_t key)
{
    const struct store_attribute pairs[] = {{"a", "1"}, {"none", NULL}};
    if (counts[key] == 0) {
        return;
    }
    const struct model_version *v = &models[key][pick(counts[key])];
    CHECK_EQ(
        store_change_attributes(store, "box", key_of(key), v->version, pairs, 2, NULL, NULL, NULL),
        v->marker ? ST_NOTFOUND : ST_OK);
}

static void check_version(size_t key, const struct model_version *v)
{
    struct store_object *o = NULL;
    size_t got = 0;
    static uint8_t bytes[sizeof data + 1];
    MUST(store_version_open(store, "box", key_of(key), v->version, &o, &err));
    CHECK_EQ(store_object_info(o)->marker, v->marker);
    CHECK_EQ(store_object_info(o)->size, v->len);
    MUST(store_object_read(o, bytes, sizeof bytes, 0, &got, &err));
    fill(data, v->len, v->seed);
    CHECK(got == v->len && memcmp(bytes, data, got) == 0);
    store_object_close(o);
}

/* The whole list in pages of one size, then what each version is. */
static void check_all(void)
{
    static const size_t order[KEYS] = {2, 0, 1, 3, 4}; /* of names */
    struct store_version_query q = {.max = 1 + (size_t)pick(7)};
    char marker[STORE_KEY_MAX + 1] = "";
    struct store_versions *page = NULL;
    size_t at = 0, total = 0, objects = 0;
    MUST(store_version_list(store, "box", &q, &page, &err));
    for (size_t k = 0; k < KEYS; k++) {
        size_t key = order[k];
        for (size_t i = counts[key]; i-- > 0;) {
            const struct model_version *v = &models[key][i];
            if (at == page->count) {
                CHECK(page->more);
                snprintf(marker, sizeof marker, "%s", page->entries[at - 1].key);
                q.order_marker = page->entries[at - 1].order;
                q.key_marker = marker;
                store_versions_free(page);
                MUST(store_version_list(store, "box", &q, &page, &err));
                at = 0;
                CHECK(page->count > 0);
            }
            const struct store_version_entry *e = &page->entries[at++];
            CHECK_STR(e->key, key_of(key));
            CHECK_EQ(e->info.version, v->version);
            CHECK_EQ(e->info.marker, v->marker);
            CHECK_EQ(e->latest, i == counts[key] - 1);
            check_version(key, v);
            total++;
        }
        objects += model_current(key) != NULL;
    }
    CHECK_EQ(at, page->count);
    CHECK(!page->more);
    store_versions_free(page);
    struct store_bucket b;
    MUST(store_bucket_stat(store, "box", &b, NULL, &err));
    CHECK_EQ(b.objects, objects);
    CHECK_EQ(b.objects + b.versions, total);
    check_sound();
}

static uint64_t steps = 1500;
static void random_calls_do_what_the_model_does(void)
{
    const struct store_options options = {.sync = STORE_SYNC_OFF};
    store_make(&options);
    MUST(store_bucket_create(store, "box", "", &err));
    for (uint64_t i = 0; i < steps && check_failures == 0; i++) {
        size_t key = (size_t)pick(KEYS);
        if (i == steps / 10 || (i > steps / 10 && pick(50) == 0)) {
            versioning = i == steps / 10 || pick(2) == 0 ? STORE_VERSIONING_ON
                                                         : STORE_VERSIONING_SUSPENDED;
            MUST(store_bucket_set_versioning(store, "box", versioning, &err));
        }
        switch (pick(9)) {
        case 0:
        case 1:
            do_delete(key);
            break;
        case 2:
        case 3:
            do_delete_version(key);
            break;
        case 4:
            do_copy_or_rename(key, (size_t)pick(KEYS));
            break;
        case 5:
            do_append(key);
            break;
        case 6:
            do_attributes(key);
            break;
        default:
            do_put(key);
        }
        if (i % 40 == 39) {
            check_all();
        }
        if (pick(200) == 0) {
            store_again(&options);
        }
    }
    CHECK_EQ(store_bucket_delete(store, "box", NULL), ST_EXIST);
    for (size_t key = 0; key < KEYS; key++) {
        while (counts[key] > 0) {
            do_delete_version(key);
        }
    }
    check_all();
    store_again(&options);
    CHECK_EQ(files_in("data"), 0);
    MUST(store_bucket_delete(store, "box", &err));
    store_remove();
}

static void a_delimiter_makes_one_entry_of_many_versions(void)
{
    struct store_versions *page = NULL;
    struct store_version_query q = {.delimiter = "/", .max = 1};
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(put("box", "d/1", "x", 1), ST_OK);
        CHECK_EQ(put("box", "d/2", "x", 1), ST_OK);
        CHECK_EQ(put("box", "e", "x", 1), ST_OK);
    }
    MUST(store_version_list(store, "box", &q, &page, &err));
    CHECK(page->count == 1 && page->entries[0].is_prefix && page->more);
    CHECK_STR(page->entries[0].key, "d/");
    store_versions_free(page);
    q = (struct store_version_query){.delimiter = "/", .key_marker = "d/", .max = 10};
    MUST(store_version_list(store, "box", &q, &page, &err));
    CHECK_EQ(page->count, 3);
    CHECK(page->entries[0].latest && !page->entries[1].latest);
    store_versions_free(page);
    CHECK_EQ(store_version_list(store, "none", &q, &page, NULL), ST_NOTFOUND);
    store_remove();
}

struct asked {
    bool answer;
    int count;
    bool newest; /* what it was told last */
};
static bool may(void *arg, const struct store_info *info, const struct store_attributes *a,
                bool newest)
{
    struct asked *asked = arg;
    asked->count++;
    asked->newest = newest;
    CHECK(info->size == 1 && a->count <= 1);
    return asked->answer;
}

static void a_bucket_is_made_with_versions(void)
{
    struct store_bucket b;
    char *config = NULL;
    store_make(NULL);
    MUST(store_bucket_create_as(store, "box", "text", STORE_VERSIONING_ON, &err));
    CHECK_EQ(store_bucket_create_as(store, "box", "", STORE_VERSIONING_OFF, NULL), ST_EXIST);
    MUST(store_bucket_stat(store, "box", &b, &config, &err));
    CHECK_EQ(b.versioning, STORE_VERSIONING_ON);
    CHECK_STR(config, "text");
    free(config);
    check_sound();
    store_remove();
}

static void who_is_asked_decides(void)
{
    struct asked asked = {.answer = false};
    const struct store_condition condition = {.may = may, .arg = &asked};
    const struct store_attribute pair = {"a", "1"};
    struct store_info info = {0};
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    CHECK_EQ(put_if("box", "k", "x", 1, &condition, NULL), ST_OK);
    CHECK_EQ(asked.count, 0);
    CHECK_EQ(put_if("box", "k", "y", 1, &condition, NULL), ST_CHANGED);
    CHECK_EQ(store_delete(store, "box", "k", &condition, NULL), ST_CHANGED);
    CHECK_EQ(store_change_attributes(store, "box", "k", STORE_VERSION_CURRENT, &pair, 1, &condition,
                                     &info, NULL),
             ST_CHANGED);
    CHECK(asked.newest);
    MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
    CHECK_EQ(put("box", "k", "z", 1), ST_OK);
    struct store_removal items[] = {{.key = "k", .condition = &condition},
                                    {.key = "k", .version = STORE_VERSION_CURRENT},
                                    {.key = ""}};
    MUST(store_delete_each(store, "box", items, 3, &err));
    CHECK_EQ(items[0].status, ST_CHANGED);
    CHECK_EQ(items[1].status, ST_OK);
    CHECK_EQ(items[2].status, ST_INVAL);
    asked.answer = true;
    MUST(store_change_attributes(store, "box", "k", STORE_VERSION_NULL, &pair, 1, &condition, &info,
                                 &err));
    CHECK(!asked.newest); /* behind the marker */
    asked.newest = true;
    MUST(store_delete_each(store, "box", items, 1, &err));
    CHECK_EQ(items[0].status, ST_OK);
    CHECK(!asked.newest);
    CHECK_EQ(store_bucket_set_versioning(store, "box", STORE_VERSIONING_OFF, NULL), ST_INVAL);
    CHECK_EQ(store_rename_prefix(store, "box", "k", "l", &(uint64_t){0}, NULL), ST_INVAL);
    check_sound();
    store_remove();
}

static void damage(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void wrong_versions_are_found(void)
{
    static const struct {
        const char *sql;
        uint64_t findings, left;
    } cases[] = {{"UPDATE bucket SET versions = 7", 1, 0},
                 {"UPDATE bucket SET version_bytes = 7", 1, 0},
                 {"UPDATE object SET seq = 1", 2, 2},
                 {"DELETE FROM object; UPDATE bucket SET objects = 0, bytes = 0", 2, 1},
                 {"UPDATE version SET layout = x'00'", 3, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_fsck totals;
        store_make(NULL);
        MUST(store_bucket_create(store, "box", "", &err));
        MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
        for (int k = 0; k < 3; k++) {
            CHECK_EQ(put("box", "k", "x", 1), ST_OK);
        }
        check_sound();
        store_close(store);
        damage(cases[i].sql);
        MUST(store_open(scratch, NULL, &store, &err));
        MUST(store_fsck(store, true, NULL, NULL, NULL, &totals, &err));
        CHECK_EQ(totals.findings >= cases[i].findings, true);
        MUST(store_fsck(store, false, NULL, NULL, NULL, &totals, &err));
        CHECK_EQ(totals.findings > 0, cases[i].left > 0);
        store_remove();
    }
}

static const char format_1[] =
    "PRAGMA journal_mode = WAL; BEGIN;"
    "CREATE TABLE bucket(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " created_ns INTEGER NOT NULL, config TEXT NOT NULL, objects INTEGER NOT NULL DEFAULT 0,"
    " bytes INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE object(bucket INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,"
    " modified_ns INTEGER NOT NULL, etag TEXT NOT NULL, attributes BLOB NOT NULL,"
    " layout BLOB NOT NULL, PRIMARY KEY (bucket, key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE extent(id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, uses INTEGER NOT NULL,"
    " sums BLOB NOT NULL, data BLOB) STRICT;"
    "CREATE INDEX extent_unused ON extent(id) WHERE uses = 0;"
    "CREATE TABLE upload(id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL,"
    " created_ns INTEGER NOT NULL, attributes BLOB NOT NULL) STRICT;"
    "CREATE INDEX upload_key ON upload(bucket, key, id);"
    "CREATE TABLE part(upload INTEGER NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL,"
    " modified_ns INTEGER NOT NULL, md5 BLOB NOT NULL, layout BLOB NOT NULL,"
    " PRIMARY KEY (upload, number)) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 1195721811; PRAGMA user_version = 1;"
    "INSERT INTO bucket VALUES (1, 'box', 5, 'conf', 1, 1);"
    "INSERT INTO object VALUES (1, CAST('k' AS BLOB), 1, 7, '9dd4e461268c8034f5c8564e155c67a6', "
    "x'ffff', x'01000000000000000100000000000000');"
    "INSERT INTO extent VALUES (1, 1, 1, x'%02x%02x%02x%02x', CAST('x' AS BLOB));"
    "INSERT INTO upload VALUES (9, 1, CAST('u' AS BLOB), 8, x'ffff');"
    "COMMIT;";

static void a_store_of_format_1_is_taken_over(void)
{
    char sql[sizeof format_1];
    struct store_bucket b;
    char *config = NULL;
    uint32_t crc = hash_crc32c(0, "x", 1);
    store_make(NULL);
    store_close(store);
    char path[128];
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(remove(path), 0);
    snprintf(sql, sizeof sql, format_1, crc & 255, crc >> 8 & 255, crc >> 16 & 255, crc >> 24);
    damage(sql);
    for (int i = 0; i < 2; i++) {
        MUST(store_open(scratch, NULL, &store, &err));
        CHECK(holds("box", "k", "x", 1));
        MUST(store_bucket_stat(store, "box", &b, &config, &err));
        CHECK_STR(config, "conf");
        free(config);
        CHECK_EQ(b.versioning, STORE_VERSIONING_OFF);
        check_sound();
        store_close(store);
    }
    MUST(store_open(scratch, NULL, &store, &err));
    MUST(store_bucket_set_versioning(store, "box", STORE_VERSIONING_ON, &err));
    CHECK_EQ(put("box", "k", "yy", 2), ST_OK);
    struct store_object *o = NULL;
    MUST(store_version_open(store, "box", "k", STORE_VERSION_NULL, &o, &err));
    CHECK_EQ(store_object_info(o)->modified_ns, 7);
    store_object_close(o);
    MUST(store_upload_abort(store, "box", "u", 9, &err));
    check_sound();
    store_close(store);
    store = NULL;
    damage("PRAGMA user_version = 7");
    CHECK_EQ(store_open(scratch, NULL, &store, NULL), ST_UNSUPPORTED);
    remove_tree(scratch);
}

int main(int argc, char **argv)
{
    random_state = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    if ((argc > 1 && parse_u64(argv[1], UINT64_MAX, &random_state) != ST_OK) ||
        (argc > 2 && parse_u64(argv[2], UINT64_MAX, &steps) != ST_OK)) {
        fprintf(stderr, "usage: %s [SEED [STEPS]]\n", argv[0]);
        return 64;
    }
    printf("seed %llu\n", (unsigned long long)random_state);
    random_state |= 1;
    RUN(random_calls_do_what_the_model_does);
    RUN(a_delimiter_makes_one_entry_of_many_versions);
    RUN(a_bucket_is_made_with_versions);
    RUN(who_is_asked_decides);
    RUN(wrong_versions_are_found);
    RUN(a_store_of_format_1_is_taken_over);
    return CHECK_DONE();
}
