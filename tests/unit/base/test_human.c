#include <string.h>

#include "base/human.h"
#include "check.h"

static void bytes_have_the_unit_that_fits(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 bytes"},
        {1, "1 byte"},
        {1023, "1023 bytes"},
        {1024, "1.0 KiB"},
        {28672, "28.0 KiB"},
        {1048575, "1.0 MiB"},
        {UINT64_C(5) << 30, "5.0 GiB"},
        {UINT64_MAX, "16777216.0 TiB"},
    };
    char text[HUMAN_TEXT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        human_bytes(cases[i].bytes, text);
        CHECK_STR(text, cases[i].text);
    }
}

static void times_have_the_unit_that_fits(void)
{
    char text[HUMAN_TEXT_BYTES];
    human_time(UINT64_C(12300000000), text);
    CHECK_STR(text, "12.3 s");
    human_time(UINT64_C(270000000000), text);
    CHECK_STR(text, "4.5 min");
    human_time(UINT64_C(3) * 3600 * 1000000000, text);
    CHECK_STR(text, "3.0 h");
    human_time(UINT64_MAX, text);
    CHECK_STR(text, "213504.0 days");
}

static void text_is_no_command_and_no_line(void)
{
    static const char odd[] = "a\n\x1b[2J\xc2\x9b\\\x7f\xc3\xa4";
    struct buf out = {0};
    human_put_text(&out, odd, sizeof odd - 1);
    buf_u8(&out, 0);
    CHECK_STR((const char *)out.data, "a\\0a\\1b[2J\\c2\\9b\\5c\\7f\xc3\xa4");
    buf_done(&out);
}

static void a_long_name_keeps_both_ends(void)
{
    struct buf out = {0};
    char name[400], umlauts[400];
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = (char)('a' + i % 26);
        umlauts[i] = (i % 2) == 0 ? '\xc3' : '\xa4';
    }
    human_put_name(&out, name, HUMAN_NAME_MAX);
    CHECK(out.len == HUMAN_NAME_MAX && memcmp(out.data, name, out.len) == 0);
    out.len = 0;
    human_put_name(&out, name, sizeof name);
    CHECK_EQ(out.len, HUMAN_NAME_MAX);
    CHECK(memcmp(out.data, name, 60) == 0 && memcmp(out.data + 60, "...", 3) == 0);
    CHECK(memcmp(out.data + 63, name + sizeof name - 37, 37) == 0);
    out.len = 0;
    human_put_name(&out, umlauts, sizeof umlauts);
    CHECK_EQ(out.len, HUMAN_NAME_MAX - 1);
    CHECK_EQ(out.data[63], 0xc3);
    buf_done(&out);
}

int main(void)
{
    RUN(bytes_have_the_unit_that_fits);
    RUN(times_have_the_unit_that_fits);
    RUN(text_is_no_command_and_no_line);
    RUN(a_long_name_keeps_both_ends);
    return CHECK_DONE();
}
