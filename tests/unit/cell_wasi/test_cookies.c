#include "check.h"
#include "cookies.h"

static void small_positions_stand_for_themselves(void)
{
    struct cookies c = {0};
    CHECK_EQ(cookies_name(&c, 0), 0);
    CHECK_EQ(cookies_name(&c, COOKIE_NAMED - 1), COOKIE_NAMED - 1);
    CHECK_EQ(cookies_position(&c, 0), 0);
    CHECK_EQ(cookies_position(&c, 12345), 12345);
    CHECK_EQ(c.count, 0);
    cookies_done(&c);
}

static uint64_t position(uint64_t i)
{
    return ((i + 1) * UINT64_C(0x2545f4914f6cdd1d) | COOKIE_NAMED) & INT64_MAX;
}

static void large_positions_get_names_of_31_bits_that_last(void)
{
    struct cookies c = {0};
    for (uint64_t i = 0; i < 5000; i++) {
        CHECK_EQ(cookies_name(&c, position(i)), COOKIE_NAMED + i);
    }
    for (uint64_t i = 0; i < 5000; i++) {
        CHECK_EQ(cookies_name(&c, position(i)), COOKIE_NAMED + i);
        CHECK_EQ(cookies_position(&c, COOKIE_NAMED + i), position(i));
    }
    CHECK_EQ(c.count, 5000);
    cookies_done(&c);
}

static void names_that_were_not_given_are_positions(void)
{
    struct cookies c = {0};
    CHECK_EQ(cookies_position(&c, COOKIE_NAMED), COOKIE_NAMED);
    CHECK_EQ(cookies_name(&c, INT64_MAX), COOKIE_NAMED);
    CHECK_EQ(cookies_position(&c, COOKIE_NAMED), INT64_MAX);
    CHECK_EQ(cookies_position(&c, INT64_MAX), INT64_MAX);
    cookies_done(&c);
}

static void when_all_names_are_given_positions_are_used(void)
{
    struct cookies c = {0};
    for (uint64_t i = 0; i < COOKIES_MAX; i++) {
        cookies_name(&c, position(i));
    }
    CHECK_EQ(c.count, COOKIES_MAX);
    CHECK_EQ(cookies_name(&c, position(COOKIES_MAX)), position(COOKIES_MAX));
    CHECK_EQ(cookies_position(&c, position(COOKIES_MAX)), position(COOKIES_MAX));
    CHECK_EQ(cookies_name(&c, position(7)), COOKIE_NAMED + 7);
    cookies_done(&c);
}

int main(void)
{
    RUN(small_positions_stand_for_themselves);
    RUN(large_positions_get_names_of_31_bits_that_last);
    RUN(names_that_were_not_given_are_positions);
    RUN(when_all_names_are_given_positions_are_used);
    return CHECK_DONE();
}
