#include "storetest.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/hash.h"
#include "base/parse.h"
#include "geds/crypt.h"

/* Puts that are written, cut and read at any place, against bytes in memory. */

enum { BYTES_MAX = 3 << 20, APPEND_BYTES = 300000, BLOCK = STORE_BLOCK_BYTES };
static const struct store_options no_sync = {.sync = STORE_SYNC_OFF};
static uint8_t model[BYTES_MAX], sealed[BYTES_MAX], source[BYTES_MAX], got[BYTES_MAX];
static size_t model_size, sealed_size;
static uint64_t random_state;

static size_t pick(size_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % below;
}

static void open_keys(void)
{
    char path[100];
    snprintf(path, sizeof path, "%s/keys", scratch);
    const struct store_keys_options o = {.path = path};
    MUST(store_set_keys(store, &o, &err));
}

/* Mostly near blocks' ends. */
static size_t pick_place(void)
{
    size_t at = pick(2) == 0 ? pick(BYTES_MAX / BLOCK) * BLOCK + pick(3) : pick(BYTES_MAX);
    at = at > 0 && pick(3) == 0 ? at - 1 : at;
    return at < BYTES_MAX ? at : BYTES_MAX - 1;
}

static void model_resize(size_t size)
{
    if (size > model_size) {
        memset(model + model_size, 0, size - model_size);
    }
    model_size = size;
}

static void write_somewhere(struct store_put *p)
{
    size_t at = pick(3) == 0 ? model_size : pick_place();
    size_t most = pick(3) == 0 ? 5 * BLOCK : pick(2) == 0 ? BLOCK : 100;
    size_t len = pick(4) == 0 ? (1 + pick(4)) * BLOCK : pick(most);
    at = at < BYTES_MAX ? at : 0;
    len = len < BYTES_MAX - at ? len : BYTES_MAX - at;
    const uint8_t *from = source + pick(BYTES_MAX - len + 1);
    if (at == model_size && pick(2) == 0) {
        MUST(store_put_write(p, from, len, &err));
    } else {
        MUST(store_put_write_at(p, from, len, at, &err));
    }
    if (len > 0 && at + len > model_size) {
        model_resize(at + len);
    }
    memcpy(model + at, from, len);
}

static void read_somewhere(struct store_put *p)
{
    size_t at = pick_place(), len = pick(4 * BLOCK), read = 0;
    size_t left = at < model_size ? model_size - at : 0;
    MUST(store_put_read(p, got, len, at, &read, &err));
    CHECK_EQ(read, len < left ? len : left);
    CHECK(memcmp(got, model + at, read) == 0);
}

static void change(struct store_put *p, size_t calls)
{
    for (size_t i = 0; i < calls; i++) {
        size_t what = pick(10);
        if (what == 0) {
            size_t size = pick(3) == 0 ? 0 : pick_place();
            MUST(store_put_set_size(p, size, &err));
            model_resize(size);
        } else if (what <= 3) {
            read_somewhere(p);
        } else {
            write_somewhere(p);
        }
        CHECK_EQ(store_put_size(p), model_size);
    }
}

/* An object of many extents, of odd sizes. */
static void append_some(void)
{
    for (size_t i = 0; i < 3 && sealed_size + APPEND_BYTES < BYTES_MAX; i++) {
        size_t len = APPEND_BYTES - pick(1000);
        MUST(store_append(store, "box", "k", source + i, len, NULL, NULL, &err));
        memcpy(sealed + sealed_size, source + i, len);
        sealed_size += len;
    }
}

static void one_object(void)
{
    struct store_put *p = NULL;
    struct store_info info = {0};
    if (pick(2) == 0) {
        MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
        model_size = 0;
    } else {
        MUST(store_put_begin_from(store, "box", "k", &p, &info, &err));
        CHECK_EQ(info.size, sealed_size);
        memcpy(model, sealed, sealed_size);
        model_size = sealed_size;
    }
    change(p, pick(40));
    CHECK(holds("box", "k", sealed, sealed_size));
    if (pick(4) == 0) {
        store_put_abort(p);
        return;
    }
    MUST(store_put_commit(p, NULL, &info, &err));
    CHECK_EQ(info.size, model_size);
    memcpy(sealed, model, model_size);
    sealed_size = model_size;
    CHECK(holds("box", "k", sealed, sealed_size));
}

