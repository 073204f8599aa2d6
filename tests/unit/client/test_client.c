#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "check.h"
#include "cloudskin/geds.h"
#include "geds/serve/serve.h"
#include "net/rpc/local.h"
#include "proto/geds.h"

/* The client against a store in this process. */

static char folder[64], path[100], address[128];
static int listen_fd;
static struct store *store;
static struct rpc_server *server;
static struct serve_context context;
static struct geds *g;
static struct geds_error err;

#define OK(call)                                                                     \
    do {                                                                             \
        if ((call) != GEDS_OK) {                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, err.text); \
            check_failures++;                                                        \
        }                                                                            \
    } while (0)

static void serve(void)
{
    struct error inner = {0};
    CHECK_EQ(rpc_local_listen(path, &listen_fd, &inner), ST_OK);
    const struct rpc_server_options o = {
        .listen_fd = listen_fd, .handler = serve_handler(), .ctx = &context};
    CHECK_EQ(rpc_server_start(&o, &server, &inner), ST_OK);
}

static void start(void)
{
    char state[128];
    struct error inner = {0};
    snprintf(folder, sizeof folder, "/tmp/geds-client-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/s", folder);
    snprintf(address, sizeof address, "unix:%s", path);
    snprintf(state, sizeof state, "%s/state", folder);
    const struct store_options options = {.sync = STORE_SYNC_OFF};
    if (store_open(state, &options, &store, &inner) != ST_OK) {
        fprintf(stderr, "%s\n", inner.text);
        exit(1);
    }
    context = (struct serve_context){
        .store = store, .version = "test", .state = folder, .s3 = "127.0.0.1:1"};
    serve();
    OK(geds_connect(address, &g, &err));
    OK(geds_bucket_create(g, "bucket", &err));
}

static int remove_entry(const char *name, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(name);
}

static void stop(void)
{
    geds_disconnect(g);
    rpc_server_stop(server);
    rpc_local_unlisten(path, listen_fd);
    store_close(store);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static uint8_t *pattern(size_t len, unsigned seed)
{
    uint8_t *bytes = malloc(len + 1);
    uint32_t x = seed * 2654435761U + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return bytes;
}

/* Is the object what pattern() gives? */
static bool holds(const char *key, size_t len, unsigned seed)
{
    struct geds_object *o = NULL;
    struct geds_error why;
    size_t got = 0;
    uint8_t *want = pattern(len, seed), *bytes = malloc(len + 10);
    if (geds_open(g, "bucket", key, &o, &why) != GEDS_OK) {
        fprintf(stderr, "%s: %s\n", key, why.text);
        free(want);
        free(bytes);
        return false;
    }
    bool good = geds_object_info(o)->size == len &&
                geds_pread(o, bytes, len + 10, 0, &got, &why) == GEDS_OK && got == len &&
                memcmp(bytes, want, len) == 0;
    geds_close(o);
    free(want);
    free(bytes);
    return good;
}

static void objects_of_all_sizes_come_back(void)
{
    static const size_t sizes[] = {0,     1,      16384,   16385,   65535,   65536,
                                   65537, 131072, 1048575, 1048576, 1048577, 20000000};
    start();
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *bytes = pattern(sizes[i], i);
        struct geds_info info;
        OK(geds_put(g, "bucket", "put", NULL, NULL, bytes, sizes[i], &info, &err));
        CHECK_EQ(info.size, sizes[i]);
        CHECK(holds("put", sizes[i], i));
        free(bytes);
    }
    stop();
}

static void a_writer_takes_pieces_of_any_size(void)
{
    static const size_t pieces[] = {1, 7, 100, 65536, 3, 200000, 65535, 3000000, 1};
    start();
    for (size_t total = 0; total < 9000000; total = 3 * total + 50000) {
        struct geds_writer *w = NULL;
        struct geds_info info;
        uint8_t *bytes = pattern(total, 77);
        size_t done = 0;
        OK(geds_create(g, "bucket", "written", NULL, &w, &err));
        for (unsigned i = 0; done < total; i++) {
            size_t n = pieces[i % 9] < total - done ? pieces[i % 9] : total - done;
            OK(geds_write(w, bytes + done, n, &err));
            done += n;
        }
        OK(geds_seal(w, NULL, &info, &err));
        CHECK_EQ(info.size, total);
        CHECK(holds("written", total, 77));
        free(bytes);
    }
    stop();
}

static void ranges_are_what_was_asked_for(void)
{
    enum { SIZE = 5000000 };
    struct geds_object *o = NULL;
    uint8_t *bytes = pattern(SIZE, 3), *got = malloc(SIZE);
    start();
    OK(geds_put(g, "bucket", "ranges", NULL, NULL, bytes, SIZE, NULL, &err));
    OK(geds_open(g, "bucket", "ranges", &o, &err));
    for (uint64_t off = 0; off < SIZE + 100; off = off * 3 / 2 + 1000) {
        for (size_t len = 1; len <= SIZE; len = 10 * len + 7) {
            size_t n = 0, want = off >= SIZE ? 0 : len < SIZE - off ? len : (size_t)(SIZE - off);
            OK(geds_pread(o, got, len, off, &n, &err));
            CHECK_EQ(n, want);
            CHECK(n == 0 || memcmp(got, bytes + off, n) == 0);
        }
    }
    geds_close(o);
    free(bytes);
    free(got);
    stop();
}

