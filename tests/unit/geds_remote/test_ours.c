/* The client against our own server. */
#include "ours.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "base/hash.h"
#include "geds/remote/upload.h"
#include "sys/files.h"

enum { PART = 64 << 10, BIG = 10 * PART + 123 };

static struct remote *remote;
static uint8_t big[BIG];

static struct remote *open_with(void (*change)(struct remote_options *o))
{
    struct remote_options o;
    struct remote_credentials c = {.access_key = "KEY", .secret = SECRET};
    struct remote *r = NULL;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", http_server_port(server));
    remote_options_default(&o);
    o.endpoint = endpoint;
    o.bucket = "tier";
    o.prefix = "pre/";
    o.credentials = &c;
    o.part_bytes = PART;
    o.backoff_ms = 1;
    o.backoff_max_ms = 4;
    if (change)
        change(&o);
    MUST(remote_open(&o, &r, &err));
    return r;
}

static status_t put(struct remote *r, const char *key, const void *data, size_t len,
                    const struct remote_put_options *o, struct remote_info *info)
{
    const struct remote_source source = remote_source_memory(data, len);
    struct error why;
    return remote_put(r, key, &source, o, NULL, info, &why);
}

static uint8_t back[BIG];
static status_t get(struct remote *r, const char *key, const struct remote_get_options *o,
                    size_t *ret_len, struct remote_info *info)
{
    struct remote_buffer b = {back, sizeof back, 0};
    const struct remote_sink sink = remote_sink_buffer(&b);
    struct error why = {0};
    memset(back, 0xee, sizeof back);
    status_t st = remote_get(r, key, &sink, o, NULL, info, &why);
    if (st != ST_OK)
        printf("     %s: %s\n", status_name(st), why.text);
    *ret_len = b.len;
    return st;
}

static void what_is_put_is_got(void)
{
    static const size_t sizes[] = {0, 1, 1000, PART - 1, PART, PART + 1, 3 * PART, BIG};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct remote_info in, out, head;
        size_t len;
        CHECK_EQ(put(remote, "object", big, sizes[i], NULL, &in), ST_OK);
        CHECK_EQ(in.size, sizes[i]);
        CHECK_EQ(get(remote, "object", NULL, &len, &out), ST_OK);
        CHECK(len == sizes[i] && out.size == len && memcmp(back, big, len) == 0);
        CHECK_STR(in.etag, out.etag);
        CHECK_EQ(out.crc32c, hash_crc32c(0, big, len));
        MUST(remote_head(remote, "object", NULL, NULL, NULL, &head, &err));
        CHECK(head.size == len && head.modified_s > 1600000000);
        CHECK_STR(head.etag, in.etag);
    }
}

