#include "cell/module/image.h"
#include "check.h"

static void names_and_numbers_of_levels_match(void)
{
    static const uint32_t all[] = {LEVEL_X86_64_V2, LEVEL_X86_64_V3, LEVEL_X86_64_V4,
                                   LEVEL_AARCH64};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        CHECK_EQ(image_level_find(image_level_name(all[i])), all[i]);
    CHECK_STR(image_level_name(LEVEL_X86_64_V3), "x86-64-v3");
    CHECK_EQ(image_level_find("x86-64-v9"), 0);
    CHECK(image_level_name(0) == NULL);
    CHECK(image_level_name(5) == NULL);
}

static void the_host_runs_its_own_level_and_those_below(void)
{
    uint32_t host = image_level_host();
    CHECK(image_level_name(host) != NULL);
    CHECK(image_level_runs(host));
    CHECK(!image_level_runs(host + 1));
    CHECK(!image_level_runs(0));
    if (image_level_arch(host) == ARCH_X86_64) {
        CHECK(image_level_runs(LEVEL_X86_64_V2));
        CHECK(!image_level_runs(LEVEL_AARCH64));
    } else {
        CHECK(!image_level_runs(LEVEL_X86_64_V2));
    }
}

int main(void)
{
    RUN(names_and_numbers_of_levels_match);
    RUN(the_host_runs_its_own_level_and_those_below);
    return CHECK_DONE();
}