/* What geds_read_each gave so far. */
struct gathered {
    uint8_t *bytes;
    size_t room, len;
    unsigned calls, calls_max; /* 0: any number */
};

static bool gather(void *arg, const void *data, size_t len)
{
    struct gathered *got = arg;
    struct geds_info info;
    struct geds_error why;
    CHECK(len > 0 && len <= 1048576 && len <= got->room - got->len);
    memcpy(got->bytes + got->len, data, len);
    got->len += len;
    got->calls++;
    /* what it asks for comes behind many answers */
    CHECK_EQ(geds_stat(g, "bucket", "each", &info, &why), GEDS_OK);
    return got->calls != got->calls_max;
}

static void bytes_are_given_piece_by_piece(void)
{
    enum { SIZE = 20000000 };
    static const uint64_t offs[] = {0,       1,       16383,   16384, 16385,
                                    1048575, 1048576, 9999999, SIZE,  SIZE + 1};
    static const uint64_t lens[] = {0, 1, 16384, 1048576, 1048577, 8388608, 12345678, UINT64_MAX};
    struct geds_object *o = NULL;
    uint8_t *bytes = pattern(SIZE, 5);
    struct gathered got = {.bytes = malloc(SIZE)};
    start();
    OK(geds_put(g, "bucket", "each", NULL, NULL, bytes, SIZE, NULL, &err));
    for (int again = 0; again < 3; again++) { /* from files that are kept, too */
        OK(geds_open(g, "bucket", "each", &o, &err));
        for (unsigned i = 0; i < sizeof offs / sizeof offs[0]; i++) {
            for (unsigned j = 0; j < sizeof lens / sizeof lens[0]; j++) {
                uint64_t left = offs[i] < SIZE ? SIZE - offs[i] : 0;
                got.room = lens[j] < left ? lens[j] : left;
                got.len = got.calls = 0;
                OK(geds_read_each(o, offs[i], lens[j], gather, &got, &err));
                CHECK_EQ(got.len, got.room);
                CHECK(got.len == 0 || memcmp(got.bytes, bytes + offs[i], got.len) == 0);
            }
        }
        geds_close(o);
    }
    free(bytes);
    free(got.bytes);
    stop();
}

static void who_reads_piece_by_piece_may_stop(void)
{
    enum { SIZE = 20000000 };
    struct geds_object *o = NULL;
    uint8_t *bytes = pattern(SIZE, 6);
    struct gathered got = {.bytes = malloc(SIZE), .room = SIZE};
    start();
    OK(geds_put(g, "bucket", "each", NULL, NULL, bytes, SIZE, NULL, &err));
    OK(geds_open(g, "bucket", "each", &o, &err));
    for (got.calls_max = 1; got.calls_max < 15; got.calls_max++) {
        got.len = got.calls = 0;
        CHECK_EQ(geds_read_each(o, 0, UINT64_MAX, gather, &got, &err), GEDS_STOPPED);
        CHECK_EQ(got.calls, got.calls_max);
        CHECK(memcmp(got.bytes, bytes, got.len) == 0);
    }
    geds_close(o);
    CHECK(holds("each", SIZE, 6));
    free(bytes);
    free(got.bytes);
    stop();
}

static int damage_at_2500000(const char *name, const struct stat *info, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_F && info->st_size == 5000000) {
        int fd = open(name, O_WRONLY);
        CHECK_EQ(pwrite(fd, "damage", 6, 2500000), 6);
        close(fd);
    }
    return 0;
}

static void nothing_damaged_is_given(void)
{
    enum { SIZE = 5000000 };
    struct geds_object *o = NULL;
    uint8_t *bytes = pattern(SIZE, 7);
    struct gathered got = {.bytes = malloc(SIZE), .room = SIZE};
    start();
    OK(geds_put(g, "bucket", "each", NULL, NULL, bytes, SIZE, NULL, &err));
    CHECK_EQ(nftw(folder, damage_at_2500000, 16, FTW_PHYS), 0);
    OK(geds_open(g, "bucket", "each", &o, &err));
    CHECK_EQ(geds_read_each(o, 0, UINT64_MAX, gather, &got, &err), GEDS_CORRUPT);
    CHECK_EQ(err.offset, 2500000 / 65536 * 65536);
    CHECK_EQ(got.len, 2097152);
    CHECK(memcmp(got.bytes, bytes, got.len) == 0);
    geds_close(o);
    free(bytes);
    free(got.bytes);
    stop();
}

static void an_open_object_stays_as_it_is(void)
{
    enum { SIZE = 3000000 };
    struct geds_object *o = NULL;
    size_t n = 0;
    uint8_t *bytes = pattern(SIZE, 4), *got = malloc(SIZE);
    start();
    OK(geds_put(g, "bucket", "open", NULL, NULL, bytes, SIZE, NULL, &err));
    OK(geds_open(g, "bucket", "open", &o, &err));
    OK(geds_put(g, "bucket", "open", NULL, NULL, "new", 3, NULL, &err));
    OK(geds_delete(g, "bucket", "open", NULL, &err));
    OK(geds_pread(o, got, SIZE, 0, &n, &err));
    CHECK(n == SIZE && memcmp(got, bytes, SIZE) == 0);
    geds_close(o);
    free(bytes);
    free(got);
    stop();
}

