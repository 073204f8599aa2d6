#include "base/buf.h"
#include "base/cursor.h"
#include "check.h"

static void what_is_appended_can_be_read_back(void)
{
    struct buf b = {0};
    buf_u8(&b, 1);
    buf_le16(&b, 0x0203);
    buf_le32(&b, 0x04050607);
    buf_le64(&b, 0x08090a0b0c0d0e0f);
    buf_bytes(&b, "xyz", 3);
    buf_printf(&b, "%d-%s", 42, "abc");
    CHECK(!b.failed);
    struct cursor c;
    cursor_init(&c, b.data, b.len, 0);
    CHECK_EQ(cursor_u8(&c), 1);
    CHECK_EQ(cursor_le16(&c), 0x0203);
    CHECK_EQ(cursor_le32(&c), 0x04050607);
    CHECK_EQ(cursor_le64(&c), 0x08090a0b0c0d0e0f);
    CHECK_EQ(cursor_left(&c), 9);
    CHECK(memcmp(cursor_bytes(&c, 9), "xyz42-abc", 9) == 0);
    buf_done(&b);
    CHECK(b.data == NULL && b.len == 0);
}

static void leb_numbers_come_back_the_same(void)
{
    static const int64_t values[] = {
        0, 1, -1, 63, 64, -64, -65, 8191, -8192, -8193, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        buf_leb_s64(&b, values[i]);
        buf_leb_u64(&b, (uint64_t)values[i]);
        buf_leb_u32(&b, (uint32_t)values[i]);
    }
    struct cursor c;
    cursor_init(&c, b.data, b.len, 0);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        CHECK_EQ(cursor_leb_s64(&c), values[i]);
        CHECK_EQ(cursor_leb_u64(&c), values[i]);
        CHECK_EQ(cursor_leb_u32(&c), (uint32_t)values[i]);
    }
    CHECK(!c.failed && cursor_left(&c) == 0);
    buf_done(&b);
}

static void leb_numbers_take_the_fewest_bytes(void)
{
    struct buf b = {0};
    buf_leb_s64(&b, -64);
    CHECK_EQ(b.len, 1);
    buf_leb_s64(&b, 64);
    CHECK_EQ(b.len, 3);
    buf_leb_u64(&b, UINT64_MAX);
    CHECK_EQ(b.len, 13);
    buf_done(&b);
}

static void align_fills_with_zeros_up_to_the_boundary(void)
{
    struct buf b = {0};
    buf_align(&b, 16);
    CHECK_EQ(b.len, 0);
    buf_fill(&b, 0xee, 5);
    buf_align(&b, 16);
    CHECK_EQ(b.len, 16);
    CHECK_EQ(b.data[4], 0xee);
    CHECK_EQ(b.data[5], 0);
    buf_align(&b, 16);
    CHECK_EQ(b.len, 16);
    buf_done(&b);
}

static void a_patch_overwrites_in_place(void)
{
    struct buf b = {0};
    buf_fill(&b, 0, 16);
    buf_patch_le32(&b, 4, 0x11223344);
    buf_patch_le64(&b, 8, 0x5566778899aabbcc);
    CHECK_EQ(b.data[4], 0x44);
    CHECK_EQ(b.data[7], 0x11);
    CHECK_EQ(b.data[15], 0x55);
    CHECK_EQ(b.len, 16);
    buf_done(&b);
}

static void growth_keeps_the_content(void)
{
    struct buf b = {0};
    for (uint32_t i = 0; i < 100000; i++) {
        buf_le32(&b, i);
    }
    CHECK_EQ(b.len, 400000);
    CHECK_EQ(b.data[4 * 65536 + 2], 1);
    buf_done(&b);
}

static void an_impossible_append_fails_once_and_for_all(void)
{
    struct buf b = {0};
    buf_u8(&b, 7);
    buf_fill(&b, 0, SIZE_MAX);
    CHECK(b.failed);
    CHECK_EQ(b.len, 1);
    buf_u8(&b, 8);
    buf_printf(&b, "more");
    buf_patch_le32(&b, 1000, 1);
    CHECK(b.failed);
    CHECK_EQ(b.len, 1);
    buf_done(&b);
    CHECK(!b.failed);
}

int main(void)
{
    RUN(what_is_appended_can_be_read_back);
    RUN(leb_numbers_come_back_the_same);
    RUN(leb_numbers_take_the_fewest_bytes);
    RUN(align_fills_with_zeros_up_to_the_boundary);
    RUN(a_patch_overwrites_in_place);
    RUN(growth_keeps_the_content);
    RUN(an_impossible_append_fails_once_and_for_all);
    return CHECK_DONE();
}