static void random_calls(bool encrypts)
{
    store_make(&no_sync);
    open_keys();
    MUST(store_bucket_create(store, "box", "", &err));
    MUST(store_bucket_set_encrypt(store, "box", encrypts, &err));
    sealed_size = 0;
    MUST(put("box", "k", "", 0));
    for (int i = 0; i < 120 && check_failures == 0; i++) {
        one_object();
        if (pick(4) == 0) {
            append_some();
        }
        if (pick(20) == 0) {
            store_again(&no_sync);
            open_keys();
            CHECK(holds("box", "k", sealed, sealed_size));
        }
    }
    CHECK_EQ(files_in("new"), 0);
    check_sound();
    store_remove();
}

static void random_calls_do_what_memory_does(void)
{
    random_calls(false);
}

static void so_they_do_with_encryption(void)
{
    random_calls(true);
}

static void start(void)
{
    store_make(&no_sync);
    MUST(store_bucket_create(store, "box", "", &err));
}

static void sizes_beyond_4_gib_take_no_space_for_what_was_not_written(void)
{
    struct store_put *p = NULL;
    struct store_object *o = NULL;
    struct store_info info = {0};
    size_t n = 0;
    uint8_t bytes[16];
    const uint64_t far = (5ULL << 30) + 3;
    start();
    MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
    MUST(store_put_write_at(p, "far", 3, far, &err));
    MUST(store_put_write_at(p, "near", 4, 1, &err));
    MUST(store_put_commit(p, NULL, &info, &err));
    CHECK_EQ(info.size, far + 3);
    CHECK(strchr(info.etag, '-') != NULL);
    CHECK_EQ(files_in("data"), 3); /* the first, the last, and one for all zeros in between */
    MUST(store_object_open(store, "box", "k", &o, &err));
    MUST(store_object_read(o, bytes, sizeof bytes, far - 3, &n, &err));
    CHECK(n == 6 && memcmp(bytes, "\0\0\0far", 6) == 0);
    MUST(store_object_read(o, bytes, 6, 0, &n, &err));
    CHECK(memcmp(bytes, "\0near\0", 6) == 0);
    store_object_close(o);
    check_sound();
    MUST(store_put_begin_from(store, "box", "k", &p, &info, &err));
    MUST(store_put_set_size(p, (2ULL << 30) + 7, &err)); /* in what all zeros share */
    MUST(store_put_commit(p, NULL, &info, &err));
    check_sound();
    MUST(store_delete(store, "box", "k", NULL, &err));
    store_again(&no_sync);
    CHECK_EQ(files_in("data"), 0);
    store_remove();
}

