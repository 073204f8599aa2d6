/* Where the bytes of extents are: a tier that is a list in memory. */
#include "storetest.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "geds/tiers.h"

enum { COPIES_MAX = 64, BIG = 3 * 1024 * 1024 + 12345 };

struct copy {
    uint64_t id, nonce;
    uint8_t *data;
    size_t len;
};
static struct copy copies[COPIES_MAX];
static size_t copy_count;
static _Atomic bool is_down, lies;
static _Atomic unsigned reads, damaged_count;
static _Atomic uint64_t damaged_id;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static uint8_t source[2 * BIG];

static status_t read_copy(void *arg, const struct store_extent *x, uint64_t off, void *data,
                          size_t len, struct error *err)
{
    (void)arg;
    atomic_fetch_add(&reads, 1);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    if (atomic_load(&is_down)) {
        return error_set(err, ST_AGAIN, ERROR_NO_OFFSET, "the tier is away");
    }
    for (size_t i = 0; i < copy_count; i++) {
        if (copies[i].id == x->id && copies[i].nonce == x->nonce && off + len <= copies[i].len) {
            memcpy(data, copies[i].data + off, len);
            if (atomic_load(&lies)) {
                ((uint8_t *)data)[len / 2] ^= 1;
            }
            return ST_OK;
        }
    }
    return error_set(err, ST_NOTFOUND, ERROR_NO_OFFSET, "no copy");
}

static void (*when_damaged)(void); /* called once */

static void note_damaged(void *arg, uint64_t id)
{
    void (*call)(void) = when_damaged;
    (void)arg;
    when_damaged = NULL;
    if (call != NULL) {
        call();
    }
    atomic_fetch_add(&damaged_count, 1);
    atomic_store(&damaged_id, id);
}

static const struct store_tier tier = {
    .read = read_copy, .damaged = note_damaged, .cache_bytes = STORE_CACHE_MIN};

static void tier_store(void)
{
    copy_count = 0;
    atomic_store(&is_down, false);
    atomic_store(&lies, false);
    atomic_store(&reads, 0);
    atomic_store(&damaged_count, 0);
    store_make(NULL);
    MUST(store_set_tier(store, &tier, &err));
    MUST(store_bucket_create(store, "box", "", &err));
}

static void tier_again(void)
{
    store_again(NULL);
    MUST(store_set_tier(store, &tier, &err));
}

static void tier_remove(void)
{
    check_sound();
    store_remove();
    for (size_t i = 0; i < copy_count; i++) {
        free(copies[i].data);
    }
    copy_count = 0;
}

static uint64_t extent_of(const char *key)
{
    uint64_t *ids = NULL, id = 0;
    size_t count = 0;
    MUST(store_object_extents(store, "box", key, &ids, &count, &err));
    CHECK(count >= 1);
    id = count > 0 ? ids[0] : 0;
    free(ids);
    return id;
}

/* What an engine does: the file goes to the tier, and the row says so. */
static void send(uint64_t id)
{
    struct store_extent x = {0};
    int fd = -1;
    MUST(store_extent_hold(store, id, &x, &fd, &err));
    CHECK(x.nonce != 0);
    struct copy *c = &copies[copy_count++];
    *c = (struct copy){.id = id, .nonce = x.nonce, .data = malloc(x.bytes), .len = x.bytes};
    CHECK_EQ(pread(fd, c->data, c->len, 0), (ssize_t)c->len);
    close(fd);
    MUST(store_extent_compare(&x, 0, c->data, c->len, &err));
    MUST(store_extent_sent(store, &x, &err));
    buf_done(&x.sums);
    store_extent_release(store, id);
}

static size_t drop(uint64_t id)
{
    size_t dropped = 0;
    MUST(store_extents_drop(store, &id, 1, false, &dropped, &err));
    return dropped;
}

static unsigned place_of(uint64_t id)
{
    struct store_extent x = {0};
    unsigned place = store_extent_get(store, id, &x, NULL) == ST_OK ? x.place : 99;
    buf_done(&x.sums);
    return place;
}

