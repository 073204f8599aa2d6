/* A snapshot from anywhere. Checksums would stop nearly all random changes, so beside plain files (first byte 0) inputs
 * are a list of parts that is made into a file with the right ones: first byte 1, then for each part its number u8,
 * summed bytes u16, further bytes u16, and the former; the latter are zeros. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "cell/snapshot/snapshot.h"
#include "fuzz.h"

enum { END_ID = 5, PARTS_MAX = 64 };

struct reading {
    const uint8_t *at;
    size_t left;
};

static bool read_bytes(void *arg, void *data, size_t len)
{
    struct reading *r = arg;
    errno = 0;
    if (len > r->left)
        return false;
    memcpy(data, r->at, len);
    r->at += len;
    r->left -= len;
    return true;
}

static uint64_t put_part(struct buf *file, uint32_t id, const void *summed, size_t len,
                         size_t zeros)
{
    uint64_t sum = hash_xxh3(summed, len);
    buf_le32(file, id);
    buf_le32(file, (uint32_t)len);
    buf_le64(file, len + zeros);
    buf_le64(file, sum);
    buf_bytes(file, summed, len);
    buf_fill(file, 0, zeros);
    return sum;
}

static void make_file(const uint8_t *data, size_t len, struct buf *file)
{
    static const uint8_t head[16] = {0, 's', 'n', 'a', 'p', 'c', 's', 'k', 1};
    struct cursor c;
    uint64_t sums = 0, parts = 0, end[2];
    cursor_init(&c, data, len, 0);
    buf_bytes(file, head, sizeof head);
    for (; cursor_left(&c) && parts < PARTS_MAX; parts++) {
        uint32_t id = cursor_u8(&c);
        size_t summed = cursor_le16(&c), zeros = cursor_le16(&c);
        summed = summed < cursor_left(&c) ? summed : cursor_left(&c);
        const uint8_t *bytes = cursor_bytes(&c, summed);
        sums += put_part(file, id, bytes ? bytes : head, bytes ? summed : 0, zeros);
    }
    end[0] = parts;
    end[1] = sums;
    put_part(file, END_ID, end, sizeof end, 0);
}

static void describe(const uint8_t *data, size_t len)
{
    struct reading reading = {data, len};
    struct snapshot_source source = {read_bytes, &reading};
    struct snapshot_reader *r = NULL;
    struct snapshot_summary sum;
    struct error err = {0};
    size_t host;
    status_t st = snapshot_open(&source, &r, &err);
    FUZZ_CHECK((st == ST_OK) == (r != NULL));
    if (st == ST_OK) {
        FUZZ_CHECK(strnlen(snapshot_reader_info(r)->program, SNAPSHOT_TEXT_MAX) <
                   SNAPSHOT_TEXT_MAX);
        (void)snapshot_host_state(r, &host);
        st = snapshot_describe(r, &sum, &err);
    }
    if (st == ST_OK) {
        FUZZ_CHECK(sum.sizes.total_bytes <= len && sum.sizes.frames == sum.frame_count);
        free(sum.frames);
    }
    FUZZ_CHECK(st == ST_OK || (err.code == st && err.text[0] != '\0'));
    snapshot_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf file = {0};
    if (len == 0)
        return 0;
    if (data[0] == 0)
        buf_bytes(&file, data + 1, len - 1);
    else
        make_file(data + 1, len - 1, &file);
    if (!file.failed)
        describe(file.data, file.len);
    buf_done(&file);
    return 0;
}
