#include <string.h>

#include "check.h"
#include "link_parts.h"

/* Stack maps as LLVM writes them, byte by byte. */

enum { BLOB_LEN = 1000 };

struct location {
    uint8_t kind;
    uint16_t reg;
    int32_t off;
};

static const struct location meta[] = {{4, 0, 0}, {4, 0, 0}, {4, 0, 0}};

static void put_location(struct buf *b, struct location l)
{
    buf_u8(b, l.kind);
    buf_u8(b, 0);
    buf_u8(b, 8);
    buf_u8(b, 0);
    buf_u8(b, (uint8_t)l.reg);
    buf_u8(b, (uint8_t)(l.reg >> 8));
    buf_fill(b, 0, 2);
    buf_le32(b, (uint32_t)l.off);
}

static void pad(struct buf *b)
{
    buf_fill(b, 0, -b->len & 7);
}

/* A map of one function at 100 with one record at 100 + at, and a pool of one constant. */
static void make_map(struct buf *b, uint32_t at, const struct location *values, uint32_t count)
{
    buf_u8(b, 3);
    buf_fill(b, 0, 3);
    buf_le32(b, 1);
    buf_le32(b, 1);
    buf_le32(b, 1);
    buf_le64(b, 100);
    buf_le64(b, 24);
    buf_le64(b, 1);
    buf_le64(b, 0x123456789abcdef0);
    buf_le64(b, 7);
    buf_le32(b, at);
    buf_fill(b, 0, 2);
    buf_u8(b, (uint8_t)(count + 3));
    buf_u8(b, 0);
    for (uint32_t i = 0; i < 3; i++)
        put_location(b, meta[i]);
    for (uint32_t i = 0; i < count; i++)
        put_location(b, values[i]);
    pad(b);
    buf_fill(b, 0, 4);
    pad(b);
    CHECK(!b->failed);
}

static status_t translate(uint32_t arch, const struct buf *in, struct link_map_set *set,
                          struct error *err)
{
    *err = (struct error){0};
    return link_maps_add(set, arch, in->data, in->len, BLOB_LEN, err);
}

static void places_of_all_kinds_are_translated(void)
{
    const struct location values[] = {{1, 3, 0},   {1, 18, 0}, {3, 7, 8},
                                      {3, 6, -80}, {4, 0, -1}, {5, 0, 0}};
    const uint8_t expected[] = {3,    32 + 1, 64,   8,    65,   0xb0, 0x7f, 66,   0x7f, 66,
                                0xf0, 0xbd,   0xf3, 0xd5, 0x89, 0xcf, 0x95, 0x9a, 0x12};
    struct buf in = {0};
    struct link_map_set set = {0};
    struct link_output out = {0};
    struct error err;
    make_map(&in, 20, values, 6);
    CHECK_EQ(translate(ARCH_X86_64, &in, &set, &err), ST_OK);
    CHECK_EQ(link_maps_finish(&set, &out.arena, &out, &err), ST_OK);
    CHECK_EQ(out.map_count, 1);
    CHECK_EQ(out.maps[0].code_off, 120);
    CHECK_EQ(out.maps[0].at, 0);
    CHECK_EQ(out.map_len, sizeof expected);
    CHECK(out.map_len == sizeof expected && memcmp(out.map_bytes, expected, out.map_len) == 0);
    link_maps_done(&set);
    link_output_done(&out);
    buf_done(&in);
}

static void numbers_are_those_of_the_architecture(void)
{
    const struct location values[] = {{1, 30, 0}, {1, 64 + 31, 0}, {3, 31, 16}, {3, 29, 0}};
    const uint8_t expected[] = {30, 32 + 31, 64, 16, 65, 0};
    struct buf in = {0};
    struct link_map_set set = {0};
    struct error err;
    make_map(&in, 0, values, 4);
    CHECK_EQ(translate(ARCH_AARCH64, &in, &set, &err), ST_OK);
    CHECK(set.bytes.len == sizeof expected && memcmp(set.bytes.data, expected, set.bytes.len) == 0);
    link_maps_done(&set);
    buf_done(&in);
}

static void a_place_that_a_map_cannot_name_is_refused(void)
{
    const struct location bad[] = {{1, 16, 0}, {1, 7, 0}, {3, 3, 8}, {2, 7, 8},
                                   {5, 0, 1},  {9, 0, 0}, {1, 99, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf in = {0};
        struct link_map_set set = {0};
        struct error err;
        make_map(&in, 0, &bad[i], 1);
        CHECK_EQ(translate(ARCH_X86_64, &in, &set, &err), ST_LINK);
        CHECK(strstr(err.text, "a value of a frame") != NULL);
        link_maps_done(&set);
        buf_done(&in);
    }
}

static void a_map_that_is_cut_anywhere_is_refused(void)
{
    const struct location value = {1, 3, 0};
    struct buf in = {0};
    make_map(&in, 0, &value, 1);
    for (size_t len = 0; len < in.len; len++) {
        struct buf part = {.data = in.data, .len = len};
        struct link_map_set set = {0};
        struct error err;
        CHECK_EQ(translate(ARCH_X86_64, &part, &set, &err), ST_CORRUPT);
        link_maps_done(&set);
    }
    buf_done(&in);
}

static void code_behind_the_end_and_two_rows_for_a_place_are_refused(void)
{
    const struct location value = {1, 3, 0};
    struct buf in = {0};
    struct link_map_set set = {0};
    struct link_output out = {0};
    struct error err;
    make_map(&in, BLOB_LEN, &value, 1);
    CHECK_EQ(translate(ARCH_X86_64, &in, &set, &err), ST_CORRUPT);
    link_maps_done(&set);
    buf_done(&in);
    set = (struct link_map_set){0};
    make_map(&in, 0, &value, 1);
    CHECK_EQ(translate(ARCH_X86_64, &in, &set, &err), ST_OK);
    CHECK_EQ(translate(ARCH_X86_64, &in, &set, &err), ST_OK);
    CHECK_EQ(link_maps_finish(&set, &out.arena, &out, &err), ST_CORRUPT);
    link_maps_done(&set);
    link_output_done(&out);
    buf_done(&in);
}

int main(void)
{
    RUN(places_of_all_kinds_are_translated);
    RUN(numbers_are_those_of_the_architecture);
    RUN(a_place_that_a_map_cannot_name_is_refused);
    RUN(a_map_that_is_cut_anywhere_is_refused);
    RUN(code_behind_the_end_and_two_rows_for_a_place_are_refused);
    return CHECK_DONE();
}