static void attributes_and_conditions_arrive(void)
{
    const struct geds_attribute pairs[] = {{"x-amz-meta-who", "me"}, {"x-amz-meta-empty", ""}};
    const struct geds_attributes a = {"image/tiff", pairs, 2};
    struct geds_object *o = NULL;
    struct geds_info info = {0}, now;
    start();
    OK(geds_put(g, "bucket", "k", &a, &(struct geds_condition){.if_none = true}, "1", 1, &info,
                &err));
    CHECK_EQ(geds_put(g, "bucket", "k", NULL, &(struct geds_condition){.if_none = true}, "2", 1,
                      NULL, &err),
             GEDS_EXIST);
    CHECK_EQ(geds_put(g, "bucket", "k", NULL, &(struct geds_condition){.if_match = "other"}, "2", 1,
                      NULL, &err),
             GEDS_CHANGED);
    CHECK_EQ(geds_delete(g, "bucket", "k", &(struct geds_condition){.if_match = "other"}, &err),
             GEDS_CHANGED);
    OK(geds_open(g, "bucket", "k", &o, &err));
    const struct geds_attributes *got = geds_object_attributes(o);
    CHECK_STR(got->content_type, "image/tiff");
    CHECK_EQ(got->count, 2);
    CHECK_STR(got->pairs[0].name, "x-amz-meta-who");
    CHECK_STR(got->pairs[0].value, "me");
    CHECK_STR(got->pairs[1].value, "");
    geds_close(o);
    OK(geds_stat(g, "bucket", "k", &now, &err));
    CHECK_STR(now.etag, info.etag);
    OK(geds_put(g, "bucket", "k", NULL, &(struct geds_condition){.if_match = info.etag}, "2", 1,
                &now, &err));
    CHECK(strcmp(now.etag, info.etag) != 0);
    struct geds_writer *w = NULL;
    uint8_t *bytes = pattern(500000, 1);
    OK(geds_create(g, "bucket", "k", &a, &w, &err));
    OK(geds_write(w, bytes, 500000, &err));
    CHECK_EQ(geds_seal(w, &(struct geds_condition){.if_none = true}, NULL, &err), GEDS_EXIST);
    OK(geds_create(g, "bucket", "k2", &a, &w, &err));
    OK(geds_write(w, bytes, 500000, &err));
    OK(geds_seal(w, NULL, NULL, &err));
    OK(geds_open(g, "bucket", "k2", &o, &err));
    CHECK_STR(geds_object_attributes(o)->content_type, "image/tiff");
    geds_close(o);
    free(bytes);
    stop();
}

static uint64_t count_objects(void)
{
    struct geds_status s = {0};
    OK(geds_status(g, &s, &err));
    return s.objects;
}

/* An object of S3 is shown with these as headers and its key in XML. */
static void names_that_s3_could_not_show_are_refused(void)
{
    static const char *const names[] = {"x-amz-meta-a\tb",
                                        "x-amz-meta-\xc3\xa4",
                                        "a:b",
                                        "content-length",
                                        "Content-Length",
                                        "a b",
                                        "x-amz-object-lock-mode",
                                        "etag"};
    static const char *const keys[] = {"a\nb",  "\x7f",         "\xff",
                                       "a\xc3", "\xed\xa0\x80", "\xef\xbf\xbf"};
    struct geds_writer *w = NULL;
    uint64_t count = 0;
    start();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct geds_attribute pair = {names[i], "v"};
        const struct geds_attributes a = {NULL, &pair, 1};
        CHECK_EQ(geds_put(g, "bucket", "k", &a, NULL, "1", 1, NULL, &err), GEDS_INVAL);
    }
    const struct geds_attribute value = {"x-amz-meta-a", "1\r\nb: 2"};
    const struct geds_attributes of_value = {NULL, &value, 1}, of_type = {"a\nb", NULL, 0};
    CHECK_EQ(geds_put(g, "bucket", "k", &of_value, NULL, "1", 1, NULL, &err), GEDS_INVAL);
    CHECK(strstr(err.text, "control") != NULL);
    CHECK_EQ(geds_put(g, "bucket", "k", &of_type, NULL, "1", 1, NULL, &err), GEDS_INVAL);
    OK(geds_put(g, "bucket", "\xc3\xa4\xf0\x9f\x90\x80", NULL, NULL, "1", 1, NULL, &err));
    OK(geds_put(g, "bucket", "good", NULL, NULL, "1", 1, NULL, &err));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint8_t *bytes = pattern(100000, 1);
        CHECK_EQ(geds_put(g, "bucket", keys[i], NULL, NULL, "1", 1, NULL, &err), GEDS_INVAL);
        CHECK(strstr(err.text, "UTF-8") != NULL);
        CHECK_EQ(geds_append(g, "bucket", keys[i], NULL, "1", 1, NULL, &err), GEDS_INVAL);
        CHECK_EQ(geds_rename(g, "bucket", "good", "bucket", keys[i], NULL, &err), GEDS_INVAL);
        CHECK_EQ(geds_copy(g, "bucket", "good", "bucket", keys[i], NULL, NULL, NULL, &err),
                 GEDS_INVAL);
        CHECK_EQ(geds_rename_prefix(g, "bucket", "go", keys[i], &count, &err), GEDS_INVAL);
        OK(geds_create(g, "bucket", keys[i], NULL, &w, &err));
        OK(geds_write(w, bytes, 100000, &err));
        CHECK_EQ(geds_seal(w, NULL, NULL, &err), GEDS_INVAL);
        free(bytes);
    }
    stop();
}

