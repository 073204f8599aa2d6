#include "cell/module/types.h"
#include "check.h"

static void value_types_have_names(void)
{
    CHECK_STR(valtype_name(VT_I32), "i32");
    CHECK_STR(valtype_name(VT_V128), "v128");
    CHECK_STR(valtype_name(VT_EXNREF), "exnref");
    CHECK_STR(valtype_name(0x40), "?");
}

static void each_single_feature_has_a_name_and_no_set_has(void)
{
    for (uint32_t bit = 1; bit < FEATURE_ALL; bit <<= 1)
        CHECK(feature_name((enum feature)bit) != NULL);
    CHECK_STR(feature_name(FEATURE_RELAXED_SIMD), "relaxed-simd");
    CHECK(feature_name(FEATURE_ALL) == NULL);
    CHECK(feature_name((enum feature)0) == NULL);
    CHECK(feature_name((enum feature)(1u << 30)) == NULL);
}

static void function_types_are_equal_by_content(void)
{
    const valtype_t a[] = {VT_I32, VT_I64}, b[] = {VT_I32, VT_I64}, c[] = {VT_I64, VT_I32};
    struct functype x = {a, a, 2, 1}, y = {b, b, 2, 1};
    struct functype other = {c, b, 2, 1}, shorter = {b, b, 1, 1}, empty = {0};

    CHECK(functype_equal(&x, &y));
    CHECK(!functype_equal(&x, &other));
    CHECK(!functype_equal(&x, &shorter));
    CHECK(!functype_equal(&x, &empty));
    CHECK(functype_equal(&empty, &empty));
}

static void values_move_between_parameters_and_results_make_another_type(void)
{
    const valtype_t a[] = {VT_I32};
    struct functype takes = {a, a, 1, 0}, gives = {a, a, 0, 1};

    CHECK(!functype_equal(&takes, &gives));
}

int main(void)
{
    RUN(value_types_have_names);
    RUN(each_single_feature_has_a_name_and_no_set_has);
    RUN(function_types_are_equal_by_content);
    RUN(values_move_between_parameters_and_results_make_another_type);
    return CHECK_DONE();
}