static void what_was_dropped_is_read_through(void)
{
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    uint64_t id = extent_of("k");
    CHECK_EQ(drop(id), 0); /* without a copy */
    send(id);
    CHECK_EQ(place_of(id), STORE_PLACE_REMOTE);
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    CHECK_EQ(drop(id), 0); /* it is open */
    store_object_close(o);
    CHECK_EQ(drop(id), 1);
    CHECK(place_of(id) & STORE_PLACE_AWAY);
    CHECK_EQ(files_in("data"), 0);
    CHECK(holds("box", "k", source, BIG));
    unsigned fetched = atomic_load(&reads);
    CHECK_EQ(fetched, 4);
    CHECK(holds("box", "k", source, BIG)); /* from the cache */
    CHECK_EQ(atomic_load(&reads), fetched);
    struct store_places p;
    MUST(store_places(store, &p, &err));
    CHECK_EQ(p.away_bytes, BIG);
    CHECK_EQ(p.local_count, 0);
    CHECK_EQ(p.cache_bytes, BIG);
    CHECK(p.cache_hits >= 4);
    tier_again();
    CHECK_EQ(files_in("data"), 0);
    CHECK_EQ(place_of(id), STORE_PLACE_AWAY | STORE_PLACE_REMOTE);
    CHECK(holds("box", "k", source, BIG));
    /* what is appended is local, and joins nothing that is away */
    MUST(store_append(store, "box", "k", source + BIG, 300000, NULL, NULL, &err));
    CHECK(holds("box", "k", source, BIG + 300000));
    /* a copy and a rename move nothing */
    struct store_name k = {"box", "k"}, c = {"box", "c"}, r = {"box", "r"};
    fetched = atomic_load(&reads);
    MUST(store_copy(store, &k, &c, NULL, NULL, NULL, NULL, &err));
    MUST(store_rename(store, &k, &r, NULL, &err));
    CHECK_EQ(atomic_load(&reads), fetched);
    CHECK(holds("box", "c", source, BIG + 300000));
    CHECK(holds("box", "r", source, BIG + 300000));
    tier_remove();
}

static void a_tier_that_is_away_or_lies_gives_no_bytes(void)
{
    uint8_t byte;
    size_t len = 0;
    struct error why = {0};
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    uint64_t id = extent_of("k");
    send(id);
    CHECK_EQ(drop(id), 1);
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    CHECK(store_object_is_away(o));
    atomic_store(&is_down, true);
    CHECK_EQ(store_object_read(o, &byte, 1, 7, &len, &why), ST_AGAIN);
    CHECK_EQ(store_extent_recall(store, id, NULL), ST_AGAIN);
    atomic_store(&is_down, false);
    atomic_store(&lies, true);
    CHECK_EQ(store_object_read(o, &byte, 1, 7, &len, &why), ST_CORRUPT);
    CHECK(strstr(why.text, "in the tier") != NULL);
    CHECK_EQ(store_extent_recall(store, id, NULL), ST_CORRUPT);
    CHECK_EQ(files_in("new"), 0);
    atomic_store(&lies, false);
    copies[0].len = 100000; /* cut short */
    CHECK_EQ(store_object_read(o, &byte, 1, 7, &len, &why), ST_CORRUPT);
    copies[0].len = BIG;
    CHECK_EQ(store_object_read(o, &byte, 1, 7, &len, NULL), ST_OK);
    CHECK_EQ(byte, source[7]);
    store_object_close(o);
    store_again(NULL); /* without the tier */
    uint8_t *all = NULL;
    CHECK_EQ(get("box", "k", &all, &len, &why), ST_AGAIN);
    CHECK(strstr(why.text, "without it") != NULL);
    MUST(store_set_tier(store, &tier, &err));
    CHECK(holds("box", "k", source, BIG));
    tier_remove();
}