static void what_is_not_sealed_leaves_nothing(void)
{
    struct geds_writer *w = NULL;
    struct geds *other = NULL;
    uint8_t *bytes = pattern(3000000, 1);
    start();
    OK(geds_create(g, "bucket", "aborted", NULL, &w, &err));
    OK(geds_write(w, bytes, 3000000, &err));
    geds_abort(w);
    OK(geds_create(g, "bucket", "never sent", NULL, &w, &err));
    geds_abort(w);
    OK(geds_connect(address, &other, &err));
    OK(geds_create(other, "bucket", "lost", NULL, &w, &err));
    OK(geds_write(w, bytes, 3000000, &err));
    geds_abort(w);
    geds_disconnect(other);
    CHECK_EQ(count_objects(), 0);
    struct geds_check check;
    OK(geds_fsck(g, false, NULL, NULL, &check, &err));
    CHECK_EQ(check.findings, 0);
    free(bytes);
    stop();
}

static void errors_of_a_writer_come_out_and_say_what_was_wrong(void)
{
    struct geds_writer *w = NULL;
    uint8_t *bytes = pattern(3000000, 1);
    start();
    OK(geds_create(g, "missing", "key", NULL, &w, &err));
    enum geds_code code = GEDS_OK;
    for (int i = 0; i < 20 && code == GEDS_OK; i++) {
        code = geds_write(w, bytes, 3000000, &err);
    }
    CHECK_EQ(code, GEDS_NOTFOUND);
    CHECK(strstr(err.text, "missing") != NULL);
    CHECK_EQ(geds_seal(w, NULL, NULL, &err), GEDS_NOTFOUND);
    OK(geds_create(g, "missing", "key", NULL, &w, &err));
    OK(geds_write(w, bytes, 10, &err));
    CHECK_EQ(geds_seal(w, NULL, NULL, &err), GEDS_NOTFOUND);
    CHECK_EQ(geds_create(g, "bucket", "", NULL, &w, &err), GEDS_INVAL);
    CHECK_EQ(count_objects(), 0);
    free(bytes);
    stop();
}

static void appends_are_whole_and_in_order(void)
{
    struct geds_info info;
    uint8_t *bytes = pattern(2500000, 9);
    start();
    OK(geds_append(g, "bucket", "log", &(struct geds_condition){.if_none = true}, bytes, 5, &info,
                   &err));
    OK(geds_append(g, "bucket", "log", &(struct geds_condition){.if_match = info.etag}, bytes + 5,
                   2500000 - 5, &info, &err));
    CHECK_EQ(info.size, 2500000);
    CHECK(holds("log", 2500000, 9));
    CHECK_EQ(geds_append(g, "bucket", "log", &(struct geds_condition){.if_none = true}, bytes, 5,
                         NULL, &err),
             GEDS_EXIST);
    OK(geds_append(g, "bucket", "log", NULL, "", 0, &info, &err));
    CHECK_EQ(info.size, 2500000);
    free(bytes);
    stop();
}

static void lists_go_on_and_are_complete(void)
{
    enum { COUNT = 2500 };
    char key[64], after[GEDS_KEY_MAX + 1] = "";
    unsigned seen = 0;
    start();
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "dir%d/%05d", i % 3, i);
        OK(geds_put(g, "bucket", key, NULL, NULL, key, strlen(key), NULL, &err));
    }
    for (bool more = true; more;) {
        struct geds_page *page = NULL;
        OK(geds_list(g, "bucket", &(struct geds_query){.start_after = after}, &page, &err));
        for (size_t i = 0; i < page->count; i++) {
            CHECK(strcmp(page->entries[i].key, after) > 0);
            CHECK_EQ(page->entries[i].info.size, 10);
            snprintf(after, sizeof after, "%s", page->entries[i].key);
            seen++;
        }
        more = page->more;
        geds_page_free(page);
    }
    CHECK_EQ(seen, COUNT);
    struct geds_page *page = NULL;
    OK(geds_list(g, "bucket", &(struct geds_query){.delimiter = "/", .max = 2}, &page, &err));
    CHECK_EQ(page->count, 2);
    CHECK(page->more && page->entries[0].is_prefix);
    CHECK_STR(page->entries[1].key, "dir1/");
    geds_page_free(page);
    uint64_t count = 0;
    OK(geds_rename_prefix(g, "bucket", "dir1/", "moved/", &count, &err));
    CHECK_EQ(count, COUNT / 3);
    CHECK_EQ(geds_rename_prefix(g, "bucket", "dir1/", "moved/", &count, &err), GEDS_NOTFOUND);
    stop();
}

