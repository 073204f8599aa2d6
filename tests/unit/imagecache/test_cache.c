#include "imagecache/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "sys/files.h"

static struct image_cache cache;

static struct image_key key_number(uint8_t n)
{
    struct image_key key = {.options = {.level = LEVEL_X86_64_V3, .opt_level = 1}};
    memset(key.module_hash, n, sizeof key.module_hash);
    snprintf(key.compiler, sizeof key.compiler, "test 1");
    return key;
}

struct maker {
    size_t bytes;
    status_t answer;
    int calls;
};

static status_t make(void *arg, const char *part_path, struct error *err)
{
    struct maker *m = arg;
    m->calls++;
    void *data = calloc(1, m->bytes + 1);
    status_t code = file_write_atomic(part_path, data, m->bytes, 0600, FILE_NO_SYNC, err);
    free(data);
    return code == ST_OK ? m->answer : code;
}

static status_t fill(uint8_t n, struct maker *m)
{
    struct image_key key = key_number(n);
    return image_cache_fill(&cache, &key, true, make, m, NULL);
}

static bool there(uint8_t n, const char *suffix)
{
    struct image_key key = key_number(n);
    char path[PATH_MAX];
    return image_cache_path(&cache, &key, suffix, path, NULL) == ST_OK && access(path, F_OK) == 0;
}

static void set_used(uint8_t n, time_t seconds)
{
    struct image_key key = key_number(n);
    char path[PATH_MAX];
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    CHECK_EQ(image_cache_path(&cache, &key, ".cell", path, NULL), ST_OK);
    CHECK_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
}

static unsigned count_files(void)
{
    unsigned count = 0;
    DIR *d = opendir(cache.dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        count += e->d_name[0] != '.';
    }
    if (d != NULL) {
        closedir(d);
    }
    return count;
}

static void empty(void)
{
    struct image_cache_removed removed;
    DIR *d = opendir(cache.dir);
    CHECK_EQ(image_cache_trim(&cache, 0, NULL, &removed, NULL), ST_OK);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d != NULL) {
        closedir(d);
    }
    cache.limit_bytes = IMAGE_CACHE_LIMIT_DEFAULT;
}

static void a_missing_folder_is_an_empty_cache(void)
{
    struct arena arena = {0};
    struct image_cache_entry *entries = NULL;
    struct image_cache_removed removed;
    uint32_t count = 7;
    CHECK_EQ(image_cache_list(&cache, &arena, &entries, &count, NULL), ST_OK);
    CHECK_EQ(count, 0);
    CHECK_EQ(image_cache_trim(&cache, 0, NULL, &removed, NULL), ST_OK);
    CHECK_EQ(removed.count, 0);
    arena_done(&arena);
}

static void every_part_of_the_key_is_in_its_text(void)
{
    struct image_key keys[6];
    char texts[6][IMAGE_KEY_MAX];
    for (int i = 0; i < 6; i++) {
        keys[i] = key_number(1);
    }
    keys[1].module_hash[31] = 2;
    keys[2].options.level = LEVEL_AARCH64;
    keys[3].options.nan = NAN_CANONICAL;
    keys[4].options.opt_level = 3;
    keys[5].compiler[0] = 'T';
    for (int i = 0; i < 6; i++) {
        image_key_text(&keys[i], texts[i]);
        for (int k = 0; k < i; k++) {
            CHECK(strcmp(texts[i], texts[k]) != 0);
        }
    }
}

static void an_image_is_made_once(void)
{
    struct maker m = {.bytes = 10};
    CHECK_EQ(fill(1, &m), ST_OK);
    CHECK_EQ(fill(1, &m), ST_OK);
    CHECK_EQ(m.calls, 1);
    CHECK(there(1, ".cell"));
    CHECK_EQ(count_files(), 1);
    empty();
}

static void a_failure_leaves_no_image_but_is_remembered(void)
{
    struct maker m = {.bytes = 10, .answer = ST_INVALID};
    CHECK_EQ(fill(1, &m), ST_INVALID);
    CHECK(!there(1, ".cell") && !there(1, ".part") && !there(1, ".lock") && there(1, ".failed"));
    m.answer = ST_OK;
    CHECK_EQ(fill(1, &m), ST_OK);
    CHECK_EQ(m.calls, 2);
    CHECK(there(1, ".cell") && !there(1, ".failed"));
    empty();
}

static void what_was_used_longest_ago_goes_first(void)
{
    struct maker m = {.bytes = 100};
    for (uint8_t n = 1; n <= 4; n++) {
        CHECK_EQ(fill(n, &m), ST_OK);
    }
    set_used(1, 4000);
    set_used(2, 1000);
    set_used(3, 3000);
    set_used(4, 2000);
    struct image_cache_removed removed = {0};
    CHECK_EQ(image_cache_trim(&cache, 250, NULL, &removed, NULL), ST_OK);
    CHECK_EQ(removed.count, 2);
    CHECK_EQ(removed.bytes, 200);
    CHECK(there(1, ".cell") && !there(2, ".cell") && there(3, ".cell") && !there(4, ".cell"));
    empty();
}

static void a_new_image_stays_even_when_it_is_over_the_limit(void)
{
    struct maker m = {.bytes = 100};
    CHECK_EQ(fill(1, &m), ST_OK);
    cache.limit_bytes = 150;
    m.bytes = 200;
    CHECK_EQ(fill(2, &m), ST_OK);
    CHECK(!there(1, ".cell") && there(2, ".cell"));
    empty();
}