static void keys_of_any_kind_are_kept(void)
{
    static const char *const keys[] = {
        "a b+c%20%",    "../x/./y//z",  "/",       "\xc3\xbc/\xe2\x82\xac",
        "?a=b&c#d;'\"", "~-._!*()@:,$", "\x01\x1f"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t len;
        CHECK_EQ(put(remote, keys[i], keys[i], strlen(keys[i]), NULL, NULL), ST_OK);
        CHECK_EQ(get(remote, keys[i], NULL, &len, NULL), ST_OK);
        CHECK(len == strlen(keys[i]) && memcmp(back, keys[i], len) == 0);
    }
    static const char *const bad[] = {"", "\xff", "\xc0\xaf", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(put(remote, bad[i], "", 0, NULL, NULL), ST_INVAL);
    char longest[REMOTE_KEY_MAX + 2] = "";
    memset(longest, 'k', REMOTE_KEY_MAX - 4);
    CHECK_EQ(put(remote, longest, "x", 1, NULL, NULL), ST_OK);
    longest[REMOTE_KEY_MAX - 4] = 'k';
    CHECK_EQ(put(remote, longest, "x", 1, NULL, NULL), ST_INVAL);
    struct remote_page page;
    const struct remote_list_query q = {.prefix = "\x01"};
    MUST(remote_list(remote, &q, NULL, &page, &err));
    CHECK(page.count == 1 && strcmp(page.entries[0].key, "\x01\x1f") == 0);
    remote_page_done(&page);
}

static void seen_header(void *arg, const char *name, const char *value)
{
    if (strcasecmp(name, "x-amz-meta-color") == 0)
        snprintf(arg, 32, "%s", value);
}

static void headers_travel(void)
{
    const struct http_header headers[] = {
        {"Content-Type", "image/png"}, {"x-amz-meta-color", "deep blue"}, {"x-amz-meta-empty", ""}};
    const struct remote_put_options o = {.headers = headers, .header_count = 3};
    struct remote_info info;
    char color[32] = "";
    CHECK_EQ(put(remote, "attributes", "x", 1, &o, NULL), ST_OK);
    MUST(remote_head(remote, "attributes", seen_header, color, NULL, &info, &err));
    CHECK_STR(info.content_type, "image/png");
    CHECK_STR(color, "deep blue");
    const struct http_header bad[] = {{"x-amz-meta-a", "b\r\nx-amz-acl: public-read"},
                                      {"x-amz-acl", "public-read"},
                                      {"a b", "c"},
                                      {"Authorization", "x"}};
    for (size_t i = 0; i < 4; i++) {
        const struct remote_put_options wrong = {.headers = bad + i, .header_count = 1};
        CHECK_EQ(put(remote, "attributes", "y", 1, &wrong, NULL), ST_INVAL);
    }
}

static void conditions_hold(void)
{
    struct remote_put_options o = {.if_none = true};
    struct remote_info first, second;
    size_t len;
    CHECK_EQ(put(remote, "once", "1", 1, &o, &first), ST_OK);
    CHECK_EQ(put(remote, "once", "2", 1, &o, NULL), ST_EXIST);
    CHECK_EQ(put(remote, "once", big, BIG, &o, NULL), ST_EXIST);
    o = (struct remote_put_options){.if_match = first.etag};
    CHECK_EQ(put(remote, "once", big, BIG, &o, &second), ST_OK);
    CHECK_EQ(put(remote, "once", "3", 1, &o, NULL), ST_CHANGED);
    CHECK_EQ(put(remote, "never", "3", 1, &o, NULL), ST_NOTFOUND);
    struct remote_get_options g = {.if_match = first.etag};
    CHECK_EQ(get(remote, "once", &g, &len, NULL), ST_CHANGED);
    g.if_match = second.etag;
    CHECK_EQ(get(remote, "once", &g, &len, NULL), ST_OK);
    CHECK_EQ(len, BIG);
    static const char *const wrong[] = {"a\r\nx-amz-meta-a: b", "a\nb", "a\", \"b", "\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        o.if_match = g.if_match = wrong[i];
        CHECK_EQ(put(remote, "once", "4", 1, &o, NULL), ST_INVAL);
        CHECK_EQ(put(remote, "once", big, BIG, &o, NULL), ST_INVAL);
        CHECK_EQ(get(remote, "once", &g, &len, NULL), ST_INVAL);
    }
}

static void ranges_are_exact(void)
{
    static const uint64_t offs[] = {0, 1, PART - 1, PART, BIG - 1};
    static const uint64_t lens[] = {0, 1, PART, PART + 1, 3 * PART};
    size_t len;
    CHECK_EQ(put(remote, "ranges", big, BIG, NULL, NULL), ST_OK);
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) {
            struct remote_get_options o = {.off = offs[i], .len = lens[k]};
            uint64_t want = lens[k] ? lens[k] : BIG - offs[i];
            bool fits = offs[i] + want <= BIG;
            struct remote_info info;
            CHECK_EQ(get(remote, "ranges", &o, &len, &info), (int)(fits ? ST_OK : ST_INVAL));
            if (!fits)
                continue;
            uint32_t crc = hash_crc32c(0, big + offs[i], want);
            CHECK(len == want && memcmp(back, big + offs[i], len) == 0 && info.crc32c == crc);
            o.has_crc32c = true;
            o.crc32c = crc;
            CHECK_EQ(get(remote, "ranges", &o, &len, NULL), ST_OK);
            o.crc32c = ~crc;
            CHECK_EQ(get(remote, "ranges", &o, &len, NULL), ST_CORRUPT);
        }
    }
    const struct remote_get_options behind = {.off = BIG};
    CHECK_EQ(get(remote, "ranges", &behind, &len, NULL), ST_INVAL);
}

