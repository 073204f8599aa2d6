#include "sharedtest.h"

#include "geds/crypt.h"

/* Controllers that share a store: the log, and what of it each one has. */

enum { STEPS = 400 };

static uint64_t dice_state = 20;
static uint64_t dice(uint64_t below)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return dice_state % below;
}

static void upload(const char *bucket, const char *key, bool complete)
{
    uint8_t data[500];
    uint64_t upload_id = 0;
    struct store_put *p = NULL;
    struct store_part part = {.number = 1};
    fill(data, sizeof data, dice(1000));
    MUST(store_upload_begin(store, bucket, key, NULL, &upload_id, &err));
    MUST(store_upload_put_begin(store, bucket, key, upload_id, 1, &p, &err));
    MUST(store_put_write(p, data, sizeof data, &err));
    MUST(store_put_commit(p, NULL, &part.info, &err));
    if (complete) {
        MUST(
            store_upload_complete(store, bucket, key, upload_id, &part, 1, NULL, NULL, NULL, &err));
    }
}

/* Some change, which may be refused. */
static void change_something(void)
{
    static uint8_t data[LONG];
    static const char *const buckets[] = {"box", "box", "kept", "other"};
    const char *bucket = buckets[dice(4)];
    char key[32], to[32];
    snprintf(key, sizeof key, "%c/%u", 'a' + (char)dice(3), (unsigned)dice(12));
    snprintf(to, sizeof to, "%c/%u", 'a' + (char)dice(3), (unsigned)dice(12));
    const struct store_name from = {bucket, key}, there = {bucket, to};
    const struct store_condition none = {.if_none = true};
    status_t st = ST_OK;
    uint64_t what = dice(12), count = 0;
    size_t len = (size_t)(dice(4) == 0 ? dice(LONG) : dice(3000));
    fill(data, len, dice_state);
    if (what <= 3) {
        st = put_if(bucket, key, data, len, what == 3 ? &none : NULL, NULL);
    } else if (what == 4) {
        st = store_delete(store, bucket, key, NULL, NULL);
    } else if (what == 5) {
        st = store_rename(store, &from, &there, NULL, NULL);
    } else if (what == 6) {
        st = store_copy(store, &from, &there, NULL, NULL, NULL, NULL, NULL);
    } else if (what == 7) {
        st = store_append(store, bucket, key, data, len, NULL, NULL, NULL);
    } else if (what == 8) {
        st = store_rename_prefix(store, "box", dice(2) ? "a/" : "b/", dice(2) ? "c/" : "d/", &count,
                                 NULL);
    } else if (what == 9 && store_bucket_stat(store, bucket, NULL, NULL, NULL) == ST_OK) {
        upload(bucket, key, dice(2) == 0);
    } else if (what == 10) {
        st = store_bucket_create_as(store, bucket, "", strcmp(bucket, "kept") == 0, NULL);
    } else {
        st = store_bucket_delete(store, "other", NULL);
    }
    CHECK(st == ST_OK || st == ST_NOTFOUND || st == ST_EXIST || st == ST_INVAL);
}

static void two_databases_stay_equal_over_random_changes(void)
{
    begin();
    join(1);
    for (size_t i = 0; i < STEPS; i++) {
        change_something();
        if (i % 50 == 49) {
            follow(1);
            CHECK_EQ(rows_of(1), rows_of(0));
        }
    }
    end();
}

static void controllers_take_turns(void)
{
    begin();
    join(1);
    join(2);
    for (size_t turn = 0; turn < 9; turn++) {
        for (size_t i = 0; i < 40; i++) {
            change_something();
        }
        stop();
        lead((turn + 1) % 3);
    }
    stop();
    for (size_t i = 0; i < 3; i++) {
        follow(i);
        CHECK_EQ(rows_of(i), rows_of(0));
    }
    end();
}

/* Triggers change rows as well: those are in the entry, and must not be made twice. */
static void what_triggers_change_is_applied_once(void)
{
    char path[96];
    const struct store_keys_options keys = {.path = path};
    static uint8_t data[LONG];
    fill(data, LONG, 1);
    begin();
    join(1);
    snprintf(path, sizeof path, "%s/master.key", scratch);
    MUST(store_set_keys(store, &keys, &err));
    MUST(store_bucket_set_encrypt(store, "box", true, &err));
    MUST(put("box", "a", "x", 1));
    MUST(put("box", "b", data, LONG));
    MUST(store_delete(store, "box", "a", NULL, &err));
    MUST(store_delete(store, "box", "b", NULL, &err));
    stop();
    follow(1);
    CHECK_EQ(rows_of(1), rows_of(0));
    lead(1);
    MUST(store_set_keys(store, &keys, &err));
    MUST(put("box", "a", "y", 1));
    CHECK(holds("box", "a", "y", 1));
    end();
}