static void a_recall_brings_the_file_back(void)
{
    int fd = -1;
    uint64_t bytes = 0;
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source + 1, BIG), ST_OK);
    uint64_t k = extent_of("k"), l = extent_of("l");
    for (int i = 0; i < 3; i++) {
        if (i == 0) {
            send(k);
            send(l);
        }
        CHECK_EQ(drop(k), 1);
        MUST(store_extent_recall(store, k, &err));
        CHECK_EQ(place_of(k), STORE_PLACE_REMOTE);
        CHECK_EQ(files_in("new"), 0);
    }
    CHECK_EQ(drop(l), 1);
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "l", &o, &err));
    MUST(store_object_piece(o, 0, &fd, &bytes, &err)); /* recalls */
    CHECK_EQ(bytes, BIG);
    uint8_t head[100];
    CHECK_EQ(pread(fd, head, sizeof head, 5), sizeof head);
    CHECK(memcmp(head, source + 6, sizeof head) == 0);
    close(fd);
    store_object_close(o);
    CHECK_EQ(files_in("data"), 2);
    tier_again();
    CHECK_EQ(place_of(l), STORE_PLACE_REMOTE);
    CHECK(holds("box", "k", source, BIG));
    CHECK(holds("box", "l", source + 1, BIG));
    struct store_places p;
    MUST(store_places(store, &p, &err));
    CHECK_EQ(p.sent_count, 2);
    /* a drop that a crash left half done, and a recall */
    CHECK_EQ(drop(l), 1);
    store_close(store);
    char path[128], name[64];
    snprintf(path, sizeof path, "%s/new/r%016llx", scratch, (unsigned long long)l);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(name, sizeof name, "UPDATE extent SET place = 7 WHERE id = %llu",
             (unsigned long long)l);
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, name, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    MUST(store_open(scratch, NULL, &store, &err));
    MUST(store_set_tier(store, &tier, &err));
    CHECK_EQ(files_in("new"), 0);
    CHECK_EQ(place_of(l), STORE_PLACE_AWAY | STORE_PLACE_REMOTE);
    CHECK(holds("box", "l", source + 1, BIG));
    tier_remove();
}

static void what_is_deleted_keeps_a_row_for_its_copy(void)
{
    struct store_extent gone[4];
    size_t count = 0;
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    uint64_t k = extent_of("k"), l = extent_of("l");
    send(k);
    send(l);
    CHECK_EQ(drop(k), 1);
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    MUST(store_delete(store, "box", "k", NULL, &err));
    MUST(store_delete(store, "box", "l", NULL, &err));
    CHECK_EQ(put("box", "m", source, BIG), ST_OK); /* so that rows are set right */
    MUST(store_extents_gone(store, NULL, 4, gone, &count, &err));
    CHECK_EQ(count, 1); /* k is being read */
    CHECK_EQ(gone[0].id, l);
    uint8_t byte = 0;
    size_t len = 0;
    MUST(store_object_read(o, &byte, 1, 5, &len, &err));
    CHECK_EQ(byte, source[5]);
    store_object_close(o);
    tier_again();
    MUST(store_extents_gone(store, NULL, 4, gone, &count, &err));
    CHECK_EQ(count, 2);
    struct store_extent first = gone[0];
    uint64_t last = gone[1].id;
    MUST(store_extents_gone(store, &first, 4, gone, &count, &err));
    CHECK(count == 1 && gone[0].id == last);
    first = gone[0];
    MUST(store_extents_gone(store, &first, 4, gone, &count, &err));
    CHECK_EQ(count, 0);
    CHECK_EQ(files_in("data"), 1);
    check_sound();
    uint64_t ids[] = {k, l};
    MUST(store_extents_deleted(store, ids, 2, &err));
    MUST(store_extents_gone(store, NULL, 4, gone, &count, &err));
    CHECK_EQ(count, 0);
    CHECK_EQ(place_of(k), 99);
    tier_remove();
}

/* Bytes of a local file change; the copy has them. */
static void a_bad_block_is_read_from_the_copy(void)
{
    char path[128];
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    uint64_t id = extent_of("k");
    send(id);
    snprintf(path, sizeof path, "%s/data/%02x/%016llx", scratch, (unsigned)(id & 255),
             (unsigned long long)id);
    int fd = open(path, O_WRONLY);
    CHECK_EQ(pwrite(fd, "damage", 6, 100000), 6);
    close(fd);
    CHECK(holds("box", "k", source, BIG));
    CHECK(atomic_load(&damaged_count) > 0);
    CHECK_EQ(atomic_load(&damaged_id), id);
    CHECK_EQ(remove(path), 0);
    CHECK(holds("box", "k", source, BIG));
    size_t dropped = 0;
    MUST(store_extents_drop(store, &id, 1, true, &dropped, &err));
    CHECK_EQ(dropped, 1);
    MUST(store_extent_recall(store, id, &err));
    atomic_store(&is_down, true);
    CHECK(holds("box", "k", source, BIG));
    tier_remove();
}

static void damage(uint64_t id)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data/%02x/%016llx", scratch, (unsigned)(id & 255),
             (unsigned long long)id);
    int fd = open(path, O_WRONLY);
    CHECK_EQ(pwrite(fd, "damage", 6, 100), 6);
    close(fd);
}

static void rename_over(void)
{
    struct store_name from = {"box", "other"}, to = {"box", "k"};
    MUST(store_rename(store, &from, &to, NULL, &err));
}

