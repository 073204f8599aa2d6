/* The power of a node is cut: copies that it said to have are there, and whole; others are so or not at all. */
#include "../geds/disk.h"

#include <ftw.h>
#include <time.h>

#include "base/hash.h"
#include "base/parse.h"
#include "check.h"
#include "geds/shelf/shelf.h"

enum { COPIES = 24, LEN_MAX = SHELF_PIECE_BYTES + 100000, CUTS = 150, HAVE = 0, GOES = 1 };

static uint64_t seed;
static char root[48], folder[80];
static struct shelf *shelf;

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

static void remove_root(void)
{
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_root(void)
{
    snprintf(root, sizeof root, "%s/geds-power-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(root) != NULL);
    snprintf(folder, sizeof folder, "%s/state/node/copies", root);
}

static bool open_it(void)
{
    struct error err = {0};
    const struct shelf_options o = {.path = folder, .limit_bytes = 1ULL << 40};
    bool good = shelf_open(&o, &shelf, &err) == ST_OK;
    if (!good) {
        fprintf(stderr, "%s\n", err.text);
        check_failures++;
    }
    return good;
}

static void close_it(void)
{
    shelf_close(shelf);
    shelf = NULL;
}

static size_t len_of(uint64_t number)
{
    uint64_t dice = disk_mix(seed + number);
    return 1 + dice % (number % 6 == 0 ? LEN_MAX : 100000);
}

static void fill(uint8_t *data, size_t len, uint64_t number)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 31 + i / 4096 * 7 + number);
    }
}

static struct shelf_name name_of(uint64_t number)
{
    return (struct shelf_name){.extent = number % 4 + 1, .nonce = number + 1};
}

static uint32_t sum_of(const uint8_t *data, size_t len)
{
    uint32_t all = 0;
    for (size_t at = 0; at < len; at += SHELF_BLOCK_BYTES) {
        size_t n = len - at < SHELF_BLOCK_BYTES ? len - at : SHELF_BLOCK_BYTES;
        uint32_t crc = hash_crc32c(0, data + at, n);
        const uint8_t le[] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                              (uint8_t)(crc >> 24)};
        all = hash_crc32c(all, le, sizeof le);
    }
    return all;
}

static status_t keep(uint64_t number)
{
    static uint8_t data[LEN_MAX];
    const struct shelf_name name = name_of(number);
    size_t len = len_of(number);
    status_t st = ST_OK;
    fill(data, len, number);
    for (size_t off = 0; off < len && st == ST_OK; off += SHELF_PIECE_BYTES) {
        size_t n = len - off < SHELF_PIECE_BYTES ? len - off : SHELF_PIECE_BYTES;
        st = shelf_write(shelf, &name, len, off, data + off, n, NULL);
    }
    return st == ST_OK ? shelf_end(shelf, &name, len, sum_of(data, len), NULL) : st;
}

static void work(void)
{
    for (uint64_t i = 0; i < COPIES; i++) {
        CHECK_EQ(keep(i), ST_OK);
        disk_mark(2 * i + HAVE);
        if (i % 3 == 2) {
            const struct shelf_name name = name_of(i - 1);
            disk_mark(2 * (i - 1) + GOES);
            CHECK_EQ(shelf_remove(shelf, &name, NULL), ST_OK);
        }
    }
}

static bool is_marked(const struct disk_log *l, size_t count, uint64_t mark)
{
    for (size_t i = 0; i < count; i++) {
        if (l->ops[i].kind == DISK_MARK && l->ops[i].off == mark) {
            return true;
        }
    }
    return false;
}

/* One that was removed may be back. */
static bool is_right(uint64_t number, bool must)
{
    static uint8_t want[LEN_MAX], got[LEN_MAX];
    const struct shelf_name name = name_of(number);
    size_t len = len_of(number);
    status_t st = ST_OK;
    for (size_t off = 0; off < len && st == ST_OK; off += SHELF_PIECE_BYTES) {
        size_t n = len - off < SHELF_PIECE_BYTES ? len - off : SHELF_PIECE_BYTES;
        st = shelf_read(shelf, &name, off, got + off, n, NULL);
    }
    fill(want, len, number);
    return st == ST_OK ? memcmp(got, want, len) == 0 : st == ST_NOTFOUND && !must;
}

/* What is lost: nothing, if all is as it must be. */
static unsigned cut(const struct disk_log *l, size_t at, uint64_t dice)
{
    static const unsigned shares[] = {0, 128, DISK_SURE};
    unsigned lost = 0;
    struct disk d;
    const struct disk_luck luck = {.pages = shares[dice % 3],
                                   .names = shares[(dice >> 8) % 3],
                                   .ordered = (dice >> 16) % 4 == 0,
                                   .stale = (dice >> 24) % 2 == 0,
                                   .seed = dice};
    make_root();
    disk_after(&d, l, at, &luck);
    disk_build(&d, root);
    disk_done(&d);
    if (open_it()) {
        for (uint64_t i = 0; i < COPIES; i++) {
            bool must = is_marked(l, at, 2 * i + HAVE) && !is_marked(l, at, 2 * i + GOES);
            lost += !is_right(i, must);
        }
        close_it();
    }
    remove_root();
    return lost;
}

static const char *forgotten; /* what the path of what is not synced has at its end, or in it */

static bool is_forgotten(const char *path)
{
    size_t len = strlen(forgotten), path_len = strlen(path);
    return forgotten[len - 1] == '/'
               ? strstr(path, forgotten) != NULL
               : path_len > len && strcmp(path + path_len - len, forgotten) == 0;
}

static void record(struct disk_log *l)
{
    make_root();
    disk_watch(l, root);
    disk_forgets = forgotten != NULL ? is_forgotten : NULL;
    if (open_it()) {
        work();
    }
    disk_forgets = NULL;
    disk_watch_no_more();
    close_it();
    remove_root();
}

static void copies_survive_a_cut(void)
{
    struct disk_log l;
    uint64_t dice = seed;
    record(&l);
    for (unsigned i = 0; i < CUTS && check_failures == 0; i++) {
        size_t at = disk_dice(&dice) % (l.count + 1);
        if (cut(&l, at, disk_dice(&dice)) > 0) {
            fprintf(stderr, "copies are lost by a cut behind call %zu of %zu\n", at, l.count);
            check_failures++;
        }
    }
    disk_log_done(&l);
}

static void a_sync_that_is_not_made_is_missed(void)
{
    static const char *const syncs[] = {"/new/", "/copies/", "/copies", "/node", "/state"};
    for (size_t i = 0; i < sizeof syncs / sizeof syncs[0]; i++) {
        struct disk_log l;
        uint64_t dice = seed + i;
        unsigned count = 0, lost = 0;
        forgotten = syncs[i];
        record(&l);
        for (; count < CUTS && lost == 0; count++) {
            lost = cut(&l, l.count / 2 + disk_dice(&dice) % (l.count / 2), disk_dice(&dice));
        }
        printf("     %s: %u lost after %u cuts\n", forgotten, lost, count);
        CHECK(lost > 0);
        disk_log_done(&l);
    }
    forgotten = NULL;
}

int main(int argc, char **argv)
{
    seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    if (argc > 1 && parse_u64(argv[1], UINT64_MAX, &seed) != ST_OK) {
        fprintf(stderr, "usage: %s [SEED]\n", argv[0]);
        return 64;
    }
    printf("seed %llu\n", (unsigned long long)seed);
    RUN(copies_survive_a_cut);
    RUN(a_sync_that_is_not_made_is_missed);
    return CHECK_DONE();
}