static void the_longest_keys_fit_into_a_list(void)
{
    enum { COUNT = 1000 };
    static char keys[COUNT][GEDS_KEY_MAX + 1];
    static const char *pointers[COUNT];
    static enum geds_code codes[COUNT];
    size_t seen = 0;
    char after[GEDS_KEY_MAX + 1] = "";
    start();
    for (int i = 0; i < COUNT; i++) {
        memset(keys[i], 'k', GEDS_KEY_MAX);
        snprintf(keys[i], sizeof keys[i], "%04d", i);
        keys[i][4] = 'k';
        pointers[i] = keys[i];
        OK(geds_put(g, "bucket", keys[i], NULL, NULL, "x", 1, NULL, &err));
    }
    for (bool more = true; more && seen < COUNT;) {
        struct geds_page *page = NULL;
        OK(geds_list(g, "bucket", &(struct geds_query){.start_after = after}, &page, &err));
        seen += page->count;
        snprintf(after, sizeof after, "%s", page->entries[page->count - 1].key);
        more = page->more;
        geds_page_free(page);
    }
    CHECK_EQ(seen, COUNT);
    OK(geds_delete_many(g, "bucket", pointers, COUNT, codes, &err));
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(codes[i], GEDS_OK);
    }
    OK(geds_delete_many(g, "bucket", pointers, 1, codes, &err));
    CHECK_EQ(codes[0], GEDS_NOTFOUND);
    CHECK_EQ(count_objects(), 0);
    stop();
}

static void names_move_and_are_copied(void)
{
    struct geds_info info;
    const struct geds_condition none = {.if_none = true};
    start();
    OK(geds_bucket_create(g, "other", &err));
    OK(geds_put(g, "bucket", "a", NULL, NULL, "a", 1, NULL, &err));
    OK(geds_rename(g, "bucket", "a", "other", "b", NULL, &err));
    CHECK_EQ(geds_stat(g, "bucket", "a", &info, &err), GEDS_NOTFOUND);
    OK(geds_copy(g, "other", "b", "bucket", "c", NULL, NULL, &info, &err));
    CHECK_EQ(geds_copy(g, "other", "b", "bucket", "c", NULL, &none, NULL, &err), GEDS_EXIST);
    CHECK_EQ(geds_rename(g, "other", "b", "bucket", "c", &none, &err), GEDS_EXIST);
    CHECK_EQ(geds_rename(g, "other", "nothing", "bucket", "d", NULL, &err), GEDS_NOTFOUND);
    CHECK_EQ(count_objects(), 2);
    stop();
}

static void buckets_are_made_listed_and_removed(void)
{
    struct geds_bucket *buckets = NULL, one;
    size_t count = 0;
    char name[32];
    start();
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "b%03d", i);
        OK(geds_bucket_create(g, name, &err));
    }
    CHECK_EQ(geds_bucket_create(g, "b007", &err), GEDS_EXIST);
    CHECK_EQ(geds_bucket_create(g, "No Bucket", &err), GEDS_INVAL);
    OK(geds_put(g, "b007", "k", NULL, NULL, "12345", 5, NULL, &err));
    OK(geds_bucket_list(g, &buckets, &count, &err));
    CHECK_EQ(count, 101);
    CHECK_STR(buckets[7].name, "b007");
    CHECK_EQ(buckets[7].bytes, 5);
    free(buckets);
    OK(geds_bucket_status(g, "b007", &one, &err));
    CHECK_EQ(one.objects, 1);
    CHECK_EQ(geds_bucket_delete(g, "b007", &err), GEDS_EXIST);
    OK(geds_bucket_delete(g, "b008", &err));
    CHECK_EQ(geds_bucket_status(g, "b008", &one, &err), GEDS_NOTFOUND);
    stop();
}

static void open_objects_of_a_connection_are_bounded(void)
{
    enum { PIECE = 256 * 1024, PIECES = 17 }; /* of more than a client keeps */
    static struct geds_object *objects[SERVE_HANDLES_MAX];
    struct geds_object *one_more = NULL;
    uint8_t *bytes = pattern(PIECE, 1);
    start();
    for (int i = 0; i < PIECES; i++) {
        OK(geds_append(g, "bucket", "k", NULL, bytes, PIECE, NULL, &err));
    }
    free(bytes);
    for (int i = 0; i < SERVE_HANDLES_MAX; i++) {
        OK(geds_open(g, "bucket", "k", &objects[i], &err));
    }
    CHECK_EQ(geds_open(g, "bucket", "k", &one_more, &err), GEDS_LIMIT);
    geds_close(objects[0]);
    OK(geds_open(g, "bucket", "k", &objects[0], &err));
    for (int i = 0; i < SERVE_HANDLES_MAX; i++) {
        geds_close(objects[i]);
    }
    stop();
}

enum { THREADS = 12, ROUNDS = 25 };

/* Large and small writes and reads at once over one connection: both sides' sockets are full at times. */
static void *worker(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    size_t size = me % 3 == 0 ? 100 : me % 3 == 1 ? 70000 : 6000000;
    uint8_t *bytes = pattern(size, me);
    char key[32];
    snprintf(key, sizeof key, "thread%u", me);
    for (int i = 0; i < (size > 1000000 ? ROUNDS / 5 : ROUNDS); i++) {
        struct geds_error why = {0};
        if (geds_put(g, "bucket", key, NULL, NULL, bytes, size, NULL, &why) != GEDS_OK) {
            fprintf(stderr, "%s\n", why.text);
            check_failures++;
        }
        if (!holds(key, size, me)) {
            check_failures++;
        }
    }
    free(bytes);
    return NULL;
}

