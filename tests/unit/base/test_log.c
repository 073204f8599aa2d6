#include "base/log.h"

#include <unistd.h>

#include "check.h"

/* What one call writes to standard error. */
static char written[8192];

#define CAPTURE(call)                                             \
    do {                                                          \
        int ends[2];                                              \
        int saved = dup(STDERR_FILENO);                           \
        if (pipe(ends) != 0 || saved < 0) {                       \
            abort();                                              \
        }                                                         \
        dup2(ends[1], STDERR_FILENO);                             \
        close(ends[1]);                                           \
        call;                                                     \
        dup2(saved, STDERR_FILENO);                               \
        close(saved);                                             \
        ssize_t got = read(ends[0], written, sizeof written - 1); \
        written[got > 0 ? got : 0] = '\0';                        \
        close(ends[0]);                                           \
    } while (0)

static void a_line_has_level_event_and_pairs(void)
{
    CAPTURE(log_warn("tier.evict", "bucket", "b", "bytes", "12"));
    CHECK_STR(written, "warn tier.evict bucket=b bytes=12\n");
    CAPTURE(log_info("start"));
    CHECK_STR(written, "info start\n");
}

static void values_cannot_forge_lines_or_pairs(void)
{
    CAPTURE(log_error("x", "k", "a b", "l", "say \"hi\"\n", "m", "", "n", "c=d"));
    CHECK_STR(written, "error x k=\"a b\" l=\"say \\\"hi\\\"\\x0a\" m=\"\" n=\"c=d\"\n");
}

static void lines_below_the_level_are_not_written(void)
{
    CAPTURE(log_debug("quiet"));
    CHECK_STR(written, "");
    log_set_level(LOG_DEBUG);
    CAPTURE(log_debug("loud"));
    CHECK_STR(written, "debug loud\n");
    log_set_level(LOG_ERROR);
    CAPTURE(log_warn("quiet"));
    CHECK_STR(written, "");
    log_set_level(LOG_INFO);
}

static void a_long_line_is_cut_but_ends(void)
{
    static char value[6000];
    memset(value, 'v', sizeof value - 1);
    CAPTURE(log_info("long", "value", value));
    CHECK_EQ(strlen(written), 4096);
    CHECK_EQ(written[4095], '\n');
}

int main(void)
{
    RUN(a_line_has_level_event_and_pairs);
    RUN(values_cannot_forge_lines_or_pairs);
    RUN(lines_below_the_level_are_not_written);
    RUN(a_long_line_is_cut_but_ends);
    return CHECK_DONE();
}
