#ifndef TESTS_STORETEST_H
#define TESTS_STORETEST_H

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "geds/store.h"

/* A store in a folder of its own, and short forms of calls that must work. */
static char scratch[64];
static struct store *store;

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

__attribute__((unused)) static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

__attribute__((unused)) static void must(status_t st, const struct error *err, const char *what,
                                         int line)
{
    if (st != ST_OK) {
        fprintf(stderr, "line %d: %s: %s: %s\n", line, what, status_name(st), err->text);
        exit(1);
    }
}
#define MUST(call)                           \
    do {                                     \
        struct error err = {0};              \
        must((call), &err, #call, __LINE__); \
    } while (0)

__attribute__((unused)) static void store_make(const struct store_options *options)
{
    snprintf(scratch, sizeof scratch, "/tmp/geds-test-XXXXXX");
    CHECK(mkdtemp(scratch) != NULL);
    MUST(store_open(scratch, options, &store, &err));
}

__attribute__((unused)) static void store_again(const struct store_options *options)
{
    store_close(store);
    store = NULL;
    MUST(store_open(scratch, options, &store, &err));
}

__attribute__((unused)) static void store_remove(void)
{
    store_close(store);
    store = NULL;
    remove_tree(scratch);
}

__attribute__((unused)) static status_t put_if(const char *bucket, const char *key,
                                               const void *data, size_t len,
                                               const struct store_condition *condition,
                                               struct store_info *ret_info)
{
    struct store_put *p = NULL;
    status_t st = store_put_begin(store, bucket, key, NULL, &p, NULL);
    if (st == ST_OK) {
        st = store_put_write(p, data, len, NULL);
        if (st != ST_OK) {
            store_put_abort(p);
            return st;
        }
        st = store_put_commit(p, condition, ret_info, NULL);
    }
    return st;
}

__attribute__((unused)) static status_t put(const char *bucket, const char *key, const void *data,
                                            size_t len)
{
    return put_if(bucket, key, data, len, NULL, NULL);
}

/* All bytes of an object, for free. */
__attribute__((unused)) static status_t get(const char *bucket, const char *key, uint8_t **ret_data,
                                            size_t *ret_len, struct error *err)
{
    struct store_object *o = NULL;
    status_t st = store_object_open(store, bucket, key, &o, err);
    if (st != ST_OK) {
        return st;
    }
    size_t size = (size_t)store_object_info(o)->size;
    uint8_t *data = malloc(size + 1);
    st = store_object_read(o, data, size + 1, 0, ret_len, err);
    store_object_close(o);
    if (st != ST_OK) {
        free(data);
        return st;
    }
    *ret_data = data;
    return ST_OK;
}

__attribute__((unused)) static bool holds(const char *bucket, const char *key, const void *data,
                                          size_t len)
{
    uint8_t *got = NULL;
    size_t got_len = 0;
    if (get(bucket, key, &got, &got_len, NULL) != ST_OK) {
        return false;
    }
    bool same = got_len == len && memcmp(got, data, len) == 0;
    free(got);
    return same;
}

/* Bytes that differ from place to place and from seed to seed. */
__attribute__((unused)) static void fill(uint8_t *data, size_t len, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (uint8_t)(x >> 24);
    }
}

/* Files under a folder of the store. */
static size_t counted_files;
static int count_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)path, (void)info, (void)ftw;
    counted_files += type == FTW_F;
    return 0;
}
__attribute__((unused)) static size_t files_in(const char *folder)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch, folder);
    counted_files = 0;
    nftw(path, count_entry, 16, FTW_PHYS);
    return counted_files;
}

__attribute__((unused)) static void print_finding(void *arg, const struct store_finding *finding)
{
    (void)arg;
    fprintf(stderr, "fsck: %d %s\n", (int)finding->kind, finding->text);
}

__attribute__((unused)) static void check_sound(void)
{
    struct store_fsck totals = {0};
    MUST(store_fsck(store, false, print_finding, NULL, NULL, &totals, &err));
    CHECK_EQ(totals.findings, 0);
}

/* What takes the tables of today's format back to those of format 4. */
#define FORMAT_4_AGAIN                                                                          \
    "DROP TRIGGER extent_copies; DROP TRIGGER extent_buried; DROP TABLE copy; DROP TABLE node;" \
    "DROP INDEX extent_lacks; ALTER TABLE extent DROP COLUMN lacks;"                            \
    "ALTER TABLE extent DROP COLUMN wants; ALTER TABLE bucket DROP COLUMN replicas;"            \
    "ALTER TABLE bucket DROP COLUMN memory;"

#endif