static void many_threads_share_a_connection(void)
{
    pthread_t threads[THREADS];
    start();
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, worker, (void *)i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    CHECK_EQ(count_objects(), THREADS);
    stop();
}

static void *asker(void *arg)
{
    struct geds_info info;
    struct geds_error why;
    enum geds_code code = GEDS_OK;
    (void)arg;
    for (int i = 0; i < 1000000 && (code == GEDS_OK || code == GEDS_NOTFOUND); i++) {
        code = geds_stat(g, "bucket", "nothing", &info, &why);
    }
    CHECK_EQ(code, GEDS_IO);
    return NULL;
}

static void a_lost_connection_ends_all_its_calls(void)
{
    pthread_t threads[4];
    struct geds_info info;
    start();
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, asker, NULL), 0);
    }
    struct rpc_server_counters n = {0};
    while (n.requests < 200) { /* they are in the middle of it */
        sched_yield();
        rpc_server_counters(server, &n);
    }
    rpc_server_stop(server);
    rpc_local_unlisten(path, listen_fd);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    CHECK_EQ(geds_stat(g, "bucket", "k", &info, &err), GEDS_IO);
    CHECK(strstr(err.text, "lost") != NULL);
    geds_disconnect(g);
    CHECK_EQ(geds_connect(address, &g, &err), GEDS_NOTFOUND);
    serve();
    OK(geds_connect(address, &g, &err));
    CHECK_EQ(geds_stat(g, "bucket", "k", &info, &err), GEDS_NOTFOUND);
    stop();
}

enum { LONG_BYTES = 20 * 1000 * 1000, LONG_ROUNDS = 5, LONG_READERS = 3, LONG_WRITERS = 2 };

static void *long_reader(void *arg)
{
    const uint8_t *want = arg;
    struct geds_object *o = NULL;
    struct geds_error why;
    uint8_t *bytes = malloc(LONG_BYTES);
    CHECK_EQ(geds_open(g, "bucket", "long", &o, &why), GEDS_OK);
    for (int i = 0; i < LONG_ROUNDS; i++) {
        size_t got = 0;
        CHECK_EQ(geds_pread(o, bytes, LONG_BYTES, 0, &got, &why), GEDS_OK);
        CHECK(got == LONG_BYTES && memcmp(bytes, want, got) == 0);
    }
    geds_close(o);
    free(bytes);
    return NULL;
}

static void *long_writer(void *arg)
{
    const uint8_t *bytes = arg;
    char key[32];
    struct geds_error why;
    snprintf(key, sizeof key, "of-%lx", (unsigned long)pthread_self());
    for (int i = 0; i < 15 * LONG_ROUNDS; i++) {
        CHECK_EQ(geds_put(g, "bucket", key, NULL, NULL, bytes, 1024 * 1024, NULL, &why), GEDS_OK);
    }
    return NULL;
}

/* The server reads nothing more while a request has to wait: who sends then must not wait for a reader that in turn
 * waits to send. */
