#include "base/text.h"
#include "check.h"

static void control_characters_become_question_marks(void)
{
    char text[] = "a\nb\x1b[31m\x7f\tc\xc2\x9b"
                  "31m";
    text_hide_controls(text);
    CHECK_STR(text, "a?b?[31m??c\xc2?31m");
}

static void other_text_stays(void)
{
    char text[] = "plain ~ \xc3\xa9 \xc2\xa0 \xe2\x82\xac \xc2";
    text_hide_controls(text);
    CHECK_STR(text, "plain ~ \xc3\xa9 \xc2\xa0 \xe2\x82\xac \xc2");
    char none[] = "";
    text_hide_controls(none);
    CHECK_STR(none, "");
}

static void only_well_formed_utf8_is_utf8(void)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xed\x9f\xbf",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3z",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "a\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK(text_is_utf8(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(!text_is_utf8(bad[i]));
    }
}

int main(void)
{
    RUN(control_characters_become_question_marks);
    RUN(other_text_stays);
    RUN(only_well_formed_utf8_is_utf8);
    return CHECK_DONE();
}