static void a_change_shares_what_it_does_not_touch(void)
{
    struct store_put *p = NULL;
    struct store_info info = {0};
    start();
    sealed_size = 0;
    append_some();
    size_t before = files_in("data");
    MUST(store_copy(store, &(struct store_name){"box", "k"}, &(struct store_name){"box", "c"}, NULL,
                    NULL, NULL, NULL, &err));
    MUST(store_put_begin_from(store, "box", "k", &p, &info, &err));
    MUST(store_put_set_size(p, 4 * APPEND_BYTES, &err)); /* so that it is no small one */
    MUST(store_put_write_at(p, "X", 1, 5, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    CHECK_EQ(files_in("data"), before + 2); /* the first again, and the end */
    CHECK(holds("box", "c", sealed, sealed_size));
    check_sound();
    store_remove();
}

static void only_the_object_that_was_opened_is_replaced(void)
{
    struct store_put *p = NULL;
    struct store_info info = {0};
    start();
    for (size_t len = 10; len < 1000000; len *= 1000) {
        MUST(put("box", "k", source, len));
        MUST(store_put_begin_from(store, "box", "k", &p, &info, &err));
        MUST(store_put_write_at(p, "X", 1, 5, &err));
        MUST(put("box", "k", source + 1, len));
        CHECK_EQ(store_put_commit(p, NULL, NULL, NULL), ST_CHANGED);
        CHECK(holds("box", "k", source + 1, len));
        MUST(store_put_begin_from(store, "box", "k", &p, &info, &err));
        MUST(store_delete(store, "box", "k", NULL, &err));
        CHECK_EQ(store_put_commit(p, NULL, NULL, NULL), ST_NOTFOUND);
    }
    CHECK_EQ(store_put_begin_from(store, "box", "k", &p, &info, NULL), ST_NOTFOUND);
    CHECK_EQ(files_in("new"), 0);
    check_sound();
    store_remove();
}

static void small_ones_are_as_if_written_in_order(void)
{
    struct store_put *p = NULL;
    struct store_info info = {0}, plain = {0};
    start();
    MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
    MUST(store_put_write_at(p, source + BLOCK, BLOCK, BLOCK, &err));
    MUST(store_put_write_at(p, source, BLOCK, 0, &err));
    MUST(store_put_commit(p, NULL, &info, &err));
    MUST(put_if("box", "plain", source, 2 * BLOCK, NULL, &plain));
    CHECK_STR(info.etag, plain.etag);
    store_remove();
}

static void what_cannot_be_is_refused(void)
{
    struct store_put *p = NULL;
    uint64_t id = 0;
    start();
    MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
    CHECK_EQ(store_put_write_at(p, "x", 1, STORE_OBJECT_MAX, NULL), ST_INVAL);
    CHECK_EQ(store_put_commit(p, NULL, NULL, NULL), ST_IO);
    MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
    CHECK_EQ(store_put_set_size(p, STORE_OBJECT_MAX + 1, NULL), ST_INVAL);
    store_put_abort(p);
    MUST(store_upload_begin(store, "box", "k", NULL, &id, &err));
    MUST(store_upload_put_begin(store, "box", "k", id, 1, &p, &err));
    CHECK_EQ(store_put_write_at(p, "x", 1, 1, NULL), ST_INVAL);
    MUST(store_put_write(p, "x", 1, &err));
    MUST(store_put_commit(p, NULL, NULL, &err));
    store_remove();
}

static void damage_to_what_is_not_sealed_is_found(void)
{
    struct store_put *p = NULL;
    struct error found = {0};
    char path[400] = "";
    size_t n = 0;
    start();
    MUST(store_put_begin(store, "box", "k", NULL, &p, &err));
    MUST(store_put_write_at(p, source, 4 * BLOCK, BLOCK, &err));
    snprintf(path, sizeof path, "%s/new", scratch);
    DIR *folder = opendir(path);
    for (struct dirent *e = readdir(folder); e != NULL; e = readdir(folder)) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/new/%s", scratch, e->d_name);
        }
    }
    closedir(folder);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, "?!", 2, 2 * BLOCK + 9) == 2);
    close(fd);
    CHECK_EQ(store_put_read(p, got, BLOCK, BLOCK, &n, NULL), ST_OK);
    CHECK_EQ(store_put_read(p, got, BLOCK, 2 * BLOCK, &n, &found), ST_CORRUPT);
    CHECK_EQ(found.offset, 2 * BLOCK);
    CHECK_EQ(store_put_write_at(p, "x", 1, 2 * BLOCK + 1, NULL), ST_CORRUPT);
    CHECK(store_put_commit(p, NULL, NULL, NULL) != ST_OK);
    CHECK_EQ(files_in("new"), 0);
    store_remove();
}

static void a_full_disk_is_told_and_leaves_nothing(void)
{
    struct store_put *p = NULL;
    struct rlimit before, now;
    start();
    MUST(put("box", "k", source, 400000));
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    now = before;
    now.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &now), 0);
    MUST(store_put_begin_from(store, "box", "k", &p, &(struct store_info){0}, &err));
    status_t st = store_put_write_at(p, source, BLOCK, 3 << 20, NULL);
    CHECK(st == ST_LIMIT);
    CHECK(store_put_commit(p, NULL, NULL, NULL) != ST_OK);
    MUST(store_put_begin_from(store, "box", "k", &p, &(struct store_info){0}, &err));
    MUST(store_put_set_size(p, 3 << 20, &err));
    CHECK_EQ(store_put_commit(p, NULL, NULL, NULL), ST_LIMIT);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_EQ(files_in("new"), 0);
    CHECK(holds("box", "k", source, 400000));
    check_sound();
    store_remove();
}

