#include "base/status.h"

#include <errno.h>

#include "check.h"

static void every_status_has_a_name_of_its_own(void)
{
    for (unsigned a = 0; a < ST_COUNT; a++) {
        CHECK(status_name((status_t)a) != NULL && status_name((status_t)a)[0] != '\0');
        for (unsigned b = 0; b < a; b++) {
            CHECK(strcmp(status_name((status_t)a), status_name((status_t)b)) != 0);
        }
    }
    CHECK_STR(status_name(ST_COUNT), "unknown status");
}

static void error_set_returns_its_code_and_fills_the_error(void)
{
    struct error err = {0};
    CHECK_EQ(error_set(&err, ST_FORMAT, 12, "bad %s %d", "thing", 3), ST_FORMAT);
    CHECK_EQ(err.code, ST_FORMAT);
    CHECK_EQ(err.offset, 12);
    CHECK_STR(err.text, "bad thing 3");
    CHECK_EQ(error_set(NULL, ST_LIMIT, 0, "nobody listens"), ST_LIMIT);
}

static void long_text_is_cut(void)
{
    struct error err = {0};
    error_set(&err, ST_IO, 0, "%0300d", 1);
    CHECK_EQ(strlen(err.text), ERROR_TEXT_MAX - 1);
    error_set_errno(&err, ENOENT, "%0300d", 1);
    CHECK_EQ(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void an_errno_adds_its_text(void)
{
    struct error err = {0};
    CHECK_EQ(error_set_errno(&err, ENOENT, "open %s", "x"), ST_NOTFOUND);
    CHECK_STR(err.text, "open x: No such file or directory");
    CHECK(err.offset == ERROR_NO_OFFSET);
    CHECK_EQ(error_set_errno(NULL, EACCES, "open"), ST_PERM);
}

static void a_long_path_leaves_room_for_the_reason(void)
{
    static const char end[] = "...: No such file or directory";
    struct error err = {0};
    for (int len = ERROR_TEXT_MAX - 40; len < ERROR_TEXT_MAX + 10; len++) {
        CHECK_EQ(error_set_errno(&err, ENOENT, "%0*d", len, 1), ST_NOTFOUND);
        size_t got = strlen(err.text), tail = strlen(end) - 3;
        CHECK(got >= tail && strcmp(err.text + got - tail, end + 3) == 0);
        CHECK(got < ERROR_TEXT_MAX - 1 || strcmp(err.text + got - strlen(end), end) == 0 ||
              got == (size_t)len + tail);
    }
}

static void errno_values_map_to_decisions(void)
{
    CHECK_EQ(status_from_errno(EEXIST), ST_EXIST);
    CHECK_EQ(status_from_errno(EISDIR), ST_INVAL);
    CHECK_EQ(status_from_errno(ENOSPC), ST_LIMIT);
    CHECK_EQ(status_from_errno(EAGAIN), ST_AGAIN);
    CHECK_EQ(status_from_errno(EIO), ST_IO);
    for (int e = -1; e < 200; e++) {
        CHECK(status_from_errno(e) != ST_OK);
    }
}

int main(void)
{
    RUN(every_status_has_a_name_of_its_own);
    RUN(error_set_returns_its_code_and_fills_the_error);
    RUN(long_text_is_cut);
    RUN(an_errno_adds_its_text);
    RUN(a_long_path_leaves_room_for_the_reason);
    RUN(errno_values_map_to_decisions);
    return CHECK_DONE();
}
