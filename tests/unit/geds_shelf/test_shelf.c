/* Copies in a folder: whole or not there, compared when they are read. */
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "check.h"
#include "geds/shelf/shelf.h"

enum { BIG = 2 * SHELF_PIECE_BYTES + 70000 };
static char scratch[64];
static uint8_t bytes[BIG];
static struct shelf *shelf;

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

static void open_it(uint64_t limit)
{
    struct error err = {0};
    const struct shelf_options o = {.path = scratch, .limit_bytes = limit};
    shelf_close(shelf);
    shelf = NULL;
    if (shelf_open(&o, &shelf, &err) != ST_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void begin(void)
{
    snprintf(scratch, sizeof scratch, "/tmp/geds-shelf-XXXXXX");
    CHECK(mkdtemp(scratch) != NULL);
    open_it(1ULL << 40);
}

static void finish(void)
{
    shelf_close(shelf);
    shelf = NULL;
    nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
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

static status_t write_pieces(struct shelf_name name, size_t len, size_t from)
{
    status_t st = ST_OK;
    for (size_t off = from; off < len && st == ST_OK; off += SHELF_PIECE_BYTES) {
        size_t n = len - off < SHELF_PIECE_BYTES ? len - off : SHELF_PIECE_BYTES;
        st = shelf_write(shelf, &name, len, off, bytes + off, n, NULL);
    }
    return st;
}

static status_t store(struct shelf_name name, size_t len)
{
    status_t st = write_pieces(name, len, 0);
    return st == ST_OK ? shelf_end(shelf, &name, len, sum_of(bytes, len), NULL) : st;
}

static bool holds(struct shelf_name name, size_t len)
{
    static uint8_t piece[SHELF_PIECE_BYTES];
    for (size_t off = 0; off < len; off += SHELF_PIECE_BYTES) {
        size_t n = len - off < SHELF_PIECE_BYTES ? len - off : SHELF_PIECE_BYTES;
        if (shelf_read(shelf, &name, off, piece, n, NULL) != ST_OK ||
            memcmp(piece, bytes + off, n) != 0) {
            return false;
        }
    }
    return true;
}

static void path_of(struct shelf_name name, char ret_path[160])
{
    snprintf(ret_path, 160, "%s/%02x/%016llx-%016llx", scratch, (unsigned)(name.extent & 0xff),
             (unsigned long long)name.extent, (unsigned long long)name.nonce);
}

static const struct shelf_name one = {0x1234, 77}, two = {0x1234, 78}, three = {0x99, 1};

static void what_was_ended_is_there_after_a_start(void)
{
    struct shelf_copy list[8];
    struct shelf_usage u;
    begin();
    CHECK_EQ(store(one, BIG), ST_OK);
    CHECK_EQ(store(two, 1), ST_OK);
    CHECK_EQ(store(three, SHELF_BLOCK_BYTES), ST_OK);
    CHECK_EQ(store(one, BIG), ST_EXIST);
    for (int i = 0; i < 2; i++) {
        CHECK(holds(one, BIG) && holds(two, 1) && holds(three, SHELF_BLOCK_BYTES));
        CHECK_EQ(shelf_list(shelf, &(struct shelf_name){0}, 8, list), 3);
        CHECK_EQ(list[0].name.extent, three.extent);
        CHECK_EQ(list[2].name.nonce, two.nonce);
        CHECK_EQ(list[1].bytes, BIG);
        CHECK_EQ(shelf_list(shelf, &one, 8, list), 1);
        shelf_usage(shelf, &u);
        CHECK_EQ(u.copies, 3);
        CHECK(u.bytes > BIG && u.bytes < BIG + 2 * SHELF_BLOCK_BYTES);
        open_it(1ULL << 40);
    }
    CHECK_EQ(shelf_remove(shelf, &one, NULL), ST_OK);
    CHECK_EQ(shelf_remove(shelf, &one, NULL), ST_OK);
    CHECK(!holds(one, BIG) && holds(two, 1));
    CHECK_EQ(shelf_remove_all(shelf, NULL), ST_OK);
    CHECK_EQ(shelf_list(shelf, &(struct shelf_name){0}, 8, list), 0);
    finish();
}

static void what_is_not_whole_is_never_there(void)
{
    struct shelf_copy list[8];
    begin();
    CHECK_EQ(write_pieces(one, BIG, SHELF_PIECE_BYTES), ST_OK); /* without the first piece */
    CHECK_EQ(shelf_end(shelf, &one, BIG, sum_of(bytes, BIG), NULL), ST_CORRUPT);
    CHECK_EQ(write_pieces(one, BIG, 0), ST_OK);
    CHECK_EQ(shelf_end(shelf, &one, BIG, sum_of(bytes, BIG) ^ 1, NULL), ST_CORRUPT);
    CHECK_EQ(shelf_end(shelf, &one, BIG, sum_of(bytes, BIG), NULL), ST_INVAL);
    CHECK_EQ(write_pieces(one, BIG, 0), ST_OK);
    CHECK_EQ(shelf_write(shelf, &one, BIG + 1, 0, bytes, SHELF_PIECE_BYTES, NULL), ST_INVAL);
    open_it(1ULL << 40); /* as after a kill */
    CHECK_EQ(shelf_list(shelf, &(struct shelf_name){0}, 8, list), 0);
    CHECK_EQ(store(one, BIG), ST_OK);
    CHECK(holds(one, BIG));
    finish();
}

static void wrong_pieces_are_refused(void)
{
    begin();
    CHECK_EQ(shelf_write(shelf, &one, 0, 0, bytes, 0, NULL), ST_INVAL);
    CHECK_EQ(shelf_write(shelf, &one, SHELF_COPY_MAX + 1, 0, bytes, SHELF_PIECE_BYTES, NULL),
             ST_INVAL);
    CHECK_EQ(shelf_write(shelf, &one, BIG, 5, bytes, SHELF_PIECE_BYTES, NULL), ST_INVAL);
    CHECK_EQ(shelf_write(shelf, &one, BIG, 0, bytes, 100, NULL), ST_INVAL);
    CHECK_EQ(shelf_write(shelf, &one, BIG, 1ULL << 40, bytes, SHELF_PIECE_BYTES, NULL), ST_INVAL);
    CHECK_EQ(store(one, BIG), ST_OK);
    CHECK_EQ(shelf_read(shelf, &one, 1, bytes, 1, NULL), ST_INVAL);
    CHECK_EQ(shelf_read(shelf, &one, 0, bytes, 100, NULL), ST_INVAL);
    CHECK_EQ(shelf_read(shelf, &one, 1ULL << 40, bytes, SHELF_BLOCK_BYTES, NULL), ST_INVAL);
    CHECK_EQ(shelf_read(shelf, &two, 0, bytes, SHELF_BLOCK_BYTES, NULL), ST_NOTFOUND);
    finish();
}

static void a_bad_block_is_found_when_it_is_read(void)
{
    static uint8_t block[SHELF_BLOCK_BYTES];
    char path[160];
    struct shelf_usage u;
    begin();
    CHECK_EQ(store(one, BIG), ST_OK);
    path_of(one, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK_EQ(pwrite(fd, "x", 1, SHELF_BLOCK_BYTES + 9), 1);
    close(fd);
    CHECK_EQ(shelf_read(shelf, &one, 0, block, sizeof block, NULL), ST_OK);
    CHECK_EQ(shelf_read(shelf, &one, SHELF_BLOCK_BYTES, block, sizeof block, NULL), ST_CORRUPT);
    shelf_usage(shelf, &u);
    CHECK_EQ(u.bad, 1);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(shelf_read(shelf, &one, 0, block, sizeof block, NULL), ST_CORRUPT);
    finish();
}

static void files_that_are_no_copies_are_removed_by_a_start(void)
{
    char path[160];
    struct stat info;
    begin();
    CHECK_EQ(store(one, BIG), ST_OK);
    CHECK_EQ(store(two, 100), ST_OK);
    path_of(one, path);
    CHECK_EQ(stat(path, &info), 0);
    CHECK_EQ(truncate(path, info.st_size - 1), 0);
    snprintf(path, sizeof path, "%s/34/rubbish", scratch);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    char copy[160];
    path_of(two, path);
    path_of((struct shelf_name){0x34, 5}, copy); /* a name that is another extent's */
    CHECK_EQ(rename(path, copy), 0);
    open_it(1ULL << 40);
    struct shelf_copy list[8];
    CHECK_EQ(shelf_list(shelf, &(struct shelf_name){0}, 8, list), 0);
    snprintf(path, sizeof path, "%s/34/rubbish", scratch);
    CHECK(access(path, F_OK) != 0 && access(copy, F_OK) != 0);
    finish();
}

/* It may be good: only what was read and is wrong is removed. */
static void a_file_that_cannot_be_opened_stays(void)
{
    char link[160], target[] = "0000000000000001-0000000000000009";
    struct stat info;
    struct error err = {0};
    struct shelf *other = NULL;
    begin();
    const struct shelf_options o = {.path = scratch, .limit_bytes = 1ULL << 40};
    CHECK_EQ(store((struct shelf_name){1, 8}, 70000), ST_OK);
    shelf_close(shelf);
    shelf = NULL;
    snprintf(link, sizeof link, "%s/01/%s", scratch, target);
    CHECK_EQ(symlink(target, link), 0); /* to itself */
    CHECK(shelf_open(&o, &other, &err) != ST_OK && other == NULL);
    CHECK(strstr(err.text, target) != NULL);
    CHECK_EQ(lstat(link, &info), 0);
    CHECK_EQ(unlink(link), 0);
    open_it(1ULL << 40);
    finish();
}

static void a_full_shelf_takes_no_more_and_keeps_what_it_has(void)
{
    begin();
    open_it(BIG + 3 * SHELF_BLOCK_BYTES);
    CHECK_EQ(store(one, BIG), ST_OK);
    CHECK_EQ(store(two, BIG), ST_LIMIT);
    CHECK_EQ(store(three, 100), ST_OK);
    CHECK_EQ(shelf_remove(shelf, &one, NULL), ST_OK);
    CHECK_EQ(store(two, BIG), ST_OK);
    CHECK(holds(two, BIG) && holds(three, 100));
    /* files that cannot grow stand for a full disk */
    struct rlimit was, small = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    open_it(1ULL << 40);
    getrlimit(RLIMIT_FSIZE, &was);
    small.rlim_max = was.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK(store(one, BIG) != ST_OK);
    setrlimit(RLIMIT_FSIZE, &was);
    CHECK_EQ(store(one, BIG), ST_OK);
    CHECK(holds(one, BIG) && holds(two, BIG));
    finish();
}

static void two_do_not_have_it_open(void)
{
    struct shelf *other = NULL;
    begin();
    const struct shelf_options o = {.path = scratch, .limit_bytes = 1};
    CHECK_EQ(shelf_open(&o, &other, NULL), ST_AGAIN);
    finish();
}

/* A child writes copies and says which ones were ended, until it is killed. */
static void what_was_ended_survives_kills(void)
{
    begin();
    shelf_close(shelf);
    shelf = NULL;
    uint64_t known = 0, next = 1;
    for (int round = 0; round < 8; round++) {
        int ends[2];
        CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
        pid_t child = fork();
        if (child == 0) {
            open_it(1ULL << 40);
            for (uint64_t i = next;; i++) {
                if (store((struct shelf_name){i, 1}, SHELF_PIECE_BYTES / 2 + i) != ST_OK ||
                    write(ends[1], &i, sizeof i) != sizeof i) {
                    _exit(1);
                }
            }
        }
        close(ends[1]);
        for (int i = 0; i < 3 + round; i++) {
            CHECK_EQ(read(ends[0], &known, sizeof known), sizeof known);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(ends[0], &known, sizeof known) == sizeof known) {
        }
        close(ends[0]);
        open_it(1ULL << 40);
        for (uint64_t i = 1; i <= known; i++) {
            CHECK(holds((struct shelf_name){i, 1}, SHELF_PIECE_BYTES / 2 + i));
        }
        CHECK_EQ(shelf_remove(shelf, &(struct shelf_name){known + 1, 1}, NULL),
                 ST_OK); /* not said */
        next = known + 1;
        shelf_close(shelf);
        shelf = NULL;
    }
    finish();
}

int main(void)
{
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    RUN(what_was_ended_is_there_after_a_start);
    RUN(what_is_not_whole_is_never_there);
    RUN(wrong_pieces_are_refused);
    RUN(a_bad_block_is_found_when_it_is_read);
    RUN(files_that_are_no_copies_are_removed_by_a_start);
    RUN(a_file_that_cannot_be_opened_stays);
    RUN(a_full_shelf_takes_no_more_and_keeps_what_it_has);
    RUN(two_do_not_have_it_open);
    RUN(what_was_ended_survives_kills);
    return CHECK_DONE();
}