static void files_go_both_ways(void)
{
    char from[96], to[96];
    snprintf(from, sizeof from, "%s/from", scratch);
    snprintf(to, sizeof to, "%s/to", scratch);
    MUST(file_write_atomic(from, big, BIG, 0600, FILE_NO_SYNC, &err));
    int in = open(from, O_RDONLY), out = open(to, O_RDWR | O_CREAT, 0600);
    struct remote_file source_file = {in, 0}, sink_file = {out, 0};
    const struct remote_source source = remote_source_file(&source_file, BIG);
    const struct remote_sink sink = remote_sink_file(&sink_file);
    struct error why;
    MUST(remote_put(remote, "file", &source, NULL, NULL, NULL, &err));
    MUST(remote_get(remote, "file", &sink, NULL, NULL, NULL, &err));
    CHECK(pread(out, back, BIG, 0) == BIG && memcmp(back, big, BIG) == 0);
    CHECK(ftruncate(out, 5) == 0);
    const struct remote_source shorter = remote_source_file(&sink_file, 6);
    CHECK_EQ(remote_put(remote, "file", &shorter, NULL, NULL, NULL, &why), ST_CHANGED);
    close(in);
    close(out);
}

static void a_buffer_that_is_full_ends_the_call(void)
{
    uint8_t small[10];
    struct remote_buffer b = {small, sizeof small, 0};
    const struct remote_sink sink = remote_sink_buffer(&b);
    struct error why = {0};
    CHECK_EQ(remote_get(remote, "file", &sink, NULL, NULL, NULL, &why), ST_LIMIT);
    CHECK(strstr(why.text, "GET http://127.0.0.1:") && strstr(why.text, "buffer's 10"));
}

static void what_is_deleted_is_gone(void)
{
    size_t len;
    struct remote_info info;
    struct error why;
    CHECK_EQ(put(remote, "gone", "x", 1, NULL, NULL), ST_OK);
    MUST(remote_delete(remote, "gone", NULL, &err));
    MUST(remote_delete(remote, "gone", NULL, &err));
    CHECK_EQ(get(remote, "gone", NULL, &len, NULL), ST_NOTFOUND);
    CHECK_EQ(remote_head(remote, "gone", NULL, NULL, NULL, &info, &why), ST_NOTFOUND);
}

enum { MANY = 2101 };
static char many[MANY][32];
static const char *many_keys[MANY];

static size_t count_of(const char *prefix)
{
    struct remote_page page = {0};
    struct remote_list_query q = {.prefix = prefix, .max = 700};
    size_t count = 0;
    char cursor[REMOTE_CURSOR_BYTES_MAX + 1];
    do {
        remote_page_done(&page);
        MUST(remote_list(remote, &q, NULL, &page, &err));
        for (size_t i = 0; i < page.count; i++)
            CHECK(strncmp(page.entries[i].key, prefix, strlen(prefix)) == 0);
        count += page.count;
        snprintf(cursor, sizeof cursor, "%s", page.cursor ? page.cursor : "");
        q.cursor = cursor;
    } while (page.cursor);
    remote_page_done(&page);
    return count;
}