static void an_image_that_is_being_made_is_not_touched(void)
{
    struct image_key key = key_number(1);
    char lock_path[PATH_MAX], part_path[PATH_MAX];
    struct maker m = {.bytes = 10};
    struct image_cache_removed removed;
    int lock = -1;
    CHECK_EQ(fill(2, &m), ST_OK);
    CHECK_EQ(image_cache_path(&cache, &key, ".lock", lock_path, NULL), ST_OK);
    CHECK_EQ(image_cache_path(&cache, &key, ".part", part_path, NULL), ST_OK);
    CHECK_EQ(file_write_atomic(part_path, "x", 1, 0600, FILE_NO_SYNC, NULL), ST_OK);
    CHECK_EQ(file_lock(lock_path, true, &lock, NULL), ST_OK);
    CHECK_EQ(image_cache_fill(&cache, &key, false, make, &m, NULL), ST_AGAIN);
    CHECK_EQ(image_cache_trim(&cache, 0, NULL, &removed, NULL), ST_OK);
    CHECK_EQ(removed.count, 1);
    CHECK(there(1, ".part") && there(1, ".lock"));
    file_lock_release(lock, lock_path);
    CHECK_EQ(image_cache_trim(&cache, 0, NULL, &removed, NULL), ST_OK);
    CHECK(!there(1, ".part"));
    empty();
}

static void the_list_is_sorted_by_use(void)
{
    struct maker m = {.bytes = 10};
    struct arena arena = {0};
    struct image_cache_entry *entries = NULL;
    uint32_t count = 0;
    for (uint8_t n = 1; n <= 100; n++) {
        m.bytes = n;
        CHECK_EQ(fill(n, &m), ST_OK);
        set_used(n, 1000 + (n * 37) % 101);
    }
    CHECK_EQ(image_cache_list(&cache, &arena, &entries, &count, NULL), ST_OK);
    CHECK_EQ(count, 100);
    for (uint32_t i = 1; i < count; i++) {
        CHECK(entries[i - 1].used_ns > entries[i].used_ns);
    }
    arena_done(&arena);
    empty();
}

static void any_compiler_will_do_where_there_is_none(void)
{
    struct maker m = {.bytes = 10};
    struct image_key key = key_number(1);
    char path[PATH_MAX] = "untouched";
    CHECK_EQ(fill(1, &m), ST_OK);
    key.compiler[0] = '\0';
    CHECK_EQ(image_cache_find_any(&cache, &key, path, NULL), ST_OK);
    CHECK_EQ(access(path, F_OK), 0);
    key.options.opt_level = 3;
    CHECK_EQ(image_cache_find_any(&cache, &key, path, NULL), ST_NOTFOUND);
    empty();
}

enum { THREADS = 4, ROUNDS = 50 };
static int made;

static status_t make_counted(void *arg, const char *part_path, struct error *err)
{
    (void)arg;
    __atomic_add_fetch(&made, 1, __ATOMIC_RELAXED);
    return file_write_atomic(part_path, "image", 5, 0600, FILE_NO_SYNC, err);
}

static void *fill_all(void *arg)
{
    (void)arg;
    for (uint8_t n = 1; n <= ROUNDS; n++) {
        struct image_key key = key_number(n);
        if (image_cache_fill(&cache, &key, true, make_counted, NULL, NULL) != ST_OK) {
            return &cache;
        }
    }
    return NULL;
}

static void concurrent_fills_make_each_image_once(void)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, fill_all, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        CHECK(failed == NULL);
    }
    CHECK_EQ(made, ROUNDS);
    CHECK_EQ(count_files(), ROUNDS);
    empty();
}

static void the_environment_says_where_and_how_large(void)
{
    struct image_cache c;
    setenv("CLOUDSKIN_CACHE", "/a/b", 1);
    setenv("CLOUDSKIN_CACHE_SIZE", "3M", 1);
    CHECK_EQ(image_cache_from_env(&c, NULL), ST_OK);
    CHECK_STR(c.dir, "/a/b");
    CHECK_EQ(c.limit_bytes, 3 << 20);
    setenv("CLOUDSKIN_CACHE_SIZE", "lots", 1);
    CHECK_EQ(image_cache_from_env(&c, NULL), ST_INVAL);
    unsetenv("CLOUDSKIN_CACHE_SIZE");
    unsetenv("CLOUDSKIN_CACHE");
    setenv("XDG_CACHE_HOME", "/x", 1);
    CHECK_EQ(image_cache_from_env(&c, NULL), ST_OK);
    CHECK_STR(c.dir, "/x/cloudskin/images");
    CHECK(c.limit_bytes == IMAGE_CACHE_LIMIT_DEFAULT);
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/h", 1);
    CHECK_EQ(image_cache_from_env(&c, NULL), ST_OK);
    CHECK_STR(c.dir, "/h/.cache/cloudskin/images");
    unsetenv("HOME");
    CHECK_EQ(image_cache_from_env(&c, NULL), ST_NOTFOUND);
}

int main(void)
{
    char folder[] = "/tmp/unit_imagecache.XXXXXX";
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    snprintf(cache.dir, sizeof cache.dir, "%s/images", folder);
    cache.limit_bytes = IMAGE_CACHE_LIMIT_DEFAULT;
    RUN(a_missing_folder_is_an_empty_cache);
    RUN(every_part_of_the_key_is_in_its_text);
    RUN(an_image_is_made_once);
    RUN(a_failure_leaves_no_image_but_is_remembered);
    RUN(what_was_used_longest_ago_goes_first);
    RUN(a_new_image_stays_even_when_it_is_over_the_limit);
    RUN(an_image_that_is_being_made_is_not_touched);
    RUN(the_list_is_sorted_by_use);
    RUN(any_compiler_will_do_where_there_is_none);
    RUN(concurrent_fills_make_each_image_once);
    RUN(the_environment_says_where_and_how_large);
    rmdir(cache.dir);
    rmdir(folder);
    return CHECK_DONE();
}
