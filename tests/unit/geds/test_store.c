#include "storetest.h"

/* What callers may count on, one fact a test. */

enum { BIG = 3 * STORE_BLOCK_BYTES + 1234 };
static uint8_t big[BIG];

static void start(void)
{
    store_make(NULL);
    MUST(store_bucket_create(store, "box", "", &err));
}

static void what_was_put_is_read_and_survives_a_restart(void)
{
    start();
    size_t sizes[] = {0, 1, STORE_INLINE_MAX, STORE_INLINE_MAX + 1, STORE_BLOCK_BYTES, BIG};
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%zu", i);
            if (round == 0) {
                CHECK_EQ(put("box", key, big, sizes[i]), ST_OK);
            }
            CHECK(holds("box", key, big, sizes[i]));
        }
        check_sound();
        store_again(NULL);
    }
    struct store_counters c;
    MUST(store_counters(store, &c, &err));
    CHECK_EQ(c.buckets, 1);
    CHECK_EQ(c.objects, 6);
    CHECK_EQ(c.bytes, 1 + 2 * STORE_INLINE_MAX + 1 + STORE_BLOCK_BYTES + BIG);
    CHECK_EQ(files_in("data"), 3);
    CHECK_EQ(files_in("new"), 0);
    store_remove();
}

static void any_range_of_an_object_is_read(void)
{
    start();
    CHECK_EQ(put("box", "k", big, BIG), ST_OK);
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    static uint8_t data[BIG + 10];
    size_t offs[] = {0, 1, STORE_BLOCK_BYTES - 1, STORE_BLOCK_BYTES, 100000, BIG - 1, BIG, BIG + 5};
    size_t lens[] = {0, 1, 2, STORE_BLOCK_BYTES, STORE_BLOCK_BYTES + 1, BIG + 10};
    for (size_t i = 0; i < sizeof offs / sizeof offs[0]; i++) {
        for (size_t j = 0; j < sizeof lens / sizeof lens[0]; j++) {
            size_t got = 99, left = offs[i] < BIG ? BIG - offs[i] : 0;
            CHECK_EQ(store_object_read(o, data, lens[j], offs[i], &got, NULL), ST_OK);
            CHECK_EQ(got, lens[j] < left ? lens[j] : left);
            CHECK(memcmp(data, big + (left > 0 ? offs[i] : 0), got) == 0);
        }
    }
    store_object_close(o);
    store_remove();
}

static void an_etag_is_the_md5_of_the_bytes(void)
{
    start();
    struct store_info info, again;
    CHECK_EQ(put_if("box", "k", "message digest", 14, NULL, &info), ST_OK);
    CHECK_STR(info.etag, "f96b697d7cb7938d525a2f31aaf161d0");
    CHECK_EQ(info.size, 14);
    MUST(store_stat(store, "box", "k", &again, &err));
    CHECK_STR(again.etag, info.etag);
    CHECK_EQ(again.modified_ns, info.modified_ns);
    store_remove();
}

