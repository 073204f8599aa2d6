/* A snapshot from anywhere. Checksums would stop nearly all random changes, so beside plain files (first byte 0) inputs
 * are a list of parts that is made into a file with the right ones: first byte the format version, then for each part
 * its number u8, summed bytes u16, further bytes u16, and the former; the latter are zeros. An END of no bytes gets
 * those it should have. All are described, and read into a cell of a module with one memory; with first byte 3 as
 * version 2, and as a cell whose pages come later. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/cell_run/program_make.h"
#include "base/cursor.h"
#include "cell/snapshot/postcopy.h"
#include "fuzz.h"

enum { PAGES_ID = 4, END_ID = 5, PARTS_MAX = 64, PAGES_SUM_AT = 24, SCATTER_ID = 9 };

/* (module (memory 1 4)) */
static const uint8_t one_memory[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 5, 4, 1, 1, 1, 4};

static struct runtime *rt;
static struct program *prog;

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
    static const uint8_t nothing[UINT16_MAX];
    const uint64_t of_zeros = hash_xxh3(nothing, zeros);
    uint8_t head[UINT16_MAX];
    const size_t sum_at = id == PAGES_ID ? PAGES_SUM_AT : 0;
    if ((id == PAGES_ID || id == SCATTER_ID) && len >= sum_at + sizeof of_zeros && zeros) {
        memcpy(head, summed, len);
        memcpy(head + sum_at, &of_zeros, sizeof of_zeros);
        summed = head;
    }
    uint64_t sum = hash_xxh3(summed, len);
    buf_le32(file, id);
    buf_le32(file, (uint32_t)len);
    buf_le64(file, len + zeros);
    buf_le64(file, sum);
    buf_bytes(file, summed, len);
    buf_fill(file, 0, zeros);
    return sum;
}

static void put_end(struct buf *file, uint64_t *parts, uint64_t *sums)
{
    const uint64_t end[2] = {*parts, *sums};
    put_part(file, END_ID, end, sizeof end, 0);
    *parts = *sums = 0;
}

static void make_file(uint8_t version, const uint8_t *data, size_t len, struct buf *file)
{
    const uint8_t head[16] = {0, 's', 'n', 'a', 'p', 'c', 's', 'k', version};
    struct cursor c;
    uint64_t sums = 0, parts = 0;
    cursor_init(&c, data, len, 0);
    buf_bytes(file, head, sizeof head);
    for (uint32_t n = 0; cursor_left(&c) && n < PARTS_MAX; n++) {
        uint32_t id = cursor_u8(&c);
        size_t summed = cursor_le16(&c), zeros = cursor_le16(&c);
        summed = summed < cursor_left(&c) ? summed : cursor_left(&c);
        if (id == END_ID && summed == 0) {
            put_end(file, &parts, &sums);
            continue;
        }
        parts++;
        const uint8_t *bytes = cursor_bytes(&c, summed);
        sums += put_part(file, id, bytes ? bytes : head, bytes ? summed : 0, zeros);
    }
    put_end(file, &parts, &sums);
}

static void describe(const uint8_t *data, size_t len)
{
    struct reading reading = {data, len};
    struct snapshot_source source = {.read = read_bytes, .arg = &reading};
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

static bool write_nowhere(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return true;
}

static void shut_nothing(void *arg)
{
    (void)arg;
}

static status_t read_lazily(struct snapshot_reader *r, struct cell *c,
                            const struct snapshot_source *source, struct error *err)
{
    const struct postcopy_link link = {{.write = write_nowhere}, *source, shut_nothing, NULL};
    struct postcopy *p = NULL;
    status_t st = postcopy_begin(r, c, &link, &p, err);
    if (st == ST_OK)
        st = postcopy_wait(p, err);
    postcopy_end(p);
    return st;
}

static void read_into_cell(const uint8_t *data, size_t len, bool lazily)
{
    struct reading reading = {data, len};
    struct snapshot_source source = {.read = read_bytes, .arg = &reading};
    struct snapshot_reader *r = NULL;
    struct snapshot_sizes sizes;
    struct error err = {0};
    struct cell *c = NULL;
    struct instance *inst = NULL;
    status_t st = snapshot_open(&source, &r, &err);
    if (st != ST_OK)
        return;
    FUZZ_CHECK(cell_new(rt, NULL, &c, &err) == ST_OK);
    FUZZ_CHECK(cell_instantiate(c, prog, NULL, 0, NULL, &inst, &err) == ST_OK);
    if (snapshot_reader_is_live(r))
        st = snapshot_receive(r, c, NULL, NULL, &err);
    if (st == ST_OK)
        st = lazily ? read_lazily(r, c, &source, &err) : snapshot_read(r, c, &sizes, &err);
    FUZZ_CHECK(st == ST_OK || (err.code == st && err.text[0] != '\0'));
    snapshot_close(r);
    cell_free(c);
}

static void prepare(void)
{
    struct error err = {0};
    if (rt)
        return;
    FUZZ_CHECK(runtime_new(NULL, &rt, &err) == ST_OK);
    prog = program_make_bare(rt, one_memory, sizeof one_memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf file = {0};
    if (len == 0)
        return 0;
    if (data[0] == 0)
        buf_bytes(&file, data + 1, len - 1);
    else
        make_file(data[0] == 3 ? 2 : data[0], data + 1, len - 1, &file);
    prepare();
    if (!file.failed) {
        describe(file.data, file.len);
        read_into_cell(file.data, file.len, data[0] == 3);
    }
    buf_done(&file);
    return 0;
}