static void many_are_listed_and_deleted(void)
{
    static status_t results[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(many[i], sizeof many[i], i == 7 ? "many/\x02 %zu" : "many/<&>%zu", i);
        many_keys[i] = many[i];
        char full[64];
        struct store_put *p;
        snprintf(full, sizeof full, "pre/%s", many[i]);
        MUST(store_put_begin(store, "tier", full, NULL, &p, &err));
        MUST(store_put_commit(p, NULL, NULL, &err));
    }
    CHECK_EQ(count_of("many/"), MANY);
    CHECK_EQ(count_of("many/<"), MANY - 1);
    many_keys[9] = many_keys[8]; /* twice */
    MUST(remote_delete_many(remote, many_keys, MANY, NULL, results, &err));
    for (size_t i = 0; i < MANY; i++)
        CHECK_EQ(results[i], ST_OK);
    CHECK_EQ(count_of("many/"), 1);
    MUST(remote_delete_many(remote, NULL, 0, NULL, NULL, &err));
}

static void folders_are_listed(void)
{
    static const char *const keys[] = {"f/a", "f/b/1", "f/b/2", "f/c", "g"};
    for (size_t i = 0; i < 5; i++)
        CHECK_EQ(put(remote, keys[i], "12", 2, NULL, NULL), ST_OK);
    struct remote_page page;
    struct remote_list_query q = {.prefix = "f/", .delimiter = "/"};
    MUST(remote_list(remote, &q, NULL, &page, &err));
    CHECK_EQ(page.count, 3);
    unsigned found = 0;
    for (size_t i = 0; i < page.count; i++) {
        const struct remote_entry *e = &page.entries[i];
        if (e->is_prefix)
            found |= strcmp(e->key, "f/b/") == 0 ? 1 : 8;
        else
            found |= e->size == 2 && e->modified_s > 1600000000 && strlen(e->etag) == 32 ? 2 : 8;
    }
    CHECK_EQ(found, 3);
    remote_page_done(&page);
    q = (struct remote_list_query){.after = "f/b/2", .prefix = "f/"};
    MUST(remote_list(remote, &q, NULL, &page, &err));
    CHECK(page.count == 1 && strcmp(page.entries[0].key, "f/c") == 0 && !page.cursor);
    remote_page_done(&page);
}

/* A source that fails at a place. */
struct breaking {
    const uint8_t *data;
    uint64_t fails_at;
};
static status_t read_breaking(void *arg, uint64_t off, void *data, size_t len, struct error *err)
{
    const struct breaking *b = arg;
    if (off + len > b->fails_at)
        return error_set(err, ST_IO, off, "the disk is broken");
    memcpy(data, b->data + off, len);
    return ST_OK;
}

static void an_upload_goes_on_where_it_was(void)
{
    struct breaking b = {big, 4 * PART};
    const struct remote_source broken = {BIG, read_breaking, &b};
    const struct remote_source whole = remote_source_memory(big, BIG);
    struct remote_upload *u = NULL;
    struct error why;
    char id[REMOTE_UPLOAD_ID_BYTES];
    size_t len;
    struct remote_info info;
    MUST(remote_upload_begin(remote, "resumed", BIG, NULL, 0, NULL, &u, &err));
    CHECK_EQ(remote_upload_parts(u), 11);
    CHECK_EQ(remote_upload_send(u, &broken, NULL, &why), ST_IO);
    CHECK_EQ(remote_upload_complete(u, NULL, NULL, NULL, &why), ST_INVAL);
    snprintf(id, sizeof id, "%s", remote_upload_id(u));
    remote_upload_free(u);

    struct remote *other = open_with(NULL);
    MUST(remote_upload_resume(other, "resumed", BIG, id, NULL, &u, &err));
    CHECK(remote_upload_sent_bytes(u) <= 4 * PART);
    CHECK_EQ(remote_upload_complete(u, NULL, NULL, NULL, &why), ST_INVAL);
    MUST(remote_upload_send(u, &whole, NULL, &err));
    CHECK_EQ(remote_upload_sent_bytes(u), BIG);
    MUST(remote_upload_complete(u, NULL, NULL, &info, &err));
    remote_upload_free(u);
    remote_close(other);
    CHECK_EQ(get(remote, "resumed", NULL, &len, NULL), ST_OK);
    CHECK(len == BIG && memcmp(back, big, BIG) == 0 && info.size == BIG);
    CHECK_EQ(remote_upload_resume(remote, "resumed", BIG, id, NULL, &u, &why), ST_NOTFOUND);
}

