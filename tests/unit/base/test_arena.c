#include "base/arena.h"
#include "check.h"

static void memory_is_zeroed_aligned_and_apart(void)
{
    struct arena a = {0};
    uint8_t *pieces[500];
    bool zeroed = true, apart = true;
    for (size_t i = 0; i < 500; i++) {
        pieces[i] = arena_alloc(&a, i, 3);
        CHECK(pieces[i] != NULL);
        CHECK_EQ((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < 3 * i; k++) {
            zeroed = zeroed && pieces[i][k] == 0;
        }
        memset(pieces[i], (int)(i & 0xff), 3 * i);
    }
    for (size_t i = 0; i < 500; i++) {
        for (size_t k = 0; k < 3 * i; k++) {
            apart = apart && pieces[i][k] == (i & 0xff);
        }
    }
    CHECK(zeroed && apart);
    arena_done(&a);
    CHECK(a.head == NULL && a.used_bytes == 0);
}

static void a_large_piece_does_not_end_the_use_of_the_present_block(void)
{
    struct arena a = {0};
    uint8_t *before = arena_alloc(&a, 16, 1);
    uint8_t *large = arena_alloc(&a, 1 << 20, 8);
    uint8_t *after = arena_alloc(&a, 16, 1);
    CHECK(large != NULL);
    CHECK(after == before + 16);
    arena_done(&a);
}

static void count_zero_gives_a_valid_pointer(void)
{
    struct arena a = {0};
    CHECK(arena_alloc(&a, 0, 8) != NULL);
    CHECK(arena_alloc(&a, 8, 0) != NULL);
    arena_done(&a);
}

static void an_overflow_is_refused(void)
{
    struct arena a = {0};
    CHECK(arena_alloc(&a, SIZE_MAX / 2, 3) == NULL);
    CHECK(arena_alloc(&a, SIZE_MAX, 1) == NULL);
    CHECK(arena_strndup(&a, "x", SIZE_MAX) == NULL);
    CHECK_EQ(a.used_bytes, 0);
    arena_done(&a);
}

static void the_limit_holds(void)
{
    struct arena a = {.limit_bytes = 64};
    CHECK(arena_alloc(&a, 48, 1) != NULL);
    CHECK(arena_alloc(&a, 17, 1) == NULL);
    CHECK(arena_alloc(&a, 16, 1) != NULL);
    CHECK(arena_alloc(&a, 0, 1) == NULL);
    arena_done(&a);
}

static void a_copied_string_ends_with_a_nul(void)
{
    struct arena a = {0};
    CHECK_STR(arena_strndup(&a, "hello", 4), "hell");
    CHECK_STR(arena_strndup(&a, NULL, 0), "");
    arena_done(&a);
}

int main(void)
{
    RUN(memory_is_zeroed_aligned_and_apart);
    RUN(a_large_piece_does_not_end_the_use_of_the_present_block);
    RUN(count_zero_gives_a_valid_pointer);
    RUN(an_overflow_is_refused);
    RUN(the_limit_holds);
    RUN(a_copied_string_ends_with_a_nul);
    return CHECK_DONE();
}