/* Two objects of the same etag, of one piece and of two: what was read of the one is not cut off the other. */
static void an_append_notices_other_pieces(void)
{
    enum { A = 120000, B = 60000 };
    tier_store();
    CHECK_EQ(put("box", "other", source, A), ST_OK);
    uint64_t other = extent_of("other");
    send(other);
    CHECK_EQ(drop(other), 1);
    MUST(store_append(store, "box", "other", source + A, B, NULL, NULL, &err));
    CHECK_EQ(put("box", "k", source, A), ST_OK);
    MUST(store_append(store, "box", "k", source + A, B, NULL, NULL, &err));
    struct store_info one, two;
    MUST(store_stat(store, "box", "k", &one, &err));
    MUST(store_stat(store, "box", "other", &two, &err));
    CHECK_STR(one.etag, two.etag);
    send(extent_of("k"));
    damage(extent_of("k")); /* so that the append tells when it reads it */
    when_damaged = rename_over;
    MUST(store_append(store, "box", "k", source + A + B, 10, NULL, NULL, &err));
    CHECK(when_damaged == NULL);
    CHECK(holds("box", "k", source, A + B + 10));
    tier_remove();
}

static void *read_one(void *arg)
{
    struct store_object *o = arg;
    uint8_t byte = 0;
    size_t len = 0;
    status_t st = store_object_read(o, &byte, 1, 2 * STORE_PIECE_BYTES + 9, &len, NULL);
    return st == ST_OK && byte == source[2 * STORE_PIECE_BYTES + 9] ? arg : NULL;
}

static void many_readers_fetch_once(void)
{
    pthread_t threads[8];
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    uint64_t id = extent_of("k");
    send(id);
    CHECK_EQ(drop(id), 1);
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    pthread_mutex_lock(&gate);
    for (size_t i = 0; i < 8; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, read_one, o), 0);
    }
    while (atomic_load(&reads) == 0) {
    }
    pthread_mutex_unlock(&gate);
    for (size_t i = 0; i < 8; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        CHECK(result == o);
    }
    CHECK_EQ(atomic_load(&reads), 1);
    store_object_close(o);
    tier_remove();
}

/* More than the cache has room for. */
static void the_cache_is_bounded(void)
{
    tier_store();
    char key[2] = "a";
    for (int i = 0; i < 8; i++, key[0]++) {
        CHECK_EQ(put("box", key, source + i, BIG), ST_OK);
        send(extent_of(key));
        CHECK_EQ(drop(extent_of(key)), 1);
    }
    for (int round = 0; round < 2; round++) {
        key[0] = 'a';
        for (int i = 0; i < 8; i++, key[0]++) {
            CHECK(holds("box", key, source + i, BIG));
        }
    }
    struct store_places p;
    MUST(store_places(store, &p, &err));
    CHECK(p.cache_bytes <= STORE_CACHE_MIN);
    CHECK(p.cache_bytes > STORE_CACHE_MIN - 2 * STORE_PIECE_BYTES);
    tier_remove();
}

static void what_is_kept_stays(void)
{
    enum store_keep keep;
    struct store_candidate list[8];
    size_t count = 0, dropped = 0;
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    CHECK_EQ(put("box", "s", source, 100), ST_OK);
    uint64_t k = extent_of("k"), l = extent_of("l");
    send(k);
    MUST(store_object_keep(store, "box", "k", STORE_KEEP_HERE, &err));
    MUST(store_object_keep(store, "box", "s", STORE_KEEP_HERE, &err));
    CHECK_EQ(store_object_keep(store, "box", "none", STORE_KEEP_HERE, NULL), ST_NOTFOUND);
    CHECK_EQ(drop(k), 0);
    MUST(store_candidates(store, 0, STORE_KEEP_UNTIL_FULL, 0, 8, list, &count, &err));
    CHECK_EQ(count, 1);
    CHECK_EQ(list[0].id, l);
    MUST(store_candidates(store, STORE_PLACE_REMOTE, STORE_KEEP_HERE, 0, 8, list, &count, &err));
    CHECK_EQ(count, 1);
    CHECK(list[0].last_use > 0);
    MUST(store_extents_drop(store, &k, 1, true, &dropped, &err));
    CHECK_EQ(dropped, 1);
    MUST(store_bucket_set_keep(store, "box", STORE_KEEP_BOTH, &err));
    MUST(store_bucket_keep(store, "box", &keep, &err));
    CHECK_EQ(keep, STORE_KEEP_BOTH);
    CHECK_EQ(put("box", "m", source, BIG), ST_OK);
    MUST(store_candidates(store, 0, STORE_KEEP_BOTH, 0, 8, list, &count, &err));
    CHECK_EQ(count, 1);
    char id[STORE_ID_BYTES], again[STORE_ID_BYTES];
    MUST(store_id(store, id, &err));
    CHECK_EQ(strlen(id), STORE_ID_BYTES - 1);
    char upload[STORE_UPLOAD_TEXT_MAX + 1];
    MUST(store_extent_set_upload(store, l, "an upload", &err));
    tier_again();
    MUST(store_id(store, again, &err));
    CHECK_STR(id, again);
    MUST(store_extent_upload(store, l, upload, &err));
    CHECK_STR(upload, "an upload");
    MUST(store_extent_set_upload(store, l, "", &err));
    MUST(store_extent_upload(store, l, upload, &err));
    CHECK_STR(upload, "");
    tier_remove();
}