static void parts_of_other_bytes_are_sent_again(void)
{
    static uint8_t changed[BIG];
    const struct remote_source before = remote_source_memory(big, BIG);
    const struct remote_source after = remote_source_memory(changed, BIG);
    struct remote_upload *u = NULL, *again = NULL;
    size_t len;
    memcpy(changed, big, BIG);
    changed[3 * PART + 5] ^= 1;
    MUST(remote_upload_begin(remote, "changed", BIG, NULL, 0, NULL, &u, &err));
    MUST(remote_upload_send(u, &before, NULL, &err));
    MUST(remote_upload_resume(remote, "changed", BIG, remote_upload_id(u), NULL, &again, &err));
    CHECK_EQ(remote_upload_sent_bytes(again), BIG);
    MUST(remote_upload_send(again, &after, NULL, &err));
    MUST(remote_upload_complete(again, NULL, NULL, NULL, &err));
    CHECK_EQ(get(remote, "changed", NULL, &len, NULL), ST_OK);
    CHECK(len == BIG && memcmp(back, changed, BIG) == 0);
    remote_upload_free(u);
    remote_upload_free(again);
}

static void an_aborted_upload_is_gone(void)
{
    const struct remote_source source = remote_source_memory(big, BIG);
    struct remote_upload *u = NULL;
    struct error why;
    MUST(remote_upload_begin(remote, "aborted", BIG, NULL, 0, NULL, &u, &err));
    MUST(remote_upload_send(u, &source, NULL, &err));
    MUST(remote_upload_abort(u, NULL, &err));
    MUST(remote_upload_abort(u, NULL, &err));
    CHECK_EQ(remote_upload_complete(u, NULL, NULL, NULL, &why), ST_NOTFOUND);
    remote_upload_free(u);
    struct breaking b = {big, 4 * PART};
    const struct remote_source broken = {BIG, read_breaking, &b};
    CHECK_EQ(remote_put(remote, "aborted", &broken, NULL, NULL, NULL, &why), ST_IO);
    struct store_counters counters;
    MUST(store_counters(store, &counters, &err));
    CHECK_EQ(counters.uploads, 0);
}

static void with_other_bucket(struct remote_options *o)
{
    o->bucket = "missing";
}

static void a_missing_bucket_is_no_missing_object(void)
{
    struct remote *r = open_with(with_other_bucket);
    struct remote_info info;
    struct remote_page page;
    struct error why = {0};
    size_t len;
    const struct remote_list_query q = {0};
    CHECK_EQ(remote_head(r, "x", NULL, NULL, NULL, &info, &why), ST_INVAL);
    CHECK(strstr(why.text, "no bucket missing"));
    CHECK_EQ(get(r, "x", NULL, &len, NULL), ST_INVAL);
    CHECK_EQ(put(r, "x", "", 0, NULL, NULL), ST_INVAL);
    CHECK_EQ(remote_list(r, &q, NULL, &page, &why), ST_INVAL);
    CHECK_EQ(remote_delete(r, "x", NULL, &why), ST_INVAL);
    remote_close(r);
}

static void with_wrong_secret(struct remote_options *o)
{
    static const struct remote_credentials c = {.access_key = "KEY",
                                                .secret = "another-secret-0123456789"};
    o->credentials = &c;
}
static void with_wrong_key(struct remote_options *o)
{
    static const struct remote_credentials c = {.access_key = "NOKEY", .secret = SECRET};
    o->credentials = &c;
}
static void with_nothing(struct remote_options *o)
{
    o->credentials = NULL;
}

