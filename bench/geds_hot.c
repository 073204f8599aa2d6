/* Hot objects through libcloudskin, and files, in turn: geds_hot ADDRESS TMPFS_FILE PLAIN_FILE ROUNDS
 * Makes the bucket `bench` with an object of 4 KiB and one of 64 MiB in the store, and the files with the same bytes.
 * Prints what an open, a read of 4 KiB and a close took, one line for each ("hot_ns", "large_ns" at a place that is read
 * again and again, "random_ns" at any place of the large one, "tmpfs_ns"), and for each round what a read of 8 bytes at
 * a random place of the mapped large one took ("map_ps", "mmap_ps" for the file). */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/parse.h"
#include "cloudskin/geds.h"
#include "sys/clock.h"
#include "sys/files.h"

enum {
    SMALL = 4096,
    LARGE = 64 * 1024 * 1024,
    OPENS = 500,
    TOUCHES = 2 * 1000 * 1000,
    ROUNDS_MAX = 1000
};

static struct geds *store;
static struct geds_error err;
static uint8_t page[SMALL];
static uint64_t state = 88172645463325252ULL;

static void check(enum geds_code code)
{
    if (code != GEDS_OK) {
        fprintf(stderr, "geds_hot: %s\n", err.text);
        exit(1);
    }
}

static void check_file(bool good, const char *path)
{
    if (!good) {
        fprintf(stderr, "geds_hot: %s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void print_ns(const char *what, uint64_t begin)
{
    printf("%s %llu\n", what, (unsigned long long)(clock_monotonic_ns() - begin));
}

static void read_object(const char *what, const char *key, uint64_t off)
{
    uint64_t begin = clock_monotonic_ns();
    struct geds_object *o = NULL;
    size_t got = 0;
    check(geds_open(store, "bench", key, &o, &err));
    check(geds_pread(o, page, SMALL, off, &got, &err));
    geds_close(o);
    print_ns(what, begin);
    if (got != SMALL) {
        fprintf(stderr, "geds_hot: %zu bytes\n", got);
        exit(1);
    }
}

static void read_file(const char *path)
{
    uint64_t begin = clock_monotonic_ns();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? pread(fd, page, SMALL, 0) : -1;
    check_file(got == SMALL && close(fd) == 0, path);
    print_ns("tmpfs_ns", begin);
}

static void touch(const char *what, const uint8_t *data)
{
    uint64_t sum = 0, begin = clock_monotonic_ns();
    for (unsigned i = 0; i < TOUCHES; i++) {
        uint64_t word;
        memcpy(&word, data + next_random() % (LARGE / sizeof word) * sizeof word, sizeof word);
        sum += word;
    }
    uint64_t ns = clock_monotonic_ns() - begin;
    printf("%s %llu\n# %llu\n", what, (unsigned long long)(ns * 1000 / TOUCHES),
           (unsigned long long)sum);
}

static void write_file(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check_file(fd >= 0 && file_write_all(fd, bytes, len) == 0 && close(fd) == 0, path);
}

static const uint8_t *map_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *data = fd >= 0 ? mmap(NULL, LARGE, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    check_file(data != MAP_FAILED && close(fd) == 0, path);
    return data;
}

static void make_all(const char *tmpfs, const char *plain)
{
    uint64_t *bytes = malloc(LARGE);
    check_file(bytes != NULL, "memory");
    for (size_t i = 0; i < LARGE / sizeof *bytes; i++) {
        bytes[i] = next_random();
    }
    check(geds_bucket_create(store, "bench", &err));
    check(geds_put(store, "bench", "small", NULL, NULL, bytes, SMALL, NULL, &err));
    check(geds_put(store, "bench", "large", NULL, NULL, bytes, LARGE, NULL, &err));
    write_file(tmpfs, (uint8_t *)bytes, SMALL);
    write_file(plain, (uint8_t *)bytes, LARGE);
    free(bytes);
}

static void round_of(unsigned number, const char *tmpfs, const uint8_t *object, const uint8_t *file)
{
    for (unsigned i = 0; i < OPENS; i++) {
        if ((i + number) % 2 == 0) {
            read_file(tmpfs);
            read_object("hot_ns", "small", 0);
        } else {
            read_object("hot_ns", "small", 0);
            read_file(tmpfs);
        }
    }
    for (unsigned i = 0; i < OPENS; i++) {
        read_object("large_ns", "large", LARGE / 2 + 100);
    }
    for (unsigned i = 0; i < OPENS; i++) {
        read_object("random_ns", "large", next_random() % (LARGE - SMALL));
    }
    touch(number % 2 == 0 ? "map_ps" : "mmap_ps", number % 2 == 0 ? object : file);
    touch(number % 2 == 0 ? "mmap_ps" : "map_ps", number % 2 == 0 ? file : object);
}

int main(int argc, char **argv)
{
    uint64_t rounds = 0;
    if (argc != 5 || parse_u64(argv[4], ROUNDS_MAX, &rounds) != ST_OK) {
        fprintf(stderr, "usage: geds_hot ADDRESS TMPFS_FILE PLAIN_FILE ROUNDS\n");
        return 64;
    }
    struct geds_object *o = NULL;
    const void *mapped = NULL;
    size_t len = 0;
    check(geds_connect(argv[1], &store, &err));
    make_all(argv[2], argv[3]);
    for (int i = 0; i < 3; i++) {
        check(geds_open(store, "bench", "large", &o, &err));
        if (i < 2) {
            geds_close(o);
        }
    }
    check(geds_map(o, &mapped, &len, &err));
    const uint8_t *file = map_file(argv[3]);
    touch("#", mapped);
    touch("#", file);
    for (unsigned i = 0; i < rounds; i++) {
        round_of(i, argv[2], mapped, file);
    }
    geds_unmap(mapped, len);
    geds_close(o);
    geds_disconnect(store);
    return 0;
}
