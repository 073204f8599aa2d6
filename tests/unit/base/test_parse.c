#include "base/parse.h"
#include "check.h"

static void numbers_are_whole_strings(void)
{
    uint64_t v = 7;
    CHECK_EQ(parse_u64("0", 10, &v), ST_OK);
    CHECK_EQ(v, 0);
    CHECK_EQ(parse_u64("18446744073709551615", UINT64_MAX, &v), ST_OK);
    CHECK(v == UINT64_MAX);
    v = 7;
    static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1a", "a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(parse_u64(bad[i], UINT64_MAX, &v), ST_INVAL);
    }
    CHECK_EQ(v, 7);
}

static void a_number_above_the_maximum_is_a_limit(void)
{
    uint64_t v = 7;
    CHECK_EQ(parse_u64("11", 10, &v), ST_LIMIT);
    CHECK_EQ(parse_u64("18446744073709551616", UINT64_MAX - 1, &v), ST_LIMIT);
    CHECK_EQ(parse_u64("18446744073709551616", UINT64_MAX, &v), ST_LIMIT);
    CHECK_EQ(parse_u64("184467440737095516150", UINT64_MAX, &v), ST_LIMIT);
    CHECK_EQ(parse_u64("99999999999999999999999", UINT64_MAX - 1, &v), ST_LIMIT);
    CHECK_EQ(v, 7);
}

static void hexadecimal_numbers_have_no_prefix(void)
{
    uint64_t v = 7;
    CHECK_EQ(parse_hex("fF09", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 0xff09);
    CHECK_EQ(parse_hex("ffffffffffffffff", UINT64_MAX, &v), ST_OK);
    CHECK(v == UINT64_MAX);
    v = 7;
    CHECK_EQ(parse_hex("10000000000000000", UINT64_MAX, &v), ST_LIMIT);
    CHECK_EQ(parse_hex("100", 255, &v), ST_LIMIT);
    static const char *const bad[] = {"", "0x1", "g", "1 ", "-1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(parse_hex(bad[i], UINT64_MAX, &v), ST_INVAL);
    }
    CHECK_EQ(v, 7);
}

static void floating_point_numbers_are_whole_strings(void)
{
    double d = 7;
    float f = 7;
    CHECK_EQ(parse_f64("-2.5e3", &d), ST_OK);
    CHECK(d == -2500);
    CHECK_EQ(parse_f64("0x1p-3", &d), ST_OK);
    CHECK(d == 0.125);
    CHECK_EQ(parse_f32("inf", &f), ST_OK);
    CHECK(f > 3e38F);
    CHECK_EQ(parse_f32("nan", &f), ST_OK);
    CHECK(f != f);
    CHECK_EQ(parse_f32("0.1", &f), ST_OK);
    CHECK(f == 0.1F);
    d = 7;
    static const char *const bad[] = {"", " 1", "1 ", "1x", "e", "-", ".", "1e"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(parse_f64(bad[i], &d), ST_INVAL);
        CHECK_EQ(parse_f32(bad[i], &f), ST_INVAL);
    }
    CHECK(d == 7 && f == 0.1F);
}

static void sizes_have_binary_suffixes(void)
{
    uint64_t v;
    CHECK_EQ(parse_size("17", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 17);
    CHECK_EQ(parse_size("64K", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 65536);
    CHECK_EQ(parse_size("64KiB", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 65536);
    CHECK_EQ(parse_size("3G", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 3221225472);
    CHECK_EQ(parse_size("2TiB", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 2199023255552);
}

static void other_suffixes_and_overflows_are_refused(void)
{
    uint64_t v = 7;
    static const char *const bad[] = {"", "K", "1KB", "1k", "1Ki", "1KiBx", "1 K", "-1K", "1.5G"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(parse_size(bad[i], UINT64_MAX, &v), ST_INVAL);
    }
    CHECK_EQ(parse_size("16777216T", UINT64_MAX, &v), ST_LIMIT);
    CHECK_EQ(parse_size("18446744073709551616", UINT64_MAX, &v), ST_LIMIT);
    CHECK_EQ(parse_size("5K", 5119, &v), ST_LIMIT);
    CHECK_EQ(v, 7);
}

static void durations_have_fractions_and_units(void)
{
    uint64_t v;
    CHECK_EQ(parse_duration("2", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 2000000000);
    CHECK_EQ(parse_duration("0.25s", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 250000000);
    CHECK_EQ(parse_duration("1.5ms", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 1500000);
    CHECK_EQ(parse_duration("1.5m", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 90000000000);
    CHECK_EQ(parse_duration(".2", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 200000000);
    CHECK_EQ(parse_duration("2h", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 7200000000000);
    CHECK_EQ(parse_duration("0.0000000010000000000000000001", UINT64_MAX, &v), ST_OK);
    CHECK_EQ(v, 1);
}

static void other_durations_are_refused(void)
{
    uint64_t v = 7;
    static const char *const bad[] = {"", "s", "1.", ".", "1.s", "1us", "1 s", "-1", "1.5.5", "1S"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(parse_duration(bad[i], UINT64_MAX, &v), ST_INVAL);
    }
    CHECK_EQ(parse_duration("99999999999999999999999h", UINT64_MAX, &v), ST_LIMIT);
    CHECK_EQ(parse_duration("1.1", 1000000000, &v), ST_LIMIT);
    CHECK_EQ(v, 7);
}

int main(void)
{
    RUN(numbers_are_whole_strings);
    RUN(a_number_above_the_maximum_is_a_limit);
    RUN(hexadecimal_numbers_have_no_prefix);
    RUN(floating_point_numbers_are_whole_strings);
    RUN(sizes_have_binary_suffixes);
    RUN(other_suffixes_and_overflows_are_refused);
    RUN(durations_have_fractions_and_units);
    RUN(other_durations_are_refused);
    return CHECK_DONE();
}