static void attributes_come_back(void)
{
    start();
    struct store_attribute pairs[] = {{"owner", "me"}, {"empty", ""}, {"utf-8", "\xc3\xa9"}};
    struct store_attributes a = {.content_type = "text/plain", .pairs = pairs, .count = 3};
    struct store_put *p = NULL;
    MUST(store_put_begin(store, "box", "k", &a, &p, &err));
    MUST(store_put_write(p, "x", 1, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    struct store_object *o = NULL;
    MUST(store_object_open(store, "box", "k", &o, &err));
    const struct store_attributes *got = store_object_attributes(o);
    CHECK_STR(got->content_type, "text/plain");
    CHECK_EQ(got->count, 3);
    for (size_t i = 0; i < 3; i++) {
        CHECK_STR(got->pairs[i].name, pairs[i].name);
        CHECK_STR(got->pairs[i].value, pairs[i].value);
    }
    store_object_close(o);
    pairs[1].name = "owner";
    CHECK_EQ(store_put_begin(store, "box", "k", &a, &p, NULL), ST_INVAL);
    store_remove();
}

static void attributes_may_be_known_last(void)
{
    start();
    struct store_attribute pairs[] = {{"a", "1"}, {"b", "2"}};
    struct store_attributes first = {.pairs = pairs, .count = 1},
                            twice = {.pairs = pairs, .count = 2};
    struct store_attributes last = {.content_type = "x/y", .pairs = pairs + 1, .count = 1};
    struct store_put *p = NULL;
    struct store_object *o = NULL;
    MUST(store_put_begin(store, "box", "k", &first, &p, &err));
    MUST(store_put_write(p, "x", 1, &err));
    MUST(store_put_set_attributes(p, &last, &err));
    pairs[0].name = "b";
    CHECK_EQ(store_put_set_attributes(p, &twice, NULL), ST_INVAL);
    MUST(store_put_commit(p, NULL, NULL, &err));
    MUST(store_object_open(store, "box", "k", &o, &err));
    CHECK_EQ(store_object_attributes(o)->count, 1);
    CHECK_STR(store_object_attributes(o)->content_type, "x/y");
    CHECK_STR(store_object_attributes(o)->pairs[0].value, "2");
    store_object_close(o);
    store_remove();
}

static void an_open_object_stays_as_it_was(void)
{
    start();
    for (unsigned small = 0; small < 2; small++) {
        size_t len = small ? 100 : BIG, got = 0;
        struct store_object *o = NULL, *other = NULL;
        static uint8_t data[BIG];
        CHECK_EQ(put("box", "k", big, len), ST_OK);
        MUST(store_object_open(store, "box", "k", &o, &err));
        MUST(store_object_open(store, "box", "k", &other, &err));
        CHECK_EQ(put("box", "k", "new", 3), ST_OK);
        store_object_close(other);
        MUST(store_delete(store, "box", "k", NULL, &err));
        CHECK_EQ(store_object_read(o, data, len, 0, &got, NULL), ST_OK);
        CHECK(got == len && memcmp(data, big, len) == 0);
        store_object_close(o);
    }
    CHECK_EQ(files_in("data"), 0);
    CHECK_EQ(store_stat(store, "box", "k", &(struct store_info){0}, NULL), ST_NOTFOUND);
    store_again(NULL);
    check_sound();
    store_remove();
}

static void conditions_are_met_or_nothing_happens(void)
{
    start();
    struct store_condition none = {.if_none = true}, any = {.if_match = "*"};
    struct store_info info;
    CHECK_EQ(put_if("box", "k", "x", 1, &any, NULL), ST_NOTFOUND);
    CHECK_EQ(put_if("box", "k", "x", 1, &none, &info), ST_OK);
    CHECK_EQ(put_if("box", "k", big, BIG, &none, NULL), ST_EXIST);
    struct store_condition same = {.if_match = info.etag}, other = {.if_match = "other"};
    CHECK_EQ(put_if("box", "k", big, BIG, &other, NULL), ST_CHANGED);
    CHECK(holds("box", "k", "x", 1));
    CHECK_EQ(files_in("data") + files_in("new"), 0);
    CHECK_EQ(put_if("box", "k", "y", 1, &same, NULL), ST_OK);
    CHECK_EQ(store_delete(store, "box", "k", &same, NULL), ST_CHANGED);
    CHECK_EQ(store_delete(store, "box", "k", &any, NULL), ST_OK);
    CHECK_EQ(store_delete(store, "box", "k", NULL, NULL), ST_NOTFOUND);
    store_remove();
}

static void an_aborted_put_leaves_nothing(void)
{
    start();
    struct store_put *p = NULL;
    MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
    MUST(store_put_write(p, big, BIG, &err));
    store_put_abort(p);
    CHECK_EQ(files_in("new"), 0);
    CHECK_EQ(store_stat(store, "box", "k", &(struct store_info){0}, NULL), ST_NOTFOUND);
    store_remove();
}

static void names_are_checked(void)
{
    start();
    char key[STORE_KEY_MAX + 2];
    memset(key, 'k', sizeof key);
    key[STORE_KEY_MAX + 1] = '\0';
    CHECK_EQ(put("box", key, "", 0), ST_INVAL);
    key[STORE_KEY_MAX] = '\0';
    CHECK_EQ(put("box", key, "x", 1), ST_OK);
    CHECK(holds("box", key, "x", 1));
    CHECK_EQ(put("box", "", "x", 1), ST_INVAL);
    CHECK_EQ(put("box", "../../etc/passwd", "x", 1), ST_OK);
    CHECK_EQ(put("box", "\xff\xfe\x01", "x", 1), ST_OK);
    const char *bad[] = {"", "ab", "Abc", "a_b", "-ab", "ab-", "a/b", ".ab"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(store_bucket_create(store, bad[i], "", NULL), ST_INVAL);
    }
    CHECK_EQ(put("nothere", "k", "x", 1), ST_NOTFOUND);
    store_remove();
}

static void buckets_are_made_listed_and_removed_when_empty(void)
{
    start();
    char *config = NULL;
    struct store_bucket b, *list = NULL;
    size_t count = 0;
    CHECK_EQ(store_bucket_create(store, "box", "", NULL), ST_EXIST);
    MUST(store_bucket_create(store, "abc", "{\"a\": 1}", &err));
    MUST(store_bucket_list(store, &list, &count, &err));
    CHECK_EQ(count, 2);
    CHECK_STR(list[0].name, "abc");
    CHECK_STR(list[1].name, "box");
    free(list);
    MUST(store_bucket_set_config(store, "abc", "{}", &err));
    CHECK_EQ(put("abc", "k", big, BIG), ST_OK);
    MUST(store_bucket_stat(store, "abc", &b, &config, &err));
    CHECK_STR(config, "{}");
    CHECK_EQ(b.objects, 1);
    CHECK_EQ(b.bytes, BIG);
    free(config);
    CHECK_EQ(store_bucket_delete(store, "abc", NULL), ST_EXIST);
    MUST(store_delete(store, "abc", "k", NULL, &err));
    uint64_t id = 0;
    struct store_put *p = NULL;
    MUST(store_upload_begin(store, "abc", "k", NULL, &id, &err));
    MUST(store_upload_put_begin(store, "abc", "k", id, 1, &p, &err));
    MUST(store_put_write(p, big, BIG, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    MUST(store_bucket_delete(store, "abc", &err));
    CHECK_EQ(store_bucket_delete(store, "abc", NULL), ST_NOTFOUND);
    CHECK_EQ(store_bucket_stat(store, "abc", NULL, NULL, NULL), ST_NOTFOUND);
    CHECK_EQ(files_in("data"), 0);
    check_sound();
    store_remove();
}

static void copies_share_bytes_until_the_last_name_goes(void)
{
    start();
    struct store_name k = {"box", "k"}, copy = {"box", "copy"};
    struct store_attributes text = {.content_type = "text/plain"};
    for (unsigned small = 0; small < 2; small++) {
        size_t len = small ? 100 : BIG;
        CHECK_EQ(put("box", "k", big, len), ST_OK);
        MUST(store_copy(store, &k, &copy, NULL, NULL, NULL, NULL, &err));
        MUST(store_copy(store, &k, &k, &text, NULL, NULL, NULL, &err));
        CHECK_EQ(files_in("data"), small ? 0 : 1);
        MUST(store_delete(store, "box", "k", NULL, &err));
        CHECK(holds("box", "copy", big, len));
        check_sound();
        MUST(store_delete(store, "box", "copy", NULL, &err));
        CHECK_EQ(files_in("data"), 0);
    }
    CHECK_EQ(store_copy(store, &k, &copy, NULL, NULL, NULL, NULL, NULL), ST_NOTFOUND);
    store_remove();
}

static void a_rename_replaces_the_target(void)
{
    start();
    struct store_name a = {"box", "a"}, b = {"box", "b"}, other = {"two", "b"};
    struct store_condition none = {.if_none = true};
    MUST(store_bucket_create(store, "two", "", &err));
    CHECK_EQ(put("box", "a", big, BIG), ST_OK);
    CHECK_EQ(put("box", "b", big, 20000), ST_OK);
    CHECK_EQ(store_rename(store, &a, &b, &none, NULL), ST_EXIST);
    MUST(store_rename(store, &a, &b, NULL, &err));
    MUST(store_rename(store, &b, &b, NULL, &err));
    CHECK_EQ(store_rename(store, &a, &b, NULL, NULL), ST_NOTFOUND);
    MUST(store_rename(store, &b, &other, &none, &err));
    CHECK(holds("two", "b", big, BIG));
    CHECK_EQ(files_in("data"), 1);
    check_sound();
    store_remove();
}

static void a_prefix_is_renamed_whole_or_not_at_all(void)
{
    start();
    uint64_t count = 0;
    const char *keys[] = {"a/1", "a/2", "a/b/3", "b/9", "ab"};
    for (size_t i = 0; i < 5; i++) {
        CHECK_EQ(put("box", keys[i], keys[i], strlen(keys[i])), ST_OK);
    }
    MUST(store_rename_prefix(store, "box", "a/", "b/", &count, &err));
    CHECK_EQ(count, 3);
    CHECK(holds("box", "b/b/3", "a/b/3", 5));
    CHECK_EQ(put("box", "a/9", "x", 1), ST_OK);
    CHECK_EQ(store_rename_prefix(store, "box", "a/", "b/", &count, NULL), ST_EXIST);
    CHECK(holds("box", "a/9", "x", 1));
    /* onto names that are renamed themselves */
    MUST(store_rename_prefix(store, "box", "b/", "b/b/", &count, &err));
    CHECK_EQ(count, 4);
    CHECK(holds("box", "b/b/b/3", "a/b/3", 5));
    CHECK_EQ(store_rename_prefix(store, "box", "nothing", "x", &count, NULL), ST_NOTFOUND);
    CHECK_EQ(store_rename_prefix(store, "box", "ab", "", &count, NULL), ST_INVAL);
    check_sound();
    store_remove();
}

static void many_are_deleted_in_one_change(void)
{
    start();
    const char *keys[] = {"a", "b", "", "c"};
    status_t results[4];
    CHECK_EQ(put("box", "a", "x", 1), ST_OK);
    CHECK_EQ(put("box", "c", big, BIG), ST_OK);
    MUST(store_delete_many(store, "box", keys, 4, results, &err));
    CHECK_EQ(results[0], ST_OK);
    CHECK_EQ(results[1], ST_NOTFOUND);
    CHECK_EQ(results[2], ST_INVAL);
    CHECK_EQ(results[3], ST_OK);
    CHECK_EQ(store_delete_many(store, "none", keys, 4, results, NULL), ST_NOTFOUND);
    check_sound();
    store_remove();
}

static void lists_are_in_order_and_go_on_where_they_stopped(void)
{
    start();
    const char *keys[] = {"a", "b/1", "b/2", "b0", "c//x", "c/y", "d", "\xff\xff"};
    const char *expected[] = {"a", "b/", "b0", "c/", "d", "\xff\xff"};
    for (size_t i = 0; i < 8; i++) {
        CHECK_EQ(put("box", keys[7 - i], "x", 1), ST_OK);
    }
    for (size_t max = 1; max < 8; max++) {
        char after[STORE_KEY_MAX + 1] = "";
        size_t seen = 0;
        for (bool more = true; more && seen < 20;) {
            struct store_page *page = NULL;
            struct store_list_query q = {.delimiter = "/", .start_after = after, .max = max};
            MUST(store_list(store, "box", &q, &page, &err));
            CHECK(page->count <= max && page->count > 0);
            for (size_t i = 0; i < page->count; i++) {
                CHECK_STR(page->entries[i].key, seen < 6 ? expected[seen] : "none");
                CHECK_EQ(page->entries[i].is_prefix, seen == 1 || seen == 3);
                seen++;
            }
            snprintf(after, sizeof after, "%s", page->entries[page->count - 1].key);
            more = page->more;
            store_page_free(page);
        }
        CHECK_EQ(seen, 6);
    }
    struct store_page *page = NULL;
    struct store_list_query q = {.prefix = "c/", .delimiter = "/", .max = 10};
    MUST(store_list(store, "box", &q, &page, &err));
    CHECK_EQ(page->count, 2);
    CHECK_STR(page->entries[0].key, "c//");
    CHECK_STR(page->entries[1].key, "c/y");
    store_page_free(page);
    CHECK_EQ(store_list(store, "none", &q, &page, NULL), ST_NOTFOUND);
    store_remove();
}

static void appends_add_up(void)
{
    start();
    static uint8_t all[2000000];
    fill(all, sizeof all, 5);
    size_t at = 0, step = 1;
    struct store_info info = {0}, before = {0};
    while (at + step < sizeof all) {
        MUST(store_append(store, "box", "log", all + at, step, NULL, &info, &err));
        CHECK(strcmp(info.etag, before.etag) != 0);
        before = info;
        at += step;
        step = step * 3 / 2 + 1;
    }
    CHECK(holds("box", "log", all, at));
    struct store_condition other = {.if_match = "x"};
    CHECK_EQ(store_append(store, "box", "log", "x", 1, &other, NULL, NULL), ST_CHANGED);
    check_sound();
    MUST(store_delete(store, "box", "log", NULL, &err));
    CHECK_EQ(files_in("data"), 0);
    store_remove();
}

static void put_part(uint64_t id, unsigned number, const void *data, size_t len,
                     struct store_part *ret_part)
{
    struct store_put *p = NULL;
    MUST(store_upload_put_begin(store, "box", "up", id, number, &p, &err));
    MUST(store_put_write(p, data, len, &err));
    ret_part->number = number;
    MUST(store_put_commit(p, NULL, &ret_part->info, &err));
}

static void parts_make_an_object(void)
{
    struct store_options options = {.part_min_bytes = 1000};
    store_make(&options);
    MUST(store_bucket_create(store, "box", "", &err));
    struct store_attributes text = {.content_type = "text/plain"};
    struct store_part parts[3], small, *list = NULL;
    size_t count = 0;
    bool more = false;
    uint64_t id = 0;
    struct store_info info;
    MUST(store_upload_begin(store, "box", "up", &text, &id, &err));
    put_part(id, 7, big, 100, &parts[2]);
    put_part(id, 1, "wrong", 5, &small);
    put_part(id, 1, big + 100, 100000, &parts[0]);
    put_part(id, 3, big + 7, 1000, &parts[1]);
    put_part(id, 9, "left out", 8, &small);
    store_again(&options);
    MUST(store_upload_parts(store, "box", "up", id, 1, 2, &list, &count, &more, &err));
    CHECK(count == 2 && more && list[0].number == 3 && list[1].number == 7);
    CHECK_STR(list[0].info.etag, parts[1].info.etag);
    free(list);
    struct store_part bad[2] = {parts[1], parts[0]};
    CHECK_EQ(store_upload_complete(store, "box", "up", id, bad, 2, NULL, NULL, NULL, NULL),
             ST_INVAL);
    bad[0] = parts[0];
    bad[1] = (struct store_part){.number = 2};
    CHECK_EQ(store_upload_complete(store, "box", "up", id, bad, 2, NULL, NULL, NULL, NULL),
             ST_CHANGED);
    bad[0] = parts[2];
    bad[1] = small;
    CHECK_EQ(store_upload_complete(store, "box", "up", id, bad, 2, NULL, NULL, NULL, NULL),
             ST_INVALID);
    CHECK_EQ(store_upload_complete(store, "box", "up", id + 1, parts, 3, NULL, NULL, NULL, NULL),
             ST_NOTFOUND);
    MUST(store_upload_complete(store, "box", "up", id, parts, 3, NULL, NULL, &info, &err));
    CHECK_EQ(info.size, 101100);
    CHECK_STR(info.etag + 32, "-3");
    static uint8_t whole[101100];
    memcpy(whole, big + 100, 100000);
    memcpy(whole + 100000, big + 7, 1000);
    memcpy(whole + 101000, big, 100);
    CHECK(holds("box", "up", whole, sizeof whole));
    CHECK_EQ(files_in("data"), 3);
    CHECK_EQ(store_upload_abort(store, "box", "up", id, NULL), ST_NOTFOUND);
    check_sound();
    store_remove();
}

static void uploads_are_listed_and_aborted(void)
{
    start();
    uint64_t ids[3];
    struct store_part part;
    struct store_uploads *list = NULL;
    MUST(store_upload_begin(store, "box", "up", NULL, &ids[0], &err));
    MUST(store_upload_begin(store, "box", "a", NULL, &ids[1], &err));
    MUST(store_upload_begin(store, "box", "up", NULL, &ids[2], &err));
    put_part(ids[0], 1, big, BIG, &part);
    MUST(store_upload_list(store, "box", "", "", 0, 2, &list, &err));
    CHECK(list->count == 2 && list->more);
    CHECK_STR(list->entries[0].key, "a");
    CHECK_EQ(list->entries[0].id, ids[1]);
    uint64_t second = list->entries[1].id;
    store_uploads_free(list);
    MUST(store_upload_list(store, "box", "u", "up", second, 2, &list, &err));
    CHECK(list->count == 1 && !list->more);
    CHECK_EQ(list->entries[0].id, second == ids[0] ? ids[2] : ids[0]);
    store_uploads_free(list);
    struct store_put *p = NULL;
    CHECK_EQ(store_upload_put_begin(store, "box", "up", ids[0], 0, &p, NULL), ST_INVAL);
    CHECK_EQ(store_upload_put_begin(store, "box", "up", ids[0], 10001, &p, NULL), ST_INVAL);
    CHECK_EQ(store_upload_put_begin(store, "box", "other", ids[0], 1, &p, NULL), ST_NOTFOUND);
    MUST(store_upload_abort(store, "box", "up", ids[0], &err));
    CHECK_EQ(files_in("data"), 0);
    check_sound();
    store_remove();
}

int main(void)
{
    fill(big, BIG, 1);
    RUN(what_was_put_is_read_and_survives_a_restart);
    RUN(any_range_of_an_object_is_read);
    RUN(an_etag_is_the_md5_of_the_bytes);
    RUN(attributes_come_back);
    RUN(attributes_may_be_known_last);
    RUN(an_open_object_stays_as_it_was);
    RUN(conditions_are_met_or_nothing_happens);
    RUN(an_aborted_put_leaves_nothing);
    RUN(names_are_checked);
    RUN(buckets_are_made_listed_and_removed_when_empty);
    RUN(copies_share_bytes_until_the_last_name_goes);
    RUN(a_rename_replaces_the_target);
    RUN(a_prefix_is_renamed_whole_or_not_at_all);
    RUN(many_are_deleted_in_one_change);
    RUN(lists_are_in_order_and_go_on_where_they_stopped);
    RUN(appends_add_up);
    RUN(parts_make_an_object);
    RUN(uploads_are_listed_and_aborted);
    return CHECK_DONE();
}
