#include "cell/run/track.h"
#include "check.h"

enum { PAGE = PAGE_SET_PAGE_BYTES };

static void an_empty_set_has_no_run(void)
{
    struct page_set s = {.count = 0};
    struct page_run run = {.len = 5};
    CHECK(!page_set_next(&s, UINT64_MAX, &run));
    CHECK_EQ(run.len, 5);
    CHECK(!page_set_has(&s, 0, 0));
    page_set_clear(&s);
    page_set_remove(&s, 0, 0, 1 << 20);
    page_set_done(&s);
}

static void ranges_are_rounded_outwards_and_counted_once(void)
{
    struct page_set s = {.count = 0};
    CHECK_EQ(page_set_add(&s, 0, PAGE - 1, 2), ST_OK);
    CHECK_EQ(s.count, 2);
    CHECK_EQ(page_set_add(&s, 0, 0, PAGE), ST_OK);
    CHECK_EQ(s.count, 2);
    CHECK(page_set_has(&s, 0, 0) && page_set_has(&s, 0, PAGE) && !page_set_has(&s, 0, 2 * PAGE));
    page_set_remove(&s, 0, PAGE, 1);
    CHECK_EQ(s.count, 1);
    page_set_done(&s);
}

static void runs_come_in_order_over_all_memories(void)
{
    struct page_set s = {.count = 0};
    struct page_run run = {0};
    CHECK_EQ(page_set_add(&s, 3, 0, 70 * PAGE), ST_OK);
    CHECK_EQ(page_set_add(&s, 1, 63 * PAGE, 66 * PAGE), ST_OK);
    CHECK_EQ(page_set_add(&s, 1, (1ull << 32) - PAGE, PAGE), ST_OK);
    CHECK(page_set_next(&s, UINT64_MAX, &run));
    CHECK(run.mem == 1 && run.at == 63 * PAGE && run.len == 66 * PAGE);
    run.at += run.len;
    CHECK(page_set_next(&s, UINT64_MAX, &run));
    CHECK(run.mem == 1 && run.at == (1ull << 32) - PAGE && run.len == PAGE);
    run.at += run.len;
    CHECK(page_set_next(&s, 64 * PAGE, &run));
    CHECK(run.mem == 3 && run.at == 0 && run.len == 64 * PAGE);
    run.at += run.len;
    CHECK(page_set_next(&s, 64 * PAGE, &run));
    CHECK(run.mem == 3 && run.at == 64 * PAGE && run.len == 6 * PAGE);
    run.at += run.len;
    CHECK(!page_set_next(&s, UINT64_MAX, &run));
    page_set_done(&s);
}

static void what_is_outside_a_memory_is_ignored(void)
{
    struct page_set s = {.count = 0};
    CHECK_EQ(page_set_add(&s, PAGE_SET_MEMORIES, 0, PAGE), ST_OK);
    CHECK_EQ(page_set_add(&s, 0, 1ull << 32, PAGE), ST_OK);
    CHECK_EQ(page_set_add(&s, 0, (1ull << 32) - PAGE, 2 * PAGE), ST_OK);
    CHECK_EQ(page_set_add(&s, 0, UINT64_MAX, UINT64_MAX), ST_OK);
    CHECK_EQ(page_set_add(&s, 0, 0, 0), ST_OK);
    CHECK_EQ(s.count, 0);
    page_set_done(&s);
}

static void merging_keeps_both(void)
{
    struct page_set a = {.count = 0}, b = {.count = 0};
    CHECK_EQ(page_set_add(&a, 0, 0, 3 * PAGE), ST_OK);
    CHECK_EQ(page_set_add(&b, 0, 2 * PAGE, 3 * PAGE), ST_OK);
    CHECK_EQ(page_set_add(&b, 2, 9 * PAGE, PAGE), ST_OK);
    CHECK_EQ(page_set_merge(&a, &b), ST_OK);
    CHECK_EQ(a.count, 6);
    CHECK(page_set_has(&a, 2, 9 * PAGE));
    page_set_clear(&a);
    CHECK_EQ(a.count, 0);
    CHECK(!page_set_has(&a, 2, 9 * PAGE));
    page_set_done(&a);
    page_set_done(&b);
}

int main(void)
{
    RUN(an_empty_set_has_no_run);
    RUN(ranges_are_rounded_outwards_and_counted_once);
    RUN(runs_come_in_order_over_all_memories);
    RUN(what_is_outside_a_memory_is_ignored);
    RUN(merging_keeps_both);
    return CHECK_DONE();
}