static void wrong_keys_are_refused_with_advice(void)
{
    static void (*const changes[])(struct remote_options *) = {with_wrong_secret, with_wrong_key,
                                                               with_nothing};
    static const char *const advice[] = {"check the secret key", "check the access key", "right"};
    for (size_t i = 0; i < 3; i++) {
        struct remote *r = open_with(changes[i]);
        const struct remote_source source = remote_source_memory("x", 1);
        struct error why = {0};
        CHECK_EQ(remote_put(r, "k", &source, NULL, NULL, NULL, &why), ST_PERM);
        CHECK(strstr(why.text, "403") && strstr(why.text, advice[i]) &&
              strstr(why.text, "request"));
        CHECK(!strstr(why.text, "secret-"));
        printf("     %s\n", why.text);
        remote_close(r);
    }
}

static void *work(void *arg)
{
    static const size_t sizes[] = {10, 3000, 2 * PART + 7};
    size_t failed = 0;
    uint8_t *mine = malloc(3 * PART);
    for (int i = 0; i < 12; i++) {
        char key[32];
        size_t size = sizes[i % 3], at = (size_t)i * 100;
        struct remote_buffer b = {mine, 3 * PART, 0};
        const struct remote_sink sink = remote_sink_buffer(&b);
        const struct remote_source source = remote_source_memory(big + at, size);
        struct error why;
        snprintf(key, sizeof key, "thread/%p/%d", arg, i);
        failed += remote_put(remote, key, &source, NULL, NULL, NULL, &why) != ST_OK;
        failed += remote_get(remote, key, &sink, NULL, NULL, NULL, &why) != ST_OK;
        failed += b.len != size || memcmp(mine, big + at, size) != 0;
    }
    free(mine);
    return (void *)failed;
}

static void threads_share_a_client(void)
{
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (size_t i = 0; i < 6; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
}

static uint64_t seen_bytes;
static void see(void *arg, uint64_t bytes)
{
    (void)arg;
    seen_bytes = bytes;
}

static void progress_ends_at_the_size(void)
{
    const struct remote_call call = {.progress = see};
    const struct remote_source source = remote_source_memory(big, PART);
    struct remote_buffer b = {back, sizeof back, 0};
    const struct remote_sink sink = remote_sink_buffer(&b);
    MUST(remote_put(remote, "progress", &source, NULL, &call, NULL, &err));
    CHECK_EQ(seen_bytes, PART);
    CHECK_EQ(put(remote, "progress", big, BIG, NULL, NULL), ST_OK);
    MUST(remote_get(remote, "progress", &sink, NULL, &call, NULL, &err));
    CHECK_EQ(seen_bytes, BIG);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    ours_start();
    for (size_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)((uint32_t)i * 2654435761u >> 13);
    remote = open_with(NULL);
    RUN(what_is_put_is_got);
    RUN(keys_of_any_kind_are_kept);
    RUN(headers_travel);
    RUN(conditions_hold);
    RUN(ranges_are_exact);
    RUN(files_go_both_ways);
    RUN(a_buffer_that_is_full_ends_the_call);
    RUN(what_is_deleted_is_gone);
    RUN(many_are_listed_and_deleted);
    RUN(folders_are_listed);
    RUN(an_upload_goes_on_where_it_was);
    RUN(parts_of_other_bytes_are_sent_again);
    RUN(an_aborted_upload_is_gone);
    RUN(a_missing_bucket_is_no_missing_object);
    RUN(wrong_keys_are_refused_with_advice);
    RUN(threads_share_a_client);
    RUN(progress_ends_at_the_size);
    remote_close(remote);
    ours_stop();
    return CHECK_DONE();
}
