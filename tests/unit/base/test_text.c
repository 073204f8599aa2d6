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

int main(void)
{
    RUN(control_characters_become_question_marks);
    RUN(other_text_stays);
    return CHECK_DONE();
}
