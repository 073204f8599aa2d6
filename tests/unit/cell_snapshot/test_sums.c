#include "sums.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "cell/run/run.h"
#include "check.h"
#include "sys/files.h"

/* Pieces are summed, and read, as if it were done on the spot, by however many threads. */

enum { PIECES = 64, PIECE_BYTES = 300000, ALL_BYTES = PIECES * PIECE_BYTES };

static uint8_t *content; /* ALL_BYTES */

static void fill_content(void)
{
    uint64_t x = 88172645463325252u;
    content = malloc(ALL_BYTES);
    for (size_t i = 0; i < ALL_BYTES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        content[i] = (uint8_t)x;
    }
}

static uint64_t sum_of(uint32_t piece)
{
    return hash_xxh3(content + (size_t)piece * PIECE_BYTES, PIECE_BYTES);
}

static int content_file(size_t bytes)
{
    int fd = memfd_create("content", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(file_write_all(fd, content, bytes), 0);
    return fd;
}

static void pieces_in_memory_come_back_in_order(void)
{
    struct sums s = {0};
    uint32_t taken = 0;
    for (uint32_t i = 0; i < PIECES; i++) {
        if (sums_full(&s))
            CHECK_EQ(sums_take(&s).sum, sum_of(taken++));
        sums_put(&s, content + (size_t)i * PIECE_BYTES, PIECE_BYTES);
    }
    while (s.count > 0)
        CHECK_EQ(sums_take(&s).sum, sum_of(taken++));
    CHECK_EQ(taken, PIECES);
    sums_done(&s);
}

static void pieces_of_a_file_are_read_to_their_places(void)
{
    struct sums s = {0};
    uint32_t taken = 0;
    uint8_t *copy = calloc(1, ALL_BYTES);
    int fd = content_file(ALL_BYTES);
    for (uint32_t i = 0; i < PIECES; i++) {
        if (sums_full(&s))
            CHECK_EQ(sums_take(&s).sum, sum_of(taken++));
        size_t at = (size_t)i * PIECE_BYTES;
        sums_read(&s, fd, at, copy + at, PIECE_BYTES);
    }
    while (s.count > 0) {
        struct sums_piece p = sums_take(&s);
        CHECK(!p.failed);
        CHECK_EQ(p.sum, sum_of(taken++));
    }
    sums_done(&s);
    CHECK(memcmp(copy, content, ALL_BYTES) == 0);
    close(fd);
    free(copy);
}

/* first: how many pieces come before it, few for one thread and many for two */
static void check_failure(uint32_t first, int fd, uint64_t off, int errnum)
{
    struct sums s = {0};
    uint8_t *into = malloc(PIECE_BYTES);
    for (uint32_t i = 0; i < first; i++) {
        sums_put(&s, content + (size_t)i * PIECE_BYTES, PIECE_BYTES);
        CHECK(!sums_take(&s).failed);
    }
    sums_read(&s, fd, off, into, PIECE_BYTES);
    struct sums_piece p = sums_take(&s);
    CHECK(p.failed);
    CHECK_EQ(p.errnum, errnum);
    sums_done(&s);
    free(into);
}

static void what_cannot_be_read_is_told(void)
{
    int fd = content_file(PIECE_BYTES), closed = dup(fd);
    close(closed);
    for (uint32_t first = 0; first < PIECES; first += PIECES - 1) {
        check_failure(first, fd, 1, 0); /* one byte too short */
        check_failure(first, fd, ALL_BYTES, 0);
        check_failure(first, closed, 0, EBADF);
    }
    close(fd);
}

/* already: the file's bytes before; the rest of its pieces lie beyond its end */
static void check_written(int fd, size_t already)
{
    struct sums s = {0};
    uint32_t taken = 0;
    uint8_t *copy = malloc(ALL_BYTES);
    memset(copy, 0xa5, ALL_BYTES);
    CHECK_EQ(ftruncate(fd, 0), 0);
    CHECK_EQ(pwrite(fd, copy, already, 0), already);
    for (uint32_t i = 0; i < PIECES; i++) {
        if (sums_full(&s))
            CHECK_EQ(sums_take(&s).sum, sum_of(taken++));
        size_t at = (size_t)i * PIECE_BYTES;
        sums_write(&s, fd, at, content + at, PIECE_BYTES);
    }
    while (s.count > 0) {
        struct sums_piece p = sums_take(&s);
        CHECK(!p.failed);
        CHECK_EQ(p.sum, sum_of(taken++));
    }
    sums_done(&s);
    CHECK_EQ(pread(fd, copy, ALL_BYTES, 0), ALL_BYTES);
    CHECK(memcmp(copy, content, ALL_BYTES) == 0);
    free(copy);
}

static void pieces_are_written_to_their_places(void)
{
    struct error err = {0};
    struct runtime *rt = NULL;
    char path[] = "/var/tmp/sums-XXXXXX"; /* of a disk, as a rule */
    int disk = mkstemp(path), memory = memfd_create("content", MFD_CLOEXEC);
    CHECK(disk >= 0 && memory >= 0);
    check_written(memory,
                  ALL_BYTES); /* nobody would answer a fault: it is not copied to the mapping */
    CHECK_EQ(runtime_new(NULL, &rt, &err), ST_OK);
    for (size_t already = 0; already <= ALL_BYTES; already += ALL_BYTES / 3) {
        check_written(memory, already);
        check_written(disk, already);
    }
    runtime_free(rt);
    unlink(path);
    close(disk);
    close(memory);
}

static void what_cannot_be_written_is_told(void)
{
    int full = open("/dev/full", O_RDWR | O_CLOEXEC), closed = dup(full);
    close(closed);
    const struct {
        int fd, errnum;
    } tried[] = {{closed, EBADF}, {full, ENOSPC}};
    for (size_t i = 0; i < 2; i++) {
        struct sums s = {0};
        for (uint32_t n = 0; n < PIECES; n++) {
            sums_write(&s, tried[i].fd, 0, content, PIECE_BYTES);
            struct sums_piece p = sums_take(&s);
            CHECK(p.failed);
            CHECK_EQ(p.errnum, tried[i].errnum);
        }
        sums_done(&s);
    }
    close(full);
}

int main(void)
{
    fill_content();
    RUN(pieces_in_memory_come_back_in_order);
    RUN(pieces_of_a_file_are_read_to_their_places);
    RUN(what_cannot_be_read_is_told);
    RUN(pieces_are_written_to_their_places);
    RUN(what_cannot_be_written_is_told);
    free(content);
    return CHECK_DONE();
}