/* What the child writes as its change n. */
static void nth_change(struct store_put *p, uint8_t n)
{
    memset(got, n, 3 * BLOCK);
    MUST(store_put_write_at(p, got, 3 * BLOCK, BLOCK / 2, &err));
    MUST(store_put_write_at(p, got, 100, (2 << 20) + n, &err));
    MUST(store_put_write_at(p, got, 3 * BLOCK, BLOCK, &err));
}

static void child(int to)
{
    struct store_put *p = NULL;
    struct store_info info = {0};
    MUST(store_open(scratch, NULL, &store, &err));
    open_keys();
    for (uint8_t n = 1; n < 200; n++) {
        MUST(store_put_begin_from(store, "box", "k", &p, &info, &err));
        nth_change(p, n);
        MUST(store_put_commit(p, NULL, NULL, &err));
        CHECK_EQ(write(to, &n, 1), 1);
    }
    _exit(0);
}

static void check_change(uint8_t acknowledged)
{
    struct store_object *o = NULL;
    uint8_t is = 0, ends[2] = {0};
    size_t n = 0;
    MUST(store_object_open(store, "box", "k", &o, &err));
    MUST(store_object_read(o, &is, 1, BLOCK / 2, &n, &err));
    CHECK(is >= acknowledged);
    MUST(store_object_read(o, ends, 1, 4 * BLOCK - 1, &n, &err));
    MUST(store_object_read(o, ends + 1, 1, (2 << 20) + is + 99, &n, &err));
    CHECK(ends[0] == is && ends[1] == is);
    CHECK_EQ(store_object_info(o)->size, (2 << 20) + is + 100);
    store_object_close(o);
    CHECK_EQ(files_in("new"), 0);
    check_sound();
}

static void a_kill_leaves_what_was_sealed_and_nothing_else(void)
{
    for (int round = 0; round < 6; round++) {
        int ends[2];
        uint8_t n = 0, wanted = (uint8_t)(1 + pick(5));
        start();
        open_keys();
        MUST(store_bucket_set_encrypt(store, "box", round % 2 == 1, &err));
        memset(model, 0, BYTES_MAX);
        MUST(put("box", "k", model, 2 << 20));
        store_close(store);
        store = NULL;
        CHECK_EQ(pipe(ends), 0);
        pid_t pid = fork();
        if (pid == 0) {
            child(ends[1]);
        }
        close(ends[1]);
        while (n < wanted && read(ends[0], &n, 1) == 1) {
        }
        for (volatile size_t spin = pick(3000000); spin > 0; spin--) {
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(ends[0], &n, 1) == 1) {
        }
        close(ends[0]);
        MUST(store_open(scratch, &no_sync, &store, &err));
        open_keys();
        check_change(n);
        store_remove();
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    if (argc > 1 && parse_u64(argv[1], UINT64_MAX, &seed) != ST_OK) {
        fprintf(stderr, "usage: %s [SEED]\n", argv[0]);
        return 64;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    random_state = seed | 1;
    fill(source, sizeof source, seed);
    RUN(random_calls_do_what_memory_does);
    RUN(so_they_do_with_encryption);
    RUN(sizes_beyond_4_gib_take_no_space_for_what_was_not_written);
    RUN(a_change_shares_what_it_does_not_touch);
    RUN(only_the_object_that_was_opened_is_replaced);
    RUN(small_ones_are_as_if_written_in_order);
    RUN(what_cannot_be_is_refused);
    RUN(damage_to_what_is_not_sealed_is_found);
    RUN(a_full_disk_is_told_and_leaves_nothing);
    RUN(a_kill_leaves_what_was_sealed_and_nothing_else);
    return CHECK_DONE();
}