static void change_bytes(const char *change)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(db, change, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void damaged_rows_are_counted(void)
{
    struct store_places p;
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    store_close(store);
    change_bytes("UPDATE extent SET bytes = bytes + 9223372030000000000");
    MUST(store_open(scratch, NULL, &store, &err));
    MUST(store_set_tier(store, &tier, &err));
    MUST(store_places(store, &p, &err));
    CHECK_EQ(p.local_count, 2);
    CHECK_EQ(p.local_bytes, 2ULL << 30);
    store_close(store);
    change_bytes("UPDATE extent SET bytes = bytes - 9223372030000000000");
    MUST(store_open(scratch, NULL, &store, &err));
    MUST(store_set_tier(store, &tier, &err));
    tier_remove();
}

/* Bytes that are in the cache, or local, are read by who must not wait. */
static void who_must_not_wait_is_told(void)
{
    static uint8_t got[BIG];
    bool waits = false;
    size_t len = 0;
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    uint64_t id = extent_of("k");
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    MUST(store_object_read_now(o, got, BIG, 0, &len, &waits, &err));
    CHECK(!waits && len == BIG && memcmp(got, source, BIG) == 0);
    store_object_close(o);
    send(id);
    CHECK_EQ(drop(id), 1);
    MUST(store_object_open(store, "box", "k", &o, &err));
    CHECK_EQ(store_object_read_now(o, got, 10, 5, &len, &waits, NULL), ST_AGAIN);
    CHECK(waits);
    CHECK_EQ(atomic_load(&reads), 0);
    MUST(store_object_read(o, got, 10, 5, &len, &err));
    MUST(store_object_read_now(o, got, 100, 50, &len, &waits, &err));
    CHECK(!waits && len == 100 && memcmp(got, source + 50, 100) == 0);
    CHECK_EQ(store_object_read_now(o, got, BIG, 0, &len, &waits, NULL), ST_AGAIN);
    CHECK(waits);
    CHECK_EQ(atomic_load(&reads), 1);
    store_object_close(o);
    CHECK_EQ(put("box", "l", source, BIG), ST_OK);
    uint64_t l = extent_of("l");
    send(l);
    damage(l);
    MUST(store_object_open(store, "box", "l", &o, &err));
    CHECK_EQ(store_object_read_now(o, got, BIG, 0, &len, &waits, NULL), ST_AGAIN);
    CHECK(waits);
    MUST(store_object_read(o, got, BIG, 0, &len, &err));
    CHECK(memcmp(got, source, BIG) == 0);
    store_object_close(o);
    CHECK_EQ(atomic_load(&reads), 2);
    CHECK(damaged_count > 0);
    size_t dropped = 0;
    MUST(store_extents_drop(store, &l, 1, true, &dropped, &err));
    for (int i = 0; i < STORE_WAITERS_MAX; i++) {
        MUST(store_wait_begin(store, &err));
    }
    CHECK_EQ(store_wait_begin(store, NULL), ST_AGAIN);
    store_wait_end(store);
    MUST(store_wait_begin(store, &err));
    tier_remove();
}

/* An open object whose name is gone: it is read, and has no file. */
static void what_was_deleted_has_no_file(void)
{
    uint64_t bytes = 0;
    int fd = -1;
    tier_store();
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    uint64_t id = extent_of("k");
    send(id);
    CHECK_EQ(drop(id), 1);
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    MUST(store_delete(store, "box", "k", NULL, &err));
    CHECK_EQ(store_object_piece(o, 0, &fd, &bytes, NULL), ST_UNSUPPORTED);
    CHECK_EQ(store_object_piece(o, 1, &fd, &bytes, NULL), ST_NOTFOUND);
    store_object_close(o);
    tier_remove();
}

enum { ROUNDS = 300 };
static _Atomic bool dropping;

static void *drop_again(void *arg)
{
    const uint64_t *id = arg;
    while (atomic_load(&dropping)) {
        size_t dropped = 0;
        CHECK_EQ(store_extents_drop(store, id, 1, false, &dropped, NULL), ST_OK);
    }
    return NULL;
}

/* A drop that saw nobody takes the file away from who has come since. */
static void a_drop_may_come_in_between(void)
{
    pthread_t thread;
    tier_store();
    CHECK_EQ(put("box", "k", source, 100000), ST_OK);
    uint64_t id = extent_of("k");
    send(id);
    atomic_store(&dropping, true);
    CHECK_EQ(pthread_create(&thread, NULL, drop_again, &id), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct store_object *o = NULL;
        struct store_extent x = {0};
        uint64_t bytes = 0;
        int fd = -1;
        MUST(store_object_open(store, "box", "k", &o, &err));
        MUST(store_object_piece(o, 0, &fd, &bytes, &err));
        close(fd);
        store_object_close(o);
        status_t st = store_extent_hold(store, id, &x, &fd, NULL);
        CHECK(st == ST_OK || st == ST_NOTFOUND);
        if (st == ST_OK) {
            close(fd);
            buf_done(&x.sums);
            store_extent_release(store, id);
        }
    }
    atomic_store(&dropping, false);
    pthread_join(thread, NULL);
    tier_remove();
}

/* The tables of format 3 are made from those of format 2, with what is in them. */
static void a_store_of_format_2_is_taken_over(void)
{
    char path[128];
    sqlite3 *db = NULL;
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
    CHECK_EQ(put("box", "k", source, BIG), ST_OK);
    CHECK_EQ(put("box", "s", source, 100), ST_OK);
    store_close(store);
    snprintf(path, sizeof path, "%s/meta.db", scratch);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_exec(
                 db,
                 "BEGIN; " FORMAT_4_AGAIN "DROP INDEX extent_file; DROP INDEX extent_unused;"
                 "ALTER TABLE extent DROP COLUMN place; ALTER TABLE extent DROP COLUMN nonce;"
                 "ALTER TABLE extent DROP COLUMN keep; ALTER TABLE bucket DROP COLUMN spill;"
                 "CREATE INDEX extent_unused ON extent(id) WHERE uses = 0;"
                 "DROP TRIGGER extent_seal; DROP TABLE seal; ALTER TABLE extent DROP COLUMN tags;"
                 "ALTER TABLE bucket DROP COLUMN encrypt; ALTER TABLE upload DROP COLUMN encrypt;"
                 "DROP TABLE sending; DROP TABLE store; PRAGMA user_version = 2; COMMIT",
                 NULL, NULL, NULL),
             SQLITE_OK);
    sqlite3_close(db);
    for (int i = 0; i < 2; i++) {
        MUST(store_open(scratch, NULL, &store, &err));
        CHECK(holds("box", "k", source, BIG));
        CHECK(holds("box", "s", source, 100));
        check_sound();
        store_close(store);
    }
    MUST(store_open(scratch, NULL, &store, &err));
    MUST(store_set_tier(store, &tier, &err));
    uint64_t id = extent_of("k");
    send(id);
    CHECK_EQ(drop(id), 1);
    CHECK(holds("box", "k", source, BIG));
    tier_remove();
}

int main(void)
{
    fill(source, sizeof source, 3);
    RUN(what_was_dropped_is_read_through);
    RUN(a_tier_that_is_away_or_lies_gives_no_bytes);
    RUN(a_recall_brings_the_file_back);
    RUN(what_is_deleted_keeps_a_row_for_its_copy);
    RUN(a_bad_block_is_read_from_the_copy);
    RUN(an_append_notices_other_pieces);
    RUN(many_readers_fetch_once);
    RUN(the_cache_is_bounded);
    RUN(what_is_kept_stays);
    RUN(damaged_rows_are_counted);
    RUN(who_must_not_wait_is_told);
    RUN(what_was_deleted_has_no_file);
    RUN(a_drop_may_come_in_between);
    RUN(a_store_of_format_2_is_taken_over);
    return CHECK_DONE();
}