static void a_change_is_in_the_log_before_it_is_answered(void)
{
    begin();
    size_t before = shared->count;
    MUST(put("box", "a", "x", 1));
    CHECK_EQ(shared->count, before + 1);
    CHECK_EQ(store_delete(store, "box", "b", NULL, NULL), ST_NOTFOUND);
    CHECK_EQ(shared->count, before + 1); /* it has changed nothing */
    end();
}

static void who_does_not_lead_any_more_changes_nothing(void)
{
    struct error why = {0};
    struct store_info info;
    begin();
    MUST(put("box", "a", "x", 1));
    shared->fault = FENCED;
    shared->leads = false;
    CHECK_EQ(store_delete(store, "box", "a", NULL, &why), ST_MOVED);
    CHECK_EQ(store_delete(store, "box", "none", NULL, &why), ST_MOVED);
    CHECK_EQ(store_stat(store, "box", "a", &info, &why), ST_MOVED);
    CHECK(strstr(why.text, "tls://elsewhere:7700") != NULL);
    CHECK(shared->failed);
    shared->leads = true;
    CHECK(holds("box", "a", "x", 1));
    end();
}

static void a_log_without_room_refuses_a_change_and_goes_on(void)
{
    begin();
    shared->fault = FULL;
    CHECK_EQ(put("box", "a", "x", 1), ST_LIMIT);
    shared->fault = WORKS;
    MUST(put("box", "a", "y", 1));
    CHECK(holds("box", "a", "y", 1));
    end();
}

/* Nobody knows whether the entry of a change is in the log: it is told so, nothing more is changed, and reads go on;
 * what has it is what the log has. */
static void an_entry_of_unknown_fate(enum fault fault, bool happened)
{
    static uint8_t old[LONG], new[LONG];
    fill(old, LONG, 1);
    fill(new, LONG, 2);
    begin();
    MUST(put("box", "a", old, LONG));
    shared->fault = fault;
    CHECK_EQ(put("box", "a", new, LONG), ST_IO);
    CHECK(shared->failed);
    shared->fault = WORKS;
    CHECK_EQ(put("box", "b", "x", 1), ST_IO);
    CHECK(holds("box", "a", old, LONG));
    stop();
    lead(0);
    CHECK(holds("box", "a", happened ? new : old, LONG));
    check_sound();
    end();
}

static void an_entry_that_is_in_the_log_happens_though_nobody_heard_of_it(void)
{
    an_entry_of_unknown_fate(KEPT, true);
}

static void an_entry_that_is_not_in_the_log_does_not_happen(void)
{
    an_entry_of_unknown_fate(LOST, false);
}

/* The change has happened, wherever it is written down first. */
static void a_full_disk_behind_the_log_undoes_nothing(void)
{
    begin();
    join(1);
    MUST(put("box", "a", "old", 3));
    size_t before = shared->count;
    shared->fault = NO_DISK;
    CHECK_EQ(put("box", "a", "new", 3), ST_IO);
    limit_files(0);
    shared->fault = WORKS;
    CHECK_EQ(shared->count, before + 1); /* it was not tried again */
    CHECK(shared->failed);
    CHECK_EQ(put("box", "b", "x", 1), ST_IO);
    CHECK(holds("box", "a", "old", 3));
    stop();
    lead(0);
    CHECK(holds("box", "a", "new", 3));
    stop();
    follow(1);
    CHECK_EQ(rows_of(1), rows_of(0));
    end();
}

/* Killed at a step of a put of a file: there is all of it, or nothing. */
static void a_cut(enum fault fault, bool happened)
{
    static uint8_t old[LONG], new[LONG];
    fill(old, LONG, 1);
    fill(new, LONG, 2);
    begin();
    MUST(put("box", "a", old, LONG));
    join(1);
    stop();
    pid_t child = fork();
    if (child == 0) {
        lead(0);
        shared->fault = fault;
        MUST(put("box", "a", new, LONG));
        _exit(1);
    }
    int code = 1;
    CHECK_EQ(waitpid(child, &code, 0), child);
    CHECK_EQ(code, 0);
    lead(0);
    CHECK(holds("box", "a", happened ? new : old, LONG));
    CHECK_EQ(files_in("0/new"), 0);
    check_sound();
    stop();
    follow(1);
    CHECK_EQ(rows_of(1), rows_of(0));
    end();
}

static void a_cut_before_the_log_leaves_what_was(void)
{
    a_cut(CUT_SOON, false);
}

