#include "base/cursor.h"
#include "check.h"

static struct cursor over(const void *data, size_t len)
{
    struct cursor c;
    cursor_init(&c, data, len, 100);
    return c;
}
#define OVER(bytes) over(bytes, sizeof(bytes) - 1)

static void numbers_are_little_endian(void)
{
    struct cursor c = OVER("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
    CHECK_EQ(cursor_u8(&c), 1);
    CHECK_EQ(cursor_le16(&c), 0x0302);
    CHECK_EQ(cursor_le32(&c), 0x07060504);
    CHECK(cursor_le64(&c) == 0x0f0e0d0c0b0a0908);
    CHECK(!c.failed);
    CHECK_EQ(cursor_left(&c), 0);
}

static void a_read_past_the_end_fails_and_stays_failed(void)
{
    struct cursor c = OVER("\x01\x02\x03");
    CHECK_EQ(cursor_le32(&c), 0);
    CHECK(c.failed);
    CHECK_STR(c.reason, "unexpected end");
    CHECK_EQ(c.fail_off, 100);
    CHECK_EQ(cursor_u8(&c), 0);
    CHECK_EQ(cursor_left(&c), 0);
    CHECK(cursor_bytes(&c, 0) == NULL);
    CHECK_EQ(c.fail_off, 100);
}

static void the_first_reason_is_kept(void)
{
    struct cursor c = OVER("\x01");
    cursor_u8(&c);
    cursor_fail(&c, "first");
    cursor_fail(&c, "second");
    struct error err = {0};
    CHECK_EQ(cursor_status(&c, ST_FORMAT, &err), ST_FORMAT);
    CHECK_STR(err.text, "first");
    CHECK_EQ(err.offset, 101);
    CHECK_EQ(err.code, ST_FORMAT);
}

static void a_good_cursor_leaves_the_error_alone(void)
{
    struct cursor c = OVER("\x01");
    struct error err = {.text = "untouched"};
    CHECK_EQ(cursor_status(&c, ST_FORMAT, &err), ST_OK);
    CHECK_STR(err.text, "untouched");
}

static void an_empty_input_is_valid(void)
{
    struct cursor c = over(NULL, 0);
    CHECK_EQ(cursor_left(&c), 0);
    CHECK(cursor_bytes(&c, 0) != NULL);
    CHECK(!c.failed);
    cursor_u8(&c);
    CHECK(c.failed);
}

static void a_part_knows_its_place_in_the_whole(void)
{
    struct cursor c = OVER("\x00\x01\x02\x03\x04");
    cursor_u8(&c);
    struct cursor sub = cursor_sub(&c, 3);
    CHECK_EQ(cursor_offset(&c), 104);
    CHECK_EQ(cursor_offset(&sub), 101);
    CHECK_EQ(cursor_u8(&sub), 1);
    CHECK_EQ(cursor_le32(&sub), 0);
    CHECK(sub.failed);
    CHECK_EQ(sub.fail_off, 102);
    CHECK(!c.failed);
}

static void a_part_longer_than_the_rest_fails_both(void)
{
    struct cursor c = OVER("\x00\x01");
    struct cursor sub = cursor_sub(&c, SIZE_MAX);
    CHECK(c.failed && sub.failed);
    CHECK_STR(sub.reason, "unexpected end");
    CHECK_EQ(cursor_u8(&sub), 0);
}

static void good_leb_numbers_are_read(void)
{
    struct cursor c = OVER("\x00\x7f\x80\x01\xff\xff\xff\xff\x0f\x80\x80\x80\x80\x00");
    CHECK_EQ(cursor_leb_u32(&c), 0);
    CHECK_EQ(cursor_leb_u32(&c), 127);
    CHECK_EQ(cursor_leb_u32(&c), 128);
    CHECK_EQ(cursor_leb_u32(&c), UINT32_MAX);
    CHECK_EQ(cursor_leb_u32(&c), 0);
    CHECK(!c.failed && cursor_left(&c) == 0);

    c = OVER("\x3f\x40\x7f\xc0\x00\xff\xff\xff\xff\x07\x80\x80\x80\x80\x78\xff\xff\xff\xff\x7f");
    CHECK_EQ(cursor_leb_s32(&c), 63);
    CHECK_EQ(cursor_leb_s32(&c), -64);
    CHECK_EQ(cursor_leb_s32(&c), -1);
    CHECK_EQ(cursor_leb_s32(&c), 64);
    CHECK_EQ(cursor_leb_s32(&c), INT32_MAX);
    CHECK_EQ(cursor_leb_s32(&c), INT32_MIN);
    CHECK_EQ(cursor_leb_s32(&c), -1);
    CHECK(!c.failed && cursor_left(&c) == 0);

    c = OVER("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    CHECK(cursor_leb_u64(&c) == UINT64_MAX);
    c = OVER("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"
             "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x40");
    CHECK(cursor_leb_s64(&c) == INT64_MAX);
    CHECK(cursor_leb_s64(&c) == INT64_MIN);
    CHECK_EQ(cursor_leb_s64(&c), -64);
    CHECK(!c.failed);
}

static void block_types_have_33_bits(void)
{
    struct cursor c = OVER("\x40\xff\xff\xff\xff\x0f\x80\x80\x80\x80\x70");
    CHECK_EQ(cursor_leb_s33(&c), -64);
    CHECK_EQ(cursor_leb_s33(&c), UINT32_MAX);
    CHECK_EQ(cursor_leb_s33(&c), -4294967296);
    CHECK(!c.failed);
    c = OVER("\x80\x80\x80\x80\x10");
    cursor_leb_s33(&c);
    CHECK_STR(c.failed ? c.reason : "", "integer too large");
    c = OVER("\x80\x80\x80\x80\x60");
    cursor_leb_s33(&c);
    CHECK_STR(c.failed ? c.reason : "", "integer too large");
}

enum kind { U32, U64, S32, S64 };

static void read_one(struct cursor *c, enum kind kind)
{
    switch (kind) {
    case U32:
        CHECK_EQ(cursor_leb_u32(c), 0);
        break;
    case U64:
        CHECK_EQ(cursor_leb_u64(c), 0);
        break;
    case S32:
        CHECK_EQ(cursor_leb_s32(c), 0);
        break;
    case S64:
        CHECK_EQ(cursor_leb_s64(c), 0);
        break;
    }
}

struct bad_leb {
    enum kind kind;
    const char *bytes;
    size_t len;
    const char *reason;
    uint64_t off; /* of the byte that breaks the rule */
};
#define BAD(kind, bytes, reason, off) {kind, bytes, sizeof(bytes) - 1, reason, 100 + (off)}

/* The cases of binary-leb128.wast. */
static const struct bad_leb bad_lebs[] = {
    BAD(U32, "", "unexpected end", 0),
    BAD(U32, "\x80", "unexpected end", 1),
    BAD(U64, "\xff\xff", "unexpected end", 2),
    BAD(S32, "\xff\xff\xff\xff", "unexpected end", 4),
    BAD(S64, "\x80\x80", "unexpected end", 2),
    BAD(U32, "\x82\x80\x80\x80\x80\x00", "integer representation too long", 4),
    BAD(U32, "\xff\xff\xff\xff\xff\x0f", "integer representation too long", 4),
    BAD(S32, "\x80\x80\x80\x80\x80\x00", "integer representation too long", 4),
    BAD(S32, "\xff\xff\xff\xff\xff\x7f", "integer representation too long", 4),
    BAD(U64, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "integer representation too long", 9),
    BAD(S64, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "integer representation too long", 9),
    BAD(S64, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "integer representation too long", 9),
    BAD(U32, "\x82\x80\x80\x80\x70", "integer too large", 4),
    BAD(U32, "\x82\x80\x80\x80\x40", "integer too large", 4),
    BAD(U32, "\x80\x80\x80\x80\x10", "integer too large", 4),
    BAD(S32, "\x80\x80\x80\x80\x70", "integer too large", 4),
    BAD(S32, "\xff\xff\xff\xff\x0f", "integer too large", 4),
    BAD(S32, "\x80\x80\x80\x80\x1f", "integer too large", 4),
    BAD(S32, "\xff\xff\xff\xff\x4f", "integer too large", 4),
    BAD(U64, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "integer too large", 9),
    BAD(S64, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7e", "integer too large", 9),
    BAD(S64, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "integer too large", 9),
    BAD(S64, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x41", "integer too large", 9),
};

static void bad_leb_numbers_fail_in_the_words_of_the_specification(void)
{
    for (size_t i = 0; i < sizeof bad_lebs / sizeof bad_lebs[0]; i++) {
        const struct bad_leb *bad = &bad_lebs[i];
        struct cursor c = over(bad->bytes, bad->len);
        read_one(&c, bad->kind);
        CHECK(c.failed);
        CHECK_STR(c.failed ? c.reason : "(none)", bad->reason);
        CHECK_EQ(c.fail_off, bad->off);
    }
}

int main(void)
{
    RUN(numbers_are_little_endian);
    RUN(a_read_past_the_end_fails_and_stays_failed);
    RUN(the_first_reason_is_kept);
    RUN(a_good_cursor_leaves_the_error_alone);
    RUN(an_empty_input_is_valid);
    RUN(a_part_knows_its_place_in_the_whole);
    RUN(a_part_longer_than_the_rest_fails_both);
    RUN(good_leb_numbers_are_read);
    RUN(block_types_have_33_bits);
    RUN(bad_leb_numbers_fail_in_the_words_of_the_specification);
    return CHECK_DONE();
}