static void threads_that_read_and_write_much_do_not_block_each_other(void)
{
    pthread_t threads[LONG_READERS + LONG_WRITERS];
    uint8_t *bytes = pattern(LONG_BYTES, 3);
    start();
    OK(geds_put(g, "bucket", "long", NULL, NULL, bytes, LONG_BYTES, NULL, &err));
    for (int i = 0; i < LONG_READERS + LONG_WRITERS; i++) {
        CHECK_EQ(
            pthread_create(&threads[i], NULL, i < LONG_READERS ? long_reader : long_writer, bytes),
            0);
    }
    for (int i = 0; i < LONG_READERS + LONG_WRITERS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    free(bytes);
    stop();
}

/* A server that answers with these bytes whatever is asked, then ends. */
struct liar {
    int fd;
    const uint8_t *bytes;
    size_t len;
};
static void *liar_main(void *arg)
{
    const struct liar *l = arg;
    uint8_t ignored[256];
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    poll(&p, 1, 10000);
    int fd = accept(l->fd, NULL, NULL);
    if (fd >= 0 && recv(fd, ignored, sizeof ignored, 0) > 0) {
        send(fd, l->bytes, l->len, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        while (recv(fd, ignored, sizeof ignored, 0) > 0) {
        }
    }
    close(fd);
    return NULL;
}

static enum geds_code connect_to_liar(const uint8_t *bytes, size_t len)
{
    struct liar l = {.bytes = bytes, .len = len};
    struct geds *other = NULL;
    pthread_t thread;
    char name[120], to[140];
    struct error inner;
    snprintf(name, sizeof name, "%s/liar", folder);
    snprintf(to, sizeof to, "unix:%s", name);
    CHECK_EQ(rpc_local_listen(name, &l.fd, &inner), ST_OK);
    CHECK_EQ(pthread_create(&thread, NULL, liar_main, &l), 0);
    enum geds_code code = geds_connect(to, &other, &err);
    CHECK(other == NULL || code == GEDS_OK);
    geds_disconnect(other);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    rpc_local_unlisten(name, l.fd);
    return code;
}

static void a_server_that_lies_is_no_danger(void)
{
    struct buf args = {0}, b = {0};
    uint8_t head[RPC_HEADER_BYTES];
    start();
    CHECK_EQ(connect_to_liar((const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\nand more", 37),
             GEDS_CORRUPT);
    CHECK_EQ(connect_to_liar((const uint8_t *)"", 0), GEDS_IO);
    rpc_result_encode(ST_OK, NULL, &args);
    buf_le16(&args, RPC_VERSION);
    struct rpc_frame f = {.args_bytes = (uint32_t)args.len,
                          .id = 1,
                          .flags = RPC_ANSWER,
                          .args_crc = hash_crc32c(0, args.data, args.len)};
    rpc_frame_encode(&f, head);
    buf_bytes(&b, head, sizeof head);
    buf_bytes(&b, args.data, args.len);
    CHECK_EQ(connect_to_liar(b.data, b.len), GEDS_OK);
    for (size_t len = 1; len < b.len; len += 3) {
        CHECK_EQ(connect_to_liar(b.data, len), GEDS_IO);
    }
    f.id = 99;
    rpc_frame_encode(&f, b.data);
    CHECK_EQ(connect_to_liar(b.data, b.len), GEDS_FORMAT);
    f.id = 1;
    f.data_bytes = 5;
    rpc_frame_encode(&f, b.data);
    CHECK_EQ(connect_to_liar(b.data, b.len), GEDS_FORMAT);
    buf_done(&args);
    buf_done(&b);
    stop();
}

static void an_object_is_mapped(void)
{
    static const size_t sizes[] = {0, 1, 16384, 16385, 100000, 5000001};
    start();
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct geds_object *o = NULL;
        const void *data = NULL;
        size_t len = 99;
        uint8_t *bytes = pattern(sizes[i], i);
        OK(geds_put(g, "bucket", "map", NULL, NULL, bytes, sizes[i], NULL, &err));
        OK(geds_open(g, "bucket", "map", &o, &err));
        OK(geds_map(o, &data, &len, &err));
        geds_close(o);
        OK(geds_delete(g, "bucket", "map", NULL, &err));
        CHECK_EQ(len, sizes[i]);
        CHECK(len == 0 || memcmp(data, bytes, len) == 0);
        geds_unmap(data, len);
        free(bytes);
    }
    stop();
}

/* Appends make pieces: of whole pages these are mapped, else the object is copied. */
static void an_object_of_many_pieces_is_mapped(void)
{
    enum { PIECE = 512 * 1024, PIECES = 40 };
    uint8_t *bytes = pattern(PIECE * PIECES + 100, 5);
    start();
    for (size_t odd = 0; odd <= 100; odd += 100) {
        struct geds_object *o = NULL;
        const void *data = NULL;
        size_t len = 0;
        OK(geds_append(g, "bucket", odd ? "odd" : "even", NULL, bytes, PIECE + odd, NULL, &err));
        for (size_t i = 1; i < PIECES; i++) {
            OK(geds_append(g, "bucket", odd ? "odd" : "even", NULL, bytes + odd + i * PIECE, PIECE,
                           NULL, &err));
        }
        OK(geds_open(g, "bucket", odd ? "odd" : "even", &o, &err));
        OK(geds_map(o, &data, &len, &err));
        CHECK_EQ(len, PIECE * PIECES + odd);
        CHECK(memcmp(data, bytes, len) == 0);
        geds_unmap(data, len);
        geds_close(o);
    }
    free(bytes);
    stop();
}

static unsigned open_files(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void maps_keep_no_file_open(void)
{
    struct geds_object *o = NULL;
    const void *data = NULL;
    size_t len = 0;
    uint8_t *bytes = pattern(200000, 5);
    start();
    OK(geds_put(g, "bucket", "k", NULL, NULL, bytes, 200000, NULL, &err));
    OK(geds_open(g, "bucket", "k", &o, &err));
    unsigned before = 0;
    for (int i = 0; i < 50; i++) {
        OK(geds_map(o, &data, &len, &err));
        geds_unmap(data, len);
        before = i == 5 ? open_files() : before;
    }
    /* the server, in this process, closes its own when the answer is on its way */
    for (int i = 0; i < 500 && open_files() > before; i++) {
        poll(NULL, 0, 10);
    }
    CHECK(open_files() <= before);
    geds_close(o);
    free(bytes);
    stop();
}

static uint32_t random_state = 12345;
static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

/* A request that is mostly right, or bytes, in a frame that is right. */
static void random_frame(struct buf *out)
{
    static const char *const buckets[] = {"bucket", "other", "", "No Such"};
    static const char *const names[] = {"a", "b", "dir/", "dir/x", ""};
    struct buf args = {0};
    struct arena arena = {0};
    uint8_t head[RPC_HEADER_BYTES], data[300];
    unsigned op = random_below(GEDS_OP_END + 1);
    uint32_t handle = random_below(4), n = random_below(sizeof data);
    const struct geds_request r = {.bucket = buckets[random_below(4)],
                                   .key = names[random_below(5)],
                                   .to_bucket = buckets[random_below(4)],
                                   .to_key = names[random_below(5)],
                                   .prefix = names[random_below(5)],
                                   .to_prefix = names[random_below(5)],
                                   .handle = handle,
                                   .offset = random_below(3) * 100,
                                   .max = random_below(2000),
                                   .condition = {.if_none = random_below(9) == 0}};
    memset(data, (int)random_below(256), sizeof data);
    if (geds_op_is_known(op) && op != GEDS_FSCK) {
        geds_request_encode((enum geds_op)op, &r, &args);
    }
    if (random_below(8) == 0 && args.len > 0) {
        args.data[random_below((uint32_t)args.len)] ^= (uint8_t)(1U << random_below(8));
    }
    const struct rpc_frame f = {.args_bytes = (uint32_t)args.len,
                                .data_bytes = n,
                                .id = 1 + random_below(1000),
                                .lane = random_below(2) ? handle : 0,
                                .room = random_below(2) ? RPC_DATA_MAX : random_below(1000),
                                .kind = (uint16_t)op,
                                .args_crc = hash_crc32c(0, args.data, args.len),
                                .data_crc = hash_crc32c(0, data, n) ^ (random_below(20) == 0)};
    rpc_frame_encode(&f, head);
    buf_bytes(out, head, sizeof head);
    buf_bytes(out, args.data, args.len);
    buf_bytes(out, data, n);
    buf_done(&args);
    arena_done(&arena);
}

static void hello_frame(struct buf *out)
{
    uint8_t head[RPC_HEADER_BYTES];
    struct buf args = {0};
    rpc_hello_encode(1, 1, &args);
    const struct rpc_frame f = {
        .args_bytes = (uint32_t)args.len, .id = 1, .args_crc = hash_crc32c(0, args.data, args.len)};
    rpc_frame_encode(&f, head);
    buf_bytes(out, head, sizeof head);
    buf_bytes(out, args.data, args.len);
    buf_done(&args);
}

static void random_requests_do_no_harm(void)
{
    static uint8_t ignored[65536];
    struct geds_check check;
    struct error inner;
    start();
    OK(geds_put(g, "bucket", "a", NULL, NULL, "12345", 5, NULL, &err));
    for (int round = 0; round < 60; round++) {
        struct buf out = {0};
        int fd = -1;
        CHECK_EQ(rpc_local_connect(path, &fd, &inner), ST_OK);
        hello_frame(&out);
        for (int i = 0; i < 40; i++) {
            random_frame(&out);
        }
        if (round % 4 == 0) { /* and damage */
            out.data[random_below((uint32_t)out.len)] ^= 4;
        }
        for (size_t at = 0; at < out.len;) {
            ssize_t n = send(fd, out.data + at, out.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
            at += n > 0 ? (size_t)n : 0;
            struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
            if (n <= 0 && (poll(&p, 1, 10000) != 1 || (p.revents & (POLLHUP | POLLERR)) != 0)) {
                break;
            }
            while (recv(fd, ignored, sizeof ignored, MSG_DONTWAIT) > 0) {
            }
        }
        if (round % 2 == 0) {
            shutdown(fd, SHUT_WR);
            while (recv(fd, ignored, sizeof ignored, 0) > 0) {
            }
        }
        close(fd);
        buf_done(&out);
    }
    CHECK_EQ(geds_fsck(g, false, NULL, NULL, &check, &err), GEDS_OK);
    CHECK_EQ(check.findings, 0);
    stop();
}

static void status_says_where_the_store_is(void)
{
    struct geds_status s;
    start();
    OK(geds_put(g, "bucket", "k", NULL, NULL, "12345", 5, NULL, &err));
    OK(geds_status(g, &s, &err));
    CHECK_STR(s.version, "test");
    CHECK_STR(s.state, folder);
    CHECK_STR(s.s3, "127.0.0.1:1");
    CHECK_EQ(s.buckets, 1);
    CHECK_EQ(s.objects, 1);
    CHECK_EQ(s.bytes, 5);
    CHECK_EQ(s.process, getpid());
    stop();
}

int main(void)
{
    RUN(objects_of_all_sizes_come_back);
    RUN(a_writer_takes_pieces_of_any_size);
    RUN(ranges_are_what_was_asked_for);
    RUN(bytes_are_given_piece_by_piece);
    RUN(who_reads_piece_by_piece_may_stop);
    RUN(nothing_damaged_is_given);
    RUN(an_open_object_stays_as_it_is);
    RUN(attributes_and_conditions_arrive);
    RUN(names_that_s3_could_not_show_are_refused);
    RUN(what_is_not_sealed_leaves_nothing);
    RUN(errors_of_a_writer_come_out_and_say_what_was_wrong);
    RUN(appends_are_whole_and_in_order);
    RUN(lists_go_on_and_are_complete);
    RUN(the_longest_keys_fit_into_a_list);
    RUN(names_move_and_are_copied);
    RUN(buckets_are_made_listed_and_removed);
    RUN(open_objects_of_a_connection_are_bounded);
    RUN(many_threads_share_a_connection);
    RUN(a_lost_connection_ends_all_its_calls);
    RUN(threads_that_read_and_write_much_do_not_block_each_other);
    RUN(a_server_that_lies_is_no_danger);
    RUN(an_object_is_mapped);
    RUN(an_object_of_many_pieces_is_mapped);
    RUN(maps_keep_no_file_open);
    RUN(random_requests_do_no_harm);
    RUN(status_says_where_the_store_is);
    return CHECK_DONE();
}