static void a_cut_between_the_log_and_the_commit_leaves_the_change(void)
{
    a_cut(CUT_LATE, true);
}

static void a_change_that_only_the_log_has_is_the_next_leaders(void)
{
    begin();
    join(1);
    MUST(put("box", "a", "old", 3));
    shared->fault = KEPT;
    CHECK_EQ(put("box", "a", "new", 3), ST_IO);
    stop();
    lead(1);
    CHECK(holds("box", "a", "new", 3));
    stop();
    lead(0); /* the former one takes it in, too */
    CHECK(holds("box", "a", "new", 3));
    end();
}

static void a_leader_has_small_objects_of_another_one_and_says_where_files_are(void)
{
    static uint8_t data[LONG];
    struct error why = {0};
    uint8_t *got = NULL;
    size_t len = 0;
    fill(data, LONG, 3);
    begin();
    join(1);
    MUST(put("box", "small", data, 1000));
    MUST(put("box", "file", data, LONG));
    stop();
    lead(1);
    CHECK(holds("box", "small", data, 1000));
    CHECK_EQ(get("box", "file", &got, &len, &why), ST_AGAIN);
    CHECK(strstr(why.text, "disk of the controller tcp://127.0.0.1:1") != NULL);
    check_sound();
    stop();
    lead(0);
    CHECK(holds("box", "file", data, LONG));
    end();
}

static void numbers_of_files_are_never_given_twice(void)
{
    static uint8_t data[LONG];
    begin();
    join(1);
    fill(data, LONG, 1);
    MUST(put("box", "a", data, LONG));
    stop();
    lead(1); /* deletes it while the former leader, which has the file, is away */
    MUST(store_delete(store, "box", "a", NULL, &err));
    stop();
    lead(1); /* the row goes */
    stop();
    lead(1);
    fill(data, LONG, 2);
    MUST(put("box", "a", data, LONG));
    stop();
    CHECK_EQ(files_in("0/data"), 1);
    follow(0);
    CHECK_EQ(files_in("0/data"), 0); /* what has no row any more goes there as well */
    lead(0);
    uint8_t *got = NULL;
    size_t len = 0;
    CHECK_EQ(get("box", "a", &got, &len, NULL), ST_AGAIN);
    end();
}

/* As when etcd was lost: the first one leaves the log and begins another; the others are emptied. */
static void begin_another_log(void)
{
    MUST(replica_leave(folders[0], &err));
    for (size_t i = 1; i < 3; i++) {
        remove_tree(folders[i]);
    }
    begin_log('1');
}

/* Puts that end with the process behind their first bytes, whose files are in `new`. */
static void leave_unfinished_files(size_t who, size_t count)
{
    static uint8_t data[LONG];
    pid_t child = fork();
    if (child == 0) {
        struct store_put *p = NULL;
        lead(who);
        fill(data, LONG, 7);
        for (size_t i = 0; i < count; i++) {
            MUST(store_put_begin(store, "box", "never", NULL, &p, &err));
            MUST(store_put_write(p, data, LONG, &err));
        }
        _exit(0);
    }
    int code = 1;
    CHECK_EQ(waitpid(child, &code, 0), child);
    CHECK_EQ(code, 0);
}

/* In the second log terms must go on behind those of the first: a file of one that was never finished would become the
 * file of another controller's object. */
static void numbers_are_not_given_twice_in_two_logs_one_after_the_other(void)
{
    static uint8_t data[LONG];
    struct error why = {0};
    uint8_t *got = NULL;
    size_t len = 0;
    begin();
    for (size_t i = 0; i < 3; i++) {
        stop();
        lead(0);
    }
    fill(data, LONG, 1);
    MUST(put("box", "a", data, LONG));
    stop();
    begin_another_log();
    join(1);
    stop();
    leave_unfinished_files(0, 3);
    CHECK_EQ(files_in("0/new"), 3);
    lead(1);
    for (char key[] = "b0"; key[1] < '5'; key[1]++) {
        MUST(put("box", key, data, LONG));
    }
    CHECK(get("box", "a", &got, &len, &why) == ST_AGAIN);
    CHECK(strstr(why.text, "disk of the controller tcp://127.0.0.1:1") != NULL);
    stop();
    lead(0);
    CHECK_EQ(files_in("0/new"), 0);
    CHECK_EQ(files_in("0/data"), 1);
    CHECK(holds("box", "a", data, LONG));
    CHECK_EQ(get("box", "b0", &got, &len, &why), ST_AGAIN);
    CHECK(strstr(why.text, "disk of the controller tcp://127.0.0.2:1") != NULL);
    check_sound();
    end();
}

/* Also of a store that was one of its own in between, and of one whose newest rows are gone. */
static void a_store_that_leaves_a_log_gives_numbers_of_no_other_controller(void)
{
    static uint8_t data[LONG];
    struct error why = {0};
    uint8_t *got = NULL;
    size_t len = 0;
    begin();
    join(1);
    fill(data, LONG, 1);
    MUST(put("box", "a", data, LONG));
    stop();
    lead(1);
    MUST(put("box", "b", data, LONG));
    MUST(put("box", "c", data, LONG));
    stop();
    follow(0);
    MUST(replica_leave(folders[0], &err));
    MUST(store_open(folders[0], NULL, &store, &err));
    MUST(store_delete(store, "box", "c", NULL, &err));
    fill(data, LONG, 2);
    MUST(put("box", "own", data, LONG));
    stop();
    begin_log('1');
    CHECK(holds("box", "own", data, LONG));
    CHECK_EQ(get("box", "b", &got, &len, &why), ST_AGAIN);
    CHECK(strstr(why.text, "disk of the controller tcp://127.0.0.2:1") != NULL);
    remove_tree(folders[1]);
    join(1);
    stop();
    lead(1);
    CHECK_EQ(get("box", "own", &got, &len, &why), ST_AGAIN);
    CHECK(strstr(why.text, "disk of the controller tcp://127.0.0.1:1") != NULL);
    end();
}

static void a_store_that_is_shared_is_not_opened_alone(void)
{
    struct error why = {0};
    begin();
    MUST(put("box", "a", "x", 1));
    stop();
    CHECK_EQ(store_open(folders[0], NULL, &store, &why), ST_INVAL);
    CHECK(strstr(why.text, "--etcd") != NULL);
    MUST(replica_leave(folders[0], &err));
    MUST(store_open(folders[0], NULL, &store, &err));
    CHECK(holds("box", "a", "x", 1));
    MUST(put("box", "b", "x", 1));
    end();
}

static void a_copy_replaces_nothing_that_somebody_would_miss(void)
{
    char copy[96];
    struct error why = {0};
    struct store *other = NULL;
    begin();
    MUST(store_open(folders[1], NULL, &other, &err));
    MUST(store_bucket_create(other, "mine", "", &err));
    store_close(other);
    copy_path(copy);
    MUST(store_copy_state(store, copy, &err));
    store_copied(store);
    CHECK_EQ(replica_replace(folders[1], copy, id, &why), ST_EXIST);
    CHECK_EQ(replica_replace(folders[2], copy, "ffffffffffffffffffffffffffffffff", &why),
             ST_FORMAT);
    MUST(replica_replace(folders[2], copy, id, &err));
    CHECK_EQ(rows_of(2), rows_of(0));
    MUST(put("box", "a", "x", 1));
    join(2); /* again, when it is far behind */
    CHECK_EQ(rows_of(2), rows_of(0));
    end();
}

static void an_entry_that_was_changed_on_its_way_is_not_applied(void)
{
    struct replica *r = NULL;
    struct error why = {0};
    begin();
    join(1);
    MUST(put("box", "a", "x", 1));
    stop();
    struct shared_bytes e = entry_at(shared->count - 1);
    uint8_t *copy = malloc(e.len);
    uint64_t before = rows_of(1);
    MUST(replica_open(folders[1], NULL, &r, &err));
    for (size_t i = 0; i < e.len; i++) {
        memcpy(copy, e.data, e.len);
        copy[i] ^= 0x20;
        const struct shared_bytes bad = {copy, e.len};
        status_t st = replica_apply(r, &bad, 1, &why);
        CHECK(st == ST_FORMAT || st == ST_CORRUPT || st == ST_UNSUPPORTED);
        const struct shared_bytes cut = {e.data, i};
        CHECK_EQ(replica_apply(r, &cut, 1, &why), ST_FORMAT);
    }
    CHECK_EQ(rows_of(1), before);
    MUST(catch_up(r, &err));
    MUST(replica_compare(r, e.data, e.len, &err));
    replica_close(r);
    free(copy);
    end();
}

/* The last entry as a program of another format wrote it, and as one that applied it has its chain. */
static struct shared_bytes make_last_entry_of_format(size_t who, uint8_t format)
{
    enum { FORMAT_OFF = 12, CHAIN_OFF = 88 };
    uint8_t *e = shared->bytes + shared->off[shared->count - 1];
    struct sha256 s;
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *set = NULL;
    e[FORMAT_OFF] = format;
    sha256_init(&s);
    sha256_update(&s, e, CHAIN_OFF);
    sha256_update(&s, e + ENTRY_HEAD_BYTES, entry_at(shared->count - 1).len - ENTRY_HEAD_BYTES);
    sha256_final(&s, e + CHAIN_OFF);
    snprintf(path, sizeof path, "%s/meta.db", folders[who]);
    CHECK_EQ(sqlite3_open(path, &db), SQLITE_OK);
    CHECK_EQ(sqlite3_prepare_v2(db, "UPDATE shared SET chain = ?1", -1, &set, NULL), SQLITE_OK);
    sqlite3_bind_blob(set, 1, e + CHAIN_OFF, SHARED_CHAIN_BYTES, SQLITE_STATIC);
    CHECK_EQ(sqlite3_step(set), SQLITE_DONE);
    sqlite3_finalize(set);
    sqlite3_close(db);
    return entry_at(shared->count - 1);
}

/* An upgrade: all had applied it before, so nobody has to know what is in it. */
static void the_last_entry_may_be_of_another_format(void)
{
    struct replica *r = NULL;
    struct error why = {0};
    begin();
    join(1);
    MUST(put("box", "a", "x", 1));
    stop();
    struct shared_bytes e = make_last_entry_of_format(0, 5);
    MUST(replica_open(folders[0], NULL, &r, &err));
    MUST(replica_compare(r, e.data, e.len, &err));
    shared->bytes[shared->off[shared->count - 1] + ENTRY_HEAD_BYTES] ^= 1;
    CHECK_EQ(replica_compare(r, e.data, e.len, &why), ST_CORRUPT);
    shared->bytes[shared->off[shared->count - 1] + ENTRY_HEAD_BYTES] ^= 1;
    struct shared_bytes before = entry_at(shared->count - 2);
    CHECK_EQ(replica_compare(r, before.data, before.len, &why), ST_CORRUPT);
    replica_close(r);
    MUST(replica_open(folders[1], NULL, &r, &err)); /* one that has not applied it cannot */
    CHECK_EQ(replica_apply(r, &e, 1, &why), ST_UNSUPPORTED);
    replica_close(r);
    end();
}

static void an_entry_of_another_history_is_not_applied(void)
{
    struct replica *r = NULL;
    struct error why = {0};
    struct buf other = {0};
    begin();
    join(1);
    stop();
    MUST(replica_open(folders[1], NULL, &r, &err));
    MUST(replica_term(r, "tcp://127.0.0.1:9", &other, &err));
    const struct shared_bytes theirs = {other.data, other.len};
    lead(0);
    struct shared_bytes ours = entry_at(shared->count - 1);
    MUST(replica_apply(r, &ours, 1, &err));
    MUST(replica_apply(r, &theirs, 1, &err)); /* it is behind: left out */
    CHECK_EQ(replica_compare(r, theirs.data, theirs.len, &why), ST_CORRUPT);
    MUST(put("box", "a", "x", 1));
    MUST(put("box", "b", "x", 1));
    const struct shared_bytes gap = entry_at(shared->count - 1);
    CHECK_EQ(replica_apply(r, &gap, 1, &why), ST_CORRUPT);
    replica_close(r);
    buf_done(&other);
    end();
}

int main(void)
{
    shared_make();
    RUN(a_change_is_in_the_log_before_it_is_answered);
    RUN(two_databases_stay_equal_over_random_changes);
    RUN(controllers_take_turns);
    RUN(what_triggers_change_is_applied_once);
    RUN(who_does_not_lead_any_more_changes_nothing);
    RUN(a_log_without_room_refuses_a_change_and_goes_on);
    RUN(an_entry_that_is_in_the_log_happens_though_nobody_heard_of_it);
    RUN(an_entry_that_is_not_in_the_log_does_not_happen);
    RUN(a_full_disk_behind_the_log_undoes_nothing);
    RUN(a_cut_before_the_log_leaves_what_was);
    RUN(a_cut_between_the_log_and_the_commit_leaves_the_change);
    RUN(a_change_that_only_the_log_has_is_the_next_leaders);
    RUN(a_leader_has_small_objects_of_another_one_and_says_where_files_are);
    RUN(numbers_of_files_are_never_given_twice);
    RUN(numbers_are_not_given_twice_in_two_logs_one_after_the_other);
    RUN(a_store_that_leaves_a_log_gives_numbers_of_no_other_controller);
    RUN(a_store_that_is_shared_is_not_opened_alone);
    RUN(a_copy_replaces_nothing_that_somebody_would_miss);
    RUN(an_entry_that_was_changed_on_its_way_is_not_applied);
    RUN(the_last_entry_may_be_of_another_format);
    RUN(an_entry_of_another_history_is_not_applied);
    return CHECK_DONE();
}
